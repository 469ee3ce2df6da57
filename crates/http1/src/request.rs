//! Request heads.

use crate::connection::{MAX_OPTIONS, SPEAKS_OF_CONNECTION, read_connection, strip_hop_by_hop};
use crate::error::RequestError;
use crate::framing::{self, Framing};
use crate::headers::Headers;
use crate::limits::{HeadLimits, MAX_METHOD};
use crate::lines::{self, list};
use crate::name::Name;
use crate::target::{self, Form};

mod composed;

/// The protocol version of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    #[default]
    Http11,
    /// HTTP/2: its heads are composed of fields, not parsed.
    Http2,
}

/// A method, as far as a proxy must tell methods apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Method {
    /// GET
    #[default]
    Get,
    /// HEAD: its answer has no body.
    Head,
    /// OPTIONS: the only one with the target `*`.
    Options,
    /// CONNECT: the only one with a target `host:port`.
    Connect,
    /// Any other; its text is kept.
    Other,
}

impl Method {
    fn of(text: &[u8]) -> Self {
        match text {
            b"GET" => Method::Get,
            b"HEAD" => Method::Head,
            b"OPTIONS" => Method::Options,
            b"CONNECT" => Method::Connect,
            _ => Method::Other,
        }
    }
}

/// A checked request head. One value serves exchange after exchange: [`RequestHead::parse`] overwrites it and
/// keeps its memory.
#[derive(Debug, Default, Clone)]
pub struct RequestHead {
    /// The header fields; what is removed or added here is what the server sees.
    pub headers: Headers,
    method: Method,
    version: Version,
    framing: Option<Framing>,
    /// Where the method stands in the header block, if it is none of those that have a name here.
    method_at: (usize, usize),
    /// Where the path stands in the header block.
    path: (usize, usize),
    /// Where the `:protocol` of an extended CONNECT stands; no length where there is none.
    protocol: (usize, usize),
    /// An absolute target without a path means `/` (RFC 9112 section 3.2.1), or `*` for OPTIONS.
    path_prefix: &'static str,
    options: Options,
}

/// What the head says about this connection.
#[derive(Debug, Default, Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, none of which rules out another")]
struct Options {
    keep_alive: bool,
    upgrade: bool,
    expects_continue: bool,
    te_trailers: bool,
    names_others: bool,
}

impl RequestHead {
    /// Reads a head from the start of `input` (empty lines before it included, RFC 9112 section 2.2).
    ///
    /// `Ok(Some(n))`: the head is complete and has `n` bytes. `Ok(None)`: more bytes are needed. Hosts, lengths,
    /// target and version are checked; a head that is refused must be answered and its connection closed.
    pub fn parse(&mut self, input: &[u8], limits: &HeadLimits) -> Result<Option<usize>, RequestError> {
        self.clear();
        let skipped = empty_lines(input)?;
        let rest = input.get(skipped..).unwrap_or_default();
        if rest.starts_with(b"HEAD ") {
            // Known even if the rest is refused: the refusal must not have a body then.
            self.method = Method::Head;
        }
        let mut table = lines::field_table();
        let allowed = table.get_mut(..limits.fields).unwrap_or_default();
        let mut parsed = httparse::Request::new(&mut []);
        let status = match parsed.parse_with_uninit_headers(rest, allowed) {
            Ok(status) => status,
            Err(error) => return Err(refusal(error, rest, limits)),
        };
        if parsed.path.is_some_and(|path| path.len() > limits.target) {
            return Err(RequestError::TargetTooLong);
        }
        let head_len = match status {
            httparse::Status::Complete(len) if len <= limits.bytes => len,
            // Method and version beside it, so that a target is never refused before it is over its limit.
            httparse::Status::Partial
                if parsed.path.is_none() && rest.len() > limits.target + MAX_METHOD + 2 =>
            {
                return Err(RequestError::TargetTooLong);
            }
            httparse::Status::Partial if rest.len() < limits.bytes => return Ok(None),
            _ => return Err(RequestError::TooLarge),
        };
        let (Some(method), Some(path), Some(minor)) = (parsed.method, parsed.path, parsed.version) else {
            return Err(RequestError::Line);
        };
        let head = rest.get(..head_len).unwrap_or_default();
        // `httparse` has checked that the line is `method SP target SP HTTP/1.x` and some line end.
        if method.len() > MAX_METHOD || lines::line_end(head, method.len() + path.len() + 10).is_none() {
            return Err(RequestError::Line);
        }
        lines::take_fields(&mut self.headers, head, parsed.headers).map_err(|_| RequestError::Header)?;
        self.version = if minor == 0 { Version::Http10 } else { Version::Http11 };
        self.method = Method::of(method.as_bytes());
        self.method_at = (0, method.len());
        self.check_target(path.as_bytes())?;
        self.framing = Some(framing::of_request(&self.headers, self.version)?);
        self.read_options()?;
        Ok(Some(skipped + head_len))
    }

