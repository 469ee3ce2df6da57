#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::cast_precision_loss)]

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::{IpAddr, Ipv4Addr};

use loadweaver_config::Algorithm;
use proptest::prelude::*;

use super::{Balancer, FULL_SHARE, Foresight, Member, Pick};

mod laws;
mod shares;
mod succession;
mod threads;

const SOMEBODY: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 7));

fn members(weights: &[u32]) -> Vec<Member> {
    let member = |(n, &weight): (usize, &u32)| Member { id: format!("10.0.0.{n}:80").into(), weight };
    weights.iter().enumerate().map(member).collect()
}

fn balancer(algorithm: Algorithm, weights: &[u32]) -> Balancer {
    Balancer::new(algorithm, &members(weights))
}

/// Those that are in have all their share.
fn publish(balancer: &Balancer, eligible: &[bool]) {
    balancer.publish(&eligible.iter().map(|&eligible| FULL_SHARE * u16::from(eligible)).collect::<Vec<_>>());
}

fn pick(balancer: &Balancer) -> Option<usize> {
    balancer.pick(&Pick { client: SOMEBODY, random: 0, tried: &[] }, |_| true)
}

/// The next `count` picks, each released at once.
fn picks(balancer: &Balancer, count: usize) -> Vec<usize> {
    let one = |_| {
        let index = pick(balancer).unwrap();
        balancer.release(index);
        index
    };
    (0..count).map(one).collect()
}

fn tally(picks: impl IntoIterator<Item = usize>) -> BTreeMap<usize, usize> {
    let mut tally = BTreeMap::new();
    for index in picks {
        *tally.entry(index).or_default() += 1;
    }
    tally
}

/// Picks by 100,000 clients from as many addresses with as many random numbers.
fn crowd(balancer: &Balancer, usable: impl Fn(usize) -> bool) -> BTreeMap<usize, usize> {
    tally((0..100_000_u32).map(|n| {
        let client = IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + n));
        let index = balancer.pick(&Pick { client, random: u64::from(n), tried: &[] }, &usable).unwrap();
        balancer.release(index);
        index
    }))
}

fn assert_shares(tally: &BTreeMap<usize, usize>, weights: &[(usize, u32)], tolerance: f64) {
    let picks: usize = tally.values().sum();
    let total: u32 = weights.iter().map(|(_, weight)| weight).sum();
    for &(index, weight) in weights {
        let share = tally.get(&index).copied().unwrap_or(0) as f64 / picks as f64;
        let due = f64::from(weight) / f64::from(total);
        assert!((share / due - 1.0).abs() < tolerance, "{index} got {share:.4}, is due {due:.4}");
    }
    assert_eq!(tally.len(), weights.len(), "{tally:?}");
}

#[test]
fn an_empty_pool_and_one_without_weight_have_no_server() {
    for algorithm in Algorithm::ALL {
        for weights in [&[][..], &[0], &[0, 0, 0]] {
            assert_eq!(pick(&balancer(algorithm, weights)), None, "{algorithm:?} {weights:?}");
        }
    }
}

#[test]
fn a_pool_of_one_has_that_one() {
    for algorithm in Algorithm::ALL {
        let balancer = balancer(algorithm, &[7]);
        assert_eq!(picks(&balancer, 3), [0, 0, 0]);
        publish(&balancer, &[false]);
        assert_eq!(pick(&balancer), None);
        publish(&balancer, &[true]);
        assert_eq!(pick(&balancer), Some(0));
    }
}

#[test]
fn a_list_too_short_leaves_the_rest_out_and_one_too_long_adds_nobody() {
    for algorithm in Algorithm::ALL {
        let balancer = balancer(algorithm, &[1, 1, 1]);
        publish(&balancer, &[true]);
        assert_eq!(tally(picks(&balancer, 10)).into_keys().collect::<Vec<_>>(), [0]);
        publish(&balancer, &[false, true, false, true, true]);
        assert_eq!(tally(picks(&balancer, 10)).into_keys().collect::<Vec<_>>(), [1]);
    }
}

#[test]
fn releasing_what_is_not_there_is_harmless() {
    for algorithm in Algorithm::ALL {
        let balancer = balancer(algorithm, &[1, 1]);
        for index in [0, 1, 2, usize::MAX] {
            balancer.release(index);
        }
        assert_eq!(crowd(&balancer, |_| true).len(), 2);
    }
}

#[test]
fn round_robin_is_an_exact_rotation() {
    let balancer = balancer(Algorithm::RoundRobin, &[1, 9, 0, 3]);
    assert_eq!(picks(&balancer, 7), [0, 1, 3, 0, 1, 3, 0]);
}

#[test]
fn round_robin_spreads_the_turns_of_a_full_server_over_all_others() {
    let balancer = balancer(Algorithm::RoundRobin, &[1; 4]);
    let order: Vec<usize> = (0..6)
        .filter_map(|_| balancer.pick(&Pick { client: SOMEBODY, random: 0, tried: &[] }, |i| i != 1))
        .collect();
    assert_eq!(order, [0, 2, 3, 0, 2, 3]);
}

#[test]
fn weighted_round_robin_never_gives_five_in_a_row() {
    let order = picks(&balancer(Algorithm::WeightedRoundRobin, &[5, 1, 1]), 70);
    assert_eq!(order[..7], [0, 0, 0, 1, 0, 0, 2]);
    assert!(order.windows(4).all(|run| run.iter().any(|&index| index != 0)), "{order:?}");
}

#[test]
fn random_is_fair() {
    let balancer = balancer(Algorithm::Random, &[1, 50, 0, 3]);
    assert_shares(&crowd(&balancer, |_| true), &[(0, 1), (1, 1), (3, 1)], 0.02);
}

