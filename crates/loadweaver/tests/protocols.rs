//! Which versions of HTTP a listener takes, and what a connection of HTTP/2 may have.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use loadweaver_testkit::config::{merge, one_pool};
use loadweaver_testkit::eventually::PATIENCE;
use loadweaver_testkit::http2::raw::{PREFACE, flag, frame, kind};
use loadweaver_testkit::origin::reply;
use loadweaver_testkit::scratch::Scratch;
use loadweaver_testkit::tls::Authority;
use loadweaver_testkit::{Balancer, Http2Client, Origin, RawClient, RawHttp2, eventually};
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_loadweaver");

fn config(origin: &Origin, patch: &Value) -> Value {
    let mut config = one_pool(&[origin.address()], &json!({}));
    merge(&mut config, patch);
    config
}

fn listening(origin: &Origin, listener: &Value) -> Balancer {
    Balancer::start(BINARY, &config(origin, &json!({ "listeners": { "web": listener } })))
}

/// The files of a listener's TLS.
fn tls(authority: &Authority, files: &Scratch) -> Value {
    let signed = authority.sign(&["test"]);
    let (cert, key) = (files.file("cert.pem", &signed.cert), files.file("key.pem", &signed.key));
    json!({ "certificates": [{ "cert": cert, "key": key }] })
}

#[test]
fn a_listener_of_http_1_alone_tells_a_client_of_http_2_so_and_hangs_up() {
    let origin = Origin::named("served");
    let balancer = listening(&origin, &json!({ "protocols": ["http1"] }));
    let mut client = balancer.client();
    client.send(PREFACE).unwrap();
    let (told, _) = client.read_to_end();
    assert!(told.starts_with(b"HTTP/1.1 505 "), "{}", String::from_utf8_lossy(&told));
    assert_eq!(balancer.get("/").text(), "served");
}

#[test]
fn a_listener_of_http_2_alone_tells_a_client_of_http_1_so_and_hangs_up() {
    let origin = Origin::named("served");
    let balancer = listening(&origin, &json!({ "protocols": ["http2"] }));
    let mut client = balancer.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let (told, _) = client.read_to_end();
    let told = String::from_utf8(told).unwrap();
    assert!(told.starts_with("HTTP/1.1 505 ") && told.contains("unsupported_version"), "{told}");
    assert_eq!(told.matches("HTTP/1.1 ").count(), 1, "{told}");
    assert_eq!(Http2Client::connect(balancer.address()).get("/").text(), "served");
}

#[test]
fn over_tls_a_listener_offers_what_it_takes() {
    let (authority, files, origin) = (Authority::new("Test"), Scratch::new(), Origin::named("served"));
    let tls = tls(&authority, &files);
    for (listed, taken, other) in [("http1", "http/1.1", "h2"), ("http2", "h2", "http/1.1")] {
        let balancer = listening(&origin, &json!({ "tls": tls, "protocols": [listed] }));
        let bridge =
            |protocols: &[&str]| authority.client().speaking(protocols).bridge(balancer.address(), "test");
        let refused = bridge(&[other]);
        let mut client = RawClient::connect(refused.address());
        assert_eq!(client.read_to_end().0, b"");
        eventually("the handshake has failed", || !refused.errors().is_empty());
        assert!(refused.errors()[0].contains("NoApplicationProtocol"), "{:?}", refused.errors());
        // Both, and the one that is taken is agreed upon.
        let both = bridge(&["h2", "http/1.1"]).address();
        let told = match taken {
            "h2" => Http2Client::connect(both).get("/").text(),
            _ => RawClient::connect(both).get("/").text(),
        };
        assert_eq!(told, "served", "{listed}");
    }
    // Who names nothing speaks HTTP/1.1.
    let balancer = listening(&origin, &json!({ "tls": tls, "protocols": ["http2"] }));
    let bridge = authority.client().speaking(&[]).bridge(balancer.address(), "test");
    assert_eq!(RawClient::connect(bridge.address()).get("/").status, 505);
}

