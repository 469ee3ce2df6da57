//! The verdict on one server: may it get new traffic, and why (not).
//!
//! Two witnesses are heard. Probes come at their own pace and need `rise` or `fall` in a row to change a
//! verdict, so that one lost probe takes nobody out. Real requests see trouble first: a refused connection, or
//! a name that has no address, takes a server out at once, `failures` of the server's own failures within
//! `window` do too. A verdict that came from requests is held for `hold` before probes may overturn it, or
//! else a server whose port still accepts would be back before the failing requests are forgotten.
//!
//! A server about which nothing is known yet gets traffic, unless `startDown` says otherwise. Where there
//! are no probes to bring a server back, [`Health::tick`] returns it to unknown when `hold` is over. One that
//! comes and goes is held out although its probes are good: it is unstable. Only changes between up and down
//! count for that; without probes nobody sees a server well, so nothing is damped. What is remembered of a
//! server takes 35,200 bytes at the most, about 8,500 as a rule, and 16 for each failure in the window.

mod damping;
mod history;
mod observation;
mod outlook;
mod rules;
mod uptime;
mod verdict;

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use loadweaver_config::{FlapDamping, HealthCheck, PassiveHealth};

use crate::admission::Standing;
use crate::failure::{Blame, Failure};

use damping::Penalty;
use history::History;
use observation::Presence;
use rules::Rules;
use uptime::Uptime;

pub use history::{Entry, HISTORY, Happened, Quantiles, Trend};
pub use observation::{Cause, Observation, ProbeFailure, ProbeFault};
pub use outlook::Outlook;
pub use uptime::{DAY_STEP, Window};
pub use verdict::{State, Transition};

/// The verdict on one server, and the evidence for it.
#[derive(Debug, Clone)]
pub struct Health {
    rules: Arc<Rules>,
    state: State,
    reason: String,
    since: Duration,
    /// Whether an unknown server gets traffic, where that was decided under other probes.
    inherited: Option<bool>,
    /// Probes do not count before this time.
    held_until: Duration,
    /// Good probes in a row, or bad ones; one of the two is always 0.
    good: u32,
    bad: u32,
    /// When requests failed, oldest first; only as many as can take the server out.
    failed: VecDeque<Duration>,
    /// What the last evidence says of whether somebody is there.
    presence: Presence,
    penalty: Penalty,
    history: History,
    uptime: Uptime,
    transitions: u64,
}

impl Health {
    /// A server that nothing is known of.
    pub fn new(probes: &HealthCheck, passive: &PassiveHealth, damping: &FlapDamping) -> Self {
        Self {
            rules: Arc::new(Rules::new(probes, passive, damping)),
            state: State::Unknown,
            reason: "no verdict yet".to_owned(),
            since: Duration::ZERO,
            inherited: None,
            held_until: Duration::ZERO,
            good: 0,
            bad: 0,
            failed: VecDeque::new(),
            presence: Presence::Somebody,
            penalty: Penalty::default(),
            history: History::default(),
            uptime: Uptime::default(),
            transitions: 0,
        }
    }

    /// How often the verdict has changed.
    pub fn transitions(&self) -> u64 {
        self.transitions
    }

    /// The same server under other rules. History, uptime and penalty go on. The verdict stays where probes
    /// still ask the same; otherwise it is unknown again, and until the first new one the server gets traffic
    /// if it did before (always, where nothing probes it any more).
    #[must_use]
    pub fn succeed(
        mut self,
        probes: &HealthCheck,
        passive: &PassiveHealth,
        damping: &FlapDamping,
        now: Duration,
    ) -> Self {
        self.go_on_under(probes, passive, damping, now);
        self
    }

