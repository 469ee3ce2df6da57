//! `least_connections`: the server with the fewest exchanges under way for its weight.
//!
//! The least is the least: a tournament tree (Knuth, TAOCP volume 3, section 5.4.1) over all members holds
//! the winner of every pairing, so the root is the server with the smallest active/weight, compared as whole
//! numbers. A pick or a release changes one leaf and replays its matches up to the root. That needs one
//! order for all workers, hence a mutex, held for log2(servers) comparisons; sampling two servers at random
//! would need none, and would be wrong about the least by design.
//!
//! Ties rotate by weight: of servers with the same active/weight the one wins whose turn ended first, where
//! a turn is as long as the weight is small (start-time fair queueing: Goyal, Vin, Cheng, SIGCOMM 1996). A
//! light load, where everything is idle nearly always, is so spread like `weighted_round_robin`. A server
//! that was away for long has no claim to the turns it missed.
//!
//! Refused candidates are set aside for the rest of the pick and return to the tree at its end. After eight
//! of them all members are looked at once.
//!
//! The balancers that succeed each other when a pool changes share one tournament, so an exchange that began
//! before a change counts after it, and is released wherever it was picked. The newest balancer that was used
//! decides who plays; its members stand at their own indexes, which costs its picks nothing. Older ones, which
//! serve the exchanges that are still under way in them, find their members by a number that each keeps for
//! life, and look through all of them.

mod tournament;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use super::Seat;
use tournament::{Life, Tournament};

/// Servers by what they have to do.
#[derive(Debug)]
pub(super) struct LeastConnections {
    tournament: Arc<Mutex<Tournament>>,
    /// Higher than that of the balancers before.
    generation: u64,
    /// Who stands at each index.
    members: Box<[Life]>,
}

impl LeastConnections {
    pub(super) fn new(members: usize) -> Self {
        let mut tournament = Tournament::default();
        let generation = tournament.next_generation();
        let members = (0..members).map(|_| tournament.begin_life()).collect();
        Self { tournament: Arc::new(Mutex::new(tournament)), generation, members }
    }

    /// The one that takes over, with the old place of each member.
    pub(super) fn succeed(&self, from: &[Option<usize>]) -> Self {
        let (generation, members) = self.with(|tournament| {
            let generation = tournament.next_generation();
            let mut taken = HashSet::new();
            let known = from.iter().map(|place| place.and_then(|place| self.members.get(place)).copied());
            let members = known.map(|life| {
                life.filter(|&life| taken.insert(life)).unwrap_or_else(|| tournament.begin_life())
            });
            (generation, members.collect())
        });
        Self { tournament: Arc::clone(&self.tournament), generation, members }
    }

    pub(super) fn publish(&self, seats: &[Seat]) {
        self.with(|tournament| {
            if tournament.owner() == self.generation {
                tournament.enter(seats);
            }
        });
    }

    pub(super) fn pick(&self, accepts: impl Fn(u32) -> bool) -> Option<u32> {
        self.with(|tournament| {
            if tournament.owner() == self.generation {
                tournament.pick(accepts)
            } else {
                tournament.pick_among(&self.members, accepts)
            }
        })
    }

    /// Whom the next pick takes, unless something begins or ends before; counts nothing.
    pub(super) fn foresee(&self, accepts: impl Fn(u32) -> bool) -> Option<u32> {
        self.with(|tournament| tournament.best_among(&self.members, accepts).map(|(index, _)| index))
    }

    pub(super) fn release(&self, index: usize) {
        let Some(&life) = self.members.get(index) else { return };
        self.with(|tournament| {
            if tournament.owner() == self.generation {
                tournament.release(index);
            } else {
                tournament.release_life(life);
            }
        });
    }

    fn with<T>(&self, act: impl FnOnce(&mut Tournament) -> T) -> T {
        // A panic of `usable` leaves at worst a few members set aside until the next `publish`.
        let mut tournament = self.tournament.lock().unwrap_or_else(PoisonError::into_inner);
        if tournament.owner() < self.generation {
            tournament.hand_over(self.generation, &self.members);
        }
        act(&mut tournament)
    }
}
