//! A byte stream to a client or a server: in the clear, over TLS, or one of many on a connection of HTTP/2.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::task::{Context, Poll};

use loadweaver_http1::Headers;
use tokio::net::TcpStream;

use crate::buffer::{Buffer, Stock};

pub(crate) mod http2;
pub(crate) mod pipe;

mod secured;
mod socket;

use http2::Http2Stream;
use pipe::Pipe;
pub(crate) use secured::{Facts, HandshakeError, Secured};
pub(crate) use socket::Socket;

/// A connection. Polled and never awaited on, so that one task can drive both directions of two of them at once.
#[derive(Debug)]
pub(crate) struct Stream(Kind);

#[derive(Debug)]
enum Kind {
    Plain(Socket),
    /// Boxed: a plain stream is as small as its socket.
    Secured(Box<Secured>),
    Http2(Box<Http2Stream>),
}

impl Stream {
    /// A connected socket.
    pub(crate) fn connected(tcp: TcpStream) -> Self {
        Self(Kind::Plain(Socket::connected(tcp)))
    }

    /// An accepted, non-blocking socket.
    pub(crate) fn accepted(tcp: std::net::TcpStream) -> Self {
        Self(Kind::Plain(Socket::accepted(tcp)))
    }

    /// A stream of a connection of HTTP/2.
    pub(crate) fn http2(stream: Http2Stream) -> Self {
        Self(Kind::Http2(Box::new(stream)))
    }

    /// Leaves a stream that can do nothing in its place.
    pub(crate) fn take(&mut self) -> Self {
        std::mem::replace(self, Self(Kind::Plain(Socket::lost())))
    }

    /// Puts TLS over a plain stream; its handshake comes next.
    pub(crate) fn secure(
        &mut self,
        begin: impl FnOnce(Socket) -> Result<Secured, rustls::Error>,
    ) -> Result<(), rustls::Error> {
        if let Kind::Plain(socket) = &mut self.0 {
            self.0 = Kind::Secured(Box::new(begin(socket.take())?));
        }
        Ok(())
    }

    /// Drives the handshake to its end. Never asked of a plain stream.
    pub(crate) fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<Result<Facts, HandshakeError>> {
        match &mut self.0 {
            Kind::Plain(_) | Kind::Http2(_) => Poll::Ready(Err(HandshakeError::Lost)),
            Kind::Secured(tls) => tls.poll_handshake(cx),
        }
    }

    /// Takes TLS off again where no handshake has begun: what the other side has sent is in the buffer.
    pub(crate) fn expose(&mut self) -> Buffer {
        if let Kind::Secured(tls) = &mut self.0 {
            let (socket, received) = tls.expose();
            self.0 = Kind::Plain(socket);
            return received;
        }
        Buffer::default()
    }

    /// Whether the kernel may move bytes past us.
    #[inline]
    pub(crate) fn is_plain(&self) -> bool {
        matches!(self.0, Kind::Plain(_))
    }

    /// Whether it speaks TLS itself; a stream of HTTP/2 leaves that to its connection.
    pub(crate) fn is_secured(&self) -> bool {
        matches!(self.0, Kind::Secured(_))
    }

    /// Our end of the connection; a stream of HTTP/2 has none of its own.
    pub(crate) fn local_address(&self) -> Option<SocketAddr> {
        match &self.0 {
            Kind::Plain(socket) => socket.local_address(),
            Kind::Secured(tls) => tls.socket.local_address(),
            Kind::Http2(_) => None,
        }
    }

    /// Whether the reactor knows of the socket, so that waiting on it costs no system call.
    pub(crate) fn is_known(&self) -> bool {
        match &self.0 {
            Kind::Plain(socket) => socket.is_known(),
            Kind::Secured(tls) => tls.socket.is_known(),
            Kind::Http2(_) => true,
        }
    }

