//! What is said about lists of servers, which is not found out anew.

use crate::Parsed;
use crate::check::{server_pointer, servers_pointer, without_weight};
use crate::issue::{Issue, MAX_KEPT};
use crate::model::pool::Pool;

/// Whether all that is said about servers is which of them get nothing: that is told by what they are.
pub(super) fn are_plain(parsed: &Parsed) -> bool {
    let is_plain = |pool: &Pool| {
        let at = format!("{}/", servers_pointer(&pool.name));
        let said = parsed.warnings.iter().filter(|issue| issue.at.starts_with(&at)).count();
        said == pool.servers.tally().weightless
    };
    parsed.warnings.is_empty() || parsed.warnings.len() < MAX_KEPT && parsed.config.pools.iter().all(is_plain)
}

/// The warnings after a change of a pool's servers that neither brings another kind of warning nor takes one away;
/// none where there is more to say about the servers than which of them have no weight.
pub(super) fn after(warnings: &[Issue], before: &Pool, after: &Pool) -> Option<Vec<Issue>> {
    let at = servers_pointer(&before.name);
    let is_of_servers = |issue: &Issue| {
        issue.at.strip_prefix(&at).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let (was, is) = (before.servers.tally().weightless, after.servers.tally().weightless);
    let said = warnings.iter().filter(|issue| is_of_servers(issue)).count();
    // Above that number only some are kept.
    if said != was || warnings.len() - was + is >= MAX_KEPT || warnings.len() >= MAX_KEPT {
        return None;
    }
    if (was, is) == (0, 0) {
        return Some(warnings.to_vec());
    }
    // They are said together, at the place of the first.
    let first = warnings.iter().position(is_of_servers)?;
    let rest = warnings.iter().skip(first).filter(|issue| !is_of_servers(issue));
    let light = after.servers.iter().enumerate().filter(|(_, server)| server.weight == 0);
    let new = light.map(|(index, server)| without_weight(server).at(server_pointer(&before.name, index)));
    let whole = warnings.iter().take(first).cloned().chain(new).chain(rest.cloned());
    Some(whole.collect())
}
