//! Secrets out of what is shown: values of parameters and of headers, by their names.
//!
//! Names are compared by their letters and digits alone, without regard to case, percent-decoded as often as they are
//! encoded: `api_key`, `apiKey`, `api%5Fkey` and `api%255Fkey` are one name, and each part of `user[password]` and
//! `user.password` is one. A URL within a parameter's value is looked into as well, encoded or not. What is not sure is
//! redacted: a value goes up to the next `&` that stands there as such, and takes `;` and encoded `&` with it.

use std::borrow::Cow;

use loadweaver_config::Redact;

use super::MASK;

/// What to hide.
#[derive(Debug, Clone)]
pub struct Redaction {
    /// Hashes of the names of parameters, sorted. Two names of the same hash would hide too much, not too little.
    names: Vec<u64>,
    endings: Endings,
    /// Names of headers in lower case.
    headers: Vec<String>,
}

impl Default for Redaction {
    fn default() -> Self {
        Self::new(&Redact::default())
    }
}

impl Redaction {
    /// The settings made ready.
    pub fn new(settings: &Redact) -> Self {
        let usual = |names: &'static [&'static str]| if settings.defaults { names } else { &[] };
        let mut names = Vec::new();
        let mut endings = Endings::default();
        let query = usual(&Redact::QUERY).iter().copied();
        for name in query.chain(settings.query.iter().map(String::as_str)) {
            names.push(name.bytes().fold(Name::default(), Name::with).0);
            endings.add(name);
        }
        names.sort_unstable();
        let headers = usual(&Redact::HEADERS).iter().map(|name| (*name).to_owned());
        let headers = headers.chain(settings.headers.iter().map(|name| name.to_ascii_lowercase())).collect();
        Self { names, endings, headers }
    }

    /// A request target, a URL, or whatever else may hold parameters, without the values of those that are secret, and
    /// without user and password.
    pub fn url<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut out = Vec::new();
        if self.write(text.as_bytes(), &mut out) {
            Cow::Owned(String::from_utf8_lossy(&out).into_owned())
        } else {
            Cow::Borrowed(text)
        }
    }

    /// Whether the value of this header is not shown at all.
    pub fn hides_header(&self, name: &str) -> bool {
        self.headers.iter().any(|known| known.eq_ignore_ascii_case(name))
    }

    /// As [`Self::url`], of any bytes; what is new is written into `room`, whatever stood there.
    pub(crate) fn shown<'t>(&self, text: &'t [u8], room: &'t mut Vec<u8>) -> &'t [u8] {
        room.clear();
        if self.write(text, room) { room } else { text }
    }

    /// Writes the text if it is not shown as it is. Most have nothing to hide, and most of those no `?`.
    fn write(&self, text: &[u8], out: &mut Vec<u8>) -> bool {
        if self.names.is_empty() {
            return false;
        }
        let start = memchr::memchr3(b'?', b';', b'#', text);
        let tail = start.and_then(|start| text.get(start..)).unwrap_or_default();
        let suspect = self.endings.suspect(tail);
        let user = userinfo(text);
        if !suspect && user.is_none() {
            return false;
        }
        let mut copy = Copy { text, copied: 0, out };
        if let Some((from, to)) = user {
            copy.hide(from, to);
        }
        if let Some(start) = start.filter(|_| suspect) {
            self.parameters(start, &mut copy);
        }
        copy.end()
    }

    /// Hides the values of the secret ones, from the first separator on.
    fn parameters(&self, start: usize, copy: &mut Copy<'_>) {
        let text = copy.text;
        let query = memchr::memchr2(b'?', b'#', text).unwrap_or(text.len());
        let (mut name, mut secret, mut at) = (Name::default(), false, start);
        while let Some((byte, len)) = decoded(text, at) {
            at += len;
            match byte {
                b'?' | b'&' | b';' | b'#' | b'/' => (name, secret) = (Name::default(), false),
                b'[' | b'.' => {
                    secret |= self.knows(name);
                    name = Name::default();
                }
                b'=' if secret || self.knows(name) => {
                    let value = text.get(at..).unwrap_or_default();
                    let len = if query < at {
                        memchr::memchr(b'&', value)
                    } else {
                        memchr::memchr3(b'/', b'?', b'#', value)
                    };
                    let end = len.map_or(text.len(), |len| at + len);
                    copy.hide(at, end);
                    (name, secret, at) = (Name::default(), false, end);
                }
                b'=' => name = Name::default(),
                _ => name = name.with(byte),
            }
        }
    }

    fn knows(&self, name: Name) -> bool {
        self.names.binary_search(&name.0).is_ok()
    }
}

