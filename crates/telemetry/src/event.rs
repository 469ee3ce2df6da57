//! Something an operator wants to know.
//!
//! One closed enum, one bus. `EventBus::emit` is the only place where an event becomes a log line, a place in the
//! history, and a message to whoever listens (dashboard, webhooks, cluster). A slow listener loses its own events and
//! learns how many; nothing waits for it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use serde_json::{Map, Value, json};
use tokio::sync::broadcast;

use crate::line::rfc3339;
use crate::log;

/// Events that the history keeps: at one a second a quarter of an hour, on a quiet node weeks; under 500 KiB.
const HISTORY: usize = 1000;

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A server gets no more traffic.
    ServerDown {
        /// The pool that it belongs to.
        pool: Arc<str>,
        /// Which one.
        server: ServerRef,
        /// Why, in words for an operator.
        reason: String,
    },
    /// A server gets traffic again.
    ServerUp {
        /// The pool that it belongs to.
        pool: Arc<str>,
        /// Which one.
        server: ServerRef,
        /// Why, in words for an operator.
        reason: String,
    },
    /// No server of a pool can take traffic.
    PoolDown {
        /// Which one.
        pool: Arc<str>,
        /// The last server's reason.
        reason: String,
    },
    /// A server of a pool that was down can take traffic again.
    PoolUp {
        /// Which one.
        pool: Arc<str>,
    },
    /// A configuration is in force.
    ConfigApplied {
        /// The snapshot's number, 1 at start.
        version: u64,
    },
    /// A configuration was refused; the old one stays in force.
    ConfigRefused {
        /// Where it came from: a file's path, the admin API.
        origin: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A listener takes no connections for the moment.
    AcceptPaused {
        /// Which one.
        listener: Arc<str>,
        /// What is used up.
        reason: String,
    },
    /// A listener takes connections again.
    AcceptResumed {
        /// Which one.
        listener: Arc<str>,
    },
    /// A long-lived task of our own panicked or ended and is started again.
    TaskDied {
        /// Its name.
        task: &'static str,
        /// What it died of.
        reason: String,
    },
    /// No new connections; exchanges under way go on.
    ShutdownStarted,
    /// All workers have ended.
    ShutdownFinished {
        /// Connections that were cut at the deadline.
        cut: u64,
    },
}

/// A server, as events name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerRef {
    /// Its id within the pool.
    pub id: Arc<str>,
    /// `host:port` as configured.
    pub address: String,
}

impl Event {
    /// The event's name in webhooks, metrics, and the history.
    pub fn name(&self) -> &'static str {
        match self {
            Self::ServerDown { .. } => "server_down",
            Self::ServerUp { .. } => "server_up",
            Self::PoolDown { .. } => "pool_down",
            Self::PoolUp { .. } => "pool_up",
            Self::ConfigApplied { .. } => "config_applied",
            Self::ConfigRefused { .. } => "config_refused",
            Self::AcceptPaused { .. } => "accept_paused",
            Self::AcceptResumed { .. } => "accept_resumed",
            Self::TaskDied { .. } => "task_died",
            Self::ShutdownStarted => "shutdown_started",
            Self::ShutdownFinished { .. } => "shutdown_finished",
        }
    }

    /// The line in the program's log.
    fn log(&self) {
        match self {
            Self::ServerDown { pool, server, reason } => {
                tracing::warn!(target: log::HEALTH, %pool, server = %server.id, address = server.address, reason, "server is down");
            }
            Self::ServerUp { pool, server, reason } => {
                tracing::info!(target: log::HEALTH, %pool, server = %server.id, address = server.address, reason, "server is up");
            }
            Self::PoolDown { pool, reason } => {
                tracing::error!(target: log::HEALTH, %pool, reason, "no server of the pool is up");
            }
            Self::PoolUp { pool } => tracing::info!(target: log::HEALTH, %pool, "the pool is up again"),
            Self::ConfigApplied { version } => {
                tracing::info!(target: log::CONFIG, version, "configuration is in force");
            }
            Self::ConfigRefused { origin, reason } => {
                tracing::error!(target: log::CONFIG, origin, reason, "configuration refused, the old one stays");
            }
            Self::AcceptPaused { listener, reason } => {
                tracing::error!(target: log::LISTEN, %listener, reason, "accepting paused");
            }
            Self::AcceptResumed { listener } => {
                tracing::info!(target: log::LISTEN, %listener, "accepting again");
            }
            Self::TaskDied { task, reason } => {
                tracing::error!(target: log::PROCESS, task, reason, "a task died and is started again");
            }
            Self::ShutdownStarted => tracing::info!(target: log::PROCESS, "draining"),
            Self::ShutdownFinished { cut } => {
                tracing::info!(target: log::PROCESS, cut, "all workers have ended");
            }
        }
    }

    /// The fields beside the name, as webhooks and the history show them.
    fn fields(&self) -> Map<String, Value> {
        let value = match self {
            Self::ServerDown { pool, server, reason } | Self::ServerUp { pool, server, reason } => {
                json!({"pool": &**pool, "server": {"id": &*server.id, "address": server.address}, "reason": reason})
            }
            Self::PoolDown { pool, reason } => json!({"pool": &**pool, "reason": reason}),
            Self::PoolUp { pool } => json!({"pool": &**pool}),
            Self::ConfigApplied { version } => json!({"details": {"version": version}}),
            Self::ConfigRefused { origin, reason } => {
                json!({"reason": reason, "details": {"origin": origin}})
            }
            Self::AcceptPaused { listener, reason } => {
                json!({"reason": reason, "details": {"listener": &**listener}})
            }
            Self::AcceptResumed { listener } => json!({"details": {"listener": &**listener}}),
            Self::TaskDied { task, reason } => json!({"reason": reason, "details": {"task": task}}),
            Self::ShutdownStarted => json!({}),
            Self::ShutdownFinished { cut } => json!({"details": {"cut": cut}}),
        };
        match value {
            Value::Object(fields) => fields,
            _ => Map::new(),
        }
    }
}

