//! Binding addresses.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use loadweaver_config::{Bind, Listener, SocketMode};
use loadweaver_telemetry::counters::Gauge;
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::BACKLOG;
use super::unix::{self, SocketFile};

/// One worker's socket at one address of a listener.
#[derive(Debug)]
pub(crate) struct Bound {
    /// Says which address it is, on every worker and through every change.
    pub(crate) number: u64,
    pub(crate) name: Arc<str>,
    pub(crate) connections: Arc<Gauge>,
    pub(crate) socket: StdListener,
    /// Dropped after the socket.
    pub(super) presence: Presence,
}

/// Each socket of an address has one: while there are any, the address is in use.
pub(super) type Presence = Arc<()>;

/// An address that is bound, one socket for each worker.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) listening: Listening,
    pub(crate) sockets: Vec<Bound>,
}

impl Opened {
    /// From here on clients come to it: those who came to a wider address of ours before, too.
    pub(crate) fn listen(&self) -> io::Result<()> {
        // Some do already. Once more changes nothing.
        self.sockets.iter().try_for_each(|bound| SockRef::from(&bound.socket).listen(BACKLOG))
    }
}

/// What is known of an address that is bound.
#[derive(Debug, Clone)]
pub(crate) struct Listening {
    pub(crate) number: u64,
    /// The listener's.
    pub(crate) name: Arc<str>,
    /// As configured.
    pub(crate) bind: Bind,
    /// As it is: a configured port 0 was replaced.
    pub(crate) address: Bind,
    /// Those that are open, on all workers.
    pub(crate) connections: Arc<Gauge>,
    presence: Weak<()>,
    file: Option<Arc<SocketFile>>,
}

impl Listening {
    /// Whether a worker still listens there.
    pub(crate) fn is_present(&self) -> bool {
        self.presence.strong_count() > 0
    }

    /// Whether it is where a configuration wants it: as it was written, or as the system made it.
    pub(crate) fn is_at(&self, bind: &Bind) -> bool {
        self.bind == *bind || self.address == *bind
    }

    /// The same sockets for what a configuration wants there.
    pub(crate) fn serving(self, wanted: &Wanted<'_>) -> Self {
        Self { name: wanted.listener.name.clone(), bind: wanted.bind.clone(), ..self }
    }

    /// Has the socket's file, if there is one, as the configuration wants it.
    pub(crate) fn set_mode(&self, mode: SocketMode) {
        if let Some(file) = &self.file {
            file.set_mode(mode.0);
        }
    }

    /// Takes the socket's file away, if there is one.
    pub(crate) fn hide(&self) {
        if let Some(file) = &self.file {
            file.remove();
        }
    }
}

/// An address that a configuration wants a listener to have.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'c> {
    pub(crate) listener: &'c Listener,
    pub(crate) bind: &'c Bind,
}

impl<'c> Wanted<'c> {
    /// All addresses of some listeners.
    pub(crate) fn all(listeners: &'c [Listener]) -> impl Iterator<Item = Self> {
        listeners.iter().flat_map(|listener| listener.binds.iter().map(move |bind| Self { listener, bind }))
    }
}

/// Binds one socket for each worker to the address; the kernel spreads connections over them. With `shared` it may be
/// another listener's of ours, which is about to be closed, and keeps its clients until [`Opened::listen`].
pub(crate) fn bind(wanted: &Wanted<'_>, workers: usize, number: u64, shared: bool) -> io::Result<Opened> {
    let bind = wanted.bind;
    let (address, sockets, file) = match bind {
        Bind::Ip(address) | Bind::Device(address, _) => {
            let (port, sockets) = open_all(*address, bind.device(), workers, shared)?;
            (bind.clone().with_port(port), sockets, None)
        }
        Bind::Unix(name) => {
            let (socket, file) = open_unix(name, wanted.listener.socket_mode, shared)?;
            (bind.clone(), copies(&socket, workers)?, file.map(Arc::new))
        }
    };
    let name = &wanted.listener.name;
    let (connections, presence) = (Arc::<Gauge>::default(), Presence::default());
    let bound = |socket| Bound {
        number,
        name: name.clone(),
        connections: Arc::clone(&connections),
        socket,
        presence: Arc::clone(&presence),
    };
    let sockets = sockets.into_iter().map(bound).collect();
    let presence = Arc::downgrade(&presence);
    let (name, bind) = (name.clone(), bind.clone());
    let listening =
        Listening { number, name, bind, address, connections: connections.clone(), presence, file };
    Ok(Opened { listening, sockets })
}

