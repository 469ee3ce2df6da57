//! What a span tells.

use std::net::{IpAddr, SocketAddr};

use loadweaver_policy::failure::{Blame, Failure};

use super::context::{Parent, SpanId};
use super::{UnixNanos, message};
use crate::record::HttpVersion;
use crate::redact;

/// An exchange: a span of the kind SERVER. Borrows everything, as a [`crate::record::Record`] does.
#[derive(Debug, Clone, Copy)]
pub struct ExchangeSpan<'a> {
    /// Its trace, itself, and what servers are told of both.
    pub context: Parent,
    /// The client's span.
    pub parent: Option<SpanId>,
    /// The client's `tracestate`, of several fields one list; empty where there is none.
    pub state: &'a [u8],
    /// When the request's first byte was read.
    pub begun: UnixNanos,
    /// When the answer's last byte was on its way, or there was nothing more to be done.
    pub ended: UnixNanos,
    /// As sent.
    pub method: &'a str,
    /// As sent.
    pub path: &'a str,
    /// As sent, with its query.
    pub target: &'a str,
    /// What the client speaks.
    pub scheme: Scheme,
    /// The authority that was asked for, as sent.
    pub host: &'a str,
    /// The client's protocol version.
    pub version: HttpVersion,
    /// The transport's peer; none over a Unix socket.
    pub peer: Option<SocketAddr>,
    /// The client that we believe it to be.
    pub client: Option<IpAddr>,
    /// Raw field value; empty when absent.
    pub user_agent: &'a [u8],
    /// The `X-Request-Id` that was kept or made.
    pub request_id: &'a str,
    /// The listener that took the connection.
    pub listener: &'a str,
    /// The route that matched.
    pub route: Option<&'a str>,
    /// The pool that the route named.
    pub pool: Option<&'a str>,
    /// The status that the client got; 0 when it got none.
    pub status: u16,
    /// Why the answer was ours, or why there was none.
    pub failure: Option<Failure>,
}

/// An attempt: a span of the kind CLIENT.
#[derive(Debug, Clone, Copy)]
pub struct AttemptSpan<'a> {
    /// Itself.
    pub span: SpanId,
    /// Attempts before it.
    pub resent: u64,
    /// When a server had been picked.
    pub begun: UnixNanos,
    /// When it had failed, its answer was set aside, or the exchange was over.
    pub ended: UnixNanos,
    /// The server's id.
    pub server: &'a str,
    /// Its host, or the path of its socket.
    pub host: &'a str,
    /// Its port; none with a socket.
    pub port: Option<u16>,
    /// What it is spoken to with.
    pub scheme: Scheme,
    /// The server's status; 0 when there was none.
    pub status: u16,
    /// Why it came to nothing.
    pub failure: Option<Failure>,
}

/// The scheme of a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Plain text.
    Http,
    /// TLS.
    Https,
}

impl Scheme {
    fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// `SpanKind`
const SERVER: u64 = 2;
const CLIENT: u64 = 3;
/// `Status { code = ERROR }`
const ERROR: u64 = 2;
/// The field of attributes.
const ATTRIBUTES: u8 = 9;
/// Methods that are told of by name: whoever invents others must not invent names of spans.
const METHODS: [&str; 10] =
    ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY"];

impl ExchangeSpan<'_> {
    /// Longest `tracestate` that is told of, in bytes (W3C Trace Context, section 3.3.1.5: at least this much is passed
    /// on).
    pub const LONGEST_STATE: usize = 512;

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        begin(out, &self.context, self.context.span, self.parent);
        if !self.state.is_empty() && self.state.len() <= Self::LONGEST_STATE && self.state.is_ascii() {
            message::bytes(out, 3, self.state);
        }
        let method = self.known_method();
        let named = method.unwrap_or("HTTP");
        match self.route {
            Some(route) => message::bytes(out, 5, format!("{named} {route}").as_bytes()),
            None => message::bytes(out, 5, named.as_bytes()),
        }
        times(out, SERVER, (self.begun, self.ended));
        self.request(out, method);
        self.place(out);
        self.outcome(out);
        // Bits 8 and 9: it is known whether the parent is elsewhere, and it is.
        let remote = if self.parent.is_some() { 0x300 } else { 0x100 };
        message::fixed32(out, 16, remote | u32::from(self.context.is_sampled));
    }

    fn known_method(&self) -> Option<&str> {
        METHODS.contains(&self.method).then_some(self.method)
    }

    fn request(&self, out: &mut Vec<u8>, method: Option<&str>) {
        let mut text = |name, value: &str| message::text(out, ATTRIBUTES, name, value);
        text("http.request.method", method.unwrap_or("_OTHER"));
        if method.is_none() {
            text("http.request.method_original", self.method);
        }
        text("url.scheme", self.scheme.name());
        text("url.path", self.path);
        if let Some((_, query)) = redact::target(self.target).split_once('?') {
            text("url.query", query);
        }
        text("network.protocol.version", protocol(self.version));
        if !self.user_agent.is_empty() {
            message::lossy(out, ATTRIBUTES, "user_agent.original", self.user_agent);
        }
    }

    /// Where it came from, and where to.
    fn place(&self, out: &mut Vec<u8>) {
        let (host, port) = authority(self.host);
        let mut text = |name, value: &str| message::text(out, ATTRIBUTES, name, value);
        if !host.is_empty() {
            text("server.address", host);
        }
        if let Some(client) = self.client {
            text("client.address", &client.to_string());
        }
        if let Some(peer) = self.peer {
            text("network.peer.address", &peer.ip().to_canonical().to_string());
        }
        if let Some(route) = self.route {
            text("http.route", route);
        }
        text("loadweaver.listener", self.listener);
        if let Some(pool) = self.pool {
            text("loadweaver.pool", pool);
        }
        if !self.request_id.is_empty() {
            text("loadweaver.request_id", self.request_id);
        }
        if let Some(peer) = self.peer {
            message::whole(out, ATTRIBUTES, "network.peer.port", u64::from(peer.port()));
        }
        if !host.is_empty() {
            let port = port.unwrap_or(self.scheme.port());
            message::whole(out, ATTRIBUTES, "server.port", u64::from(port));
        }
    }

    /// A server's span is only in error where the fault is not the client's.
    fn outcome(&self, out: &mut Vec<u8>) {
        if self.status != 0 {
            message::whole(out, ATTRIBUTES, "http.response.status_code", u64::from(self.status));
        }
        if let Some(failure) = self.failure {
            message::text(out, ATTRIBUTES, "loadweaver.failure", failure.code());
        }
        let ours = self.failure.is_some_and(|failure| failure.blame() != Blame::Client);
        error(out, (self.status, self.failure), self.status >= 500, self.status >= 500 || ours);
    }
}

