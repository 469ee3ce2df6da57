//! What `GET /api/servers/{serverId}/health` shows: the verdict and what led to it.

use std::time::{Duration, SystemTime};

use loadweaver_policy::health::{DAY_STEP, Entry, Happened, Health, Quantiles, Trend, Window};
use loadweaver_proxy::PoolState;
use loadweaver_telemetry::rfc3339;
use serde::Serialize;
use utoipa::ToSchema;

use crate::explain::health::{Facts, ServerExplanation, standing};
use crate::plane::Watched;

use super::status::{Times, decimal, times};

/// What is known of a server's health.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ServerHealth {
    server_id: String,
    pool: String,
    /// The verdict: `unknown`, `up`, `down`, `unstable`.
    status: &'static str,
    /// Why, in words.
    reason: String,
    /// Since when (RFC 3339).
    since: String,
    /// Why it stands as it does, and what would change that.
    pub(super) explanation: ServerExplanation,
    /// Whether it may have new traffic.
    eligible: bool,
    /// What the operator wants: `active`, `drain`, `maintenance`.
    state: &'static str,
    /// Thousandths of what its weight gives it: less than 1000 while it starts slowly.
    share: u16,
    /// How it is probed: `http`, `tcp`, `exec`, `off`.
    probe: &'static str,
    /// Milliseconds from one probe's begin to the next one's, as things are.
    next_probe_in: f64,
    uptime: Uptime,
    /// The last 24 hours, step by step.
    timeline: Timeline,
    /// Whether good probes have become slower; none without a good probe.
    trend: Option<ProbeTrend>,
    /// Of real requests.
    latency: Times,
    /// The last probes and changes of the verdict, 200 together, the newest first.
    history: Vec<HistoryEntry>,
}

/// Shares, 0 to 1, of the time in which it was known; none if it never was.
#[derive(Debug, Serialize, ToSchema)]
struct Uptime {
    #[serde(rename = "1h")]
    hour: Option<f64>,
    #[serde(rename = "24h")]
    day: Option<f64>,
    #[serde(rename = "sinceStart")]
    start: Option<f64>,
}

/// Uptime in pieces.
#[derive(Debug, Serialize, ToSchema)]
struct Timeline {
    /// Seconds of each piece.
    step: u64,
    /// Of each piece the share, 0 to 1, of its known time in which the server was in; none where nothing was known. The
    /// oldest first; the last one is the one that runs.
    shares: Vec<Option<f64>>,
}

/// Milliseconds that good probes took.
#[derive(Debug, Serialize, ToSchema)]
struct ProbeTrend {
    /// The last 50.
    recent: ProbeTimes,
    /// The 50 before those.
    before: Option<ProbeTimes>,
}

#[derive(Debug, Serialize, ToSchema)]
struct ProbeTimes {
    p50: f64,
    p95: f64,
}

/// A probe, or a change of the verdict.
#[derive(Debug, Serialize, ToSchema)]
struct HistoryEntry {
    /// RFC 3339.
    at: String,
    /// `probe_ok`, `probe_failed`, `changed`.
    what: &'static str,
    /// Of a change: what was believed before.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<&'static str>,
    /// Of a change: what is believed from then on.
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<&'static str>,
    /// Of a probe: milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    latency: Option<f64>,
    /// Of a probe: the status that came back.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    /// Of a bad probe: what was wrong, in a word (`probe_timeout`, `probe_status`, …).
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<&'static str>,
    /// What was wrong, or why the verdict changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl ServerHealth {
    pub(super) fn of(watched: &Watched, pool: &PoolState, place: usize) -> Option<Self> {
        let server = pool.servers.get(place)?;
        let now = pool.now();
        // Copied under the pool's lock, made into words outside of it.
        let (health, share) = pool.inspect(place, |health, share| (health.clone(), share))?;
        let started = watched.started.1;
        let explanation = standing(pool, server, &Facts::of_one(pool, place)?, started);
        Some(Self {
            explanation,
            server_id: server.config.id.to_string(),
            pool: pool.config.name.to_string(),
            status: health.state().name(),
            reason: health.reason().to_owned(),
            since: rfc3339(started + health.since()),
            eligible: server.is_eligible(),
            state: server.config.state.name(),
            share,
            probe: pool.config.health_check.kind.name(),
            next_probe_in: millis(health.next_probe_in(now)),
            uptime: uptime(&health, now),
            timeline: Timeline {
                step: DAY_STEP.as_secs(),
                shares: health.day(now).into_iter().map(|share| share.map(thousandths)).collect(),
            },
            trend: health.trend().map(trend),
            latency: times(&server.counters.latency),
            history: health.history().rev().map(|each| entry(each, started)).collect(),
        })
    }
}

fn uptime(health: &Health, now: Duration) -> Uptime {
    let of = |window| health.uptime(now, window);
    Uptime { hour: of(Window::Hour), day: of(Window::Day), start: of(Window::Start) }
}

/// Three decimals are more than a picture shows.
fn thousandths(share: f64) -> f64 {
    (share * 1000.0).round() / 1000.0
}

fn trend(trend: Trend) -> ProbeTrend {
    let times = |times: Quantiles| ProbeTimes { p50: millis(times.p50), p95: millis(times.p95) };
    ProbeTrend { recent: times(trend.recent), before: trend.before.map(times) }
}

fn entry(entry: &Entry, started: SystemTime) -> HistoryEntry {
    let (what, from, to, cause) = match entry.what() {
        Happened::ProbeOk => ("probe_ok", None, None, None),
        Happened::ProbeFailed(fault) => ("probe_failed", None, None, Some(fault.code())),
        Happened::Changed { from, to } => ("changed", Some(from.name()), Some(to.name()), None),
    };
    HistoryEntry {
        at: rfc3339(started + entry.at()),
        what,
        from,
        to,
        latency: entry.latency().map(millis),
        status: entry.status(),
        cause,
        reason: entry.reason().map(str::to_owned),
    }
}

fn millis(time: Duration) -> f64 {
    decimal(time.as_micros())
}
