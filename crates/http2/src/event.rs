//! What a connection has to say.

use crate::code::Code;

/// A stream of one connection. It stays what it is when the stream is gone: whatever is then done with it does nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StreamId {
    pub(crate) number: u32,
    pub(crate) slot: u32,
}

impl StreamId {
    /// The number on the wire.
    pub fn number(self) -> u32 {
        self.number
    }
}

/// Something that happened. Events of a stream that was released are not told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A head is there: the request of a new stream, or an answer, interim or final.
    Head(StreamId),
    /// There is something to read, or nothing will come any more.
    Readable(StreamId),
    /// A write that took less than it was given may go on.
    Writable(StreamId),
    /// The stream is over: the peer has reset it, or we have, for what the peer did on it. To a client,
    /// REFUSED_STREAM says that the request was never looked at.
    Reset(StreamId, Code),
    /// The peer takes no new streams; those up to `last` may have been looked at.
    GoAway {
        /// The last stream that the peer takes.
        last: u32,
        /// Why.
        code: Code,
    },
    /// There may be room for a stream where there was none, or the peer's settings came.
    Room,
    /// The answer to [`crate::Connection::ping`].
    Pong(u64),
}

/// What a read came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Read {
    /// So many bytes, at least one.
    Bytes(usize),
    /// Nothing yet; [`Event::Readable`] follows.
    Pending,
    /// The body has ended; the trailers are there, if there are any.
    End,
    /// The stream was reset, or is gone.
    Reset(Code),
}

/// Whether a message ends with what is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// It does.
    Now,
    /// More follows.
    Later,
}

/// The scheme of what a client asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// `http`
    Http,
    /// `https`
    Https,
}

/// How a request is opened.
#[derive(Debug, Clone, Copy)]
pub struct Opening<'a> {
    /// Whether there is no body.
    pub finish: Finish,
    /// The protocol of an extended CONNECT (RFC 8441); the head's own method is not used then.
    pub protocol: Option<&'a [u8]>,
}
