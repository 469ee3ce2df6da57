//! Which server of a pool gets a request.
//!
//! A pick costs the same at 2,000 servers as at 2, and allocates nothing. The work that grows with the
//! servers is done by [`Balancer::publish`], when a server comes, goes or changes its share: it lays out the
//! eligible servers as a table made for the algorithm (a turn order, an alias table, a hash ring) and swaps it
//! in with `ArcSwap`. A pick loads the table and looks at one place of it, so it never walks past servers that are
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

impl Pick<'_> {
    fn accepts(&self, index: u32, usable: impl Fn(usize) -> bool) -> bool {
        let index = index as usize;
        !self.tried.contains(&index) && usable(index)
    }
}

/// What can be told of a pick before it is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Foresight {
    /// It takes this one, or nobody, as things are: somebody else's pick may come first.
    Certain(Option<usize>),
    /// It is drawn by lot.
    Chance,
}

/// Who the members are after a change, told from those before: so many at the beginning and at the end are what they
/// were, however many they are.
#[derive(Debug, Clone, Copy)]
pub struct Membership<'m> {
    /// Members at the beginning that stay.
    pub head: usize,
    /// Those between, and where each of them stood, if it did.
    pub middle: &'m [(Member, Option<usize>)],
    /// Members at the end that stay.
    pub tail: usize,
}

impl Membership<'_> {
    /// What is kept for each member, from what was kept before for each.
    fn after<T: Copy>(&self, before: &[T], new: impl Fn(&(Member, Option<usize>)) -> T) -> Vec<T> {
        let head = before.get(..self.head).unwrap_or_default();
        let tail =
            before.len().checked_sub(self.tail).and_then(|tail| before.get(tail..)).unwrap_or_default();
        let mut after = Vec::with_capacity(head.len() + self.middle.len() + tail.len());
        after.extend_from_slice(head);
        after.extend(self.middle.iter().map(new));
        after.extend_from_slice(tail);
        after
    }
}

/// The algorithm of a pool at work, shared by all workers.
#[derive(Debug)]
pub struct Balancer {
    algorithm: AtWork,
    weights: Box<[u32]>,
    /// What was laid out last, if anything was. Its lock keeps the tables in the order of the calls.
    published: Mutex<Option<Box<[u16]>>>,
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
    /// The server's weight times its share: thousandths.
    weight: u32,
    /// 1 to 1000.
    share: u16,
}

/// The share of a server that gets all that its weight gives it; see [`Balancer::publish`].
pub const FULL_SHARE: u16 = 1_000;

impl Balancer {
    /// Sets an algorithm to work; every member has its full share until [`publish`](Self::publish) says
    /// otherwise.
    pub fn new(algorithm: Algorithm, members: &[Member]) -> Self {
        let weights = members.iter().map(|member| member.weight).collect();
        let balancer = Self::idle(AtWork::new(algorithm, members), weights);
        balancer.publish(&vec![FULL_SHARE; members.len()]);
        balancer
    }

    /// The balancer that takes over from this one when the pool changes; `from` says where each of the new
    /// members stood, if it did. A member that stood nowhere has its full share, the others what was published
    /// last, until [`publish`](Self::publish) is called.
    ///
    /// Where the algorithm stays the same, turns go on where they are, and `least_connections` keeps its
    /// counts: both balancers count in the same place, so picks and releases may go to either of them as long
    /// as each release goes to the balancer that picked. Nothing of `self` changes before the new balancer is
    /// used for the first time; one that never is leaves no trace.
    #[must_use]
    pub fn succeed(&self, algorithm: Algorithm, members: &[Member], from: &[Option<usize>]) -> Self {
        let from = |index: usize| from.get(index).copied().flatten();
        let middle: Vec<_> =
            members.iter().enumerate().map(|(index, member)| (member.clone(), from(index))).collect();
        self.follow(algorithm, Membership { head: 0, middle: &middle, tail: 0 }, || members.to_vec())
    }

