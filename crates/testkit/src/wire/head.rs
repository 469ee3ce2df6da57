//! Heads, field blocks and chunk lines, read strictly.

use super::{Answer, Request};

/// Header or trailer fields in order, with their case; values without the white space around them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fields(pub Vec<(String, Vec<u8>)>);

impl Fields {
    /// The first value of that name (case does not matter), when it is text.
    pub fn get(&self, name: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(key, _)| key.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(value).ok()
    }

    /// All values of that name, as bytes.
    pub fn raw<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.0
            .iter()
            .filter(move |(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_slice())
    }

    /// All values of that name, as text.
    pub fn all(&self, name: &str) -> Vec<String> {
        self.raw(name).map(|value| String::from_utf8_lossy(value).into_owned()).collect()
    }

    /// Whether a field of that name is there.
    pub fn has(&self, name: &str) -> bool {
        self.raw(name).next().is_some()
    }

    /// Whether the comma-separated values of that name hold the word (case does not matter).
    pub fn lists(&self, name: &str, word: &str) -> bool {
        self.all(name)
            .iter()
            .flat_map(|value| value.split(','))
            .any(|item| item.trim().eq_ignore_ascii_case(word))
    }

    /// The names in order, with their case.
    pub fn names(&self) -> Vec<&str> {
        self.0.iter().map(|(name, _)| name.as_str()).collect()
    }
}

/// How a body is delimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// There is none.
    None,
    /// By Content-Length, in bytes.
    Length(u64),
    /// By chunks.
    Chunked,
    /// By the end of the connection (answers only).
    UntilClose,
}

/// Where the head ends (just after the empty line), or `None` when it is not whole yet.
pub(crate) fn end_of_head(bytes: &[u8]) -> Result<Option<usize>, String> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4);
    check_line_ends(&bytes[..end.unwrap_or(bytes.len())], end.is_some())?;
    Ok(end)
}

/// Where a trailer block ends: at once, or after the empty line.
pub(crate) fn end_of_trailers(bytes: &[u8]) -> Result<Option<usize>, String> {
    if bytes.starts_with(b"\r\n") { Ok(Some(2)) } else { end_of_head(bytes) }
}

/// Where the first line ends (after its CRLF).
pub(crate) fn end_of_line(bytes: &[u8]) -> Result<Option<usize>, String> {
    let end = bytes.windows(2).position(|window| window == b"\r\n").map(|at| at + 2);
    check_line_ends(&bytes[..end.unwrap_or(bytes.len())], end.is_some())?;
    Ok(end)
}

fn check_line_ends(bytes: &[u8], whole: bool) -> Result<(), String> {
    for (at, byte) in bytes.iter().enumerate() {
        let last = at + 1 == bytes.len();
        let bare = match byte {
            b'\n' => at == 0 || bytes[at - 1] != b'\r',
            b'\r' if last => whole,
            b'\r' => bytes[at + 1] != b'\n',
            _ => false,
        };
        if bare {
            return Err(format!("bare CR or LF at {at} of {:?}", String::from_utf8_lossy(bytes)));
        }
    }
    Ok(())
}

pub(crate) fn parse_request_head(head: &[u8]) -> Result<Request, String> {
    let (line, fields) = split_head(head)?;
    let words: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
    let [method, target, version] = words.as_slice() else {
        return Err(format!("request line of {} words: {:?}", words.len(), String::from_utf8_lossy(line)));
    };
    if method.is_empty() || !method.iter().all(|byte| is_token(*byte)) {
        return Err(format!("method {:?}", String::from_utf8_lossy(method)));
    }
    if target.is_empty() || target.iter().any(|byte| *byte <= b' ' || *byte == 0x7f) {
        return Err(format!("target {:?}", String::from_utf8_lossy(target)));
    }
    let version = version_of(version)?;
    let framing = request_framing(&fields, &version)?;
    if version == "HTTP/1.1" && fields.raw("host").count() != 1 {
        return Err(format!("{} Host fields", fields.raw("host").count()));
    }
    Ok(Request {
        method: text(method),
        target: text(target),
        version,
        fields,
        framing,
        body: Vec::new(),
        trailers: Fields::default(),
    })
}

pub(crate) fn parse_answer_head(head: &[u8]) -> Result<Answer, String> {
    let (line, fields) = split_head(head)?;
    let mut words = line.splitn(3, |byte| *byte == b' ');
    let version = version_of(words.next().unwrap_or_default())?;
    let code = words.next().unwrap_or_default();
    let reason = words.next().ok_or("a status line without the space after the code")?;
    if code.len() != 3 || !code.iter().all(u8::is_ascii_digit) || code[0] == b'0' {
        return Err(format!("status {:?}", String::from_utf8_lossy(code)));
    }
    if reason.iter().any(|byte| is_control(*byte)) {
        return Err("control character in the reason".into());
    }
    Ok(Answer {
        status: text(code).parse().expect("three digits"),
        reason: text(reason),
        version,
        fields,
        framing: Framing::None,
        body: Vec::new(),
        trailers: Fields::default(),
        interim: Vec::new(),
    })
}

