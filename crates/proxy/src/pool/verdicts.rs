//! The health of a pool's servers, seen together: who gets traffic, how much of it, and what is told about that.

use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use loadweaver_config::{Server, Servers};
use loadweaver_policy::admission::{Admission, Grounds, Standing, admit};
use loadweaver_policy::balance::FULL_SHARE;
use loadweaver_policy::health::{Cause, Health, Observation, State, Transition};
use loadweaver_policy::slow_start;
use loadweaver_telemetry::event::Event;

use super::PoolState;
use super::seat::{Seat, Told};
use crate::server::ServerState;

/// Health of all servers under one lock, so that who gets traffic is published in the order in which it came about.
/// It is only taken by probes, by the clock, and when an attempt failed.
#[derive(Debug)]
pub(super) struct Verdicts {
    seats: Vec<Seat>,
    /// The place of the first seat: of a pool that was handed over those remain that nobody has taken.
    first: usize,
    /// What is known of a newcomer.
    blank: Arc<Health>,
    /// Whether `PoolDown` was the last of the pool's events, and `PanicStarted`.
    down: bool,
    panic: bool,
    /// A share grows with time.
    growing: bool,
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
    /// Thousandths of what its weight gives it: less than 1,000 while it starts slowly, 0 while it gets nothing.
    pub share: u16,
}

/// A server as its pool sees it.
#[derive(Debug)]
pub struct Seen<'v> {
    /// Why it gets traffic, or none.
    pub grounds: Grounds,
    /// What is known of its health.
    pub health: &'v Health,
    /// Thousandths of what its weight gives it, when it gets traffic.
    pub share: u16,
    /// When its next probe is due; none where nobody knows.
    pub next_probe: Option<Duration>,
}

impl Verdicts {
    /// Of no server yet.
    pub(super) fn new(blank: Health) -> Self {
        let (seats, blank) = (Vec::new(), Arc::new(blank));
        Self { seats, first: 0, blank, down: false, panic: false, growing: false }
    }

    /// Has a seat for each server. Those at the ends are the ones of `old`; what that one has between stays there, for
    /// whoever takes it over.
    pub(super) fn seat(&mut self, servers: &Servers, from: Option<(&mut Self, (usize, usize))>) {
        let new =
            |servers: &[Arc<Server>]| servers.iter().map(|server| Seat::new(&self.blank, server)).collect();
        let kept = from.and_then(|(old, (head, tail))| {
            let end = old.seats.len().checked_sub(tail).filter(|end| head <= *end && old.first == 0)?;
            Some((old, head..end, servers.between((head, tail))))
        });
        self.seats = match kept {
            None => new(servers),
            Some((old, between, newcomers)) => {
                let mut seats = std::mem::take(&mut old.seats);
                old.first = between.start;
                let newcomers: Vec<Seat> = new(newcomers);
                old.seats = seats.splice(between, newcomers).collect();
                seats
            }
        };
    }

    fn get(&self, server: usize) -> Option<&Seat> {
        self.seats.get(server.checked_sub(self.first)?)
    }

    fn get_mut(&mut self, server: usize) -> Option<&mut Seat> {
        self.seats.get_mut(server.checked_sub(self.first)?)
    }

    /// Takes over what is known of a server; what stood here stays in its place.
    pub(super) fn take(&mut self, server: usize, from: &mut Self, place: usize) {
        if let (Some(seat), Some(known)) = (self.get_mut(server), from.get_mut(place)) {
            seat.take(known);
        }
    }

    pub(super) fn change(&mut self, server: usize, change: impl FnOnce(&mut Health)) {
        if let Some(seat) = self.get_mut(server) {
            seat.change(change);
        }
    }

    /// Of a pool that has been handed over.
    pub(super) fn clear(&mut self) {
        self.seats = Vec::new();
    }

    pub(super) fn grow_from(&mut self, server: usize, now: Duration) {
        if let Some(seat) = self.get_mut(server) {
            seat.grows_from = Some(now);
        }
    }

    /// What was told of the old pool is not told again.
    pub(super) fn goes_on_from(&mut self, old: &Self) {
        (self.down, self.panic) = (old.down, old.panic);
    }

