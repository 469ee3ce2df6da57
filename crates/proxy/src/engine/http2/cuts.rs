//! Connections that were cut for what they did, and where they came from.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use loadweaver_http2::Abuse;

use crate::deadline::{Nanos, nanos};

/// How often one kind of attack is told of.
const TELLING: Duration = Duration::from_secs(10);

/// How long an address is remembered after its last cut.
const SUSPICION: Duration = Duration::from_secs(10);

/// Exchanges at once on a connection from there. What an attacker costs between his connection and the cut is mostly
/// the requests that were let through (CVE-2023-44487); somebody else behind the same address still loads a page.
pub(crate) const SUSPECTED_STREAMS: u32 = 8;

/// Addresses that are remembered, for each worker: 40 KiB. Whoever has more of them has them all.
const SUSPECTS: usize = 1024;

/// What one worker knows of attackers. One who comes back at once shall fill neither the history of events nor anybody's
/// inbox, and shall not find what he found the first time.
#[derive(Debug, Default)]
pub(crate) struct Cuts {
    kinds: HashMap<&'static str, Cut>,
    /// Until when each is remembered.
    suspects: HashMap<IpAddr, Nanos>,
}

#[derive(Debug, Default)]
struct Cut {
    untold: u64,
    /// When it may be told again.
    again: Nanos,
}

impl Cuts {
    /// Counts one more; says how many there are to tell of, if it is time. Clients of a Unix socket have no address.
    pub(crate) fn count(&mut self, abuse: Abuse, client: Option<IpAddr>, now: Nanos) -> Option<u64> {
        if let Some(client) = client {
            self.remember(client, now);
        }
        let cut = self.kinds.entry(abuse.name()).or_default();
        cut.untold += 1;
        if now < cut.again {
            return None;
        }
        cut.again = now.saturating_add(nanos(TELLING));
        Some(std::mem::take(&mut cut.untold))
    }

    /// Whether a connection from there was cut a while ago.
    pub(crate) fn suspects(&self, client: IpAddr, now: Nanos) -> bool {
        // The usual case costs nothing.
        !self.suspects.is_empty() && self.suspects.get(&network(client)).is_some_and(|until| now < *until)
    }

    fn remember(&mut self, client: IpAddr, now: Nanos) {
        let until = now.saturating_add(nanos(SUSPICION));
        if self.suspects.len() >= SUSPECTS {
            self.suspects.retain(|_, until| now < *until);
        }
        if self.suspects.len() < SUSPECTS {
            self.suspects.insert(network(client), until);
        }
    }
}

/// What one party has for itself: an address of IPv4, 64 bits of IPv6.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn cut(cuts: &mut Cuts, client: IpAddr, now: Nanos) -> Option<u64> {
        cuts.count(Abuse::RapidReset, Some(client), now)
    }

    #[test]
    fn an_address_is_suspected_for_a_while_and_its_neighbours_are_not() {
        let (mut cuts, began) = (Cuts::default(), 7);
        assert!(!cuts.suspects(address("192.0.2.1"), began));
        cut(&mut cuts, address("192.0.2.1"), began);
        cut(&mut cuts, address("2001:db8::1"), began);
        let end = began + nanos(SUSPICION);
        for (suspect, expected) in [
            ("192.0.2.1", true),
            ("::ffff:192.0.2.1", true),
            ("192.0.2.2", false),
            ("2001:db8::2", true),
            ("2001:db8:0:1::1", false),
        ] {
            assert_eq!(cuts.suspects(address(suspect), end - 1), expected, "{suspect}");
            assert!(!cuts.suspects(address(suspect), end), "{suspect}");
        }
    }

    #[test]
    fn so_many_are_remembered_and_no_more() {
        let mut cuts = Cuts::default();
        for number in 0..2000_u32 {
            cut(&mut cuts, std::net::Ipv4Addr::from_bits(number).into(), 0);
        }
        assert_eq!(cuts.suspects.len(), SUSPECTS);
        // Those of yesterday make room.
        let later = nanos(SUSPICION);
        cut(&mut cuts, address("192.0.2.1"), later);
        assert_eq!(cuts.suspects.len(), 1);
        assert!(cuts.suspects(address("192.0.2.1"), later));
    }

    #[test]
    fn one_kind_of_attack_is_told_of_now_and_then() {
        let mut cuts = Cuts::default();
        let mut count = |now| cut(&mut cuts, address("192.0.2.1"), now);
        assert_eq!(count(0), Some(1));
        assert_eq!((count(1), count(2)), (None, None));
        assert_eq!(count(nanos(TELLING)), Some(3));
    }
}
