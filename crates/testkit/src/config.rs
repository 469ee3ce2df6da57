//! Short ways to write configs for the tests.

use std::net::SocketAddr;

use serde_json::{Value, json};

/// A config with one listener `web`, an admin listener, one worker, and one pool `app` of these servers without
/// probes (a probe would show in the origin's records), with `patch` merged in (RFC 7396).
///
/// One worker: the pools of connections are per worker, and a test that counts them needs to know which.
pub fn one_pool(servers: &[SocketAddr], patch: &Value) -> Value {
    let servers: Vec<Value> =
        servers.iter().map(|at| json!({ "host": at.ip().to_string(), "port": at.port() })).collect();
    let mut config = json!({
        "workers": 1,
        "listeners": { "web": { "bind": "127.0.0.1:0" } },
        "admin": { "bind": "127.0.0.1:0" },
        "pools": { "app": { "servers": servers, "healthCheck": { "type": "off" } } },
    });
    merge(&mut config, patch);
    config
}

/// The same, with the patch going into the pool.
pub fn one_pool_with(servers: &[SocketAddr], pool: &Value) -> Value {
    one_pool(servers, &json!({ "pools": { "app": pool } }))
}

/// A JSON merge patch (RFC 7396): objects are merged, all else is replaced, null removes.
pub fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(changes) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (key, change) in changes {
        if change.is_null() {
            target.as_object_mut().expect("made so above").remove(key);
        } else {
            merge(&mut target[key.as_str()], change);
        }
    }
}