    /// What each server gets, in thousandths of its weight.
    fn shares(&mut self, admission: &Admission, slow_start: Duration, now: Duration) -> Vec<u16> {
        self.growing = false;
        let mut share = |(seat, eligible): (&mut Seat, &bool)| {
            if !eligible {
                return 0;
            }
            let Some(since) = seat.grows_from else { return FULL_SHARE };
            let share = slow_start::share(now.saturating_sub(since), slow_start);
            if share >= FULL_SHARE {
                seat.grows_from = None;
            }
            self.growing |= share < FULL_SHARE;
            share
        };
        self.seats.iter_mut().zip(&admission.eligible).map(&mut share).collect()
    }
}

impl PoolState {
    /// Takes in what a probe or an attempt found out about a server, and tells everybody when that changes
    /// anything.
    pub fn observe(&self, server: usize, observation: Observation) {
        let now = self.now();
        let mut verdicts = self.lock();
        if self.handed_over.load(Ordering::Acquire) {
            drop(verdicts);
            return self.pass_on(server, |newest, place| newest.observe(place, observation));
        }
        let Some(seat) = verdicts.get_mut(server) else { return };
        let before = seat.health().standing();
        let transition = seat.change(|health| health.observe(observation, now));
        if let Some(transition) = transition {
            self.turn(&mut verdicts, server, &transition);
            self.settle(&mut verdicts, Some(&transition.reason));
        } else if before != seat.health().standing() {
            self.settle(&mut verdicts, None);
        }
    }

    /// Lets time work: on verdicts that no probe will ever change, on servers that were unstable, on shares that
    /// grow.
    pub fn tick(&self) {
        let now = self.now();
        let mut verdicts = self.lock();
        if self.handed_over.load(Ordering::Acquire) {
            return;
        }
        for server in 0..self.servers.len() {
            // Nothing is due of the others, and what is shared need not be copied to find that out.
            let waits = |seat: &&mut Seat| matches!(seat.health().state(), State::Down | State::Unstable);
            let seat = verdicts.get_mut(server).filter(waits);
            let transition = seat.and_then(|seat| seat.change(|health| health.tick(now)));
            if let Some(transition) = transition {
                self.turn(&mut verdicts, server, &transition);
                self.settle(&mut verdicts, Some(&transition.reason));
            }
        }
        if verdicts.growing {
            self.settle(&mut verdicts, None);
        }
    }

    /// What is known of a server's health.
    pub fn health(&self, server: usize) -> HealthView {
        let share = if self.servers.get(server).is_some_and(|server| server.is_eligible()) {
            self.inspect(server, |_, share| share).unwrap_or(0)
        } else {
            0
        };
        let view = self.inspect(server, |health, _| HealthView {
            state: health.state(),
            reason: health.reason().to_owned(),
            since: health.since(),
            share,
        });
        let nothing =
            HealthView { state: State::Unknown, reason: String::new(), since: Duration::ZERO, share };
        view.unwrap_or(nothing)
    }

    /// Looks at all that is known of a server's health, and at its share. Probes and verdicts wait meanwhile.
    pub fn inspect<T>(&self, server: usize, look: impl FnOnce(&Health, u16) -> T) -> Option<T> {
        let (now, slow_start) = (self.now(), self.config.slow_start);
        let verdicts = self.lock();
        let seat = verdicts.get(server)?;
        let growing = |since: Duration| slow_start::share(now.saturating_sub(since), slow_start);
        Some(look(seat.health(), seat.grows_from.map_or(FULL_SHARE, growing)))
    }

