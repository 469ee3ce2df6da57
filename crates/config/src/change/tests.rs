//! What is said of a change, and that every key is looked at.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use serde_json::{Value, json};

use super::Change;
use crate::{Config, parse};

fn config(file: &Value) -> Config {
    parse(file.to_string().as_bytes(), &|_| None).unwrap_or_else(|issues| panic!("{issues}")).config
}

fn file() -> Value {
    json!({
        "listeners": { "web": { "bind": "127.0.0.1:8080" }, "old": { "bind": "127.0.0.1:8081" } },
        "routes": [
            { "name": "api", "match": { "path": "/v1" }, "pool": "api" },
            { "name": "rest", "pool": "app" }
        ],
        "pools": {
            "app": {
                "servers": [{ "id": "a", "host": "10.0.0.1", "port": 80 }, { "host": "10.0.0.2", "port": 80 }],
                "healthCheck": { "type": "http" }
            },
            "api": { "servers": [{ "host": "10.0.0.3", "port": 80 }] }
        },
        "admin": { "bind": "127.0.0.1:9090", "tokens": [{ "token": "hush-hush-hush-hush", "role": "write" }] },
        "webhooks": [{ "name": "ops", "url": "https://ops.example.com/hush", "secret": "hush-hush-hush-hush" }]
    })
}

fn change(edit: impl FnOnce(&mut Value)) -> Change {
    let mut new = file();
    edit(&mut new);
    Change::between(&config(&file()), &config(&new))
}

fn sentences(edit: impl FnOnce(&mut Value)) -> Vec<String> {
    change(edit).sentences()
}

#[test]
fn says_nothing_when_nothing_changes() {
    let same = change(|_| ());
    assert!(same.is_empty() && same.sentences().is_empty() && same.needs_restart().is_empty());
    // Neither the order of keys nor a default that is written out is a change.
    let same = change(|file| {
        let app = file["pools"].as_object_mut().unwrap().shift_remove("app").unwrap();
        file["pools"]["app"] = app;
        file["workers"] = json!(0);
    });
    assert_eq!(same, Change::default());
}

#[test]
fn says_what_came_went_and_is_another() {
    let said = sentences(|file| {
        file["listeners"].as_object_mut().unwrap().shift_remove("old");
        file["listeners"]["new"] = json!({ "bind": "127.0.0.1:8082" });
        file["listeners"]["web"]["allowConnect"] = json!(true);
        file["routes"][0]["match"]["methods"] = json!(["GET"]);
        file["routes"]
            .as_array_mut()
            .unwrap()
            .insert(0, json!({ "name": "beta", "match": { "hosts": ["b.example.com"] }, "pool": "new" }));
        file["pools"]["new"] = json!({ "servers": [{ "host": "10.0.1.1", "port": 80 }] });
        file["pools"]["app"]["algorithm"] = json!("random");
        file["pools"]["app"]["healthCheck"]["interval"] = json!("10s");
        file["pools"]["app"]["servers"][0]["weight"] = json!(3);
        file["pools"]["app"]["servers"][1] =
            json!({ "id": "b", "host": "10.0.0.4", "port": 80, "weight": 2 });
        file["webhooks"] = json!([]);
        file["workers"] = json!(2);
        file["timeouts"] = json!({ "idle": "10s" });
    });
    assert_eq!(
        said,
        [
            "listener old is removed",
            "listener new is added on 127.0.0.1:8082",
            "listener web: allowConnect false -> true",
            "route beta is added: host b.example.com -> pool new",
            "route api: match path under /v1 -> GET, path under /v1",
            "pool new is added with one server",
            "pool app: algorithm round_robin -> random, healthCheck.interval 5s -> 10s",
            "pool app: server 10.0.0.2:80 is removed",
            "pool app: server b is added at 10.0.0.4:80 with weight 2",
            "pool app: server a: weight 1 -> 3",
            "webhook ops is removed",
            "workers 0 -> 2 (from the next start on)",
            "timeouts.idle 75s -> 10s",
        ]
    );
}

