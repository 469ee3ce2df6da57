//! HTTP/2 with a client: one task for the connection, one for each of its streams.
//!
//! The task of the connection reads and writes the socket and begins a task for each request; each of those runs the
//! same exchange as a request of HTTP/1 does, on a stream instead of a socket. Frames, windows, header compression and
//! the limits that stand against abuse are the business of the crate `http2`.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use loadweaver_http1::preface::{Ends, Preface};
use loadweaver_http1::{Body, Framing, Version};
use loadweaver_http2::{self as http2, Connection as Engine, Ended, Limits, Refusal, StreamId, Why};
use loadweaver_policy::failure::Failure;
use loadweaver_telemetry::event::Event;
use loadweaver_telemetry::log;

use crate::buffer::Buffer;
use crate::deadline::{Alarm, For, Nanos, nanos};
use crate::engine::http1::{Client, Connection, Next, SPARED};
use crate::exchange::{self, Exchange};
use crate::listen::{Entrance, Peer};
use crate::respond;
use crate::snapshot::Snapshot;
use crate::stream::Stream;
use crate::stream::http2::{Http2Stream, Multiplex};
use crate::tls::Greeting;
use crate::websocket;
use crate::worker::Worker;

pub(crate) mod cuts;
pub(crate) mod driver;
pub(crate) mod pace;

use driver::{Driver, Gone, Stuck};

/// How long a client may take to acknowledge that the connection is going to end; whatever it sends later than that is
/// refused, and safe to send again.
const FAREWELL: Duration = Duration::from_secs(1);

/// What a client that reads nothing is given beyond `timeouts.send`, so that its exchanges, which have that, end first
/// and say why.
const GRACE: Duration = Duration::from_secs(1);

/// What a client that was cut off for abuse is given to take the reason out of its socket.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How long a connection waits before it gives back the memory that it has for the next exchange.
const RESTED: Duration = Duration::from_secs(2);

/// Serves a client connection that speaks HTTP/2, to its end.
pub(super) async fn serve(connection: &mut Connection, client: Client) -> Next {
    let snapshot = connection.worker.shared.snapshot.load_full();
    let now = connection.worker.deadlines.now();
    let engine = Engine::server(&limits(&snapshot), now);
    if connection.preface.is_none() && snapshot.announces {
        // Streams do not know where the connection came to.
        let local = client.stream.local_address();
        let ends = connection.peer.zip(local).map(|(source, destination)| Ends { source, destination });
        connection.preface = ends.map(|ends| Rc::new(Preface { ends: Some(ends), ..Preface::default() }));
    }
    let mut session = Session {
        multiplex: Multiplex::new(engine),
        worker: connection.worker.clone(),
        entrance: connection.entrance.clone(),
        peer: connection.peer,
        greeting: connection.greeting.clone(),
        preface: connection.preface.clone(),
        served: 0,
        farewell: false,
        idle: false,
        idle_since: 0,
        stuck: None,
        cut: false,
    };
    let pace = Some(connection.worker.pace.clone());
    let mut driver = Driver::new(session.multiplex.clone(), client.stream, client.buffer, pace);
    let ended = poll_fn(|cx| session.poll(cx, &connection.alarm, &mut driver)).await;
    for what in [For::Client, For::Server, For::Attempt, For::Exchange] {
        connection.alarm.clear(what);
    }
    connection.stream = driver.give_up(&connection.worker.stock).await;
    match ended {
        Gone::Ended(Ended { why: Why::Abuse(_), .. }) => Next::TurnAway,
        Gone::Finished | Gone::Ended(_) => Next::Linger,
        Gone::Lost => Next::Close,
    }
}

fn limits(snapshot: &Snapshot) -> Limits {
    let limits = &snapshot.config.limits;
    Limits {
        head: limits.request_head,
        fields: limits.headers,
        target: limits.target,
        max_streams: limits.http2.max_concurrent_streams,
        stream_window: limits.http2.stream_window,
        connection_window: limits.http2.connection_window,
        ..Limits::default()
    }
}

