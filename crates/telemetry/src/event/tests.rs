#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
use super::*;

fn down(id: &str) -> Event {
    let server = ServerRef { id: id.into(), address: "127.0.0.1:3001".into() };
    Event::ServerDown { pool: "app".into(), server, reason: "connection refused".into() }
}

#[test]
fn history_is_bounded_and_newest_first() {
    let bus = EventBus::new(4);
    for number in 0..HISTORY + 5 {
        bus.emit(Event::ConfigApplied { version: number as u64 });
    }
    let recent = bus.recent(usize::MAX);
    assert_eq!(recent.len(), HISTORY);
    assert_eq!(recent[0].event, Event::ConfigApplied { version: HISTORY as u64 + 4 });
    assert_eq!(recent[0].id, HISTORY as u64 + 5);
    assert_eq!(bus.recent(2).len(), 2);
}

#[tokio::test]
async fn a_slow_listener_loses_its_own_events_and_nobody_waits() {
    let bus = EventBus::new(4);
    let mut slow = bus.subscribe();
    for version in 1..=10 {
        bus.emit(Event::ConfigApplied { version });
    }
    let first = slow.recv().await.unwrap();
    assert_eq!((first.id, slow.lost()), (7, 6));
    let mut prompt = bus.subscribe();
    bus.emit(Event::ShutdownStarted);
    assert_eq!(prompt.recv().await.unwrap().event, Event::ShutdownStarted);
    drop(bus);
    assert_eq!(prompt.recv().await, None);
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
