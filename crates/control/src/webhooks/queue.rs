//! Events that wait for one webhook.
//!
//! A target hears of events in their order. When many servers change at once, what waits about servers becomes one
//! message with a list, so that five hundred servers behind a broken switch are not five hundred messages. Such an
//! event never overtakes another event of its own pool, nor one that is about the whole node, so a list is as true as
//! its parts would have been; `pool_down` and `pool_up` always are messages of their own.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use loadweaver_telemetry::event::{Event, StampedEvent};
use tokio::time::Instant;

use super::message::Message;

/// Events that may wait: all servers of five large installations at once. They are shared with the history, so a
/// place costs a pointer until the history lets go of its event.
pub(super) const WAITING: usize = 10_000;
/// Messages of the operator's own hand (tests, redeliveries) that may wait.
const BY_HAND: usize = 20;
/// So many events about servers become a list.
const LIST_FROM: usize = 5;
/// Servers in one list; a body of about 200 KiB. The others come in the next message.
const LIST_LIMIT: usize = 1000;
/// Messages about servers that may go out at once, and the time in which there may be one more. While there may be
/// none, events gather.
const BURST: u32 = 5;
const GATHER: Duration = Duration::from_secs(1);

/// The queue of one webhook.
#[derive(Debug)]
pub(super) struct Queue {
    by_hand: VecDeque<Message>,
    events: VecDeque<Arc<StampedEvent>>,
    limit: usize,
    /// When a message about servers would be free again if the burst were used up (the generic cell rate algorithm).
    spent_until: Option<Instant>,
    /// Events dropped since the last message, which the next one tells.
    missed: u64,
    dropped: u64,
}

/// What is to be told next.
#[derive(Debug)]
pub(super) enum Taken {
    /// As it is.
    Message(Message),
    /// One event, and how many were lost before it.
    Event(Arc<StampedEvent>, u64),
    /// Many events about servers, and how many were lost before them.
    Servers(ServerList, u64),
}

/// The last event about each of many servers.
#[derive(Debug)]
pub(super) struct ServerList {
    /// In their order.
    pub(super) events: Vec<Arc<StampedEvent>>,
    /// Events that the list stands for.
    pub(super) count: usize,
    /// Events about servers that the list had no room for; they come in the next message.
    pub(super) more: usize,
}

/// What the queue has to say.
#[derive(Debug)]
pub(super) enum Next {
    Nothing,
    /// Something, but not before this.
    NotBefore(Instant),
    Now(Taken),
}