/// A client connection of HTTP/2.
struct Session {
    multiplex: Rc<Multiplex>,
    worker: Rc<Worker>,
    entrance: Rc<Entrance>,
    peer: Peer,
    /// Over TLS.
    greeting: Option<Rc<Greeting>>,
    /// What a proxy in front has said of it.
    preface: Option<Rc<Preface>>,
    served: u64,
    /// The client was told that the connection is going to end.
    farewell: bool,
    /// Nothing is under way.
    idle: bool,
    idle_since: Nanos,
    /// The client does not read.
    stuck: Option<Stuck>,
    /// It was cut off.
    cut: bool,
}

impl Session {
    fn poll(&mut self, cx: &mut Context<'_>, alarm: &Alarm, driver: &mut Driver) -> Poll<Gone> {
        self.multiplex.driven_by(cx.waker());
        self.look_at_the_end(alarm);
        let now = self.worker.deadlines.now();
        let worker = self.worker.clone();
        let gone = driver.poll(cx, &worker.stock, now, |event| match event {
            http2::Event::Head(id) => {
                self.served += 1;
                self.begin(id)
            }
            _ => false,
        });
        self.look_at_the_time(alarm);
        match driver.ended() {
            None => self.look_at_the_output(alarm, driver),
            Some(ended) if !std::mem::replace(&mut self.cut, true) => {
                self.tell(ended);
                let abuse = matches!(ended.why, Why::Abuse(_));
                let send = self.worker.shared.snapshot.load().config.timeouts.send;
                let limit = if abuse { LAST_WORDS } else { send + GRACE };
                alarm.set(For::Attempt, now, limit);
            }
            Some(_) => {}
        }
        // Whatever is left to be said to a client that does not read is not worth its place.
        if gone.is_pending() && alarm.is_due(For::Attempt) { Poll::Ready(Gone::Lost) } else { gone }
    }

    /// Says that the connection is going to end, once there is a reason.
    fn look_at_the_end(&mut self, alarm: &Alarm) {
        let most = self.worker.shared.snapshot.load().config.limits.requests_per_connection;
        let spent = most > 0 && self.served >= most;
        let crowded_out = self.worker.is_crowded()
            && self.worker.deadlines.now() > self.idle_since.saturating_add(nanos(SPARED));
        let over = self.idle && (alarm.is_due(For::Client) || crowded_out);
        let unwanted = self.entrance.is_closing() || !self.entrance.is_for(Version::Http2);
        let ending = self.worker.draining.get() || unwanted || spent || over;
        let mut engine = self.multiplex.engine.borrow_mut();
        if ending && !self.farewell {
            self.farewell = true;
            engine.shutdown();
            alarm.set(For::Server, self.worker.deadlines.now(), FAREWELL);
        } else if self.farewell && alarm.is_due(For::Server) {
            alarm.clear(For::Server);
            engine.conclude();
        }
    }

    /// A connection without a stream is given as much time as an idle one of HTTP/1.
    fn look_at_the_time(&mut self, alarm: &Alarm) {
        let idle = self.multiplex.engine.borrow().streams() == 0;
        if idle && !self.idle {
            let timeouts = &self.worker.shared.snapshot.load().config.timeouts;
            let limit = if self.served == 0 { timeouts.request_head } else { timeouts.idle };
            self.idle_since = self.worker.deadlines.now();
            alarm.set(For::Client, self.idle_since, limit);
            alarm.set(For::Exchange, self.idle_since, RESTED);
        } else if !idle && self.idle {
            alarm.clear(For::Client);
            alarm.clear(For::Exchange);
        } else if idle && alarm.is_due(For::Exchange) {
            alarm.clear(For::Exchange);
            self.multiplex.free();
        }
        self.idle = idle;
    }

