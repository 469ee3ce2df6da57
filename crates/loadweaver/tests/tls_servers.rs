//! TLS with servers: who is believed, what is kept, and what a cut is worth.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use loadweaver_testkit::config::{merge, one_pool, one_pool_with};
use loadweaver_testkit::origin::reply;
use loadweaver_testkit::scratch::Scratch;
use loadweaver_testkit::tls::{Authority, Bridge, Signed, TlsOrigin};
use loadweaver_testkit::{Balancer, Http2Origin, Origin, eventually};
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_loadweaver");

static ONLY_12: [&rustls::SupportedProtocolVersion; 1] = [&rustls::version::TLS12];

/// Who signs, and where the files are.
struct Site {
    authority: Authority,
    scratch: Scratch,
    ca: String,
}

impl Site {
    fn new() -> Self {
        let (authority, scratch) = (Authority::new("Test Authority"), Scratch::new());
        let ca = scratch.file("ca.pem", &authority.pem).display().to_string();
        Self { authority, scratch, ca }
    }

    fn files(&self, name: &str, signed: &Signed) -> (String, String) {
        let cert = self.scratch.file(&format!("{name}.pem"), &signed.cert);
        let key = self.scratch.file(&format!("{name}.key"), &signed.key);
        (cert.display().to_string(), key.display().to_string())
    }
}

fn origin_with(signed: &Signed) -> TlsOrigin<'_> {
    TlsOrigin { signed, clients: None, versions: rustls::ALL_VERSIONS, protocols: &[] }
}

fn balancer(bridge: &Bridge, tls: &Value) -> Balancer {
    Balancer::start(
        BINARY,
        &one_pool_with(&[bridge.address()], &json!({ "tls": tls, "retry": { "attempts": 1 } })),
    )
}

#[test]
fn a_server_is_believed_when_its_certificate_is_good() {
    let site = Site::new();
    let origin = Origin::named("origin");
    let named = site.authority.sign(&["app.internal"]);
    let address = site.authority.sign(&["127.0.0.1"]);
    let old = site.authority.sign_for_days(&["127.0.0.1"], -2);
    let stranger = Authority::new("Somebody else").sign(&["127.0.0.1"]);
    for (signed, tls, failure) in [
        (&named, json!({ "caFile": site.ca, "serverName": "app.internal" }), None),
        (&address, json!({ "caFile": site.ca }), None),
        (&named, json!({ "caFile": site.ca }), Some("tls_certificate_refused")),
        (
            &named,
            json!({ "caFile": site.ca, "serverName": "other.internal" }),
            Some("tls_certificate_refused"),
        ),
        (&old, json!({ "caFile": site.ca }), Some("tls_certificate_refused")),
        (&stranger, json!({ "caFile": site.ca }), Some("tls_certificate_refused")),
        // Nobody whom the system trusts has signed it.
        (&address, json!({}), Some("tls_certificate_refused")),
        (&stranger, json!({ "verify": false }), None),
    ] {
        for versions in [rustls::ALL_VERSIONS, &ONLY_12] {
            let bridge = TlsOrigin { versions, ..origin_with(signed) }.bridge(origin.address());
            let balancer = balancer(&bridge, &tls);
            let answer = balancer.get("/");
            assert_eq!(answer.failure(), failure, "{tls}");
            assert_eq!(answer.status, if failure.is_some() { 502 } else { 200 }, "{tls}");
            if failure.is_none() {
                let asked = tls["serverName"].as_str().map(str::to_owned);
                assert_eq!(bridge.names(), [asked], "an address is not asked for");
            }
            if tls["verify"] == false {
                balancer.wait_for_log("prove nothing");
                assert_eq!(balancer.status()["pools"][0]["tls"], "not_verified");
            }
        }
    }
}

