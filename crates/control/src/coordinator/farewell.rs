//! Servers that a change brings or takes away.

use std::sync::{Arc, Weak};

use loadweaver_proxy::{Proxy, ServerState, Snapshot};
use loadweaver_telemetry::event::{Event, EventBus};

use crate::current::Current;

/// Tells of each server that came or went.
pub(super) fn tell(before: &Snapshot, after: &Snapshot, bus: &EventBus) {
    for (pool, server) in missing_in(before, after) {
        bus.emit(Event::ServerRemoved { pool, server: server.reference() });
    }
    for (pool, server) in missing_in(after, before) {
        bus.emit(Event::ServerAdded { pool, server: server.reference() });
    }
}

/// Gives what is under way at removed servers as much time as a shutdown would, then ends it. A server that has come
/// back by then keeps what it has.
pub(super) fn cut_later(before: Arc<Snapshot>, after: &Snapshot, current: &Current, proxy: &Arc<Proxy>) {
    let removed: Vec<_> = missing_in(&before, after)
        .map(|(pool, server)| (pool, server.config.id.clone(), Arc::downgrade(server)))
        .collect();
    let limit = before.config.timeouts.drain;
    // The old snapshot itself need not live so long.
    drop(before);
    if removed.is_empty() {
        return;
    }
    let (current, proxy) = (current.clone(), Arc::clone(proxy));
    tokio::spawn(async move {
        tokio::time::sleep(limit).await;
        let now = current.load();
        let is_back = |pool: &str, id: &str| now.pool(pool).is_some_and(|pool| pool.place_of(id).is_some());
        let gone = removed.iter().filter(|(pool, id, _)| !is_back(pool, id));
        let busy: Vec<_> = gone
            .filter_map(|(_, _, server)| Weak::upgrade(server))
            .filter(|server| server.counters.active.get() > 0)
            .collect();
        if !busy.is_empty() {
            proxy.cut(busy.iter().map(|server| &**server));
        }
    });
}

/// Servers of `here` that are not in the pool of that name in `there`.
fn missing_in<'h>(
    here: &'h Snapshot,
    there: &'h Snapshot,
) -> impl Iterator<Item = (Arc<str>, &'h Arc<ServerState>)> {
    here.pools.iter().flat_map(move |pool| {
        let other = there.pool(&pool.config.name);
        let missing = move |server: &&Arc<ServerState>| {
            other.is_none_or(|other| other.place_of(&server.config.id).is_none())
        };
        pool.servers.iter().filter(missing).map(|server| (pool.config.name.clone(), server))
    })
}
