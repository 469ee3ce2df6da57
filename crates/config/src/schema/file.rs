//! The file and the client's side.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Serialize;

use crate::bounds;
use crate::model::bind::SocketMode;
use crate::model::listener::{self as model};

use super::access_log::AccessLog;
use super::operators::{Admin, EventLog, Tracing, Webhook};
use super::pool::Pool;
use super::tls::{Hsts, ListenerTls, Redirection};
use super::words::{Addresses, ClientProtocol, ForwardedHeaders, Size, Span, or_variable};

/// The configuration of LoadWeaver.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Configuration {
    /// Where this schema is found, for editors; not looked at otherwise.
    #[serde(rename = "$schema", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", default)]
    schema: Option<String>,
    /// Worker threads; 0 is one per core.
    #[serde(default)]
    #[schemars(range(min = *bounds::WORKERS.start(), max = *bounds::WORKERS.end()), transform = or_variable)]
    workers: usize,
    /// Where clients connect, by name; at least one.
    #[schemars(with = "std::collections::BTreeMap<String, Listener>", extend("minProperties" = 1))]
    listeners: IndexMap<String, Listener>,
    /// Which requests go to which pool: the first route that matches wins. May be left out with one pool.
    #[serde(default)]
    routes: Vec<Route>,
    /// Groups of servers, by name; at least one.
    #[schemars(with = "std::collections::BTreeMap<String, Pool>", extend("minProperties" = 1))]
    pools: IndexMap<String, Pool>,
    /// How long a client may take.
    #[serde(default)]
    timeouts: ClientTimeouts,
    /// How much may be sent.
    #[serde(default)]
    limits: Limits,
    /// Networks (or addresses) whose X-Forwarded-* and Forwarded headers are believed.
    #[serde(default)]
    trusted_proxies: Vec<String>,
    /// Which headers tell a server about the client.
    #[serde(default)]
    forwarded_headers: ForwardedHeaders,
    /// The name that is written into Via; left out, no Via is written.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", default)]
    via: Option<String>,
    /// The listener of operators; left out, there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Admin", default)]
    admin: Option<Admin>,
    /// What is written about each exchange, and where.
    #[serde(default)]
    access_log: AccessLog,
    /// Who is told of events.
    #[serde(default)]
    webhooks: Vec<Webhook>,
    /// The file that events are appended to; left out, they are kept in memory alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "EventLog", default)]
    events: Option<EventLog>,
    /// Where spans of exchanges go; left out, there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Tracing", default)]
    tracing: Option<Tracing>,
}

/// An address on which clients are served.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Listener {
    /// One address or a list of them: an IP address and a port, such as 0.0.0.0:8080, where port 0 lets the system
    /// choose; %eth0:8080 for an interface alone; unix:/run/web.sock.
    bind: Addresses,
    /// The mode of its Unix sockets' files.
    #[serde(default = "listener_mode")]
    socket_mode: String,
    /// Whether CONNECT requests are served.
    #[serde(default)]
    #[schemars(transform = or_variable)]
    allow_connect: bool,
    /// Who says in front of a connection whom it is from; left out, nobody.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ProxyProtocol", default)]
    proxy_protocol: Option<ProxyProtocol>,
    /// Speaks TLS; left out, plain text.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ListenerTls", default)]
    tls: Option<ListenerTls>,
    /// Sends clients to where TLS is spoken: true, or the port and the status.
    #[serde(default = "no_redirection")]
    redirect_https: Redirection,
    /// What browsers are told to remember; left out, nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Hsts", default)]
    hsts: Option<Hsts>,
    /// The versions of HTTP that clients may speak: over TLS they are offered, in the clear HTTP/2 is known by its beginning.
    #[serde(default = "every_protocol")]
    #[schemars(length(min = 1))]
    protocols: Vec<ClientProtocol>,
}

fn every_protocol() -> Vec<ClientProtocol> {
    Vec::from(model::ClientProtocol::ALL.map(ClientProtocol))
}

fn listener_mode() -> String {
    SocketMode::OF_LISTENER.to_string()
}

/// Where headers of the PROXY protocol are read, versions 1 and 2.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ProxyProtocol {
    /// Networks (or addresses) whose connections all begin with one.
    #[schemars(length(min = 1))]
    trusted: Vec<String>,
    /// Nobody else is served; false serves others as clients.
    #[serde(default = "others_are_refused")]
    #[schemars(transform = or_variable)]
    required: bool,
}

