#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
use serde_json::json;

use super::*;

fn server(id: &str) -> ServerRef {
    ServerRef { id: id.into(), address: "127.0.0.1:3001".into() }
}

fn down(id: &str) -> Event {
    Event::ServerDown {
        pool: "app".into(),
        server: server(id),
        reason: "connection refused".into(),
        cause: "connect_refused",
    }
}

fn applied(version: u64) -> Event {
    Event::ConfigApplied { version, origin: String::new(), summary: String::new() }
}

/// One of each, in the order of the enum.
fn all() -> Vec<Event> {
    let (pool, name): (Arc<str>, Arc<str>) = ("app".into(), "ops".into());
    let (server, reason) = (server("app-1"), "because".to_owned());
    let took = Duration::from_millis(1500);
    vec![
        Event::ServerDown {
            pool: pool.clone(),
            server: server.clone(),
            reason: reason.clone(),
            cause: "connect_refused",
        },
        Event::ServerUp { pool: pool.clone(), server: server.clone(), reason: reason.clone() },
        Event::ServerUnstable { pool: pool.clone(), server: server.clone(), reason: reason.clone() },
        Event::ServerAdded { pool: pool.clone(), server: server.clone() },
        Event::ServerRemoved { pool: pool.clone(), server: server.clone() },
        Event::PoolDown { pool: pool.clone(), reason: reason.clone() },
        Event::PoolUp { pool: pool.clone() },
        Event::PanicStarted { pool: pool.clone(), healthy: 2, total: 10 },
        Event::PanicEnded { pool: pool.clone() },
        Event::RecoveryStarted { pool: pool.clone(), server: server.clone(), attempt: 1, action: "command" },
        Event::RecoverySucceeded { pool: pool.clone(), server: server.clone(), attempt: 1, took },
        Event::RecoveryFailed { pool: pool.clone(), server, attempt: 1, reason: reason.clone() },
        Event::RecoveryHeld { pool, reason: reason.clone() },
        applied(1),
        Event::ConfigRefused { origin: "file".into(), reason: reason.clone(), issues: vec!["one".into()] },
        Event::ConfigReverted { version: 2, reason: reason.clone() },
        Event::ConfigNotSaved { path: "/etc/config.json".into(), reason: reason.clone() },
        Event::WebhookFailing { webhook: name.clone(), reason: reason.clone() },
        Event::WebhookRecovered { webhook: name.clone() },
        Event::CertificateLoaded {
            holder: Holder::Listener(name.clone()),
            path: "/a.pem".into(),
            names: "a.test".into(),
        },
        Event::CertificateRefused {
            holder: Holder::Listener(name.clone()),
            path: "/a.pem".into(),
            reason: reason.clone(),
        },
        Event::CertificateExpiring {
            holder: Holder::Listener(name.clone()),
            path: "/a.pem".into(),
            reason: reason.clone(),
        },
        Event::AcceptPaused { listener: name.clone(), reason: reason.clone() },
        Event::AcceptResumed { listener: name.clone() },
        Event::ClientCut {
            listener: name,
            client: Some(std::net::Ipv4Addr::LOCALHOST.into()),
            attack: "rapid_reset",
            cve: "CVE-2023-44487",
            connections: 2,
        },
        Event::TaskDied { task: "probes", reason },
        Event::ShutdownStarted,
        Event::ShutdownFinished { cut: 3 },
    ]
}

#[test]
fn every_event_has_its_name_in_the_list() {
    let names: Vec<&str> = all().iter().map(Event::name).collect();
    assert_eq!(names, Event::NAMES);
}