#[test]
fn says_when_only_the_order_is_another() {
    assert_eq!(
        sentences(|file| file["routes"].as_array_mut().unwrap().reverse()),
        ["routes are tried in another order"]
    );
    assert_eq!(
        sentences(|file| file["pools"]["app"]["servers"].as_array_mut().unwrap().reverse()),
        ["pool app: servers (their order) changes"]
    );
}

#[test]
fn shows_no_secret() {
    let change = change(|file| {
        file["admin"]["tokens"][0]["token"] = json!("another-hush-hush-hush");
        file["webhooks"][0]["secret"] = json!("another-hush-hush-hush");
        file["webhooks"][0]["url"] = json!("https://ops.example.com/another-hush");
        file["webhooks"][0]["headers"] = json!({ "authorization": "hush" });
        file["pools"]["app"]["healthCheck"]["headers"] = json!({ "authorization": "hush" });
        file["pools"]["app"]["recovery"] = json!({
            "action": "http", "url": "https://ops.example.com/hush", "headers": { "authorization": "hush" }, "body": "hush"
        });
    });
    let data = serde_json::to_string(&change).unwrap();
    assert!(!data.contains("hush") && !change.sentences().join("\n").contains("hush"), "{data}");
    assert_eq!(
        change.sentences(),
        [
            "pool app: healthCheck.headers changes, recovery none -> http https://ops.example.com",
            "webhook ops: url changes, secret changes, headers changes",
            "admin.tokens changes",
        ]
    );
}

#[test]
fn tells_what_takes_a_new_start() {
    let change = change(|file| {
        file["accessLog"] = json!({ "output": "stdout" });
        file["via"] = json!("lw");
    });
    assert_eq!(change.needs_restart(), ["accessLog"]);
    assert_eq!(
        change.sentences(),
        ["via none -> lw", "accessLog.output off -> stdout (from the next start on)"]
    );
}

#[test]
fn is_data_too() {
    let change = change(|file| {
        file["pools"]["app"]["servers"][0]["weight"] = json!(3);
    });
    assert_eq!(
        serde_json::to_value(&change).unwrap()["servers"],
        json!([{ "pool": "app", "added": [], "removed": [], "changed": [
            { "name": "a", "settings": [{ "key": "weight", "from": "1", "to": "3" }] }
        ] }])
    );
}

