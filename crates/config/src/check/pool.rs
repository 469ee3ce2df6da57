//! A pool and its smaller sections.

use std::time::Duration;

use crate::bounds;
use crate::issue::{Fault, Report};
use crate::model::pool::{
    Algorithm, ConnectionPool, Fallback, Pool, PoolTimeouts, Protocol, Retry, SendProxyProtocol,
};
use crate::model::probe::{FlapDamping, HealthCheck, PassiveHealth, ProbeKind};
use crate::model::servers::Servers;
use crate::shape;
use crate::spot::{Section, Spot};
use crate::{quantity, syntax};

use super::{probe, recovery, retry, server, tls};

pub(super) fn pools(spot: &Spot<'_>, report: &mut Report) -> Vec<Pool> {
    let Some(entries) = spot.entries(report, "an object that names pools") else { return Vec::new() };
    if entries.is_empty() {
        let help = "add one: { \"app\": { \"servers\": [ { \"host\": \"127.0.0.1\", \"port\": 3001 } ] } }";
        spot.refuse(report, Fault::new("there is no pool, so no request could be answered", help));
    }
    entries.iter().map(|(name, spot)| pool(name, spot, report)).collect()
}

/// Always a pool, however wrong its value: its name is known, and routes may mean it.
fn pool(name: &str, spot: &Spot<'_>, report: &mut Report) -> Pool {
    let mut pool = Pool {
        name: name.into(),
        algorithm: Algorithm::default(),
        protocol: Protocol::default(),
        servers: Servers::default(),
        health_check: HealthCheck::default(),
        passive_health: PassiveHealth::default(),
        flap_damping: FlapDamping::default(),
        slow_start: Duration::ZERO,
        panic_percent: Pool::DEFAULT_PANIC_PERCENT,
        recovery: None,
        retry: Retry::default(),
        timeouts: PoolTimeouts::default(),
        connection_pool: ConnectionPool::default(),
        fallback: None,
        tls: None,
        send_proxy_protocol: SendProxyProtocol::default(),
    };
    spot.settle(report, syntax::name(name));
    let Some(section) = Section::open(spot, &shape::POOL, report) else { return pool };
    section.set("algorithm", report, &mut pool.algorithm, |spot, report| {
        spot.word(report, Algorithm::ALL, Algorithm::name)
    });
    section.set("protocol", report, &mut pool.protocol, |spot, report| {
        spot.word(report, Protocol::ALL, Protocol::name)
    });
    let help = "name its servers: \"servers\": [ { \"host\": \"127.0.0.1\", \"port\": 3001 } ]";
    if let Some(spot) = section.need("servers", report, help) {
        pool.servers = server::servers(&spot, report);
    }
    section.set("healthCheck", report, &mut pool.health_check, probe::health_check);
    section.set("passiveHealth", report, &mut pool.passive_health, probe::passive_health);
    section.set("flapDamping", report, &mut pool.flap_damping, probe::flap_damping);
    section.set("slowStart", report, &mut pool.slow_start, |spot, report| {
        spot.duration(report, &bounds::SLOW_START)
    });
    section.set("panicPercent", report, &mut pool.panic_percent, panic_percent);
    section.set("recovery", report, &mut pool.recovery, recovery::recovery);
    section.set("retry", report, &mut pool.retry, retry::retry);
    section.set("timeouts", report, &mut pool.timeouts, timeouts);
    section.set("connectionPool", report, &mut pool.connection_pool, connection_pool);
    section.set("fallback", report, &mut pool.fallback, |spot, report| fallback(spot, report).map(Some));
    section.set("tls", report, &mut pool.tls, |spot, report| tls::pool(spot, report).map(Some));
    section.set("sendProxyProtocol", report, &mut pool.send_proxy_protocol, |spot, report| {
        spot.word(report, SendProxyProtocol::ALL, SendProxyProtocol::name)
    });
    protocol_fits(&section, &pool, report);
    header_fits(&section, &mut pool, report);
    calls_fit(&section, &pool, report);
    total_fits(&section, &pool, report);
    downs_are_seen(&section, &pool, report);
    servers_fit(&section, &pool, report);
    pool
}

