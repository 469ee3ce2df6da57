//! Connections to servers that many exchanges share: those of HTTP/2.
//!
//! Each exchange goes to the first connection that has room for it, and another is opened when none has. While one is
//! being opened the others wait for it instead of opening one each: what comes at once, after a start or after the
//! server said GOAWAY, would otherwise open as many connections as there are exchanges.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::future::poll_fn;
use std::hash::BuildHasherDefault;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use loadweaver_config::{ConnectionPool, Protocol};
use loadweaver_http2::{Connection as Engine, Event, Limits, NoRoom, Scheme};
use loadweaver_policy::failure::Failure;
use tokio::sync::Notify;

use crate::address::Address;
use crate::buffer::Buffer;
use crate::deadline::{Alarm, For, Nanos};
use crate::engine::http2::driver::{Driver, Gone};
use crate::server::ServerState;
use crate::stream::Stream;
use crate::stream::http2::{Http2Stream, Multiplex};
use crate::upstream::socket::Sockets;
use crate::upstream::{self, ByKey, Lease, Manner, Open};
use crate::worker::Worker;

/// How long a server may take to say that it is still there, once one of its answers is late.
const SIGN_OF_LIFE: Duration = Duration::from_secs(5);

/// The connections of one worker that are shared.
#[derive(Debug, Default)]
pub(crate) struct SharedConnections {
    open: RefCell<HashMap<u64, Vec<Shared>, BuildHasherDefault<ByKey>>>,
    /// Servers that have agreed on HTTP/1 when they were asked: their connections are not shared, and nobody waits for
    /// one that somebody else opens.
    unshared: RefCell<HashSet<u64>>,
    /// Who waits for a connection that somebody opens.
    opening: RefCell<HashMap<u64, Rc<Notify>, BuildHasherDefault<ByKey>>>,
    pub(super) sockets: Sockets,
}

#[derive(Debug)]
struct Shared {
    multiplex: Rc<Multiplex>,
    address: Address,
    /// What it is secured with.
    identity: u64,
}

impl SharedConnections {
    /// A place on a connection that is there: on the one that was opened first, or `newest`.
    fn place(&self, server: &ServerState, newest: bool) -> Option<Lease> {
        let address = server.address()?;
        let mut all = self.open.borrow_mut();
        let identity = server.identity_number();
        let shared = all.get_mut(&server.upstream())?;
        shared.retain(|shared| shared.multiplex.is_open());
        let good = |shared: &&Shared| {
            // Another address with the same key, once in a very long time.
            (&shared.address, shared.identity) == (&address, identity) && shared.multiplex.has_room()
        };
        let found = if newest { shared.iter().rev().find(good) } else { shared.iter().find(good) }?;
        let stream = Stream::http2(Http2Stream::planned(found.multiplex.clone()));
        Some(Lease {
            stream,
            reused: true,
            address,
            identity,
            http2: true,
            odd: false,
            announced: None,
            opened: 0,
            served: 0,
            open: None,
        })
    }

    /// Ends the connections to whatever is no server any more; what is under way on them goes on.
    pub(crate) fn keep_only(&self, servers: &HashSet<u64>) {
        self.unshared.borrow_mut().retain(|key| servers.contains(key));
        self.sockets.keep_only(servers);
        self.open.borrow_mut().retain(|key, shared| {
            let stays = servers.contains(key);
            if !stays {
                for one in shared {
                    one.multiplex.retire();
                }
            }
            stays
        });
    }

    /// Forgets connections that are no more.
    pub(crate) fn sweep(&self) {
        self.open.borrow_mut().retain(|_, shared| {
            shared.retain(|one| one.multiplex.is_open());
            !shared.is_empty()
        });
    }
}

/// A connection that is being opened. The others are told when this ends: it is there, and its server has said how many
/// streams it takes, or it is not to be.
struct Opening {
    worker: Rc<Worker>,
    key: u64,
}

impl Drop for Opening {
    fn drop(&mut self) {
        if let Some(waiting) = self.worker.shared_upstreams.opening.borrow_mut().remove(&self.key) {
            waiting.notify_waiters();
        }
    }
}

/// A place on a shared connection: on one that is there, or, with `fresh` or for want of room, on a new one; perhaps on
/// one that somebody else is about to open: all exchanges of a connection that broke want a fresh one at the same time.
/// Within `limit`. Where the protocol is left to TLS and that agrees on HTTP/1, a connection of one's own.
pub(crate) async fn lease(
    worker: &Rc<Worker>,
    server: &ServerState,
    alarm: &Alarm,
    how: (Protocol, &ConnectionPool, Duration),
    fresh: bool,
) -> Result<Lease, Failure> {
    let began = worker.deadlines.now();
    let mut may_share = !fresh;
    loop {
        let mut lease = place_or_open(worker, server, alarm, how, (began, fresh, may_share)).await?;
        let overtaken = lease.stream.framed().is_some_and(|stream| stream.is_overtaken());
        if !overtaken {
            return Ok(lease);
        }
        may_share = true;
    }
}

