//! `weighted_round_robin`: in turn by weight, smoothly.
//!
//! One cycle of turns is laid out ahead of time, so a pick is the same single look into a table as in
//! `round_robin`. The layout is a Pfair schedule (Baruah, Cohen, Plaxton, Varvel, "Proportionate progress",
//! Algorithmica 1996): the j-th turn of a server that has s of L turns may not come before turn floor(jL/s)
//! and must come before turn ceil((j+1)L/s), and of those that may come the most urgent does. After any
//! number of turns each server is then less than one turn away from its exact share. Weights 5, 1, 1 give
//! A A A B A A C.
//!
//! A cycle has as many turns as the weights add up to, divided by what they have in common. Where that is
//! more than 65,536 the turns are rounded to about that number, at least one each: a server's turns are then
//! less than one away from its exact share of 65,536. (So a server with a weight of 1 among thousands with
//! weights of hundreds gets up to 1/65,536 of the traffic where less would be its due.)

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::Seat;
use super::round_robin::Rotation;

/// Turns of a rounded cycle. 256 KiB of table, and some milliseconds to lay it out.
const ROUNDED_CYCLE: u64 = 65_536;

/// Servers in turn by weight.
#[derive(Debug, Default)]
pub(super) struct WeightedRoundRobin(Rotation);

impl WeightedRoundRobin {
    pub(super) fn publish(&self, seats: &[Seat]) {
        self.0.publish(seats, schedule(seats));
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

/// A turn to be given: urgent ones first, then those of the greater share, then in written order.
type Turn = Reverse<(u64, Reverse<u64>, u32, u64)>;

/// One cycle of turns.
pub(super) fn schedule(seats: &[Seat]) -> Box<[u32]> {
    let shares = shares(seats);
    let cycle: u64 = shares.iter().sum();
    let mut order = Vec::with_capacity(usize::try_from(cycle).unwrap_or(0));
    // (when its next turn may come at the earliest, its share, who, how many turns it had)
    let mut waiting: BinaryHeap<Reverse<(u64, u64, u32, u64)>> = BinaryHeap::with_capacity(seats.len());
    let mut ready: BinaryHeap<Turn> = BinaryHeap::with_capacity(seats.len());
    waiting.extend(seats.iter().zip(&shares).map(|(seat, &share)| Reverse((0, share, seat.index, 0))));
    for now in 0..cycle {
        while let Some(&Reverse((release, share, index, had))) = waiting.peek() {
            if release > now {
                break;
            }
            waiting.pop();
            let deadline = ((had + 1) * cycle).div_ceil(share);
            ready.push(Reverse((deadline, Reverse(share), index, had)));
        }
        // There always is one: `now` turns were given so far, and more than that have come due.
        let Some(Reverse((_, Reverse(share), index, had))) = ready.pop() else { break };
        order.push(index);
        waiting.push(Reverse(((had + 1) * cycle / share, share, index, had + 1)));
    }
    order.into()
}

/// How many turns of a cycle each seat gets.
fn shares(seats: &[Seat]) -> Vec<u64> {
    let common = seats.iter().fold(0, |common, seat| gcd(common, seat.weight)).max(1);
    let total: u64 = seats.iter().map(|seat| u64::from(seat.weight / common)).sum();
    let share = |seat: &Seat| {
        let exact = u64::from(seat.weight / common);
        if total <= ROUNDED_CYCLE { exact } else { ((exact * ROUNDED_CYCLE + total / 2) / total).max(1) }
    };
    seats.iter().map(share).collect()
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests;
