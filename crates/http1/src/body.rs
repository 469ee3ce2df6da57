//! A body, read: which bytes of the input are its data, and where it ends.

use crate::chunked::Chunked;
use crate::error::BodyError;
use crate::framing::Framing;
use crate::headers::Headers;

/// Reads one body. It holds no data: it says which bytes of the caller's buffer are data.
#[derive(Debug, Default, Clone)]
pub struct Body {
    state: State,
}

#[derive(Debug, Default, Clone)]
enum State {
    #[default]
    Done,
    Length {
        left: u64,
    },
    // Boxed: few bodies are chunked, and the decoder is far larger than a length.
    Chunked(Box<Chunked>),
    UntilClose,
    /// All input is data, and somebody else knows its end; `left` of it was announced.
    Streamed {
        left: Option<u64>,
    },
    /// A streamed body that has ended, and what came after it.
    Trailed(Box<Headers>),
}

/// What stands at the start of the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece {
    /// After `skip` bytes of framing come `len` bytes of data; both count as read.
    Data {
        /// Bytes of framing before the data.
        skip: usize,
        /// Bytes of data, at least one.
        len: usize,
    },
    /// The input ends within the body; `consumed` bytes of framing count as read.
    NeedMore {
        /// Bytes of framing.
        consumed: usize,
    },
    /// The body ended; `consumed` bytes of framing count as read.
    End {
        /// Bytes of framing.
        consumed: usize,
    },
}

impl Body {
    /// A reader for a body with this framing; `trailer_limit` bounds its trailers in bytes.
    pub fn new(framing: Framing, trailer_limit: usize) -> Self {
        let state = match framing {
            Framing::None | Framing::Length(0) => State::Done,
            Framing::Length(left) => State::Length { left },
            Framing::Chunked => State::Chunked(Box::new(Chunked::new(trailer_limit))),
            Framing::UntilClose => State::UntilClose,
        };
        Self { state }
    }

    /// A reader for a body whose end is told by [`Body::end_of_input`], as a stream of HTTP/2 has it: all input is
    /// data. A `length` that was announced is held to, both ways.
    pub fn streamed(length: Option<u64>) -> Self {
        Self { state: State::Streamed { left: length } }
    }

    /// Reads the next piece of `input`.
    #[inline]
    pub fn decode(&mut self, input: &[u8]) -> Result<Piece, BodyError> {
        match &mut self.state {
            State::Done | State::Trailed(_) => Ok(Piece::End { consumed: 0 }),
            State::Length { left } => {
                if input.is_empty() {
                    return Ok(Piece::NeedMore { consumed: 0 });
                }
                let len = usize::try_from(*left).map_or(input.len(), |left| left.min(input.len()));
                *left -= len as u64;
                if *left == 0 {
                    self.state = State::Done;
                }
                Ok(Piece::Data { skip: 0, len })
            }
            State::Chunked(chunked) => chunked.decode(input),
            State::UntilClose | State::Streamed { .. } if input.is_empty() => {
                Ok(Piece::NeedMore { consumed: 0 })
            }
            State::UntilClose | State::Streamed { left: None } => {
                Ok(Piece::Data { skip: 0, len: input.len() })
            }
            State::Streamed { left: Some(left) } => {
                *left = left.checked_sub(input.len() as u64).ok_or(BodyError::TooLong)?;
                Ok(Piece::Data { skip: 0, len: input.len() })
            }
        }
    }

    /// The connection, or the stream, has ended: right for a body that ends with it, a cut for every other.
    pub fn end_of_input(&mut self) -> Result<(), BodyError> {
        match self.state {
            _ if self.is_done() => Ok(()),
            State::UntilClose | State::Streamed { left: None | Some(0) } => {
                self.state = State::Done;
                Ok(())
            }
            State::Done
            | State::Length { .. }
            | State::Chunked(_)
            | State::Streamed { .. }
            | State::Trailed(_) => Err(BodyError::Cut),
        }
    }

    /// Takes what came after a streamed body that has ended.
    pub fn give_trailers(&mut self, trailers: Headers) {
        if matches!(self.state, State::Done) {
            self.state = State::Trailed(Box::new(trailers));
        }
    }

    /// Takes `len` bytes as data that went past us in the kernel; only for a body with a length, and never more
    /// than [`Body::length_left`].
    pub fn passed_over(&mut self, len: u64) {
        if let State::Length { left } = &mut self.state {
            *left = left.saturating_sub(len);
            if *left == 0 {
                self.state = State::Done;
            }
        }
    }

    /// Bytes that are still to come, where a length says so.
    pub fn length_left(&self) -> Option<u64> {
        match self.state {
            State::Length { left } => Some(left),
            State::Streamed { left } => left,
            State::Done | State::Trailed(_) => Some(0),
            State::Chunked(_) | State::UntilClose => None,
        }
    }

    /// Whether the body ended, as far as can be known without reading on.
    #[inline]
    pub fn is_done(&self) -> bool {
        match &self.state {
            State::Done | State::Trailed(_) => true,
            State::Chunked(chunked) => chunked.is_done(),
            State::Length { .. } | State::UntilClose | State::Streamed { .. } => false,
        }
    }

    /// The trailers of a body that has ended.
    pub fn trailers(&self) -> Option<&Headers> {
        match &self.state {
            State::Chunked(chunked) => Some(chunked.trailers()).filter(|trailers| !trailers.is_empty()),
            State::Trailed(trailers) => Some(&**trailers).filter(|trailers| !trailers.is_empty()),
            State::Done | State::Length { .. } | State::UntilClose | State::Streamed { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_streamed_body_ends_when_it_is_told_to() {
        let mut body = Body::streamed(None);
        assert_eq!(body.decode(b""), Ok(Piece::NeedMore { consumed: 0 }));
        assert_eq!(body.decode(b"abc"), Ok(Piece::Data { skip: 0, len: 3 }));
        assert!(!body.is_done());
        assert_eq!(body.length_left(), None);
        assert_eq!(body.end_of_input(), Ok(()));
        assert!(body.is_done());
    }

    #[test]
    fn a_streamed_body_has_trailers_once_it_has_ended() {
        let mut trailers = Headers::new();
        trailers.append(b"grpc-status", b"0");
        let mut body = Body::streamed(None);
        body.give_trailers(trailers.clone());
        assert!(body.trailers().is_none(), "it has not ended");
        assert_eq!(body.end_of_input(), Ok(()));
        body.give_trailers(trailers);
        assert_eq!(body.trailers().and_then(|fields| fields.find(b"grpc-status")), Some(b"0".as_slice()));
        assert!(body.is_done());
        assert_eq!(body.decode(b""), Ok(Piece::End { consumed: 0 }));
    }

    #[test]
    fn a_streamed_body_is_held_to_its_length_both_ways() {
        let mut body = Body::streamed(Some(3));
        assert_eq!(body.decode(b"ab"), Ok(Piece::Data { skip: 0, len: 2 }));
        assert_eq!(body.length_left(), Some(1));
        assert_eq!(body.clone().end_of_input(), Err(BodyError::Cut));
        assert_eq!(body.clone().decode(b"cd"), Err(BodyError::TooLong));
        assert_eq!(body.decode(b"c"), Ok(Piece::Data { skip: 0, len: 1 }));
        assert!(!body.is_done(), "the end is yet to be told");
        assert_eq!(body.end_of_input(), Ok(()));
        assert!(body.is_done());
    }
}
