//! How changes over the admin API go, against the running binary: conditions, trials, versions, the file.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::thread;

use loadweaver_testkit::config::{merge, one_pool};
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
