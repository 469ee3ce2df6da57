//! Servers that a change brings or takes away.

use std::sync::Arc;

use loadweaver_proxy::{Closing, Cut, Proxy, Sameness, Snapshot};
use loadweaver_telemetry::event::{Event, EventBus};
use tokio::time::Instant;

/// Tells of each server that came or went.
pub(super) fn tell(before: &Snapshot, after: &Snapshot, bus: &EventBus) {
    for (pool, server) in before.missing_in(after, Sameness::Id) {
        bus.emit(Event::ServerRemoved { pool: pool.config.name.clone(), server: server.reference() });
    }
    for (pool, server) in after.missing_in(before, Sameness::Id) {
        bus.emit(Event::ServerAdded { pool: pool.config.name.clone(), server: server.reference() });
    }
}

/// What is under way at servers that were removed, or got another address, has as much time as a shutdown would give
/// it, and ends then. A server that comes back by that time keeps what it has; when it is removed again, all of it has
/// that time anew.
#[derive(Debug, Default)]
pub(super) struct Departed(Vec<Leave>);

#[derive(Debug)]
struct Leave {
    pool: Arc<str>,
    server: Arc<str>,
    cut: Cut,
    until: Instant,
}

impl Departed {
    /// Takes in a change. What has ended is forgotten, so the list is never longer than what is under way.
    pub(super) fn follow(&mut self, before: &Snapshot, after: &Snapshot) {
        let until = Instant::now() + before.config.timeouts.drain;
        self.0.retain(|leave| {
            let now = after.pool(&leave.pool).and_then(|pool| pool.server(&leave.server));
            leave.cut.is_of_use() && !now.is_some_and(|server| leave.cut.is_of(server))
        });
        self.0.extend(before.missing_in(after, Sameness::Address).map(|(pool, server)| Leave {
            pool: Arc::clone(&pool.config.name),
            server: Arc::clone(&server.config.id),
            cut: server.cut(),
            until,
        }));
    }

    /// When the next of them is due.
    pub(super) fn due(&self) -> Option<Instant> {
        self.0.iter().map(|leave| leave.until).min()
    }

    /// Ends what is due.
    pub(super) fn cut(&mut self, proxy: &Proxy) {
        let now = Instant::now();
        let due = self.0.extract_if(.., |leave| leave.until <= now);
        proxy.cut(due.map(|leave| leave.cut));
    }
}

/// What is alive now and would be touched, in words: connections at addresses that go, exchanges at servers that go
/// or get another address.
/// What goes on as before is not touched.
pub(super) fn touched(before: &Snapshot, after: &Snapshot, proxy: &Proxy) -> Vec<String> {
    let listeners = proxy.closing(after).into_iter().map(|Closing { listener, addresses, connections }| {
        let at = addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        format!(
            "listener {listener} on {at}: {connections} client connections end after the exchange that they are in"
        )
    });
    let limit = before.config.timeouts.drain;
    let servers = before.missing_in(after, Sameness::Address).map(|(pool, server)| {
        let active = server.active();
        let (pool, id) = (&pool.config.name, &server.config.id);
        format!("pool {pool}, server {id}: {active} exchanges have {limit:?} to end")
    });
    listeners.chain(servers).collect()
}
