//! What the admin API shows of recoveries.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use loadweaver_telemetry::rfc3339;
use serde::Serialize;
use utoipa::ToSchema;

use crate::problems::{NAMED, Problem, Subject};
use crate::words::several;

use super::case::{Attempt, Case, Outcome, Phase, Stage, Totals};
use super::process::Seen;
use super::ward::{Hold, Ward};

/// A pool with a recovery.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PoolRecovery)]
pub(crate) struct PoolView {
    pub(crate) pool: String,
    /// Why nothing is begun, while that is so.
    pub(crate) held: Option<HeldView>,
    #[serde(flatten)]
    pub(crate) totals: TotalsView,
    /// Those that have a recovery, by id.
    pub(crate) servers: Vec<ServerView>,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = RecoveryHold)]
pub(crate) struct HeldView {
    pub(crate) since: String,
    pub(crate) reason: String,
}

/// Attempts, added up.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = RecoveryTotals)]
pub(crate) struct TotalsView {
    pub(crate) attempts: u64,
    pub(crate) successes: u64,
    pub(crate) failures: u64,
    /// Successes as a share of successes and failures, 0 to 1.
    pub(crate) success_rate: Option<f64>,
    /// Milliseconds from going out to being well, over all successes.
    pub(crate) mean_time_to_recover: Option<f64>,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ServerRecovery)]
pub(crate) struct ServerView {
    pub(crate) server: String,
    /// `command`, `http` or `process`.
    pub(crate) action: &'static str,
    /// `idle`, `waiting`, `held`, `acting`, `watching` or `given_up`.
    pub(crate) state: &'static str,
    /// When the next attempt is due, or the one under way is over at the latest.
    pub(crate) until: Option<String>,
    /// Attempts in a row, since the server was last well for a while.
    pub(crate) attempts_in_a_row: u32,
    #[serde(flatten)]
    pub(crate) totals: TotalsView,
    /// The newest first.
    pub(crate) last_attempts: Vec<AttemptView>,
    /// Where LoadWeaver runs the server itself.
    pub(crate) process: Option<ProcessView>,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = RecoveryAttempt)]
pub(crate) struct AttemptView {
    pub(crate) attempt: u32,
    pub(crate) started_at: String,
    /// `down`, `exit` or `operator`.
    pub(crate) cause: &'static str,
    /// Why the server was out.
    pub(crate) reason: String,
    /// `under_way`, `succeeded`, `failed` or `cut_short`.
    pub(crate) outcome: &'static str,
    /// What went wrong.
    pub(crate) problem: Option<String>,
    /// Milliseconds from its beginning to its outcome.
    pub(crate) took: Option<f64>,
    /// The last 4 KiB of what the action said.
    pub(crate) output: String,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = RecoveryProcess)]
pub(crate) struct ProcessView {
    /// Its process group; none while it does not run.
    pub(crate) pid: Option<u32>,
    pub(crate) started_at: Option<String>,
    pub(crate) starts: u64,
}

/// `clock` turns times into points of time; `seen` knows the processes.
pub(super) fn of(
    name: &str,
    ward: &Ward,
    clock: &impl Fn(Duration) -> SystemTime,
    seen: impl Fn(&Arc<str>) -> Option<Seen>,
) -> PoolView {
    let stamp = |time: Duration| rfc3339(clock(time));
    let held = ward.held.as_ref();
    PoolView {
        pool: name.to_owned(),
        held: held.map(|hold| HeldView { since: stamp(hold.since), reason: hold.reason.clone() }),
        totals: totals(&ward.totals),
        servers: ward
            .cases
            .iter()
            .filter_map(|(id, case)| server(id, case, ward.held.is_some(), &stamp, seen(id)))
            .collect(),
    }
}

fn server(
    id: &str,
    case: &Case,
    held: bool,
    stamp: &impl Fn(Duration) -> String,
    seen: Option<Seen>,
) -> Option<ServerView> {
    let rules = case.rules.as_ref()?;
    let (state, until) = match &case.phase {
        Phase::Idle => ("idle", None),
        Phase::Waiting { .. } if held && !case.gone => ("held", None),
        Phase::Waiting { until } => ("waiting", Some(*until)),
        Phase::GivenUp => ("given_up", None),
        Phase::UnderWay(under_way) => match under_way.stage {
            Stage::Acting => ("acting", None),
            Stage::Watching { until, .. } => ("watching", Some(until)),
        },
    };
    Some(ServerView {
        server: id.to_owned(),
        action: rules.action.name(),
        state,
        until: until.map(stamp),
        attempts_in_a_row: case.made,
        totals: totals(&case.totals),
        last_attempts: case.last.iter().rev().map(|each| attempt(each, stamp)).collect(),
        process: seen.map(|seen| ProcessView {
            pid: seen.pid,
            started_at: seen.started.map(rfc3339),
            starts: seen.starts,
        }),
    })
}

