//! One pool's recoveries, decided: what is attempted for which server, and when.
//!
//! Pure: it is told what happened and what time it is, and answers with orders; somebody else carries them out. A
//! server that is down waits `after`, then an attempt is made: the action, and then up to `within` for the server to
//! get well. Attempts that fail are repeated after pauses that double, and after `attempts` of them the server is
//! given up until it was well for a while, its recovery is changed, or an operator asks. An attempt takes its place
//! among `maxConcurrent` until its outcome is known, or else the next server would be restarted before anybody knows
//! whether that did the first one any good.
//!
//! When most of a pool goes out within a minute, the fault is likely where no restart reaches (the network, a
//! database, a bad deployment), and restarting everything would take down what still works. So everything waits until
//! at least half of the pool is well again. A server whose own process has ended is not held back, neither by that
//! nor by `maxConcurrent`: there is nothing left that starting it could take down, and its fault is known.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use loadweaver_config::{Recovery, RecoveryAction};

use super::case::{Case, Cause, Phase, Stage, Totals, UnderWay};
use crate::jitter::Jitter;

/// How attempts end.
mod endings;
/// When everything waits.
mod storm;

pub(super) use storm::Hold;

/// What a pool's configuration says about one server.
#[derive(Debug, Clone)]
pub(super) struct Seat {
    pub(super) id: Arc<str>,
    pub(super) address: String,
    pub(super) active: bool,
    /// The server's recovery, else the pool's.
    pub(super) rules: Option<Recovery>,
}

/// What is to be done now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Order {
    /// Begin the action; its end is to be told with the ticket.
    Act {
        server: Arc<str>,
        ticket: u64,
        number: u32,
        reason: String,
    },
    /// End the action of this ticket, if it goes on; its end does not matter any more.
    Drop {
        server: Arc<str>,
        ticket: u64,
    },
    /// Tell everybody.
    Started {
        server: Arc<str>,
        number: u32,
    },
    Succeeded {
        server: Arc<str>,
        number: u32,
        took: Duration,
    },
    Failed {
        server: Arc<str>,
        number: u32,
        reason: String,
    },
    Held {
        reason: String,
    },
}

/// Why an attempt cannot be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TriggerError {
    /// There is no such pool or server.
    #[error("there is no such server")]
    Unknown,
    /// Neither the server nor its pool has a recovery.
    #[error("the server has no recovery in the configuration")]
    NotConfigured,
    /// One at a time.
    #[error("an attempt is under way already")]
    UnderWay,
}

/// The cases of one pool.
#[derive(Debug)]
pub(super) struct Ward {
    pub(super) cases: BTreeMap<Arc<str>, Case>,
    pub(super) held: Option<Hold>,
    /// Of all servers that the pool ever had.
    pub(super) totals: Totals,
    next_ticket: u64,
    jitter: Jitter,
    orders: Vec<Order>,
}

impl Ward {
    /// Tickets count up from `first_ticket`.
    pub(super) fn new(first_ticket: u64, jitter: Jitter) -> Self {
        let (cases, orders) = (BTreeMap::new(), Vec::new());
        Self { cases, held: None, totals: Totals::default(), next_ticket: first_ticket, jitter, orders }
    }

    /// Takes in what the configuration says now. What stays as it is goes on undisturbed; an attempt for a server
    /// that is gone, out of service, or has another recovery is cut short.
    /// `moved` are the cases that come with their servers from other pools.
    pub(super) fn apply(&mut self, seats: Vec<Seat>, mut moved: BTreeMap<Arc<str>, Case>, now: Duration) {
        let mut before = std::mem::take(&mut self.cases);
        before.append(&mut moved);
        for seat in seats {
            let case = match before.remove(&seat.id) {
                Some(case) if case.address == seat.address => self.go_on(case, &seat, now),
                stranger => {
                    if let Some(mut stranger) = stranger {
                        self.cut_short(&seat.id, &mut stranger, "the server has another address now", now);
                    }
                    Case::new(seat.rules, seat.address, seat.active)
                }
            };
            self.cases.insert(seat.id, case);
        }
        for (id, mut case) in before {
            self.cut_short(&id, &mut case, "the server was removed", now);
        }
        self.look_for_an_end_of_the_hold(now);
    }

    /// Gives away the case of a server that goes to another pool.
    pub(super) fn let_go(&mut self, id: &Arc<str>, now: Duration) -> Option<Case> {
        let mut case = self.cases.remove(id)?;
        let waits = matches!(case.phase, Phase::Waiting { .. } | Phase::GivenUp);
        if !waits {
            self.cut_short(id, &mut case, "the server is in another pool now", now);
            self.plan(id, &mut case, now);
        }
        Some(case)
    }

