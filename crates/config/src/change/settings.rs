//! Sections, key by key. Each takes its new section apart by name, so that a key that comes to it cannot be forgotten.

use std::fmt::Display;
use std::path::PathBuf;
use std::time::Duration;

use crate::model::Config;
use crate::model::access_log::{AccessLog, LogRotation};
use crate::model::admin::{Admin, AdminTls};
use crate::model::event::EventLog;
use crate::model::listener::{ClientTimeouts, Http2Limits, Limits, ProxyProtocol};
use crate::model::pool::{ConnectionPool, PoolTimeouts, Retry, RetryOn};
use crate::model::probe::{BodyPattern, FlapDamping, HealthCheck, PassiveHealth};
use crate::model::recovery::{Recovery, RecoveryAction};
use crate::model::tls::{Hsts, ListenerTls, PoolTls, RedirectHttps};
use crate::model::tracing::{Sampling, Tracing};
use crate::quantity::{format_duration, format_size};
use crate::summary::{self, listed};
use crate::url::without_path;

use super::Setting;

/// Most characters of a value that are shown.
const MAX_SHOWN: usize = 200;

/// The differences within one section.
pub(super) struct Settings {
    /// The keys of the sections that it stands in, each with a dot.
    prefix: &'static str,
    pub(super) found: Vec<Setting>,
}

impl Settings {
    pub(super) fn new(prefix: &'static str) -> Self {
        Self { prefix, found: Vec::new() }
    }

    pub(super) fn note<T: PartialEq>(&mut self, key: &str, old: &T, new: &T, shown: impl Fn(&T) -> String) {
        if old != new {
            self.differs(key, shown(old), shown(new));
        }
    }

    /// For what may be secret.
    pub(super) fn note_hidden<T: PartialEq>(&mut self, key: &str, old: &T, new: &T) {
        if old != new {
            self.hidden(key);
        }
    }

    pub(super) fn differs(&mut self, key: &str, from: String, to: String) {
        // What differs in something that is not shown, or beyond what is.
        if from == to || from.len().max(to.len()) > MAX_SHOWN {
            self.hidden(key);
        } else {
            self.found.push(Setting { key: format!("{}{key}", self.prefix), from: Some(from), to: Some(to) });
        }
    }

    pub(super) fn hidden(&mut self, key: &str) {
        self.found.push(Setting { key: format!("{}{key}", self.prefix), from: None, to: None });
    }
}

pub(super) fn plain<T: Display>(value: &T) -> String {
    value.to_string()
}

#[allow(clippy::trivially_copy_pass_by_ref)] // as `Settings::note` calls it
pub(super) fn duration(value: &Duration) -> String {
    format_duration(*value)
}

fn bytes<T: Copy + TryInto<u64>>(value: &T) -> String {
    format_size((*value).try_into().unwrap_or(u64::MAX))
}

pub(super) fn or_none<T>(show: impl Fn(&T) -> String) -> impl Fn(&Option<T>) -> String {
    move |value| value.as_ref().map_or_else(|| "none".to_owned(), &show)
}

#[allow(clippy::ref_option)] // as `Settings::note` calls it
pub(super) fn path(value: &Option<PathBuf>) -> String {
    value.as_ref().map_or_else(|| "none".to_owned(), |path| path.display().to_string())
}

#[allow(clippy::ref_option)] // as `Settings::note` calls it
pub(super) fn recovery(recovery: &Option<Recovery>) -> String {
    let Some(Recovery { action, .. }) = recovery else { return "none".to_owned() };
    let whom = match action {
        RecoveryAction::Command(command) | RecoveryAction::Process { command, .. } => program(&command.argv),
        RecoveryAction::Http(call) => without_path(&call.url).to_owned(),
    };
    format!("{} {whom}", action.name())
}

#[allow(clippy::ref_option)] // as `Settings::note` calls it
pub(super) fn proxy_protocol(rules: &Option<ProxyProtocol>) -> String {
    rules.as_ref().map_or_else(|| "none".to_owned(), summary::proxy_protocol)
}

#[allow(clippy::ref_option)] // as `Settings::note` calls it
pub(super) fn listener_tls(tls: &Option<ListenerTls>) -> String {
    tls.as_ref().map_or_else(|| "none".to_owned(), summary::listener_tls)
}

#[allow(clippy::ref_option)] // as `Settings::note` calls it
pub(super) fn pool_tls(tls: &Option<PoolTls>) -> String {
    tls.as_ref().map_or_else(|| "none".to_owned(), summary::pool_tls)
}

