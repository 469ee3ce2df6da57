//! A socket, as streams use it.
//!
//! A socket that was just accepted nearly always has its request waiting, and many connections carry only one. So an
//! accepted socket is read and written directly, and only told to the reactor when it would block: a connection that
//! never blocks costs no `epoll_ctl`. From then on it is an ordinary tokio socket.

use std::io::{self, IoSlice, Write as _};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::AsFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use rustix::pipe::{SpliceFlags, splice};
use tokio::io::{AsyncWrite, Interest};
use tokio::net::TcpStream;

use crate::buffer::{Buffer, Stock};

use super::pipe::Pipe;

/// A connected socket.
#[derive(Debug)]
pub(crate) struct Socket(State);

#[derive(Debug)]
enum State {
    /// The reactor does not know of it.
    Fresh(std::net::TcpStream),
    Known(TcpStream),
    /// It could not be told to the reactor: descriptors or memory have run out.
    Lost,
}

impl Socket {
    /// A connected socket.
    pub(super) fn connected(tcp: TcpStream) -> Self {
        Self(State::Known(tcp))
    }

    /// An accepted, non-blocking socket.
    pub(super) fn accepted(tcp: std::net::TcpStream) -> Self {
        Self(State::Fresh(tcp))
    }

    /// One that can do nothing.
    pub(super) fn lost() -> Self {
        Self(State::Lost)
    }

    /// Leaves one that can do nothing in its place.
    pub(super) fn take(&mut self) -> Self {
        std::mem::replace(self, Self::lost())
    }

    /// Our end of the connection.
    pub(super) fn local_address(&self) -> Option<SocketAddr> {
        match &self.0 {
            State::Fresh(tcp) => tcp.local_addr().ok(),
            State::Known(tcp) => tcp.local_addr().ok(),
            State::Lost => None,
        }
    }

    /// Whether the reactor knows of the socket, so that waiting on it costs no system call.
    pub(super) fn is_known(&self) -> bool {
        matches!(self.0, State::Known(_))
    }

