//! Pools.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use crate::bounds;
use crate::model::pool as model;

use super::healing::{FlapDamping, HealthCheck, PassiveHealth, Recovery};
use super::tls::PoolTls;
use super::words::{
    Algorithm, Percent, Protocol, Reason, SendProxyProtocol, ServerState, Size, Span, or_variable,
};

/// A group of servers with one algorithm.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Pool {
    /// How a server is picked.
    #[serde(default)]
    algorithm: Algorithm,
    /// What its servers speak: auto is what TLS agrees on, and HTTP/1.1 in the clear.
    #[serde(default)]
    protocol: Protocol,
    /// At least one, and at least one of them with a weight above 0.
    #[schemars(length(min = 1))]
    servers: Vec<Server>,
    /// Active probes.
    #[serde(default)]
    health_check: HealthCheck,
    /// When failures of real requests take a server out.
    #[serde(default)]
    passive_health: PassiveHealth,
    /// When a server that goes up and down too often is held out.
    #[serde(default)]
    flap_damping: FlapDamping,
    /// How long the share of a server that came back takes to grow to all of it; 0s is off.
    #[serde(default = "no_slow_start")]
    slow_start: Span,
    /// With less than this share of the active servers healthy, in percent, traffic goes to all of them; 0 and off turn this off.
    #[serde(default = "default_panic_percent")]
    panic_percent: Percent,
    /// What is done for a server that stays down; left out, nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Recovery", default)]
    recovery: Option<Recovery>,
    /// When a request is tried again.
    #[serde(default)]
    retry: Retry,
    /// How long a server may take.
    #[serde(default)]
    timeouts: PoolTimeouts,
    /// Which connections to servers are kept.
    #[serde(default, rename = "connectionPool")]
    connections: ConnectionPool,
    /// The answer when no server can be used; left out, 503 with Retry-After.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Fallback", default)]
    fallback: Option<Fallback>,
    /// Speaks TLS with the servers; left out, plain text.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "PoolTls", default)]
    tls: Option<PoolTls>,
    /// How servers are told in front of a connection whom it is from; v1 and v2 go with HTTP/1.1 alone.
    #[serde(default)]
    send_proxy_protocol: SendProxyProtocol,
}

/// One host and port, or one Unix socket.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("allOf" = [needs_port()]))]
struct Server {
    /// Unique in its pool; its address when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", default)]
    id: Option<String>,
    /// A host name, an IP address, or a Unix socket: unix:/run/app.sock, or unix:@app for one without a file.
    host: String,
    /// Its port; left out for a Unix socket, which has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        with = "u16",
        default,
        range(min = *bounds::PORT.start(), max = *bounds::PORT.end()),
        transform = or_variable
    )]
    port: Option<u16>,
    /// Share of the traffic; 0 gives it no new traffic.
    #[serde(default = "default_weight")]
    #[schemars(range(min = *bounds::WEIGHT.start(), max = *bounds::WEIGHT.end()), transform = or_variable)]
    weight: u32,
    /// Exchanges under way at a time; 0 is no limit.
    #[serde(default)]
    #[schemars(
        range(min = *bounds::MAX_CONNECTIONS.start(), max = *bounds::MAX_CONNECTIONS.end()),
        transform = or_variable
    )]
    max_connections: u32,
    /// What an operator wants of it: drain and maintenance give it no new traffic.
    #[serde(default)]
    state: ServerState,
    /// Stands in for the pool's recovery; left out, that one holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Recovery", default)]
    recovery: Option<Recovery>,
}

/// What is not a Unix socket has a port; a variable may be either.
fn needs_port() -> Value {
    json!({
        "if": { "properties": { "host": { "not": { "pattern": "^(unix:|\\$\\{)" } } } },
        "then": { "required": ["port"] },
    })
}

fn no_slow_start() -> Span {
    Span(Duration::ZERO)
}

fn default_panic_percent() -> Percent {
    Percent(model::Pool::DEFAULT_PANIC_PERCENT)
}

fn default_weight() -> u32 {
    model::Server::DEFAULT_WEIGHT
}

