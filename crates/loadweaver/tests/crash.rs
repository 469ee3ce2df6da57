//! Killed in the middle of writing its file, LoadWeaver leaves the old one or the new one, whole.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use loadweaver_testkit::config::one_pool;
use loadweaver_testkit::eventually::PATIENCE;
use loadweaver_testkit::{Balancer, RawClient};
use rustix::process::Signal;
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_loadweaver");
const ROUNDS: u32 = 200;

#[test]
fn the_file_is_always_the_old_or_the_new_one() {
    // A file of some size takes a while to write.
    let servers: Vec<_> = (0..300)
        .map(|port| json!({"id": format!("s{port}"), "host": "127.0.0.1", "port": 2000 + port}))
        .collect();
    let config = one_pool(&[], &json!({"pools": {"app": {"servers": servers}}}));
    let mut seen = BTreeSet::new();
    for round in 0..ROUNDS {
        let mut balancer = Balancer::start(BINARY, &config);
        let before = balancer.config_text();
        let answered = Arc::new(AtomicU64::new(0));
        let (count, admin) = (Arc::clone(&answered), balancer.admin());
        let writer = std::thread::spawn(move || write_until_the_end(admin, &count));
        // Each round the kill falls somewhere else: behind another answer, and further into the next write.
        wait_until(|| answered.load(Ordering::Relaxed) > u64::from(round % 3));
        let kill_at = Instant::now() + Duration::from_micros(u64::from(round % 50) * 100);
        wait_until(|| Instant::now() >= kill_at);
        balancer.signal(Signal::KILL);
        balancer.wait_for_exit(PATIENCE).unwrap();
        writer.join().unwrap();
        let after = balancer.config_text();
        let found: Value = serde_json::from_str(&after).unwrap_or_else(|error| panic!("{error}: {after}"));
        let weight = found["pools"]["app"]["servers"][0]["weight"].as_u64().unwrap_or(1);
        // What was answered is in it; at most the one write that was under way is too.
        let answered = answered.load(Ordering::Relaxed);
        assert!((answered + 1..=answered + 2).contains(&weight), "weight {weight} after {answered} answers");
        let edited = format!("\"weight\": {weight}");
        assert_eq!(before.lines().count().abs_diff(after.lines().count()), 1, "{after}");
        assert!(after.contains(&edited), "{after}");
        seen.insert(weight);
    }
    assert!(seen.len() > 2, "the kills fell in one place only: {seen:?}");
}

/// Gives the first server one weight after the other: 2 first, then one more each time.
fn write_until_the_end(admin: std::net::SocketAddr, answered: &AtomicU64) {
    let Ok(mut client) = RawClient::try_connect(admin) else { return };
    loop {
        let body = json!({"weight": answered.load(Ordering::Relaxed) + 2}).to_string();
        let request = format!(
            "PUT /api/servers/s0/weight HTTP/1.1\r\nHost: {admin}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        if client.send(request).is_err() {
            return;
        }
        match client.read_answer("PUT") {
            Ok(answer) => assert_eq!(answer.status, 200, "{answer:?}"),
            Err(_) => return,
        }
        answered.fetch_add(1, Ordering::Relaxed);
    }
}

fn wait_until(mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < end, "nothing was answered");
        std::thread::yield_now();
    }
}
