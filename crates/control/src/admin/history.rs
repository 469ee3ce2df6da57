//! `/api/history`: the last hour, as columns of numbers.

use std::sync::Arc;

use axum::extract::State;
use loadweaver_telemetry::rfc3339;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use crate::history::{COARSE, Past, Point, PoolPast, Ring, ServerLine, ServerPoint, Step};

use super::Api;
use super::answer::{Answer, Denied, Failure, Issue, Success, succeeded};
use super::asked::{Query, bad_query};
use super::openapi::LookDenials;

/// The greatest number that every JSON reader can hold (format `int64`).
const LAST: u64 = i64::MAX.unsigned_abs();
/// Servers that are shown one by one, unless others are asked for, and at most.
const FEW: usize = 20;
const MANY: usize = 100;

/// What all histories have.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Span {
    /// When this process began (RFC 3339): numbers of points begin anew with it.
    started_at: String,
    /// Seconds of each point.
    #[schema(example = 10)]
    step: u64,
    /// The number of the first point in each column.
    first: u64,
    /// The number of the last one; less than `first` where there is none.
    last: i64,
    /// When the last one ended (RFC 3339).
    at: Option<String>,
}

/// The node and its pools, point by point.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Lines {
    #[serde(flatten)]
    span: Span,
    node: Columns,
    pools: Vec<PoolColumns>,
}

/// A number for each point, the oldest first; none where nothing was measured.
#[derive(Debug, Default, Serialize, ToSchema)]
struct Columns {
    /// A second.
    requests: Vec<Option<f32>>,
    /// Answers of 500 and more a second: of the node to clients, of a pool from its servers.
    errors: Vec<Option<f32>>,
    /// Exchanges a second that ended in a failure.
    failures: Vec<Option<f32>>,
    /// Attempts a second after the first one.
    retries: Vec<Option<f32>>,
    /// Clients' connections; of a pool, attempts under way.
    active: Vec<Option<f32>>,
    /// Share of the servers that may have new traffic, 0 to 1; of ten seconds, the least.
    up: Vec<Option<f32>>,
    /// Milliseconds to the first byte of a server's answer, as the next two.
    p50: Vec<Option<f32>>,
    p95: Vec<Option<f32>>,
    p99: Vec<Option<f32>>,
}

#[derive(Debug, Serialize, ToSchema)]
struct PoolColumns {
    name: String,
    #[serde(flatten)]
    columns: Columns,
}

impl Columns {
    fn of(points: impl Iterator<Item = Point>) -> Self {
        let mut columns = Self::default();
        for point in points {
            let [p50, p95, p99] = point.latency;
            columns.requests.push(shown(point.requests, 100.0));
            columns.errors.push(shown(point.errors, 100.0));
            columns.failures.push(shown(point.failures, 100.0));
            columns.retries.push(shown(point.retries, 100.0));
            columns.active.push(shown(point.active, 1.0));
            columns.up.push(shown(point.up, 1000.0));
            columns.p50.push(shown(p50, 1000.0));
            columns.p95.push(shown(p95, 1000.0));
            columns.p99.push(shown(p99, 1000.0));
        }
        columns
    }
}

/// With as many digits as a picture can show; what was not measured is none.
fn shown(value: f32, places: f32) -> Option<f32> {
    value.is_finite().then(|| (value * places).round() / places)
}

/// Which points.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "read from the query by hand")]
pub(super) struct HistoryParameters {
    /// Seconds of a point: 1, of which there are five minutes, or 10, of which there is an hour; 10 unless given.
    #[param(example = 10)]
    step: Option<u64>,
    /// Those after the point with this number. A number that is not reached yet is of an earlier process: then it is all.
    since: Option<u64>,
}

/// The last hour of the node and its pools.
#[utoipa::path(get, path = "/api/history", tag = "metrics", params(HistoryParameters),
    responses((status = 200, body = Success<Lines>), LookDenials))]
