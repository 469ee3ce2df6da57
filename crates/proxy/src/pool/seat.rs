//! What is known of one server's health, and what was told of it.

use std::sync::Arc;
use std::time::Duration;

use loadweaver_config::{Server, ServerState as Wanted};
use loadweaver_policy::admission::Standing;
use loadweaver_policy::health::Health;

/// One of them for each server, side by side: who gets traffic is decided by a look at all, so what that depends on
/// stands here and not behind a pointer.
#[derive(Debug)]
pub(super) struct Seat {
    /// Shared while nothing is known, since that is the same of all.
    health: Arc<Health>,
    /// How the server stands by its health.
    standing: Standing,
    /// Its operator wants it to have no new traffic.
    away: bool,
    /// What its state was told last of whether it gets traffic.
    pub(super) eligible: Option<bool>,
    /// Since when its share grows, where it has not all of it yet.
    pub(super) grows_from: Option<Duration>,
    /// When its next probe is due, as far as it is known.
    pub(super) next_probe: Option<Duration>,
    /// What everybody was told last. An episode is told once, though a changed check may judge anew within it.
    pub(super) told: Option<Told>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    Up,
    Down,
    Unstable,
}

impl Told {
    pub(super) fn is_out(self) -> bool {
        matches!(self, Self::Down | Self::Unstable)
    }
}

impl Seat {
    pub(super) fn new(blank: &Arc<Health>, server: &Server) -> Self {
        Self {
            health: Arc::clone(blank),
            standing: blank.standing(),
            away: is_away(server),
            eligible: None,
            grows_from: None,
            next_probe: None,
            told: None,
        }
    }

    /// Takes over what is known of the server; what stood here stays in its place.
    pub(super) fn take(&mut self, known: &mut Self) {
        std::mem::swap(&mut self.health, &mut known.health);
        std::mem::swap(&mut self.standing, &mut known.standing);
        (self.grows_from, self.told) = (known.grows_from, known.told);
        self.next_probe = known.next_probe;
    }

    pub(super) fn health(&self) -> &Health {
        &self.health
    }

    /// Changes what is known.
    pub(super) fn change<T>(&mut self, change: impl FnOnce(&mut Health) -> T) -> T {
        let outcome = change(Arc::make_mut(&mut self.health));
        self.standing = self.health.standing();
        outcome
    }

    /// How the server stands before its pool decides.
    pub(super) fn standing(&self) -> Standing {
        if self.away { Standing::Away } else { self.standing }
    }
}

/// Whether its operator wants it to have no new traffic.
pub(super) fn is_away(server: &Server) -> bool {
    server.state != Wanted::Active || server.weight == 0
}