    /// Reads what fits into the buffer; `Ok(0)` is the end of the stream. The buffer must not be full. One without a
    /// block gets it when there is something to read.
    #[inline]
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut Buffer,
        stock: &Stock,
    ) -> Poll<io::Result<usize>> {
        match &mut self.0 {
            Kind::Plain(socket) => socket.poll_read(cx, buffer, stock),
            Kind::Secured(tls) => tls.poll_read(cx, buffer),
            Kind::Http2(stream) => stream.poll_read(cx, buffer, stock),
        }
    }

    /// Looks at what is there to be read and leaves it there; `Ok(0)` is the end of the stream. Only of a plain stream.
    pub(crate) fn poll_peek(&mut self, cx: &mut Context<'_>, room: &mut [u8]) -> Poll<io::Result<usize>> {
        match &mut self.0 {
            Kind::Plain(socket) => socket.poll_peek(cx, room),
            Kind::Secured(_) | Kind::Http2(_) => Poll::Ready(Err(io::ErrorKind::Unsupported.into())),
        }
    }

    /// Takes what was looked at. Only from a plain stream.
    pub(crate) fn take_peeked(&mut self, peeked: &mut [u8]) -> io::Result<()> {
        match &mut self.0 {
            Kind::Plain(socket) => socket.take_peeked(peeked),
            Kind::Secured(_) | Kind::Http2(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    #[inline]
    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.0 {
            Kind::Plain(socket) => socket.poll_write(cx, bytes),
            Kind::Secured(tls) => tls.poll_write(cx, &[IoSlice::new(bytes)], false),
            Kind::Http2(stream) => stream.poll_write(cx, bytes),
        }
    }

    /// Writes the last bytes of a connection that is shut down or closed right behind them: the kernel holds back an
    /// incomplete segment, so that the end rides on it instead of going out alone.
    pub(crate) fn poll_write_last(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.0 {
            Kind::Plain(socket) => socket.poll_write_last(cx, bytes),
            Kind::Secured(tls) => tls.poll_write(cx, &[IoSlice::new(bytes)], true),
            Kind::Http2(stream) => stream.poll_write(cx, bytes),
        }
    }

    #[inline]
    pub(crate) fn poll_write_vectored(
        &mut self,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.0 {
            Kind::Plain(socket) => socket.poll_write_vectored(cx, parts),
            Kind::Secured(tls) => tls.poll_write(cx, parts, false),
            Kind::Http2(stream) => stream.poll_write(cx, first(parts)),
        }
    }

    /// How much of `wanted` a write would take now, as far as that can be known: what the kernel takes cannot.
    #[inline]
    pub(crate) fn room(&self, wanted: usize) -> Option<usize> {
        match &self.0 {
            Kind::Plain(_) | Kind::Secured(_) => None,
            Kind::Http2(stream) => Some(stream.room(wanted)),
        }
    }

    /// Pending as long as that is nothing.
    #[inline]
    pub(crate) fn poll_room(&mut self, cx: &mut Context<'_>, wanted: usize) -> Poll<io::Result<usize>> {
        match &mut self.0 {
            Kind::Plain(_) | Kind::Secured(_) => Poll::Ready(Ok(wanted)),
            Kind::Http2(stream) => stream.poll_room(cx, wanted),
        }
    }

    /// Ready when all that was taken for writing is with the kernel. A plain stream takes no more than that.
    #[inline]
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.0 {
            Kind::Plain(_) | Kind::Http2(_) => Poll::Ready(Ok(())),
            Kind::Secured(tls) => tls.poll_flush(cx),
        }
    }

    /// Bytes that were taken for writing and are not with the kernel yet.
    pub(crate) fn unsent(&self) -> usize {
        match &self.0 {
            Kind::Plain(_) | Kind::Http2(_) => 0,
            Kind::Secured(tls) => tls.unsent(),
        }
    }

    /// Moves up to `most` bytes that were received into an empty pipe; `Ok(0)` is the end of the stream. Only of a
    /// plain stream.
    pub(crate) fn poll_into_pipe(
        &mut self,
        cx: &mut Context<'_>,
        pipe: &mut Pipe,
        most: usize,
    ) -> Poll<io::Result<usize>> {
        match &mut self.0 {
            Kind::Plain(socket) => socket.poll_into_pipe(cx, pipe, most),
            Kind::Secured(_) | Kind::Http2(_) => Poll::Ready(Err(io::ErrorKind::Unsupported.into())),
        }
    }

    /// Sends bytes out of a pipe. With `more` the kernel may wait for them to fill a segment. Only to a plain stream.
    pub(crate) fn poll_out_of_pipe(
        &mut self,
        cx: &mut Context<'_>,
        pipe: &mut Pipe,
        more: bool,
    ) -> Poll<io::Result<usize>> {
        match &mut self.0 {
            Kind::Plain(socket) => socket.poll_out_of_pipe(cx, pipe, more),
            Kind::Secured(_) | Kind::Http2(_) => Poll::Ready(Err(io::ErrorKind::Unsupported.into())),
        }
    }

    /// Says that nothing more will be written.
    pub(crate) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.0 {
            Kind::Plain(socket) => socket.poll_shutdown(cx),
            Kind::Secured(tls) => tls.poll_shutdown(cx),
            Kind::Http2(stream) => {
                stream.finish(None);
                Poll::Ready(Ok(()))
            }
        }
    }

    /// Says goodbye to the other side, where the protocol has a word for it, of a connection that is closed while
    /// nothing is under way.
    pub(crate) fn take_leave(&mut self) {
        if let Kind::Secured(tls) = &mut self.0 {
            tls.take_leave();
        }
    }

    /// Whether bytes, the end of the stream or an error wait to be read, as far as the kernel has told. Over TLS what
    /// waits may turn out to be nothing for us.
    #[inline]
    pub(crate) fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.0 {
            Kind::Plain(socket) => socket.poll_readable(cx),
            Kind::Secured(tls) => tls.poll_readable(cx),
            Kind::Http2(_) => Poll::Ready(Ok(())),
        }
    }

    /// Asks the kernel whether an idle connection is still good: open, and silent.
    pub(crate) fn is_silent(&mut self) -> bool {
        match &mut self.0 {
            Kind::Plain(socket) => socket.is_silent(),
            Kind::Secured(tls) => tls.is_silent(),
            Kind::Http2(_) => false,
        }
    }

    /// Makes the close a reset, which the other side cannot take for an orderly end.
    pub(crate) fn close_with_reset(&self) {
        match &self.0 {
            Kind::Plain(socket) => socket.close_with_reset(),
            Kind::Secured(tls) => tls.socket.close_with_reset(),
            Kind::Http2(stream) => stream.reset(),
        }
    }

    /// Whether heads, bodies and trailers are told apart by the connection itself, and heads go beside the bytes.
    #[inline]
    pub(crate) fn is_framed(&self) -> bool {
        matches!(self.0, Kind::Http2(_))
    }

    /// The stream of HTTP/2 that this is, to send heads on and to ask for them.
    pub(crate) fn framed(&mut self) -> Option<&mut Http2Stream> {
        match &mut self.0 {
            Kind::Plain(_) | Kind::Secured(_) => None,
            Kind::Http2(stream) => Some(stream),
        }
    }

    /// Says that a message ends here, where the connection does not show that by itself.
    #[inline]
    pub(crate) fn finish(&mut self, trailers: Option<&Headers>) {
        if let Kind::Http2(stream) = &mut self.0 {
            stream.finish(trailers);
        }
    }
}

/// The first part that has anything in it.
fn first<'p>(parts: &'p [IoSlice<'_>]) -> &'p [u8] {
    parts.iter().find(|part| !part.is_empty()).map(|part| &**part).unwrap_or_default()
}