#[test]
fn over_tls_a_change_of_the_protocols_holds_for_new_connections_and_ends_the_others() {
    let (authority, files, origin) = (Authority::new("Test"), Scratch::new(), Origin::named("served"));
    let listener = |protocols: &Value| {
        let web = json!({ "tls": tls(&authority, &files), "protocols": protocols });
        config(&origin, &json!({ "listeners": { "web": web } }))
    };
    let balancer = Balancer::start(BINARY, &listener(&json!(["http1", "http2"])));
    let bridge = authority.client().speaking(&["h2"]).bridge(balancer.address(), "test");
    let old = Http2Client::connect(bridge.address());
    assert_eq!(old.get("/").text(), "served");
    balancer.reload(&listener(&json!(["http1"])));
    assert_eq!(RawClient::connect(bridge.address()).read_to_end().0, b"");
    old.expect_over();
}

/// Answers everything, and `/held` once it is let go.
fn holding(gate: &Arc<AtomicBool>) -> Origin {
    let gate = Arc::clone(gate);
    Origin::by_request(move |request| {
        if request.target == "/held" {
            eventually("it is let go", || gate.load(Ordering::SeqCst));
        }
        reply(200, "served")
    })
}

/// One request on a kept connection: the head of the answer; none where the connection was closed instead.
fn ask(client: &mut TcpStream) -> Option<String> {
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").ok()?;
    let (mut answer, mut piece) = (Vec::new(), [0; 1024]);
    while !answer.ends_with(b"\r\n\r\nserved") {
        let len = client.read(&mut piece).ok().filter(|len| *len > 0)?;
        answer.extend_from_slice(&piece[..len]);
    }
    Some(String::from_utf8(answer).unwrap().to_lowercase())
}

/// How long a connection may wait for its next request when it is to end: as long as one that is in use.
const SPARED: Duration = Duration::from_secs(1);

/// Asks on one connection after the other until one ends because it is to end, and holds that no request was lost.
fn use_until_it_ends(to: SocketAddr) {
    let mut client = TcpStream::connect(to).unwrap();
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        let since = Instant::now();
        match ask(&mut client) {
            Some(head) if head.contains("connection: close") => {
                assert!(head.starts_with("http/1.1 200 "), "{head}");
                return assert_eq!(client.read(&mut [0]).unwrap(), 0);
            }
            Some(head) => assert!(head.starts_with("http/1.1 200 "), "{head}"),
            // This thread had no time for so long.
            None => return assert!(since.elapsed() >= SPARED),
        }
    }
    panic!("it does not end");
}

#[test]
fn kept_connections_of_http_1_end_in_order_when_a_listener_is_for_http_2_alone() {
    let gate = Arc::<AtomicBool>::default();
    let origin = holding(&gate);
    let listener = |protocols: &Value| {
        config(&origin, &json!({ "workers": 2, "listeners": { "web": { "protocols": protocols } } }))
    };
    let balancer = Balancer::start(BINARY, &listener(&json!(["http1", "http2"])));
    let (mut idle, mut fresh, mut busy) = (balancer.client(), balancer.client(), balancer.client());
    assert_eq!(idle.get("/").text(), "served");
    let other = Http2Client::connect(balancer.address());
    assert_eq!(other.get("/").text(), "served");
    busy.send("GET /held HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    eventually("it has reached the server", || {
        origin.requests().iter().any(|request| request.target == "/held")
    });
    std::thread::scope(|scope| {
        let users = [(); 4].map(|()| scope.spawn(|| use_until_it_ends(balancer.address())));
        let asked = origin.requests().len();
        eventually("they are at it", || origin.requests().len() > asked + 40);
        balancer.reload(&listener(&json!(["http2"])));
        for user in users {
            user.join().unwrap();
        }
    });
    idle.expect_closed();
    gate.store(true, Ordering::SeqCst);
    let answer = busy.answer("GET");
    assert_eq!((answer.text().as_str(), answer.fields.get("connection")), ("served", Some("close")));
    busy.expect_closed();
    // One that has said nothing yet may be about to speak HTTP/2.
    fresh.send(PREFACE).unwrap();
    fresh.send(frame(kind::SETTINGS, 0, 0, &[])).unwrap();
    fresh.send(frame(kind::GOAWAY, 0, 0, &[0; 8])).unwrap();
    let (told, _) = fresh.read_to_end();
    assert_eq!(told[3], kind::SETTINGS, "{told:?}");
    assert_eq!(other.get("/").text(), "served");
}

