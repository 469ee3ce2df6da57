//! One server's live state, shared by all workers.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arc_swap::ArcSwapOption;
use loadweaver_config::Server;
use loadweaver_telemetry::counters::ServerCounters;
use loadweaver_telemetry::event::ServerRef;

use crate::address::Address;
use crate::tls::{Back, Identity};
use crate::upstream;

/// What is under way at a server, and how it ends.
mod underway;

pub use underway::Cut;
pub(crate) use underway::Leavers;
use underway::Underway;

/// A server of a pool: what it is and how it does.
///
/// A change of the configuration that leaves the server as it is leaves this value as it is. Otherwise another one
/// takes over what outlives the change: the counters always; the address, and what is under way, where host and port
/// stay.
#[derive(Debug)]
pub struct ServerState {
    /// As configured.
    pub config: Arc<Server>,
    /// What it did.
    pub counters: Arc<ServerCounters>,
    eligible: AtomicBool,
    underway: Arc<Underway>,
    address: ArcSwapOption<Address>,
    upstream: AtomicU64,
    address_text: String,
    authority: String,
    /// Its host has to be looked up.
    is_named: bool,
    /// Spoken to over TLS.
    identity: Option<Arc<Identity>>,
}

/// A server as a configuration wants it: its pool, itself, and what the pool is spoken to with.
pub(crate) type Wanted<'w> = (&'w str, Arc<Server>, Option<&'w Arc<Back>>);

impl ServerState {
    /// A server that was not there before the change; `left` are those that were, not long ago.
    pub(crate) fn new((pool, config, back): Wanted<'_>, left: &Leavers) -> Self {
        let found = left.find(pool, &config).unwrap_or_default();
        let identity = identify(&config, back);
        Self::with(config, identity, found)
    }

    /// The same server after a change of its configuration in its pool.
    pub(crate) fn succeed(&self, (pool, config, back): Wanted<'_>, left: &Leavers) -> Self {
        let identity = self.identity_for(&config, back);
        if self.is_at(&config) {
            let next = Self::with(config, identity, (Arc::clone(&self.counters), Arc::clone(&self.underway)));
            next.set_address(self.address());
            return next;
        }
        let underway = left.find(pool, &config).map(|(_, underway)| underway);
        Self::with(config, identity, (Arc::clone(&self.counters), underway.unwrap_or_default()))
    }

    /// The same server in another pool. What is under way in the old one goes on there, under its limits.
    pub(crate) fn moved(&self, (pool, config, back): Wanted<'_>, left: &Leavers) -> Self {
        let underway = left.find(pool, &config).map(|(_, underway)| underway);
        let identity = self.identity_for(&config, back);
        let next = Self::with(config, identity, (Arc::clone(&self.counters), underway.unwrap_or_default()));
        if self.is_at(&next.config) {
            next.set_address(self.address());
        }
        next
    }

    /// Its connections and tickets are good for as long as it is spoken to in the same way.
    fn identity_for(&self, config: &Server, back: Option<&Arc<Back>>) -> Option<Arc<Identity>> {
        if self.is_at(config) && self.is_secured_by(back) {
            self.identity.clone()
        } else {
            identify(config, back)
        }
    }

    fn with(
        config: Arc<Server>,
        identity: Option<Arc<Identity>>,
        (counters, underway): (Arc<ServerCounters>, Arc<Underway>),
    ) -> Self {
        let written = match config.unix() {
            Some(name) => Some(Address::Unix(name.into())),
            None => {
                config.host.parse::<IpAddr>().ok().map(|ip| Address::Ip(SocketAddr::new(ip, config.port)))
            }
        };
        let state = Self {
            counters,
            eligible: AtomicBool::new(true),
            underway,
            address: ArcSwapOption::empty(),
            upstream: AtomicU64::new(0),
            address_text: Server::address_text(&config.host, config.port),
            authority: config.authority(),
            is_named: written.is_none(),
            identity,
            config,
        };
        state.set_address(written);
        state
    }

    /// Where to connect to; none while the name has not been resolved.
    pub fn address(&self) -> Option<Address> {
        self.address.load().as_deref().cloned()
    }

    /// Sets where to connect to. New connections go there; kept connections to another address are used no more.
    pub fn set_address(&self, address: Option<Address>) {
        if self.address() != address {
            let number = self.identity_number();
            let key = address.as_ref().map_or(0, |at| upstream::key(at, number));
            self.address.store(address.map(Arc::new));
            self.upstream.store(key, Ordering::Release);
        }
    }

    /// Takes over where to connect to from the same server before a change: it may have been found out since this one
    /// was made.
    pub(crate) fn follow(&self, before: &Self) {
        if self.is_named
            && self.is_at(&before.config)
            && let Some(address) = before.address()
        {
            self.set_address(Some(address));
        }
    }

    /// What it is spoken to with; none in the clear.
    pub fn identity(&self) -> Option<&Arc<Identity>> {
        self.identity.as_ref()
    }

    /// Tells apart what its connections are secured with; 0 in the clear.
    pub(crate) fn identity_number(&self) -> u64 {
        self.identity.as_ref().map_or(0, |identity| identity.number())
    }

    pub(crate) fn is_secured_by(&self, back: Option<&Arc<Back>>) -> bool {
        match (&self.identity, back) {
            (None, None) => true,
            (Some(identity), Some(back)) => back.has(identity),
            _ => false,
        }
    }

    /// Whether its address is not written in the configuration, so that its name has to be looked up.
    pub fn is_named(&self) -> bool {
        self.is_named
    }

    /// Its address as configured.
    pub fn address_text(&self) -> &str {
        &self.address_text
    }

    /// What a request without a `Host` is told to ask for.
    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }

    /// How events name it.
    pub fn reference(&self) -> ServerRef {
        ServerRef { id: self.config.id.clone(), address: self.address_text.clone() }
    }

    /// What its kept connections are found by: see [`upstream::key`].
    pub(crate) fn upstream(&self) -> u64 {
        self.upstream.load(Ordering::Acquire)
    }

    fn is_at(&self, place: &Server) -> bool {
        (&self.config.host, self.config.port) == (&place.host, place.port)
    }

    /// How many exchanges are under way at it.
    pub fn active(&self) -> u64 {
        self.underway.active()
    }

    /// The way to end what is still under way at it; see [`crate::Proxy::cut`].
    pub fn cut(&self) -> Cut {
        Underway::cut(&self.underway)
    }

    pub(crate) fn is_cut(&self) -> bool {
        self.underway.is_cut()
    }

    pub(crate) fn set_eligible(&self, eligible: bool) {
        self.eligible.store(eligible, Ordering::Relaxed);
    }

    /// Whether health lets it have new traffic.
    pub fn is_eligible(&self) -> bool {
        self.eligible.load(Ordering::Relaxed)
    }

    /// Whether it has all the exchanges at once that it may have.
    pub fn is_full(&self) -> bool {
        let most = u64::from(self.config.max_connections);
        most > 0 && self.active() >= most
    }

    /// Takes one of its places; false when there is none. Each place taken is given back by [`Self::leave`].
    pub(crate) fn enter(&self) -> bool {
        self.underway.enter(u64::from(self.config.max_connections))
    }

    pub(crate) fn leave(&self) {
        self.underway.leave();
    }
}

fn identify(config: &Server, back: Option<&Arc<Back>>) -> Option<Arc<Identity>> {
    back.map(|back| Arc::new(back.identity(config)))
}