    /// Looks at all servers of one moment, in order. Probes and verdicts wait meanwhile.
    pub fn survey<T>(&self, mut look: impl FnMut(&Arc<ServerState>, Seen<'_>) -> T) -> Vec<T> {
        let (now, slow_start) = (self.now(), self.config.slow_start);
        let verdicts = self.lock();
        let standings: Vec<_> = verdicts.seats.iter().map(Seat::standing).collect();
        let admission = admit(&standings, self.config.panic_percent);
        let seen = self.servers.iter().zip(&verdicts.seats).zip(standings);
        seen.map(|((server, seat), standing)| {
            let growing = |since: Duration| slow_start::share(now.saturating_sub(since), slow_start);
            let share = seat.grows_from.map_or(FULL_SHARE, growing);
            let (grounds, next_probe) = (admission.grounds(standing), seat.next_probe);
            look(server, Seen { grounds, health: seat.health(), share, next_probe })
        })
        .collect()
    }

    /// How long after this probe's begin the next one of a server is due.
    pub fn next_probe_in(&self, server: usize) -> Duration {
        let now = self.now();
        self.inspect(server, |health, _| health.next_probe_in(now))
            .unwrap_or(self.config.health_check.interval)
    }

    /// Takes note of when a server is probed next, for whoever asks.
    pub fn expect_probe(&self, server: usize, pause: Duration) {
        let at = self.now().saturating_add(pause);
        if let Some(seat) = self.lock().get_mut(server) {
            seat.next_probe = Some(at);
        }
    }

    /// Number of servers that may have new traffic.
    pub fn up_count(&self) -> usize {
        self.servers.iter().filter(|server| server.is_eligible()).count()
    }

    /// Whether no server is healthy. Traffic may still go to those of which somebody is there: see
    /// [`loadweaver_policy::admission`].
    pub fn is_down(&self) -> bool {
        self.down.load(Ordering::Relaxed)
    }

    /// The time that verdicts are dated with.
    pub fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// Tells of one server's new verdict, if it is news.
    fn turn(&self, verdicts: &mut Verdicts, index: usize, transition: &Transition) {
        let (Some(server), Some(seat)) = (self.servers.get(index), verdicts.get_mut(index)) else {
            return;
        };
        let told = match transition.to {
            State::Down => Told::Down,
            State::Unstable => Told::Unstable,
            State::Up | State::Unknown => Told::Up,
        };
        let before = seat.told.replace(told);
        // One that comes back starts slowly, and so does a newcomer that had to wait for its first good probe.
        let waited = transition.from == State::Unknown && seat.grows_from.is_some() && !server.is_eligible();
        if told == Told::Up && (before.is_some_and(Told::is_out) || waited) {
            seat.grows_from = Some(self.now());
        }
        if before == Some(told) {
            return;
        }
        let (pool, server, reason) =
            (self.config.name.clone(), server.reference(), transition.reason.clone());
        self.bus.emit(match told {
            Told::Down => {
                let cause = transition.cause.map_or("", Cause::code);
                Event::ServerDown { pool, server, reason, cause }
            }
            Told::Unstable => Event::ServerUnstable { pool, server, reason },
            Told::Up => Event::ServerUp { pool, server, reason },
        });
    }

    /// Tells that a server is in again, where no probe will: a change of the configuration took its probes away.
    pub(super) fn tell_of_amnesty(&self, verdicts: &mut Verdicts, index: usize) {
        let Some(seat) = verdicts.get(index) else { return };
        let health = seat.health();
        if health.state() == State::Unknown && health.eligible() && seat.told.is_some_and(Told::is_out) {
            let reason = health.reason().to_owned();
            let change = Transition { from: State::Unknown, to: State::Unknown, reason, cause: None };
            self.turn(verdicts, index, &change);
        }
    }

    /// Decides who gets traffic, and tells what that means for the pool.
    pub(super) fn settle(&self, verdicts: &mut Verdicts, why: Option<&str>) {
        let standings: Vec<_> = verdicts.seats.iter().map(Seat::standing).collect();
        let admission = admit(&standings, self.config.panic_percent);
        for ((server, seat), eligible) in
            self.servers.iter().zip(&mut verdicts.seats).zip(&admission.eligible)
        {
            // Workers read it with each pick: what stays is not written again.
            if seat.eligible.replace(*eligible) != Some(*eligible) {
                server.set_eligible(*eligible);
            }
        }
        let shares = verdicts.shares(&admission, self.config.slow_start, self.now());
        self.balancer.publish(&shares);
        let waiting = standings.contains(&Standing::Waiting);
        let down = admission.healthy == 0 && !(admission.active == 0 && waiting);
        self.down.store(down, Ordering::Relaxed);
        let pool = || self.config.name.clone();
        if down != std::mem::replace(&mut verdicts.down, down) {
            let away = "all servers are in drain or maintenance, or have no weight";
            let reason = if admission.active == 0 { away } else { why.unwrap_or_default() }.to_owned();
            self.bus.emit(if down {
                Event::PoolDown { pool: pool(), reason }
            } else {
                Event::PoolUp { pool: pool() }
            });
        }
        if admission.panic != std::mem::replace(&mut verdicts.panic, admission.panic) {
            let Admission { healthy, active: total, .. } = admission;
            self.bus.emit(if admission.panic {
                Event::PanicStarted { pool: pool(), healthy, total }
            } else {
                Event::PanicEnded { pool: pool() }
            });
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Verdicts> {
        self.verdicts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
