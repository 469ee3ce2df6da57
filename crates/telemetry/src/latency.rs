//! A histogram of durations that costs one addition to write and little memory to keep.
//!
//! Log-linear buckets as in HdrHistogram (Gil Tene): each power of two is cut into 16 equal steps, so a bucket is
//! at most 1/16 of its value wide and the middle of it is off by at most 3.2 %. From one microsecond to 71 minutes
//! that takes 464 buckets of 32 bits, 1.9 KiB a server, whatever the traffic.
//!
//! Quantiles since the start say nothing about now, therefore the control plane calls `Latency::decay` on a
//! schedule: each call halves every bucket, so what happened n calls ago weighs 2^-n. It also keeps 32 bits enough.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::counters::micros;

/// Steps to a power of two, as a power of two.
const STEP_BITS: u32 = 4;
const STEPS: usize = 1 << STEP_BITS;
/// Values of 2^32 µs (71 minutes) and more are counted in the last bucket.
const VALUE_BITS: u32 = 32;
const BUCKETS: usize = STEPS * (VALUE_BITS - STEP_BITS + 1) as usize;

/// See the module. Lock-free; a reader beside writers sees a state that was never exactly there, which is fine for
/// a quantile.
#[derive(Debug)]
pub struct Latency {
    buckets: [AtomicU32; BUCKETS],
}

impl Default for Latency {
    fn default() -> Self {
        Self { buckets: std::array::from_fn(|_| AtomicU32::new(0)) }
    }
}

impl Latency {
    /// Counts one duration, in whole microseconds.
    #[inline]
    pub fn record(&self, duration: Duration) {
        if let Some(bucket) = self.buckets.get(index_of(micros(duration))) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The duration that a share `q` (0.0 to 1.0) of the recent ones did not exceed; none when there are none.
    pub fn quantile(&self, q: f64) -> Option<Duration> {
        let [value] = self.quantiles([q]);
        value
    }

    /// Several quantiles in one pass over one state, so that p50 is never above p99. `wanted` ascends.
    pub fn quantiles<const N: usize>(&self, wanted: [f64; N]) -> [Option<Duration>; N] {
        self.summary(wanted).0
    }

    /// Quantiles as [`Latency::quantiles`] has them and the mean, of one state.
    pub fn summary<const N: usize>(&self, wanted: [f64; N]) -> ([Option<Duration>; N], Option<Duration>) {
        let counts = self.counts();
        let total = total(&counts);
        if total == 0 {
            return ([None; N], None);
        }
        let quantiles = wanted.map(|q| {
            let rank = rank(q, total)?;
            let mut seen = 0;
            let index = counts.iter().position(|count| {
                seen += u64::from(*count);
                seen >= rank
            })?;
            Some(Duration::from_micros(middle_of(index)))
        });
        (quantiles, Some(Duration::from_micros(sum(&counts) / total)))
    }

    /// How many durations weigh in (each decayed by its age).
    pub fn count(&self) -> u64 {
        total(&self.counts())
    }

    /// The sum of the durations that weigh in, exact to the width of the buckets (3.2 %).
    pub fn sum(&self) -> Duration {
        Duration::from_micros(sum(&self.counts()))
    }

    /// The mean of the recent durations; none when there are none.
    pub fn mean(&self) -> Option<Duration> {
        self.summary([]).1
    }

    /// Adds what another histogram has, so that several can be read as one.
    pub fn absorb(&self, other: &Self) {
        for (bucket, count) in self.buckets.iter().zip(other.counts()) {
            if count > 0 {
                bucket.fetch_add(count, Ordering::Relaxed);
            }
        }
    }

    /// Halves what is there. One caller at a time; writers may go on.
    pub fn decay(&self) {
        for bucket in &self.buckets {
            let count = bucket.load(Ordering::Relaxed);
            if count > 0 {
                // The rounding takes the odd one away, so that a server without traffic forgets.
                bucket.fetch_sub(count.div_ceil(2), Ordering::Relaxed);
            }
        }
    }

    fn counts(&self) -> [u32; BUCKETS] {
        // In place: mapped, the array goes through two more of its size, for each of thousands of servers.
        let mut counts = [0; BUCKETS];
        for (count, bucket) in counts.iter_mut().zip(&self.buckets) {
            *count = bucket.load(Ordering::Relaxed);
        }
        counts
    }
}

/// What histograms held at one moment, added up: two of them tell what was recorded in between.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading(Box<[u32]>);

impl Default for Reading {
    fn default() -> Self {
        Self(vec![0; BUCKETS].into_boxed_slice())
    }
}

impl Reading {
    /// Adds what a histogram holds now.
    pub fn take(&mut self, histogram: &Latency) {
        for (sum, bucket) in self.0.iter_mut().zip(&histogram.buckets) {
            *sum = sum.saturating_add(bucket.load(Ordering::Relaxed));
        }
    }

    /// Adds another one.
    pub fn add(&mut self, other: &Self) {
        for (sum, count) in self.0.iter_mut().zip(&other.0) {
            *sum = sum.saturating_add(*count);
        }
    }

    /// What was recorded since `before`. Only right where no [`Latency::decay`] lies in between.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        Self(self.0.iter().zip(&before.0).map(|(now, before)| now.saturating_sub(*before)).collect())
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.0.fill(0);
    }

