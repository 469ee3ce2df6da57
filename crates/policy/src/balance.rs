//! Which server of a pool gets a request.
//!
//! A pick costs the same at 2,000 servers as at 2, and allocates nothing. The work that grows with the
//! servers is done by [`Balancer::publish`], when a server comes or goes: it lays out the eligible servers as
//! a table made for the algorithm (a turn order, an alias table, a hash ring) and swaps it in with
//! `ArcSwap`. A pick loads the table and looks at one place of it, so it never walks past servers that are
//! down; `least_connections`, whose order changes with every request, keeps a tournament tree under a short
//! mutex instead, and its pick and release take log2(servers) steps.
//!
//! What changes faster than eligibility (a server is full, draining, or was tried for this exchange already)
//! is asked of the candidate itself through `usable`. A refused candidate costs one more look into the
//! table. Only after a fixed number of refusals in a row, that is when nearly everything is full, does a pick
//! go through the eligible servers one by one; it then takes the time of one pass over them, and says `None`
//! only when each of them was refused.

mod draw;
mod ip_hash;
mod least_connections;
mod random;
mod round_robin;
mod weighted;
mod weighted_round_robin;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use loadweaver_config::Algorithm;

use ip_hash::IpHash;
use least_connections::LeastConnections;
use random::Random;
use round_robin::RoundRobin;
use weighted::Weighted;
use weighted_round_robin::WeightedRoundRobin;

/// A server as the algorithms see it. Its place in the list is its index from then on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Unique in the pool; `ip_hash` deals clients by it.
    pub id: Arc<str>,
    /// Share of the traffic; 0 gets none. `round_robin` and `random` set other differences aside.
    pub weight: u32,
}

/// What a pick may depend on, besides the servers.
#[derive(Debug, Clone, Copy)]
pub struct Pick<'a> {
    /// The client's address, for `ip_hash`. An IPv4 address in IPv6 clothes counts as the IPv4 address.
    pub client: IpAddr,
    /// 64 random bits, for `random` and `weighted`.
    pub random: u64,
    /// Indexes that this exchange has tried already; they are not picked again.
    pub tried: &'a [usize],
}

/// The algorithm of a pool at work, shared by all workers.
#[derive(Debug)]
pub struct Balancer {
    algorithm: AtWork,
    weights: Box<[u32]>,
    /// What was published last. Its lock keeps the tables in the order of the calls.
    published: Mutex<Box<[bool]>>,
}

/// One variant per file of `balance/`.
#[derive(Debug)]
enum AtWork {
    RoundRobin(RoundRobin),
    WeightedRoundRobin(WeightedRoundRobin),
    Weighted(Weighted),
    Random(Random),
    LeastConnections(LeastConnections),
    IpHash(IpHash),
}

/// An eligible server with a weight above 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seat {
    index: u32,
    weight: u32,
}

impl Balancer {
    /// Sets an algorithm to work; every member is eligible until [`publish`](Self::publish) says otherwise.
    pub fn new(algorithm: Algorithm, members: &[Member]) -> Self {
        let algorithm = match algorithm {
            Algorithm::RoundRobin => AtWork::RoundRobin(RoundRobin::default()),
            Algorithm::WeightedRoundRobin => AtWork::WeightedRoundRobin(WeightedRoundRobin::default()),
            Algorithm::Weighted => AtWork::Weighted(Weighted::default()),
            Algorithm::Random => AtWork::Random(Random::default()),
            Algorithm::LeastConnections => AtWork::LeastConnections(LeastConnections::new(members)),
            Algorithm::IpHash => AtWork::IpHash(IpHash::new(members)),
        };
        let weights = members.iter().map(|member| member.weight).collect();
        let everyone: Box<[bool]> = vec![true; members.len()].into();
        let balancer = Self { algorithm, weights, published: Mutex::new(everyone.clone()) };
        balancer.lay_out(&everyone);
        balancer
    }

    /// Says which members may get new traffic, by index; members beyond the end of the list may not.
    ///
    /// Takes time in proportion to the members (up to some milliseconds for thousands of them with weights
    /// that have nothing in common), none if nothing changed. Picks go on meanwhile.
    pub fn publish(&self, eligible: &[bool]) {
        let mut published = self.published.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changed = false;
        for (index, known) in published.iter_mut().enumerate() {
            let now = eligible.get(index).copied().unwrap_or(false);
            changed |= std::mem::replace(known, now) != now;
        }
        if changed {
            self.lay_out(&published);
        }
    }

    /// Picks an eligible member that is not in `tried` and for which `usable` holds; `None` if there is none.
    ///
    /// `usable` reads what is live (down, draining, full). It has to be cheap, may be asked about a member
    /// more than once, and must not call the balancer. Each pick is followed by exactly one
    /// [`release`](Self::release).
    pub fn pick(&self, pick: &Pick<'_>, usable: impl Fn(usize) -> bool) -> Option<usize> {
        let accepts = |index: u32| {
            let index = index as usize;
            !pick.tried.contains(&index) && usable(index)
        };
        let picked = match &self.algorithm {
            AtWork::RoundRobin(it) => it.pick(accepts),
            AtWork::WeightedRoundRobin(it) => it.pick(accepts),
            AtWork::Weighted(it) => it.pick(pick.random, accepts),
            AtWork::Random(it) => it.pick(pick.random, accepts),
            AtWork::LeastConnections(it) => it.pick(accepts),
            AtWork::IpHash(it) => it.pick(pick.client, accepts),
        };
        picked.map(|index| index as usize)
    }

    /// Ends what a pick began. `least_connections` counts by it, whether or not the member is still
    /// eligible; the other algorithms keep no count.
    pub fn release(&self, index: usize) {
        match &self.algorithm {
            AtWork::LeastConnections(it) => it.release(index),
            AtWork::RoundRobin(_)
            | AtWork::WeightedRoundRobin(_)
            | AtWork::Weighted(_)
            | AtWork::Random(_)
            | AtWork::IpHash(_) => {}
        }
    }

    fn lay_out(&self, eligible: &[bool]) {
        let seats: Vec<Seat> = (0u32..)
            .zip(&self.weights)
            .zip(eligible)
            .filter(|&((_, &weight), &eligible)| eligible && weight > 0)
            .map(|((index, &weight), _)| Seat { index, weight })
            .collect();
        match &self.algorithm {
            AtWork::RoundRobin(it) => it.publish(&seats),
            AtWork::WeightedRoundRobin(it) => it.publish(&seats),
            AtWork::Weighted(it) => it.publish(&seats),
            AtWork::Random(it) => it.publish(&seats),
            AtWork::LeastConnections(it) => it.publish(&seats),
            AtWork::IpHash(it) => it.publish(&seats),
        }
    }
}

#[cfg(test)]
mod tests;
