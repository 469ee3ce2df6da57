#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
use loadweaver_config::HealthCheck;

use super::*;
use crate::fixture;

/// A second passes, in which these many requests were answered in this time.
async fn second(past: &mut Past, snapshot: &Snapshot, node: &ProxyCounters, (count, millis): (u64, u64)) {
    let pool = &snapshot.pools[0];
    for _ in 0..count {
        node.requests.increment();
        node.statuses.record(200);
        pool.counters.requests.increment();
        pool.servers[0].counters.requests.increment();
        pool.servers[0].counters.answered(200, Duration::from_millis(millis));
    }
    tokio::time::advance(EVERY).await;
    let number = past.at.map_or(0, |_| past.number + 1);
    past.sample(snapshot, node, number, 0);
}

fn two() -> Arc<Snapshot> {
    fixture::watched(fixture::pool(&[("127.0.0.1", 3001), ("127.0.0.1", 3002)], HealthCheck::default()))
        .snapshot
}

#[tokio::test(start_paused = true)]
async fn each_second_has_its_own_rate_and_latency_and_ten_have_theirs() {
    let (mut past, snapshot, node) = (Past::default(), two(), ProxyCounters::default());
    second(&mut past, &snapshot, &node, (0, 0)).await;
    for count in 1..=20 {
        second(&mut past, &snapshot, &node, (count * 10, count)).await;
    }
    assert_eq!(past.last(Step::Second).unwrap().0, 20);
    let fine: Vec<Point> = past.node.fine.range(1, 20).collect();
    for (count, point) in (1_u16..).zip(&fine) {
        let count = f32::from(count);
        assert!((point.requests - count * 10.0).abs() < 0.1, "{point:?}");
        assert!((point.latency[0] - count).abs() <= count * 0.04, "{point:?}");
        assert!((point.errors, point.up) == (0.0, 1.0));
    }
    assert_eq!(past.last(Step::TenSeconds).unwrap().0, 1);
    let coarse: Vec<Point> = past.pools["app"].line.coarse.range(0, 1).collect();
    assert!((coarse[1].requests - 155.0).abs() < 0.5, "{coarse:?}");
    assert!((coarse[1].latency[1] - 20.0).abs() < 1.0, "{coarse:?}");
    let servers = &past.pools["app"].servers;
    let of = |id: &str| servers[id].points.range(1, 1).next().unwrap();
    assert!((of("127.0.0.1:3001").requests - 155.0).abs() < 0.5);
    assert!((servers["127.0.0.1:3001"].requests(6, 10.0) - 2_100.0).abs() < 5.0);
    assert!(of("127.0.0.1:3002").requests == 0.0 && of("127.0.0.1:3002").latency.is_nan());
}

#[tokio::test(start_paused = true)]
async fn the_second_in_which_histograms_forget_shows_the_latency_before() {
    let (mut past, snapshot, node) = (Past::default(), two(), ProxyCounters::default());
    for _ in 0..3 {
        second(&mut past, &snapshot, &node, (100, 8)).await;
    }
    let before = past.node.fine.newest(1).next().copied().unwrap();
    snapshot.pools[0].servers[0].counters.latency.decay();
    tokio::time::advance(EVERY).await;
    past.sample(&snapshot, &node, 3, 1);
    let after = past.node.fine.newest(1).next().copied().unwrap();
    assert_eq!(after.latency.map(f32::to_bits), before.latency.map(f32::to_bits));
    assert!(after.requests < 0.01, "{after:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_does_not_grow_with_time_or_traffic() {
    let (mut past, snapshot, node) = (Past::default(), two(), ProxyCounters::default());
    let bytes = |past: &Past| {
        let pool = &past.pools["app"];
        let servers: usize = pool.servers.values().map(|server| server.points.bytes()).sum();
        (pool.line.fine.bytes() + pool.line.coarse.bytes(), servers)
    };
    for count in 0..20 {
        second(&mut past, &snapshot, &node, (count, 1)).await;
    }
    let (line, servers) = bytes(&past);
    assert!(line < 24 * 1024 && servers <= 2 * 4_320, "{line} {servers}");
    for count in 0..5_000 {
        second(&mut past, &snapshot, &node, (count % 7, 1)).await;
    }
    assert_eq!(bytes(&past), (line, servers));
    assert_eq!(past.node.coarse.newest(COARSE + 1).count(), COARSE);
}

#[tokio::test(start_paused = true)]
async fn what_leaves_the_configuration_takes_its_past_along() {
    let (mut past, snapshot, node) = (Past::default(), two(), ProxyCounters::default());
    for _ in 0..21 {
        second(&mut past, &snapshot, &node, (1, 1)).await;
    }
    assert_eq!(past.pools["app"].servers.len(), 2);
    let one = fixture::watched(fixture::pool(&[("127.0.0.1", 3001)], HealthCheck::default())).snapshot;
    for _ in 0..10 {
        second(&mut past, &one, &node, (1, 1)).await;
    }
    assert_eq!(past.pools["app"].servers.len(), 1);
}