pub(super) async fn all(State(api): State<Api>, query: Query) -> Answer {
    query.only(&["step", "since"])?;
    let step = step(&query)?;
    let since = query.number("since", 0, LAST)?;
    let past = api.history.past();
    let span = Span::of(&api, &past, step, since);
    let columns = |fine: &Ring<Point>, coarse: &Ring<Point>| {
        let ring = if step == Step::Second { fine } else { coarse };
        span.numbers().map_or_else(Columns::default, |(first, last)| Columns::of(ring.range(first, last)))
    };
    let of_pool = |(name, pool): (&Arc<str>, &PoolPast)| PoolColumns {
        name: name.to_string(),
        columns: columns(&pool.line.fine, &pool.line.coarse),
    };
    let node = columns(&past.node.fine, &past.node.coarse);
    let pools = past.pools.iter().map(of_pool).collect();
    Ok(succeeded(Lines { span, node, pools }))
}

fn step(query: &Query) -> Result<Step, Denied> {
    match query.number("step", 1, 10)? {
        Some(1) => Ok(Step::Second),
        None | Some(10) => Ok(Step::TenSeconds),
        Some(_) => {
            Err(bad_query(vec![Issue::new("?step", "there are no points of this length", "write 1 or 10")]))
        }
    }
}

impl Span {
    fn of(api: &Api, past: &Past, step: Step, since: Option<u64>) -> Self {
        let started_at = rfc3339(api.watched.started.1);
        let Some((last, at)) = past.last(step) else {
            return Self { started_at, step: step.seconds(), first: 0, last: -1, at: None };
        };
        let oldest = (last + 1).saturating_sub(step.most() as u64);
        let after = since.filter(|since| *since <= last).map(|since| since + 1);
        let first = after.map_or(oldest, |after| after.max(oldest));
        let last = i64::try_from(last).unwrap_or(i64::MAX);
        Self { started_at, step: step.seconds(), first, last, at: Some(rfc3339(at)) }
    }

    /// The first and the last, where there is one.
    fn numbers(&self) -> Option<(u64, u64)> {
        u64::try_from(self.last).ok().filter(|last| *last >= self.first).map(|last| (self.first, last))
    }
}

/// Servers of a pool, point by point.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ServerLines {
    #[serde(flatten)]
    span: Span,
    pool: String,
    servers: Vec<ServerColumns>,
    /// The other servers of the pool together.
    rest: Rest,
    /// Of every server of the pool.
    totals: Vec<ServerTotal>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ServerColumns {
    server_id: String,
    /// Attempts begun a second.
    requests: Vec<Option<f32>>,
    /// Attempts a second that failed.
    failures: Vec<Option<f32>>,
    /// The mean of the milliseconds to the first byte.
    latency: Vec<Option<f32>>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Rest {
    /// How many those are.
    servers: usize,
    /// Attempts begun a second.
    requests: Vec<Option<f32>>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ServerTotal {
    server_id: String,
    /// Attempts begun in the last `window` points.
    requests: f32,
}

/// Which servers' points.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "read from the query by hand")]
pub(super) struct ServerHistoryParameters {
    /// The pool; may be left out where there is one.
    pool: Option<String>,
    /// Ids, separated by commas; up to 100. Unless given, those with the most requests in the window.
    servers: Option<String>,
    /// How many of those with the most requests, 0 to 100; 20 unless given.
    #[param(minimum = 0, maximum = 100)]
    top: Option<u64>,
    /// Points that totals are over, 1 to 360; 6, a minute, unless given.
    #[param(minimum = 1, maximum = 360)]
    window: Option<u64>,
    /// Those after the point with this number. A number that is not reached yet is of an earlier process: then it is all.
    since: Option<u64>,
}

/// The last hour of a pool's servers, in points of ten seconds.
#[utoipa::path(get, path = "/api/history/servers", tag = "metrics", params(ServerHistoryParameters),
    responses((status = 200, body = Success<ServerLines>), (status = 404, body = Failure, description = "There is no such pool"), LookDenials))]
