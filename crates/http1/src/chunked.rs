//! The chunked coding, read: RFC 9112 section 7.1.
//!
//! The decoder is strict where readers are known to differ: sizes are hexadecimal digits and nothing else, every
//! line ends in CRLF, and the data of a chunk is followed by CRLF. Extensions are read over and never passed on
//! (section 7.1.1); both they and the trailers are bounded.

use crate::body::Piece;
use crate::error::BodyError;
use crate::headers::Headers;
use crate::limits::MAX_FIELDS;
use crate::lines;

/// Bytes of chunk extensions in one body. Unbounded ones let a client keep a server busy with bytes that no body
/// limit counts (CVE-2023-39326 in Go's reader).
pub const MAX_EXTENSIONS: usize = 4096;

/// Digits of a chunk size: 15 keep it below 2^60, so that no sum of it overflows.
const MAX_DIGITS: u8 = 15;

/// Reads one chunked body, however its bytes are cut.
#[derive(Debug, Default, Clone)]
pub struct Chunked {
    state: State,
    extensions: usize,
    trailer_limit: usize,
    trailer_bytes: Vec<u8>,
    trailers: Headers,
}

#[derive(Debug, Clone, Copy, Default)]
enum State {
    #[default]
    Start,
    Size {
        value: u64,
        digits: u8,
    },
    Extension {
        value: u64,
    },
    SizeLf {
        value: u64,
    },
    Data {
        left: u64,
    },
    DataCr,
    DataLf,
    Trailers,
    Done,
}

impl Chunked {
    /// A decoder whose trailers may have `trailer_limit` bytes.
    pub fn new(trailer_limit: usize) -> Self {
        Self { trailer_limit, ..Self::default() }
    }

    /// The trailer fields, once the body has ended. Fields that may not be trailers (framing, routing; RFC 9110
    /// section 6.5.1) are not among them.
    pub fn trailers(&self) -> &Headers {
        &self.trailers
    }

    /// Whether the body ended.
    pub fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// Reads on; see [`crate::Body::decode`].
    pub fn decode(&mut self, input: &[u8]) -> Result<Piece, BodyError> {
        let mut at = 0;
        loop {
            if let State::Data { left } = self.state {
                let available = (input.len() - at) as u64;
                if available == 0 {
                    return Ok(Piece::NeedMore { consumed: at });
                }
                let len = left.min(available);
                self.state = if len == left { State::DataCr } else { State::Data { left: left - len } };
                return Ok(Piece::Data { skip: at, len: usize::try_from(len).unwrap_or(usize::MAX) });
            }
            if let State::Trailers = self.state {
                return self.read_trailers(input, at);
            }
            if let State::Done = self.state {
                return Ok(Piece::End { consumed: at });
            }
            let Some(byte) = input.get(at) else { return Ok(Piece::NeedMore { consumed: at }) };
            self.state = self.step(*byte)?;
            at += 1;
        }
    }

    fn step(&mut self, byte: u8) -> Result<State, BodyError> {
        match self.state {
            State::Start => match hex(byte) {
                Some(digit) => Ok(State::Size { value: digit, digits: 1 }),
                None => Err(BodyError::ChunkSize),
            },
            State::Size { value, digits } => match (byte, hex(byte)) {
                (_, Some(digit)) if digits < MAX_DIGITS => {
                    Ok(State::Size { value: value << 4 | digit, digits: digits + 1 })
                }
                (b';', _) => Ok(State::Extension { value }),
                (b'\r', _) => Ok(State::SizeLf { value }),
                _ => Err(BodyError::ChunkSize),
            },
            State::Extension { value } => {
                self.extensions += 1;
                match byte {
                    b'\r' => Ok(State::SizeLf { value }),
                    b'\t' | 0x20..=0x7e | 0x80.. if self.extensions <= MAX_EXTENSIONS => Ok(self.state),
                    _ => Err(BodyError::ChunkExtension),
                }
            }
            State::SizeLf { value } => match (byte, value) {
                (b'\n', 0) => Ok(State::Trailers),
                (b'\n', left) => Ok(State::Data { left }),
                _ => Err(BodyError::ChunkSize),
            },
            State::DataCr if byte == b'\r' => Ok(State::DataLf),
            State::DataLf if byte == b'\n' => Ok(State::Start),
            State::DataCr | State::DataLf => Err(BodyError::ChunkEnd),
            State::Data { .. } | State::Trailers | State::Done => Ok(self.state),
        }
    }

