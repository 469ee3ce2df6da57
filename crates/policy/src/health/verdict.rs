//! What is believed of a server, and how that changes.

use super::observation::Cause;

/// What is believed of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// No verdict yet.
    Unknown,
    /// Well.
    Up,
    /// Out.
    Down,
    /// Well, but it came and went too often: out until that is forgotten. The last resort of a pool.
    Unstable,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Unknown, Self::Up, Self::Down, Self::Unstable];

    /// How operators read it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Up => "up",
            Self::Down => "down",
            Self::Unstable => "unstable",
        }
    }
}

/// A change of a verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    /// What was believed.
    pub from: State,
    /// What is believed now.
    pub to: State,
    /// Why, for the operator.
    pub reason: String,
    /// What took the server out; none of a change for the better.
    pub cause: Option<Cause>,
}
