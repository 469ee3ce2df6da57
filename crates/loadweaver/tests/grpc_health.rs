//! Probes of type `grpc` against the health service of Python's grpcio.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::net::SocketAddr;
use std::path::Path;

use loadweaver_testkit::config::one_pool_with;
use loadweaver_testkit::scratch::Scratch;
use loadweaver_testkit::tls::Authority;
use loadweaver_testkit::{Balancer, Peer};
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_loadweaver");

fn start(arguments: &[&Path]) -> Peer {
    Peer::grpcio(include_str!("grpc/health.py"), arguments)
}

/// A balancer in front of one server; `more` are the pool's other keys.
fn balancer(server: SocketAddr, check: &Value, more: &Value) -> Balancer {
    let mut pool = json!({ "healthCheck": {
        "type": "grpc", "interval": "20ms", "fastInterval": "20ms", "maxInterval": "20ms", "rise": 2, "fall": 2,
        "startDown": true,
    }});
    loadweaver_testkit::config::merge(&mut pool["healthCheck"], check);
    loadweaver_testkit::config::merge(&mut pool, more);
    Balancer::start(BINARY, &one_pool_with(&[server], &pool))
}

fn wait_for(balancer: &Balancer, state: &str, reason: &str) {
    balancer.wait_for_status(state, |status: &Value| {
        let server = &status["pools"][0]["servers"][0];
        server["state"] == state && server["reason"].as_str().unwrap_or_default().contains(reason)
    });
}

#[test]
fn a_server_that_is_not_serving_is_out_after_fall_probes_and_back_after_rise() {
    let files = Scratch::new();
    let state = files.file("state", "=SERVING\n");
    let server = start(&[&state]);
    let balancer = balancer(server.address(), &json!({}), &json!({ "protocol": "h2c" }));
    wait_for(&balancer, "up", "");
    files.file("state", "=NOT_SERVING\n");
    wait_for(&balancer, "down", "2 probes in a row failed: NOT_SERVING");
    files.file("state", "=SERVING\n");
    wait_for(&balancer, "up", "2 probes in a row");
}

#[test]
fn each_service_of_a_server_has_a_health_of_its_own() {
    let files = Scratch::new();
    let state = files.file("state", "=SERVING\nshop.Cart=NOT_SERVING\nshop.Till=SERVING\n");
    let server = start(&[&state]);
    for (service, verdict, words) in [
        ("", "up", ""),
        ("shop.Till", "up", ""),
        ("shop.Cart", "down", "NOT_SERVING (the service \"shop.Cart\")"),
        ("shop.Card", "down", "grpc status 5 NOT_FOUND: the server does not know the service \"shop.Card\""),
    ] {
        let check = json!({ "service": service, "startDown": false });
        wait_for(&balancer(server.address(), &check, &json!({ "protocol": "h2c" })), verdict, words);
    }
}

#[test]
fn calls_go_over_the_tls_of_the_pool_or_their_own() {
    let (authority, files) = (Authority::new("gRPC"), Scratch::new());
    let signed = authority.sign(&["test"]);
    let (cert, key) = (files.file("cert.pem", &signed.cert), files.file("key.pem", &signed.key));
    let ca = files.file("ca.pem", &authority.pem);
    let other = files.file("other.pem", Authority::new("somebody else").pem);
    let state = files.file("state", "=SERVING\n");
    let server = start(&[&state, &cert, &key]);
    for protocol in ["auto", "http2"] {
        let pool = json!({ "protocol": protocol, "tls": { "caFile": ca, "serverName": "test" } });
        wait_for(&balancer(server.address(), &json!({}), &pool), "up", "");
    }
    let pool = json!({ "tls": { "caFile": other, "serverName": "test" } });
    let check = json!({ "startDown": false });
    wait_for(&balancer(server.address(), &check, &pool), "down", "TLS: ");
    // A port of its own, beside servers that are not asked.
    let nobody = loadweaver_testkit::peer::free_address();
    let check = json!({ "port": server.address().port(), "tls": true, "verify": false });
    wait_for(&balancer(nobody, &check, &json!({})), "up", "");
}

#[test]
fn a_server_without_the_health_service_is_said_to_have_none() {
    let server = Peer::grpcio(include_str!("grpc/server.py"), &[]);
    let check = json!({ "startDown": false });
    let words = "grpc status 12 UNIMPLEMENTED: the server has no grpc.health.v1.Health";
    wait_for(&balancer(server.address(), &check, &json!({ "protocol": "h2c" })), "down", words);
}
