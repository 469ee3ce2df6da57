//! What goes over a connection once hands are shaken, and how it ends.

use super::*;

#[test]
fn bodies_of_every_kind_come_through_whole() {
    let big: Vec<u8> = (0..3_000_000_u32).map(|n| u8::try_from(n % 251).unwrap()).collect();
    let (site, echoed) = (Site::new(), big.clone());
    let origin = Origin::by_request(move |request| match request.target.as_str() {
        "/echo" => with_length(&request.body),
        "/chunked" => {
            let mut bytes = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
            for piece in echoed.chunks(70_001) {
                bytes.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
                bytes.extend_from_slice(piece);
                bytes.extend_from_slice(b"\r\n");
            }
            bytes.extend_from_slice(b"0\r\nx-trailer: 1\r\n\r\n");
            bytes
        }
        _ => with_length(&echoed),
    });
    let balancer = site.balancer(&origin, &site.tls(), &json!({}));
    for versions in [&ONLY_12, &ONLY_13] {
        let bridge = site.authority.client().versions(versions).bridge(balancer.address(), "localhost");
        let mut client = RawClient::connect(bridge.address());
        assert_eq!(client.get("/plain").body, big);
        assert_eq!(client.get("/chunked").body, big);
        let head = format!("POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n", big.len());
        assert_eq!(client.exchange([head.as_bytes(), &big].concat()).body, big);
        // Many at once, answered in order.
        let many = "GET /small HTTP/1.1\r\nHost: test\r\n\r\n".repeat(3);
        let _ = client.send(many);
        for _ in 0..3 {
            assert_eq!(client.answer("GET").body, big);
        }
        assert_eq!(bridge.errors(), [""; 0]);
    }
}

#[test]
fn new_keys_may_come_at_any_time() {
    let (site, origin) = (Site::new(), Origin::by_request(|request| with_length(&request.body)));
    let balancer = site.balancer(&origin, &site.tls(), &json!({}));
    let bridge = site.authority.client().renewing_keys().bridge(balancer.address(), "localhost");
    let mut client = RawClient::connect(bridge.address());
    for len in [1, 100, 100_000, 1_000_000] {
        let body = vec![b'x'; len];
        let head = format!("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: {len}\r\n\r\n");
        let _ = client.send([head.as_bytes(), &body].concat());
        let answer = client.read_answer("POST");
        assert_eq!(answer.map(|answer| answer.body.len()), Ok(len), "{:?}", bridge.errors());
    }
    assert_eq!(bridge.errors(), [""; 0]);
    // openssl does it too, and asks for ours.
    let shown = s_client(
        &balancer,
        &["-quiet", "-no_ign_eof"],
        "K\nGET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    );
    assert!(shown.contains("HTTP/1.1 ") || shown.contains("KEYUPDATE"), "{shown}");
}

#[test]
fn a_wish_to_shake_hands_anew_is_refused() {
    let (site, origin) = (Site::new(), Origin::named("origin"));
    let balancer = site.balancer(&origin, &site.tls(), &json!({}));
    let shown = s_client(&balancer, &["-tls1_2"], "R\n");
    assert!(shown.contains("RENEGOTIATING") && shown.contains("renegotiation"), "{shown}");
    assert!(!shown.contains("verify return:1\nRENEGOTIATING\nverify"), "{shown}");
    let bridge = site.authority.client().bridge(balancer.address(), "localhost");
    assert_eq!(get(&bridge, "/").body, b"origin");
}

fn with_length(body: &[u8]) -> Vec<u8> {
    [format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len()).as_bytes(), body].concat()
}

#[test]
fn connections_end_with_a_goodbye() {
    let (site, origin) = (Site::new(), Origin::named("origin"));
    let balancer = site.balancer(&origin, &site.tls(), &json!({ "timeouts": { "idle": "100ms" } }));
    let bridge = site.authority.client().bridge(balancer.address(), "localhost");
    // Because the client wants it, and because nothing comes any more.
    assert_eq!(get(&bridge, "/").status, 200);
    eventually("a goodbye", || bridge.goodbyes() == 1);
    let mut kept = RawClient::connect(bridge.address());
    assert_eq!(kept.get("/").status, 200);
    eventually("another one", || bridge.goodbyes() == 2);
    // And because what it sent makes no sense.
    let refused = RawClient::connect(bridge.address()).exchange("GET\r\n\r\n");
    assert_eq!(refused.status, 400);
    eventually("a third one", || bridge.goodbyes() == 3);
    assert!(!bridge.errors().iter().any(|error| error.contains("cut")), "{:?}", bridge.errors());
}

#[test]
fn an_answer_that_is_cut_ends_without_a_goodbye() {
    let site = Site::new();
    let origin = Origin::start(|connection| {
        connection.read_request()?;
        connection.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf");
        Ok(())
    });
    let balancer = site.balancer(&origin, &site.tls(), &json!({}));
    let bridge = site.authority.client().bridge(balancer.address(), "localhost");
    for request in ["GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.0\r\n\r\n"] {
        let mut client = RawClient::connect(bridge.address());
        client.send(request).unwrap();
        assert!(client.read_answer("GET").is_err());
    }
    assert_eq!(bridge.goodbyes(), 0);
}
