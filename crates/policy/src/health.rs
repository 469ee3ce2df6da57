//! The verdict on one server: may it get new traffic, and why (not).
//!
//! Two witnesses are heard. Probes come at their own pace and need `rise` or `fall` in a row to change a
//! verdict, so that one lost probe takes nobody out. Real requests see trouble first: a refused connection, or
//! a name that has no address, takes a server out at once, `failures` of the server's own failures within
//! `window` do too. A verdict that came from requests is held for `hold` before probes may overturn it, or
//! else a server whose port still accepts would be back before the failing requests are forgotten.
//!
//! A server about which nothing is known yet gets traffic, unless `startDown` says otherwise. Where there
//! are no probes to bring a server back, [`Health::tick`] returns it to unknown when `hold` is over.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use loadweaver_config::{HealthCheck, PassiveHealth, ProbeKind, StatusRange};

use crate::failure::{Blame, Failure};

/// Most failures that a window keeps; a higher `failures` counts as this. Each is 16 bytes per server.
const WINDOW_LIMIT: usize = 1_000;

/// Something that was seen of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Observation {
    /// A probe was answered as it should be, after `latency`.
    ProbeOk {
        /// From the start of the probe to its verdict.
        latency: Duration,
    },
    /// A probe was not answered as it should be.
    ProbeFailed(ProbeFailure),
    /// The server refused the connection of an attempt.
    ConnectRefused,
    /// An attempt failed.
    RequestFailed(Failure),
    /// An attempt was answered with this status; it counts if `passiveHealth.onStatus` lists it.
    StatusFailed(u16),
}

/// What was wrong with a probe. `Display` is the text for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeFailure {
    /// No connection, for the reason that the system gave.
    Connect(String),
    /// No whole answer within `healthCheck.timeout`.
    Timeout,
    /// A status outside `healthCheck.expectStatus`.
    Status(u16),
    /// Answered well, but slower than `healthCheck.maxLatency`.
    Slow {
        /// What it took.
        latency: Duration,
        /// What was allowed.
        limit: Duration,
    },
    /// An answer that is no HTTP, or none that we can read.
    BadAnswer(String),
    /// The server's name has no address.
    Resolve(String),
}

impl fmt::Display for ProbeFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(cause) => write!(f, "cannot connect: {cause}"),
            Self::Timeout => f.write_str("no answer in time"),
            Self::Status(status) => write!(f, "answered with status {status}"),
            Self::Slow { latency, limit } => write!(f, "took {latency:?}, allowed are {limit:?}"),
            Self::BadAnswer(cause) => write!(f, "bad answer: {cause}"),
            Self::Resolve(cause) => write!(f, "name cannot be resolved: {cause}"),
        }
    }
}

/// What is believed of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// No verdict yet.
    Unknown,
    /// Well.
    Up,
    /// Out.
    Down,
}

/// A change of a verdict: one log line and one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    /// What was believed.
    pub from: State,
    /// What is believed now.
    pub to: State,
    /// Why, for the operator.
    pub reason: String,
}

/// The verdict on one server, and the evidence for it.
#[derive(Debug, Clone)]
pub struct Health {
    rules: Rules,
    state: State,
    reason: String,
    since: Duration,
    /// Probes do not count before this time.
    held_until: Duration,
    /// Good probes in a row, or bad ones; one of the two is always 0.
    good: u32,
    bad: u32,
    /// When requests failed, oldest first; only as many as can take the server out.
    failed: VecDeque<Duration>,
}

#[derive(Debug, Clone)]
struct Rules {
    probing: bool,
    rise: u32,
    fall: u32,
    max_latency: Option<Duration>,
    start_down: bool,
    /// Failures of requests that take a server out; 0 is off.
    failures: usize,
    window: Duration,
    on_status: Vec<StatusRange>,
    hold: Duration,
}

impl Health {
    /// A server that nothing is known of.
    pub fn new(probes: &HealthCheck, passive: &PassiveHealth) -> Self {
        let probing = probes.kind != ProbeKind::Off;
        Self {
            rules: Rules {
                probing,
                rise: probes.rise.max(1),
                fall: probes.fall.max(1),
                max_latency: probes.max_latency,
                // Without probes nothing would ever bring such a server in.
                start_down: probes.start_down && probing,
                failures: usize::try_from(passive.failures).unwrap_or(usize::MAX).min(WINDOW_LIMIT),
                window: passive.window,
                on_status: passive.on_status.clone(),
                hold: passive.hold,
            },
            state: State::Unknown,
            reason: "no verdict yet".to_owned(),
            since: Duration::ZERO,
            held_until: Duration::ZERO,
            good: 0,
            bad: 0,
            failed: VecDeque::new(),
        }
    }

    /// What is believed of the server.
    pub fn state(&self) -> State {
        self.state
    }

    /// Why, for the operator. While the server is down this is the latest cause, not the first.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// When the state was entered, since the process started.
    pub fn since(&self) -> Duration {
        self.since
    }

