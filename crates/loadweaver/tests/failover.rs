//! Servers that die, hang, cut, or talk nonsense under load from 64 connections, and what the clients notice of it.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use loadweaver_testkit::config::{merge, one_pool};
use loadweaver_testkit::load::{Load, Outcomes};
use loadweaver_testkit::origin::reply;
use loadweaver_testkit::peer::free_address;
use loadweaver_testkit::{Balancer, Origin, OriginConnection, Peer, WireError, eventually};
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_loadweaver");
const CONNECTIONS: usize = 64;
const GET: &str = "GET /load HTTP/1.1\r\nHost: a\r\n\r\n";

fn start(servers: &[SocketAddr], pool: &Value) -> Balancer {
    let probes = json!({ "type": "tcp", "interval": "100ms", "timeout": "1s", "rise": 2, "fall": 2 });
    let mut config =
        one_pool(servers, &json!({ "workers": 2, "pools": { "app": { "healthCheck": probes } } }));
    merge(&mut config["pools"]["app"], pool);
    Balancer::start(BINARY, &config)
}

/// A server in a process of its own, so that SIGKILL is what it is in life: the kernel resets what was open.
fn server_process(address: SocketAddr) -> Peer {
    let mut peer = None;
    eventually("the server's port can be bound again", || {
        peer = Peer::start_at(address, |port, scratch| {
            let script = "const http = require('http');\n\
                          const server = http.createServer((_, answer) => answer.end('served'));\n\
                          server.keepAliveTimeout = 60000;\n\
                          server.listen(Number(process.argv[2]), '127.0.0.1', 1024);\n";
            let mut command = Command::new("node");
            command.arg(scratch.file("server.js", script)).arg(port.to_string());
            command
        });
        peer.is_some()
    });
    peer.unwrap()
}

fn only_good(outcomes: &Outcomes, good: &str) {
    let bad: Vec<_> = outcomes.iter().filter(|(outcome, _)| *outcome != good).collect();
    assert!(bad.is_empty(), "beside {:?} good answers: {bad:?}", outcomes.get(good));
}

