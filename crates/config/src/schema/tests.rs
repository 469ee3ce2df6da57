//! The schema, the checker and the documentation say the same.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod documentation;

use regex::Regex;
use serde_json::{Map, Value, json};

use super::schema;
use crate::shape::{self, Shape};
use crate::{Issue, parse};

/// A file in which every section stands, with as little in it as possible.
fn every_section() -> Value {
    json!({
        "listeners": {
            "web": { "bind": "127.0.0.1:0", "redirectHttps": {}, "proxyProtocol": { "trusted": ["10.0.0.0/8"] } },
            "secure": { "bind": "127.0.0.1:0", "hsts": {},
                "tls": { "certificates": [{ "cert": "a.pem", "key": "a.key" }], "clientCertificates": {} } }
        },
        "routes": [{ "pool": "app", "match": {} }],
        "pools": { "app": {
            "servers": [{ "host": "a", "port": 1 }, { "host": "b", "port": 1 }],
            "healthCheck": {}, "passiveHealth": {},
            "flapDamping": {}, "recovery": { "action": "http", "url": "http://a/" },
            "retry": {}, "timeouts": {}, "connectionPool": {}, "fallback": {}, "tls": {}
        }, "probed": {
            "servers": [{ "host": "a", "port": 1 }],
            "healthCheck": { "type": "http", "expectBody": { "contains": "x" } }
        } },
        "timeouts": {}, "limits": { "http2": {} },
        "admin": {
            "bind": "127.0.0.1:0", "tokens": [{ "token": "0123456789abcdef", "role": "read" }],
            "tls": { "cert": "a.pem", "key": "a.key" }
        },
        "accessLog": { "sample": {}, "rotate": {}, "redact": {}, "syslog": {} }, "webhooks": [{ "url": "https://a/" }], "events": { "file": "events.jsonl" },
        "tracing": { "endpoint": "https://a", "sampling": {} }
    })
}

/// The same for tests that take keys of this shape away: two pools need routes, one does not.
fn sections_for(shape: &Shape) -> Value {
    let mut file = every_section();
    if shape.name == "Configuration" {
        file["pools"].as_object_mut().unwrap().retain(|name, _| name == "app");
    }
    file
}

/// Where the shape stands in [`every_section`].
fn place(shape: &Shape) -> &'static str {
    match shape.name {
        "Configuration" => "",
        "Listener" => "/listeners/web",
        "Route" => "/routes/0",
        "Match" => "/routes/0/match",
        "Pool" => "/pools/app",
        "Server" => "/pools/app/servers/0",
        "HealthCheck" => "/pools/app/healthCheck",
        "ExpectBody" => "/pools/probed/healthCheck/expectBody",
        "PassiveHealth" => "/pools/app/passiveHealth",
        "FlapDamping" => "/pools/app/flapDamping",
        "Recovery" => "/pools/app/recovery",
        "Retry" => "/pools/app/retry",
        "PoolTimeouts" => "/pools/app/timeouts",
        "ConnectionPool" => "/pools/app/connectionPool",
        "ProxyProtocol" => "/listeners/web/proxyProtocol",
        "ListenerTls" => "/listeners/secure/tls",
        "Certificate" => "/listeners/secure/tls/certificates/0",
        "ClientCertificates" => "/listeners/secure/tls/clientCertificates",
        "RedirectHttps" => "/listeners/web/redirectHttps",
        "Hsts" => "/listeners/secure/hsts",
        "PoolTls" => "/pools/app/tls",
        "Fallback" => "/pools/app/fallback",
        "ClientTimeouts" => "/timeouts",
        "Limits" => "/limits",
        "Http2Limits" => "/limits/http2",
        "Admin" => "/admin",
        "Token" => "/admin/tokens/0",
        "AdminTls" => "/admin/tls",
        "Webhook" => "/webhooks/0",
        "EventLog" => "/events",
        "Tracing" => "/tracing",
        "Sampling" => "/tracing/sampling",
        "AccessLog" => "/accessLog",
        "LogSample" => "/accessLog/sample",
        "LogRotation" => "/accessLog/rotate",
        "Redact" => "/accessLog/redact",
        "Syslog" => "/accessLog/syslog",
        other => panic!("no place for {other}"),
    }
}

/// The schema of that kind of object.
fn definition(schema: &Value, shape: &Shape) -> Value {
    if shape.name == schema["title"] { schema.clone() } else { schema["$defs"][shape.name].clone() }
}

fn properties(schema: &Value, shape: &Shape) -> Map<String, Value> {
    definition(schema, shape)["properties"].as_object().unwrap().clone()
}

/// Whether the schema asks for the key, as [`every_section`] has the section.
fn is_needed(definition: &Value, section: &Value, key: &str) -> bool {
    let among = |required: &Value| required.as_array().is_some_and(|keys| keys.contains(&json!(key)));
    let condition = |rule: &Value| {
        let (word, wanted) = rule["if"]["properties"].as_object().unwrap().iter().next().unwrap();
        let holds = match wanted["not"]["pattern"].as_str() {
            Some(pattern) => !Regex::new(pattern).unwrap().is_match(section[word].as_str().unwrap()),
            None => section[word] == wanted["const"],
        };
        holds && among(&rule["then"]["required"])
    };
    let rules = definition["allOf"].as_array().cloned().unwrap_or_default();
    let only_one = section.as_object().is_some_and(|keys| keys.len() == 1 && keys.contains_key(key));
    among(&definition["required"])
        || rules.iter().any(condition)
        || only_one && definition["minProperties"] == 1 && section[key].is_string()
}

