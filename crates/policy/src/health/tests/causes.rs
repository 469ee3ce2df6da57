//! What took a server out, in a word.

use super::*;

fn cause(health: &mut Health, seen: Observation, at: u64) -> Option<&'static str> {
    health.observe(seen, s(at))?.cause.map(Cause::code)
}

#[test]
fn each_fault_of_a_probe_has_a_word_of_its_own() {
    let text = || "text".to_owned();
    let failures = [
        ProbeFailure::Connect(text()),
        ProbeFailure::Resolve(text()),
        ProbeFailure::Timeout,
        ProbeFailure::Slow { latency: s(2), limit: s(1) },
        ProbeFailure::Tls(text()),
        ProbeFailure::BadAnswer(text()),
        ProbeFailure::Status(500),
        ProbeFailure::Header(text()),
        ProbeFailure::Body(text()),
        ProbeFailure::Grpc(text()),
        ProbeFailure::Program(text()),
    ];
    let mut words = Vec::new();
    for (failure, fault) in failures.into_iter().zip(ProbeFault::ALL) {
        let mut health = health(|check, _| check.fall = 1);
        assert_eq!(cause(&mut health, bad(failure), 1), Some(fault.code()));
        words.push(fault.code());
    }
    words.sort_unstable();
    words.dedup();
    assert_eq!(words.len(), ProbeFault::ALL.len());
}

#[test]
fn a_change_for_the_better_has_no_cause_and_requests_have_their_failure() {
    let mut health = health(|_, passive| (passive.failures, passive.hold) = (1, s(1)));
    assert_eq!(cause(&mut health, OK, 1), None);
    assert_eq!(cause(&mut health, cut(), 2), Some("server_closed"));
    let mut other = super::health(|_, _| ());
    assert_eq!(cause(&mut other, Observation::ConnectRefused, 1), Some("connect_refused"));
    let on_status = |_: &mut HealthCheck, passive: &mut PassiveHealth| {
        (passive.failures, passive.on_status) = (1, vec![StatusRange { first: 500, last: 599 }]);
    };
    let mut third = super::health(on_status);
    assert_eq!(cause(&mut third, Observation::StatusFailed(503), 1), Some("request_status"));
}

fn ended() -> Observation {
    Observation::ProcessEnded("the process was killed by signal 9".to_owned())
}

#[test]
fn a_process_that_ended_is_out_at_once_and_as_soon_back_as_probes_say() {
    // Even where requests have no say.
    let mut health = health(|check, passive| {
        (check.rise, passive.failures, passive.hold) = (1, 0, s(600));
    });
    health.observe(OK, s(1));
    assert_eq!(cause(&mut health, ended(), 2), Some("process_ended"));
    assert_eq!(health.reason(), "the process was killed by signal 9");
    assert!(health.is_unreachable());
    health.observe(OK, s(3));
    assert_eq!(health.state(), Up);
}

#[test]
fn what_requests_found_out_of_a_process_that_ended_is_not_held_against_it() {
    let mut health = health(|check, passive| (check.rise, passive.hold) = (1, s(600)));
    health.observe(OK, s(1));
    health.observe(Observation::ConnectRefused, s(2));
    assert_eq!(health.observe(ended(), s(2)), None);
    assert_eq!((health.state(), health.reason()), (Down, "the process was killed by signal 9"));
    health.observe(OK, s(3));
    assert_eq!(health.state(), Up);
}

#[test]
fn without_probes_a_new_process_gets_the_hold_to_start() {
    let mut health = health(|check, passive| {
        (check.kind, passive.hold) = (ProbeKind::Off, s(5));
    });
    health.observe(ended(), s(1));
    assert_eq!((health.state(), health.tick(s(5)).is_none()), (Down, true));
    assert!(health.tick(s(6)).is_some_and(|change| change.to == Unknown));
}

#[test]
fn a_server_that_starts_down_may_still_be_starting() {
    let mut waiting = health(|check, _| (check.start_down, check.fall) = (true, 3));
    assert_eq!(feed(&mut waiting, 0, &[refused(), refused(), OK]), [Unknown, Unknown, Up]);
    let mut dead = health(|check, _| (check.start_down, check.fall) = (true, 3));
    assert_eq!(feed(&mut dead, 0, &[refused(), refused(), refused()]), [Unknown, Unknown, Down]);
    let mut served = health(|_, _| ());
    assert_eq!(feed(&mut served, 0, &[refused()]), [Down]);
}
