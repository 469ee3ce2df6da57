//! How one thing went, second by second: what is read becomes points.

use std::sync::Arc;
use std::time::Duration;

use loadweaver_proxy::ServerState;
use loadweaver_telemetry::counters::{PoolCounters, ProxyCounters, ServerCounters};
use loadweaver_telemetry::latency::Reading;
use tokio::time::Instant;

use super::{COARSE, EVERY, FINE, Ring};

/// Of the node or a pool. What was not measured is NaN.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Point {
    /// A second, as the next three are.
    pub(crate) requests: f32,
    /// Answers of 500 and more.
    pub(crate) errors: f32,
    /// Exchanges that ended in a failure.
    pub(crate) failures: f32,
    pub(crate) retries: f32,
    /// Clients' connections; of a pool, attempts under way.
    pub(crate) active: f32,
    /// Share of the servers that may have new traffic, 0 to 1; of ten seconds, the least.
    pub(crate) up: f32,
    /// Milliseconds.
    pub(crate) latency: [f32; 3],
}

impl Default for Point {
    fn default() -> Self {
        let none = f32::NAN;
        Self {
            requests: none,
            errors: none,
            failures: none,
            retries: none,
            active: none,
            up: none,
            latency: [none; 3],
        }
    }
}

/// The quantiles of a point.
const QUANTILES: [f64; 3] = [0.5, 0.95, 0.99];

/// Of a server.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct ServerPoint {
    /// Attempts begun a second.
    pub(crate) requests: f32,
    /// Attempts that failed, a second.
    pub(crate) failures: f32,
    /// The mean, in milliseconds.
    pub(crate) latency: f32,
}

impl Default for ServerPoint {
    fn default() -> Self {
        Self { requests: f32::NAN, failures: f32::NAN, latency: f32::NAN }
    }
}

/// What is told of a moment to all lines.
#[derive(Debug)]
pub(super) struct Moment {
    pub(super) number: u64,
    /// Since the one before.
    pub(super) passed: Duration,
    /// Histograms have forgotten since.
    pub(super) halved: bool,
    /// The number of the ten seconds that end here.
    pub(super) coarse: Option<u64>,
}

/// What counters and histograms say at a moment.
#[derive(Debug, Default)]
pub(super) struct Totals {
    /// Requests, errors, failures, retries.
    counts: [u64; 4],
    active: u64,
    /// Servers that may have new traffic; then the share of them.
    pub(super) up: f32,
    pub(super) readings: Reading,
}

impl Totals {
    pub(super) fn of_node(counters: &ProxyCounters) -> Self {
        let [.., errors] = counters.statuses.get();
        let failures = counters.failures.seen().map(|(_, count)| count).sum();
        let counts = [counters.requests.get(), errors, failures, counters.retries.get()];
        Self { counts, active: counters.connections_active.get(), ..Self::default() }
    }

    /// Without its servers.
    pub(super) fn of_pool(counters: &PoolCounters) -> Self {
        let (requests, failures) = (counters.requests.get(), counters.failures.get());
        Self { counts: [requests, 0, failures, counters.retries.get()], ..Self::default() }
    }

    /// Adds one of its servers.
    pub(super) fn add(&mut self, server: &Arc<ServerState>, is_eligible: bool) {
        let [.., server_errors] = server.counters.statuses.get();
        let [_, errors, ..] = &mut self.counts;
        *errors += server_errors;
        self.active += server.active();
        self.up += if is_eligible { 1.0 } else { 0.0 };
        self.readings.take(&server.counters.latency);
    }

    /// With the share of so many servers in the place of their number.
    pub(super) fn per(mut self, servers: usize) -> Self {
        self.up = if servers == 0 { f32::NAN } else { self.up / float(servers as u64) };
        self
    }
}

/// The points of the node or of a pool.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) fine: Ring<Point>,
    pub(crate) coarse: Ring<Point>,
    before: Option<Totals>,
    ten: Gathered,
}

/// What the ten seconds that run have brought.
#[derive(Debug, Default)]
struct Gathered {
    counts: [u64; 4],
    passed: Duration,
    up: Option<f32>,
    readings: Reading,
}

