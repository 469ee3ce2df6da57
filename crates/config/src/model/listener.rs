//! The client's side: listeners, time-outs, limits and the access log.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use super::tls::{Hsts, ListenerTls, RedirectHttps};

/// An address on which clients are served.
#[derive(Debug, Clone, PartialEq)]
pub struct Listener {
    /// Its key under `listeners`.
    pub name: Arc<str>,
    /// Where it listens; port 0 lets the system choose one.
    pub bind: SocketAddr,
    /// Whether `CONNECT` requests are served (key `allowConnect`); otherwise they are answered with 405.
    pub allow_connect: bool,
    /// Who says in front of a connection whom it is from; none is nobody.
    pub proxy_protocol: Option<ProxyProtocol>,
    /// Speaks TLS; none is plain text.
    pub tls: Option<ListenerTls>,
    /// Sends clients to where TLS is spoken; none serves them here.
    pub redirect_https: Option<RedirectHttps>,
    /// What browsers are told of TLS.
    pub hsts: Option<Hsts>,
}

/// Where headers of the PROXY protocol are read (key `proxyProtocol`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyProtocol {
    /// Who sends them, always, and is believed.
    pub trusted: Vec<IpNet>,
    /// Nobody else is served; otherwise others are clients.
    pub required: bool,
}

impl ProxyProtocol {
    /// Whether others are refused, unless the file says otherwise.
    pub const DEFAULT_REQUIRED: bool = true;
}

/// How long a client may take (key `timeouts` of the file).
#[derive(Debug, Clone, PartialEq)]
pub struct ClientTimeouts {
    /// From the first byte of a request to the end of its head.
    pub request_head: Duration,
    /// Longest wait for the next request on a kept-alive connection.
    pub idle: Duration,
    /// Longest pause within a request body; a slow body that keeps moving is never cut.
    pub body: Duration,
    /// Longest time in which a client takes nothing of an answer.
    pub send: Duration,
    /// How long exchanges may go on after SIGTERM.
    pub drain: Duration,
}

impl Default for ClientTimeouts {
    fn default() -> Self {
        Self {
            request_head: Duration::from_secs(10),
            idle: Duration::from_secs(75),
            body: Duration::from_mins(1),
            send: Duration::from_mins(1),
            drain: Duration::from_secs(30),
        }
    }
}

/// How much may be sent (key `limits`). Sizes are bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// Request line and headers together.
    pub request_head: usize,
    /// The request target.
    pub target: usize,
    /// Header fields in one head.
    pub headers: usize,
    /// Status line and headers of a server's answer together.
    pub response_head: usize,
    /// Trailer section of a chunked body.
    pub trailers: usize,
    /// Request body; 0 is no limit.
    pub body: u64,
    /// Client connections at a time; 0 is by the descriptor limit.
    pub connections: usize,
    /// Exchanges on one client connection; 0 is no limit.
    pub requests_per_connection: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_head: 32 * 1024,
            target: 8 * 1024,
            headers: 100,
            response_head: 64 * 1024,
            trailers: 8 * 1024,
            body: 0,
            connections: 0,
            requests_per_connection: 0,
        }
    }
}

/// Which headers tell a server who the client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ForwardedHeaders {
    /// `X-Forwarded-For`, `X-Forwarded-Proto` and `X-Forwarded-Host`.
    #[default]
    XForwarded,
    /// `Forwarded` (RFC 7239).
    Forwarded,
    /// Both kinds.
    Both,
    /// None.
    Off,
}

impl ForwardedHeaders {
    /// Every choice, in the order of the documentation.
    pub const ALL: [Self; 4] = [Self::XForwarded, Self::Forwarded, Self::Both, Self::Off];

    /// The word that stands in the file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::XForwarded => "x_forwarded",
            Self::Forwarded => "forwarded",
            Self::Both => "both",
            Self::Off => "off",
        }
    }
}

/// What is written about each exchange, and where.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AccessLog {
    /// How a line looks.
    pub format: LogFormat,
    /// Where lines go.
    pub output: LogOutput,
}

/// How a line of the access log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// One JSON object a line.
    #[default]
    Json,
    /// The combined format that Apache and nginx write.
    Combined,
}

impl LogFormat {
    /// Every format.
    pub const ALL: [Self; 2] = [Self::Json, Self::Combined];

    /// The word that stands in the file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Combined => "combined",
        }
    }
}

/// Where the access log goes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum LogOutput {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// Nowhere.
    #[default]
    Off,
    /// Appended to this file.
    File(PathBuf),
}
