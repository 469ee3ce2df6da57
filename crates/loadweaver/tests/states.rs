//! What operators want of servers (`state`), what a pool does when most of it is sick, and how a server comes back.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use loadweaver_testkit::config::{merge, one_pool};
use loadweaver_testkit::origin::reply;
use loadweaver_testkit::{Balancer, Origin, eventually};
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_loadweaver");

/// Answers with its name, and `/health` with 200 or 500.
struct Sick {
    origin: Origin,
    sick: Arc<AtomicBool>,
}

impl Sick {
    fn start(name: &'static str) -> Self {
        let sick = Arc::new(AtomicBool::new(false));
        let is_sick = Arc::clone(&sick);
        let origin = Origin::by_request(move |request| {
            let refuse = request.target == "/health" && is_sick.load(Ordering::Relaxed);
            reply(if refuse { 500 } else { 200 }, name)
        });
        Self { origin, sick }
    }

    fn fall_ill(&self, sick: bool) {
        self.sick.store(sick, Ordering::Relaxed);
    }

    fn probes(&self) -> usize {
        self.origin.requests().iter().filter(|request| request.target == "/health").count()
    }
}

fn config(servers: &[&Sick], patch: &Value) -> Value {
    let servers: Vec<_> = servers
        .iter()
        .enumerate()
        .map(|(index, server)| {
            json!({"id": index.to_string(), "host": "127.0.0.1", "port": server.origin.port()})
        })
        .collect();
    let check = json!({"type": "http", "path": "/health", "interval": "30ms", "fastInterval": "30ms",
                       "maxInterval": "30ms", "rise": 1, "fall": 1});
    let mut config = one_pool(&[], &json!({"pools": {"app": {"servers": servers, "healthCheck": check}}}));
    merge(&mut config, patch);
    config
}

/// How often each name answers so many requests.
fn shares(balancer: &Balancer, requests: usize) -> BTreeMap<String, usize> {
    let mut shares = BTreeMap::new();
    for _ in 0..requests {
        *shares.entry(balancer.get("/").text()).or_default() += 1;
    }
    shares
}

fn up(balancer: &Balancer) -> u64 {
    balancer.status()["pools"][0]["up"].as_u64().unwrap()
}

fn told(balancer: &Balancer, event: &str) -> usize {
    let events = balancer.status()["recentEvents"].clone();
    events.as_array().unwrap().iter().filter(|each| each["event"] == event).count()
}

#[test]
fn a_server_that_drains_or_is_in_maintenance_gets_nothing_new() {
    let (a, b) = (Sick::start("a"), Sick::start("b"));
    let mut config = config(&[&a, &b], &json!({}));
    let balancer = Balancer::start(BINARY, &config);
    assert_eq!(shares(&balancer, 4).len(), 2);
    for state in ["drain", "maintenance"] {
        config["pools"]["app"]["servers"][1]["state"] = state.into();
        balancer.reload(&config);
        assert_eq!(shares(&balancer, 6), [("a".to_owned(), 6)].into());
    }
    // A server in maintenance is not asked how it is; one probe may have been under way.
    let asked = b.probes();
    let of_other = a.probes();
    eventually("the other one is", || a.probes() > of_other + 5);
    assert!(b.probes() <= asked + 1, "{} after {asked}", b.probes());
    config["pools"]["app"]["servers"][1]["state"] = "active".into();
    balancer.reload(&config);
    assert_eq!(shares(&balancer, 4).len(), 2);
    assert_eq!(told(&balancer, "pool_down"), 0);
}

#[test]
fn a_pool_without_an_active_server_is_down_and_says_why() {
    let a = Sick::start("a");
    let mut config = config(&[&a], &json!({}));
    let balancer = Balancer::start(BINARY, &config);
    eventually("it is up", || up(&balancer) == 1);
    config["pools"]["app"]["servers"][0]["state"] = "drain".into();
    balancer.reload(&config);
    assert_eq!(balancer.get("/").failure(), Some("no_server"));
    let events = balancer.status()["recentEvents"].clone();
    let down = events.as_array().unwrap().iter().find(|event| event["event"] == "pool_down").unwrap();
    assert!(down["reason"].as_str().unwrap().contains("drain"), "{down}");
    config["pools"]["app"]["servers"][0]["state"] = "active".into();
    balancer.reload(&config);
    assert_eq!((balancer.get("/").status, told(&balancer, "pool_up")), (200, 1));
}

