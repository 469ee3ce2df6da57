//! A client that writes exact bytes and reads exact answers.

use std::net::{SocketAddr, TcpStream};
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use crate::eventually::PATIENCE;
use crate::wire::{Answer, Stream};

/// One client connection. Its `Stream` writes raw bytes and reads strictly.
#[derive(Debug)]
pub struct RawClient(Stream);

impl RawClient {
    /// Connects.
    #[track_caller]
    pub fn connect(address: SocketAddr) -> Self {
        Self::try_connect(address).expect("the balancer takes a connection")
    }

    /// Connects, or says why not.
    pub fn try_connect(address: SocketAddr) -> std::io::Result<Self> {
        let socket = TcpStream::connect_timeout(&address, PATIENCE)?;
        Ok(Self(Stream::new(socket, Arc::default())))
    }

    /// Connects to a Unix socket: its path, or `@` and its name.
    #[track_caller]
    pub fn connect_unix(name: &str) -> Self {
        Self(Stream::new(crate::unix::connect(name).expect("the socket takes a connection"), Arc::default()))
    }

    /// Writes the pieces one by one, each in its own segment where the other side keeps up.
    pub fn send_pieces<Piece: AsRef<[u8]>>(&mut self, pieces: impl IntoIterator<Item = Piece>) {
        for piece in pieces {
            if self.send(piece).is_err() {
                return;
            }
            std::thread::yield_now();
        }
    }

    /// Sends the request's bytes and reads its answer.
    #[track_caller]
    pub fn exchange(&mut self, request: impl AsRef<[u8]>) -> Answer {
        let request = request.as_ref();
        // A refused connection may be reset while we write; the answer tells.
        let _ = self.send(request);
        let method = method_of(request);
        self.read_answer(&method).unwrap_or_else(|error| {
            panic!(
                "no answer to {:?}: {error:?}",
                String::from_utf8_lossy(&request[..request.len().min(300)])
            )
        })
    }

    /// GETs the path and reads the answer.
    #[track_caller]
    pub fn get(&mut self, path: &str) -> Answer {
        self.exchange(format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n"))
    }

    /// The next answer to a request of that method.
    #[track_caller]
    pub fn answer(&mut self, method: &str) -> Answer {
        self.read_answer(method).unwrap_or_else(|error| panic!("no answer to a {method}: {error:?}"))
    }

    /// Holds when the other side ends the connection without a further byte.
    #[track_caller]
    pub fn expect_closed(&mut self) {
        if let Err(problem) = self.is_closed_by_peer() {
            panic!("the connection ought to be closed, but {problem}");
        }
    }

    /// Holds when the connection still serves: a GET on it is answered.
    #[track_caller]
    pub fn expect_open(&mut self) {
        let answer = self.get("/still-open");
        assert!(answer.status < 500, "{answer:?}");
    }

    /// Limits each reading call to the time.
    #[must_use]
    pub fn patient_for(mut self, patience: Duration) -> Self {
        self.set_patience(patience);
        self
    }

    /// Ends the connection with a reset.
    pub fn reset(self) {
        self.0.reset();
    }
}

fn method_of(request: &[u8]) -> String {
    let word = request.split(|byte| *byte == b' ').next().unwrap_or_default();
    String::from_utf8_lossy(word).into_owned()
}

impl Deref for RawClient {
    type Target = Stream;
    fn deref(&self) -> &Stream {
        &self.0
    }
}

impl DerefMut for RawClient {
    fn deref_mut(&mut self) -> &mut Stream {
        &mut self.0
    }
}
