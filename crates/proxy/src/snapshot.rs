//! The immutable running configuration.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, LazyLock, OnceLock};
use std::time::Instant;

use loadweaver_config::{
    Config, Issues, Listener, Protocols, ProxyProtocol, RedirectHttps, SendProxyProtocol, Server, Servers,
};
use loadweaver_policy::route::{RouteQuery, Router};
use loadweaver_telemetry::event::EventBus;

use crate::listen::{Entrance, Listening};
use crate::pool::{Before, Origins, PoolState};
use crate::server::Leavers;
use crate::server::ServerState;
use crate::tls::{Front, Security};
use crate::trace::Rules;

/// Everything that an exchange needs to know about the configuration. An exchange takes one snapshot and keeps it
/// to its end, so it never sees half of a change.
#[derive(Debug)]
pub struct Snapshot {
    /// Counts up with each configuration that is put in force.
    pub version: u64,
    /// What the operator wrote, checked.
    pub config: Arc<Config>,
    /// Picks the route of a request.
    pub router: Router,
    /// Pools with their live state, in the configuration's order.
    pub pools: Vec<Arc<PoolState>>,
    /// The pool of each route, by index.
    pub route_pools: Vec<usize>,
    /// What the files of the configuration hold.
    pub security: Security,
    /// What each listener does beside serving, by index; empty where none does.
    manners: Vec<Manners>,
    /// Whose each bound address is: its number and the listener's index, in the order of numbers. Set when the
    /// snapshot is put in force. Names would not do: two listeners may change theirs with each other.
    owners: OnceLock<Vec<(u64, usize)>>,
    /// Which exchanges spans are made of; none where none are.
    pub(crate) tracing: Option<Rules>,
    /// There are pools whose servers are told whom connections are from.
    pub(crate) announces: bool,
    /// The first route takes everything, so that no request has to be looked at.
    takes_everything: bool,
    /// Servers that left with this change or before, and may have something under way.
    left: Leavers,
    /// Counts up with each change after which kept connections may lead to what is no server any more.
    pub(crate) departures: u64,
    bus: EventBus,
    started: Instant,
}

impl Snapshot {
    /// Reads the files of a checked configuration and builds its live state. `started` is the moment that all times
    /// count from.
    ///
    /// # Errors
    /// Everything that is wrong with the files.
    pub fn build(
        version: u64,
        config: Config,
        bus: &EventBus,
        started: Instant,
    ) -> Result<Arc<Self>, Issues> {
        let security = Security::load(&config, None)?;
        let pools = config.pools.iter().map(|pool| {
            let back = security.back(&pool.name).cloned();
            PoolState::build((pool.clone(), back), bus.clone(), started)
        });
        let pools = pools.collect();
        Ok(Self::with(version, config, (pools, (Leavers::default(), 0), security), (bus, started)))
    }

    /// The snapshot that follows this one: pools that did not change are the same, the others take over when it is
    /// put in force ([`crate::Proxy::apply`]). Reads the files of the configuration, which blocks for as long as that
    /// takes.
    ///
    /// # Errors
    /// Everything that is wrong with the files.
    pub fn next(&self, version: u64, mut config: Config) -> Result<Arc<Self>, Issues> {
        let security = Security::load(&config, Some(&self.security))?;
        self.share_servers(&mut config);
        let mut departed = self.departed(&config);
        let pools = config.pools.iter().map(|pool| {
            let old = self.pool(&pool.name);
            let back = security.back(&pool.name).cloned();
            if let Some(old) = old.filter(|old| old.config == *pool && old.has_back(back.as_ref())) {
                return Arc::clone(old);
            }
            let origins = Origins::find(old, (pool, back.as_ref()), |id| departed.remove(id));
            let shared = (self.bus.clone(), self.started);
            PoolState::succeed((pool.clone(), back), (old, origins), &self.left, shared)
        });
        let pools: Vec<_> = pools.collect();
        let left = self.left_after(&pools);
        let all_stay = self.pools.iter().all(|old| {
            let next = pools.iter().find(|next| next.config.name == old.config.name);
            next.is_some_and(|next| next.leads_to_all_of(old))
        });
        let departures = self.departures + u64::from(!all_stay);
        Ok(Self::with(version, config, (pools, (left, departures), security), (&self.bus, self.started)))
    }

    /// Servers that have left once these pools are in force.
    fn left_after(&self, pools: &[Arc<PoolState>]) -> Leavers {
        let next = |name: &str| pools.iter().find(|pool| &*pool.config.name == name);
        let mut left = self.left.clone();
        left.prune(|pool, id| next(pool)?.server(id).map(|server| &*server.config));
        for pool in &self.pools {
            let there = next(&pool.config.name).map_or(&*NOBODY, |next| &next.config.servers);
            for (place, _) in gone(&pool.config.servers, there, Sameness::Address) {
                pool.servers.get(place).into_iter().for_each(|server| left.add(&pool.config.name, server));
            }
        }
        left
    }

