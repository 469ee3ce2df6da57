#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::time::Duration;

use loadweaver_config::{FlapDamping, HealthCheck, PassiveHealth, ProbeKind, StatusRange};
use proptest::prelude::*;

use super::{Cause, Health, Observation, ProbeFailure, ProbeFault, State, Transition};
use crate::failure::{Blame, Failure};

mod causes;
mod flapping;
mod memory;
mod outlook;
mod pace;

const OK: Observation = good(Duration::from_millis(1));
const BAD: Observation = bad(ProbeFailure::Timeout);

const fn good(latency: Duration) -> Observation {
    Observation::ProbeOk { latency, status: Some(200) }
}

const fn bad(failure: ProbeFailure) -> Observation {
    Observation::ProbeFailed { failure, latency: Duration::from_millis(5) }
}

fn refused() -> Observation {
    bad(ProbeFailure::Connect("connection refused".to_owned()))
}

fn cut() -> Observation {
    Observation::RequestFailed(Failure::ServerClosed)
}

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn health(change: impl FnOnce(&mut HealthCheck, &mut PassiveHealth)) -> Health {
    damped(&FlapDamping::default(), change)
}

fn damped(damping: &FlapDamping, change: impl FnOnce(&mut HealthCheck, &mut PassiveHealth)) -> Health {
    let (mut probes, mut passive) = (HealthCheck::default(), PassiveHealth::default());
    change(&mut probes, &mut passive);
    Health::new(&probes, &passive, damping)
}

fn undamped(change: impl FnOnce(&mut HealthCheck, &mut PassiveHealth)) -> Health {
    damped(&FlapDamping { limit: 0, ..FlapDamping::default() }, change)
}

fn without_probes() -> Health {
    health(|probes, _| probes.kind = ProbeKind::Off)
}

/// Feeds observations a second apart from second `start` on; the states after each.
fn feed(health: &mut Health, start: u64, observations: &[Observation]) -> Vec<State> {
    let state = |(at, seen): (u64, &Observation)| {
        health.observe(seen.clone(), s(at));
        health.state()
    };
    (start..).zip(observations).map(state).collect()
}

use State::{Down, Unknown, Unstable, Up};

#[test]
fn an_unknown_server_gets_traffic_unless_told_to_start_down() {
    assert!(health(|_, _| ()).eligible());
    let mut down = health(|probes, _| probes.start_down = true);
    assert!(!down.eligible());
    down.observe(OK, s(1));
    assert!(down.eligible());
}

#[test]
fn start_down_means_nothing_where_no_probe_could_bring_the_server_in() {
    assert!(health(|probes, _| (probes.start_down, probes.kind) = (true, ProbeKind::Off)).eligible());
}

#[test]
fn first_good_probe_brings_an_unknown_server_up() {
    let mut health = health(|_, _| ());
    let change = health.observe(OK, s(7));
    let expected =
        Transition { from: Unknown, to: Up, reason: "first probe succeeded".to_owned(), cause: None };
    assert_eq!(change, Some(expected));
    assert_eq!((health.since(), health.reason()), (s(7), "first probe succeeded"));
}

#[test]
fn one_lost_probe_takes_nobody_out() {
    let mut health = health(|_, _| ());
    assert_eq!(feed(&mut health, 0, &[OK, BAD, OK, BAD, BAD, OK, BAD, BAD]), [Up; 8]);
}

#[test]
fn takes_out_after_fall_and_back_after_rise() {
    let mut health = health(|_, _| ());
    assert_eq!(feed(&mut health, 0, &[OK, BAD, BAD, BAD]), [Up, Up, Up, Down]);
    assert_eq!(health.reason(), "3 probes in a row failed: no answer in time");
    assert_eq!(feed(&mut health, 4, &[OK, BAD, OK, OK]), [Down, Down, Down, Up]);
    assert_eq!(health.reason(), "2 probes in a row succeeded");
}

#[test]
fn an_unknown_server_is_out_after_fall_or_at_once_when_it_lets_nobody_connect() {
    let mut slow = health(|_, _| ());
    assert_eq!(feed(&mut slow, 0, &[BAD, BAD, BAD]), [Unknown, Unknown, Down]);
    let mut absent = health(|_, _| ());
    let change = absent.observe(refused(), s(0)).unwrap();
    assert_eq!((change.from, change.to), (Unknown, Down));
    assert_eq!(change.reason, "probe failed: cannot connect: connection refused");
}

#[test]
fn an_unknown_server_whose_name_has_no_address_is_out_at_once() {
    let mut nameless = health(|_, _| ());
    let failure = ProbeFailure::Resolve("no such name".to_owned());
    let change = nameless.observe(bad(failure), s(0)).unwrap();
    assert_eq!((change.from, change.to), (Unknown, Down));
    assert_eq!(change.reason, "probe failed: name cannot be resolved: no such name");
}

