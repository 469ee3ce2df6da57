//! What is remembered of a server, and what outlives a change of its rules.

use super::*;
use crate::admission::Standing;
use crate::health::{HISTORY, Happened, ProbeFault, Window};

#[test]
fn history_holds_probes_and_transitions_together() {
    let mut health = health(|check, _| check.fall = 1);
    health.observe(OK, s(1));
    health.observe(bad(ProbeFailure::Status(503)), s(2));
    let told: Vec<_> = health.history().map(|entry| (entry.at(), entry.what(), entry.status())).collect();
    let changed = |from, to| Happened::Changed { from, to };
    assert_eq!(
        told,
        [
            (s(1), Happened::ProbeOk, Some(200)),
            (s(1), changed(Unknown, Up), None),
            (s(2), Happened::ProbeFailed(ProbeFault::Status), Some(503)),
            (s(2), changed(Up, Down), None),
        ]
    );
    let reasons: Vec<_> = health.history().filter_map(|entry| entry.reason()).collect();
    let why = "probe failed: answered with status 503";
    assert_eq!(reasons, ["first probe succeeded", "answered with status 503", why]);
}

#[test]
fn a_slow_probe_is_a_bad_one_in_the_history_too() {
    let mut health = health(|check, _| check.max_latency = Some(s(1)));
    health.observe(good(s(2)), s(1));
    let entry = health.history().last().unwrap();
    assert_eq!(
        (entry.what(), entry.latency(), entry.status()),
        (Happened::ProbeFailed(ProbeFault::Slow), Some(s(2)), Some(200))
    );
    assert_eq!(entry.reason(), Some("took longer than 1s"));
    assert_eq!(health.trend(), None);
}

#[test]
fn a_server_takes_no_more_memory_than_the_module_says() {
    assert!(size_of::<Health>() <= 400, "{}", size_of::<Health>());
    let buckets = 1_536;
    assert!(crate::health::history::History::MOST_BYTES + buckets <= 35_200);
    let mut health = health(|check, _| check.fall = 1);
    for n in 0..2_000 {
        health.observe(if n % 3 == 0 { bad(ProbeFailure::Status(500)) } else { OK }, s(n * 5));
    }
    assert!(health.history.bytes() + buckets < 20_000, "{}", health.history.bytes());
    let mut well = super::health(|_, _| ());
    (0..2_000).for_each(|n| drop(well.observe(OK, s(n * 5))));
    assert!(well.history.bytes() + buckets + size_of::<Health>() <= 8_500);
}

#[test]
fn uptime_is_the_share_of_the_known_time() {
    let mut health = health(|check, _| (check.rise, check.fall) = (1, 1));
    assert_eq!(health.uptime(s(50), Window::Start), None);
    health.observe(OK, s(100));
    health.observe(BAD, s(400));
    health.observe(OK, s(500));
    for window in Window::ALL {
        let uptime = health.uptime(s(600), window).unwrap();
        assert!((uptime - 0.8).abs() < 1e-9, "{window:?} {uptime}");
    }
}

#[test]
fn unstable_is_no_uptime() {
    let damping = FlapDamping { limit: 1, reuse: 1, half_life: s(600) };
    let mut health = damped(&damping, |check, _| (check.rise, check.fall) = (1, 1));
    assert_eq!(feed(&mut health, 0, &[OK, BAD, OK]), [Up, Down, Unstable]);
    let uptime = health.uptime(s(100), Window::Start).unwrap();
    assert!((uptime - 0.01).abs() < 1e-9, "{uptime}");
}

#[test]
fn nobody_is_there_while_that_is_the_last_evidence() {
    let mut health = health(|_, passive| passive.hold = s(0));
    let standing = |health: &mut Health, seen, at| {
        health.observe(seen, s(at));
        (health.standing(), health.is_unreachable())
    };
    assert_eq!(standing(&mut health, OK, 1), (Standing::Well, false));
    assert_eq!(standing(&mut health, refused(), 2), (Standing::Well, false), "it is still up");
    assert_eq!(standing(&mut health, Observation::ConnectRefused, 3), (Standing::Unreachable, true));
    assert_eq!(standing(&mut health, bad(ProbeFailure::Status(500)), 4), (Standing::Sick, false));
    let seen = Observation::RequestFailed(Failure::ConnectRefused);
    assert_eq!(standing(&mut health, seen, 5), (Standing::Unreachable, true), "without a transition");
    let late = Observation::RequestFailed(Failure::ConnectTimeout);
    assert_eq!(standing(&mut health, late, 6), (Standing::Unreachable, true), "says nothing");
    let theirs = Observation::RequestFailed(Failure::ClientClosed);
    assert_eq!(standing(&mut health, theirs, 7), (Standing::Unreachable, true), "is not the server's");
    let cut = Observation::RequestFailed(Failure::ServerClosed);
    assert_eq!(standing(&mut health, cut, 8), (Standing::Sick, false));
    let nameless = bad(ProbeFailure::Resolve("no such name".to_owned()));
    assert_eq!(standing(&mut health, nameless, 9), (Standing::Unreachable, true));
    assert_eq!(standing(&mut health, BAD, 10), (Standing::Sick, false));
}

