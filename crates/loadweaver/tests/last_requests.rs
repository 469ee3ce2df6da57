//! The last requests, attempt by attempt, as `GET /api/requests` shows them.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use loadweaver_testkit::config::one_pool;
use loadweaver_testkit::origin::reply;
use loadweaver_testkit::{Balancer, Operator, Origin, eventually};
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_loadweaver");

/// Servers of these ids, not probed, tried in this order by the first request.
fn balancer(servers: &[(&str, u16)], pool: &Value) -> Balancer {
    let servers: Vec<_> =
        servers.iter().map(|(id, port)| json!({"id": id, "host": "127.0.0.1", "port": port})).collect();
    let mut config = one_pool(
        &[],
        &json!({"workers": 2, "pools": {"app": {"servers": servers, "healthCheck": {"type": "off"}}}}),
    );
    loadweaver_testkit::config::merge(&mut config, pool);
    Balancer::start(BINARY, &config)
}

/// A port where nobody listens.
fn nobody() -> u16 {
    let gone = Origin::named("gone");
    gone.port()
}

/// The record of the only request with this id.
fn record(operator: &Operator, id: &str) -> Value {
    let records = operator.data(&format!("/api/requests/{id}"));
    assert_eq!(records.as_array().unwrap().len(), 1, "{records}");
    records[0].clone()
}

fn ask(balancer: &Balancer, lines: &str) -> loadweaver_testkit::Answer {
    balancer.client().exchange(format!("{lines}Host: a.test\r\nConnection: close\r\n\r\n"))
}

#[test]
fn a_request_that_was_tried_again_tells_each_attempt() {
    let busy = Origin::by_request(|_| reply(503, "busy"));
    let well = Origin::by_request(|_| reply(200, "well"));
    let servers = [("gone", nobody()), ("busy", busy.port()), ("well", well.port())];
    // Nobody is taken out, so that the turns stay where they are.
    let balancer = balancer(&servers, &json!({"pools": {"app": {"passiveHealth": {"failures": 0}}}}));
    let answer = ask(&balancer, "GET /x?y=1 HTTP/1.1\r\nX-Request-Id: tried-1\r\n");
    assert_eq!(answer.status, 200);
    let record = record(&balancer.operator(), "tried-1");
    let told: Vec<_> = record["attempts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|attempt| (attempt["server"].as_str().unwrap(), attempt["outcome"].as_str().unwrap()))
        .collect();
    assert_eq!(told, [("gone", "failed"), ("busy", "set_aside"), ("well", "answered")], "{record}");
    assert_eq!(record["attempts"][0]["failure"], "connect_refused");
    assert_eq!(
        (&record["attempts"][1]["status"], &record["attempts"][2]["status"]),
        (&json!(503), &json!(200))
    );
    for (key, value) in [
        ("requestId", json!("tried-1")),
        ("method", json!("GET")),
        ("host", json!("a.test")),
        ("target", json!("/x?y=1")),
        ("status", json!(200)),
        ("failure", Value::Null),
        ("listener", json!("web")),
        ("route", json!("default")),
        ("pool", json!("app")),
        ("server", json!("well")),
        ("version", json!("HTTP/1.1")),
        ("clientIp", json!("127.0.0.1")),
        ("bytesOut", json!(4)),
    ] {
        assert_eq!(record[key], value, "{key}: {record}");
    }
    let moments: Vec<f64> = record["attempts"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|attempt| [attempt["began"].as_f64().unwrap(), attempt["ended"].as_f64().unwrap()])
        .chain([record["total"].as_f64().unwrap()])
        .collect();
    assert!(moments.is_sorted(), "{moments:?}");
    let summary = record["summary"].as_str().unwrap();
    for part in
        ["was answered with 200", "gone failed (connect_refused)", "busy answered with 503, set aside"]
    {
        assert!(summary.contains(part), "{part}: {summary}");
    }
}

#[test]
fn a_failure_is_found_by_the_id_that_the_client_was_told() {
    let port = nobody();
    let balancer = balancer(
        &[("gone", port)],
        &json!({"routes": [{"match": {"path": "/app"}, "pool": "app"}], "pools": {"app": {"passiveHealth": {"failures": 0}}}}),
    );
    let operator = balancer.operator();
    for (lines, code, attempts) in [
        ("GET /nowhere HTTP/1.1\r\n", "no_route", 0),
        ("GET /app HTTP/1.1\r\n", "connect_refused", 1),
        ("GET /app HTTP/1.1\r\nContent-Length: x\r\n", "bad_framing", 0),
    ] {
        let answer = ask(&balancer, lines);
        assert_eq!(answer.failure(), Some(code));
        let record = record(&operator, answer.fields.get("x-request-id").unwrap());
        assert_eq!(
            (&record["failure"], &record["status"]),
            (&json!(code), &json!(answer.status)),
            "{record}"
        );
        assert_eq!(record["attempts"].as_array().unwrap().len(), attempts, "{record}");
        assert_eq!(record["method"], "GET");
    }
}

#[test]
fn the_newest_come_first_and_failures_can_be_asked_for_alone() {
    let origin =
        Origin::by_request(|request| reply(if request.target.starts_with("/bad") { 500 } else { 200 }, ""));
    // Of two workers either may be the later one to note what it has answered.
    let balancer = balancer(&[("one", origin.port())], &json!({"workers": 1}));
    let operator = balancer.operator();
    for nth in 0..200 {
        let path = if nth % 50 == 0 { "/bad" } else { "/good" };
        let line = format!("GET {path} HTTP/1.1\r\nX-Request-Id: nth-{nth}\r\n");
        assert_eq!(ask(&balancer, &line).status, if nth % 50 == 0 { 500 } else { 200 });
    }
    let ids = |path: &str| {
        let records = operator.data(path);
        let ids =
            records.as_array().unwrap().iter().map(|record| record["requestId"].as_str().unwrap().to_owned());
        ids.collect::<Vec<_>>()
    };
    let newest =
        |count: usize| (0..200).rev().take(count).map(|nth| format!("nth-{nth}")).collect::<Vec<_>>();
    eventually("all are there", || ids("/api/requests?limit=1000") == newest(200));
    assert_eq!(ids("/api/requests"), newest(100));
    assert_eq!(ids("/api/requests?limit=3"), newest(3));
    assert_eq!(ids("/api/requests?failed=true"), ["nth-150", "nth-100", "nth-50", "nth-0"]);
    for query in ["limit=0", "limit=1001", "failed=yes", "fialed=true"] {
        operator.must(400, "GET", &format!("/api/requests?{query}"), &Value::Null);
    }
    operator.must(404, "GET", "/api/requests/nth-200", &Value::Null);
}

#[test]
fn nothing_that_is_shown_holds_a_credential() {
    let origin = Origin::by_request(|_| reply(200, ""));
    let balancer = balancer(&[("one", origin.port())], &json!({}));
    let lines = "GET /x?access_token=hush1&api%4Bey=hush2&y=1 HTTP/1.1\r\nAuthorization: Bearer hush3\r\nCookie: a=hush4\r\nX-Request-Id: secret-1\r\n";
    assert_eq!(ask(&balancer, lines).status, 200);
    let record = record(&balancer.operator(), "secret-1");
    assert_eq!(record["target"], "/x?access_token=***&api%4Bey=***&y=1");
    assert!(!record.to_string().contains("hush"), "{record}");
}
