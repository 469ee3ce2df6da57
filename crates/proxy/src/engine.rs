//! Protocol engines: from bytes on a client connection to exchanges. Nothing above knows which one it was.

pub(crate) mod greet;
pub(crate) mod http1;
pub(crate) mod http2;

/// Whom a connection is from, where a proxy in front says so.
mod introduce;
