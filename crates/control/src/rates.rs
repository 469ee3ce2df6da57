//! How much happened in the last second, ten seconds, minute and five minutes.
//!
//! A reading of each counter a second, kept for five minutes: that is all a rate needs, and the request path does nothing
//! for it.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use loadweaver_telemetry::counters::ProxyCounters;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::plane::Sight;

const EVERY: Duration = Duration::from_secs(1);
/// Five minutes' readings, and the one that they begin with.
const KEPT: usize = 301;

/// What rates are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Reading {
    at: Instant,
    requests: u64,
    errors: u64,
    bytes_in: u64,
    bytes_out: u64,
}

impl Reading {
    fn now(counters: &ProxyCounters) -> Self {
        let [.., server_errors] = counters.statuses.get();
        Self {
            at: Instant::now(),
            requests: counters.requests.get(),
            errors: server_errors,
            bytes_in: counters.bytes_in.get(),
            bytes_out: counters.bytes_out.get(),
        }
    }
}

/// A second's worth, on the average of a time.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Rate {
    pub(crate) requests: f64,
    /// Answers with a status of 500 or more.
    pub(crate) errors: f64,
    pub(crate) bytes_in: f64,
    pub(crate) bytes_out: f64,
}

/// The readings. Cheap to clone; all clones are one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rates(Arc<Mutex<VecDeque<Reading>>>);

impl Rates {
    /// Over the last `seconds`, or since there are readings.
    pub(crate) fn over(&self, seconds: u64) -> Rate {
        let readings = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(last) = readings.back() else { return Rate::default() };
        // Half a tick of room: ticks are not exact.
        let begin = Duration::from_secs(seconds) + EVERY / 2;
        let first = readings.iter().find(|reading| last.at.duration_since(reading.at) <= begin);
        first.map_or_else(Rate::default, |first| rate(first, last))
    }

    fn push(&self, reading: Reading) {
        let mut readings = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if readings.len() >= KEPT {
            readings.pop_front();
        }
        readings.push_back(reading);
    }

    /// Takes readings for ever, once there is something to read.
    pub(crate) async fn run(self, sight: Arc<OnceLock<Sight>>) -> Infallible {
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if let Some(sight) = sight.get() {
                self.push(Reading::now(sight.proxy.counters()));
            }
        }
    }
}

fn rate(first: &Reading, last: &Reading) -> Rate {
    let seconds = last.at.duration_since(first.at).as_secs_f64();
    let per_second = |first: u64, last: u64| {
        // Exact below 2^53, which no minute brings.
        #[expect(clippy::cast_precision_loss)]
        let count = last.saturating_sub(first) as f64;
        if seconds > 0.0 { count / seconds } else { 0.0 }
    };
    Rate {
        requests: per_second(first.requests, last.requests),
        errors: per_second(first.errors, last.errors),
        bytes_in: per_second(first.bytes_in, last.bytes_in),
        bytes_out: per_second(first.bytes_out, last.bytes_out),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_rate_is_over_its_own_time_and_none_without_readings() {
        let rates = Rates::default();
        assert_eq!(rates.over(10), Rate::default());
        let counters = ProxyCounters::default();
        // 100 a second for 60 s, then 10 a second for 10 s.
        for second in 0..=70_u64 {
            rates.push(Reading::now(&counters));
            counters.requests.add(if second < 60 { 100 } else { 10 });
            tokio::time::advance(EVERY).await;
        }
        assert!((rates.over(1).requests - 10.0).abs() < 0.001);
        assert!((rates.over(10).requests - 10.0).abs() < 0.001);
        assert!((rates.over(60).requests - 85.0).abs() < 0.001);
    }
}
