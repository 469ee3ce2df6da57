//! A reader of messages that takes one spelling and no other (RFC 9112), written for clarity alone.
//!
//! What it refuses some server somewhere reads in another way. It has no limits, and it knows nothing of what a
//! proxy does with a message.

/// A head, line by line.
#[derive(Debug, PartialEq, Eq)]
pub struct Head<'h> {
    /// The three parts of the first line. The last may be empty and may hold spaces in a status line.
    pub start: [&'h [u8]; 3],
    /// Names and values as written, white space around values taken off.
    pub fields: Vec<(&'h [u8], &'h [u8])>,
    /// Bytes of all of it, the empty line included.
    pub len: usize,
}

/// How long a body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Length {
    /// No field speaks of it.
    Unsaid,
    /// So many bytes.
    Bytes(u64),
    /// Chunks say it.
    Chunked,
}

/// A head at the start of the bytes; none where it is not whole or has a line that is not right.
pub fn head(bytes: &[u8]) -> Option<Head<'_>> {
    let (first, mut at) = line(bytes)?;
    let mut words = first.splitn(3, |byte| *byte == b' ');
    let start = [words.next()?, words.next()?, words.next()?];
    let mut fields = Vec::new();
    loop {
        let (line, len) = line(&bytes[at..])?;
        at += len;
        if line.is_empty() {
            return Some(Head { start, fields, len: at });
        }
        fields.push(field(line)?);
    }
}

/// A line without its CRLF, and how many bytes it has with it. A control character within makes it wrong.
fn line(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let end = bytes.windows(2).position(|two| two == b"\r\n")?;
    let line = &bytes[..end];
    let clean = line.iter().all(|byte| *byte == b'\t' || !byte.is_ascii_control());
    clean.then_some((line, end + 2))
}

fn field(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    let good = !name.is_empty() && name.iter().copied().all(is_token);
    good.then_some((name, trim(value)))
}

