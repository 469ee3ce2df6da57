//! What the dashboard is served and asks for. How it looks and works in a browser is tested in `dashboard/test`.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::net::SocketAddr;
use std::time::Duration;

use loadweaver_testkit::config::one_pool;
use loadweaver_testkit::eventually::holds_within;
use loadweaver_testkit::load::Load;
use loadweaver_testkit::{Balancer, Operator, Origin};
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_loadweaver");
const READ: &str = "read-0123456789abcdef";
const GET: &str = "GET / HTTP/1.1\r\nHost: test\r\n\r\n";

/// Points of servers are made every ten seconds; on a busy machine that is not all that has to happen.
const POINTS: Duration = Duration::from_secs(90);

/// The parts that the page names.
fn parts(page: &str) -> Vec<String> {
    page.split('"').filter_map(|text| text.strip_prefix("./assets/")).map(str::to_owned).collect()
}

#[test]
fn the_page_and_all_that_it_names_are_open_to_everybody_and_nothing_else_is() {
    let servers: [SocketAddr; 1] = ["127.0.0.1:3001".parse().unwrap()];
    let tokens = json!([{"token": READ, "role": "read", "name": "board"}]);
    let balancer = Balancer::start(BINARY, &one_pool(&servers, &json!({"admin": {"tokens": tokens}})));
    let nobody = balancer.operator();
    let page = nobody.ask("GET", "/", "", "");
    assert_eq!(page.status, 200);
    let policy = page.fields.get("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'; ") && !policy.contains("unsafe"), "{policy}");
    let parts = parts(&page.text());
    assert!(parts.len() >= 3, "{parts:?}");
    for part in &parts {
        let answer = nobody.ask("GET", &format!("/assets/{part}"), "", "");
        assert_eq!(answer.status, 200, "{part}");
        let kind = answer.fields.get("content-type").unwrap();
        assert!(!kind.starts_with("text/plain"), "{part}: {kind}");
    }
    for (path, status) in
        [("/assets/nothing.js", 404), ("/?x=1", 400), ("/index.html", 401), ("/api/whoami", 401)]
    {
        assert_eq!(nobody.ask("GET", path, "", "").status, status, "{path}");
    }
    let foreign = nobody.ask("GET", "/", "Host: attacker.example\r\n", "");
    assert_eq!(foreign.status, 403);
    let reader = nobody.with_token(READ);
    assert_eq!(reader.data("/api/whoami"), json!({"token": "board", "role": "read"}));
}

#[test]
fn the_notices_of_what_the_dashboard_is_made_of_are_in_the_binary() {
    let balancer = Balancer::start(
        BINARY,
        &one_pool(&[], &json!({"pools": {"app": {"servers": [{"host": "127.0.0.1", "port": 3001}]}}})),
    );
    let notices = balancer.operator().ask("GET", "/assets/third-party.txt", "", "").text();
    for name in ["preact", "uplot"] {
        assert!(notices.contains(&format!("== {name} ")), "{name}");
    }
    assert!(notices.matches("Permission is hereby granted").count() >= 2);
    assert_eq!(balancer.operator().data("/api/whoami"), json!({"token": null, "role": "write"}));
}

/// The sum of a column, in which what was not measured counts nothing.
fn sum(column: &Value) -> f64 {
    column.as_array().unwrap().iter().filter_map(Value::as_f64).sum()
}

/// As long as the span says.
fn assert_whole(history: &Value, columns: &Value) {
    let points = history["last"].as_i64().unwrap() + 1 - history["first"].as_i64().unwrap();
    for name in ["requests", "errors", "failures", "retries", "active", "up", "p50", "p95", "p99"] {
        assert_eq!(i64::try_from(columns[name].as_array().unwrap().len()).unwrap(), points, "{name}");
    }
}

fn wait_for_points(operator: &Operator, path: &str, enough: impl Fn(&Value) -> bool) -> Value {
    let mut last = Value::Null;
    let came = holds_within(POINTS, || {
        last = operator.data(path);
        enough(&last)
    });
    assert!(came, "{path}: {last}");
    last
}

