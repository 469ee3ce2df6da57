//! What `GET /status` shows.

use std::collections::BTreeMap;
use std::time::Duration;

use loadweaver_proxy::{PoolState, ServerState, Snapshot};
use loadweaver_telemetry::counters::{ProxyCounters, StatusClasses, TlsCounters};
use loadweaver_telemetry::latency::Latency;
use loadweaver_telemetry::rfc3339;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::VERSION;
use crate::coordinator::View;
use crate::plane::{Sight, Watched};

use super::answer::Issue;
use super::pools::PoolView;

/// Events shown, the newest first.
const RECENT_EVENTS: usize = 50;

/// The whole page.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Status {
    version: &'static str,
    state: &'static str,
    started_at: String,
    /// Seconds.
    uptime: f64,
    config_version: u64,
    config: ConfigState,
    listeners: Vec<Listener>,
    #[serde(flatten)]
    node: Node,
    access_log: Option<AccessLog>,
    pools: Vec<Pool>,
    /// The newest first.
    #[schema(value_type = Vec<Object>)]
    recent_events: Vec<Value>,
}

/// How it stands with the configuration.
#[derive(Debug, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ConfigState {
    /// Where the one in force came from, and since when it is.
    origin: Option<String>,
    applied_at: Option<String>,
    /// The last change that was refused, until one is applied.
    refused: Option<RefusedConfig>,
    /// Why what is in force is not in the file, where that is so.
    unsaved: Option<String>,
    /// When what is in force is undone, unless it is confirmed.
    confirm_until: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
struct RefusedConfig {
    origin: String,
    at: String,
    reason: String,
    issues: Vec<Issue>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Listener {
    name: String,
    address: String,
}

#[derive(Debug, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Node {
    connections: Connections,
    tunnels: u64,
    /// Client connections that were ended because the client did what known attacks do.
    clients_cut: u64,
    requests: u64,
    refused: u64,
    retries: u64,
    retry_budget_exhausted: u64,
    bytes_in: u64,
    bytes_out: u64,
    /// Handshakes with clients.
    tls: Tls,
    statuses: BTreeMap<&'static str, u64>,
    /// Exchanges by failure code; those that happened.
    failures: BTreeMap<&'static str, u64>,
}

#[derive(Debug, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Connections {
    accepted: u64,
    active: u64,
}

/// Handshakes with clients since the start.
#[derive(Debug, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Tls {
    /// That came to their end.
    handshakes: u64,
    /// Those, by the version of TLS.
    versions: BTreeMap<&'static str, u64>,
    /// Those of them that took up an earlier connection.
    resumed: u64,
    failed: u64,
    /// Given up after `handshakeTimeout`.
    timed_out: u64,
    /// Given up for new ones, because they waited for their client while as many were under way as `maxHandshakes` allows.
    crowded_out: u64,
}

