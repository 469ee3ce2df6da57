//! TLS over a socket.
//!
//! rustls shakes hands; from then on its part are new keys and session tickets, and records are ours (`record`). So a
//! connection that waits holds two keys, a socket, and no buffer: blocks come from the worker's stock while bytes stand
//! in them. Writing seals into one block, which leaves in one system call with whatever the handshake still had to say;
//! what the kernel does not take stays in the block and goes first the next time.

use std::io::{self, IoSlice};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::ServerName;
use rustls::server::UnbufferedServerConnection;
use rustls::{ClientConfig, ServerConfig};

use crate::buffer::{Buffer, LARGE, SMALL, Stock};
use crate::stream::socket::Socket;

mod handshake;
mod record;
mod traffic;

pub(crate) use handshake::{Facts, HandshakeError};
use record::{ALERT, Fault, Whole};
use traffic::{Kernel, Open, Taken};

/// Sealed bytes that may wait while more is sealed behind them: the last words of a handshake, no more.
const COMBINED: usize = 4 * 1024;

/// TLS over a socket.
#[derive(Debug)]
pub(crate) struct Secured {
    pub(super) socket: Socket,
    stock: Rc<Stock>,
    /// Received and not opened yet.
    raw: Buffer,
    /// Sealed and not sent yet.
    out: Buffer,
    session: Session,
    /// Bytes of `raw` that the handshake has seen.
    given: usize,
    /// The other side has said something.
    heard: bool,
    /// It has said goodbye before the handshake was over for us.
    ended: bool,
}

enum Session {
    Server(Box<UnbufferedServerConnection>),
    Client(Box<UnbufferedClientConnection>),
    Open(Box<Open>),
    /// The handshake failed.
    Broken,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Server(_) => f.write_str("Server"),
            Self::Client(_) => f.write_str("Client"),
            Self::Open(open) => open.fmt(f),
            Self::Broken => f.write_str("Broken"),
        }
    }
}

impl Secured {
    /// Awaits a client's greeting.
    pub(crate) fn server(
        socket: Socket,
        stock: &Rc<Stock>,
        config: Arc<ServerConfig>,
    ) -> Result<Self, rustls::Error> {
        let session = Session::Server(Box::new(UnbufferedServerConnection::new(config)?));
        Ok(Self::new(socket, stock, session))
    }

    /// Greets a server.
    pub(crate) fn client(
        socket: Socket,
        stock: &Rc<Stock>,
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
    ) -> Result<Self, rustls::Error> {
        let session = Session::Client(Box::new(UnbufferedClientConnection::new(config, name)?));
        Ok(Self::new(socket, stock, session))
    }

    fn new(socket: Socket, stock: &Rc<Stock>, session: Session) -> Self {
        let (raw, out) = (Buffer::default(), Buffer::default());
        Self { socket, stock: Rc::clone(stock), raw, out, session, given: 0, heard: false, ended: false }
    }

