//! The pool, its servers as they really are, and the events that await their time.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use loadweaver_config::{Algorithm, FlapDamping, HealthCheck, PassiveHealth, ProbeKind, Retry};
use loadweaver_policy::admission::{Standing, admit};
use loadweaver_policy::balance::{Balancer, FULL_SHARE, Member, Pick};
use loadweaver_policy::failure::Failure;
use loadweaver_policy::health::{Health, Observation, ProbeFailure, State, Transition};
use loadweaver_policy::retry::{Attempted, RetryBudget, RetryRules};
use loadweaver_policy::slow_start;

pub(crate) const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// From then on every server is well, and stays so.
pub(crate) const CALM: Duration = ms(40_000);
/// From then on nothing may go wrong any more.
pub(crate) const HEALED: Duration = ms(62_000);
const LAST_ARRIVAL: Duration = ms(69_000);
const PROBE_INTERVAL: Duration = ms(1_000);
const FAST_INTERVAL: Duration = ms(300);
const MAX_INTERVAL: Duration = ms(3_000);
const SLOW_START: Duration = ms(4_000);
/// Probes come up to this much before or after their time.
const JITTER: u64 = 50;
const PROBE_TIMEOUT: Duration = ms(800);
const RESPONSE_TIMEOUT: Duration = ms(1_000);

/// Sebastiano Vigna's SplitMix64.
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

/// What a server is really like, which only attempts and probes find out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Truth {
    Well,
    Refuses,
    Hangs,
    Resets,
    Answers503,
}

pub(crate) struct Server {
    pub(crate) truth: Truth,
    pub(crate) truth_since: Duration,
    /// When something bad of it was last under way.
    pub(crate) last_bad: Duration,
    pub(crate) health: Health,
    /// Since when its share grows.
    pub(crate) in_since: Duration,
    pub(crate) weight: u32,
    pub(crate) limit: u32,
    pub(crate) active: u32,
}

#[derive(Debug, Clone)]
pub(crate) struct Exchange {
    pub(crate) client: IpAddr,
    pub(crate) idempotent: bool,
    pub(crate) arrived: Duration,
    pub(crate) tried: Vec<usize>,
    /// Attempts on which a server may have acted.
    pub(crate) reached: u32,
}

#[derive(Debug, Clone)]
enum Event {
    Arrival,
    /// By which balancer, at which server, and how.
    AttemptEnds(Exchange, usize, usize, Result<u16, Failure>),
    ProbeBegins(usize),
    ProbeEnds(usize, Observation),
    Fate(usize),
    Reload,
    Tick,
}

