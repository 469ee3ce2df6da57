//! One pool's live state: its servers, who may be picked, and the verdicts on their health.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use loadweaver_config::{self as config, Pool, Server};
use loadweaver_policy::admission::{Admission, Standing, admit};
use loadweaver_policy::balance::{Balancer, FULL_SHARE, Member, Pick};
use loadweaver_policy::failure::Failure;
use loadweaver_policy::health::{Health, Observation, State, Transition};
use loadweaver_policy::retry::{RetryBudget, RetryRules};
use loadweaver_telemetry::counters::PoolCounters;
use loadweaver_telemetry::event::{Event, EventBus};

use crate::server::ServerState;

/// A pool: what it is and how it does.
///
/// A change that touches the pool makes another one, to which this one hands over what outlives the change: counters,
/// verdicts, counts. Exchanges that are under way keep the old one, and what they have to say from then on is passed
/// on to its successor.
#[derive(Debug)]
pub struct PoolState {
    /// As configured.
    pub config: Pool,
    /// Picks servers.
    pub balancer: Balancer,
    /// The servers, in the configuration's order.
    pub servers: Vec<Arc<ServerState>>,
    /// What may be tried again.
    pub rules: RetryRules,
    /// How much may be tried again.
    pub budget: Arc<RetryBudget>,
    /// What the pool did.
    pub counters: Arc<PoolCounters>,
    /// Where each server stands in `servers`, by id.
    places: HashMap<Arc<str>, usize>,
    verdicts: Mutex<Verdicts>,
    lineage: Arc<Lineage>,
    /// Another pool has taken over. Read and written under the lock of `verdicts`.
    handed_over: AtomicBool,
    /// What the servers were before, for [`PoolState::take_over`].
    before: Mutex<Vec<Option<Before>>>,
    bus: EventBus,
    started: Instant,
}

/// A server as it stood before a change: its pool, and its place in it.
pub(crate) type Before = (Arc<PoolState>, usize);

/// What all pools of one name share, one after the other: the newest of them.
#[derive(Debug, Default)]
struct Lineage(Mutex<Weak<PoolState>>);

/// Health of all servers under one lock, so that eligibility is published in the order in which it came about.
/// It is only taken by probes and when an attempt failed.
#[derive(Debug)]
struct Verdicts {
    servers: Vec<Health>,
    /// Whether `PoolDown` was the last of `PoolDown` and `PoolUp`.
    down: bool,
    /// Whether `PanicStarted` was the last of `PanicStarted` and `PanicEnded`.
    panic: bool,
}

/// What is known of a server's health.
#[derive(Debug, Clone)]
pub struct HealthView {
    /// The verdict.
    pub state: State,
    /// Why, in words for an operator.
    pub reason: String,
    /// Since when, counted from the start of the process.
    pub since: Duration,
}

impl PoolState {
    pub(crate) fn build(config: Pool, bus: EventBus, started: Instant) -> Arc<Self> {
        let nobody = vec![None; config.servers.len()];
        let pool = Self::with(config, None, nobody, (bus, started));
        pool.publish(&pool.lock());
        pool.lineage.is_now(&pool);
        pool
    }

    /// The pool that takes over with a change: `old` is the pool of that name, `before` is where each server of the
    /// new configuration stands now. It lives, and hands over, once [`PoolState::take_over`] is called.
    pub(crate) fn succeed(
        old: Option<&Arc<Self>>,
        config: Pool,
        before: Vec<Option<Before>>,
        (bus, started): (EventBus, Instant),
    ) -> Arc<Self> {
        Self::with(config, old, before, (bus, started))
    }

    fn with(
        config: Pool,
        old: Option<&Arc<Self>>,
        before: Vec<Option<Before>>,
        (bus, started): (EventBus, Instant),
    ) -> Arc<Self> {
        let members: Vec<_> = config
            .servers
            .iter()
            .map(|server| Member { id: server.id.clone(), weight: server.weight })
            .collect();
        let servers = config.servers.iter().zip(&before).map(|(server, before)| {
            let known = before.as_ref().and_then(|(pool, index)| pool.servers.get(*index));
            match known {
                // One that goes to another pool may still be under way in the old one, under other limits.
                Some(known) if known.config == *server && stays(old, before.as_ref()) => Arc::clone(known),
                Some(known) => Arc::new(known.succeed(server.clone())),
                None => Arc::new(ServerState::new(server.clone())),
            }
        });
        let servers: Vec<_> = servers.collect();
        let same_budget = |old: &&Arc<Self>| {
            let (was, is) = (&old.config.retry, &config.retry);
            (was.budget_percent, was.budget_floor) == (is.budget_percent, is.budget_floor)
        };
        let budget = old.filter(same_budget).map_or_else(
            || Arc::new(RetryBudget::new(config.retry.budget_percent, config.retry.budget_floor)),
            |old| Arc::clone(&old.budget),
        );
        let health = Health::new(&config.health_check, &config.passive_health, &config.flap_damping);
        let balancer = old.map_or_else(
            || Balancer::new(config.algorithm, &members),
            |old| {
                let place = |before: &Option<Before>| {
                    before.as_ref().filter(|(pool, _)| Arc::ptr_eq(pool, old)).map(|(_, place)| *place)
                };
                let from: Vec<_> = before.iter().map(place).collect();
                old.balancer.succeed(config.algorithm, &members, &from)
            },
        );
        Arc::new(Self {
            balancer,
            rules: RetryRules::new(&config.retry),
            budget,
            counters: old.map_or_else(Arc::default, |old| Arc::clone(&old.counters)),
            places: config.servers.iter().map(|server| server.id.clone()).zip(0..).collect(),
            verdicts: Mutex::new(Verdicts {
                servers: vec![health; members.len()],
                down: false,
                panic: false,
            }),
            lineage: old.map_or_else(Arc::default, |old| Arc::clone(&old.lineage)),
            handed_over: AtomicBool::new(false),
            before: Mutex::new(before),
            servers,
            bus,
            started,
            config,
        })
    }

