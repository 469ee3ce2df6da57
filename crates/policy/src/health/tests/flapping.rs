//! Servers that come and go.

use super::*;
use crate::admission::Standing;

/// Down and up again, a second apart each; one good and one bad probe are enough.
fn cycles(health: &mut Health, start: u64, count: u64) -> Vec<State> {
    feed(health, start, &[OK])
        .into_iter()
        .chain((0..count).flat_map(|n| feed(health, start + 1 + 2 * n, &[BAD, OK])))
        .collect()
}

fn quick(limit: u32, reuse: u32, half_life: u64) -> Health {
    let damping = FlapDamping { limit, reuse, half_life: s(half_life) };
    damped(&damping, |check, _| (check.rise, check.fall) = (1, 1))
}

#[test]
fn a_server_killed_and_brought_back_three_times_stays_in() {
    let mut health = quick(6, 2, 120);
    assert!(cycles(&mut health, 0, 3).iter().all(|&state| state == Up || state == Down));
    assert!(health.eligible());
}

#[test]
fn the_fourth_time_in_a_row_it_is_unstable_until_that_is_forgotten() {
    let mut health = quick(6, 2, 120);
    assert_eq!(cycles(&mut health, 0, 4)[1..], [Down, Up, Down, Up, Down, Up, Down, Unstable]);
    assert_eq!((health.eligible(), health.standing(), health.since()), (false, Standing::Unstable, s(8)));
    assert_eq!(
        health.reason(),
        "probe succeeded, but it comes and goes (penalty 7.8, limit 6): held out for 236s"
    );
    assert_eq!(feed(&mut health, 9, &[OK; 200]), [Unstable; 200]);
    assert_eq!(health.tick(s(243)), None);
    let change = health.tick(s(245)).unwrap();
    assert_eq!((change.from, change.to), (Unstable, Up));
    assert_eq!(change.reason, "held out for 237s and stayed well");
    assert_eq!(health.tick(s(246)), None);
}

#[test]
fn a_good_probe_ends_it_too_when_its_time_has_come() {
    let mut health = quick(6, 2, 120);
    cycles(&mut health, 0, 4);
    let change = health.observe(OK, s(250)).unwrap();
    assert_eq!((change.from, change.to), (Unstable, Up));
}

#[test]
fn an_unstable_server_that_dies_is_down() {
    let mut health = quick(6, 2, 120);
    cycles(&mut health, 0, 4);
    let change = health.observe(BAD, s(20)).unwrap();
    assert_eq!((change.from, change.to), (Unstable, Down));
    assert_eq!(health.observe(OK, s(21)).unwrap().to, Unstable);
    let change = health.observe(Observation::ConnectRefused, s(22)).unwrap();
    assert_eq!((change.from, change.to), (Unstable, Down));
}

#[test]
fn starting_up_is_no_flapping() {
    let mut health = quick(1, 0, 120);
    assert_eq!(feed(&mut health, 0, &[OK, OK]), [Up, Up]);
    let mut late = quick(1, 0, 120);
    assert_eq!(feed(&mut late, 0, &[refused(), refused(), OK]), [Down, Down, Up]);
}

#[test]
fn without_probes_nobody_is_unstable() {
    let mut health = damped(&FlapDamping { limit: 1, reuse: 0, half_life: s(600) }, |check, _| {
        check.kind = ProbeKind::Off;
    });
    for n in 0..50 {
        health.observe(Observation::ConnectRefused, s(10 * n));
        assert_eq!(health.state(), Down);
        assert_eq!(health.tick(s(10 * n + 6)).unwrap().to, Unknown);
    }
}

#[test]
fn a_limit_of_zero_turns_damping_off() {
    let mut health = quick(0, 0, 120);
    assert!(cycles(&mut health, 0, 100).iter().all(|&state| state != Unstable));
}

#[test]
fn what_is_rare_is_forgotten() {
    let mut health = quick(6, 2, 120);
    for hour in 1..100 {
        assert_eq!(feed(&mut health, 3_600 * hour, &[BAD, OK]), [Down, Up]);
    }
}

proptest! {
    /// Whatever the phase, with a lost probe now and then in between.
    #[test]
    fn one_failed_probe_in_three_never_takes_out_and_never_makes_unstable(
        phase in 0_usize..3, gaps in prop::collection::vec(100_u64..20_000, 1..400),
    ) {
        let mut health = health(|_, _| ());
        let mut now = Duration::ZERO;
        for (n, gap) in gaps.into_iter().enumerate() {
            now += Duration::from_millis(gap);
            let change = health.observe(if n % 3 == phase { BAD } else { OK }, now);
            prop_assert!(change.is_none_or(|change| change.to == Up));
            prop_assert!(health.eligible());
        }
    }

    #[test]
    fn a_server_that_dies_is_out_within_fall_probes(
        before in prop::collection::vec(any::<bool>(), 0..100), fall in 1_u32..6, rise in 1_u32..6,
    ) {
        let mut health = health(|check, _| (check.fall, check.rise) = (fall, rise));
        let mut at = 0;
        for good in before {
            at += 1;
            health.observe(if good { OK } else { BAD }, s(at));
        }
        for _ in 0..fall {
            at += 1;
            health.observe(BAD, s(at));
        }
        prop_assert_eq!(health.state(), Down);
    }

    /// After at most halfLife x log2(2 limit / reuse) of good probes.
    #[test]
    fn an_unstable_server_comes_back_once_it_stays_well(
        story in prop::collection::vec((any::<bool>(), 1_u64..5_000), 0..300),
        limit in 1_u32..10, reuse in 1_u32..10, half_life in 1_u64..200,
    ) {
        let mut health = quick(limit, reuse, half_life);
        let mut now = Duration::ZERO;
        for (good, gap) in story {
            now += Duration::from_millis(gap);
            let was = health.state();
            let change = health.observe(if good { OK } else { BAD }, now);
            let penalty = health.penalty.now(&health.rules.damping, now);
            if let Some(change) = change {
                prop_assert!(change.to != Unstable || (was == Down && penalty > f64::from(limit)));
                prop_assert!(was != Unstable || change.to == Down || penalty <= f64::from(reuse));
            }
        }
        let halves = (2.0 * f64::from(limit) / f64::from(reuse)).log2().max(0.0);
        let end = now + s(2) + s(half_life).mul_f64(halves);
        while now < end {
            now += s(1);
            health.observe(OK, now);
        }
        prop_assert_eq!(health.state(), Up);
        prop_assert!(health.eligible());
    }
}