/// Whether [`bind`] could have the address. Nobody can connect to it, and it leaves nothing behind; what is returned
/// keeps the place for as long as it lives, where there is a place to keep.
pub(crate) fn try_out(bind: &Bind, shared: bool) -> io::Result<Option<OwnedFd>> {
    match bind {
        Bind::Ip(address) | Bind::Device(address, _) => {
            let alone = !shared && address.port() != 0;
            open(*address, bind.device(), !alone).map(|socket| Some(socket.into()))
        }
        // A name without a file goes with its last socket, which is about to. A file of ours is gone already.
        Bind::Unix(name) if shared && unix::is_abstract(name) => Ok(None),
        Bind::Unix(name) => unix::try_out(name),
    }
}

/// Also says which port it is.
fn open_all(
    mut address: SocketAddr,
    device: Option<&str>,
    workers: usize,
    shared: bool,
) -> io::Result<(u16, Vec<StdListener>)> {
    let mut sockets = Vec::with_capacity(workers);
    for index in 0..workers {
        // With `SO_REUSEPORT` a second process could bind the same address and take half of the traffic unseen.
        // A bind without it finds out first.
        if index == 0 && address.port() != 0 && !shared {
            drop(open(address, device, false)?);
        }
        let socket = open(address, device, true)?;
        if !shared {
            // It takes nobody's clients. And as long as nobody listens, others can bind the address unseen.
            socket.listen(BACKLOG)?;
        }
        address.set_port(local_port(&socket)?);
        sockets.push(socket.into());
    }
    Ok((address.port(), sockets))
}

fn local_port(socket: &Socket) -> io::Result<u16> {
    let address = socket.local_addr()?.as_socket();
    address.map(|address| address.port()).ok_or_else(|| io::ErrorKind::AddrNotAvailable.into())
}

/// Bound, and not listening.
fn open(address: SocketAddr, device: Option<&str>, shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // `[::]` takes IPv4 too, whatever the system's default.
        socket.set_only_v6(false)?;
    }
    if shared {
        socket.set_reuse_port(true)?;
    }
    if let Some(device) = device {
        // Before the bind, which takes a link-local address for one of this interface.
        socket.bind_device(Some(device.as_bytes()))?;
    }
    // Accepted sockets inherit it on Linux, which spares a system call for each connection.
    socket.set_tcp_nodelay(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// How long a name without a file may still be taken by a listener of ours that was told to go. A worker does that
/// when it is next awake.
const LEAVING_TRIES: u32 = 200;
const LEAVING_PAUSE: Duration = Duration::from_millis(5);

fn open_unix(name: &str, mode: SocketMode, leaving: bool) -> io::Result<(StdListener, Option<SocketFile>)> {
    let mut tries = if leaving && unix::is_abstract(name) { LEAVING_TRIES } else { 0 };
    loop {
        match unix::open(name, mode.0) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && tries > 0 => {
                tries -= 1;
                thread::sleep(LEAVING_PAUSE);
            }
            opened => return opened.map(|(socket, file)| (socket.into(), file)),
        }
    }
}

/// A Unix socket has no `SO_REUSEPORT`: workers share one queue, and each takes from it when it has time.
fn copies(socket: &StdListener, workers: usize) -> io::Result<Vec<StdListener>> {
    (0..workers).map(|_| socket.try_clone()).collect()
}
