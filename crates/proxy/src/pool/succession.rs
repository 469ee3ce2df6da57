//! One pool takes over from another: with a change of the configuration, and without a verdict that is lost or told
//! twice.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use loadweaver_config::{Pool, Server};

use super::PoolState;
use super::seat::is_away;
use super::verdicts::Verdicts;
use crate::server::ServerState;
use crate::tls::Back;

/// A server as it stood before a change: its pool, and its place in it.
pub(crate) type Before = (Arc<PoolState>, usize);

/// Where the servers of a pool stood before a change. Of thousands nearly all stand where they were.
#[derive(Debug, Default)]
pub(crate) struct Origins {
    /// How many are the very values of the pool before, in the same places: at the beginning, and counted from the end.
    head: usize,
    tail: usize,
    /// Where those between stood.
    pub(super) middle: Vec<Option<Before>>,
}

impl Origins {
    /// Of so many servers that stood nowhere.
    pub(super) fn none(servers: usize) -> Self {
        Self { head: 0, tail: 0, middle: vec![None; servers] }
    }

    /// Looks for the servers of `pool` in the pool of that name, and then among those that left another one.
    pub(crate) fn find(
        old: Option<&Arc<PoolState>>,
        (pool, back): (&Pool, Option<&Arc<Back>>),
        mut departed: impl FnMut(&str) -> Option<Before>,
    ) -> Self {
        // What they are spoken to with is part of what they are.
        let same = old.filter(|old| old.has_back(back));
        let (head, tail) = same.map_or((0, 0), |old| pool.servers.common_ends(&old.config.servers));
        let mut next = head;
        let before = |server: &Arc<Server>| {
            let here = old.and_then(|old| Some((Arc::clone(old), old.place_from(next, &server.id)?)));
            next = here.as_ref().map_or(next, |(_, place)| place + 1);
            here.or_else(|| departed(&server.id))
        };
        let middle = pool.servers.between((head, tail)).iter().map(before).collect();
        Self { head, tail, middle }
    }

    /// How many stay at the beginning and at the end.
    pub(super) fn ends(&self) -> (usize, usize) {
        (self.head, self.tail)
    }

    /// Those of `before` that stay, with others between them.
    pub(super) fn around(
        &self,
        before: &[Arc<ServerState>],
        between: impl Iterator<Item = Arc<ServerState>>,
    ) -> Vec<Arc<ServerState>> {
        let mut all = Vec::with_capacity(self.head + self.middle.len() + self.tail);
        all.extend(before.iter().take(self.head).cloned());
        all.extend(between);
        all.extend(before.iter().skip(before.len().saturating_sub(self.tail)).cloned());
        all
    }
}

/// Whether a server's place before a change is in this pool, not in another one.
pub(super) fn is_in(pool: Option<&Arc<PoolState>>, before: Option<&Before>) -> bool {
    matches!((pool, before), (Some(pool), Some((was_in, _))) if Arc::ptr_eq(pool, was_in))
}

/// What all pools of one name share, one after the other: the newest of them.
#[derive(Debug, Default)]
pub(super) struct Lineage(Mutex<Weak<PoolState>>);

impl Lineage {
    fn newest(&self) -> Option<Arc<PoolState>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).upgrade()
    }

    fn set(&self, newest: Weak<PoolState>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = newest;
    }
}

impl PoolState {
    /// Begins to serve, from nothing.
    pub(super) fn begin(self: &Arc<Self>) {
        let mut verdicts = self.lock();
        verdicts.seat(&self.config.servers, None);
        self.settle(&mut verdicts, None);
        self.lineage.set(Arc::downgrade(self));
    }

