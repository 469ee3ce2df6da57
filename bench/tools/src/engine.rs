//! The load generator's loop: one thread, one epoll, any number of connections.
//!
//! Closed loop: each connection sends its next request as soon as its answer is whole. Constant rate: request
//! `i` is due at `start + i / rate`, whatever happened to the earlier ones; it goes out on any idle connection,
//! or waits for one, and its latency counts from the moment it was due. So a stall of the proxy is seen by
//! every request that it delays (no coordinated omission).

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use rustix::fd::{AsRawFd, OwnedFd};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use rustls::ClientConfig;

use crate::client::{Client, Outcome, Stage};
use crate::message::Scanner;
use crate::options::{Options, Reuse};
use crate::tally::{Fault, Tally};
use crate::wire::Wire;

const TIMER: Token = Token(usize::MAX - 1);
/// A failed connection is tried again after this many nanoseconds.
const RECONNECT: u64 = 5_000_000;
/// The shortest period of the rate timer: finer ticks would cost the shared core more than they tell.
const SHORTEST_TICK: u64 = 100_000;

/// The state of a run.
pub struct Engine {
    options: Options,
    poll: Poll,
    scanner: Scanner,
    clients: Vec<Client>,
    buffer: Vec<u8>,
    start: Instant,
    /// Idle connections in constant-rate and hold mode.
    idle: Vec<usize>,
    /// Clients without a connection and when to try again.
    vacant: Vec<(u64, usize)>,
    timer: Option<OwnedFd>,
    tls: Option<Arc<ClientConfig>>,
    rate_start: u64,
    next_due: u64,
    next_sweep: u64,
    /// What was counted since it was last taken.
    pub tally: Tally,
}

impl Engine {
    /// Opens all connections (in hold mode none) without asking anything yet.
    pub fn new(options: Options) -> io::Result<Self> {
        let poll = Poll::new()?;
        let timer = if options.rate > 0.0 {
            let timer =
                timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
            let nanoseconds = ((1e9 / options.rate) as u64).max(SHORTEST_TICK);
            let tick = Timespec {
                tv_sec: (nanoseconds / 1_000_000_000).cast_signed(),
                tv_nsec: (nanoseconds % 1_000_000_000).cast_signed(),
            };
            timerfd_settime(
                &timer,
                TimerfdTimerFlags::empty(),
                &Itimerspec { it_interval: tick, it_value: tick },
            )?;
            poll.registry().register(&mut SourceFd(&timer.as_raw_fd()), TIMER, Interest::READABLE)?;
            Some(timer)
        } else {
            None
        };
        let clients = (0..options.connections).map(|_| Client::vacant()).collect();
        Ok(Self {
            poll,
            scanner: Scanner::default(),
            clients,
            buffer: vec![0; 1024 * 1024],
            start: Instant::now(),
            idle: Vec::new(),
            vacant: Vec::new(),
            timer,
            tls: options.tls.map(crate::wire::config),
            rate_start: 0,
            next_due: 0,
            next_sweep: 1_000_000_000,
            tally: Tally::default(),
            options,
        })
    }

    /// Nanoseconds since the engine was made.
    pub fn now(&self) -> u64 {
        self.start.elapsed().as_nanos() as u64
    }

    /// Connects all clients; in the closed loop each asks at once.
    pub fn open_all(&mut self) -> io::Result<()> {
        self.rate_start = self.now();
        for slot in 0..self.clients.len() {
            self.connect(slot)?;
        }
        Ok(())
    }

    /// Runs until `until` (engine's clock), or until `finished` exchanges have ended, where that is not 0, or until
    /// the last of `--requests` has.
    pub fn run_until(&mut self, until: u64, finished: u64) -> io::Result<()> {
        let mut events = Events::with_capacity(1024);
        loop {
            let now = self.now();
            if now >= until || (finished > 0 && self.tally.finished() >= finished) || self.asked_all() {
                return Ok(());
            }
            self.maintain(now)?;
            let wait = Duration::from_nanos((until - now).min(5_000_000));
            match self.poll.poll(&mut events, Some(wait)) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
            for event in &events {
                match event.token() {
                    TIMER => {
                        if let Some(timer) = &self.timer {
                            // Only re-arms the period; how often it fired is not asked, the clock is.
                            let _ = rustix::io::read(timer, &mut [0; 8]);
                        }
                    }
                    Token(slot) => {
                        self.handle(slot, event.is_writable(), event.is_readable(), event.is_read_closed())?;
                    }
                }
            }
            if self.timer.is_some() {
                self.send_due()?;
            }
        }
    }

    /// Hold mode: one request on each connection, at most 64 connections at work at a time.
    pub fn ask_each_once(&mut self, until: u64) -> io::Result<()> {
        let total = self.clients.len() as u64;
        let mut next = 0;
        while self.tally.finished() < total && self.now() < until {
            while (next as u64) < total && (next as u64) < self.tally.finished() + 64 {
                if self.clients[next].stream.is_none() {
                    self.connect(next)?;
                }
                let now = self.now();
                self.ask(next, now)?;
                next += 1;
            }
            let target = self.tally.finished() + 1;
            self.run_until(until, target)?;
        }
        Ok(())
    }

    /// Whether all of `--requests` were sent and none is under way.
    fn asked_all(&self) -> bool {
        self.enough() && self.clients.iter().all(|client| client.stage != Stage::Busy)
    }

    fn enough(&self) -> bool {
        self.options.requests > 0 && self.tally.sent >= self.options.requests
    }

