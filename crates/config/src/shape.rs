//! The keys of each section, written down once.
//!
//! The checker refuses what is not listed here; tests hold the lists against the JSON Schema and against
//! `docs/configuration.md`.

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
    ],
    later: &["webhooks"],
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
    ],
};

pub(crate) const LISTENER: Shape = Shape {
    name: "Listener",
    what: "a listener",
    keys: &["bind", "allowConnect"],
    later: &["tls"],
    also: &[("address", "bind"), ("listen", "bind"), ("port", "bind"), ("host", "bind")],
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

pub(crate) const POOL: Shape = Shape {
    name: "Pool",
    what: "a pool",
    keys: &[
        "algorithm",
        "servers",
        "healthCheck",
        "passiveHealth",
        "retry",
        "timeouts",
        "connectionPool",
        "fallback",
    ],
    later: &["tls", "recovery"],
    also: &[
        ("balance", "algorithm"),
        ("lbPolicy", "algorithm"),
        ("policy", "algorithm"),
        ("strategy", "algorithm"),
        ("endpoints", "servers"),
        ("backends", "servers"),
        ("targets", "servers"),
        ("upstreams", "servers"),
        ("health", "healthCheck"),
        ("retries", "retry"),
        ("keepAlive", "connectionPool"),
    ],
};

pub(crate) const SERVER: Shape = Shape {
    name: "Server",
    what: "a server",
    keys: &["id", "host", "port", "weight", "maxConnections"],
    later: &["recovery"],
    also: &[
        ("address", "host"),
        ("ip", "host"),
        ("hostname", "host"),
        ("url", "host"),
        ("name", "id"),
        ("maxConn", "maxConnections"),
    ],
};

pub(crate) const HEALTH_CHECK: Shape = Shape {
    name: "HealthCheck",
    what: "a health check",
    keys: &[
        "type",
        "path",
        "host",
        "interval",
        "timeout",
        "rise",
        "fall",
        "expectStatus",
        "maxLatency",
        "startDown",
    ],
    later: &[],
    also: &[
        ("uri", "path"),
        ("url", "path"),
        ("status", "expectStatus"),
        ("healthyThreshold", "rise"),
        ("unhealthyThreshold", "fall"),
        ("protocol", "type"),
        ("period", "interval"),
    ],
};

pub(crate) const PASSIVE_HEALTH: Shape = Shape {
    name: "PassiveHealth",
    what: "passive health",
    keys: &["failures", "window", "onStatus", "hold"],
    later: &[],
    also: &[
        ("maxFails", "failures"),
        ("failTimeout", "window"),
        ("ejectionTime", "hold"),
        ("status", "onStatus"),
    ],
};

pub(crate) const RETRY: Shape = Shape {
    name: "Retry",
    what: "retry",
    keys: &["attempts", "on", "perTryTimeout", "budgetPercent", "budgetFloor", "bufferBody", "nonIdempotent"],
    later: &[],
    also: &[("retries", "attempts"), ("tries", "attempts"), ("retryOn", "on"), ("timeout", "perTryTimeout")],
};

pub(crate) const POOL_TIMEOUTS: Shape = Shape {
    name: "PoolTimeouts",
    what: "a pool's time-outs",
    keys: &["connect", "response", "idle", "total", "tunnel"],
    later: &[],
    also: &[("read", "response"), ("server", "response"), ("request", "total"), ("websocket", "tunnel")],
};

pub(crate) const CONNECTION_POOL: Shape = Shape {
    name: "ConnectionPool",
    what: "a connection pool",
    keys: &["maxIdle", "idleTimeout", "maxRequests", "maxLifetime"],
    later: &[],
    also: &[("keepalive", "maxIdle"), ("size", "maxIdle"), ("maxAge", "maxLifetime")],
};

pub(crate) const FALLBACK: Shape = Shape {
    name: "Fallback",
    what: "a fallback",
    keys: &["status", "body", "contentType"],
    later: &[],
    also: &[("code", "status"), ("statusCode", "status"), ("text", "body"), ("type", "contentType")],
};

pub(crate) const CLIENT_TIMEOUTS: Shape = Shape {
    name: "ClientTimeouts",
    what: "the clients' time-outs",
    keys: &["requestHead", "idle", "body", "send", "drain"],
    later: &[],
    also: &[("header", "requestHead"), ("keepAlive", "idle"), ("shutdown", "drain"), ("write", "send")],
};

pub(crate) const LIMITS: Shape = Shape {
    name: "Limits",
    what: "the limits",
    keys: &[
        "requestHead",
        "target",
        "headers",
        "responseHead",
        "trailers",
        "body",
        "connections",
        "requestsPerConnection",
    ],
    later: &[],
    also: &[("maxBodySize", "body"), ("url", "target"), ("uri", "target"), ("maxConnections", "connections")],
};

pub(crate) const ADMIN: Shape = Shape {
    name: "Admin",
    what: "the admin listener",
    keys: &["bind"],
    later: &["tokens"],
    also: &[("address", "bind"), ("listen", "bind"), ("port", "bind"), ("token", "tokens")],
};

pub(crate) const ACCESS_LOG: Shape = Shape {
    name: "AccessLog",
    what: "the access log",
    keys: &["format", "output"],
    later: &[],
    also: &[("file", "output"), ("path", "output"), ("type", "format")],
};

/// Every shape, the file itself first.
pub(crate) const ALL: [&Shape; 16] = [
    &FILE,
    &LISTENER,
    &ROUTE,
    &MATCH,
    &POOL,
    &SERVER,
    &HEALTH_CHECK,
    &PASSIVE_HEALTH,
    &RETRY,
    &POOL_TIMEOUTS,
    &CONNECTION_POOL,
    &FALLBACK,
    &CLIENT_TIMEOUTS,
    &LIMITS,
    &ADMIN,
    &ACCESS_LOG,
];
