//! Unix sockets before and behind whatever speaks TCP. A name is a path, or `@` and a name in the abstract namespace.
//!
//! A connection is handed out as a `TcpStream`, which is a descriptor and nothing else: whoever reads and writes need
//! not know.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

fn address(name: &str) -> UnixAddr {
    match name.strip_prefix('@') {
        Some(name) => UnixAddr::from_abstract_name(name),
        None => UnixAddr::from_pathname(name),
    }
    .expect("a name that fits")
}

/// Connects.
pub fn connect(name: &str) -> io::Result<TcpStream> {
    UnixStream::connect_addr(&address(name)).map(|stream| TcpStream::from(OwnedFd::from(stream)))
}

/// A name in the abstract namespace that no other test has.
pub fn free_name() -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    format!("@loadweaver-test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A Unix socket in front of something that listens on a port; closed on drop.
#[derive(Debug)]
pub struct Door {
    name: String,
    listener: UnixListener,
    accepted: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
}

impl Door {
    /// Listens there and passes connections on to the port.
    #[track_caller]
    pub fn open(name: impl Into<String>, to: SocketAddr) -> Self {
        let mut door = Self::shut(name);
        let (listener, accepted) = (door.listener.try_clone().expect("a descriptor"), door.accepted.clone());
        door.thread = Some(std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                accepted.fetch_add(1, Ordering::Relaxed);
                let stream = TcpStream::from(OwnedFd::from(stream));
                join(&stream, to);
            }
        }));
        door
    }

    /// Listens there and takes nobody in, with room for one connection that waits.
    #[track_caller]
    pub fn shut(name: impl Into<String>) -> Self {
        let name = name.into();
        let listener = UnixListener::bind_addr(&address(&name)).expect("the socket can be bound");
        rustix::net::listen(&listener, 0).expect("it listens already");
        Self { name, listener, accepted: Arc::default(), thread: None }
    }

    /// Takes one connection in and drops it.
    pub fn turn_one_away(&self) {
        let _ = self.listener.accept();
    }

    /// As a server's `host` has it.
    pub fn host(&self) -> String {
        format!("unix:{}", self.name)
    }

    /// How many connections came through.
    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::Relaxed)
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        // Wakes the accept that waits.
        let _ = socket2::SockRef::from(&self.listener).shutdown(Shutdown::Both);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        if !self.name.starts_with('@') {
            let _ = std::fs::remove_file(&self.name);
        }
    }
}

/// Passes on what comes, both ways, from now on.
pub fn join(stream: &TcpStream, to: SocketAddr) {
    if let Ok(inside) = TcpStream::connect(to) {
        let _ = inside.set_nodelay(true);
        pass(stream, &inside);
        pass(&inside, stream);
    }
}

fn pass(from: &TcpStream, to: &TcpStream) {
    let (mut from, mut to) = (from.try_clone().expect("a descriptor"), to.try_clone().expect("a descriptor"));
    std::thread::spawn(move || {
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
        let _ = from.shutdown(Shutdown::Read);
    });
}
