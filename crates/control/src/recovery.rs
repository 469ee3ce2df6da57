//! Servers that stay down are brought back.
//!
//! A pool's [`ward::Ward`] decides and never does; here is what does and never decides: it tells the wards what
//! happens (the bus says who is down and who is up, actions and processes say how they ended, a clock says how late
//! it is) and carries out what they order. Everything passes one lock, which is never held across a wait, so a change
//! of the configuration, an operator's request and a verdict meet in some order and nothing in between.
//!
//! An attempt that is cut short is called off and waited for before the next one for that server begins; the same
//! holds for a process and its successor.

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use loadweaver_config::{Pool, Server, ServerState};
use loadweaver_policy::health::State as Verdict;
use loadweaver_proxy::{PoolState, Snapshot};
use loadweaver_telemetry::event::{Event, EventBus};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::jitter::Jitter;
use crate::problems::Problem;
use process::Keeper;
use ward::{Seat, Ward};

/// The action `http`.
mod call;
/// One server's case.
mod case;
/// Which processes run.
mod children;
/// What an attempt does.
mod deed;
/// Between LoadWeaver and a server that it runs.
pub mod guard;
/// Servers that go to another pool.
mod moves;
/// What a ward orders, carried out.
mod orders;
/// The action `process`.
mod process;
/// What the admin API shows.
mod view;
/// One pool's recoveries, decided.
mod ward;

pub(crate) use view::{PoolView, ServerView};
pub(crate) use ward::TriggerError;

/// Tickets of one ward; a pool that is removed and comes back gets another one's.
const TICKETS: u64 = 1 << 32;

/// All recoveries. Cheap to clone; all clones are one.
#[derive(Debug, Clone)]
pub(crate) struct Recoveries {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    bus: EventBus,
    /// The moment that all times count from, on both clocks.
    started: (Instant, SystemTime),
    /// The program that stands between us and processes that we run; none runs them directly.
    guard: Option<PathBuf>,
    care: Mutex<Care>,
    /// Something happened that may change when to look next.
    changed: Notify,
}

/// A server of a pool.
type Key = (Arc<str>, Arc<str>);

#[derive(Debug, Default)]
struct Care {
    pools: BTreeMap<Arc<str>, (Ward, Arc<PoolState>)>,
    keepers: HashMap<Key, Keeper>,
    actions: HashMap<Key, Action>,
    /// What was ended and may take a moment; waited for by its successor, and by the end.
    leaving: HashMap<(Key, Kind), JoinHandle<()>>,
    wards: u64,
    /// How many keepers there ever were.
    kept: u64,
    closed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Action,
    Process,
}