/// When a request is tried again.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Retry {
    /// Tries in all, the first included; 1 is no retry.
    #[schemars(range(min = *bounds::ATTEMPTS.start(), max = *bounds::ATTEMPTS.end()), transform = or_variable)]
    attempts: u32,
    /// What is tried again.
    on: Vec<Reason>,
    /// Longest wait for the head of one try's answer; 0s is off.
    per_try_timeout: Span,
    /// Retries as a share of the requests of the last 10 s, in percent.
    #[schemars(
        range(min = *bounds::BUDGET_PERCENT.start(), max = *bounds::BUDGET_PERCENT.end()),
        transform = or_variable
    )]
    budget_percent: u32,
    /// Retries a second that the budget always allows.
    #[schemars(range(min = *bounds::BUDGET_FLOOR.start(), max = *bounds::BUDGET_FLOOR.end()), transform = or_variable)]
    budget_floor: u32,
    /// How much of a request body is kept for another try; a longer body is not tried again.
    buffer_body: Size,
    /// Whether a POST may be tried again after bytes were sent.
    #[schemars(transform = or_variable)]
    non_idempotent: bool,
}

impl Default for Retry {
    fn default() -> Self {
        let retry = model::Retry::default();
        let on = [
            ("connect_failure", retry.on.connect_failure),
            ("reset", retry.on.reset),
            ("timeout", retry.on.timeout),
            ("unavailable", retry.on.unavailable),
        ];
        let words = on.into_iter().filter(|(_, is_on)| *is_on).map(|(word, _)| word.to_owned());
        let statuses = retry.on.statuses.iter().map(ToString::to_string);
        Self {
            attempts: retry.attempts,
            on: words.chain(statuses).map(Reason).collect(),
            per_try_timeout: Span(retry.per_try_timeout),
            budget_percent: retry.budget_percent,
            budget_floor: retry.budget_floor,
            buffer_body: Size::new(retry.buffer_body),
            non_idempotent: retry.non_idempotent,
        }
    }
}

/// How long a server may take.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct PoolTimeouts {
    /// To a connection.
    connect: Span,
    /// From the whole request to the head of the answer.
    response: Span,
    /// Longest pause within a body, in either direction.
    idle: Span,
    /// The whole exchange with all its tries; 0s is off.
    total: Span,
    /// Longest silence on an upgraded connection such as a WebSocket.
    tunnel: Span,
}

impl Default for PoolTimeouts {
    fn default() -> Self {
        let model::PoolTimeouts { connect, response, idle, total, tunnel } = model::PoolTimeouts::default();
        Self {
            connect: Span(connect),
            response: Span(response),
            idle: Span(idle),
            total: Span(total),
            tunnel: Span(tunnel),
        }
    }
}

/// Which connections to servers are kept.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct ConnectionPool {
    /// Unused connections kept per server and worker; 0 keeps none.
    #[schemars(range(min = *bounds::MAX_IDLE.start(), max = *bounds::MAX_IDLE.end()), transform = or_variable)]
    max_idle: usize,
    /// How long an unused connection is kept.
    idle_timeout: Span,
    /// Requests on one connection; 0 is no limit.
    #[schemars(range(min = *bounds::COUNT.start(), max = *bounds::COUNT.end()), transform = or_variable)]
    max_requests: u64,
    /// Age after which a connection takes no new request; 0s is no limit.
    max_lifetime: Span,
}

impl Default for ConnectionPool {
    fn default() -> Self {
        let kept = model::ConnectionPool::default();
        Self {
            max_idle: kept.max_idle,
            idle_timeout: Span(kept.idle_timeout),
            max_requests: kept.max_requests,
            max_lifetime: Span(kept.max_lifetime),
        }
    }
}

/// The answer when no server can be used.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Fallback {
    /// Its status.
    #[schemars(
        range(min = *bounds::FALLBACK_STATUS.start(), max = *bounds::FALLBACK_STATUS.end()),
        transform = or_variable
    )]
    status: u16,
    /// Its body.
    body: String,
    /// Its Content-Type.
    content_type: String,
}

impl Default for Fallback {
    fn default() -> Self {
        let model::Fallback { status, body, content_type } = model::Fallback::default();
        Self { status, body, content_type }
    }
}