    /// Health says that a server is down.
    pub(super) fn went_down(&mut self, id: &str, reason: String, now: Duration) {
        let Some((id, mut case)) = self.cases.remove_entry(id) else { return };
        case.go_out(reason, now);
        case.unstable = false;
        if std::mem::replace(&mut case.well, false) {
            match &mut case.phase {
                Phase::UnderWay(under_way) => under_way.seen_down = true,
                Phase::Idle => self.plan(&id, &mut case, now),
                Phase::Waiting { .. } | Phase::GivenUp => {}
            }
        }
        self.cases.insert(id, case);
        self.look_for_a_storm(now);
    }

    /// Health says that a server goes up and down too often. It is held out, but it is there: no restart is due.
    pub(super) fn went_unstable(&mut self, id: &str, now: Duration) {
        match self.cases.get_mut(id) {
            Some(case) if case.under_way().is_some() => case.unstable = true,
            _ => self.went_up(id, now),
        }
    }

    /// Health says that a server is not down (any more).
    pub(super) fn went_up(&mut self, id: &str, now: Duration) {
        let Some((id, mut case)) = self.cases.remove_entry(id) else { return };
        case.unstable = false;
        if !std::mem::replace(&mut case.well, true) {
            match case.under_way() {
                Some(UnderWay { stage: Stage::Watching { .. }, .. }) => {
                    self.succeed(&id, &mut case, now, now);
                }
                // Whether the attempt was good is known when its action has ended.
                Some(_) => {}
                // A verdict that time alone has lifted does not bring back a process that ended.
                None if case.gone => {}
                None => {
                    case.come_back(now);
                    case.phase = Phase::Idle;
                }
            }
        }
        self.cases.insert(id, case);
        self.look_for_an_end_of_the_hold(now);
    }

    /// The process of a server ended, and nobody had asked it to.
    pub(super) fn process_ended(&mut self, id: &str, (how, output): (String, String), now: Duration) {
        let Some((id, mut case)) = self.cases.remove_entry(id) else { return };
        let stage = case.under_way().map(|under_way| under_way.stage);
        // While the action goes on, it is what ends the process and starts another.
        if stage != Some(Stage::Acting) {
            case.gone = true;
            case.ended_itself = true;
            case.go_out(how.clone(), now);
            match stage {
                Some(_) => {
                    case.keep_output(output);
                    self.fail(&id, &mut case, how, now);
                }
                None => self.plan(&id, &mut case, now),
            }
        }
        self.cases.insert(id, case);
    }

    /// An action ended; `output` is the end of what it had to say.
    pub(super) fn acted(
        &mut self,
        id: &str,
        ticket: u64,
        (result, output): (Result<(), String>, String),
        now: Duration,
    ) {
        let Some((id, mut case)) = self.cases.remove_entry(id) else { return };
        let seen_down = match &case.phase {
            Phase::UnderWay(of) if of.ticket == ticket && of.stage == Stage::Acting => Some(of.seen_down),
            _ => None,
        };
        if let Some(seen_down) = seen_down {
            case.keep_output(output);
            match result {
                Ok(()) => {
                    case.gone = false;
                    if case.well && seen_down {
                        self.succeed(&id, &mut case, now, now);
                    } else {
                        case.watch(now);
                    }
                }
                Err(why) => self.fail(&id, &mut case, why, now),
            }
        }
        self.cases.insert(id, case);
        self.look_for_an_end_of_the_hold(now);
    }

    /// An operator wants an attempt, whatever else there is to say about that. It begins a new series.
    pub(super) fn trigger(&mut self, id: &str, now: Duration) -> Result<(), TriggerError> {
        let case = self.cases.get(id).ok_or(TriggerError::Unknown)?;
        if case.rules.is_none() {
            return Err(TriggerError::NotConfigured);
        }
        if case.under_way().is_some() {
            return Err(TriggerError::UnderWay);
        }
        if let Some((id, mut case)) = self.cases.remove_entry(id) {
            case.made = 0;
            if case.out_since.is_none() {
                "asked for by an operator".clone_into(&mut case.reason);
            }
            self.begin(&id, &mut case, Cause::Operator, now);
            self.cases.insert(id, case);
        }
        Ok(())
    }

    /// Lets time work, and hands out what is to be done. To be called after each of the others, and when
    /// [`Ward::next_wake`] says so.
    pub(super) fn decide(&mut self, now: Duration) -> Vec<Order> {
        self.end_watches(now);
        let mut due: Vec<(Duration, Arc<str>)> = self
            .cases
            .iter()
            .filter_map(|(id, case)| match case.phase {
                Phase::Waiting { until } if until <= now => Some((until, Arc::clone(id))),
                _ => None,
            })
            .collect();
        // Who waits longest is next, so that one that never gets well does not keep the others from their turn.
        due.sort();
        for (_, id) in due {
            let Some((id, mut case)) = self.cases.remove_entry(&id) else { continue };
            if self.may_begin(&case) {
                let because = if case.gone { Cause::Exit } else { Cause::Down };
                self.begin(&id, &mut case, because, now);
            }
            self.cases.insert(id, case);
        }
        std::mem::take(&mut self.orders)
    }

