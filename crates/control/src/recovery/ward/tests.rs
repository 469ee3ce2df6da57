#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
use loadweaver_config::{HostCommand, RecoveryAction};

use super::super::case::Outcome;
use super::*;

mod changes;
mod laws;
mod scenarios;

use scenarios::SCENARIOS;

const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// 30 s down, 3 attempts, pauses of 100 s to 300 s, 60 s to get well, one at a time.
fn rules() -> Recovery {
    let command = HostCommand { argv: vec!["/bin/true".to_owned()], env: Vec::new(), directory: None };
    Recovery {
        after: seconds(30),
        attempts: 3,
        backoff: seconds(100),
        max_backoff: seconds(300),
        within: seconds(60),
        ..Recovery::new(RecoveryAction::Command(command))
    }
}

fn seats(ids: &str, rules: &Recovery) -> Vec<Seat> {
    let seat = |id: &str| Seat {
        id: id.into(),
        address: format!("{id}:80"),
        active: true,
        rules: Some(rules.clone()),
    };
    ids.split(' ').map(seat).collect()
}

/// A ward under a clock that is set by hand; what it orders is written down.
struct Play {
    ward: Ward,
    now: Duration,
    tickets: BTreeMap<Arc<str>, u64>,
    script: Vec<String>,
}

impl Play {
    fn of(seats: Vec<Seat>) -> Self {
        let mut ward = Ward::new(1, Jitter::seeded(7));
        ward.apply(seats, BTreeMap::new(), Duration::ZERO);
        Self { ward, now: Duration::ZERO, tickets: BTreeMap::new(), script: Vec::new() }
    }

    /// Lets time pass as a driver would, to this second.
    fn until(&mut self, second: u64) {
        while let Some(wake) = self.ward.next_wake(self.now).filter(|wake| *wake < seconds(second)) {
            assert!(wake > self.now, "woken at {wake:?} for nothing");
            self.now = wake;
            self.decide();
        }
        self.now = seconds(second);
        self.decide();
    }

    /// `down a`, `up a`, `ok a`, `bad a`, `exit a`, `trigger a`, `unstable a`, or `-`, which only marks the time.
    fn step(&mut self, second: u64, what: &str) {
        self.until(second);
        let (verb, id) = what.split_once(' ').unwrap_or((what, ""));
        let ticket = self.tickets.get(id).copied().unwrap_or(0);
        match verb {
            "down" => self.ward.went_down(id, "refused".to_owned(), self.now),
            "up" => self.ward.went_up(id, self.now),
            "unstable" => self.ward.went_unstable(id, self.now),
            "ok" => self.ward.acted(id, ticket, (Ok(()), String::new()), self.now),
            "bad" => self.ward.acted(id, ticket, (Err("exit status 1".to_owned()), String::new()), self.now),
            "exit" => self.ward.process_ended(id, ("it ended".to_owned(), String::new()), self.now),
            "trigger" => {
                if let Err(refusal) = self.ward.trigger(id, self.now) {
                    self.script.push(format!("refused {id}: {refusal}"));
                }
            }
            "-" => self.script.push(format!("-- {second}")),
            other => panic!("no such step: {other}"),
        }
        self.decide();
    }

    fn decide(&mut self) {
        let orders = self.ward.decide(self.now);
        self.write(orders);
    }

    fn write(&mut self, orders: Vec<Order>) {
        for order in orders {
            self.script.push(match order {
                Order::Started { .. } => continue,
                Order::Act { server, ticket, number, .. } => {
                    self.tickets.insert(Arc::clone(&server), ticket);
                    format!("act {server} {number}")
                }
                Order::Drop { server, .. } => format!("drop {server}"),
                Order::Succeeded { server, number, took } => {
                    // Pauses are jittered, and so is what comes after them.
                    let took = if took.subsec_nanos() == 0 { format!("{took:?}") } else { "~".to_owned() };
                    format!("well {server} {number} {took}")
                }
                Order::Failed { server, number, reason } => format!("failed {server} {number}: {reason}"),
                Order::Held { .. } => "held".to_owned(),
            });
        }
    }
}

#[test]
fn each_scenario_is_ordered_as_it_should_be() {
    for (rule, servers, steps, expected) in SCENARIOS {
        let mut play = Play::of(seats(servers, &rules()));
        for (second, what) in *steps {
            play.step(*second, what);
        }
        assert_eq!(play.script, *expected, "{rule}");
    }
}

#[test]
fn remembers_how_it_went() {
    let mut play = Play::of(seats("a b c", &rules()));
    for (second, what) in [(0, "down a"), (31, "bad a"), (145, "ok a"), (150, "up a")] {
        play.step(second, what);
    }
    let case = &play.ward.cases["a"];
    assert_eq!((case.totals.attempts, case.totals.successes, case.totals.failures), (2, 1, 1));
    assert_eq!(case.totals.rate(), Some(0.5));
    assert_eq!(case.totals.mean_time_to_recover(), Some(seconds(150)));
    assert_eq!(play.ward.totals, case.totals);
    let outcomes: Vec<&Outcome> = case.last.iter().map(|attempt| &attempt.outcome).collect();
    assert_eq!(outcomes, [&Outcome::Failed("exit status 1".to_owned()), &Outcome::Succeeded]);
    for second in (0..50).map(|each| 1_000 + each * 1_000) {
        play.step(second, "trigger a");
        play.step(second, "bad a");
    }
    assert_eq!(play.ward.cases["a"].last.len(), 5);
}
