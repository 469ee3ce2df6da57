//! Why a server stands as it does, since when, and what would change that.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use loadweaver_config::{Pool, ServerState as Wanted, format_duration};
use loadweaver_policy::admission::Grounds;
use loadweaver_policy::balance::FULL_SHARE;
use loadweaver_policy::health::{Happened, Outlook, State};
use loadweaver_proxy::{PoolState, Seen, ServerState};
use loadweaver_telemetry::rfc3339;
use serde::Serialize;
use utoipa::ToSchema;

/// Something that keeps a server from traffic, or has a say in how much it gets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Reason {
    /// `drain`, `maintenance`, `weight_zero`, `waiting`, `down`, `unstable`, `full`; or `panic`, `last_resort`,
    /// `slow_start`, `no_address`, which do not keep it out.
    #[schema(example = "down")]
    pub code: &'static str,
    /// Whether it gets no new traffic because of that.
    pub keeps_out: bool,
    /// In words.
    pub reason: String,
}

impl Reason {
    fn new(code: &'static str, keeps_out: bool, reason: impl Into<String>) -> Self {
        Self { code, keeps_out, reason: reason.into() }
    }
}

/// Why a server stands as it does.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ServerExplanation {
    /// All of it in a sentence or two.
    #[schema(
        example = "down since 2026-01-01T12:00:03.000Z (7s): 3 probes in a row failed: answered with status 500; 2 good probes in a row bring it back, the next is due in 4s"
    )]
    pub(crate) summary: String,
    /// Whether it may have new traffic.
    pub(crate) takes_traffic: bool,
    /// What keeps it from traffic, or has a say in how much it gets; empty where nothing does.
    pub(crate) reasons: Vec<Reason>,
    /// What would change how it stands, each in a sentence.
    pub(crate) would_change: Vec<String>,
    /// When it is probed next (RFC 3339); none where nobody knows.
    pub(crate) next_probe_at: Option<String>,
}

impl ServerExplanation {
    /// Something else that would change how it stands.
    pub(crate) fn add_change(&mut self, change: String) {
        self.summary = format!("{}; {change}", self.summary);
        self.would_change.push(change);
    }
}

/// What is known of a server's health at one moment.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) grounds: Grounds,
    pub(crate) state: State,
    pub(crate) share: u16,
    reason: String,
    since: Duration,
    outlook: Outlook,
    next_probe: Option<Duration>,
    /// When the last probe was, and what was wrong with it.
    last_probe: Option<(Duration, Option<String>)>,
    now: Duration,
}

impl Facts {
    /// Of one server of a pool.
    pub(crate) fn of_one(pool: &PoolState, place: usize) -> Option<Self> {
        let (now, wanted) = (pool.now(), pool.servers.get(place)?);
        let look = |server: &Arc<ServerState>, seen: Seen<'_>| {
            Arc::ptr_eq(server, wanted).then(|| Self::of(&seen, now))
        };
        pool.survey(look).into_iter().flatten().next()
    }

    /// Cheap enough to be taken under the pool's lock.
    pub(crate) fn of(seen: &Seen<'_>, now: Duration) -> Self {
        let health = seen.health;
        let last = health.history().rev().find(|entry| !matches!(entry.what(), Happened::Changed { .. }));
        Self {
            grounds: seen.grounds,
            state: health.state(),
            share: seen.share,
            reason: health.reason().to_owned(),
            since: health.since(),
            outlook: health.outlook(now),
            next_probe: seen.next_probe,
            last_probe: last.map(|entry| (entry.at(), entry.reason().map(str::to_owned))),
            now,
        }
    }
}