/// Takes spaces and tabs off both ends, and nothing else.
fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// RFC 9110 section 5.6.2.
pub fn is_token(byte: u8) -> bool {
    matches!(byte, b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`'
        | b'|' | b'~' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z')
}

impl<'h> Head<'h> {
    /// Every value of a field, whatever the case of its name.
    pub fn all(&self, name: &str) -> Vec<&'h [u8]> {
        let name = name.as_bytes();
        self.fields.iter().filter(|field| field.0.eq_ignore_ascii_case(name)).map(|field| field.1).collect()
    }

    /// The length of the body, if there is exactly one reading of it. A length may be repeated where the standard
    /// lets a recipient take it once.
    pub fn length(&self, may_repeat: bool) -> Option<Length> {
        let (codings, lengths) = (self.all("transfer-encoding"), self.all("content-length"));
        match (codings.as_slice(), lengths.as_slice()) {
            ([], []) => Some(Length::Unsaid),
            ([coding], []) if coding.eq_ignore_ascii_case(b"chunked") => Some(Length::Chunked),
            ([], [first, rest @ ..]) if rest.is_empty() || may_repeat => {
                let first = number(first)?;
                rest.iter().all(|other| number(other) == Some(first)).then_some(Length::Bytes(first))
            }
            _ => None,
        }
    }
}

fn number(text: &[u8]) -> Option<u64> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(text).ok().filter(|_| digits)?.parse().ok()
}

/// A chunked body, read to its end.
#[derive(Debug, PartialEq, Eq)]
pub struct Chunks {
    /// The data of all chunks.
    pub data: Vec<u8>,
    /// Bytes of extensions, all together.
    pub extensions: usize,
    /// Bytes of the trailer section.
    pub trailers: usize,
    /// Number of trailer fields.
    pub fields: usize,
    /// Bytes of all of it.
    pub len: usize,
}

/// A chunked body at the start of the bytes (RFC 9112 section 7.1); none where it is not whole or not right.
pub fn chunks(bytes: &[u8]) -> Option<Chunks> {
    let mut read = Chunks { data: Vec::new(), extensions: 0, trailers: 0, fields: 0, len: 0 };
    loop {
        let (line, len) = line(&bytes[read.len..])?;
        read.len += len;
        let digits = line.iter().position(|byte| !byte.is_ascii_hexdigit()).unwrap_or(line.len());
        let (size, extension) = line.split_at(digits);
        if !matches!(extension, [] | [b';', ..]) {
            return None;
        }
        read.extensions += extension.len();
        // Sixteen digits may be a size, but none that anybody sends; no reader has to agree on it.
        let size = std::str::from_utf8(size).ok().filter(|size| size.len() < 16)?;
        let size = usize::from_str_radix(size, 16).ok()?;
        if size == 0 {
            break;
        }
        read.data.extend_from_slice(bytes.get(read.len..read.len.checked_add(size)?)?);
        read.len += size;
        if bytes.get(read.len..read.len + 2)? != b"\r\n" {
            return None;
        }
        read.len += 2;
    }
    loop {
        let (line, len) = line(&bytes[read.len..])?;
        read.len += len;
        read.trailers += len;
        if line.is_empty() {
            return Some(read);
        }
        field(line)?;
        read.fields += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_one_spelling_of_a_head() {
        let read = head(b"GET /a HTTP/1.1\r\nHost:\t a \r\nX-Empty:\r\n\r\nrest").unwrap();
        assert_eq!(read.start, [&b"GET"[..], b"/a", b"HTTP/1.1"]);
        assert_eq!(read.fields, [(&b"Host"[..], &b"a"[..]), (b"X-Empty", b"")]);
        assert_eq!(read.len, 40);
        for bad in [
            &b"GET / HTTP/1.1\r\nA: b\n\r\n"[..],
            b"GET / HTTP/1.1\r\nA: b\rc\r\n\r\n",
            b"GET / HTTP/1.1\r\n A: b\r\n\r\n",
            b"GET / HTTP/1.1\r\nA : b\r\n\r\n",
            b"GET / HTTP/1.1\r\nA: \0\r\n\r\n",
            b"GET / HTTP/1.1\r\nA\r\n\r\n",
            b"GET / HTTP/1.1\r\nA: b\r\n",
            b"GET /\r\n\r\n",
        ] {
            assert_eq!(head(bad), None, "{:?}", String::from_utf8_lossy(bad));
        }
    }

    #[test]
    fn knows_a_length_only_where_there_is_one_reading() {
        let length = |fields: &str| {
            let text = format!("GET / HTTP/1.1\r\n{fields}\r\n");
            head(text.as_bytes()).unwrap().length(true)
        };
        assert_eq!(length(""), Some(Length::Unsaid));
        assert_eq!(length("content-length: 07\r\nContent-Length: 7\r\n"), Some(Length::Bytes(7)));
        assert_eq!(length("Transfer-Encoding: Chunked\r\n"), Some(Length::Chunked));
        for bad in [
            "content-length: 7\r\ncontent-length: 8\r\n",
            "content-length: +7\r\n",
            "content-length: 7\r\ntransfer-encoding: chunked\r\n",
            "transfer-encoding: gzip, chunked\r\n",
        ] {
            assert_eq!(length(bad), None, "{bad}");
        }
    }

    #[test]
    fn reads_one_spelling_of_chunks() {
        let read = chunks(b"5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\nnext").unwrap();
        assert_eq!((read.data.as_slice(), read.len, read.fields), (&b"hello"[..], 25, 1));
        for bad in ["5\r\nhello0\r\n\r\n", "5 \r\nhello\r\n0\r\n\r\n", "\r\n\r\n", "0\r\nX\r\n\r\n", "0\r\n"]
        {
            assert_eq!(chunks(bad.as_bytes()), None, "{bad}");
        }
    }
}
