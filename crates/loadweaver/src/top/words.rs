//! What is wrong now, the worst first: what the node says of itself, and what it cannot say.

use loadweaver_control::words::span;

use super::format::{clock, moment};
use super::known::{Known, own_clock};
use super::shapes::{Problem, Severity, Text};

/// All of it.
pub(super) fn problems(known: &Known) -> Vec<Problem> {
    let critical = |what: String, why: &str| Problem {
        severity: Severity::Critical,
        what: Text::new(&what),
        why: Text::new(why),
        pool: None,
        server: None,
    };
    // Whatever else is said may be over by now.
    let lost = known.lost.as_ref().map(|loss| {
        let gone = span(own_clock() - loss.since);
        let what = format!("No connection since {} ({gone})", clock(loss.since));
        critical(what, &format!("{}; trying again. What is shown is from before", loss.why))
    });
    let silent = known.silence().filter(|_| lost.is_none()).map(|silence| {
        let why = "the node takes its time to answer. What is shown is from before";
        critical(format!("No news for {}", span(silence)), why)
    });
    lost.into_iter().chain(silent).chain(known.problems.problems.iter().cloned()).collect()
}

/// A reason with how long it has been so.
pub(super) fn for_so_long(reason: &Text, since: &Text, known: &Known) -> String {
    match moment(since) {
        Some(since) if reason.is_empty() => format!("for {}", span(known.now() - since)),
        Some(since) => format!("{reason}, for {}", span(known.now() - since)),
        None => reason.to_string(),
    }
}