    /// Takes over from `old`, and each server's verdict from where it stood. From here on what exchanges of `old`
    /// find out is told to this pool.
    pub(crate) fn take_over(self: &Arc<Self>, old: Option<&Arc<Self>>) {
        let origins = std::mem::take(&mut *self.origins.lock().unwrap_or_else(PoisonError::into_inner));
        let now = self.now();
        let mut verdicts = self.lock();
        // The old pool's lock is held until its successor knows all that it knew: a verdict that falls meanwhile
        // waits, and finds the successor.
        let mut old_verdicts = old.map(|old| old.lock());
        let (head, tail) = origins.ends();
        let known = old_verdicts.as_deref_mut().map(|old| (old, (head, tail)));
        verdicts.seat(&self.config.servers, known);
        let same_rules = old.is_some_and(|old| old.judges_like(self));
        let anew = |verdicts: &mut Verdicts, index: usize| {
            self.judge_anew(verdicts, index, now);
            self.tell_of_amnesty(verdicts, index);
        };
        if !same_rules {
            (0..head).for_each(|index| anew(&mut verdicts, index));
        }
        for (index, before) in (head..).zip(&origins.middle) {
            let Some(server) = self.config.servers.get(index) else { continue };
            // Another machine under a known name is a newcomer, too.
            let Some((was_in, place)) = before.as_ref().filter(|(was_in, place)| was_in.has(*place, server))
            else {
                // A newcomer among servers that are busy.
                if old.is_some() {
                    verdicts.grow_from(index, now);
                }
                continue;
            };
            if let (Some(next), Some(was)) = (self.servers.get(index), was_in.servers.get(*place)) {
                next.follow(was);
            }
            // Moved, not copied: what is known of a server are some kilobytes.
            let at_home = old.is_some_and(|old| Arc::ptr_eq(old, was_in));
            match &mut old_verdicts {
                Some(known) if at_home => verdicts.take(index, known, *place),
                _ => verdicts.take(index, &mut was_in.lock(), *place),
            }
            if was_in.config.servers.get(*place).is_some_and(|server| is_away(server)) && !is_away(server) {
                verdicts.grow_from(index, now);
            }
            if !(at_home && same_rules) {
                anew(&mut verdicts, index);
            }
        }
        if !same_rules {
            (head + origins.middle.len()..self.servers.len()).for_each(|index| anew(&mut verdicts, index));
        }
        if let Some(old) = &old_verdicts {
            verdicts.goes_on_from(old);
        }
        self.settle(&mut verdicts, Some("the configuration was changed"));
        self.lineage.set(Arc::downgrade(self));
        if let Some(old) = old {
            old.handed_over.store(true, Ordering::Release);
        }
    }

    /// Whether connections to a server of `old` lead to one of this pool, too. May say no where servers changed places.
    pub(crate) fn leads_to_all_of(&self, old: &Self) -> bool {
        if std::ptr::eq(self, old) {
            return true;
        }
        let mut rest = self.servers.iter();
        old.servers
            .iter()
            .all(|old| rest.any(|next| Arc::ptr_eq(next, old) || next.upstream() == old.upstream()))
    }

    /// Ends a pool that has no successor.
    pub(crate) fn retire(&self) {
        let verdicts = self.lock();
        self.lineage.set(Weak::new());
        self.handed_over.store(true, Ordering::Release);
        drop(verdicts);
    }

    /// Frees what others have taken over. A tunnel may keep this pool for days, and a verdict is a large part of it.
    pub(crate) fn forget_verdicts(&self) {
        self.lock().clear();
    }

    /// Does with the pool that has taken over what was meant for this one, if the server is still there and the same
    /// machine's.
    pub(super) fn pass_on(&self, server: usize, what: impl FnOnce(&Self, usize)) {
        let Some(newest) = self.lineage.newest() else { return };
        let Some(known) = self.config.servers.get(server) else { return };
        if let Some(place) = newest.place_of(&known.id)
            && newest.has(place, known)
        {
            what(&newest, place);
        }
    }

    /// Whether the server at a place is the same machine's: a verdict says nothing about another one.
    pub(super) fn has(&self, place: usize, server: &Server) -> bool {
        let known = self.config.servers.get(place);
        known.is_some_and(|known| (&known.host, known.port) == (&server.host, server.port))
    }

    fn judge_anew(&self, verdicts: &mut Verdicts, index: usize, now: Duration) {
        let Pool { health_check, passive_health, flap_damping, .. } = &self.config;
        verdicts.change(index, |health| health.go_on_under(health_check, passive_health, flap_damping, now));
    }

    fn judges_like(&self, other: &Self) -> bool {
        let Pool { health_check, passive_health, flap_damping, .. } = &self.config;
        let theirs = &other.config;
        *health_check == theirs.health_check
            && *passive_health == theirs.passive_health
            && *flap_damping == theirs.flap_damping
    }
}