    /// The same where most members stay what they were. `all` lists them, for an algorithm that has to know them.
    #[must_use]
    pub fn follow(
        &self,
        algorithm: Algorithm,
        change: Membership<'_>,
        all: impl FnOnce() -> Vec<Member>,
    ) -> Self {
        let weights = change.after(&self.weights, |(member, _)| member.weight);
        let places: Vec<_> = (0..self.weights.len()).map(Some).collect();
        let from = change.after(&places, |(_, from)| *from);
        let shares = {
            let published = self.published.lock().unwrap_or_else(PoisonError::into_inner);
            let nothing = || vec![0; self.weights.len()].into();
            let before = published.clone().unwrap_or_else(nothing);
            let share = |old: usize| before.get(old).copied().unwrap_or(0);
            change.after(&before, |(_, from)| from.map_or(FULL_SHARE, share))
        };
        let algorithm = match (&self.algorithm, algorithm) {
            (AtWork::RoundRobin(it), Algorithm::RoundRobin) => AtWork::RoundRobin(it.succeed()),
            (AtWork::WeightedRoundRobin(it), Algorithm::WeightedRoundRobin) => {
                AtWork::WeightedRoundRobin(it.succeed())
            }
            (AtWork::LeastConnections(it), Algorithm::LeastConnections) => {
                // Laid out by the first `publish`, since until then the order is that of `self`.
                return Self::idle(AtWork::LeastConnections(it.succeed(&from)), weights);
            }
            (AtWork::IpHash(it), Algorithm::IpHash) => AtWork::IpHash(it.succeed(&all(), &from)),
            (_, algorithm) => AtWork::new(algorithm, &all()),
        };
        let balancer = Self::idle(algorithm, weights);
        balancer.publish(&shares);
        balancer
    }

    /// Without a table.
    fn idle(algorithm: AtWork, weights: Vec<u32>) -> Self {
        Self { algorithm, weights: weights.into(), published: Mutex::new(None) }
    }

    /// Says what each member gets, by index, in thousandths of its weight: 0 is out, 1000 ([`FULL_SHARE`]) and
    /// above is all of it, and between them is a server that starts slowly. Members beyond the end of the list
    /// are out. `round_robin` and `random`, which set weights aside, follow the shares.
    ///
    /// Takes time in proportion to the members (up to some milliseconds for thousands of them with weights
    /// or shares that have nothing in common), none if nothing changed. Picks go on meanwhile.
    pub fn publish(&self, shares: &[u16]) {
        let share = |index: usize| shares.get(index).copied().unwrap_or(0).min(FULL_SHARE);
        let shares: Box<[u16]> = (0..self.weights.len()).map(share).collect();
        let mut published = self.published.lock().unwrap_or_else(PoisonError::into_inner);
        if published.as_ref() != Some(&shares) {
            self.lay_out(&shares);
            *published = Some(shares);
        }
    }

    /// Picks an eligible member that is not in `tried` and for which `usable` holds; `None` if there is none.
    ///
    /// `usable` reads what is live (down, draining, full). It has to be cheap, may be asked about a member
    /// more than once, and must not call the balancer. Each pick is followed by exactly one
    /// [`release`](Self::release).
    pub fn pick(&self, pick: &Pick<'_>, usable: impl Fn(usize) -> bool) -> Option<usize> {
        let accepts = |index: u32| pick.accepts(index, &usable);
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

    /// Tells whom [`pick`](Self::pick) would take, by the same look, without a pick: no turn is used up and nothing is
    /// counted. Takes time in proportion to the members.
    pub fn foresee(&self, pick: &Pick<'_>, usable: impl Fn(usize) -> bool) -> Foresight {
        let accepts = |index: u32| pick.accepts(index, &usable);
        let next = match &self.algorithm {
            AtWork::RoundRobin(it) => it.foresee(accepts),
            AtWork::WeightedRoundRobin(it) => it.foresee(accepts),
            AtWork::LeastConnections(it) => it.foresee(accepts),
            // It keeps no count of its picks.
            AtWork::IpHash(it) => it.pick(pick.client, accepts),
            AtWork::Weighted(_) | AtWork::Random(_) => return Foresight::Chance,
        };
        Foresight::Certain(next.map(|index| index as usize))
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

    fn lay_out(&self, shares: &[u16]) {
        let mut seats = Vec::with_capacity(self.weights.len());
        for ((index, &weight), &share) in (0u32..).zip(&self.weights).zip(shares) {
            if weight > 0 && share > 0 {
                // A configured weight is 1,000 at the most.
                seats.push(Seat { index, weight: weight.saturating_mul(u32::from(share)), share });
            }
        }
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

impl AtWork {
    fn new(algorithm: Algorithm, members: &[Member]) -> Self {
        match algorithm {
            Algorithm::RoundRobin => Self::RoundRobin(RoundRobin::default()),
            Algorithm::WeightedRoundRobin => Self::WeightedRoundRobin(WeightedRoundRobin::default()),
            Algorithm::Weighted => Self::Weighted(Weighted::default()),
            Algorithm::Random => Self::Random(Random::default()),
            Algorithm::LeastConnections => Self::LeastConnections(LeastConnections::new(members.len())),
            Algorithm::IpHash => Self::IpHash(IpHash::new(members)),
        }
    }
}

#[cfg(test)]
mod tests;
