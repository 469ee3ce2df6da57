//! When a request is tried again.

use crate::bounds;
use crate::issue::{Fault, Report, shown};
use crate::model::pool::{Retry, RetryOn};
use crate::shape;
use crate::spot::{Section, Spot};
use crate::suggest;

use super::probe;

/// What may stand in `on` besides statuses.
const WORDS: [&str; 4] = ["connect_failure", "reset", "timeout", "unavailable"];

pub(super) fn retry(spot: &Spot<'_>, report: &mut Report) -> Option<Retry> {
    let section = Section::open(spot, &shape::RETRY, report)?;
    let mut retry = Retry::default();
    section
        .set("attempts", report, &mut retry.attempts, |spot, report| spot.number(report, &bounds::ATTEMPTS));
    section.set("on", report, &mut retry.on, retry_on);
    section.set("perTryTimeout", report, &mut retry.per_try_timeout, |spot, report| {
        spot.duration(report, &bounds::OPTIONAL)
    });
    section.set("budgetPercent", report, &mut retry.budget_percent, |spot, report| {
        spot.number(report, &bounds::BUDGET_PERCENT)
    });
    section.set("budgetFloor", report, &mut retry.budget_floor, |spot, report| {
        spot.number(report, &bounds::BUDGET_FLOOR)
    });
    section.set("bufferBody", report, &mut retry.buffer_body, |spot, report| {
        spot.size(report, &bounds::BUFFER_BODY).and_then(|size| usize::try_from(size).ok())
    });
    section.set("nonIdempotent", report, &mut retry.non_idempotent, Spot::flag);
    if retry.attempts > 1 && retry.budget_percent == 0 && retry.budget_floor == 0 {
        let problem = "the retry budget is 0, so nothing is tried again";
        report.warn(
            section.at(),
            Fault::new(problem, "raise \"budgetPercent\" or \"budgetFloor\", or write \"attempts\": 1"),
        );
    }
    Some(retry)
}

fn retry_on(spot: &Spot<'_>, report: &mut Report) -> Option<RetryOn> {
    let mut on = RetryOn {
        connect_failure: false,
        reset: false,
        timeout: false,
        unavailable: false,
        statuses: Vec::new(),
    };
    for entry in spot.list(report, "reasons such as \"connect_failure\" or \"503\"")? {
        match probe::text_of(&entry) {
            Some("connect_failure") => on.connect_failure = true,
            Some("reset") => on.reset = true,
            Some("timeout") => on.timeout = true,
            Some("unavailable") => on.unavailable = true,
            Some(word) if !word.starts_with(|first: char| first.is_ascii_digit()) => {
                let help = match suggest::nearest(word, WORDS) {
                    Some(near) => format!("did you mean \"{near}\"?"),
                    None => format!(
                        "write {}, a status such as \"503\", or a range such as \"500-599\"",
                        suggest::one_of(WORDS)
                    ),
                };
                entry.refuse(
                    report,
                    Fault::new(format!("{} is not a reason to try again", shown(word)), help),
                );
            }
            _ => on.statuses.extend(probe::status_range(&entry, probe::FAILURE_STATUS, report)),
        }
    }
    Some(on)
}
