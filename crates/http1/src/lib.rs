//! Bytes to HTTP/1.1 messages and back, sans-I/O.
//!
//! The crate turns received bytes into checked heads and body pieces, and checked heads back into bytes. It never
//! reads a socket, a clock or our configuration; limits come in as arguments. Syntax is `httparse`'s business;
//! what it lets pass for the sake of old peers (bare line feeds, above all) is refused here, because two
//! parsers that disagree about where a message ends are what request smuggling lives on (RFC 9112 section 11.2).
//!
//! Strictness is the same toward clients and servers. What leaves is written from the parsed form, so a peer
//! sees one spelling of framing whatever came in.

pub mod body;
pub mod chunked;
pub mod encode;
pub mod error;
pub mod framing;
pub mod headers;
pub mod limits;
pub mod name;
pub mod preface;
pub mod request;
pub mod response;
pub mod target;

mod connection;
mod lines;

pub use body::{Body, Piece};
pub use error::{BodyError, RequestError, ResponseError};
pub use framing::Framing;
pub use headers::{Headers, Line};
pub use limits::HeadLimits;
pub use name::Name;
pub use request::{Method, RequestHead, Version};
pub use response::ResponseHead;