/// [`every_section`] with `value` as `key` of the shape.
fn with(shape: &Shape, key: &str, value: Value) -> Value {
    let mut file = every_section();
    file.pointer_mut(place(shape)).unwrap()[key] = value;
    file
}

fn issues(file: &Value) -> Vec<Issue> {
    parse(file.to_string().as_bytes(), &|_| None).map_or_else(|issues| issues.0, |_| Vec::new())
}

/// The issues of this key alone.
fn issues_at(shape: &Shape, key: &str, value: Value) -> Vec<Issue> {
    let at = format!("{}/{key}", place(shape));
    issues(&with(shape, key, value)).into_iter().filter(|issue| issue.at == at).collect()
}

#[test]
fn knows_the_same_keys_as_the_checker() {
    let schema = schema();
    for shape in shape::ALL {
        let mut known: Vec<&str> = shape.keys.to_vec();
        known.sort_unstable();
        let mut in_schema: Vec<String> = properties(&schema, shape).keys().cloned().collect();
        in_schema.sort_unstable();
        assert_eq!(in_schema, known, "{}", shape.name);
        assert_eq!(definition(&schema, shape)["additionalProperties"], false, "{}", shape.name);
    }
    let objects =
        schema["$defs"].as_object().unwrap().iter().filter(|(_, of)| of.get("properties").is_some());
    assert_eq!(objects.count() + 1, shape::ALL.len(), "an object that the checker does not know");
}

#[test]
fn every_key_is_read_by_the_checker() {
    assert_eq!(issues(&every_section()), []);
    for shape in shape::ALL {
        for key in shape.keys {
            let found = issues_at(shape, key, Value::Null);
            assert!(!found.is_empty(), "{} {key}: null is not refused", shape.name);
        }
    }
}

#[test]
fn needs_the_same_keys_as_the_checker() {
    let schema = schema();
    for shape in shape::ALL {
        for key in shape.keys {
            let mut file = sections_for(shape);
            let section = file.pointer_mut(place(shape)).unwrap();
            let needed = is_needed(&definition(&schema, shape), section, key);
            section.as_object_mut().unwrap().remove(*key);
            assert_eq!(!issues(&file).is_empty(), needed, "{} {key}", shape.name);
        }
    }
}

#[test]
fn has_the_same_defaults_as_the_checker() {
    let schema = schema();
    for shape in shape::ALL {
        let defaults = properties(&schema, shape).into_iter();
        let defaults: Vec<_> =
            defaults.filter_map(|(key, of)| of.get("default").map(|value| (key, value.clone()))).collect();
        let mut file = sections_for(shape);
        let section = file.pointer_mut(place(shape)).unwrap().as_object_mut().unwrap();
        section.retain(|key, _| defaults.iter().all(|(with_default, _)| with_default != key));
        let left_out = parse(file.to_string().as_bytes(), &|_| None).unwrap().config;
        let section = file.pointer_mut(place(shape)).unwrap();
        for (key, default) in defaults {
            section[key] = default;
        }
        let written =
            parse(file.to_string().as_bytes(), &|_| None).unwrap_or_else(|issues| panic!("{issues}"));
        assert_eq!(written.config, left_out, "{}", shape.name);
    }
}

#[test]
fn has_a_default_or_says_what_being_left_out_means() {
    let schema = schema();
    for shape in shape::ALL {
        let required = definition(&schema, shape)["required"].as_array().cloned().unwrap_or_default();
        for (key, property) in properties(&schema, shape) {
            let described = property["description"].as_str().unwrap();
            let optional = described.contains("left out") || shape.name == "Match" || key == "$schema";
            let settled = property.get("default").is_some() || required.contains(&json!(key)) || optional;
            assert!(settled, "{} {key}: {described}", shape.name);
        }
    }
}

#[test]
fn has_the_same_number_limits_as_the_checker() {
    let schema = schema();
    let mut seen = 0;
    for shape in shape::ALL {
        for (key, property) in properties(&schema, shape) {
            let number = &property["anyOf"][0];
            let Some(max) = number["maximum"].as_i64() else { continue };
            let min = number["minimum"].as_i64().unwrap();
            seen += 1;
            for (value, good) in [(min, true), (max, true), (min - 1, false), (max + 1, false)] {
                let found = issues_at(shape, &key, json!(value));
                assert_eq!(found.is_empty(), good, "{} {key} {value}: {found:?}", shape.name);
            }
        }
    }
    assert!(seen >= 15, "only {seen} numbers with limits");
}

#[test]
fn refuses_an_unknown_key_everywhere() {
    for shape in shape::ALL {
        assert_eq!(issues_at(shape, "zebra", json!(1)).len(), 1, "{}", shape.name);
        for later in shape.later {
            let found = issues_at(shape, later, json!({}));
            assert!(found[0].problem.contains("not in this version yet"), "{} {later}", shape.name);
        }
    }
}

#[test]
fn suggests_only_keys_that_exist() {
    for shape in shape::ALL {
        for (word, meant) in shape.also {
            assert!(shape.keys.contains(meant) || shape.later.contains(meant), "{} {meant}", shape.name);
            assert!(!shape.keys.contains(word), "{} {word}", shape.name);
        }
    }
}
