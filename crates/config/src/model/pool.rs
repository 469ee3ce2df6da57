//! Pools: servers, the algorithm that picks one, retries, time-outs, connections kept, the fallback.

use std::sync::Arc;
use std::time::Duration;

use super::probe::{FlapDamping, HealthCheck, PassiveHealth, StatusRange};
use super::recovery::Recovery;
use super::servers::Servers;
use super::tls::PoolTls;

/// A named group of servers with one algorithm.
#[derive(Debug, Clone, PartialEq)]
pub struct Pool {
    /// Its key under `pools`.
    pub name: Arc<str>,
    /// How a server is picked.
    pub algorithm: Algorithm,
    /// What its servers speak.
    pub protocol: Protocol,
    /// At least one, and at least one of them with a weight above 0. Shared between configurations that both have
    /// them.
    pub servers: Servers,
    /// Active probes.
    pub health_check: HealthCheck,
    /// What failures of real requests do.
    pub passive_health: PassiveHealth,
    /// When a server that goes up and down too often is held out.
    pub flap_damping: FlapDamping,
    /// How long the share of a server that came back takes to grow to all of it; 0 is off.
    pub slow_start: Duration,
    /// With fewer healthy servers than this share of the active ones, in percent, traffic goes to all; 0 is off.
    pub panic_percent: u32,
    /// What is done for a server that stays down; none is nothing.
    pub recovery: Option<Recovery>,
    /// When a request is tried again.
    pub retry: Retry,
    /// How long a server may take.
    pub timeouts: PoolTimeouts,
    /// Which connections to servers are kept.
    pub connection_pool: ConnectionPool,
    /// The answer when no server can be used; none is 503 with `Retry-After`.
    pub fallback: Option<Fallback>,
    /// Speaks TLS with the servers; none is plain text.
    pub tls: Option<PoolTls>,
    /// How its servers are told in front of a connection whom it is from.
    pub send_proxy_protocol: SendProxyProtocol,
}

impl Pool {
    /// `panicPercent` where none is given.
    pub const DEFAULT_PANIC_PERCENT: u32 = 50;
}

/// How a server is picked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Algorithm {
    /// In turn, weights set aside.
    #[default]
    RoundRobin,
    /// In turn by weight, smoothly: 5, 1, 1 never gives five in a row.
    WeightedRoundRobin,
    /// By chance, by weight.
    Weighted,
    /// By chance.
    Random,
    /// The one with the fewest exchanges under way for its weight.
    LeastConnections,
    /// By the client's address: the same client to the same server while it is there.
    IpHash,
}

impl Algorithm {
    /// Every algorithm, in the order of the documentation.
    pub const ALL: [Self; 6] = [
        Self::RoundRobin,
        Self::WeightedRoundRobin,
        Self::Weighted,
        Self::Random,
        Self::LeastConnections,
        Self::IpHash,
    ];

    /// The word that stands in the file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RoundRobin => "round_robin",
            Self::WeightedRoundRobin => "weighted_round_robin",
            Self::Weighted => "weighted",
            Self::Random => "random",
            Self::LeastConnections => "least_connections",
            Self::IpHash => "ip_hash",
        }
    }
}

/// What a pool's servers speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Protocol {
    /// What TLS agrees on; in the clear HTTP/1.1.
    #[default]
    Auto,
    /// HTTP/1.1.
    Http1,
    /// HTTP/2 over TLS, and nothing else.
    Http2,
    /// HTTP/2 in the clear, as both sides know.
    H2c,
}

impl Protocol {
    /// Every protocol, in the order of the documentation.
    pub const ALL: [Self; 4] = [Self::Auto, Self::Http1, Self::Http2, Self::H2c];

    /// The word that stands in the file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Http1 => "http1",
            Self::Http2 => "http2",
            Self::H2c => "h2c",
        }
    }
}

/// How servers are told in front of a connection whom it is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum SendProxyProtocol {
    /// They are not.
    #[default]
    Off,
    /// In a line.
    V1,
    /// In binary, with what is known of the client's TLS.
    V2,
}

impl SendProxyProtocol {
    /// Every choice, in the order of the documentation.
    pub const ALL: [Self; 3] = [Self::Off, Self::V1, Self::V2];

    /// The word that stands in the file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::V1 => "v1",
            Self::V2 => "v2",
        }
    }
}

/// What stands in front of the name of a Unix socket.
pub(crate) const UNIX: &str = "unix:";

/// One host and port, or one Unix socket, in a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Unique in its pool; its address unless given.
    pub id: Arc<str>,
    /// A name to look up (lower case), an IP address without brackets, or a Unix socket: `unix:` and its path, or
    /// `unix:@` and its name in the abstract namespace.
    pub host: String,
    /// 0 for a Unix socket, and never otherwise.
    pub port: u16,
    /// Share of the traffic, 0 to 1000; 0 gives it no new traffic.
    pub weight: u32,
    /// Exchanges under way at a time; 0 is no limit.
    pub max_connections: u32,
    /// Whether it takes new traffic.
    pub state: ServerState,
    /// Stands in for the pool's recovery.
    pub recovery: Option<Recovery>,
}

impl Server {
    /// Weight where none is given.
    pub const DEFAULT_WEIGHT: u32 = 1;

