//! What becomes of the addresses that are bound when another configuration comes.

use std::sync::Arc;

use loadweaver_config::Bind;

use crate::listen::{Listening, Wanted};
use crate::snapshot::Snapshot;

/// Listeners that are bound.
#[derive(Debug, Default)]
pub(super) struct Listeners {
    pub(super) serving: Vec<Listening>,
    /// Those that workers were told to close, and may not have closed yet.
    pub(super) leaving: Vec<Listening>,
}

/// Each address of the next configuration, and those of the one in force that are not among them. Made by looking
/// alone.
#[derive(Debug, Default)]
pub(super) struct Plan<'n> {
    /// Those that are bound, under the name that they have then.
    pub(super) staying: Vec<Listening>,
    pub(super) fresh: Vec<Fresh<'n>>,
    pub(super) going: Vec<Listening>,
}

/// A listener that a change takes addresses from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closing {
    /// Its name.
    pub listener: Arc<str>,
    /// Those that go, as they really are.
    pub addresses: Vec<Bind>,
    /// Client connections that came in there and are open.
    pub connections: u64,
}

/// An address that has to be bound.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fresh<'n> {
    pub(super) wanted: Wanted<'n>,
    /// A listener of ours has the port, or the name, and is about to close.
    pub(super) shared: bool,
}

impl<'n> Plan<'n> {
    pub(super) fn new(listeners: &Listeners, next: &'n Snapshot) -> Self {
        let mut plan = Self { going: listeners.serving.clone(), ..Self::default() };
        let mut rest = Vec::new();
        for wanted in Wanted::all(&next.config.listeners) {
            match plan.take(|old| old.name == wanted.listener.name && old.is_at(wanted.bind)) {
                Some(stays) => plan.staying.push(stays.serving(&wanted)),
                None => rest.push(wanted),
            }
        }
        // The same address under another name.
        let mut fresh = Vec::new();
        for wanted in rest {
            match plan.take(|old| old.address == *wanted.bind) {
                Some(stays) => plan.staying.push(stays.serving(&wanted)),
                None => fresh.push(wanted),
            }
        }
        for wanted in fresh {
            // `0.0.0.0:80` that becomes `127.0.0.1:80`: the port is in use, but by what makes room for it, or is about
            // to since the change before. What stays shares its port with nobody.
            let leaving = listeners.leaving.iter().filter(|old| old.is_present());
            let makes_room = plan.going.iter().chain(leaving).any(|old| old.address.overlaps(wanted.bind));
            let shared = makes_room && !plan.taken().any(|stays| stays.overlaps(wanted.bind));
            plan.fresh.push(Fresh { wanted, shared });
        }
        plan
    }

    /// What goes, listener by listener.
    pub(super) fn closing(&self) -> Vec<Closing> {
        let mut all: Vec<Closing> = Vec::new();
        for old in &self.going {
            let place = all.iter().position(|closing| closing.listener == old.name).unwrap_or_else(|| {
                let listener = old.name.clone();
                all.push(Closing { listener, addresses: Vec::new(), connections: 0 });
                all.len() - 1
            });
            if let Some(closing) = all.get_mut(place) {
                closing.addresses.push(old.address.clone());
                closing.connections += old.connections.get();
            }
        }
        all
    }

    fn take(&mut self, fits: impl Fn(&Listening) -> bool) -> Option<Listening> {
        let place = self.going.iter().position(fits)?;
        Some(self.going.remove(place))
    }

    fn taken(&self) -> impl Iterator<Item = &Bind> {
        let fresh = self.fresh.iter().map(|fresh| fresh.wanted.bind);
        self.staying.iter().map(|listening| &listening.address).chain(fresh)
    }
}
