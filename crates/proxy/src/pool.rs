//! One pool's live state: its servers, and who of them is picked.

/// Where each server stands.
mod places;

/// One server's part in that.
mod seat;

/// The health of the servers, seen together.
mod verdicts;

/// One pool takes over from another.
mod succession;

use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use loadweaver_config::{Algorithm, Pool, Server};
use loadweaver_policy::balance::{Balancer, Foresight, Member, Membership, Pick};
use loadweaver_policy::failure::Failure;
use loadweaver_policy::health::{Health, Observation};
use loadweaver_policy::retry::{RetryBudget, RetryRules};
use loadweaver_telemetry::counters::PoolCounters;
use loadweaver_telemetry::event::EventBus;

use crate::server::{Leavers, ServerState};
use crate::tls::Back;
use places::Places;
pub(crate) use succession::{Before, Origins};
use succession::{Lineage, is_in};
use verdicts::Verdicts;
pub use verdicts::{HealthView, Seen};

/// A pool's configuration, and what its servers are spoken to with.
pub(crate) type Secured = (Pool, Option<Arc<Back>>);

/// A pool: what it is and how it does.
///
/// A change that touches the pool makes another one, to which this one hands over what outlives the change: counters,
/// verdicts, counts. Exchanges that are under way keep the old one, and what they have to say from then on is passed
/// on to its successor.
#[derive(Debug)]
pub struct PoolState {
    /// As configured.
    pub config: Pool,
    /// Picks servers.
    pub balancer: Balancer,
    /// The servers, in the configuration's order.
    pub servers: Vec<Arc<ServerState>>,
    /// What may be tried again.
    pub rules: RetryRules,
    /// How much may be tried again.
    pub budget: Arc<RetryBudget>,
    /// What the pool did.
    pub counters: Arc<PoolCounters>,
    /// Where each server stands in `servers`, by id.
    places: Arc<Places>,
    verdicts: Mutex<Verdicts>,
    /// No server is healthy.
    down: AtomicBool,
    lineage: Arc<Lineage>,
    /// Another pool has taken over. Read and written under the lock of `verdicts`.
    handed_over: AtomicBool,
    /// What its servers are spoken to with.
    back: Option<Arc<Back>>,
    /// What the servers were before, for [`PoolState::take_over`].
    origins: Mutex<Origins>,
    bus: EventBus,
    started: Instant,
}

impl PoolState {
    pub(crate) fn build(config: Secured, bus: EventBus, started: Instant) -> Arc<Self> {
        let nobody = Origins::none(config.0.servers.len());
        let pool = Self::succeed(config, (None, nobody), &Leavers::default(), (bus, started));
        pool.begin();
        pool
    }

    /// The pool that takes over with a change: `old` is the pool of that name, `origins` is where each server of the
    /// new configuration stands now, `left` are servers that were there not long ago. It lives, and hands over, once
    /// [`PoolState::take_over`] is called.
    pub(crate) fn succeed(
        (config, back): Secured,
        (old, origins): (Option<&Arc<Self>>, Origins),
        left: &Leavers,
        (bus, started): (EventBus, Instant),
    ) -> Arc<Self> {
        let between = config.servers.between(origins.ends());
        let new = |server: &Arc<Server>| (&*config.name, Arc::clone(server), back.as_ref());
        let states = between.iter().zip(&origins.middle).map(|(server, before)| {
            let known = before.as_ref().and_then(|(pool, index)| pool.servers.get(*index));
            let same_pool = is_in(old, before.as_ref());
            match known {
                Some(known) if known.config == *server && same_pool && known.is_secured_by(back.as_ref()) => {
                    Arc::clone(known)
                }
                Some(known) if same_pool => Arc::new(known.succeed(new(server), left)),
                Some(known) => Arc::new(known.moved(new(server), left)),
                None => Arc::new(ServerState::new(new(server), left)),
            }
        });
        let servers = origins.around(old.map_or(&[], |old| &old.servers), states);
        let same_budget = |old: &&Arc<Self>| {
            let (was, is) = (&old.config.retry, &config.retry);
            (was.budget_percent, was.budget_floor) == (is.budget_percent, is.budget_floor)
        };
        let budget = old.filter(same_budget).map_or_else(
            || Arc::new(RetryBudget::new(config.retry.budget_percent, config.retry.budget_floor)),
            |old| Arc::clone(&old.budget),
        );
        let health = Health::new(&config.health_check, &config.passive_health, &config.flap_damping);
        let balancer = Self::balancer(old, &config, &origins);
        Arc::new(Self {
            balancer,
            rules: RetryRules::new(&config.retry),
            budget,
            counters: old.map_or_else(Arc::default, |old| Arc::clone(&old.counters)),
            places: old.map_or_else(
                || Arc::new(Places::of(&config.servers)),
                |old| Places::after((&old.places, &old.config.servers), &config.servers),
            ),
            verdicts: Mutex::new(Verdicts::new(health)),
            down: AtomicBool::new(false),
            lineage: old.map_or_else(Arc::default, |old| Arc::clone(&old.lineage)),
            handed_over: AtomicBool::new(false),
            origins: Mutex::new(origins),
            servers,
            back,
            bus,
            started,
            config,
        })
    }