#[test]
fn every_event_tells_pool_server_and_reason_where_it_has_them() {
    let bus = EventBus::of_node("lb-1", 64);
    for event in all() {
        bus.emit(event);
    }
    for stamped in bus.since(0) {
        let json = stamped.to_json();
        assert_eq!(json["event"], stamped.event.name());
        assert_eq!((&json["id"], &json["node"]), (&json!(stamped.id), &json!("lb-1")));
        assert_eq!(json["pool"].as_str(), stamped.event.pool(), "{json}");
        assert_eq!(json["server"]["id"].as_str(), stamped.event.server().map(|server| &*server.id), "{json}");
        // Whatever the variant holds is told somewhere: the words of the samples are there.
        let debug = format!("{:?}", stamped.event);
        assert_eq!(debug.contains("because"), json["reason"] == "because", "{json}");
    }
    let details = |name: &str| {
        let filter = Filter { names: vec![name.to_owned()], ..Filter::default() };
        bus.matching(&filter, 0, 1)[0].to_json()["details"].clone()
    };
    assert_eq!(details("recovery_succeeded"), json!({"attempt": 1, "tookMs": 1500}));
    assert_eq!(details("config_refused"), json!({"origin": "file", "issues": ["one"]}));
    assert_eq!(details("panic_started"), json!({"healthy": 2, "total": 10}));
    assert_eq!(details("webhook_failing"), json!({"webhook": "ops"}));
}

#[test]
fn history_is_bounded_and_newest_first() {
    let bus = EventBus::new(4);
    for version in 0..HISTORY as u64 + 5 {
        bus.emit(applied(version));
    }
    let recent = bus.recent(usize::MAX);
    assert_eq!(recent.len(), HISTORY);
    assert_eq!(recent[0].event, applied(HISTORY as u64 + 4));
    assert_eq!(recent[0].id, HISTORY as u64 + 5);
    assert_eq!(bus.recent(2).len(), 2);
}

#[test]
fn a_flood_of_long_events_does_not_fill_the_memory() {
    let bus = EventBus::new(4);
    let issues = vec!["x".repeat(MAX_TEXT * 2); MAX_ISSUES * 2];
    for _ in 0..1000 {
        bus.emit(Event::ConfigRefused {
            origin: "api".into(),
            reason: "many".into(),
            issues: issues.clone(),
        });
    }
    let kept = bus.since(0);
    let texts = |event: &Event| match event {
        Event::ConfigRefused { issues, .. } => issues.iter().map(String::len).sum(),
        _ => 0,
    };
    let bytes: usize = kept.iter().map(|each| texts(&each.event)).sum();
    assert!(kept.len() > 100 && bytes <= HISTORY_BYTES, "{} events, {bytes} bytes", kept.len());
    let Event::ConfigRefused { issues, .. } = &kept[0].event else { unreachable!() };
    assert_eq!(issues.len(), MAX_ISSUES);
    assert_eq!(issues[MAX_ISSUES - 1], "and 51 more");
}

#[test]
fn long_reasons_are_cut_and_are_one_line() {
    let bus = EventBus::new(4);
    // Three bytes each, so that the cut would fall into a character.
    let reason = format!("a\r\nb\u{1b}[31m\u{9b}{}", "日".repeat(MAX_TEXT));
    bus.emit(Event::PoolDown { pool: "app".into(), reason });
    let Event::PoolDown { reason, .. } = &bus.recent(1)[0].event else { unreachable!() };
    assert!(reason.starts_with("a  b [31m 日日") && reason.ends_with("日…"), "{reason}");
    assert!((MAX_TEXT - 4..=MAX_TEXT).contains(&reason.len()), "{}", reason.len());
}

#[test]
fn since_tells_what_came_after_and_all_of_it_to_whoever_comes_from_an_earlier_life() {
    let bus = EventBus::new(4);
    assert_eq!(bus.since(0), []);
    for version in 1..=5 {
        bus.emit(applied(version));
    }
    let ids = |after| bus.since(after).iter().map(|each| each.id).collect::<Vec<u64>>();
    assert_eq!(ids(3), [4, 5]);
    assert!(ids(5).is_empty());
    assert_eq!(ids(0), [1, 2, 3, 4, 5]);
    assert_eq!(ids(6), [1, 2, 3, 4, 5]);
}

