//! What the verdict on a server hangs on, for whoever wants to know what would change it.

use std::time::Duration;

use super::{Health, State};

/// What would change a verdict, and how far that has come.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outlook {
    /// Whether there are probes at all.
    pub probing: bool,
    /// Good probes in a row so far; the first of a server about which nothing is known brings it in.
    pub good: u32,
    /// As many bring a server back that is down.
    pub rise: u32,
    /// Bad probes in a row so far.
    pub bad: u32,
    /// As many take a server out.
    pub fall: u32,
    /// Failed requests of the last `window`.
    pub failed: usize,
    /// As many take a server out; 0 is none.
    pub failures: usize,
    /// How far back failed requests count.
    pub window: Duration,
    /// How long probes do not count yet, or, where there are none, how long the server is out.
    pub held_for: Duration,
    /// How long a server that comes and goes is held out: of one that is unstable from now on, of one that is down
    /// from when it would be well again, if that were now. Zero is not at all.
    pub damped_for: Duration,
}

impl Health {
    /// What would change the verdict.
    pub fn outlook(&self, now: Duration) -> Outlook {
        let rules = &*self.rules;
        let window = rules.window();
        Outlook {
            probing: rules.probing,
            good: self.good,
            rise: rules.rise,
            bad: self.bad,
            fall: rules.fall,
            failed: self.failed.iter().filter(|&&at| now.saturating_sub(at) < window).count(),
            failures: rules.failures,
            window,
            held_for: self.held_until.saturating_sub(now),
            damped_for: self.damped_for(now),
        }
    }

    fn damped_for(&self, now: Duration) -> Duration {
        let damping = &self.rules.damping;
        match self.state {
            State::Unstable if self.penalty.holds(damping, now) => self.penalty.hold(damping, now),
            State::Down => {
                let mut penalty = self.penalty;
                penalty.add(damping, now);
                if penalty.is_over(damping, now) { penalty.hold(damping, now) } else { Duration::ZERO }
            }
            State::Unstable | State::Up | State::Unknown => Duration::ZERO,
        }
    }
}