    /// The method.
    pub fn method(&self) -> Method {
        self.method
    }

    /// The method's text.
    pub fn method_text(&self) -> &str {
        match self.method {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Options => "OPTIONS",
            Method::Connect => "CONNECT",
            Method::Other => text(self.headers.bytes(self.method_at.0, self.method_at.1)),
        }
    }

    /// The client's version.
    pub fn version(&self) -> Version {
        self.version
    }

    /// How the end of the body is known.
    pub fn framing(&self) -> Framing {
        self.framing.unwrap_or(Framing::None)
    }

    /// The target as a server gets it: path and query, `*`, or the authority of a CONNECT.
    pub fn target(&self) -> &str {
        text(self.target_bytes())
    }

    /// The same, for whoever has no use for knowing again that it is text.
    #[inline]
    pub fn target_bytes(&self) -> &[u8] {
        let path = self.headers.bytes(self.path.0, self.path.1);
        if path.is_empty() { self.path_prefix.as_bytes() } else { path }
    }

    /// The path alone.
    pub fn path(&self) -> &str {
        let target = self.target();
        target.split_once('?').map_or(target, |(path, _)| path)
    }

    /// The host that the client named, as it wrote it; empty where an HTTP/1.0 client named none.
    pub fn host(&self) -> &str {
        text(self.headers.get(Name::Host).unwrap_or_default())
    }

    /// Whether the client wants to keep the connection.
    pub fn keep_alive(&self) -> bool {
        self.options.keep_alive
    }

    /// The protocol that the client asks to upgrade to, where it does so validly.
    pub fn upgrade(&self) -> Option<&[u8]> {
        if self.options.upgrade { self.headers.get(Name::Upgrade) } else { None }
    }

    /// The protocol that an extended CONNECT asks for (RFC 8441); the target is a path then.
    pub fn protocol(&self) -> Option<&[u8]> {
        let (start, len) = self.protocol;
        if len == 0 { None } else { Some(self.headers.bytes(start, len)) }
    }

    /// Whether the client waits for `100 Continue` before it sends the body.
    pub fn expects_continue(&self) -> bool {
        self.options.expects_continue
    }

    /// Whether the client takes trailers (`TE: trailers`).
    pub fn takes_trailers(&self) -> bool {
        self.options.te_trailers
    }

    /// Removes what is meant for this connection only: RFC 9110 section 7.6.1, and whatever `Connection` names.
    pub fn strip_hop_by_hop(&mut self) {
        strip_hop_by_hop(&mut self.headers, self.options.names_others);
    }

    /// Forgets the head before, so that one that is refused has nothing of it.
    fn clear(&mut self) {
        self.headers.clear();
        self.method = Method::default();
        self.version = Version::default();
        self.framing = None;
        self.method_at = (0, 0);
        self.protocol = (0, 0);
        self.path = (0, 0);
        self.path_prefix = "";
        self.options = Options::default();
    }

    fn check_target(&mut self, target: &[u8]) -> Result<(), RequestError> {
        let form = target::form(target, self.method).ok_or(RequestError::Target)?;
        let start = self.method_at.1 + 1;
        self.path_prefix = "/";
        self.path = (start, target.len());
        self.check_hosts()?;
        let authority = match form {
            Form::Absolute { authority, path } => {
                self.take_absolute_path(start, path)?;
                Some(self.headers.bytes(start + authority.0, authority.1))
            }
            Form::Authority => Some(target),
            Form::Origin | Form::Asterisk => None,
        };
        let Some(authority) = authority else { return Ok(()) };
        match self.headers.get(Name::Host) {
            Some(host) if target::same_host(host, authority) => Ok(()),
            Some(_) => Err(RequestError::Host),
            None => {
                let authority = authority.to_vec();
                self.headers.append(b"Host", &authority);
                Ok(())
            }
        }
    }

