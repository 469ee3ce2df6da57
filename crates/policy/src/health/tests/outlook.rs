//! What an outlook says comes true, and not before.

use super::*;

/// Just before, just after.
const MOMENT: Duration = Duration::from_millis(1);

/// A server that has seen all kinds of things, and the time after them.
fn lived() -> impl Strategy<Value = (Health, Duration)> {
    let steps = prop::collection::vec((seen(), 0_u64..4_000), 0..40);
    (prop::sample::select(&[true, false][..]), 1_u32..4, 1_u32..4, 0_u32..3, steps).prop_map(
        |(probing, rise, fall, limit, steps)| {
            let damping = FlapDamping { limit, reuse: 1, half_life: s(20) };
            let mut health = damped(&damping, |probes, passive| {
                probes.kind = if probing { ProbeKind::Http } else { ProbeKind::Off };
                (probes.rise, probes.fall) = (rise, fall);
                passive.failures = 3;
            });
            let mut now = Duration::ZERO;
            for (observation, pause) in steps {
                let is_probe =
                    matches!(observation, Observation::ProbeOk { .. } | Observation::ProbeFailed { .. });
                if probing || !is_probe {
                    health.observe(observation, now);
                }
                now += Duration::from_millis(pause);
                health.tick(now);
            }
            (health, now)
        },
    )
}

/// Whether so many of these change the state, and one less does not.
fn takes(count: u32, health: &Health, at: Duration, observation: &Observation) -> bool {
    let state = |times: u32| {
        let mut health = health.clone();
        (0..times).for_each(|_| drop(health.observe(observation.clone(), at)));
        health.state()
    };
    state(count) != health.state() && (count == 0 || state(count - 1) == health.state())
}

proptest! {
    #[test]
    fn what_is_said_to_change_the_verdict_does_and_less_does_not((health, now) in lived()) {
        let outlook = health.outlook(now);
        let due = now + outlook.held_for;
        match health.state() {
            Down if outlook.probing => {
                prop_assert!(takes(outlook.rise - outlook.good, &health, due, &OK), "{:?}", outlook);
                if outlook.held_for > Duration::ZERO {
                    prop_assert!(!takes(outlook.rise, &health, now, &OK));
                }
            }
            Down => {
                let ticked = |at| {
                    let mut health = health.clone();
                    health.tick(at);
                    health.state()
                };
                prop_assert_eq!(ticked(due), Unknown);
                prop_assert!(due == now || ticked(due.saturating_sub(MOMENT)) == Down);
            }
            Up if outlook.probing => {
                prop_assert!(takes(outlook.fall - outlook.bad, &health, due, &BAD), "{:?}", outlook);
            }
            Up | Unknown | Unstable => {}
        }
        if matches!(health.state(), Up | Unknown) {
            let left = u32::try_from(outlook.failures - outlook.failed).unwrap();
            prop_assert!(takes(left, &health, now, &cut()), "{:?}", outlook);
        }
    }

    #[test]
    fn a_server_that_comes_and_goes_is_held_out_for_as_long_as_is_said((health, now) in lived()) {
        let outlook = health.outlook(now);
        if health.state() == Unstable {
            let ticked = |after: Duration| {
                let mut health = health.clone();
                health.tick(now + after);
                health.state()
            };
            prop_assert_eq!(ticked(outlook.damped_for + MOMENT), Up);
            prop_assert!(outlook.damped_for < s(1) || ticked(outlook.damped_for.saturating_sub(MOMENT)) == Unstable);
        }
        if health.state() == Down && outlook.probing && outlook.held_for.is_zero() {
            let mut back = health.clone();
            (0..outlook.rise).for_each(|_| drop(back.observe(OK, now)));
            prop_assert_eq!(back.state(), if outlook.damped_for.is_zero() { Up } else { Unstable });
        }
    }
}
