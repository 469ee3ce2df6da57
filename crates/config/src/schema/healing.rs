//! What a pool does about servers that are not well.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use crate::bounds;
use crate::model::{probe, recovery as model};

use super::words::{ProbeKind, RecoveryAction, Span, Statuses, or_variable};

/// A key that one word of another key asks for.
fn needed_for(key: &str, word: &str, needed: &str) -> Value {
    json!({
        "if": { "properties": { key: { "const": word } }, "required": [key] },
        "then": { "required": [needed] }
    })
}

/// How servers are probed.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(extend("allOf" = [needed_for("type", "exec", "command")]))]
pub(super) struct HealthCheck {
    /// off: no probes; tcp: opens a connection; http: sends a request and looks at the answer; grpc: calls grpc.health.v1.Health/Check; exec: runs a program.
    #[serde(rename = "type")]
    kind: ProbeKind,
    /// What an http probe asks for.
    path: String,
    /// The service that a grpc probe asks about; empty is the server as a whole.
    #[schemars(length(max = bounds::PROBED_SERVICE))]
    service: String,
    /// The Host (:authority) that an http or grpc probe sends; left out, the server's own address.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    host: Option<String>,
    /// From one probe of a server to the next.
    interval: Span,
    /// When an unanswered probe has failed.
    timeout: Span,
    /// Good probes in a row that bring a server back.
    #[schemars(range(min = *bounds::RISE_FALL.start(), max = *bounds::RISE_FALL.end()), transform = or_variable)]
    rise: u32,
    /// Bad probes in a row that take a server out.
    #[schemars(range(min = *bounds::RISE_FALL.start(), max = *bounds::RISE_FALL.end()), transform = or_variable)]
    fall: u32,
    /// Statuses that are a good answer to an http probe.
    #[schemars(length(min = 1))]
    expect_status: Vec<Statuses>,
    /// A slower probe is a bad one; left out, there is no such limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Span")]
    max_latency: Option<Span>,
    /// Whether a server gets no traffic before its first good probe.
    #[schemars(transform = or_variable)]
    start_down: bool,
    /// The method of an http probe.
    method: String,
    /// The port that is probed; left out, the server's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u16", range(min = *bounds::PORT.start(), max = *bounds::PORT.end()), transform = or_variable)]
    port: Option<u16>,
    /// Whether an http or grpc probe speaks TLS.
    #[schemars(transform = or_variable)]
    tls: bool,
    /// Whether a probe over TLS verifies the server's certificate.
    #[schemars(transform = or_variable)]
    verify: bool,
    /// Headers that an http or grpc probe sends; left out, none of your own.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    #[schemars(with = "std::collections::BTreeMap<String, String>")]
    headers: IndexMap<String, String>,
    /// What the first 64 KiB of a good answer's body must hold; left out, the body is not looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ExpectBody")]
    expect_body: Option<ExpectBody>,
    /// Headers that a good answer must have, with exactly these values; left out, they are not looked at.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    #[schemars(with = "std::collections::BTreeMap<String, String>")]
    expect_headers: IndexMap<String, String>,
    /// The program that an exec probe runs, and its arguments, no shell; left out, there is none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1))]
    command: Vec<String>,
    /// From one probe to the next while a verdict is about to change; never slower than interval.
    fast_interval: Span,
    /// How far the pauses between probes of a server that is down may grow; never below interval.
    max_interval: Span,
}

/// What a body must hold: one of the two.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
struct ExpectBody {
    /// This text; left out, there is a regex.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", default)]
    contains: Option<String>,
    /// Something that this regular expression finds; left out, there is a text.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", default)]
    regex: Option<String>,
}

impl Default for HealthCheck {
    fn default() -> Self {
        let health = probe::HealthCheck::default();
        Self {
            kind: ProbeKind(health.kind),
            path: health.path,
            service: health.service,
            host: health.host,
            interval: Span(health.interval),
            timeout: Span(health.timeout),
            rise: health.rise,
            fall: health.fall,
            expect_status: health.expect_status.into_iter().map(Statuses).collect(),
            max_latency: health.max_latency.map(Span),
            start_down: health.start_down,
            method: health.method,
            port: health.port,
            tls: health.tls,
            verify: health.verify,
            headers: IndexMap::new(),
            expect_body: None,
            expect_headers: IndexMap::new(),
            command: Vec::new(),
            fast_interval: Span(health.fast_interval),
            max_interval: Span(health.max_interval),
        }
    }
}

