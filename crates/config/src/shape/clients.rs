//! Clients' side: listeners, time-outs, limits, the access log.

use super::Shape;

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

pub(crate) const ACCESS_LOG: Shape = Shape {
    name: "AccessLog",
    what: "the access log",
    keys: &["format", "output", "fields", "filter", "sample", "rotate", "redact", "syslog"],
    later: &[],
    also: &[
        ("file", "output"),
        ("path", "output"),
        ("type", "format"),
        ("columns", "fields"),
        ("if", "filter"),
        ("where", "filter"),
        ("sampling", "sample"),
        ("ratio", "sample"),
        ("rotation", "rotate"),
        ("maxSize", "rotate"),
        ("mask", "redact"),
        ("hide", "redact"),
    ],
};

pub(crate) const SYSLOG: Shape = Shape {
    name: "Syslog",
    what: "what syslog messages say of themselves",
    keys: &["facility", "severity"],
    later: &[],
    also: &[("level", "severity"), ("priority", "severity")],
};

pub(crate) const LOG_SAMPLE: Shape = Shape {
    name: "LogSample",
    what: "the sample of the access log",
    keys: &["ratio", "failures"],
    later: &[],
    also: &[("share", "ratio"), ("rate", "ratio"), ("percent", "ratio"), ("errors", "failures")],
};

pub(crate) const LOG_ROTATION: Shape = Shape {
    name: "LogRotation",
    what: "the rotation of the access log",
    keys: &["maxSize", "keep"],
    later: &[],
    also: &[("size", "maxSize"), ("backups", "keep"), ("files", "keep")],
};

pub(crate) const REDACT: Shape = Shape {
    name: "Redact",
    what: "what the access log redacts",
    keys: &["defaults", "query", "headers"],
    later: &[],
    also: &[("default", "defaults"), ("parameters", "query"), ("header", "headers")],
};
