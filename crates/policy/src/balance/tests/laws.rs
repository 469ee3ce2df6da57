//! What holds for every pool, every state of its servers, and every order of events.

use super::*;

fn algorithm() -> impl Strategy<Value = Algorithm> {
    proptest::sample::select(&Algorithm::ALL[..])
}

/// Weight, eligible, usable of each server.
type Servers = Vec<(u32, bool, bool)>;

fn servers(most: usize) -> impl Strategy<Value = Servers> {
    let weight = prop_oneof![1 => Just(0_u32), 6 => 1_u32..6, 2 => 1_u32..=1_000];
    prop::collection::vec((weight, prop::bool::weighted(0.8), prop::bool::weighted(0.7)), 0..most)
}

fn set_up(algorithm: Algorithm, servers: &Servers) -> Balancer {
    let balancer = balancer(algorithm, &servers.iter().map(|server| server.0).collect::<Vec<_>>());
    publish(&balancer, &servers.iter().map(|server| server.1).collect::<Vec<_>>());
    balancer
}

fn eligible(servers: &Servers) -> Vec<usize> {
    (0..servers.len()).filter(|&index| servers[index].0 > 0 && servers[index].1).collect()
}

#[derive(Debug, Clone)]
enum Event {
    /// While these servers are full.
    Pick(HashSet<usize>),
    /// Of the n-th exchange under way.
    Release(usize),
    Publish(Vec<bool>),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        8 => prop::collection::hash_set(0_usize..24, 0..24).prop_map(Event::Pick),
        5 => (0_usize..1_000).prop_map(Event::Release),
        1 => prop::collection::vec(prop::bool::weighted(0.8), 24).prop_map(Event::Publish),
    ]
}