#[test]
fn every_key_that_is_another_is_said() {
    let base = json!({
        "listeners": { "web": { "bind": "127.0.0.1:1" } },
        "routes": [{ "name": "r", "pool": "app" }],
        "pools": {
            "app": {
                "servers": [{ "id": "a", "host": "a", "port": 1, "recovery": { "action": "process", "command": ["/a"] } }],
                "healthCheck": { "type": "http" }, "fallback": {}
            },
            "exec": { "servers": [{ "host": "b", "port": 1 }], "healthCheck": { "type": "exec", "command": ["/a"] } }
        },
        "admin": { "bind": "127.0.0.1:2", "tls": { "cert": "a", "key": "a" }, "tokens": [{ "token": "0123456789abcdef", "role": "read" }] },
        "webhooks": [{ "name": "w", "url": "https://a/" }], "events": { "file": "a" },
        "tracing": { "endpoint": "https://a", "sampling": {} }
    });
    let old = config(&base);
    let app = "/pools/app";
    let health = "/pools/app/healthCheck";
    for (section, key, value) in [
        ("", "workers", json!(1)),
        ("", "timeouts", json!({ "requestHead": "1s" })),
        ("", "timeouts", json!({ "send": "1s" })),
        ("", "limits", json!({ "requestsPerConnection": 1 })),
        ("", "limits", json!({ "body": 1 })),
        ("", "trustedProxies", json!(["10.0.0.0/8"])),
        ("", "forwardedHeaders", json!("off")),
        ("/listeners/web", "bind", json!("127.0.0.1:3")),
        ("/routes/0", "pool", json!("exec")),
        ("/routes/0", "match", json!({ "headers": { "x": "1" } })),
        (app, "flapDamping", json!({ "limit": 7 })),
        (app, "flapDamping", json!({ "halfLife": "1s" })),
        (app, "slowStart", json!("1s")),
        (app, "panicPercent", json!("off")),
        (app, "protocol", json!("h2c")),
        (app, "sendProxyProtocol", json!("v2")),
        (app, "recovery", json!({ "action": "command", "command": ["/a"] })),
        (app, "passiveHealth", json!({ "hold": "1s" })),
        (app, "retry", json!({ "on": [] })),
        (app, "retry", json!({ "bufferBody": 1 })),
        (app, "timeouts", json!({ "total": "1s" })),
        (app, "connectionPool", json!({ "maxLifetime": "1s" })),
        (app, "fallback", json!({ "body": "x" })),
        (health, "method", json!("POST")),
        (health, "port", json!(2)),
        (health, "tls", json!(true)),
        (health, "headers", json!({ "x": "1" })),
        (health, "expectBody", json!({ "contains": "x" })),
        (health, "expectHeaders", json!({ "x": "1" })),
        (health, "fastInterval", json!("2s")),
        (health, "maxInterval", json!("2m")),
        (health, "maxLatency", json!("1s")),
        (health, "startDown", json!(true)),
        ("/pools/exec/healthCheck", "command", json!(["/b"])),
        ("/pools/app/servers/0", "state", json!("drain")),
        ("/pools/app/servers/0", "maxConnections", json!(1)),
        ("/pools/app/servers/0/recovery", "env", json!({ "A": "1" })),
        ("/admin", "persist", json!(false)),
        ("/admin", "origins", json!(["https://a.com"])),
        ("/admin/tls", "key", json!("b")),
        ("/admin/tokens/0", "role", json!("write")),
        ("/webhooks/0", "events", json!(["server_up"])),
        ("/webhooks/0", "format", json!("slack")),
        ("/webhooks/0", "timeout", json!("1s")),
        ("/webhooks/0", "attempts", json!(1)),
        ("/webhooks/0", "caFile", json!("ca.pem")),
        ("/events", "keep", json!(1)),
        ("/events", "maxSize", json!("1MiB")),
        ("/tracing", "endpoint", json!("https://b")),
        ("/tracing", "protocol", json!("grpc")),
        ("/tracing", "headers", json!({ "x": "1" })),
        ("/tracing", "caFile", json!("ca.pem")),
        ("/tracing", "serviceName", json!("edge")),
        ("/tracing", "timeout", json!("1s")),
        ("/tracing", "interval", json!("2s")),
        ("/tracing", "batch", json!(1)),
        ("/tracing", "queue", json!(1000)),
        ("/tracing/sampling", "ratio", json!(1)),
        ("/tracing/sampling", "parent", json!(false)),
        ("/tracing/sampling", "failures", json!(false)),
    ] {
        let mut file = base.clone();
        file.pointer_mut(section).unwrap()[key] = value.clone();
        let new = config(&file);
        assert_ne!(old, new, "{section} {key} {value}");
        let said = Change::between(&old, &new).sentences();
        assert_eq!(said.len(), 1, "{section} {key} {value}: {said:?}");
        let named =
            [key, "recovery", "tokens", "admin.tls", "events"].iter().any(|word| said[0].contains(word));
        assert!(named, "{section} {key} {value}: {said:?}");
    }
}

mod host {
    use super::*;

    const COMMAND: [&str; 1] = ["/bin/true"];

