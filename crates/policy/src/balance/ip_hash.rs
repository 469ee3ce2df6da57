//! `ip_hash`: the same client to the same server while it is there.
//!
//! A hash ring (Karger et al., "Consistent hashing and random trees", STOC 1997): each server has points on
//! a circle, a client goes to the server of the next point after its own hash. When a server leaves, its
//! points go and nobody else's move, so only its clients do, each to the server whose point comes next; when
//! it returns they come back. Points are made from the server's id and weight, so the order of servers in
//! the file does not matter, and two nodes with the same file deal in the same way.
//!
//! The heaviest server has 512 to 1,024 points (down to 128 of them in pools of more than 256 servers, to
//! bound the memory), which keeps the shares within some percent of the weights. The number of points
//! depends on the other servers only through that: servers can be added or removed by a change of the
//! configuration without moving anybody else's clients either, unless the heaviest weight passes a power of
//! two or the number of servers passes 256, 512 or 1,024.
//!
//! A server that starts slowly has the first of its points, as many as its share says and at least one. So
//! while the share grows clients come to it, and no other client moves.
//!
//! An index over the circle, about as many cells as points, says where to begin, so a lookup is one step on
//! average whatever the number of servers.

use std::net::IpAddr;

use arc_swap::ArcSwap;

use super::draw::{STEP, mix};
use super::{FULL_SHARE, Member, Seat};

/// Points of the heaviest server, at the most.
const POINTS: u64 = 1_024;

/// Points that a walk passes before all servers are gone through.
const WALK: usize = 64;

/// Servers by the client's address.
#[derive(Debug)]
pub(super) struct IpHash {
    members: Box<[Member]>,
    scale: Scale,
    /// Every member's points in the order of the circle, each with the share above which it stands.
    all: Box<[(Point, u16)]>,
    ring: ArcSwap<Ring>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Point {
    at: u32,
    index: u32,
}

impl IpHash {
    pub(super) fn new(members: &[Member]) -> Self {
        let scale = Scale::of(members);
        let all = sorted((0u32..).zip(members).flat_map(|seat| points(scale, seat)).collect(), members);
        Self { members: members.into(), scale, all, ring: ArcSwap::default() }
    }

    /// Without a ring, but with the points of the members that stay as they were: to make and sort all of
    /// them takes some 20 ms at thousands of servers.
    pub(super) fn succeed(&self, members: &[Member], from: &[Option<usize>]) -> Self {
        let scale = Scale::of(members);
        if scale != self.scale {
            return Self::new(members);
        }
        let mut places: Vec<Option<u32>> = vec![None; self.members.len()];
        let mut points_of_new = Vec::new();
        for ((index, member), from) in (0u32..).zip(members).zip(from) {
            let stays = from.filter(|&place| self.members.get(place) == Some(member));
            match stays.and_then(|place| places.get_mut(place)) {
                Some(place @ None) => *place = Some(index),
                _ => points_of_new.extend(points(scale, (index, member))),
            }
        }
        let moved = |&(Point { at, index }, above): &(Point, u16)| {
            let index = *places.get(index as usize)?;
            Some((Point { at, index: index? }, above))
        };
        let mut all: Vec<_> = self.all.iter().filter_map(moved).collect();
        all.append(&mut sorted(points_of_new, members).into_vec());
        Self { members: members.into(), scale, all: sorted(all, members), ring: ArcSwap::default() }
    }

    pub(super) fn publish(&self, seats: &[Seat]) {
        let last = seats.iter().map(|seat| seat.index as usize + 1).max().unwrap_or(0);
        let mut shares = vec![0; last];
        for seat in seats {
            if let Some(share) = shares.get_mut(seat.index as usize) {
                *share = seat.share;
            }
        }
        let stands = |&(point, above): &(Point, u16)| {
            (shares.get(point.index as usize).copied().unwrap_or(0) > above).then_some(point)
        };
        let points: Box<[Point]> = self.all.iter().filter_map(stands).collect();
        self.ring.store(Ring::new(points, seats).into());
    }

    pub(super) fn pick(&self, client: IpAddr, accepts: impl Fn(u32) -> bool) -> Option<u32> {
        self.ring.load().pick(client_hash(client), accepts)
    }
}

#[derive(Debug, Default)]
struct Ring {
    points: Box<[Point]>,
    /// Of each cell of the circle: the number of points before it.
    cells: Box<[u32]>,
    /// How far a place on the circle is shifted to give its cell.
    shift: u32,
    members: Box<[u32]>,
}

impl Ring {
    fn new(points: Box<[Point]>, seats: &[Seat]) -> Self {
        let bits = points.len().next_power_of_two().trailing_zeros().clamp(1, 31);
        let shift = u32::BITS - bits;
        let mut cells = Vec::with_capacity(1 << bits);
        for (before, point) in (0u32..).zip(&points) {
            while cells.len() <= (point.at >> shift) as usize {
                cells.push(before);
            }
        }
        // Behind the last point the circle closes: such cells begin at the first one.
        cells.resize(1 << bits, 0);
        let members = seats.iter().map(|seat| seat.index).collect();
        Self { points, cells: cells.into(), shift, members }
    }

