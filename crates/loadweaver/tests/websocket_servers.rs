//! WebSockets to servers that agree on HTTP/2 and have none there.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::net::SocketAddr;

use loadweaver_testkit::config::{merge, one_pool_with};
use loadweaver_testkit::pair::{AnyOrigin, Wire, socket};
use loadweaver_testkit::peer::nginx_command;
use loadweaver_testkit::scratch::Scratch;
use loadweaver_testkit::tls::{Authority, TlsOrigin};
use loadweaver_testkit::{Balancer, Http2Origin, Peer};
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_loadweaver");

/// nginx, which speaks HTTP/2 over TLS and passes WebSockets on, but takes them over HTTP/1.1 alone.
fn nginx(origin: SocketAddr, authority: &Authority) -> Peer {
    let signed = authority.sign(&["test"]);
    Peer::start(|port, scratch| {
        let (cert, key) = (scratch.file("cert.pem", &signed.cert), scratch.file("key.pem", &signed.key));
        let server = format!(
            "listen 127.0.0.1:{port} ssl http2; ssl_certificate {}; ssl_certificate_key {};\n\
             location = /spoken {{ return 200 $server_protocol; }}\n\
             location = /refused {{ return 403; }}\n\
             location / {{ proxy_pass http://{origin}; proxy_http_version 1.1; proxy_buffering off;\n\
             proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade; }}",
            cert.display(),
            key.display()
        );
        nginx_command(scratch, &server)
    })
}

/// One worker, so that each knows what the others have found out.
fn balancer(server: SocketAddr, pool: &Value) -> Balancer {
    let mut config = one_pool_with(&[server], pool);
    merge(&mut config, &json!({ "workers": 1 }));
    Balancer::start(BINARY, &config)
}

fn connects(balancer: &Balancer) -> u64 {
    balancer.status()["pools"][0]["servers"][0]["connects"].as_u64().unwrap()
}

fn talk(balancer: &Balancer, wire: Wire) {
    let mut socket = socket::open(wire, balancer.address(), "/socket").unwrap();
    socket.send(b"through");
    assert_eq!(socket.read(7).unwrap(), b"through", "{wire:?}");
}

#[test]
fn a_websocket_goes_over_http_1_where_a_server_of_http_2_has_none_there() {
    let (authority, files) = (Authority::new("nginx"), Scratch::new());
    let ca = files.file("ca.pem", &authority.pem);
    let origin = AnyOrigin::start(Wire::Http1);
    let server = nginx(origin.address(), &authority);
    let tls = json!({ "caFile": ca, "serverName": "test" });
    let balancer = balancer(server.address(), &json!({ "tls": tls, "healthCheck": { "type": "off" } }));
    assert_eq!(balancer.get("/spoken").text(), "HTTP/2.0");
    assert_eq!(connects(&balancer), 1);
    for wire in [Wire::Http1, Wire::Http2, Wire::Http1] {
        talk(&balancer, wire);
    }
    // One connection for each, and none to ask again.
    assert_eq!(connects(&balancer), 4);
    // What was opened for a WebSocket serves nothing else, even where there was none.
    let told = socket::open(Wire::Http1, balancer.address(), "/refused").unwrap_err();
    assert_eq!(told.status, 403);
    assert_eq!(balancer.get("/spoken").text(), "HTTP/2.0");
    assert_eq!(connects(&balancer), 5);
}

#[test]
fn a_server_that_agrees_on_nothing_but_http_2_is_asked_for_http_1_once() {
    let (authority, files) = (Authority::new("strict"), Scratch::new());
    let ca = files.file("ca.pem", &authority.pem);
    let signed = authority.sign(&["127.0.0.1"]);
    let origin = Http2Origin::echoing();
    let tls =
        TlsOrigin { signed: &signed, clients: None, versions: rustls::ALL_VERSIONS, protocols: &["h2"] };
    let bridge = tls.bridge(origin.address());
    let pool = json!({
        "tls": { "caFile": ca }, "retry": { "attempts": 1 }, "passiveHealth": { "failures": 1 },
        "healthCheck": { "type": "off" },
    });
    let balancer = balancer(bridge.address(), &pool);
    for _ in 0..3 {
        let told = socket::open(Wire::Http1, balancer.address(), "/socket").unwrap_err();
        assert_eq!((told.status, told.field("x-loadweaver-failure")), (502, Some("no_websocket")));
    }
    assert_eq!(connects(&balancer), 2);
    assert_eq!(balancer.get("/still").text(), "GET /still ");
    assert_eq!(connects(&balancer), 2, "the connection of HTTP/2 is still there");
}
