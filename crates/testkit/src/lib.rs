//! Scripted origins, clients, peers and ports for tests.
//!
//! Everything here is plain threads and blocking sockets: a test that shares the proxy's runtime would share
//! its bugs. Nothing sleeps to synchronise; every wait has a deadline and says what it waited for. Ports are
//! always 0 and read back.
//!
//! The kit carries its own strict HTTP/1.1 reader (`wire`), written apart from the crate `http1` on purpose:
//! it is the referee of what the proxy wrote, so it must not share a misreading with it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    reason = "a kit for tests: to panic is how it reports"
)]

/// The real binary under test.
pub mod balancer;
/// A client that writes exact bytes and reads exact answers.
pub mod client;
/// Short ways to write configs for the tests.
pub mod config;
/// The polling helper that every wait goes through.
pub mod eventually;
/// A balancer in front of one origin, for requests that must be refused.
pub mod front;
/// What was packed, unpacked by somebody else's program.
pub mod gzip;
/// Clients and origins that speak HTTP/2.
pub mod http2;
/// Many clients at once, each outcome counted.
pub mod load;
/// Somebody who uses the admin API.
pub mod operator;
/// A scripted origin that records every byte that it is sent.
pub mod origin;
/// Clients and origins of either protocol behind one face.
pub mod pair;
/// Real servers and proxies of other makers: nginx, HAProxy, Python, Node.
pub mod peer;
/// Child processes with captured output, killed on drop.
pub mod process;
/// A folder that goes away with its owner.
pub mod scratch;
/// A program in a terminal whose screen can be read.
pub mod terminal;
/// Certificates made for a test, and TLS put before or behind whatever speaks plain text.
pub mod tls;
/// Unix sockets before and behind whatever speaks TCP.
pub mod unix;
/// The referee: strict reading of HTTP/1.1 requests and answers from a socket or from recorded bytes.
pub mod wire;

pub use balancer::Balancer;
pub use client::RawClient;
pub use eventually::{PATIENCE, eventually};
pub use http2::{Http2Client, Http2Origin, RawHttp2};
pub use operator::Operator;
pub use origin::{Origin, OriginConnection};
pub use peer::Peer;
pub use terminal::Terminal;
pub use wire::{Answer, Fields, Framing, Request, WireError};