/// An action under way. Dropping it calls it off.
#[derive(Debug)]
struct Action {
    ticket: u64,
    _called_off: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Recoveries {
    /// `guard` is the binary whose command [`guard::COMMAND`] is [`guard::run`].
    pub(crate) fn new(bus: EventBus, started: (Instant, SystemTime), guard: Option<PathBuf>) -> Self {
        let (care, changed) = (Mutex::default(), Notify::new());
        Self { shared: Arc::new(Shared { bus, started, guard, care, changed }) }
    }

    /// Takes in a configuration that is in force. To be called on the runtime that actions shall run on.
    pub(crate) fn apply(&self, snapshot: &Snapshot) {
        let now = self.now();
        let mut care = self.lock();
        if care.closed {
            return;
        }
        let (mut orders, mut moved) = moves::out(&mut care, snapshot, now);
        let gone: Vec<Arc<str>> = care.pools.keys().cloned().collect();
        let heal = |pool: &&Arc<PoolState>| heals(&pool.config);
        for name in gone {
            let stays = snapshot.pools.iter().filter(heal).any(|pool| pool.config.name == name);
            if !stays && let Some((mut ward, pool)) = care.pools.remove(&name) {
                orders.push((Arc::clone(&pool), ward.close("the pool has no recovery any more", now)));
            }
        }
        for pool in snapshot.pools.iter().filter(heal) {
            // A pool that did not change is the same.
            let known = care.pools.get(&pool.config.name).map(|(_, known)| known);
            if known.is_some_and(|known| Arc::ptr_eq(known, pool)) {
                continue;
            }
            let first = care.wards * TICKETS;
            let (ward, known) = care
                .pools
                .entry(pool.config.name.clone())
                .or_insert_with(|| (Ward::new(first + 1, Jitter::from_system()), Arc::clone(pool)));
            let before = std::mem::replace(known, Arc::clone(pool));
            ward.apply(seats(&pool.config), moved.remove(&pool.config.name).unwrap_or_default(), now);
            look(ward, pool, now);
            // What is dropped is told as it was called before.
            orders.push((before, ward.decide(now)));
            care.wards += 1;
        }
        self.keep(&mut care, snapshot);
        for (pool, orders) in orders {
            self.carry_out(&mut care, &pool, orders);
        }
        drop(care);
        self.shared.changed.notify_one();
    }

    /// Makes an attempt now, whatever the schedule says.
    pub(crate) fn trigger(&self, pool: &str, server: &str) -> Result<(), TriggerError> {
        let outcome = self.with(pool, |ward, now| ward.trigger(server, now));
        outcome.unwrap_or(Err(TriggerError::Unknown))
    }

    /// What the admin API shows: pools with a recovery, by name.
    pub(crate) fn views(&self) -> Vec<PoolView> {
        let care = self.lock();
        let seen = |pool: &Arc<str>, server: &Arc<str>| {
            care.keepers.get(&(Arc::clone(pool), Arc::clone(server))).map(Keeper::seen)
        };
        let clock = |time: Duration| self.shared.started.1 + time;
        care.pools.iter().map(|(name, (ward, _))| view::of(name, ward, &clock, |id| seen(name, id))).collect()
    }

    /// Pools that wait for somebody, and servers that were given up.
    pub(crate) fn problems(&self) -> Vec<Problem> {
        let care = self.lock();
        care.pools.iter().flat_map(|(name, (ward, _))| view::problems(name, ward)).collect()
    }

    /// What is done to bring a server back, in a sentence; none where nothing is.
    pub(crate) fn outlook(&self, pool: &str, server: &str) -> Option<String> {
        let care = self.lock();
        let (ward, _) = care.pools.get(pool)?;
        let clock = |time: Duration| self.shared.started.1 + time;
        view::outlook(ward.cases.get(server)?, ward.held.as_ref(), self.shared.started.0.elapsed(), &clock)
    }

    /// Runs for ever. May be started anew: it looks at everything first.
    pub(crate) async fn run(self) -> Infallible {
        let mut events = self.shared.bus.subscribe();
        let mut lost = None;
        loop {
            // Events that were missed are made up for by a look at all verdicts.
            if lost.replace(events.lost()) != Some(events.lost()) {
                self.look_again();
            }
            let wake = self.next_wake();
            tokio::select! {
                event = events.recv() => match event {
                    Some(stamped) => self.heed(&stamped.event),
                    None => std::future::pending().await,
                },
                () = sleep(wake.unwrap_or_default()), if wake.is_some() => self.decide(),
                () = self.shared.changed.notified() => {}
            }
        }
    }

    /// Ends attempts and processes, and waits for that. Nothing begins after it.
    pub(crate) async fn stop(&self) {
        let now = self.now();
        let waits: Vec<JoinHandle<()>> = {
            let mut care = self.lock();
            care.closed = true;
            for (_, (mut ward, pool)) in std::mem::take(&mut care.pools) {
                let orders = ward.close("LoadWeaver ends", now);
                self.carry_out(&mut care, &pool, orders);
            }
            let keepers = std::mem::take(&mut care.keepers).into_values().map(Keeper::stop);
            let leaving = std::mem::take(&mut care.leaving).into_values();
            keepers.chain(leaving).collect()
        };
        for wait in waits {
            let _ = wait.await;
        }
    }

    fn now(&self) -> Duration {
        self.shared.started.0.elapsed()
    }

    fn lock(&self) -> MutexGuard<'_, Care> {
        self.shared.care.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells one pool's ward something and carries out what it orders then; none if there is no such pool.
    fn with<Answer>(&self, pool: &str, tell: impl FnOnce(&mut Ward, Duration) -> Answer) -> Option<Answer> {
        let now = self.now();
        let mut care = self.lock();
        let (ward, pool) = care.pools.get_mut(pool)?;
        let answer = tell(ward, now);
        let (orders, pool) = (ward.decide(now), Arc::clone(pool));
        self.carry_out(&mut care, &pool, orders);
        drop(care);
        self.shared.changed.notify_one();
        Some(answer)
    }

    fn heed(&self, event: &Event) {
        match event {
            Event::ServerDown { pool, server, reason, .. } => {
                self.with(pool, |ward, now| ward.went_down(&server.id, reason.clone(), now));
            }
            Event::ServerUp { pool, server, .. } => {
                self.with(pool, |ward, now| ward.went_up(&server.id, now));
            }
            Event::ServerUnstable { pool, server, .. } => {
                self.with(pool, |ward, now| ward.went_unstable(&server.id, now));
            }
            _ => {}
        }
    }

    fn look_again(&self) {
        let pools: Vec<Arc<PoolState>> =
            self.lock().pools.values().map(|(_, pool)| Arc::clone(pool)).collect();
        for pool in pools {
            self.with(&pool.config.name, |ward, now| look(ward, &pool, now));
        }
    }

    fn decide(&self) {
        let pools: Vec<Arc<str>> = self.lock().pools.keys().cloned().collect();
        for pool in pools {
            self.with(&pool, |_, _| ());
        }
    }

    fn next_wake(&self) -> Option<Duration> {
        let now = self.now();
        let care = self.lock();
        let wakes = care.pools.values().filter_map(|(ward, _)| ward.next_wake(now));
        // A little late, so that it is not early by the rounding of a timer.
        wakes.min().map(|wake| wake.saturating_sub(now) + Duration::from_millis(1))
    }
}

impl Care {
    /// What has to be gone before the next of its kind for this server begins: a child holds the port, and an action
    /// called off may still be at work. A server of that id in another pool is looked at too, since it may be this one.
    fn predecessor(&mut self, key: &Key, kind: Kind) -> Option<JoinHandle<()>> {
        let same = |left: &&(Key, Kind)| left.1 == kind && left.0.1 == key.1;
        let own = self.leaving.get_key_value(&(key.clone(), kind)).map(|(own, _)| own);
        let found = own.or_else(|| self.leaving.keys().find(same)).cloned()?;
        self.leaving.remove(&found)
    }