pub(crate) struct World {
    pub(crate) now: Duration,
    rng: Rng,
    events: BTreeMap<(Duration, u64), Event>,
    scheduled: u64,
    pub(crate) algorithm: Algorithm,
    pub(crate) probing: bool,
    probes: HealthCheck,
    damping: FlapDamping,
    pub(crate) panic_percent: u32,
    slow_start: Duration,
    pub(crate) servers: Vec<Server>,
    members: Vec<Member>,
    /// One for each change of the configuration; the last one picks.
    balancers: Vec<Balancer>,
    /// What was published last.
    pub(crate) shares: Vec<u16>,
    pub(crate) reloaded_at: Duration,
    pub(crate) retry: Retry,
    rules: RetryRules,
    budget: RetryBudget,
    pub(crate) requests_at: Vec<u64>,
    pub(crate) retries_at: Vec<u64>,
    pub(crate) served: u64,
    pub(crate) retried: u64,
    pub(crate) failed: u64,
    pub(crate) unstable: u64,
    pub(crate) panics: u64,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = Rng(seed);
        let algorithm = Algorithm::ALL[usize::try_from(rng.below(6)).unwrap()];
        let probing = rng.below(4) > 0;
        let probes = HealthCheck {
            kind: if probing { ProbeKind::Tcp } else { ProbeKind::Off },
            interval: PROBE_INTERVAL,
            fast_interval: FAST_INTERVAL,
            max_interval: MAX_INTERVAL,
            start_down: rng.below(4) == 0,
            ..HealthCheck::default()
        };
        let passive = PassiveHealth::default();
        let limit = [0, 1][usize::try_from(rng.below(2)).unwrap()];
        let damping = FlapDamping { limit, reuse: 1, half_life: ms(6_000) };
        let server = |rng: &mut Rng| Server {
            truth: Truth::Well,
            truth_since: Duration::ZERO,
            last_bad: Duration::ZERO,
            health: Health::new(&probes, &passive, &damping),
            in_since: Duration::ZERO,
            weight: [0, 1, 1, 1, 2, 5][usize::try_from(rng.below(6)).unwrap()],
            limit: [4, 16, u32::MAX][usize::try_from(rng.below(3)).unwrap()],
            active: 0,
        };
        let count = 2 + rng.below(7);
        let mut servers: Vec<Server> = (0..count).map(|_| server(&mut rng)).collect();
        (servers[0].weight, servers[0].limit) = (1, u32::MAX);
        let member =
            |(n, server): (usize, &Server)| Member { id: format!("s{n}").into(), weight: server.weight };
        let members: Vec<Member> = servers.iter().enumerate().map(member).collect();
        let retry = Retry { budget_floor: u32::try_from(rng.below(6)).unwrap(), ..Retry::default() };
        let mut world = Self {
            now: Duration::ZERO,
            events: BTreeMap::new(),
            scheduled: 0,
            algorithm,
            probing,
            panic_percent: [0, 50, 50][usize::try_from(rng.below(3)).unwrap()],
            slow_start: [Duration::ZERO, SLOW_START][usize::try_from(rng.below(2)).unwrap()],
            balancers: vec![Balancer::new(algorithm, &members)],
            shares: vec![FULL_SHARE; members.len()],
            members,
            probes,
            damping,
            reloaded_at: Duration::ZERO,
            rules: RetryRules::new(&retry),
            budget: RetryBudget::new(retry.budget_percent, retry.budget_floor),
            retry,
            servers,
            rng,
            requests_at: Vec::new(),
            retries_at: Vec::new(),
            served: 0,
            retried: 0,
            failed: 0,
            unstable: 0,
            panics: 0,
        };
        world.publish();
        world.begin();
        world
    }

    fn begin(&mut self) {
        for index in 0..self.servers.len() {
            let (fate, probe) = (self.rng.below(10_000), self.rng.below(50));
            self.after(ms(fate), Event::Fate(index));
            if self.probing {
                self.after(ms(probe), Event::ProbeBegins(index));
            }
        }
        self.after(ms(0), Event::Arrival);
        self.after(ms(0), Event::Tick);
        let reload = self.rng.below(20_000);
        self.after(ms(reload), Event::Reload);
    }

    fn after(&mut self, wait: Duration, event: Event) {
        self.scheduled += 1;
        self.events.insert((self.now + wait, self.scheduled), event);
    }

    /// Lets the next event happen and checks the rules; what happened, or nothing at the end.
    pub(crate) fn step(&mut self) -> Option<String> {
        let ((at, _), event) = self.events.pop_first()?;
        self.now = at;
        let line = format!("{at:>8.0?} {event:?}");
        match event {
            Event::Arrival => self.arrive(),
            Event::AttemptEnds(exchange, balancer, server, outcome) => {
                self.balancers[balancer].release(server);
                self.attempt_ends(exchange, server, outcome);
            }
            Event::ProbeBegins(index) => self.probe(index),
            Event::ProbeEnds(index, seen) => self.observe(index, seen),
            Event::Fate(index) => self.fate(index),
            Event::Reload => self.reload(),
            Event::Tick => self.tick(),
        }
        self.check_servers();
        self.check_shares();
        Some(line)
    }

    fn arrive(&mut self) {
        self.budget.on_request(self.now);
        self.requests_at.push(self.now.as_secs());
        let client = IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(self.rng.below(500)).unwrap()));
        let idempotent = self.rng.below(4) > 0;
        self.attempt(Exchange { client, idempotent, arrived: self.now, tried: Vec::new(), reached: 0 });
        if self.now < LAST_ARRIVAL {
            let wait = self.rng.below(200);
            self.after(ms(wait), Event::Arrival);
        }
    }

    fn attempt(&mut self, mut exchange: Exchange) {
        let random = self.rng.next();
        let query = Pick { client: exchange.client, random, tried: &exchange.tried };
        let servers = &self.servers;
        let balancer = self.balancers.len() - 1;
        let picked =
            self.balancers[balancer].pick(&query, |index| servers[index].active < servers[index].limit);
        self.check_pick(&exchange, picked);
        let Some(index) = picked else { return self.give_up(&exchange) };
        self.servers[index].active += 1;
        exchange.tried.push(index);
        let quick = ms(1 + self.rng.below(300));
        let (wait, outcome) = match self.servers[index].truth {
            Truth::Well => (quick, Ok(200)),
            Truth::Refuses => (ms(1), Err(Failure::ConnectRefused)),
            Truth::Hangs => (RESPONSE_TIMEOUT, Err(Failure::ResponseTimeout)),
            Truth::Resets => (quick, Err(Failure::ServerClosed)),
            Truth::Answers503 => (quick, Ok(503)),
        };
        if self.servers[index].truth != Truth::Well {
            self.servers[index].last_bad = self.servers[index].last_bad.max(self.now + wait);
        }
        exchange.reached += u32::from(outcome != Err(Failure::ConnectRefused));
        self.check_exchange(&exchange);
        self.after(wait, Event::AttemptEnds(exchange, balancer, index, outcome));
    }

    fn attempt_ends(&mut self, exchange: Exchange, index: usize, outcome: Result<u16, Failure>) {
        self.servers[index].active -= 1;
        let idempotent = exchange.idempotent;
        let may = match outcome {
            Ok(200) => {
                self.served += 1;
                return;
            }
            Ok(status) => self.rules.after_status(status, idempotent, true),
            Err(failure) => {
                self.observe(index, Observation::RequestFailed(failure));
                let bytes_sent = failure != Failure::ConnectRefused;
                self.rules.after_failure(&Attempted { failure, bytes_sent, idempotent, replayable: true })
            }
        };
        let more = u32::try_from(exchange.tried.len()).unwrap() < self.rules.attempts();
        if may && more && self.budget.try_retry(self.now) {
            self.retried += 1;
            self.retries_at.push(self.now.as_secs());
            self.check_budget();
            self.attempt(exchange);
        } else {
            self.give_up(&exchange);
        }
    }

    fn give_up(&mut self, exchange: &Exchange) {
        self.failed += 1;
        Self::check_failed(exchange);
    }

    fn probe(&mut self, index: usize) {
        let quick = ms(1 + self.rng.below(20));
        let (wait, seen) = match self.servers[index].truth {
            Truth::Well | Truth::Resets | Truth::Answers503 => {
                (quick, Observation::ProbeOk { latency: quick, status: None })
            }
            Truth::Refuses => {
                let refused = ProbeFailure::Connect("connection refused".to_owned());
                (quick, Observation::ProbeFailed { failure: refused, latency: quick })
            }
            Truth::Hangs => (
                PROBE_TIMEOUT,
                Observation::ProbeFailed { failure: ProbeFailure::Timeout, latency: PROBE_TIMEOUT },
            ),
        };
        self.after(wait, Event::ProbeEnds(index, seen));
        if self.now < LAST_ARRIVAL {
            let jitter = self.rng.below(2 * JITTER);
            let next = self.servers[index].health.next_probe_in(self.now);
            assert!((FAST_INTERVAL..=MAX_INTERVAL).contains(&next), "{next:?}");
            self.after((next + ms(jitter)).saturating_sub(ms(JITTER)), Event::ProbeBegins(index));
        }
    }

    /// The pool succeeds itself; now and then under another health check.
    fn reload(&mut self) {
        if self.rng.below(3) == 0 {
            self.probes.path.push('x');
        }
        let passive = PassiveHealth::default();
        for server in &mut self.servers {
            let health = server.health.clone();
            server.health = health.succeed(&self.probes, &passive, &self.damping, self.now);
        }
        let places: Vec<_> = (0..self.members.len()).map(Some).collect();
        let next = self.balancers.last().map(|last| last.succeed(self.algorithm, &self.members, &places));
        self.balancers.extend(next);
        self.reloaded_at = self.now;
        self.publish();
        if self.now < CALM {
            let wait = self.rng.below(20_000);
            self.after(ms(wait), Event::Reload);
        }
    }

    fn fate(&mut self, index: usize) {
        let truth = match self.rng.below(9) {
            _ if self.now >= CALM => Truth::Well,
            0..=3 => Truth::Well,
            4 | 5 => Truth::Refuses,
            6 => Truth::Hangs,
            7 => Truth::Resets,
            _ => Truth::Answers503,
        };
        let (now, server) = (self.now, &mut self.servers[index]);
        if server.truth != Truth::Well {
            server.last_bad = server.last_bad.max(now);
        }
        if server.truth != truth {
            (server.truth, server.truth_since) = (truth, now);
        }
        if now < CALM {
            let wait = ms(100 + self.rng.below(15_000));
            // Nobody's bad fate outlasts the calm's beginning.
            self.after(wait.min(CALM.saturating_sub(now)), Event::Fate(index));
        }
    }

    fn tick(&mut self) {
        for index in 0..self.servers.len() {
            let change = self.servers[index].health.tick(self.now);
            self.changed(index, change);
        }
        if self.now < LAST_ARRIVAL {
            self.after(ms(500), Event::Tick);
        }
    }

    fn observe(&mut self, index: usize, seen: Observation) {
        let change = self.servers[index].health.observe(seen, self.now);
        self.changed(index, change);
    }

    fn changed(&mut self, index: usize, change: Option<Transition>) {
        if let Some(change) = change {
            self.check_change(index, &change);
            self.unstable += u64::from(change.to == State::Unstable);
        }
        self.publish();
    }

    pub(crate) fn standings(&self) -> Vec<Standing> {
        let standing = |server: &Server| match server.weight {
            0 => Standing::Away,
            _ => server.health.standing(),
        };
        self.servers.iter().map(standing).collect()
    }

    fn publish(&mut self) {
        let admission = admit(&self.standings(), self.panic_percent);
        self.panics += u64::from(admission.panic);
        for (index, eligible) in admission.eligible.into_iter().enumerate() {
            let (server, share) = (&mut self.servers[index], &mut self.shares[index]);
            if *share == 0 {
                server.in_since = self.now;
            }
            let due = slow_start::share(self.now.saturating_sub(server.in_since), self.slow_start);
            *share = due * u16::from(eligible);
        }
        if let Some(balancer) = self.balancers.last() {
            balancer.publish(&self.shares);
        }
    }
}
