//! What a balancer hands over to the one that succeeds it.

use super::*;

#[test]
fn turns_go_on_where_they_were() {
    let old = balancer(Algorithm::RoundRobin, &[1; 4]);
    assert_eq!(picks(&old, 6), [0, 1, 2, 3, 0, 1]);
    let new = old.succeed(Algorithm::RoundRobin, &members(&[1; 4]), &[Some(0), Some(1), Some(2), Some(3)]);
    assert_eq!(picks(&new, 4), [2, 3, 0, 1]);
    let old = balancer(Algorithm::WeightedRoundRobin, &[5, 1, 1]);
    assert_eq!(picks(&old, 3), [0, 0, 0]);
    let new = old.succeed(Algorithm::WeightedRoundRobin, &members(&[5, 1, 1]), &[Some(0), Some(1), Some(2)]);
    assert_eq!(picks(&new, 4), [1, 0, 0, 2]);
}

#[test]
fn who_was_out_stays_out_until_the_first_publish_and_who_is_new_is_in() {
    for was in Algorithm::ALL {
        for is in Algorithm::ALL.into_iter().filter(|&is| is != Algorithm::LeastConnections) {
            let old = balancer(was, &[1; 3]);
            publish(&old, &[true, false, true]);
            // The second and the third of before, and a new one.
            let new = old.succeed(is, &members(&[1; 3]), &[Some(1), Some(2), None]);
            let seen = |balancer: &Balancer| -> BTreeSet<usize> {
                let pick = |n: u32| {
                    let client = IpAddr::V4(Ipv4Addr::from_bits(n));
                    balancer.pick(&Pick { client, random: u64::from(n), tried: &[] }, |_| true)
                };
                (0..200).filter_map(pick).collect()
            };
            assert_eq!(seen(&new), BTreeSet::from([1, 2]), "{was:?} to {is:?}");
            publish(&new, &[true; 3]);
            assert_eq!(seen(&new).len(), 3);
        }
    }
}

fn least() -> Balancer {
    balancer(Algorithm::LeastConnections, &[1, 1, 1])
}

#[test]
fn least_connections_keeps_its_counts_by_server() {
    let old = least();
    let held: Vec<usize> = (0..9).filter_map(|_| pick(&old)).collect();
    assert_eq!(tally(held), BTreeMap::from([(0, 3), (1, 3), (2, 3)]));
    // 2 has become 0, 1 is gone, 0 has become 2, and 1 is new.
    let new = old.succeed(Algorithm::LeastConnections, &members(&[1, 1, 1]), &[Some(2), None, Some(0)]);
    publish(&new, &[true; 3]);
    let order: Vec<usize> = (0..6).filter_map(|_| pick(&new)).collect();
    assert_eq!(order[..3], [1, 1, 1], "the new one has none under way");
    assert_eq!(tally(order), BTreeMap::from([(0, 1), (1, 4), (2, 1)]));
}

#[test]
fn least_connections_counts_releases_of_both_balancers_in_one_place() {
    let old = least();
    (0..6).for_each(|_| assert!(pick(&old).is_some()));
    let new = old.succeed(Algorithm::LeastConnections, &members(&[1, 1, 1]), &[Some(1), Some(2), Some(0)]);
    publish(&new, &[true; 3]);
    // Two end at 0 of before, which is 2 now.
    old.release(0);
    old.release(0);
    assert_eq!([pick(&new), pick(&new)], [Some(2), Some(2)]);
    // An exchange that is still in the old one picks by the same counts, and they show in the new one.
    (0..6).for_each(|index| old.release(index % 3));
    assert_eq!(tally((0..3).filter_map(|_| pick(&old))), BTreeMap::from([(0, 1), (1, 1), (2, 1)]));
    assert_eq!(tally((0..3).filter_map(|_| pick(&new))), BTreeMap::from([(0, 1), (1, 1), (2, 1)]));
}

