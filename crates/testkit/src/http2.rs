//! HTTP/2 peers: a client and an origin over the crate `h2`, and a client that writes single frames.
//!
//! None of them shares a line with the engine of the proxy. The first two keep the rules and serve for what must
//! work; the third breaks them and serves for what must be refused.

/// A client and its answers.
pub mod client;
/// A scripted origin.
pub mod origin;
/// Frames, one by one.
pub mod raw;

pub use client::{Http2Client, Reply};
pub use origin::Http2Origin;
pub use raw::{Frame, RawHttp2};