    /// What was read anew and says the same stands in memory once, however many snapshots are kept alive by exchanges
    /// that last long.
    fn share_servers(&self, config: &mut Config) {
        for pool in &mut config.pools {
            if let Some(old) = self.pool(&pool.name) {
                pool.servers.share_with(&old.config.servers);
            }
        }
    }

    /// Servers that leave their pools, by id: one that comes to another pool is still the same.
    fn departed(&self, config: &Config) -> HashMap<Arc<str>, Before> {
        let mut departed = HashMap::new();
        for pool in &self.pools {
            let next = config.pools.iter().find(|next| next.name == pool.config.name);
            let next = next.map_or(&*NOBODY, |next| &next.servers);
            for (place, server) in gone(&pool.config.servers, next, Sameness::Id) {
                departed.insert(server.id.clone(), (Arc::clone(pool), place));
            }
        }
        departed
    }

    /// Takes over from the snapshot before: what its exchanges find out from here on is told to this one's pools.
    pub(crate) fn take_over(&self, from: &Self) {
        for pool in &self.pools {
            let old = from.pool(&pool.config.name);
            if !old.is_some_and(|old| Arc::ptr_eq(old, pool)) {
                pool.take_over(old);
            }
        }
        for old in &from.pools {
            let next = self.pool(&old.config.name);
            if next.is_none() {
                old.retire();
            }
            if !next.is_some_and(|next| Arc::ptr_eq(next, old)) {
                old.forget_verdicts();
            }
        }
    }

    fn with(
        version: u64,
        config: Config,
        (pools, (left, departures), security): (Vec<Arc<PoolState>>, (Leavers, u64), Security),
        (bus, started): (&EventBus, Instant),
    ) -> Arc<Self> {
        let position = |name: &str| config.pools.iter().position(|pool| &*pool.name == name);
        // The configuration was checked: every route names a pool that is there.
        let route_pools =
            config.routes.iter().map(|route| position(&route.pool).unwrap_or(usize::MAX)).collect();
        let router = Router::new(&config.routes);
        let takes_everything = config.routes.first().is_some_and(|route| route.matcher.is_everything());
        let bus = bus.clone();
        let manners = config.listeners.iter().map(Manners::of);
        let any = config.listeners.iter().any(|one| {
            let plain = one.hsts.is_none() && one.redirect_https.is_none() && one.proxy_protocol.is_none();
            !plain || one.protocols != Protocols::Both
        });
        let manners = if any { manners.collect() } else { Vec::new() };
        let announces = config.pools.iter().any(|pool| pool.send_proxy_protocol != SendProxyProtocol::Off);
        Arc::new(Self {
            tracing: Rules::of(&config),
            announces,
            security,
            manners,
            owners: OnceLock::new(),
            takes_everything,
            version,
            config: Arc::new(config),
            router,
            pools,
            route_pools,
            left,
            departures,
            bus,
            started,
        })
    }

