//! What is wrong now, in words, the worst first: what the dashboard and `loadweaver top` have at their head.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use loadweaver_policy::admission::Grounds;
use loadweaver_proxy::tls::Certificate;
use loadweaver_proxy::{PoolState, Snapshot};
use serde::Serialize;
use utoipa::ToSchema;

use crate::coordinator::View;
use crate::rates::Rate;
use crate::readiness::Stage;
use crate::words::{percent, several, span};

/// Things of a kind that are named one by one; more are counted.
pub(crate) const NAMED: usize = 5;

/// Seconds that the share of errors is over.
pub(crate) const WINDOW: u64 = 10;

/// Share of answers with 5xx from which on it is said, and from which on it is bad.
const SOME_ERRORS: f64 = 0.01;
const MANY_ERRORS: f64 = 0.05;

/// How bad it is; the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Severity {
    /// Clients notice, or are about to.
    Critical,
    /// Few of them do, or none yet.
    Warning,
}

/// What a problem is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Subject {
    Certificate,
    Config,
    Node,
    Pool,
    Recovery,
    Server,
    Traffic,
    Webhook,
}

/// One thing that is wrong now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Problem {
    pub(crate) severity: Severity,
    pub(crate) subject: Subject,
    /// The problem, in a few words.
    #[schema(example = "127.0.0.1:3001 (pool app) is down")]
    pub(crate) what: String,
    /// Why, or for how long.
    #[schema(example = "connection refused, for 12 s")]
    pub(crate) why: String,
    /// The pool that it is about, where it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pool: Option<String>,
    /// The id of the server that it is about, where it is about one.
    #[serde(rename = "serverId", skip_serializing_if = "Option::is_none")]
    pub(crate) server: Option<String>,
}

impl Problem {
    pub(crate) fn critical(subject: Subject, what: String, why: String) -> Self {
        Self { severity: Severity::Critical, subject, what, why, pool: None, server: None }
    }

    pub(crate) fn warning(subject: Subject, what: String, why: String) -> Self {
        Self { severity: Severity::Warning, ..Self::critical(subject, what, why) }
    }

    pub(crate) fn of_pool(self, pool: &str) -> Self {
        Self { pool: Some(pool.to_owned()), ..self }
    }

    pub(crate) fn of_server(self, pool: &str, server: &str) -> Self {
        Self { server: Some(server.to_owned()), ..self.of_pool(pool) }
    }
}

/// What can be looked at.
pub(crate) struct Scene<'a> {
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) stage: Stage,
    /// A second, over the last [`WINDOW`] seconds.
    pub(crate) lately: Rate,
    /// None before there is a data plane.
    pub(crate) config: Option<&'a View>,
    /// What webhooks and recoveries say of themselves.
    pub(crate) told: Vec<Problem>,
}

/// All of it, and a sentence on it.
pub(crate) fn look(scene: Scene<'_>, now: SystemTime) -> (String, Vec<Problem>) {
    let mut all = Vec::new();
    for pool in &scene.snapshot.pools {
        of_pool(pool, &mut all);
    }
    all.extend(of_errors(scene.lately));
    all.extend(of_stage(scene.stage));
    if let Some(config) = scene.config {
        of_config(config, now, &mut all);
    }
    of_certificates(scene.snapshot, now, &mut all);
    all.extend(scene.told);
    all.sort_by_key(|problem| problem.severity);
    (summary(scene.snapshot, &all), all)
}

fn summary(snapshot: &Snapshot, all: &[Problem]) -> String {
    if let [worst, rest @ ..] = all {
        let more = if rest.is_empty() { String::new() } else { format!(", and {} more", rest.len()) };
        return format!("{}{more}.", worst.what);
    }
    let total: usize = snapshot.pools.iter().map(|pool| pool.servers.len()).sum();
    let up: usize = snapshot.pools.iter().map(|pool| pool.up_count()).sum();
    if up == total {
        format!("All is well. All {total} servers may have new requests.")
    } else {
        format!(
            "All is well. {up} of {total} servers may have new requests; the others were put aside by hand or not yet probed."
        )
    }
}

/// A server that is not well: its id, the word for it, why, and since when.
struct Sick {
    id: Arc<str>,
    state: &'static str,
    reason: String,
    since: Duration,
    /// It gets requests all the same.
    lets_in: bool,
}

fn of_pool(pool: &PoolState, all: &mut Vec<Problem>) {
    let (mut well, mut in_panic, mut away) = (0_usize, false, true);
    let looked = pool.survey(|server, seen| {
        away &= seen.grounds == Grounds::Away;
        in_panic |= seen.grounds == Grounds::Panic;
        match seen.grounds {
            Grounds::Well => well += 1,
            Grounds::Away | Grounds::Waiting => {}
            Grounds::HeldOut
            | Grounds::LastResort
            | Grounds::Sick
            | Grounds::Panic
            | Grounds::Unreachable => {
                return Some(Sick {
                    id: Arc::clone(&server.config.id),
                    state: seen.health.state().name(),
                    reason: seen.health.reason().to_owned(),
                    since: seen.health.since(),
                    lets_in: seen.grounds.lets_in(),
                });
            }
        }
        None
    });
    let sick: Vec<Sick> = looked.into_iter().flatten().collect();
    let (name, total) = (&pool.config.name, pool.servers.len());
    let mut of_all =
        |what: String, why: String| all.push(Problem::critical(Subject::Pool, what, why).of_pool(name));
    let lets_in = sick.iter().filter(|server| server.lets_in).count();
    if total > 0 && well + lets_in == 0 {
        let why = if away {
            "all of them are drained, in maintenance, or of weight 0".to_owned()
        } else {
            format!("0 of {total} are up")
        };
        of_all(format!("Pool {name} has no server for new requests"), why);
    } else if well == 0 && lets_in > 0 {
        let why = "they get requests all the same, since there is none better".to_owned();
        of_all(format!("No server of pool {name} is well"), why);
    } else if in_panic {
        let why = format!(
            "{} of {total} are not, and {lets_in} of those get requests all the same (panicPercent)",
            sick.len()
        );
        of_all(format!("Too few servers of pool {name} are well"), why);
    }
    tell_sick(pool, &sick, all);
}

