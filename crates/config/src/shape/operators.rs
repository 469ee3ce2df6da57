//! Operators' side: the admin listener, webhooks, the file of events, the collector of spans.

use super::Shape;

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

pub(crate) const TRACING: Shape = Shape {
    name: "Tracing",
    what: "the collector of spans",
    keys: &[
        "endpoint",
        "protocol",
        "headers",
        "caFile",
        "sampling",
        "serviceName",
        "timeout",
        "interval",
        "batch",
        "queue",
    ],
    later: &[],
    also: &[
        ("url", "endpoint"),
        ("address", "endpoint"),
        ("collector", "endpoint"),
        ("type", "protocol"),
        ("ca", "caFile"),
        ("sampler", "sampling"),
        ("service", "serviceName"),
        ("name", "serviceName"),
        ("batchSize", "batch"),
        ("queueSize", "queue"),
    ],
};

pub(crate) const SAMPLING: Shape = Shape {
    name: "Sampling",
    what: "the sampling of traces",
    keys: &["ratio", "parent", "failures"],
    later: &[],
    also: &[
        ("rate", "ratio"),
        ("probability", "ratio"),
        ("percent", "ratio"),
        ("parentBased", "parent"),
        ("errors", "failures"),
    ],
};
