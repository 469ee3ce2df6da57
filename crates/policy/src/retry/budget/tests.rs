#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use proptest::prelude::*;

use super::RetryBudget;

const fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn granted(budget: &RetryBudget, now: Duration, asked: usize) -> usize {
    (0..asked).filter(|_| budget.try_retry(now)).count()
}

#[test]
fn grants_the_floor_in_each_second_without_any_request() {
    let budget = RetryBudget::new(20, 3);
    for second in 0..100 {
        assert_eq!(granted(&budget, at(second), 50), 3, "in second {second}");
    }
}

#[test]
fn grants_a_share_of_the_requests() {
    let budget = RetryBudget::new(20, 0);
    (0..1_000).for_each(|_| budget.on_request(at(5)));
    assert_eq!(granted(&budget, at(5), 5_000), 200);
}

#[test]
fn grants_nothing_when_both_are_zero() {
    let budget = RetryBudget::new(0, 0);
    (0..1_000).for_each(|_| budget.on_request(at(1)));
    assert_eq!(granted(&budget, at(1), 100), 0);
}

#[test]
fn requests_count_for_ten_seconds() {
    let budget = RetryBudget::new(10, 0);
    (0..100).for_each(|_| budget.on_request(at(20)));
    assert_eq!(granted(&budget, at(29), 5), 5);
    assert_eq!(granted(&budget, at(30), 5), 0);
}

#[test]
fn retries_count_for_ten_seconds() {
    let budget = RetryBudget::new(10, 0);
    (0..100).for_each(|_| budget.on_request(at(20)));
    assert_eq!(granted(&budget, at(20), 100), 10);
    (0..100).for_each(|_| budget.on_request(at(25)));
    assert_eq!(granted(&budget, at(29), 100), 10);
    assert_eq!(granted(&budget, at(30), 100), 0, "the ten of second 29 use up what second 25 gave");
}

#[test]
fn a_ring_that_comes_round_forgets() {
    let budget = RetryBudget::new(100, 0);
    (0..100).for_each(|_| budget.on_request(at(3)));
    for second in [3 + 16, 3 + 32, 3 + 1_600_000] {
        assert_eq!(granted(&budget, at(second), 10), 0);
    }
}

#[test]
fn a_clock_reading_from_a_former_round_changes_nothing() {
    let budget = RetryBudget::new(100, 1);
    budget.on_request(at(100));
    budget.on_request(at(84));
    assert_eq!(granted(&budget, at(84), 5), 0);
    assert_eq!(granted(&budget, at(100), 5), 1);
}

#[test]
fn counts_stop_at_their_highest_value() {
    let budget = RetryBudget::new(100, 0);
    let full = super::Second { requests: super::COUNT_MAX, ..super::Second::empty(7) };
    budget.slot(7).store(full.word(), Ordering::SeqCst);
    budget.on_request(at(7));
    assert_eq!(budget.entered(7).requests, super::COUNT_MAX);
    assert_eq!(budget.entered(7).retries, 0);
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Request,
    Retry,
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => Just(Step::Request),
        6 => Just(Step::Retry),
        1 => (0_u64..4_000).prop_map(Step::Wait),
    ]
}

proptest! {
    /// The rule in plain words, kept in lists of times.
    #[test]
    fn grants_what_the_rule_grants_and_no_more(
        steps in prop::collection::vec(step(), 0..600),
        percent in 0_u32..=100,
        floor in 0_u32..5,
        start in prop_oneof![Just(0_u64), 0_u64..100, 60_000_000..67_200_000_u64],
    ) {
        let budget = RetryBudget::new(percent, floor);
        let (mut now, mut requests, mut retries) = (Duration::from_secs(start), Vec::new(), Vec::new());
        for step in steps {
            match step {
                Step::Wait(milliseconds) => now += Duration::from_millis(milliseconds),
                Step::Request => {
                    budget.on_request(now);
                    requests.push(now.as_secs());
                }
                Step::Retry => {
                    let second = now.as_secs();
                    let in_window = |times: &[u64]| times.iter().filter(|&&t| t + 10 > second).count() as u64;
                    let this = retries.iter().filter(|&&t| t == second).count() as u64;
                    let share = in_window(&requests) * u64::from(percent);
                    let expected = this < u64::from(floor) || (in_window(&retries) + 1) * 100 <= share;
                    prop_assert_eq!(budget.try_retry(now), expected);
                    if expected {
                        retries.push(second);
                    }
                }
            }
        }
    }
}

#[test]
fn a_worker_with_an_older_clock_reading_sees_what_was_granted_since() {
    let budget = RetryBudget::new(20, 0);
    (0..5).for_each(|_| budget.on_request(at(3)));
    assert!(budget.try_retry(at(4)));
    assert!(!budget.try_retry(at(3)));
}

/// Four workers ask for all they can get while the clock, which each reads a little late, runs on.
#[test]
fn workers_together_never_exceed_the_bound() {
    for round in 0..50 {
        let budget = RetryBudget::new(20, 0);
        (0..1_000).for_each(|_| budget.on_request(at(0)));
        let clock = AtomicU64::new(0);
        let ask = |n: u64| {
            let now = clock.load(Ordering::Relaxed);
            if n.is_multiple_of(20) && now < 6 {
                clock.fetch_max(now + 1, Ordering::Relaxed);
            }
            budget.try_retry(at(now))
        };
        let total: usize = std::thread::scope(|scope| {
            let workers: Vec<_> =
                (0..4).map(|_| scope.spawn(|| (0..400).filter(|&n| ask(n)).count())).collect();
            workers.into_iter().map(|worker| worker.join().unwrap()).sum()
        });
        // All seconds lie in one window. A few places may go to nobody, none goes to two.
        assert!((190..=200).contains(&total), "{total} granted in round {round}");
    }
}

/// Two workers reach for the only place at the same moment, again and again.
#[test]
fn the_last_place_goes_to_one_at_most() {
    const ROUNDS: usize = 5_000;
    let budgets: Vec<RetryBudget> = (0..ROUNDS).map(|_| RetryBudget::new(100, 0)).collect();
    for budget in &budgets {
        budget.on_request(at(0));
    }
    let arrived = AtomicU64::new(0);
    let work = |mine: u64| {
        let reach = |(before, budget): (u64, &RetryBudget)| {
            arrived.fetch_add(1, Ordering::SeqCst);
            for spins in 0_u32.. {
                if arrived.load(Ordering::SeqCst) >= 2 * (before + 1) {
                    break;
                }
                // The other one may be waiting for this very processor.
                if spins < 500 { std::hint::spin_loop() } else { std::thread::yield_now() }
            }
            // Every other round the two are in different seconds.
            budget.try_retry(at(mine * (before % 2)))
        };
        (0..).zip(&budgets).map(reach).collect::<Vec<bool>>()
    };
    let (one, other) = std::thread::scope(|scope| {
        let other = scope.spawn(|| work(1));
        (work(0), other.join().unwrap())
    });
    let both = one.iter().zip(&other).filter(|&(&a, &b)| a && b).count();
    assert_eq!(both, 0, "of {ROUNDS} places went to two");
    let given = one.iter().zip(&other).filter(|&(&a, &b)| a || b).count();
    assert!(given > 0);
}

#[test]
fn workers_together_get_the_floor() {
    let budget = RetryBudget::new(0, 1_000);
    let total: usize = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..4).map(|_| scope.spawn(|| granted(&budget, at(1), 500))).collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).sum()
    });
    assert_eq!(total, 1_000);
}
