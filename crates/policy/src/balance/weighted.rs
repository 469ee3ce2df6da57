//! `weighted`: by chance, by weight.
//!
//! The alias method (Walker 1977; built as in Vose, "A linear algorithm for generating random numbers with a
//! given distribution", 1991) in whole numbers, so that the shares are exact: as many columns as servers, all
//! of the same height, each filled by at most two servers. A pick draws a column and a height.
//!
//! A refused server is drawn again, which leaves the others in the proportion of their weights. When eight
//! draws were refused the pick goes through all servers once and keeps that proportion.

use arc_swap::ArcSwap;

use super::Seat;
use super::draw::Draw;

/// Draws before all servers are gone through.
pub(super) const DRAWS: usize = 8;

/// Servers by chance and weight.
#[derive(Debug, Default)]
pub(super) struct Weighted(ArcSwap<Table>);

/// What is drawn from.
#[derive(Debug, Default)]
pub(super) struct Table {
    columns: Box<[Column]>,
    /// Of each column: the sum of the weights.
    height: u64,
    seats: Box<[Seat]>,
}

/// Below `edge` it is `lower`, above it `upper`.
#[derive(Debug, Clone, Copy)]
struct Column {
    edge: u64,
    lower: u32,
    upper: u32,
}

impl Weighted {
    pub(super) fn publish(&self, seats: &[Seat]) {
        self.0.store(Table::new(seats).into());
    }

    pub(super) fn pick(&self, random: u64, accepts: impl Fn(u32) -> bool) -> Option<u32> {
        self.0.load().pick(random, accepts)
    }
}

impl Table {
    /// Each weight is stretched by the number of columns, so the columns are filled to the brim: one that is
    /// too low for its own server is topped up by one that is too high.
    pub(super) fn new(seats: &[Seat]) -> Self {
        let height: u64 = seats.iter().map(|seat| u64::from(seat.weight)).sum();
        let count = seats.len() as u64;
        let stretched = seats.iter().map(|seat| (seat.index, u64::from(seat.weight) * count));
        let (mut low, mut high): (Vec<_>, Vec<_>) = stretched.partition(|&(_, fill)| fill < height);
        let mut columns = Vec::with_capacity(seats.len());
        while let Some((upper, fill)) = high.pop() {
            let Some((lower, edge)) = low.pop() else {
                columns.push(Column { edge: height, lower: upper, upper });
                continue;
            };
            columns.push(Column { edge, lower, upper });
            let rest = fill - (height - edge);
            if rest < height { low.push((upper, rest)) } else { high.push((upper, rest)) }
        }
        // What is low has a high one to top it up, since the columns add up: `low` is empty now.
        Self { columns: columns.into(), height, seats: seats.into() }
    }

    pub(super) fn pick(&self, random: u64, accepts: impl Fn(u32) -> bool) -> Option<u32> {
        let mut draw = Draw::new(random);
        for _ in 0..DRAWS {
            let column = draw.one_of(&self.columns)?;
            let index = if draw.below(self.height) < column.edge { column.lower } else { column.upper };
            if accepts(index) {
                return Some(index);
            }
        }
        draw.among(&self.seats, accepts)
    }
}

#[cfg(test)]
mod tests;
