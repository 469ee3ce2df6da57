//! Probes that look at more than a status, from the file to the verdict.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use loadweaver_testkit::config::one_pool_with;
use loadweaver_testkit::origin::reply_with;
use loadweaver_testkit::scratch::Scratch;
use loadweaver_testkit::{Balancer, Origin};
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_loadweaver");

fn wait_for(balancer: &Balancer, state: &str, reason: &str) {
    balancer.wait_for_status(state, |status: &Value| {
        let server = &status["pools"][0]["servers"][0];
        server["state"] == state && server["reason"].as_str().unwrap_or_default().contains(reason)
    });
}

#[test]
fn a_server_whose_answer_says_the_wrong_thing_is_out() {
    let ready = Arc::new(AtomicBool::new(true));
    let seen = Arc::clone(&ready);
    let origin = Origin::by_request(move |request| {
        let good = seen.load(Ordering::SeqCst) && request.fields.get("x-probe") == Some("1");
        let (role, body) = if good { ("X-Role: primary", "{\"lag\": 0}") } else { ("X-Role: standby", "{}") };
        reply_with(200, &[role], body)
    });
    // Its own port: the server's is not the one that is probed.
    let nobody = loadweaver_testkit::peer::free_address();
    let check = |expected: Value| {
        let mut check = json!({
            "type": "http", "method": "PUT", "path": "/ready", "port": origin.port(), "headers": { "x-probe": "1" },
            "interval": "20ms", "fastInterval": "20ms", "maxInterval": "20ms", "rise": 1, "fall": 1,
        });
        loadweaver_testkit::config::merge(&mut check, &expected);
        json!({ "healthCheck": check })
    };
    for (expected, words) in [
        (json!({ "expectBody": { "contains": "\"lag\": 0" } }), "the body does not contain"),
        (json!({ "expectBody": { "regex": "lag.: [0-9]\\b" } }), "nothing in the body matches"),
        (json!({ "expectHeaders": { "X-Role": "primary" } }), "the header x-role is \"standby\""),
    ] {
        ready.store(true, Ordering::SeqCst);
        let balancer = Balancer::start(BINARY, &one_pool_with(&[nobody], &check(expected)));
        wait_for(&balancer, "up", "");
        ready.store(false, Ordering::SeqCst);
        wait_for(&balancer, "down", words);
    }
    assert!(origin.requests().iter().all(|request| request.method == "PUT" && request.target == "/ready"));
}

#[test]
fn a_program_says_whether_a_server_is_well() {
    let folder = Scratch::new();
    let flag = folder.file("well", "");
    let origin = Origin::answering("");
    let script = format!("test -e {} || {{ echo no flag for $0; exit 1; }}", flag.display());
    let check = json!({ "healthCheck": {
        "type": "exec", "command": ["/bin/sh", "-c", script, "{port}"],
        "interval": "20ms", "fastInterval": "20ms", "maxInterval": "20ms", "rise": 1, "fall": 2,
    }});
    let balancer = Balancer::start(BINARY, &one_pool_with(&[origin.address()], &check));
    wait_for(&balancer, "up", "");
    std::fs::remove_file(&flag).unwrap();
    wait_for(&balancer, "down", &format!("/bin/sh exited with status 1: no flag for {}", origin.port()));
    folder.file("well", "");
    wait_for(&balancer, "up", "");
}