#[test]
fn kept_connections_of_http_2_end_in_order_when_a_listener_is_for_http_1_alone() {
    let gate = Arc::<AtomicBool>::default();
    let origin = holding(&gate);
    let listener =
        |protocols: &Value| config(&origin, &json!({ "listeners": { "web": { "protocols": protocols } } }));
    let balancer = Balancer::start(BINARY, &listener(&json!(["http1", "http2"])));
    let (mut idle, mut busy) = (RawHttp2::connect(balancer.address()), RawHttp2::connect(balancer.address()));
    idle.get(1, "/").unwrap();
    idle.wait_for(kind::HEADERS);
    busy.get(1, "/held").unwrap();
    origin.wait_for_requests(2);
    let mut other = balancer.client();
    assert_eq!(other.get("/").text(), "served");
    balancer.reload(&listener(&json!(["http1"])));
    assert_eq!(busy.wait_for(kind::GOAWAY).payload[4..8], [0; 4], "NO_ERROR");
    assert_eq!(idle.goaway(), Some(0), "and it is closed");
    gate.store(true, Ordering::SeqCst);
    assert_eq!(busy.wait_for(kind::HEADERS).stream, 1);
    assert_eq!(busy.wait_for(kind::DATA).payload, b"served");
    assert_eq!(other.get("/").text(), "served");
}

/// What a new connection of HTTP/2 is told: the settings by their numbers, and what is added to its window.
fn greeting(balancer: &Balancer) -> (HashMap<u16, u32>, u32) {
    let mut raw = RawHttp2::connect(balancer.address());
    let settings = raw.wait_for(kind::SETTINGS);
    assert_eq!(settings.flags & flag::ACK, 0);
    let pairs = settings.payload.chunks(6).map(|pair| {
        let number = |range: std::ops::Range<usize>| {
            pair[range].iter().fold(0, |number, byte| number << 8 | u32::from(*byte))
        };
        (u16::try_from(number(0..2)).unwrap(), number(2..6))
    });
    let added = raw.wait_for(kind::WINDOW_UPDATE);
    assert_eq!(added.stream, 0);
    (pairs.collect(), u32::from_be_bytes(added.payload.try_into().unwrap()))
}

const MAX_CONCURRENT_STREAMS: u16 = 3;
const INITIAL_WINDOW_SIZE: u16 = 4;
/// The window that every connection begins with (RFC 9113 section 6.9.2).
const FIRST: u32 = 65_535;

#[test]
fn settings_are_those_of_the_configuration_and_a_change_holds_for_new_connections() {
    let origin = Origin::named("served");
    let balancer = Balancer::start(BINARY, &config(&origin, &json!({})));
    let (settings, added) = greeting(&balancer);
    assert_eq!((settings[&MAX_CONCURRENT_STREAMS], settings[&INITIAL_WINDOW_SIZE]), (128, FIRST));
    assert_eq!(added, 1024 * 1024 - FIRST);
    let old = Http2Client::connect(balancer.address());
    assert_eq!(old.get("/").text(), "served");
    let http2 = json!({ "maxConcurrentStreams": 7, "streamWindow": "16KiB", "connectionWindow": "2MiB" });
    balancer.reload(&config(&origin, &json!({ "limits": { "http2": http2 } })));
    let (settings, added) = greeting(&balancer);
    assert_eq!((settings[&MAX_CONCURRENT_STREAMS], settings[&INITIAL_WINDOW_SIZE]), (7, 16 * 1024));
    assert_eq!(added, 2 * 1024 * 1024 - FIRST);
    assert_eq!(old.get("/").text(), "served", "it goes on with what it was told");
}