    fn balancer(old: Option<&Arc<Self>>, config: &Pool, origins: &Origins) -> Balancer {
        let member = |server: &Arc<Server>| Member { id: server.id.clone(), weight: server.weight };
        let all = || config.servers.iter().map(member).collect::<Vec<_>>();
        let Some(old) = old else { return Balancer::new(config.algorithm, &all()) };
        let between = config.servers.between(origins.ends()).iter().zip(&origins.middle);
        let between = between.map(|(server, before)| {
            let place = before.as_ref().filter(|(pool, _)| Arc::ptr_eq(pool, old)).map(|(_, place)| *place);
            // Another machine under a known name has nothing to do yet.
            (member(server), place.filter(|place| old.has(*place, server)))
        });
        let middle: Vec<_> = between.collect();
        let (head, tail) = origins.ends();
        old.balancer.follow(config.algorithm, Membership { head, middle: &middle, tail }, all)
    }

    /// Whether its servers are spoken to with just this.
    pub(crate) fn has_back(&self, back: Option<&Arc<Back>>) -> bool {
        match (&self.back, back) {
            (None, None) => true,
            (Some(ours), Some(other)) => Arc::ptr_eq(ours, other),
            _ => false,
        }
    }

    /// Where a server stands, by its id.
    pub fn place_of(&self, id: &str) -> Option<usize> {
        self.places.find(&self.config.servers, id)
    }

    /// The same, where it likely stands at this place.
    fn place_from(&self, likely: usize, id: &str) -> Option<usize> {
        let is_there = self.config.servers.get(likely).is_some_and(|server| &*server.id == id);
        if is_there { Some(likely) } else { self.place_of(id) }
    }

    /// A server by its id.
    pub fn server(&self, id: &str) -> Option<&Arc<ServerState>> {
        self.servers.get(self.place_of(id)?)
    }

    /// Picks a server for one attempt and takes a place at it. `tried` are the ones that this exchange had.
    ///
    /// Whoever has no address is somebody else each time: else all clients of a Unix socket would be one to `ip_hash`.
    pub(crate) fn choose(
        self: &Arc<Self>,
        client: Option<IpAddr>,
        random: u64,
        tried: &mut Vec<usize>,
    ) -> Option<Permit> {
        let client = client.unwrap_or_else(|| Ipv6Addr::from_bits(u128::from(random)).into());
        loop {
            let usable = |index: usize| self.is_usable(index);
            let index = self.balancer.pick(&Pick { client, random, tried }, usable)?;
            tried.push(index);
            // Built first, so that its drop gives back the pick whatever happens.
            let Some(server) = self.servers.get(index) else {
                self.balancer.release(index);
                continue;
            };
            if server.enter() {
                return Some(Permit { pool: self.clone(), server: Arc::clone(server), index });
            }
            self.balancer.release(index);
        }
    }

    fn is_usable(&self, index: usize) -> bool {
        self.servers.get(index).is_some_and(|server| server.is_eligible() && !server.is_full())
    }

    /// Whom the first attempt of an exchange would be made at, if it came now. Nothing is taken and nothing counted.
    pub fn foresee(&self, client: Option<IpAddr>) -> Foresight {
        if client.is_none() && self.config.algorithm == Algorithm::IpHash {
            return Foresight::Chance;
        }
        let client = client.unwrap_or(Ipv6Addr::UNSPECIFIED.into());
        self.balancer.foresee(&Pick { client, random: 0, tried: &[] }, |index| self.is_usable(index))
    }

    /// Why an exchange finds nobody: all are down, or those that are not are full.
    pub fn refusal(&self) -> Failure {
        if self.up_count() == 0 { Failure::NoServer } else { Failure::PoolFull }
    }
}

/// A place at a server for one attempt; given back when it is dropped, however the attempt ends.
#[derive(Debug)]
pub(crate) struct Permit {
    pub(crate) pool: Arc<PoolState>,
    pub(crate) server: Arc<ServerState>,
    pub(crate) index: usize,
}

impl Permit {
    /// Takes in what this attempt found out about the server.
    pub(crate) fn observe(&self, observation: Observation) {
        self.pool.observe(self.index, observation);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.server.leave();
        // Whatever has become of the pool since: balancers that succeed each other count in one place.
        self.pool.balancer.release(self.index);
    }
}

#[cfg(test)]
mod tests;
