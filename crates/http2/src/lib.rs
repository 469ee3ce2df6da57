//! HTTP/2 (RFC 9113) and its header compression (RFC 7541), sans-I/O.
//!
//! [`Connection`] is one connection from either end: received bytes go in, events and bodies come out, heads and
//! bodies go in, bytes to be sent come out. It reads no socket, no clock and none of our configuration; time and limits
//! are arguments. Heads are those of `http1`, laid out so that a server of HTTP/1.1 gets them by one copy.
//!
//! Strictness is the same toward clients and servers. What breaks the protocol ends the connection, what breaks a
//! message resets its stream, and neither is ever passed on. What is right but comes in numbers that serve nobody is
//! counted, by the names of the attacks that it was found in ([`limits`]), and ends the connection too.
//!
//! Why it is our own: `docs/decisions/0007-an-http2-engine-of-our-own.md`.

pub mod limits;

mod code;
mod connection;
mod error;
mod event;

mod bucket;
mod frame;
mod guard;
mod hpack;
mod message;
mod output;
mod stream;
mod window;

pub use bucket::Rate;
pub use code::Code;
pub use connection::Connection;
pub use error::{Abuse, Ended, NoRoom, Refusal, Violation, Why};
pub use event::{Event, Finish, Opening, Read, Scheme, StreamId};
pub use limits::Limits;