impl AttemptSpan<'_> {
    pub(super) fn write(&self, exchange: &ExchangeSpan<'_>, out: &mut Vec<u8>) {
        begin(out, &exchange.context, self.span, Some(exchange.context.span));
        let method = exchange.known_method();
        message::bytes(out, 5, method.unwrap_or("HTTP").as_bytes());
        times(out, CLIENT, (self.begun, self.ended));
        let mut text = |name, value: &str| message::text(out, ATTRIBUTES, name, value);
        text("http.request.method", method.unwrap_or("_OTHER"));
        text("server.address", self.host);
        text("url.full", &self.url(exchange));
        text("loadweaver.server", self.server);
        if let Some(pool) = exchange.pool {
            text("loadweaver.pool", pool);
        }
        if let Some(port) = self.port {
            message::whole(out, ATTRIBUTES, "server.port", u64::from(port));
        }
        if self.resent > 0 {
            message::whole(out, ATTRIBUTES, "http.request.resend_count", self.resent);
        }
        if self.status != 0 {
            message::whole(out, ATTRIBUTES, "http.response.status_code", u64::from(self.status));
        }
        let bad = self.status >= 400;
        let broken = self.failure.is_some_and(|failure| failure.blame() != Blame::Client);
        error(out, (self.status, self.failure), bad, bad || broken);
        message::fixed32(out, 16, 0x100 | u32::from(exchange.context.is_sampled));
    }

    fn url(&self, exchange: &ExchangeSpan<'_>) -> String {
        let mut url = format!("{}://", self.scheme.name());
        if self.host.contains(':') {
            url.extend(["[", self.host, "]"]);
        } else {
            url.push_str(self.host);
        }
        if let Some(port) = self.port {
            url.push(':');
            url.push_str(&port.to_string());
        }
        url.push_str(exchange.path);
        if let Some((_, query)) = redact::target(exchange.target).split_once('?') {
            url.extend(["?", query]);
        }
        url
    }
}

/// Trace, span, parent.
fn begin(out: &mut Vec<u8>, context: &Parent, span: SpanId, parent: Option<SpanId>) {
    message::bytes(out, 1, context.trace.bytes());
    message::bytes(out, 2, span.bytes());
    if let Some(parent) = parent {
        message::bytes(out, 4, parent.bytes());
    }
}

fn times(out: &mut Vec<u8>, kind: u64, (begun, ended): (UnixNanos, UnixNanos)) {
    message::number(out, 6, kind);
    message::fixed64(out, 7, begun);
    message::fixed64(out, 8, ended.max(begun));
}

/// What kind of error it was, and whether the span is one.
fn error(out: &mut Vec<u8>, (status, failure): (u16, Option<Failure>), named: bool, is_error: bool) {
    match failure {
        Some(failure) => message::text(out, ATTRIBUTES, "error.type", failure.code()),
        None if named => message::text(out, ATTRIBUTES, "error.type", &status.to_string()),
        None => {}
    }
    if is_error {
        let mut state = Vec::new();
        if let Some(failure) = failure {
            message::bytes(&mut state, 2, failure.message().as_bytes());
        }
        message::number(&mut state, 3, ERROR);
        message::bytes(out, 15, &state);
    }
}

fn protocol(version: HttpVersion) -> &'static str {
    match version {
        HttpVersion::Http10 => "1.0",
        HttpVersion::Http11 => "1.1",
        HttpVersion::Http2 => "2",
    }
}

/// The host without brackets, and the port.
fn authority(authority: &str) -> (&str, Option<u16>) {
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port.parse().ok()),
        _ => (authority, None),
    };
    (host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host), port)
}
