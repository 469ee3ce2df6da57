#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
use loadweaver_config::{HostCommand, RecoveryAction};

use super::*;

mod laws;

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
        ward.apply(seats, Duration::ZERO);
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

/// Each scenario: its rule, the servers, what happens when, and what is ordered, in order.
type Scenario = (&'static str, &'static str, &'static [(u64, &'static str)], &'static [&'static str]);

const SCENARIOS: &[Scenario] = &[
    (
        "a server that comes back before `after` costs nothing",
        "a b c",
        &[(0, "down a"), (29, "up a"), (500, "-")],
        &["-- 500"],
    ),
    (
        "a server that stays down is acted on after `after`, and has recovered when it is well",
        "a b c",
        &[(0, "down a"), (29, "-"), (31, "-"), (32, "ok a"), (40, "up a"), (500, "-")],
        &["-- 29", "act a 1", "-- 31", "well a 1 10s", "-- 500"],
    ),
    (
        "a server that is well before its action ends has recovered when that ends",
        "a b c",
        &[(0, "down a"), (35, "up a"), (36, "-"), (37, "ok a")],
        &["act a 1", "-- 36", "well a 1 7s"],
    ),
    (
        "an action that fails is tried again after pauses that double, then given up",
        "a b c",
        &[(0, "down a"), (31, "bad a"), (120, "-"), (142, "bad a"), (320, "-"), (363, "bad a"), (9_999, "-")],
        &[
            "act a 1",
            "failed a 1: exit status 1",
            "-- 120",
            "act a 2",
            "failed a 2: exit status 1",
            "-- 320",
            "act a 3",
            "failed a 3: exit status 1; giving up after 3 attempts",
            "-- 9999",
        ],
    ),
    (
        "an action after which the server stays down has failed",
        "a b c",
        &[(0, "down a"), (31, "ok a"), (90, "-"), (92, "-")],
        &["act a 1", "-- 90", "failed a 1: still down 60s after the action: refused", "-- 92"],
    ),
    (
        "one that was given up starts over when it was well for a while",
        "a b c",
        &[
            (0, "down a"),
            (31, "bad a"),
            (142, "bad a"),
            (363, "bad a"),
            (400, "up a"),
            (701, "down a"),
            (730, "-"),
            (732, "-"),
        ],
        &[
            "act a 1",
            "failed a 1: exit status 1",
            "act a 2",
            "failed a 2: exit status 1",
            "act a 3",
            "failed a 3: exit status 1; giving up after 3 attempts",
            "-- 730",
            "act a 1",
            "-- 732",
        ],
    ),
    (
        "good attempts count too when the server is soon out again",
        "a b c",
        &[
            (0, "down a"),
            (31, "ok a"),
            (32, "up a"),
            (40, "down a"),
            (121, "-"),
            (143, "ok a"),
            (144, "up a"),
            (145, "down a"),
            (324, "-"),
            (366, "ok a"),
            (367, "up a"),
            (368, "down a"),
        ],
        &[
            "act a 1",
            "well a 1 2s",
            "-- 121",
            "act a 2",
            "well a 2 ~",
            "-- 324",
            "act a 3",
            "well a 3 ~",
            "failed a 3: out again soon after attempt 3: refused; giving up",
        ],
    ),
    (
        "one at a time, and the next when the outcome is known",
        "a b c d e",
        &[(0, "down a"), (70, "down b"), (95, "ok a"), (109, "-"), (110, "up a"), (111, "-")],
        &["act a 1", "-- 109", "well a 1 80s", "act b 1", "-- 111"],
    ),
    (
        "a process that ended is started at once, and again after pauses",
        "a b c",
        &[(10, "exit a"), (11, "down a"), (12, "ok a"), (13, "up a"), (14, "exit a"), (100, "-"), (125, "-")],
        &["act a 1", "well a 1 3s", "-- 100", "act a 2", "-- 125"],
    ),
    (
        "a process that ends while it should get well is an attempt that failed",
        "a b c",
        &[(10, "exit a"), (11, "ok a"), (12, "exit a"), (13, "-")],
        &["act a 1", "failed a 1: it ended", "-- 13"],
    ),
    (
        "a process that was never seen down has recovered when nothing was wrong for `within`",
        "a b c",
        &[(10, "exit a"), (12, "ok a"), (71, "-"), (73, "-")],
        &["act a 1", "-- 71", "well a 1 2s", "-- 73"],
    ),
    (
        "a verdict that time lifted does not bring back a process that ended",
        "a b c",
        &[(10, "exit a"), (11, "bad a"), (12, "down a"), (13, "up a"), (130, "-")],
        &["act a 1", "failed a 1: exit status 1", "act a 2", "-- 130"],
    ),
    (
        "most of a pool at once holds, once, until half of it is well",
        "a b c d",
        &[
            (0, "down a"),
            (1, "down b"),
            (2, "down c"),
            (3, "down d"),
            (500, "-"),
            (501, "up a"),
            (502, "up b"),
            (531, "-"),
            (533, "-"),
        ],
        &["held", "-- 500", "-- 531", "act c 1", "-- 533"],
    ),
    (
        "both of two is most, one of one and one of two are not",
        "a b",
        &[(0, "down a"), (31, "-"), (40, "down b"), (500, "-")],
        &["act a 1", "-- 31", "held", "-- 500"],
    ),
    ("a lone server is not held", "a", &[(0, "down a"), (31, "-")], &["act a 1", "-- 31"]),
    (
        "servers that fail one after the other are no storm",
        "a b c",
        &[
            (0, "down a"),
            (31, "bad a"),
            (61, "down b"),
            (92, "-"),
            (93, "bad b"),
            (130, "down c"),
            (150, "-"),
        ],
        &[
            "act a 1",
            "failed a 1: exit status 1",
            "act b 1",
            "-- 92",
            "failed b 1: exit status 1",
            "act a 2",
            "-- 150",
        ],
    ),
    (
        "processes that end all at once are started all at once",
        "a b c",
        &[(5, "exit a"), (5, "exit b"), (5, "exit c"), (6, "down a"), (6, "down b"), (6, "down c"), (7, "-")],
        &["act a 1", "act b 1", "act c 1", "-- 7"],
    ),
    (
        "an operator overrides a hold, a pause and a server that was given up",
        "a b",
        &[
            (0, "down a"),
            (1, "down b"),
            (40, "trigger a"),
            (41, "trigger a"),
            (42, "bad a"),
            (500, "-"),
            (501, "trigger a"),
            (501, "trigger x"),
        ],
        &[
            "held",
            "act a 1",
            "refused a: an attempt is under way already",
            "failed a 1: exit status 1",
            "-- 500",
            "act a 1",
            "refused x: there is no such server",
        ],
    ),
    (
        "an operator may restart a server that is well",
        "a b c",
        &[(10, "trigger a"), (12, "down a"), (14, "up a"), (15, "ok a"), (16, "-")],
        &["act a 1", "well a 1 5s", "-- 16"],
    ),
    (
        "an unstable server is not restarted",
        "a b c",
        &[(0, "down a"), (10, "unstable a"), (500, "-"), (501, "down a"), (532, "-")],
        &["-- 500", "act a 1", "-- 532"],
    ),
    (
        "an attempt is not good because the server became unstable",
        "a b c",
        &[
            (0, "down a"),
            (31, "ok a"),
            (32, "unstable a"),
            (33, "-"),
            (500, "-"),
            (501, "down a"),
            (540, "-"),
        ],
        &[
            "act a 1",
            "-- 33",
            "failed a 1: unstable 60s after the action: refused",
            "-- 500",
            "act a 1",
            "-- 540",
        ],
    ),
];

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
fn what_did_not_change_goes_on_and_what_did_is_cut_short() {
    let mut play = Play::of(seats("a b c d e", &rules()));
    play.step(0, "down a");
    play.until(31);
    let apply = |play: &mut Play, seats: Vec<Seat>| {
        play.ward.apply(seats, play.now);
        play.decide();
        std::mem::take(&mut play.script)
    };
    assert_eq!(std::mem::take(&mut play.script), ["act a 1"]);
    assert!(apply(&mut play, seats("a b c d e f", &rules())).is_empty());
    // Another recovery: a new series, `after` since it went down has passed.
    let other = Recovery { after: seconds(20), ..rules() };
    let told = apply(&mut play, seats("a b c d e", &other));
    assert_eq!(told, ["drop a", "failed a 1: cut short: its configuration changed", "act a 1"]);
    // The end of the first action is no news.
    play.ward.acted("a", 1, (Ok(()), String::new()), play.now);
    assert_eq!(play.ward.cases["a"].under_way().unwrap().stage, Stage::Acting);
    let told = apply(&mut play, seats("b c d e", &other));
    assert_eq!(told, ["drop a", "failed a 1: cut short: the server was removed"]);
    assert_eq!(play.ward.totals, Totals { attempts: 2, ..Totals::default() });
}