impl Default for Line {
    fn default() -> Self {
        let (before, ten) = Default::default();
        Self { fine: Ring::new(FINE), coarse: Ring::new(COARSE), before, ten }
    }
}

impl Line {
    /// Makes a point of what was read now and before. The first reading makes none.
    pub(super) fn take(&mut self, now: Totals, moment: &Moment) {
        let Some(before) = &self.before else {
            self.before = Some(now);
            return;
        };
        let mut counts = [0; 4];
        for ((count, now), before) in counts.iter_mut().zip(now.counts).zip(before.counts) {
            *count = now.saturating_sub(before);
        }
        let between = now.readings.since(&before.readings);
        let shown = self.fine.newest(1).next().map_or([f32::NAN; 3], |point| point.latency);
        let latency = if moment.halved { shown } else { millis(&between) };
        self.fine.push(moment.number, point(counts, moment.passed, (&now, now.up), latency));
        self.ten.add(counts, moment.passed, now.up);
        if !moment.halved {
            self.ten.readings.add(&between);
        }
        if let Some(number) = moment.coarse {
            let ten = &mut self.ten;
            let up = ten.up.unwrap_or(now.up);
            self.coarse.push(number, point(ten.counts, ten.passed, (&now, up), millis(&ten.readings)));
            ten.begin();
        }
        self.before = Some(now);
    }
}

impl Gathered {
    fn add(&mut self, counts: [u64; 4], passed: Duration, up: f32) {
        self.counts.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        self.passed += passed;
        self.up = Some(self.up.map_or(up, |least| least.min(up)));
    }

    fn begin(&mut self) {
        (self.counts, self.passed, self.up) = ([0; 4], Duration::ZERO, None);
        self.readings.clear();
    }
}

fn point(counts: [u64; 4], passed: Duration, (now, up): (&Totals, f32), latency: [f32; 3]) -> Point {
    let [requests, errors, failures, retries] = counts.map(|count| rate(count, passed));
    Point { requests, errors, failures, retries, active: float(now.active), up, latency }
}

fn millis(reading: &Reading) -> [f32; 3] {
    reading.quantiles(QUANTILES).map(|time| time.map_or(f32::NAN, |time| time.as_secs_f32() * 1000.0))
}

fn rate(count: u64, passed: Duration) -> f32 {
    float(count) / passed.max(EVERY / 10).as_secs_f32()
}

/// Rates and shares for pictures: seven digits are enough.
#[expect(clippy::cast_precision_loss)]
fn float(count: u64) -> f32 {
    count as f32
}

/// The points of a server, and where its counters stood at the last one.
#[derive(Debug)]
pub(crate) struct ServerLine {
    pub(crate) points: Ring<ServerPoint>,
    before: Option<Mark>,
}

#[derive(Debug, Clone, Copy)]
struct Mark {
    at: Instant,
    requests: u64,
    failures: u64,
    answers: u64,
    latency_sum_us: u64,
}

impl Default for ServerLine {
    fn default() -> Self {
        Self { points: Ring::new(COARSE), before: None }
    }
}

impl ServerLine {
    pub(super) fn take(&mut self, counters: &ServerCounters, number: u64, at: Instant) {
        let now = Mark {
            at,
            requests: counters.requests.get(),
            failures: counters.failures.get(),
            answers: counters.statuses.get().iter().sum(),
            latency_sum_us: counters.latency_sum_us.get(),
        };
        let Some(before) = self.before.replace(now) else { return };
        let passed = at.duration_since(before.at);
        let answers = now.answers.saturating_sub(before.answers);
        let sum = now.latency_sum_us.saturating_sub(before.latency_sum_us);
        let point = ServerPoint {
            requests: rate(now.requests.saturating_sub(before.requests), passed),
            failures: rate(now.failures.saturating_sub(before.failures), passed),
            latency: if answers == 0 { f32::NAN } else { float(sum) / float(answers) / 1000.0 },
        };
        self.points.push(number, point);
    }

    /// Attempts begun over its last `count` points.
    pub(crate) fn requests(&self, count: usize, step: f32) -> f32 {
        let rates = self.points.newest(count).map(|point| point.requests);
        rates.filter(|rate| rate.is_finite()).sum::<f32>() * step
    }
}
