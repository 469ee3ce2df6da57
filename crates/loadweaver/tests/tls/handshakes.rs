//! Handshakes that go wrong, take long, or find no place.

use super::*;

#[test]
fn plain_http_on_a_tls_port_is_told_so_and_tls_on_a_plain_port_is_refused() {
    let (site, origin) = (Site::new(), Origin::named("origin"));
    let patch = json!({
        "listeners": { "plain": { "bind": "127.0.0.1:0" } },
        "accessLog": { "format": "json", "output": "stdout" }
    });
    let balancer = site.balancer(&origin, &site.tls(), &patch);
    let mut client = balancer.client();
    let answer = client.exchange("GET /secret HTTP/1.1\r\nHost: test\r\n\r\n");
    assert_eq!((answer.status, answer.failure()), (400, Some("plain_http")));
    assert!(String::from_utf8_lossy(&answer.body).contains("https://"), "{answer:?}");
    client.expect_closed();
    eventually("the log says so", || balancer.stdout().iter().any(|line| line.contains("plain_http")));
    let bridge = site.authority.client().bridge(balancer.listener("plain").unwrap(), "localhost");
    assert!(RawClient::connect(bridge.address()).read_answer("GET").is_err());
    eventually("it is counted", || balancer.status()["failures"]["bad_request_line"] == 1);
    assert_eq!(origin.requests().len(), 0);
}

#[test]
fn whatever_clients_do_in_handshakes_others_are_served() {
    let (site, origin) = (Site::new(), Origin::named("origin"));
    let mut tls = site.tls();
    merge(&mut tls, &json!({ "handshakeTimeout": "400ms" }));
    let balancer = site.balancer(&origin, &tls, &json!({}));
    // Silence, half a record, a record that grows for ever, garbage, an alert, a message that is too long.
    let silent = TcpStream::connect(balancer.address()).unwrap();
    let mut half = TcpStream::connect(balancer.address()).unwrap();
    half.write_all(&[22, 3, 1, 2, 0, 1]).unwrap();
    for bytes in [
        vec![22, 3, 1, 255, 255],
        [vec![22, 3, 1, 64, 0], vec![1; 16 * 1024]].concat(),
        vec![0; 1000],
        vec![21, 3, 3, 0, 2, 1, 0],
        vec![23, 3, 3, 0, 32].into_iter().chain([7; 32]).collect(),
        // A greeting of 16 MiB, in as many records as it takes.
        std::iter::once([22, 3, 1, 64, 0, 1, 255, 255, 255].to_vec())
            .chain((0..64).map(|_| [vec![22, 3, 1, 64, 0], vec![0; 16 * 1024]].concat()))
            .flatten()
            .collect(),
    ] {
        let mut client = TcpStream::connect(balancer.address()).unwrap();
        let _ = client.write_all(&bytes);
        client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut answer = Vec::new();
        // An alert, or nothing; never anything for ever.
        let _ = client.read_to_end(&mut answer);
        assert!(answer.len() < 100, "{answer:?}");
    }
    let bridge = site.authority.client().bridge(balancer.address(), "localhost");
    assert_eq!(get(&bridge, "/").body, b"origin");
    for mut client in [silent, half] {
        client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        assert!(matches!(client.read(&mut [0; 10]), Ok(0) | Err(_)));
    }
    let tls = balancer.status()["tls"].clone();
    // Which of the two it is depends on what a length makes believe.
    let ended = tls["timedOut"].as_u64().unwrap() + tls["failed"].as_u64().unwrap();
    assert_eq!((ended, tls["handshakes"].as_u64()), (8, Some(1)), "{tls}");
}

#[test]
fn a_greeting_may_come_byte_by_byte() {
    let (site, origin) = (Site::new(), Origin::named("origin"));
    let balancer = site.balancer(&origin, &site.tls(), &json!({}));
    // A relay that lets nothing but single bytes through.
    let drip = Origin::start({
        let to = balancer.address();
        move |connection| {
            let mut far = TcpStream::connect(to).unwrap();
            far.set_nodelay(true).unwrap();
            let near = connection.socket().try_clone().unwrap();
            let (mut from_far, mut to_near) = (far.try_clone().unwrap(), near.try_clone().unwrap());
            let back = std::thread::spawn(move || std::io::copy(&mut from_far, &mut to_near));
            for byte in std::io::BufReader::new(near).bytes() {
                let Ok(byte) = byte else { break };
                if far.write_all(&[byte]).is_err() {
                    break;
                }
            }
            let _ = far.shutdown(std::net::Shutdown::Write);
            let _ = back.join();
            Ok(())
        }
    });
    for versions in [&ONLY_12, &ONLY_13] {
        let bridge = site.authority.client().versions(versions).bridge(drip.address(), "localhost");
        assert_eq!(get(&bridge, "/").body, b"origin");
    }
}

#[test]
fn an_old_version_is_refused_where_the_file_says_so() {
    let (site, origin) = (Site::new(), Origin::named("origin"));
    let mut tls = site.tls();
    merge(&mut tls, &json!({ "minVersion": "1.3" }));
    let balancer = site.balancer(&origin, &tls, &json!({}));
    let old = site.authority.client().versions(&ONLY_12).bridge(balancer.address(), "localhost");
    assert!(RawClient::connect(old.address()).read_answer("GET").is_err());
    eventually("it says why", || old.errors().iter().any(|error| error.contains("ProtocolVersion")));
    let new = site.authority.client().bridge(balancer.address(), "localhost");
    assert_eq!(get(&new, "/").body, b"origin");
}

#[test]
fn while_there_is_no_place_for_handshakes_those_that_wait_make_room() {
    let (site, origin) = (Site::new(), Origin::named("origin"));
    let mut tls = site.tls();
    merge(&mut tls, &json!({ "maxHandshakes": 3, "handshakeTimeout": "10m" }));
    let balancer = site.balancer(&origin, &tls, &json!({}));
    let _silent: Vec<_> = (0..8).map(|_| TcpStream::connect(balancer.address()).unwrap()).collect();
    let bridge = site.authority.client().bridge(balancer.address(), "localhost");
    assert_eq!(get(&bridge, "/").body, b"origin");
    assert!(balancer.status()["tls"]["crowdedOut"].as_u64() >= Some(3));
}

#[test]
fn who_makes_room_for_a_handshake_is_the_one_that_has_waited_longest_and_nobody_else() {
    let (site, origin) = (Site::new(), Origin::named("origin"));
    let mut tls = site.tls();
    merge(&mut tls, &json!({ "maxHandshakes": 3, "handshakeTimeout": "10m" }));
    let balancer = site.balancer(&origin, &tls, &json!({ "workers": 1 }));
    let mut silent = Vec::new();
    for number in 1..=3 {
        silent.push(TcpStream::connect(balancer.address()).unwrap());
        eventually("it has a place", || balancer.status()["connections"]["active"] == number);
    }
    let bridge = site.authority.client().bridge(balancer.address(), "localhost");
    assert_eq!(get(&bridge, "/").body, b"origin");
    assert_eq!(balancer.status()["tls"]["crowdedOut"], 1);
    let mut byte = [0];
    assert_eq!(silent[0].read(&mut byte).unwrap(), 0, "the first is sent away");
    for other in &mut silent[1..] {
        other.set_nonblocking(true).unwrap();
        assert_eq!(other.read(&mut byte).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    }
}
