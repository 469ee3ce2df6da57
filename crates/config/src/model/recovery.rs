//! Recoveries: what is done for a server that stays down.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::url::without_path;

/// What is done for a server that stays down, and how often (key `recovery`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovery {
    /// What is done.
    pub action: RecoveryAction,
    /// How long a server is down before the first attempt; 0 is at once.
    pub after: Duration,
    /// Attempts in a row before it is given up.
    pub attempts: u32,
    /// Pause after the first attempt that failed; it doubles with each.
    pub backoff: Duration,
    /// Where the pause stops growing; never below `backoff`.
    pub max_backoff: Duration,
    /// An attempt has succeeded when the server is up within this time.
    pub within: Duration,
    /// How long the action itself may take.
    pub timeout: Duration,
    /// Attempts under way at a time in one pool.
    pub max_concurrent: u32,
}

impl Recovery {
    /// What stands in for each key that is left out.
    pub const fn new(action: RecoveryAction) -> Self {
        Self {
            action,
            after: Duration::from_secs(30),
            attempts: 5,
            backoff: Duration::from_secs(30),
            max_backoff: Duration::from_mins(10),
            within: Duration::from_mins(1),
            timeout: Duration::from_secs(30),
            max_concurrent: 1,
        }
    }
}

/// What a recovery does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecoveryAction {
    /// Runs a program.
    Command(HostCommand),
    /// Sends a request.
    Http(HttpCall),
    /// Starts the server itself as a child, and starts it anew.
    Process {
        /// The server's program.
        command: HostCommand,
        /// How long it may take to end after SIGTERM; 0 kills it at once.
        stop_timeout: Duration,
    },
}

impl RecoveryAction {
    /// The words of all actions, in the order of the documentation.
    pub const NAMES: [&str; 3] = ["command", "http", "process"];

    /// How long a child may take to end where nothing is given.
    pub const DEFAULT_STOP_TIMEOUT: Duration = Duration::from_secs(10);

    /// The word that stands in the file.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Command(_) => "command",
            Self::Http(_) => "http",
            Self::Process { .. } => "process",
        }
    }

    /// The program that it runs on this machine, if it does.
    pub const fn host_command(&self) -> Option<&HostCommand> {
        match self {
            Self::Command(command) | Self::Process { command, .. } => Some(command),
            Self::Http(_) => None,
        }
    }
}

/// A program to run on this machine, without a shell.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct HostCommand {
    /// The program's absolute path, and its arguments.
    pub argv: Vec<String>,
    /// Variables that are added to its environment.
    pub env: Vec<(String, String)>,
    /// Where it runs, an absolute path; none is where LoadWeaver runs.
    pub directory: Option<PathBuf>,
}

/// A request to somebody who can bring a server back.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpCall {
    /// `http` or `https`, without credentials and fragment.
    pub url: String,
    /// Its method.
    pub method: String,
    /// Its headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Its body; may be empty.
    pub body: String,
    /// Certificates (PEM) that are trusted instead of the system's.
    pub ca_file: Option<PathBuf>,
}

/// Without arguments and values, which may be secret.
impl fmt::Debug for HostCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostCommand").field("program", &self.argv.first()).finish_non_exhaustive()
    }
}

/// Without what may be secret.
impl fmt::Debug for HttpCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { url, method, .. } = self;
        f.debug_struct("HttpCall")
            .field("method", method)
            .field("to", &without_path(url))
            .finish_non_exhaustive()
    }
}

impl HttpCall {
    /// The method where none is given.
    pub const DEFAULT_METHOD: &str = "POST";
}
