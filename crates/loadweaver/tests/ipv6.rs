//! IPv6 on both sides, and IPv4 clients of a listener for both.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use std::net::{SocketAddr, TcpListener};

use loadweaver_testkit::origin::reply;
use loadweaver_testkit::{Balancer, Operator, Origin, RawClient, eventually};
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_loadweaver");

/// A server on `[::1]` that passes everything on.
fn on_ipv6(origin: &Origin) -> SocketAddr {
    let listener = TcpListener::bind("[::1]:0").unwrap();
    let (address, to) = (listener.local_addr().unwrap(), origin.address());
    std::thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            loadweaver_testkit::unix::join(&stream, to);
        }
    });
    address
}

fn start(bind: &str, server: SocketAddr, patch: &Value) -> Balancer {
    let mut config = json!({
        "workers": 1,
        "listeners": { "web": { "bind": bind } },
        "admin": { "bind": "[::1]:0" },
        "pools": { "app": {
            "servers": [ { "host": server.ip().to_string(), "port": server.port() } ],
            "healthCheck": { "type": "http", "interval": "50ms", "startDown": true, "rise": 1 },
        } },
        "forwardedHeaders": "both",
        "accessLog": { "output": "stdout" },
    });
    loadweaver_testkit::config::merge(&mut config, patch);
    let balancer = Balancer::start(BINARY, &config);
    balancer
        .wait_for_status("a server that is up", |status| status["pools"][0]["servers"][0]["state"] == "up");
    balancer
}

#[test]
fn everything_goes_over_ipv6_alone() {
    let origin = Origin::answering(reply(200, "x"));
    let server = on_ipv6(&origin);
    let balancer = start("[::1]:0", server, &json!({}));
    assert!(balancer.address().is_ipv6() && balancer.admin().is_ipv6());
    assert_eq!(balancer.get("/asked").text(), "x");
    let requests = origin.requests();
    let asked = requests.iter().find(|request| request.target == "/asked").unwrap();
    assert_eq!(asked.fields.get("x-forwarded-for"), Some("::1"));
    assert_eq!(asked.fields.get("forwarded"), Some("for=\"[::1]\";host=\"test\";proto=http"));
    let probe = requests.iter().find(|request| request.target == "/").unwrap();
    assert_eq!(probe.fields.get("host"), Some(server.to_string().as_str()));

    eventually("it is logged", || !balancer.stdout().is_empty());
    let line: Value = serde_json::from_str(&balancer.stdout()[0]).unwrap();
    assert!(line["client"].as_str().unwrap().starts_with("[::1]:"), "{line}");
    assert_eq!((&line["clientIp"], &line["server"]), (&json!("::1"), &json!(server.to_string())));

    // What the API takes and shows is one form.
    let operator = Operator::new(balancer.admin());
    assert_eq!(operator.data("/api/servers")[0]["resolved"], server.to_string());
    operator.must(201, "POST", "/api/servers", &json!({ "host": "0:0:0::2", "port": 1 }));
    assert_eq!(operator.data("/api/servers/%5B::2%5D:1")["host"], "::2");
}

#[test]
fn ipv4_clients_of_a_listener_for_both_are_ipv4_clients() {
    let origin = Origin::answering(reply(200, "x"));
    let trusting = json!({ "trustedProxies": ["127.0.0.0/8"] });
    let balancer = start("[::]:0", origin.address(), &trusting);
    let port = balancer.address().port();
    for (from, list) in [("127.0.0.1", "192.0.2.1, 127.0.0.1"), ("[::1]", "::1")] {
        let mut client = RawClient::connect(format!("{from}:{port}").parse().unwrap());
        let path = format!("/{from}");
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n");
        assert_eq!(client.exchange(request).status, 200);
        let requests = origin.requests();
        let asked = requests.iter().find(|request| request.target == path).unwrap();
        assert_eq!(asked.fields.get("x-forwarded-for"), Some(list));
    }
}

#[test]
fn the_proxy_protocol_says_ipv6_addresses_and_mixed_ones_in_one_family() {
    let origin = Origin::start(|connection| {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            line.extend(connection.read_exact(1)?);
        }
        if !line.starts_with(b"PROXY UNKNOWN") {
            connection.read_request()?;
            connection.write(reply(200, line));
        }
        Ok(())
    });
    let pool = json!({ "sendProxyProtocol": "v1", "healthCheck": { "type": "tcp" } });
    let patch = json!({ "pools": { "app": pool } });
    let balancer = start("[::]:0", on_ipv6(&origin), &patch);
    let port = balancer.address().port();
    for (from, family, ip) in [("127.0.0.1", "TCP4", "127.0.0.1"), ("[::1]", "TCP6", "::1")] {
        let mut client = RawClient::connect(format!("{from}:{port}").parse().unwrap());
        let line = format!("PROXY {family} {ip} {ip} {} {port}\r\n", client.local_address().port());
        assert_eq!(client.get("/").text(), line);
    }
}