/// Makes words of what is known. `started` is when the process did.
pub(crate) fn standing(
    pool: &PoolState,
    server: &ServerState,
    facts: &Facts,
    started: SystemTime,
) -> ServerExplanation {
    let reasons = reasons(&pool.config, server, facts);
    let would_change = would_change(&pool.config, server, facts);
    let ago = |at: Duration| span(facts.now.saturating_sub(at));
    let mut summary = match facts.state {
        State::Unknown if facts.since.is_zero() => facts.reason.clone(),
        state => {
            let since = rfc3339(started + facts.since);
            format!("{} since {since} ({}): {}", state.name(), ago(facts.since), facts.reason)
        }
    };
    if let Some((at, Some(problem))) = &facts.last_probe
        && !facts.reason.contains(problem.as_str())
    {
        let _ = write!(summary, "; the last probe, {} ago, failed: {problem}", ago(*at));
    }
    for reason in reasons.iter().filter(|reason| !matches!(reason.code, "down" | "unstable" | "waiting")) {
        summary = format!("{summary}; {}", reason.reason);
    }
    for change in &would_change {
        summary = format!("{summary}; {change}");
    }
    ServerExplanation {
        summary,
        takes_traffic: !reasons.iter().any(|reason| reason.keeps_out),
        reasons,
        would_change,
        next_probe_at: is_probed(server).and(facts.next_probe).map(|at| rfc3339(started + at)),
    }
}

fn is_probed(server: &ServerState) -> Option<()> {
    (server.config.state != Wanted::Maintenance).then_some(())
}

/// What keeps a server from traffic, or has a say in how much it gets.
pub(crate) fn reasons(pool: &Pool, server: &ServerState, facts: &Facts) -> Vec<Reason> {
    let mut all = wanted(server);
    all.extend(judged(facts));
    match facts.grounds {
        Grounds::Panic => {
            let percent = pool.panic_percent;
            let why =
                "gets traffic all the same, since of the pool fewer are healthy than panicPercent wants";
            all.push(Reason::new("panic", false, format!("{why}, {percent} %")));
        }
        Grounds::LastResort => {
            let why = "gets traffic all the same, since too few others are well";
            all.push(Reason::new("last_resort", false, why));
        }
        Grounds::Away
        | Grounds::Waiting
        | Grounds::Well
        | Grounds::HeldOut
        | Grounds::Sick
        | Grounds::Unreachable => {}
    }
    if server.is_full() {
        let most = server.config.max_connections;
        let why = format!("it has all {most} exchanges at once that it may have (maxConnections)");
        all.push(Reason::new("full", true, why));
    }
    if facts.grounds.lets_in() && facts.share < FULL_SHARE {
        let percent = f64::from(facts.share) / 10.0;
        let why = format!("it starts slowly and has {percent} % of its share so far (slowStart)");
        all.push(Reason::new("slow_start", false, why));
    }
    if server.address().is_none() {
        all.push(Reason::new("no_address", false, "its name has not been resolved"));
    }
    all
}

/// What its operator has to do with it.
pub(crate) fn wanted(server: &ServerState) -> Vec<Reason> {
    let mut all = Vec::new();
    match server.config.state {
        Wanted::Active => {}
        Wanted::Drain => {
            all.push(Reason::new("drain", true, "in drain, its operator wants it to have no new traffic"));
        }
        Wanted::Maintenance => {
            let why = "in maintenance, its operator wants it to have no traffic";
            all.push(Reason::new("maintenance", true, why));
        }
    }
    if server.config.weight == 0 {
        all.push(Reason::new("weight_zero", true, "its weight is 0"));
    }
    all
}

/// What its health has to do with it.
fn judged(facts: &Facts) -> Option<Reason> {
    let keeps_out = !facts.grounds.lets_in();
    match (facts.state, facts.grounds) {
        (State::Down, _) => Some(Reason::new("down", keeps_out, format!("down: {}", facts.reason))),
        (State::Unstable, _) => {
            Some(Reason::new("unstable", keeps_out, format!("unstable: {}", facts.reason)))
        }
        (State::Unknown, Grounds::Waiting) => {
            Some(Reason::new("waiting", true, "it waits for its first good probe (startDown)"))
        }
        // It was out when its probes were changed, and stays so until they have been asked.
        (State::Unknown, Grounds::Sick | Grounds::Unreachable | Grounds::Panic) => {
            Some(Reason::new("down", keeps_out, format!("not known to be well: {}", facts.reason)))
        }
        (State::Up | State::Unknown, _) => None,
    }
}

