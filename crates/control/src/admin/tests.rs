#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
use std::net::SocketAddr;

use loadweaver_config::{HealthCheck, ProbeKind};
use loadweaver_policy::failure::Failure;
use loadweaver_policy::health::Observation;
use loadweaver_proxy::{Options, Proxy};
use loadweaver_telemetry::span::SpanQueue;
use loadweaver_testkit::{Answer, RawClient, eventually};
use serde_json::{Value, json};

use crate::fixture;
use crate::plane::Plane;

use super::*;

/// A control plane with an admin listener; nothing is probed.
struct Admin {
    watched: Watched,
    plane: Plane,
}

impl Admin {
    fn start() -> Self {
        let check = HealthCheck { kind: ProbeKind::Off, ..HealthCheck::default() };
        let watched = fixture::watched(fixture::pool(&[("127.0.0.1", 3001), ("127.0.0.1", 3002)], check));
        let plane = Plane::start(watched.clone()).unwrap();
        Self { watched, plane }
    }

    fn address(&self) -> SocketAddr {
        self.plane.admin_address().unwrap().tcp().unwrap()
    }

    fn ask(&self, request: &str) -> Answer {
        RawClient::connect(self.address()).exchange(request)
    }

    fn get(&self, path: &str) -> Answer {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.address()))
    }
}

fn json_of(answer: &Answer) -> Value {
    assert_eq!(answer.fields.get("content-type"), Some("application/json"));
    serde_json::from_slice(&answer.body).unwrap()
}

#[test]
fn lives_from_the_start_and_is_ready_only_between_start_and_drain() {
    let admin = Admin::start();
    assert_eq!((admin.get("/livez").status, admin.get("/livez").text().as_str()), (200, "ok\n"));
    let starting = admin.get("/readyz");
    assert_eq!(starting.status, 503);
    assert_eq!(json_of(&starting)["error"]["code"], "starting");
    admin.watched.readiness.reach(Stage::Ready);
    assert_eq!(admin.get("/readyz").status, 200);
    admin.watched.readiness.reach(Stage::Draining);
    let draining = admin.get("/readyz");
    assert_eq!(draining.status, 503);
    let error = &json_of(&draining)["error"];
    assert_eq!(error["code"], "draining");
    assert!(error["message"].as_str().unwrap().starts_with("shutting down"));
    assert_eq!(admin.get("/livez").status, 200);
    admin.plane.stop();
}

