//! Decoded fields made into heads: RFC 9113 section 8, without a way round any of its rules.
//!
//! A message that breaks them is malformed, and its stream is reset: whatever a lenient reader would make of it, a
//! server behind us might read otherwise, which is what request smuggling lives on.

use loadweaver_http1::{Framing, Headers, Method, Name, RequestError, RequestHead, ResponseHead, target};

use crate::error::{Abuse, Ended, Refusal, Violation};
use crate::hpack::{Block, Decoder, Kind, Pseudo};
use crate::limits::Limits;

/// What has become of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Good,
    Malformed,
    Refused(Refusal),
}

/// Counts a head while it is decoded.
struct Measure<'l> {
    limits: &'l Limits,
    size: usize,
    fields: usize,
    over: bool,
}

impl<'l> Measure<'l> {
    fn new(limits: &'l Limits) -> Self {
        Self { limits, size: 0, fields: 0, over: false }
    }

    /// Counts a field; false if it is not to be kept.
    #[inline]
    fn fits(&mut self, size: usize) -> Result<bool, Ended> {
        self.size += size;
        self.fields += 1;
        if self.size > self.limits.head || self.fields > self.limits.fields {
            self.over = true;
            if self.size > self.limits.bomb() {
                return Err(Abuse::HpackBomb.into());
            }
        }
        Ok(!self.over)
    }
}

fn undecodable<T>(_: T) -> Ended {
    Violation::Compression.into()
}

/// Decodes a block that nobody wants, for the state that it changes.
pub(crate) fn discard(decoder: &mut Decoder, block: &[u8], limits: &Limits) -> Result<(), Ended> {
    let mut block = Block::new(block);
    let mut measure = Measure::new(limits);
    while let Some(field) = decoder.next(&mut block).map_err(undecodable)? {
        measure.fits(field.size())?;
    }
    decoder.decoded += measure.size;
    Ok(())
}

/// Which pseudo-header fields a request has.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, none of which rules out another")]
struct Seen {
    method: bool,
    scheme: bool,
    authority: bool,
    path: bool,
    protocol: bool,
    regular: bool,
    too_long: bool,
}

/// Reads the head of a request. `cookies` is memory to join them in.
pub(crate) fn request(
    decoder: &mut Decoder,
    block: &[u8],
    head: &mut RequestHead,
    (limits, cookies, ended): (&Limits, &mut Vec<u8>, bool),
) -> Result<Verdict, Ended> {
    let mut block = Block::new(block);
    let mut measure = Measure::new(limits);
    let mut seen = Seen::default();
    let mut good = true;
    head.begin();
    cookies.clear();
    while let Some(field) = decoder.next(&mut block).map_err(undecodable)? {
        let fits = measure.fits(field.size())?;
        good &= field.sound;
        if !good || !fits {
            // Only to know whom a refusal is for: its answer must not have a body then.
            if field.kind == Kind::Pseudo(Pseudo::Method) && field.value() == b"HEAD" {
                good &= head.bring_method(b"HEAD").is_ok();
            }
            continue;
        }
        match field.kind {
            Kind::Pseudo(pseudo) => good = request_pseudo(head, &mut seen, pseudo, field.value(), limits),
            Kind::Field(Name::Other) => {
                seen.regular = true;
                head.headers.append_line(Name::Other, field.line, field.name_len, field.secret);
            }
            Kind::Field(name) => {
                seen.regular = true;
                let kept = request_field(head, &seen, name, field.value());
                good = kept.is_some();
                if kept == Some(true) {
                    head.headers.append_line(name, field.line, field.name_len, field.secret);
                }
            }
            Kind::Cookie => {
                seen.regular = true;
                // An empty one would leave white space at the end.
                if !cookies.is_empty() && !field.value().is_empty() {
                    cookies.extend_from_slice(b"; ");
                }
                cookies.extend_from_slice(field.value());
            }
            Kind::Refused => good = false,
        }
    }
    decoder.decoded += measure.size;
    if !good {
        return Ok(Verdict::Malformed);
    }
    if measure.over {
        return Ok(Verdict::Refused(Refusal::TooLarge));
    }
    if !cookies.is_empty() {
        head.headers.append(b"cookie", cookies);
    }
    Ok(complete_request(head, &seen, limits, ended))
}

/// Takes a pseudo-header field: each once at most, and all before the first other field (section 8.3).
#[inline]
fn request_pseudo(
    head: &mut RequestHead,
    seen: &mut Seen,
    pseudo: Pseudo,
    value: &[u8],
    limits: &Limits,
) -> bool {
    let before = match pseudo {
        Pseudo::Method => &mut seen.method,
        Pseudo::Scheme => &mut seen.scheme,
        Pseudo::Authority => &mut seen.authority,
        Pseudo::Path => &mut seen.path,
        Pseudo::Protocol => &mut seen.protocol,
        Pseudo::Status | Pseudo::Unknown => return false,
    };
    if seen.regular || std::mem::replace(before, true) {
        return false;
    }
    match pseudo {
        Pseudo::Method => return head.bring_method(value).is_ok(),
        Pseudo::Scheme => return matches!(value, b"http" | b"https"),
        // Held against what a host may be when all is there.
        Pseudo::Authority => head.headers.append(b"host", value),
        Pseudo::Path if value.len() > limits.target => seen.too_long = true,
        Pseudo::Path => {
            head.bring_path(value);
            return !value.is_empty();
        }
        Pseudo::Protocol => {
            head.bring_protocol(value);
            return !value.is_empty();
        }
        Pseudo::Status | Pseudo::Unknown => {}
    }
    true
}

