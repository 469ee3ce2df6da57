//! Answers that are ours.

use std::future::poll_fn;
use std::task::Poll;

use loadweaver_config::{Fallback, RedirectHttps};
use loadweaver_http1::{Method, encode};
use loadweaver_policy::failure::Failure;

use crate::buffer::Buffer;
use crate::deadline::For;
use crate::engine::http1::Next;
use crate::exchange::Exchange;
use crate::forward::flow::Flow;
use crate::grpc;
use crate::pool::PoolState;
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
        x.story.made_id = Some(x.worker.random.request_id());
    }
    if failure.status() == 0 {
        return Next::Close;
    }
    // What is left of the request's body would be read as the next request.
    let read_out = x.body.is_done() && !x.story.refused;
    // A client that asked for a tunnel may have filled it already: that must not be read as requests.
    let tunnel = x.heads.request.method() == Method::Connect;
    let call = x.client.stream.is_framed() && grpc::is_grpc(&x.heads.request) && !x.story.refused;
    let own = if call { Own::for_grpc(x, failure) } else { Own::of(x, failure) };
    say(x, own, read_out && !tunnel).await
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
    let mut fields = Vec::with_capacity(256);
    encode::field(&mut fields, b"date", record::http_date().as_bytes());
    encode::field(&mut fields, b"location", location.as_bytes());
    encode::field(&mut fields, b"content-length", b"0");
    let read_out = x.body.is_done();
    say(x, Own { status: to.status, fields, body: String::new() }, read_out).await
}

/// Gives an answer of ours. `whole`: nothing of the request is left that would be read as the next one.
async fn say(x: &mut Exchange<'_>, own: Own, whole: bool) -> Next {
    let more = !x.client.ended || !x.client.buffer.is_empty();
    let keep = x.keeps_client() && whole && more;
    x.story.status = own.status;
    let bodiless = x.heads.request.method() == Method::Head || has_no_body(own.status);
    let body = if bodiless { &[] } else { own.body.as_bytes() };
    x.story.bytes_out = body.len() as u64;
    let mut out = std::mem::take(&mut x.heads.to_client);
    out.clear();
    if let Some(stream) = x.client.stream.framed() {
        stream.send_own(own.status, &own.fields, body.is_empty());
    } else {
        encode::status_line(&mut out, own.status, reason(own.status).as_bytes());
        out.extend_from_slice(&own.fields);
        if !keep {
            encode::field(&mut out, b"connection", b"close");
        } else if x.heads.request.version() == loadweaver_http1::Version::Http10 {
            encode::field(&mut out, b"connection", b"keep-alive");
        }
        encode::end_head(&mut out);
    }
    out.extend_from_slice(body);
    match (send(x, out, keep).await, keep) {
        (false, _) => Next::Close,
        (true, true) => Next::Again,
        (true, false) => Next::Linger,
    }
}

/// An answer of ours.
struct Own {
    status: u16,
    /// Each as `name: value CRLF`.
    fields: Vec<u8>,
    body: String,
}

impl Own {
    fn of(x: &Exchange<'_>, failure: Failure) -> Self {
        let fallback = x.story.pool.as_ref().and_then(|pool| {
            let fallback = fallback_for(pool, failure)?.clone();
            pool.counters.fallbacks.increment();
            Some(fallback)
        });
        let (status, content_type, body) = if let Some(fallback) = fallback {
            (fallback.status, fallback.content_type, fallback.body)
        } else {
            let body = format!("{} {}\n", failure.status(), failure.message());
            (failure.status(), "text/plain; charset=utf-8".to_owned(), body)
        };
        let mut fields = Vec::with_capacity(256);
        let out = &mut fields;
        encode::field(out, b"date", record::http_date().as_bytes());
        encode::field(out, b"x-loadweaver-failure", failure.code().as_bytes());
        encode::field(out, b"x-request-id", x.story.request_id().as_bytes());
        if status == 503 {
            encode::field(out, b"retry-after", RETRY_AFTER);
        }
        if failure == Failure::ConnectMethod {
            encode::field(out, b"allow", b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, TRACE");
        }
        if !has_no_body(status) {
            encode::field(out, b"content-type", content_type.as_bytes());
            let mut length = Vec::new();
            encode::decimal(&mut length, body.len() as u64);
            encode::field(out, b"content-length", &length);
        }
        hsts(x, out);
        Self { status, fields, body }
    }

    /// The answer that a gRPC client understands: what failed is not HTTP but the call.
    fn for_grpc(x: &Exchange<'_>, failure: Failure) -> Self {
        let mut fields = Vec::with_capacity(256);
        let out = &mut fields;
        encode::field(out, b"date", record::http_date().as_bytes());
        encode::field(out, b"x-loadweaver-failure", failure.code().as_bytes());
        encode::field(out, b"x-request-id", x.story.request_id().as_bytes());
        grpc::failed(out, failure);
        Self { status: 200, fields, body: String::new() }
    }
}

fn has_no_body(status: u16) -> bool {
    matches!(status, 204 | 304)
}

/// Adds what browsers are told of TLS.
fn hsts(x: &Exchange<'_>, out: &mut Vec<u8>) {
    if let Some(value) = x.manners().and_then(|manners| manners.hsts.as_ref()).filter(|_| x.is_secure()) {
        encode::field(out, b"strict-transport-security", value.as_bytes());
    }
}

/// What a pool has to say in place of our answer to a failure.
pub(crate) fn fallback_for(pool: &PoolState, failure: Failure) -> Option<&Fallback> {
    pool.config.fallback.as_ref().filter(|_| nobody_was_reached(failure))
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
        Poll::Ready(result) => {
            x.client.stream.finish(None);
            Poll::Ready(result.is_ok())
        }
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

/// The reason phrases of RFC 9110, for the statuses that we make and for those of servers whose protocol has none.
/// A status that is not known here does without.
pub(crate) fn reason(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        101 => "Switching Protocols",
        103 => "Early Hints",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        203 => "Non-Authoritative Information",
        204 => "No Content",
        205 => "Reset Content",
        206 => "Partial Content",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        425 => "Too Early",
        426 => "Upgrade Required",
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
