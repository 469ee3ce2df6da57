//! Changes and watches the proxy while it runs.
//!
//! All of it lives on one thread with a runtime of its own ([`plane::Plane`]), so probes are sent and the admin
//! listener answers while every worker is busy. The thread reaches the data plane only through what the data plane
//! shares: the snapshot, the servers' atomics, and `PoolState::observe`.
//!
//! Whatever runs for long is started by the supervisor, which starts it again when it dies and says so.

/// The thread, and the way to start and stop it.
pub mod plane;
/// Whether this node wants traffic.
pub mod readiness;

/// The listener for operators.
mod admin;
/// Randomness for schedules.
mod jitter;
/// Servers asked whether they are well.
mod probes;
/// Names become addresses.
mod resolver;
/// Starts long-lived tasks and keeps them alive.
mod supervisor;
/// What has to be done now and then.
mod upkeep;

pub use plane::{AdminError, Plane, Sight, Watched};
pub use readiness::{Readiness, Stage};

/// The program's version, as `User-Agent` and `GET /status` show it.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Small configurations for the tests of this crate.
#[cfg(test)]
mod fixture;