fn tell_sick(pool: &PoolState, sick: &[Sick], all: &mut Vec<Problem>) {
    let (name, now) = (&pool.config.name, pool.now());
    if sick.len() <= NAMED {
        all.extend(sick.iter().map(|Sick { id, state, reason, since, .. }| {
            let what = format!("{id} (pool {name}) is {state}");
            let span = span(now.saturating_sub(*since).as_secs_f64());
            let why = if reason.is_empty() { format!("for {span}") } else { format!("{reason}, for {span}") };
            Problem::warning(Subject::Server, what, why).of_server(name, id)
        }));
        return;
    }
    let reasons: BTreeSet<&str> = sick.iter().map(|server| server.reason.as_str()).collect();
    let why = match reasons.first() {
        Some(only) if reasons.len() == 1 => (*only).to_owned(),
        _ => format!("for {}", several(reasons.len(), "reason")),
    };
    let what = format!("{} of pool {name} are not well", several(sick.len(), "server"));
    all.push(Problem::warning(Subject::Server, what, why).of_pool(name));
}

fn of_errors(lately: Rate) -> Option<Problem> {
    if lately.errors <= 0.0 {
        return None;
    }
    let share = (lately.errors / lately.requests).min(1.0);
    let make = match share {
        share if share >= MANY_ERRORS => Problem::critical,
        share if share >= SOME_ERRORS => Problem::warning,
        _ => return None,
    };
    let what = format!("{} of answers are errors", percent(share));
    Some(make(Subject::Traffic, what, "status 500 or more, over the last ten seconds".to_owned()))
}

fn of_stage(stage: Stage) -> Option<Problem> {
    let why = match stage {
        Stage::Ready => return None,
        Stage::Starting => "not all of it serves yet",
        Stage::Draining => "it ends when the exchanges under way are finished",
    };
    Some(Problem::warning(Subject::Node, format!("LoadWeaver is {}", stage.name()), why.to_owned()))
}

fn of_config(view: &View, now: SystemTime, all: &mut Vec<Problem>) {
    let mut warn =
        |what: &str, why: String| all.push(Problem::warning(Subject::Config, what.to_owned(), why));
    if let Some(refused) = &view.refused {
        let ago = span(now.duration_since(refused.at).unwrap_or_default().as_secs_f64());
        let why = format!("{} ({}, {ago} ago)", refused.reason, refused.origin);
        warn("The last change of the configuration was refused", why);
    }
    if let Some(until) = view.confirm_until {
        let version = view.versions.last().map_or(0, |version| version.number);
        let left = span(until.duration_since(now).unwrap_or_default().as_secs_f64());
        warn(&format!("Version {version} waits to be confirmed"), format!("it is undone in {left}"));
    }
    if let Some(why) = &view.unsaved {
        warn("The configuration in force is not in the file", why.clone());
    }
}

/// Certificates that are over, soon will be, or are not good yet.
fn of_certificates(snapshot: &Snapshot, now: SystemTime, all: &mut Vec<Problem>) {
    for front in snapshot.fronts() {
        let holder = || format!("listener {}", front.listener());
        all.extend(of_holder(holder, &front.certificates(), now));
    }
    for (pool, back) in snapshot.security.named_backs() {
        let certificates: Vec<_> = back.certificate().cloned().into_iter().collect();
        let told = of_holder(|| format!("pool {pool}"), &certificates, now);
        all.extend(told.into_iter().map(|problem| problem.of_pool(pool)));
    }
}

fn of_holder(
    holder: impl Fn() -> String,
    certificates: &[Arc<Certificate>],
    now: SystemTime,
) -> Vec<Problem> {
    let mut files = BTreeSet::new();
    let mut told = Vec::new();
    for certificate in certificates {
        let (make, is, when): (fn(_, _, _) -> _, _, _) = if let Some(over) = certificate.expired(now) {
            (Problem::critical, "has expired", format!("{over} ago"))
        } else if let Some(left) = certificate.expires_soon(now) {
            (Problem::warning, "expires soon", format!("in {left}"))
        } else if let Some(wait) = certificate.begins_later(now) {
            (Problem::critical, "is not valid yet", format!("in {wait} it is"))
        } else {
            continue;
        };
        // Listed twice it is doubtful, and no second problem.
        if files.insert(&certificate.files().cert) {
            let file = certificate.files().cert.display();
            told.push(make(Subject::Certificate, format!("Certificate {file} of {} {is}", holder()), when));
        }
    }
    if told.len() <= NAMED {
        return told;
    }
    let severity = told.iter().map(|problem| problem.severity).min().unwrap_or(Severity::Warning);
    let what = format!(
        "{} of {} have expired, expire soon, or are not valid yet",
        several(told.len(), "certificate"),
        holder()
    );
    let first = told.swap_remove(0);
    vec![Problem {
        severity,
        ..Problem::warning(Subject::Certificate, what, format!("the first: {}, {}", first.what, first.why))
    }]
}

#[cfg(test)]
mod tests;
