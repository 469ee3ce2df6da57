//! The admin API against the running binary: what is asked for happens, is seen, is in the file, and nothing else.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use loadweaver_testkit::config::{merge, one_pool};
use loadweaver_testkit::gzip;
use loadweaver_testkit::origin::reply;
use loadweaver_testkit::{Balancer, Operator, Origin, eventually};
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_loadweaver");

fn balancer(patch: &Value) -> Balancer {
    let servers = json!([{"host": "127.0.0.1", "port": 3001}, {"host": "127.0.0.1", "port": 3002}]);
    let mut config = one_pool(&[], &json!({"pools": {"app": {"servers": servers}}}));
    merge(&mut config, patch);
    Balancer::start(BINARY, &config)
}

fn ids(operator: &Operator, path: &str) -> Vec<String> {
    let servers = operator.data(path);
    servers.as_array().unwrap().iter().map(|server| server["serverId"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn what_makes_no_sense_is_refused_with_a_place_and_a_remedy_and_changes_nothing() {
    let balancer = balancer(&json!({}));
    let operator = balancer.operator();
    let before = balancer.config_text();
    let cases: [(&str, &str, Value, u16, &str); 13] = [
        ("POST", "/api/servers", json!({"hst": "a", "port": 1}), 422, "did you mean \\\"host\\\"?"),
        ("POST", "/api/servers", json!({"host": "a", "port": "x"}), 422, "/port"),
        ("POST", "/api/servers", json!({"host": "a", "port": 0}), 422, "/pools/app/servers/2/port"),
        ("POST", "/api/servers", json!({"host": "127.0.0.1", "port": 3001}), 409, "already"),
        ("POST", "/api/servers", json!({"host": "a", "port": 1, "pool": "nope"}), 404, "nope"),
        ("POST", "/api/servers", json!(["a"]), 422, "not an object"),
        (
            "PUT",
            "/api/servers/127.0.0.1:3001/weight",
            json!({"weight": 1001}),
            422,
            "/pools/app/servers/0/weight",
        ),
        ("PUT", "/api/servers/127.0.0.1:3001/weight", json!({}), 422, "missing"),
        ("PUT", "/api/servers/10.0.0.1:1/weight", json!({"weight": 1}), 404, "no server"),
        ("PUT", "/api/algorithm", json!({"algorithm": "round_robbin"}), 422, "round_robin"),
        ("PUT", "/api/pools/app", json!({"servers": []}), 422, "no server"),
        ("POST", "/api/routes", json!({"pool": "ap"}), 422, "did you mean"),
        ("POST", "/api/config/rollback", json!({"version": 99}), 404, "99"),
    ];
    for (method, path, body, status, text) in cases {
        let answer = operator.must(status, method, path, &body);
        assert!(answer.to_string().contains(text), "{method} {path} {body}: {answer}");
    }
    operator.must(404, "POST", "/api/config/confirm", &Value::Null);
    assert_eq!(operator.tag(), "\"1\"");
    assert_eq!(balancer.config_text(), before);
}

#[test]
fn a_patch_that_moves_servers_by_their_places_moves_them() {
    let servers: Vec<Value> =
        [3001, 3002, 3003].map(|port| json!({"host": "127.0.0.1", "port": port})).into();
    let other: Vec<Value> = vec![json!({"host": "127.0.0.1", "port": 4001})];
    let balancer = balancer(&json!({
        "pools": { "app": { "servers": servers }, "b": { "servers": other } },
        "routes": [{ "name": "b", "match": { "path": "/b" }, "pool": "b" }, { "pool": "app" }],
    }));
    let operator = balancer.operator();
    let patch = |steps: &Value| {
        let kind = "Content-Type: application/json-patch+json\r\n";
        operator.ask("PATCH", "/api/config", kind, &steps.to_string()).status
    };
    let ports = |pool: &str| {
        let config = operator.data("/api/config");
        let servers = config["pools"][pool]["servers"].as_array().unwrap().clone();
        servers.iter().map(|server| server["port"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    let new = json!({"host": "127.0.0.1", "port": 3009});
    let steps = json!([
        {"op": "add", "path": "/pools/app/servers/-", "value": new},
        {"op": "remove", "path": "/pools/app/servers/1"},
    ]);
    assert_eq!((patch(&steps), ports("app")), (200, vec![3001, 3003, 3009]));
    let steps = json!([{"op": "move", "from": "/pools/app/servers/0", "path": "/pools/app/servers/-"}]);
    assert_eq!((patch(&steps), ports("app")), (200, vec![3003, 3009, 3001]));
    let steps = json!([
        {"op": "move", "from": "/pools/app/servers/0", "path": "/pools/b/servers/-"},
        {"op": "move", "from": "/pools/b/servers/0", "path": "/pools/app/servers/-"},
        {"op": "add", "path": "/pools/app/slowStart", "value": "1s"},
    ]);
    assert_eq!((patch(&steps), ports("app"), ports("b")), (200, vec![3009, 3001, 4001], vec![3003]));
    let steps = json!([
        {"op": "add", "path": "/pools/app/servers/-", "value": {"bogus": 1}},
        {"op": "remove", "path": "/pools/app/servers/1"},
    ]);
    assert_eq!((patch(&steps), ports("app")), (422, vec![3009, 3001, 4001]));
}

#[test]
fn bodies_and_parameters_that_cannot_be_read_are_told_apart() {
    let balancer = balancer(&json!({}));
    let operator = balancer.operator();
    let json = "Content-Type: application/json\r\n";
    let status =
        |method: &str, path: &str, lines: &str, body: &str| operator.ask(method, path, lines, body).status;
    assert_eq!(status("POST", "/api/servers", json, "{\"host\": "), 400);
    assert_eq!(status("POST", "/api/servers", json, "{\"host\": \"a\", \"host\": \"b\", \"port\": 1}"), 400);
    assert_eq!(status("POST", "/api/servers", "", "{}"), 415);
    assert_eq!(
        status("POST", "/api/servers", "Content-Type: application/x-www-form-urlencoded\r\n", "host=a"),
        415
    );
    assert_eq!(status("PATCH", "/api/config", json, "{}"), 415);
    let long = format!("{{\"host\": \"{}\", \"port\": 1}}", "a".repeat(1024 * 1024));
    assert_eq!(status("POST", "/api/servers", json, &long), 413);
    // The whole configuration may be longer than that; it is only wrong.
    assert_eq!(status("PUT", "/api/config", json, &long), 422);
    assert_eq!(status("PUT", "/api/config?dryrun=true", json, "{}"), 400);
    assert_eq!(status("PUT", "/api/config?dryRun=yes", json, "{}"), 400);
    assert_eq!(status("PUT", "/api/config?confirm=60", json, "{}"), 400);
    assert_eq!(status("PUT", "/api/config?confirm=2d", json, "{}"), 400);
    assert_eq!(status("PUT", "/api/config", "Content-Type: application/json\r\nIf-Match: 1\r\n", "{}"), 400);
    let wrong = operator.ask("PATCH", "/api/servers", "", "");
    assert_eq!(wrong.status, 405);
    assert_eq!(wrong.fields.get("allow"), Some("GET,HEAD,POST"));
    let head = operator.ask("HEAD", "/api/servers", "", "");
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(operator.tag(), "\"1\"");
}

#[test]
fn patches_change_what_they_name() {
    let balancer = balancer(&json!({}));
    let operator = balancer.operator();
    let patch = |kind: &str, body: &Value| {
        let line = format!("Content-Type: application/{kind}+json\r\n");
        operator.ask("PATCH", "/api/config", &line, &body.to_string())
    };
    let merge = json!({"pools": {"app": {"algorithm": "random", "healthCheck": null}}});
    assert_eq!(patch("merge-patch", &merge).status, 200);
    let now = operator.data("/api/config");
    assert_eq!(now["pools"]["app"]["algorithm"], "random");
    assert!(now["pools"]["app"].get("healthCheck").is_none());
    let steps = json!([
        {"op": "test", "path": "/pools/app/algorithm", "value": "random"},
        {"op": "move", "from": "/pools/app/servers/1", "path": "/pools/app/servers/0"},
        {"op": "remove", "path": "/pools/app/algorithm"},
    ]);
    assert_eq!(patch("json-patch", &steps).status, 200);
    assert_eq!(ids(&operator, "/api/servers"), ["127.0.0.1:3002", "127.0.0.1:3001"]);
    let failing = json!([
        {"op": "remove", "path": "/pools/app/servers/0"},
        {"op": "test", "path": "/pools/app/servers/0/port", "value": 1},
    ]);
    let answer = patch("json-patch", &failing);
    assert_eq!(answer.status, 409, "{answer:?}");
    assert_eq!(ids(&operator, "/api/servers").len(), 2, "a patch is done whole or not at all");
    assert_eq!(patch("json-patch", &json!({"op": "remove"})).status, 422);
}

#[test]
fn pools_and_routes_come_and_go_and_what_was_implied_stays_true() {
    let origins = [Origin::answering(reply(200, "app")), Origin::answering(reply(200, "api"))];
    let balancer = Balancer::start(BINARY, &one_pool(&[origins[0].address()], &json!({})));
    let operator = balancer.operator();
    let api = json!({
        "name": "api",
        "servers": [{"host": "127.0.0.1", "port": origins[1].port()}],
        "healthCheck": {"type": "off"},
    });
    operator.must(201, "POST", "/api/pools", &api);
    operator.must(409, "POST", "/api/pools", &api);
    assert_eq!(
        balancer.get("/v1/x").text(),
        "app",
        "one pool implied a route to it, and it still leads there"
    );
    operator.must(
        201,
        "POST",
        "/api/routes?before=default",
        &json!({"name": "v1", "match": {"path": "/v1/"}, "pool": "api"}),
    );
    assert_eq!(
        (balancer.get("/v1/x").text(), balancer.get("/").text()),
        ("api".to_owned(), "app".to_owned())
    );
    let routes = operator.data("/api/routes");
    assert_eq!((&routes[0]["name"], &routes[1]["name"]), (&json!("v1"), &json!("default")));
    operator.must(409, "DELETE", "/api/pools/api", &Value::Null);
    operator.must(200, "PUT", "/api/routes/v1", &json!({"match": {"path": "/v2/"}, "pool": "api"}));
    assert_eq!(
        (balancer.get("/v1/x").text(), balancer.get("/v2/x").text()),
        ("app".to_owned(), "api".to_owned())
    );
    // What is read can be sent back.
    let pool = operator.data("/api/pools/api");
    assert_eq!((&pool["total"], &pool["servers"][0]["port"]), (&json!(1), &json!(origins[1].port())));
    let same = operator.must(200, "PUT", "/api/pools/api", &pool["config"]);
    assert_eq!(same["data"]["changes"], json!([]), "{same}");
    operator.must(200, "DELETE", "/api/routes/v1", &Value::Null);
    operator.must(200, "DELETE", "/api/pools/api", &Value::Null);
    assert_eq!(operator.data("/api/pools").as_array().unwrap().len(), 1);
    operator.must(409, "DELETE", "/api/pools/app", &Value::Null);
    operator.must(409, "DELETE", "/api/routes/default", &Value::Null);
    operator.must(409, "DELETE", &format!("/api/servers/{}", origins[0].address()), &Value::Null);
    assert_eq!(balancer.get("/v1/x").text(), "app");
}

#[test]
fn a_listener_that_cannot_be_bound_is_a_conflict_and_changes_nothing() {
    let balancer = balancer(&json!({}));
    let operator = balancer.operator();
    let mut wanted = operator.data("/api/config");
    wanted["listeners"]["taken"] = json!({"bind": balancer.admin().to_string()});
    let (status, answer) = operator.send("PUT", "/api/config", &wanted);
    assert!(matches!(status, 409 | 422), "{answer}");
    let elsewhere = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    wanted["listeners"]["taken"] = json!({"bind": elsewhere.local_addr().unwrap().to_string()});
    let answer = operator.must(409, "PUT", "/api/config", &wanted);
    assert_eq!(answer["error"]["code"], "cannot_bind");
    assert_eq!(operator.tag(), "\"1\"");
}

#[test]
fn webhooks_and_recoveries_are_seen_and_set_going() {
    let hook = Origin::answering(reply(200, "taken"));
    let webhook = json!({"name": "ops", "url": format!("http://{}/hook", hook.address()), "secret": "a-secret-of-ours"});
    let balancer = balancer(&json!({"webhooks": [webhook]}));
    let operator = balancer.operator();
    assert_eq!(operator.data("/api/config")["webhooks"][0]["secret"], "***");
    let sent = operator.must(202, "POST", "/api/webhooks/ops/test", &Value::Null);
    let id = sent["data"]["delivery"].as_str().unwrap().to_owned();
    let delivery = || {
        let view = operator.data("/api/webhooks")[0].clone();
        let found = view["deliveries"].as_array().unwrap().iter().find(|each| each["id"] == *id).cloned();
        found.unwrap_or_default()
    };
    eventually("the test is delivered", || delivery()["state"] == "delivered");
    assert_eq!(delivery()["status"], 200);
    operator.must(202, "POST", &format!("/api/webhooks/ops/deliveries/{id}/redeliver"), &Value::Null);
    operator.must(404, "POST", "/api/webhooks/other/test", &Value::Null);
    operator.must(404, "POST", "/api/webhooks/ops/deliveries/none/redeliver", &Value::Null);
    assert_eq!(operator.data("/api/recoveries"), json!([]));
    operator.must(409, "POST", "/api/servers/127.0.0.1:3001/recover", &Value::Null);
    operator.must(404, "POST", "/api/servers/127.0.0.1:1/recover", &Value::Null);
    // What runs programs on the host comes from the file alone.
    let mut config = operator.data("/api/config");
    config["pools"]["app"]["recovery"] = json!({"action": "command", "command": ["/bin/true"]});
    let refused = operator.must(403, "PUT", "/api/config", &config);
    assert_eq!(refused["error"]["code"], "runs_on_host", "{refused}");
}

#[test]
fn long_answers_are_packed_for_whoever_takes_that_and_short_ones_for_nobody() {
    let many: Vec<Value> = (1..200).map(|port| json!({"host": "127.0.0.1", "port": 3000 + port})).collect();
    let balancer = balancer(&json!({"pools": {"app": {"servers": many, "healthCheck": {"type": "off"}}}}));
    let operator = balancer.operator();
    let long = "/api/servers";
    let packed = operator.ask("GET", long, "Accept-Encoding: br, gzip\r\n", "");
    assert_eq!(packed.status, 200);
    assert_eq!(packed.fields.get("content-encoding"), Some("gzip"));
    assert_eq!(packed.fields.get("vary"), Some("accept-encoding"));
    assert!(packed.body.len() < 20_000, "{}", packed.body.len());
    let unpacked: Value = serde_json::from_str(&gzip::unpacked(&packed.body)).unwrap();
    assert_eq!(unpacked["data"].as_array().unwrap().len(), 199);
    for (path, lines) in
        [(long, ""), (long, "Accept-Encoding: gzip;q=0\r\n"), ("/livez", "Accept-Encoding: gzip\r\n")]
    {
        let plain = operator.ask("GET", path, lines, "");
        assert_eq!((plain.status, plain.fields.get("content-encoding")), (200, None), "{path} {lines}");
    }
}
