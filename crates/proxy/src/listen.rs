//! Binding addresses and accepting connections.
//!
//! What listens on a Unix socket is held as a `TcpListener`, and what it accepts as a `TcpStream`: see
//! [`crate::address`].

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener, TcpStream as StdStream};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use loadweaver_config::{Protocols, ProxyProtocol};
use loadweaver_http1::Version;
use loadweaver_telemetry::counters::Gauge;
use loadweaver_telemetry::event::Event;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{AddressFamily, SocketFlags, acceptfrom_with};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;

use crate::engine::http1;
use crate::snapshot::Snapshot;
use crate::tls::Front;
use crate::worker::Worker;

mod patience;
mod socket;
pub mod unix;

pub(crate) use patience::{Crowd, Patience};
use socket::Presence;
pub(crate) use socket::{Bound, Listening, Opened, Wanted, bind, try_out};

/// Connections that may wait to be accepted, for each worker. The kernel cuts it to `net.core.somaxconn`.
pub(crate) const BACKLOG: i32 = 4096;

/// Connections that are accepted before what else is ready gets its turn. Each costs some 10 to 20 µs, with TLS more, and
/// thousands may have come at once.
const IN_A_ROW: usize = 8;

/// How long accepting rests when descriptors or memory have run out. Without a rest the listener, which stays
/// readable, would keep the worker from closing the connections that could help.
const REST: Duration = Duration::from_millis(50);

/// What the connections of one listener share on one worker.
#[derive(Debug)]
pub(crate) struct Entrance {
    /// Which address it is, whatever its listener is called: see [`Snapshot::settle`].
    pub(crate) number: u64,
    /// What its listener was called when the configuration last had one for it.
    name: RefCell<Arc<str>>,
    /// What its connections began with then. Between a change that removes it and the worker's part in that there is
    /// none, and nobody gets in by less than before.
    last: RefCell<Threshold>,
    /// Those that are open, on all workers.
    pub(crate) connections: Arc<Gauge>,
    /// What its clients may speak, as far as this worker has heard. What is kept and speaks anything else ends.
    protocols: Cell<Protocols>,
    /// No more connections, and no more exchanges on those that are there.
    closing: Cell<bool>,
    closed: Notify,
}

/// What stands before the first request of a connection.
#[derive(Debug, Clone, Default)]
struct Threshold {
    front: Option<Arc<Front>>,
    proxy_protocol: Option<Arc<ProxyProtocol>>,
}

impl Threshold {
    fn is_some(&self) -> bool {
        self.front.is_some() || self.proxy_protocol.is_some()
    }
}

impl Entrance {
    fn new(bound: &Bound) -> Rc<Self> {
        Rc::new(Self {
            number: bound.number,
            name: RefCell::new(bound.name.clone()),
            last: RefCell::default(),
            connections: bound.connections.clone(),
            protocols: Cell::default(),
            closing: Cell::new(false),
            closed: Notify::new(),
        })
    }

    /// What its listener is called there; if it is not there any more, what it was called before.
    pub(crate) fn name(&self, snapshot: &Snapshot) -> Arc<str> {
        let listener = snapshot.listener(self);
        listener.map_or_else(|| self.name.borrow().clone(), |listener| listener.name.clone())
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.get()
    }

    /// Whether it is for clients that speak this version.
    pub(crate) fn is_for(&self, version: Version) -> bool {
        let protocols = self.protocols.get();
        if version == Version::Http2 { protocols.has_http2() } else { protocols.has_http1() }
    }

    /// What it shakes hands with; none in the clear.
    pub(crate) fn front(&self, snapshot: &Snapshot) -> Option<Arc<Front>> {
        self.look(snapshot);
        self.last.borrow().front.clone()
    }

    /// Who says of its connections whom they are from.
    pub(crate) fn proxy_protocol(&self, snapshot: &Snapshot) -> Option<Arc<ProxyProtocol>> {
        self.look(snapshot);
        self.last.borrow().proxy_protocol.clone()
    }