    fn pick(&self, hash: u64, accepts: impl Fn(u32) -> bool) -> Option<u32> {
        let (before, from) = self.points.split_at(self.first_after((hash >> 32) as u32));
        let mut refused = None;
        for point in from.iter().chain(before).take(WALK) {
            if refused == Some(point.index) {
                continue;
            }
            if accepts(point.index) {
                return Some(point.index);
            }
            refused = Some(point.index);
        }
        // The clients of one full server are to go on to many others, the same client to the same one.
        let start = usize::try_from(hash & u64::from(u32::MAX)).unwrap_or(0);
        let start = start.checked_rem(self.members.len()).unwrap_or(0);
        let (before, from) = self.members.split_at(start);
        from.iter().chain(before).copied().find(|&index| accepts(index))
    }

    /// The place of the first point at or after `at`; 0 when the circle closes before there is one.
    fn first_after(&self, at: u32) -> usize {
        let start = self.cells.get((at >> self.shift) as usize).copied().unwrap_or(0) as usize;
        // In a cell behind the last point `start` is 0, and the first point may lie before `at`; it is the
        // right one all the same.
        if self.points.last().is_none_or(|last| last.at < at) {
            return 0;
        }
        let rest = self.points.iter().skip(start);
        start + rest.take_while(|point| point.at < at).count()
    }
}

/// How many points a weight makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Scale {
    /// A power of two, at or above the greatest weight.
    heaviest: u64,
    /// Of such a weight.
    points: u64,
}

impl Scale {
    fn of(members: &[Member]) -> Self {
        let heaviest = members.iter().map(|member| member.weight).max().unwrap_or(0);
        let points = match members.len() {
            0..=256 => POINTS,
            257..=512 => POINTS / 2,
            513..=1_024 => POINTS / 4,
            _ => POINTS / 8,
        };
        Self { heaviest: u64::from(heaviest.max(1)).next_power_of_two(), points }
    }
}

/// The points of a member, each with the share above which it stands.
fn points(scale: Scale, (index, member): (u32, &Member)) -> impl Iterator<Item = (Point, u16)> {
    let count = match member.weight {
        0 => 0,
        weight => (u64::from(weight) * scale.points / scale.heaviest).max(1),
    };
    let id = id_hash(&member.id);
    let above = move |nth: u64| u16::try_from(nth * u64::from(FULL_SHARE) / count).unwrap_or(0);
    (0..count).map(move |nth| (Point { at: point_hash(id, nth), index }, above(nth)))
}

/// In the order of the circle. Takes time in proportion to the points where they are sorted in few pieces.
fn sorted(mut points: Vec<(Point, u16)>, members: &[Member]) -> Box<[(Point, u16)]> {
    // Two points at one place: the id decides, not the order in the file.
    let id = |point: &Point| members.get(point.index as usize).map(|member| &member.id);
    points.sort_by(|(a, _), (b, _)| a.at.cmp(&b.at).then_with(|| id(a).cmp(&id(b))));
    points.into()
}

/// Where the n-th point of a server stands.
fn point_hash(id: u64, nth: u64) -> u32 {
    (mix(id.wrapping_add(nth.wrapping_mul(STEP))) >> 32) as u32
}

/// FNV-1a, mixed: the same on every machine and in every version, which `std`'s hasher does not promise.
fn id_hash(id: &str) -> u64 {
    let fnv = |hash: u64, &byte: &u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    mix(id.as_bytes().iter().fold(0xcbf2_9ce4_8422_2325, fnv))
}

/// No secret goes into it: a client that chooses its address can choose its server, which it may as well.
fn client_hash(client: IpAddr) -> u64 {
    match client.to_canonical() {
        IpAddr::V4(v4) => mix(u64::from(v4.to_bits()).wrapping_add(STEP)),
        IpAddr::V6(v6) => {
            let [high, low] = [v6.to_bits() >> 64, v6.to_bits() & u128::from(u64::MAX)]
                .map(|half| u64::try_from(half).unwrap_or(0));
            mix(mix(high.wrapping_add(STEP)) ^ low)
        }
    }
}

#[cfg(test)]
mod tests;
