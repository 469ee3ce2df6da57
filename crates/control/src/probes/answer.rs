//! An answer to an `http` probe, read as far as its judgement needs, and judged.

use std::sync::{Mutex, PoisonError};

use loadweaver_config::{BodyPattern, HealthCheck};
use loadweaver_http1::body::{Body, Piece};
use loadweaver_http1::{Framing, HeadLimits, Headers, Method, ResponseError, ResponseHead};
use loadweaver_policy::health::ProbeFailure;
use regex::bytes::Regex;
use tokio::io::AsyncReadExt;
use tokio::time::{Instant, timeout_at};

use super::reach::Stream;
use super::tcp::cause;
use crate::program::harmless;

/// Bytes of a body that are looked at.
pub(super) const PROBED: usize = HealthCheck::PROBED_BODY;
/// Longest head of a probe's answer, and of all its interim answers together.
const MAX_HEAD: usize = 16 * 1024;
/// Most header fields of it.
const MAX_FIELDS: usize = 128;
/// Bytes that one read may bring.
const READ: usize = 16 * 1024;
/// Characters of a header's value that an operator is shown.
const SHOWN: usize = 100;
/// Expressions that are kept compiled: more than that are in few configurations, and only cost time.
const COMPILED: usize = 64;

/// Bytes of an answer that have come, and where more come from.
pub(super) struct Incoming {
    pub(super) stream: Stream,
    bytes: Vec<u8>,
}

impl Incoming {
    pub(super) fn new(stream: Stream) -> Self {
        Self { stream, bytes: Vec::with_capacity(1024) }
    }

    /// Reads some more; false at the end.
    async fn more(&mut self) -> Result<bool, ProbeFailure> {
        self.bytes.reserve(READ);
        let read = self.stream.read_buf(&mut self.bytes).await;
        // Servers that end TLS without saying so are common, and what came before was whole or was not.
        read.map(|count| count > 0).or_else(|error| match error.kind() {
            std::io::ErrorKind::UnexpectedEof => Ok(false),
            _ => Err(ProbeFailure::BadAnswer(cause(&error))),
        })
    }

    /// The head of the final answer.
    pub(super) async fn head(&mut self, method: Method) -> Result<ResponseHead, ProbeFailure> {
        let limits = HeadLimits { bytes: MAX_HEAD, fields: MAX_FIELDS, ..HeadLimits::default() };
        let mut head = ResponseHead::default();
        let mut interim = 0;
        loop {
            while let Some(length) = head.parse(&self.bytes, method, &limits).map_err(not_http)? {
                self.bytes.drain(..length);
                // 1xx is interim (RFC 9110, 15.2); 101 answers an upgrade, which nobody asked for.
                if head.status() >= 200 || head.status() == 101 {
                    return Ok(head);
                }
                interim += length;
            }
            if interim >= MAX_HEAD {
                return Err(not_http(ResponseError::TooLarge));
            }
            if !self.more().await? {
                let what = "the connection was closed before an answer";
                return Err(ProbeFailure::BadAnswer(what.to_owned()));
            }
        }
    }

    /// Reads the body until it holds what it should, ends, or has shown as much of itself as is looked at. One that
    /// does not end in time is judged by what has come.
    pub(super) async fn judge_body(
        &mut self,
        framing: Framing,
        pattern: &BodyPattern,
        until: Instant,
    ) -> Result<(), ProbeFailure> {
        let mut body = Body::new(framing, MAX_HEAD);
        let mut found = Finder::new(pattern)?;
        loop {
            let whole = self.take_data(&mut body, &mut found.text)?;
            found.text.truncate(HealthCheck::PROBED_BODY);
            if found.early() {
                return Ok(());
            }
            if whole || found.text.len() >= HealthCheck::PROBED_BODY {
                break;
            }
            match timeout_at(until, self.more()).await {
                Ok(Ok(true)) => {}
                // Whether it was cut or ended makes no difference to what it holds.
                Ok(Ok(false) | Err(_)) | Err(_) => break,
            }
        }
        found.verdict()
    }

