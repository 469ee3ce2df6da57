//! Connections toward servers: kept, counted, limited, and given up when they are of no use any more.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use loadweaver_testkit::config::one_pool_with;
use loadweaver_testkit::origin::reply;
use loadweaver_testkit::{Balancer, Origin, RawClient, eventually};
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_loadweaver");

fn start(origin: &Origin, pool: &Value) -> Balancer {
    Balancer::start(BINARY, &one_pool_with(&[origin.address()], pool))
}

/// A gate that holds answers back until it is opened.
#[derive(Clone, Default)]
struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    fn pass(&self) {
        let open = self.0.0.lock().unwrap();
        drop(self.0.1.wait_timeout_while(open, Duration::from_secs(20), |open| !*open).unwrap());
    }

    fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }
}

/// An origin whose answers wait at the gate.
fn gated(gate: &Gate) -> Origin {
    let gate = gate.clone();
    Origin::by_request(move |_| {
        gate.pass();
        reply(200, "through")
    })
}

/// That many clients, each with one GET under way.
fn waiting(balancer: &Balancer, count: usize) -> Vec<RawClient> {
    let begin = |_| {
        let mut client = balancer.client();
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        client
    };
    (0..count).map(begin).collect()
}

#[test]
fn a_connection_is_used_again_for_other_clients() {
    let origin = Origin::named("x");
    let balancer = start(&origin, &json!({}));
    for _ in 0..20 {
        balancer.get("/");
    }
    assert_eq!(origin.connections(), 1);
    let status = balancer.status();
    let server = &status["pools"][0]["servers"][0];
    assert_eq!((server["connects"].as_u64(), server["reused"].as_u64()), (Some(1), Some(19)), "{server}");
}

#[test]
fn max_idle_bounds_what_is_kept() {
    let gate = Gate::default();
    let origin = gated(&gate);
    let balancer = start(&origin, &json!({ "connectionPool": { "maxIdle": 2 } }));
    let mut clients = waiting(&balancer, 6);
    origin.wait_for_requests(6);
    gate.open();
    for client in &mut clients {
        assert_eq!(client.answer("GET").status, 200);
    }
    eventually("all but two are closed", || origin.open() == 2);
}

#[test]
fn max_idle_zero_means_no_reuse() {
    let origin = Origin::named("x");
    let balancer = start(&origin, &json!({ "connectionPool": { "maxIdle": 0 } }));
    for _ in 0..3 {
        balancer.get("/");
    }
    assert_eq!(origin.connections(), 3);
    eventually("none is kept", || origin.open() == 0);
}

#[test]
fn idle_timeout_closes_what_nobody_needed() {
    let origin = Origin::named("x");
    let balancer = start(&origin, &json!({ "connectionPool": { "idleTimeout": "200ms" } }));
    let began = Instant::now();
    balancer.get("/");
    eventually("the idle connection is closed", || origin.open() == 0);
    assert!(began.elapsed() >= Duration::from_millis(180), "closed after {:?}", began.elapsed());
}

#[test]
fn max_requests_retires_a_connection() {
    let origin = Origin::named("x");
    let balancer = start(&origin, &json!({ "connectionPool": { "maxRequests": 5 } }));
    for _ in 0..12 {
        balancer.get("/");
    }
    assert_eq!(origin.connections(), 3);
    let per_connection: Vec<usize> =
        origin.raw().iter().map(|raw| raw.windows(4).filter(|window| window == b"GET ").count()).collect();
    assert_eq!(per_connection, [5, 5, 2]);
}

#[test]
fn max_lifetime_retires_a_connection_between_requests() {
    let origin = Origin::named("x");
    let balancer = start(&origin, &json!({ "connectionPool": { "maxLifetime": "300ms" } }));
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(1) {
        assert_eq!(balancer.get("/").status, 200);
        std::thread::sleep(Duration::from_millis(10));
    }
    let connections = origin.connections();
    assert!((3..=5).contains(&connections), "{connections} connections in a second of 300 ms each");
}

#[test]
fn an_idle_connection_that_the_server_closed_is_noticed() {
    let origin = Origin::named("x");
    let balancer = start(&origin, &json!({}));
    balancer.get("/");
    origin.cut_all();
    eventually("the server's side is closed", || origin.open() == 0);
    let descriptors = balancer.descriptors();
    eventually("ours is closed too, without a request", || balancer.descriptors() <= descriptors);
    let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi";
    assert_eq!(balancer.client().exchange(post).status, 200, "not even a POST notices");
}

#[test]
fn max_connections_sends_the_rest_to_other_servers() {
    let gate = Gate::default();
    let (small, large) = (gated(&gate), gated(&gate));
    let servers = json!([
        { "host": "127.0.0.1", "port": small.port(), "maxConnections": 2 },
        { "host": "127.0.0.1", "port": large.port() },
    ]);
    let balancer = start(&small, &json!({ "servers": servers }));
    let mut clients = waiting(&balancer, 12);
    eventually("all are under way", || small.requests().len() + large.requests().len() == 12);
    assert_eq!(small.requests().len(), 2, "never more than it may have");
    gate.open();
    for client in &mut clients {
        assert_eq!(client.answer("GET").text(), "through");
    }
}

#[test]
fn when_all_servers_are_full_the_answer_is_503() {
    let gate = Gate::default();
    let origin = gated(&gate);
    let servers = json!([{ "host": "127.0.0.1", "port": origin.port(), "maxConnections": 2 }]);
    let balancer = start(&origin, &json!({ "servers": servers }));
    let mut clients = waiting(&balancer, 2);
    origin.wait_for_requests(2);
    let answer = balancer.get("/third");
    assert_eq!((answer.status, answer.failure()), (503, Some("pool_full")));
    assert!(answer.fields.has("retry-after"));
    gate.open();
    for client in &mut clients {
        assert_eq!(client.answer("GET").status, 200);
    }
    assert_eq!(balancer.get("/fourth").status, 200, "the places are free again");
    assert_eq!(origin.requests().len(), 3);
}

#[test]
fn places_are_given_back_however_an_exchange_ends() {
    let turn = Arc::new(AtomicUsize::new(0));
    let origin = Origin::start(move |connection| {
        connection.read_request()?;
        match turn.fetch_add(1, Ordering::SeqCst) % 4 {
            0 => return Ok(()),
            1 => return connection.reset(),
            2 => connection.write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort"),
            _ => connection.write(reply(200, "fine")),
        }
        Ok(())
    });
    let servers = json!([{ "host": "127.0.0.1", "port": origin.port(), "maxConnections": 1 }]);
    let pool = json!({ "servers": servers, "passiveHealth": { "failures": 0 }, "retry": { "attempts": 1 } });
    let balancer = start(&origin, &pool);
    for number in 0..12 {
        let mut client = balancer.client();
        client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
        if let Ok(answer) = client.read_answer("GET") {
            assert_ne!(answer.failure(), Some("pool_full"), "after {number} exchanges");
        }
        let _ = client.is_closed_by_peer();
    }
    let status = balancer.wait_for_status("nothing under way", |status| status["connections"]["active"] == 0);
    assert_eq!(status["pools"][0]["servers"][0]["active"], 0, "{status}");
}

#[test]
fn names_are_resolved_and_either_address_family_is_served() {
    let origin = Origin::named("by name");
    let servers = json!([{ "host": "localhost", "port": origin.port() }]);
    let balancer = start(&origin, &json!({ "servers": servers }));
    assert_eq!(balancer.get("/").text(), "by name");
}