/// The same; but who came while its server said how many exchanges it takes may have all the places of a connection
/// that is new.
async fn place_or_open(
    worker: &Rc<Worker>,
    server: &ServerState,
    alarm: &Alarm,
    (protocol, pool, limit): (Protocol, &ConnectionPool, Duration),
    (began, fresh, mut may_share): (Nanos, bool, bool),
) -> Result<Lease, Failure> {
    let shared = &worker.shared_upstreams;
    let key = server.upstream();
    let alone = protocol == Protocol::Auto && shared.unshared.borrow().contains(&key);
    loop {
        if may_share
            && !alone
            && let Some(lease) = shared.place(server, fresh)
        {
            // What fails on a fresh connection is a failure: nobody is to try that for ever.
            return Ok(Lease { reused: !fresh, ..lease });
        }
        let opening = shared.opening.borrow().get(&key).cloned();
        match opening {
            Some(opening) if !alone => wait(&opening, alarm, (began, limit)).await?,
            _ => break,
        }
        may_share = true;
    }
    shared.opening.borrow_mut().entry(key).or_default();
    let opening = Opening { worker: worker.clone(), key };
    let lease = upstream::connect(server, &worker.stock, alarm, (began, limit), Manner::Usual(&[])).await?;
    match protocol {
        Protocol::H2c => {}
        // Also a server that has agreed on HTTP/1 before.
        _ if lease.http2 => drop(shared.unshared.borrow_mut().remove(&key)),
        Protocol::Auto | Protocol::Http1 => {
            shared.unshared.borrow_mut().insert(key);
            return Ok(lease);
        }
        // It was asked for HTTP/2 and nothing else, and has not agreed.
        Protocol::Http2 => return Err(Failure::TlsHandshakeFailed),
    }
    let mut lease = begin(opening, server, lease, (pool, began, limit));
    if let Some(stream) = lease.stream.framed() {
        // It costs a round trip once, and what is sent to nobody would be lost with the connection.
        settings(stream, alarm, (began, limit)).await?;
    }
    Ok(lease)
}

/// Waits until the server has said what it takes; whether extended CONNECT (RFC 8441) is among it. Until then a
/// connection is being opened: whoever accepts it and says nothing speaks no HTTP/2.
pub(super) async fn settings(
    stream: &Http2Stream,
    alarm: &Alarm,
    (began, limit): (Nanos, Duration),
) -> Result<bool, Failure> {
    alarm.set(For::Server, began, limit);
    let known = poll_fn(|cx| match (stream.poll_takes_protocols(cx), upstream::overdue(alarm)) {
        (Poll::Ready(Ok(takes)), _) => Poll::Ready(Ok(takes)),
        (_, Some(failure)) => Poll::Ready(Err(failure)),
        (Poll::Ready(Err(_)), None) => Poll::Ready(Err(Failure::ConnectFailed)),
        (Poll::Pending, None) => Poll::Pending,
    })
    .await;
    alarm.clear(For::Server);
    known
}

/// Waits until somebody else's connection is there or is not to be.
async fn wait(opening: &Notify, alarm: &Alarm, (began, limit): (Nanos, Duration)) -> Result<(), Failure> {
    alarm.set(For::Server, began, limit);
    let mut told = std::pin::pin!(opening.notified());
    let waited = poll_fn(|cx| match told.as_mut().poll(cx) {
        Poll::Ready(()) => Poll::Ready(Ok(())),
        Poll::Pending => upstream::overdue(alarm).map_or(Poll::Pending, |failure| Poll::Ready(Err(failure))),
    })
    .await;
    alarm.clear(For::Server);
    waited
}

