//! Randomness for schedules: SplitMix64 (Steele, Lea, Flood 2014), seeded by the system or by a test.
//!
//! Nothing here guards anything; it only keeps probes of many servers (and of many nodes) from moving in step.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::time::Duration;

/// A source of schedule noise.
#[derive(Debug, Clone)]
pub(crate) struct Jitter {
    state: u64,
}

impl Jitter {
    /// Seeded by the operating system, through the keys that the standard library asks it for.
    pub(crate) fn from_system() -> Self {
        Self::seeded(RandomState::new().hash_one(0_u8))
    }

    pub(crate) fn seeded(seed: u64) -> Self {
        Self { state: seed }
    }

    /// A duration between 90 % and 110 % of `mean`.
    pub(crate) fn around(&mut self, mean: Duration) -> Duration {
        // 16 bits of noise: finer than any timer would show.
        let noise = f64::from(u16::try_from(self.next() >> 48).unwrap_or(0)) / f64::from(u16::MAX);
        mean.mul_f64(0.9 + 0.2 * noise)
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stays_within_a_tenth_and_uses_all_of_it() {
        let mut jitter = Jitter::seeded(7);
        let mean = Duration::from_secs(10);
        let drawn: Vec<Duration> = (0..10_000).map(|_| jitter.around(mean)).collect();
        assert!(drawn.iter().all(|each| (9.0..=11.0).contains(&each.as_secs_f64())));
        assert!(drawn.iter().any(|each| each.as_secs_f64() < 9.05));
        assert!(drawn.iter().any(|each| each.as_secs_f64() > 10.95));
    }

    #[test]
    fn a_seed_repeats_and_the_system_does_not() {
        let draw = |mut jitter: Jitter| jitter.next();
        assert_eq!(draw(Jitter::seeded(1)), draw(Jitter::seeded(1)));
        assert_ne!(draw(Jitter::from_system()), draw(Jitter::from_system()));
    }
}
