//! Who has the least to do: the players, their matches, and who of them plays.

use std::collections::HashMap;

use super::super::{FULL_SHARE, Seat};

/// Refused candidates before all members are looked at.
pub(super) const ASIDE: usize = 8;

/// The length of a turn at a weight of 1 thousandth, so that it divides by whole weights as 2^20 would. Turns
/// fit into 64 bits for 10^13 picks of a server with a weight of 1.
const TURN: u64 = FULL_SHARE as u64 * (1 << 20);

/// No member.
const NOBODY: u32 = u32::MAX;

/// Names a member from its first balancer to its last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Life(u64);

#[derive(Debug, Default)]
pub(super) struct Tournament {
    /// The owner's members by index, then those that left with exchanges under way.
    pub(super) players: Vec<Player>,
    /// A heap-shaped tree: node n is the winner of nodes 2n and 2n+1, the root is node 1, and the players
    /// stand in the second half by index.
    winners: Vec<u32>,
    /// When the turn of the last winner began.
    now: u64,
    /// Where each player stands, for balancers that are not the owner.
    places: HashMap<Life, u32>,
    /// The generation of the balancer whose members these are; 0 at first.
    owner: u64,
    generations: u64,
    lives: u64,
}

#[derive(Debug, Clone)]
pub(super) struct Player {
    life: Life,
    pub(super) active: u64,
    /// In thousandths, never 0.
    weight: u64,
    /// When its last turn ended.
    pub(super) turn_ended: u64,
    /// Eligible, with a weight above 0, and not set aside.
    pub(super) plays: bool,
}

impl Player {
    fn new(life: Life) -> Self {
        Self { life, active: 0, weight: u64::from(FULL_SHARE), turn_ended: 0, plays: false }
    }

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
    pub(super) fn owner(&self) -> u64 {
        self.owner
    }

    pub(super) fn next_generation(&mut self) -> u64 {
        self.generations += 1;
        self.generations
    }

    pub(super) fn begin_life(&mut self) -> Life {
        self.lives += 1;
        Life(self.lives)
    }

    /// Puts the members of another balancer into their places. Who was there before goes on as it was; who is
    /// new does not play yet, who is gone plays no more and is forgotten once nothing of it is under way.
    pub(super) fn hand_over(&mut self, owner: u64, members: &[Life]) {
        let mut known: HashMap<Life, Player> =
            self.players.drain(..).map(|player| (player.life, player)).collect();
        self.players
            .extend(members.iter().map(|&life| known.remove(&life).unwrap_or_else(|| Player::new(life))));
        known.retain(|_, player| player.active > 0);
        self.players.extend(known.into_values().map(|player| Player { plays: false, ..player }));
        self.places = self.players.iter().map(|player| player.life).zip(0u32..).collect();
        self.owner = owner;
        let leaves = self.players.len().next_power_of_two();
        self.winners = vec![NOBODY; 2 * leaves];
        for (node, index) in self.winners.iter_mut().skip(leaves).zip((0u32..).take(self.players.len())) {
            *node = index;
        }
        self.decide_all();
    }

    /// Lets these play and nobody else. Counts stay as they are, also of those who do not play.
    pub(super) fn enter(&mut self, seats: &[Seat]) {
        for player in &mut self.players {
            player.plays = false;
        }
        for seat in seats {
            if let Some(player) = self.players.get_mut(seat.index as usize) {
                player.plays = true;
                player.weight = u64::from(seat.weight.max(1));
            }
        }
        self.decide_all();
    }

    fn decide_all(&mut self) {
        for node in (1..self.winners.len() / 2).rev() {
            self.decide(node);
        }
    }

    pub(super) fn pick(&mut self, accepts: impl Fn(u32) -> bool) -> Option<u32> {
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

    pub(super) fn release(&mut self, index: usize) {
        if let Ok(index) = u32::try_from(index) {
            self.change(index, |player| player.active = player.active.saturating_sub(1));
        }
    }

    /// A pick for a balancer that is not the owner: its index of the best of those of its members that play.
    pub(super) fn pick_among(&mut self, members: &[Life], accepts: impl Fn(u32) -> bool) -> Option<u32> {
        let (index, place) = self.best_among(members, accepts)?;
        self.take(place);
        Some(index)
    }

    /// The best of some members that play, by its index among them and by its place; takes time in proportion to them.
    pub(super) fn best_among(&self, members: &[Life], accepts: impl Fn(u32) -> bool) -> Option<(u32, u32)> {
        let here = (0u32..).zip(members).filter_map(|(index, life)| {
            let place = *self.places.get(life)?;
            Some((index, place, self.players.get(place as usize)?))
        });
        best(here, accepts)
    }

    /// A release for a balancer that is not the owner.
    pub(super) fn release_life(&mut self, life: Life) {
        if let Some(&place) = self.places.get(&life) {
            self.release(place as usize);
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

    pub(super) fn best(&self) -> Option<u32> {
        let &root = self.winners.get(1)?;
        self.players.get(root as usize)?.plays.then_some(root)
    }

    /// The best of those that play and are accepted, in one pass.
    fn best_of_all(&self, accepts: impl Fn(u32) -> bool) -> Option<u32> {
        let here = (0u32..).zip(&self.players).map(|(index, player)| (index, index, player));
        best(here, accepts).map(|(_, place)| place)
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

/// Of players with the asker's index and their own place: the best of those that play and are accepted.
fn best<'a>(
    players: impl Iterator<Item = (u32, u32, &'a Player)>,
    accepts: impl Fn(u32) -> bool,
) -> Option<(u32, u32)> {
    let mut best: Option<(u32, u32, &Player)> = None;
    for (index, place, player) in players {
        let better = player.plays && best.is_none_or(|(_, _, held)| !held.beats(player));
        if better && accepts(index) {
            best = Some((index, place, player));
        }
    }
    best.map(|(index, place, _)| (index, place))
}

#[cfg(test)]
mod tests;