#[test]
fn a_server_told_to_start_down_waits() {
    let mut health = health(|check, _| check.start_down = true);
    assert_eq!(health.standing(), Standing::Waiting);
    health.observe(OK, s(1));
    assert_eq!(health.standing(), Standing::Well);
}

/// A server that is down, and its defaults.
fn down() -> (Health, HealthCheck, PassiveHealth, FlapDamping) {
    let mut health = health(|_, _| ());
    feed(&mut health, 0, &[OK, BAD, BAD, BAD]);
    (health, HealthCheck::default(), PassiveHealth::default(), FlapDamping::default())
}

#[test]
fn a_verdict_outlives_a_change_of_pace_and_of_everything_that_probes_do_not_ask() {
    let (health, mut check, mut passive, mut damping) = down();
    (check.interval, check.timeout, check.rise, check.fall, check.start_down) = (s(1), s(1), 1, 1, true);
    (check.fast_interval, check.max_interval) = (s(1), s(9));
    (passive.failures, damping.limit) = (1, 9);
    let mut next = health.clone().succeed(&check, &passive, &damping, s(10));
    assert_eq!((next.state(), next.since(), next.reason()), (Down, s(3), health.reason()));
    assert_eq!(next.history().len(), 6);
    assert_eq!(next.observe(OK, s(11)).unwrap().to, Up, "the new rise holds");
}

#[test]
fn under_another_question_the_verdict_is_unknown_and_traffic_as_before() {
    let (was_down, mut check, passive, damping) = down();
    let mut was_up = health(|_, _| ());
    was_up.observe(OK, s(0));
    check.path = "/other".to_owned();
    for (health, eligible) in [(was_down, false), (was_up, true)] {
        let entries = health.history().len();
        let mut next = health.succeed(&check, &passive, &damping, s(10));
        assert_eq!((next.state(), next.since(), next.eligible()), (Unknown, s(10), eligible));
        assert_eq!(next.standing(), if eligible { Standing::Well } else { Standing::Sick });
        assert_eq!((next.reason(), next.history().len()), ("the health check was changed", entries + 1));
        assert!(next.uptime(s(10), Window::Start).is_some());
        // Twice in a row changes nothing.
        check.path.push('2');
        next = next.succeed(&check, &passive, &damping, s(11));
        assert_eq!((next.state(), next.eligible()), (Unknown, eligible));
        assert_eq!(next.observe(OK, s(12)).unwrap().to, Up);
        assert!(next.eligible());
    }
}

#[test]
fn where_probes_are_turned_off_nobody_stays_out_for_ever() {
    let (health, mut check, passive, damping) = down();
    check.path = "/other".to_owned();
    let waiting = health.clone().succeed(&check, &passive, &damping, s(10));
    check.kind = ProbeKind::Off;
    for health in [health, waiting] {
        assert!(health.succeed(&check, &passive, &damping, s(11)).eligible());
    }
}

#[test]
fn damping_that_is_turned_off_lets_go_with_the_next_tick() {
    let damping = FlapDamping { limit: 1, reuse: 1, half_life: s(600) };
    let mut health = damped(&damping, |check, _| (check.rise, check.fall) = (1, 1));
    assert_eq!(feed(&mut health, 0, &[OK, BAD, OK]), [Up, Down, Unstable]);
    let check = HealthCheck { rise: 1, fall: 1, ..HealthCheck::default() };
    let off = FlapDamping { limit: 0, ..damping };
    let mut health = health.succeed(&check, &PassiveHealth::default(), &off, s(4));
    assert_eq!(health.state(), Unstable);
    assert_eq!(health.tick(s(4)).unwrap().to, Up);
}

proptest! {
    #[test]
    fn history_never_exceeds_its_limit_and_stays_in_order(
        story in prop::collection::vec((seen(), 0_u64..3_000), 1..700),
    ) {
        let mut health = health(|check, _| check.fall = 1);
        let mut now = Duration::ZERO;
        for (observation, gap) in story {
            now += Duration::from_millis(gap);
            let probe = matches!(observation, Observation::ProbeOk { .. } | Observation::ProbeFailed { .. });
            let before = health.history().len();
            let change = health.observe(observation, now);
            let due = before + usize::from(probe) + usize::from(change.is_some());
            prop_assert_eq!(health.history().len(), due.min(HISTORY));
        }
        prop_assert!(health.history().zip(health.history().skip(1)).all(|(a, b)| a.at() <= b.at()));
    }

    /// Up, down and unstable in any order: what uptime says is what the transitions said.
    #[test]
    fn uptime_agrees_with_the_transitions(story in prop::collection::vec((seen(), 0_u64..60_000), 1..200)) {
        let mut health = health(|check, _| (check.rise, check.fall) = (1, 1));
        let (mut now, mut up, mut known) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
        for (observation, gap) in story {
            let gap = Duration::from_millis(gap);
            now += gap;
            match health.state() {
                Up => (up, known) = (up + gap, known + gap),
                Down | Unstable => known += gap,
                Unknown => {}
            }
            health.observe(observation, now);
        }
        let due = (!known.is_zero()).then(|| up.div_duration_f64(known));
        let told = health.uptime(now, Window::Start);
        prop_assert_eq!(due.is_some(), told.is_some());
        prop_assert!(due.zip(told).is_none_or(|(due, told)| (due - told).abs() < 1e-9));
    }
}
