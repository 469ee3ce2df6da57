//! HTTP/1 with a client: waiting, reading heads, exchange after exchange, and a proper end.
//!
//! A connection that waits holds its socket, its deadlines and a few words: no buffer, no heads. The future that
//! serves exchanges is large and therefore boxed for as long as there is something to serve.

use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use loadweaver_config::{Limits, Protocols};
use loadweaver_http1::preface::Preface;
use loadweaver_http1::{Body, HeadLimits, Version};
use loadweaver_policy::failure::Failure;

use crate::buffer::Buffer;
use crate::deadline::{Alarm, For, nanos};
use crate::engine::greet;
use crate::engine::http2;
use crate::exchange::{self, Exchange};
use crate::listen::{Entrance, Peer};
use crate::respond;
use crate::stream::{HandshakeError, Stream};
use crate::tls::{Front, Greeting, Handshaking, Refusal};
use crate::worker::{HeadPair, Worker};

/// The client's end of an exchange.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) stream: Stream,
    pub(crate) buffer: Buffer,
    /// The client has said that it will send no more; it may still read.
    pub(crate) ended: bool,
}

/// What becomes of a client connection after an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// It serves the next exchange.
    Again,
    /// It speaks HTTP/2, from what was read of it on.
    Http2,
    /// It is closed.
    Close,
    /// It is closed, but only after the client had the time to read our answer: closing a socket with unread bytes
    /// in it makes the kernel throw away what the client has not read yet (RFC 9112 section 9.6).
    Linger,
    /// As [`Next::Linger`], for a client that has attacked us: it has the time to read what we said, but what it goes on
    /// to send stays in the kernel, which soon takes no more.
    TurnAway,
    /// It is reset, so that the client cannot take half an answer for a whole one.
    Reset,
}

/// A client connection.
pub(super) struct Connection {
    pub(super) worker: Rc<Worker>,
    /// Lent to the [`Client`] of the exchange that is under way.
    pub(super) stream: Stream,
    pub(super) alarm: Alarm,
    pub(super) entrance: Rc<Entrance>,
    pub(super) peer: Peer,
    served: u64,
    /// Over TLS.
    pub(super) greeting: Option<Rc<Greeting>>,
    /// What a proxy in front has said of it.
    pub(super) preface: Option<Rc<Preface>>,
}