    /// Collects trailer lines until the empty one, then checks them as strictly as header lines.
    fn read_trailers(&mut self, input: &[u8], mut at: usize) -> Result<Piece, BodyError> {
        while let Some(byte) = input.get(at) {
            self.trailer_bytes.push(*byte);
            at += 1;
            if self.trailer_bytes.len() > self.trailer_limit.saturating_add(2) {
                return Err(BodyError::Trailers);
            }
            if *byte == b'\n' && (self.trailer_bytes.len() == 2 || self.trailer_bytes.ends_with(b"\r\n\r\n"))
            {
                self.check_trailers()?;
                self.state = State::Done;
                return Ok(Piece::End { consumed: at });
            }
            // A line feed without its carriage return can only be refused; waiting would hold the connection.
            if *byte == b'\n' && !self.trailer_bytes.ends_with(b"\r\n") {
                return Err(BodyError::Trailers);
            }
        }
        Ok(Piece::NeedMore { consumed: at })
    }

    fn check_trailers(&mut self) -> Result<(), BodyError> {
        if self.trailer_bytes == b"\r\n" {
            return Ok(());
        }
        let mut table = [httparse::EMPTY_HEADER; MAX_FIELDS];
        match httparse::parse_headers(&self.trailer_bytes, &mut table) {
            Ok(httparse::Status::Complete((len, fields))) if len == self.trailer_bytes.len() => {
                lines::take_fields(&mut self.trailers, &self.trailer_bytes, fields)
                    .map_err(|_| BodyError::Trailers)?;
            }
            _ => return Err(BodyError::Trailers),
        }
        self.trailers.retain(|known, _| known.may_be_trailer());
        Ok(())
    }
}

fn hex(byte: u8) -> Option<u64> {
    char::from(byte).to_digit(16).map(u64::from)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    /// Decodes `input` cut into pieces of `size` bytes: the data, and how many bytes the body took.
    fn decode(input: &[u8], size: usize) -> Result<(Vec<u8>, usize), BodyError> {
        let mut decoder = Chunked::new(64);
        let (mut data, mut start, mut end) = (Vec::new(), 0, size.min(input.len()));
        loop {
            match decoder.decode(&input[start..end])? {
                Piece::Data { skip, len } => {
                    data.extend_from_slice(&input[start + skip..start + skip + len]);
                    start += skip + len;
                }
                Piece::End { consumed } => return Ok((data, start + consumed)),
                Piece::NeedMore { consumed } => {
                    start += consumed;
                    if end == input.len() {
                        return Err(BodyError::Cut);
                    }
                    end = (end + size).min(input.len());
                }
            }
        }
    }

    #[test]
    fn reads_the_same_body_however_it_is_cut() {
        let body = b"5;a=\"b;c\"\r\nhello\r\nA\r\n0123456789\r\n0\r\nX: y\r\n\r\nnext";
        for size in 1..=body.len() {
            assert_eq!(decode(body, size), Ok((b"hello0123456789".to_vec(), body.len() - 4)), "{size}");
        }
    }

    #[test]
    fn refuses_what_two_readers_could_read_differently() {
        use BodyError::{ChunkEnd, ChunkExtension, ChunkSize, Trailers};
        let cases: [(&[u8], BodyError); 16] = [
            (b"\r\n", ChunkSize),
            (b"5\nhello", ChunkSize),
            (b"5 \r\nhello\r\n", ChunkSize),
            (b" 5\r\nhello\r\n", ChunkSize),
            (b"+5\r\nhello\r\n", ChunkSize),
            (b"0x5\r\nhello\r\n", ChunkSize),
            (b"5\rXhello", ChunkSize),
            (b"10000000000000000\r\n", ChunkSize),
            (b"0000000000000005\r\nhello", ChunkSize),
            (b"5;a\nhello", ChunkExtension),
            (b"5;\0\r\nhello", ChunkExtension),
            (b"5\r\nhelloX\r\n", ChunkEnd),
            (b"5\r\nhello\n0\r\n\r\n", ChunkEnd),
            (b"0\r\nX : y\r\n\r\n", Trailers),
            (b"0\r\nX: y\n\r\n", Trailers),
            (b"0\r\n y: z\r\n\r\n", Trailers),
        ];
        for (body, error) in cases {
            assert_eq!(decode(body, body.len()), Err(error), "{:?}", String::from_utf8_lossy(body));
            assert_eq!(decode(body, 1), Err(error), "{:?}", String::from_utf8_lossy(body));
        }
    }

    #[test]
    fn bounds_extensions_and_trailers() {
        let mut long = b"1;".to_vec();
        long.resize(MAX_EXTENSIONS + 8, b'a');
        assert_eq!(decode(&long, 100), Err(BodyError::ChunkExtension));
        let mut long = b"0\r\nX: ".to_vec();
        long.resize(200, b'a');
        assert_eq!(decode(&long, 7), Err(BodyError::Trailers));
    }

    #[test]
    fn keeps_trailers_but_not_those_that_frame_or_route() {
        let mut decoder = Chunked::new(256);
        let body = b"0\r\nContent-Length: 5\r\nX-Sum: 1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(decoder.decode(body), Ok(Piece::End { consumed: body.len() }));
        assert_eq!(decoder.trailers().iter().collect::<Vec<_>>(), [(b"X-Sum".as_slice(), b"1".as_slice())]);
    }
}