#[test]
fn when_most_are_sick_all_get_traffic_but_those_that_nobody_answers_for() {
    let servers = [Sick::start("a"), Sick::start("b"), Sick::start("c"), Sick::start("d")];
    let all: Vec<&Sick> = servers.iter().collect();
    let balancer = Balancer::start(BINARY, &config(&all, &json!({"pools": {"app": {"panicPercent": 60}}})));
    eventually("all are up", || up(&balancer) == 4);
    servers[0].fall_ill(true);
    eventually("one is out", || up(&balancer) == 3);
    assert_eq!((shares(&balancer, 12).len(), told(&balancer, "panic_started")), (3, 0));
    // Two of four are fewer than 60 %; the third does not even listen.
    servers[1].origin.refuse();
    eventually("panic", || told(&balancer, "panic_started") == 1);
    let names: Vec<_> = shares(&balancer, 12).into_keys().collect();
    assert_eq!(names, ["a", "c", "d"]);
    servers[0].fall_ill(false);
    eventually("it is over", || told(&balancer, "panic_ended") == 1);
    assert_eq!(told(&balancer, "pool_down"), 0);
}

#[test]
fn without_panic_a_sick_pool_is_down() {
    let a = Sick::start("a");
    let patch =
        json!({"pools": {"app": {"panicPercent": "off", "fallback": {"status": 200, "body": "sorry"}}}});
    let balancer = Balancer::start(BINARY, &config(&[&a], &patch));
    eventually("it is up", || up(&balancer) == 1);
    a.fall_ill(true);
    eventually("it is out", || up(&balancer) == 0);
    assert_eq!(balancer.get("/").text(), "sorry");
}

#[test]
fn a_server_that_comes_back_starts_with_a_small_share() {
    let (a, b) = (Sick::start("a"), Sick::start("b"));
    let patch = json!({"pools": {"app": {"slowStart": "1h"}}});
    let balancer = Balancer::start(BINARY, &config(&[&a, &b], &patch));
    eventually("both are up", || up(&balancer) == 2);
    // From the start they share alike.
    assert_eq!(shares(&balancer, 20)["b"], 10);
    b.fall_ill(true);
    eventually("it is out", || up(&balancer) == 1);
    b.fall_ill(false);
    eventually("it is back", || up(&balancer) == 2);
    let share = shares(&balancer, 110).get("b").copied().unwrap_or(0);
    assert!((8..=12).contains(&share), "{share} of 110");
}

#[test]
fn a_server_that_was_away_or_is_another_machine_starts_with_a_small_share_too() {
    let (a, b, c) = (Sick::start("a"), Sick::start("b"), Sick::start("c"));
    let patch = json!({"pools": {"app": {"slowStart": "1h"}}});
    let first = config(&[&a, &b], &patch);
    let balancer = Balancer::start(BINARY, &first);
    eventually("both are up", || up(&balancer) == 2);
    let mut away = first.clone();
    away["pools"]["app"]["servers"][1]["state"] = json!("maintenance");
    balancer.reload(&away);
    balancer.reload(&first);
    let share = shares(&balancer, 110).get("b").copied().unwrap_or(0);
    assert!((8..=12).contains(&share), "{share} of 110");
    let mut other = first;
    other["pools"]["app"]["servers"][0]["port"] =
        config(&[&c], &json!({}))["pools"]["app"]["servers"][0]["port"].clone();
    balancer.reload(&other);
    let after = shares(&balancer, 20);
    assert_eq!((after["c"], after["b"]), (10, 10), "both have a tenth of their share");
}