fn state(balancer: &Balancer, server: usize) -> String {
    balancer.status()["pools"][0]["servers"][server]["state"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn no_get_fails_when_a_server_is_killed_comes_back_and_is_killed_again() {
    let addresses = [free_address(), free_address(), free_address()];
    let mut servers: Vec<Peer> = addresses.iter().map(|address| server_process(*address)).collect();
    let balancer = start(&addresses, &json!({}));
    let load = Load::start(balancer.address(), CONNECTIONS, GET);
    load.wait_for(300);
    for _ in 0..2 {
        servers[0].kill();
        eventually("the dead server is out", || state(&balancer, 0) == "down");
        load.wait_for(300);
        servers[0] = server_process(addresses[0]);
        eventually("it is back", || state(&balancer, 0) == "up");
        load.wait_for(300);
    }
    let outcomes = load.stop();
    only_good(&outcomes, "200 served");
    let status = balancer.wait_for_status("rest", |status| status["connections"]["active"] == 0);
    let server = &status["pools"][0]["servers"][0];
    assert!(
        server["failures"].as_u64().unwrap() > 0,
        "it died under load, so some requests met it: {status}"
    );
    assert!(
        status["retries"].as_u64().unwrap() >= server["failures"].as_u64().unwrap(),
        "each was retried: {status}"
    );
    let names: Vec<&str> = status["recentEvents"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|event| event["event"].as_str())
        .collect();
    assert!(names.iter().filter(|name| **name == "server_down").count() >= 2, "{names:?}");
    assert!(names.contains(&"server_up"), "{names:?}");
}

/// One server in three fails in that way once it has read a request, until the end.
fn with_one_failing(
    fail: impl Fn(&mut OriginConnection) -> Result<(), WireError> + Send + Sync + 'static,
    pool: &Value,
) -> (Outcomes, Value) {
    let bad = Origin::start(move |connection| {
        connection.read_request()?;
        fail(connection)
    });
    let good = [Origin::named("served"), Origin::named("served")];
    let balancer = start(&[good[0].address(), bad.address(), good[1].address()], pool);
    let load = Load::start(balancer.address(), CONNECTIONS, GET);
    load.wait_for(1500);
    let outcomes = load.stop();
    assert!(!bad.requests().is_empty(), "the bad server was never asked");
    (outcomes, balancer.status())
}

#[test]
fn no_get_fails_when_a_server_hangs() {
    // The floor: up to 64 requests wait on it before the verdict, and all come due at once. The time is one that a good
    // server keeps on a busy machine, or the good ones would be taken out too.
    let pool = json!({ "retry": { "perTryTimeout": "2s", "budgetFloor": 100 } });
    let (outcomes, status) = with_one_failing(OriginConnection::hang, &pool);
    only_good(&outcomes, "200 served");
    assert!(status["retries"].as_u64().unwrap() > 0, "{status}");
}

#[test]
fn no_get_fails_when_a_server_answers_garbage() {
    let garbage = |connection: &mut OriginConnection| {
        connection.write("\u{16}\u{3}\u{1} this is no HTTP\r\n\r\n");
        connection.hang()
    };
    let (outcomes, status) = with_one_failing(garbage, &json!({ "retry": { "budgetFloor": 100 } }));
    only_good(&outcomes, "200 served");
    assert!(status["failures"]["bad_response"].is_null(), "no exchange ended so: {status}");
}

#[test]
fn no_get_fails_when_a_server_resets_every_request() {
    let (outcomes, _) =
        with_one_failing(OriginConnection::reset, &json!({ "retry": { "budgetFloor": 100 } }));
    only_good(&outcomes, "200 served");
}

#[test]
fn a_reset_in_mid_answer_is_a_cut_and_never_a_short_answer() {
    let cut = |connection: &mut OriginConnection| {
        connection.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nserved\r\n");
        // Let it be on its way before the reset can overtake it.
        std::thread::sleep(Duration::from_millis(2));
        connection.reset()
    };
    let (outcomes, status) = with_one_failing(cut, &json!({ "passiveHealth": { "failures": 0 } }));
    let cuts: u64 =
        outcomes.iter().filter(|(outcome, _)| outcome.starts_with("cut")).map(|(_, count)| count).sum();
    let good = outcomes.get("200 served").copied().unwrap_or_default();
    assert!(cuts > 0, "{outcomes:?}");
    assert!(
        outcomes.keys().all(|key| key == "200 served" || key.starts_with("cut") || key == "reset"),
        "{outcomes:?}"
    );
    let counted: u64 =
        status["failures"].as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum();
    assert!(counted >= cuts && good > 0, "{cuts} cuts, of which {counted} were counted: {status}");
}

#[test]
fn a_server_that_goes_on_failing_is_taken_out_and_the_rest_serves() {
    let bad = Origin::start(|connection| {
        connection.read_request()?;
        Ok(())
    });
    let good = Origin::named("served");
    let pool = json!({ "passiveHealth": { "failures": 3, "window": "10s", "hold": "30s" }, "retry": { "budgetFloor": 100 } });
    let balancer = start(&[bad.address(), good.address()], &pool);
    let load = Load::start(balancer.address(), 8, GET);
    eventually("the verdict", || state(&balancer, 1) != "down" && state(&balancer, 0) == "down");
    // What was on its way before the verdict may still arrive.
    balancer
        .wait_for_status("nothing under way there", |status| status["pools"][0]["servers"][0]["active"] == 0);
    let met = bad.requests().len();
    load.wait_for(500);
    assert_eq!(
        bad.requests().len(),
        met,
        "a server that is out gets no request, and probes do not end the hold"
    );
    only_good(&load.stop(), "200 served");
}

#[test]
fn listed_statuses_count_against_a_server() {
    let (bad, good) = (Origin::answering(reply(500, "broken")), Origin::named("served"));
    let pool = json!({ "passiveHealth": { "failures": 3, "onStatus": ["500-599"], "hold": "30s" } });
    let balancer = start(&[bad.address(), good.address()], &pool);
    eventually("the verdict", || {
        balancer.get("/");
        state(&balancer, 0) == "down"
    });
    assert!(bad.requests().len() <= 10, "{} requests met it", bad.requests().len());
    for _ in 0..10 {
        assert_eq!(balancer.get("/").text(), "served");
    }
}

#[test]
fn what_clients_do_wrong_never_counts_against_a_server() {
    let origin = Origin::named("served");
    let balancer = start(&[origin.address()], &json!({ "passiveHealth": { "failures": 2 } }));
    for _ in 0..6 {
        let mut client = balancer.client();
        client
            .send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nnonsense\r\n")
            .unwrap();
        let _ = client.read_to_end();
        let mut client = balancer.client();
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\nhalf").unwrap();
        client.reset();
    }
    assert_eq!(balancer.get("/").text(), "served");
    assert_ne!(state(&balancer, 0), "down");
}

#[test]
fn when_every_server_is_back_the_pool_serves_again() {
    let servers = [Origin::named("served"), Origin::named("served")];
    let pool = json!({ "passiveHealth": { "hold": "100ms" } });
    let balancer = start(&[servers[0].address(), servers[1].address()], &pool);
    for server in &servers {
        server.refuse();
        server.cut_all();
    }
    eventually("all are out", || balancer.get("/").failure() == Some("no_server"));
    servers.iter().for_each(Origin::come_back);
    eventually("the pool serves", || balancer.get("/").text() == "served");
    let names = || -> Vec<String> {
        let status = balancer.status();
        let events = status["recentEvents"].as_array().unwrap().iter();
        events.filter_map(|event| event["event"].as_str()).map(str::to_owned).collect()
    };
    // In a panic a server gets traffic as soon as somebody is there, before the verdict has changed.
    eventually("the pool is up", || names().iter().any(|name| name == "pool_up"));
    let names = names();
    assert_eq!(names.iter().filter(|name| *name == "pool_down").count(), 1, "{names:?}");
    assert_eq!(names.iter().filter(|name| *name == "pool_up").count(), 1, "{names:?}");
}
