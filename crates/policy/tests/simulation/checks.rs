//! What has to hold at each step.

use std::time::Duration;

use loadweaver_config::Algorithm;
use loadweaver_policy::admission::Standing;
use loadweaver_policy::health::{State, Transition};

use super::world::{Exchange, HEALED, Truth, World, ms};

/// A server that lets no probe through is out after this: three probes, their jitter, and a time-out.
const FOUND_OUT: Duration = ms(6_000);
/// A server that is well again is back after this: the last bad attempt, five seconds of hold, the longest wait
/// for a probe, two probes, and six seconds until the greatest penalty is forgotten.
const FORGIVEN: Duration = ms(20_000);
/// What was bad longer ago than this is no reason any more: the window of passive health, and three probes.
const FORGOTTEN: Duration = ms(14_000);

impl World {
    /// The pick is one that was allowed, and there is none only where none was.
    pub(crate) fn check_pick(&self, exchange: &Exchange, picked: Option<usize>) {
        let allowed = |index: &usize| {
            let server = &self.servers[*index];
            self.shares[*index] > 0
                && server.weight > 0
                && server.active < server.limit
                && !exchange.tried.contains(index)
        };
        let all: Vec<usize> = (0..self.servers.len()).filter(allowed).collect();
        match picked {
            None => assert!(all.is_empty(), "{all:?} could have been picked for {exchange:?}"),
            Some(index) => assert!(all.contains(&index), "{index} was picked, allowed were {all:?}"),
        }
        if let (Algorithm::LeastConnections, Some(index)) = (self.algorithm, picked) {
            let load = |index: usize| {
                let server = &self.servers[index];
                f64::from(server.active) / f64::from(server.weight) / f64::from(self.shares[index])
            };
            assert!(all.iter().all(|&other| load(index) <= load(other) + 1e-12), "{index} is not the least");
        }
    }

    /// What a server may have acted on goes to no second one unless that is harmless.
    pub(crate) fn check_exchange(&self, exchange: &Exchange) {
        let attempts = u32::try_from(exchange.tried.len()).unwrap();
        assert!(attempts <= self.retry.attempts, "{exchange:?}");
        assert!(exchange.idempotent || exchange.reached <= 1, "sent twice: {exchange:?}");
    }

    /// The retry just made was within the floor of its second or the share of its ten seconds.
    pub(crate) fn check_budget(&self) {
        let second = self.now.as_secs();
        let count =
            |times: &[u64], from: u64| times.iter().rev().take_while(|&&at| at >= from).count() as u64;
        let from = second.saturating_sub(9);
        let share = count(&self.requests_at, from) * u64::from(self.retry.budget_percent);
        let in_floor = count(&self.retries_at, second) <= u64::from(self.retry.budget_floor);
        assert!(
            in_floor || count(&self.retries_at, from) * 100 <= share,
            "too many retries in second {second}"
        );
    }

    pub(crate) fn check_change(&self, index: usize, change: &Transition) {
        let server = &self.servers[index];
        assert_ne!(change.from, change.to);
        let reason = server.truth != Truth::Well || server.last_bad + FORGOTTEN > self.now;
        assert!(change.to != State::Down || reason, "{index} was taken out for nothing: {change:?}");
    }

    /// Verdicts follow the truth, in time.
    pub(crate) fn check_servers(&self) {
        for (index, server) in self.servers.iter().enumerate() {
            let since = self.now.saturating_sub(server.truth_since.max(self.reloaded_at));
            let eligible = server.health.eligible();
            match server.truth {
                Truth::Well if since > FORGIVEN => {
                    assert!(
                        eligible,
                        "{index} is well since {since:?} and still out: {}",
                        server.health.reason()
                    );
                }
                Truth::Refuses | Truth::Hangs if self.probing && since > FOUND_OUT => {
                    assert!(!eligible, "{index} {:?} since {since:?} and is still in", server.truth);
                }
                _ => {}
            }
        }
    }

    /// Nobody who is up is held back for good, and nobody who cannot take traffic gets any.
    pub(crate) fn check_shares(&self) {
        let standings = self.standings();
        let up = |standing: &Standing| matches!(standing, Standing::Well | Standing::Unstable);
        assert!(self.shares.iter().any(|&share| share > 0) || !standings.iter().any(up));
        for (&share, standing) in self.shares.iter().zip(standings) {
            match standing {
                Standing::Well => assert!((100..=1_000).contains(&share)),
                Standing::Away | Standing::Waiting | Standing::Unreachable => assert_eq!(share, 0),
                Standing::Unstable => {}
                Standing::Sick => assert!(share == 0 || self.panic_percent > 0),
            }
        }
    }

    pub(crate) fn check_failed(exchange: &Exchange) {
        assert!(exchange.arrived < HEALED, "failed though every server is well: {exchange:?}");
    }

    /// All came to an end, and nothing is left over.
    pub(crate) fn check_the_end(&self) {
        assert_eq!(self.served + self.failed, self.requests_at.len() as u64, "every exchange ends once");
        assert!(self.servers.iter().all(|server| server.active == 0));
        assert!(self.servers.iter().all(|server| server.health.eligible()));
    }
}
