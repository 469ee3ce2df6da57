//! Health: active probes, passive observation, and ranges of status codes.

use std::fmt;
use std::time::Duration;

/// How the servers of a pool are probed (key `healthCheck`).
#[derive(Debug, Clone, PartialEq)]
pub struct HealthCheck {
    /// What a probe does.
    pub kind: ProbeKind,
    /// What an `http` probe asks for.
    pub path: String,
    /// The service that a `grpc` probe asks about; empty is the server as a whole.
    pub service: String,
    /// The `Host` (`:authority`) that an `http` or `grpc` probe sends; none sends the server's own address.
    pub host: Option<String>,
    /// From the start of one probe of a server to the start of the next.
    pub interval: Duration,
    /// When an unanswered probe has failed.
    pub timeout: Duration,
    /// Good probes in a row that bring a server back.
    pub rise: u32,
    /// Bad probes in a row that take a server out.
    pub fall: u32,
    /// Statuses that are a good answer to an `http` probe.
    pub expect_status: Vec<StatusRange>,
    /// A slower probe is a bad one; none is no such limit.
    pub max_latency: Option<Duration>,
    /// Whether an unknown server gets no traffic before its first good probe (key `startDown`).
    pub start_down: bool,
    /// The method of an `http` probe.
    pub method: String,
    /// The port that is probed; none is the server's own.
    pub port: Option<u16>,
    /// Whether an `http` or `grpc` probe speaks TLS.
    pub tls: bool,
    /// Whether a probe over TLS verifies the server's certificate.
    pub verify: bool,
    /// Headers that an `http` or `grpc` probe sends, names in lower case.
    pub headers: Vec<(String, String)>,
    /// What must stand in the first [`PROBED_BODY`](Self::PROBED_BODY) bytes of a good answer's body.
    pub expect_body: Option<BodyPattern>,
    /// Headers that a good answer has, names in lower case, with exactly these values.
    pub expect_headers: Vec<(String, String)>,
    /// The program that an `exec` probe runs, and its arguments; empty for other kinds.
    pub command: Vec<String>,
    /// Instead of `interval` while a verdict is about to change. Whoever schedules takes the shorter of the two.
    pub fast_interval: Duration,
    /// Where the pauses between probes of a server that is down stop growing. Whoever schedules takes the longer
    /// of this and `interval`.
    pub max_interval: Duration,
}

impl HealthCheck {
    /// How much of an answer's body is looked at, in bytes: 64 KiB.
    pub const PROBED_BODY: usize = 64 * 1024;
}

impl Default for HealthCheck {
    /// What holds when `healthCheck` is left out: a TCP connect, since that is how a server that passive
    /// health took out comes back.
    fn default() -> Self {
        Self {
            kind: ProbeKind::Tcp,
            path: "/".to_owned(),
            service: String::new(),
            host: None,
            interval: Duration::from_secs(5),
            timeout: Duration::from_secs(3),
            rise: 2,
            fall: 3,
            expect_status: vec![StatusRange { first: 200, last: 399 }],
            max_latency: None,
            start_down: false,
            method: "GET".to_owned(),
            port: None,
            tls: false,
            verify: true,
            headers: Vec::new(),
            expect_body: None,
            expect_headers: Vec::new(),
            command: Vec::new(),
            fast_interval: Duration::from_secs(1),
            max_interval: Duration::from_mins(1),
        }
    }
}

/// What an answer's body must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BodyPattern {
    /// This text; never empty.
    Contains(String),
    /// Something that this regular expression finds. Known to compile within
    /// [`MAX_REGEX_SIZE`](crate::MAX_REGEX_SIZE).
    Regex(String),
}

/// What a probe does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ProbeKind {
    /// Nothing: there are no probes.
    Off,
    /// Opens a connection.
    #[default]
    Tcp,
    /// Sends a request and looks at the answer.
    Http,
    /// Calls `grpc.health.v1.Health/Check` and looks at the status.
    Grpc,
    /// Runs a program on this machine and looks at how it exits.
    Exec,
}

impl ProbeKind {
    /// Every kind.
    pub const ALL: [Self; 5] = [Self::Off, Self::Tcp, Self::Http, Self::Grpc, Self::Exec];

    /// The word that stands in the file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Tcp => "tcp",
            Self::Http => "http",
            Self::Grpc => "grpc",
            Self::Exec => "exec",
        }
    }
}

/// When failures of real requests take a server out (key `passiveHealth`).
#[derive(Debug, Clone, PartialEq)]
pub struct PassiveHealth {
    /// So many failures within `window` take a server out; 0 turns this off.
    pub failures: u32,
    /// How far back failures count.
    pub window: Duration,
    /// Statuses of a server's answer that count as failures.
    pub on_status: Vec<StatusRange>,
    /// How long a server that requests took out, by refused connections too, stays out at the least.
    pub hold: Duration,
}

impl Default for PassiveHealth {
    fn default() -> Self {
        Self {
            failures: 5,
            window: Duration::from_secs(10),
            on_status: Vec::new(),
            hold: Duration::from_secs(5),
        }
    }
}

/// When a server that goes up and down too often is held out (key `flapDamping`). Each change of its verdict adds 1
/// to a penalty that halves with every half-life.
#[derive(Debug, Clone, PartialEq)]
pub struct FlapDamping {
    /// A penalty above this makes a server unstable; 0 turns this off.
    pub limit: u32,
    /// The penalty at which it is let in again; below `limit`.
    pub reuse: u32,
    /// In which the penalty halves.
    pub half_life: Duration,
}

impl Default for FlapDamping {
    fn default() -> Self {
        Self { limit: 6, reuse: 2, half_life: Duration::from_mins(2) }
    }
}

/// Status codes from `first` to `last`, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatusRange {
    /// The lowest.
    pub first: u16,
    /// The highest; never below `first`.
    pub last: u16,
}

impl StatusRange {
    /// Whether `status` lies in it.
    pub const fn contains(self, status: u16) -> bool {
        self.first <= status && status <= self.last
    }
}

impl fmt::Display for StatusRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{}-{}", self.first, self.last)
        }
    }
}
