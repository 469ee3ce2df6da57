//! Where operators connect: a port, or a Unix socket.

use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;

use loadweaver_config::{Admin, Bind};
use loadweaver_proxy::unix::{self, SocketFile};
use tokio::net::TcpStream;

/// A listening socket that is not yet waited on.
#[derive(Debug)]
pub(crate) enum Door {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// What is bound: where it is now, and the file that goes with it.
#[derive(Debug)]
pub(crate) struct Bound {
    pub(crate) door: Door,
    pub(crate) address: Bind,
    pub(crate) file: Option<SocketFile>,
}

impl Door {
    /// Binds what the configuration asks for.
    pub(crate) fn bind(admin: &Admin) -> io::Result<Bound> {
        match &admin.bind {
            Bind::Unix(name) => {
                let (socket, file) = unix::open(name, admin.socket_mode.0)?;
                Ok(Bound { door: Self::Unix(socket.into()), address: admin.bind.clone(), file })
            }
            Bind::Ip(address) => {
                let listener = TcpListener::bind(address)?;
                listener.set_nonblocking(true)?;
                let address = Bind::Ip(listener.local_addr()?);
                Ok(Bound { door: Self::Tcp(listener), address, file: None })
            }
            // The checker has refused it.
            Bind::Device(..) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        Ok(match self {
            Self::Tcp(listener) => Self::Tcp(listener.try_clone()?),
            Self::Unix(listener) => Self::Unix(listener.try_clone()?),
        })
    }

    /// Waits on it from now on.
    pub(super) fn open(self) -> io::Result<Open> {
        Ok(match self {
            Self::Tcp(listener) => Open::Tcp(tokio::net::TcpListener::from_std(listener)?),
            Self::Unix(listener) => Open::Unix(tokio::net::UnixListener::from_std(listener)?),
        })
    }
}

/// One that is waited on.
#[derive(Debug)]
pub(super) enum Open {
    Tcp(tokio::net::TcpListener),
    Unix(tokio::net::UnixListener),
}

impl Open {
    /// The next connection; errors are waited out. One of a Unix socket goes as one over TCP from then on: reading and
    /// writing is the same.
    pub(super) async fn accept(&mut self) -> TcpStream {
        loop {
            let stream = match self {
                Self::Tcp(listener) => return axum::serve::Listener::accept(listener).await.0,
                Self::Unix(listener) => axum::serve::Listener::accept(listener).await.0,
            };
            let stream = stream.into_std().map(OwnedFd::from);
            if let Ok(stream) = stream.and_then(|stream| TcpStream::from_std(stream.into())) {
                return stream;
            }
        }
    }
}
