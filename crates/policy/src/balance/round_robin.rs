//! `round_robin`: each server in turn, weights set aside.
//!
//! The turn is one counter for all workers, so the rotation is exact over the pool and not just within a
//! worker. A refused candidate uses up its turn and the pick takes the next one: were the turn not used up,
//! the neighbour of a full server would get that server's share on top of its own.
//!
//! While a server starts slowly the turns are those of `weighted_round_robin`, with the shares for weights.

use std::sync::atomic::{AtomicUsize, Ordering};

use arc_swap::ArcSwap;

use super::Seat;
use super::weighted_round_robin::schedule;

/// Turns that a pick takes before it goes through the servers one by one.
const PATIENCE: usize = 64;

/// Servers in turn.
#[derive(Debug, Default)]
pub(super) struct RoundRobin(Rotation);

impl RoundRobin {
    pub(super) fn publish(&self, seats: &[Seat]) {
        let even = seats.first().is_none_or(|first| seats.iter().all(|seat| seat.share == first.share));
        let order = if even {
            seats.iter().map(|seat| seat.index).collect()
        } else {
            let by_share = seats.iter().map(|seat| Seat { weight: u32::from(seat.share), ..*seat });
            schedule(&by_share.collect::<Vec<_>>())
        };
        self.0.publish(seats, order);
    }

    pub(super) fn succeed(&self) -> Self {
        Self(self.0.succeed())
    }

    pub(super) fn pick(&self, accepts: impl Fn(u32) -> bool) -> Option<u32> {
        self.0.pick(accepts)
    }

    pub(super) fn foresee(&self, accepts: impl Fn(u32) -> bool) -> Option<u32> {
        self.0.foresee(accepts)
    }
}

/// A repeating order of turns, and whose turn it is.
#[derive(Debug, Default)]
pub(super) struct Rotation {
    cursor: Cursor,
    turns: ArcSwap<Turns>,
}

/// Every pick writes here and reads `turns`: on one cache line they would slow each other down.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Cursor(AtomicUsize);

#[derive(Debug, Default)]
struct Turns {
    /// One cycle; a server has as many places in it as its share takes.
    order: Box<[u32]>,
    /// Each server once.
    members: Box<[u32]>,
}

impl Rotation {
    /// `order` is one cycle of turns of the servers in `seats`.
    pub(super) fn publish(&self, seats: &[Seat], order: Box<[u32]>) {
        let members = seats.iter().map(|seat| seat.index).collect();
        self.turns.store(Turns { order, members }.into());
    }

    /// Without turns, but with the place in them.
    pub(super) fn succeed(&self) -> Self {
        let turn = self.cursor.0.load(Ordering::Relaxed);
        Self { cursor: Cursor(AtomicUsize::new(turn)), turns: ArcSwap::default() }
    }

    pub(super) fn pick(&self, accepts: impl Fn(u32) -> bool) -> Option<u32> {
        // Relaxed: a turn is taken once, by whomever; nothing else hangs on it.
        self.find(|| self.cursor.0.fetch_add(1, Ordering::Relaxed), accepts)
    }

    /// Whom the next pick takes, unless somebody else takes a turn before; takes none itself.
    pub(super) fn foresee(&self, accepts: impl Fn(u32) -> bool) -> Option<u32> {
        let mut turns = self.cursor.0.load(Ordering::Relaxed)..;
        self.find(|| turns.next().unwrap_or(0), accepts)
    }

    fn find(&self, mut take_turn: impl FnMut() -> usize, accepts: impl Fn(u32) -> bool) -> Option<u32> {
        let turns = self.turns.load();
        let cycle = turns.order.len();
        let mut turn = 0;
        for _ in 0..cycle.min(PATIENCE) {
            turn = take_turn();
            let index = *turns.order.get(turn % cycle)?;
            if accepts(index) {
                return Some(index);
            }
        }
        // Other workers take turns too, so even a whole cycle of refused turns may have left servers out. A pass over
        // all begins behind the last turn: not always at the same one.
        let start = turn.wrapping_add(1).checked_rem(turns.members.len()).unwrap_or(0);
        let (before, from) = turns.members.split_at(start);
        from.iter().chain(before).copied().find(|&index| accepts(index))
    }
}
