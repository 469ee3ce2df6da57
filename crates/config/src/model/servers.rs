//! The servers of a pool, as many as they are.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::net::IpAddr;
use std::ops::{Deref, Range};
use std::sync::{Arc, Weak};

use super::pool::{Server, ServerState};

/// The servers of a pool, in written order. To clone thousands of them is to count one more owner, and where two lists
/// hold the same values at their ends that is found out without a look at any of them.
#[derive(Clone, Default)]
pub struct Servers(Arc<List>);

#[derive(Default)]
struct List {
    servers: Vec<Arc<Server>>,
    tally: Tally,
    /// What it was made from, and how much of that stands at its beginning and at its end.
    from: Option<(Weak<List>, (usize, usize))>,
}

/// How many servers there are of what few of them are, so that nobody goes through thousands to find none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// That take new traffic as far as their state says.
    pub active: usize,
    /// Without weight.
    pub weightless: usize,
    /// Whose names have to be looked up.
    pub named: usize,
    /// On Unix sockets.
    pub sockets: usize,
    /// With a recovery of their own.
    pub recoveries: usize,
}

impl Tally {
    fn of(server: &Server) -> Self {
        let socket = server.unix().is_some();
        Self {
            active: usize::from(server.state == ServerState::Active),
            weightless: usize::from(server.weight == 0),
            named: usize::from(!socket && server.host.parse::<IpAddr>().is_err()),
            sockets: usize::from(socket),
            recoveries: usize::from(server.recovery.is_some()),
        }
    }

    fn of_all(servers: &[Arc<Server>]) -> Self {
        let add = |all, server: &Arc<Server>| Self::of(server).joined(all, usize::wrapping_add);
        servers.iter().fold(Self::default(), add)
    }

    fn joined(self, all: Self, join: impl Fn(usize, usize) -> usize) -> Self {
        Self {
            active: join(all.active, self.active),
            weightless: join(all.weightless, self.weightless),
            named: join(all.named, self.named),
            sockets: join(all.sockets, self.sockets),
            recoveries: join(all.recoveries, self.recoveries),
        }
    }
}

impl Servers {
    /// How many there are of what few are.
    pub fn tally(&self) -> Tally {
        self.0.tally
    }

    /// The list with others in the place of some; none where there is no such place.
    #[must_use]
    pub fn spliced(&self, gone: Range<usize>, added: Vec<Arc<Server>>) -> Option<Self> {
        let (head, rest) = (self.get(..gone.start)?, self.get(gone.end..)?);
        let fewer = Tally::of_all(self.get(gone)?).joined(self.tally(), usize::wrapping_sub);
        let tally = Tally::of_all(&added).joined(fewer, usize::wrapping_add);
        let mut servers = Vec::with_capacity(head.len() + added.len() + rest.len());
        servers.extend_from_slice(head);
        servers.extend(added);
        servers.extend_from_slice(rest);
        debug_assert_eq!(tally, Tally::of_all(&servers));
        let from = Some((Arc::downgrade(&self.0), (head.len(), rest.len())));
        Some(Self(Arc::new(List { servers, tally, from })))
    }

    /// How many servers at the beginning of the two lists, and at their end, are the same values in memory. Where one
    /// was made from the other nobody has to look.
    pub fn common_ends(&self, other: &Self) -> (usize, usize) {
        if Arc::ptr_eq(&self.0, &other.0) {
            return (self.len(), 0);
        }
        let is_from = |child: &Self, parent: &Self| match &child.0.from {
            Some((from, ends)) if std::ptr::eq(from.as_ptr(), Arc::as_ptr(&parent.0)) => Some(*ends),
            _ => None,
        };
        if let Some(ends) = is_from(self, other).or_else(|| is_from(other, self)) {
            return ends;
        }
        let alike = |(one, other): &(&Arc<Server>, &Arc<Server>)| Arc::ptr_eq(one, other);
        let head = self.iter().zip(other.iter()).take_while(alike).count();
        let rest = self.len().min(other.len()) - head;
        let tail = self.iter().rev().zip(other.iter().rev()).take(rest).take_while(alike).count();
        (head, tail)
    }

    /// What stands between the ends that this list has in common with another one.
    pub fn between(&self, (head, tail): (usize, usize)) -> &[Arc<Server>] {
        self.get(head..self.len() - tail).unwrap_or_default()
    }