#[test]
fn weighted_follows_the_weights_also_among_those_that_are_left() {
    let balancer = balancer(Algorithm::Weighted, &[1, 2, 3, 994]);
    assert_shares(&crowd(&balancer, |index| index > 0), &[(1, 2), (2, 3), (3, 994)], 0.15);
    // 994 of 1,000 draws are refused here, so nearly every pick ends with the pass over all servers.
    assert_shares(&crowd(&balancer, |index| index != 3), &[(0, 1), (1, 2), (2, 3)], 0.02);
}

#[test]
fn least_connections_rotates_ties() {
    let balancer = balancer(Algorithm::LeastConnections, &[1, 1, 1]);
    assert_eq!(picks(&balancer, 7), [0, 1, 2, 0, 1, 2, 0]);
}

#[test]
fn least_connections_rotates_ties_by_weight() {
    let balancer = balancer(Algorithm::LeastConnections, &[4, 2, 1]);
    assert_eq!(tally(picks(&balancer, 700)), BTreeMap::from([(0, 400), (1, 200), (2, 100)]));
}

#[test]
fn least_connections_keeps_counts_of_who_is_away() {
    let balancer = balancer(Algorithm::LeastConnections, &[1, 1]);
    let held: Vec<usize> = (0..6).filter_map(|_| pick(&balancer)).collect();
    publish(&balancer, &[false, true]);
    balancer.release(0);
    held.iter().filter(|&&index| index == 1).for_each(|&index| balancer.release(index));
    publish(&balancer, &[true, true]);
    // Two of three exchanges are still under way at 0, none at 1.
    let order: Vec<usize> = (0..4).filter_map(|_| pick(&balancer)).collect();
    assert_eq!((&order[..2], tally(order[2..].iter().copied()).len()), (&[1, 1][..], 2));
}

#[test]
fn least_connections_does_not_make_up_for_missed_turns() {
    let balancer = balancer(Algorithm::LeastConnections, &[1, 1, 1]);
    publish(&balancer, &[false, true, true]);
    picks(&balancer, 1_000);
    publish(&balancer, &[true, true, true]);
    // One turn more for being back, not 500.
    assert!(tally(picks(&balancer, 30)).into_values().all(|had| (9..=11).contains(&had)));
}

#[test]
fn ip_hash_sends_a_client_to_the_same_server_in_any_clothes() {
    let balancer = balancer(Algorithm::IpHash, &[1; 50]);
    let ask = |client: &str| {
        balancer.pick(&Pick { client: client.parse().unwrap(), random: 0, tried: &[] }, |_| true)
    };
    for n in 0..100 {
        assert_eq!(ask(&format!("192.0.2.{n}")), ask(&format!("::ffff:192.0.2.{n}")));
        assert_eq!(ask(&format!("2001:db8::{n}")), ask(&format!("2001:db8::{n}")));
    }
    let seen: HashSet<_> = (0..1_000).map(|n| ask(&format!("2001:db8::{n:x}"))).collect();
    assert_eq!(seen.len(), 50);
}

#[test]
fn ip_hash_follows_the_weights() {
    for servers in [2, 3, 10, 100] {
        let equal: Vec<(usize, u32)> = (0..servers).map(|index| (index, 1)).collect();
        assert_shares(&crowd(&balancer(Algorithm::IpHash, &vec![1; servers]), |_| true), &equal, 0.2);
    }
    let balancer = balancer(Algorithm::IpHash, &[100, 50, 200, 0]);
    assert_shares(&crowd(&balancer, |_| true), &[(0, 100), (1, 50), (2, 200)], 0.1);
}

#[test]
fn ip_hash_spreads_the_clients_of_a_full_server_over_all_others() {
    let weights = [(0, 1), (1, 1), (2, 1), (4, 1)];
    let balancer = balancer(Algorithm::IpHash, &[1; 5]);
    assert_shares(&crowd(&balancer, |index| index != 3), &weights, 0.2);
}

#[test]
fn ip_hash_stays_balanced_with_thousands_of_servers() {
    let tally = crowd(&balancer(Algorithm::IpHash, &vec![1; 2_000]), |_| true);
    // 50 clients each on average: the clients' own chance and the ring's unevenness together.
    assert!(
        tally.len() == 2_000 && tally.values().all(|&clients| clients < 120),
        "{:?}",
        tally.values().max()
    );
}

#[test]
fn every_server_of_a_large_full_pool_is_asked_before_giving_up() {
    for algorithm in Algorithm::ALL {
        let balancer = balancer(algorithm, &vec![1; 2_000]);
        for last in [0, 999, 1_999] {
            let found =
                balancer.pick(&Pick { client: SOMEBODY, random: 1, tried: &[] }, |index| index == last);
            assert_eq!(found, Some(last), "{algorithm:?}");
        }
        assert_eq!(balancer.pick(&Pick { client: SOMEBODY, random: 1, tried: &[] }, |_| false), None);
    }
}

#[test]
fn an_exchange_that_fails_everywhere_visits_each_server_once() {
    for algorithm in Algorithm::ALL {
        let balancer = balancer(algorithm, &[3, 1, 0, 2, 1]);
        let mut tried = Vec::new();
        while let Some(index) = balancer.pick(&Pick { client: SOMEBODY, random: 9, tried: &tried }, |_| true)
        {
            balancer.release(index);
            tried.push(index);
            assert!(tried.len() <= 4, "{algorithm:?}: {tried:?}");
        }
        assert_eq!(tried.len(), 4, "{algorithm:?}");
        assert_eq!(tried.into_iter().collect::<BTreeSet<_>>(), BTreeSet::from([0, 1, 3, 4]));
    }
}
