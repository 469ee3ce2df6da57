//! The client's side: listeners, time-outs and limits.

use std::sync::Arc;
use std::time::Duration;

use super::bind::{Bind, SocketMode, Trusted};
use super::tls::{Hsts, ListenerTls, RedirectHttps};

/// Addresses on which clients are served.
#[derive(Debug, Clone, PartialEq)]
pub struct Listener {
    /// Its key under `listeners`.
    pub name: Arc<str>,
    /// Where it listens: at least one, and none that covers another.
    pub binds: Vec<Bind>,
    /// The mode of its Unix sockets' files.
    pub socket_mode: SocketMode,
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
    /// What clients may speak.
    pub protocols: Protocols,
}

/// The versions of HTTP that clients may speak (key `protocols`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protocols {
    /// HTTP/1 and HTTP/2.
    #[default]
    Both,
    /// HTTP/1.1 and HTTP/1.0.
    Http1,
    /// HTTP/2.
    Http2,
}

impl Protocols {
    /// Whether HTTP/1 is among them.
    pub const fn has_http1(self) -> bool {
        !matches!(self, Self::Http2)
    }

    /// Whether HTTP/2 is among them.
    pub const fn has_http2(self) -> bool {
        !matches!(self, Self::Http1)
    }
}

/// A version of HTTP that a client may speak, as it is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClientProtocol {
    /// HTTP/1.1 and HTTP/1.0.
    #[default]
    Http1,
    /// HTTP/2.
    Http2,
}

impl ClientProtocol {
    /// Every one.
    pub const ALL: [Self; 2] = [Self::Http1, Self::Http2];

    /// The word that stands in the file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Http1 => "http1",
            Self::Http2 => "http2",
        }
    }
}

/// Where headers of the PROXY protocol are read (key `proxyProtocol`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyProtocol {
    /// Who sends them, always, and is believed.
    pub trusted: Vec<Trusted>,
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
    /// What holds for client connections of HTTP/2.
    pub http2: Http2Limits,
}

/// What a client connection of HTTP/2 may have (key `limits.http2`). Sizes are bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Http2Limits {
    /// Exchanges at once.
    pub max_concurrent_streams: u32,
    /// What one exchange's body may have on the way, once its reader keeps up.
    pub stream_window: u32,
    /// What the bodies of all exchanges may have on the way.
    pub connection_window: u32,
}

impl Default for Http2Limits {
    fn default() -> Self {
        Self { max_concurrent_streams: 128, stream_window: 256 * 1024, connection_window: 1024 * 1024 }
    }
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
            http2: Http2Limits::default(),
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
