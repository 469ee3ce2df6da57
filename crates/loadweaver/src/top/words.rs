//! What is wrong now, in words, the worst first: as the dashboard has it (`dashboard/src/words.ts`).

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::format::{clock, moment, percent, several, span};
use super::known::{Known, own_clock};
use super::shapes::{Pool, Server, Text};

/// Servers of a pool that are named one by one; more are counted.
const NAMED: usize = 5;
/// Share of answers with 5xx from which on it is said, and from which on it is bad.
const SOME_ERRORS: f32 = 0.01;
const MANY_ERRORS: f32 = 0.05;

/// How bad it is; the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Grave {
    Bad,
    Warning,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Trouble {
    pub(super) grave: Grave,
    pub(super) what: String,
    pub(super) why: String,
}

fn bad(what: String, why: String) -> Trouble {
    Trouble { grave: Grave::Bad, what, why }
}

fn warning(what: String, why: String) -> Trouble {
    Trouble { grave: Grave::Warning, what, why }
}

/// All of it.
pub(super) fn troubles(known: &Known) -> Vec<Trouble> {
    let mut all = Vec::new();
    all.extend(known.pools.iter().filter_map(|pool| of_pool(pool, known)));
    of_servers(known, &mut all);
    all.extend(of_errors(known));
    of_node(known, &mut all);
    of_webhooks(known, &mut all);
    of_recoveries(known, &mut all);
    all.sort_by_key(|trouble| trouble.grave);
    // Whatever else is said may be over by now.
    let lost = known.lost.as_ref().map(|loss| {
        let gone = span(own_clock() - loss.since);
        let what = format!("No connection since {} ({gone})", clock(loss.since));
        bad(what, format!("{}; trying again. What is shown is from before", loss.why))
    });
    let silent = known.silence().filter(|_| lost.is_none()).map(|silence| {
        let why = "the node takes its time to answer. What is shown is from before";
        bad(format!("No news for {}", span(silence)), why.to_owned())
    });
    lost.into_iter().chain(silent).chain(all).collect()
}

/// What to say where nothing is wrong.
pub(super) fn all_is_well(known: &Known) -> String {
    let total: usize = known.pools.iter().map(|pool| pool.total).sum();
    let up: usize = known.pools.iter().map(|pool| pool.up).sum();
    if up == total {
        format!("All is well. All {total} servers may have new requests.")
    } else {
        format!(
            "All is well. {up} of {total} servers may have new requests; the others were put aside by hand or not yet probed."
        )
    }
}

fn of_pool(pool: &Pool, known: &Known) -> Option<Trouble> {
    if pool.up > 0 || pool.total == 0 {
        return None;
    }
    let mut out = known.servers.iter().filter(|(server, _)| server.pool == pool.name).peekable();
    let by_hand = out.peek().is_some() && out.all(|(server, _)| &*server.state != "active");
    let why = if by_hand {
        "all of them are drained or in maintenance".to_owned()
    } else {
        format!("0 of {} are up", pool.total)
    };
    Some(bad(format!("Pool {} has no server for new requests", pool.name), why))
}

fn of_servers(known: &Known, all: &mut Vec<Trouble>) {
    let mut by_pool: BTreeMap<&Text, Vec<&Server>> = BTreeMap::new();
    for (server, _) in &known.servers {
        let is_sick = matches!(&*server.status, "down" | "unstable");
        if is_sick && !server.eligible && &*server.state == "active" {
            by_pool.entry(&server.pool).or_default().push(server);
        }
    }
    for (pool, servers) in by_pool {
        if servers.len() <= NAMED {
            all.extend(servers.into_iter().map(|server| {
                let why = for_so_long(&server.reason, &server.since, known);
                warning(format!("{} (pool {pool}) is {}", server.id, server.status), why)
            }));
            continue;
        }
        let reasons: BTreeSet<&Text> = servers.iter().map(|server| &server.reason).collect();
        let why = match reasons.iter().next() {
            Some(only) if reasons.len() == 1 => only.to_string(),
            _ => format!("for {}", several(reasons.len() as u64, "reason")),
        };
        all.push(warning(format!("{} of pool {pool} are out", several(servers.len() as u64, "server")), why));
    }
}

/// A reason with how long it has been so.
pub(super) fn for_so_long(reason: &Text, since: &Text, known: &Known) -> String {
    match moment(since) {
        Some(since) if reason.is_empty() => format!("for {}", span(known.now() - since)),
        Some(since) => format!("{reason}, for {}", span(known.now() - since)),
        None => reason.to_string(),
    }
}

fn of_errors(known: &Known) -> Option<Trouble> {
    let lately = known.seconds.node.lately();
    let share = lately.share().filter(|share| *share >= SOME_ERRORS && lately.requests >= 1.0)?;
    let what = format!("{} of answers are errors", percent(Some(share.into())));
    let why = "status 500 or more, over the last ten seconds".to_owned();
    Some(if share >= MANY_ERRORS { bad(what, why) } else { warning(what, why) })
}

fn of_node(known: &Known, all: &mut Vec<Trouble>) {
    if let Some(health) = known.health.as_ref().filter(|health| &*health.state != "ready") {
        let why = match &*health.state {
            "draining" => "it ends when the exchanges under way are finished",
            _ => "not all of it serves yet",
        };
        all.push(warning(format!("LoadWeaver is {}", health.state), why.to_owned()));
    }
    let versions = &known.versions;
    if let Some(refused) = &versions.refused {
        let ago =
            moment(&refused.at).map_or_else(String::new, |at| format!(", {} ago", span(known.now() - at)));
        let why = format!("{} ({}{ago})", refused.reason, refused.origin);
        all.push(warning("The last change of the configuration was refused".to_owned(), why));
    }
    if let Some(until) = &versions.confirm_until {
        let left = moment(until)
            .map_or_else(|| format!("at {until}"), |until| format!("in {}", span(until - known.now())));
        all.push(warning(
            format!("Version {} waits to be confirmed", versions.current),
            format!("it is undone {left}"),
        ));
    }
    if let Some(why) = &versions.unsaved {
        all.push(warning("The configuration in force is not in the file".to_owned(), why.to_string()));
    }
}

fn of_webhooks(known: &Known, all: &mut Vec<Trouble>) {
    for webhook in known.webhooks.iter().filter(|webhook| matches!(&*webhook.state, "failing" | "open")) {
        let error = webhook.last_error.as_deref().unwrap_or("no answer");
        let why = format!("{error}; {} waiting", several(webhook.waiting, "message"));
        all.push(warning(format!("Webhook {} is not delivered", webhook.name), why));
    }
}

fn of_recoveries(known: &Known, all: &mut Vec<Trouble>) {
    for pool in &known.recoveries {
        if let Some(held) = &pool.held {
            all.push(warning(format!("Recovery of pool {} is held", pool.pool), held.reason.to_string()));
        }
        for server in pool.servers.iter().filter(|server| &*server.state == "given_up") {
            let why = format!("after {} in a row", several(server.attempts_in_a_row, "attempt"));
            all.push(warning(format!("Recovery of {} was given up", server.server), why));
        }
    }
}
