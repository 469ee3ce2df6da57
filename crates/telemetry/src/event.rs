//! Something an operator wants to know.
//!
//! One closed enum, one bus. `EventBus::emit` is the only place where an event becomes a log line, a place in the
//! history, a line of the event file, and a message to whoever listens (dashboard, webhooks, cluster). A slow listener
//! loses its own events and learns how many; nothing waits for it.
//!
//! Texts in events come from outside now and then (a server's answer, a program's last words), so the bus cuts them
//! and takes control characters out before anybody sees them: what is in the history is bounded, one line, and safe
//! on a terminal.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::{Map, Value};

use crate::line::rfc3339;

/// Told to everybody, kept for a while.
mod bus;
/// The details of an event, as JSON.
mod fields;
/// All of them on disk.
mod file;
/// Which events somebody wants.
mod filter;
/// The last events.
mod history;
/// The line in the program's log.
mod lines;
/// What the events are called.
mod names;
/// No longer than this.
mod texts;

pub use bus::{EventBus, Follower, Receiver};
pub use file::EventFile;
pub use filter::Filter;
pub use history::{HISTORY, HISTORY_BYTES};
pub use texts::{MAX_ISSUES, MAX_TEXT};

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
        /// Why, in a word that programs can compare.
        cause: &'static str,
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
    /// A server goes up and down too often and is held out until it has calmed down.
    ServerUnstable {
        /// The pool that it belongs to.
        pool: Arc<str>,
        /// Which one.
        server: ServerRef,
        /// Why, in words for an operator.
        reason: String,
    },
    /// A pool has a new server.
    ServerAdded {
        /// The pool that it belongs to.
        pool: Arc<str>,
        /// Which one.
        server: ServerRef,
    },
    /// A server belongs to its pool no more.
    ServerRemoved {
        /// The pool that it belonged to.
        pool: Arc<str>,
        /// Which one.
        server: ServerRef,
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
    /// So few servers of a pool are healthy that traffic is spread over the others too.
    PanicStarted {
        /// Which pool.
        pool: Arc<str>,
        /// Servers that are healthy.
        healthy: usize,
        /// Servers that traffic is meant for.
        total: usize,
    },
    /// Enough servers of a pool are healthy again.
    PanicEnded {
        /// Which pool.
        pool: Arc<str>,
    },
    /// A self-healing action begins.
    RecoveryStarted {
        /// The pool that the server belongs to.
        pool: Arc<str>,
        /// Which one.
        server: ServerRef,
        /// Counts from 1 in one outage.
        attempt: u32,
        /// What is done: `command`, `http`, `process`.
        action: &'static str,
    },
    /// The server is healthy again after a self-healing action.
    RecoverySucceeded {
        /// The pool that the server belongs to.
        pool: Arc<str>,
        /// Which one.
        server: ServerRef,
        /// Which attempt it was.
        attempt: u32,
        /// From the action's begin until the server was healthy.
        took: Duration,
    },
    /// A self-healing action failed, or the server did not become healthy in time.
    RecoveryFailed {
        /// The pool that the server belongs to.
        pool: Arc<str>,
        /// Which one.
        server: ServerRef,
        /// Which attempt it was.
        attempt: u32,
        /// Why, in words for an operator.
        reason: String,
    },
    /// Nothing is done about a pool's servers for the moment: the fault is likely elsewhere.
    RecoveryHeld {
        /// Which pool.
        pool: Arc<str>,
        /// Why, in words for an operator.
        reason: String,
    },
    /// A configuration is in force.
    ConfigApplied {
        /// The snapshot's number, 1 at start.
        version: u64,
        /// Where it came from: `start`, a file's path, the admin API.
        origin: String,
        /// What changed, in words for an operator.
        summary: String,
    },
    /// A configuration was refused; the old one stays in force.
    ConfigRefused {
        /// Where it came from: a file's path, the admin API.
        origin: String,
        /// What is wrong with it, in a sentence.
        reason: String,
        /// Each problem.
        issues: Vec<String>,
    },
    /// A configuration was undone.
    ConfigReverted {
        /// The number of the one that is gone.
        version: u64,
        /// Why, in words for an operator.
        reason: String,
    },
    /// A configuration is in force and could not be written to its file.
    ConfigNotSaved {
        /// The file.
        path: String,
        /// Why, in words for an operator.
        reason: String,
    },
    /// A webhook's target does not take messages; they wait.
    WebhookFailing {
        /// Its name.
        webhook: Arc<str>,
        /// Why, in words for an operator.
        reason: String,
    },
    /// A webhook's target takes messages again.
    WebhookRecovered {
        /// Its name.
        webhook: Arc<str>,
    },
    /// A listener, or a pool to its servers, shows another certificate from the next handshake on.
    CertificateLoaded {
        /// Whose it is.
        holder: Holder,
        /// The certificate's file.
        path: String,
        /// The hosts that it is for.
        names: String,
    },
    /// A new certificate cannot be used; the old one stays.
    CertificateRefused {
        /// Whose it is.
        holder: Holder,
        /// The file that is wrong.
        path: String,
        /// Why, in words for an operator.
        reason: String,
    },
    /// A certificate ends soon, or has ended.
    CertificateExpiring {
        /// Whose it is.
        holder: Holder,
        /// The certificate's file.
        path: String,
        /// When, in words for an operator.
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
    /// A client's connection was ended because it did what known attacks do.
    ClientCut {
        /// Where it came in.
        listener: Arc<str>,
        /// Its address; none over a Unix socket.
        client: Option<IpAddr>,
        /// The kind of attack.
        attack: &'static str,
        /// Where the attack was described.
        cve: &'static str,
        /// Connections that were ended for it since the last such event, this one included.
        connections: u64,
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

/// Whose a certificate is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// The listener that shows it to clients.
    Listener(Arc<str>),
    /// The pool whose servers are shown it, or are believed by it.
    Pool(Arc<str>),
}

impl Holder {
    /// The listener's name or the pool's.
    fn names(&self) -> (Option<&str>, Option<&str>) {
        match self {
            Self::Listener(listener) => (Some(&**listener), None),
            Self::Pool(pool) => (None, Some(&**pool)),
        }
    }
}

/// A server, as events name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerRef {
    /// Its id within the pool.
    pub id: Arc<str>,
    /// `host:port` as configured.
    pub address: String,
}

/// An event with its place in time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StampedEvent {
    /// Counts up from 1 since the process started.
    pub id: u64,
    /// When it was emitted.
    pub at: SystemTime,
    /// The node that it happened at.
    pub node: Arc<str>,
    /// What happened.
    pub event: Event,
}

impl StampedEvent {
    /// `{"id", "timestamp", "event", "node", "pool"?, "server"?, "reason"?, "details"?}`.
    pub fn to_json(&self) -> Value {
        let mut json = Map::new();
        json.insert("id".to_owned(), self.id.into());
        json.insert("timestamp".to_owned(), rfc3339(self.at).into());
        json.insert("event".to_owned(), self.event.name().into());
        json.insert("node".to_owned(), (&*self.node).into());
        json.extend(self.event.fields());
        Value::Object(json)
    }
}

#[cfg(test)]
mod tests;
