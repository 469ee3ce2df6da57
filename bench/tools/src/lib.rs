//! What the bench origin and the bench load generator are made of.
//!
//! Both run on one core beside each other while the proxy under test has the other core to itself. Whatever
//! they spend is time in which the proxy may sit idle, so each exchange costs them one read, one write, and a
//! parse of a few hundred nanoseconds; nothing is allocated per request.

pub mod attack;
pub mod bulk;
pub mod client;
pub mod engine;
pub mod frames;
pub mod message;
pub mod options;
pub mod sample;
pub mod tally;
/// Connections, in the clear or over TLS.
pub mod wire;