    fn look(&self, snapshot: &Snapshot) {
        let Some(listener) = snapshot.listener(self) else { return };
        if *self.name.borrow() != listener.name {
            self.name.replace(listener.name.clone());
        }
        if snapshot.has_thresholds() {
            let (front, proxy_protocol) = snapshot.threshold(self);
            *self.last.borrow_mut() = Threshold { front, proxy_protocol };
        } else if self.last.borrow().is_some() {
            self.last.take();
        }
    }

    fn close(&self) {
        self.closing.set(true);
        self.closed.notify_one();
    }
}

/// The listeners of one worker, by number.
#[derive(Debug, Default)]
pub(crate) struct Entrances(RefCell<HashMap<u64, Rc<Entrance>>>);

impl Entrances {
    /// Starts accepting on a socket.
    pub(crate) fn open(&self, worker: &Rc<Worker>, bound: Bound) {
        let entrance = Entrance::new(&bound);
        entrance.look(&worker.shared.snapshot.load());
        entrance.protocols.set(worker.shared.snapshot.load().protocols(&entrance));
        self.0.borrow_mut().insert(bound.number, entrance.clone());
        tokio::task::spawn_local(accept(worker.clone(), (bound.socket, bound.presence), entrance));
    }

    /// Takes note of what clients may speak now.
    pub(crate) fn review(&self, snapshot: &Snapshot) {
        for entrance in self.0.borrow().values() {
            entrance.protocols.set(snapshot.protocols(entrance));
        }
    }

    /// Stops accepting. What the kernel has accepted already is served.
    pub(crate) fn close(&self, number: u64) {
        if let Some(entrance) = self.0.borrow_mut().remove(&number) {
            entrance.close();
        }
    }

    pub(crate) fn close_all(&self) {
        for (_, entrance) in self.0.borrow_mut().drain() {
            entrance.close();
        }
    }
}

/// Accepts until the listener is closed.
async fn accept(worker: Rc<Worker>, (socket, presence): (StdListener, Presence), entrance: Rc<Entrance>) {
    let listener = match watch(socket) {
        Ok(listener) => listener,
        Err(error) => {
            let reason = error.to_string();
            return worker
                .shared
                .bus
                .emit(Event::AcceptPaused { listener: name(&worker, &entrance), reason });
        }
    };
    let mut paused = false;
    let mut in_a_row = 0;
    loop {
        if in_a_row == IN_A_ROW {
            in_a_row = 0;
            tokio::task::yield_now().await;
        }
        let accepted = tokio::select! {
            biased;
            () = entrance.closed.notified() => break,
            accepted = next(&listener, &worker, &entrance, &mut paused) => accepted,
        };
        match accepted {
            Ok((tcp, peer)) => {
                if paused && worker.shared.connections.has_room() {
                    paused = false;
                    worker.shared.bus.emit(Event::AcceptResumed { listener: name(&worker, &entrance) });
                }
                in_a_row += 1;
                begin(&worker, tcp, peer, &entrance);
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                pause(&worker, &entrance, &mut paused, &error.to_string()).await;
            }
        }
    }
    // What the kernel has accepted for us would be reset with the socket: it is served as the rest is.
    while let Ok((tcp, peer)) = accept_one(listener.get_ref()) {
        begin(&worker, tcp, peer, &entrance);
    }
    drop(listener);
    drop(presence);
}

fn name(worker: &Worker, entrance: &Entrance) -> Arc<str> {
    entrance.name(&worker.shared.snapshot.load())
}

fn begin(worker: &Rc<Worker>, tcp: StdStream, peer: Peer, entrance: &Rc<Entrance>) {
    worker.shared.counters.connections_accepted.increment();
    worker.shared.connections.enter();
    // The place is taken here: the task only runs once accepting pauses.
    let front = entrance.front(&worker.shared.snapshot.load()).map(|front| {
        let place = front.enter();
        (front, place)
    });
    tokio::task::spawn_local(http1::serve(worker.clone(), (tcp, peer), entrance.clone(), front));
}

/// Rests, and says so once.
async fn pause(worker: &Worker, entrance: &Entrance, paused: &mut bool, reason: &str) {
    if !std::mem::replace(paused, true) {
        let reason = reason.to_owned();
        worker.shared.bus.emit(Event::AcceptPaused { listener: name(worker, entrance), reason });
    }
    tokio::time::sleep(REST).await;
}