    /// The socket, and what was received on it.
    pub(super) fn expose(&mut self) -> (Socket, Buffer) {
        (self.socket.take(), std::mem::take(&mut self.raw))
    }

    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut Buffer) -> Poll<io::Result<usize>> {
        let Session::Open(open) = &mut self.session else { return Poll::Ready(Err(not_open())) };
        loop {
            match open.take_in(&mut self.raw, buffer, &self.stock) {
                Ok(Taken::Bytes(len)) => {
                    self.raw.release(&self.stock);
                    return Poll::Ready(Ok(len));
                }
                Ok(Taken::End) => return Poll::Ready(Ok(0)),
                Ok(Taken::Nothing) => self.raw.release(&self.stock),
                Err(fault) => return Poll::Ready(Err(self.refuse(fault))),
            }
            // The last words of the handshake.
            if !self.out.is_empty()
                && let Poll::Ready(Err(error)) = poll_send(&mut self.socket, &mut self.out, &self.stock, cx)
            {
                return Poll::Ready(Err(error));
            }
            self.raw.expand(&self.stock);
            make_room(&mut self.raw, buffer.prefers_large());
            match self.socket.poll_read(cx, &mut self.raw, &self.stock) {
                // Without a word of goodbye anybody on the way may have cut it (RFC 8446 section 6.1).
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    buffer.release(&self.stock);
                    self.raw.shrink(&self.stock);
                    return Poll::Pending;
                }
            }
        }
    }

    /// Seals and sends what fits into a block; with `last`, the end of the stream too. What the kernel does not take at
    /// once counts as written and goes first the next time: [`Secured::poll_flush`] waits for it.
    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
        last: bool,
    ) -> Poll<io::Result<usize>> {
        if self.out.len() > COMBINED {
            ready!(self.poll_send(cx, false))?;
        }
        let Session::Open(open) = &mut self.session else { return Poll::Ready(Err(not_open())) };
        let total = parts.iter().map(|part| part.len()).sum::<usize>();
        if self.out.is_empty() {
            self.out.prefer_large(total + 2 * open.sends.overhead() > SMALL);
        }
        let Ok(taken) = open.seal(parts, &mut self.out, &self.stock) else {
            return Poll::Ready(Err(io::Error::other("the keys of the connection are used up")));
        };
        let last = last && taken == total;
        if last {
            open.say_goodbye(&mut self.out, &self.stock);
        }
        match self.poll_send(cx, last) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Ready(Ok(taken)),
        }
    }

    /// Bytes that the kernel has yet to take.
    pub(super) fn unsent(&self) -> usize {
        self.out.len()
    }

    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.out.is_empty() { Poll::Ready(Ok(())) } else { self.poll_send(cx, false) }
    }

    pub(super) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Session::Open(open) = &mut self.session {
            open.say_goodbye(&mut self.out, &self.stock);
        }
        ready!(self.poll_send(cx, true))?;
        self.socket.poll_shutdown(cx)
    }

    /// Says goodbye, if the kernel takes it at once and nothing is under way.
    pub(super) fn take_leave(&mut self) {
        if let Session::Open(open) = &mut self.session
            && self.out.is_empty()
        {
            open.say_goodbye(&mut self.out, &self.stock);
            self.socket.write_now(self.out.filled());
            self.out.discard(&self.stock);
        }
    }

    pub(super) fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Session::Open(open) = &self.session
            && (open.plain > 0 || open.ended || holds_record(&self.raw))
        {
            return Poll::Ready(Ok(()));
        }
        if !self.out.is_empty()
            && let Poll::Ready(Err(error)) = self.poll_send(cx, false)
        {
            return Poll::Ready(Err(error));
        }
        self.socket.poll_readable(cx)
    }

    /// A server may send tickets and new keys whenever it likes: a connection is silent when there is nothing else.
    pub(super) fn is_silent(&mut self) -> bool {
        let Session::Open(open) = &mut self.session else { return false };
        let mut unwanted = Buffer::default();
        let silent = loop {
            match open.take_in(&mut self.raw, &mut unwanted, &self.stock) {
                Ok(Taken::Nothing) => {}
                Ok(Taken::Bytes(_) | Taken::End) | Err(_) => break false,
            }
            self.raw.release(&self.stock);
            self.raw.expand(&self.stock);
            make_room(&mut self.raw, false);
            match self.socket.read_now(&mut self.raw, &self.stock) {
                Ok(None) => break true,
                Ok(Some(0)) | Err(_) => break false,
                Ok(Some(_)) => {}
            }
        };
        self.raw.release(&self.stock);
        unwanted.discard(&self.stock);
        silent
    }

    /// Ends it for what the other side has sent, and says so.
    #[cold]
    fn refuse(&mut self, fault: Fault) -> io::Error {
        if let Session::Open(open) = &mut self.session {
            let words = [2, fault.0];
            open.seal_message(ALERT, &words, &mut self.out, &self.stock);
            open.said = true;
            self.socket.write_now(self.out.filled());
            self.out.discard(&self.stock);
        }
        io::Error::new(io::ErrorKind::InvalidData, "the other side broke TLS")
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, last: bool) -> Poll<io::Result<()>> {
        if last {
            while !self.out.is_empty() {
                let sent = ready!(self.socket.poll_write_last(cx, self.out.filled()))?;
                self.out.consume(sent);
            }
            self.out.release(&self.stock);
            return Poll::Ready(Ok(()));
        }
        poll_send(&mut self.socket, &mut self.out, &self.stock, cx)
    }
}

impl Drop for Secured {
    fn drop(&mut self) {
        self.raw.discard(&self.stock);
        self.out.discard(&self.stock);
    }
}

fn poll_send(
    socket: &mut Socket,
    out: &mut Buffer,
    stock: &Stock,
    cx: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    while !out.is_empty() {
        let sent = ready!(socket.poll_write(cx, out.filled()))?;
        if sent == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        out.consume(sent);
    }
    out.release(stock);
    Poll::Ready(Ok(()))
}

/// Makes sure that a read has somewhere to go, and that the record which has begun fits.
fn make_room(raw: &mut Buffer, large: bool) {
    if raw.is_empty() {
        return raw.prefer_large(large);
    }
    raw.compact();
    if raw.capacity() < record::HEADER + record::MOST_SEALED && !raw.takes_more() {
        raw.grow(LARGE);
    }
}

fn holds_record(raw: &Buffer) -> bool {
    // One that cannot be counts too: the read will say so.
    !matches!(Whole::first(raw.filled()), Ok(None))
}

fn not_open() -> io::Error {
    io::Error::new(io::ErrorKind::NotConnected, "there was no handshake")
}