#[allow(clippy::ref_option, clippy::trivially_copy_pass_by_ref)] // as `Settings::note` calls it
pub(super) fn redirect(redirect: &Option<RedirectHttps>) -> String {
    redirect.map_or_else(|| "none".to_owned(), summary::redirect)
}

#[allow(clippy::ref_option, clippy::trivially_copy_pass_by_ref)] // as `Settings::note` calls it
pub(super) fn hsts(hsts: &Option<Hsts>) -> String {
    hsts.map_or_else(|| "none".to_owned(), |hsts| hsts.to_string())
}

/// A program by its path: arguments may be secret.
fn program(argv: &[String]) -> String {
    argv.first().cloned().unwrap_or_else(|| "none".to_owned())
}

pub(super) fn health_check(old: &HealthCheck, new: &HealthCheck) -> Vec<Setting> {
    let HealthCheck { kind, path, service, host, interval, timeout, rise, fall, expect_status, .. } = new;
    let HealthCheck { max_latency, start_down, method, port, tls, verify, headers, expect_body, .. } = new;
    let HealthCheck { expect_headers, command, fast_interval, max_interval, .. } = new;
    let mut settings = Settings::new("healthCheck.");
    settings.note("type", &old.kind, kind, |kind| kind.name().to_owned());
    settings.note("path", &old.path, path, plain);
    settings.note("service", &old.service, service, |service| format!("{service:?}"));
    settings.note("host", &old.host, host, or_none(plain));
    settings.note("interval", &old.interval, interval, duration);
    settings.note("timeout", &old.timeout, timeout, duration);
    settings.note("rise", &old.rise, rise, plain);
    settings.note("fall", &old.fall, fall, plain);
    settings.note("expectStatus", &old.expect_status, expect_status, |ranges| listed(ranges));
    settings.note("maxLatency", &old.max_latency, max_latency, or_none(duration));
    settings.note("startDown", &old.start_down, start_down, plain);
    settings.note("method", &old.method, method, plain);
    settings.note("port", &old.port, port, or_none(plain));
    settings.note("tls", &old.tls, tls, plain);
    settings.note("verify", &old.verify, verify, plain);
    settings.note_hidden("headers", &old.headers, headers);
    settings.note(
        "expectBody",
        &old.expect_body,
        expect_body,
        or_none(|pattern| match pattern {
            BodyPattern::Contains(text) => format!("contains {text:?}"),
            BodyPattern::Regex(regex) => format!("regex {regex:?}"),
        }),
    );
    settings.note_hidden("expectHeaders", &old.expect_headers, expect_headers);
    settings.note("command", &old.command, command, |argv| program(argv));
    settings.note("fastInterval", &old.fast_interval, fast_interval, duration);
    settings.note("maxInterval", &old.max_interval, max_interval, duration);
    settings.found
}

pub(super) fn passive_health(old: &PassiveHealth, new: &PassiveHealth) -> Vec<Setting> {
    let PassiveHealth { failures, window, on_status, hold } = new;
    let mut settings = Settings::new("passiveHealth.");
    settings.note("failures", &old.failures, failures, plain);
    settings.note("window", &old.window, window, duration);
    settings.note("onStatus", &old.on_status, on_status, |ranges| listed(ranges));
    settings.note("hold", &old.hold, hold, duration);
    settings.found
}

pub(super) fn flap_damping(old: &FlapDamping, new: &FlapDamping) -> Vec<Setting> {
    let FlapDamping { limit, reuse, half_life } = new;
    let mut settings = Settings::new("flapDamping.");
    settings.note("limit", &old.limit, limit, plain);
    settings.note("reuse", &old.reuse, reuse, plain);
    settings.note("halfLife", &old.half_life, half_life, duration);
    settings.found
}

pub(super) fn retry(old: &Retry, new: &Retry) -> Vec<Setting> {
    let Retry { attempts, on, per_try_timeout, budget_percent, budget_floor, buffer_body, non_idempotent } =
        new;
    let mut settings = Settings::new("retry.");
    settings.note("attempts", &old.attempts, attempts, plain);
    settings.note("on", &old.on, on, |on| {
        let RetryOn { connect_failure, reset, timeout, unavailable, statuses } = on;
        let words = [
            ("connect_failure", connect_failure),
            ("reset", reset),
            ("timeout", timeout),
            ("unavailable", unavailable),
        ];
        let words = words.into_iter().filter(|(_, is_on)| **is_on).map(|(word, _)| word.to_owned());
        words.chain(statuses.iter().map(ToString::to_string)).collect::<Vec<_>>().join(" ")
    });
    settings.note("perTryTimeout", &old.per_try_timeout, per_try_timeout, duration);
    settings.note("budgetPercent", &old.budget_percent, budget_percent, plain);
    settings.note("budgetFloor", &old.budget_floor, budget_floor, plain);
    settings.note("bufferBody", &old.buffer_body, buffer_body, bytes);
    settings.note("nonIdempotent", &old.non_idempotent, non_idempotent, plain);
    settings.found
}

