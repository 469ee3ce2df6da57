//! What the admin API and the page for scrapers tell of requests, retries and connections, and of what is wrong.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::net::{SocketAddr, TcpListener};

use loadweaver_testkit::config::{merge, one_pool};
use loadweaver_testkit::origin::reply_with;
use loadweaver_testkit::{Balancer, Operator, Origin, eventually};
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_loadweaver");

/// One worker, so that a connection that is kept is the next request's.
fn start(servers: &[SocketAddr], patch: &Value) -> Balancer {
    let mut config = one_pool(servers, &json!({ "workers": 1 }));
    merge(&mut config, patch);
    Balancer::start(BINARY, &config)
}

/// A sample of the page, written as it stands there.
#[track_caller]
fn value(operator: &Operator, sample: &str) -> String {
    let page = String::from_utf8(operator.ask("GET", "/metrics", "", "").body).unwrap();
    let found = page.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
    found.unwrap_or_else(|| panic!("{sample} is not on the page:\n{page}")).to_owned()
}

#[test]
fn what_is_wrong_is_said_in_words_and_over_when_it_is() {
    let origin =
        Origin::by_request(|request| reply_with(if request.target == "/ill" { 500 } else { 200 }, &[], "x"));
    let away = Origin::answering(reply_with(200, &[], "x"));
    away.refuse();
    let check = json!({"pools": {"app": {"healthCheck": {"type": "tcp", "interval": "100ms", "fall": 1}}}});
    let balancer = start(&[origin.address(), away.address()], &check);
    let operator = balancer.operator();
    let wrong = || operator.data("/api/problems");
    let down = format!("{} (pool app) is down", away.address());
    eventually("a server is down", || wrong()["summary"] == format!("{down}."));
    let problem = &wrong()["problems"][0];
    assert_eq!((&problem["severity"], &problem["subject"]), (&json!("warning"), &json!("server")));
    assert_eq!((&problem["pool"], &problem["serverId"]), (&json!("app"), &json!(away.address().to_string())));
    assert!(problem["why"].as_str().unwrap().contains("connection refused, for "), "{problem}");
    // A page that polls would take a parameter that is not known for one that works.
    assert_eq!(operator.ask("GET", "/api/problems?pool=app", "", "").status, 400);
    away.come_back();
    eventually("all is well", || wrong()["problems"] == json!([]));
    assert_eq!(wrong()["summary"], "All is well. All 2 servers may have new requests.");
    for _ in 0..40 {
        balancer.get("/ill");
    }
    eventually("errors are told", || wrong()["problems"][0]["subject"] == "traffic");
    assert_eq!(wrong()["problems"][0]["severity"], "critical");
}

fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[test]
fn requests_are_told_by_method_status_route_pool_and_server() {
    let good = Origin::by_request(|request| {
        let status = if request.target == "/teapot" { 418 } else { 200 };
        reply_with(status, &[], "x")
    });
    let bad = Origin::by_request(|_| reply_with(500, &[], "x"));
    let balancer = start(
        &[good.address()],
        &json!({
            "pools": { "bad": { "servers": [{ "host": "127.0.0.1", "port": bad.port() }] } },
            "routes": [
                { "name": "ill", "match": { "path": "/ill" }, "pool": "bad" },
                { "name": "rest", "pool": "app" },
            ],
        }),
    );
    let mut client = balancer.client();
    for _ in 0..6 {
        assert_eq!(client.get("/").status, 200);
    }
    assert_eq!(client.get("/ill").status, 500);
    assert_eq!(client.exchange("PUT /teapot HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n").status, 418);
    assert_eq!(client.exchange("BREW / HTTP/1.1\r\nHost: a\r\n\r\n").status, 200);
    let _ = balancer.client().exchange("GET / HTTP/1.1\r\nHost: a b\r\n\r\n");
    let operator = balancer.operator();
    // What came last is counted when its answer is out.
    eventually("all are counted", || operator.data("/api/metrics/requests")["total"] == 10);
    let told = operator.data("/api/metrics/requests");
    assert_eq!(told["byMethod"], json!({ "GET": 7, "PUT": 1, "other": 1, "refused": 1 }));
    assert_eq!(told["byStatus"], json!({ "200": 7, "400": 1, "418": 1, "500": 1 }));
    let routes = told["byRoute"].as_array().unwrap();
    let found: Vec<_> = routes.iter().map(|row| (row["route"].as_str().unwrap(), &row["requests"])).collect();
    assert_eq!((found[0], found.len()), (("rest", &json!(8)), 3));
    assert_eq!(
        (&routes[0]["listener"], &routes[0]["pool"], &routes[0]["statuses"]),
        (&json!("web"), &json!("app"), &json!({ "2xx": 7, "4xx": 1 }))
    );
    let (p50, p99) = (&routes[0]["duration"]["p50"], &routes[0]["duration"]["p99"]);
    assert!(p50.as_f64().unwrap() > 0.0 && p99.as_f64() >= p50.as_f64(), "{told}");
    let pools = told["byPool"].as_array().unwrap();
    let bad_pool = pools.iter().find(|row| row["pool"] == "bad").unwrap();
    assert_eq!((&bad_pool["requests"], &bad_pool["failures"]), (&json!(1), &json!(0)));
    let slow: Vec<_> = told["slowest"].as_array().unwrap().iter().map(|row| &row["server"]).collect();
    assert_eq!(slow.len(), 2, "{told}");
    let failing = told["mostFailing"].as_array().unwrap();
    assert_eq!((failing.len(), &failing[0]["pool"]), (1, &json!("bad")), "{told}");
    assert_eq!((&failing[0]["failed"], &failing[0]["share"]), (&json!(1), &json!(1.0)));
    assert!(told["rates"]["5m"]["requests"].is_f64(), "{told}");
    let latency = &told["latency"];
    assert!(latency["max"].as_f64() >= latency["p95"].as_f64() && latency["p95"].is_f64(), "{told}");
    for (method, count) in [("GET", "7"), ("PUT", "1"), ("POST", "0"), ("other", "1"), ("refused", "1")] {
        let sample = format!("loadweaver_methods_total{{method=\"{method}\"}}");
        assert_eq!(value(&operator, &sample), count, "{method}");
    }
}

#[test]
fn retries_are_told_by_what_they_were_made_for() {
    let ill = Origin::by_request(|_| reply_with(503, &[], "x"));
    let well = Origin::named("well");
    let balancer = start(
        &[nobody(), ill.address(), well.address()],
        &json!({ "pools": { "app": {
            "healthCheck": { "type": "off" },
            "passiveHealth": { "failures": 100 },
            "retry": { "attempts": 3, "on": ["connect_failure", "503"], "budgetPercent": 100 },
        } } }),
    );
    // Each server in turn is the first one that is asked.
    let mut client = balancer.client();
    for _ in 0..3 {
        assert_eq!(client.get("/").body, b"well");
    }
    let operator = balancer.operator();
    let count = |reason: &str| -> u64 {
        value(&operator, &format!("loadweaver_retries_total{{reason=\"{reason}\"}}")).parse().unwrap()
    };
    let (refused, status) = (count("connect_refused"), count("503"));
    assert!(refused > 0 && status > 0, "{refused} {status}");
    eventually("all are counted", || operator.data("/api/metrics/requests")["retries"] == refused + status);
    assert_eq!((count("response_timeout"), count("unavailable")), (0, 0));
}

#[test]
fn connections_to_servers_are_counted_while_they_are_open() {
    let origin = Origin::named("x");
    let balancer =
        start(&[origin.address()], &json!({ "pools": { "app": { "healthCheck": { "type": "off" } } } }));
    let operator = balancer.operator();
    let labels = format!("{{pool=\"app\",server=\"{}\"}}", origin.address());
    let now = || {
        let open = value(&operator, &format!("loadweaver_server_connections{labels}"));
        let idle = value(&operator, &format!("loadweaver_server_idle_connections{labels}"));
        (open, idle)
    };
    let is = |open: u32, idle: u32| now() == (open.to_string(), idle.to_string());
    assert!(is(0, 0), "{:?}", now());
    balancer.get("/");
    eventually("one is open and kept", || is(1, 1));
    balancer.get("/");
    let reused = format!("loadweaver_server_connections_reused_total{labels}");
    eventually("it served again", || value(&operator, &reused) == "1");
    origin.cut_all();
    eventually("it is gone", || is(0, 0));
}
