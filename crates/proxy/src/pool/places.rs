//! Where each server of a pool stands, by its id.
//!
//! Places in the order of the ids, so that a change which brings or takes a few servers makes the next list out of this
//! one in a pass over small numbers: thousands of ids need not be hashed again because one more came.

use std::sync::Arc;

use loadweaver_config::{Server, Servers};

/// Newcomers that are put in their places one by one; with more of them all are sorted.
const FEW: usize = 16;

/// Finds servers by their ids.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Places(Box<[u32]>);

impl Places {
    /// Of servers whose ids are all different.
    pub(super) fn of(servers: &[Arc<Server>]) -> Self {
        let mut places: Box<[u32]> = (0u32..).take(servers.len()).collect();
        places.sort_unstable_by_key(|place| id(servers, *place));
        Self(places)
    }

    /// The same for the servers that come next; `before` is this for those before.
    pub(super) fn after((before, old): (&Arc<Self>, &Servers), new: &Servers) -> Arc<Self> {
        let (head, tail) = old.common_ends(new);
        let (gone, newcomers) = (old.between((head, tail)), new.between((head, tail)));
        if gone.iter().map(|server| &server.id).eq(newcomers.iter().map(|server| &server.id)) {
            return Arc::clone(before);
        }
        let (gone, newcomers) = (head..old.len() - tail, head..new.len() - tail);
        if newcomers.len() > FEW {
            return Arc::new(Self::of(new));
        }
        let stay = before.0.iter().filter_map(|place| {
            let place = *place as usize;
            if place < gone.start {
                Some(place)
            } else {
                // Those behind the difference move with it.
                Some(place.checked_sub(gone.end)? + newcomers.end)
            }
        });
        // Lists are never longer than a file can make them.
        let narrow = |place: usize| u32::try_from(place).unwrap_or(u32::MAX);
        let mut places = Vec::with_capacity(new.len());
        places.extend(stay.map(narrow));
        for newcomer in newcomers.map(narrow) {
            let before = places.partition_point(|place| id(new, *place) < id(new, newcomer));
            places.insert(before, newcomer);
        }
        Arc::new(Self(places.into()))
    }

    /// Where a server stands, by its id.
    pub(super) fn find(&self, servers: &[Arc<Server>], wanted: &str) -> Option<usize> {
        let found = self.0.binary_search_by_key(&wanted, |place| id(servers, *place)).ok()?;
        Some(*self.0.get(found)? as usize)
    }
}

fn id(servers: &[Arc<Server>], place: u32) -> &str {
    servers.get(place as usize).map_or("", |server| &server.id)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use proptest::prelude::*;

    use super::*;

    fn servers(ids: &[u16]) -> Servers {
        let server = |id: &u16| {
            Arc::new(Server {
                id: format!("s{id}").into(),
                host: "127.0.0.1".to_owned(),
                port: 1,
                weight: 1,
                max_connections: 0,
                state: loadweaver_config::ServerState::Active,
                recovery: None,
            })
        };
        ids.iter().map(server).collect()
    }

    fn ids() -> impl Strategy<Value = Vec<u16>> {
        prop::collection::vec(0u16..200, 0..60).prop_map(|mut ids| {
            let mut seen = std::collections::HashSet::new();
            ids.retain(|id| seen.insert(*id));
            ids
        })
    }

    proptest! {
        #[test]
        fn what_is_made_from_the_list_before_is_what_is_made_from_nothing(
            old in ids(), new in ids(), shared in any::<bool>(),
        ) {
            let (old, mut new) = (servers(&old), servers(&new));
            if shared {
                new.share_with(&old);
            }
            let before = Arc::new(Places::of(&old));
            prop_assert_eq!(&*Places::after((&before, &old), &new), &Places::of(&new));
        }

        #[test]
        fn one_that_comes_or_goes_in_the_middle_moves_those_behind_it(
            old in ids(), at in any::<prop::sample::Index>(), added in 200u16..300,
        ) {
            let mut with = old.clone();
            with.insert(at.index(old.len() + 1), added);
            let (without, added) = (servers(&old), servers(&[added]));
            let at = with.iter().position(|id| *id >= 200).unwrap();
            let with = without.spliced(at..at, added.to_vec()).unwrap();
            let before = Arc::new(Places::of(&without));
            let after = Places::after((&before, &without), &with);
            prop_assert_eq!(&*after, &Places::of(&with));
            prop_assert_eq!(&*Places::after((&after, &with), &without), &*before);
            for (place, server) in with.iter().enumerate() {
                prop_assert_eq!(after.find(&with, &server.id), Some(place));
            }
            prop_assert_eq!(after.find(&with, "nobody"), None);
        }
    }
}
