//! What would run, in words: what `loadweaver check` prints.

mod healing;
mod log;
mod operators;
mod tls;

use std::fmt::{self, Write};

use crate::issue::shown;
use crate::model::Config;
use crate::model::bind::Bind;
use crate::model::listener::{Http2Limits, Limits, Protocols, ProxyProtocol};
use crate::model::pool::{Pool, Protocol, Retry, SendProxyProtocol, Server, ServerState};
use crate::model::probe::{BodyPattern, HealthCheck, ProbeKind, StatusRange};
use crate::model::route::{PathPattern, Route};
use crate::quantity::{format_duration, format_size};
pub(crate) use tls::{listener_tls, pool_tls, redirect};

/// Most servers of one pool, and most routes, that are written out.
const MAX_SHOWN: usize = 50;

/// What would run, in words: what `loadweaver check` prints. Ends with a line break.
pub fn summary(config: &Config) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write_all(&mut out, config);
    out
}

/// The addresses of a listener.
pub(crate) fn addresses(binds: &[Bind]) -> String {
    binds.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn write_all(out: &mut String, config: &Config) -> fmt::Result {
    match config.workers {
        0 => writeln!(out, "workers: one per core")?,
        workers => writeln!(out, "workers: {workers}")?,
    }
    writeln!(out, "listeners:")?;
    for listener in &config.listeners {
        let connect = if listener.allow_connect { ", CONNECT allowed" } else { "" };
        writeln!(out, "  {} on {}{connect}", listener.name, addresses(&listener.binds))?;
        if listener.protocols != Protocols::Both {
            writeln!(out, "    protocols: {} alone", protocols(listener.protocols))?;
        }
        if let Some(rules) = &listener.proxy_protocol {
            writeln!(out, "    PROXY protocol: {}", proxy_protocol(rules))?;
        }
        tls::write_listener(out, listener)?;
    }
    match &config.admin {
        Some(admin) => writeln!(out, "admin: on {}{}", admin.bind, operators::words(admin))?,
        None => writeln!(out, "admin: none")?,
    }
    writeln!(out, "routes, the first that matches wins:")?;
    for (index, route) in config.routes.iter().take(MAX_SHOWN).enumerate() {
        writeln!(out, "  {}. {}: {} -> pool {}", index + 1, route.name, matched(route), route.pool)?;
    }
    more(out, config.routes.len(), "  ", "routes")?;
    for pool in &config.pools {
        write_pool(out, pool)?;
    }
    write_clients(out, config)?;
    operators::write_events(out, config)
}

fn more(out: &mut String, count: usize, indent: &str, what: &str) -> fmt::Result {
    if count > MAX_SHOWN {
        writeln!(out, "{indent}… and {} more {what}", count - MAX_SHOWN)
    } else {
        Ok(())
    }
}

pub(crate) fn protocols(protocols: Protocols) -> &'static str {
    match protocols {
        Protocols::Both => "HTTP/1 and HTTP/2",
        Protocols::Http1 => "HTTP/1",
        Protocols::Http2 => "HTTP/2",
    }
}

pub(crate) fn matched(route: &Route) -> String {
    let matcher = &route.matcher;
    let mut parts = Vec::new();
    if !matcher.methods.is_empty() {
        parts.push(some_of(matcher.methods.iter().cloned()));
    }
    if !matcher.hosts.is_empty() {
        parts.push(format!("host {}", some_of(matcher.hosts.iter().map(ToString::to_string))));
    }
    match &matcher.path {
        PathPattern::Any => {}
        PathPattern::Prefix(prefix) => parts.push(format!("path under {prefix}")),
        PathPattern::Exact(path) => parts.push(format!("path exactly {path}")),
        PathPattern::Regex(regex) => parts.push(format!("path like {regex}")),
    }
    for (name, value) in &matcher.headers {
        parts.push(format!("header {name}: {value}"));
    }
    if parts.is_empty() { "every request".to_owned() } else { parts.join(", ") }
}

/// Joined by "or"; long lists are cut.
fn some_of(words: impl ExactSizeIterator<Item = String>) -> String {
    let count = words.len();
    let mut text = words.take(10).collect::<Vec<_>>().join(" or ");
    if count > 10 {
        let _ = write!(text, " or {} more", count - 10);
    }
    text
}