#[test]
fn a_server_without_tls_or_with_an_old_version_is_told_by_its_name() {
    let site = Site::new();
    let origin = Origin::named("origin");
    let signed = site.authority.sign(&["127.0.0.1"]);
    let old = TlsOrigin { versions: &ONLY_12, ..origin_with(&signed) }.bridge(origin.address());
    let refused = balancer(&old, &json!({ "caFile": site.ca, "minVersion": "1.3" })).get("/");
    assert_eq!((refused.status, refused.failure()), (502, Some("tls_handshake_failed")));
    let pool = json!({ "tls": { "caFile": site.ca }, "retry": { "attempts": 1 } });
    let plain = Balancer::start(BINARY, &one_pool_with(&[origin.address()], &pool)).get("/");
    assert_eq!((plain.status, plain.failure()), (502, Some("tls_handshake_failed")));
    let silent = Origin::start(loadweaver_testkit::OriginConnection::hang);
    let pool = json!({ "tls": { "caFile": site.ca }, "retry": { "attempts": 1 }, "timeouts": { "connect": "100ms" } });
    let late = Balancer::start(BINARY, &one_pool_with(&[silent.address()], &pool)).get("/");
    assert_eq!((late.status, late.failure()), (504, Some("connect_timeout")));
}

#[test]
fn what_no_server_has_seen_is_tried_at_another_one() {
    let site = Site::new();
    let origin = Origin::named("origin");
    let (good, bad) = (site.authority.sign(&["127.0.0.1"]), Authority::new("Other").sign(&["127.0.0.1"]));
    let (good, bad) =
        (origin_with(&good).bridge(origin.address()), origin_with(&bad).bridge(origin.address()));
    let config = one_pool_with(&[bad.address(), good.address()], &json!({ "tls": { "caFile": site.ca } }));
    let balancer = Balancer::start(BINARY, &config);
    // As many as a budget without a history allows.
    for _ in 0..3 {
        let request = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
        let answer = balancer.client().exchange(request);
        assert_eq!(answer.body, b"origin", "{answer:?}");
    }
}

#[test]
fn we_prove_ourselves_where_a_server_asks() {
    let site = Site::new();
    let origin = Origin::named("origin");
    let signed = site.authority.sign(&["127.0.0.1"]);
    let (cert, key) = site.files("client", &site.authority.sign_client("loadweaver"));
    for versions in [rustls::ALL_VERSIONS, &ONLY_12] {
        let asking = TlsOrigin { clients: Some(&site.authority), versions, ..origin_with(&signed) };
        let bridge = asking.bridge(origin.address());
        let proven = balancer(&bridge, &json!({ "caFile": site.ca, "cert": cert, "key": key }));
        assert_eq!(proven.get("/").body, b"origin");
        assert_eq!(bridge.certificates().len(), 1);
        assert_eq!(balancer(&bridge, &json!({ "caFile": site.ca })).get("/").status, 502);
    }
}

#[test]
fn connections_are_kept_and_closed_ones_are_taken_up_again() {
    let site = Site::new();
    let signed = site.authority.sign(&["127.0.0.1"]);
    let origin = Origin::by_request(|request| {
        let close = if request.target == "/close" { "connection: close\r\n" } else { "" };
        format!("HTTP/1.1 200 OK\r\n{close}content-length: 2\r\n\r\nok").into_bytes()
    });
    for versions in [rustls::ALL_VERSIONS, &ONLY_12] {
        let bridge = TlsOrigin { versions, ..origin_with(&signed) }.bridge(origin.address());
        let balancer = balancer(&bridge, &json!({ "caFile": site.ca }));
        // Tickets of TLS 1.3 come behind the handshake, onto a connection that may be idle by then.
        for _ in 0..5 {
            assert_eq!(balancer.get("/").status, 200);
            let request = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
            assert_eq!(balancer.client().exchange(request).status, 200);
        }
        assert_eq!((bridge.handshakes(), bridge.resumed()), (1, 0));
        for _ in 0..5 {
            assert_eq!(balancer.get("/close").status, 200);
        }
        assert_eq!((bridge.handshakes(), bridge.resumed()), (5, 4));
    }
}

