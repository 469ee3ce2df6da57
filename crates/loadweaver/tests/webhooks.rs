//! Events leave the process: to a webhook, and into a file.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use aws_lc_rs::hmac;
use loadweaver_testkit::config::one_pool;
use loadweaver_testkit::eventually::PATIENCE;
use loadweaver_testkit::origin::reply;
use loadweaver_testkit::scratch::Scratch;
use loadweaver_testkit::{Balancer, Origin, Request, eventually};
use rustix::process::Signal;
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_loadweaver");
const SECRET: &str = "correct horse battery staple";

fn config(servers: &[&Origin], hook: &Origin, patch: &Value) -> Value {
    let servers: Vec<_> = servers.iter().map(|origin| origin.address()).collect();
    let url = format!("http://{}/hook", hook.address());
    let probes = json!({"type": "tcp", "interval": "100ms", "timeout": "1s", "rise": 1, "fall": 1});
    let mut config = one_pool(
        &servers,
        &json!({
            "pools": {"app": {"healthCheck": probes}},
            "webhooks": [{"name": "ops", "url": url, "secret": "${HOOK_SECRET}"}],
        }),
    );
    loadweaver_testkit::config::merge(&mut config, patch);
    config
}

fn start(config: &Value) -> Balancer {
    Balancer::start_with(BINARY, config, &[("HOOK_SECRET", SECRET)])
}

/// The event that a message tells, if the signature over its bytes is the secret's.
fn told(request: &Request) -> Value {
    let signature = request.fields.get("x-loadweaver-signature").unwrap().strip_prefix("sha256=").unwrap();
    let byte = |at: usize| u8::from_str_radix(&signature[at..at + 2], 16).unwrap();
    let tag: Vec<u8> = (0..signature.len()).step_by(2).map(byte).collect();
    hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes()), &request.body, &tag).unwrap();
    serde_json::from_slice(&request.body).unwrap()
}

fn names(hook: &Origin) -> Vec<String> {
    hook.requests().iter().map(|each| told(each)["event"].as_str().unwrap().to_owned()).collect()
}

#[track_caller]
fn wait_for(hook: &Origin, name: &str) -> Value {
    eventually(&format!("the webhook is told of {name}"), || names(hook).iter().any(|each| each == name));
    hook.requests().iter().map(told).find(|each| each["event"] == name).unwrap()
}

#[test]
fn a_webhook_is_told_of_a_pool_that_goes_down_and_comes_back_once_each() {
    let (server, hook) = (Origin::named("a"), Origin::answering(reply(200, "")));
    let balancer = start(&config(&[&server], &hook, &json!({})));
    assert_eq!(wait_for(&hook, "config_applied")["details"]["origin"], "start");
    wait_for(&hook, "server_up");
    server.refuse();
    let down = wait_for(&hook, "server_down");
    assert_eq!(
        (&down["pool"], &down["server"]["address"]),
        (&json!("app"), &json!(server.address().to_string()))
    );
    assert_eq!(wait_for(&hook, "pool_down")["pool"], "app");
    server.come_back();
    wait_for(&hook, "pool_up");
    let all = names(&hook);
    for name in ["pool_down", "pool_up"] {
        assert_eq!(all.iter().filter(|each| *each == name).count(), 1, "{all:?}");
    }
    assert_eq!(balancer.get("/").text(), "a");
}

#[test]
fn a_change_of_the_file_brings_a_webhook_or_is_refused_whole() {
    let (server, hook, late) =
        (Origin::named("a"), Origin::answering(reply(200, "")), Origin::answering(reply(204, "")));
    let with = |hooks: Value| config(&[&server], &hook, &json!({"webhooks": hooks}));
    let balancer = start(&with(json!([])));
    let entry = |origin: &Origin| json!({"url": format!("http://{}/", origin.address()), "secret": SECRET});
    balancer.write_config(&with(json!([entry(&late)])));
    assert_eq!(wait_for(&late, "config_applied")["details"]["version"], 2);
    let mut wrong = entry(&hook);
    wrong["caFile"] = json!("/proc/nowhere/ca.pem");
    balancer.write_config(&with(json!([entry(&late), wrong])));
    let refused = wait_for(&late, "config_refused");
    assert!(refused["reason"].as_str().unwrap().contains("/proc/nowhere/ca.pem cannot be used"), "{refused}");
    assert_eq!((balancer.version(), hook.accepted()), (2, 0));
}

#[test]
fn the_end_is_told_and_is_in_the_file() {
    let (server, hook, scratch) = (Origin::named("a"), Origin::answering(reply(200, "")), Scratch::new());
    let file = scratch.path().join("events.jsonl");
    let mut balancer = start(&config(&[&server], &hook, &json!({"events": {"file": file}})));
    wait_for(&hook, "server_up");
    let moved = scratch.path().join("moved");
    let lines = |path: &std::path::Path| {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let event =
            |line: &str| serde_json::from_str::<Value>(line).unwrap()["event"].as_str().unwrap().to_owned();
        text.lines().map(event).collect::<Vec<String>>()
    };
    eventually("the server is in the file", || lines(&file).contains(&"server_up".to_owned()));
    std::fs::rename(&file, &moved).unwrap();
    balancer.signal(Signal::USR1);
    balancer.wait_for_log("the file of events is opened anew");
    balancer.terminate();
    assert!(balancer.wait_for_exit(PATIENCE).is_some_and(|status| status.success()));
    let (before, after) = (lines(&moved), lines(&file));
    assert!(before.contains(&"config_applied".to_owned()), "{before:?}");
    assert_eq!(after, ["shutdown_started", "shutdown_finished"]);
    assert!(names(&hook).ends_with(&["shutdown_started".to_owned(), "shutdown_finished".to_owned()]));
}

#[test]
fn a_change_of_the_file_moves_the_events_to_another_one() {
    let (server, hook, scratch) = (Origin::named("a"), Origin::answering(reply(200, "")), Scratch::new());
    let file = scratch.path().join("events.jsonl");
    let with = |events: Value| config(&[&server], &hook, &json!({"events": events}));
    let balancer = start(&with(Value::Null));
    balancer.write_config(&with(json!({"file": "/proc/nowhere/events"})));
    let refused = wait_for(&hook, "config_refused");
    assert!(refused["reason"].as_str().unwrap().contains("/proc/nowhere/events"), "{refused}");
    balancer.write_config(&with(json!({"file": file})));
    eventually("the change itself is in the new file", || {
        std::fs::read_to_string(&file).is_ok_and(|text| text.contains("config_applied"))
    });
}

#[test]
fn a_start_with_a_webhook_that_cannot_be_used_says_why() {
    let (server, hook) = (Origin::named("a"), Origin::answering(reply(200, "")));
    let mut config = config(&[&server], &hook, &json!({}));
    config["webhooks"][0]["caFile"] = json!("/proc/nowhere/ca.pem");
    let scratch = Scratch::new();
    let file = scratch.file("config.json", config.to_string());
    let output = std::process::Command::new(BINARY)
        .args(["run", "--config"])
        .arg(file)
        .env("HOOK_SECRET", SECRET)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("webhook ops: its caFile /proc/nowhere/ca.pem cannot be used"), "{said}");
    assert!(!said.contains(SECRET));
}