/// Said once: what does not fit one Unix socket fits none.
fn servers_fit(section: &Section<'_>, pool: &Pool, report: &mut Report) {
    if pool.servers.tally().sockets == 0 {
        return;
    }
    let fault = pool.servers.iter().find_map(|server| server::misfit(pool, server));
    if let Some((fault, spot)) = fault.zip(section.get("servers")) {
        spot.refuse(report, fault);
    }
}

/// The two protocols of HTTP/2 say whether there is TLS.
fn protocol_fits(section: &Section<'_>, pool: &Pool, report: &mut Report) {
    let Some(spot) = section.get("protocol") else { return };
    let fault = match (pool.protocol, pool.tls.is_some()) {
        (Protocol::Http2, false) if section.get("tls").is_none() => Fault::new(
            "HTTP/2 over TLS needs TLS to the servers",
            "add a \"tls\" section, or write \"h2c\" for HTTP/2 in the clear",
        ),
        (Protocol::H2c, true) => Fault::new(
            "HTTP/2 in the clear does not go with TLS to the servers",
            "write \"http2\", or take \"tls\" out",
        ),
        _ => return,
    };
    spot.refuse(report, fault);
}

/// A header stands for one client, and connections of HTTP/2 are shared by many.
fn header_fits(section: &Section<'_>, pool: &mut Pool, report: &mut Report) {
    let Some(spot) = section.get("sendProxyProtocol") else { return };
    match (pool.send_proxy_protocol, pool.protocol) {
        (SendProxyProtocol::Off, _) | (_, Protocol::Http1) => {}
        (_, Protocol::Auto) => pool.protocol = Protocol::Http1,
        (_, Protocol::Http2 | Protocol::H2c) => {
            let problem = "connections of HTTP/2 are shared by clients, and a header can name only one";
            let help = "write \"protocol\": \"http1\", or \"off\" and have servers read X-Forwarded-For";
            spot.refuse(report, Fault::new(problem, help));
        }
    }
}

/// A call needs HTTP/2, and a good probe should mean that requests of the pool reach the same.
fn calls_fit(section: &Section<'_>, pool: &Pool, report: &mut Report) {
    let check = &pool.health_check;
    // A port of its own is another service.
    if check.kind != ProbeKind::Grpc || check.port.is_some() {
        return;
    }
    let Some(spot) = section.get("healthCheck") else { return };
    match (pool.protocol, pool.tls.is_some()) {
        (Protocol::Http1, tls) => {
            let needed = if tls { "http2" } else { "h2c" };
            let problem = "gRPC goes over HTTP/2, and this pool speaks HTTP/1.1 with its servers";
            let help = format!(
                "write \"protocol\": \"{needed}\" for this pool, or probe by \"http\", or another \"port\""
            );
            spot.refuse(report, Fault::new(problem, help));
        }
        (Protocol::Auto, false) if section.get("tls").is_none() => {
            let problem =
                "probes of type \"grpc\" speak HTTP/2 in the clear here, but requests of this pool HTTP/1.1";
            let help = "write \"protocol\": \"h2c\" for this pool if its servers are of gRPC alone";
            report.warn(&spot.at, Fault::new(problem, help));
        }
        _ => {}
    }
}

fn panic_percent(spot: &Spot<'_>, report: &mut Report) -> Option<u32> {
    if probe::text_of(spot) == Some("off") { Some(0) } else { spot.number(report, &bounds::PERCENT) }
}

/// Somebody has to find out that a server is down before anything is done about it.
fn downs_are_seen(section: &Section<'_>, pool: &Pool, report: &mut Report) {
    let unseen = pool.health_check.kind == ProbeKind::Off && pool.passive_health.failures == 0;
    if let Some(spot) = section.get("recovery").filter(|_| unseen && pool.recovery.is_some()) {
        let problem = "neither probes nor requests ever find a server down, so nothing is recovered";
        report.warn(
            &spot.at,
            Fault::new(problem, "turn \"healthCheck\" or \"passiveHealth\" on, or take it out"),
        );
    }
}