    fn connect(&mut self, slot: usize) -> io::Result<()> {
        let Ok(mut stream) = TcpStream::connect(self.options.target) else {
            return self.fail(slot, Fault::Connect);
        };
        stream.set_nodelay(true)?;
        self.poll.registry().register(&mut stream, Token(slot), Interest::READABLE | Interest::WRITABLE)?;
        self.clients[slot].attach(match &self.tls {
            None => Wire::Plain(stream),
            Some(config) => Wire::secured(stream, config),
        });
        self.tally.connects += 1;
        self.next(slot)
    }

    /// Gives an idle connection its next request, or puts it among the idle ones.
    fn next(&mut self, slot: usize) -> io::Result<()> {
        if self.timer.is_some() || self.options.hold {
            self.idle.push(slot);
            return Ok(());
        }
        if self.enough() {
            self.clients[slot] = Client::vacant();
            return Ok(());
        }
        let now = self.now();
        self.ask(slot, now)
    }

    fn ask(&mut self, slot: usize, due: u64) -> io::Result<()> {
        let last = match self.options.reuse {
            Reuse::Forever => false,
            Reuse::Never => true,
            Reuse::Times(times) => slot.is_multiple_of(2) && self.clients[slot].used + 1 >= times,
        };
        self.clients[slot].begin(due, last);
        self.tally.sent += 1;
        self.push(slot)
    }

    fn push(&mut self, slot: usize) -> io::Result<()> {
        let client = &mut self.clients[slot];
        let request = if client.last { &self.options.last_request } else { &self.options.request };
        match client.send(request) {
            Ok(()) => Ok(()),
            Err(fault) => self.fail(slot, fault),
        }
    }

    fn handle(&mut self, slot: usize, writable: bool, readable: bool, closed: bool) -> io::Result<()> {
        let Some(client) = self.clients.get_mut(slot) else { return Ok(()) };
        if writable && client.stage == Stage::Busy {
            let request = if client.last { &self.options.last_request } else { &self.options.request };
            if !client.sent_all(request) {
                self.push(slot)?;
            }
        }
        if !readable && !closed {
            return Ok(());
        }
        let client = &mut self.clients[slot];
        match client.receive(&self.scanner, &mut self.buffer, self.options.expect, closed) {
            // The end of a handshake lets the request go.
            Outcome::Waiting if self.tls.is_some() && self.owes_request(slot) => self.push(slot),
            Outcome::Waiting => Ok(()),
            Outcome::Answered { status, close } => self.answered(slot, status, close),
            Outcome::Ended => {
                if self.clients[slot].stage == Stage::Idle {
                    self.tally.idle_closed += 1;
                    self.idle.retain(|idle| *idle != slot);
                }
                self.reopen(slot)
            }
            Outcome::Failed(fault) => self.fail(slot, fault),
        }
    }

    fn owes_request(&self, slot: usize) -> bool {
        let client = &self.clients[slot];
        let request = if client.last { &self.options.last_request } else { &self.options.request };
        client.stage == Stage::Busy && !client.sent_all(request)
    }

    fn answered(&mut self, slot: usize, status: u16, close: bool) -> io::Result<()> {
        let now = self.now();
        let client = &mut self.clients[slot];
        self.tally.answer(status, client.due, now.saturating_sub(client.due));
        if status == 200 {
            self.tally.bytes += self.options.expect;
        }
        let spent = matches!(self.options.reuse, Reuse::Times(times) if client.used >= times);
        let request = if client.last { &self.options.last_request } else { &self.options.request };
        if !client.sent_all(request) {
            // An answer before the whole request was sent leaves the connection of no use.
            return self.reopen(slot);
        }
        if client.last || close {
            client.stage = Stage::Ending;
            // The end of the stream may stand behind bytes that were just read: look once, no event may follow.
            return match client.receive(&self.scanner, &mut self.buffer, self.options.expect, true) {
                Outcome::Waiting => Ok(()),
                Outcome::Failed(fault) => self.fail(slot, fault),
                _ => self.reopen(slot),
            };
        }
        if spent {
            return self.reopen(slot);
        }
        client.stage = Stage::Idle;
        self.next(slot)
    }

    fn fail(&mut self, slot: usize, fault: Fault) -> io::Result<()> {
        self.tally.fault(fault);
        if fault == Fault::Connect {
            self.clients[slot] = Client::vacant();
            self.vacant.push((self.now() + RECONNECT, slot));
            return Ok(());
        }
        self.reopen(slot)
    }

    fn reopen(&mut self, slot: usize) -> io::Result<()> {
        self.clients[slot] = Client::vacant();
        if self.options.hold || self.enough() {
            return Ok(());
        }
        self.connect(slot)
    }

    fn due(&self, index: u64) -> u64 {
        self.rate_start + (index as f64 * 1e9 / self.options.rate) as u64
    }

    fn send_due(&mut self) -> io::Result<()> {
        let now = self.now();
        while self.due(self.next_due) <= now {
            let Some(slot) = self.idle.pop() else { break };
            let due = self.due(self.next_due);
            self.next_due += 1;
            self.ask(slot, due)?;
        }
        Ok(())
    }

    fn maintain(&mut self, now: u64) -> io::Result<()> {
        while let Some(at) = self.vacant.iter().position(|(when, _)| *when <= now) {
            let (_, slot) = self.vacant.swap_remove(at);
            self.connect(slot)?;
        }
        if now < self.next_sweep {
            return Ok(());
        }
        self.next_sweep = now + 500_000_000;
        for slot in 0..self.clients.len() {
            let client = &self.clients[slot];
            if client.stage == Stage::Busy && now.saturating_sub(client.due) > self.options.timeout {
                self.fail(slot, Fault::Timeout)?;
            }
        }
        Ok(())
    }
}
