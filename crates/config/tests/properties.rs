//! What holds for every text whatever.

#![allow(clippy::unwrap_used, clippy::panic)]

use proptest::prelude::*;
use serde_json::{Value, json};

use loadweaver_config::{Issues, MAX_CONFIG_BYTES, Parsed, parse, schema, summary};

/// An environment in which some variables are set, some of them to odd things.
fn environment(name: &str) -> Option<String> {
    match name {
        "A" => Some("1".to_owned()),
        "B" => Some(String::new()),
        "C" => Some("\u{1b}[2J\r\n\"{}${A}".to_owned()),
        _ => None,
    }
}

/// Checks what must hold for any outcome, and hands it on.
fn outcome(text: &[u8]) -> Result<Parsed, Issues> {
    let outcome = parse(text, &environment);
    let said = match &outcome {
        Ok(parsed) => {
            assert!(summary(&parsed.config).ends_with('\n'));
            assert!(!summary(&parsed.config).contains(|c: char| c.is_control() && c != '\n'));
            assert!(!parsed.config.routes.is_empty() && !parsed.config.listeners.is_empty());
            parsed.warnings.clone()
        }
        Err(issues) => {
            assert!(!issues.0.is_empty());
            issues.0.clone()
        }
    };
    let document: Option<Value> = serde_json::from_slice(text).ok();
    for issue in said {
        assert!(!issue.problem.is_empty() && !issue.help.is_empty(), "{issue:?}");
        let shown = issue.to_string();
        assert!(!shown.contains(|c: char| c.is_control() && c != '\n'), "{shown:?}");
        assert_eq!(shown.lines().count(), 3, "{shown}");
        if let Some(document) = &document {
            assert!(document.pointer(&issue.at).is_some(), "{} stands nowhere in {document}", issue.at);
        }
    }
    outcome
}

/// The keys of every object of the schema, and every word of its lists of words.
fn vocabulary() -> Vec<String> {
    fn gather(value: &Value, words: &mut Vec<String>) {
        match value {
            Value::Object(map) => {
                for (key, value) in map {
                    if key == "properties" {
                        words.extend(value.as_object().unwrap().keys().cloned());
                    }
                    gather(value, words);
                }
            }
            Value::Array(list) => list.iter().for_each(|value| gather(value, words)),
            Value::String(word) => words.push(word.clone()),
            _ => {}
        }
    }
    let mut words = Vec::new();
    gather(&schema(), &mut words);
    words.extend(
        ["${A}", "${B:-2}", "${C}", "${D}", "$${A}", "${", "0.0.0.0:80", "::1", "-1s", "*.a"]
            .map(String::from),
    );
    words
}

fn any_json() -> impl Strategy<Value = Value> {
    let words = vocabulary();
    let word = prop_oneof![3 => prop::sample::select(words), 1 => any::<String>()];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (0..700_u16).prop_map(Value::from),
        word.clone().prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::hash_map(word.clone(), inner, 0..6).prop_map(|map| json!(map)),
        ]
    })
}

/// Every key that is let in. Those that still wait for what they turn on are refused, and taken out here.
fn good_file() -> Value {
    let mut file = every_key();
    if let Err(issues) = parse(file.to_string().as_bytes(), &|_| None) {
        for issue in issues.0.iter().filter(|issue| issue.problem.contains("is not in this version yet")) {
            let (section, key) = issue.at.rsplit_once('/').unwrap();
            file.pointer_mut(section).unwrap().as_object_mut().unwrap().remove(key);
        }
    }
    file
}

