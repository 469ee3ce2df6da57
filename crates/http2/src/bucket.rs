//! Rates.

/// So many at once, so many a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many may come at once.
    pub burst: u32,
    /// How many may come each second in the long run; at least one.
    pub per_second: u32,
}

impl Rate {
    const fn interval(self) -> u64 {
        1_000_000_000 / self.per_second as u64
    }
}

/// A token bucket, kept as the time at which it will be full (the generic cell rate algorithm of ATM): one number, and
/// nothing to be done while nothing comes.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Bucket {
    full_at: u64,
}

impl Bucket {
    /// Takes a token; false where there is none.
    #[inline]
    pub(crate) fn take(&mut self, rate: Rate, now: u64) -> bool {
        self.full_at = self.full_at.max(now).saturating_add(rate.interval());
        self.full_at - now <= rate.interval().saturating_mul(u64::from(rate.burst))
    }

    /// Gives tokens back.
    #[inline]
    pub(crate) fn earn(&mut self, rate: Rate, tokens: u32) {
        self.full_at = self.full_at.saturating_sub(rate.interval() * u64::from(tokens));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { burst: 3, per_second: 2 };
    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn gives_a_burst_and_then_the_rate() {
        let mut bucket = Bucket::default();
        let now = 1_000 * SECOND;
        assert_eq!([(); 4].map(|()| bucket.take(RATE, now)), [true, true, true, false]);
        let mut bucket = Bucket::default();
        assert!([(); 3].iter().all(|()| bucket.take(RATE, now)));
        for tick in 1..100 {
            assert!(bucket.take(RATE, now + tick * SECOND / 2));
        }
        assert!(!bucket.take(RATE, now + 99 * SECOND / 2));
    }

    #[test]
    fn takes_back_what_was_earned_and_no_more_than_it_holds() {
        let mut bucket = Bucket::default();
        let now = 1_000 * SECOND;
        for _ in 0..100 {
            assert!(bucket.take(RATE, now));
            bucket.earn(RATE, 1);
        }
        bucket.earn(RATE, 1000);
        assert_eq!([(); 4].map(|()| bucket.take(RATE, now)), [true, true, true, false]);
    }
}
