//! Servers that leave, come back, or become other machines under the same id while something is under way at them.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::time::{Duration, Instant};

use loadweaver_testkit::config::{merge, one_pool};
use loadweaver_testkit::eventually::PATIENCE;
use loadweaver_testkit::origin::reply;
use loadweaver_testkit::{Balancer, Origin, RawClient};
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_loadweaver");
const UPGRADE: &str = "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n";
const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n";

/// Answers with its name, and sends every byte back after an upgrade.
fn origin(name: &'static str) -> Origin {
    Origin::start(move |connection| {
        connection.set_patience(PATIENCE * 12);
        loop {
            let request = connection.read_request()?;
            if request.fields.lists("connection", "upgrade") {
                connection.write(SWITCH);
                while let Ok(byte) = connection.read_exact(1) {
                    connection.write(byte);
                }
                return Ok(());
            }
            connection.write(reply(200, name));
        }
    })
}

/// Pool `app` of these servers, with this time to drain.
fn config(of: &[(&str, &Origin)], drain: &str, patch: &Value) -> Value {
    let server = |(id, origin): &(&str, &Origin)| {
        let mut server = json!({"id": id, "host": "127.0.0.1", "port": origin.port()});
        merge(&mut server, patch);
        server
    };
    let servers: Value = of.iter().map(server).collect();
    one_pool(&[], &json!({"timeouts": {"drain": drain}, "pools": {"app": {"servers": servers}}}))
}

fn server(balancer: &Balancer, id: &str) -> Value {
    let status = balancer.status();
    let servers = status["pools"][0]["servers"].as_array().unwrap();
    let found = servers.iter().find(|each| each["id"] == id).cloned();
    found.unwrap_or_else(|| panic!("no server {id} in {status:#}"))
}

fn tunnel(balancer: &Balancer) -> RawClient {
    let mut client = balancer.client();
    client.send(UPGRADE).unwrap();
    assert_eq!(client.read_answer_head("GET").unwrap().status, 101);
    client
}

fn echoes(client: &mut RawClient) {
    client.send("ping").unwrap();
    assert_eq!(client.read_exact(4).unwrap(), b"ping");
}

#[test]
fn what_is_under_way_at_the_old_address_of_a_server_ends_at_the_deadline_and_not_before() {
    let (old, new) = (origin("old"), origin("new"));
    let none = json!({});
    let balancer = Balancer::start(BINARY, &config(&[("a", &old)], "1s", &none));
    let mut doomed = tunnel(&balancer);
    let before = Instant::now();
    balancer.reload(&config(&[("a", &new)], "1s", &none));
    let mut safe = tunnel(&balancer);
    echoes(&mut doomed);
    assert_eq!(balancer.get("/").text(), "new");
    doomed.expect_closed();
    assert!(before.elapsed() >= Duration::from_secs(1), "{:?}", before.elapsed());
    echoes(&mut safe);
    assert_eq!(balancer.status()["failures"]["drain_deadline"], 1);
}

#[test]
fn a_server_that_gets_its_old_address_back_in_time_keeps_what_it_has() {
    let (a, b, c) = (origin("a"), origin("b"), origin("c"));
    let none = json!({});
    let balancer = Balancer::start(BINARY, &config(&[("s", &a)], "700ms", &none));
    let mut at_a = tunnel(&balancer);
    balancer.reload(&config(&[("s", &b)], "700ms", &none));
    let mut at_b = tunnel(&balancer);
    balancer.reload(&config(&[("s", &a)], "700ms", &none));
    // What is at the other address has its deadline now; a server that is removed later has a later one.
    at_b.expect_closed();
    balancer.reload(&config(&[("s", &a), ("c", &c)], "700ms", &none));
    let mut last = loop {
        let candidate = tunnel(&balancer);
        if server(&balancer, "c")["active"] == 1 {
            break candidate;
        }
    };
    balancer.reload(&config(&[("s", &a)], "700ms", &none));
    last.expect_closed();
    echoes(&mut at_a);
}

#[test]
fn a_server_that_comes_back_still_has_what_is_under_way_at_it() {
    let (a, b) = (origin("a"), origin("b"));
    let one = json!({"maxConnections": 1});
    let balancer = Balancer::start(BINARY, &config(&[("a", &a)], "1h", &one));
    assert_eq!(balancer.get("/").text(), "a");
    let mut tunnel = tunnel(&balancer);
    assert_eq!(balancer.get("/").status, 503, "its only place is taken");
    let before = server(&balancer, "a");
    assert_eq!((&before["active"], &before["requests"]), (&json!(1), &json!(2)));
    // Once more, for what was under way two changes ago.
    for _ in 0..2 {
        balancer.reload(&config(&[("b", &b)], "1h", &one));
        assert_eq!(balancer.get("/").text(), "b");
        balancer.reload(&config(&[("a", &a)], "1h", &one));
        assert_eq!(server(&balancer, "a")["active"], 1);
        assert_eq!(balancer.get("/").status, 503, "its only place is taken");
    }
    assert_eq!(server(&balancer, "a")["requests"], before["requests"]);
    echoes(&mut tunnel);
    drop(tunnel);
    loadweaver_testkit::eventually("its place is free", || balancer.get("/").text() == "a");
    assert_eq!(server(&balancer, "a")["active"], 0);
}

#[test]
fn another_machine_under_a_known_id_has_all_of_its_places() {
    let (old, new) = (origin("old"), origin("new"));
    let one = json!({"maxConnections": 1});
    let balancer = Balancer::start(BINARY, &config(&[("a", &old)], "1h", &one));
    let mut at_old = tunnel(&balancer);
    balancer.reload(&config(&[("a", &new)], "1h", &one));
    assert_eq!(balancer.get("/").text(), "new");
    let mut at_new = tunnel(&balancer);
    assert_eq!(balancer.get("/").status, 503);
    echoes(&mut at_old);
    echoes(&mut at_new);
}