    /// Has servers that say the same as those of `known` stand in memory once. What is compared with that afterwards
    /// is the same by a look at where it stands, and of thousands that is nearly every one.
    pub fn share_with(&mut self, known: &Self) {
        let ends = self.common_ends(known);
        let candidates = known.between(ends);
        let mut by_id = None;
        let mut likely = candidates.iter();
        let mut same_as = |server: &Arc<Server>| {
            let same = likely.next().filter(|known| known == &server);
            same.or_else(|| {
                let ids = || candidates.iter().map(|server| (&*server.id, server)).collect();
                let by_id: &HashMap<&str, &Arc<Server>> = by_id.get_or_insert_with(ids);
                by_id.get(&*server.id).copied().filter(|known| known == &server)
            })
        };
        let found: Vec<_> = self.between(ends).iter().map(&mut same_as).collect();
        let is_from = |from: &(Weak<List>, _)| std::ptr::eq(from.0.as_ptr(), Arc::as_ptr(&known.0));
        if found.iter().all(Option::is_none) && self.0.from.as_ref().is_some_and(is_from) {
            // Made from that list, with others in it.
            return;
        }
        let own = self.between(ends).iter().zip(found);
        let mut between: VecDeque<_> = own.map(|(own, same)| same.unwrap_or(own).clone()).collect();
        // What is the same now at the ends of what is between.
        let (mut head, mut tail) = ends;
        let is_known = |place: usize, server: Option<&Arc<Server>>| {
            known.get(place).zip(server).is_some_and(|(known, server)| Arc::ptr_eq(known, server))
        };
        while head + tail < known.len() && is_known(head, between.front()) {
            between.pop_front();
            head += 1;
        }
        while head + tail < known.len() && is_known(known.len() - tail - 1, between.back()) {
            between.pop_back();
            tail += 1;
        }
        let shared = if between.is_empty() && head + tail == known.len() {
            Some(known.clone())
        } else {
            known.spliced(head..known.len() - tail, between.into())
        };
        // There is such a place: the two ends are of both lists.
        if let Some(shared) = shared {
            *self = shared;
        }
    }

    /// Changes the list by hand, which costs a look at each server.
    pub fn edit(&mut self, edit: impl FnOnce(&mut Vec<Arc<Server>>)) {
        let mut servers = self.to_vec();
        edit(&mut servers);
        *self = servers.into();
    }
}

impl Deref for Servers {
    type Target = [Arc<Server>];

    fn deref(&self) -> &Self::Target {
        &self.0.servers
    }
}

impl PartialEq for Servers {
    fn eq(&self, other: &Self) -> bool {
        let ends = self.common_ends(other);
        self.between(ends) == other.between(ends)
    }
}

impl fmt::Debug for Servers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.servers.fmt(f)
    }
}

impl From<Vec<Arc<Server>>> for Servers {
    fn from(servers: Vec<Arc<Server>>) -> Self {
        let tally = Tally::of_all(&servers);
        Self(Arc::new(List { servers, tally, from: None }))
    }
}

impl FromIterator<Arc<Server>> for Servers {
    fn from_iter<I: IntoIterator<Item = Arc<Server>>>(servers: I) -> Self {
        servers.into_iter().collect::<Vec<_>>().into()
    }
}

impl<'s> IntoIterator for &'s Servers {
    type Item = &'s Arc<Server>;
    type IntoIter = std::slice::Iter<'s, Arc<Server>>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    /// Servers of every kind, told apart by their ports.
    fn server(port: u16) -> Arc<Server> {
        let host = ["10.0.0.1", "app.test", "unix:/run/app.sock"].into_iter().cycle().nth(usize::from(port));
        Arc::new(Server {
            id: port.to_string().into(),
            host: host.unwrap().to_owned(),
            port,
            weight: u32::from(port % 2),
            max_connections: 0,
            state: if port.is_multiple_of(5) { ServerState::Drain } else { ServerState::Active },
            recovery: None,
        })
    }

    fn servers(ports: &[u16]) -> Servers {
        ports.iter().map(|port| server(*port)).collect()
    }

    proptest! {
        #[test]
        fn a_spliced_list_is_the_list_that_would_be_made_anew(
            old in prop::collection::vec(0..40_u16, 0..30),
            new in prop::collection::vec(0..40_u16, 0..4),
            range in (any::<prop::sample::Index>(), any::<prop::sample::Index>()),
        ) {
            let (one, other) = (range.0.index(old.len() + 1), range.1.index(old.len() + 1));
            let range = one.min(other)..one.max(other);
            let before = servers(&old);
            let after = before.spliced(range.clone(), servers(&new).to_vec()).unwrap();
            let mut wanted = old.clone();
            wanted.splice(range.clone(), new);
            prop_assert_eq!(&after, &servers(&wanted));
            prop_assert_eq!(after.tally(), servers(&wanted).tally());
            // As it was made, and as it is found by looking.
            let (made, looked) = (after.common_ends(&before), after.to_vec().into());
            for ends in [made, before.common_ends(&after), before.common_ends(&looked)] {
                prop_assert!(ends.0 >= range.start && ends.0 + ends.1 <= after.len().min(before.len()));
                let same = before.iter().take(ends.0).zip(after.iter()).all(|(one, other)| Arc::ptr_eq(one, other));
                let tail = before.iter().rev().take(ends.1).zip(after.iter().rev());
                prop_assert!(same && tail.fold(true, |same, (one, other)| same && Arc::ptr_eq(one, other)));
            }
        }

        #[test]
        fn what_says_the_same_stands_in_memory_once(
            old in prop::collection::hash_set(0..40_u16, 0..30),
            new in prop::collection::hash_set(0..40_u16, 0..30),
        ) {
            let (old, new): (Vec<_>, Vec<_>) = (old.into_iter().collect(), new.into_iter().collect());
            let (known, mut shared) = (servers(&old), servers(&new));
            shared.share_with(&known);
            prop_assert_eq!(&shared, &servers(&new));
            for server in &shared {
                let same = known.iter().find(|known| known.id == server.id);
                prop_assert!(same.is_none_or(|same| Arc::ptr_eq(same, server)));
            }
            let ends = shared.common_ends(&known);
            prop_assert_eq!(ends, shared.iter().cloned().collect::<Servers>().common_ends(&known));
            prop_assert_eq!(shared.tally(), servers(&new).tally());
        }
    }
}
