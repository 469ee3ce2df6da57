//! Which versions of HTTP a listener takes, and what a connection of HTTP/2 may have.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::HashMap;

use loadweaver_testkit::config::{merge, one_pool};
use loadweaver_testkit::http2::raw::{PREFACE, flag, kind};
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
fn a_change_of_the_protocols_holds_for_new_connections() {
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
    assert_eq!(old.get("/").text(), "served", "it goes on as it has begun");
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