fn timeouts(spot: &Spot<'_>, report: &mut Report) -> Option<PoolTimeouts> {
    let section = Section::open(spot, &shape::POOL_TIMEOUTS, report)?;
    let mut timeouts = PoolTimeouts::default();
    for (key, slot, bounds) in [
        ("connect", &mut timeouts.connect, &bounds::CONNECT),
        ("response", &mut timeouts.response, &bounds::WAIT),
        ("idle", &mut timeouts.idle, &bounds::WAIT),
        ("total", &mut timeouts.total, &bounds::OPTIONAL),
        ("tunnel", &mut timeouts.tunnel, &bounds::WAIT),
    ] {
        section.set(key, report, slot, |spot, report| spot.duration(report, bounds));
    }
    Some(timeouts)
}

/// A total time-out below the time of one try leaves that time without effect.
fn total_fits(section: &Section<'_>, pool: &Pool, report: &mut Report) {
    let total = pool.timeouts.total;
    let per_try = pool.retry.per_try_timeout;
    if total.is_zero() || per_try <= total {
        return;
    }
    let (per_try, total) = (quantity::format_duration(per_try), quantity::format_duration(total));
    let problem =
        format!("retry.perTryTimeout ({per_try}) is longer than timeouts.total ({total}), which ends first");
    report.warn(section.at(), Fault::new(problem, "raise \"total\" or lower \"perTryTimeout\""));
}

fn connection_pool(spot: &Spot<'_>, report: &mut Report) -> Option<ConnectionPool> {
    let section = Section::open(spot, &shape::CONNECTION_POOL, report)?;
    let mut kept = ConnectionPool::default();
    section.set("maxIdle", report, &mut kept.max_idle, |spot, report| spot.number(report, &bounds::MAX_IDLE));
    section.set("idleTimeout", report, &mut kept.idle_timeout, |spot, report| {
        spot.duration(report, &bounds::WAIT)
    });
    section.set("maxRequests", report, &mut kept.max_requests, |spot, report| {
        spot.whole(report, &bounds::COUNT)
    });
    section.set("maxLifetime", report, &mut kept.max_lifetime, |spot, report| {
        spot.duration(report, &bounds::OPTIONAL)
    });
    Some(kept)
}

fn fallback(spot: &Spot<'_>, report: &mut Report) -> Option<Fallback> {
    let section = Section::open(spot, &shape::FALLBACK, report)?;
    let mut fallback = Fallback::default();
    section.set("status", report, &mut fallback.status, |spot, report| {
        spot.number(report, &bounds::FALLBACK_STATUS)
    });
    section.set("body", report, &mut fallback.body, |spot, report| {
        let body = spot.text(report, "a text")?;
        if body.len() > bounds::FALLBACK_BODY {
            let most = quantity::format_size(bounds::FALLBACK_BODY as u64);
            let problem = format!("the body has {} bytes, more than {most}", body.len());
            spot.refuse(
                report,
                Fault::new(problem, "write a short page, or redirect from a server that holds a long one"),
            );
            return None;
        }
        Some(body.to_owned())
    });
    section.set("contentType", report, &mut fallback.content_type, content_type);
    // RFC 9110, 15.3.5, 15.3.6 and 15.4.5: these answers never have a body.
    if matches!(fallback.status, 204 | 205 | 304) && !fallback.body.is_empty() {
        let problem = format!("an answer with status {} has no body", fallback.status);
        spot.refuse(report, Fault::new(problem, "leave \"body\" out, or choose another status such as 503"));
    }
    Some(fallback)
}

fn content_type(spot: &Spot<'_>, report: &mut Report) -> Option<String> {
    let text = spot.text(report, "a media type such as \"text/html\"")?;
    let value = spot.settle(report, syntax::header_value(text, "content type"))?;
    let media_type = value.split(';').next().unwrap_or_default().trim_end();
    let parts = media_type.split_once('/');
    if parts.is_some_and(|(kind, subtype)| syntax::is_token(kind) && syntax::is_token(subtype)) {
        return Some(value.to_owned());
    }
    let problem = format!("{} is not a media type", crate::issue::shown(text));
    spot.refuse(
        report,
        Fault::new(problem, "write a type and a subtype, such as \"text/html; charset=utf-8\""),
    );
    None
}
