//! Numbers that the request path adds to and everybody else reads.
//!
//! All of them are relaxed: each is a truth of its own, none orders anything, and a reader that sees one a moment
//! before another loses nothing. Each set starts on a cache line of its own, so that the counters of one server do
//! not slow down the worker that is busy with its neighbour. 128 bytes and not 64, because x86 fetches lines in
//! pairs.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use loadweaver_policy::failure::Failure;

use crate::latency::Latency;

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds one.
    #[inline]
    pub fn increment(&self) {
        self.add(1);
    }

    /// Adds `amount`; adding nothing costs nothing.
    #[inline]
    pub fn add(&self, amount: u64) {
        if amount != 0 {
            self.0.fetch_add(amount, Ordering::Relaxed);
        }
    }

    /// The sum so far.
    #[inline]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number of things that are there now.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    /// One more; returns how many there are with it.
    #[inline]
    pub fn increment(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed).wrapping_add(1)
    }

    /// One less. Each call follows an [`increment`](Self::increment) of its own.
    #[inline]
    pub fn decrement(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    /// How many there are.
    #[inline]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Answers by class of status, 1xx to 5xx.
#[derive(Debug, Default)]
pub struct StatusClasses([Counter; 5]);

impl StatusClasses {
    /// Counts one answer; a status outside 100..=599 is not counted.
    #[inline]
    pub fn record(&self, status: u16) {
        if let Some(counter) = usize::from(status / 100).checked_sub(1).and_then(|class| self.0.get(class)) {
            counter.increment();
        }
    }

    /// The five sums, 1xx first.
    pub fn get(&self) -> [u64; 5] {
        self.0.each_ref().map(Counter::get)
    }
}

/// What one server of one pool did. Lives as long as the server's identity (pool, server id) does.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct ServerCounters {
    /// Attempts begun at this server.
    pub requests: Counter,
    /// Attempts that ended in a [`Failure`] whose blame is the server's.
    pub failures: Counter,
    /// Attempts made here because one elsewhere had failed.
    pub retries: Counter,
    /// Connections opened.
    pub connects: Counter,
    /// Attempts served by a kept connection.
    pub reused: Counter,
    /// Connections open, of those that were opened for this server.
    pub connections: Gauge,
    /// Bytes of body sent to the server.
    pub bytes_in: Counter,
    /// Bytes of body received from the server.
    pub bytes_out: Counter,
    /// Final answers by class.
    pub statuses: StatusClasses,
    /// Sum of the times to the first byte of an answer since the start, in microseconds; the number of its addends
    /// is the sum of `statuses`.
    pub latency_sum_us: Counter,
    /// Times to the first byte of an answer, the recent ones weighing most.
    pub latency: Latency,
}

impl ServerCounters {
    /// Counts the head of a final answer: its status and how long it took to come.
    #[inline]
    pub fn answered(&self, status: u16, first_byte: Duration) {
        self.statuses.record(status);
        self.latency_sum_us.add(micros(first_byte));
        self.latency.record(first_byte);
    }
}

/// What one pool did.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct PoolCounters {
    /// Exchanges routed to the pool.
    pub requests: Counter,
    /// Exchanges that ended in a [`Failure`] of whatever blame.
    pub failures: Counter,
    /// Attempts after the first one.
    pub retries: Counter,
    /// Retries that were wanted and not made because the budget was used up.
    pub retry_budget_exhausted: Counter,
    /// Exchanges answered by the pool's fallback.
    pub fallbacks: Counter,
}

/// What the whole node did.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct ProxyCounters {
    /// Client connections accepted.
    pub connections_accepted: Counter,
    /// Client connections open.
    pub connections_active: Gauge,
    /// Tunnels open (upgraded connections).
    pub tunnels_active: Gauge,
    /// Client connections that were ended because the client did what known attacks do.
    pub clients_cut: Counter,
    /// Requests whose head was read and understood, or refused.
    pub requests: Counter,
    /// Requests refused for what they were (blame: the client's).
    pub refused: Counter,
    /// Attempts after the first one.
    pub retries: Counter,
    /// What made them necessary.
    pub retry_reasons: RetryCounters,
    /// Retries that were wanted and not made because a budget was used up.
    pub retry_budget_exhausted: Counter,
    /// Bytes of body received from clients.
    pub bytes_in: Counter,
    /// Bytes of body sent to clients.
    pub bytes_out: Counter,
    /// Final answers by class, our own included.
    pub statuses: StatusClasses,
    /// Exchanges by the failure that ended them.
    pub failures: FailureCounters,
    /// Handshakes with clients.
    pub tls: TlsCounters,
}

