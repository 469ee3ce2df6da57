//! Servers over the admin API, against the running binary: added, seen, weighted, drained, removed.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::HashSet;

use loadweaver_testkit::config::{merge, one_pool};
use loadweaver_testkit::origin::reply;
use loadweaver_testkit::{Balancer, Origin, eventually};
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_loadweaver");

fn balancer(patch: &Value) -> Balancer {
    let servers = json!([{"host": "127.0.0.1", "port": 3001}, {"host": "127.0.0.1", "port": 3002}]);
    let mut config = one_pool(&[], &json!({"pools": {"app": {"servers": servers}}}));
    merge(&mut config, patch);
    Balancer::start(BINARY, &config)
}

#[test]
fn a_server_that_is_added_gets_traffic_is_in_the_file_and_goes_again() {
    let origins = [Origin::answering(reply(200, "one")), Origin::answering(reply(200, "two"))];
    let balancer = Balancer::start(BINARY, &one_pool(&[origins[0].address()], &json!({})));
    let operator = balancer.operator();
    let before = balancer.config_text();
    let added = json!({"host": "127.0.0.1", "port": origins[1].port(), "weight": 2});
    let answer =
        operator.ask("POST", "/api/servers", "Content-Type: application/json\r\n", &added.to_string());
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(answer.fields.get("etag"), Some("\"2\""));
    let place = answer.fields.get("location").unwrap().to_owned();
    let data = serde_json::from_slice::<Value>(&answer.body).unwrap()["data"].clone();
    let id = format!("127.0.0.1:{}", origins[1].port());
    for (key, value) in [
        ("serverId", json!(id)),
        ("host", json!("127.0.0.1")),
        ("port", json!(origins[1].port())),
        ("weight", json!(2)),
        ("pool", json!("app")),
        ("status", json!("unknown")),
        ("saved", json!(true)),
        ("version", json!(2)),
    ] {
        assert_eq!(data[key], value, "{key} in {data}");
    }
    assert!(data["addedAt"].as_str().unwrap().ends_with('Z'));
    // In force when the answer comes: the next requests already go there too.
    let answers: HashSet<String> = (0..4).map(|_| balancer.get("/").text()).collect();
    assert_eq!(answers.len(), 2, "{answers:?}");
    assert_eq!(operator.data(&place)["weight"], 2);
    let file: Value = serde_json::from_str(&balancer.config_text()).unwrap();
    assert_eq!(
        file["pools"]["app"]["servers"][1],
        json!({"host": "127.0.0.1", "port": origins[1].port(), "weight": 2})
    );

    let removed = operator.must(200, "DELETE", &format!("/api/servers/{id}"), &Value::Null);
    assert_eq!(removed["data"]["version"], 3);
    assert_eq!(balancer.config_text(), before, "what was added and removed leaves no trace");
    assert_eq!(operator.get(&format!("/api/servers/{id}")).0, 404);
    assert_eq!((0..4).map(|_| balancer.get("/").text()).collect::<HashSet<_>>().len(), 1);
}

