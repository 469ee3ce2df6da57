//! Answer heads.

use crate::connection::{MAX_OPTIONS, read_connection, strip_hop_by_hop};
use crate::error::ResponseError;
use crate::framing::{self, Framing};
use crate::headers::Headers;
use crate::limits::HeadLimits;
use crate::lines;
use crate::name::Name;
use crate::request::{Method, Version};

mod composed;

/// A checked answer head; reused from exchange to exchange like [`crate::RequestHead`].
#[derive(Debug, Default, Clone)]
pub struct ResponseHead {
    /// The header fields; what is removed or added here is what the client sees.
    pub headers: Headers,
    status: u16,
    version: Version,
    reason: (usize, usize),
    framing: Option<Framing>,
    keep_alive: bool,
    upgrade: bool,
    names_others: bool,
}

/// `HTTP/1.1 200` and a space come before the reason, which may be missing together with that space.
const BEFORE_REASON: usize = 13;

impl ResponseHead {
    /// Reads a head from the start of `input`; `method` is that of the request, which decides whether there is a
    /// body. `Ok(None)`: more bytes are needed. An answer that is refused must not be passed on, nor its
    /// connection used again.
    pub fn parse(
        &mut self,
        input: &[u8],
        method: Method,
        limits: &HeadLimits,
    ) -> Result<Option<usize>, ResponseError> {
        let mut table = lines::field_table();
        let allowed = table.get_mut(..limits.fields).unwrap_or_default();
        let mut parsed = httparse::Response::new(&mut []);
        let config = httparse::ParserConfig::default();
        // `httparse` would skip empty lines before an answer; nothing in RFC 9112 lets a server send them.
        if matches!(input.first(), Some(b'\r' | b'\n')) {
            return Err(ResponseError::Line);
        }
        let len = match config.parse_response_with_uninit_headers(&mut parsed, input, allowed) {
            Ok(httparse::Status::Complete(len)) if len <= limits.bytes => len,
            Ok(httparse::Status::Partial) if input.len() < limits.bytes => return Ok(None),
            Ok(_) | Err(httparse::Error::TooManyHeaders) => return Err(ResponseError::TooLarge),
            Err(httparse::Error::HeaderName | httparse::Error::HeaderValue) => {
                return Err(ResponseError::Header);
            }
            Err(_) => return Err(ResponseError::Line),
        };
        let (Some(status), Some(minor)) = (parsed.code, parsed.version) else {
            return Err(ResponseError::Line);
        };
        let head = input.get(..len).unwrap_or_default();
        let line_end = memchr::memchr(b'\n', head).unwrap_or(0);
        let line = head.get(..line_end.saturating_sub(1)).unwrap_or_default();
        let good_end = line_end > 0 && head.get(line_end - 1) == Some(&b'\r') && !line.contains(&b'\r');
        if !(100..=599).contains(&status) || !good_end {
            return Err(ResponseError::Line);
        }
        lines::take_fields(&mut self.headers, head, parsed.headers).map_err(|_| ResponseError::Header)?;
        self.status = status;
        self.reason = (BEFORE_REASON, line.len().saturating_sub(BEFORE_REASON));
        self.version = if minor == 0 { Version::Http10 } else { Version::Http11 };
        self.framing = Some(framing::of_response(&self.headers, self.version, status, method)?);
        self.read_options()?;
        Ok(Some(len))
    }

    fn read_options(&mut self) -> Result<(), ResponseError> {
        let connection = read_connection(&self.headers);
        self.keep_alive = connection.keep_alive(self.version);
        self.upgrade = connection.upgrade && self.headers.has(Name::Upgrade);
        self.names_others = connection.others;
        if connection.options > MAX_OPTIONS { Err(ResponseError::Header) } else { Ok(()) }
    }

    /// The status, 100 to 599.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The reason phrase as the server wrote it; may be empty.
    pub fn reason(&self) -> &[u8] {
        self.headers.bytes(self.reason.0, self.reason.1)
    }

    /// The server's version.
    pub fn version(&self) -> Version {
        self.version
    }

    /// How the end of the body is known.
    pub fn framing(&self) -> Framing {
        self.framing.unwrap_or(Framing::None)
    }

    /// Whether the server keeps the connection after this answer.
    pub fn keep_alive(&self) -> bool {
        self.keep_alive
    }

    /// Whether a 101 names the protocol that it switches to.
    pub fn upgrades(&self) -> bool {
        self.upgrade
    }

    /// Removes what is meant for this connection only.
    pub fn strip_hop_by_hop(&mut self) {
        strip_hop_by_hop(&mut self.headers, self.names_others);
    }
}

#[cfg(test)]
mod tests;
