//! The engine against the crate `h2`, both ways, over a pipe in memory: random heads, bodies, trailers, resets,
//! windows and numbers of streams at once. Each end checks what it gets; what was asked for stands in the head.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

#[path = "oracle/client.rs"]
mod client;
#[path = "oracle/drive.rs"]
mod drive;
#[path = "oracle/random.rs"]
mod random;
#[path = "oracle/server.rs"]
mod server;
