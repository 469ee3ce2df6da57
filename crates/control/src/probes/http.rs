//! A request, and an answer that is judged.
//!
//! Written over a bare socket and the parser that the proxy uses, and not over a client library: a probe wants one
//! fresh connection, must tell a refused connection from a bad answer, and must call bad what the proxy could not
//! pass on. Without a pattern for the body the verdict falls with the head; a little of the body is read afterwards,
//! because a connection closed on unread bytes looks like a crash in the server's log.

use std::fmt::Write;
use std::time::Duration;

use loadweaver_config::{HealthCheck, Server};
use loadweaver_http1::{Headers, Method, ResponseHead};
use loadweaver_policy::health::ProbeFailure;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout, timeout_at};

use super::answer::{Incoming, judge_headers, shown};
use super::http2::Call;
use super::reach::{Errand, Spoken, Stream};
use super::tcp::cause;
use crate::VERSION;

/// What of the rest of a body is read before the connection is closed anyway.
const MAX_REST: u64 = 64 * 1024;
/// How long that may take.
const REST_TIME: Duration = Duration::from_millis(500);
/// Methods whose requests say that they have no body (RFC 9110, 8.6).
const WITH_LENGTH: [&str; 3] = ["POST", "PUT", "PATCH"];

/// A good answer, and the connection with the rest of it.
pub(super) struct Answer {
    /// None where the answer has none of its own.
    pub(super) status: Option<u16>,
    pub(super) stream: Stream,
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answer").field("status", &self.status).finish_non_exhaustive()
    }
}

impl Answer {
    /// Reads some more and closes.
    pub(super) async fn take_leave(self) {
        let mut rest = self.stream.take(MAX_REST);
        // Whatever happens here says nothing about the server's health.
        let _ = timeout(REST_TIME, tokio::io::copy(&mut rest, &mut tokio::io::sink())).await;
    }
}

/// The bytes of a probe.
pub(super) fn request(check: &HealthCheck, server: &Server, secure: bool) -> String {
    let mut text = format!("{} {} HTTP/1.1\r\n", check.method, check.path);
    let standard = [
        ("Host", authority(check, server, secure)),
        ("User-Agent", format!("loadweaver/{VERSION}")),
        ("Accept", "*/*".to_owned()),
        // Without it any encoding would be welcome (RFC 9110, 12.5.3), and the body is read as it is.
        ("Accept-Encoding", "identity".to_owned()),
    ];
    let ours = |name: &str| check.headers.iter().all(|(own, _)| !own.eq_ignore_ascii_case(name));
    let standard =
        standard.iter().map(|(name, value)| (*name, value.as_str())).filter(|(name, _)| ours(name));
    let own = check.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    for (name, value) in standard.chain(own) {
        // Writing to a String does not fail.
        let _ = write!(text, "{name}: {value}\r\n");
    }
    if WITH_LENGTH.contains(&check.method.as_str()) {
        text.push_str("Content-Length: 0\r\n");
    }
    text.push_str("Connection: close\r\n\r\n");
    text
}

/// Asks and judges, within the time that the check allows.
pub(super) async fn ask(errand: Errand<'_>) -> Result<Answer, ProbeFailure> {
    let until = Instant::now() + errand.check.timeout;
    let (stream, spoken) = in_time(until, errand.reach()).await?;
    let request = request(errand.check, errand.server, errand.is_secure());
    match spoken {
        Spoken::Http1 => ask_http1(errand.check, stream, &request, until).await,
        Spoken::Http2 => ask_http2(&errand, stream, &request, until).await,
    }
}

async fn in_time<T>(
    until: Instant,
    step: impl Future<Output = Result<T, ProbeFailure>>,
) -> Result<T, ProbeFailure> {
    timeout_at(until, step).await.unwrap_or(Err(ProbeFailure::Timeout))
}

async fn ask_http1(
    check: &HealthCheck,
    mut stream: Stream,
    request: &str,
    until: Instant,
) -> Result<Answer, ProbeFailure> {
    let head = async {
        let failed = |error: std::io::Error| ProbeFailure::BadAnswer(cause(&error));
        stream.write_all(request.as_bytes()).await.map_err(failed)?;
        stream.flush().await.map_err(failed)?;
        let mut incoming = Incoming::new(stream);
        let head = incoming.head(method(check)).await?;
        Ok((head, incoming))
    };
    let (head, mut incoming) = in_time(until, head).await?;
    judge_status(check, &head)?;
    judge_headers(&head.headers, &check.expect_headers)?;
    if let Some(pattern) = &check.expect_body {
        let judged = incoming.judge_body(head.framing(), pattern, until).await;
        judged.map_err(|failure| named_encoding(failure, &head.headers))?;
    }
    Ok(Answer { status: Some(head.status()), stream: incoming.stream })
}

async fn ask_http2(
    errand: &Errand<'_>,
    mut stream: Stream,
    request: &str,
    until: Instant,
) -> Result<Answer, ProbeFailure> {
    let check = errand.check;
    let head = async {
        let mut call = Call::begin(&mut stream, request, errand.is_secure(), None).await?;
        let head = call.head().await?;
        Ok((head, call))
    };
    let (head, mut call) = in_time(until, head).await?;
    judge_status(check, &head)?;
    judge_headers(&head.headers, &check.expect_headers)?;
    if let Some(pattern) = &check.expect_body {
        let judged = call.judge_body(pattern, until).await;
        judged.map_err(|failure| named_encoding(failure, &head.headers))?;
    }
    // The verdict has fallen, and what is said of the end is no part of it.
    let _ = timeout(REST_TIME, call.end()).await;
    Ok(Answer { status: Some(head.status()), stream })
}

fn judge_status(check: &HealthCheck, head: &ResponseHead) -> Result<(), ProbeFailure> {
    let good = check.expect_status.iter().any(|range| range.contains(head.status()));
    if good { Ok(()) } else { Err(ProbeFailure::Status(head.status())) }
}

/// A body that was packed in spite of what was asked for holds nothing that anybody expects: that is worth a word.
fn named_encoding(failure: ProbeFailure, headers: &Headers) -> ProbeFailure {
    let encoding = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(b"content-encoding"));
    match (failure, encoding) {
        (ProbeFailure::Body(problem), Some((_, value))) if !value.eq_ignore_ascii_case(b"identity") => {
            ProbeFailure::Body(format!("{problem}; it is encoded: {}", shown(value)))
        }
        (failure, _) => failure,
    }
}

/// What the request is for: the configured host, else the server's own name, and the port unless that goes without
/// saying.
pub(super) fn authority(check: &HealthCheck, server: &Server, secure: bool) -> String {
    check.host.clone().unwrap_or_else(|| {
        let Some(port) = server.tcp_port().map(|port| check.port.unwrap_or(port)) else {
            return server.authority();
        };
        let standard = if secure { 443 } else { 80 };
        let text = Server::address_text(&server.host, port);
        let bare = text.strip_suffix(&format!(":{standard}")).filter(|_| port == standard);
        bare.unwrap_or(&text).to_owned()
    })
}

fn method(check: &HealthCheck) -> Method {
    // No other changes how an answer is read, as CONNECT is no probe.
    if check.method == "HEAD" { Method::Head } else { Method::Get }
}

#[cfg(test)]
mod tests;
