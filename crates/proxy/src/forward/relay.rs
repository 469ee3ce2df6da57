//! Passing an answer on, while the request's body may still be on its way.

use std::future::poll_fn;
use std::task::{Context, Poll};

use loadweaver_http1::{Framing, Method, ResponseHead, Version, encode};
use loadweaver_policy::failure::{Blame, Failure};
use loadweaver_policy::health::Observation;

use crate::deadline::For;
use crate::edit;
use crate::engine::http1::Next;
use crate::exchange::Exchange;
use crate::forward::answer::Answer;
use crate::forward::flow::{Broken, Coding, Ends, Upload, Waits};
use crate::forward::{Effort, attempt, tunnel};
use crate::grpc;
use crate::respond;
use crate::websocket;

/// Passes the answer on. Once its head is on the way no other answer can be given: a failure from here on is told
/// by the end of the connection and by the record.
pub(crate) async fn relay(
    x: &mut Exchange<'_>,
    effort: &mut Effort,
    mut answer: Box<Answer>,
) -> Result<Next, Failure> {
    let status = x.heads.response.status();
    if effort.pool.config.passive_health.on_status.iter().any(|range| range.contains(status)) {
        answer.permit.observe(Observation::StatusFailed(status));
    }
    websocket::translate(x, &answer);
    x.story.status = x.heads.response.status();
    let plan = plan(x, &mut answer);
    if answer.is_upgrade {
        return Ok(Box::pin(tunnel::tunnel(x, effort, answer)).await);
    }
    let before = answer.download.written;
    let ended = pass(x, effort, &mut answer).await;
    x.alarm.clear(For::Client);
    x.alarm.clear(For::Server);
    x.story.bytes_out = answer.download.taken;
    answer.permit.server.counters.bytes_out.add(answer.download.taken);
    answer.permit.server.counters.bytes_in.add(effort.taken);
    let next = match ended {
        Ok(()) => finished(x, &answer, plan),
        Err(failure)
            if failure.blame() == Blame::Server
                && answer.download.written == before
                && !x.client.stream.is_framed() =>
        {
            // Nothing of it has gone out: the client can still be told. The head of a framed answer goes beside the
            // bytes and at once; another one behind it would be no answer at all.
            super::judge(&answer.permit, failure);
            answer.put_back(x);
            return Err(Failure::BadResponse);
        }
        Err(failure) => broken(x, &answer, failure, plan),
    };
    put_back(x, *answer, effort);
    Ok(next)
}

/// What was announced to the client.
#[derive(Debug, Clone, Copy)]
struct Plan {
    keep: bool,
    /// The end of the connection is the end of the body.
    until_close: bool,
}

/// Writes the head and decides how the body is framed for the client and whether the connection lives on.
fn plan(x: &mut Exchange<'_>, answer: &mut Answer) -> Plan {
    let protocol = edit::response(x);
    if let Some(stream) = x.client.stream.framed() {
        let nothing = x.heads.response.framing() == Framing::None && !answer.is_upgrade;
        stream.send_response(&x.heads.response, nothing);
        answer.download.coding = if nothing { Coding::Nothing } else { Coding::Plain };
        return Plan { keep: false, until_close: false };
    }
    let http11 = x.heads.request.version() == Version::Http11;
    let framing = x.heads.response.framing();
    let coding = match framing {
        Framing::None => Coding::Nothing,
        Framing::Chunked | Framing::UntilClose if http11 && !answer.is_upgrade => Coding::Chunked,
        Framing::Length(_) | Framing::Chunked | Framing::UntilClose => Coding::Plain,
    };
    let until_close = coding == Coding::Plain && !matches!(framing, Framing::Length(_));
    let more = !x.client.ended || !x.client.buffer.is_empty();
    // What follows a CONNECT may be meant for a tunnel that there is not.
    let connect = x.heads.request.method() == Method::Connect;
    let keep = x.keeps_client() && x.body.is_done() && !until_close && !connect && more;
    let out = &mut answer.download.made;
    write_head(out, &x.heads.response);
    if coding == Coding::Chunked {
        encode::field(out, b"transfer-encoding", b"chunked");
    }
    if answer.is_upgrade {
        if let Some(protocol) = protocol {
            encode::field(out, b"connection", b"upgrade");
            encode::field(out, b"upgrade", &protocol);
        }
    } else if !keep {
        encode::field(out, b"connection", b"close");
    } else if !http11 {
        encode::field(out, b"connection", b"keep-alive");
    }
    encode::end_head(out);
    answer.download.coding = coding;
    answer.download.is_last = !keep && !answer.is_upgrade;
    Plan { keep, until_close }
}

/// Writes the status line and the fields. A server of HTTP/2 says no reason, which HTTP/1 has a place for.
pub(crate) fn write_head(out: &mut Vec<u8>, head: &ResponseHead) {
    if head.version() == Version::Http2 {
        encode::status_line(out, head.status(), respond::reason(head.status()).as_bytes());
        head.headers.write(out);
    } else {
        encode::response_head(out, head);
    }
}

/// Drives both directions until the client has the whole answer.
async fn pass(x: &mut Exchange<'_>, effort: &mut Effort, answer: &mut Answer) -> Result<(), Failure> {
    let mut watched = None;
    let taken = effort.taken;
    let earlier = answer.upload.taken;
    let ended = poll_fn(|cx| {
        let passed = poll_download(cx, x, answer);
        if passed.is_ready() {
            return passed;
        }
        poll_upload(cx, x, answer);
        if answer.uploaded != Upload::Flowing
            && let Poll::Ready(failure) = attempt::watch(cx, x)
        {
            return Poll::Ready(Err(failure));
        }
        set_deadlines(x, effort, answer, &mut watched);
        match overdue(x, answer) {
            Some(failure) => Poll::Ready(Err(failure)),
            None => Poll::Pending,
        }
    })
    .await;
    effort.taken = taken + answer.upload.taken - earlier;
    ended
}