    /// Takes over from `old`, and each server's verdict from where it stood. From here on what exchanges of `old`
    /// find out is told to this pool.
    pub(crate) fn take_over(self: &Arc<Self>, old: Option<&Arc<Self>>) {
        let before = std::mem::take(&mut *self.before.lock().unwrap_or_else(PoisonError::into_inner));
        let mut verdicts = self.lock();
        // The old pool's lock is held until its successor knows all that it knew: a verdict that falls meanwhile
        // waits, and finds the successor.
        let old_verdicts = old.map(|old| old.lock());
        for (index, before) in before.iter().enumerate() {
            let Some((pool, place)) = before else { continue };
            let health = match &old_verdicts {
                Some(known) if old.is_some_and(|old| Arc::ptr_eq(old, pool)) => {
                    known.servers.get(*place).cloned()
                }
                _ => pool.lock().servers.get(*place).cloned(),
            };
            if let (Some(health), Some(server), Some(slot)) =
                (health, self.config.servers.get(index), verdicts.servers.get_mut(index))
                && is_same_place(pool, *place, server)
            {
                let Pool { health_check, passive_health, flap_damping, .. } = &self.config;
                *slot = health.succeed(health_check, passive_health, flap_damping, self.started.elapsed());
            }
        }
        verdicts.down = old_verdicts.as_ref().is_some_and(|old| old.down);
        verdicts.panic = old_verdicts.as_ref().is_some_and(|old| old.panic);
        let admission = self.publish(&verdicts);
        self.tell(&mut verdicts, &admission, "the pool was changed");
        self.lineage.is_now(self);
        if let Some(old) = old {
            old.handed_over.store(true, Ordering::Release);
        }
    }

    /// Ends a pool that has no successor.
    pub(crate) fn retire(&self) {
        let verdicts = self.lock();
        self.lineage.is_gone();
        self.handed_over.store(true, Ordering::Release);
        drop(verdicts);
    }

    /// Where a server stands, by its id.
    pub fn place_of(&self, id: &str) -> Option<usize> {
        self.places.get(id).copied()
    }

    /// Does with the pool that has taken over what was meant for this one, if the server is still there.
    fn pass_on(&self, server: usize, what: impl FnOnce(&Self, usize)) {
        let Some(newest) = self.lineage.newest() else { return };
        let id = self.servers.get(server).map(|server| &server.config.id);
        if let Some(place) = id.and_then(|id| newest.place_of(id)) {
            what(&newest, place);
        }
    }

    /// Takes in what a probe or an attempt found out about a server, and tells everybody when that changes
    /// anything.
    pub fn observe(&self, server: usize, observation: Observation) {
        let now = self.started.elapsed();
        let mut verdicts = self.lock();
        if self.handed_over.load(Ordering::Acquire) {
            drop(verdicts);
            return self.pass_on(server, |newest, place| newest.observe(place, observation));
        }
        let Some(health) = verdicts.servers.get_mut(server) else { return };
        let before = health.standing();
        let transition = health.observe(observation, now);
        // In a panic it matters whether anybody is there, which no transition tells.
        if transition.is_some() || health.standing() != before {
            self.apply(&mut verdicts, server, transition);
        }
    }

    /// Lets time work on verdicts that no probe will ever change.
    pub fn tick(&self) {
        let now = self.started.elapsed();
        let mut verdicts = self.lock();
        for server in 0..self.servers.len() {
            let transition = verdicts.servers.get_mut(server).and_then(|health| health.tick(now));
            if transition.is_some() {
                self.apply(&mut verdicts, server, transition);
            }
        }
    }

    /// What is known of a server's health.
    pub fn health(&self, server: usize) -> HealthView {
        let verdicts = self.lock();
        match verdicts.servers.get(server) {
            Some(health) => HealthView {
                state: health.state(),
                reason: health.reason().to_owned(),
                since: health.since(),
            },
            None => HealthView { state: State::Unknown, reason: String::new(), since: Duration::ZERO },
        }
    }

    /// Number of servers that may have new traffic.
    pub fn up_count(&self) -> usize {
        self.servers.iter().filter(|server| server.is_eligible()).count()
    }

