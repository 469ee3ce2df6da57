//! The operators' side: the admin listener, webhooks, the file of events, the collector of spans.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Serialize;

use crate::bounds;
use crate::model::bind::SocketMode;
use crate::model::{event, tracing as spans};

use super::words::{EventName, Fraction, Role, Size, Span, TracingProtocol, WebhookFormat, or_variable};

/// The listener of operators.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Admin {
    /// IP address and port, such as 127.0.0.1:9090, or a Unix socket, such as unix:/run/admin.sock; without tokens a
    /// loopback address or a Unix socket.
    bind: String,
    /// The mode of a Unix socket's file.
    #[serde(default = "admin_mode")]
    socket_mode: String,
    /// Who may ask; empty lets everybody who can connect.
    #[serde(default)]
    tokens: Vec<Token>,
    /// Whether edits are written back into this file.
    #[serde(default = "yes")]
    #[schemars(transform = or_variable)]
    persist: bool,
    /// Speaks TLS; left out, plain text.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "AdminTls", default)]
    tls: Option<AdminTls>,
    /// Origins whose pages may ask, besides the listener's own.
    #[serde(default)]
    origins: Vec<String>,
}

fn admin_mode() -> String {
    SocketMode::OF_ADMIN.to_string()
}

fn yes() -> bool {
    true
}

/// What an operator proves to be one with.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Token {
    /// The token, best from a variable.
    #[schemars(length(min = bounds::TOKEN_MIN), transform = or_variable)]
    #[serde(rename = "token")]
    text: String,
    /// read: look; write: look and change.
    role: Role,
    /// Its name in logs; token-1, token-2, … by position when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", default)]
    name: Option<String>,
}

/// The files that the admin listener needs to speak TLS.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct AdminTls {
    /// A file of certificates (PEM), its own first.
    cert: String,
    /// The file of the private key (PEM).
    key: String,
}

/// An address that is told of events.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Webhook {
    /// Its name; webhook-1, webhook-2, … by position when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", default)]
    name: Option<String>,
    /// Where events go: an https:// or http:// URL.
    url: String,
    /// The names of the events that it is told, or * for all.
    #[serde(default = "every_event")]
    #[schemars(length(min = 1))]
    events: Vec<EventName>,
    /// Signs what is sent (HMAC-SHA256); left out, nothing is signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", default)]
    secret: Option<String>,
    /// How a message looks.
    #[serde(default)]
    format: WebhookFormat,
    /// How long one delivery may take.
    #[serde(default = "delivery_timeout")]
    timeout: Span,
    /// Tries of one message in all.
    #[serde(default = "deliveries")]
    #[schemars(range(min = *bounds::TRIES.start(), max = *bounds::TRIES.end()), transform = or_variable)]
    attempts: u32,
    /// Headers that are sent too; left out, none of your own.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    #[schemars(with = "std::collections::BTreeMap<String, String>", default)]
    headers: IndexMap<String, String>,
    /// Certificates (PEM) that are trusted instead of the system's; left out, the system's are.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", default)]
    ca_file: Option<String>,
}

fn every_event() -> Vec<EventName> {
    vec![EventName("*".to_owned())]
}

fn delivery_timeout() -> Span {
    Span(event::Webhook::DEFAULT_TIMEOUT)
}

fn deliveries() -> u32 {
    event::Webhook::DEFAULT_ATTEMPTS
}

/// A file that every event is appended to, one JSON object a line.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct EventLog {
    /// The file.
    file: String,
    /// The size at which it is set aside and a new one begun.
    #[serde(default = "event_file")]
    max_size: Size,
    /// How many files that were set aside are kept.
    #[serde(default = "event_files")]
    #[schemars(range(min = *bounds::FILES_KEPT.start(), max = *bounds::FILES_KEPT.end()), transform = or_variable)]
    keep: u32,
}

fn event_file() -> Size {
    Size(event::EventLog::DEFAULT_MAX_SIZE)
}

fn event_files() -> u32 {
    event::EventLog::DEFAULT_KEEP
}

/// Where spans of exchanges go, and which exchanges make some.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Tracing {
    /// The collector: an http:// or https:// URL, such as http://127.0.0.1:4318. Without a path, /v1/traces.
    endpoint: String,
    /// http: OTLP over HTTP. grpc: OTLP over gRPC.
    #[serde(default)]
    protocol: TracingProtocol,
    /// Headers that are sent too; left out, none of your own.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    #[schemars(with = "std::collections::BTreeMap<String, String>", default)]
    headers: IndexMap<String, String>,
    /// Certificates (PEM) that are trusted instead of the system's; left out, the system's are.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", default)]
    ca_file: Option<String>,
    /// Which exchanges are told of.
    #[serde(default)]
    sampling: Sampling,
    /// What the node is called at the collector.
    #[serde(default = "service_name")]
    #[schemars(length(min = 1, max = bounds::SERVICE_NAME))]
    service_name: String,
    /// How long the collector may take over one request.
    #[serde(default = "export_timeout")]
    timeout: Span,
    /// How long spans wait for others before they are sent.
    #[serde(default = "export_interval")]
    interval: Span,
    /// Spans of one request.
    #[serde(default = "span_batch")]
    #[schemars(range(min = *bounds::SPAN_BATCH.start(), max = *bounds::SPAN_BATCH.end()), transform = or_variable)]
    batch: usize,
    /// Spans that may wait; those beyond are lost.
    #[serde(default = "span_queue")]
    #[schemars(range(min = *bounds::SPAN_QUEUE.start(), max = *bounds::SPAN_QUEUE.end()), transform = or_variable)]
    queue: usize,
}

fn service_name() -> String {
    spans::Tracing::DEFAULT_SERVICE_NAME.to_owned()
}

fn export_timeout() -> Span {
    Span(spans::Tracing::DEFAULT_TIMEOUT)
}

fn export_interval() -> Span {
    Span(spans::Tracing::DEFAULT_INTERVAL)
}

fn span_batch() -> usize {
    spans::Tracing::DEFAULT_BATCH
}

fn span_queue() -> usize {
    spans::Tracing::DEFAULT_QUEUE
}

/// Which exchanges are told of.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Sampling {
    /// The part of the traces that are begun here.
    ratio: Fraction,
    /// Whether a client that says whether its trace is recorded is followed.
    #[schemars(transform = or_variable)]
    parent: bool,
    /// Whether what failed, or took more than one attempt, is told of in any case.
    #[schemars(transform = or_variable)]
    failures: bool,
}

impl Default for Sampling {
    fn default() -> Self {
        let spans::Sampling { ratio, parent, failures } = spans::Sampling::default();
        Self { ratio: Fraction(ratio), parent, failures }
    }
}