#[test]
fn least_connections_that_is_never_used_leaves_no_trace() {
    let old = least();
    (0..3).for_each(|_| assert!(pick(&old).is_some()));
    for _ in 0..10 {
        drop(old.succeed(Algorithm::LeastConnections, &members(&[1]), &[None]));
    }
    assert_eq!(tally((0..3).filter_map(|_| pick(&old))), BTreeMap::from([(0, 1), (1, 1), (2, 1)]));
}

#[test]
fn a_server_that_left_is_not_picked_in_the_old_balancer_nor_taken_for_the_new_one_in_its_place() {
    let old = least();
    (0..3).for_each(|_| assert!(pick(&old).is_some()));
    let new = old.succeed(Algorithm::LeastConnections, &members(&[1, 1, 1]), &[Some(0), None, Some(2)]);
    publish(&new, &[true; 3]);
    assert_eq!(pick(&new), Some(1), "new, and idle");
    // The exchange at the server that left ends; the new one at its index still has its own.
    old.release(1);
    assert_eq!(tally((0..3).filter_map(|_| pick(&new))), BTreeMap::from([(0, 1), (1, 1), (2, 1)]));
    assert!((0..20).filter_map(|_| pick(&old)).all(|index| index != 1));
    // A list that the old one publishes late changes nothing.
    publish(&old, &[false; 3]);
    assert!(pick(&new).is_some());
}

#[test]
fn an_old_balancer_says_none_when_none_of_its_servers_is_left() {
    let old = least();
    let new = old.succeed(Algorithm::LeastConnections, &members(&[1]), &[None]);
    publish(&new, &[true]);
    assert_eq!((pick(&old), pick(&new)), (None, Some(0)));
    old.release(0);
    old.release(7);
    new.release(0);
}

proptest! {
    /// Through any number of changes: what the newest balancer picks has the least under way, whichever
    /// balancer began it.
    #[test]
    fn least_connections_counts_exactly_through_changes(
        steps in prop::collection::vec((0_u8..8, any::<prop::sample::Index>(), any::<u16>()), 1..120),
    ) {
        // Servers by name; each balancer has a list of names.
        let mut name = 4_u32;
        let mut names: Vec<u32> = (0..4).collect();
        let mut balancers = vec![(balancer(Algorithm::LeastConnections, &[1; 4]), names.clone())];
        let mut under_way: Vec<(usize, usize)> = Vec::new();
        for (what, which, bits) in steps {
            match what {
                0 => {
                    let before = names.clone();
                    if names.len() > 1 { names.remove(which.index(names.len())); }
                    if bits % 2 == 0 { names.insert(usize::from(bits) % (names.len() + 1), name); name += 1; }
                    let from: Vec<_> = names.iter().map(|name| before.iter().position(|one| one == name)).collect();
                    let new = balancers.last().unwrap().0.succeed(Algorithm::LeastConnections, &members(&vec![1; names.len()]), &from);
                    publish(&new, &vec![true; names.len()]);
                    balancers.push((new, names.clone()));
                }
                1 | 2 if !under_way.is_empty() => {
                    let (at, index) = under_way.swap_remove(which.index(under_way.len()));
                    balancers[at].0.release(index);
                }
                3 => {
                    let at = which.index(balancers.len());
                    if let Some(index) = pick(&balancers[at].0) {
                        prop_assert!(names.contains(&balancers[at].1[index]), "a server that left was picked");
                        under_way.push((at, index));
                    }
                }
                _ => {
                    let active = |name: u32| under_way.iter().filter(|&&(at, index)| balancers[at].1[index] == name).count();
                    let last = balancers.len() - 1;
                    let picked = pick(&balancers[last].0).unwrap();
                    let least = names.iter().map(|&name| active(name)).min();
                    prop_assert_eq!(Some(active(names[picked])), least);
                    under_way.push((last, picked));
                }
            }
        }
    }
}