    /// Picks a server for one attempt and takes a place at it. `tried` are the ones that this exchange had.
    pub(crate) fn choose(
        self: &Arc<Self>,
        client: IpAddr,
        random: u64,
        tried: &mut Vec<usize>,
    ) -> Option<Permit> {
        loop {
            let usable = |index: usize| {
                self.servers.get(index).is_some_and(|server| server.is_eligible() && !server.is_full())
            };
            let index = self.balancer.pick(&Pick { client, random, tried }, usable)?;
            tried.push(index);
            // Built first, so that its drop gives back the pick whatever happens.
            let Some(server) = self.servers.get(index) else {
                self.balancer.release(index);
                continue;
            };
            if server.enter() {
                return Some(Permit { pool: self.clone(), server: server.clone(), index });
            }
            self.balancer.release(index);
        }
    }

    /// Why [`PoolState::choose`] found nobody: all are down, or those that are not are full.
    pub(crate) fn refusal(&self) -> Failure {
        if self.up_count() == 0 { Failure::NoServer } else { Failure::PoolFull }
    }

    /// Publishes what has changed about a server, then tells everybody.
    fn apply(&self, verdicts: &mut Verdicts, index: usize, transition: Option<Transition>) {
        let admission = self.publish(verdicts);
        let reason = transition.as_ref().map_or_else(String::new, |transition| transition.reason.clone());
        if let (Some(server), Some(Transition { to, reason, .. })) = (self.servers.get(index), transition) {
            let (pool, server) = (self.config.name.clone(), server.reference());
            self.bus.emit(match to {
                State::Down => Event::ServerDown { pool, server, reason },
                State::Unstable => Event::ServerUnstable { pool, server, reason },
                State::Up | State::Unknown => Event::ServerUp { pool, server, reason },
            });
        }
        self.tell(verdicts, &admission, &reason);
    }

    /// Tells of the pool as a whole, where that has changed.
    fn tell(&self, verdicts: &mut Verdicts, admission: &Admission, reason: &str) {
        let Admission { panic, healthy, active, .. } = *admission;
        let pool = || self.config.name.clone();
        let down = healthy == 0;
        if down != std::mem::replace(&mut verdicts.down, down) {
            let reason = reason.to_owned();
            self.bus.emit(if down {
                Event::PoolDown { pool: pool(), reason }
            } else {
                Event::PoolUp { pool: pool() }
            });
        }
        if panic != std::mem::replace(&mut verdicts.panic, panic) {
            self.bus.emit(if panic {
                Event::PanicStarted { pool: pool(), healthy, total: active }
            } else {
                Event::PanicEnded { pool: pool() }
            });
        }
    }

    fn publish(&self, verdicts: &Verdicts) -> Admission {
        let standing = |(server, health): (&Server, &Health)| match server.state {
            config::ServerState::Active if server.weight > 0 => health.standing(),
            config::ServerState::Active | config::ServerState::Drain | config::ServerState::Maintenance => {
                Standing::Away
            }
        };
        let standings: Vec<_> = self.config.servers.iter().zip(&verdicts.servers).map(standing).collect();
        let admission = admit(&standings, self.config.panic_percent);
        for (server, eligible) in self.servers.iter().zip(&admission.eligible) {
            server.set_eligible(*eligible);
        }
        let share = |&eligible: &bool| FULL_SHARE * u16::from(eligible);
        self.balancer.publish(&admission.eligible.iter().map(share).collect::<Vec<_>>());
        admission
    }

    /// How long after the begin of the last probe of a server the next one is due.
    pub fn next_probe_in(&self, server: usize) -> Duration {
        let now = self.started.elapsed();
        let due = self.lock().servers.get(server).map(|health| health.next_probe_in(now));
        due.unwrap_or(self.config.health_check.interval)
    }

    fn lock(&self) -> MutexGuard<'_, Verdicts> {
        self.verdicts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lineage {
    fn newest(&self) -> Option<Arc<PoolState>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).upgrade()
    }

    fn is_now(&self, pool: &Arc<PoolState>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(pool);
    }

    fn is_gone(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Weak::new();
    }
}

/// Whether a server's place before a change is in the pool that is succeeded, not in another one.
fn stays(old: Option<&Arc<PoolState>>, before: Option<&Before>) -> bool {
    matches!((old, before), (Some(old), Some((pool, _))) if Arc::ptr_eq(old, pool))
}

/// A verdict belongs to a server's address.
fn is_same_place(was_in: &PoolState, place: usize, server: &Server) -> bool {
    let was = was_in.config.servers.get(place);
    was.is_some_and(|was| (&was.host, was.port) == (&server.host, server.port))
}

/// A place at a server for one attempt; given back when it is dropped, however the attempt ends.
#[derive(Debug)]
pub(crate) struct Permit {
    pub(crate) pool: Arc<PoolState>,
    pub(crate) server: Arc<ServerState>,
    pub(crate) index: usize,
}

impl Permit {
    /// Takes in what this attempt found out about the server.
    pub(crate) fn observe(&self, observation: Observation) {
        self.pool.observe(self.index, observation);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.server.leave();
        // Whatever has become of the pool since: balancers that succeed each other count in one place.
        self.pool.balancer.release(self.index);
    }
}