pub(super) fn pool_timeouts(old: &PoolTimeouts, new: &PoolTimeouts) -> Vec<Setting> {
    let PoolTimeouts { connect, response, idle, total, tunnel } = new;
    let mut settings = Settings::new("timeouts.");
    settings.note("connect", &old.connect, connect, duration);
    settings.note("response", &old.response, response, duration);
    settings.note("idle", &old.idle, idle, duration);
    settings.note("total", &old.total, total, duration);
    settings.note("tunnel", &old.tunnel, tunnel, duration);
    settings.found
}

pub(super) fn connection_pool(old: &ConnectionPool, new: &ConnectionPool) -> Vec<Setting> {
    let ConnectionPool { max_idle, idle_timeout, max_requests, max_lifetime } = new;
    let mut settings = Settings::new("connectionPool.");
    settings.note("maxIdle", &old.max_idle, max_idle, plain);
    settings.note("idleTimeout", &old.idle_timeout, idle_timeout, duration);
    settings.note("maxRequests", &old.max_requests, max_requests, plain);
    settings.note("maxLifetime", &old.max_lifetime, max_lifetime, duration);
    settings.found
}

/// What stands beside the named things.
pub(super) fn file(old: &Config, new: &Config) -> Vec<Setting> {
    let Config { workers, listeners: _, routes: _, pools: _, timeouts, limits, trusted_proxies, .. } = new;
    let Config { forwarded_headers, via, admin, access_log, webhooks: _, events, tracing, .. } = new;
    let mut settings = Settings::new("");
    settings.note("workers", &old.workers, workers, plain);
    settings.found.extend(client_timeouts(&old.timeouts, timeouts));
    settings.found.extend(self::limits(&old.limits, limits));
    settings.note("trustedProxies", &old.trusted_proxies, trusted_proxies, |networks| {
        networks.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    });
    settings
        .note("forwardedHeaders", &old.forwarded_headers, forwarded_headers, |words| words.name().to_owned());
    settings.note("via", &old.via, via, or_none(plain));
    settings.found.extend(self::admin(old.admin.as_ref(), admin.as_ref()));
    settings.found.extend(self::access_log(&old.access_log, access_log));
    settings.note(
        "events",
        &old.events,
        events,
        or_none(|log: &EventLog| {
            format!("{} ({}, {} kept)", log.file.display(), format_size(log.max_size), log.keep)
        }),
    );
    settings.found.extend(self::tracing(old.tracing.as_ref(), tracing.as_ref()));
    settings.found
}

fn tracing(old: Option<&Tracing>, new: Option<&Tracing>) -> Vec<Setting> {
    let (Some(old), Some(new)) = (old, new) else {
        let mut settings = Settings::new("");
        let to = |tracing: Option<&Tracing>| {
            tracing.map_or_else(|| "none".to_owned(), |to| format!("to {}", without_path(&to.endpoint)))
        };
        settings.note("tracing", &to(old), &to(new), plain);
        return settings.found;
    };
    let Tracing { endpoint, protocol, headers, ca_file, sampling, service_name, timeout, .. } = new;
    let Tracing { interval, batch, queue, .. } = new;
    let Sampling { ratio, parent, failures } = sampling;
    let mut settings = Settings::new("tracing.");
    settings.note_hidden("endpoint", &old.endpoint, endpoint);
    settings.note("protocol", &old.protocol, protocol, |protocol| protocol.name().to_owned());
    settings.note_hidden("headers", &old.headers, headers);
    settings.note("caFile", &old.ca_file, ca_file, path);
    settings.note("sampling.ratio", &old.sampling.ratio, ratio, plain);
    settings.note("sampling.parent", &old.sampling.parent, parent, plain);
    settings.note("sampling.failures", &old.sampling.failures, failures, plain);
    settings.note("serviceName", &old.service_name, service_name, plain);
    settings.note("timeout", &old.timeout, timeout, duration);
    settings.note("interval", &old.interval, interval, duration);
    settings.note("batch", &old.batch, batch, plain);
    settings.note("queue", &old.queue, queue, plain);
    settings.found
}