/// An event with its place in time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StampedEvent {
    /// Counts up from 1 since the process started.
    pub id: u64,
    /// When it was emitted.
    pub at: SystemTime,
    /// What happened.
    pub event: Event,
}

impl StampedEvent {
    /// `{"id", "timestamp", "event", "pool"?, "server"?, "reason"?, "details"?}`.
    pub fn to_json(&self) -> Value {
        let mut fields = self.event.fields();
        fields.insert("id".to_owned(), self.id.into());
        fields.insert("timestamp".to_owned(), rfc3339(self.at).into());
        fields.insert("event".to_owned(), self.event.name().into());
        Value::Object(fields)
    }
}

/// Where events go. Cheap to clone; all clones are one bus.
#[derive(Debug, Clone)]
pub struct EventBus {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    history: Mutex<VecDeque<StampedEvent>>,
    sender: broadcast::Sender<StampedEvent>,
}

impl EventBus {
    /// A bus whose listeners may each be `capacity` events behind before they lose some.
    pub fn new(capacity: usize) -> Self {
        let (sender, _) = broadcast::channel(capacity.max(1));
        Self { shared: Arc::new(Shared { history: Mutex::default(), sender }) }
    }

    /// Tells everybody. Never waits for a listener or an output.
    pub fn emit(&self, event: Event) {
        event.log();
        // The lock also keeps the order of the history and of what listeners see the same.
        let mut history = self.shared.history.lock().unwrap_or_else(PoisonError::into_inner);
        let id = history.back().map_or(1, |last| last.id + 1);
        let stamped = StampedEvent { id, at: SystemTime::now(), event };
        if history.len() == HISTORY {
            history.pop_front();
        }
        history.push_back(stamped.clone());
        // An error means that nobody listens.
        drop(self.shared.sender.send(stamped));
    }

    /// Listens from now on.
    pub fn subscribe(&self) -> Receiver {
        Receiver { receiver: self.shared.sender.subscribe(), lost: 0 }
    }

    /// The last `count` events, the newest first.
    pub fn recent(&self, count: usize) -> Vec<StampedEvent> {
        let history = self.shared.history.lock().unwrap_or_else(PoisonError::into_inner);
        history.iter().rev().take(count).cloned().collect()
    }
}

/// A listener's end of the bus.
#[derive(Debug)]
pub struct Receiver {
    receiver: broadcast::Receiver<StampedEvent>,
    lost: u64,
}

impl Receiver {
    /// The next event; none when the bus is gone.
    pub async fn recv(&mut self) -> Option<StampedEvent> {
        loop {
            match self.receiver.recv().await {
                Ok(event) => return Some(event),
                Err(broadcast::error::RecvError::Lagged(count)) => self.lost += count,
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }

    /// Events that this listener was too slow for.
    pub fn lost(&self) -> u64 {
        self.lost
    }
}

#[cfg(test)]
mod tests;