#[test]
fn history_has_what_happened_and_goes_on_from_where_somebody_was() {
    let origin = Origin::named("hello");
    let balancer = Balancer::start(BINARY, &one_pool(&[origin.address()], &json!({})));
    let operator = balancer.operator();
    let load = Load::start(balancer.address(), 1, GET);
    let busy =
        |history: &Value| sum(&history["node"]["requests"]) > 0.0 && history["last"].as_i64() > Some(3);
    let first = wait_for_points(&operator, "/api/history?step=1", busy);
    assert_whole(&first, &first["node"]);
    assert_whole(&first, &first["pools"][0]);
    assert_eq!((&first["step"], &first["pools"][0]["name"]), (&json!(1), &json!("app")));
    for columns in [&first["node"], &first["pools"][0]] {
        assert!(sum(&columns["requests"]) > 0.0 && sum(&columns["p99"]) > 0.0, "{columns}");
        assert!(sum(&columns["errors"]) < 0.01, "{columns}");
    }
    let seen = first["last"].as_i64().unwrap();
    let path = format!("/api/history?step=1&since={seen}");
    let more = wait_for_points(&operator, &path, |history| history["last"].as_i64() > Some(seen));
    assert_eq!(more["first"], seen + 1);
    assert_whole(&more, &more["node"]);
    // A number of another life.
    let all = operator.data("/api/history?step=1&since=1000000");
    assert!(all["first"].as_i64() <= Some(1), "{}", all["first"]);
    load.stop();
}

#[test]
fn history_of_servers_shows_those_that_were_asked_for_and_adds_the_others_up() {
    let origins: Vec<Origin> = (0..3).map(|_| Origin::named("hello")).collect();
    let servers: Vec<SocketAddr> = origins.iter().map(Origin::address).collect();
    let balancer = Balancer::start(BINARY, &one_pool(&servers, &json!({})));
    let operator = balancer.operator();
    let load = Load::start(balancer.address(), 1, GET);
    let counted = |history: &Value| {
        let totals = history["totals"].as_array().unwrap();
        totals.len() == 3 && totals.iter().all(|total| total["requests"].as_f64() > Some(0.0))
    };
    let path = format!("/api/history/servers?servers={}", servers[1]);
    let one = wait_for_points(&operator, &path, counted);
    load.stop();
    assert_eq!(one["servers"].as_array().unwrap().len(), 1);
    assert_eq!(one["servers"][0]["serverId"], servers[1].to_string());
    assert_eq!(one["rest"]["servers"], 2);
    let (chosen, rest) = (sum(&one["servers"][0]["requests"]), sum(&one["rest"]["requests"]));
    assert!(chosen > 0.0 && rest > chosen * 1.5, "{chosen} {rest}");
    assert!(sum(&one["servers"][0]["latency"]) > 0.0);
    let top = operator.data("/api/history/servers?pool=app&top=2&window=360");
    assert_eq!((top["servers"].as_array().unwrap().len(), &top["rest"]["servers"]), (2, &json!(1)));
    assert_eq!(operator.get("/api/history/servers?pool=other").0, 404);
}

#[test]
fn history_refuses_what_it_does_not_have() {
    let servers: [SocketAddr; 1] = ["127.0.0.1:3001".parse().unwrap()];
    let config = one_pool(
        &servers,
        &json!({"pools": {"api": {"servers": [{"host": "127.0.0.1", "port": 3002}]}},
        "routes": [{"name": "api", "match": {"path": "/api/"}, "pool": "api"}, {"name": "rest", "pool": "app"}]}),
    );
    let balancer = Balancer::start(BINARY, &config);
    let operator = balancer.operator();
    for path in [
        "/api/history?step=2",
        "/api/history?since=-1",
        "/api/history/servers",
        "/api/history/servers?pool=app&window=0",
        "/api/history/servers?pool=app&top=101",
    ] {
        assert_eq!(operator.get(path).0, 400, "{path}");
    }
}

#[test]
fn servers_are_listed_by_whether_they_may_have_traffic() {
    let servers = ["127.0.0.1:3001", "127.0.0.1:3002"].map(|at| at.parse().unwrap());
    let balancer = Balancer::start(BINARY, &one_pool(&servers, &json!({})));
    let operator = balancer.operator();
    let names = |path: &str| -> Vec<String> {
        let servers = operator.data(path);
        servers
            .as_array()
            .unwrap()
            .iter()
            .map(|server| server["serverId"].as_str().unwrap().to_owned())
            .collect()
    };
    assert!(names("/api/servers?eligible=false").is_empty());
    operator.must(200, "PUT", "/api/servers/127.0.0.1:3002/state", &json!({"state": "drain"}));
    assert_eq!(names("/api/servers?eligible=false"), ["127.0.0.1:3002"]);
    assert_eq!(names("/api/servers?eligible=true&pool=app"), ["127.0.0.1:3001"]);
    assert_eq!(operator.get("/api/servers?eligible=maybe").0, 400);
}

#[test]
fn a_servers_day_is_told_piece_by_piece() {
    let servers: [SocketAddr; 1] = ["127.0.0.1:3001".parse().unwrap()];
    let balancer = Balancer::start(BINARY, &one_pool(&servers, &json!({})));
    let health = balancer.operator().data("/api/servers/127.0.0.1:3001/health");
    assert_eq!(health["timeline"]["step"], 360);
    assert_eq!(health["timeline"]["shares"].as_array().unwrap().len(), 241);
}