#[test]
fn a_server_that_somebody_works_on_is_left_alone() {
    let mut play = Play::of(seats("a b c", &rules()));
    play.step(0, "down a");
    let mut away = seats("a b c", &rules());
    away[0].active = false;
    play.until(10);
    play.ward.apply(away, play.now);
    play.step(500, "-");
    play.ward.apply(seats("a b c", &rules()), play.now);
    play.step(501, "-");
    assert_eq!(play.script, ["-- 500", "act a 1", "-- 501"]);
}

#[test]
fn another_address_is_another_server() {
    let mut play = Play::of(seats("a b c", &rules()));
    play.step(0, "down a");
    play.until(31);
    let mut moved = seats("a b c", &rules());
    moved[0].address = "elsewhere:80".to_owned();
    play.ward.apply(moved, play.now);
    play.step(500, "-");
    assert_eq!(
        play.script,
        ["act a 1", "drop a", "failed a 1: cut short: the server has another address now", "-- 500"]
    );
}

#[test]
fn a_process_whose_program_changed_is_not_waited_for() {
    let mut play = Play::of(seats("a b c", &rules()));
    play.step(0, "exit a");
    play.step(1, "bad a");
    let mut other = rules();
    other.action = RecoveryAction::Command(HostCommand {
        argv: vec!["/bin/false".to_owned()],
        env: Vec::new(),
        directory: None,
    });
    play.ward.apply(seats("a b c", &other), play.now);
    play.step(500, "-");
    assert_eq!(play.script, ["act a 1", "failed a 1: exit status 1", "-- 500"]);
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