/// A text that is written with parts of it hidden.
struct Copy<'c> {
    text: &'c [u8],
    copied: usize,
    out: &'c mut Vec<u8>,
}

impl Copy<'_> {
    fn hide(&mut self, from: usize, to: usize) {
        if from < to {
            self.out.extend_from_slice(self.text.get(self.copied..from).unwrap_or_default());
            self.out.extend_from_slice(MASK.as_bytes());
            self.copied = to;
        }
    }

    /// Whether anything was hidden.
    fn end(self) -> bool {
        let hidden = self.copied > 0;
        if hidden {
            self.out.extend_from_slice(self.text.get(self.copied..).unwrap_or_default());
        }
        hidden
    }
}

/// The byte that is meant at this place, decoded as often as it is encoded, and how many bytes it took.
fn decoded(text: &[u8], at: usize) -> Option<(u8, usize)> {
    let hex = |at: usize| text.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    let mut byte = *text.get(at)?;
    let mut len = 1;
    while byte == b'%'
        && let (Some(high), Some(low)) = (hex(at + len), hex(at + len + 1))
    {
        byte = u8::try_from(high * 16 + low).unwrap_or(byte);
        len += 2;
    }
    Some((byte, len))
}

/// Where user and password stand in `scheme://user:password@host`.
fn userinfo(text: &[u8]) -> Option<(usize, usize)> {
    if text.first().is_none_or(|first| *first == b'/') {
        return None;
    }
    memchr::memchr(b'@', text)?;
    let from = memchr::memmem::find(text, b"://")? + 3;
    let authority = text.get(from..)?;
    let len = memchr::memchr3(b'/', b'?', b'#', authority).unwrap_or(authority.len());
    let user = memchr::memrchr(b'@', authority.get(..len)?)?;
    Some((from, from + user))
}

/// A name as a number (FNV-1a over its letters and digits in lower case, and all that is not ASCII).
#[derive(Debug, Clone, Copy)]
struct Name(u64);

impl Default for Name {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Name {
    fn with(self, byte: u8) -> Self {
        if byte.is_ascii() && !byte.is_ascii_alphanumeric() {
            return self;
        }
        Self((self.0 ^ u64::from(byte.to_ascii_lowercase())).wrapping_mul(0x0100_0000_01b3))
    }
}

/// With which two letters or digits the names end: tells most parameters apart without reading their names.
#[derive(Debug, Clone, Default)]
struct Endings([u64; 21]);

impl Endings {
    fn add(&mut self, name: &str) {
        let mut last = name.bytes().rev().filter(u8::is_ascii_alphanumeric);
        if let (Some(last), Some(before)) = (last.next(), last.next())
            && let Some(pair) = pair(before, last)
            && let Some(bits) = self.0.get_mut(pair / 64)
        {
            *bits |= 1 << (pair % 64);
        }
    }

    /// Whether one of the parameters may be a secret one. An escape may be anything, and so may a name that does not
    /// end in two letters or digits.
    fn suspect(&self, text: &[u8]) -> bool {
        memchr::memchr2_iter(b'=', b'%', text).any(|at| {
            let before = |back: usize| at.checked_sub(back).and_then(|at| text.get(at));
            match (text.get(at), before(2), before(1)) {
                (Some(b'='), Some(before), Some(last)) => pair(*before, *last).is_none_or(|pair| {
                    self.0.get(pair / 64).is_some_and(|bits| bits >> (pair % 64) & 1 == 1)
                }),
                _ => true,
            }
        })
    }
}

fn pair(before: u8, last: u8) -> Option<usize> {
    let number = |byte: u8| char::from(byte).to_digit(36).map(|number| number as usize);
    Some(number(before)? * 36 + number(last)?)
}

#[cfg(test)]
mod tests;