    /// Whether the server may get new traffic: it is up, or unknown and not told to start down.
    pub fn eligible(&self) -> bool {
        match self.state {
            State::Up => true,
            State::Unknown => !self.rules.start_down,
            State::Down => false,
        }
    }

    /// Takes an observation into account; says so if that changes the verdict.
    pub fn observe(&mut self, observation: Observation, now: Duration) -> Option<Transition> {
        match observation {
            Observation::ProbeOk { latency } => match self.rules.max_latency {
                Some(limit) if latency > limit => {
                    self.probe_failed(&ProbeFailure::Slow { latency, limit }, now)
                }
                _ => self.probe_ok(now),
            },
            Observation::ProbeFailed(failure) => self.probe_failed(&failure, now),
            Observation::ConnectRefused | Observation::RequestFailed(Failure::ConnectRefused) => {
                self.unreachable("connection refused", now)
            }
            Observation::RequestFailed(Failure::ResolveFailed) => {
                self.unreachable("name cannot be resolved", now)
            }
            Observation::RequestFailed(failure) => {
                if failure.blame() == Blame::Server {
                    self.request_failed(&failure, now)
                } else {
                    None
                }
            }
            Observation::StatusFailed(status) => {
                if self.rules.on_status.iter().any(|range| range.contains(status)) {
                    self.request_failed(&format_args!("status {status}"), now)
                } else {
                    None
                }
            }
        }
    }

    /// Returns a server to unknown when it was taken out by requests, its `hold` is over, and there are no
    /// probes that could bring it back. Does nothing where there are probes.
    pub fn tick(&mut self, now: Duration) -> Option<Transition> {
        if self.rules.probing || self.state != State::Down || now < self.held_until {
            return None;
        }
        Some(self.enter(State::Unknown, format!("out for {:?}, tried again", self.rules.hold), now))
    }

    fn probe_ok(&mut self, now: Duration) -> Option<Transition> {
        if now < self.held_until {
            return None;
        }
        self.bad = 0;
        self.good = self.good.saturating_add(1);
        match self.state {
            State::Unknown => Some(self.enter(State::Up, "first probe succeeded".to_owned(), now)),
            State::Down if self.good >= self.rules.rise => {
                let reason = match self.rules.rise {
                    1 => "probe succeeded".to_owned(),
                    rise => format!("{rise} probes in a row succeeded"),
                };
                Some(self.enter(State::Up, reason, now))
            }
            State::Down | State::Up => None,
        }
    }

    fn probe_failed(&mut self, failure: &ProbeFailure, now: Duration) -> Option<Transition> {
        if now < self.held_until {
            return None;
        }
        self.good = 0;
        self.bad = self.bad.saturating_add(1);
        // A server that was never seen well and cannot be reached at all needs no second opinion.
        let unreachable = matches!(failure, ProbeFailure::Connect(_) | ProbeFailure::Resolve(_));
        let plain = self.state == State::Unknown && unreachable;
        match self.state {
            State::Down => {
                self.reason = format!("probe failed: {failure}");
                None
            }
            State::Unknown | State::Up if plain || self.bad >= self.rules.fall => {
                let reason = match self.bad {
                    1 => format!("probe failed: {failure}"),
                    bad => format!("{bad} probes in a row failed: {failure}"),
                };
                Some(self.enter(State::Down, reason, now))
            }
            State::Unknown | State::Up => None,
        }
    }

    /// No request can get there, so one witness is enough.
    fn unreachable(&mut self, reason: &str, now: Duration) -> Option<Transition> {
        if self.rules.failures == 0 || self.state == State::Down {
            return None;
        }
        Some(self.hold_out(reason.to_owned(), now))
    }

    fn request_failed(&mut self, failure: &dyn fmt::Display, now: Duration) -> Option<Transition> {
        let Rules { failures, window, .. } = self.rules;
        if failures == 0 || self.state == State::Down {
            return None;
        }
        // Workers read the clock before they get here, so `now` may be a little older than the last one.
        while self.failed.front().is_some_and(|&at| now.saturating_sub(at) >= window) {
            self.failed.pop_front();
        }
        self.failed.push_back(now);
        if self.failed.len() < failures {
            return None;
        }
        Some(self.hold_out(format!("{failures} requests failed within {window:?}, the last: {failure}"), now))
    }

    /// Takes the server out on the word of requests.
    fn hold_out(&mut self, reason: String, now: Duration) -> Transition {
        self.held_until = now.saturating_add(self.rules.hold);
        self.enter(State::Down, reason, now)
    }

    fn enter(&mut self, to: State, reason: String, now: Duration) -> Transition {
        let from = std::mem::replace(&mut self.state, to);
        self.reason.clone_from(&reason);
        self.since = now;
        self.good = 0;
        self.bad = 0;
        self.failed.clear();
        Transition { from, to, reason }
    }
}

#[cfg(test)]
mod tests;
