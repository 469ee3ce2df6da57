//! Flap damping with memory, as routers do it (RFC 2439): each transition adds 1 to a penalty that decays.
//!
//! The penalty is kept with the time at which it was that, and what it is now follows from the two: time that
//! is read often decays it no faster. It stops at twice the limit, so a server that stays well is back after
//! `halfLife` times log2(2 limit / reuse) at the latest: 5 minutes and 10 seconds with the defaults.

use std::time::Duration;

use loadweaver_config::FlapDamping;

/// What a server's transitions have come to.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Penalty {
    value: f64,
    at: Duration,
}

impl Penalty {
    /// What is left of it.
    pub(super) fn now(&self, damping: &FlapDamping, now: Duration) -> f64 {
        let elapsed = now.saturating_sub(self.at);
        if elapsed.is_zero() || damping.half_life.is_zero() {
            return if elapsed.is_zero() { self.value } else { 0.0 };
        }
        self.value * (-elapsed.div_duration_f64(damping.half_life)).exp2()
    }

    /// Counts a transition.
    pub(super) fn add(&mut self, damping: &FlapDamping, now: Duration) {
        let value = (self.now(damping, now) + 1.0).min(2.0 * f64::from(damping.limit));
        *self = Self { value, at: self.at.max(now) };
    }

    /// Whether it makes a server unstable.
    pub(super) fn is_over(&self, damping: &FlapDamping, now: Duration) -> bool {
        damping.limit > 0 && self.now(damping, now) > f64::from(damping.limit)
    }

    /// Whether it keeps an unstable server out.
    pub(super) fn holds(&self, damping: &FlapDamping, now: Duration) -> bool {
        damping.limit > 0 && self.now(damping, now) > reuse(damping)
    }

    /// How long it will keep an unstable server out.
    pub(super) fn hold(&self, damping: &FlapDamping, now: Duration) -> Duration {
        let halves = (self.now(damping, now) / reuse(damping)).log2().max(0.0);
        Duration::try_from_secs_f64(damping.half_life.as_secs_f64() * halves).unwrap_or(Duration::MAX)
    }
}

/// What decays never gets to 0: a reuse of 0 counts as a half.
fn reuse(damping: &FlapDamping) -> f64 {
    f64::from(damping.reuse).max(0.5)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-9
    }

    #[test]
    fn halves_with_each_half_life() {
        let damping = FlapDamping { limit: 6, reuse: 2, half_life: s(100) };
        let mut penalty = Penalty::default();
        penalty.add(&damping, s(50));
        assert!(
            [(50, 1.0), (150, 0.5), (250, 0.25), (40, 1.0)]
                .iter()
                .all(|&(at, left)| close(penalty.now(&damping, s(at)), left))
        );
        penalty.add(&damping, s(150));
        assert!(close(penalty.now(&damping, s(150)), 1.5));
    }

    #[test]
    fn ends_its_hold_when_it_says_so() {
        let damping = FlapDamping { limit: 6, reuse: 2, half_life: s(120) };
        let mut penalty = Penalty::default();
        (0..99).for_each(|_| penalty.add(&damping, s(10)));
        let hold = penalty.hold(&damping, s(10));
        assert_eq!(hold.as_secs(), 310);
        assert!(penalty.holds(&damping, s(9) + hold));
        assert!(!penalty.holds(&damping, s(10) + hold + s(1)));
    }

    #[test]
    fn bounds_that_make_no_sense_hold_nobody_for_ever() {
        for (limit, reuse, half_life) in
            [(1, 0, s(60)), (6, 2, Duration::ZERO), (0, 0, s(60)), (0, 0, Duration::ZERO)]
        {
            let damping = FlapDamping { limit, reuse, half_life };
            let mut penalty = Penalty::default();
            (0..9).for_each(|_| penalty.add(&damping, s(1)));
            assert!(!penalty.holds(&damping, s(1_000)), "{damping:?}");
        }
    }

    proptest! {
        /// However often it is asked in between, the penalty is the sum of what is left of each transition.
        #[test]
        fn does_not_drift(gaps in prop::collection::vec(0_u64..30_000, 1..200), half_life in 1_u64..300) {
            let damping = FlapDamping { limit: 1_000, reuse: 2, half_life: s(half_life) };
            let (mut penalty, mut now, mut times) = (Penalty::default(), Duration::ZERO, Vec::new());
            for gap in gaps {
                now += Duration::from_millis(gap);
                penalty.add(&damping, now);
                times.push(now);
                let left = |at: &Duration| 0.5_f64.powf(now.saturating_sub(*at).div_duration_f64(damping.half_life));
                let due: f64 = times.iter().map(left).sum();
                prop_assert!((penalty.now(&damping, now) - due).abs() < 1e-6);
            }
        }
    }
}
