//! Small configurations for the tests of this crate.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use loadweaver_config::{
    AccessLog, Admin, Algorithm, ClientTimeouts, Config, ConnectionPool, FlapDamping, ForwardedHeaders,
    HealthCheck, Limits, Listener, PassiveHealth, Pool, PoolTimeouts, Protocol, Protocols, Retry, Route,
    RouteMatch, SendProxyProtocol, Server, ServerState, SocketMode,
};
use loadweaver_proxy::Snapshot;
use loadweaver_telemetry::event::EventBus;
use loadweaver_telemetry::span::SpanQueue;

pub(crate) mod secure;

use crate::coordinator::Source;
use crate::plane::Watched;
use crate::readiness::Readiness;

/// One pool `app` of these servers (host and port).
pub(crate) fn pool(servers: &[(&str, u16)], health_check: HealthCheck) -> Pool {
    let server = |(host, port): &(&str, u16)| Server {
        id: Server::address_text(host, *port).into(),
        host: (*host).to_owned(),
        port: *port,
        weight: 1,
        max_connections: 0,
        state: ServerState::Active,
        recovery: None,
    };
    Pool {
        name: "app".into(),
        algorithm: Algorithm::RoundRobin,
        protocol: Protocol::Auto,
        send_proxy_protocol: SendProxyProtocol::Off,
        servers: servers.iter().map(server).map(Arc::new).collect(),
        health_check,
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
    }
}

/// Everything around a pool; no data plane runs.
pub(crate) fn watched(pool: Pool) -> Watched {
    let config = Config {
        workers: 1,
        listeners: vec![Listener {
            name: "web".into(),
            binds: vec![SocketAddr::from(([127, 0, 0, 1], 0)).into()],
            socket_mode: SocketMode::OF_LISTENER,
            allow_connect: false,
            proxy_protocol: None,
            tls: None,
            redirect_https: None,
            hsts: None,
            protocols: Protocols::default(),
        }],
        routes: vec![Route {
            name: "all".into(),
            matcher: RouteMatch::default(),
            pool: Arc::clone(&pool.name),
        }],
        pools: vec![pool],
        timeouts: ClientTimeouts::default(),
        limits: Limits::default(),
        trusted_proxies: Vec::new(),
        forwarded_headers: ForwardedHeaders::default(),
        via: None,
        admin: Some(Admin::new(SocketAddr::from(([127, 0, 0, 1], 0)))),
        access_log: AccessLog::default(),
        webhooks: Vec::new(),
        events: None,
        tracing: None,
    };
    let started = (Instant::now(), SystemTime::now());
    let bus = EventBus::new(1024);
    Watched {
        snapshot: Snapshot::build(1, config, &bus, started.0).expect("a fixture names no files"),
        source: Source { path: None, text: "{}".into(), environment: Arc::new(|_| None) },
        bus,
        access_log: None,
        spans: SpanQueue::default(),
        started,
        readiness: Readiness::default(),
    }
}
