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

use std::sync::{Mutex, PoisonError};

use super::{Member, Seat};

/// Refused candidates before all members are looked at.
const ASIDE: usize = 8;

/// The length of a turn at a weight of 1. Turns fit into 64 bits for 10^13 picks.
const TURN: u64 = 1 << 20;

/// No member.
const NOBODY: u32 = u32::MAX;

/// Servers by what they have to do.
#[derive(Debug)]
pub(super) struct LeastConnections(Mutex<Tournament>);

impl LeastConnections {
    pub(super) fn new(members: &[Member]) -> Self {
        Self(Mutex::new(Tournament::new(members)))
    }

    pub(super) fn publish(&self, seats: &[Seat]) {
        self.with(|tournament| tournament.enter(seats));
    }

    pub(super) fn pick(&self, accepts: impl Fn(u32) -> bool) -> Option<u32> {
        self.with(|tournament| tournament.pick(accepts))
    }

    pub(super) fn release(&self, index: usize) {
        self.with(|tournament| tournament.release(index));
    }

    fn with<T>(&self, act: impl FnOnce(&mut Tournament) -> T) -> T {
        // A panic of `usable` leaves at worst a few members set aside until the next `publish`.
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[derive(Debug)]
struct Tournament {
    players: Vec<Player>,
    /// A heap-shaped tree: node n is the winner of nodes 2n and 2n+1, the root is node 1, and the players
    /// stand in the second half by index.
    winners: Vec<u32>,
    /// When the turn of the last winner began.
    now: u64,
}

#[derive(Debug, Clone)]
struct Player {
    active: u64,
    weight: u64,
    /// When its last turn ended.
    turn_ended: u64,
    /// Eligible, with a weight above 0, and not set aside.
    plays: bool,
}

impl Player {
    /// Whether this one is a better choice than `other`.
    fn beats(&self, other: &Self) -> bool {
        if self.plays != other.plays {
            return self.plays;
        }
        let (mine, theirs) = (self.active * other.weight, other.active * self.weight);
        if mine == theirs { self.turn_ended <= other.turn_ended } else { mine < theirs }
    }
}

impl Tournament {
    fn new(members: &[Member]) -> Self {
        let player = |member: &Member| Player {
            active: 0,
            weight: u64::from(member.weight.max(1)),
            turn_ended: 0,
            plays: false,
        };
        let leaves = members.len().next_power_of_two();
        let mut winners = vec![NOBODY; 2 * leaves];
        for (node, index) in winners.iter_mut().skip(leaves).zip((0u32..).take(members.len())) {
            *node = index;
        }
        Self { players: members.iter().map(player).collect(), winners, now: 0 }
    }

    /// Lets these play and nobody else. Counts stay as they are, also of those who do not play.
    fn enter(&mut self, seats: &[Seat]) {
        for player in &mut self.players {
            player.plays = false;
        }
        for seat in seats {
            if let Some(player) = self.players.get_mut(seat.index as usize) {
                player.plays = true;
            }
        }
        for node in (1..self.winners.len() / 2).rev() {
            self.decide(node);
        }
    }

    fn pick(&mut self, accepts: impl Fn(u32) -> bool) -> Option<u32> {
        let mut aside = [NOBODY; ASIDE];
        let mut found = None;
        for place in &mut aside {
            let Some(best) = self.best() else { break };
            if accepts(best) {
                found = Some(best);
                break;
            }
            *place = best;
            self.change(best, |player| player.plays = false);
        }
        // All places taken: what still plays may be many. Otherwise nobody is left, or one was found.
        if found.is_none() && aside.iter().all(|&index| index != NOBODY) {
            found = self.best_of_all(accepts);
        }
        for index in aside.into_iter().take_while(|&index| index != NOBODY) {
            self.change(index, |player| player.plays = true);
        }
        if let Some(index) = found {
            self.take(index);
        }
        found
    }

    fn release(&mut self, index: usize) {
        if let Ok(index) = u32::try_from(index) {
            self.change(index, |player| player.active = player.active.saturating_sub(1));
        }
    }

    /// Counts a pick.
    fn take(&mut self, index: u32) {
        let mut began = self.now;
        self.change(index, |player| {
            began = began.max(player.turn_ended);
            player.turn_ended = began + TURN / player.weight;
            player.active += 1;
        });
        self.now = began;
    }

    fn best(&self) -> Option<u32> {
        let &root = self.winners.get(1)?;
        self.players.get(root as usize)?.plays.then_some(root)
    }

    /// The best of those that play and are accepted, in one pass.
    fn best_of_all(&self, accepts: impl Fn(u32) -> bool) -> Option<u32> {
        let mut best: Option<(u32, &Player)> = None;
        for (index, player) in (0u32..).zip(&self.players) {
            let better = player.plays && best.is_none_or(|(_, held)| !held.beats(player));
            if better && accepts(index) {
                best = Some((index, player));
            }
        }
        best.map(|(index, _)| index)
    }

    /// Changes a player and replays its matches.
    fn change(&mut self, index: u32, change: impl FnOnce(&mut Player)) {
        let Some(player) = self.players.get_mut(index as usize) else { return };
        change(player);
        let leaf = self.winners.len() / 2 + index as usize;
        let mut node = leaf >> 1;
        while node > 0 {
            let before = self.winners.get(node).copied();
            let now = self.decide(node);
            // Somebody else won here before and wins now: above this, nothing has changed.
            if before == Some(now) && now != index {
                break;
            }
            node /= 2;
        }
    }

    /// Plays the match of a node.
    fn decide(&mut self, node: usize) -> u32 {
        let left = self.winners.get(2 * node).copied().unwrap_or(NOBODY);
        let right = self.winners.get(2 * node + 1).copied().unwrap_or(NOBODY);
        let winner = match (self.players.get(left as usize), self.players.get(right as usize)) {
            (Some(a), Some(b)) if !a.beats(b) => right,
            (None, Some(_)) => right,
            _ => left,
        };
        if let Some(place) = self.winners.get_mut(node) {
            *place = winner;
        }
        winner
    }
}

#[cfg(test)]
mod tests;