/// What somebody ought to look at.
pub(super) fn problems<'a>(pool: &'a str, ward: &'a Ward) -> impl Iterator<Item = Problem> {
    let held = ward.held.as_ref().map(|hold| {
        let what = format!("Recovery of pool {pool} is held");
        Problem::warning(Subject::Recovery, what, hold.reason.clone()).of_pool(pool)
    });
    let given_up = || ward.cases.iter().filter(|(_, case)| matches!(case.phase, Phase::GivenUp));
    let count = given_up().count();
    let each = given_up().take(if count > NAMED { 0 } else { count }).map(move |(id, case)| {
        let what = format!("Recovery of {id} (pool {pool}) was given up");
        let why = format!("after {} in a row", several(case.made as usize, "attempt"));
        Problem::warning(Subject::Recovery, what, why).of_server(pool, id)
    });
    let together = (count > NAMED).then(|| {
        let what = format!("Recovery of {} of pool {pool} was given up", several(count, "server"));
        Problem::warning(Subject::Recovery, what, String::new()).of_pool(pool)
    });
    held.into_iter().chain(each).chain(together)
}

/// What is done to bring a server back, in a sentence; none where nothing is.
pub(super) fn outlook(
    case: &Case,
    held: Option<&Hold>,
    now: Duration,
    clock: &impl Fn(Duration) -> SystemTime,
) -> Option<String> {
    let stamp = |time: Duration| rfc3339(clock(time));
    let (action, made) = (case.rules.as_ref()?.action.name(), case.made);
    Some(match (&case.phase, held.filter(|_| !case.gone)) {
        (Phase::Idle, _) => return None,
        (Phase::Waiting { .. }, Some(why)) => {
            format!("recovery by {action} is held since {}: {}", stamp(why.since), why.reason)
        }
        (Phase::Waiting { until }, None) if *until <= now => {
            format!("recovery by {action}: attempt {} is due, and waits for another one to end", made + 1)
        }
        (Phase::Waiting { until }, None) => {
            format!("recovery by {action}: attempt {} is due at {}", made + 1, stamp(*until))
        }
        (Phase::GivenUp, _) => format!(
            "recovery by {action} has given up after {made} in a row; POST /api/servers/{{serverId}}/recover makes another attempt"
        ),
        (Phase::UnderWay(under_way), _) => match under_way.stage {
            Stage::Acting => format!("recovery by {action}: attempt {made} is under way"),
            Stage::Watching { until, .. } => format!(
                "recovery by {action}: attempt {made} has acted, and the server has until {} to be well",
                stamp(until)
            ),
        },
    })
}

fn attempt(attempt: &Attempt, stamp: &impl Fn(Duration) -> String) -> AttemptView {
    let (outcome, problem) = match &attempt.outcome {
        Outcome::Open => ("under_way", None),
        Outcome::Succeeded => ("succeeded", None),
        Outcome::Failed(why) => ("failed", Some(why.clone())),
        Outcome::CutShort(why) => ("cut_short", Some(why.clone())),
    };
    AttemptView {
        attempt: attempt.number,
        started_at: stamp(attempt.began),
        cause: attempt.cause.name(),
        reason: attempt.reason.clone(),
        outcome,
        problem,
        took: attempt.took.map(milliseconds),
        output: attempt.output.clone(),
    }
}

fn totals(totals: &Totals) -> TotalsView {
    TotalsView {
        attempts: totals.attempts,
        successes: totals.successes,
        failures: totals.failures,
        success_rate: totals.rate(),
        mean_time_to_recover: totals.mean_time_to_recover().map(milliseconds),
    }
}

fn milliseconds(time: Duration) -> f64 {
    // Whole ones: what is measured takes seconds. Exact up to 49 days, and there it stops.
    f64::from(u32::try_from(time.as_millis()).unwrap_or(u32::MAX))
}
