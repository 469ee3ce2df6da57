//! What is wrong now, in words, the worst first: what the dashboard and `loadweaver top` have at their head.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use loadweaver_config::ServerState as Wanted;
use loadweaver_policy::health;
use loadweaver_proxy::{PoolState, Snapshot};
use serde::Serialize;
use utoipa::ToSchema;

use crate::coordinator::View;
use crate::rates::Rate;
use crate::readiness::Stage;
use crate::words::{percent, several, span};

/// Servers of a pool that are named one by one; more are counted.
const NAMED: usize = 5;

/// Share of answers with 5xx from which on it is said, and from which on it is bad.
const SOME_ERRORS: f64 = 0.01;
const MANY_ERRORS: f64 = 0.05;

/// How bad it is; the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Severity {
    /// Clients notice.
    Critical,
    /// They do not yet.
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

/// One thing that is wrong.
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
    /// What the snapshot's times count from.
    pub(crate) started: SystemTime,
    pub(crate) stage: Stage,
    /// Of the last ten seconds.
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
        all.extend(without_servers(pool));
        all.extend(sick(pool, now.duration_since(scene.started).unwrap_or_default()));
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

fn without_servers(pool: &PoolState) -> Option<Problem> {
    if pool.up_count() > 0 || pool.servers.is_empty() {
        return None;
    }
    let by_hand = pool.servers.iter().all(|server| server.config.state != Wanted::Active);
    let why = if by_hand {
        "all of them are drained or in maintenance".to_owned()
    } else {
        format!("0 of {} are up", pool.servers.len())
    };
    let name = &pool.config.name;
    let what = format!("Pool {name} has no server for new requests");
    Some(Problem::critical(Subject::Pool, what, why).of_pool(name))
}

/// Servers that should have requests, and are not well enough.
fn sick(pool: &PoolState, now: Duration) -> Vec<Problem> {
    if pool.up_count() == pool.servers.len() {
        return Vec::new();
    }
    let out = pool.servers.iter().enumerate().filter_map(|(place, server)| {
        let wanted = server.config.state == Wanted::Active && !server.is_eligible();
        let health = wanted.then(|| pool.health(place))?;
        let is_sick = matches!(health.state, health::State::Down | health::State::Unstable);
        is_sick.then_some((&*server.config.id, health))
    });
    let out: Vec<_> = out.collect();
    let name = &pool.config.name;
    if out.len() <= NAMED {
        let one = |(id, health): &(&str, loadweaver_proxy::HealthView)| {
            let what = format!("{id} (pool {name}) is {}", health.state.name());
            let span = span(now.saturating_sub(health.since).as_secs_f64());
            let why = if health.reason.is_empty() {
                format!("for {span}")
            } else {
                format!("{}, for {span}", health.reason)
            };
            Problem::warning(Subject::Server, what, why).of_server(name, id)
        };
        return out.iter().map(one).collect();
    }
    let reasons: BTreeSet<&str> = out.iter().map(|(_, health)| health.reason.as_str()).collect();
    let why = match reasons.first() {
        Some(only) if reasons.len() == 1 => (*only).to_owned(),
        _ => format!("for {}", several(reasons.len(), "reason")),
    };
    let what = format!("{} of pool {name} are out", several(out.len(), "server"));
    vec![Problem::warning(Subject::Server, what, why).of_pool(name)]
}

fn of_errors(lately: Rate) -> Option<Problem> {
    if lately.requests < 1.0 {
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

/// Certificates that are over, or soon will be.
fn of_certificates(snapshot: &Snapshot, now: SystemTime, all: &mut Vec<Problem>) {
    let fronts = snapshot.fronts().flat_map(|front| {
        front.certificates().into_iter().map(|one| (format!("listener {}", front.listener()), one))
    });
    let backs = snapshot
        .security
        .named_backs()
        .filter_map(|(pool, back)| Some((format!("pool {pool}"), back.certificate()?.clone())));
    for (holder, certificate) in fronts.chain(backs) {
        let file = certificate.files().cert.display();
        let problem = if let Some(over) = certificate.expired(now) {
            let what = format!("A certificate of {holder} has expired");
            Problem::critical(Subject::Certificate, what, format!("{file}, {over} ago"))
        } else if let Some(left) = certificate.expires_soon(now) {
            let what = format!("A certificate of {holder} expires soon");
            Problem::warning(Subject::Certificate, what, format!("{file}, in {left}"))
        } else {
            continue;
        };
        // Listed twice it is doubtful, and no second problem.
        if !all.contains(&problem) {
            all.push(problem);
        }
    }
}

#[cfg(test)]
mod tests;
