//! Events: whom they are told to, and where they are kept.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::secret::Secret;
use crate::url::without_path;

/// An address that is told of events (an entry of `webhooks`).
#[derive(Clone, PartialEq)]
pub struct Webhook {
    /// Its own name, or `webhook-1`, `webhook-2`, … by position.
    pub name: Arc<str>,
    /// `http` or `https`, without credentials and fragment.
    pub url: String,
    /// Which events it is told.
    pub events: EventFilter,
    /// Signs what is sent; none sends no signature.
    pub secret: Option<Secret>,
    /// How a message looks.
    pub format: WebhookFormat,
    /// How long one delivery may take.
    pub timeout: Duration,
    /// Tries of one message in all.
    pub attempts: u32,
    /// Headers that are sent too, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Certificates (PEM) that are trusted instead of the system's.
    pub ca_file: Option<PathBuf>,
}

/// Without what may be secret.
impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, url, events, format, .. } = self;
        f.debug_struct("Webhook")
            .field("name", name)
            .field("to", &without_path(url))
            .field("events", events)
            .field("format", format)
            .finish_non_exhaustive()
    }
}

impl Webhook {
    /// `timeout` where none is given.
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

    /// `attempts` where none is given.
    pub const DEFAULT_ATTEMPTS: u32 = 10;
}

/// Which events are wanted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum EventFilter {
    /// Every one.
    #[default]
    All,
    /// Those of these names; at least one, each of them one of [`EVENT_NAMES`].
    Only(Vec<String>),
}

impl EventFilter {
    /// Whether an event of this name is wanted.
    pub fn takes(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(names) => names.iter().any(|wanted| wanted == name),
        }
    }
}

/// How a message to a webhook looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WebhookFormat {
    /// The event as JSON.
    #[default]
    Json,
    /// What Slack's incoming webhooks take.
    Slack,
}

impl WebhookFormat {
    /// Every format.
    pub const ALL: [Self; 2] = [Self::Json, Self::Slack];

    /// The word that stands in the file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Slack => "slack",
        }
    }
}

/// A file that every event is appended to (key `events`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventLog {
    /// The file.
    pub file: PathBuf,
    /// Bytes at which it is set aside and a new one begun.
    pub max_size: u64,
    /// How many files that were set aside are kept.
    pub keep: u32,
}

impl EventLog {
    /// `maxSize` where none is given: 64 MiB.
    pub const DEFAULT_MAX_SIZE: u64 = 64 * 1024 * 1024;

    /// `keep` where none is given.
    pub const DEFAULT_KEEP: u32 = 5;
}

/// The names of all events, in the order of the enum that raises them. They stand here because a filter that names none
/// of them is a slip that the operator should hear of.
pub const EVENT_NAMES: [&str; 28] = [
    "server_down",
    "server_up",
    "server_unstable",
    "server_added",
    "server_removed",
    "pool_down",
    "pool_up",
    "panic_started",
    "panic_ended",
    "recovery_started",
    "recovery_succeeded",
    "recovery_failed",
    "recovery_held",
    "config_applied",
    "config_refused",
    "config_reverted",
    "config_not_saved",
    "webhook_failing",
    "webhook_recovered",
    "certificate_loaded",
    "certificate_refused",
    "certificate_expiring",
    "accept_paused",
    "accept_resumed",
    "client_cut",
    "task_died",
    "shutdown_started",
    "shutdown_finished",
];
