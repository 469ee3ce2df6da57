//! What a server gets that starts slowly.

use super::*;

/// Of 100,000 clients, how many the server at index 1 gets at this share, with nine others at their full one.
fn gets(algorithm: Algorithm, share: u16) -> f64 {
    let balancer = balancer(algorithm, &[3; 10]);
    let mut shares = [FULL_SHARE; 10];
    shares[1] = share;
    balancer.publish(&shares);
    crowd(&balancer, |_| true).get(&1).copied().unwrap_or(0) as f64
}

/// How far off the share of the traffic may be: turns and counts are exact, chance and hashes are not.
fn tolerance(algorithm: Algorithm) -> f64 {
    match algorithm {
        Algorithm::RoundRobin | Algorithm::WeightedRoundRobin | Algorithm::LeastConnections => 0.01,
        Algorithm::Weighted | Algorithm::Random => 0.1,
        // 77 points of 768.
        Algorithm::IpHash => 0.4,
    }
}

#[test]
fn a_tenth_of_the_share_gets_a_tenth_of_the_traffic() {
    for algorithm in Algorithm::ALL {
        let (tenth, full) = (gets(algorithm, 100), gets(algorithm, FULL_SHARE));
        // One in ten at the full share; one tenth in nine and one tenth at a tenth of it.
        let due = 0.1 * full * 10.0 / 9.1;
        assert!(
            (tenth / due - 1.0).abs() < tolerance(algorithm),
            "{algorithm:?}: {tenth} of {full}, due {due}"
        );
    }
}

#[test]
fn a_greater_share_gets_more() {
    for algorithm in Algorithm::ALL {
        let ladder: Vec<f64> = [100, 300, 600, 1_000].map(|share| gets(algorithm, share)).into();
        assert!(ladder.windows(2).all(|pair| pair[0] < pair[1]), "{algorithm:?}: {ladder:?}");
    }
}

#[test]
fn equal_shares_are_full_shares() {
    for algorithm in Algorithm::ALL {
        let (full, half) = (balancer(algorithm, &[5, 1, 0, 2]), balancer(algorithm, &[5, 1, 0, 2]));
        half.publish(&[500; 4]);
        // ip_hash has half the points then, so some clients move; the others do as before.
        if algorithm != Algorithm::IpHash {
            assert_eq!(crowd(&full, |_| true), crowd(&half, |_| true), "{algorithm:?}");
        }
    }
}

#[test]
fn the_smallest_share_is_not_none_and_more_than_all_is_all() {
    for algorithm in Algorithm::ALL {
        let balancer = balancer(algorithm, &[1, 1]);
        balancer.publish(&[1, 0]);
        assert_eq!(picks(&balancer, 5), [0; 5], "{algorithm:?}");
        balancer.publish(&[u16::MAX, FULL_SHARE]);
        let tally = crowd(&balancer, |_| true);
        assert_shares(&tally, &[(0, 1), (1, 1)], 0.2);
    }
}

#[test]
fn least_connections_gives_a_tenth_of_the_connections_under_load() {
    let balancer = balancer(Algorithm::LeastConnections, &[2, 2, 2]);
    balancer.publish(&[FULL_SHARE, 100, FULL_SHARE]);
    let held = tally((0..2_100).filter_map(|_| pick(&balancer)));
    assert_eq!(held, BTreeMap::from([(0, 1_000), (1, 100), (2, 1_000)]));
}

proptest! {
    /// Shares or none: after any number of turns nobody is a turn away from its due.
    #[test]
    fn turns_stay_smooth_at_every_share(
        servers in prop::collection::vec((1_u32..6, 1_u16..=20), 1..12), weighted: bool,
    ) {
        let algorithm = if weighted { Algorithm::WeightedRoundRobin } else { Algorithm::RoundRobin };
        let balancer = balancer(algorithm, &servers.iter().map(|server| server.0).collect::<Vec<_>>());
        balancer.publish(&servers.iter().map(|server| server.1 * 50).collect::<Vec<_>>());
        let due = |&(weight, share): &(u32, u16)| {
            usize::from(share) * if weighted { weight as usize } else { 1 }
        };
        let total: usize = servers.iter().map(due).sum();
        let mut had = vec![0_usize; servers.len()];
        for turn in 1..=total {
            had[pick(&balancer).unwrap()] += 1;
            for (had, server) in had.iter().zip(&servers) {
                prop_assert!((had * total).abs_diff(turn * due(server)) < total);
            }
        }
    }

    #[test]
    fn ip_hash_moves_only_clients_of_the_server_whose_share_changes(
        weights in prop::collection::vec(1_u32..6, 2..20), slow in any::<prop::sample::Index>(),
        mut steps in prop::collection::vec(0_u16..=1_000, 2..6),
    ) {
        let balancer = balancer(Algorithm::IpHash, &weights);
        let slow = slow.index(weights.len());
        let mut shares = vec![FULL_SHARE; weights.len()];
        steps.sort_unstable();
        let at_full = homes(&balancer);
        let mut before: Option<Vec<_>> = None;
        for share in steps {
            shares[slow] = share;
            balancer.publish(&shares);
            let now = homes(&balancer);
            for (client, home) in at_full.iter().enumerate() {
                prop_assert!(*home == Some(slow) || now[client] == *home, "a stranger moved");
                // While the share grows clients come and none leave.
                let stayed = before.as_ref().is_none_or(|before| before[client] != Some(slow));
                prop_assert!(stayed || now[client] == Some(slow), "a client left again");
            }
            before = Some(now);
        }
    }
}

fn homes(balancer: &Balancer) -> Vec<Option<usize>> {
    let home = |n: u32| {
        let client = IpAddr::V4(Ipv4Addr::from_bits(0xc000_0200 + n * 77));
        balancer.pick(&Pick { client, random: 0, tried: &[] }, |_| true)
    };
    (0..300).map(home).collect()
}