impl Queue {
    /// At most `limit` events wait.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            by_hand: VecDeque::new(),
            events: VecDeque::new(),
            limit: limit.max(1),
            spent_until: None,
            missed: 0,
            dropped: 0,
        }
    }

    /// Takes an event; the oldest gives way when there is no room.
    pub(super) fn push(&mut self, event: Arc<StampedEvent>) {
        if self.events.len() >= self.limit {
            self.events.pop_front();
            self.lose(1);
        }
        self.events.push_back(event);
    }

    /// Takes a message that goes before all events; false when too many of that kind wait.
    pub(super) fn push_by_hand(&mut self, message: Message) -> bool {
        let room = self.by_hand.len() < BY_HAND;
        if room {
            self.by_hand.push_back(message);
        }
        room
    }

    /// Counts events that never came this far, too.
    pub(super) fn lose(&mut self, count: u64) {
        self.missed += count;
        self.dropped += count;
    }

    /// Events and messages that wait.
    pub(super) fn len(&self) -> usize {
        self.by_hand.len() + self.events.len()
    }

    /// Events lost since the start.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// What to tell next. In a hurry nothing gathers.
    pub(super) fn next(&mut self, now: Instant, hurry: bool) -> Next {
        if let Some(message) = self.by_hand.pop_front() {
            return Next::Now(Taken::Message(message));
        }
        let Some(first) = self.events.front() else { return Next::Nothing };
        if !is_about_server(&first.event) {
            return self.one();
        }
        match self.spent_until.and_then(|until| until.checked_sub(GATHER * (BURST - 1))) {
            Some(free) if free > now && !hurry => return Next::NotBefore(free),
            _ => self.spent_until = Some(self.spent_until.map_or(now, |until| until.max(now)) + GATHER),
        }
        let together = self.together();
        if together.len() < LIST_FROM {
            return self.one();
        }
        Next::Now(Taken::Servers(self.list(&together), std::mem::take(&mut self.missed)))
    }

    fn one(&mut self) -> Next {
        let missed = std::mem::take(&mut self.missed);
        self.events.pop_front().map_or(Next::Nothing, |event| Next::Now(Taken::Event(event, missed)))
    }

    /// The places of the events that may become one list.
    fn together(&self) -> HashSet<usize> {
        let mut places = HashSet::new();
        let mut servers = HashSet::new();
        let mut closed_pools = HashSet::new();
        for (place, stamped) in self.events.iter().enumerate() {
            let event = &stamped.event;
            match (event.pool(), key(event)) {
                (Some(pool), Some(_)) if closed_pools.contains(pool) => {}
                (Some(_), Some(key)) => {
                    if servers.len() == LIST_LIMIT && !servers.contains(&key) {
                        break;
                    }
                    servers.insert(key);
                    places.insert(place);
                }
                (Some(pool), None) => {
                    closed_pools.insert(pool);
                }
                (None, _) => break,
            }
        }
        places
    }

    fn list(&mut self, places: &HashSet<usize>) -> ServerList {
        let mut latest = HashMap::new();
        let mut rest = VecDeque::new();
        for (place, event) in std::mem::take(&mut self.events).into_iter().enumerate() {
            match key(&event.event).map(Key::owned) {
                Some(key) if places.contains(&place) => {
                    latest.insert(key, event);
                }
                _ => rest.push_back(event),
            }
        }
        self.events = rest;
        let mut events: Vec<_> = latest.into_values().collect();
        events.sort_unstable_by_key(|event| event.id);
        let more = self.events.iter().filter(|each| is_about_server(&each.event)).count();
        ServerList { events, count: places.len(), more }
    }
}

/// What a list has one entry for: a server's health, or whether it is there at all.
#[derive(PartialEq, Eq, Hash)]
struct Key<'a> {
    pool: &'a str,
    server: &'a str,
    about: About,
}

impl Key<'_> {
    fn owned(self) -> (String, String, About) {
        (self.pool.to_owned(), self.server.to_owned(), self.about)
    }
}

#[derive(PartialEq, Eq, Hash)]
enum About {
    Health,
    Membership,
}

fn key(event: &Event) -> Option<Key<'_>> {
    let (pool, server, about) = match event {
        Event::ServerDown { pool, server, .. }
        | Event::ServerUp { pool, server, .. }
        | Event::ServerUnstable { pool, server, .. } => (pool, server, About::Health),
        Event::ServerAdded { pool, server } | Event::ServerRemoved { pool, server } => {
            (pool, server, About::Membership)
        }
        Event::PoolDown { .. }
        | Event::PoolUp { .. }
        | Event::PanicStarted { .. }
        | Event::PanicEnded { .. }
        | Event::RecoveryStarted { .. }
        | Event::RecoverySucceeded { .. }
        | Event::RecoveryFailed { .. }
        | Event::RecoveryHeld { .. }
        | Event::ConfigApplied { .. }
        | Event::ConfigRefused { .. }
        | Event::ConfigReverted { .. }
        | Event::ConfigNotSaved { .. }
        | Event::WebhookFailing { .. }
        | Event::WebhookRecovered { .. }
        | Event::CertificateLoaded { .. }
        | Event::CertificateRefused { .. }
        | Event::CertificateExpiring { .. }
        | Event::AcceptPaused { .. }
        | Event::AcceptResumed { .. }
        | Event::ClientCut { .. }
        | Event::TaskDied { .. }
        | Event::ShutdownStarted
        | Event::ShutdownFinished { .. } => return None,
    };
    Some(Key { pool, server: &server.id, about })
}

fn is_about_server(event: &Event) -> bool {
    key(event).is_some()
}

#[cfg(test)]
mod tests;
