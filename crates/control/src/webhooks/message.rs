//! What a target is sent.
//!
//! The bytes of a message are made once: they are what is signed, sent, and sent again.

use std::collections::BTreeMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use bytes::Bytes;
use loadweaver_config::WebhookFormat;
use loadweaver_telemetry::event::StampedEvent;
use loadweaver_telemetry::rfc3339;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::queue::{ServerList, Taken};
use super::slack;

/// The name of a message that stands for many events.
pub(super) const SERVERS_CHANGED: &str = "servers_changed";
/// The name of a message that an operator asked for to see whether it arrives.
pub(super) const TEST: &str = "webhook_test";

/// A body with its name and number.
#[derive(Debug, Clone)]
pub(super) struct Message {
    /// The same for every attempt, and for a redelivery.
    pub(super) id: Arc<str>,
    /// The event's name.
    pub(super) event: &'static str,
    pub(super) body: Bytes,
}

/// Gives out ids that no other process and no other webhook gives out.
#[derive(Debug)]
pub(super) struct Ids {
    life: u64,
    next: AtomicU64,
}

impl Ids {
    pub(super) fn new() -> Self {
        Self { life: RandomState::new().hash_one(SystemTime::now()), next: AtomicU64::new(1) }
    }

    fn next(&self) -> Arc<str> {
        format!("{:016x}-{}", self.life, self.next.fetch_add(1, Ordering::Relaxed)).into()
    }
}

/// What a receiver reads, in this order. Keys that do not apply are null, so that they are always there.
#[derive(Debug, Serialize)]
pub(super) struct Body<'a> {
    id: &'a str,
    timestamp: String,
    pub(super) event: &'static str,
    pub(super) pool: Option<Value>,
    pub(super) server: Option<Value>,
    pub(super) reason: Option<Value>,
    pub(super) node: &'a str,
    pub(super) details: Map<String, Value>,
}

impl Message {
    /// Makes the message out of what waits.
    pub(super) fn new(taken: &Taken, format: WebhookFormat, ids: &Ids) -> Self {
        let id = ids.next();
        let body = match taken {
            Taken::Message(message) => return message.clone(),
            Taken::Event(event, missed) => of_event(&id, event, *missed),
            Taken::Servers(list, missed) => of_list(&id, list, *missed),
        };
        let bytes = encoded(&body, format);
        let event = body.event;
        Self { id, event, body: bytes }
    }

    /// A message that tells nothing.
    pub(super) fn test(node: &str, format: WebhookFormat, ids: &Ids) -> Self {
        let id = ids.next();
        let body = Body {
            id: &id,
            timestamp: rfc3339(SystemTime::now()),
            event: TEST,
            pool: None,
            server: None,
            reason: Some("an operator asked for it".into()),
            node,
            details: Map::new(),
        };
        let bytes = encoded(&body, format);
        Self { id, event: TEST, body: bytes }
    }
}

fn encoded(body: &Body<'_>, format: WebhookFormat) -> Bytes {
    let text = match format {
        // Strings, numbers and maps with string keys: there is nothing in it that JSON cannot say.
        WebhookFormat::Json => serde_json::to_string(body).unwrap_or_default(),
        WebhookFormat::Slack => json!({"text": slack::text(body)}).to_string(),
    };
    text.into()
}

fn of_event<'a>(id: &'a str, stamped: &'a StampedEvent, missed: u64) -> Body<'a> {
    let mut json = stamped.to_json();
    let mut take = |key: &str| json.get_mut(key).map(Value::take);
    let (pool, server, reason) = (take("pool"), take("server"), take("reason"));
    let mut details = match take("details") {
        Some(Value::Object(details)) => details,
        _ => Map::new(),
    };
    tell_missed(&mut details, missed);
    let timestamp = rfc3339(stamped.at);
    Body { id, timestamp, event: stamped.event.name(), pool, server, reason, node: &stamped.node, details }
}

fn of_list<'a>(id: &'a str, list: &'a ServerList, missed: u64) -> Body<'a> {
    let mut servers = Vec::with_capacity(list.events.len());
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for stamped in &list.events {
        let (event, server) = (&stamped.event, stamped.event.server());
        *counts.entry(event.name()).or_default() += 1;
        servers.push(json!({
            "pool": event.pool(),
            "id": server.map(|server| &*server.id),
            "address": server.map(|server| &server.address),
            "event": event.name(),
            "reason": stamped.to_json().get_mut("reason").map(Value::take),
            "timestamp": rfc3339(stamped.at),
        }));
    }
    let counted: Vec<String> = counts.iter().map(|(name, count)| format!("{name} {count}")).collect();
    let mut pools: Vec<&str> = list.events.iter().filter_map(|each| each.event.pool()).collect();
    pools.dedup();
    let pool = match pools.as_slice() {
        [pool] => Some((*pool).into()),
        _ => None,
    };
    let mut details = Map::new();
    details.insert("servers".to_owned(), servers.into());
    details.insert("count".to_owned(), list.count.into());
    details.insert("more".to_owned(), list.more.into());
    tell_missed(&mut details, missed);
    let newest = list.events.last();
    Body {
        id,
        timestamp: rfc3339(newest.map_or_else(SystemTime::now, |newest| newest.at)),
        event: SERVERS_CHANGED,
        pool,
        server: None,
        reason: Some(format!("many servers changed: {}", counted.join(", ")).into()),
        node: newest.map_or("", |newest| &newest.node),
        details,
    }
}

/// A receiver that counts must learn that it cannot.
fn tell_missed(details: &mut Map<String, Value>, missed: u64) {
    if missed > 0 {
        details.insert("missed".to_owned(), missed.into());
    }
}

#[cfg(test)]
mod tests;