/// How the body of an answer to that method is delimited (RFC 9112 section 6.3).
pub(crate) fn answer_framing(answer: &Answer, method: &str) -> Result<Framing, String> {
    let length = content_length(&answer.fields)?;
    let chunked = transfer_chunked(&answer.fields)?;
    if length.is_some() && chunked.is_some() {
        return Err("both Content-Length and Transfer-Encoding".into());
    }
    let bodiless = answer.status < 200 || answer.status == 204;
    if bodiless && (chunked.is_some() || length.is_some()) {
        return Err(format!("a {} with a body length", answer.status));
    }
    if method == "HEAD" || answer.status == 304 || bodiless || (method == "CONNECT" && answer.status < 300) {
        return Ok(Framing::None);
    }
    Ok(match (chunked, length) {
        (Some(true), _) => Framing::Chunked,
        (None, Some(length)) => Framing::Length(length),
        _ => Framing::UntilClose,
    })
}

fn request_framing(fields: &Fields, version: &str) -> Result<Framing, String> {
    match (transfer_chunked(fields)?, content_length(fields)?) {
        (Some(_), Some(_)) => Err("both Content-Length and Transfer-Encoding".into()),
        (Some(_), _) if version == "HTTP/1.0" => Err("Transfer-Encoding in HTTP/1.0".into()),
        (Some(true), None) => Ok(Framing::Chunked),
        (Some(false), None) => Err("Transfer-Encoding without chunked last".into()),
        (None, Some(0) | None) => Ok(Framing::None),
        (None, Some(length)) => Ok(Framing::Length(length)),
    }
}

fn content_length(fields: &Fields) -> Result<Option<u64>, String> {
    let values: Vec<&[u8]> = fields.raw("content-length").collect();
    match values.as_slice() {
        [] => Ok(None),
        [value] if !value.is_empty() && value.iter().all(u8::is_ascii_digit) => {
            text(value).parse().map(Some).map_err(|_| format!("Content-Length {:?}", text(value)))
        }
        _ => Err(format!("Content-Length {:?}", fields.all("content-length"))),
    }
}

/// `Some(true)` when the only `chunked` is the last coding, `Some(false)` for other codings.
fn transfer_chunked(fields: &Fields) -> Result<Option<bool>, String> {
    let values = fields.all("transfer-encoding");
    if values.is_empty() {
        return Ok(None);
    }
    let codings: Vec<&str> = values.iter().flat_map(|value| value.split(',')).map(str::trim).collect();
    let known = ["chunked", "gzip", "deflate", "compress", "identity"];
    if codings.iter().any(|coding| !known.iter().any(|name| name.eq_ignore_ascii_case(coding))) {
        return Err(format!("Transfer-Encoding {values:?}"));
    }
    let chunked = codings.iter().filter(|coding| coding.eq_ignore_ascii_case("chunked")).count();
    let last = codings.last().is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"));
    if chunked > 1 || (chunked == 1 && !last) {
        return Err(format!("Transfer-Encoding {values:?}"));
    }
    Ok(Some(last))
}

fn split_head(head: &[u8]) -> Result<(&[u8], Fields), String> {
    let line = head.windows(2).position(|window| window == b"\r\n").ok_or("no line")?;
    Ok((&head[..line], parse_fields(&head[line + 2..])?))
}

/// Reads `name: value CRLF` lines up to and with the empty one.
pub(crate) fn parse_fields(block: &[u8]) -> Result<Fields, String> {
    let mut fields = Fields::default();
    let mut rest = block;
    while !rest.starts_with(b"\r\n") {
        let end =
            rest.windows(2).position(|window| window == b"\r\n").ok_or("a field line without its end")?;
        fields.0.push(parse_field(&rest[..end])?);
        rest = &rest[end + 2..];
    }
    if rest.len() == 2 { Ok(fields) } else { Err("bytes after the empty line".into()) }
}

fn parse_field(line: &[u8]) -> Result<(String, Vec<u8>), String> {
    let shown = || String::from_utf8_lossy(line).into_owned();
    let colon =
        line.iter().position(|byte| *byte == b':').ok_or_else(|| format!("no colon in {:?}", shown()))?;
    let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
    if name.is_empty() || !name.iter().all(|byte| is_token(*byte)) {
        return Err(format!("field name in {:?}", shown()));
    }
    if value.iter().any(|byte| is_control(*byte)) {
        return Err(format!("control character in {:?}", shown()));
    }
    Ok((text(name), value.to_vec()))
}

/// A chunk's size line without its CRLF: hexadecimal digits, and extensions that are plain text.
pub(crate) fn parse_chunk_line(line: &[u8]) -> Result<usize, String> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let rest = &line[digits..];
    if digits == 0
        || digits > 8
        || !(rest.is_empty() || rest[0] == b';')
        || rest.iter().any(|b| is_control(*b))
    {
        return Err(format!("chunk line {:?}", String::from_utf8_lossy(line)));
    }
    usize::from_str_radix(&text(&line[..digits]), 16).map_err(|error| error.to_string())
}

fn version_of(word: &[u8]) -> Result<String, String> {
    match word {
        b"HTTP/1.1" | b"HTTP/1.0" => Ok(text(word)),
        _ => Err(format!("version {:?}", String::from_utf8_lossy(word))),
    }
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn is_control(byte: u8) -> bool {
    (byte < b' ' && byte != b'\t') || byte == 0x7f
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
