//! Servers asked whether they are well, each on a schedule of its own.
//!
//! One task holds the schedules of all servers in a heap and sends a probe when its time has come, up to a limit
//! under way at a time. A probe is a task of its own that tells its pool what it saw; the verdict is the policy's.
//! The first probes go out at once, all together; after that each server is asked when its health
//! wants it (once an interval, sooner around a change, ever more rarely while it is down), give or take a tenth of the
//! time, so that the probes of many servers spread out.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::convert::Infallible;
use std::sync::Arc;

use loadweaver_config::{ProbeKind, Server, ServerState};
use loadweaver_policy::health::Observation;
use loadweaver_proxy::{PoolState, Snapshot};
use loadweaver_telemetry::log;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};

use crate::current::Current;
use crate::jitter::Jitter;

/// An answer to an `http` probe.
mod answer;
/// A program.
mod exec;
/// A call of gRPC.
mod grpc;
/// A request.
mod http;
/// A request over HTTP/2.
mod http2;
/// One question to one server.
mod question;
/// The way to a server, for requests.
mod reach;
/// A connection.
mod tcp;
/// TLS for requests.
mod tls;

/// Probes under way at a time: each is a descriptor that clients cannot have.
const UNDER_WAY: usize = 256;

/// A server with probes: its pool, and its index in it.
#[derive(Clone)]
struct Target {
    pool: Arc<PoolState>,
    server: usize,
}

impl Target {
    fn server(&self) -> Option<&Server> {
        self.pool.config.servers.get(self.server).map(Arc::as_ref)
    }

    /// Whether it is the same server, by pool and id.
    fn is(&self, other: &Self) -> bool {
        let same_id = match (self.server(), other.server()) {
            (Some(one), Some(other)) => one.id == other.id,
            _ => false,
        };
        same_id && self.pool.config.name == other.pool.config.name
    }

    fn is_probed_like(&self, other: &Self) -> bool {
        let same_place = match (self.server(), other.server()) {
            (Some(one), Some(other)) => (&one.host, one.port) == (&other.host, other.port),
            _ => false,
        };
        same_place && self.pool.config.health_check == other.pool.config.health_check
    }
}

/// Runs for ever.
pub(crate) async fn run(mut current: Current) -> Infallible {
    let mut schedule = Schedule::new(&current.load(), Jitter::from_system());
    loop {
        let next = tokio::select! {
            never = schedule.run() => match never {},
            next = current.changed() => next,
        };
        schedule.follow(&next);
    }
}

struct Schedule {
    targets: Vec<Target>,
    /// When which target is due, the earliest first.
    due: BinaryHeap<Reverse<(Instant, usize)>>,
    /// What is under way, and which target it is for with the time that it began.
    probes: JoinSet<()>,
    begun: HashMap<Id, (usize, Instant)>,
    jitter: Jitter,
}

impl Schedule {
    fn new(snapshot: &Snapshot, jitter: Jitter) -> Self {
        let probed = snapshot.pools.iter().filter(|pool| pool.config.health_check.kind != ProbeKind::Off);
        let targets: Vec<Target> = probed
            .flat_map(|pool| {
                pool.servers.iter().enumerate().map(move |(index, server)| (pool, index, server))
            })
            .filter(|(_, _, server)| server.config.state != ServerState::Maintenance)
            .map(|(pool, server, _)| Target { pool: Arc::clone(pool), server })
            .collect();
        let now = Instant::now();
        let due = (0..targets.len()).map(|target| Reverse((now, target))).collect();
        Self { targets, due, probes: JoinSet::new(), begun: HashMap::new(), jitter }
    }