    /// As [`Latency::quantiles`].
    pub fn quantiles<const N: usize>(&self, wanted: [f64; N]) -> [Option<Duration>; N] {
        let total = total(&self.0);
        wanted.map(|q| {
            let rank = rank(q, total)?;
            let mut seen = 0;
            let index = self.0.iter().position(|count| {
                seen += u64::from(*count);
                seen >= rank
            })?;
            Some(Duration::from_micros(middle_of(index)))
        })
    }
}

fn total(counts: &[u32]) -> u64 {
    counts.iter().map(|count| u64::from(*count)).sum()
}

/// In microseconds.
fn sum(counts: &[u32]) -> u64 {
    counts
        .iter()
        .enumerate()
        .filter(|(_, count)| **count > 0)
        .fold(0, |sum, (index, count)| sum.saturating_add(middle_of(index).saturating_mul(u64::from(*count))))
}

/// The rank, from 1, of the value that a share `q` of `total` values does not exceed.
#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn rank(q: f64, total: u64) -> Option<u64> {
    (total > 0).then(|| ((q * total as f64).ceil() as u64).clamp(1, total))
}

/// Values below 2 * 16 have a bucket each; above, the four bits after the leading one choose the step.
#[inline]
fn index_of(value: u64) -> usize {
    let value = value.min((1 << VALUE_BITS) - 1);
    let magnitude = value.checked_ilog2().unwrap_or(0).saturating_sub(STEP_BITS);
    // Below 2^32 by the line above, and so is every shift of it.
    let step = usize::try_from(value >> magnitude).unwrap_or(usize::MAX);
    (magnitude as usize) * STEPS + step
}

/// The middle of what `index_of` puts into the bucket.
fn middle_of(index: usize) -> u64 {
    let magnitude = (index / STEPS).saturating_sub(1);
    let first = ((index - magnitude * STEPS) as u64) << magnitude;
    first + ((1_u64 << magnitude) - 1) / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(values: impl IntoIterator<Item = u64>) -> Latency {
        let latency = Latency::default();
        values.into_iter().for_each(|value| latency.record(Duration::from_micros(value)));
        latency
    }

    #[test]
    fn stays_under_two_kib() {
        assert!(size_of::<Latency>() < 2048, "{}", size_of::<Latency>());
    }

    #[test]
    fn every_value_reads_back_within_four_percent() {
        for exponent in 0..VALUE_BITS {
            for offset in [0, 1, 3, 7, 11, 13] {
                let value = (1_u64 << exponent) + ((1_u64 << exponent) * offset / 16);
                let read = middle_of(index_of(value));
                assert!(read.abs_diff(value) * 100 <= value * 4, "{value} reads as {read}");
            }
        }
    }

    #[test]
    fn buckets_are_in_order_and_none_is_out_of_reach() {
        let mut last = 0;
        for index in 0..BUCKETS {
            let middle = middle_of(index);
            assert_eq!(index_of(middle), index, "bucket {index}");
            assert!(index == 0 || middle > last);
            last = middle;
        }
        assert_eq!(index_of(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn quantiles_of_an_even_spread() {
        let latency = filled(1..=10_000);
        for (q, expected) in [(0.5, 5_000), (0.9, 9_000), (0.99, 9_900), (1.0, 10_000)] {
            let read = micros(latency.quantile(q).unwrap_or_default());
            assert!(read.abs_diff(expected) * 100 <= expected * 4, "{q}: {read}");
        }
        assert_eq!(latency.count(), 10_000);
        assert!(micros(latency.mean().unwrap_or_default()).abs_diff(5_000) < 200);
    }

    #[test]
    fn several_read_as_one() {
        let all = filled(1..=100);
        all.absorb(&filled(101..=1_000));
        let half = micros(all.quantile(0.5).unwrap_or_default());
        assert_eq!(all.count(), 1_000);
        assert!(half.abs_diff(500) * 100 <= 500 * 4, "{half}");
    }

    #[test]
    fn two_readings_tell_what_came_in_between() {
        let (one, other) = (filled(1..=1_000), filled([9]));
        let read = || {
            let mut reading = Reading::default();
            reading.take(&one);
            reading.take(&other);
            reading
        };
        let before = read();
        assert_eq!(read().since(&before).quantiles([0.5]), [None]);
        for _ in 0..99 {
            one.record(Duration::from_millis(5));
        }
        other.record(Duration::from_millis(80));
        let mut between = read().since(&before);
        let millis = |q| between.quantiles([q])[0].unwrap_or_default().as_secs_f64() * 1000.0;
        assert!((millis(0.5) - 5.0).abs() < 0.2 && (millis(0.99) - 5.0).abs() < 0.2, "{}", millis(0.5));
        assert!((millis(1.0) - 80.0).abs() < 3.0, "{}", millis(1.0));
        between.add(&between.clone());
        assert_eq!(total(&between.0), 200);
        between.clear();
        assert_eq!(between, Reading::default());
    }

    #[test]
    fn without_values_there_is_no_quantile() {
        assert_eq!(Latency::default().quantile(0.5), None);
        assert_eq!(Latency::default().mean(), None);
    }

    #[test]
    fn recent_values_outweigh_old_ones_and_silence_forgets() {
        let latency = filled(std::iter::repeat_n(1_000_000, 100));
        latency.decay();
        latency.decay();
        std::iter::repeat_n(1_000, 100).for_each(|value| latency.record(Duration::from_micros(value)));
        assert!(latency.quantile(0.5).is_some_and(|half| half < Duration::from_millis(2)));
        (0..32).for_each(|_| latency.decay());
        assert_eq!(latency.count(), 0);
    }
}