/// Handshakes with clients.
#[derive(Debug, Default)]
pub struct TlsCounters {
    /// Those that came to their end, with TLS 1.2.
    pub tls12: Counter,
    /// Those that came to their end, with TLS 1.3.
    pub tls13: Counter,
    /// Those of either that took up an earlier connection.
    pub resumed: Counter,
    /// Those that failed.
    pub failed: Counter,
    /// Those that took too long.
    pub timed_out: Counter,
    /// Those that waited for their client while there was no place for more.
    pub crowded_out: Counter,
}

/// What another attempt was made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retried {
    /// The one before failed.
    After(Failure),
    /// It was answered with this status.
    Status(u16),
    /// It was answered with UNAVAILABLE, a call of gRPC.
    Unavailable,
}

/// Attempts after the first one, by what made them necessary.
#[derive(Debug, Default)]
pub struct RetryCounters {
    /// By the failure of the attempt before.
    pub failures: FailureCounters,
    /// By its status.
    pub statuses: AnswerCounters,
    /// Of gRPC calls that were answered with UNAVAILABLE.
    pub unavailable: Counter,
}

impl RetryCounters {
    /// Counts one.
    #[inline]
    pub fn record(&self, retried: Retried) {
        match retried {
            Retried::After(failure) => self.failures.record(failure),
            Retried::Status(status) => self.statuses.record(status),
            Retried::Unavailable => self.unavailable.increment(),
        }
    }
}

/// One counter for each status from 100 to 599.
#[derive(Debug)]
pub struct AnswerCounters([Counter; 500]);

impl Default for AnswerCounters {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Counter::default()))
    }
}

impl AnswerCounters {
    /// Counts one; a status outside 100..=599 is not counted.
    #[inline]
    pub fn record(&self, status: u16) {
        let counter = usize::from(status).checked_sub(100).and_then(|place| self.0.get(place));
        if let Some(counter) = counter {
            counter.increment();
        }
    }

    /// Those that were seen at all, the lowest first.
    pub fn seen(&self) -> impl Iterator<Item = (u16, u64)> {
        (100..).zip(self.0.iter().map(Counter::get)).filter(|(_, count)| *count > 0)
    }
}

/// One counter for each [`Failure`].
#[derive(Debug)]
pub struct FailureCounters([Counter; Failure::ALL.len()]);

impl Default for FailureCounters {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Counter::default()))
    }
}

impl FailureCounters {
    /// Counts one.
    #[inline]
    pub fn record(&self, failure: Failure) {
        if let Some(counter) = self.0.get(failure.index()) {
            counter.increment();
        }
    }

    /// How often `failure` happened.
    pub fn get(&self, failure: Failure) -> u64 {
        self.0.get(failure.index()).map_or(0, Counter::get)
    }

    /// Those that happened at all, in the order of [`Failure::ALL`].
    pub fn seen(&self) -> impl Iterator<Item = (Failure, u64)> {
        Failure::ALL.iter().map(|failure| (*failure, self.get(*failure))).filter(|(_, count)| *count > 0)
    }
}

/// Whole microseconds; what does not fit (584,000 years) is the greatest number.
pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_has_a_counter_of_its_own() {
        let counters = FailureCounters::default();
        for (times, failure) in Failure::ALL.iter().enumerate() {
            assert_eq!(failure.index(), times);
            (0..=times).for_each(|_| counters.record(*failure));
        }
        let seen: Vec<u64> = counters.seen().map(|(_, count)| count).collect();
        let expected: Vec<u64> = (1..=Failure::ALL.len() as u64).collect();
        assert_eq!(seen, expected);
    }

    #[test]
    fn a_status_counts_in_its_class_and_nonsense_nowhere() {
        let classes = StatusClasses::default();
        for status in [0, 99, 100, 101, 204, 302, 404, 499, 599, 600, u16::MAX] {
            classes.record(status);
        }
        assert_eq!(classes.get(), [2, 1, 1, 2, 1]);
    }

    #[test]
    fn neighbours_do_not_share_a_cache_line() {
        assert_eq!(size_of::<ServerCounters>() % 128, 0);
        assert_eq!(align_of::<ServerCounters>(), 128);
        assert_eq!(align_of::<PoolCounters>(), 128);
    }
}
