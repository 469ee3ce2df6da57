//! Exchanges by where they came in and where they went, for scrapers.
//!
//! Each worker counts for itself and is the only one who does, so a count is a load and a store: no locked instruction,
//! no cache line that two workers want. What it counts stands in its `Book`, which readers add up; it never waits for
//! one of them. A series is found by four names when it is met first; from then on the worker holds on to it (in
//! `proxy::tally`).

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::counters::micros;

/// Upper bounds of the buckets, in microseconds; what is slower than the last is counted above it. The steps of 1, 2.5
/// and 5 from half a millisecond to a minute that dashboards for HTTP expect.
pub const BOUNDS: [u64; 17] = [
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000, 10_000_000, 25_000_000, 50_000_000, 60_000_000,
];

/// A sum with one writer.
#[derive(Debug, Default)]
struct Tally(AtomicU64);

impl Tally {
    #[inline]
    fn add(&self, amount: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(amount), Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Where exchanges came in and went to; empty where they got to none.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Way {
    /// The listener.
    pub listener: Arc<str>,
    /// The route.
    pub route: Arc<str>,
    /// The pool.
    pub pool: Arc<str>,
}

/// Exchanges of one way that ended at one server.
#[derive(Debug)]
pub struct Series {
    way: Way,
    server: Arc<str>,
    /// Without a final answer, then by class, 1xx first.
    classes: [Tally; 6],
    /// Of the whole way.
    times: Arc<Times>,
}

impl Series {
    /// A series of nothing yet; `times` are those of its way.
    pub fn new(way: Way, server: Arc<str>, times: Arc<Times>) -> Self {
        Self { way, server, classes: Default::default(), times }
    }

    /// Where its exchanges came in and went to.
    pub fn way(&self) -> &Way {
        &self.way
    }

    /// The server that was asked last; empty where none was.
    pub fn server(&self) -> &Arc<str> {
        &self.server
    }

    /// How long exchanges of this way take.
    #[inline]
    pub fn times(&self) -> &Arc<Times> {
        &self.times
    }

    /// Counts one exchange; a status of 0 is none.
    #[inline]
    pub fn record(&self, status: u16) {
        if let Some(class) = self.classes.get(usize::from(status / 100)) {
            class.add(1);
        }
    }

    /// The sums: without a final answer, then by class.
    pub fn classes(&self) -> [u64; 6] {
        self.classes.each_ref().map(Tally::get)
    }
}

/// How long the exchanges of one way took.
#[derive(Debug, Default)]
pub struct Times {
    /// From the begin of a request to the last byte of its answer.
    pub whole: Histogram,
    /// To the first byte of a server's answer.
    pub first_byte: Histogram,
    /// To have a connection to a server, where one was made.
    pub connect: Histogram,
}

/// Durations in buckets that are there for good, unlike those of [`Latency`](crate::latency::Latency), which forgets.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [Tally; BOUNDS.len() + 1],
    sum_us: Tally,
}

impl Histogram {
    /// Counts one.
    #[inline]
    pub fn record(&self, duration: Duration) {
        let duration = micros(duration);
        let at = BOUNDS.partition_point(|bound| *bound < duration);
        if let Some(bucket) = self.buckets.get(at) {
            bucket.add(1);
        }
        self.sum_us.add(duration);
    }

    /// What was counted.
    pub fn get(&self) -> Counted {
        Counted {
            buckets: self.buckets.each_ref().map(Tally::get),
            sum: Duration::from_micros(self.sum_us.get()),
        }
    }
}

/// What histograms have counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counted {
    /// Of each bucket alone: up to each of [`BOUNDS`], and above.
    pub buckets: [u64; BOUNDS.len() + 1],
    /// Of all durations.
    pub sum: Duration,
}

impl Counted {
    /// How many there are.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// The duration that a share `q` (0.0 to 1.0) did not exceed, as far as buckets can tell: within one, all durations
    /// are taken to be as likely (what Prometheus' `histogram_quantile` does). What is above the last bound is told as
    /// that bound. None when there are none.
    pub fn quantile(&self, q: f64) -> Option<Duration> {
        #[expect(clippy::cast_precision_loss, reason = "exact below 2^53")]
        let exact = |count: u64| count as f64;
        let rank = q.clamp(0.0, 1.0) * exact(self.count());
        let (mut seen, mut lower) = (0, 0);
        for (count, upper) in self.buckets.iter().zip(BOUNDS) {
            if *count > 0 && exact(seen + count) >= rank {
                let within = ((rank - exact(seen)) / exact(*count)).clamp(0.0, 1.0);
                return Some(
                    Duration::from_micros(lower) + Duration::from_micros(upper - lower).mul_f64(within),
                );
            }
            (seen, lower) = (seen + count, upper);
        }
        (self.count() > 0).then(|| Duration::from_micros(lower))
    }

    /// Adds another one's.
    pub fn absorb(&mut self, other: &Self) {
        for (bucket, more) in self.buckets.iter_mut().zip(other.buckets) {
            *bucket += more;
        }
        self.sum += other.sum;
    }
}

/// Methods that are counted by name; every other one is the next.
pub const METHODS: [&str; 9] =
    ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "CONNECT", "TRACE"];

/// Exchanges of one worker by what they were and what came of them.
#[derive(Debug)]
pub struct Kinds {
    /// By [`METHODS`], then others, then those whose head was refused.
    methods: [Tally; METHODS.len() + 2],
    /// By final status from 100 to 599.
    statuses: [Tally; 500],
}

