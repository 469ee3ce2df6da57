//! TLS with clients: certificates, versions, tickets, and what is done with clients that do not speak it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use loadweaver_testkit::config::{merge, one_pool};
use loadweaver_testkit::origin::{reply, reply_with};
use loadweaver_testkit::scratch::Scratch;
use loadweaver_testkit::tls::{Authority, Bridge, Signed};
use loadweaver_testkit::{Balancer, Origin, RawClient, eventually};
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_loadweaver");

static ONLY_12: [&rustls::SupportedProtocolVersion; 1] = [&rustls::version::TLS12];
static ONLY_13: [&rustls::SupportedProtocolVersion; 1] = [&rustls::version::TLS13];

/// Who signs, and where the files are.
struct Site {
    authority: Authority,
    scratch: Scratch,
}

impl Site {
    fn new() -> Self {
        Self { authority: Authority::new("Test Authority"), scratch: Scratch::new() }
    }

    /// Writes the files and says where they are.
    fn files(&self, name: &str, signed: &Signed) -> Value {
        let cert = self.scratch.file(&format!("{name}.pem"), &signed.cert);
        let key = self.scratch.file(&format!("{name}.key"), &signed.key);
        json!({ "cert": cert, "key": key })
    }

    /// One certificate for `localhost`.
    fn tls(&self) -> Value {
        json!({ "certificates": [self.files("site", &self.authority.sign(&["localhost"]))] })
    }

    /// One that speaks so.
    #[allow(clippy::unused_self)] // the files are there while the site is
    fn balancer(&self, origin: &Origin, tls: &Value, patch: &Value) -> Balancer {
        let mut config = one_pool(&[origin.address()], &json!({ "listeners": { "web": { "tls": tls } } }));
        merge(&mut config, patch);
        Balancer::start(BINARY, &config)
    }
}

