//! `random`: by chance, each server as likely as the other.
//!
//! A refused server is drawn again, as in `weighted`; after eight refusals all servers are gone through once.

use arc_swap::ArcSwap;

use super::Seat;
use super::draw::Draw;
use super::weighted::DRAWS;

/// Servers by chance.
#[derive(Debug, Default)]
pub(super) struct Random(ArcSwap<Box<[Seat]>>);

impl Random {
    pub(super) fn publish(&self, seats: &[Seat]) {
        let alike: Box<[Seat]> = seats.iter().map(|seat| Seat { weight: 1, ..*seat }).collect();
        self.0.store(alike.into());
    }

    pub(super) fn pick(&self, random: u64, accepts: impl Fn(u32) -> bool) -> Option<u32> {
        let seats = self.0.load();
        let mut draw = Draw::new(random);
        for _ in 0..DRAWS {
            let seat = draw.one_of(&seats)?;
            if accepts(seat.index) {
                return Some(seat.index);
            }
        }
        draw.among(&seats, accepts)
    }
}
