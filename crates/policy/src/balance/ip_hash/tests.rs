#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use proptest::prelude::*;

use super::super::{Member, Seat};
use super::{IpHash, Point, Ring, client_hash, id_hash};

fn members(weights: &[u32]) -> Vec<Member> {
    (0..).zip(weights).map(|(n, &weight): (usize, _)| Member { id: format!("s{n}").into(), weight }).collect()
}

fn points(members: &[Member]) -> Box<[(Point, u16)]> {
    IpHash::new(members).all
}

fn count(points: &[(Point, u16)], index: u32) -> usize {
    points.iter().filter(|(point, _)| point.index == index).count()
}

#[test]
fn points_follow_the_weights() {
    let points = points(&members(&[1_000, 500, 1, 0]));
    assert_eq!([0, 1, 2, 3].map(|index| count(&points, index)), [1_000, 500, 1, 0]);
}

#[test]
fn a_share_keeps_as_many_points_as_it_says_and_at_least_one() {
    let points = points(&members(&[1_000, 3]));
    let standing = |index: u32, share: u16| {
        points.iter().filter(|(point, above)| point.index == index && *above < share).count()
    };
    assert_eq!([1, 100, 500, 1_000].map(|share| standing(0, share)), [1, 100, 500, 1_000]);
    assert_eq!([1, 100, 334, 667, 1_000].map(|share| standing(1, share)), [1, 1, 2, 3, 3]);
}

#[test]
fn memory_is_bounded_at_thousands_of_servers() {
    assert_eq!(points(&members(&[1; 256])).len(), 256 * 1_024);
    assert_eq!(points(&members(&[1_000; 2_000])).len(), 2_000 * 125);
}

/// Nodes of different versions have to deal alike: these numbers may never change.
#[test]
fn hashes_are_the_same_in_every_version() {
    assert_eq!(id_hash("10.0.0.1:80"), 0xdbbc_907f_2153_1a73);
    assert_eq!(client_hash("203.0.113.7".parse().unwrap()), 0x4a8e_a059_9b12_6fe8);
    assert_eq!(client_hash("2001:db8::1".parse().unwrap()), 0x504b_8dce_1c93_8e43);
}

proptest! {
    #[test]
    fn points_that_are_handed_over_are_those_that_would_be_made_anew(
        before in prop::collection::vec((0_u8..30, 0_u32..6), 1..20), after in prop::collection::vec((0_u8..30, 0_u32..6), 1..20),
    ) {
        let members = |list: Vec<(u8, u32)>| -> Vec<Member> {
            let by_name: std::collections::HashMap<_, _> = list.into_iter().collect();
            by_name.into_iter().map(|(name, weight)| Member { id: format!("s{name}").into(), weight }).collect()
        };
        let (before, after) = (members(before), members(after));
        let from: Vec<_> = after.iter().map(|new| before.iter().position(|old| old.id == new.id)).collect();
        let next = IpHash::new(&before).succeed(&after, &from);
        prop_assert_eq!(&next.all, &IpHash::new(&after).all);
    }

    #[test]
    fn the_index_finds_what_a_search_finds(
        mut places in prop::collection::vec(prop_oneof![any::<u32>(), 0_u32..50, (u32::MAX - 50)..=u32::MAX], 1..200),
        asked in prop::collection::vec(prop_oneof![any::<u32>(), 0_u32..60, (u32::MAX - 60)..=u32::MAX], 1..50),
    ) {
        places.sort_unstable();
        let points: Vec<Point> = places.iter().map(|&at| Point { at, index: 0 }).collect();
        let ring = Ring::new(points.into(), &[Seat { index: 0, weight: 1_000, share: 1_000 }]);
        for at in asked {
            let expected = places.partition_point(|&place| place < at) % places.len();
            prop_assert_eq!(ring.first_after(at), expected, "for {}", at);
        }
    }
}