    fn base() -> Value {
        json!({
            "listeners": { "web": { "bind": "127.0.0.1:1" } },
            "routes": [{ "pool": "app" }, { "pool": "other" }],
            "pools": {
                "app": {
                    "servers": [
                        { "id": "a", "host": "a", "port": 1 },
                        { "id": "b", "host": "b", "port": 1, "recovery": { "action": "process", "command": COMMAND } }
                    ],
                    "recovery": { "action": "command", "command": COMMAND, "env": { "A": "1" } }
                },
                "other": { "servers": [{ "host": "b", "port": 1 }], "healthCheck": { "type": "exec", "command": COMMAND } }
            }
        })
    }

    fn found(edit: impl FnOnce(&mut Value)) -> Vec<String> {
        let mut new = base();
        edit(&mut new);
        Change::runs_on_host(&config(&base()), &config(&new))
    }

    #[test]
    fn what_stays_as_it_is_goes_through() {
        assert!(found(|_| ()).is_empty());
        assert!(
            found(|file| {
                file["pools"]["app"]["servers"][1]["weight"] = json!(3);
                file["pools"]["app"]["servers"][1]["state"] = json!("drain");
                file["pools"]["app"]["algorithm"] = json!("random");
                file["pools"]["app"]["servers"].as_array_mut().unwrap().reverse();
                file["pools"]["app"]["servers"]
                    .as_array_mut()
                    .unwrap()
                    .push(json!({ "host": "c", "port": 1 }));
                file["pools"]["other"]["servers"][0]["weight"] = json!(3);
            })
            .is_empty()
        );
    }

    #[test]
    fn what_is_taken_away_or_asks_another_machine_goes_through() {
        assert!(
            found(|file| {
                file["pools"]["app"].as_object_mut().unwrap().shift_remove("recovery");
                file["pools"]["app"]["servers"][1]["recovery"] =
                    json!({ "action": "http", "url": "https://a/" });
                file["pools"]["other"]["healthCheck"] = json!({ "type": "tcp" });
            })
            .is_empty()
        );
    }

    #[test]
    fn any_difference_within_such_a_section_is_found() {
        let recovery = "/pools/app/recovery";
        for (section, key, value, at) in [
            (recovery, "command", json!(["/bin/false"]), recovery),
            (recovery, "command", json!(["/bin/true", "x"]), recovery),
            (recovery, "env", json!({ "A": "2" }), recovery),
            (recovery, "workingDirectory", json!("/"), recovery),
            (recovery, "attempts", json!(9), recovery),
            (recovery, "after", json!("0s"), recovery),
            (recovery, "action", json!("process"), recovery),
            ("/pools/app/servers/1/recovery", "stopTimeout", json!("1s"), "/pools/app/servers/1/recovery"),
            (
                "/pools/app/servers/0",
                "recovery",
                json!({ "action": "command", "command": COMMAND }),
                "/pools/app/servers/0/recovery",
            ),
            ("/pools/app/servers/1", "id", json!("c"), "/pools/app/servers/1/recovery"),
            (
                "/pools/app",
                "healthCheck",
                json!({ "type": "exec", "command": COMMAND }),
                "/pools/app/healthCheck",
            ),
            ("/pools/other/healthCheck", "command", json!(["/bin/false"]), "/pools/other/healthCheck"),
            ("/pools/other/healthCheck", "interval", json!("1s"), "/pools/other/healthCheck"),
        ] {
            let found = found(|file| file.pointer_mut(section).unwrap()[key] = value.clone());
            assert_eq!(found, [at], "{section} {key} {value}");
        }
    }

    #[test]
    fn a_pool_of_another_name_is_a_new_one() {
        let found = found(|file| {
            let app = file["pools"].as_object_mut().unwrap().shift_remove("app").unwrap();
            file["pools"]["renamed"] = app;
            file["routes"][0]["pool"] = json!("renamed");
        });
        assert_eq!(found, ["/pools/renamed/recovery", "/pools/renamed/servers/1/recovery"]);
    }
}