    /// Remembers what is on its way out, and forgets what is gone.
    fn leave(&mut self, key: Key, kind: Kind, task: JoinHandle<()>) {
        self.leaving.retain(|_, task| !task.is_finished());
        self.leaving.insert((key, kind), task);
    }
}

fn heals(pool: &Pool) -> bool {
    pool.recovery.is_some() || pool.servers.tally().recoveries > 0
}

fn seats(pool: &Pool) -> Vec<Seat> {
    let seat = |server: &Server| Seat {
        id: server.id.clone(),
        address: Server::address_text(&server.host, server.port),
        active: server.state == ServerState::Active,
        rules: server.recovery.as_ref().or(pool.recovery.as_ref()).cloned(),
    };
    pool.servers.iter().map(|server| seat(server)).collect()
}

/// Tells a ward the verdicts as they are. One that is not known yet is no news.
fn look(ward: &mut Ward, pool: &PoolState, now: Duration) {
    for (place, server) in pool.config.servers.iter().enumerate() {
        let health = pool.health(place);
        match health.state {
            Verdict::Down => ward.went_down(&server.id, health.reason, now),
            Verdict::Up => ward.went_up(&server.id, now),
            Verdict::Unstable => ward.went_unstable(&server.id, now),
            Verdict::Unknown => {}
        }
    }
}

#[cfg(test)]
mod tests;