#[test]
fn what_was_secured_in_another_way_is_not_used_again() {
    let site = Site::new();
    let origin = Origin::named("origin");
    let signed = site.authority.sign(&["127.0.0.1", "a.internal", "b.internal"]);
    let bridge = origin_with(&signed).bridge(origin.address());
    let tls = |name: &str| json!({ "caFile": site.ca, "serverName": name });
    let pools = json!({
        "routes": [{ "match": { "path": "/a" }, "pool": "app" }, { "pool": "b" }],
        "pools": {
            "app": { "tls": tls("a.internal") },
            "b": { "tls": tls("b.internal"), "healthCheck": { "type": "off" },
                "servers": [{ "host": "127.0.0.1", "port": bridge.address().port() }] }
        }
    });
    let mut config = one_pool(&[bridge.address()], &pools);
    let balancer = Balancer::start(BINARY, &config);
    for _ in 0..3 {
        assert_eq!((balancer.get("/a").status, balancer.get("/b").status), (200, 200));
    }
    let name = |name: &str| Some(name.to_owned());
    assert_eq!(bridge.names(), [name("a.internal"), name("b.internal")]);
    // A change that has nothing to do with it keeps the connection; one of the name does not.
    merge(&mut config, &json!({ "pools": { "app": { "algorithm": "random" } } }));
    balancer.reload(&config);
    assert_eq!(balancer.get("/a").status, 200);
    assert_eq!(bridge.handshakes(), 2);
    merge(&mut config, &json!({ "pools": { "app": { "tls": tls("b.internal") } } }));
    balancer.reload(&config);
    assert_eq!(balancer.get("/a").status, 200);
    assert_eq!(bridge.names()[2..], [name("b.internal")]);
}

#[test]
fn files_that_were_replaced_are_taken_up_on_sighup() {
    let site = Site::new();
    let origin = Origin::named("origin");
    let other = Authority::new("Other");
    let signed = other.sign(&["127.0.0.1"]);
    let bridge = origin_with(&signed).bridge(origin.address());
    let balancer = balancer(&bridge, &json!({ "caFile": site.ca }));
    assert_eq!(balancer.get("/").status, 502);
    std::fs::write(&site.ca, &other.pem).unwrap();
    balancer.signal(rustix::process::Signal::HUP);
    eventually("the new signers are believed", || balancer.get("/").status == 200);
}

#[test]
fn probes_use_what_requests_use() {
    let site = Site::new();
    let origin = Origin::answering(reply(200, "well"));
    let (good, bad) =
        (site.authority.sign(&["app.internal"]), Authority::new("Other").sign(&["app.internal"]));
    for (signed, state) in [(&good, "up"), (&bad, "down")] {
        let bridge = origin_with(signed).bridge(origin.address());
        let check = json!({ "type": "http", "path": "/health", "interval": "50ms", "rise": 1, "fall": 1 });
        let tls = json!({ "caFile": site.ca, "serverName": "app.internal" });
        let pool = json!({ "healthCheck": check, "tls": tls });
        let balancer = Balancer::start(BINARY, &one_pool_with(&[bridge.address()], &pool));
        balancer.wait_for_status(state, |status| status["pools"][0]["servers"][0]["state"] == state);
    }
}

#[test]
fn probes_speak_what_tls_agrees_on() {
    let site = Site::new();
    let signed = site.authority.sign(&["127.0.0.1"]);
    let (http1, http2) = (Origin::answering(reply(200, "well")), Http2Origin::echoing());
    let origins = [
        (http1.address(), &["http/1.1"][..]),
        (http1.address(), &[]),
        (http2.address(), &["h2"]),
        (http2.address(), &["h2", "http/1.1"]),
    ];
    for (origin, protocols) in origins {
        let bridge = TlsOrigin { protocols, ..origin_with(&signed) }.bridge(origin);
        let check = json!({ "type": "http", "interval": "50ms", "rise": 1, "fall": 1, "startDown": true });
        let pool = json!({ "healthCheck": check, "tls": { "caFile": site.ca } });
        let balancer = Balancer::start(BINARY, &one_pool_with(&[bridge.address()], &pool));
        balancer.wait_for_status("up", |status| status["pools"][0]["servers"][0]["state"] == "up");
    }
}