    /// Takes up another configuration. A server that is probed as before keeps its turn; a new one, or one that is
    /// probed in another way, is asked at once. Probes under way go on and tell whoever the pool's successor is.
    fn follow(&mut self, snapshot: &Snapshot) {
        let old = std::mem::replace(self, Self::new(snapshot, self.jitter.clone()));
        let mut turns = vec![None; old.targets.len()];
        let mut turn = |target: usize, at: Instant| {
            if let Some(turn) = turns.get_mut(target) {
                *turn = Some(at);
            }
        };
        for Reverse((at, target)) in &old.due {
            turn(*target, *at);
        }
        for (target, began) in old.begun.values() {
            if let Some(target_of) = old.targets.get(*target) {
                turn(*target, *began + target_of.pool.next_probe_in(target_of.server));
            }
        }
        let mut places = Places { targets: &old.targets, next: 0, by_name: None };
        let due = self.targets.iter().enumerate().map(|(index, target)| {
            let before = places.find(target).and_then(|at| Some((old.targets.get(at)?, (*turns.get(at)?)?)));
            let turn = before.filter(|(before, _)| before.is_probed_like(target)).map(|(_, at)| at);
            Reverse((turn.unwrap_or_else(Instant::now), index))
        });
        self.due = due.collect();
        // They end by themselves, within the time-out of their settings.
        let mut probes = old.probes;
        probes.detach_all();
    }

    async fn run(&mut self) -> Infallible {
        loop {
            let next = self.next_due();
            tokio::select! {
                () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => self.begin(),
                Some(end) = self.probes.join_next_with_id(), if !self.probes.is_empty() => self.end(end),
                () = std::future::pending(), if next.is_none() && self.probes.is_empty() => {}
            }
        }
    }

    /// When the next probe may begin; none while as many as may be are under way.
    fn next_due(&self) -> Option<Instant> {
        self.due.peek().filter(|_| self.probes.len() < UNDER_WAY).map(|Reverse((at, _))| *at)
    }

    fn begin(&mut self) {
        let Some(Reverse((_, index))) = self.due.pop() else { return };
        if let Some(target) = self.targets.get(index) {
            let probe = self.probes.spawn(probe(target.clone()));
            self.begun.insert(probe.id(), (index, Instant::now()));
        }
    }

    /// The next probe is due an interval after this one began, or now when it took longer than that.
    fn end(&mut self, end: Result<(Id, ()), JoinError>) {
        let id = match end {
            Ok((id, ())) => id,
            Err(death) => {
                tracing::error!(target: log::HEALTH, %death, "a probe died without a verdict");
                death.id()
            }
        };
        let Some((index, began)) = self.begun.remove(&id) else { return };
        if let Some(target) = self.targets.get(index) {
            let next = began + self.jitter.around(target.pool.next_probe_in(target.server));
            self.due.push(Reverse((next.max(Instant::now()), index)));
        }
    }
}

/// A server's pool and id.
type Name = (Arc<str>, Arc<str>);

/// Finds targets again. Of thousands nearly all stand behind the one that was found before.
struct Places<'t> {
    targets: &'t [Target],
    next: usize,
    by_name: Option<HashMap<Name, usize>>,
}

impl Places<'_> {
    fn find(&mut self, target: &Target) -> Option<usize> {
        let is_next = self.targets.get(self.next).is_some_and(|known| known.is(target));
        let place = if is_next { self.next } else { self.look_up(target)? };
        self.next = place + 1;
        Some(place)
    }

    fn look_up(&mut self, target: &Target) -> Option<usize> {
        let name =
            |target: &Target| Some((Arc::clone(&target.pool.config.name), Arc::clone(&target.server()?.id)));
        let targets = self.targets.iter().enumerate();
        let by_name = self.by_name.get_or_insert_with(|| {
            targets.filter_map(|(place, target)| Some((name(target)?, place))).collect()
        });
        by_name.get(&name(target)?).copied()
    }
}

/// One probe of one server, and its report.
async fn probe(target: Target) {
    let Some(server) = target.pool.servers.get(target.server) else { return };
    let began = Instant::now();
    let answer = question::ask(&target.pool.config, server).await;
    let latency = began.elapsed();
    let (observation, rest) = match answer {
        Ok(answered) => {
            let status = answered.status();
            (Observation::ProbeOk { latency, status }, Some(answered))
        }
        Err(failure) => (Observation::ProbeFailed { failure, latency }, None),
    };
    tracing::debug!(target: log::HEALTH, pool = %target.pool.config.name, server = %server.config.id, ?observation, "probe");
    target.pool.observe(target.server, observation);
    if let Some(rest) = rest {
        rest.take_leave().await;
    }
}

#[cfg(test)]
mod tests;