/// Serves a client connection that has taken its place, to its end.
///
/// The future is what a connection that waits costs, so it holds the connection once: an `async fn` would keep its
/// arguments beside what it makes of them.
pub(crate) fn serve(
    worker: Rc<Worker>,
    (tcp, peer): (std::net::TcpStream, Peer),
    entrance: Rc<Entrance>,
    front: Option<(Arc<Front>, Handshaking)>,
) -> impl Future<Output = ()> {
    let alarm = worker.deadlines.alarm();
    let stream = Stream::accepted(tcp);
    worker.shared.counters.connections_active.increment();
    entrance.connections.increment();
    let (greeting, preface) = (None, None);
    let mut connection = Connection { worker, stream, alarm, entrance, peer, served: 0, greeting, preface };
    async move {
        poll_fn(|cx| {
            connection.alarm.wakes(cx.waker());
            Poll::Ready(())
        })
        .await;
        let rules = connection.entrance.proxy_protocol(&connection.worker.shared.snapshot.load());
        if let Some(rules) = rules
            && !Box::pin(connection.introduce(&rules)).await
        {
            return;
        }
        if let Some((front, place)) = front
            && !Box::pin(connection.greet(front, place)).await
        {
            return;
        }
        if connection.greeting.as_ref().is_some_and(|greeting| greeting.is_http2()) {
            let next = Box::pin(connection.http2()).await;
            return Box::pin(connection.linger(next)).await;
        }
        // The request of a connection that was just accepted is most likely there: it is not waited for but read.
        let mut there = true;
        loop {
            if !there && !connection.wait().await {
                connection.stream.take_leave();
                break;
            }
            there = false;
            match Box::pin(connection.exchanges()).await {
                Next::Again => {}
                Next::Close | Next::Http2 => break,
                next @ (Next::Linger | Next::TurnAway) => {
                    Box::pin(connection.linger(next)).await;
                    break;
                }
                Next::Reset => {
                    connection.stream.close_with_reset();
                    break;
                }
            }
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.worker.shared.counters.connections_active.decrement();
        self.entrance.connections.decrement();
        self.worker.shared.connections.leave();
    }
}

impl Connection {
    /// Shakes hands; false when there is no connection then.
    async fn greet(&mut self, front: Arc<Front>, place: Handshaking) -> bool {
        let at = (&*self.entrance, &front);
        let greeted = greet::greet(&self.worker, &self.alarm, &mut self.stream, at).await;
        drop(place);
        match greeted {
            Ok(greeting) => {
                self.greeting = Some(Rc::new(greeting));
                true
            }
            Err(Refusal::Handshake(HandshakeError::PlainHttp)) => {
                let next = self.refuse_plain().await;
                self.linger(next).await;
                false
            }
            Err(_) => false,
        }
    }

    /// Serves a client that has agreed on HTTP/2.
    async fn http2(&mut self) -> Next {
        let client = Client { stream: self.stream.take(), buffer: Buffer::default(), ended: false };
        http2::serve(self, client).await
    }

    /// Tells a client that speaks HTTP in the clear what is spoken here.
    async fn refuse_plain(&mut self) -> Next {
        let buffer = self.stream.expose();
        let mut client = Client { stream: self.stream.take(), buffer, ended: false };
        let mut heads = self.worker.heads.take();
        let snapshot = self.worker.shared.snapshot.load_full();
        // Only for its method: a HEAD gets no body.
        let bounds = bounds(&snapshot.config.limits);
        let _ = heads.request.parse(client.buffer.filled(), &bounds);
        let mut exchange = Exchange::new(&self.worker, &self.alarm, &mut client, &mut heads, snapshot);
        exchange.place(self.peer, &self.entrance, true);
        exchange.story.started = self.worker.deadlines.now();
        let next = respond::refuse(&mut exchange, Failure::PlainHttp).await;
        self.worker.heads.give_back(heads);
        client.buffer.discard(&self.worker.stock);
        self.stream = client.stream;
        next
    }

    /// Waits until the client sends something; false when the connection should be closed instead.
    fn wait(&mut self) -> impl Future<Output = bool> {
        let limit = {
            let timeouts = &self.worker.shared.snapshot.load().config.timeouts;
            if self.served == 0 { timeouts.request_head } else { timeouts.idle }
        };
        let since = self.worker.deadlines.now();
        self.alarm.set(For::Client, since, limit);
        poll_fn(move |cx| {
            if self.stream.poll_readable(cx).is_ready() {
                return Poll::Ready(true);
            }
            let worker = &self.worker;
            let crowded_out =
                worker.is_crowded() && worker.deadlines.now() > since.saturating_add(nanos(SPARED));
            if worker.draining.get()
                || self.entrance.is_closing()
                || crowded_out
                || self.alarm.is_due(For::Client)
            {
                return Poll::Ready(false);
            }
            if self.served > 0 && !self.entrance.is_for(Version::Http11) {
                // Whoever is in the middle of something has its next request answered, and is told with that.
                self.alarm.set(For::Client, since, SPARED);
            }
            Poll::Pending
        })
    }

    /// Serves exchanges until the client has nothing more under way.
    async fn exchanges(&mut self) -> Next {
        let mut client = Client { stream: self.stream.take(), buffer: Buffer::default(), ended: false };
        let next = loop {
            let mut heads = self.worker.heads.take();
            let next = self.exchange(&mut client, &mut heads).await;
            self.worker.heads.give_back(heads);
            if next == Next::Http2 {
                return Box::pin(http2::serve(self, client)).await;
            }
            if next != Next::Again || client.buffer.is_empty() {
                break next;
            }
        };
        client.buffer.discard(&self.worker.stock);
        self.stream = client.stream;
        if next == Next::Again && client.ended { Next::Close } else { next }
    }

    async fn exchange(&mut self, client: &mut Client, heads: &mut HeadPair) -> Next {
        let snapshot = self.worker.shared.snapshot.load_full();
        let limits = &snapshot.config.limits;
        let started = self.worker.deadlines.now();
        self.alarm.set(For::Client, started, snapshot.config.timeouts.request_head);
        let bounds = bounds(limits);
        // A client that was let in is not sent away between two of its requests.
        let protocols = if self.served == 0 { snapshot.protocols(&self.entrance) } else { Protocols::Both };
        let read = self.read_head(client, heads, (&bounds, protocols)).await;
        self.alarm.clear(For::Client);
        let head_read = match read {
            Err(Unread::Closed) => return Next::Close,
            Err(Unread::Nothing) => return Next::Again,
            Err(Unread::Http2) => return Next::Http2,
            Err(Unread::Refused(failure)) => Err(failure),
            // The head came with one read, which is nearly always: it is not worth a look at the clock.
            Ok(1) => Ok(started),
            Ok(_) => Ok(self.worker.deadlines.now()),
        };
        self.served += 1;
        let last = limits.requests_per_connection > 0 && self.served >= limits.requests_per_connection;
        let body = match head_read {
            Ok(_) => Body::new(heads.request.framing(), limits.trailers),
            Err(_) => Body::default(),
        };
        let mut exchange = Exchange::new(&self.worker, &self.alarm, client, heads, snapshot.clone());
        exchange.place(self.peer, &self.entrance, last);
        exchange.greeting.clone_from(&self.greeting);
        exchange.preface.clone_from(&self.preface);
        exchange.body = body;
        exchange.story.started = started;
        match head_read {
            Ok(now) => exchange::run(&mut exchange, now).await,
            Err(failure) => respond::refuse(&mut exchange, failure).await,
        }
    }

    /// Reads until a request head is complete; says in how many reads.
    async fn read_head(
        &self,
        client: &mut Client,
        heads: &mut HeadPair,
        (limits, protocols): (&HeadLimits, Protocols),
    ) -> Result<u32, Unread> {
        let Self { alarm, worker, .. } = self;
        let mut reads = 0;
        // Bytes from which on another parse is worth while: see `may_be_whole`.
        let mut parse_at = 1;
        poll_fn(|cx| {
            loop {
                if client.buffer.len() >= parse_at || may_be_whole(client.buffer.filled()) {
                    match heads.request.parse(client.buffer.filled(), limits) {
                        // It is told so in the protocol that it speaks.
                        Ok(Some(_)) if !protocols.has_http1() => {
                            return Poll::Ready(Err(Unread::Refused(Failure::UnsupportedVersion)));
                        }
                        Ok(Some(len)) => {
                            client.buffer.consume(len);
                            client.buffer.release(&worker.stock);
                            return Poll::Ready(Ok(reads.max(1)));
                        }
                        Ok(None) => parse_at = (client.buffer.len() * 2).min(limits.bytes),
                        Err(_) if protocols.has_http2() && self.begins_http2(client) => {
                            return Poll::Ready(Err(Unread::Http2));
                        }
                        Err(error) => return Poll::Ready(Err(Unread::Refused(failure_of(error)))),
                    }
                }
                client.buffer.expand(&worker.stock);
                if !client.buffer.takes_more() {
                    client.buffer.grow((client.buffer.capacity() * 2).min(limits.bytes + 1));
                }
                match client.stream.poll_read(cx, &mut client.buffer, &worker.stock) {
                    Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Err(Unread::Closed)),
                    Poll::Ready(Ok(_)) => reads += 1,
                    Poll::Pending if client.buffer.is_empty() => return Poll::Ready(Err(Unread::Nothing)),
                    Poll::Pending if alarm.is_due(For::Client) => {
                        return Poll::Ready(Err(Unread::Refused(Failure::HeadTimeout)));
                    }
                    Poll::Pending => {
                        client.buffer.shrink(&worker.stock);
                        return Poll::Pending;
                    }
                }
            }
        })
        .await
    }

    fn begins_http2(&self, client: &Client) -> bool {
        self.served == 0 && client.buffer.filled().starts_with(PREFACE)
    }

    /// Says that we are done, then reads and forgets what the client still sends, for a while; nothing of the kind where
    /// what is next is something else.
    pub(super) async fn linger(&mut self, next: Next) {
        let most = match next {
            Next::Linger => LINGER_BYTES,
            Next::TurnAway => TURNED_AWAY_BYTES,
            Next::Again | Next::Http2 | Next::Close | Next::Reset => return,
        };
        let now = self.worker.deadlines.now();
        self.alarm.set(For::Client, now, LINGER);
        let mut waste = Buffer::default();
        let mut wasted = 0;
        let mut said = false;
        let Self { stream, alarm, worker, .. } = self;
        poll_fn(|cx| {
            if !said {
                match stream.poll_shutdown(cx) {
                    Poll::Ready(Ok(())) => said = true,
                    Poll::Ready(Err(_)) => return Poll::Ready(()),
                    // TLS has a word for it, which a client that reads nothing may never take.
                    Poll::Pending if alarm.is_due(For::Client) => return Poll::Ready(()),
                    Poll::Pending => return Poll::Pending,
                }
            }
            while wasted <= most {
                match stream.poll_read(cx, &mut waste, &worker.stock) {
                    Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(()),
                    Poll::Ready(Ok(len)) => {
                        waste.consume(len);
                        wasted += len;
                    }
                    Poll::Pending if alarm.is_due(For::Client) => return Poll::Ready(()),
                    Poll::Pending => return Poll::Pending,
                }
            }
            if next == Next::Linger || alarm.is_due(For::Client) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        waste.discard(&self.worker.stock);
    }
}

pub(crate) fn bounds(limits: &Limits) -> HeadLimits {
    HeadLimits { bytes: limits.request_head, target: limits.target, fields: limits.headers }
}

/// How long a connection may wait in peace when there is no place for more clients: long enough for one that is in
/// use.
pub(super) const SPARED: Duration = Duration::from_secs(1);

/// How long a connection lingers at the most, and how many bytes it reads to no use.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 16 * 1024 * 1024;

/// The same of a client that is turned away.
const TURNED_AWAY_BYTES: usize = 64 * 1024;

/// Why no head was read.
enum Unread {
    /// Nothing has come yet; it is waited for without a buffer and heads.
    Nothing,
    /// The connection ended, or never began to say anything.
    Closed,
    /// What came is no acceptable head.
    Refused(Failure),
    /// What came begins a connection of HTTP/2.
    Http2,
}

/// How a connection of HTTP/2 begins where both sides know that it will (RFC 9113 section 3.4); the rest of the
/// preface is checked by its engine. It is meant to be refused by whoever speaks HTTP/1 only.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\n";

/// A head that comes byte by byte would be parsed from its start for each byte: a slow client could make us do
/// quadratic work. So it is parsed when twice as much has come, or when its end is there.
pub(crate) fn may_be_whole(input: &[u8]) -> bool {
    memchr::memmem::rfind(input, b"\r\n\r\n").is_some()
}

pub(crate) fn failure_of(error: loadweaver_http1::RequestError) -> Failure {
    use loadweaver_http1::RequestError as E;
    match error {
        E::Line => Failure::BadRequestLine,
        E::Target => Failure::BadTarget,
        E::TargetTooLong => Failure::TargetTooLong,
        E::Version => Failure::UnsupportedVersion,
        E::Header => Failure::BadHeader,
        E::TooLarge => Failure::HeadTooLarge,
        E::Host => Failure::BadHost,
        E::Framing => Failure::BadFraming,
        E::TransferCoding => Failure::UnsupportedTransferCoding,
        E::Expectation => Failure::ExpectationFailed,
    }
}