fn write_pool(out: &mut String, pool: &Pool) -> fmt::Result {
    let servers = if pool.servers.len() == 1 { "server" } else { "servers" };
    writeln!(out, "pool {}: {} over {} {servers}", pool.name, pool.algorithm.name(), pool.servers.len())?;
    match pool.protocol {
        Protocol::Auto => {}
        Protocol::Http1 => writeln!(out, "  protocol: HTTP/1.1")?,
        Protocol::Http2 => writeln!(out, "  protocol: HTTP/2")?,
        Protocol::H2c => writeln!(out, "  protocol: HTTP/2 in the clear")?,
    }
    match pool.send_proxy_protocol {
        SendProxyProtocol::Off => {}
        way => writeln!(out, "  PROXY protocol {} in front of each connection", way.name())?,
    }
    for server in pool.servers.iter().take(MAX_SHOWN) {
        write_server(out, server)?;
    }
    more(out, pool.servers.len(), "  ", "servers")?;
    writeln!(out, "  health: {}", probes(&pool.health_check))?;
    let passive = &pool.passive_health;
    match passive.failures {
        0 => writeln!(out, "  passive health: off")?,
        failures => {
            let (window, hold) = (format_duration(passive.window), format_duration(passive.hold));
            let statuses = match passive.on_status.as_slice() {
                [] => String::new(),
                ranges => format!(" (also statuses {})", listed(ranges)),
            };
            writeln!(
                out,
                "  passive health: {failures} failures{statuses} within {window} take a server out for {hold} or longer"
            )?;
        }
    }
    healing::write(out, pool)?;
    writeln!(out, "  retry: {}", retries(&pool.retry))?;
    let timeouts = &pool.timeouts;
    writeln!(
        out,
        "  time-outs: connect {}, response {}, idle {}, total {}, tunnel {}",
        format_duration(timeouts.connect),
        format_duration(timeouts.response),
        format_duration(timeouts.idle),
        duration_or(timeouts.total, "off"),
        format_duration(timeouts.tunnel)
    )?;
    writeln!(out, "  connections kept: {}", kept(pool))?;
    if let Some(tls) = &pool.tls {
        writeln!(out, "  TLS: {}", pool_tls(tls))?;
    }
    match &pool.fallback {
        Some(fallback) => {
            let (status, size) = (fallback.status, format_size(fallback.body.len() as u64));
            writeln!(out, "  fallback: {status} with {size} of {}", fallback.content_type)
        }
        None => writeln!(out, "  fallback: 503 with Retry-After"),
    }
}

fn write_server(out: &mut String, server: &Server) -> fmt::Result {
    let address = Server::address_text(&server.host, server.port);
    write!(out, "  - {address}")?;
    if *server.id != *address {
        write!(out, " ({})", server.id)?;
    }
    match server.weight {
        Server::DEFAULT_WEIGHT => {}
        0 => write!(out, ", weight 0: no new traffic")?,
        weight => write!(out, ", weight {weight}")?,
    }
    if server.max_connections > 0 {
        write!(out, ", at most {} connections", server.max_connections)?;
    }
    match server.state {
        ServerState::Active => {}
        ServerState::Drain => write!(out, ", draining: no new traffic")?,
        ServerState::Maintenance => write!(out, ", in maintenance: no traffic")?,
    }
    if let Some(recovery) = &server.recovery {
        write!(out, ", recovery: {}", healing::recovery(recovery))?;
    }
    writeln!(out)
}

fn probes(health: &HealthCheck) -> String {
    let port = health.port.map(|port| format!(" on port {port}")).unwrap_or_default();
    let what = match health.kind {
        ProbeKind::Off => return "no probes".to_owned(),
        ProbeKind::Tcp => format!("tcp connect{port}"),
        ProbeKind::Exec => format!("runs {}", healing::command_line(&health.command)),
        ProbeKind::Http => request(health, &port),
        ProbeKind::Grpc => call(health, &port),
    };
    let slow = health.max_latency.map(|limit| format!(", slower than {} is bad", format_duration(limit)));
    let start = if health.start_down { "; no traffic before the first good one" } else { "" };
    format!(
        "{what}, every {} ({} around a change, up to {} while down), time-out {}{}, {} good bring a server back, {} bad take it out{start}",
        format_duration(health.interval),
        // As they are scheduled: a default gives way to the interval.
        format_duration(health.fast_interval.min(health.interval)),
        format_duration(health.max_interval.max(health.interval)),
        format_duration(health.timeout),
        slow.unwrap_or_default(),
        health.rise,
        health.fall
    )
}

fn call(health: &HealthCheck, port: &str) -> String {
    let what = match health.service.as_str() {
        "" => "the server".to_owned(),
        service => shown(service),
    };
    let tls = match (health.tls, health.verify) {
        (false, _) => "",
        (true, true) => " over TLS",
        (true, false) => " over TLS (certificate not verified)",
    };
    format!("grpc health of {what}{tls}{port}{}", sent(health))
}

/// What a request has of its own.
fn sent(health: &HealthCheck) -> String {
    let host = health.host.as_ref().map(|host| format!(" with host {host}")).unwrap_or_default();
    match health.headers.len() {
        0 => host,
        1 => format!("{host} and a header"),
        count => format!("{host} and {count} headers"),
    }
}

fn request(health: &HealthCheck, port: &str) -> String {
    let scheme = match (health.tls, health.verify) {
        (false, _) => "http",
        (true, true) => "https",
        (true, false) => "https (certificate not verified)",
    };
    let mut good = vec![listed(&health.expect_status)];
    good.extend(health.expect_headers.iter().map(|(name, value)| format!("header {name}: {value}")));
    good.extend(health.expect_body.as_ref().map(|pattern| match pattern {
        BodyPattern::Contains(text) => format!("a body with {}", shown(text)),
        BodyPattern::Regex(regex) => format!("a body like {}", shown(regex)),
    }));
    format!(
        "{scheme} {} {}{port}{}, good are {}",
        health.method,
        health.path,
        sent(health),
        good.join(" and ")
    )
}