fn others_are_refused() -> bool {
    model::ProxyProtocol::DEFAULT_REQUIRED
}

fn no_redirection() -> Redirection {
    Redirection
}

/// Sends the requests that match to a pool.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Route {
    /// Its name in logs and metrics; route-1, route-2, … by position when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", default)]
    name: Option<String>,
    /// What a request must look like; left out, every request matches.
    #[serde(default, rename = "match")]
    matcher: Match,
    /// The pool that its requests go to.
    pool: String,
}

/// What a request must look like: all of these must hold.
#[derive(Serialize, JsonSchema, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Match {
    /// One of these hosts; *.example.com takes every name below example.com.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(default, length(min = 1))]
    hosts: Vec<String>,
    /// The path begins with these whole segments.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", default)]
    path: Option<String>,
    /// The path is exactly this.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", default)]
    path_exact: Option<String>,
    /// This regular expression is found in the path; ^ and $ bind it to both ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", default)]
    path_regex: Option<String>,
    /// One of these methods.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(default, length(min = 1))]
    methods: Vec<String>,
    /// Each of these headers with exactly this value.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    #[schemars(with = "std::collections::BTreeMap<String, String>", default)]
    headers: IndexMap<String, String>,
}

/// How long a client may take.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct ClientTimeouts {
    /// From the first byte of a request to the end of its head.
    request_head: Span,
    /// Longest wait for the next request on a kept-alive connection.
    idle: Span,
    /// Longest pause within a request body.
    body: Span,
    /// Longest time in which a client takes nothing of an answer.
    send: Span,
    /// How long exchanges may go on after SIGTERM.
    drain: Span,
}

impl Default for ClientTimeouts {
    fn default() -> Self {
        let model::ClientTimeouts { request_head, idle, body, send, drain } =
            model::ClientTimeouts::default();
        Self {
            request_head: Span(request_head),
            idle: Span(idle),
            body: Span(body),
            send: Span(send),
            drain: Span(drain),
        }
    }
}

/// How much may be sent.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Limits {
    /// Request line and headers together.
    request_head: Size,
    /// The request target.
    target: Size,
    /// Header fields in one head.
    #[schemars(range(min = *bounds::HEADERS.start(), max = *bounds::HEADERS.end()), transform = or_variable)]
    headers: usize,
    /// Status line and headers of a server's answer together.
    response_head: Size,
    /// Trailer section of a chunked body.
    trailers: Size,
    /// Request body; 0 is no limit.
    body: Size,
    /// Client connections at a time; 0 is by the descriptor limit.
    #[schemars(
        range(min = *bounds::MAX_CONNECTIONS.start(), max = *bounds::MAX_CONNECTIONS.end()),
        transform = or_variable
    )]
    connections: usize,
    /// Exchanges on one client connection; 0 is no limit.
    #[schemars(range(min = *bounds::COUNT.start(), max = *bounds::COUNT.end()), transform = or_variable)]
    requests_per_connection: u64,
    /// What holds for client connections of HTTP/2.
    http2: Http2Limits,
}

/// What a client connection of HTTP/2 may have.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Http2Limits {
    /// Exchanges at once on one connection.
    #[schemars(range(min = *bounds::STREAMS.start(), max = *bounds::STREAMS.end()), transform = or_variable)]
    max_concurrent_streams: u32,
    /// What one exchange's body may have on the way.
    stream_window: Size,
    /// What the bodies of all exchanges may have on the way.
    connection_window: Size,
}

impl Default for Http2Limits {
    fn default() -> Self {
        let model::Http2Limits { max_concurrent_streams, stream_window, connection_window } =
            model::Http2Limits::default();
        Self {
            max_concurrent_streams,
            stream_window: Size(stream_window.into()),
            connection_window: Size(connection_window.into()),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        let limits = model::Limits::default();
        Self {
            request_head: Size::new(limits.request_head),
            target: Size::new(limits.target),
            headers: limits.headers,
            response_head: Size::new(limits.response_head),
            trailers: Size::new(limits.trailers),
            body: Size(limits.body),
            connections: limits.connections,
            requests_per_connection: limits.requests_per_connection,
            http2: Http2Limits::default(),
        }
    }
}