fn client_timeouts(old: &ClientTimeouts, new: &ClientTimeouts) -> Vec<Setting> {
    let ClientTimeouts { request_head, idle, body, send, drain } = new;
    let mut settings = Settings::new("timeouts.");
    settings.note("requestHead", &old.request_head, request_head, duration);
    settings.note("idle", &old.idle, idle, duration);
    settings.note("body", &old.body, body, duration);
    settings.note("send", &old.send, send, duration);
    settings.note("drain", &old.drain, drain, duration);
    settings.found
}

fn limits(old: &Limits, new: &Limits) -> Vec<Setting> {
    let Limits { request_head, target, headers, response_head, trailers, body, connections, .. } = new;
    let Limits { requests_per_connection, http2, .. } = new;
    let Http2Limits { max_concurrent_streams, stream_window, connection_window } = http2;
    let mut settings = Settings::new("limits.");
    settings.note("requestHead", &old.request_head, request_head, bytes);
    settings.note("target", &old.target, target, bytes);
    settings.note("headers", &old.headers, headers, plain);
    settings.note("responseHead", &old.response_head, response_head, bytes);
    settings.note("trailers", &old.trailers, trailers, bytes);
    settings.note("body", &old.body, body, bytes);
    settings.note("connections", &old.connections, connections, plain);
    settings.note("requestsPerConnection", &old.requests_per_connection, requests_per_connection, plain);
    let (was, window) = (&old.http2, |bytes: &u32| format_size(u64::from(*bytes)));
    settings.note("http2.maxConcurrentStreams", &was.max_concurrent_streams, max_concurrent_streams, plain);
    settings.note("http2.streamWindow", &was.stream_window, stream_window, window);
    settings.note("http2.connectionWindow", &was.connection_window, connection_window, window);
    settings.found
}

fn admin(old: Option<&Admin>, new: Option<&Admin>) -> Vec<Setting> {
    let (Some(old), Some(new)) = (old, new) else {
        let mut settings = Settings::new("");
        let bind = |admin: Option<&Admin>| {
            admin.map_or_else(|| "none".to_owned(), |admin| format!("on {}", admin.bind))
        };
        settings.note("admin", &bind(old), &bind(new), plain);
        return settings.found;
    };
    let Admin { bind, socket_mode, tokens, persist, tls, origins } = new;
    let mut settings = Settings::new("admin.");
    settings.note("bind", &old.bind, bind, plain);
    settings.note("socketMode", &old.socket_mode, socket_mode, plain);
    settings.note_hidden("tokens", &old.tokens, tokens);
    settings.note("persist", &old.persist, persist, plain);
    settings.note(
        "tls",
        &old.tls,
        tls,
        or_none(|tls: &AdminTls| format!("{} and {}", tls.cert.display(), tls.key.display())),
    );
    settings.note("origins", &old.origins, origins, |origins| origins.join(" "));
    settings.found
}

fn access_log(old: &AccessLog, new: &AccessLog) -> Vec<Setting> {
    let AccessLog { format, output, fields, filter, sample, rotate, redact, syslog } = new;
    let mut settings = Settings::new("accessLog.");
    settings.note("format", &old.format, format, |format| format.name().to_owned());
    settings.note("output", &old.output, output, plain);
    settings.note("fields", &old.fields, fields, |fields| {
        fields.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    });
    settings.note("filter", &old.filter, filter, or_none(plain));
    settings.note("sample.ratio", &old.sample.ratio, &sample.ratio, plain);
    settings.note("sample.failures", &old.sample.failures, &sample.failures, plain);
    settings.note(
        "rotate",
        &old.rotate,
        rotate,
        or_none(|rotate: &LogRotation| format!("{}, {} kept", format_size(rotate.max_size), rotate.keep)),
    );
    settings.note("redact.defaults", &old.redact.defaults, &redact.defaults, plain);
    settings.note("redact.query", &old.redact.query, &redact.query, |names| names.join(" "));
    settings.note("redact.headers", &old.redact.headers, &redact.headers, |names| names.join(" "));
    settings.note("syslog.facility", &old.syslog.facility, &syslog.facility, |word| word.name().to_owned());
    settings.note("syslog.severity", &old.syslog.severity, &syslog.severity, |word| word.name().to_owned());
    settings.found
}
