//! One server's live state, shared by all workers.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arc_swap::ArcSwapOption;
use loadweaver_config::Server;
use loadweaver_telemetry::counters::ServerCounters;
use loadweaver_telemetry::event::ServerRef;

/// A server of a pool: what it is and how it does.
#[derive(Debug)]
pub struct ServerState {
    /// As configured.
    pub config: Server,
    /// What it did.
    pub counters: ServerCounters,
    eligible: AtomicBool,
    address: ArcSwapOption<SocketAddr>,
    upstream: AtomicU64,
    authority: String,
}

/// Names one address of one server among the connections that workers keep. A server whose name resolves to
/// another address gets a new one, and connections to the old address are found no more.
static NEXT_UPSTREAM: AtomicU64 = AtomicU64::new(1);

impl ServerState {
    pub(crate) fn new(config: Server) -> Self {
        let authority = Server::address_text(&config.host, config.port);
        let state = Self {
            counters: ServerCounters::default(),
            eligible: AtomicBool::new(true),
            address: ArcSwapOption::empty(),
            upstream: AtomicU64::new(0),
            authority,
            config,
        };
        if let Ok(ip) = state.config.host.parse::<IpAddr>() {
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
            self.address.store(address.map(std::sync::Arc::new));
            self.upstream.store(NEXT_UPSTREAM.fetch_add(1, Ordering::Relaxed), Ordering::Release);
        }
    }

    /// `host:port` as configured.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// How events name it.
    pub fn reference(&self) -> ServerRef {
        ServerRef { id: self.config.id.clone(), address: self.authority.clone() }
    }

    pub(crate) fn upstream(&self) -> u64 {
        self.upstream.load(Ordering::Acquire)
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
