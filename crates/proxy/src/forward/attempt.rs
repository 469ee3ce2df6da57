//! One attempt: a connection, the request onto it, and the head of an answer from it.

use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

use loadweaver_config::Protocol;
use loadweaver_http1::{Body, Framing, HeadLimits, Method, Name, Version, encode};
use loadweaver_policy::failure::Failure;

use crate::buffer::{Buffer, FEW, SMALL};
use crate::deadline::{For, Nanos};
use crate::engine::http1::may_be_whole;
use crate::exchange::Exchange;
use crate::forward::Effort;
use crate::forward::answer::Answer;
use crate::forward::flow::{Broken, Coding, Ends, Flow, Upload, Waits};
use crate::forward::relay;
use crate::pool::Permit;
use crate::stream::http2::NoAnswer;
use crate::upstream::Lease;
use crate::upstream::announce::Announced;
use crate::websocket::{self, WEBSOCKET};

pub(crate) use wait::watch;

mod connect;
mod wait;

/// Interim answers before a final one; a server that sends more is not going to answer.
const MAX_INTERIM: u32 = 32;

/// An attempt that got no answer.
#[expect(clippy::struct_excessive_bools, reason = "independent facts, none of which rules out another")]
pub(crate) struct Lost {
    pub(crate) permit: Permit,
    pub(crate) failure: Failure,
    /// Whether the server may have seen any of the request.
    pub(crate) bytes_sent: bool,
    /// A kept connection ended without a byte of an answer.
    pub(crate) stale: bool,
    /// The server was waiting for the client, so it is not to blame.
    pub(crate) excused: bool,
    /// Part of an interim answer is with the client: nothing else can follow it.
    pub(crate) torn: bool,
}

/// Sends the request to one server and waits for the head of its final answer. With `fresh` no kept connection is
/// used.
pub(crate) async fn run(
    x: &mut Exchange<'_>,
    effort: &mut Effort,
    permit: Permit,
    now: Nanos,
    fresh: bool,
) -> Result<Box<Answer>, Lost> {
    let config = &effort.pool.config;
    x.alarm.set(For::Attempt, now, config.retry.per_try_timeout);
    x.story.server = Some(permit.server.clone());
    x.story.connect = None;
    x.story.last_attempt = now;
    // What could not be sent twice deserves a look at the connection first.
    let careful = !effort.idempotent || !x.body.is_done();
    let shared = matches!(config.protocol, Protocol::H2c | Protocol::Http2);
    let announced = Announced::of(x, config);
    let kept = if fresh || shared {
        None
    } else if let Some(announced) = announced {
        x.worker.upstreams.take_announced(&permit.server, announced, now)
    } else {
        poll_fn(|cx| Poll::Ready(x.worker.upstreams.take(&permit.server, cx, now, careful))).await
    };
    let mut now = now;
    let lease = match kept {
        Some(lease) => {
            permit.server.counters.reused.increment();
            lease
        }
        None => match connect::connect(x, effort, &permit, now, (fresh, announced)).await {
            Ok(lease) if lease.reused => {
                permit.server.counters.reused.increment();
                lease
            }
            Ok(lease) => {
                let connected = x.worker.deadlines.now();
                x.story.connect = Some(connected.saturating_sub(now));
                now = connected;
                lease
            }
            Err(failure) => {
                return Err(Lost {
                    permit,
                    failure,
                    bytes_sent: false,
                    stale: false,
                    excused: failure == Failure::NoWebsocket,
                    torn: false,
                });
            }
        },
    };
    let mut talk = Talk::new(x, effort, lease, permit);
    let heard = talk.until_head(x, effort, now).await;
    x.alarm.clear(For::Client);
    x.alarm.clear(For::Server);
    x.alarm.clear(For::Attempt);
    effort.taken += talk.answer.upload.taken;
    talk.finish(x, heard, now)
}

/// The conversation with one server up to the head of its final answer.
struct Talk {
    answer: Box<Answer>,
    interims: u32,
    heard_anything: bool,
    /// What the deadlines were last set for.
    watched: Option<(Waits, bool, u64)>,
    /// A deadline is set from which on a client that the reactor does not know of is watched.
    patient: bool,
    /// The server has said something: its time begins anew.
    rearm: bool,
}

