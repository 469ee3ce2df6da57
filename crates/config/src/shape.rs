//! The keys of each section, written down once.
//!
//! The checker refuses what is not listed here; tests hold the lists against the JSON Schema and against
//! `docs/configuration.md`.

pub(crate) use clients::{
    ACCESS_LOG, CERTIFICATE, CLIENT_CERTIFICATES, CLIENT_TIMEOUTS, HSTS, HTTP2_LIMITS, LIMITS, LISTENER,
    LISTENER_TLS, LOG_ROTATION, LOG_SAMPLE, PROXY_PROTOCOL, REDACT, REDIRECT_HTTPS, SYSLOG,
};
pub(crate) use operators::{ADMIN, ADMIN_TLS, EVENT_LOG, SAMPLING, TOKEN, TRACING, WEBHOOK};
pub(crate) use pools::{
    CONNECTION_POOL, EXPECT_BODY, FALLBACK, FLAP_DAMPING, HEALTH_CHECK, PASSIVE_HEALTH, POOL, POOL_TIMEOUTS,
    POOL_TLS, RECOVERY, RETRY, SERVER,
};

mod clients;
mod operators;
mod pools;

/// What one kind of JSON object may hold.
#[derive(Debug)]
pub(crate) struct Shape {
    /// Its name in the JSON Schema and in the headings of the documentation.
    pub(crate) name: &'static str,
    /// How a message calls it.
    pub(crate) what: &'static str,
    /// Its keys in the order of the documentation.
    pub(crate) keys: &'static [&'static str],
    /// Keys that a later version will know.
    pub(crate) later: &'static [&'static str],
    /// What people who come from other programs write, and what it is called here.
    pub(crate) also: &'static [(&'static str, &'static str)],
}

/// The whole file.
pub(crate) const FILE: Shape = Shape {
    name: "Configuration",
    what: "the configuration",
    keys: &[
        "$schema",
        "workers",
        "listeners",
        "routes",
        "pools",
        "timeouts",
        "limits",
        "trustedProxies",
        "forwardedHeaders",
        "via",
        "admin",
        "accessLog",
        "webhooks",
        "events",
        "tracing",
    ],
    later: &[],
    also: &[
        ("frontends", "listeners"),
        ("entryPoints", "listeners"),
        ("listen", "listeners"),
        ("ports", "listeners"),
        ("backends", "pools"),
        ("upstreams", "pools"),
        ("clusters", "pools"),
        ("services", "pools"),
        ("servers", "pools"),
        ("rules", "routes"),
        ("threads", "workers"),
        ("workerCount", "workers"),
        ("log", "accessLog"),
        ("logging", "accessLog"),
        ("hooks", "webhooks"),
        ("notifications", "webhooks"),
        ("eventLog", "events"),
        ("otel", "tracing"),
        ("opentelemetry", "tracing"),
        ("traces", "tracing"),
    ],
};

pub(crate) const ROUTE: Shape = Shape {
    name: "Route",
    what: "a route",
    keys: &["name", "match", "pool"],
    later: &[],
    also: &[
        ("backend", "pool"),
        ("upstream", "pool"),
        ("service", "pool"),
        ("target", "pool"),
        ("when", "match"),
        ("id", "name"),
    ],
};

pub(crate) const MATCH: Shape = Shape {
    name: "Match",
    what: "a match",
    keys: &["hosts", "path", "pathExact", "pathRegex", "methods", "headers"],
    later: &[],
    also: &[
        ("domain", "hosts"),
        ("domains", "hosts"),
        ("prefix", "path"),
        ("pathPrefix", "path"),
        ("regex", "pathRegex"),
    ],
};

/// Every shape, the file itself first.
pub(crate) const ALL: [&Shape; 37] = [
    &FILE,
    &LISTENER,
    &PROXY_PROTOCOL,
    &LISTENER_TLS,
    &CERTIFICATE,
    &CLIENT_CERTIFICATES,
    &REDIRECT_HTTPS,
    &HSTS,
    &ROUTE,
    &MATCH,
    &POOL,
    &SERVER,
    &HEALTH_CHECK,
    &EXPECT_BODY,
    &PASSIVE_HEALTH,
    &FLAP_DAMPING,
    &RECOVERY,
    &RETRY,
    &POOL_TIMEOUTS,
    &CONNECTION_POOL,
    &FALLBACK,
    &POOL_TLS,
    &CLIENT_TIMEOUTS,
    &LIMITS,
    &HTTP2_LIMITS,
    &ADMIN,
    &TOKEN,
    &ADMIN_TLS,
    &ACCESS_LOG,
    &LOG_SAMPLE,
    &LOG_ROTATION,
    &REDACT,
    &SYSLOG,
    &WEBHOOK,
    &EVENT_LOG,
    &TRACING,
    &SAMPLING,
];