impl Default for Kinds {
    fn default() -> Self {
        Self { methods: Default::default(), statuses: std::array::from_fn(|_| Tally::default()) }
    }
}

impl Kinds {
    /// Counts one exchange; without a method its head was refused, and a status of 0 is none.
    #[inline]
    pub fn record(&self, method: Option<&str>, status: u16) {
        let place = method.map_or(METHODS.len() + 1, |method| {
            METHODS.iter().position(|known| *known == method).unwrap_or(METHODS.len())
        });
        if let Some(tally) = self.methods.get(place) {
            tally.add(1);
        }
        if let Some(tally) = usize::from(status).checked_sub(100).and_then(|place| self.statuses.get(place)) {
            tally.add(1);
        }
    }

    /// By name; others are `other`, and those whose head was refused are `refused`.
    pub fn methods(&self) -> impl Iterator<Item = (&'static str, u64)> {
        METHODS.into_iter().chain(["other", "refused"]).zip(self.methods.iter().map(Tally::get))
    }

    /// Those that were seen, the lowest first.
    pub fn statuses(&self) -> impl Iterator<Item = (u16, u64)> {
        (100..).zip(self.statuses.iter().map(Tally::get)).filter(|(_, count)| *count > 0)
    }
}

/// What one worker has counted, for readers.
#[derive(Debug, Default)]
pub struct Book {
    series: Mutex<Vec<Arc<Series>>>,
    /// All exchanges, wherever they went.
    pub kinds: Kinds,
}

impl Book {
    /// The series that stand in it.
    pub fn series(&self) -> Vec<Arc<Series>> {
        self.series.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// For its worker: enters one more, unless somebody reads just now.
    #[must_use]
    pub fn try_enter(&self, series: Arc<Series>) -> bool {
        self.series.try_lock().is_ok_and(|mut all| {
            all.push(series);
            true
        })
    }

    /// For its worker: writes it anew, unless somebody reads just now.
    #[must_use]
    pub fn try_rewrite(&self, series: impl Iterator<Item = Arc<Series>>) -> bool {
        self.series.try_lock().is_ok_and(|mut all| {
            all.clear();
            all.extend(series);
            true
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way(route: &str) -> Way {
        Way { listener: "web".into(), route: route.into(), pool: "app".into() }
    }

    #[test]
    fn a_duration_counts_in_the_first_bucket_that_holds_it() {
        let histogram = Histogram::default();
        for micros in [0, 499, 500, 501, 60_000_000, 60_000_001, u64::MAX / 4] {
            histogram.record(Duration::from_micros(micros));
        }
        let counted = histogram.get();
        let (first, second, last, above) =
            (counted.buckets[0], counted.buckets[1], counted.buckets[16], counted.buckets[17]);
        assert_eq!((first, second, last, above), (3, 1, 1, 2));
        assert_eq!(counted.buckets.iter().sum::<u64>(), 7);
    }

    #[test]
    fn quantiles_lie_within_their_bucket() {
        assert_eq!(Counted::default().quantile(0.5), None);
        let histogram = Histogram::default();
        (0..8).for_each(|_| histogram.record(Duration::from_micros(900)));
        (0..2).for_each(|_| histogram.record(Duration::from_secs(90)));
        let counted = histogram.get();
        assert_eq!(counted.quantile(0.4), Some(Duration::from_micros(750)));
        assert_eq!(counted.quantile(0.8), Some(Duration::from_millis(1)));
        assert_eq!(counted.quantile(0.99), Some(Duration::from_mins(1)));
    }

    #[test]
    fn bounds_ascend() {
        assert!(BOUNDS.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn an_answer_counts_in_its_class_and_none_in_its_own() {
        let series = Series::new(way("x"), "a".into(), Arc::default());
        for status in [0, 101, 200, 204, 503, 599, 600, u16::MAX] {
            series.record(status);
        }
        assert_eq!(series.classes(), [1, 1, 2, 0, 0, 2]);
    }

    #[test]
    fn each_exchange_is_of_one_kind() {
        let kinds = Kinds::default();
        for (method, status) in [
            (Some("GET"), 200),
            (Some("GET"), 599),
            (Some("TRACE"), 99),
            (Some("get"), 600),
            (None, 400),
            (None, 0),
        ] {
            kinds.record(method, status);
        }
        let methods: Vec<_> = kinds.methods().filter(|(_, count)| *count > 0).collect();
        assert_eq!(methods, [("GET", 2), ("TRACE", 1), ("other", 1), ("refused", 2)]);
        assert_eq!(kinds.statuses().collect::<Vec<_>>(), [(200, 1), (400, 1), (599, 1)]);
    }

    #[test]
    fn a_book_that_is_read_makes_nobody_wait() {
        let book = Book::default();
        let one = Arc::new(Series::new(way("x"), "a".into(), Arc::default()));
        assert!(book.try_enter(one.clone()));
        let reading = book.series.lock().expect("nobody panicked");
        assert!(!book.try_enter(one.clone()));
        assert!(!book.try_rewrite([one.clone(), one.clone()].into_iter()));
        drop(reading);
        assert!(book.try_rewrite([one.clone(), one].into_iter()));
        assert_eq!(book.series().len(), 2);
    }
}