impl Talk {
    fn new(x: &mut Exchange<'_>, effort: &Effort, lease: Lease, permit: Permit) -> Self {
        let mut lease = lease;
        let mut head = std::mem::take(&mut x.heads.to_server);
        head.clear();
        // An HTTP/1.0 client may leave it out; what we speak to servers may not.
        let hostless = !x.heads.request.headers.has(Name::Host);
        let coding = if let Some(stream) = lease.stream.framed() {
            if hostless {
                // The authority is made of it. Another attempt may be at another server.
                x.heads.request.headers.append(b"host", permit.server.authority().as_bytes());
            }
            if x.websocket.is_some() {
                let head = websocket::to_http2(&x.heads.request);
                stream.send_request(&head, &x.heads.added, false, Some(WEBSOCKET));
            } else {
                let end = x.body.is_done() && effort.replay.is_empty();
                stream.send_request(&x.heads.request, &x.heads.added, end, None);
            }
            if hostless {
                x.heads.request.headers.remove(Name::Host);
            }
            Coding::Plain
        } else {
            encode::request_head(&mut head, &x.heads.request);
            if hostless {
                encode::field(&mut head, b"host", permit.server.authority().as_bytes());
            }
            head.extend_from_slice(&x.heads.added);
            if let Some(asked) = &x.websocket {
                websocket::to_http1(&mut head, asked, &x.heads.request);
            }
            encode::end_head(&mut head);
            if x.heads.request.framing() == Framing::Chunked { Coding::Chunked } else { Coding::Plain }
        };
        let mut upload = Flow::new(head, coding);
        upload.replay(&effort.replay);
        let most = x.snapshot.config.limits.body;
        upload.most = if most == 0 { u64::MAX } else { most.saturating_sub(effort.taken) };
        let mut to_client = std::mem::take(&mut x.heads.to_client);
        to_client.clear();
        let download = Flow::new(to_client, Coding::Nothing);
        // What the client sends now is the tunnel's, and waits until there is one.
        let tunnel = x.websocket.is_some() && lease.stream.is_framed();
        let mut answer = Answer::new(permit, lease, upload, download);
        if tunnel {
            answer.uploaded = Upload::Whole;
        }
        Self { answer, interims: 0, heard_anything: false, watched: None, patient: false, rearm: false }
    }

    async fn until_head(
        &mut self,
        x: &mut Exchange<'_>,
        effort: &mut Effort,
        now: Nanos,
    ) -> Result<(), Failure> {
        let response = effort.pool.config.timeouts.response;
        x.alarm.set(For::Server, now, response);
        let mut parse_at = 1;
        poll_fn(|cx| {
            if let Poll::Ready(Err(failure)) = self.poll_upload(cx, x, effort) {
                return Poll::Ready(Err(failure));
            }
            match self.poll_head(cx, x, &mut parse_at) {
                Poll::Ready(result) => return Poll::Ready(result),
                Poll::Pending => {}
            }
            self.set_deadlines(x, effort);
            if let Some(failure) = self.overdue(x) {
                return Poll::Ready(Err(failure));
            }
            self.watch_client(cx, x)
        })
        .await
    }

