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
        "webhooks",
        "events",
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
    ],
};

pub(crate) const LISTENER: Shape = Shape {
    name: "Listener",
    what: "a listener",
    keys: &[
        "bind",
        "socketMode",
        "allowConnect",
        "proxyProtocol",
        "tls",
        "redirectHttps",
        "hsts",
        "protocols",
    ],
    later: &[],
    also: &[
        ("address", "bind"),
        ("listen", "bind"),
        ("port", "bind"),
        ("host", "bind"),
        ("binds", "bind"),
        ("interface", "bind"),
        ("mode", "socketMode"),
        ("permissions", "socketMode"),
        ("ssl", "tls"),
        ("https", "tls"),
        ("certificates", "tls"),
        ("redirect", "redirectHttps"),
        ("httpsRedirect", "redirectHttps"),
        ("strictTransportSecurity", "hsts"),
        ("acceptProxy", "proxyProtocol"),
        ("proxy_protocol", "proxyProtocol"),
        ("sendProxyProtocol", "proxyProtocol"),
        ("http2", "protocols"),
        ("h2c", "protocols"),
        ("alpn", "protocols"),
        ("protocol", "protocols"),
    ],
};

pub(crate) const PROXY_PROTOCOL: Shape = Shape {
    name: "ProxyProtocol",
    what: "the PROXY protocol of a listener",
    keys: &["trusted", "required"],
    later: &[],
    also: &[
        ("trustedIPs", "trusted"),
        ("trustedProxies", "trusted"),
        ("allow", "trusted"),
        ("from", "trusted"),
        ("sources", "trusted"),
        ("optional", "required"),
    ],
};

pub(crate) const LISTENER_TLS: Shape = Shape {
    name: "ListenerTls",
    what: "the TLS of a listener",
    keys: &["certificates", "minVersion", "clientCertificates", "handshakeTimeout", "maxHandshakes"],
    later: &[],
    also: &[
        ("cert", "certificates"),
        ("certs", "certificates"),
        ("key", "certificates"),
        ("version", "minVersion"),
        ("protocols", "minVersion"),
        ("clientAuth", "clientCertificates"),
        ("mtls", "clientCertificates"),
        ("timeout", "handshakeTimeout"),
    ],
};

pub(crate) const CERTIFICATE: Shape = Shape {
    name: "Certificate",
    what: "a certificate",
    keys: &["cert", "key"],
    later: &[],
    also: &[("certificate", "cert"), ("certFile", "cert"), ("keyFile", "key"), ("privateKey", "key")],
};

pub(crate) const CLIENT_CERTIFICATES: Shape = Shape {
    name: "ClientCertificates",
    what: "the certificates of clients",
    keys: &["mode", "caFile"],
    later: &[],
    also: &[("ca", "caFile"), ("verify", "mode"), ("type", "mode")],
};

pub(crate) const REDIRECT_HTTPS: Shape = Shape {
    name: "RedirectHttps",
    what: "a redirection",
    keys: &["port", "status"],
    later: &[],
    also: &[("code", "status"), ("statusCode", "status")],
};

pub(crate) const HSTS: Shape = Shape {
    name: "Hsts",
    what: "HSTS",
    keys: &["maxAge", "includeSubdomains", "preload"],
    later: &[],
    also: &[("seconds", "maxAge"), ("age", "maxAge"), ("subdomains", "includeSubdomains")],
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
        "http2",
    ],
    later: &[],
    also: &[("maxBodySize", "body"), ("url", "target"), ("uri", "target"), ("maxConnections", "connections")],
};

pub(crate) const HTTP2_LIMITS: Shape = Shape {
    name: "Http2Limits",
    what: "the limits of HTTP/2",
    keys: &["maxConcurrentStreams", "streamWindow", "connectionWindow"],
    later: &[],
    also: &[
        ("streams", "maxConcurrentStreams"),
        ("maxStreams", "maxConcurrentStreams"),
        ("concurrentStreams", "maxConcurrentStreams"),
        ("initialWindow", "streamWindow"),
        ("initialWindowSize", "streamWindow"),
        ("initialStreamWindowSize", "streamWindow"),
        ("window", "streamWindow"),
        ("initialConnectionWindowSize", "connectionWindow"),
    ],
};

pub(crate) const ADMIN: Shape = Shape {
    name: "Admin",
    what: "the admin listener",
    keys: &["bind", "socketMode", "tokens", "persist", "tls", "origins"],
    later: &[],
    also: &[
        ("address", "bind"),
        ("listen", "bind"),
        ("port", "bind"),
        ("mode", "socketMode"),
        ("token", "tokens"),
        ("cors", "origins"),
    ],
};

pub(crate) const TOKEN: Shape = Shape {
    name: "Token",
    what: "a token",
    keys: &["token", "role", "name"],
    later: &[],
    also: &[("secret", "token"), ("value", "token"), ("access", "role"), ("id", "name")],
};

pub(crate) const ADMIN_TLS: Shape = Shape {
    name: "AdminTls",
    what: "the TLS of the admin listener",
    keys: &["cert", "key"],
    later: &[],
    also: &[("certificate", "cert"), ("certFile", "cert"), ("keyFile", "key"), ("privateKey", "key")],
};

pub(crate) const WEBHOOK: Shape = Shape {
    name: "Webhook",
    what: "a webhook",
    keys: &["name", "url", "events", "secret", "format", "timeout", "attempts", "headers", "caFile"],
    later: &[],
    also: &[
        ("id", "name"),
        ("address", "url"),
        ("target", "url"),
        ("filter", "events"),
        ("type", "format"),
        ("token", "secret"),
        ("retries", "attempts"),
        ("ca", "caFile"),
    ],
};

pub(crate) const EVENT_LOG: Shape = Shape {
    name: "EventLog",
    what: "the file of events",
    keys: &["file", "maxSize", "keep"],
    later: &[],
    also: &[("path", "file"), ("output", "file"), ("size", "maxSize"), ("backups", "keep")],
};

pub(crate) const ACCESS_LOG: Shape = Shape {
    name: "AccessLog",
    what: "the access log",
    keys: &["format", "output"],
    later: &[],
    also: &[("file", "output"), ("path", "output"), ("type", "format")],
};

/// Every shape, the file itself first.
pub(crate) const ALL: [&Shape; 31] = [
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
    &WEBHOOK,
    &EVENT_LOG,
];
