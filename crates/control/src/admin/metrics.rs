//! Numbers: of the node and of its servers.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use loadweaver_proxy::{PoolState, Snapshot};
use loadweaver_telemetry::counters::ProxyCounters;
use loadweaver_telemetry::latency::Latency;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{VERSION, rates};

use super::Api;
use super::answer::{Answer, Success, succeeded};
use super::asked::Query;
use super::openapi::LookDenials;
use super::servers::Views;
use super::status::{Tls, decimal, times};
use super::views::ServerView;

pub(super) mod requests;

/// Whether this node does its work.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct HealthView {
    /// `healthy`; `degraded` while a server that should take traffic does not; `unhealthy` while a pool has none.
    #[schema(example = "healthy")]
    status: &'static str,
    /// `starting`, `ready`, `draining`.
    state: &'static str,
    version: &'static str,
    /// Seconds.
    uptime: f64,
    config_version: u64,
    servers: ServerCount,
    pools: Vec<PoolHealth>,
}

#[derive(Debug, Default, Serialize, ToSchema)]
struct ServerCount {
    total: usize,
    /// That may have new traffic.
    healthy: usize,
    unhealthy: usize,
}

#[derive(Debug, Serialize, ToSchema)]
struct PoolHealth {
    name: String,
    status: &'static str,
    /// Servers that may have new traffic.
    up: usize,
    total: usize,
}

/// Whether this node does its work, in a word, and pool by pool.
#[utoipa::path(get, path = "/api/health", tag = "metrics", responses((status = 200, body = Success<HealthView>), LookDenials))]
pub(super) async fn health(State(api): State<Api>, query: Query) -> Answer {
    query.only(&[])?;
    let snapshot = api.current.load();
    let pools: Vec<PoolHealth> = snapshot
        .pools
        .iter()
        .map(|pool| {
            let (up, total) = (pool.up_count(), pool.servers.len());
            PoolHealth { name: pool.config.name.to_string(), status: word(up, total), up, total }
        })
        .collect();
    let count = count(&snapshot);
    let worst =
        if pools.iter().any(|pool| pool.up == 0) { "unhealthy" } else { word(count.healthy, count.total) };
    Ok(succeeded(HealthView {
        status: worst,
        state: api.watched.readiness.stage().name(),
        version: VERSION,
        uptime: uptime(&api),
        config_version: snapshot.version,
        servers: count,
        pools,
    }))
}

fn word(up: usize, total: usize) -> &'static str {
    match (up, total) {
        (0, _) => "unhealthy",
        (up, total) if up == total => "healthy",
        _ => "degraded",
    }
}

fn count(snapshot: &Snapshot) -> ServerCount {
    let total = snapshot.pools.iter().map(|pool| pool.servers.len()).sum();
    let healthy = snapshot.pools.iter().map(|pool| pool.up_count()).sum();
    ServerCount { total, healthy, unhealthy: total.saturating_sub(healthy) }
}

fn uptime(api: &Api) -> f64 {
    decimal(api.watched.started.0.elapsed().as_millis())
}

/// The node in numbers.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Metrics {
    /// Since the start.
    total_requests: u64,
    /// Over the last second.
    requests_per_second: f64,
    /// Milliseconds to the first byte of a server's answer, over the last few minutes; 0 without traffic.
    average_response_time: f64,
    /// Clients' connections that are open.
    active_connections: u64,
    /// Servers that may have new traffic.
    active_servers: usize,
    unhealthy_servers: usize,
    /// Of the pool, where there is one, or where all pools have the same.
    algorithm: Option<&'static str>,
    /// By pool.
    algorithms: BTreeMap<String, &'static str>,
    /// Seconds.
    uptime: f64,
    config_version: u64,
    /// Connections accepted since the start.
    total_connections: u64,
    /// Upgraded connections that are open.
    tunnels: u64,
    /// Client connections that were ended because the client did what known attacks do.
    clients_cut: u64,
    tls: Tls,
    bytes_in: u64,
    bytes_out: u64,
    rates: Rates,
}

/// Averages over the last second, ten seconds, minute, and five minutes.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Rates {
    #[serde(rename = "1s")]
    second: Rate,
    #[serde(rename = "10s")]
    ten_seconds: Rate,
    #[serde(rename = "1m")]
    minute: Rate,
    #[serde(rename = "5m")]
    five_minutes: Rate,
}

/// A second's worth.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Rate {
    requests: f64,
    /// Answers with a status of 500 or more.
    errors: f64,
    bytes_in: f64,
    bytes_out: f64,
}

impl From<rates::Rate> for Rate {
    fn from(rate: rates::Rate) -> Self {
        let rates::Rate { requests, errors, bytes_in, bytes_out } = rate;
        Self { requests, errors, bytes_in, bytes_out }
    }
}

impl Rates {
    fn of(api: &Api) -> Self {
        let over = |seconds| Rate::from(api.rates.over(seconds));
        Self { second: over(1), ten_seconds: over(10), minute: over(60), five_minutes: over(300) }
    }
}

/// The node in numbers.
#[utoipa::path(get, path = "/api/metrics", tag = "metrics", responses((status = 200, body = Success<Metrics>), LookDenials))]
pub(super) async fn node(State(api): State<Api>, query: Query) -> Answer {
    query.only(&[])?;
    let snapshot = api.current.load();
    let nothing = ProxyCounters::default();
    let counters = api.sight.get().map_or(&nothing, |sight| sight.proxy.counters());
    let name = |pool: &loadweaver_proxy::PoolState| pool.config.algorithm.name();
    let algorithms: BTreeMap<_, _> =
        snapshot.pools.iter().map(|pool| (pool.config.name.to_string(), name(pool))).collect();
    let mut names = algorithms.values().copied();
    let algorithm = names.next().filter(|first| names.all(|other| other == *first));
    let servers = count(&snapshot);
    let rates = Rates::of(&api);
    Ok(succeeded(Metrics {
        total_requests: counters.requests.get(),
        requests_per_second: rates.second.requests,
        average_response_time: times(&latency_of_all(&snapshot)).average.unwrap_or(0.0),
        active_connections: counters.connections_active.get(),
        active_servers: servers.healthy,
        unhealthy_servers: servers.unhealthy,
        algorithm,
        algorithms,
        uptime: uptime(&api),
        config_version: snapshot.version,
        total_connections: counters.connections_accepted.get(),
        tunnels: counters.tunnels_active.get(),
        clients_cut: counters.clients_cut.get(),
        tls: Tls::of(&counters.tls),
        bytes_in: counters.bytes_in.get(),
        bytes_out: counters.bytes_out.get(),
        rates,
    }))
}

/// Times of all servers together.
fn latency_of_all(snapshot: &Snapshot) -> Latency {
    latency_of(&snapshot.pools)
}

/// Times of all servers of some pools together.
fn latency_of(pools: &[Arc<PoolState>]) -> Latency {
    let all = Latency::default();
    let servers = pools.iter().flat_map(|pool| &pool.servers);
    servers.for_each(|server| all.absorb(&server.counters.latency));
    all
}

/// Each server in numbers.
#[utoipa::path(get, path = "/api/metrics/servers", tag = "metrics", responses((status = 200, body = Success<Vec<ServerView>>), LookDenials))]
pub(super) async fn servers(State(api): State<Api>, query: Query) -> Answer {
    query.only(&[])?;
    let snapshot = api.current.load();
    Ok(Views { api: &api, pools: snapshot.pools.iter().collect(), eligible: None }.shown())
}
