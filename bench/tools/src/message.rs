//! Just enough HTTP/1.1 to know where a message ends.
//!
//! This is not a validating parser: the bench talks to proxies whose strictness is tested elsewhere. It does
//! notice everything that would make a number wrong: a status that is not the expected one, a length that is
//! not the announced one, a body that never ends.

use memchr::memmem::Finder;

/// Longest head that is accepted, bytes. A proxy under test sends a few hundred.
pub const MAX_HEAD: usize = 64 * 1024;

/// How a message's body is delimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// Exactly this many bytes (0 where the message has none).
    Length(u64),
    /// Chunked transfer coding.
    Chunked,
    /// Everything until the connection ends (answers only).
    UntilClose,
}

/// What a head said, as far as framing goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Framing {
    /// The first line's number: an answer's status, 0 for a request.
    pub status: u16,
    /// How the body ends.
    pub body: Body,
    /// Whether the sender said `Connection: close` (or speaks HTTP/1.0 without keep-alive).
    pub close: bool,
    /// Whether the request is a HEAD.
    pub head_request: bool,
}

/// Finds heads in bytes; holds the prepared search.
pub struct Scanner {
    end: Finder<'static>,
}

impl Default for Scanner {
    fn default() -> Self {
        Self { end: Finder::new(b"\r\n\r\n") }
    }
}

impl Scanner {
    /// The length of the head at the start of `bytes`, with its empty line; `None` where it is not whole yet.
    pub fn head_length(&self, bytes: &[u8]) -> Option<usize> {
        self.end.find(bytes).map(|at| at + 4)
    }

    /// Reads a request's framing from a whole head.
    pub fn request(&self, head: &[u8]) -> Framing {
        let mut framing = fields(head, Body::Length(0));
        framing.head_request = head.starts_with(b"HEAD ");
        framing
    }

    /// Reads an answer's framing from a whole head; `None` where the first line is not a status line.
    pub fn response(&self, head: &[u8]) -> Option<Framing> {
        let status = head.get(9..12).filter(|_| head.starts_with(b"HTTP/1."))?;
        let status = std::str::from_utf8(status).ok()?.parse().ok()?;
        let mut framing = fields(head, Body::UntilClose);
        framing.status = status;
        if status < 200 || status == 204 || status == 304 {
            framing.body = Body::Length(0);
        }
        Some(framing)
    }
}

fn fields(head: &[u8], default: Body) -> Framing {
    let mut framing = Framing { status: 0, body: default, close: false, head_request: false };
    let mut start = memchr::memchr(b'\n', head).map_or(head.len(), |at| at + 1);
    framing.close = head[..start].windows(8).any(|w| w == b"HTTP/1.0");
    while let Some(length) = memchr::memchr(b'\n', &head[start..]) {
        let line = &head[start..start + length];
        // Only three names matter; their first byte rules out nearly every other line.
        match line.first().map(u8::to_ascii_lowercase) {
            Some(b'c') => {
                if let Some(value) = value_of(line, b"content-length:") {
                    framing.body = decimal(value).map_or(Body::UntilClose, Body::Length);
                } else if let Some(value) = value_of(line, b"connection:") {
                    framing.close = value.eq_ignore_ascii_case(b"close")
                        || (framing.close && !value.eq_ignore_ascii_case(b"keep-alive"));
                }
            }
            Some(b't') if value_of(line, b"transfer-encoding:").is_some() => {
                framing.body = Body::Chunked;
            }
            _ => {}
        }
        start += length + 1;
    }
    framing
}

fn value_of<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (head, value) = line.split_at_checked(name.len())?;
    head.eq_ignore_ascii_case(name).then(|| value.trim_ascii())
}

