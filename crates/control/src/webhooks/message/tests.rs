#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
use loadweaver_telemetry::event::{Event, EventBus, ServerRef};

use super::*;

fn stamped(event: Event) -> Arc<StampedEvent> {
    let bus = EventBus::of_node("lb-1", 4);
    bus.emit(event);
    bus.recent(1).remove(0)
}

fn down(pool: &str, id: &str) -> Arc<StampedEvent> {
    let server = ServerRef { id: id.into(), address: "10.0.0.1:80".into() };
    stamped(Event::ServerDown {
        pool: pool.into(),
        server,
        reason: "<refused> & gone".into(),
        cause: "connect_refused",
    })
}

fn json_of(taken: &Taken) -> (Message, Value) {
    let message = Message::new(taken, WebhookFormat::Json, &Ids::new());
    let json = serde_json::from_slice(&message.body).unwrap();
    (message, json)
}

fn slack_of(taken: &Taken) -> String {
    let message = Message::new(taken, WebhookFormat::Slack, &Ids::new());
    let json: Value = serde_json::from_slice(&message.body).unwrap();
    assert_eq!(json.as_object().unwrap().len(), 1);
    json["text"].as_str().unwrap().to_owned()
}

fn list(events: Vec<Arc<StampedEvent>>, more: usize) -> ServerList {
    ServerList { count: events.len() * 2, events, more }
}

#[test]
fn a_body_has_all_keys_in_the_order_of_the_contract() {
    let (message, json) = json_of(&Taken::Event(down("app", "app-1"), 0));
    let text = String::from_utf8(message.body.to_vec()).unwrap();
    let keys = ["id", "timestamp", "event", "pool", "server", "reason", "node", "details"];
    let places: Vec<usize> = keys.iter().map(|key| text.find(&format!("\"{key}\":")).unwrap()).collect();
    assert!(places.is_sorted(), "{text}");
    assert_eq!((&json["event"], &json["pool"]), (&json!("server_down"), &json!("app")));
    assert_eq!(json["server"], json!({"id": "app-1", "address": "10.0.0.1:80"}));
    assert_eq!((&json["reason"], &json["node"]), (&json!("<refused> & gone"), &json!("lb-1")));
    assert_eq!((&json["id"], &json["details"]), (&json!(&*message.id), &json!({"cause": "connect_refused"})));
    let (_, json) = json_of(&Taken::Event(stamped(Event::ShutdownStarted), 0));
    assert!(keys.iter().all(|key| json.get(key).is_some()), "{json}");
    assert_eq!((&json["pool"], &json["server"], &json["reason"]), (&Value::Null, &Value::Null, &Value::Null));
}

#[test]
fn ids_are_not_given_out_twice() {
    let ids = Ids::new();
    let mut seen: Vec<Arc<str>> = (0..100).map(|_| ids.next()).collect();
    seen.push(Ids::new().next());
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 101);
}

#[test]
fn lost_events_are_told() {
    let (_, json) = json_of(&Taken::Event(stamped(Event::ShutdownFinished { cut: 1 }), 12));
    assert_eq!(json["details"], json!({"cut": 1, "missed": 12}));
}

#[test]
fn a_list_tells_each_server() {
    let events = vec![down("app", "a"), down("app", "b"), down("api", "a")];
    let (message, json) = json_of(&Taken::Servers(list(events, 4), 3));
    assert_eq!(message.event, SERVERS_CHANGED);
    assert_eq!(
        (&json["event"], &json["pool"], &json["server"]),
        (&json!(SERVERS_CHANGED), &Value::Null, &Value::Null)
    );
    let details = &json["details"];
    assert_eq!((&details["count"], &details["more"], &details["missed"]), (&json!(6), &json!(4), &json!(3)));
    let second = &details["servers"][1];
    assert_eq!(
        (&second["pool"], &second["id"], &second["event"]),
        (&json!("app"), &json!("b"), &json!("server_down"))
    );
    assert_eq!((&second["address"], &second["reason"]), (&json!("10.0.0.1:80"), &json!("<refused> & gone")));
    assert_eq!(json["reason"], "many servers changed: server_down 3");
    let (_, json) = json_of(&Taken::Servers(list(vec![down("app", "a"), down("app", "b")], 0), 0));
    assert_eq!(json["pool"], "app");
}

#[test]
fn slack_reads_one_line_that_cannot_be_a_link() {
    let text = slack_of(&Taken::Event(down("app", "app-1"), 0));
    assert_eq!(
        text,
        ":red_circle: *server_down* pool app server app-1 at 10.0.0.1:80: &lt;refused&gt; &amp; gone (node lb-1)"
    );
    let applied =
        Event::ConfigApplied { version: 2, origin: "api".into(), summary: "pool app changed".into() };
    let text = slack_of(&Taken::Event(stamped(applied), 2));
    assert_eq!(
        text,
        ":information_source: *config_applied*; origin api; summary pool app changed (node lb-1)\n\
         2 events before this one were lost: too many waited"
    );
}

#[test]
fn slack_reads_the_first_servers_of_a_list() {
    let events = (0..25).map(|id| down("app", &format!("s{id}"))).collect();
    let text = slack_of(&Taken::Servers(list(events, 0), 0));
    assert_eq!(text.lines().count(), 22, "{text}");
    assert!(text.contains("\n:red_circle: server_down app / s19: &lt;refused"), "{text}");
    assert!(text.ends_with("\n… and 5 more"), "{text}");
}

#[test]
fn a_test_says_that_it_is_one() {
    let message = Message::test("lb-1", WebhookFormat::Json, &Ids::new());
    let json: Value = serde_json::from_slice(&message.body).unwrap();
    assert_eq!((&json["event"], &json["node"]), (&json!("webhook_test"), &json!("lb-1")));
    let message = Message::test("lb-1", WebhookFormat::Slack, &Ids::new());
    assert!(String::from_utf8(message.body.to_vec()).unwrap().contains("*webhook_test*: an operator"));
}