fn every_key() -> Value {
    json!({
        "workers": 2,
        "listeners": {
            "web": { "bind": "0.0.0.0:8080", "allowConnect": false, "redirectHttps": { "port": 8443, "status": 308 } },
            "secure": { "bind": "0.0.0.0:8443", "hsts": { "maxAge": "1d", "includeSubdomains": true, "preload": false },
                "tls": { "certificates": [{ "cert": "a.pem", "key": "a.key" }], "minVersion": "1.3",
                    "clientCertificates": { "mode": "optional", "caFile": "ca.pem" }, "handshakeTimeout": "10s",
                    "maxHandshakes": 1 } }
        },
        "routes": [
            { "name": "r", "pool": "app",
              "match": { "hosts": ["a.com", "*.b.com"], "path": "/a", "methods": ["GET"], "headers": { "x": "1" } } },
            { "match": { "pathRegex": "^/x" }, "pool": "app" },
            { "match": { "pathExact": "/y" }, "pool": "app" }
        ],
        "pools": { "app": {
            "algorithm": "random",
            "servers": [
                { "id": "one", "host": "a", "port": 1, "weight": 1, "maxConnections": 0, "state": "drain",
                  "recovery": { "action": "process", "command": ["/a", "b"], "stopTimeout": "1s" } },
                { "host": "b", "port": 1 }
            ],
            "healthCheck": { "type": "http", "path": "/", "host": "a", "interval": "5s", "timeout": "3s", "rise": 2,
                "fall": 3, "expectStatus": ["200-399"], "maxLatency": "1s", "startDown": true,
                "method": "POST", "port": 1, "tls": true, "verify": false, "headers": { "x": "1" },
                "expectBody": { "regex": "x" }, "expectHeaders": { "x": "1" }, "fastInterval": "1s", "maxInterval": "1m" },
            "passiveHealth": { "failures": 5, "window": "10s", "onStatus": [503], "hold": "5s" },
            "flapDamping": { "limit": 6, "reuse": 2, "halfLife": "2m" }, "slowStart": "10s", "panicPercent": "off",
            "recovery": { "action": "http", "url": "https://a/", "method": "PUT", "headers": { "x": "1" }, "body": "x",
                "caFile": "ca.pem", "after": "0s", "attempts": 1, "backoff": "1s", "maxBackoff": "1m", "within": "1m",
                "timeout": "1s", "maxConcurrent": 1 },
            "retry": { "attempts": 3, "on": ["reset", "503"], "perTryTimeout": "1s", "budgetPercent": 20,
                "budgetFloor": 3, "bufferBody": "64KiB", "nonIdempotent": false },
            "timeouts": { "connect": "3s", "response": "60s", "idle": "5m", "total": "0s", "tunnel": "1h" },
            "connectionPool": { "maxIdle": 1, "idleTimeout": "60s", "maxRequests": 0, "maxLifetime": "0s" },
            "fallback": { "status": 503, "body": "x", "contentType": "text/plain" },
            "tls": { "verify": true, "serverName": "a", "caFile": "ca.pem", "cert": "a.pem", "key": "a.key",
                "minVersion": "1.2" }
        } },
        "timeouts": { "requestHead": "10s", "idle": "75s", "body": "60s", "send": "60s", "drain": "30s" },
        "limits": { "requestHead": "32KiB", "target": "8KiB", "headers": 100, "responseHead": "64KiB",
            "trailers": "8KiB", "body": 0, "connections": 0, "requestsPerConnection": 0 },
        "trustedProxies": ["10.0.0.0/8"], "forwardedHeaders": "both", "via": "lw",
        "admin": { "bind": "127.0.0.1:9090", "tokens": [{ "token": "0123456789abcdef", "role": "read", "name": "x" }],
            "persist": true, "tls": { "cert": "a.pem", "key": "a.key" }, "origins": ["https://a.com"] },
        "accessLog": { "format": "json", "output": "stdout", "fields": ["time", "requestHeader:x"], "filter": "status >= 500",
            "sample": { "ratio": 0.5, "failures": true }, "rotate": { "maxSize": "1MiB", "keep": 1 },
            "redact": { "defaults": true, "query": ["x"], "headers": ["x"] },
            "syslog": { "facility": "user", "severity": "debug" } },
        "webhooks": [{ "name": "x", "url": "https://a/", "events": ["server_up"], "secret": "x", "format": "slack",
            "timeout": "1s", "attempts": 1, "headers": { "x": "1" }, "caFile": "ca.pem" }],
        "events": { "file": "x", "maxSize": "1MiB", "keep": 1 },
        "tracing": { "endpoint": "https://a", "protocol": "grpc", "headers": { "x": "1" }, "caFile": "ca.pem",
            "sampling": { "ratio": 0.5, "parent": true, "failures": true }, "serviceName": "x", "timeout": "1s",
            "interval": "1s", "batch": 1, "queue": 1 }
    })
}

fn pointers(value: &Value, at: &str, all: &mut Vec<String>) {
    all.push(at.to_owned());
    match value {
        Value::Object(map) => {
            map.iter().for_each(|(key, value)| pointers(value, &format!("{at}/{key}"), all));
        }
        Value::Array(list) => {
            list.iter().enumerate().for_each(|(index, value)| pointers(value, &format!("{at}/{index}"), all));
        }
        _ => {}
    }
}

