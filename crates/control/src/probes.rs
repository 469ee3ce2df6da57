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

/// A server with probes: the place of its pool among those that have any, and its own in that pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Target {
    pool: usize,
    server: usize,
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
    /// Those with probes.
    pools: Vec<Arc<PoolState>>,
    /// In the order of their pools, and of their places in them.
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
        let (pools, targets, due) = (Vec::new(), Vec::new(), BinaryHeap::new());
        let mut schedule =
            Self { pools, targets, due, probes: JoinSet::new(), begun: HashMap::new(), jitter };
        schedule.follow(snapshot);
        schedule
    }

    /// Takes up another configuration. A server that is probed as before keeps its turn; a new one, or one that is
    /// probed in another way, is asked at once. Probes under way go on and tell whoever the pool's successor is.
    fn follow(&mut self, snapshot: &Snapshot) {
        let turns = self.turns();
        let before = (std::mem::take(&mut self.pools), std::mem::take(&mut self.targets));
        let probed = snapshot.pools.iter().filter(|pool| pool.config.health_check.kind != ProbeKind::Off);
        let mut due = Vec::with_capacity(turns.len() + 1);
        for pool in probed {
            let number = self.pools.len();
            for (server, turn) in asked(pool, (&before.0, &before.1, &turns)) {
                due.push(Reverse((turn.unwrap_or_else(Instant::now), self.targets.len())));
                self.targets.push(Target { pool: number, server });
            }
            self.pools.push(Arc::clone(pool));
        }
        self.due = due.into();
        // They end by themselves, within the time-out of their settings.
        std::mem::take(&mut self.probes).detach_all();
        self.begun.clear();
    }

    /// When each target is due next.
    fn turns(&self) -> Vec<Option<Instant>> {
        let mut turns = vec![None; self.targets.len()];
        let mut turn = |target: usize, at: Instant| {
            if let Some(turn) = turns.get_mut(target) {
                *turn = Some(at);
            }
        };
        for Reverse((at, target)) in &self.due {
            turn(*target, *at);
        }
        for (target, began) in self.begun.values() {
            if let Some((pool, server)) = self.find(*target) {
                turn(*target, *began + pool.next_probe_in(server));
            }
        }
        turns
    }

    fn find(&self, target: usize) -> Option<(&Arc<PoolState>, usize)> {
        let Target { pool, server } = self.targets.get(target)?;
        Some((self.pools.get(*pool)?, *server))
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
        if let Some((pool, server)) = self.find(index) {
            let probe = probe(Arc::clone(pool), server);
            let probe = self.probes.spawn(probe);
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
        let Some((pool, server)) = self.find(index).map(|(pool, server)| (Arc::clone(pool), server)) else {
            return;
        };
        let now = Instant::now();
        let next = (began + self.jitter.around(pool.next_probe_in(server))).max(now);
        pool.expect_probe(server, next - now);
        self.due.push(Reverse((next, index)));
    }
}

/// The schedule before a change: the pools, the targets, and when each is due.
type Before<'b> = (&'b [Arc<PoolState>], &'b [Target], &'b [Option<Instant>]);

/// The servers of a pool that are to be asked, each with its turn if it had one and is probed as before. Of thousands
/// nearly all are the same values, at the beginning of the list and at its end: nobody looks at those.
fn asked(pool: &PoolState, (pools, targets, turns): Before<'_>) -> Vec<(usize, Option<Instant>)> {
    let is_same = |old: &Arc<PoolState>| {
        old.config.name == pool.config.name && old.config.health_check == pool.config.health_check
    };
    let Some((number, old)) = pools.iter().enumerate().find(|(_, old)| is_same(old)) else {
        return between(pool, (0, 0)).map(|(place, _)| (place, None)).collect();
    };
    let (head, tail) = pool.config.servers.common_ends(&old.config.servers);
    let (old_tail, new_tail) = (old.servers.len() - tail, pool.servers.len() - tail);
    let at =
        |server: usize| targets.partition_point(|target| (target.pool, target.server) < (number, server));
    let (first, end) = (at(0), at(usize::MAX));
    let known = |from: usize, to: usize| targets.iter().zip(turns).take(to).skip(from);
    let by_id: HashMap<&str, (&Server, Instant)> = known(at(head), at(old_tail))
        .filter_map(|(target, turn)| {
            let server = old.config.servers.get(target.server)?;
            Some((&*server.id, (&**server, (*turn)?)))
        })
        .collect();
    let turn = |server: &Server| {
        let (known, turn) = by_id.get(&*server.id)?;
        ((&known.host, known.port) == (&server.host, server.port)).then_some(*turn)
    };
    let mut asked = Vec::with_capacity(end - first + 1);
    asked.extend(known(first, at(head)).map(|(target, turn)| (target.server, *turn)));
    asked.extend(between(pool, (head, tail)).map(|(place, server)| (place, turn(server))));
    asked.extend(known(at(old_tail), end).map(|(target, turn)| (target.server - old_tail + new_tail, *turn)));
    asked
}

/// The servers between the ends of a pool's list that want to be asked.
fn between(pool: &PoolState, ends: (usize, usize)) -> impl Iterator<Item = (usize, &Server)> {
    let servers = (ends.0..).zip(pool.config.servers.between(ends));
    servers
        .map(|(place, server)| (place, &**server))
        .filter(|(_, server)| server.state != ServerState::Maintenance)
}

/// One probe of one server, and its report.
async fn probe(pool: Arc<PoolState>, place: usize) {
    let Some(server) = pool.servers.get(place) else { return };
    let began = Instant::now();
    let answer = question::ask(&pool.config, server).await;
    let latency = began.elapsed();
    let (observation, rest) = match answer {
        Ok(answered) => {
            let status = answered.status();
            (Observation::ProbeOk { latency, status }, Some(answered))
        }
        Err(failure) => (Observation::ProbeFailed { failure, latency }, None),
    };
    tracing::debug!(target: log::HEALTH, pool = %pool.config.name, server = %server.config.id, ?observation, "probe");
    pool.observe(place, observation);
    if let Some(rest) = rest {
        rest.take_leave().await;
    }
}

#[cfg(test)]
mod tests;
