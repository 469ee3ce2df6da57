//! A limit on connections to the admin listener: whoever opens more waits in the kernel's queue, and no descriptor
//! of the data plane is spent on it. A connection on which nothing moves loses its seat.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::serve::Listener;
use rustix::net::sockopt;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};

use super::door::Open;
use super::tls::{Identity, Wire};

/// Connections at a time: a few dashboards, probes, and a scraper.
const SEATS: usize = 64;
/// Longest silence on a connection, between requests or in the middle of one; also of a client that does not take
/// what it asked for.
const IDLE: Duration = Duration::from_mins(1);
/// Longest time from the first byte of a request, or from the connection before it, to the first byte of its answer. Whoever sends a byte now and then is
/// never silent, and needs no token to keep a seat from those that have one.
const REQUEST: Duration = Duration::from_secs(30);

/// The listener with its seats.
pub(super) struct Seats {
    listener: Open,
    identity: Identity,
    free: Arc<Semaphore>,
}

impl Seats {
    pub(super) fn new(listener: Open, identity: Identity) -> Self {
        Self { listener, identity, free: Arc::new(Semaphore::new(SEATS)) }
    }
}

impl Listener for Seats {
    type Io = Seated;
    /// Nobody asks where somebody is from.
    type Addr = ();

    async fn accept(&mut self) -> (Seated, ()) {
        // The semaphore is never closed.
        let seat = Arc::clone(&self.free).acquire_owned().await.ok();
        let stream = self.listener.accept().await;
        // The kernel takes megabytes for a client that reads nothing, and to us that looks like progress. A Unix
        // socket takes a fifth of one, and has no such time-out.
        let unread = u32::try_from(IDLE.as_millis()).unwrap_or(u32::MAX);
        let _ = sockopt::set_tcp_user_timeout(&stream, unread);
        let stream = Wire::new(stream, self.identity.acceptor().as_ref());
        // Whoever connects has something to ask.
        let (patience, asked) = (Box::pin(sleep(REQUEST)), Some(Instant::now()));
        (Seated { stream, patience, asked, _seat: seat }, ())
    }

    fn local_addr(&self) -> io::Result<()> {
        Ok(())
    }
}

/// A connection that gives its seat back when it ends.
pub(super) struct Seated {
    stream: Wire,
    patience: Pin<Box<Sleep>>,
    /// When the request that is being read began; none when an answer has begun since.
    asked: Option<Instant>,
    _seat: Option<OwnedSemaphorePermit>,
}

impl Seated {
    fn has_read(&mut self) {
        let now = Instant::now();
        let end = *self.asked.get_or_insert(now) + REQUEST;
        self.patience.as_mut().reset(end.min(now + IDLE));
    }

    fn has_written(&mut self) {
        self.asked = None;
        self.patience.as_mut().reset(Instant::now() + IDLE);
    }

    /// What it has waited for too long is an error.
    fn wait<T>(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        self.patience.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Seated {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(cx, into);
        if read.is_pending() {
            return self.wait(cx);
        }
        self.has_read();
        if self.patience.is_elapsed() { Poll::Ready(Err(io::ErrorKind::TimedOut.into())) } else { read }
    }
}

impl AsyncWrite for Seated {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        if written.is_pending() {
            return self.wait(cx);
        }
        self.has_written();
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        if flushed.is_pending() { self.wait(cx) } else { flushed }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(cx);
        if shut.is_pending() { self.wait(cx) } else { shut }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use std::net::SocketAddr;

    use super::*;

    async fn seats() -> (Seats, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (Seats::new(Open::Tcp(listener), Identity::default()), address)
    }

    #[tokio::test(start_paused = true)]
    async fn silence_ends_a_connection_and_frees_its_seat() {
        let (mut seats, address) = seats().await;
        let _client = TcpStream::connect(address).await.unwrap();
        let (mut seated, ()) = seats.accept().await;
        assert_eq!(seats.free.available_permits(), SEATS - 1);
        let error = seated.read_u8().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        drop(seated);
        assert_eq!(seats.free.available_permits(), SEATS);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_comes_a_byte_at_a_time_does_not_keep_its_seat() {
        let (mut seats, address) = seats().await;
        let mut client = TcpStream::connect(address).await.unwrap();
        let (mut seated, ()) = seats.accept().await;
        let began = Instant::now();
        let error = loop {
            client.write_all(b"x").await.unwrap();
            match seated.read_u8().await {
                Ok(_) => sleep(IDLE / 10).await,
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(began.elapsed() <= REQUEST + IDLE / 10, "{:?}", began.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_take_its_answer_loses_its_seat() {
        let (mut seats, address) = seats().await;
        let _client = TcpStream::connect(address).await.unwrap();
        let (mut seated, ()) = seats.accept().await;
        let Wire::Plain(stream) = &seated.stream else { panic!("there is no TLS") };
        assert_eq!(sockopt::tcp_user_timeout(stream).unwrap(), 60_000);
        let endless = vec![b'x'; 64 * 1024 * 1024];
        assert_eq!(seated.write_all(&endless).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
