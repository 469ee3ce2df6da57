//! Numbers: of the requests, taken apart in every way that a question may go.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use loadweaver_proxy::{PoolState, ServerState, Snapshot};
use loadweaver_telemetry::counters::ProxyCounters;
use loadweaver_telemetry::series::Book;
use serde::Serialize;
use utoipa::ToSchema;

use super::super::Api;
use super::super::answer::{Answer, Success, succeeded};
use super::super::asked::Query;
use super::super::openapi::LookDenials;
use super::super::status::{Times, by_class, decimal, times};
use super::super::sums::{self, CLASSES, Sums};
use super::{Rates, latency_of};

/// How many servers are named as the slowest, and as the most failing.
const WORST: usize = 10;

/// The requests in numbers.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::admin) struct Requests {
    /// Since the start.
    total: u64,
    /// For what they were.
    refused: u64,
    /// Answers by class, our own included.
    statuses: BTreeMap<&'static str, u64>,
    /// Answers by their very status.
    by_status: BTreeMap<u16, u64>,
    /// Requests by method: `other` is any but the nine of HTTP, `refused` those whose head was.
    by_method: BTreeMap<&'static str, u64>,
    /// Exchanges by the code of the failure that ended them.
    failures: BTreeMap<&'static str, u64>,
    /// Attempts after the first one.
    retries: u64,
    /// Retries that were wanted and not made.
    retry_budget_exhausted: u64,
    bytes_in: u64,
    bytes_out: u64,
    latency: Times,
    rates: Rates,
    /// By the way that they took, the one with the most requests first.
    by_route: Vec<ByRoute>,
    by_pool: Vec<ByPool>,
    /// The servers whose answers take longest, by p95 of the last few minutes, the slowest first; up to ten.
    slowest: Vec<Slow>,
    /// The servers with the greatest share of attempts that failed or were answered with 500 or more, the worst first;
    /// up to ten, and none where there was none.
    most_failing: Vec<Failing>,
}

/// Requests by where they came in and what took them where, since the start.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ByRoute {
    /// Empty for those that came to none.
    route: String,
    listener: String,
    pool: String,
    requests: u64,
    /// By class; `none` is without a final answer.
    statuses: BTreeMap<&'static str, u64>,
    duration: Spread,
}

