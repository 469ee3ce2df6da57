//! When a pool's recovery holds: most of the pool went out at once.

use std::time::Duration;

use super::super::case::{Case, Phase};
use super::{Order, Ward};

/// Servers that go out within this time of each other go out at once. Probes find out within `fall` intervals.
const AT_ONCE: Duration = Duration::from_mins(1);
/// Fewer than this are never most of a pool.
const MOST_IS_AT_LEAST: usize = 2;

/// Why nothing is begun for anybody who is only down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::recovery) struct Hold {
    pub(in crate::recovery) since: Duration,
    pub(in crate::recovery) reason: String,
}

impl Ward {
    pub(super) fn look_for_a_storm(&mut self, now: Duration) {
        let total = self.cases.values().filter(|case| case.active).count();
        let fresh = |case: &&Case| {
            let recent = case.out_since.is_some_and(|since| now.saturating_sub(since) <= AT_ONCE);
            case.active && recent && !case.ended_itself
        };
        let out = self.cases.values().filter(fresh).count();
        if self.held.is_some() || out < MOST_IS_AT_LEAST || out * 2 <= total || !self.heals() {
            return;
        }
        let reason = format!(
            "{out} of {total} servers went down within {AT_ONCE:?}, so the fault is likely elsewhere; recovery \
             waits until half of the pool is well again or it is triggered"
        );
        self.orders.push(Order::Held { reason: reason.clone() });
        self.held = Some(Hold { since: now, reason });
    }

    /// Whether any server of the pool has a recovery.
    fn heals(&self) -> bool {
        self.cases.values().any(|case| case.rules.is_some())
    }

    /// After a hold the servers that are still down get `after` once more: what ended the fault elsewhere needs a
    /// moment to reach them too.
    pub(super) fn look_for_an_end_of_the_hold(&mut self, now: Duration) {
        let total = self.cases.values().filter(|case| case.active).count();
        let out = self.cases.values().filter(|case| case.active && case.out_since.is_some()).count();
        if out * 2 > total || self.held.take().is_none() {
            return;
        }
        for case in self.cases.values_mut() {
            let after = case.rules.as_ref().map_or(Duration::ZERO, |rules| rules.after);
            if let Phase::Waiting { until } = &mut case.phase
                && !case.gone
            {
                *until = (*until).max(now + after);
            }
        }
    }
}
