//! A server that stumbles is left in, one that dies is out in time, and what is known of both outlives every change.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use loadweaver_testkit::origin::reply;
use loadweaver_testkit::{Balancer, Origin, eventually};
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_loadweaver");
const FALL: usize = 3;

/// Fails one probe in three; requests are well.
fn stumbling() -> (Origin, Arc<AtomicUsize>) {
    let probes = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&probes);
    let origin = Origin::by_request(move |request| {
        let probe = request.target == "/health";
        let bad = probe && seen.fetch_add(1, Ordering::Relaxed) % 3 == 2;
        reply(if bad { 500 } else { 200 }, "stumbling")
    });
    (origin, probes)
}

/// Two pools; the servers stand in the first or, moved, in the second, behind the same routes.
fn config(servers: &[(&str, u16)], moved: bool, weight: u32) -> Value {
    let servers: Vec<Value> = servers
        .iter()
        .map(|(id, port)| json!({"id": id, "host": "127.0.0.1", "port": port, "weight": weight}))
        .collect();
    let pool = |servers: &[Value]| {
        json!({
            "servers": servers,
            "healthCheck": {"type": "http", "path": "/health", "interval": "20ms", "fastInterval": "20ms",
                            "maxInterval": "20ms", "timeout": "2s", "rise": 2, "fall": FALL},
            // Only probes are to judge here.
            "passiveHealth": {"failures": 0},
        })
    };
    // A pool is never empty.
    let nobody = [json!({"id": "nobody", "host": "127.0.0.1", "port": 9, "state": "maintenance"})];
    let (first, second) =
        if moved { (pool(&nobody), pool(&servers)) } else { (pool(&servers), pool(&nobody)) };
    json!({
        "workers": 1,
        "listeners": {"web": {"bind": "127.0.0.1:0"}},
        "admin": {"bind": "127.0.0.1:0"},
        "routes": [{"name": "all", "pool": if moved { "second" } else { "first" }}],
        "pools": {"first": first, "second": second},
    })
}

fn health(balancer: &Balancer, id: &str) -> Value {
    balancer.operator().must(200, "GET", &format!("/api/servers/{id}/health"), &Value::Null)["data"].clone()
}

fn told(balancer: &Balancer, id: &str) -> Vec<String> {
    let path = format!("/api/events?server={id}&event=server_down,server_up,server_unstable&limit=1000");
    let events = balancer.operator().must(200, "GET", &path, &Value::Null);
    let name = |event: &Value| event["event"].as_str().unwrap().to_owned();
    events["data"].as_array().unwrap().iter().rev().map(name).collect()
}

fn requests(balancer: &Balancer, id: &str) -> u64 {
    let server = balancer.operator().must(200, "GET", &format!("/api/servers/{id}"), &Value::Null);
    server["data"]["requests"].as_u64().unwrap()
}

/// The history from its oldest entry on, as the API shows it.
fn history(health: &Value) -> Vec<Value> {
    health["history"].as_array().unwrap().iter().rev().cloned().collect()
}

#[test]
fn one_probe_in_three_flaps_nobody_a_death_is_seen_in_time_and_changes_forget_nothing() {
    let (stumbling, probes) = stumbling();
    let mortal = Origin::named("mortal");
    let servers = [("stumbling", stumbling.port()), ("mortal", mortal.port())];
    let balancer = Balancer::start(BINARY, &config(&servers, false, 1));
    eventually("both are up", || told(&balancer, "stumbling").len() + told(&balancer, "mortal").len() == 2);
    for _ in 0..20 {
        assert_eq!(balancer.get("/").status, 200);
    }
    let counted = requests(&balancer, "stumbling");
    assert!(counted > 0);

    // A reload, and another pool, while it goes on.
    eventually("it has stumbled a few times", || probes.load(Ordering::Relaxed) > 30);
    let before = health(&balancer, "stumbling");
    balancer.reload(&config(&servers, false, 2));
    balancer.reload(&config(&servers, true, 2));
    let after = health(&balancer, "stumbling");
    assert_eq!((&after["pool"], &after["status"]), (&json!("second"), &json!("up")));
    assert_eq!(after["since"], before["since"], "the verdict is the one that it was");
    assert_eq!(history(&after)[..30], history(&before)[..30], "and so is what led to it");
    assert_eq!(requests(&balancer, "stumbling"), counted);

    // Death: out within `fall` probes, and never before.
    mortal.refuse();
    eventually("it is out", || health(&balancer, "mortal")["status"] == "down");
    let story = history(&health(&balancer, "mortal"));
    let death = story.iter().rposition(|each| each["to"] == "down").unwrap();
    let last_good = story[..death].iter().rposition(|each| each["what"] == "probe_ok").unwrap();
    let bad: Vec<_> =
        story[last_good + 1..death].iter().map(|each| each["cause"].as_str().unwrap()).collect();
    assert_eq!(bad, ["probe_connect"; FALL], "{story:#?}");

    // Nor does a change bring it back, or tell of it again; life does.
    balancer.reload(&config(&servers, false, 3));
    assert_eq!(health(&balancer, "mortal")["status"], "down");
    mortal.come_back();
    eventually("it is back", || health(&balancer, "mortal")["status"] == "up");
    assert_eq!(told(&balancer, "mortal"), ["server_up", "server_down", "server_up"]);

    eventually("it stumbled on all the while", || probes.load(Ordering::Relaxed) > 150);
    assert_eq!(told(&balancer, "stumbling"), ["server_up"]);
    let story = history(&health(&balancer, "stumbling"));
    let failed = story.iter().filter(|each| each["what"] == "probe_failed").count();
    assert!(failed * 4 > story.len(), "{failed} of {} probes failed", story.len());
}
