//! Servers that go to another pool: their cases go with them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use loadweaver_config::Server;
use loadweaver_proxy::{PoolState, Snapshot};

use super::case::Case;
use super::ward::Order;
use super::{Care, heals};

/// Cases by the server's id, for each pool that gets some.
pub(super) type Moved = HashMap<Arc<str>, BTreeMap<Arc<str>, Case>>;

/// What the old pools' wards have to say of that.
type Orders = Vec<(Arc<PoolState>, Vec<Order>)>;

/// Takes the cases out of their wards whose servers stand in another pool now, under their ids and at their addresses.
/// What is under way for them is cut short, and told as what it was: the old pool's.
pub(super) fn out(care: &mut Care, snapshot: &Snapshot, now: Duration) -> (Orders, Moved) {
    let (mut orders, mut moved) = (Orders::new(), Moved::new());
    for (name, (ward, pool)) in &mut care.pools {
        let after = snapshot.pool(name);
        // A pool that did not change has lost nobody.
        if after.is_some_and(|after| Arc::ptr_eq(after, pool)) {
            continue;
        }
        let gone = |id: &Arc<str>| after.is_none_or(|after| after.place_of(id).is_none());
        let ids: Vec<Arc<str>> = ward.cases.keys().filter(|id| gone(id)).cloned().collect();
        for id in ids {
            let Some(to) = whither(snapshot, &id, ward.cases.get(&id).map(|case| &*case.address)) else {
                continue;
            };
            if let Some(case) = ward.let_go(&id, now) {
                moved.entry(to).or_default().insert(id, case);
            }
        }
        orders.push((Arc::clone(pool), ward.orders()));
    }
    (orders, moved)
}

/// The pool that has the server now.
fn whither(snapshot: &Snapshot, id: &str, address: Option<&str>) -> Option<Arc<str>> {
    let has = |pool: &&Arc<PoolState>| {
        let place = pool.place_of(id).filter(|_| heals(&pool.config));
        let server = place.and_then(|place| pool.config.servers.get(place));
        server.is_some_and(|server| Some(&*Server::address_text(&server.host, server.port)) == address)
    };
    snapshot.pools.iter().find(has).map(|pool| pool.config.name.clone())
}