pub(super) async fn servers(State(api): State<Api>, query: Query) -> Answer {
    query.only(&["pool", "servers", "top", "window", "since"])?;
    let size =
        |number: Option<u64>, usual| number.and_then(|number| usize::try_from(number).ok()).unwrap_or(usual);
    let top = size(query.number("top", 0, MANY as u64)?, FEW);
    let window = size(query.number("window", 1, COARSE as u64)?, 6);
    let since = query.number("since", 0, LAST)?;
    let name = pool_name(&api, &query)?;
    let past = api.history.past();
    let span = Span::of(&api, &past, Step::TenSeconds, since);
    let nothing = PoolPast::default();
    let pool = past.pools.get(&*name).unwrap_or(&nothing);
    let mut totals: Vec<(&Arc<str>, &ServerLine, f32)> =
        pool.servers.iter().map(|(id, line)| (id, line, line.requests(window, 10.0))).collect();
    totals.sort_by(|(one, _, few), (other, _, many)| many.total_cmp(few).then_with(|| one.cmp(other)));
    let wanted: Option<Vec<&str>> = query.text("servers").map(|ids| ids.split(',').take(MANY).collect());
    let (chosen, others): (Vec<_>, Vec<_>) = totals.iter().enumerate().partition(|(place, (id, ..))| {
        wanted.as_ref().map_or(*place < top, |wanted| wanted.contains(&&***id))
    });
    let numbers = span.numbers();
    let rest = others.iter().map(|(_, (_, line, _))| *line).collect::<Vec<_>>();
    let rest =
        Rest { servers: rest.len(), requests: numbers.map_or_else(Vec::new, |span| added_up(&rest, span)) };
    let columns = |(_, (id, line, _)): &(usize, &(&Arc<str>, &ServerLine, f32))| of_server(id, line, numbers);
    Ok(succeeded(ServerLines {
        pool: name,
        servers: chosen.iter().map(columns).collect(),
        rest,
        totals: totals
            .iter()
            .map(|(id, _, requests)| ServerTotal { server_id: id.to_string(), requests: requests.round() })
            .collect(),
        span,
    }))
}

fn pool_name(api: &Api, query: &Query) -> Result<String, Denied> {
    let snapshot = api.current.load();
    match (query.text("pool"), snapshot.pools.as_slice()) {
        (Some(name), _) if snapshot.pool(name).is_some() => Ok(name.to_owned()),
        (Some(name), _) => Err(Denied::not_found(format!("there is no pool \"{name}\""))),
        (None, [only]) => Ok(only.config.name.to_string()),
        (None, _) => {
            Err(bad_query(vec![Issue::new("?pool", "there are several pools", "say which: ?pool=NAME")]))
        }
    }
}

fn of_server(id: &str, line: &ServerLine, numbers: Option<(u64, u64)>) -> ServerColumns {
    let points: Vec<ServerPoint> =
        numbers.map_or_else(Vec::new, |(first, last)| line.points.range(first, last).collect());
    ServerColumns {
        server_id: id.to_owned(),
        requests: points.iter().map(|point| shown(point.requests, 100.0)).collect(),
        failures: points.iter().map(|point| shown(point.failures, 100.0)).collect(),
        latency: points.iter().map(|point| shown(point.latency, 1000.0)).collect(),
    }
}

/// None where nothing was measured of any.
fn added_up(lines: &[&ServerLine], (first, last): (u64, u64)) -> Vec<Option<f32>> {
    let length = usize::try_from(last - first + 1).unwrap_or(0);
    let mut sums = vec![None; length];
    for line in lines {
        for (sum, point) in sums.iter_mut().zip(line.points.range(first, last)) {
            if point.requests.is_finite() {
                *sum = Some(sum.unwrap_or(0.0) + point.requests);
            }
        }
    }
    sums.into_iter().map(|sum| sum.and_then(|sum| shown(sum, 100.0))).collect()
}