    /// [`Health::succeed`], in its place.
    pub fn go_on_under(
        &mut self,
        probes: &HealthCheck,
        passive: &PassiveHealth,
        damping: &FlapDamping,
        now: Duration,
    ) {
        if self.rules.are(probes, passive, damping) {
            return;
        }
        let (eligible, same) = (self.eligible(), self.rules.ask_like(probes));
        self.rules = Arc::new(Rules::new(probes, passive, damping));
        while self.failed.len() > self.rules.failures {
            self.failed.pop_front();
        }
        if same {
            return;
        }
        let knows_something = self.state != State::Unknown || self.inherited.is_some();
        if self.state != State::Unknown {
            self.enter(State::Unknown, "the health check was changed".to_owned(), now);
        }
        self.inherited = (self.rules.probing && knows_something).then_some(eligible);
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

    /// Whether its health lets the server have new traffic: it is up, or unknown and not told to start down.
    /// The pool has the last word: see [`admit`](crate::admission::admit).
    pub fn eligible(&self) -> bool {
        match self.state {
            State::Up => true,
            State::Unknown => self.inherited.unwrap_or(!self.rules.start_down),
            State::Down | State::Unstable => false,
        }
    }

    /// Whether the server is out and the last evidence is that nobody is there: the connection was refused or
    /// impossible, or the name has no address. This can change without a transition.
    pub fn is_unreachable(&self) -> bool {
        self.standing() == Standing::Unreachable
    }

    /// How the server stands before its pool decides. This can change without a transition, so compare before
    /// and after [`observe`](Self::observe) and [`tick`](Self::tick).
    pub fn standing(&self) -> Standing {
        match (self.state, self.presence) {
            (State::Up, _) => Standing::Well,
            (State::Unstable, _) => Standing::Unstable,
            (State::Unknown, _) if self.eligible() => Standing::Well,
            (State::Unknown, _) if self.inherited.is_none() => Standing::Waiting,
            (State::Unknown | State::Down, Presence::Somebody) => Standing::Sick,
            (State::Unknown | State::Down, Presence::Nobody) => Standing::Unreachable,
        }
    }

    /// How long after this probe's begin the next one is due, before jitter: `interval` as a rule;
    /// `fastInterval` around a change, that is until `rise` good probes or, while the server is down, `rise`
    /// bad ones have come in a row; then, while it stays down, doubling from `interval` to `maxInterval`.
    ///
    /// `fastInterval` counts as `interval` where it is longer, `maxInterval` where it is shorter.
    pub fn next_probe_in(&self, now: Duration) -> Duration {
        let Rules { rise, pace, .. } = &*self.rules;
        let held = self.held_until.saturating_sub(now);
        if !held.is_zero() {
            // Probes do not count yet. The first one that does should not be late.
            return held.clamp(pace.fast, pace.interval);
        }
        match self.state {
            State::Unknown if self.bad == 0 => pace.interval,
            State::Unknown => pace.fast,
            State::Up | State::Unstable if self.good < *rise => pace.fast,
            State::Up | State::Unstable => pace.interval,
            State::Down if self.bad < *rise => pace.fast,
            State::Down => pace.backed_off(self.bad - rise),
        }
    }

    /// The last [`HISTORY`] probes and transitions together, oldest first.
    pub fn history(&self) -> impl ExactSizeIterator<Item = &Entry> + DoubleEndedIterator {
        self.history.iter()
    }

    /// The share of the time in which the server was neither down nor unstable, of the time in which it was
    /// known; none if it never was. How exact that is stands with [`Window`].
    pub fn uptime(&self, now: Duration, window: Window) -> Option<f64> {
        self.uptime.share(window, self.state, now)
    }

    /// The last 24 hours in steps of [`DAY_STEP`], the oldest first and the one that runs last: of each the share of its
    /// known time in which the server was neither down nor unstable; none where nothing was known.
    pub fn day(&self, now: Duration) -> Vec<Option<f64>> {
        self.uptime.day(self.state, now)
    }

    /// Whether good probes have become slower; none without a good probe.
    pub fn trend(&self) -> Option<Trend> {
        self.history.trend()
    }

    /// Takes an observation into account; says so if that changes the verdict.
    pub fn observe(&mut self, observation: Observation, now: Duration) -> Option<Transition> {
        self.presence = observation.presence().unwrap_or(self.presence);
        match observation {
            Observation::ProbeOk { latency, status } => match self.rules.max_latency() {
                Some(limit) if latency > limit => {
                    // The history has the latency already: with a text of its own for each it would grow.
                    let told = format!("took longer than {limit:?}");
                    self.history.probe_failed((ProbeFault::Slow, &told), latency, status, now);
                    self.probe_failed(&ProbeFailure::Slow { latency, limit }, now)
                }
                _ => {
                    self.history.probe_ok(latency, status, now);
                    self.probe_ok(now)
                }
            },
            Observation::ProbeFailed { failure, latency } => {
                let told = (failure.fault(), &*failure.to_string());
                self.history.probe_failed(told, latency, failure.status(), now);
                self.probe_failed(&failure, now)
            }
            Observation::ConnectRefused | Observation::RequestFailed(Failure::ConnectRefused) => {
                self.unreachable(Failure::ConnectRefused, "connection refused", now)
            }
            Observation::RequestFailed(Failure::ResolveFailed) => {
                self.unreachable(Failure::ResolveFailed, "name cannot be resolved", now)
            }
            Observation::RequestFailed(failure) => {
                if failure.blame() == Blame::Server {
                    self.request_failed(Cause::Request(failure), &failure, now)
                } else {
                    None
                }
            }
            Observation::StatusFailed(status) => {
                if self.rules.on_status().iter().any(|range| range.contains(status)) {
                    self.request_failed(Cause::Status, &format_args!("status {status}"), now)
                } else {
                    None
                }
            }
            Observation::ProcessEnded(how) => self.process_ended(how, now),
        }
    }

    /// Lets in a server that was unstable for long enough. Returns one to unknown that requests took out when
    /// its `hold` is over and there are no probes that could bring it back; does nothing else there.
    pub fn tick(&mut self, now: Duration) -> Option<Transition> {
        match self.state {
            State::Unstable => self.forgive(now),
            State::Down if !self.rules.probing && now >= self.held_until => {
                let reason = format!("out for {:?}, tried again", self.rules.hold());
                Some(self.enter(State::Unknown, reason, now))
            }
            State::Down | State::Up | State::Unknown => None,
        }
    }

    /// Ends the hold of a server that came and went.
    fn forgive(&mut self, now: Duration) -> Option<Transition> {
        if self.penalty.holds(&self.rules.damping, now) {
            return None;
        }
        let out = Duration::from_secs(now.saturating_sub(self.since).as_secs());
        // Its run of good probes goes on, or else they would come fast again.
        let good = self.good;
        let transition = self.enter(State::Up, format!("held out for {out:?} and stayed well"), now);
        self.good = good;
        Some(transition)
    }

    fn probe_ok(&mut self, now: Duration) -> Option<Transition> {
        if now < self.held_until {
            return None;
        }
        self.bad = 0;
        self.good = self.good.saturating_add(1);
        match self.state {
            State::Unknown => Some(self.come_in("first probe succeeded".to_owned(), now)),
            State::Down if self.good >= self.rules.rise => {
                let reason = match self.rules.rise {
                    1 => "probe succeeded".to_owned(),
                    rise => format!("{rise} probes in a row succeeded"),
                };
                Some(self.come_in(reason, now))
            }
            State::Unstable => self.forgive(now),
            State::Down | State::Up => None,
        }
    }

    fn probe_failed(&mut self, failure: &ProbeFailure, now: Duration) -> Option<Transition> {
        if now < self.held_until {
            return None;
        }
        self.good = 0;
        self.bad = self.bad.saturating_add(1);
        // A server that was never seen well and cannot be reached at all needs no second opinion, unless it gets no
        // traffic anyway: then it may still be starting, and nobody need be told.
        let waits = self.rules.start_down && self.inherited.is_none();
        let plain = self.state == State::Unknown && self.presence == Presence::Nobody && !waits;
        match self.state {
            State::Down => {
                self.reason = format!("probe failed: {failure}");
                None
            }
            State::Unknown | State::Up | State::Unstable if plain || self.bad >= self.rules.fall => {
                let reason = match self.bad {
                    1 => format!("probe failed: {failure}"),
                    bad => format!("{bad} probes in a row failed: {failure}"),
                };
                Some(self.go_out(Cause::Probe(failure.fault()), reason, now))
            }
            State::Unknown | State::Up | State::Unstable => None,
        }
    }

    /// No request can get there, so one witness is enough.
    fn unreachable(&mut self, failure: Failure, reason: &str, now: Duration) -> Option<Transition> {
        if self.rules.failures == 0 || self.state == State::Down {
            return None;
        }
        Some(self.hold_out(Cause::Request(failure), reason.to_owned(), now))
    }

    /// This needs no second witness either, and probes may say at once that there is somebody again: requests
    /// only found out what is known now. Without probes `hold` is the time that a new process gets to start.
    fn process_ended(&mut self, how: String, now: Duration) -> Option<Transition> {
        let hold = if self.rules.probing { Duration::ZERO } else { self.rules.hold() };
        self.held_until = now.saturating_add(hold);
        if self.state == State::Down {
            self.reason = how;
            (self.good, self.bad) = (0, 0);
            return None;
        }
        Some(self.go_out(Cause::Process, how, now))
    }

    fn request_failed(
        &mut self,
        cause: Cause,
        failure: &dyn fmt::Display,
        now: Duration,
    ) -> Option<Transition> {
        let (failures, window) = (self.rules.failures, self.rules.window());
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
        let reason = format!("{failures} requests failed within {window:?}, the last: {failure}");
        Some(self.hold_out(cause, reason, now))
    }

    /// Takes the server out on the word of requests.
    fn hold_out(&mut self, cause: Cause, reason: String, now: Duration) -> Transition {
        self.held_until = now.saturating_add(self.rules.hold());
        self.go_out(cause, reason, now)
    }

    fn go_out(&mut self, cause: Cause, reason: String, now: Duration) -> Transition {
        if matches!(self.state, State::Up | State::Unstable) {
            self.penalty.add(&self.rules.damping, now);
        }
        Transition { cause: Some(cause), ..self.enter(State::Down, reason, now) }
    }

    /// Brings the server in, unless it has come and gone too often.
    fn come_in(&mut self, reason: String, now: Duration) -> Transition {
        let damping = &self.rules.damping;
        if self.state == State::Down {
            self.penalty.add(damping, now);
        }
        if !self.penalty.is_over(damping, now) {
            return self.enter(State::Up, reason, now);
        }
        let hold = Duration::from_secs(self.penalty.hold(damping, now).as_secs());
        let (penalty, limit) = (self.penalty.now(damping, now), damping.limit);
        let why = format!(
            "{reason}, but it comes and goes (penalty {penalty:.1}, limit {limit}): held out for {hold:?}"
        );
        self.enter(State::Unstable, why, now)
    }

    fn enter(&mut self, to: State, reason: String, now: Duration) -> Transition {
        self.uptime.advance(self.state, now);
        let from = std::mem::replace(&mut self.state, to);
        self.history.changed(from, to, &reason, now);
        self.reason.clone_from(&reason);
        self.since = now;
        self.transitions += 1;
        self.inherited = None;
        self.good = 0;
        self.bad = 0;
        self.failed.clear();
        Transition { from, to, reason, cause: None }
    }
}

#[cfg(test)]
mod tests;
