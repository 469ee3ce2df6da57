//! Connections that were cut for what they did.

use std::collections::HashMap;
use std::time::Duration;

use loadweaver_http2::Abuse;

use crate::deadline::{Nanos, nanos};

/// How often one kind of attack is told of.
const TELLING: Duration = Duration::from_secs(10);

/// By the kind of attack: an attacker who comes back at once shall fill neither the history of events nor anybody's
/// inbox. Nothing is held against an address: many may share it.
#[derive(Debug, Default)]
pub(crate) struct Cuts(HashMap<&'static str, Cut>);

#[derive(Debug, Default)]
struct Cut {
    untold: u64,
    /// When it may be told again.
    again: Nanos,
}

impl Cuts {
    /// Counts one more; says how many there are to tell of, if it is time.
    pub(crate) fn count(&mut self, abuse: Abuse, now: Nanos) -> Option<u64> {
        let cut = self.0.entry(abuse.name()).or_default();
        cut.untold += 1;
        if now < cut.again {
            return None;
        }
        cut.again = now.saturating_add(nanos(TELLING));
        Some(std::mem::take(&mut cut.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_kind_of_attack_is_told_of_now_and_then() {
        let mut cuts = Cuts::default();
        let mut count = |now| cuts.count(Abuse::RapidReset, now);
        assert_eq!(count(0), Some(1));
        assert_eq!((count(1), count(2)), (None, None));
        assert_eq!(count(nanos(TELLING)), Some(3));
    }
}
