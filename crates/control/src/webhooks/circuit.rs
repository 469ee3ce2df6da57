//! What becomes of a message after an attempt, and how long the target is left alone.
//!
//! The pause grows with each attempt in a row that failed, whichever message it was for: a target that is down gets
//! one trial at a time. A target that does not answer at all (or whose gateway says so) is not a message's fault, so
//! once that is certain (the circuit is open) trials do not use up the attempts of the message that happens to be
//! first: it waits, and everything behind it. An answer that says no to this message (a redirect, most of 4xx) is
//! tried a few times and does not hold up the others for long.

use std::time::Duration;

/// Attempts in a row without an answer after which the circuit is open.
const OPEN_AFTER: u32 = 5;
/// Attempts of a message that the target refuses.
const REFUSED_ATTEMPTS: u32 = 3;

/// The pauses. Fixed for operators, shorter in tests.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pauses {
    /// After the first failed attempt; doubles from there.
    pub(super) first: Duration,
    pub(super) longest: Duration,
    /// The longest that a target may ask for with `Retry-After`.
    pub(super) longest_asked_for: Duration,
}

impl Default for Pauses {
    fn default() -> Self {
        Self {
            first: Duration::from_secs(1),
            longest: Duration::from_mins(5),
            longest_asked_for: Duration::from_hours(1),
        }
    }
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// 2xx.
    Delivered,
    /// The target is there and does not want this message: a redirect, a 4xx but those below.
    Refused,
    /// The target is there and could not take it: a 5xx but those below.
    Failed,
    /// No answer, or one that says nothing about the message: 408, 425, 429, 502, 503, 504.
    Unreachable,
}

/// What becomes of the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Done,
    /// Another attempt, after a pause.
    Again(Duration),
    /// No more attempts; the next message, after a pause.
    GiveUp(Duration),
}

/// What operators should hear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum News {
    Failing,
    Recovered,
}

/// The state of a target.
#[derive(Debug, Clone, Default)]
pub(super) struct Circuit {
    failures: u32,
    /// The last answer was that it does not want the message.
    refused: bool,
    open: bool,
    told: bool,
}

impl Circuit {
    /// Takes note of an attempt's end. `tries` are the attempts of this message that count, this one not included;
    /// it is the caller's to keep.
    pub(super) fn judge(
        &mut self,
        outcome: Outcome,
        tries: &mut u32,
        limit: u32,
        pauses: &Pauses,
    ) -> (Verdict, Option<News>) {
        let verdict = match outcome {
            Outcome::Delivered => {
                *self = Self { told: self.told, ..Self::default() };
                return (Verdict::Done, std::mem::take(&mut self.told).then_some(News::Recovered));
            }
            Outcome::Refused => {
                (self.failures, self.open, self.refused) = (0, false, true);
                *tries += 1;
                if *tries >= limit.min(REFUSED_ATTEMPTS) {
                    Verdict::GiveUp(Duration::ZERO)
                } else {
                    Verdict::Again(pause(pauses, *tries))
                }
            }
            Outcome::Failed => {
                self.failures = self.failures.saturating_add(1);
                *tries += 1;
                self.again_or_give_up(*tries, limit, pauses)
            }
            Outcome::Unreachable => {
                self.failures = self.failures.saturating_add(1);
                *tries += u32::from(!self.open);
                let verdict = self.again_or_give_up(*tries, limit, pauses);
                self.open |= self.failures >= OPEN_AFTER;
                verdict
            }
        };
        let failing = matches!(verdict, Verdict::GiveUp(_)) || self.failures >= OPEN_AFTER;
        let news = failing && !self.told;
        self.told |= failing;
        (verdict, news.then_some(News::Failing))
    }

    fn again_or_give_up(&self, tries: u32, limit: u32, pauses: &Pauses) -> Verdict {
        let pause = pause(pauses, self.failures);
        if tries >= limit { Verdict::GiveUp(pause) } else { Verdict::Again(pause) }
    }

    /// Operators were told that nothing arrives.
    pub(super) fn is_failing(&self) -> bool {
        self.open || self.told
    }

    /// The word that the admin API uses.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self { open: true, .. } => "open",
            Self { told: true, .. } => "failing",
            Self { failures: 1.., .. } | Self { refused: true, .. } => "retrying",
            Self { .. } => "ok",
        }
    }
}