/// Milliseconds from the begin of a request to the end of its answer since the start, as exact as the buckets of
/// `loadweaver_request_duration_seconds` are; none without traffic.
#[derive(Debug, Serialize, ToSchema)]
struct Spread {
    p50: Option<f64>,
    p90: Option<f64>,
    p95: Option<f64>,
    p99: Option<f64>,
    average: Option<f64>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ByPool {
    pool: String,
    /// Exchanges that were routed to it.
    requests: u64,
    /// Those of them that ended in a failure.
    failures: u64,
    retries: u64,
    latency: Times,
}

#[derive(Debug, Serialize, ToSchema)]
struct Slow {
    pool: String,
    server: String,
    latency: Times,
}

#[derive(Debug, Serialize, ToSchema)]
struct Failing {
    pool: String,
    server: String,
    /// Since the start.
    attempts: u64,
    /// Those of them that failed, or were answered with 500 or more.
    failed: u64,
    /// The share, from 0 to 1.
    share: f64,
}

/// The requests in numbers.
#[utoipa::path(get, path = "/api/metrics/requests", tag = "metrics", responses((status = 200, body = Success<Requests>), LookDenials))]
pub(in crate::admin) async fn requests(State(api): State<Api>, query: Query) -> Answer {
    query.only(&[])?;
    let snapshot = api.current.load();
    let nothing = ProxyCounters::default();
    let sight = api.sight.get();
    let counters = sight.map_or(&nothing, |sight| sight.proxy.counters());
    let books = sight.map_or(&[][..], |sight| sight.proxy.books());
    Ok(succeeded(Requests {
        total: counters.requests.get(),
        refused: counters.refused.get(),
        statuses: by_class(&counters.statuses),
        by_status: sums::by_status(books),
        by_method: sums::by_method(books).into_iter().filter(|(_, count)| *count > 0).collect(),
        failures: counters.failures.seen().map(|(failure, count)| (failure.code(), count)).collect(),
        retries: counters.retries.get(),
        retry_budget_exhausted: counters.retry_budget_exhausted.get(),
        bytes_in: counters.bytes_in.get(),
        bytes_out: counters.bytes_out.get(),
        latency: times(&latency_of(&snapshot.pools)),
        rates: Rates::of(&api),
        by_route: by_route(books),
        by_pool: snapshot.pools.iter().map(by_pool).collect(),
        slowest: slowest(&snapshot),
        most_failing: most_failing(&snapshot),
    }))
}

fn by_route(books: &[Arc<Book>]) -> Vec<ByRoute> {
    let Sums { by_server, by_way } = Sums::of(books);
    let mut classes: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
    for ((way, _), counts) in by_server {
        let sums = classes.entry(way).or_default();
        for (class, count) in CLASSES.into_iter().zip(counts).filter(|(_, count)| *count > 0) {
            *sums.entry(class).or_insert(0) += count;
        }
    }
    let row = |(way, durations): (_, sums::Durations)| {
        let statuses = classes.remove(&way).unwrap_or_default();
        let whole = durations.whole;
        let at = |q| whole.quantile(q).map(|time| decimal(time.as_micros()));
        let average = whole.sum.as_micros().checked_div(u128::from(whole.count())).map(decimal);
        ByRoute {
            route: way.route.to_string(),
            listener: way.listener.to_string(),
            pool: way.pool.to_string(),
            requests: statuses.values().sum(),
            statuses,
            duration: Spread { p50: at(0.5), p90: at(0.9), p95: at(0.95), p99: at(0.99), average },
        }
    };
    let mut rows: Vec<_> = by_way.into_iter().map(row).collect();
    rows.sort_by_key(|row| Reverse(row.requests));
    rows
}

fn by_pool(pool: &Arc<PoolState>) -> ByPool {
    ByPool {
        pool: pool.config.name.to_string(),
        requests: pool.counters.requests.get(),
        failures: pool.counters.failures.get(),
        retries: pool.counters.retries.get(),
        latency: times(&latency_of(std::slice::from_ref(pool))),
    }
}

fn all_servers(snapshot: &Snapshot) -> impl Iterator<Item = (&PoolState, &ServerState)> {
    snapshot.pools.iter().flat_map(|pool| pool.servers.iter().map(move |server| (&**pool, &**server)))
}

fn slowest(snapshot: &Snapshot) -> Vec<Slow> {
    let p95 = |server: &ServerState| server.counters.latency.quantile(0.95);
    let mut all: Vec<_> =
        all_servers(snapshot).filter_map(|(pool, server)| Some((p95(server)?, pool, server))).collect();
    all.sort_by_key(|(p95, ..)| Reverse(*p95));
    let row = |(_, pool, server): (_, &PoolState, &ServerState)| Slow {
        pool: pool.config.name.to_string(),
        server: server.config.id.to_string(),
        latency: times(&server.counters.latency),
    };
    all.into_iter().take(WORST).map(row).collect()
}

fn most_failing(snapshot: &Snapshot) -> Vec<Failing> {
    let row = |(pool, server): (&PoolState, &ServerState)| {
        let counters = &server.counters;
        let [.., server_errors] = counters.statuses.get();
        let (attempts, failed) = (counters.requests.get(), counters.failures.get() + server_errors);
        #[expect(clippy::cast_precision_loss, reason = "exact below 2^53")]
        let share = failed.min(attempts) as f64 / attempts.max(1) as f64;
        let (pool, server) = (pool.config.name.to_string(), server.config.id.to_string());
        (failed > 0).then_some(Failing { pool, server, attempts, failed, share })
    };
    let mut all: Vec<_> = all_servers(snapshot).filter_map(row).collect();
    all.sort_by(|one, other| other.share.total_cmp(&one.share).then(other.failed.cmp(&one.failed)));
    all.truncate(WORST);
    all
}
