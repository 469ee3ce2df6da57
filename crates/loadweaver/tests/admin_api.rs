//! The admin API against the running binary: what is asked for happens, is seen, is in the file, and nothing else.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::thread;

use loadweaver_testkit::config::{merge, one_pool};
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
fn a_change_for_another_version_is_told_what_changed_since() {
    let balancer = balancer(&json!({}));
    let operator = balancer.operator();
    let tag = operator.tag();
    let weight = |tag: &str, weight: u32| {
        operator.send_if("PUT", "/api/servers/127.0.0.1:3001/weight", tag, &json!({"weight": weight}))
    };
    assert_eq!(weight(&tag, 2).0, 200);
    let (status, stale) = weight(&tag, 3);
    assert_eq!(status, 412, "{stale}");
    assert_eq!(stale["error"]["currentVersion"], 2);
    assert_eq!(stale["error"]["since"].as_array().unwrap().len(), 1, "{stale}");
    assert_eq!(weight("W/\"2\"", 3).0, 412);
    assert_eq!(weight("\"another\"", 3).0, 412);
    assert_eq!(weight("*", 4).0, 200);
    assert_eq!(weight(&operator.tag(), 5).0, 200);
    assert_eq!(operator.data("/api/servers/127.0.0.1:3001")["weight"], 5);
}

#[test]
fn of_a_hundred_writers_at_once_none_is_lost() {
    let balancer = balancer(&json!({}));
    let operator = balancer.operator();
    let writers: Vec<_> = (0..100)
        .map(|number| {
            let operator = operator.clone();
            thread::spawn(move || {
                let server = json!({"host": "127.0.0.1", "port": 4000 + number});
                // As one does with a conditional write: read, write, and again when somebody was faster.
                for tries in 1.. {
                    let (status, value) = operator.send_if("POST", "/api/servers", &operator.tag(), &server);
                    match status {
                        201 => return (value["data"]["version"].as_u64().unwrap(), tries),
                        412 | 503 => {}
                        _ => panic!("{status} {value}"),
                    }
                }
                unreachable!()
            })
        })
        .collect();
    let outcomes: Vec<(u64, u32)> = writers.into_iter().map(|writer| writer.join().unwrap()).collect();
    let versions: HashSet<u64> = outcomes.iter().map(|(version, _)| *version).collect();
    assert_eq!(versions, (2..=101).collect(), "each accepted change is a version of its own");
    assert!(outcomes.iter().any(|(_, tries)| *tries > 1), "nobody was ever late, so nothing was tried");
    let wanted: HashSet<String> =
        [3001, 3002].into_iter().chain(4000..4100).map(|port| format!("127.0.0.1:{port}")).collect();
    assert_eq!(ids(&operator, "/api/servers").into_iter().collect::<HashSet<_>>(), wanted);
    let file: Value = serde_json::from_str(&balancer.config_text()).unwrap();
    assert_eq!(file["pools"]["app"]["servers"].as_array().unwrap().len(), 102);
}

#[test]
fn a_dry_run_says_what_would_change_and_changes_nothing() {
    let balancer = balancer(&json!({}));
    let operator = balancer.operator();
    let before = balancer.config_text();
    let mut wanted = operator.data("/api/config");
    wanted["pools"]["app"]["algorithm"] = json!("least_connections");
    wanted["listeners"]["second"] = json!({"bind": "127.0.0.1:0"});
    let answer = operator.must(200, "PUT", "/api/config?dryRun=true", &wanted);
    let data = &answer["data"];
    assert_eq!(
        (&data["applied"], &data["saved"], &data["version"]),
        (&json!(false), &json!(false), &json!(2))
    );
    assert!(!data["changes"].as_array().unwrap().is_empty(), "{data}");
    operator.must(200, "POST", "/api/servers?dryRun=true", &json!({"host": "127.0.0.1", "port": 3009}));
    operator.must(422, "POST", "/api/servers?dryRun=true", &json!({"host": "127.0.0.1", "port": 0}));
    assert_eq!(operator.tag(), "\"1\"");
    assert_eq!(operator.data("/api/metrics")["algorithm"], "round_robin");
    assert_eq!(ids(&operator, "/api/servers").len(), 2);
    assert_eq!(balancer.config_text(), before);
}