    /// Takes what has come of the body; true when that was all of it.
    fn take_data(&mut self, body: &mut Body, text: &mut Vec<u8>) -> Result<bool, ProbeFailure> {
        let mut at = 0;
        let ended = loop {
            let rest = self.bytes.get(at..).unwrap_or_default();
            let piece = body.decode(rest).map_err(|error| ProbeFailure::BadAnswer(error.to_string()))?;
            match piece {
                Piece::Data { skip, len } => {
                    text.extend_from_slice(rest.get(skip..skip + len).unwrap_or_default());
                    at += skip + len;
                }
                Piece::NeedMore { consumed } => {
                    at += consumed;
                    break false;
                }
                Piece::End { consumed } => {
                    at += consumed;
                    break true;
                }
            }
        };
        self.bytes.drain(..at.min(self.bytes.len()));
        Ok(ended)
    }
}

/// Each expected header must be there with its value, in one of its fields if it has several.
pub(super) fn judge_headers(headers: &Headers, expected: &[(String, String)]) -> Result<(), ProbeFailure> {
    for (name, value) in expected {
        let fields = headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name.as_bytes()));
        let values: Vec<&[u8]> = fields.map(|(_, value)| value).collect();
        let problem = match values.as_slice() {
            [] => format!("the header {name} is missing"),
            several if several.contains(&value.as_bytes()) => continue,
            [first, ..] => format!("the header {name} is {:?}", shown(first)),
        };
        return Err(ProbeFailure::Header(problem));
    }
    Ok(())
}

/// Looks for a pattern in a text that comes bit by bit.
pub(super) struct Finder<'p> {
    pattern: &'p BodyPattern,
    /// None where the pattern is no expression.
    expression: Option<Regex>,
    pub(super) text: Vec<u8>,
    /// Up to here nothing was found, and nothing that begins before will be.
    searched: usize,
}

impl<'p> Finder<'p> {
    pub(super) fn new(pattern: &'p BodyPattern) -> Result<Self, ProbeFailure> {
        let expression = match pattern {
            BodyPattern::Contains(_) => None,
            BodyPattern::Regex(expression) => Some(compiled(expression)?),
        };
        Ok(Self { pattern, expression, text: Vec::new(), searched: 0 })
    }

    /// Whether it is certain already that the pattern is found. An expression may find something in a part of a text
    /// and nothing in the whole, so it waits for the end.
    pub(super) fn early(&mut self) -> bool {
        let BodyPattern::Contains(wanted) = self.pattern else { return false };
        let fresh = self.text.get(self.searched..).unwrap_or_default();
        let found = contains(fresh, wanted.as_bytes());
        self.searched = (self.text.len() + 1).saturating_sub(wanted.len()).max(self.searched);
        found
    }

    pub(super) fn verdict(&self) -> Result<(), ProbeFailure> {
        let (good, problem) = match self.pattern {
            BodyPattern::Contains(wanted) => {
                (contains(&self.text, wanted.as_bytes()), format!("the body does not contain {wanted:?}"))
            }
            BodyPattern::Regex(expression) => {
                let good = self.expression.as_ref().is_some_and(|regex| regex.is_match(&self.text));
                (good, format!("nothing in the body matches {expression:?}"))
            }
        };
        if good { Ok(()) } else { Err(ProbeFailure::Body(problem)) }
    }
}

fn contains(text: &[u8], wanted: &[u8]) -> bool {
    wanted.is_empty() || text.windows(wanted.len()).any(|window| window == wanted)
}

/// Compiled once for all probes that look for it. The configuration's checker has compiled it before.
fn compiled(expression: &str) -> Result<Regex, ProbeFailure> {
    static KNOWN: Mutex<Vec<(String, Regex)>> = Mutex::new(Vec::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, regex)) = known.iter().find(|(text, _)| text == expression) {
        return Ok(regex.clone());
    }
    let regex = Regex::new(expression).map_err(|error| ProbeFailure::BadAnswer(error.to_string()))?;
    if known.len() >= COMPILED {
        known.remove(0);
    }
    known.push((expression.to_owned(), regex.clone()));
    Ok(regex)
}

fn not_http(error: ResponseError) -> ProbeFailure {
    ProbeFailure::BadAnswer(match error {
        ResponseError::TooLarge => format!("a head of more than {MAX_HEAD} bytes or {MAX_FIELDS} fields"),
        ResponseError::Line | ResponseError::Header | ResponseError::Framing => {
            format!("no HTTP/1 answer: {error}")
        }
    })
}

/// The beginning of a header's value, for operators.
pub(super) fn shown(value: &[u8]) -> String {
    harmless(&String::from_utf8_lossy(value)).chars().take(SHOWN).collect()
}