proptest! {
    /// What is foreseen is what comes, and that it was asked for changes nothing.
    #[test]
    fn foresees_the_next_pick_and_leaves_no_trace(
        algorithm in algorithm(), servers in servers(24), events in prop::collection::vec(event(), 1..80),
    ) {
        let (balancer, twin) = (set_up(algorithm, &servers), set_up(algorithm, &servers));
        let mut under_way = Vec::new();
        for (nth, event) in (0_u32..).zip(events) {
            match event {
                Event::Publish(eligible) => {
                    publish(&balancer, &eligible);
                    publish(&twin, &eligible);
                }
                Event::Release(nth) if !under_way.is_empty() => {
                    let index: usize = under_way.swap_remove(nth % under_way.len());
                    balancer.release(index);
                    twin.release(index);
                }
                Event::Release(_) => {}
                Event::Pick(full) => {
                    let client = IpAddr::V4(Ipv4Addr::from_bits(nth.wrapping_mul(0x9e37_79b9)));
                    let pick = Pick { client, random: nth.into(), tried: &[] };
                    let usable = |index: usize| !full.contains(&index);
                    let foreseen = balancer.foresee(&pick, usable);
                    let came = balancer.pick(&pick, usable);
                    prop_assert_eq!(came, twin.pick(&pick, usable));
                    match foreseen {
                        Foresight::Certain(next) => prop_assert_eq!(next, came),
                        Foresight::Chance => {
                            prop_assert!(matches!(algorithm, Algorithm::Weighted | Algorithm::Random));
                        }
                    }
                    under_way.extend(came);
                }
            }
        }
    }

    #[test]
    fn picks_what_is_eligible_usable_and_untried_and_only_once(
        algorithm in algorithm(), servers in servers(40), picks in prop::collection::vec(any::<(u64, u32)>(), 1..10),
    ) {
        let balancer = set_up(algorithm, &servers);
        let good: BTreeSet<usize> =
            eligible(&servers).into_iter().filter(|&index| servers[index].2).collect();
        for (random, client) in picks {
            let client = IpAddr::V4(Ipv4Addr::from_bits(client));
            let mut tried = Vec::new();
            let visit = |tried: &[usize]| {
                balancer.pick(&Pick { client, random, tried }, |index| servers[index].2)
            };
            while let Some(index) = visit(&tried) {
                prop_assert!(good.contains(&index), "{} is not to be picked", index);
                prop_assert!(!tried.contains(&index), "{} picked twice", index);
                tried.push(index);
            }
            // Every one that could be picked was, before the pick gave up.
            prop_assert_eq!(tried.len(), good.len());
            for index in tried {
                balancer.release(index);
            }
        }
    }

    #[test]
    fn round_robin_rotates_exactly_among_what_is_usable(servers in servers(20), rounds in 1_usize..5) {
        let balancer = set_up(Algorithm::RoundRobin, &servers);
        let good: Vec<usize> = eligible(&servers).into_iter().filter(|&index| servers[index].2).collect();
        let query = Pick { client: SOMEBODY, random: 0, tried: &[] };
        for _ in 0..rounds {
            let cycle: Vec<usize> =
                good.iter().filter_map(|_| balancer.pick(&query, |index| servers[index].2)).collect();
            prop_assert_eq!(&cycle, &good);
        }
    }

    #[test]
    fn weighted_round_robin_is_never_a_turn_off(servers in servers(20)) {
        let balancer = set_up(Algorithm::WeightedRoundRobin, &servers);
        let good = eligible(&servers);
        let total: usize = good.iter().map(|&index| servers[index].0 as usize).sum();
        let mut had = vec![0_usize; servers.len()];
        for turn in 1..=total {
            had[pick(&balancer).unwrap()] += 1;
            for &index in &good {
                let due = turn * servers[index].0 as usize;
                prop_assert!((had[index] * total).abs_diff(due) < total, "{} had {}", index, had[index]);
            }
        }
        for index in good {
            prop_assert_eq!(had[index], servers[index].0 as usize, "over a whole cycle");
        }
    }

    #[test]
    fn least_connections_picks_the_least(
        weights in prop::collection::vec(0_u32..5, 1..24), events in prop::collection::vec(event(), 1..150),
    ) {
        let balancer = balancer(Algorithm::LeastConnections, &weights);
        let (mut eligible, mut active) = (vec![true; weights.len()], vec![0_u32; weights.len()]);
        let mut under_way = Vec::new();
        for event in events {
            match event {
                Event::Publish(list) => {
                    publish(&balancer, &list);
                    eligible = list;
                }
                Event::Release(nth) if !under_way.is_empty() => {
                    let index: usize = under_way.swap_remove(nth % under_way.len());
                    active[index] -= 1;
                    balancer.release(index);
                }
                Event::Release(_) => {}
                Event::Pick(full) => {
                    let load = |index: usize| f64::from(active[index]) / f64::from(weights[index]);
                    let good = (0..weights.len()).filter(|index| weights[*index] > 0 && eligible[*index] && !full.contains(index));
                    let least = good.map(load).min_by(f64::total_cmp);
                    let query = Pick { client: SOMEBODY, random: 0, tried: &[] };
                    let picked = balancer.pick(&query, |index| !full.contains(&index));
                    prop_assert_eq!(picked.map(load), least, "{:?} of {:?}", picked, &active);
                    if let Some(index) = picked {
                        prop_assert!(eligible[index] && !full.contains(&index));
                        active[index] += 1;
                        under_way.push(index);
                    }
                }
            }
        }
    }

    #[test]
    fn when_a_server_leaves_only_its_clients_move_and_they_come_back(
        weights in prop::collection::vec(1_u32..6, 2..30), out in prop::collection::vec(any::<prop::sample::Index>(), 1..5),
    ) {
        let balancer = balancer(Algorithm::IpHash, &weights);
        let at_home = homes(&balancer);
        let mut eligible = vec![true; weights.len()];
        for index in out {
            eligible[index.index(weights.len())] = false;
            publish(&balancer, &eligible);
            for (home, now) in at_home.iter().zip(homes(&balancer)) {
                match home.filter(|&home| eligible[home]) {
                    Some(home) => prop_assert_eq!(now, Some(home)),
                    None => prop_assert!(now.is_none_or(|index| eligible[index])),
                }
            }
        }
        publish(&balancer, &vec![true; weights.len()]);
        prop_assert_eq!(homes(&balancer), at_home);
    }

    #[test]
    fn ip_hash_deals_by_id_whatever_the_order_and_whoever_else_is_in_the_file(
        weights in prop::collection::vec(1_u32..8, 2..20), gone in any::<prop::sample::Index>(), turned in 0_usize..20,
    ) {
        // A server that stays has the greatest weight, so that the points of the others stay as they are.
        let mut before = members(&weights);
        before.push(Member { id: "the heaviest".into(), weight: 8 });
        let mut after = before.clone();
        let gone = after.remove(gone.index(weights.len())).id;
        let turns = turned % after.len();
        after.rotate_left(turns);
        let ids = |members: &[Member]| -> Vec<_> {
            let homes = homes(&Balancer::new(Algorithm::IpHash, members));
            homes.into_iter().map(|index| members[index.unwrap()].id.clone()).collect()
        };
        for (was, is) in ids(&before).into_iter().zip(ids(&after)) {
            prop_assert!(was == gone || was == is, "{} moved to {}", was, is);
        }
    }
}

/// The servers of 200 clients.
fn homes(balancer: &Balancer) -> Vec<Option<usize>> {
    let home = |n: u32| {
        let client = IpAddr::V4(Ipv4Addr::from_bits(0xc000_0200 + n * 77));
        balancer.pick(&Pick { client, random: 0, tried: &[] }, |_| true)
    };
    (0..200).map(home).collect()
}
