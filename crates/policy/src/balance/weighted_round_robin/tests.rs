#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use proptest::prelude::*;

use super::super::Seat;
use super::{ROUNDED_CYCLE, schedule, shares};

fn seats(weights: &[u32]) -> Vec<Seat> {
    (0..).zip(weights).map(|(index, &weight)| Seat { index, weight, share: 1_000 }).collect()
}

#[test]
fn a_cycle_is_as_short_as_it_can_be() {
    assert_eq!(*schedule(&seats(&[100, 100, 100])), [0, 1, 2]);
    assert_eq!(*schedule(&seats(&[600, 300])), [0, 0, 1]);
    assert_eq!(*schedule(&seats(&[1, 1, 2])), [2, 0, 2, 1]);
    assert!(schedule(&[]).is_empty());
}

#[test]
fn thousands_of_equal_servers_have_one_turn_each() {
    assert_eq!(*schedule(&seats(&[1_000; 2_000])), *(0..2_000).collect::<Vec<u32>>());
}

#[test]
fn a_rounded_cycle_holds_all_its_turns() {
    let seats = seats(&(1..=1_000).collect::<Vec<u32>>());
    let mut had = vec![0; seats.len()];
    schedule(&seats).iter().for_each(|&index| had[index as usize] += 1);
    assert_eq!(had, shares(&seats));
}

proptest! {
    #[test]
    fn a_cycle_that_had_to_be_rounded_is_less_than_a_turn_off(
        weights in prop::collection::vec(prop_oneof![1_u32..10, 1_u32..=1_000], 140..600),
    ) {
        let seats = seats(&weights);
        let total: u64 = weights.iter().map(|&weight| u64::from(weight)).sum();
        let shares = shares(&seats);
        if total > ROUNDED_CYCLE {
            for (share, weight) in shares.iter().zip(&weights) {
                let due = u64::from(*weight) * ROUNDED_CYCLE;
                prop_assert!((share * total).abs_diff(due) < total && *share > 0);
            }
        } else {
            prop_assert!(shares.iter().sum::<u64>() <= total);
        }
        let length = shares.iter().sum::<u64>();
        prop_assert!(length <= ROUNDED_CYCLE + weights.len() as u64);
    }
}
