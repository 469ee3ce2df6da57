//! Binding addresses and accepting connections.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener, TcpStream as StdStream};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use loadweaver_config::Listener;
use loadweaver_telemetry::event::Event;
use rustix::net::{SocketAddrAny, SocketFlags, acceptfrom_with};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::engine::http1;
use crate::worker::{Order, Worker};

/// Connections that may wait to be accepted, for each worker. The kernel cuts it to `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// How long accepting rests when descriptors or memory have run out. Without a rest the listener, which stays
/// readable, would keep the worker from closing the connections that could help.
const REST: Duration = Duration::from_millis(50);

/// One worker's socket of one listener.
#[derive(Debug)]
pub(crate) struct Bound {
    pub(crate) listener: Listener,
    pub(crate) socket: StdListener,
}

/// Binds one socket for each worker to the listener's address; the kernel spreads connections over them.
pub(crate) fn bind(listener: &Listener, workers: usize) -> io::Result<(Vec<Bound>, SocketAddr)> {
    let mut address = listener.bind;
    let mut sockets = Vec::with_capacity(workers);
    for index in 0..workers {
        // With `SO_REUSEPORT` a second process could bind the same address and take half of the traffic unseen.
        // A bind without it finds out first.
        if index == 0 && address.port() != 0 {
            drop(open(address, false)?);
        }
        let socket = open(address, true)?;
        address = socket.local_addr()?;
        sockets.push(Bound { listener: listener.clone(), socket });
    }
    Ok((sockets, address))
}

fn open(address: SocketAddr, shared: bool) -> io::Result<StdListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // `[::]` takes IPv4 too, whatever the system's default.
        socket.set_only_v6(false)?;
    }
    if shared {
        socket.set_reuse_port(true)?;
    }
    // Accepted sockets inherit it on Linux, which spares a system call for each connection.
    socket.set_tcp_nodelay(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    if shared {
        socket.listen(BACKLOG)?;
    }
    Ok(socket.into())
}

/// What the connections of one listener share on one worker.
#[derive(Debug)]
pub(crate) struct Entrance {
    pub(crate) name: Arc<str>,
    pub(crate) allow_connect: bool,
}

/// Accepts until the worker drains.
pub(crate) async fn accept(worker: Rc<Worker>, bound: Bound) {
    let entrance =
        Rc::new(Entrance { name: bound.listener.name.clone(), allow_connect: bound.listener.allow_connect });
    let listener = match watch(bound.socket) {
        Ok(listener) => listener,
        Err(error) => {
            let reason = error.to_string();
            return worker.shared.bus.emit(Event::AcceptPaused { listener: entrance.name.clone(), reason });
        }
    };
    let mut orders = worker.orders.clone();
    let mut paused = false;
    loop {
        let accepted = tokio::select! {
            biased;
            _ = orders.wait_for(|order| !matches!(order, Order::Serve)) => return,
            accepted = next(&listener, &worker) => accepted,
        };
        match accepted {
            Ok((tcp, peer, place)) => {
                if std::mem::take(&mut paused) {
                    worker.shared.bus.emit(Event::AcceptResumed { listener: entrance.name.clone() });
                }
                worker.shared.counters.connections_accepted.increment();
                tokio::task::spawn_local(http1::serve(worker.clone(), tcp, peer, entrance.clone(), place));
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                if !std::mem::replace(&mut paused, true) {
                    let reason = error.to_string();
                    worker.shared.bus.emit(Event::AcceptPaused { listener: entrance.name.clone(), reason });
                }
                tokio::time::sleep(REST).await;
            }
        }
    }
}

async fn next(
    listener: &AsyncFd<StdListener>,
    worker: &Worker,
) -> io::Result<(StdStream, SocketAddr, Place)> {
    let place = loop {
        match worker.shared.connections.enter() {
            Some(place) => break place,
            None => tokio::time::sleep(REST).await,
        }
    };
    let (tcp, peer) = listener.async_io(Interest::READABLE, accept_one).await?;
    Ok((tcp, peer, place))
}

#[expect(
    deprecated,
    reason = "its successor is unsafe for the sake of types whose descriptor may change; this one's cannot"
)]
fn watch(socket: StdListener) -> io::Result<AsyncFd<StdListener>> {
    AsyncFd::with_interest(socket, Interest::READABLE)
}

/// One system call gives a socket that is non-blocking already, which the standard library's takes two for.
fn accept_one(listener: &StdListener) -> io::Result<(StdStream, SocketAddr)> {
    let (socket, peer) = acceptfrom_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC)?;
    let peer = peer.and_then(|peer: SocketAddrAny| SocketAddr::try_from(peer).ok());
    let peer = peer.ok_or_else(|| io::Error::from(io::ErrorKind::ConnectionAborted))?;
    Ok((StdStream::from(socket), peer))
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
    most: usize,
}

impl Places {
    pub(crate) fn new(most: usize) -> Self {
        Self { taken: Arc::default(), most }
    }

    fn enter(&self) -> Option<Place> {
        // Made first: dropping it gives the place back.
        let place = Place { taken: self.taken.clone() };
        (self.taken.fetch_add(1, Ordering::Relaxed) < self.most).then_some(place)
    }
}

/// One client connection's place; given back when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    taken: Arc<AtomicUsize>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.taken.fetch_sub(1, Ordering::Relaxed);
    }
}