fn get(bridge: &Bridge, path: &str) -> loadweaver_testkit::Answer {
    RawClient::connect(bridge.address())
        .exchange(format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"))
}

#[test]
fn both_versions_are_served_and_servers_hear_of_it() {
    let (site, origin) = (Site::new(), Origin::named("origin"));
    let balancer = site.balancer(&origin, &site.tls(), &json!({ "forwardedHeaders": "both" }));
    for versions in [&ONLY_12, &ONLY_13] {
        let bridge = site.authority.client().versions(versions).bridge(balancer.address(), "localhost");
        let mut client = RawClient::connect(bridge.address());
        for _ in 0..3 {
            assert_eq!(client.get("/").body, b"origin");
        }
        let requests = origin.requests();
        let fields = &requests.last().unwrap().fields;
        assert_eq!(fields.get("x-forwarded-proto"), Some("https"));
        assert!(fields.get("forwarded").unwrap().ends_with(";proto=https"), "{fields:?}");
        assert_eq!(bridge.errors(), [""; 0]);
        drop(client);
    }
    let told = json!({
        "handshakes": 2, "versions": { "TLSv1.2": 1, "TLSv1.3": 1 }, "resumed": 0, "failed": 0, "timedOut": 0,
        "crowdedOut": 0,
    });
    assert_eq!(balancer.status()["tls"], told);
    assert_eq!(balancer.operator().data("/api/metrics")["tls"], told);
}

#[test]
fn curl_and_openssl_agree_with_us_on_every_cipher() {
    let (site, origin) = (Site::new(), Origin::answering(reply(200, "x".repeat(100_000))));
    let rsa = site.files("rsa", &site.authority.sign_rsa(&["localhost"]));
    let ecdsa = site.files("ecdsa", &site.authority.sign(&["localhost"]));
    let balancer = site.balancer(&origin, &json!({ "certificates": [rsa, ecdsa] }), &json!({}));
    let ca = site.scratch.file("ca.pem", &site.authority.pem);
    let port = balancer.address().port();
    for (version, option, ciphers) in [
        (
            "1.3",
            "--tls13-ciphers",
            "TLS_AES_128_GCM_SHA256 TLS_AES_256_GCM_SHA384 TLS_CHACHA20_POLY1305_SHA256",
        ),
        (
            "1.2",
            "--ciphers",
            "ECDHE-ECDSA-AES128-GCM-SHA256 ECDHE-ECDSA-AES256-GCM-SHA384 ECDHE-ECDSA-CHACHA20-POLY1305 \
             ECDHE-RSA-AES128-GCM-SHA256 ECDHE-RSA-AES256-GCM-SHA384 ECDHE-RSA-CHACHA20-POLY1305",
        ),
    ] {
        for cipher in ciphers.split_whitespace() {
            let output = Command::new("curl")
                .args(["-sS", "--cacert", ca.to_str().unwrap(), option, cipher])
                .args([&format!("--tlsv{version}"), "--tls-max", version])
                .args(["--resolve", &format!("localhost:{port}:127.0.0.1")])
                // Two requests on one connection, one of them with a body.
                .args(["-d", &"y".repeat(50_000), &format!("https://localhost:{port}/a")])
                .args(["--next", "-sS", "--cacert", ca.to_str().unwrap()])
                .args(["--resolve", &format!("localhost:{port}:127.0.0.1")])
                .args([&format!("https://localhost:{port}/b")])
                .output()
                .unwrap();
            assert!(output.status.success(), "{cipher}: {}", String::from_utf8_lossy(&output.stderr));
            assert_eq!(output.stdout.len(), 200_000, "{cipher}");
        }
    }
}

#[test]
fn a_client_is_shown_the_certificate_for_the_name_that_it_asks_for() {
    let (site, origin) = (Site::new(), Origin::named("origin"));
    let first = site.authority.sign(&["first.test", "localhost"]);
    let wild = site.authority.sign(&["*.wild.test"]);
    let exact = site.authority.sign(&["exact.wild.test"]);
    let files = [site.files("first", &first), site.files("wild", &wild), site.files("exact", &exact)];
    let balancer = site.balancer(&origin, &json!({ "certificates": files }), &json!({}));
    for (name, expected) in [
        ("first.test", Some(&first)),
        ("FIRST.test", Some(&first)),
        ("a.wild.test", Some(&wild)),
        ("exact.wild.test", Some(&exact)),
        // A star is for one label, and nobody has these: they get the first, which is not theirs.
        ("a.b.wild.test", None),
        ("wild.test", None),
        ("other.test", None),
    ] {
        let bridge = site.authority.client().bridge(balancer.address(), name);
        if let Some(expected) = expected {
            assert_eq!(get(&bridge, "/").status, 200, "{name}");
            assert_eq!(bridge.certificates(), [der(expected)], "{name}");
        } else {
            let _ = RawClient::connect(bridge.address()).read_answer("GET");
            eventually("the client refuses it", || {
                bridge.errors().iter().any(|error| error.contains("not valid for name"))
            });
        }
    }
    let shown = s_client(&balancer, &["-noservername"], "");
    assert!(shown.contains("first.test") || shown.contains("Certificate chain"), "{shown}");
}

fn der(signed: &Signed) -> Vec<u8> {
    use rustls::pki_types::pem::PemObject;
    rustls::pki_types::CertificateDer::from_pem_slice(signed.cert.as_bytes()).unwrap().to_vec()
}

/// What `openssl s_client` says.
fn s_client(balancer: &Balancer, arguments: &[&str], input: &str) -> String {
    let mut child = Command::new("openssl")
        .args(["s_client", "-connect", &balancer.address().to_string()])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn of_an_ecdsa_and_an_rsa_certificate_a_client_gets_the_one_that_it_can_verify() {
    let (site, origin) = (Site::new(), Origin::named("origin"));
    let rsa = site.files("rsa", &site.authority.sign_rsa(&["localhost"]));
    let ecdsa = site.files("ecdsa", &site.authority.sign(&["localhost"]));
    let balancer = site.balancer(&origin, &json!({ "certificates": [rsa, ecdsa] }), &json!({}));
    for (arguments, expected) in [
        (&["-tls1_3"][..], "id-ecPublicKey"),
        (&["-tls1_3", "-sigalgs", "RSA-PSS+SHA256"], "rsaEncryption"),
        (&["-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256"], "rsaEncryption"),
        (&["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"], "id-ecPublicKey"),
    ] {
        let all = [&["-servername", "localhost"], arguments].concat();
        let shown = s_client(&balancer, &all, "");
        let chain = shown.lines().find(|line| line.contains("a:PKEY")).unwrap_or_default();
        assert!(chain.contains(expected), "{arguments:?}: {shown}");
    }
}

#[test]
fn earlier_connections_are_taken_up_on_every_worker_and_after_a_reload() {
    let (site, origin) = (Site::new(), Origin::named("origin"));
    let tls = site.tls();
    let balancer = site.balancer(&origin, &tls, &json!({ "workers": 2 }));
    for versions in [&ONLY_12, &ONLY_13] {
        let bridge = site.authority.client().versions(versions).bridge(balancer.address(), "localhost");
        for _ in 0..12 {
            assert_eq!(get(&bridge, "/").body, b"origin");
        }
        eventually("all but the first are taken up", || bridge.resumed() == 11);
        let mut next = one_pool(&[origin.address()], &json!({ "workers": 2, "via": "lw" }));
        merge(&mut next, &json!({ "listeners": { "web": { "tls": tls } } }));
        if versions == &ONLY_13 {
            merge(&mut next, &json!({ "via": "other" }));
        }
        balancer.reload(&next);
        assert_eq!(get(&bridge, "/").body, b"origin");
        eventually("a reload changes nothing about it", || bridge.resumed() == 12);
    }
}

#[test]
fn a_ticket_is_not_good_for_more_than_it_was_given_out_for() {
    let (site, origin) = (Site::new(), Origin::named("origin"));
    let (tls, ca) = (site.tls(), site.scratch.file("ca.pem", &site.authority.pem));
    let balancer = site.balancer(&origin, &tls, &json!({}));
    let bridge = site.authority.client().bridge(balancer.address(), "localhost");
    assert_eq!(get(&bridge, "/").body, b"origin");
    // Now certificates are asked for: whoever has a ticket has never shown one.
    let mut next = one_pool(&[origin.address()], &json!({ "listeners": { "web": { "tls": tls } } }));
    let clients = json!({ "clientCertificates": { "mode": "required", "caFile": ca } });
    merge(&mut next["listeners"]["web"]["tls"], &clients);
    balancer.reload(&next);
    let answer = RawClient::connect(bridge.address()).read_answer("GET");
    assert!(answer.is_err(), "{answer:?}");
    eventually("it is asked anew", || {
        bridge.errors().iter().any(|error| error.contains("CertificateRequired"))
    });
    assert_eq!(bridge.resumed(), 0);
}

#[test]
fn clients_prove_who_they_are_and_cannot_say_so_themselves() {
    let (site, origin) = (Site::new(), Origin::named("origin"));
    let ca = site.scratch.file("clients.pem", &site.authority.pem);
    let forged = "GET / HTTP/1.1\r\nHost: test\r\nX-Client-Verified: SUCCESS\r\nX_Client_Cert_Subject: CN=root\r\n\
         X-Client-Cert-Fingerprint: 00\r\nConnection: close\r\n\r\n";
    let told = |name: &str| origin.requests().last().unwrap().fields.get(name).map(str::to_owned);
    for mode in ["off", "optional", "required"] {
        let mut tls = site.tls();
        merge(&mut tls, &json!({ "clientCertificates": { "mode": mode, "caFile": ca } }));
        // Not even a trusted proxy can.
        let balancer = site.balancer(&origin, &tls, &json!({ "trustedProxies": ["127.0.0.0/8"] }));
        let plain = site.authority.client();
        let known = plain.clone().identity(&site.authority.sign_client("ops"));
        let stranger = Authority::new("Somebody else").sign_client("ops");
        for versions in [&ONLY_12, &ONLY_13] {
            for (client, is_known) in [(plain.clone(), false), (known.clone(), true)] {
                let bridge = client.versions(versions).bridge(balancer.address(), "localhost");
                if mode == "required" && !is_known {
                    assert!(RawClient::connect(bridge.address()).read_answer("GET").is_err());
                    continue;
                }
                // The second one takes the first one up, and is the same client still.
                for _ in 0..2 {
                    assert_eq!(RawClient::connect(bridge.address()).exchange(forged).status, 200);
                    match (mode, is_known) {
                        ("off", _) => assert_eq!(told("x-client-verified"), None),
                        (_, false) => assert_eq!(told("x-client-verified").unwrap(), "NONE"),
                        (_, true) => {
                            assert_eq!(told("x-client-verified").unwrap(), "SUCCESS");
                            assert_eq!(told("x-client-cert-subject").unwrap(), "CN=ops,O=Example\\, Inc.");
                            assert_eq!(told("x-client-cert-fingerprint").unwrap().len(), 64);
                        }
                    }
                    assert_eq!(told("x_client_cert_subject"), None);
                    if mode == "off" || !is_known {
                        assert_eq!(
                            (told("x-client-cert-subject"), told("x-client-cert-fingerprint")),
                            (None, None)
                        );
                    }
                }
            }
            if mode != "off" {
                let bridge = plain
                    .clone()
                    .identity(&stranger)
                    .versions(versions)
                    .bridge(balancer.address(), "localhost");
                assert!(RawClient::connect(bridge.address()).read_answer("GET").is_err(), "{mode}");
            }
        }
    }
}

#[test]
fn clients_without_tls_are_sent_to_where_it_is_spoken() {
    let (site, origin) = (
        Site::new(),
        Origin::answering(reply_with(200, &["strict-transport-security: max-age=1"], "origin")),
    );
    let patch = json!({
        "trustedProxies": ["127.0.0.2/32"],
        "listeners": {
            "web": { "tls": null, "redirectHttps": true, "hsts": {} },
            "other": { "bind": "127.0.0.1:0", "redirectHttps": { "port": 8443, "status": 307 } },
            "secure": { "bind": "127.0.0.1:0", "tls": site.tls(), "hsts": { "maxAge": "1d", "includeSubdomains": true } }
        }
    });
    let balancer = site.balancer(&origin, &json!({}), &patch);
    for (listener, request, status, location) in [
        ("web", "GET /a/b?c=%20 HTTP/1.1\r\nHost: a.test:8080\r\n\r\n", 308, "https://a.test/a/b?c=%20"),
        ("web", "GET http://b.test/x HTTP/1.1\r\nHost: b.test\r\n\r\n", 308, "https://b.test/x"),
        ("web", "GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", 308, "https://[::1]/"),
        ("web", "OPTIONS * HTTP/1.1\r\nHost: a.test\r\n\r\n", 308, "https://a.test/"),
        ("web", "GET / HTTP/1.1\r\nHost: a.test\r\nX-Forwarded-Proto: https\r\n\r\n", 308, "https://a.test/"),
        (
            "other",
            "POST /p HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\n\r\nabc",
            307,
            "https://a.test:8443/p",
        ),
        ("web", "GET /.well-known/acme-challenge/x HTTP/1.1\r\nHost: a.test\r\n\r\n", 200, ""),
        ("web", "GET / HTTP/1.0\r\n\r\n", 400, ""),
    ] {
        let answer = RawClient::connect(balancer.listener(listener).unwrap()).exchange(request);
        assert_eq!(
            (answer.status, answer.fields.get("location").unwrap_or_default()),
            (status, location),
            "{request}"
        );
        let hsts = answer.fields.get("strict-transport-security");
        assert_eq!(hsts, (status == 200).then_some("max-age=1"), "{request}");
    }
    assert_eq!(origin.requests().len(), 1);
    let bridge = site.authority.client().bridge(balancer.listener("secure").unwrap(), "localhost");
    let (answer, failed) = (
        get(&bridge, "/"),
        RawClient::connect(bridge.address()).exchange("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n"),
    );
    for answer in [answer, failed] {
        let all: Vec<_> = answer.fields.all("strict-transport-security");
        assert_eq!(all, ["max-age=86400; includeSubDomains"], "{answer:?}");
    }
}

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

#[test]
fn what_is_wrong_with_the_files_is_said_before_anything_runs() {
    let site = Site::new();
    let (good, other) = (site.authority.sign(&["localhost"]), site.authority.sign(&["localhost"]));
    let file = |name: &str, text: &str| site.scratch.file(name, text).display().to_string();
    let (cert, key) = (file("good.pem", &good.cert), file("good.key", &good.key));
    let run = |arguments: &[&str], input: &str| {
        let output = Command::new("openssl").args(arguments).arg("-in").arg(input).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        output.stdout
    };
    let encrypted = run(&["pkey", "-aes256", "-passout", "pass:secret"], &key);
    let der = site.scratch.file("good.der", run(&["x509", "-outform", "der"], &cert)).display().to_string();
    let old = file("old.pem", &site.authority.sign_for_days(&["localhost"], -3).cert);
    for (cert, key, at, problem) in [
        (cert.as_str(), file("other.key", &other.key), "key", "does not belong to the certificate"),
        (&cert, file("encrypted.key", &String::from_utf8(encrypted).unwrap()), "key", "is encrypted"),
        (&cert, file("empty.key", ""), "key", "is empty"),
        (&cert, cert.clone(), "key", "holds certificates and no private key"),
        (&cert, "/nowhere/at/all.key".to_owned(), "key", "there is no file"),
        (&key, key.clone(), "cert", "holds a private key and no certificate"),
        (&der, key.clone(), "cert", "is a binary certificate (DER)"),
        (&file("text.pem", "hello"), key.clone(), "cert", "holds no certificate"),
        ("/tmp", key.clone(), "cert", "is a directory"),
    ] {
        let tls = json!({ "certificates": [{ "cert": cert, "key": key }] });
        let mut config = one_pool(&["127.0.0.1:1".parse().unwrap()], &json!({}));
        merge(&mut config, &json!({ "listeners": { "web": { "tls": tls } } }));
        let path = site.scratch.file("config.json", config.to_string());
        for command in [&["check"][..], &["run", "--config"]] {
            let output = Command::new(BINARY).args(command).arg(&path).output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(2), "{command:?} {said}");
            assert!(said.contains(&format!("at /listeners/web/tls/certificates/0/{at}")), "{said}");
            assert!(said.contains(problem), "{said}");
            assert!(!said.contains("PRIVATE KEY-----\n"), "{said}");
        }
    }
    // Allowed, and not meant.
    let _ = Command::new("chmod").args(["644", &key]).status();
    let expired_key = old.replace("old.pem", "old.key");
    let expired = site.authority.sign_for_days(&["localhost"], -3);
    std::fs::write(&old, &expired.cert).unwrap();
    std::fs::write(&expired_key, &expired.key).unwrap();
    let tls = json!({ "certificates": [{ "cert": cert, "key": key }, { "cert": old, "key": expired_key }] });
    let mut config = one_pool(&["127.0.0.1:1".parse().unwrap()], &json!({}));
    merge(&mut config, &json!({ "listeners": { "web": { "tls": tls } } }));
    let path = site.scratch.file("config.json", config.to_string());
    let output = Command::new(BINARY).arg("check").arg(&path).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("can be read by every user") && said.contains("expired 3 days ago"), "{said}");
}

