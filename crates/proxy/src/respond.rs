//! Answers that are ours.

use std::future::poll_fn;
use std::task::Poll;

use loadweaver_config::RedirectHttps;
use loadweaver_http1::{Method, encode};
use loadweaver_policy::failure::Failure;

use crate::buffer::Buffer;
use crate::deadline::For;
use crate::engine::http1::Next;
use crate::exchange::Exchange;
use crate::forward::flow::Flow;
use crate::record;

/// Seconds after which a client may try again when no server could take its request.
const RETRY_AFTER: &[u8] = b"1";

/// Answers a request whose head could not be accepted; the connection ends with it, because where the next request
/// would begin is not known.
pub(crate) async fn refuse(x: &mut Exchange<'_>, failure: Failure) -> Next {
    x.last = true;
    x.story.refused = true;
    let next = fail(x, failure).await;
    record::finish(x);
    next
}

/// Tells the client about a failure, or ends the connection where nothing can be told.
pub(crate) async fn fail(x: &mut Exchange<'_>, failure: Failure) -> Next {
    x.story.failure = Some(failure);
    if x.story.request_id().is_empty() {
        x.story.made_id = Some(x.worker.request_id());
    }
    if failure.status() == 0 {
        return Next::Close;
    }
    // What is left of the request's body would be read as the next request.
    let read_out = x.body.is_done() && !x.story.refused;
    // A client that asked for a tunnel may have filled it already: that must not be read as requests.
    let tunnel = x.heads.request.method() == Method::Connect;
    let more = !x.client.ended || !x.client.buffer.is_empty();
    let keep = x.keeps_client() && read_out && !tunnel && more;
    let mut out = std::mem::take(&mut x.heads.to_client);
    out.clear();
    let method = x.heads.request.method();
    write(x, failure, keep, (&mut out, method == Method::Head));
    let sent = send(x, out, keep).await;
    match (sent, keep) {
        (false, _) => Next::Close,
        (true, true) => Next::Again,
        (true, false) => Next::Linger,
    }
}

fn write(x: &mut Exchange<'_>, failure: Failure, keep: bool, (out, head_only): (&mut Vec<u8>, bool)) {
    let fallback = x
        .story
        .pool
        .as_ref()
        .and_then(|pool| pool.config.fallback.clone().map(|fallback| (pool.clone(), fallback)))
        .filter(|_| nobody_was_reached(failure));
    let (status, content_type, body) = if let Some((pool, fallback)) = &fallback {
        pool.counters.fallbacks.increment();
        (fallback.status, fallback.content_type.as_str(), fallback.body.clone())
    } else {
        let body = format!("{} {}\n", failure.status(), failure.message());
        (failure.status(), "text/plain; charset=utf-8", body)
    };
    x.story.status = status;
    encode::status_line(out, status, reason(status).as_bytes());
    encode::field(out, b"date", record::http_date().as_bytes());
    encode::field(out, b"x-loadweaver-failure", failure.code().as_bytes());
    encode::field(out, b"x-request-id", x.story.request_id().as_bytes());
    if status == 503 {
        encode::field(out, b"retry-after", RETRY_AFTER);
    }
    if failure == Failure::ConnectMethod {
        encode::field(out, b"allow", b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, TRACE");
    }
    if !matches!(status, 204 | 304) {
        encode::field(out, b"content-type", content_type.as_bytes());
        let mut length = Vec::new();
        encode::decimal(&mut length, body.len() as u64);
        encode::field(out, b"content-length", &length);
    }
    if !keep {
        encode::field(out, b"connection", b"close");
    } else if x.heads.request.version() == loadweaver_http1::Version::Http10 {
        encode::field(out, b"connection", b"keep-alive");
    }
    hsts(x, out);
    encode::end_head(out);
    if !head_only && !matches!(status, 204 | 304) {
        out.extend_from_slice(body.as_bytes());
        x.story.bytes_out = body.len() as u64;
    }
}

/// Sends the client to where TLS is spoken: the same host and path there.
pub(crate) async fn redirect(x: &mut Exchange<'_>, to: RedirectHttps) -> Next {
    let host = x.heads.request.host();
    // The colons of an IPv6 address are its own.
    let bare = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    if bare.is_empty() {
        return fail(x, Failure::BadHost).await;
    }
    let target = x.heads.request.target();
    // `OPTIONS *` is about the whole host.
    let target = if target.starts_with('/') { target } else { "/" };
    let port = if to.port == 443 { String::new() } else { format!(":{}", to.port) };
    let location = format!("https://{bare}{port}{target}");
    let keep = x.keeps_client() && x.body.is_done() && (!x.client.ended || !x.client.buffer.is_empty());
    let mut out = std::mem::take(&mut x.heads.to_client);
    out.clear();
    encode::status_line(&mut out, to.status, reason(to.status).as_bytes());
    encode::field(&mut out, b"date", record::http_date().as_bytes());
    encode::field(&mut out, b"location", location.as_bytes());
    encode::field(&mut out, b"content-length", b"0");
    if !keep {
        encode::field(&mut out, b"connection", b"close");
    } else if x.heads.request.version() == loadweaver_http1::Version::Http10 {
        encode::field(&mut out, b"connection", b"keep-alive");
    }
    encode::end_head(&mut out);
    x.story.status = to.status;
    match (send(x, out, keep).await, keep) {
        (false, _) => Next::Close,
        (true, true) => Next::Again,
        (true, false) => Next::Linger,
    }
}

/// Adds what browsers are told of TLS.
fn hsts(x: &Exchange<'_>, out: &mut Vec<u8>) {
    if let Some(value) = x.manners().and_then(|manners| manners.hsts.as_ref()).filter(|_| x.is_secure()) {
        encode::field(out, b"strict-transport-security", value.as_bytes());
    }
}

/// Failures in which no server saw the request: the ones that a fallback stands in for.
fn nobody_was_reached(failure: Failure) -> bool {
    matches!(
        failure,
        Failure::NoServer
            | Failure::PoolFull
            | Failure::ConnectFailed
            | Failure::ConnectRefused
            | Failure::ConnectTimeout
            | Failure::ResolveFailed
            | Failure::TlsHandshakeFailed
            | Failure::TlsCertificateRefused
    )
}

/// Writes it all, within the time that a client has to take something; false when the client is gone.
async fn send(x: &mut Exchange<'_>, out: Vec<u8>, keep: bool) -> bool {
    let mut flow = Flow::of(out);
    flow.is_last = !keep;
    let mut nothing = Buffer::default();
    let mut armed = false;
    let sent = poll_fn(|cx| match flow.poll_flush(cx, &mut nothing, &mut x.client.stream) {
        Poll::Ready(result) => Poll::Ready(result.is_ok()),
        Poll::Pending => {
            if !std::mem::replace(&mut armed, true) {
                x.alarm.set(For::Client, x.worker.deadlines.now(), x.snapshot.config.timeouts.send);
            }
            if x.alarm.is_due(For::Client) { Poll::Ready(false) } else { Poll::Pending }
        }
    })
    .await;
    x.alarm.clear(For::Client);
    x.heads.to_client = flow.abandon(&mut nothing);
    sent
}

/// The reason phrases of RFC 9110 for the statuses that we make; a fallback may use others, and none is needed.
fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        301 => "Moved Permanently",
        302 => "Found",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        413 => "Content Too Large",
        414 => "URI Too Long",
        417 => "Expectation Failed",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}