impl Tls {
    pub(super) fn of(counters: &TlsCounters) -> Self {
        let (tls12, tls13) = (counters.tls12.get(), counters.tls13.get());
        Self {
            handshakes: tls12 + tls13,
            versions: BTreeMap::from([("TLSv1.2", tls12), ("TLSv1.3", tls13)]),
            resumed: counters.resumed.get(),
            failed: counters.failed.get(),
            timed_out: counters.timed_out.get(),
            crowded_out: counters.crowded_out.get(),
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
struct AccessLog {
    written: u64,
    dropped: u64,
}

#[derive(Debug, Serialize, ToSchema)]
struct Pool {
    #[serde(flatten)]
    pool: PoolView,
    servers: Vec<Server>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Server {
    id: String,
    /// As configured.
    address: String,
    /// What the name resolved to; none while it has not.
    resolved: Option<String>,
    state: &'static str,
    reason: String,
    /// RFC 3339.
    since: String,
    weight: u32,
    requests: u64,
    failures: u64,
    retries: u64,
    active: u64,
    connects: u64,
    reused: u64,
    bytes_in: u64,
    bytes_out: u64,
    statuses: BTreeMap<&'static str, u64>,
    latency: Times,
}

/// Milliseconds to the first byte of an answer, over the last few minutes; none without traffic.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Times {
    p50: Option<f64>,
    p90: Option<f64>,
    p95: Option<f64>,
    p99: Option<f64>,
    max: Option<f64>,
    pub(super) average: Option<f64>,
}

pub(super) fn of(watched: &Watched, snapshot: &Snapshot, sight: Option<&Sight>) -> Status {
    let listeners = sight.map(|sight| sight.proxy.addresses()).unwrap_or_default();
    let recent = watched.bus.recent(RECENT_EVENTS);
    Status {
        version: VERSION,
        state: watched.readiness.stage().name(),
        started_at: rfc3339(watched.started.1),
        uptime: decimal(watched.started.0.elapsed().as_millis()),
        config_version: snapshot.version,
        config: sight.map(|sight| config(&sight.coordinator.view())).unwrap_or_default(),
        listeners: listeners
            .iter()
            .map(|(name, address)| Listener { name: name.to_string(), address: address.to_string() })
            .collect(),
        node: sight.map(|sight| node(sight.proxy.counters())).unwrap_or_default(),
        access_log: watched
            .access_log
            .as_ref()
            .map(|log| AccessLog { written: log.written(), dropped: log.dropped() }),
        pools: snapshot.pools.iter().map(|each| pool(watched, each)).collect(),
        recent_events: recent.iter().map(|event| event.to_json()).collect(),
    }
}

fn config(view: &View) -> ConfigState {
    let newest = view.versions.last();
    ConfigState {
        origin: newest.map(|version| version.origin.to_string()),
        applied_at: newest.map(|version| rfc3339(version.at)),
        refused: view.refused.as_ref().map(|refused| RefusedConfig {
            origin: refused.origin.to_string(),
            at: rfc3339(refused.at),
            reason: refused.reason.clone(),
            issues: refused.issues.iter().cloned().map(Issue::from).collect(),
        }),
        unsaved: view.unsaved.clone(),
        confirm_until: view.confirm_until.map(rfc3339),
    }
}

fn node(counters: &ProxyCounters) -> Node {
    Node {
        connections: Connections {
            accepted: counters.connections_accepted.get(),
            active: counters.connections_active.get(),
        },
        tunnels: counters.tunnels_active.get(),
        clients_cut: counters.clients_cut.get(),
        requests: counters.requests.get(),
        refused: counters.refused.get(),
        retries: counters.retries.get(),
        retry_budget_exhausted: counters.retry_budget_exhausted.get(),
        bytes_in: counters.bytes_in.get(),
        bytes_out: counters.bytes_out.get(),
        tls: Tls::of(&counters.tls),
        statuses: by_class(&counters.statuses),
        failures: counters.failures.seen().map(|(failure, count)| (failure.code(), count)).collect(),
    }
}

fn pool(watched: &Watched, pool: &PoolState) -> Pool {
    let servers = pool.servers.iter().enumerate();
    Pool {
        pool: PoolView::of(pool),
        servers: servers.map(|(index, each)| server(watched, pool, index, each)).collect(),
    }
}

fn server(watched: &Watched, pool: &PoolState, index: usize, server: &ServerState) -> Server {
    let health = pool.health(index);
    let counters = &server.counters;
    Server {
        id: server.config.id.to_string(),
        address: loadweaver_config::Server::address_text(&server.config.host, server.config.port),
        resolved: server.address().map(|address| address.to_string()),
        state: health.state.name(),
        reason: health.reason,
        since: rfc3339(watched.started.1 + health.since),
        weight: server.config.weight,
        requests: counters.requests.get(),
        failures: counters.failures.get(),
        retries: counters.retries.get(),
        active: server.active(),
        connects: counters.connects.get(),
        reused: counters.reused.get(),
        bytes_in: counters.bytes_in.get(),
        bytes_out: counters.bytes_out.get(),
        statuses: by_class(&counters.statuses),
        latency: times(&counters.latency),
    }
}

/// A count of thousandths with three decimals and no more.
pub(super) fn decimal(thousandths: u128) -> f64 {
    // Exact up to 49 days in milliseconds, and a latency is below 72 minutes; beyond, it stops there.
    f64::from(u32::try_from(thousandths).unwrap_or(u32::MAX)) / 1000.0
}

pub(super) fn by_class(statuses: &StatusClasses) -> BTreeMap<&'static str, u64> {
    ["1xx", "2xx", "3xx", "4xx", "5xx"].into_iter().zip(statuses.get()).collect()
}

pub(super) fn times(latency: &Latency) -> Times {
    let millis = |time: Option<Duration>| time.map(|time| decimal(time.as_micros()));
    let (quantiles, mean) = latency.summary([0.5, 0.9, 0.95, 0.99, 1.0]);
    let [p50, p90, p95, p99, max] = quantiles.map(millis);
    Times { p50, p90, p95, p99, max, average: millis(mean) }
}
