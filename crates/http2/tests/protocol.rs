//! The engine from outside: raw frames in, frames and events out.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::useless_vec, missing_docs)]

#[path = "protocol/attacks.rs"]
mod attacks;
#[path = "protocol/both_ends.rs"]
mod both_ends;
#[path = "protocol/cuts.rs"]
mod cuts;
#[path = "protocol/details.rs"]
mod details;
#[path = "protocol/large_heads.rs"]
mod large_heads;
#[path = "protocol/messages.rs"]
mod messages;
#[path = "protocol/rules.rs"]
mod rules;
#[path = "protocol/streams.rs"]
mod streams;
#[path = "protocol/wire.rs"]
mod wire;