fn decimal(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Follows a body to its end across reads.
#[derive(Debug, Clone, Copy)]
pub enum BodyReader {
    /// Bytes still to come.
    Length(u64),
    /// Inside the chunked coding.
    Chunked(Chunked),
    /// Ends with the connection.
    UntilClose,
}

/// Where in the chunked coding the next byte stands.
#[derive(Debug, Clone, Copy)]
pub enum Chunked {
    /// In a chunk-size line; the size so far, and whether the extension has begun.
    Size(u64, bool),
    /// In a chunk's data (with its CRLF): bytes still to come.
    Data(u64),
    /// In the trailer section: bytes of the current line so far.
    Trailer(u32),
    /// The whole body was read.
    Done,
}

impl BodyReader {
    /// A reader at the start of a body.
    pub fn new(body: Body) -> Self {
        match body {
            Body::Length(length) => Self::Length(length),
            Body::Chunked => Self::Chunked(Chunked::Size(0, false)),
            Body::UntilClose => Self::UntilClose,
        }
    }

    /// Whether the body is complete.
    pub fn is_done(&self) -> bool {
        matches!(self, Self::Length(0) | Self::Chunked(Chunked::Done))
    }

    /// How many bytes are still to come, where that is known.
    pub fn left(&self) -> Option<u64> {
        match self {
            Self::Length(left) => Some(*left),
            Self::Chunked(_) | Self::UntilClose => None,
        }
    }

    /// Counts bytes of a known length that were discarded unseen.
    pub fn skip(&mut self, count: u64) {
        if let Self::Length(left) = self {
            *left = left.saturating_sub(count);
        }
    }

    /// Takes bytes of the body from the front of `bytes`; returns how many belong to it (framing included).
    pub fn take(&mut self, bytes: &[u8]) -> usize {
        match self {
            Self::Length(left) => {
                let taken = (bytes.len() as u64).min(*left);
                *left -= taken;
                taken as usize
            }
            Self::UntilClose => bytes.len(),
            Self::Chunked(state) => take_chunked(state, bytes),
        }
    }
}

fn take_chunked(state: &mut Chunked, bytes: &[u8]) -> usize {
    let mut at = 0;
    while at < bytes.len() {
        match *state {
            Chunked::Done => break,
            Chunked::Data(left) => {
                let taken = (bytes.len() - at).min(left as usize);
                at += taken;
                let left = left - taken as u64;
                *state = if left == 0 { Chunked::Size(0, false) } else { Chunked::Data(left) };
            }
            Chunked::Size(size, extension) => {
                let byte = bytes[at];
                at += 1;
                *state = match byte {
                    b'\n' if size == 0 => Chunked::Trailer(0),
                    b'\n' => Chunked::Data(size + 2),
                    b';' => Chunked::Size(size, true),
                    _ => match (byte as char).to_digit(16) {
                        Some(digit) if !extension => Chunked::Size(size << 4 | u64::from(digit), false),
                        _ => Chunked::Size(size, extension),
                    },
                };
            }
            Chunked::Trailer(length) => {
                let byte = bytes[at];
                at += 1;
                *state = match byte {
                    b'\n' if length == 0 => Chunked::Done,
                    b'\n' => Chunked::Trailer(0),
                    b'\r' => Chunked::Trailer(length),
                    _ => Chunked::Trailer(length + 1),
                };
            }
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_framing_of_an_answer() {
        let head = b"HTTP/1.1 200 OK\r\nDate: x\r\ncontent-length: 12\r\nConnection: close\r\n\r\n";
        let framing = Scanner::default().response(head).unwrap();
        assert_eq!((framing.status, framing.body, framing.close), (200, Body::Length(12), true));
        assert_eq!(Scanner::default().head_length(head), Some(head.len()));
    }

    #[test]
    fn an_answer_without_length_ends_with_the_connection() {
        let framing = Scanner::default().response(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        assert_eq!(framing.body, Body::UntilClose);
    }

    #[test]
    fn follows_chunks_cut_at_every_place() {
        let body = b"4;x=1\r\nwiki\r\n10\r\n0123456789abcdef\r\n0\r\nT: v\r\n\r\nNEXT";
        for cut in 0..body.len() {
            let mut reader = BodyReader::new(Body::Chunked);
            let (first, second) = body.split_at(cut);
            let taken = reader.take(first);
            let taken = taken + if taken == cut { reader.take(second) } else { 0 };
            assert!(reader.is_done(), "cut at {cut}");
            assert_eq!(taken, body.len() - 4, "cut at {cut}");
        }
    }
}
