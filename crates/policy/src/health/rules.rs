//! What the operator wants of verdicts, laid out for them.

use std::time::Duration;

use loadweaver_config::{FlapDamping, HealthCheck, PassiveHealth, ProbeKind, StatusRange};

/// Most failures that a window keeps; a higher `failures` counts as this. Each is 16 bytes per server.
const WINDOW_LIMIT: usize = 1_000;

/// One for all servers of a pool that began with it.
#[derive(Debug)]
pub(super) struct Rules {
    check: HealthCheck,
    passive: PassiveHealth,
    pub(super) damping: FlapDamping,
    pub(super) probing: bool,
    pub(super) rise: u32,
    pub(super) fall: u32,
    pub(super) start_down: bool,
    /// Failures of requests that take a server out; 0 is off.
    pub(super) failures: usize,
    pub(super) pace: Pace,
}

/// From one probe of a server to the next: `fast` is the shortest, `longest` the longest.
#[derive(Debug)]
pub(super) struct Pace {
    pub(super) fast: Duration,
    pub(super) interval: Duration,
    longest: Duration,
}

impl Rules {
    pub(super) fn new(check: &HealthCheck, passive: &PassiveHealth, damping: &FlapDamping) -> Self {
        let probing = check.kind != ProbeKind::Off;
        let interval = check.interval;
        Self {
            probing,
            rise: check.rise.max(1),
            fall: check.fall.max(1),
            // Without probes nothing would ever bring such a server in.
            start_down: check.start_down && probing,
            failures: usize::try_from(passive.failures).unwrap_or(usize::MAX).min(WINDOW_LIMIT),
            pace: Pace {
                // An interval may be set without a look at the other two.
                fast: check.fast_interval.min(interval),
                interval,
                longest: check.max_interval.max(interval),
            },
            check: check.clone(),
            passive: passive.clone(),
            damping: damping.clone(),
        }
    }

    pub(super) fn are(&self, check: &HealthCheck, passive: &PassiveHealth, damping: &FlapDamping) -> bool {
        self.check == *check && self.passive == *passive && self.damping == *damping
    }

    /// Whether these probes ask the same question. How often, how many in a row and how long they wait is
    /// not part of it.
    pub(super) fn ask_like(&self, check: &HealthCheck) -> bool {
        let pace_set_aside = HealthCheck {
            interval: self.check.interval,
            timeout: self.check.timeout,
            rise: self.check.rise,
            fall: self.check.fall,
            start_down: self.check.start_down,
            fast_interval: self.check.fast_interval,
            max_interval: self.check.max_interval,
            ..check.clone()
        };
        self.check == pace_set_aside
    }

    pub(super) fn max_latency(&self) -> Option<Duration> {
        self.check.max_latency
    }

    pub(super) fn window(&self) -> Duration {
        self.passive.window
    }

    pub(super) fn hold(&self) -> Duration {
        self.passive.hold
    }

    pub(super) fn on_status(&self) -> &[StatusRange] {
        &self.passive.on_status
    }
}

impl Pace {
    /// The interval, doubled so many times.
    pub(super) fn backed_off(&self, times: u32) -> Duration {
        let factor = 1_u32.checked_shl(times).unwrap_or(u32::MAX);
        self.interval.saturating_mul(factor).min(self.longest)
    }
}
