//! How much a server gets while it is new: its caches are cold and its pools empty, so a full share at once
//! may well take it out again.
//!
//! The share grows in a straight line from a tenth, in steps of a twentieth. Each step is a new table for the
//! algorithm, and steps that have much in common keep the tables short.

use std::time::Duration;

use crate::balance::FULL_SHARE;

/// The share at the start.
const FIRST: u16 = 100;

/// What a share is a multiple of.
const STEP: u16 = 50;

/// The share, for [`Balancer::publish`](crate::balance::Balancer::publish), of a server that came in
/// `since_up` ago, where it may take `slow_start` to get its full one; 0 is at once.
pub fn share(since_up: Duration, slow_start: Duration) -> u16 {
    if since_up >= slow_start {
        return FULL_SHARE;
    }
    let steps = u128::from((FULL_SHARE - FIRST) / STEP);
    // Below `steps`, since the time is below `slow_start`.
    let taken = since_up.as_nanos() * steps / slow_start.as_nanos();
    FIRST + u16::try_from(taken).unwrap_or(0) * STEP
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn grows_from_a_tenth_to_all() {
        let at = |seconds| share(s(seconds), s(180));
        assert_eq!([0, 9, 10, 90, 179, 180, 999].map(at), [100, 100, 150, 550, 950, 1_000, 1_000]);
    }

    #[test]
    fn without_slow_start_everything_at_once() {
        assert_eq!(share(Duration::ZERO, Duration::ZERO), 1_000);
    }

    proptest! {
        #[test]
        fn is_within_a_step_below_the_straight_line(up in 0_u64..2_000_000, slow in 1_u64..2_000_000) {
            let share = u64::from(share(Duration::from_millis(up), Duration::from_millis(slow)));
            let line = 100 + 900 * up.min(slow) / slow;
            prop_assert!(share <= line && line - share <= 50, "{} for {}", share, line);
        }
    }
}
