//! A call of `grpc.health.v1.Health/Check` (`grpc/doc/health-checking.md`).
//!
//! Two messages of one field each are not worth a library: the request and the answer are written and read by hand
//! here, over the HTTP/2 engine that the proxy uses. An answer is read to its end, as the status of a call stands
//! behind its message; all of it is within limits, and an answer that none of this protocol's servers gives ends the
//! probe as soon as that is clear.

use std::fmt::Write;

use loadweaver_http1::{Headers, ResponseHead};
use loadweaver_http2::Read;
use loadweaver_policy::health::ProbeFailure;
use tokio::time::timeout;

use super::answer::shown;
use super::http::{Answer, authority};
use super::http2::Call;
use super::reach::Errand;
use crate::VERSION;

use message::{Health, Incoming};

/// The messages.
mod message;

const METHOD: &str = "/grpc.health.v1.Health/Check";

/// Asks and judges, within the time that the check allows.
pub(super) async fn ask(errand: Errand<'_>) -> Result<Answer, ProbeFailure> {
    let check = errand.check;
    let asking = async {
        let (mut stream, _) = errand.reach().await?;
        let request = request(&errand);
        let body = message::request(&check.service);
        let mut call = Call::begin(&mut stream, &request, errand.is_secure(), Some(&body)).await?;
        let health = answer(&mut call, &check.service).await?;
        call.end().await;
        match health {
            Health::Serving => Ok(Answer { status: None, stream }),
            other => Err(ProbeFailure::Grpc(other.words(&check.service))),
        }
    };
    timeout(check.timeout, asking).await.unwrap_or(Err(ProbeFailure::Timeout))
}

/// The head of the call, written as for HTTP/1.
fn request(errand: &Errand<'_>) -> String {
    let check = errand.check;
    let mut text = format!("POST {METHOD} HTTP/1.1\r\n");
    let host = authority(check, errand.server, errand.is_secure());
    // At most eight digits (`grpc/doc/PROTOCOL-HTTP2.md`); the longest time-out of a check has seven.
    let timeout = format!("{}m", check.timeout.as_millis().clamp(1, 99_999_999));
    let ours = [
        ("Host", host.as_str()),
        ("TE", "trailers"),
        ("Content-Type", "application/grpc"),
        ("grpc-timeout", timeout.as_str()),
    ];
    let named = check.headers.iter().any(|(name, _)| name == "user-agent");
    let agent = format!("loadweaver/{VERSION}");
    let agent = Some(("User-Agent", agent.as_str())).filter(|_| !named);
    let own = check.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    for (name, value) in ours.into_iter().chain(agent).chain(own) {
        // Writing to a String does not fail.
        let _ = write!(text, "{name}: {value}\r\n");
    }
    text.push_str("\r\n");
    text
}

/// Reads the answer to its end.
async fn answer(call: &mut Call<'_>, service: &str) -> Result<Health, ProbeFailure> {
    let head = call.head().await?;
    if let Some(status) = status(&head.headers)? {
        // The whole answer is one head then: a call that failed before anything was said.
        return status.judge(service).map_err(ProbeFailure::Grpc).and(Err(bad("OK, but no message")));
    }
    is_grpc(&head)?;
    let mut incoming = Incoming::default();
    let mut block = [0; 1024];
    loop {
        match call.read(&mut block) {
            Read::Bytes(len) => incoming.take(block.get(..len).unwrap_or_default()).map_err(bad)?,
            Read::Pending => call.more().await?,
            Read::Reset(code) => return Err(bad(format!("the server has reset the call: {}", code.name()))),
            Read::End => break,
        }
    }
    let trailers = call.trailers().unwrap_or_default();
    let none = "the answer ends without a grpc-status";
    status(&trailers)?.ok_or_else(|| bad(none))?.judge(service).map_err(ProbeFailure::Grpc)?;
    incoming.health().map_err(bad)
}

/// Whether an answer without a status in its head is one of gRPC at all.
fn is_grpc(head: &ResponseHead) -> Result<(), ProbeFailure> {
    if head.status() != 200 {
        return Err(bad(format!("HTTP status {} and no grpc-status: this is no gRPC", head.status())));
    }
    let kind = head.headers.find(b"content-type").unwrap_or_default();
    let suffix = kind.strip_prefix(b"application/grpc");
    if suffix.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';'))) {
        return Ok(());
    }
    Err(bad(match kind {
        [] => "no content-type: this is no gRPC".to_owned(),
        kind => format!("content-type {}: this is no gRPC", shown(kind)),
    }))
}

/// How a call ended.
struct Status {
    code: u32,
    /// What the server says to it.
    message: String,
}

impl Status {
    /// What is wrong in words, if anything is.
    fn judge(self, service: &str) -> Result<(), String> {
        let Self { code, message } = self;
        let name = NAMES.get(code as usize).map(|name| format!(" {name}")).unwrap_or_default();
        match (code, message.as_str()) {
            (0, _) => Ok(()),
            (5, _) => Err(format!("grpc status 5{name}: the server does not know {}", named(service))),
            (12, _) => Err(format!("grpc status 12{name}: the server has no grpc.health.v1.Health")),
            (_, "") => Err(format!("grpc status {code}{name}")),
            (_, message) => Err(format!("grpc status {code}{name}: {message}")),
        }
    }
}

/// How a service is called in words.
fn named(service: &str) -> String {
    if service.is_empty() { "a service \"\"".to_owned() } else { format!("the service {service:?}") }
}

/// The status that stands among these fields, if one does.
fn status(fields: &Headers) -> Result<Option<Status>, ProbeFailure> {
    let Some(value) = fields.find(b"grpc-status") else { return Ok(None) };
    let number = std::str::from_utf8(value).ok().and_then(|text| text.parse::<u32>().ok());
    let code = number.ok_or_else(|| bad(format!("the grpc-status {:?}", shown(value))))?;
    let message = shown(&unescaped(fields.find(b"grpc-message").unwrap_or_default()));
    Ok(Some(Status { code, message }))
}

/// A message as it was before it was escaped: what is not printable stands there in percent signs.
fn unescaped(text: &[u8]) -> Vec<u8> {
    let digit = |at: usize| text.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    let mut plain = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        let escaped = digit(at + 1).zip(digit(at + 2)).filter(|_| *byte == b'%');
        let value = escaped.and_then(|(high, low)| u8::try_from(high * 16 + low).ok());
        plain.push(value.unwrap_or(*byte));
        at += if value.is_some() { 3 } else { 1 };
    }
    plain
}

fn bad(text: impl Into<String>) -> ProbeFailure {
    ProbeFailure::BadAnswer(text.into())
}

/// The names of the codes (`grpc/doc/statuscodes.md`).
const NAMES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

#[cfg(test)]
mod tests;
