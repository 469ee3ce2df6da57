//! What has to be done now and then, whether there is traffic or not.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use loadweaver_proxy::Snapshot;
use tokio::time::{MissedTickBehavior, interval};

use crate::current::Current;

/// How often pools are: the error of `passiveHealth.hold`, and the step in which a share grows.
const TICK: Duration = Duration::from_millis(500);
/// How often what latencies say of the past is halved: quantiles tell of the last few minutes.
const DECAY: Duration = Duration::from_mins(1);

/// How often latencies were halved: what was read before cannot be held against what is read after. Cheap to clone; all
/// clones are one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Halvings(Arc<AtomicU64>);

impl Halvings {
    pub(crate) fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Runs for ever.
pub(crate) async fn run(current: Current, halvings: Halvings) -> Infallible {
    let mut ticks = interval(TICK);
    let mut decays = interval(DECAY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    decays.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first tick of an interval is at once.
    decays.tick().await;
    loop {
        tokio::select! {
            _ = ticks.tick() => tick(&current.load()),
            _ = decays.tick() => {
                // On the thread of whoever reads them, and without a pause in between.
                decay(&current.load());
                halvings.0.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

fn tick(snapshot: &Snapshot) {
    for pool in &snapshot.pools {
        pool.tick();
    }
}

fn decay(snapshot: &Snapshot) {
    for server in snapshot.pools.iter().flat_map(|pool| &pool.servers) {
        server.counters.latency.decay();
    }
}