/// Doubles with each failure in a row.
fn pause(pauses: &Pauses, failures: u32) -> Duration {
    let factor = 2_u32.saturating_pow(failures.saturating_sub(1));
    pauses.first.saturating_mul(factor).min(pauses.longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: u32 = 10;

    /// Verdicts and news of one message after another, as (outcome, verdict's first letter, pause in seconds).
    fn run(circuit: &mut Circuit, tries: &mut u32, outcome: Outcome, limit: u32) -> (Verdict, Option<News>) {
        circuit.judge(outcome, tries, limit, &Pauses::default())
    }

    #[test]
    fn the_pause_doubles_up_to_the_longest() {
        let (mut circuit, mut tries) = (Circuit::default(), 0);
        let mut seconds = Vec::new();
        for _ in 0..11 {
            if let (Verdict::Again(pause), _) = run(&mut circuit, &mut tries, Outcome::Failed, 100) {
                seconds.push(pause.as_secs());
            }
        }
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
    }

    #[test]
    fn a_message_that_a_target_fails_on_is_given_up_at_the_limit_and_the_target_rests() {
        let (mut circuit, mut tries) = (Circuit::default(), 0);
        for number in 1..LIMIT {
            let (verdict, news) = run(&mut circuit, &mut tries, Outcome::Failed, LIMIT);
            assert!(matches!(verdict, Verdict::Again(_)));
            assert_eq!(news, (number == OPEN_AFTER).then_some(News::Failing));
        }
        let (verdict, news) = run(&mut circuit, &mut tries, Outcome::Failed, LIMIT);
        assert_eq!((verdict, news), (Verdict::GiveUp(Duration::from_mins(5)), None));
        assert_eq!(circuit.name(), "failing");
        assert_eq!(
            run(&mut circuit, &mut 0, Outcome::Delivered, LIMIT),
            (Verdict::Done, Some(News::Recovered))
        );
        assert_eq!(run(&mut circuit, &mut 0, Outcome::Delivered, LIMIT), (Verdict::Done, None));
        assert_eq!(circuit.name(), "ok");
    }

    #[test]
    fn a_dead_target_opens_the_circuit_and_no_message_is_given_up_for_it() {
        let (mut circuit, mut tries) = (Circuit::default(), 0);
        for _ in 0..1000 {
            let (verdict, _) = run(&mut circuit, &mut tries, Outcome::Unreachable, LIMIT);
            assert!(matches!(verdict, Verdict::Again(_)));
        }
        assert_eq!((tries, circuit.name()), (OPEN_AFTER, "open"));
        // It lives again but fails on this message: now the attempts count.
        for _ in tries + 1..LIMIT {
            assert!(matches!(run(&mut circuit, &mut tries, Outcome::Failed, LIMIT).0, Verdict::Again(_)));
        }
        assert!(matches!(run(&mut circuit, &mut tries, Outcome::Failed, LIMIT).0, Verdict::GiveUp(_)));
    }

    #[test]
    fn a_limit_below_the_circuits_is_kept_and_the_messages_behind_wait() {
        let mut circuit = Circuit::default();
        let mut given_up = 0;
        let mut tries = 0;
        for _ in 0..100 {
            if let (Verdict::GiveUp(_), _) = run(&mut circuit, &mut tries, Outcome::Unreachable, 2) {
                given_up += 1;
                tries = 0;
            }
        }
        // Two messages of two attempts; with the first attempt of the third the circuit is open.
        assert_eq!((given_up, circuit.name()), (2, "open"));
    }

    #[test]
    fn a_refused_message_is_given_up_soon_and_the_next_one_goes_at_once() {
        let (mut circuit, mut tries) = (Circuit::default(), 0);
        let again = |seconds| (Verdict::Again(Duration::from_secs(seconds)), None);
        assert_eq!(run(&mut circuit, &mut tries, Outcome::Refused, LIMIT), again(1));
        assert_eq!(run(&mut circuit, &mut tries, Outcome::Refused, LIMIT), again(2));
        let last = run(&mut circuit, &mut tries, Outcome::Refused, LIMIT);
        assert_eq!(last, (Verdict::GiveUp(Duration::ZERO), Some(News::Failing)));
        // A target that refuses everything is told of once.
        assert_eq!(
            run(&mut circuit, &mut 2, Outcome::Refused, LIMIT),
            (Verdict::GiveUp(Duration::ZERO), None)
        );
    }
}
