//! Servers' side: pools, what is in them, and how they are asked.

use super::Shape;

pub(crate) const POOL: Shape = Shape {
    name: "Pool",
    what: "a pool",
    keys: &[
        "algorithm",
        "protocol",
        "servers",
        "healthCheck",
        "passiveHealth",
        "flapDamping",
        "slowStart",
        "panicPercent",
        "recovery",
        "retry",
        "timeouts",
        "connectionPool",
        "fallback",
        "tls",
        "sendProxyProtocol",
    ],
    later: &[],
    also: &[
        ("proxyProtocol", "sendProxyProtocol"),
        ("sendProxy", "sendProxyProtocol"),
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
        ("flap", "flapDamping"),
        ("warmup", "slowStart"),
        ("panicThreshold", "panicPercent"),
        ("healing", "recovery"),
        ("restart", "recovery"),
        ("ssl", "tls"),
        ("https", "tls"),
    ],
};

pub(crate) const POOL_TLS: Shape = Shape {
    name: "PoolTls",
    what: "the TLS of a pool",
    keys: &["verify", "serverName", "caFile", "cert", "key", "minVersion"],
    later: &[],
    also: &[
        ("sni", "serverName"),
        ("ca", "caFile"),
        ("insecure", "verify"),
        ("skipVerify", "verify"),
        ("certificate", "cert"),
        ("version", "minVersion"),
    ],
};

pub(crate) const SERVER: Shape = Shape {
    name: "Server",
    what: "a server",
    keys: &["id", "host", "port", "weight", "maxConnections", "state", "recovery"],
    later: &[],
    also: &[
        ("address", "host"),
        ("ip", "host"),
        ("hostname", "host"),
        ("url", "host"),
        ("unix", "host"),
        ("socket", "host"),
        ("name", "id"),
        ("maxConn", "maxConnections"),
        ("mode", "state"),
        ("status", "state"),
    ],
};

pub(crate) const HEALTH_CHECK: Shape = Shape {
    name: "HealthCheck",
    what: "a health check",
    keys: &[
        "type",
        "path",
        "service",
        "host",
        "interval",
        "timeout",
        "rise",
        "fall",
        "expectStatus",
        "maxLatency",
        "startDown",
        "method",
        "port",
        "tls",
        "verify",
        "headers",
        "expectBody",
        "expectHeaders",
        "command",
        "fastInterval",
        "maxInterval",
    ],
    later: &[],
    also: &[
        ("uri", "path"),
        ("url", "path"),
        ("serviceName", "service"),
        ("grpcService", "service"),
        ("authority", "host"),
        ("status", "expectStatus"),
        ("healthyThreshold", "rise"),
        ("unhealthyThreshold", "fall"),
        ("protocol", "type"),
        ("period", "interval"),
        ("body", "expectBody"),
        ("ssl", "tls"),
        ("script", "command"),
        ("fastinter", "fastInterval"),
    ],
};

pub(crate) const EXPECT_BODY: Shape = Shape {
    name: "ExpectBody",
    what: "an expected body",
    keys: &["contains", "regex"],
    later: &[],
    also: &[("text", "contains"), ("string", "contains"), ("includes", "contains"), ("pattern", "regex")],
};

pub(crate) const FLAP_DAMPING: Shape = Shape {
    name: "FlapDamping",
    what: "flap damping",
    keys: &["limit", "reuse", "halfLife"],
    later: &[],
    also: &[("suppress", "limit"), ("threshold", "limit"), ("decay", "halfLife")],
};

pub(crate) const RECOVERY: Shape = Shape {
    name: "Recovery",
    what: "a recovery",
    keys: &[
        "action",
        "command",
        "env",
        "workingDirectory",
        "url",
        "method",
        "headers",
        "body",
        "caFile",
        "after",
        "attempts",
        "backoff",
        "maxBackoff",
        "within",
        "timeout",
        "maxConcurrent",
        "stopTimeout",
    ],
    later: &[],
    also: &[
        ("type", "action"),
        ("argv", "command"),
        ("args", "command"),
        ("environment", "env"),
        ("cwd", "workingDirectory"),
        ("directory", "workingDirectory"),
        ("delay", "after"),
        ("retries", "attempts"),
        ("ca", "caFile"),
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