/// When failures of real requests take a server out.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct PassiveHealth {
    /// So many failures within the window take a server out; 0 turns this off.
    #[schemars(range(min = *bounds::FAILURES.start(), max = *bounds::FAILURES.end()), transform = or_variable)]
    failures: u32,
    /// How far back failures count.
    window: Span,
    /// Statuses of a server's answer that count as failures, from 400 to 599.
    on_status: Vec<Statuses>,
    /// How long a server that requests took out, by refused connections too, stays out at the least.
    hold: Span,
}

impl Default for PassiveHealth {
    fn default() -> Self {
        let passive = probe::PassiveHealth::default();
        Self {
            failures: passive.failures,
            window: Span(passive.window),
            on_status: passive.on_status.into_iter().map(Statuses).collect(),
            hold: Span(passive.hold),
        }
    }
}

/// When a server that goes up and down too often is held out. Each change of its verdict adds 1 to a penalty, which halves with every half-life.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct FlapDamping {
    /// A penalty above this makes a server unstable; 0 turns this off.
    #[schemars(range(min = *bounds::FLAP_LIMIT.start(), max = *bounds::FLAP_LIMIT.end()), transform = or_variable)]
    limit: u32,
    /// The penalty at which it is let in again; below limit.
    #[schemars(range(min = *bounds::FLAP_REUSE.start(), max = *bounds::FLAP_REUSE.end()), transform = or_variable)]
    reuse: u32,
    /// In which the penalty halves.
    half_life: Span,
}

impl Default for FlapDamping {
    fn default() -> Self {
        let probe::FlapDamping { limit, reuse, half_life } = probe::FlapDamping::default();
        Self { limit, reuse, half_life: Span(half_life) }
    }
}

/// What is done for a server that stays down. command and process run on this machine, and can come from the file alone.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(extend("required" = ["action"], "allOf" = [
    needed_for("action", "command", "command"),
    needed_for("action", "process", "command"),
    needed_for("action", "http", "url"),
]))]
pub(super) struct Recovery {
    /// command: runs a program; http: sends a request; process: LoadWeaver runs the server itself, as its child.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "RecoveryAction")]
    action: Option<RecoveryAction>,
    /// The program and its arguments, no shell (command, process); left out, there is none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1))]
    command: Vec<String>,
    /// Variables added to its environment (command, process); left out, none of your own.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    #[schemars(with = "std::collections::BTreeMap<String, String>")]
    env: IndexMap<String, String>,
    /// Where it runs (command, process); left out, where LoadWeaver does.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    working_directory: Option<String>,
    /// Who is asked (http); left out, nobody.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    url: Option<String>,
    /// The method (http).
    method: String,
    /// Headers that are sent (http); left out, none of your own.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    #[schemars(with = "std::collections::BTreeMap<String, String>")]
    headers: IndexMap<String, String>,
    /// The body (http).
    body: String,
    /// Certificates (PEM) that are trusted instead of the system's (http); left out, the system's are.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    ca_file: Option<String>,
    /// How long a server is down before the first attempt; 0s is at once.
    after: Span,
    /// Attempts in a row before it is given up.
    #[schemars(range(min = *bounds::TRIES.start(), max = *bounds::TRIES.end()), transform = or_variable)]
    attempts: u32,
    /// Pause after the first attempt that failed; it doubles with each.
    backoff: Span,
    /// Where the pause stops growing.
    max_backoff: Span,
    /// An attempt has succeeded when the server is up within this time.
    within: Span,
    /// How long the action itself may take (command, http).
    timeout: Span,
    /// Attempts under way at a time in one pool.
    #[schemars(range(min = *bounds::MAX_CONCURRENT.start(), max = *bounds::MAX_CONCURRENT.end()), transform = or_variable)]
    max_concurrent: u32,
    /// How long the server may take to end after SIGTERM (process); 0s kills it at once.
    stop_timeout: Span,
}

impl Default for Recovery {
    fn default() -> Self {
        let command = model::HostCommand::default();
        let recovery = model::Recovery::new(model::RecoveryAction::Command(command));
        Self {
            action: None,
            command: Vec::new(),
            env: IndexMap::new(),
            working_directory: None,
            url: None,
            method: model::HttpCall::DEFAULT_METHOD.to_owned(),
            headers: IndexMap::new(),
            body: String::new(),
            ca_file: None,
            after: Span(recovery.after),
            attempts: recovery.attempts,
            backoff: Span(recovery.backoff),
            max_backoff: Span(recovery.max_backoff),
            within: Span(recovery.within),
            timeout: Span(recovery.timeout),
            max_concurrent: recovery.max_concurrent,
            stop_timeout: Span(model::RecoveryAction::DEFAULT_STOP_TIMEOUT),
        }
    }
}