/// A field that means something to us: none if the request cannot have it, false if it need not be kept.
fn request_field(head: &RequestHead, seen: &Seen, name: Name, value: &[u8]) -> Option<bool> {
    match name {
        // Beside an authority it says nothing new, or a second thing (section 8.3.1).
        Name::Host if seen.authority => {
            let authority = head.headers.get(Name::Host).unwrap_or_default();
            target::same_host(authority, value).then_some(false)
        }
        // The only thing that a hop may say of itself here (section 8.2.2).
        Name::Te => value.eq_ignore_ascii_case(b"trailers").then_some(true),
        _ => Some(true),
    }
}

fn complete_request(head: &mut RequestHead, seen: &Seen, limits: &Limits, ended: bool) -> Verdict {
    let connect = head.method() == Method::Connect;
    let whole = if connect && !seen.protocol {
        // Section 8.5.
        seen.authority && !seen.scheme && !seen.path
    } else if seen.protocol {
        // RFC 8441 section 4.
        connect && limits.allow_connect_protocol && seen.scheme && seen.path && seen.authority
    } else {
        seen.scheme && seen.path
    };
    if !whole || !seen.method {
        return Verdict::Malformed;
    }
    if seen.too_long {
        return Verdict::Refused(Refusal::TargetTooLong);
    }
    match head.complete(ended) {
        Ok(()) if ended && !matches!(head.framing(), Framing::None | Framing::Length(0)) => {
            Verdict::Malformed
        }
        Ok(()) => Verdict::Good,
        Err(RequestError::Expectation) => Verdict::Refused(Refusal::Expectation),
        Err(_) => Verdict::Malformed,
    }
}

/// Reads the head of an answer to a request with `method`.
pub(crate) fn response(
    decoder: &mut Decoder,
    block: &[u8],
    head: &mut ResponseHead,
    (limits, method, ended): (&Limits, Method, bool),
) -> Result<Verdict, Ended> {
    let mut block = Block::new(block);
    let mut measure = Measure::new(limits);
    let (mut status, mut regular, mut good) = (None, false, true);
    head.begin(0);
    while let Some(field) = decoder.next(&mut block).map_err(undecodable)? {
        let fits = measure.fits(field.size())?;
        good &= field.sound;
        if !good || !fits {
            continue;
        }
        let name = match field.kind {
            Kind::Pseudo(Pseudo::Status) if !regular && status.is_none() => {
                status = read_status(field.value());
                good = status.is_some();
                continue;
            }
            Kind::Pseudo(_) | Kind::Refused | Kind::Field(Name::Te) => {
                good = false;
                continue;
            }
            Kind::Field(name) => name,
            Kind::Cookie => Name::Other,
        };
        regular = true;
        head.headers.append_line(name, field.line, field.name_len, field.secret);
    }
    let (true, Some(status)) = (good, status) else { return Ok(Verdict::Malformed) };
    if measure.over {
        return Ok(Verdict::Refused(Refusal::TooLarge));
    }
    head.bring_status(status);
    // Section 8.1: an interim answer does not end the stream; section 8.6: there is no 101.
    if status == 101 || (status < 200 && ended) || head.complete(method).is_err() {
        return Ok(Verdict::Malformed);
    }
    let short = ended && matches!(head.framing(), Framing::Length(length) if length > 0);
    Ok(if short { Verdict::Malformed } else { Verdict::Good })
}

fn read_status(value: &[u8]) -> Option<u16> {
    let [a @ b'1'..=b'5', b @ b'0'..=b'9', c @ b'0'..=b'9'] = *value else { return None };
    Some(u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0'))
}

/// Reads trailers. Those that frame or route come too late for that and are left out, as those of HTTP/1.1 are.
pub(crate) fn trailers(
    decoder: &mut Decoder,
    block: &[u8],
    trailers: &mut Headers,
    limits: &Limits,
) -> Result<Verdict, Ended> {
    let mut block = Block::new(block);
    let mut measure = Measure::new(limits);
    let mut good = true;
    trailers.clear();
    while let Some(field) = decoder.next(&mut block).map_err(undecodable)? {
        let fits = measure.fits(field.size())?;
        good &= field.sound;
        if !good || !fits {
            continue;
        }
        let name = match field.kind {
            Kind::Pseudo(_) | Kind::Refused => {
                good = false;
                continue;
            }
            Kind::Field(name) => name,
            Kind::Cookie => Name::Other,
        };
        if name.may_be_trailer() {
            trailers.append_line(name, field.line, field.name_len, field.secret);
        }
    }
    Ok(if !good {
        Verdict::Malformed
    } else if measure.over {
        Verdict::Refused(Refusal::TooLarge)
    } else {
        Verdict::Good
    })
}
