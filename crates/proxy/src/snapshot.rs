//! The immutable running configuration.

use std::sync::Arc;
use std::time::Instant;

use loadweaver_config::Config;
use loadweaver_policy::route::{RouteQuery, Router};
use loadweaver_telemetry::event::EventBus;

use crate::pool::PoolState;

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
    /// The first route takes everything, so that no request has to be looked at.
    takes_everything: bool,
}

impl Snapshot {
    /// Builds the live state of a checked configuration. `started` is the moment that all times count from.
    pub fn build(version: u64, config: Config, bus: &EventBus, started: Instant) -> Arc<Self> {
        let pools: Vec<_> =
            config.pools.iter().map(|pool| PoolState::build(pool.clone(), bus.clone(), started)).collect();
        let position = |name: &str| config.pools.iter().position(|pool| &*pool.name == name);
        // The configuration was checked: every route names a pool that is there.
        let route_pools =
            config.routes.iter().map(|route| position(&route.pool).unwrap_or(usize::MAX)).collect();
        let router = Router::new(&config.routes);
        let takes_everything = config.routes.first().is_some_and(|route| route.matcher.is_everything());
        Arc::new(Self { takes_everything, version, config: Arc::new(config), router, pools, route_pools })
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