    /// Servers that are not in the pool of that name in `other`, or not the same there, with their pools.
    pub fn missing_in<'s>(
        &'s self,
        other: &'s Self,
        same: Sameness,
    ) -> impl Iterator<Item = (&'s Arc<PoolState>, &'s Arc<ServerState>)> {
        self.pools.iter().flat_map(move |pool| {
            let there = other.pool(&pool.config.name).map_or(&*NOBODY, |there| &there.config.servers);
            let gone = gone(&pool.config.servers, there, same);
            gone.into_iter().filter_map(move |(place, _)| Some((pool, pool.servers.get(place)?)))
        })
    }

    /// What its listeners shake hands with.
    pub fn fronts(&self) -> impl Iterator<Item = &Arc<Front>> {
        self.security.fronts.iter().flatten()
    }

    /// A pool by its name.
    pub fn pool(&self, name: &str) -> Option<&Arc<PoolState>> {
        self.pools.iter().find(|pool| &*pool.config.name == name)
    }

    /// Takes note of whose each bound address is.
    pub(crate) fn settle<'l>(&self, bound: impl IntoIterator<Item = &'l Listening>) {
        let listeners = &self.config.listeners;
        let place = |name: &str| listeners.iter().position(|listener| &*listener.name == name);
        let owners = bound.into_iter().filter_map(|each| Some((each.number, place(&each.name)?)));
        let mut owners: Vec<_> = owners.collect();
        owners.sort_unstable();
        // It is put in force once.
        let _ = self.owners.set(owners);
    }

    /// The index of the listener that an address belongs to; none if it has gone, or is not there yet.
    fn owner(&self, address: u64) -> Option<usize> {
        let owners = self.owners.get()?;
        let at = owners.binary_search_by_key(&address, |(number, _)| *number).ok()?;
        owners.get(at).map(|(_, listener)| *listener)
    }

    /// The listener that an address belongs to.
    pub(crate) fn listener(&self, entrance: &Entrance) -> Option<&Listener> {
        self.config.listeners.get(self.owner(entrance.number)?)
    }

    /// Whether anything stands before the first request of any listener's connections.
    pub(crate) fn has_thresholds(&self) -> bool {
        !self.manners.is_empty() || self.security.fronts.iter().any(Option::is_some)
    }

    /// What a listener shakes hands with, and who says of its connections whom they are from.
    pub(crate) fn threshold(&self, entrance: &Entrance) -> (Option<Arc<Front>>, Option<Arc<ProxyProtocol>>) {
        let Some(owner) = self.owner(entrance.number) else { return (None, None) };
        let front = self.security.fronts.get(owner).cloned().flatten();
        (front, self.manners.get(owner).and_then(|manners| manners.proxy_protocol.clone()))
    }

    /// What a listener's clients may speak.
    pub(crate) fn protocols(&self, entrance: &Entrance) -> Protocols {
        self.manners(entrance).map_or(Protocols::Both, |manners| manners.protocols)
    }

    /// Whether an address that stays is for clients of other protocols than in the snapshot before.
    pub(crate) fn speaks_otherwise(&self, before: &Self, address: u64) -> bool {
        let protocols = |of: &Self| Some(of.config.listeners.get(of.owner(address)?)?.protocols);
        protocols(before).is_some_and(|old| protocols(self).is_some_and(|new| new != old))
    }

    /// What a listener does beside serving.
    pub(crate) fn manners(&self, entrance: &Entrance) -> Option<&Manners> {
        if self.manners.is_empty() {
            return None;
        }
        self.manners.get(self.owner(entrance.number)?)
    }

    /// The route of a request; its parts are only read if that depends on them.
    pub(crate) fn route<'q>(&self, query: impl FnOnce() -> RouteQuery<'q>) -> Option<usize> {
        if self.takes_everything { Some(0) } else { self.router.route(&query()) }
    }

    /// The pool that a route leads to.
    pub fn pool_of(&self, route: usize) -> Option<&Arc<PoolState>> {
        self.pools.get(*self.route_pools.get(route)?)
    }
}

/// When a server of a pool is the same after a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sameness {
    /// Its id is there.
    Id,
    /// And its host and port are what they were: what is under way at it goes on.
    Address,
}

impl Sameness {
    fn key(self, server: &Server) -> (&str, &str, u16) {
        match self {
            Self::Id => (&server.id, "", 0),
            Self::Address => (&server.id, &server.host, server.port),
        }
    }
}

/// Servers of one list that are not in the other, with their places. What begins alike and ends alike is passed over:
/// of thousands a change nearly always leaves all but one where they are.
fn gone<'s>(before: &'s Servers, after: &Servers, same: Sameness) -> Vec<(usize, &'s Arc<Server>)> {
    let ends = before.common_ends(after);
    let (left, after) = (before.between(ends), after.between(ends));
    let alike = |(one, other): &(&Arc<Server>, &Arc<Server>)| {
        Arc::ptr_eq(one, other) || same.key(one) == same.key(other)
    };
    let head = left.iter().zip(after).take_while(alike).count();
    let rest = left.len().min(after.len()) - head;
    let tail = left.iter().rev().zip(after.iter().rev()).take(rest).take_while(alike).count();
    let stay: HashSet<_> =
        after.iter().take(after.len() - tail).skip(head).map(|server| same.key(server)).collect();
    let left = (ends.0..).zip(left).take(left.len() - tail).skip(head);
    left.filter(|(_, server)| !stay.contains(&same.key(server))).collect()
}

/// The servers of a pool that is not there.
static NOBODY: LazyLock<Servers> = LazyLock::new(Servers::default);

/// What a listener does beside serving.
#[derive(Debug)]
pub(crate) struct Manners {
    pub(crate) redirect: Option<RedirectHttps>,
    /// The value of `Strict-Transport-Security`.
    pub(crate) hsts: Option<String>,
    /// Who says whom connections are from.
    pub(crate) proxy_protocol: Option<Arc<ProxyProtocol>>,
    /// What clients may speak.
    pub(crate) protocols: Protocols,
}

impl Manners {
    fn of(listener: &Listener) -> Self {
        Self {
            redirect: listener.redirect_https,
            hsts: listener.hsts.map(|hsts| hsts.to_string()),
            proxy_protocol: listener.proxy_protocol.clone().map(Arc::new),
            protocols: listener.protocols,
        }
    }
}
