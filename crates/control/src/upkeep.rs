//! What has to be done now and then, whether there is traffic or not.

use std::convert::Infallible;
use std::time::Duration;

use loadweaver_proxy::Snapshot;
use tokio::time::{MissedTickBehavior, interval};

use crate::current::Current;

/// How often pools are: the error of `passiveHealth.hold`, and the step in which a share grows.
const TICK: Duration = Duration::from_millis(500);
/// How often what latencies say of the past is halved: quantiles tell of the last few minutes.
const DECAY: Duration = Duration::from_mins(1);

/// Runs for ever.
pub(crate) async fn run(current: Current) -> Infallible {
    let mut ticks = interval(TICK);
    let mut decays = interval(DECAY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    decays.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first tick of an interval is at once.
    decays.tick().await;
    loop {
        tokio::select! {
            _ = ticks.tick() => tick(&current.load()),
            _ = decays.tick() => decay(&current.load()),
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