#[test]
fn filters_by_name_pool_and_server() {
    let bus = EventBus::new(4);
    bus.emit(down("app-1"));
    bus.emit(down("app-2"));
    bus.emit(Event::PoolDown { pool: "app".into(), reason: "all".into() });
    bus.emit(Event::PoolUp { pool: "other".into() });
    bus.emit(Event::ShutdownStarted);
    let ids = |names: &[&str], pool: Option<&str>, server: Option<&str>| {
        let names = names.iter().map(ToString::to_string).collect();
        let filter = Filter { names, pool: pool.map(str::to_owned), server: server.map(str::to_owned) };
        bus.matching(&filter, 0, 10).iter().map(|each| each.id).collect::<Vec<u64>>()
    };
    assert_eq!(ids(&[], None, None), [5, 4, 3, 2, 1]);
    assert_eq!(ids(&["server_down", "pool_up"], None, None), [4, 2, 1]);
    assert_eq!(ids(&[], Some("app"), None), [3, 2, 1]);
    assert_eq!(ids(&["pool_down"], Some("app"), None), [3]);
    assert_eq!(ids(&[], None, Some("app-2")), [2]);
    assert!(ids(&["no_such_event"], None, None).is_empty());
    assert_eq!(bus.matching(&Filter::default(), 3, 1)[0].id, 5);
}

#[tokio::test]
async fn a_slow_listener_loses_its_own_events_and_nobody_waits() {
    let bus = EventBus::new(4);
    let mut slow = bus.subscribe();
    for version in 1..=10 {
        bus.emit(applied(version));
    }
    let first = slow.recv().await.unwrap();
    assert_eq!((first.id, slow.lost()), (7, 6));
    let mut prompt = bus.subscribe();
    bus.emit(Event::ShutdownStarted);
    assert_eq!(prompt.recv().await.unwrap().event, Event::ShutdownStarted);
    drop(bus);
    assert_eq!(prompt.recv().await, None);
}

#[tokio::test]
async fn a_follower_reads_each_event_once_however_slow_it_is() {
    let bus = EventBus::new(4);
    for version in 1..=3 {
        bus.emit(applied(version));
    }
    let mut follower = bus.follow(1);
    for version in 4..=40 {
        bus.emit(applied(version));
        if version == 20 {
            assert_eq!(follower.next().await.id, 2);
        }
    }
    for id in 3..=40 {
        assert_eq!(follower.next().await.id, id);
    }
    assert_eq!(follower.missed(), 0);
    bus.emit(Event::ShutdownStarted);
    assert_eq!(follower.next().await.id, 41);
}

#[tokio::test]
async fn a_follower_says_what_the_history_let_go_of() {
    let bus = EventBus::new(4);
    bus.emit(applied(1));
    let mut follower = bus.follow(1);
    for version in 0..HISTORY as u64 + 7 {
        bus.emit(applied(version));
    }
    assert_eq!(follower.next().await.id, 9);
    assert_eq!(follower.missed(), 7);
}

#[tokio::test(start_paused = true)]
async fn a_follower_that_was_interrupted_goes_on_where_it_was() {
    let bus = EventBus::new(4);
    let mut follower = bus.follow(0);
    let nothing = tokio::time::timeout(Duration::from_secs(1), follower.next()).await;
    assert!(nothing.is_err());
    bus.emit(Event::ShutdownStarted);
    assert_eq!(follower.next().await.id, 1);
}

#[test]
fn a_node_is_called_by_its_host_name() {
    let told = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    assert_eq!(&**EventBus::new(1).node(), told.trim());
}

#[test]
fn reads_as_a_webhook_body_does() {
    let bus = EventBus::new(4);
    bus.emit(down("app-1"));
    let json = bus.recent(1)[0].to_json();
    assert_eq!(json["event"], "server_down");
    assert_eq!(json["pool"], "app");
    assert_eq!(json["server"], json!({"id": "app-1", "address": "127.0.0.1:3001"}));
    assert_eq!(json["reason"], "connection refused");
    assert!(json["timestamp"].as_str().is_some_and(|text| text.ends_with('Z') && text.len() == 24));
}
