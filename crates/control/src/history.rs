//! How the last hour went: of the node, of each pool, of each server.
//!
//! Counters and histograms are read once a second, on the control thread; the request path does nothing for it. What is
//! kept has a size that follows the configuration and never the traffic: for the node and each pool [`FINE`] points of a
//! second and [`COARSE`] of ten seconds (27 KiB), for each server [`COARSE`] of ten seconds (4.5 KiB): 9 MB for a pool of
//! 2,000 servers. What leaves the configuration takes its past along.
//!
//! Latencies are the times to the first byte of a server's answer, of that second or those ten alone. The histograms
//! forget once a minute; the second in which they do shows the latencies of the one before.

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use loadweaver_proxy::{PoolState, ServerState, Snapshot};
use loadweaver_telemetry::counters::ProxyCounters;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::current::Current;
use crate::plane::Sight;
use crate::upkeep::Halvings;

use line::{Line, Moment, Totals};
pub(crate) use line::{Point, ServerLine, ServerPoint};
pub(crate) use ring::Ring;

mod line;
mod ring;

const EVERY: Duration = Duration::from_secs(1);
/// Points of a second: five minutes.
pub(crate) const FINE: usize = 300;
/// Points of ten seconds: an hour.
pub(crate) const COARSE: usize = 360;
/// How many points of a second one of ten seconds is made of.
const SECONDS: u64 = 10;

/// How long a point is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Second,
    TenSeconds,
}

impl Step {
    pub(crate) fn seconds(self) -> u64 {
        match self {
            Self::Second => 1,
            Self::TenSeconds => SECONDS,
        }
    }

    pub(crate) fn most(self) -> usize {
        match self {
            Self::Second => FINE,
            Self::TenSeconds => COARSE,
        }
    }
}

/// The past. Cheap to clone; all clones are one.
#[derive(Debug, Clone, Default)]
pub(crate) struct History(Arc<Mutex<Past>>);

/// Everything that is kept.
#[derive(Debug, Default)]
pub(crate) struct Past {
    /// Seconds since there are points: the number of the second that was read last.
    number: u64,
    /// When that was.
    at: Option<(Instant, SystemTime)>,
    halvings: u64,
    pub(crate) node: Line,
    pub(crate) pools: BTreeMap<Arc<str>, PoolPast>,
}

/// Of one pool and its servers.
#[derive(Debug, Default)]
pub(crate) struct PoolPast {
    pub(crate) line: Line,
    pub(crate) servers: HashMap<Arc<str>, ServerLine>,
}

impl Past {
    /// The number of the last point, and when it ended; none before the first one.
    pub(crate) fn last(&self, step: Step) -> Option<(u64, SystemTime)> {
        let (_, at) = self.at?;
        match step {
            Step::Second => Some((self.number, at)),
            Step::TenSeconds => {
                let number = (self.number / SECONDS).checked_sub(1)?;
                Some((number, at - EVERY * u32::try_from(self.number % SECONDS).unwrap_or(0)))
            }
        }
    }

    fn sample(&mut self, snapshot: &Snapshot, counters: &ProxyCounters, number: u64, halvings: u64) {
        let now = Instant::now();
        let passed = self.at.map_or(EVERY, |(before, _)| now.duration_since(before));
        // The end of ten seconds, also where the very one was missed.
        let ends = self.at.is_some() && number / SECONDS > self.number / SECONDS;
        let moment = Moment {
            number,
            passed,
            halved: halvings != self.halvings,
            coarse: ends.then(|| (number / SECONDS).saturating_sub(1)),
        };
        (self.number, self.halvings, self.at) = (number, halvings, Some((now, SystemTime::now())));
        self.pools.retain(|name, _| snapshot.pool(name).is_some());
        let mut all = Totals::of_node(counters);
        let mut servers = 0;
        for pool in &snapshot.pools {
            let is_new = !self.pools.contains_key(&pool.config.name);
            let past = self.pools.entry(pool.config.name.clone()).or_default();
            let totals = of_pool(pool);
            all.readings.add(&totals.readings);
            all.up += totals.up;
            servers += pool.servers.len();
            past.line.take(totals.per(pool.servers.len()), &moment);
            // Of a pool that is new this only marks where its counters begin.
            if let Some(coarse) = moment.coarse.or(is_new.then_some(0)) {
                past.look_at_servers(pool, coarse);
            }
        }
        self.node.take(all.per(servers), &moment);
    }
}

impl PoolPast {
    fn look_at_servers(&mut self, pool: &PoolState, number: u64) {
        if self.servers.len() != pool.servers.len()
            || self.servers.keys().any(|id| pool.place_of(id).is_none())
        {
            self.servers.retain(|id, _| pool.place_of(id).is_some());
        }
        let now = Instant::now();
        for server in &pool.servers {
            self.servers.entry(server.config.id.clone()).or_default().take(&server.counters, number, now);
        }
    }
}

fn of_pool(pool: &PoolState) -> Totals {
    let mut totals = Totals::of_pool(&pool.counters);
    for server in &pool.servers {
        totals.add(server, ServerState::is_eligible(server));
    }
    totals
}

impl History {
    /// What is kept, for as long as nobody has to wait for it.
    pub(crate) fn past(&self) -> MutexGuard<'_, Past> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads for ever, once there is something to read.
    pub(crate) async fn run(
        self,
        (current, sight): (Current, Arc<OnceLock<Sight>>),
        halvings: Halvings,
    ) -> Infallible {
        // Whoever comes after one that died goes on where that one was.
        let before = self.past().at.map_or(0, |_| self.past().number + 1);
        let mut ticks = interval(EVERY);
        // Points stay a second apart, however late one is.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let first = ticks.tick().await;
        loop {
            let due = ticks.tick().await;
            if let Some(sight) = sight.get() {
                let number = before + due.duration_since(first).as_secs();
                self.past().sample(&current.load(), sight.proxy.counters(), number, halvings.count());
            }
        }
    }
}

#[cfg(test)]
mod tests;
