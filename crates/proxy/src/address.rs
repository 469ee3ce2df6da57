//! Where a server is, and connecting to it.
//!
//! A connection over a Unix socket is taken for one over TCP from then on: to read, to write, to splice and to wait is
//! the same for the kernel, and the standard library's `TcpStream` is a descriptor and nothing else. So the request path
//! has no second kind of stream to tell apart, and pays nothing for it.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use tokio::net::TcpStream;

/// Where connections to a server go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// An IP address and a port.
    Ip(SocketAddr),
    /// A Unix socket: its path, or `@` and its name in the abstract namespace.
    Unix(Arc<str>),
}

impl Address {
    /// The IP address and port, if it has them.
    pub fn tcp(&self) -> Option<SocketAddr> {
        match self {
            Self::Ip(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }

    /// The same place with another port, where it has one at all.
    #[must_use]
    pub fn with_port(self, port: Option<u16>) -> Self {
        match (self, port) {
            (Self::Ip(address), Some(port)) => Self::Ip(SocketAddr::new(address.ip(), port)),
            (same, _) => same,
        }
    }

    /// Connects. A Unix socket whose queue is full is waited for, for as long as the caller waits.
    ///
    /// # Errors
    /// What the system said. A socket that is not there refuses as one that nobody listens on.
    pub async fn connect(&self) -> io::Result<TcpStream> {
        match self {
            Self::Ip(address) => {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                Ok(stream)
            }
            Self::Unix(name) => connect_unix(name).await,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Unix(name) => write!(f, "unix:{name}"),
        }
    }
}

/// Pauses between looks at a queue that is full. The kernel tells nobody when there is room (connect(2), `EAGAIN`), and
/// a server that is busy takes connections out many at a time.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(32);

async fn connect_unix(name: &str) -> io::Result<TcpStream> {
    let address = unix(name)?;
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let mut pause = FIRST_PAUSE;
    loop {
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        match connect(&socket, &address).map_err(io::Error::from) {
            Ok(()) => return TcpStream::from_std(socket.into()),
            Err(full) if full.kind() == io::ErrorKind::WouldBlock => tokio::time::sleep(pause).await,
            Err(error) => return Err(error),
        }
        pause = (2 * pause).min(LONGEST_PAUSE);
    }
}

/// What the system calls a Unix socket.
pub(crate) fn unix(name: &str) -> io::Result<SocketAddrUnix> {
    let address = match name.strip_prefix('@') {
        Some(name) => SocketAddrUnix::new_abstract_name(name.as_bytes()),
        None => SocketAddrUnix::new(name),
    };
    Ok(address?)
}