    /// A client that reads nothing of what is there for it is given as much time as one of HTTP/1, and a moment.
    fn look_at_the_output(&mut self, alarm: &Alarm, driver: &Driver) {
        let stuck = driver.stuck();
        if stuck == self.stuck {
            return;
        }
        self.stuck = stuck;
        let limit = self.worker.shared.snapshot.load().config.timeouts.send;
        if stuck.is_some() && !limit.is_zero() {
            alarm.set(For::Attempt, self.worker.deadlines.now(), limit + GRACE);
        } else {
            alarm.clear(For::Attempt);
        }
    }

    /// Begins the exchange of a request that has come, if anybody still wants it.
    fn begin(&self, id: StreamId) -> bool {
        if self.multiplex.engine.borrow().is_reset(id) {
            // Cancelled before anybody has heard of it: it costs no exchange (CVE-2023-44487, CVE-2025-8671).
            self.multiplex.engine.borrow_mut().release(id);
            return false;
        }
        let stream = Http2Stream::opened(self.multiplex.clone(), id);
        let (entrance, greeting) = (self.entrance.clone(), self.greeting.clone());
        let from = Origin { peer: self.peer, entrance, greeting, preface: self.preface.clone() };
        tokio::task::spawn_local(run(self.worker.clone(), stream, from));
        true
    }

    fn tell(&self, ended: Ended) {
        let Why::Abuse(abuse) = ended.why else {
            return tracing::debug!(target: log::LISTEN, client = self.peer.map(tracing::field::display), why = ended.why.name(), "a client broke the protocol");
        };
        self.worker.shared.counters.clients_cut.increment();
        let now = self.worker.deadlines.now();
        if let Some(connections) = self.worker.cuts.borrow_mut().count(abuse, now) {
            self.worker.shared.bus.emit(Event::ClientCut {
                listener: self.entrance.name(&self.worker.shared.snapshot.load()),
                client: self.peer.map(|peer| peer.ip().to_canonical()),
                attack: abuse.name(),
                cve: abuse.cve(),
                connections,
            });
        }
    }
}

/// Where a request came from.
struct Origin {
    peer: Peer,
    entrance: Rc<Entrance>,
    greeting: Option<Rc<Greeting>>,
    preface: Option<Rc<Preface>>,
}

/// One exchange, on a stream of its own.
async fn run(worker: Rc<Worker>, stream: Http2Stream, from: Origin) {
    let alarm = worker.deadlines.alarm_of_stream();
    poll_fn(|cx| {
        alarm.wakes(cx.waker());
        Poll::Ready(())
    })
    .await;
    let started = worker.deadlines.now();
    let mut heads = worker.heads.take();
    let taken = stream.take_request(&mut heads.request);
    let understood = websocket::understand(&mut heads.request);
    let mut client = Client { stream: Stream::http2(stream), buffer: Buffer::default(), ended: false };
    let body = match heads.request.framing() {
        Framing::None => Body::default(),
        Framing::Length(length) => Body::streamed(Some(length)),
        Framing::Chunked | Framing::UntilClose => Body::streamed(None),
    };
    let snapshot = worker.shared.snapshot.load_full();
    let mut exchange = Exchange::new(&worker, &alarm, &mut client, &mut heads, snapshot);
    exchange.place(from.peer, &from.entrance, false);
    exchange.greeting = from.greeting;
    exchange.preface = from.preface;
    exchange.body = body;
    exchange.story.started = started;
    let next = match taken {
        Ok(()) => match understood {
            Ok(()) => exchange::run(&mut exchange, started).await,
            Err(failure) => respond::refuse(&mut exchange, failure).await,
        },
        Err(Refusal::TooLarge) => respond::refuse(&mut exchange, Failure::HeadTooLarge).await,
        Err(Refusal::TargetTooLong) => respond::refuse(&mut exchange, Failure::TargetTooLong).await,
        Err(Refusal::Expectation) => respond::refuse(&mut exchange, Failure::ExpectationFailed).await,
        // It was reset before we came to it.
        Err(Refusal::Gone) => Next::Close,
    };
    if next == Next::Reset {
        client.stream.close_with_reset();
    }
    client.buffer.discard(&worker.stock);
    worker.heads.give_back(heads);
}
