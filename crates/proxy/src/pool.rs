//! One pool's live state: its servers, who may be picked, and the verdicts on their health.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use loadweaver_config::Pool;
use loadweaver_policy::balance::{Balancer, FULL_SHARE, Member, Pick};
use loadweaver_policy::failure::Failure;
use loadweaver_policy::health::{Health, Observation, State, Transition};
use loadweaver_policy::retry::{RetryBudget, RetryRules};
use loadweaver_telemetry::counters::PoolCounters;
use loadweaver_telemetry::event::{Event, EventBus};

use crate::server::ServerState;

/// A pool: what it is and how it does.
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
    pub budget: RetryBudget,
    /// What the pool did.
    pub counters: PoolCounters,
    verdicts: Mutex<Verdicts>,
    bus: EventBus,
    started: Instant,
}

/// Health of all servers under one lock, so that eligibility is published in the order in which it came about.
/// It is only taken by probes and when an attempt failed.
#[derive(Debug)]
struct Verdicts {
    servers: Vec<Health>,
    /// Whether `PoolDown` was the last of the pool's events.
    down: bool,
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
        let members: Vec<_> = config
            .servers
            .iter()
            .map(|server| Member { id: server.id.clone(), weight: server.weight })
            .collect();
        let health = Health::new(&config.health_check, &config.passive_health);
        let pool = Self {
            balancer: Balancer::new(config.algorithm, &members),
            servers: config.servers.iter().cloned().map(ServerState::new).map(Arc::new).collect(),
            rules: RetryRules::new(&config.retry),
            budget: RetryBudget::new(config.retry.budget_percent, config.retry.budget_floor),
            counters: PoolCounters::default(),
            verdicts: Mutex::new(Verdicts { servers: vec![health; members.len()], down: false }),
            bus,
            started,
            config,
        };
        pool.publish(&pool.lock());
        Arc::new(pool)
    }

    /// Takes in what a probe or an attempt found out about a server, and tells everybody when that changes
    /// anything.
    pub fn observe(&self, server: usize, observation: Observation) {
        let now = self.started.elapsed();
        let mut verdicts = self.lock();
        let Some(health) = verdicts.servers.get_mut(server) else { return };
        if let Some(transition) = health.observe(observation, now) {
            self.apply(&mut verdicts, server, transition);
        }
    }

    /// Lets time work on verdicts that no probe will ever change.
    pub fn tick(&self) {
        let now = self.started.elapsed();
        let mut verdicts = self.lock();
        for server in 0..self.servers.len() {
            let transition = verdicts.servers.get_mut(server).and_then(|health| health.tick(now));
            if let Some(transition) = transition {
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

    fn apply(&self, verdicts: &mut Verdicts, index: usize, transition: Transition) {
        let (Some(server), Some(health)) = (self.servers.get(index), verdicts.servers.get(index)) else {
            return;
        };
        let eligible = health.eligible();
        if server.is_eligible() != eligible {
            server.set_eligible(eligible);
            self.publish(verdicts);
        }
        let pool = self.config.name.clone();
        let reference = server.reference();
        let reason = transition.reason;
        match transition.to {
            State::Down => {
                self.bus.emit(Event::ServerDown { pool, server: reference, reason: reason.clone() });
            }
            State::Up | State::Unknown => {
                self.bus.emit(Event::ServerUp { pool, server: reference, reason: reason.clone() });
            }
        }
        let down = self.up_count() == 0;
        if down != verdicts.down {
            verdicts.down = down;
            let pool = self.config.name.clone();
            self.bus.emit(if down { Event::PoolDown { pool, reason } } else { Event::PoolUp { pool } });
        }
    }

    fn publish(&self, verdicts: &Verdicts) {
        let eligible: Vec<bool> = verdicts.servers.iter().map(Health::eligible).collect();
        for (server, eligible) in self.servers.iter().zip(&eligible) {
            server.set_eligible(*eligible);
        }
        let shares: Vec<u16> = eligible.iter().map(|&eligible| FULL_SHARE * u16::from(eligible)).collect();
        self.balancer.publish(&shares);
    }

    fn lock(&self) -> MutexGuard<'_, Verdicts> {
        self.verdicts.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
        self.pool.balancer.release(self.index);
    }
}