#[test]
fn a_request_to_a_name_without_address_takes_out_at_once() {
    let seen = Observation::RequestFailed(Failure::ResolveFailed);
    let mut nameless = without_probes();
    let change = nameless.observe(seen.clone(), s(3)).unwrap();
    assert_eq!((change.to, change.reason.as_str()), (Down, "name cannot be resolved"));
    let mut ignored = health(|_, passive| passive.failures = 0);
    assert_eq!(ignored.observe(seen, s(3)), None);
}

#[test]
fn a_server_that_was_well_needs_fall_refused_probes() {
    let mut health = health(|_, _| ());
    assert_eq!(feed(&mut health, 0, &[OK, refused(), refused()]), [Up, Up, Up]);
}

#[test]
fn a_probe_slower_than_allowed_is_a_bad_one() {
    let mut health = health(|probes, _| (probes.max_latency, probes.fall) = (Some(s(1)), 1));
    health.observe(good(s(1)), s(0));
    assert_eq!(health.state(), Up);
    let change = health.observe(good(s(2)), s(1)).unwrap();
    assert_eq!((change.to, change.reason.as_str()), (Down, "probe failed: took 2s, allowed are 1s"));
}

#[test]
fn a_refused_connection_takes_out_at_once() {
    for seen in [Observation::ConnectRefused, Observation::RequestFailed(Failure::ConnectRefused)] {
        let mut health = health(|_, _| ());
        health.observe(OK, s(0));
        let change = health.observe(seen.clone(), s(1)).unwrap();
        assert_eq!((change.to, change.reason.as_str()), (Down, "connection refused"));
        assert_eq!(health.observe(seen, s(1)), None, "an episode is told once");
    }
}

#[test]
fn probes_do_not_count_while_requests_hold_a_server_out() {
    let mut health = health(|_, _| ());
    health.observe(OK, s(0));
    health.observe(Observation::ConnectRefused, s(10));
    // The hold of five seconds ends with second 15; then two good ones have to come.
    assert_eq!(feed(&mut health, 11, &[OK, OK, OK, OK, OK, OK]), [Down, Down, Down, Down, Down, Up]);
    assert_eq!(health.since(), s(16));
}

#[test]
fn failures_within_the_window_take_out() {
    let mut health = health(|_, passive| (passive.failures, passive.window) = (3, s(10)));
    health.observe(OK, s(0));
    assert_eq!(feed(&mut health, 1, &[cut(), cut()]), [Up, Up]);
    health.observe(cut(), s(11));
    assert_eq!(health.state(), Up, "the first one is ten seconds old and has left the window");
    let change = health.observe(cut(), s(11)).unwrap();
    assert_eq!(change.to, Down);
    assert_eq!(change.reason, "3 requests failed within 10s, the last: server_closed");
}

#[test]
fn good_probes_do_not_excuse_failing_requests() {
    let mut health = health(|_, passive| passive.failures = 3);
    assert_eq!(feed(&mut health, 0, &[OK, cut(), OK, cut(), OK, cut()]), [Up, Up, Up, Up, Up, Down]);
}

#[test]
fn only_failures_to_blame_on_the_server_count() {
    for &failure in Failure::ALL {
        let mut health = health(|_, passive| passive.failures = 1);
        health.observe(Observation::RequestFailed(failure), s(1));
        assert_eq!(health.state() == Down, failure.blame() == Blame::Server, "{failure}");
    }
}

#[test]
fn only_listed_statuses_count() {
    let mut health = health(|_, passive| {
        (passive.failures, passive.on_status) = (1, vec![StatusRange { first: 500, last: 502 }]);
    });
    assert_eq!(health.observe(Observation::StatusFailed(503), s(1)), None);
    let change = health.observe(Observation::StatusFailed(500), s(1)).unwrap();
    assert_eq!(change.reason, "1 requests failed within 10s, the last: status 500");
}

#[test]
fn zero_failures_turns_the_word_of_requests_off() {
    let mut health = health(|_, passive| passive.failures = 0);
    assert_eq!(feed(&mut health, 0, &[OK, Observation::ConnectRefused, cut()]), [Up, Up, Up]);
}

#[test]
fn without_probes_a_server_is_tried_again_after_its_hold() {
    let mut health = without_probes();
    health.observe(Observation::ConnectRefused, s(10));
    assert!(!health.eligible());
    assert_eq!(health.tick(s(14)), None);
    let change = health.tick(s(15)).unwrap();
    assert_eq!((change.from, change.to), (Down, Unknown));
    assert_eq!(change.reason, "out for 5s, tried again");
    assert!(health.eligible());
    assert_eq!(health.tick(s(99)), None);
}

