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

/// Certificates that are renewed by replacing their files.
mod certificates;
/// Every change of the configuration.
pub mod coordinator;
/// Why a request goes where it goes, and why a server stands as it does.
pub mod explain;
/// The configuration file.
pub mod file;
/// Numbers, times and causes as people read them.
pub mod words;

/// The listener for operators.
mod admin;
/// The configuration in force.
mod current;
/// What follows the configuration beside the proxy.
mod followers;
/// How the last hour went.
mod history;
/// Randomness for schedules.
mod jitter;
/// The way to operators' own systems.
mod outbound;
/// Who computes first where all want to.
mod precedence;
/// Servers asked whether they are well.
mod probes;
/// What is wrong now.
mod problems;
/// Programs that the configuration names.
mod program;
/// How much happened lately.
mod rates;
/// Servers that stay down are brought back.
mod recovery;
/// Notices that the file has changed.
mod reload;
/// Names become addresses.
mod resolver;
/// Spans go to a collector.
mod spans;
/// Starts long-lived tasks and keeps them alive.
mod supervisor;
/// Whom programs and endpoints are told of.
mod target;
/// What has to be done now and then.
mod upkeep;
/// Operators' own systems are told of events.
mod webhooks;

pub use admin::openapi;
pub use coordinator::Source;
pub use plane::{AdminError, Plane, Watched};
pub use readiness::{Readiness, Stage};
pub use recovery::guard;

/// The program's version, as `User-Agent` and `GET /status` show it.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Small configurations for the tests of this crate.
#[cfg(test)]
mod fixture;