#[test]
fn a_key_may_be_written_in_each_of_the_three_ways() {
    let (site, origin) = (Site::new(), Origin::named("origin"));
    for (kind, signed) in
        [("ec", site.authority.sign(&["localhost"])), ("rsa", site.authority.sign_rsa(&["localhost"]))]
    {
        let files = site.files(kind, &signed);
        let traditional = format!("{}.traditional", files["key"].as_str().unwrap());
        let status = Command::new("openssl")
            .args([kind, "-traditional", "-in", files["key"].as_str().unwrap(), "-out", &traditional])
            .stderr(Stdio::null())
            .status()
            .unwrap();
        if !status.success() {
            let status = Command::new("openssl")
                .args([kind, "-in", files["key"].as_str().unwrap(), "-out", &traditional])
                .stderr(Stdio::null())
                .status();
            assert!(status.unwrap().success());
        }
        let text = std::fs::read_to_string(&traditional).unwrap();
        assert!(text.contains("BEGIN EC PRIVATE KEY") || text.contains("BEGIN RSA PRIVATE KEY"), "{text}");
        let tls = json!({ "certificates": [{ "cert": files["cert"], "key": traditional }] });
        let balancer = site.balancer(&origin, &tls, &json!({}));
        let bridge = site.authority.client().bridge(balancer.address(), "localhost");
        assert_eq!(get(&bridge, "/").body, b"origin", "{kind}");
    }
}