#[test]
fn with_probes_time_alone_brings_nobody_back() {
    let mut health = health(|_, _| ());
    health.observe(Observation::ConnectRefused, s(10));
    assert_eq!(health.tick(s(9_999)), None);
}

#[test]
fn reason_of_a_server_that_stays_down_is_the_latest_one() {
    let mut health = health(|probes, _| probes.fall = 1);
    health.observe(BAD, s(1));
    let status = bad(ProbeFailure::Status(500));
    assert_eq!(health.observe(status, s(2)), None);
    assert_eq!((health.reason(), health.since()), ("probe failed: answered with status 500", s(1)));
}

#[test]
fn a_clock_reading_from_before_the_last_one_is_harmless() {
    let mut health = health(|_, passive| passive.failures = 3);
    health.observe(cut(), s(10));
    health.observe(cut(), s(9));
    assert_eq!(health.observe(cut(), s(8)).unwrap().to, Down);
}

fn seen() -> impl Strategy<Value = Observation> {
    prop_oneof![
        4 => Just(OK),
        4 => Just(BAD),
        4 => proptest::sample::select(Failure::ALL).prop_map(Observation::RequestFailed),
        1 => Just(Observation::ConnectRefused),
        1 => (200_u16..600).prop_map(Observation::StatusFailed),
    ]
}

proptest! {
    /// Probes alone: the state is a function of the run of equal probes at the end.
    #[test]
    fn a_verdict_changes_exactly_after_rise_or_fall_in_a_row(
        probes in prop::collection::vec(any::<bool>(), 1..200), rise in 1_u32..6, fall in 1_u32..6,
    ) {
        let mut health = undamped(|check, _| (check.rise, check.fall) = (rise, fall));
        let (mut expected, mut run, mut last) = (Unknown, 0, None);
        for (at, good) in (0..).zip(probes) {
            health.observe(if good { OK } else { BAD }, s(at));
            run = if last == Some(good) { run + 1 } else { 1 };
            last = Some(good);
            expected = match (expected, good) {
                (Unknown, true) => Up,
                (Down, true) if run >= rise => Up,
                (Unknown | Up, false) if run >= fall => Down,
                (state, _) => state,
            };
            prop_assert_eq!(health.state(), expected);
        }
    }

    /// Requests alone: out exactly when `failures` of the last ones lie within the window.
    #[test]
    fn requests_take_out_exactly_when_enough_fail_in_the_window(
        gaps in prop::collection::vec(0_u64..4_000, 1..100), failures in 1_u32..6, window in 1_u64..10,
    ) {
        let mut health = health(|probes, passive| {
            probes.kind = ProbeKind::Off;
            (passive.failures, passive.window, passive.hold) = (failures, s(window), s(5));
        });
        let (mut now, mut failed): (Duration, Vec<Duration>) = (Duration::ZERO, Vec::new());
        for gap in gaps {
            now += Duration::from_millis(gap);
            let was_down = health.state() == Down;
            let back = health.tick(now).is_some();
            prop_assert_eq!(back, was_down && now >= health.held_until);
            let change = health.observe(cut(), now);
            if was_down && !back {
                prop_assert_eq!(change, None);
                continue;
            }
            failed.push(now);
            let recent = failed.iter().filter(|&&at| now.saturating_sub(at) < s(window)).count();
            prop_assert_eq!(change.is_some(), recent >= failures as usize);
            if change.is_some() {
                prop_assert_eq!(health.held_until, now + s(5));
                failed.clear();
            }
        }
    }

    #[test]
    fn every_change_is_told_once_and_leads_on_from_the_last(
        seen in prop::collection::vec((seen(), 0_u64..3_000), 1..200), probing: bool, start_down: bool,
    ) {
        let mut health = health(|probes, _| {
            probes.start_down = start_down;
            if !probing {
                probes.kind = ProbeKind::Off;
            }
        });
        let (mut now, mut state) = (Duration::ZERO, Unknown);
        for (observation, gap) in seen {
            now += Duration::from_millis(gap);
            for change in [health.observe(observation, now), health.tick(now)].into_iter().flatten() {
                prop_assert_eq!(change.from, state);
                prop_assert_ne!(change.to, state);
                prop_assert!(!change.reason.is_empty());
                prop_assert_eq!(health.since(), now);
                state = change.to;
            }
            prop_assert_eq!(health.state(), state);
            let in_traffic = state == Up || (state == Unknown && !(start_down && probing));
            prop_assert_eq!(health.eligible(), in_traffic);
            prop_assert!(health.failed.len() < 5, "no more failures are kept than can take a server out");
        }
    }
}