#[test]
fn the_admin_listener_is_bound_once_and_its_tokens_are_not() {
    let file = |bind: &str, persist: bool| {
        let text = format!(
            r#"{{"listeners": {{"web": {{"bind": "127.0.0.1:0"}}}}, "admin": {{"bind": "{bind}", "persist": {persist}}},
                "pools": {{"app": {{"servers": [{{"host": "127.0.0.1", "port": 3001}}]}}}}}}"#
        );
        crate::parse(text.as_bytes(), &|_| None).unwrap().config
    };
    let change = |new: &Config| Change::between(&file("127.0.0.1:9090", true), new).needs_restart();
    assert_eq!(change(&file("127.0.0.1:9091", true)), ["admin"]);
    assert!(change(&file("127.0.0.1:9090", false)).is_empty());
}

mod files {
    use super::*;

    fn base() -> Value {
        json!({
            "listeners": {"web": {"bind": "127.0.0.1:0"}},
            "pools": {"app": {"servers": [{"host": "a", "port": 1}],
                "recovery": {"action": "http", "url": "https://o/", "caFile": "/ca.pem"}}},
            "events": {"file": "/var/events"},
        })
    }

    #[test]
    fn a_file_is_named_for_one_thing() {
        let found = |path: &str, value: Value| {
            let mut new = base();
            let (parent, key) = path.rsplit_once('/').unwrap();
            new.pointer_mut(parent).unwrap()[key] = value;
            Change::names_files(&config(&base()), &config(&new))
        };
        assert_eq!(found("/pools/app/algorithm", json!("random")), [""; 0]);
        assert_eq!(found("/events/keep", json!(2)), [""; 0]);
        assert_eq!(found("/events/file", json!("/etc/cron.d/x")), ["/events/file"]);
        assert_eq!(found("/events/file", json!("/ca.pem")), ["/events/file"], "it is read, not written");
        assert_eq!(found("/accessLog", json!({"output": "/var/events"})), ["/accessLog/output"]);
        assert_eq!(found("/accessLog", json!({"output": "syslog+unix:/dev/log"})), ["/accessLog/output"]);
        assert_eq!(found("/accessLog", json!({"output": "syslog+udp://10.0.0.5"})), [""; 0]);
        assert_eq!(found("/accessLog", json!({"output": "stdout"})), [""; 0]);
        let hook = |file: &str| json!([{"url": "https://h/", "caFile": file}]);
        assert_eq!(found("/webhooks", hook("/ca.pem")), [""; 0], "that one is named for this");
        assert_eq!(found("/webhooks", hook("/etc/shadow")), ["/webhooks/0/caFile"]);
        let recovery = json!({"action": "http", "url": "https://o/", "caFile": "/x"});
        assert_eq!(found("/pools/app/recovery", recovery.clone()), ["/pools/app/recovery/caFile"]);
        let servers = json!([{"host": "a", "port": 1, "recovery": recovery}]);
        assert_eq!(found("/pools/app/servers", servers), ["/pools/app/servers/0/recovery/caFile"]);
        let admin = json!({"bind": "127.0.0.1:0", "tls": {"cert": "/ca.pem", "key": "/k"}});
        assert_eq!(found("/admin", admin), ["/admin/tls/cert", "/admin/tls/key"]);
        let clients = json!({"mode": "optional", "caFile": "/x"});
        let tls = json!({"certificates": [{"cert": "/c", "key": "/k"}], "clientCertificates": clients});
        let listeners = json!({"web": {"bind": "127.0.0.1:0", "tls": tls}});
        let at = |rest: &str| format!("/listeners/web/tls/{rest}");
        let places = [at("certificates/0/cert"), at("certificates/0/key"), at("clientCertificates/caFile")];
        assert_eq!(found("/listeners", listeners), places);
        let tls = json!({"caFile": "/ca.pem", "cert": "/c", "key": "/k"});
        assert_eq!(found("/pools/app/tls", tls), ["/pools/app/tls/cert", "/pools/app/tls/key"]);
    }
}
