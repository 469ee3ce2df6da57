//! One server's live state, shared by all workers.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use arc_swap::ArcSwapOption;
use loadweaver_config::Server;
use loadweaver_telemetry::counters::ServerCounters;
use loadweaver_telemetry::event::ServerRef;

use crate::upstream;

/// A server of a pool: what it is and how it does.
///
/// A change of the configuration that leaves the server as it is leaves this value as it is. Otherwise another one
/// takes over what outlives the change: the counters always, the address where host and port stay.
#[derive(Debug)]
pub struct ServerState {
    /// As configured.
    pub config: Arc<Server>,
    /// What it did.
    pub counters: Arc<ServerCounters>,
    eligible: AtomicBool,
    /// What is still under way at it has no more time. One for all that this server was in its pool: what began before
    /// a change of it has no more time than what began after.
    cut: Arc<AtomicBool>,
    address: ArcSwapOption<SocketAddr>,
    upstream: AtomicU64,
    authority: String,
    /// Its host has to be looked up.
    is_named: bool,
}

impl ServerState {
    pub(crate) fn new(config: Arc<Server>) -> Self {
        Self::with(config, Arc::default(), Arc::default())
    }

    /// The same server after a change of its configuration, or in another pool.
    pub(crate) fn succeed(&self, config: Arc<Server>, same_pool: bool) -> Self {
        let same_place = config.host == self.config.host && config.port == self.config.port;
        let cut = if same_pool { Arc::clone(&self.cut) } else { Arc::default() };
        let next = Self::with(config, Arc::clone(&self.counters), cut);
        if same_place {
            next.set_address(self.address());
        }
        next
    }

    fn with(config: Arc<Server>, counters: Arc<ServerCounters>, cut: Arc<AtomicBool>) -> Self {
        let authority = Server::address_text(&config.host, config.port);
        let ip = config.host.parse::<IpAddr>().ok();
        let state = Self {
            counters,
            eligible: AtomicBool::new(true),
            cut,
            address: ArcSwapOption::empty(),
            upstream: AtomicU64::new(0),
            authority,
            is_named: ip.is_none(),
            config,
        };
        if let Some(ip) = ip {
            state.set_address(Some(SocketAddr::new(ip, state.config.port)));
        }
        state
    }

    /// Where to connect to; none while the name has not been resolved.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address.load().as_deref().copied()
    }

    /// Sets where to connect to. New connections go there; kept connections to another address are used no more.
    pub fn set_address(&self, address: Option<SocketAddr>) {
        if self.address() != address {
            self.address.store(address.map(Arc::new));
            self.upstream.store(address.map_or(0, upstream::key), Ordering::Release);
        }
    }

    /// Whether its address is not written in the configuration, so that its name has to be looked up.
    pub fn is_named(&self) -> bool {
        self.is_named
    }

    /// `host:port` as configured.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// How events name it.
    pub fn reference(&self) -> ServerRef {
        ServerRef { id: self.config.id.clone(), address: self.authority.clone() }
    }

    /// What its kept connections are found by: see [`upstream::key`].
    pub(crate) fn upstream(&self) -> u64 {
        self.upstream.load(Ordering::Acquire)
    }

    /// The way to end what is still under way at it; see [`crate::Proxy::cut`].
    pub fn cut(&self) -> Cut {
        Cut(Arc::downgrade(&self.cut))
    }

    pub(crate) fn is_cut(&self) -> bool {
        self.cut.load(Ordering::Relaxed)
    }

    pub(crate) fn set_eligible(&self, eligible: bool) {
        self.eligible.store(eligible, Ordering::Relaxed);
    }

    /// Whether health lets it have new traffic.
    pub fn is_eligible(&self) -> bool {
        self.eligible.load(Ordering::Relaxed)
    }

    /// Whether it has all the exchanges at once that it may have.
    pub(crate) fn is_full(&self) -> bool {
        let most = u64::from(self.config.max_connections);
        most > 0 && self.counters.active.get() >= most
    }

    /// Takes one of its places; false when there is none. Each place taken is given back by [`Self::leave`].
    pub(crate) fn enter(&self) -> bool {
        let now = self.counters.active.increment();
        let most = u64::from(self.config.max_connections);
        if most > 0 && now > most {
            self.counters.active.decrement();
            return false;
        }
        true
    }

    pub(crate) fn leave(&self) {
        self.counters.active.decrement();
    }
}

/// Ends what is still under way at a server that was removed, whatever the server looked like when it began. Keeps
/// nothing alive.
#[derive(Debug)]
pub struct Cut(Weak<AtomicBool>);

impl Cut {
    /// Whether anything may still be under way.
    pub fn is_of_use(&self) -> bool {
        self.0.strong_count() > 0
    }

    /// Says whether anybody is left to notice.
    pub(crate) fn make(&self) -> bool {
        self.0.upgrade().inspect(|cut| cut.store(true, Ordering::Relaxed)).is_some()
    }
}