    /// `host:port`, with brackets around an IPv6 address; a Unix socket has no port.
    pub fn address_text(host: &str, port: u16) -> String {
        if host.starts_with(UNIX) {
            return host.to_owned();
        }
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }

    /// The Unix socket that it listens on, if it does: a path, or `@` and a name in the abstract namespace.
    pub fn unix(&self) -> Option<&str> {
        self.host.strip_prefix(UNIX)
    }

    /// Whether this is its host. The case of names plays no part, that of paths does.
    pub fn has_host(&self, host: &str) -> bool {
        self.host == host || self.unix().is_none() && self.host.eq_ignore_ascii_case(host)
    }

    /// Its port, if it has one.
    pub fn tcp_port(&self) -> Option<u16> {
        self.unix().is_none().then_some(self.port)
    }

    /// What stands in `Host` where nobody says otherwise: a Unix socket is on this machine, whatever its name.
    pub fn authority(&self) -> String {
        match self.unix() {
            Some(_) => "localhost".to_owned(),
            None => Self::address_text(&self.host, self.port),
        }
    }
}

/// What an operator wants of a server, whatever its health.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ServerState {
    /// Takes traffic while it is healthy.
    #[default]
    Active,
    /// Takes no new traffic; what is under way goes on.
    Drain,
    /// Takes no traffic: somebody works on it.
    Maintenance,
}

impl ServerState {
    /// Every state, in the order of the documentation.
    pub const ALL: [Self; 3] = [Self::Active, Self::Drain, Self::Maintenance];

    /// The word that stands in the file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Drain => "drain",
            Self::Maintenance => "maintenance",
        }
    }
}

/// When a request is tried again (key `retry`).
#[derive(Debug, Clone, PartialEq)]
pub struct Retry {
    /// Tries in all, the first included: 1 to 10; 1 is no retry.
    pub attempts: u32,
    /// What is tried again.
    pub on: RetryOn,
    /// Longest wait for the head of one try's answer; 0 is off.
    pub per_try_timeout: Duration,
    /// Retries as a share of the requests of the last 10 s, in percent.
    pub budget_percent: u32,
    /// Retries a second that the budget always allows.
    pub budget_floor: u32,
    /// Bytes of a request body that are kept for another try; a longer body is streamed and not tried again.
    pub buffer_body: usize,
    /// Whether a POST may be tried again after bytes were sent.
    pub non_idempotent: bool,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            attempts: 3,
            on: RetryOn::default(),
            per_try_timeout: Duration::ZERO,
            budget_percent: 20,
            budget_floor: 3,
            buffer_body: 64 * 1024,
            non_idempotent: false,
        }
    }
}

/// What is tried again.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "independent words of a list")]
pub struct RetryOn {
    /// No connection came about.
    pub connect_failure: bool,
    /// The connection ended, or carried nonsense, before a whole answer head.
    pub reset: bool,
    /// No answer head in time.
    pub timeout: bool,
    /// A gRPC call was answered with UNAVAILABLE and nothing else.
    pub unavailable: bool,
    /// The server answered with one of these.
    pub statuses: Vec<StatusRange>,
}

impl Default for RetryOn {
    fn default() -> Self {
        let statuses = [502, 503, 504].map(|status| StatusRange { first: status, last: status });
        Self {
            connect_failure: true,
            reset: true,
            timeout: true,
            unavailable: false,
            statuses: statuses.to_vec(),
        }
    }
}

/// How long a server may take (key `timeouts` of a pool).
#[derive(Debug, Clone, PartialEq)]
pub struct PoolTimeouts {
    /// To a connection.
    pub connect: Duration,
    /// From the whole request to the head of the answer.
    pub response: Duration,
    /// Longest pause within an answer's body, and in which a server takes nothing of a request's.
    pub idle: Duration,
    /// The whole exchange with all its attempts; 0 is off.
    pub total: Duration,
    /// Longest silence on an upgraded connection, both ways together.
    pub tunnel: Duration,
}

impl Default for PoolTimeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(3),
            response: Duration::from_mins(1),
            idle: Duration::from_mins(5),
            total: Duration::ZERO,
            tunnel: Duration::from_hours(1),
        }
    }
}

/// Which connections to servers are kept for the next request (key `connectionPool`).
#[derive(Debug, Clone, PartialEq)]
pub struct ConnectionPool {
    /// Unused connections kept per server and worker; 0 keeps none.
    pub max_idle: usize,
    /// How long an unused connection is kept.
    pub idle_timeout: Duration,
    /// Requests on one connection; 0 is no limit.
    pub max_requests: u64,
    /// Age after which a connection takes no new request; 0 is no limit.
    pub max_lifetime: Duration,
}

impl Default for ConnectionPool {
    fn default() -> Self {
        Self {
            max_idle: 256,
            idle_timeout: Duration::from_mins(1),
            max_requests: 0,
            max_lifetime: Duration::ZERO,
        }
    }
}

/// The answer when no server of a pool can be used.
#[derive(Debug, Clone, PartialEq)]
pub struct Fallback {
    /// 200 to 599.
    pub status: u16,
    /// Its body.
    pub body: String,
    /// Its `Content-Type`.
    pub content_type: String,
}

impl Default for Fallback {
    fn default() -> Self {
        Self { status: 503, body: String::new(), content_type: "text/plain; charset=utf-8".to_owned() }
    }
}