    fn check_hosts(&self) -> Result<(), RequestError> {
        let mut hosts = self.headers.get_all(Name::Host);
        let good = match (hosts.next(), hosts.next()) {
            (Some(host), None) => target::is_host(host),
            (None, _) => self.version == Version::Http10,
            (Some(_), Some(_)) => false,
        };
        if good { Ok(()) } else { Err(RequestError::Host) }
    }

    fn take_absolute_path(&mut self, start: usize, path: (usize, usize)) -> Result<(), RequestError> {
        self.path = (start + path.0, path.1);
        let text = self.headers.bytes(self.path.0, self.path.1);
        if text.is_empty() && self.method == Method::Options {
            self.path_prefix = "*";
        }
        // `http://host?query` has no path to put the query behind; nobody sends it, so nobody is repaired.
        if text.first() == Some(&b'?') { Err(RequestError::Target) } else { Ok(()) }
    }

    fn read_options(&mut self) -> Result<(), RequestError> {
        let http11 = self.version == Version::Http11;
        let mut options = Options { keep_alive: http11, ..Options::default() };
        if self.headers.names() & SPEAKS_OF_CONNECTION != 0 {
            let connection = read_connection(&self.headers);
            options.keep_alive = connection.keep_alive(self.version);
            options.names_others = connection.others;
            options.upgrade = http11 && connection.upgrade && self.headers.has(Name::Upgrade);
            options.te_trailers = self
                .headers
                .get_all(Name::Te)
                .any(|value| list(value).any(|item| item.eq_ignore_ascii_case(b"trailers")));
            let mut expectations = self.headers.get_all(Name::Expect).peekable();
            let expects = expectations.peek().is_some();
            if !expectations.all(|expectation| expectation.eq_ignore_ascii_case(b"100-continue")) {
                return Err(RequestError::Expectation);
            }
            if connection.options > MAX_OPTIONS {
                return Err(RequestError::Header);
            }
            let has_body = !matches!(self.framing(), Framing::None | Framing::Length(0));
            options.expects_continue = expects && http11 && has_body;
        }
        self.options = options;
        Ok(())
    }
}

/// Bytes of empty lines before the request line. RFC 9112 section 2.2 wants at least one to be ignored; more than
/// a few are somebody filling our buffer.
fn empty_lines(input: &[u8]) -> Result<usize, RequestError> {
    const MOST: usize = 8;
    let mut at = 0;
    loop {
        match input.get(at..) {
            Some([b'\r', b'\n', ..]) if at < MOST => at += 2,
            Some([b'\r'] | []) | None => return Ok(at),
            Some([b'\r' | b'\n', ..]) => return Err(RequestError::Line),
            Some(_) => return Ok(at),
        }
    }
}

/// Turns the parser's error into ours; the ones that depend on more than the error look at the bytes.
fn refusal(error: httparse::Error, rest: &[u8], limits: &HeadLimits) -> RequestError {
    match error {
        httparse::Error::TooManyHeaders => RequestError::TooLarge,
        httparse::Error::HeaderName | httparse::Error::HeaderValue => RequestError::Header,
        httparse::Error::Version if names_other_version(rest) => RequestError::Version,
        httparse::Error::Token => {
            // The target is read as a token too; one that is not is a bad target if the method before it is good.
            let method = rest.iter().position(|byte| *byte == b' ').unwrap_or(0);
            let good =
                rest.get(..method).is_some_and(|name| !name.is_empty() && name.iter().copied().all(is_token));
            if good && limits.target > 0 { RequestError::Target } else { RequestError::Line }
        }
        _ => RequestError::Line,
    }
}

/// Whether the first line ends in a well-formed `HTTP/d.d` that is not ours.
fn names_other_version(rest: &[u8]) -> bool {
    let line = rest.split(|byte| *byte == b'\r' || *byte == b'\n').next().unwrap_or_default();
    let word = line.rsplit(|byte| *byte == b' ').next().unwrap_or_default();
    matches!(word, [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
        if major.is_ascii_digit() && minor.is_ascii_digit() && !(*major == b'1' && matches!(minor, b'0' | b'1')))
}

/// Whether a byte may stand in a token (RFC 9110 section 5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Bytes that were checked to be ASCII.
fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests;