#[test]
fn an_answer_without_a_length_is_whole_only_with_a_goodbye() {
    let site = Site::new();
    let signed = site.authority.sign(&["127.0.0.1"]);
    let (go, wait) = std::sync::mpsc::channel();
    let wait = std::sync::Mutex::new(wait);
    let origin = Origin::start(move |connection| {
        let request = connection.read_request()?;
        connection.write("HTTP/1.1 200 OK\r\n\r\nall of it");
        if request.target == "/cut" {
            let _ = wait.lock().unwrap().recv();
            // The bridge passes it on as an end without a goodbye.
            return connection.reset();
        }
        Ok(())
    });
    let bridge = origin_with(&signed).bridge(origin.address());
    let balancer = balancer(&bridge, &json!({ "caFile": site.ca }));
    assert_eq!(balancer.get("/whole").body, b"all of it");
    let mut client = balancer.client();
    client.send("GET /cut HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    assert_eq!(client.read_answer_head("GET").unwrap().status, 200);
    go.send(()).unwrap();
    let (rest, _) = client.read_to_end();
    assert!(!rest.ends_with(b"0\r\n\r\n"), "{rest:?}");
    eventually("it is counted", || balancer.status()["failures"]["response_cut"] == 1);
}

#[test]
fn bodies_come_through_whole_both_ways() {
    let site = Site::new();
    let signed = site.authority.sign(&["127.0.0.1"]);
    let big: Vec<u8> = (0..3_000_000_u32).map(|n| u8::try_from(n % 251).unwrap()).collect();
    let origin = Origin::by_request(|request| {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", request.body.len());
        [head.as_bytes(), &request.body].concat()
    });
    for versions in [rustls::ALL_VERSIONS, &ONLY_12] {
        let bridge = TlsOrigin { versions, ..origin_with(&signed) }.bridge(origin.address());
        let balancer = balancer(&bridge, &json!({ "caFile": site.ca }));
        let mut client = balancer.client();
        for _ in 0..2 {
            let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", big.len());
            assert_eq!(client.exchange([head.as_bytes(), &big].concat()).body, big);
        }
        let mut chunked = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        for piece in big.chunks(40_000) {
            chunked.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
            chunked.extend_from_slice(piece);
            chunked.extend_from_slice(b"\r\n");
        }
        chunked.extend_from_slice(b"0\r\n\r\n");
        assert_eq!(client.exchange(chunked).body, big);
    }
}

#[test]
fn tunnels_go_over_tls_on_both_sides() {
    let site = Site::new();
    let signed = site.authority.sign(&["127.0.0.1", "localhost"]);
    let origin = Origin::start(|connection| {
        connection.read_request()?;
        connection.write("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n");
        let mut socket = connection.socket().try_clone().unwrap();
        let mut other = socket.try_clone().unwrap();
        let _ = std::io::copy(&mut socket, &mut other);
        Ok(())
    });
    let bridge = origin_with(&signed).bridge(origin.address());
    let (cert, key) = site.files("site", &signed);
    let mut config = one_pool_with(&[bridge.address()], &json!({ "tls": { "caFile": site.ca } }));
    let tls = json!({ "certificates": [{ "cert": cert, "key": key }] });
    merge(&mut config, &json!({ "listeners": { "web": { "tls": tls } } }));
    let balancer = Balancer::start(BINARY, &config);
    let front = site.authority.client().bridge(balancer.address(), "localhost");
    let mut client = loadweaver_testkit::RawClient::connect(front.address());
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n").unwrap();
    assert_eq!(client.read_answer_head("GET").unwrap().status, 101);
    for word in ["hello", "again"] {
        client.send(word).unwrap();
        assert_eq!(client.read_exact(word.len()).unwrap(), word.as_bytes());
    }
    client.half_close();
    client.expect_closed();
}
