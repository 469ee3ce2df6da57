//! One server's case: how it is, where its recovery stands, and what came of the attempts before.

use std::collections::VecDeque;
use std::time::Duration;

use loadweaver_config::Recovery;

/// Attempts that are remembered of a server, with up to 4 KiB of output each.
const REMEMBERED: usize = 5;

/// A server, as its recovery sees it. Times count from the start of the process.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, none of which rules out another")]
pub(super) struct Case {
    /// What to do for it; none for a server that only counts when it is asked how many have failed.
    pub(super) rules: Option<Recovery>,
    /// Where it listens: a server with the same id elsewhere is another server.
    pub(super) address: String,
    /// Neither drained nor in maintenance: nobody else is at work on it.
    pub(super) active: bool,
    /// The verdict of its health: not down.
    pub(super) well: bool,
    /// It comes and goes, and is held out for that: no restart is due, and no attempt was good.
    pub(super) unstable: bool,
    /// Why it is out, or was.
    pub(super) reason: String,
    /// Since when it is out, by its verdict or because its process ended.
    pub(super) out_since: Option<Duration>,
    /// Since when it is well again.
    pub(super) well_since: Option<Duration>,
    /// It is a process of ours that ended and was not started again yet.
    pub(super) gone: bool,
    /// It went out because its process ended: no fault that lies elsewhere.
    pub(super) ended_itself: bool,
    pub(super) phase: Phase,
    /// Attempts in a row, good ones included, since it was last well for a while.
    pub(super) made: u32,
    /// When the last attempt ended.
    pub(super) last_end: Option<Duration>,
    pub(super) totals: Totals,
    /// The last attempts, the newest last.
    pub(super) last: VecDeque<Attempt>,
}

/// Where the recovery of a server stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Phase {
    /// There is nothing to do.
    Idle,
    /// The next attempt begins at this time, or as soon as it may.
    Waiting {
        until: Duration,
    },
    UnderWay(UnderWay),
    /// As many attempts as may be were made, and it is still down.
    GivenUp,
}

/// An attempt whose outcome is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct UnderWay {
    /// Tells the end of this attempt's action from that of an earlier one.
    pub(super) ticket: u64,
    pub(super) number: u32,
    pub(super) began: Duration,
    /// Whether it was down at any time since the attempt began: only then does being well prove anything.
    pub(super) seen_down: bool,
    pub(super) stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// The action goes on.
    Acting,
    /// The action is done; the server has until then to get well.
    Watching { acted: Duration, until: Duration },
}

/// Why an attempt was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// The server was down for as long as was asked.
    Down,
    /// Its process ended.
    Exit,
    /// An operator said so.
    Operator,
}

impl Cause {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Exit => "exit",
            Self::Operator => "operator",
        }
    }
}

/// An attempt as it is remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Attempt {
    pub(super) number: u32,
    pub(super) cause: Cause,
    /// Why the server was out.
    pub(super) reason: String,
    pub(super) began: Duration,
    /// From its beginning to its outcome.
    pub(super) took: Option<Duration>,
    pub(super) outcome: Outcome,
    /// The end of what the action had to say.
    pub(super) output: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    Open,
    Succeeded,
    Failed(String),
    /// The configuration changed or the node ended: says nothing about the action.
    CutShort(String),
}

/// Attempts, added up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) attempts: u64,
    pub(super) successes: u64,
    pub(super) failures: u64,
    /// How long the servers that attempts brought back had been out, all together.
    pub(super) out: Duration,
}

impl Totals {
    /// Successes as a share of the attempts that ended by themselves.
    pub(super) fn rate(&self) -> Option<f64> {
        let decided = self.successes.checked_add(self.failures).filter(|decided| *decided > 0)?;
        Some(ratio(self.successes, decided))
    }

    /// From going out to being well, over all successes.
    pub(super) fn mean_time_to_recover(&self) -> Option<Duration> {
        let successes = u32::try_from(self.successes).ok().filter(|successes| *successes > 0)?;
        Some(self.out / successes)
    }
}

/// Exact for every count that a recovery can reach.
fn ratio(part: u64, whole: u64) -> f64 {
    let exact = |count: u64| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    exact(part) / exact(whole)
}

impl Case {
    pub(super) fn new(rules: Option<Recovery>, address: String, active: bool) -> Self {
        Self {
            rules,
            address,
            active,
            well: true,
            unstable: false,
            reason: String::new(),
            out_since: None,
            well_since: None,
            gone: false,
            ended_itself: false,
            phase: Phase::Idle,
            made: 0,
            last_end: None,
            totals: Totals::default(),
            last: VecDeque::new(),
        }
    }

    /// Takes note that the server is out. One that was well for as long as the longest pause starts over.
    pub(super) fn go_out(&mut self, reason: String, now: Duration) {
        self.reason = reason;
        if self.out_since.is_some() {
            return;
        }
        self.out_since = Some(now);
        let long = self.rules.as_ref().map_or(Duration::ZERO, |rules| rules.max_backoff);
        if self.well_since.take().is_some_and(|since| now.saturating_sub(since) >= long) {
            self.made = 0;
        }
    }

    /// Takes note that the server is well.
    pub(super) fn come_back(&mut self, now: Duration) {
        self.out_since = None;
        self.ended_itself = false;
        self.well_since = Some(now);
    }

    pub(super) fn under_way(&self) -> Option<&UnderWay> {
        match &self.phase {
            Phase::UnderWay(under_way) => Some(under_way),
            Phase::Idle | Phase::Waiting { .. } | Phase::GivenUp => None,
        }
    }

    /// Remembers a new attempt.
    pub(super) fn remember(&mut self, number: u32, cause: Cause, began: Duration) {
        self.totals.attempts += 1;
        if self.last.len() == REMEMBERED {
            self.last.pop_front();
        }
        let reason = self.reason.clone();
        let output = String::new();
        self.last.push_back(Attempt {
            number,
            cause,
            reason,
            began,
            took: None,
            outcome: Outcome::Open,
            output,
        });
    }

    /// Remembers what became of the newest attempt.
    pub(super) fn conclude(&mut self, outcome: Outcome, took: Duration) {
        match outcome {
            Outcome::Succeeded => self.totals.successes += 1,
            Outcome::Failed(_) => self.totals.failures += 1,
            Outcome::Open | Outcome::CutShort(_) => {}
        }
        if let Some(attempt) = self.last.back_mut() {
            attempt.outcome = outcome;
            attempt.took = Some(took);
        }
    }

    /// Remembers what the newest attempt's action had to say.
    pub(super) fn keep_output(&mut self, output: String) {
        if let Some(attempt) = self.last.back_mut() {
            attempt.output = output;
        }
    }

    /// Whether as many attempts as may be were made.
    pub(super) fn is_used_up(&self) -> bool {
        self.rules.as_ref().is_some_and(|rules| self.made >= rules.attempts)
    }

    /// The action is done: from here on it is for the server to get well.
    pub(super) fn watch(&mut self, now: Duration) {
        let within = self.rules.as_ref().map_or(Duration::ZERO, |rules| rules.within);
        if let Phase::UnderWay(under_way) = &mut self.phase {
            under_way.stage = Stage::Watching { acted: now, until: now + within };
        }
    }
}
