//! Header compression: RFC 7541.
//!
//! Both tables keep each field as the line `name: value CRLF`, which is how `http1` lays heads out. A field that is
//! found in the table is one copy into a head when it is read, and one comparison when it is written; its name was
//! looked at when it was put in, and never again.

mod decode;
mod encode;
mod huffman;
mod integer;
mod kind;
mod static_table;
mod table;

pub(crate) use decode::{Block, Decoder};
pub(crate) use encode::Encoder;
pub(crate) use kind::{Kind, Pseudo};

/// A block that no decoder understands. The state that both sides share is lost with it, and so the connection
/// (RFC 7541 section 2.2, RFC 9113 section 4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Undecodable;

/// What both sides take for the table's size until they hear otherwise (RFC 9113 section 6.5.2), and the most that
/// either of ours ever has: more would be memory for each connection, and saves little.
pub(crate) const TABLE_SIZE: usize = 4096;

#[cfg(test)]
mod tests;
