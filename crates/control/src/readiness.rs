//! Whether this node wants traffic: what `GET /readyz` says to whoever stands in front of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// Where the process is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Not all listeners are bound, or names are not resolved yet.
    Starting,
    /// Taking traffic.
    Ready,
    /// Ending: exchanges under way go on, new traffic should go elsewhere.
    Draining,
}

impl Stage {
    /// The word that the admin API uses.
    pub fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Draining => "draining",
        }
    }
}

/// The stage, shared: cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<AtomicU8>);

impl Readiness {
    /// Where the process is.
    pub fn stage(&self) -> Stage {
        match self.0.load(Ordering::Relaxed) {
            0 => Stage::Starting,
            1 => Stage::Ready,
            _ => Stage::Draining,
        }
    }

    /// Moves on. Stages only go forward: a late `Ready` does not undo a `Draining`.
    pub fn reach(&self, stage: Stage) {
        self.0.fetch_max(stage as u8, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_goes_back() {
        let readiness = Readiness::default();
        assert_eq!(readiness.stage(), Stage::Starting);
        for (reached, expected) in [
            (Stage::Ready, Stage::Ready),
            (Stage::Draining, Stage::Draining),
            (Stage::Ready, Stage::Draining),
        ] {
            readiness.reach(reached);
            assert_eq!(readiness.stage(), expected);
        }
    }
}
