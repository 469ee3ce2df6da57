//! A byte stream to a client or a server.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::buffer::{Buffer, Stock};

/// A connection. Polled and never awaited on, so that one task can drive both directions of two of them at once.
#[derive(Debug)]
pub(crate) struct Stream(TcpStream);

impl Stream {
    pub(crate) fn new(tcp: TcpStream) -> Self {
        Self(tcp)
    }

    /// Reads what fits into the buffer; `Ok(0)` is the end of the stream. The buffer must not be full. One without a
    /// block gets it when there is something to read.
    ///
    /// A read that came back short clears the readiness inside tokio, so the next one waits for the kernel's word
    /// instead of asking it.
    #[inline]
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut Buffer,
        stock: &Stock,
    ) -> Poll<io::Result<usize>> {
        if !buffer.has_block() {
            ready!(self.0.poll_read_ready(cx))?;
            buffer.acquire(stock);
        }
        let mut read = ReadBuf::new(buffer.room());
        match Pin::new(&mut self.0).poll_read(cx, &mut read) {
            Poll::Ready(Ok(())) => {
                let len = read.filled().len();
                buffer.fill(len);
                Poll::Ready(Ok(len))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                buffer.release(stock);
                Poll::Pending
            }
        }
    }

    #[inline]
    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    #[inline]
    pub(crate) fn poll_write_vectored(
        &mut self,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, parts)
    }

    /// Says that nothing more will be written.
    pub(crate) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }

    /// Whether bytes, the end of the stream or an error wait to be read, as far as the kernel has told.
    #[inline]
    pub(crate) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_read_ready(cx)
    }

    /// Asks the kernel whether an idle connection is still good: open, and silent.
    pub(crate) fn is_silent(&self) -> bool {
        let mut byte = [0_u8; 1];
        matches!(self.0.try_read(&mut byte), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    pub(crate) fn tcp(&self) -> &TcpStream {
        &self.0
    }
}