    /// Hands out what is to be done already; nothing begins.
    pub(super) fn orders(&mut self) -> Vec<Order> {
        std::mem::take(&mut self.orders)
    }

    /// When [`Ward::decide`] has something to do next, if nothing else happens.
    pub(super) fn next_wake(&self, now: Duration) -> Option<Duration> {
        let wakes = self.cases.values().filter_map(|case| match &case.phase {
            // One that is due and not begun waits for something else than time.
            Phase::Waiting { until } => Some(*until).filter(|until| *until > now),
            Phase::UnderWay(UnderWay { stage: Stage::Watching { until, .. }, .. }) => Some(*until),
            Phase::UnderWay(_) | Phase::Idle | Phase::GivenUp => None,
        });
        wakes.min()
    }

    /// Cuts every attempt short: the node ends, or the pool is gone.
    pub(super) fn close(&mut self, why: &str, now: Duration) -> Vec<Order> {
        for (id, mut case) in std::mem::take(&mut self.cases) {
            self.cut_short(&id, &mut case, why, now);
        }
        std::mem::take(&mut self.orders)
    }

    /// A server that stays, under what the configuration says of it now.
    fn go_on(&mut self, mut case: Case, seat: &Seat, now: Duration) -> Case {
        let rules_changed = case.rules != seat.rules;
        if !rules_changed && case.active == seat.active {
            return case;
        }
        self.cut_short(&seat.id, &mut case, "its configuration changed", now);
        let action = |rules: &Option<Recovery>| rules.as_ref().map(|rules| rules.action.clone());
        let same_action = action(&case.rules) == action(&seat.rules);
        if rules_changed {
            // Another process was started when this change was put in force.
            case.gone &= same_action;
            case.made = 0;
        }
        (case.rules, case.active) = (seat.rules.clone(), seat.active);
        self.plan(&seat.id, &mut case, now);
        // A process that was started this moment is not started anew before it had the time to get up.
        if let (Some(rules), Phase::Waiting { until }, false) = (&case.rules, &mut case.phase, same_action)
            && matches!(rules.action, RecoveryAction::Process { .. })
        {
            *until = (*until).max(now + rules.after);
        }
        case
    }

    fn may_begin(&self, case: &Case) -> bool {
        let Some(rules) = case.rules.as_ref().filter(|_| case.active) else { return false };
        let under_way = self.cases.values().filter(|case| case.under_way().is_some()).count();
        let places = usize::try_from(rules.max_concurrent).unwrap_or(usize::MAX);
        case.gone || (self.held.is_none() && under_way < places)
    }

    fn begin(&mut self, id: &Arc<str>, case: &mut Case, because: Cause, now: Duration) {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        case.made += 1;
        let number = case.made;
        case.remember(number, because, now);
        self.totals.attempts += 1;
        let (seen_down, stage) = (!case.well, Stage::Acting);
        case.phase = Phase::UnderWay(UnderWay { ticket, number, began: now, seen_down, stage });
        let reason = case.reason.clone();
        self.orders.push(Order::Started { server: Arc::clone(id), number });
        self.orders.push(Order::Act { server: Arc::clone(id), ticket, number, reason });
    }

    /// Says when the next attempt is due for a server for which none is under way.
    fn plan(&mut self, id: &Arc<str>, case: &mut Case, now: Duration) {
        case.phase = Phase::Idle;
        let Some(rules) = case.rules.clone().filter(|_| case.active && (case.gone || !case.well)) else {
            return;
        };
        if case.is_used_up() {
            case.phase = Phase::GivenUp;
            let reason = format!("out again soon after attempt {}: {}; giving up", case.made, case.reason);
            self.orders.push(Order::Failed { server: Arc::clone(id), number: case.made, reason });
            return;
        }
        let since = if case.gone { now } else { case.out_since.unwrap_or(now) + rules.after };
        let pause = self.pause(&rules, case.made);
        let rested = case.last_end.map_or(Duration::ZERO, |end| end + pause);
        case.phase = Phase::Waiting { until: since.max(rested) };
    }

    /// The pause after so many attempts in a row: doubling, give or take a tenth.
    fn pause(&mut self, rules: &Recovery, made: u32) -> Duration {
        let Some(doublings) = made.checked_sub(1) else { return Duration::ZERO };
        let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
        let pause = rules.backoff.saturating_mul(factor).min(rules.max_backoff);
        self.jitter.around(pause).min(rules.max_backoff)
    }
}

#[cfg(test)]
mod tests;