fn poll_download(
    cx: &mut Context<'_>,
    x: &mut Exchange<'_>,
    answer: &mut Answer,
) -> Poll<Result<(), Failure>> {
    let mut ended = false;
    let mut ends = Ends {
        source: &mut answer.lease.stream,
        buffer: &mut answer.buffer,
        ended: &mut ended,
        sink: &mut x.client.stream,
        stock: &x.worker.stock,
    };
    answer.download.poll(cx, &mut ends, &mut answer.body, None).map_err(|broken| match broken {
        Broken::SourceCut => Failure::ResponseCut,
        Broken::Malformed | Broken::TooLong => Failure::BadResponseBody,
        Broken::Sink => Failure::ClientClosed,
    })
}

/// The rest of the request's body. A server that has answered may not want it, so a break here is not a failure; the
/// server connection is just not used again.
fn poll_upload(cx: &mut Context<'_>, x: &mut Exchange<'_>, answer: &mut Answer) {
    if answer.uploaded != Upload::Flowing {
        return;
    }
    let client = &mut *x.client;
    let mut ends = Ends {
        source: &mut client.stream,
        buffer: &mut client.buffer,
        ended: &mut client.ended,
        sink: &mut answer.lease.stream,
        stock: &x.worker.stock,
    };
    if let Poll::Ready(ended) = answer.upload.poll(cx, &mut ends, &mut x.body, None) {
        answer.uploaded = if ended.is_ok() { Upload::Whole } else { Upload::Broken };
    }
}

fn set_deadlines(
    x: &Exchange<'_>,
    effort: &Effort,
    answer: &Answer,
    watched: &mut Option<(Waits, bool, u64)>,
) {
    // The server may be waiting for the rest of the request: then it is the client's turn.
    let upload = answer.uploaded == Upload::Flowing && answer.upload.waits == Waits::Source;
    // A body that moves up while the answer waits for it is progress of the exchange too.
    let moved = answer.download.written + answer.download.taken + answer.upload.written + answer.upload.taken;
    let now_watched = (answer.download.waits, upload, moved);
    if *watched == Some(now_watched) {
        return;
    }
    *watched = Some(now_watched);
    let now = x.worker.deadlines.now();
    x.alarm.clear(For::Client);
    x.alarm.clear(For::Server);
    let timeouts = &x.snapshot.config.timeouts;
    match answer.download.waits {
        Waits::Source if upload => x.alarm.set(For::Client, now, timeouts.body),
        Waits::Source => x.alarm.set(For::Server, now, effort.pool.config.timeouts.idle),
        Waits::Sink => x.alarm.set(For::Client, now, timeouts.send),
    }
}

fn overdue(x: &Exchange<'_>, answer: &Answer) -> Option<Failure> {
    if x.worker.cutting.get() || answer.permit.server.is_cut() {
        Some(Failure::DrainDeadline)
    } else if x.alarm.is_due(For::Client) {
        let sending = answer.download.waits == Waits::Sink;
        Some(if sending { Failure::SendTimeout } else { Failure::BodyTimeout })
    } else if x.alarm.is_due(For::Server) {
        Some(Failure::ResponseStalled)
    } else if x.alarm.is_due(For::Exchange) {
        Some(Failure::TotalTimeout)
    } else {
        None
    }
}

/// The client has the whole answer.
fn finished(x: &Exchange<'_>, answer: &Answer, plan: Plan) -> Next {
    if plan.keep {
        Next::Again
    } else if x.client.ended
        || x.client.stream.is_framed()
        || (is_last_word(x) && answer.download.written <= UNSENT)
    {
        Next::Close
    } else {
        // Whatever the client still sends must not turn its answer into a reset.
        Next::Linger
    }
}

fn broken(x: &mut Exchange<'_>, answer: &Answer, failure: Failure, plan: Plan) -> Next {
    x.story.failure = Some(failure);
    super::judge(&answer.permit, failure);
    if let Some(stream) = x.client.stream.framed().filter(|_| grpc::is_grpc(&x.heads.request)) {
        // A call that has begun to be answered can still be told how it ended.
        stream.finish(Some(&grpc::broken(failure)));
        return Next::Close;
    }
    // An HTTP/1.0 client takes a close for the end of the answer; only a reset tells it otherwise. A stream that is
    // merely given up would be cancelled, which is what clients say of themselves.
    if plan.until_close || x.client.stream.is_framed() { Next::Reset } else { Next::Close }
}

/// Whether the client itself ends the connection with this exchange and has sent nothing beyond it.
fn is_last_word(x: &Exchange<'_>) -> bool {
    x.body.is_done() && x.client.buffer.is_empty() && !x.heads.request.keep_alive()
}

/// Bytes of an answer that have surely left when the last of them was written: they fit the first window.
const UNSENT: u64 = 14 * 1024;

/// Keeps what can be used again: the server's connection, if both sides have nothing more to say on it, and the
/// buffers.
fn put_back(x: &mut Exchange<'_>, answer: Answer, effort: &Effort) {
    let head = &x.heads.response;
    let whole = x.story.failure.is_none() && answer.uploaded == Upload::Whole;
    let clean = answer.buffer.is_empty() && head.framing() != Framing::UntilClose;
    let keep = whole && clean && head.keep_alive() && !answer.lease.stream.is_framed();
    // An answer that came at once has just been timed.
    let now = if answer.download.taken <= UNSENT { answer.at } else { x.worker.deadlines.now() };
    let (_permit, lease) = answer.put_back(x);
    if keep {
        x.worker.upstreams.keep(lease, &effort.pool.config.connection_pool, now);
    }
}