#[test]
fn status_shows_pools_servers_counters_and_events() {
    let admin = Admin::start();
    let options = Options { access_log: None, spans: SpanQueue::default(), bus: admin.watched.bus.clone() };
    let proxy = Arc::new(Proxy::start(Arc::clone(&admin.watched.snapshot), options).unwrap());
    proxy.counters().requests.add(7);
    proxy.counters().failures.record(Failure::NoRoute);
    let (_, address) = proxy.addresses().pop().unwrap();
    admin.plane.show(Arc::clone(&proxy));
    eventually("the data plane is shown", || json_of(&admin.get("/status"))["data"]["requests"] == 7);
    let pool = &admin.watched.snapshot.pools[0];
    pool.counters.requests.add(6);
    let first = &pool.servers[0].counters;
    first.requests.add(3);
    first.answered(200, Duration::from_millis(10));
    pool.observe(1, Observation::ConnectRefused);

    let answer = admin.get("/status");
    assert_eq!(answer.fields.get("cache-control"), Some("no-store"));
    let status = json_of(&answer);
    assert_eq!(status["success"], true);
    let data = &status["data"];
    assert_eq!(data["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(data["listeners"], json!([{"name": "web", "address": address.to_string()}]));
    assert_eq!((&data["requests"], &data["failures"]), (&json!(7), &json!({"no_route": 1})));
    assert!(data["uptime"].as_f64().unwrap() >= 0.0);
    let pool = &data["pools"][0];
    assert_eq!((&pool["name"], &pool["algorithm"]), (&json!("app"), &json!("round_robin")));
    assert_eq!((&pool["up"], &pool["total"], &pool["requests"]), (&json!(1), &json!(2), &json!(6)));
    let well = &pool["servers"][0];
    assert_eq!((&well["id"], &well["state"]), (&json!("127.0.0.1:3001"), &json!("unknown")));
    assert_eq!((&well["requests"], &well["weight"], &well["active"]), (&json!(3), &json!(1), &json!(0)));
    assert_eq!(well["statuses"]["2xx"], 1);
    let p50 = well["latency"]["p50"].as_f64().unwrap();
    assert!((9.0..11.0).contains(&p50), "{p50}");
    let sick = &pool["servers"][1];
    assert_eq!((&sick["state"], &sick["reason"]), (&json!("down"), &json!("connection refused")));
    assert_eq!(
        sick["latency"],
        json!({"p50": null, "p90": null, "p95": null, "p99": null, "max": null, "average": null})
    );
    assert_eq!(data["recentEvents"][0]["event"], "server_down");
    assert_eq!(data["recentEvents"][0]["server"]["id"], "127.0.0.1:3002");
    admin.plane.stop();
}

#[test]
fn what_is_not_there_is_answered_in_json() {
    let admin = Admin::start();
    let missing = admin.get("/nothing?x=1");
    assert_eq!(missing.status, 404);
    let body = json_of(&missing);
    assert_eq!((&body["success"], &body["error"]["code"]), (&json!(false), &json!("not_found")));
    let refused = admin.ask("POST /status HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}");
    assert_eq!(refused.status, 405);
    assert_eq!(json_of(&refused)["error"]["code"], "method_not_allowed");
    assert!(refused.fields.get("allow").unwrap().contains("GET"));
    let head = admin.ask("HEAD /status HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!((head.status, head.body.len()), (200, 0));
    admin.plane.stop();
}

#[test]
fn a_page_that_rebinds_its_name_learns_nothing() {
    let admin = Admin::start();
    for request in [
        "GET /status HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        "GET /status HTTP/1.1\r\nHost: evil.example:9090\r\n\r\n",
        "GET /status HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example\r\n\r\n",
        "GET /status HTTP/1.1\r\nHost: localhost\r\nOrigin: null\r\n\r\n",
        "GET http://evil.example/status HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /status HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
        "GET /nothing HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    ] {
        let answer = admin.ask(request);
        assert_eq!(answer.status, 403, "{request}");
        let expected = if request.contains("Origin") { "foreign_origin" } else { "foreign_host" };
        assert_eq!(json_of(&answer)["error"]["code"], expected);
    }
    for request in [
        "GET /status HTTP/1.1\r\nHost: localhost:1234\r\nOrigin: http://127.0.0.1:9090\r\n\r\n",
        "GET /status HTTP/1.1\r\nHost: [::1]:9090\r\n\r\n",
        "GET /status HTTP/1.0\r\n\r\n",
    ] {
        assert_eq!(admin.ask(request).status, 200, "{request}");
    }
    admin.plane.stop();
}

#[test]
fn an_address_that_is_taken_is_named() {
    let admin = Admin::start();
    let mut pool = fixture::pool(&[("127.0.0.1", 3001)], HealthCheck::default());
    pool.health_check.kind = ProbeKind::Off;
    let mut watched = fixture::watched(pool);
    let taken = admin.address();
    let mut config = (*watched.snapshot.config).clone();
    config.admin = Some(loadweaver_config::Admin::new(taken));
    watched.snapshot = loadweaver_proxy::Snapshot::build(1, config, &watched.bus, watched.started.0).unwrap();
    let error = Plane::start(watched).unwrap_err().to_string();
    assert!(error.contains(&taken.to_string()), "{error}");
    admin.plane.stop();
}

#[test]
fn names_are_looked_up_before_the_start_is_over() {
    let check = HealthCheck { kind: ProbeKind::Off, ..HealthCheck::default() };
    let watched = fixture::watched(fixture::pool(&[("localhost", 3001), ("nowhere.invalid", 1)], check));
    let plane = Plane::start(watched.clone()).unwrap();
    let servers = &watched.snapshot.pools[0].servers;
    let address = servers[0].address().unwrap().tcp().unwrap();
    assert!(address.ip().is_loopback() && address.port() == 3001, "{address}");
    assert_eq!(servers[1].address(), None);
    plane.stop();
}