    fn poll_upload(
        &mut self,
        cx: &mut Context<'_>,
        x: &mut Exchange<'_>,
        effort: &mut Effort,
    ) -> Poll<Result<(), Failure>> {
        if self.answer.uploaded != Upload::Flowing {
            return Poll::Pending;
        }
        let client = &mut *x.client;
        let mut ends = Ends {
            source: &mut client.stream,
            buffer: &mut client.buffer,
            ended: &mut client.ended,
            sink: &mut self.answer.lease.stream,
            stock: &x.worker.stock,
        };
        match self.answer.upload.poll(cx, &mut ends, &mut x.body, Some(&mut effort.replay)) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(())) => {
                self.answer.uploaded = Upload::Whole;
                Poll::Ready(Ok(()))
            }
            // The server may have answered before it closed: the answer, if there is one, counts.
            Poll::Ready(Err(Broken::Sink)) => {
                self.answer.uploaded = Upload::Broken;
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(broken)) => {
                self.answer.uploaded = Upload::Broken;
                Poll::Ready(Err(match broken {
                    Broken::Malformed => Failure::BadChunk,
                    Broken::TooLong => Failure::BodyTooLarge,
                    Broken::SourceCut | Broken::Sink => Failure::ClientClosed,
                }))
            }
        }
    }

    /// Reads until the head of a final answer is complete; interim ones go to the client as they come.
    fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        x: &mut Exchange<'_>,
        parse_at: &mut usize,
    ) -> Poll<Result<(), Failure>> {
        if self.answer.lease.stream.is_framed() {
            return self.poll_framed_head(cx, x);
        }
        let limits = &x.snapshot.config.limits;
        let bounds = HeadLimits {
            bytes: limits.response_head,
            target: 0,
            fields: loadweaver_http1::limits::MAX_FIELDS,
        };
        loop {
            if self.answer.buffer.len() >= *parse_at || may_be_whole(self.answer.buffer.filled()) {
                let method = x.heads.request.method();
                match x.heads.response.parse(self.answer.buffer.filled(), method, &bounds) {
                    Ok(Some(len)) => {
                        self.answer.buffer.consume(len);
                        *parse_at = 1;
                        if is_final(x.heads.response.status()) {
                            return Poll::Ready(check_final(x, self.answer.uploaded));
                        }
                        self.interim(x)?;
                        continue;
                    }
                    Ok(None) => *parse_at = (self.answer.buffer.len() * 2).min(bounds.bytes),
                    Err(loadweaver_http1::ResponseError::TooLarge) => {
                        return Poll::Ready(Err(Failure::ResponseHeadTooLarge));
                    }
                    Err(_) => return Poll::Ready(Err(Failure::BadResponse)),
                }
            }
            if !self.answer.buffer.takes_more() {
                self.answer.buffer.grow((self.answer.buffer.capacity() * 2).min(bounds.bytes + 1));
            }
            self.flush_interims(cx, x)?;
            // Behind the head there may be as much body as the client takes.
            let room = x.client.stream.room(SMALL).map(|room| room.max(FEW));
            self.answer.buffer.bring_at_most(room);
            let read = self.answer.lease.stream.poll_read(cx, &mut self.answer.buffer, &x.worker.stock);
            self.answer.buffer.bring_at_most(None);
            match std::task::ready!(read) {
                Ok(0) | Err(_) => return Poll::Ready(Err(Failure::ServerClosed)),
                Ok(_) => self.heard_anything = true,
            }
        }
    }

    /// The same from a server that says itself where a head ends.
    fn poll_framed_head(&mut self, cx: &mut Context<'_>, x: &mut Exchange<'_>) -> Poll<Result<(), Failure>> {
        loop {
            self.flush_interims(cx, x)?;
            let Some(stream) = self.answer.lease.stream.framed() else {
                return Poll::Ready(Err(Failure::Internal));
            };
            match std::task::ready!(stream.poll_response(cx, &mut x.heads.response)) {
                Err(NoAnswer::Gone) => return Poll::Ready(Err(Failure::ServerClosed)),
                Err(NoAnswer::Malformed) => return Poll::Ready(Err(Failure::BadResponse)),
                Err(NoAnswer::TooLarge) => return Poll::Ready(Err(Failure::ResponseHeadTooLarge)),
                Ok(()) => self.heard_anything = true,
            }
            if is_final(x.heads.response.status()) {
                return Poll::Ready(Ok(()));
            }
            self.interim(x)?;
        }
    }

    /// Sends what has been made of interim answers, as far as it goes.
    fn flush_interims(&mut self, cx: &mut Context<'_>, x: &mut Exchange<'_>) -> Result<(), Failure> {
        if self.answer.download.made.is_empty() {
            return Ok(());
        }
        let mut nothing = Buffer::default();
        match self.answer.download.poll_flush(cx, &mut nothing, &mut x.client.stream) {
            Poll::Ready(Err(_)) => Err(Failure::ClientClosed),
            Poll::Ready(Ok(())) | Poll::Pending => Ok(()),
        }
    }

    fn interim(&mut self, x: &mut Exchange<'_>) -> Result<(), Failure> {
        self.interims += 1;
        if self.interims > MAX_INTERIM {
            return Err(Failure::BadResponse);
        }
        self.rearm = true;
        // HTTP/1.0 has no interim answers (RFC 9110 section 15.2).
        if x.heads.request.version() != Version::Http10 {
            let head = &mut x.heads.response;
            head.strip_hop_by_hop();
            head.headers.remove(Name::ContentLength);
            if let Some(stream) = x.client.stream.framed() {
                stream.send_response(head, false);
                return Ok(());
            }
            relay::write_head(&mut self.answer.download.made, head);
            encode::end_head(&mut self.answer.download.made);
        }
        Ok(())
    }

    fn finish(
        mut self,
        x: &mut Exchange<'_>,
        heard: Result<(), Failure>,
        begun: Nanos,
    ) -> Result<Box<Answer>, Lost> {
        if let Err(failure) = heard {
            let framed = self.answer.lease.stream.framed();
            let late = matches!(failure, Failure::ResponseTimeout | Failure::PerTryTimeout);
            if let Some(stream) = &framed
                && late
            {
                stream.doubt();
            }
            let bytes_sent = framed.map_or(self.answer.upload.written > 0, |stream| !stream.is_unprocessed());
            let reused = self.answer.lease.reused;
            // One stream of a connection that goes on was refused, and would be on another one too.
            let turned_away = self.answer.lease.stream.framed().is_some_and(|stream| stream.is_refused());
            let stale = reused && !turned_away && !self.heard_anything && failure == Failure::ServerClosed;
            let excused = self.waits_for_client() || failure == Failure::NoWebsocket;
            let torn = self.answer.download.is_torn();
            let (permit, _) = self.answer.put_back(x);
            return Err(Lost { permit, failure, bytes_sent, stale, excused, torn });
        }
        let at = x.worker.deadlines.now();
        x.story.first_byte = Some(at.saturating_sub(x.story.started));
        let response = &x.heads.response;
        let took = Duration::from_nanos(at.saturating_sub(begun));
        self.answer.permit.server.counters.answered(response.status(), took);
        let connected =
            x.heads.request.method() == Method::Connect && (200..300).contains(&response.status());
        let socket = x.websocket.is_some() && self.answer.lease.stream.is_framed();
        self.answer.is_upgrade =
            response.status() == 101 || connected || (socket && (200..300).contains(&response.status()));
        self.answer.body = match response.framing() {
            Framing::Length(length) if self.answer.lease.stream.is_framed() => Body::streamed(Some(length)),
            Framing::Chunked if self.answer.lease.stream.is_framed() => Body::streamed(None),
            framing => Body::new(framing, x.snapshot.config.limits.trailers),
        };
        self.answer.at = at;
        Ok(self.answer)
    }
}

/// 101 ends the HTTP part of a connection and is final in that sense.
fn is_final(status: u16) -> bool {
    status >= 200 || status == 101
}

/// A switch of protocols that nobody asked for would turn the rest of the connection into something that no
/// two parties agree on.
fn check_final(x: &Exchange<'_>, uploaded: Upload) -> Result<(), Failure> {
    let head = &x.heads.response;
    if head.status() == 101 {
        let named = head.headers.get(Name::Upgrade).unwrap_or_default();
        let asked = x.story.asked_upgrade.as_deref().is_some_and(|asked| offers(asked, named));
        // Before the server has the whole request, nobody could tell where its body ends and the tunnel begins.
        if !asked || !head.upgrades() || uploaded != Upload::Whole {
            return Err(Failure::BadResponse);
        }
    }
    websocket::check(x)
}

/// Whether a protocol is among those that were asked for.
fn offers(asked: &[u8], named: &[u8]) -> bool {
    asked
        .split(|byte| *byte == b',')
        .any(|protocol| protocol.trim_ascii().eq_ignore_ascii_case(named.trim_ascii()))
}