/// Makes a connection one that is shared.
fn begin(
    opening: Opening,
    server: &ServerState,
    lease: Lease,
    (pool, began, limit): (&ConnectionPool, Nanos, Duration),
) -> Lease {
    let worker = opening.worker.clone();
    let Lease { stream, reused, address, identity, opened, served, open, .. } = lease;
    let limits = &worker.shared.snapshot.load().config.limits;
    let limits = Limits { head: limits.response_head, ..Limits::default() };
    let scheme = if identity == 0 { Scheme::Http } else { Scheme::Https };
    let engine = Engine::client(&limits, scheme, opened);
    let multiplex = Multiplex::new(engine);
    if pool.max_requests > 0 {
        multiplex.limit(pool.max_requests);
    }
    let session = Session {
        opening: Some(opening),
        worker: worker.clone(),
        multiplex: multiplex.clone(),
        alarm: worker.deadlines.alarm_of_stream(),
        idle_timeout: pool.idle_timeout,
        max_lifetime: pool.max_lifetime,
        idle: false,
        doubted: false,
        leaving: false,
        _open: open,
    };
    session.alarm.set(For::Exchange, opened, session.max_lifetime);
    session.alarm.set(For::Server, began, limit);
    tokio::task::spawn_local(session.drive(stream));
    let place = Stream::http2(Http2Stream::planned(multiplex.clone()));
    // It may be another program by now.
    worker.shared_upstreams.sockets.forget(server);
    let mut open = worker.shared_upstreams.open.borrow_mut();
    open.entry(server.upstream()).or_default().push(Shared { multiplex, address: address.clone(), identity });
    Lease {
        stream: place,
        reused,
        address,
        identity,
        http2: true,
        odd: false,
        announced: None,
        opened,
        served,
        open: None,
    }
}

/// A connection to a server, as its own task sees it.
struct Session {
    opening: Option<Opening>,
    worker: Rc<Worker>,
    multiplex: Rc<Multiplex>,
    alarm: Alarm,
    idle_timeout: Duration,
    max_lifetime: Duration,
    /// Nothing is under way.
    idle: bool,
    /// It was asked whether it is still there.
    doubted: bool,
    /// Nothing is left to be done but to say so.
    leaving: bool,
    _open: Option<Open>,
}

impl Session {
    async fn drive(mut self, stream: Stream) {
        let mut driver = Driver::new(self.multiplex.clone(), stream, Buffer::default(), None);
        poll_fn(|cx| {
            self.alarm.wakes(cx.waker());
            Poll::Ready(())
        })
        .await;
        poll_fn(|cx| self.poll(cx, &mut driver)).await;
        drop(driver.give_up(&self.worker.stock).await);
    }

    fn poll(&mut self, cx: &mut Context<'_>, driver: &mut Driver) -> Poll<()> {
        self.multiplex.driven_by(cx.waker());
        let now = self.worker.deadlines.now();
        let over = (self.idle && self.alarm.is_due(For::Client)) || self.is_useless();
        if over || self.alarm.is_due(For::Exchange) || self.multiplex.is_retired() {
            self.alarm.clear(For::Exchange);
            self.multiplex.engine.borrow_mut().conclude();
        }
        if self.alarm.is_due(For::Server) || self.alarm.is_due(For::Attempt) {
            // Neither an answer nor the echo of a PING: nobody is there any more. Or nobody reads our last words. Or
            // nobody has ever said a word of HTTP/2.
            return Poll::Ready(());
        }
        if self.multiplex.is_doubted() && !std::mem::replace(&mut self.doubted, true) {
            self.multiplex.engine.borrow_mut().ping(now);
            self.alarm.set(For::Server, now, SIGN_OF_LIFE);
        }
        let mut alive = false;
        let gone = driver.poll(cx, &self.worker.stock, now, |event| {
            alive |= matches!(event, Event::Pong(_));
            false
        });
        if self.opening.is_some() && self.multiplex.engine.borrow().is_settled() {
            self.opening = None;
            self.alarm.clear(For::Server);
            if self.is_useless() {
                // Nothing else would come to pass on it.
                self.multiplex.wake_driver();
            }
        }
        if alive {
            self.doubted = false;
            self.multiplex.believe();
            self.alarm.clear(For::Server);
        }
        self.look_at_the_time(now);
        match gone {
            Poll::Ready(Gone::Finished | Gone::Ended(_) | Gone::Lost) => Poll::Ready(()),
            Poll::Pending => Poll::Pending,
        }
    }

    fn look_at_the_time(&mut self, now: Nanos) {
        let idle = self.multiplex.engine.borrow().streams() == 0;
        if idle && !self.idle {
            self.alarm.set(For::Client, now, self.idle_timeout);
        } else if !idle && self.idle {
            self.alarm.clear(For::Client);
        }
        self.idle = idle;
        if idle && !self.multiplex.is_open() && !std::mem::replace(&mut self.leaving, true) {
            self.alarm.set(For::Attempt, now, SIGN_OF_LIFE);
        }
    }

    /// Whether the server takes no streams on it at all. It may change its mind, but until then each exchange opens
    /// another connection, and all of them would stay.
    fn is_useless(&self) -> bool {
        let engine = self.multiplex.engine.borrow();
        engine.is_settled() && engine.streams() == 0 && engine.no_room() == Some(NoRoom::Streams)
    }
}
