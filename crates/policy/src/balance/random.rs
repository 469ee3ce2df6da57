//! `random`: by chance, each server as likely as the other.
//!
//! A refused server is drawn again, as in `weighted`; after eight refusals all servers are gone through once.
//! While a server starts slowly the draw is that of `weighted`, with the shares for weights.

use arc_swap::ArcSwap;

use super::Seat;
use super::draw::Draw;
use super::weighted::{DRAWS, Table};

/// Servers by chance.
#[derive(Debug, Default)]
pub(super) struct Random(ArcSwap<Lots>);

#[derive(Debug)]
enum Lots {
    /// All as likely as each other: one draw will do.
    Even(Box<[Seat]>),
    Uneven(Table),
}

impl Default for Lots {
    fn default() -> Self {
        Self::Even(Box::default())
    }
}

impl Random {
    pub(super) fn publish(&self, seats: &[Seat]) {
        let lots: Vec<Seat> =
            seats.iter().map(|seat| Seat { weight: u32::from(seat.share), ..*seat }).collect();
        let even = lots.first().is_none_or(|first| lots.iter().all(|lot| lot.share == first.share));
        let lots = if even { Lots::Even(lots.into()) } else { Lots::Uneven(Table::new(&lots)) };
        self.0.store(lots.into());
    }

    pub(super) fn pick(&self, random: u64, accepts: impl Fn(u32) -> bool) -> Option<u32> {
        let lots = self.0.load();
        let seats = match &**lots {
            Lots::Even(seats) => seats,
            Lots::Uneven(table) => return table.pick(random, accepts),
        };
        let mut draw = Draw::new(random);
        for _ in 0..DRAWS {
            let seat = draw.one_of(seats)?;
            if accepts(seat.index) {
                return Some(seat.index);
            }
        }
        draw.among(seats, accepts)
    }
}
