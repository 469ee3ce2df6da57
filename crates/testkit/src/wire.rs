//! The referee: strict reading of HTTP/1.1 requests and answers from a socket or from recorded bytes.
//!
//! It takes only the one form that RFC 9112 tells a sender to write. Whatever a lenient reader might take in
//! two ways is an error here, so "the referee read exactly one request" proves that it was unambiguous.

mod head;
mod stream;

pub use head::{Fields, Framing};
pub use stream::Stream;

/// A request as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The method, as sent.
    pub method: String,
    /// The target, as sent.
    pub target: String,
    /// `HTTP/1.1` or `HTTP/1.0`.
    pub version: String,
    /// The header fields in order, with their case.
    pub fields: Fields,
    /// How the body was delimited.
    pub framing: Framing,
    /// The body without its framing.
    pub body: Vec<u8>,
    /// The trailer fields of a chunked body.
    pub trailers: Fields,
}

/// An answer as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The reason phrase.
    pub reason: String,
    /// `HTTP/1.1` or `HTTP/1.0`.
    pub version: String,
    /// The header fields in order, with their case.
    pub fields: Fields,
    /// How the body was delimited.
    pub framing: Framing,
    /// The body without its framing.
    pub body: Vec<u8>,
    /// The trailer fields of a chunked body.
    pub trailers: Fields,
    /// The informational answers that came before it.
    pub interim: Vec<Answer>,
}

impl Answer {
    /// The code of the failure, when the proxy made this answer itself.
    pub fn failure(&self) -> Option<&str> {
        self.fields.get("x-loadweaver-failure")
    }

    /// The body as text, lossily.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Whether the sender said that it closes after this answer.
    pub fn says_close(&self) -> bool {
        self.fields.lists("connection", "close")
    }
}

/// Why a message could not be read whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WireError {
    /// The deadline passed; what had arrived of the message by then.
    Timeout(Vec<u8>),
    /// The connection ended in order before the first byte of a message.
    Closed,
    /// The connection was reset before the first byte of a message.
    Reset,
    /// The connection ended or was reset in the middle of a message.
    Cut {
        /// The status, when the whole head had come.
        status: Option<u16>,
        /// The body bytes that had come.
        body: Vec<u8>,
    },
    /// The bytes are not the one form that a sender must write.
    Malformed(String),
}

impl WireError {
    /// Whether the connection ended, in order or not, before a message began.
    pub fn is_end(&self) -> bool {
        matches!(self, Self::Closed | Self::Reset)
    }
}

/// Reads recorded bytes as a sequence of requests; the second value holds what is left over: `Ok` with the
/// unfinished bytes (empty when the record ends with a whole request), or why the next one is malformed.
pub fn requests_in(recorded: &[u8]) -> (Vec<Request>, Result<Vec<u8>, String>) {
    let mut found = Vec::new();
    let mut rest = recorded;
    loop {
        if rest.is_empty() {
            return (found, Ok(Vec::new()));
        }
        match request_in(rest) {
            Ok(Some((request, used))) => {
                found.push(request);
                rest = &rest[used..];
            }
            Ok(None) => return (found, Ok(rest.to_vec())),
            Err(problem) => return (found, Err(problem)),
        }
    }
}

/// Reads one request from the start of the bytes; `None` when it is not whole.
fn request_in(bytes: &[u8]) -> Result<Option<(Request, usize)>, String> {
    let Some(end) = head::end_of_head(bytes)? else { return Ok(None) };
    let mut request = head::parse_request_head(&bytes[..end])?;
    let mut at = end;
    match request.framing {
        Framing::None | Framing::UntilClose => {}
        Framing::Length(length) => {
            let length = usize::try_from(length).map_err(|_| "a length beyond memory".to_owned())?;
            let Some(body) = bytes.get(at..at.saturating_add(length)) else { return Ok(None) };
            request.body = body.to_vec();
            at += length;
        }
        Framing::Chunked => loop {
            let Some(line_end) = head::end_of_line(&bytes[at..])? else { return Ok(None) };
            let size = head::parse_chunk_line(&bytes[at..at + line_end - 2])?;
            at += line_end;
            if size == 0 {
                let Some(end) = head::end_of_trailers(&bytes[at..])? else { return Ok(None) };
                request.trailers = head::parse_fields(&bytes[at..at + end])?;
                at += end;
                break;
            }
            let Some(chunk) = bytes.get(at..at + size + 2) else { return Ok(None) };
            if &chunk[size..] != b"\r\n" {
                return Err("chunk data not followed by CRLF".into());
            }
            request.body.extend_from_slice(&chunk[..size]);
            at += size + 2;
        },
    }
    Ok(Some((request, at)))
}