#[test]
fn a_dry_run_counts_what_is_alive_and_would_be_touched() {
    let origin = Origin::start(|connection| {
        connection.read_request()?;
        connection.hang()
    });
    let patch = json!({"listeners": {"side": {"bind": "127.0.0.1:0"}}, "timeouts": {"drain": "7s"},
                       "pools": {"app": {"servers": [{"id": "busy", "host": "127.0.0.1", "port": origin.port()},
                                                     {"id": "other", "host": "127.0.0.1", "port": 9, "weight": 0}]}}});
    let balancer = Balancer::start(BINARY, &one_pool(&[], &patch));
    let operator = balancer.operator();
    let mut clients =
        [(); 2].map(|()| loadweaver_testkit::RawClient::connect(balancer.listener("side").unwrap()));
    for client in &mut clients {
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    }
    origin.wait_for_requests(2);
    let mut wanted = operator.data("/api/config");
    wanted["listeners"].as_object_mut().unwrap().shift_remove("side");
    wanted["pools"]["app"]["servers"].as_array_mut().unwrap().remove(0);
    wanted["pools"]["app"]["servers"][0]["weight"] = json!(1);
    let answer = operator.must(200, "PUT", "/api/config?dryRun=true", &wanted);
    let touched: Vec<&str> =
        answer["data"]["touched"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
    assert_eq!(touched.len(), 2, "{touched:?}");
    assert!(touched[0].contains("side") && touched[0].contains("2 client connections"), "{touched:?}");
    assert!(touched[1].contains("busy") && touched[1].contains("2 exchanges have 7s"), "{touched:?}");
}

#[test]
fn a_change_that_nobody_confirms_is_undone_and_one_that_is_stays() {
    let balancer = balancer(&json!({}));
    let operator = balancer.operator();
    let before = balancer.config_text();
    let algorithm = || operator.data("/api/metrics")["algorithm"].clone();
    let wanted = json!({"algorithm": "random"});
    let tried = operator.must(200, "PUT", "/api/algorithm?confirm=100ms", &wanted);
    assert!(tried["data"]["confirmUntil"].is_string(), "{tried}");
    assert_eq!(tried["data"]["saved"], false);
    eventually("the change is undone", || algorithm() == "round_robin");
    assert_eq!(balancer.config_text(), before);

    operator.must(200, "PUT", "/api/algorithm?confirm=1h", &wanted);
    assert_eq!(algorithm(), "random");
    assert!(operator.data("/api/config/versions")["confirmUntil"].is_string());
    // Two trials at once would leave it open what to go back to.
    operator.must(409, "PUT", "/api/servers/127.0.0.1:3001/weight", &json!({"weight": 2}));
    let kept = operator.must(200, "POST", "/api/config/confirm", &Value::Null);
    assert_eq!(kept["data"]["saved"], true, "{kept}");
    assert!(operator.data("/api/config/versions")["confirmUntil"].is_null());
    assert!(balancer.config_text().contains("\"random\""));
    operator.must(404, "POST", "/api/config/confirm", &Value::Null);
}

#[test]
fn a_rollback_is_a_new_version_with_the_old_text() {
    let balancer = balancer(&json!({}));
    let operator = balancer.operator();
    let before = balancer.config_text();
    operator.must(200, "DELETE", "/api/servers/127.0.0.1:3002", &Value::Null);
    operator.must(200, "PUT", "/api/algorithm", &json!({"algorithm": "random"}));
    let back = operator.must(200, "POST", "/api/config/rollback", &json!({"version": 1}));
    assert_eq!(back["data"]["version"], 4);
    assert_eq!(balancer.config_text(), before);
    assert_eq!(ids(&operator, "/api/servers").len(), 2);
    let versions = operator.data("/api/config/versions");
    assert_eq!(versions["current"], 4);
    let numbers: Vec<u64> = versions["versions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|each| each["version"].as_u64().unwrap())
        .collect();
    assert_eq!(numbers, [4, 3, 2, 1]);
    assert_eq!(versions["versions"][3]["origin"], "start");
    assert_eq!(versions["versions"][0]["origin"], "api");
}

#[test]
fn an_edit_leaves_every_other_byte_as_it_was_written() {
    let balancer = Balancer::start_with(
        BINARY,
        &one_pool(&["127.0.0.1:3001".parse().unwrap()], &json!({})),
        &[("APP_PORT", "3002")],
    );
    let operator = balancer.operator();
    let odd = "{ \"workers\":1,\r\n\t\"listeners\" : {\"web\":{ \"bind\": \"127.0.0.1:0\"}},\n \"admin\": {\"bind\":\"127.0.0.1:0\" },\n\
        \"pools\": {\"app\": { \"healthCheck\":{\"type\":\"off\"}, \"servers\": [\n    {\"host\": \"127.0.0.1\", \"port\": 3001, \"weight\": 1},\n\
        {\"host\":\"127.0.0.1\",   \"port\":\"${APP_PORT}\"}\n  ] }\n}}\n\n";
    balancer.write_config_text(odd);
    // Nobody has told it: the edit finds the file changed and takes that in first.
    operator.must(200, "PUT", "/api/servers/127.0.0.1:3001/weight", &json!({"weight": 12}));
    assert_eq!(balancer.config_text(), odd.replace("\"weight\": 1}", "\"weight\": 12}"));
    // A placeholder is shown as it is written, and the id is that of its value.
    assert_eq!(operator.data("/api/config")["pools"]["app"]["servers"][1]["port"], "${APP_PORT}");
    operator.must(200, "PUT", "/api/servers/127.0.0.1:3002/weight", &json!({"weight": 7}));
    let text = balancer.config_text();
    assert!(text.contains("${APP_PORT}") && text.contains("\"weight\": 12}"), "{text}");
    operator.must(200, "DELETE", "/api/servers/127.0.0.1:3002", &Value::Null);
    assert!(!balancer.config_text().contains("APP_PORT"));
}

#[test]
fn a_file_that_may_not_be_written_keeps_the_edit_in_memory_and_says_so() {
    let balancer = balancer(&json!({}));
    let operator = balancer.operator();
    let before = balancer.config_text();
    fs::set_permissions(balancer.config_file(), fs::Permissions::from_mode(0o444)).unwrap();
    let answer = operator.must(200, "PUT", "/api/algorithm", &json!({"algorithm": "random"}));
    assert_eq!(answer["data"]["saved"], false, "{answer}");
    assert!(answer["data"]["notSavedBecause"].as_str().unwrap().contains("config.json"), "{answer}");
    assert_eq!(operator.data("/api/metrics")["algorithm"], "random");
    assert!(operator.data("/api/config/versions")["unsaved"].is_string());
    assert_eq!(balancer.config_text(), before);
    assert_eq!(operator.data("/api/config")["pools"]["app"]["algorithm"], "random");
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