#[test]
fn ids_are_percent_decoded_and_may_stand_in_several_pools() {
    let server = |id: &str, port: u16| json!({"id": id, "host": "127.0.0.1", "port": port});
    let pools = json!({
        "app": {"servers": [server("a", 3001), server("eu:1[a]@b", 3002)]},
        "api": {"servers": [server("a", 3003)], "healthCheck": {"type": "off"}},
    });
    let routes = json!([{"match": {"path": "/api/"}, "pool": "api"}, {"pool": "app"}]);
    let balancer = balancer(&json!({"pools": pools, "routes": routes}));
    let operator = balancer.operator();
    for id in ["eu%3A1%5Ba%5D%40b", "eu:1%5ba%5d@b"] {
        assert_eq!(operator.data(&format!("/api/servers/{id}"))["serverId"], "eu:1[a]@b");
    }
    let (status, both) = operator.get("/api/servers/a");
    assert_eq!(status, 409);
    let message = both["error"]["message"].as_str().unwrap();
    assert!(message.contains("app") && message.contains("api"), "{message}");
    assert_eq!(operator.data("/api/servers/a?pool=api")["port"], 3003);
    operator.must(409, "PUT", "/api/servers/a/weight", &json!({"weight": 3}));
    operator.must(200, "PUT", "/api/servers/a/weight?pool=api", &json!({"weight": 3}));
    assert_eq!(operator.data("/api/servers/a?pool=api")["weight"], 3);
    assert_eq!(operator.data("/api/servers/a?pool=app")["weight"], 1);
    assert_eq!(operator.get("/api/servers/a?pool=web").0, 404);
    assert_eq!(operator.get("/api/servers/%ff").0, 400);
    // A POST that does not say which of two pools.
    operator.must(409, "POST", "/api/servers", &json!({"host": "127.0.0.1", "port": 3009}));
}

#[test]
fn the_probe_of_the_pool_can_be_set_with_a_server() {
    let balancer = balancer(&json!({"pools": {"app": {"healthCheck": {"type": "http"}}}}));
    let operator = balancer.operator();
    let server =
        json!({"host": "127.0.0.1", "port": 3003, "healthCheckPath": "/up", "healthCheckInterval": 2500});
    operator.must(201, "POST", "/api/servers", &server);
    let check = operator.data("/api/config")["pools"]["app"]["healthCheck"].clone();
    assert_eq!(check, json!({"type": "http", "path": "/up", "interval": "2500ms"}));
    let health = operator.data("/api/servers/127.0.0.1:3003/health");
    assert_eq!(health["probe"], "http");
    assert_eq!(operator.data("/api/health")["servers"]["total"], 3);
}

#[test]
fn a_drained_server_gets_no_new_requests_until_it_is_active_again() {
    let origins = [Origin::answering(reply(200, "one")), Origin::answering(reply(200, "two"))];
    let balancer = Balancer::start(BINARY, &one_pool(&origins.each_ref().map(Origin::address), &json!({})));
    let operator = balancer.operator();
    let state = format!("/api/servers/{}/state", origins[0].address());
    let answers = || (0..6).map(|_| balancer.get("/").text()).collect::<HashSet<_>>();
    assert_eq!(answers().len(), 2);
    for out in ["drain", "maintenance"] {
        operator.must(200, "PUT", &state, &json!({"state": out}));
        assert_eq!(answers(), HashSet::from(["two".to_owned()]), "{out}");
    }
    operator.must(200, "PUT", &state, &json!({"state": "active"}));
    assert_eq!(answers().len(), 2);
    operator.must(422, "PUT", &state, &json!({"state": "off"}));
}

#[test]
fn health_is_shown_with_what_led_to_it() {
    let origin = Origin::answering(reply(200, "well"));
    let check =
        json!({"pools": {"app": {"healthCheck": {"type": "http", "path": "/", "interval": "100ms"}}}});
    let balancer = Balancer::start(BINARY, &one_pool(&[origin.address()], &check));
    let operator = balancer.operator();
    let path = format!("/api/servers/{}/health", origin.address());
    eventually("the server is up", || operator.data(&path)["status"] == "up");
    let health = operator.data(&path);
    assert_eq!(
        (&health["probe"], &health["share"], &health["eligible"]),
        (&json!("http"), &json!(1000), &json!(true))
    );
    assert_eq!(health["uptime"]["1h"], 1.0, "{health}");
    assert!(health["trend"]["recent"]["p95"].is_number(), "{health}");
    let history = health["history"].as_array().unwrap();
    assert!(history.iter().any(|each| each["what"] == "changed" && each["to"] == "up"), "{health}");
    assert!(history.iter().any(|each| each["what"] == "probe_ok" && each["status"] == 200), "{health}");
}