    /// Reads what fits into the buffer; `Ok(0)` is the end of the stream. The buffer must not be full. One without a
    /// block gets it when there is something to read.
    ///
    /// A read that came back short clears the readiness inside tokio, so the next one waits for the kernel's word
    /// instead of asking it.
    #[inline]
    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut Buffer,
        stock: &Stock,
    ) -> Poll<io::Result<usize>> {
        let tcp = match &mut self.0 {
            State::Known(tcp) => tcp,
            State::Fresh(tcp) => {
                buffer.acquire(stock);
                match receive(&*tcp, buffer) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.known()?,
                    read => return Poll::Ready(read),
                }
            }
            State::Lost => return Poll::Ready(Err(lost())),
        };
        loop {
            match tcp.poll_read_ready(cx) {
                Poll::Ready(ready) => ready?,
                Poll::Pending => {
                    buffer.release(stock);
                    return Poll::Pending;
                }
            }
            buffer.acquire(stock);
            let mut read = None;
            let told = tcp.try_io(Interest::READABLE, || {
                let room = buffer.room().len();
                let len = receive(&*tcp, buffer)?;
                read = Some(len);
                let short = len > 0 && len < room;
                if short { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
            });
            match (read, told) {
                (Some(len), _) => return Poll::Ready(Ok(len)),
                (None, Err(error)) if error.kind() != io::ErrorKind::WouldBlock => {
                    return Poll::Ready(Err(error));
                }
                (None, _) => {}
            }
        }
    }

    /// Looks at what is there to be read and leaves it there; `Ok(0)` is the end of the stream.
    pub(super) fn poll_peek(&mut self, cx: &mut Context<'_>, room: &mut [u8]) -> Poll<io::Result<usize>> {
        let tcp = self.known()?;
        loop {
            ready!(tcp.poll_read_ready(cx))?;
            let peeked = tcp.try_io(Interest::READABLE, || {
                let (_, len) = recv(&*tcp, &mut *room, RecvFlags::PEEK)?;
                Ok(len)
            });
            match peeked {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                peeked => return Poll::Ready(peeked),
            }
        }
    }

    /// Takes what was looked at: all of it is there.
    pub(super) fn take_peeked(&mut self, mut peeked: &mut [u8]) -> io::Result<()> {
        let tcp = self.known()?;
        while !peeked.is_empty() {
            let (_, len) = recv(&*tcp, &mut *peeked, RecvFlags::empty())?;
            if len == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            peeked = peeked.get_mut(len..).unwrap_or_default();
        }
        Ok(())
    }

    #[inline]
    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_send(cx, bytes, SendFlags::NOSIGNAL)
    }

    /// Writes the last bytes of a connection that is shut down or closed right behind them: the kernel holds back an
    /// incomplete segment, so that the end rides on it instead of going out alone.
    pub(super) fn poll_write_last(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_send(cx, bytes, SendFlags::NOSIGNAL | SendFlags::MORE)
    }

    #[inline]
    fn poll_send(&mut self, cx: &mut Context<'_>, bytes: &[u8], flags: SendFlags) -> Poll<io::Result<usize>> {
        let tcp = match &mut self.0 {
            State::Known(tcp) => tcp,
            State::Fresh(tcp) => match send(&*tcp, bytes, flags) {
                Err(Errno::AGAIN) => self.known()?,
                written => return Poll::Ready(Ok(written?)),
            },
            State::Lost => return Poll::Ready(Err(lost())),
        };
        loop {
            ready!(tcp.poll_write_ready(cx))?;
            let moved = tcp.try_io(Interest::WRITABLE, || Ok(send(&*tcp, bytes, flags)?));
            match moved {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                moved => return Poll::Ready(moved),
            }
        }
    }

    #[inline]
    pub(super) fn poll_write_vectored(
        &mut self,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let tcp = match &mut self.0 {
            State::Known(tcp) => tcp,
            State::Fresh(tcp) => match tcp.write_vectored(parts) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.known()?,
                written => return Poll::Ready(written),
            },
            State::Lost => return Poll::Ready(Err(lost())),
        };
        Pin::new(tcp).poll_write_vectored(cx, parts)
    }

    /// Moves up to `most` bytes that were received into an empty pipe; `Ok(0)` is the end of the stream.
    pub(super) fn poll_into_pipe(
        &mut self,
        cx: &mut Context<'_>,
        pipe: &mut Pipe,
        most: usize,
    ) -> Poll<io::Result<usize>> {
        let tcp = self.known()?;
        loop {
            ready!(tcp.poll_read_ready(cx))?;
            let moved = tcp.try_io(Interest::READABLE, || {
                Ok(splice(&*tcp, None, &pipe.write, None, most, SpliceFlags::NONBLOCK | SpliceFlags::MOVE)?)
            });
            match moved {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                moved => {
                    pipe.held += *moved.as_ref().unwrap_or(&0);
                    return Poll::Ready(moved);
                }
            }
        }
    }

    /// Sends bytes out of a pipe. With `more` the kernel may wait for them to fill a segment.
    pub(super) fn poll_out_of_pipe(
        &mut self,
        cx: &mut Context<'_>,
        pipe: &mut Pipe,
        more: bool,
    ) -> Poll<io::Result<usize>> {
        let tcp = self.known()?;
        let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
        let flags = if more { flags | SpliceFlags::MORE } else { flags };
        loop {
            ready!(tcp.poll_write_ready(cx))?;
            let moved = tcp
                .try_io(Interest::WRITABLE, || Ok(splice(&pipe.read, None, &*tcp, None, pipe.held, flags)?));
            match moved {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                moved => {
                    pipe.held -= *moved.as_ref().unwrap_or(&0);
                    return Poll::Ready(moved);
                }
            }
        }
    }

    /// Says that nothing more will be written.
    pub(super) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.0 {
            State::Known(tcp) => Pin::new(tcp).poll_shutdown(cx),
            State::Fresh(tcp) => Poll::Ready(tcp.shutdown(Shutdown::Write)),
            State::Lost => Poll::Ready(Err(lost())),
        }
    }

    /// Whether bytes, the end of the stream or an error wait to be read, as far as the kernel has told.
    #[inline]
    pub(super) fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &self.0 {
            State::Known(tcp) => tcp.poll_read_ready(cx),
            State::Fresh(_) | State::Lost => self.known()?.poll_read_ready(cx),
        }
    }

    /// Asks the kernel whether an idle connection is still good: open, and silent.
    pub(super) fn is_silent(&self) -> bool {
        // Past tokio, which answers out of what it was last told.
        let mut byte = [0_u8; 1];
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        let seen = match &self.0 {
            State::Known(tcp) => recv(tcp, &mut byte, flags).err(),
            State::Fresh(tcp) => recv(tcp, &mut byte, flags).err(),
            State::Lost => None,
        };
        seen == Some(Errno::AGAIN)
    }

    /// Reads what is there, past tokio too: none when nothing is.
    pub(super) fn read_now(&self, buffer: &mut Buffer, stock: &Stock) -> io::Result<Option<usize>> {
        buffer.acquire(stock);
        let read = match &self.0 {
            State::Known(tcp) => receive(tcp, buffer),
            State::Fresh(tcp) => receive(tcp, buffer),
            State::Lost => Err(lost()),
        };
        match read {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            read => read.map(Some),
        }
    }

    /// Writes what the kernel takes at once, and is not told if that is not all.
    pub(super) fn write_now(&self, bytes: &[u8]) {
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        let _ = match &self.0 {
            State::Known(tcp) => send(tcp, bytes, flags),
            State::Fresh(tcp) => send(tcp, bytes, flags),
            State::Lost => Ok(0),
        };
    }

    /// Makes the close a reset, which the other side cannot take for an orderly end.
    pub(super) fn close_with_reset(&self) {
        let linger = Some(std::time::Duration::ZERO);
        // An error leaves an ordinary close, which is all that can be done then.
        let _ = match &self.0 {
            State::Known(tcp) => socket2::SockRef::from(tcp).set_linger(linger),
            State::Fresh(tcp) => socket2::SockRef::from(tcp).set_linger(linger),
            State::Lost => Ok(()),
        };
    }

    /// Tells the reactor about the socket.
    #[cold]
    fn known(&mut self) -> io::Result<&mut TcpStream> {
        if let State::Fresh(_) = self.0
            && let State::Fresh(tcp) = std::mem::replace(&mut self.0, State::Lost)
        {
            self.0 = State::Known(TcpStream::from_std(tcp)?);
        }
        match &mut self.0 {
            State::Known(tcp) => Ok(tcp),
            State::Fresh(_) | State::Lost => Err(lost()),
        }
    }
}

/// Reads what fits into the buffer.
#[inline]
fn receive(socket: impl AsFd, buffer: &mut Buffer) -> io::Result<usize> {
    let (_, len) = recv(socket, buffer.room(), RecvFlags::empty())?;
    buffer.fill(len);
    Ok(len)
}

fn lost() -> io::Error {
    io::Error::other("the socket could not be told to the reactor")
}