/// When a request is tried again, in words.
pub fn retries(retry: &Retry) -> String {
    let words = [
        ("connect_failure", retry.on.connect_failure),
        ("reset", retry.on.reset),
        ("timeout", retry.on.timeout),
        ("unavailable", retry.on.unavailable),
    ];
    let mut on: Vec<String> =
        words.iter().filter(|(_, is_on)| *is_on).map(|(word, _)| (*word).to_owned()).collect();
    if !retry.on.statuses.is_empty() {
        on.push(listed(&retry.on.statuses));
    }
    if retry.attempts == 1 || on.is_empty() {
        return "off".to_owned();
    }
    let methods = if retry.non_idempotent { ", POST and PATCH too" } else { "" };
    let each = match format_duration(retry.per_try_timeout).as_str() {
        "0s" => String::new(),
        limit => format!("; each at most {limit}"),
    };
    let bodies = match retry.buffer_body {
        0 => "; no bodies kept".to_owned(),
        size => format!("; bodies up to {} kept", format_size(size as u64)),
    };
    let (percent, floor) = (retry.budget_percent, retry.budget_floor);
    let on = on.join(", ");
    format!(
        "up to {} tries on {on}{methods}{each}; at most {percent} % of requests or {floor} a second{bodies}",
        retry.attempts
    )
}

fn kept(pool: &Pool) -> String {
    let kept = &pool.connection_pool;
    if kept.max_idle == 0 {
        return "none".to_owned();
    }
    let requests = match kept.max_requests {
        0 => "any number of requests".to_owned(),
        most => format!("{most} requests"),
    };
    format!(
        "{} per server and worker, {} unused, {requests}, {}",
        kept.max_idle,
        format_duration(kept.idle_timeout),
        duration_or(kept.max_lifetime, "any age")
    )
}

fn write_clients(out: &mut String, config: &Config) -> fmt::Result {
    let timeouts = &config.timeouts;
    writeln!(
        out,
        "client time-outs: request head {}, idle {}, body {}, send {}, drain {}",
        format_duration(timeouts.request_head),
        format_duration(timeouts.idle),
        format_duration(timeouts.body),
        format_duration(timeouts.send),
        format_duration(timeouts.drain)
    )?;
    write_limits(out, &config.limits)?;
    let trusted: Vec<String> = config.trusted_proxies.iter().take(10).map(ToString::to_string).collect();
    match trusted.as_slice() {
        [] => writeln!(out, "trusted proxies: none")?,
        some if config.trusted_proxies.len() > 10 => {
            writeln!(
                out,
                "trusted proxies: {} and {} more",
                some.join(", "),
                config.trusted_proxies.len() - 10
            )?;
        }
        some => writeln!(out, "trusted proxies: {}", some.join(", "))?,
    }
    writeln!(out, "forwarded headers: {}", config.forwarded_headers.name())?;
    writeln!(out, "via: {}", config.via.as_deref().unwrap_or("none"))?;
    log::write(out, &config.access_log)
}

fn write_limits(out: &mut String, limits: &Limits) -> fmt::Result {
    writeln!(
        out,
        "limits: request head {}, target {}, {} headers, response head {}, trailers {}, request body {}",
        format_size(limits.request_head as u64),
        format_size(limits.target as u64),
        limits.headers,
        format_size(limits.response_head as u64),
        format_size(limits.trailers as u64),
        if limits.body == 0 { "of any size".to_owned() } else { format_size(limits.body) }
    )?;
    let connections = match limits.connections {
        0 => "as many as there are descriptors".to_owned(),
        most => most.to_string(),
    };
    let requests = match limits.requests_per_connection {
        0 => "any number of".to_owned(),
        most => most.to_string(),
    };
    writeln!(out, "client connections: {connections}, {requests} requests each")?;
    if limits.http2 == Http2Limits::default() {
        return Ok(());
    }
    writeln!(
        out,
        "of HTTP/2: {} exchanges at once, {} of a body on the way, {} on a connection",
        limits.http2.max_concurrent_streams,
        format_size(limits.http2.stream_window.into()),
        format_size(limits.http2.connection_window.into())
    )
}

pub(crate) fn proxy_protocol(rules: &ProxyProtocol) -> String {
    let networks = rules.trusted.iter().take(10).map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let more = match rules.trusted.len().saturating_sub(10) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let others = if rules.required { "refused" } else { "clients" };
    format!("from {networks}{more}; others are {others}")
}

fn duration_or(duration: std::time::Duration, zero: &str) -> String {
    if duration.is_zero() { zero.to_owned() } else { format_duration(duration) }
}

pub(crate) fn listed(ranges: &[StatusRange]) -> String {
    ranges.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