fn would_change(pool: &Pool, server: &ServerState, facts: &Facts) -> Vec<String> {
    let mut all = Vec::new();
    if server.config.state != Wanted::Active {
        all.push("setting its state to active ends that".to_owned());
    }
    if server.config.weight == 0 {
        all.push("a weight above 0 ends that".to_owned());
    }
    let outlook = &facts.outlook;
    match facts.state {
        State::Down if outlook.probing => all.push(comes_back(server, facts)),
        State::Down => {
            let when = from_now("in", outlook.held_for);
            all.push(format!("nothing probes it, it is tried again {when}"));
        }
        State::Unstable => {
            let when = from_now("in about", outlook.damped_for);
            all.push(format!("it comes in {when} if it stays well until then"));
        }
        State::Unknown if outlook.probing => {
            all.push(format!("the first good probe brings it in{}", due(server, facts)));
        }
        State::Up | State::Unknown => {}
    }
    if matches!(facts.state, State::Up | State::Unknown | State::Unstable) {
        all.extend(goes_out(pool, outlook));
    }
    all
}

fn from_now(word: &str, time: Duration) -> String {
    if time.is_zero() { "now".to_owned() } else { format!("{word} {}", span(time)) }
}

fn comes_back(server: &ServerState, facts: &Facts) -> String {
    let Outlook { good, rise, held_for, damped_for, .. } = facts.outlook;
    let left = rise.saturating_sub(good);
    let mut text = match left {
        1 => "one good probe brings it back".to_owned(),
        left => format!("{left} good probes in a row bring it back"),
    };
    if good > 0 {
        // Writing to a String cannot fail.
        let _ = write!(text, " ({good} of {rise} so far)");
    }
    if !held_for.is_zero() {
        let _ = write!(text, ", none of them counts in the next {}", span(held_for));
    }
    text.push_str(&due(server, facts));
    if !damped_for.is_zero() {
        let _ = write!(text, "; as it comes and goes it would then be held out for {}", span(damped_for));
    }
    text
}

/// When the next probe is.
fn due(server: &ServerState, facts: &Facts) -> String {
    if is_probed(server).is_none() {
        return ", but nothing is probed in maintenance".to_owned();
    }
    match facts.next_probe.map(|at| at.saturating_sub(facts.now)) {
        None => String::new(),
        Some(left) if left.is_zero() => ", the next is due now".to_owned(),
        Some(left) => format!(", the next is due in {}", span(left)),
    }
}

fn goes_out(pool: &Pool, outlook: &Outlook) -> Option<String> {
    let mut ways = Vec::new();
    if outlook.probing {
        let (bad, fall) = (outlook.bad, outlook.fall);
        let so_far = if bad > 0 { format!(" ({bad} of {fall} so far)") } else { String::new() };
        ways.push(match fall.saturating_sub(bad) {
            1 => format!("one bad probe{so_far}"),
            left => format!("{left} bad probes in a row{so_far}"),
        });
    }
    if outlook.failures > 0 {
        let failed = outlook.failed;
        let so_far = if failed > 0 { format!(" ({failed} so far)") } else { String::new() };
        let window = format_duration(outlook.window);
        ways.push(format!("{} failed requests within {window}{so_far}", pool.passive_health.failures));
        ways.push("a refused connection".to_owned());
    }
    let last = ways.pop()?;
    let ways = if ways.is_empty() { last } else { format!("{} or {last}", ways.join(", ")) };
    Some(format!("{ways} would take it out"))
}

/// A time as somebody would say it.
pub(crate) fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0 => format!("{}ms", time.as_millis()),
        1..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h{}m", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{}d{}h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}
