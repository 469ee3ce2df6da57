//! When the next probe is due.

use super::*;

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// What is waited after each of these, fed where they are due, in seconds.
fn waits(health: &mut Health, observations: &[Observation]) -> Vec<u64> {
    let mut now = s(100);
    let wait = |seen: &Observation| {
        health.observe(seen.clone(), now);
        let wait = health.next_probe_in(now);
        now += wait;
        wait.as_secs()
    };
    observations.iter().map(wait).collect()
}

#[test]
fn quick_around_a_change_then_steady() {
    let mut health = health(|_, _| ());
    assert_eq!(health.next_probe_in(s(0)), s(5));
    assert_eq!(waits(&mut health, &[OK, OK, OK, OK]), [1, 1, 5, 5]);
    // One lost probe is looked into at once; two good ones later it is forgotten.
    assert_eq!(waits(&mut health, &[BAD, OK, OK, OK]), [1, 1, 5, 5]);
}

#[test]
fn backs_off_while_the_server_stays_down() {
    let mut health = health(|_, _| ());
    waits(&mut health, &[OK, OK]);
    let waits = waits(&mut health, &[BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, OK, OK, OK, OK]);
    assert_eq!(waits, [1, 1, 1, 1, 5, 10, 20, 40, 60, 60, 60, 1, 1, 1, 5]);
}

#[test]
fn a_sign_of_life_starts_the_back_off_anew() {
    let mut health = health(|_, _| ());
    let bad = [BAD; 10];
    waits(&mut health, &bad);
    assert_eq!(waits(&mut health, &[BAD, OK, BAD, BAD, BAD]), [60, 1, 1, 5, 10]);
}

#[test]
fn the_first_probe_that_counts_is_not_late() {
    let mut health = health(|_, _| ());
    health.observe(OK, s(0));
    health.observe(Observation::ConnectRefused, s(10));
    assert_eq!(health.next_probe_in(ms(12_500)), ms(2_500));
    assert_eq!(health.next_probe_in(ms(14_999)), s(1));
    let mut long = super::health(|_, passive| passive.hold = s(600));
    long.observe(Observation::ConnectRefused, s(10));
    assert_eq!(long.next_probe_in(s(11)), s(5));
}

#[test]
fn an_interval_outside_of_the_other_two_moves_them() {
    let mut short = health(|check, _| check.interval = ms(200));
    short.observe(OK, s(0));
    assert_eq!(short.next_probe_in(s(0)), ms(200));
    let mut long = health(|check, _| check.interval = s(300));
    for n in 0..20 {
        long.observe(BAD, s(n));
    }
    assert_eq!(long.next_probe_in(s(20)), s(300));
}

proptest! {
    #[test]
    fn never_below_fast_interval_nor_above_max_interval(
        story in prop::collection::vec((seen(), 0_u64..70_000), 1..200),
        fast in 1_u64..2_000, interval in 2_000_u64..20_000, longest in 20_000_u64..100_000,
    ) {
        let mut health = health(|check, _| {
            (check.fast_interval, check.interval, check.max_interval) = (ms(fast), ms(interval), ms(longest));
        });
        let mut now = Duration::ZERO;
        for (observation, gap) in story {
            now += ms(gap);
            health.observe(observation, now);
            let wait = health.next_probe_in(now);
            prop_assert!(ms(fast) <= wait && wait <= ms(longest));
            prop_assert!(wait <= ms(interval) || health.state() == Down);
        }
    }

    #[test]
    fn a_server_that_stays_down_is_asked_ever_less_often(rise in 1_u32..20, fall in 1_u32..20, more in 1_u32..80) {
        let mut health = health(|check, _| (check.rise, check.fall) = (rise, fall));
        for n in 0..fall {
            health.observe(BAD, s(n.into()));
        }
        let mut before = health.next_probe_in(s(99));
        prop_assert_eq!(before, s(1));
        for n in 0..more {
            health.observe(BAD, s(100 + u64::from(n)));
            let wait = health.next_probe_in(s(100 + u64::from(n)));
            prop_assert!(before <= wait && wait <= s(60));
            before = wait;
        }
        prop_assert!(more < rise + 5 || before == s(60));
    }
}