fn places() -> Vec<String> {
    let mut all = Vec::new();
    pointers(&good_file(), "", &mut all);
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn never_panics_on_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = outcome(&bytes);
    }

    #[test]
    fn never_panics_on_any_text(text in any::<String>()) {
        let _ = outcome(text.as_bytes());
    }

    #[test]
    fn never_panics_on_any_json(value in any_json()) {
        let _ = outcome(value.to_string().as_bytes());
    }

    #[test]
    fn never_panics_on_any_value_anywhere(place in prop::sample::select(places()), value in any_json()) {
        let mut file = good_file();
        *file.pointer_mut(&place).unwrap() = value;
        let _ = outcome(file.to_string().as_bytes());
    }

    #[test]
    fn never_panics_on_a_file_cut_short(share in 0.0..1.0_f64) {
        let text = good_file().to_string();
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
        let end = (text.len() as f64 * share) as usize;
        prop_assert!(outcome(text.as_bytes().get(..end).unwrap()).is_err());
    }

    #[test]
    fn one_wrong_value_hides_no_other(one in prop::sample::select(places()), other in prop::sample::select(places())) {
        prop_assume!(!one.starts_with(&other) && !other.starts_with(&one));
        let mut file = good_file();
        *file.pointer_mut(&one).unwrap() = Value::Null;
        *file.pointer_mut(&other).unwrap() = Value::Null;
        let found = outcome(file.to_string().as_bytes()).unwrap_err();
        for place in [one, other] {
            prop_assert!(found.0.iter().any(|issue| issue.at == place), "nothing about {place} in {found}");
        }
    }
}

#[test]
fn accepts_the_file_that_the_properties_start_from() {
    assert!(outcome(good_file().to_string().as_bytes()).is_ok());
}

#[test]
fn refuses_a_text_of_50_megabytes_without_reading_it() {
    let text = vec![b' '; 50 * 1024 * 1024];
    let issues = parse(&text, &|_| None).unwrap_err();
    assert!(issues.to_string().contains("more than the 16777216 that are read"), "{issues}");
}

#[test]
fn refuses_the_deepest_nesting_that_fits_without_overflowing_the_stack() {
    for open in ["[", "{\"a\":", "[{\"pools\":"] {
        let text = open.repeat(MAX_CONFIG_BYTES / open.len());
        let issues = parse(text.as_bytes(), &|_| None).unwrap_err();
        assert!(issues.to_string().contains("nested deeper than 32 levels"), "{issues}");
    }
}

#[test]
fn refuses_a_text_that_would_become_a_tree_of_millions() {
    let text = format!("[{}0]", "0,".repeat(2_000_000));
    let issues = parse(text.as_bytes(), &|_| None).unwrap_err();
    assert!(issues.to_string().contains("more than 1000000 values"), "{issues}");
}

#[test]
fn shows_a_thousand_issues_and_counts_the_rest() {
    let servers = vec![json!({ "host": "", "port": 0 }); 2_000];
    let file = json!({ "listeners": { "web": { "bind": "0.0.0.0:1" } }, "pools": { "app": { "servers": servers } } });
    let issues = parse(file.to_string().as_bytes(), &|_| None).unwrap_err();
    assert_eq!(issues.0.len(), 1_001);
    assert!(issues.0.last().unwrap().problem.starts_with("3000 more"), "{issues}");
}

#[test]
fn checks_tens_of_thousands_of_routes_and_servers_with_bounded_work() {
    let routes: Vec<Value> =
        (0..20_000).map(|n| json!({ "match": { "hosts": [format!("h{n}.com")] }, "pool": "app" })).collect();
    let servers: Vec<Value> = (0..20_000).map(|n| json!({ "host": format!("s{n}"), "port": 80 })).collect();
    let file = json!({
        "listeners": { "web": { "bind": "0.0.0.0:1" } }, "routes": routes, "pools": { "app": { "servers": servers } }
    });
    let parsed = parse(file.to_string().as_bytes(), &|_| None).unwrap();
    assert_eq!(parsed.config.routes.len(), 20_000);
    assert!(parsed.warnings.iter().any(|warning| warning.problem.contains("too many routes")));
}