/// The next connection, as soon as there is room for one more.
async fn next(
    listener: &AsyncFd<StdListener>,
    worker: &Worker,
    entrance: &Entrance,
    paused: &mut bool,
) -> io::Result<(StdStream, Peer)> {
    while worker.shared.connections.is_full() {
        let _crowd = worker.crowd();
        worker.deadlines.wake_all();
        pause(worker, entrance, paused, "as many client connections as limits allow").await;
    }
    while let Some(front) = entrance.front(&worker.shared.snapshot.load())
        && front.is_full()
    {
        somebody(listener).await?;
        if !front.is_full() {
            continue;
        }
        // A few at once are cheaper, but no more than that lose their places to one who has yet to come.
        let few = (front.places() / 64).clamp(1, IN_A_ROW);
        if worker.patience.end(front.crowd(), few, worker.deadlines.now()) == 0 {
            pause(worker, entrance, paused, "as many handshakes are under way as maxHandshakes allows").await;
        } else {
            // They give their places back in their own turns, which come before ours.
            tokio::task::yield_now().await;
        }
    }
    listener.async_io(Interest::READABLE, accept_one).await
}

/// Waits until somebody is there to be accepted, and accepts nobody.
async fn somebody(listener: &AsyncFd<StdListener>) -> io::Result<()> {
    let look = |socket: &StdListener| {
        let mut asked = [PollFd::new(socket, PollFlags::IN)];
        match poll(&mut asked, Some(&Timespec::default()))? {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            _ => Ok(()),
        }
    };
    listener.async_io(Interest::READABLE, look).await
}

#[expect(
    deprecated,
    reason = "its successor is unsafe for the sake of types whose descriptor may change; this one's cannot"
)]
fn watch(socket: StdListener) -> io::Result<AsyncFd<StdListener>> {
    AsyncFd::with_interest(socket, Interest::READABLE)
}

/// Where a connection is from; none over a Unix socket, whose clients have no address.
pub(crate) type Peer = Option<SocketAddr>;

/// One system call gives a socket that is non-blocking already, which the standard library's takes two for.
fn accept_one(listener: &StdListener) -> io::Result<(StdStream, Peer)> {
    let (socket, peer) = acceptfrom_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC)?;
    let from = match peer {
        Some(peer) if peer.address_family() == AddressFamily::UNIX => None,
        Some(peer) => Some(SocketAddr::try_from(peer).map_err(io::Error::from)?),
        None => return Err(io::ErrorKind::ConnectionAborted.into()),
    };
    Ok((StdStream::from(socket), from))
}

/// Errors that say something about the connection that was to be accepted and nothing about the next one.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
            | io::ErrorKind::TimedOut
    )
}

/// Client connections of the whole node, and how many there may be.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    taken: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

impl Places {
    pub(crate) fn new(most: usize) -> Self {
        Self { taken: Arc::default(), most: Arc::new(AtomicUsize::new(most)) }
    }

    /// How many there may be.
    pub(crate) fn most(&self) -> usize {
        self.most.load(Ordering::Relaxed)
    }

    /// Sets how many there may be; those that are there stay.
    pub(crate) fn limit(&self, most: usize) {
        self.most.store(most, Ordering::Relaxed);
    }

    /// Takes a place. Whoever accepts looks at [`Places::is_full`] first; workers that accept at the same moment may
    /// go over the limit by one each.
    fn enter(&self) {
        self.taken.fetch_add(1, Ordering::Relaxed);
    }

    /// Gives a place back.
    pub(crate) fn leave(&self) {
        self.taken.fetch_sub(1, Ordering::Relaxed);
    }

    fn is_full(&self) -> bool {
        self.taken.load(Ordering::Relaxed) >= self.most()
    }

    /// Whether a tenth of the places is free: enough to say that a shortage is over.
    fn has_room(&self) -> bool {
        let most = self.most();
        self.taken.load(Ordering::Relaxed) <= most - most / 10
    }
}
