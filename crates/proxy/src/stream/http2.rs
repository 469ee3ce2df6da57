//! One HTTP/2 stream as a byte stream, and the connection that it shares with others.
//!
//! The engine of a connection (frames, windows, header compression) stands in a cell that the task of the connection
//! and the tasks of its streams share on one worker. The streams read from it and write into it; only the connection's
//! task touches the socket. Whoever writes wakes that task once, so what the tasks of one turn have to say leaves in
//! one system call.

use std::io;
use std::rc::Rc;
use std::task::{Context, Poll};

use loadweaver_http1::{Headers, RequestHead, ResponseHead};
use loadweaver_http2::{Code, Finish, NoRoom, Opening, Read, Refusal, StreamId};

use crate::buffer::{Buffer, Stock};

mod multiplex;

pub(crate) use multiplex::Multiplex;

use multiplex::Seat;

/// One stream of an HTTP/2 connection.
#[derive(Debug)]
pub(crate) struct Http2Stream {
    multiplex: Rc<Multiplex>,
    id: Option<StreamId>,
    /// The task that works with it is known to the connection.
    known: bool,
    /// We have said all.
    finished: bool,
    /// The server has surely not seen the request, or not acted on it: it may go elsewhere.
    unprocessed: bool,
}

impl Http2Stream {
    /// A stream that a client has opened.
    pub(crate) fn opened(multiplex: Rc<Multiplex>, id: StreamId) -> Self {
        multiplex.seats.borrow_mut().insert(id.number(), Seat::default());
        Self { multiplex, id: Some(id), known: false, finished: false, unprocessed: false }
    }

    /// A stream to a server that has yet to be opened, by [`Http2Stream::send_request`].
    pub(crate) fn planned(multiplex: Rc<Multiplex>) -> Self {
        Self { multiplex, id: None, known: false, finished: false, unprocessed: false }
    }

    pub(crate) fn take_request(&self, head: &mut RequestHead) -> Result<(), Refusal> {
        let Some(id) = self.id else { return Err(Refusal::Gone) };
        let mut engine = self.multiplex.engine.borrow_mut();
        if engine.is_reset(id) { Err(Refusal::Gone) } else { engine.take_request(id, head) }
    }

    /// Whether the server takes an extended CONNECT (RFC 8441 section 3), once it has said what it takes; an error if
    /// it goes away before that.
    pub(crate) fn poll_takes_protocols(&self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let engine = self.multiplex.engine.borrow();
        if self.multiplex.is_lost() {
            Poll::Ready(Err(gone()))
        } else if engine.is_settled() {
            Poll::Ready(Ok(engine.peer_takes_connect_protocol()))
        } else {
            self.multiplex.curious.borrow_mut().push(cx.waker().clone());
            Poll::Pending
        }
    }

    /// Opens the stream with a request; with `protocol` as an extended CONNECT. Where there is no room for it any more,
    /// what is asked next says that.
    pub(crate) fn send_request(
        &mut self,
        head: &RequestHead,
        added: &[u8],
        end: bool,
        protocol: Option<&[u8]>,
    ) {
        let opening = Opening { finish: finish(end), protocol };
        let opened = self.multiplex.engine.borrow_mut().open(head, added, opening);
        match opened {
            Ok(id) => {
                self.multiplex.seats.borrow_mut().insert(id.number(), Seat::default());
                self.id = Some(id);
                self.finished = end;
                let left = self.multiplex.left.get().saturating_sub(1);
                self.multiplex.left.set(left);
                if left == 0 {
                    self.multiplex.retire();
                }
                self.multiplex.wake_driver();
            }
            Err(_) => self.unprocessed = true,
        }
    }

    /// The head of the next answer, interim or final.
    pub(crate) fn poll_response(
        &mut self,
        cx: &mut Context<'_>,
        head: &mut ResponseHead,
    ) -> Poll<Result<(), NoAnswer>> {
        let Some(id) = self.id else { return Poll::Ready(Err(NoAnswer::Gone)) };
        if self.multiplex.engine.borrow_mut().take_response(id, head) {
            return Poll::Ready(Ok(()));
        }
        if let Some(code) = self.reset_by_peer() {
            self.unprocessed |= code == Code::REFUSED_STREAM;
            return Poll::Ready(Err(self.no_answer(id)));
        }
        self.wait(cx).map_err(|_| NoAnswer::Gone)
    }

    fn no_answer(&self, id: StreamId) -> NoAnswer {
        match self.multiplex.engine.borrow().fault(id) {
            None => NoAnswer::Gone,
            Some(Code::ENHANCE_YOUR_CALM) => NoAnswer::TooLarge,
            Some(_) => NoAnswer::Malformed,
        }
    }

    pub(crate) fn send_response(&mut self, head: &ResponseHead, end: bool) {
        let Some(id) = self.id else { return };
        self.multiplex.engine.borrow_mut().respond(id, head, &[], finish(end));
        self.finished |= end && head.status() >= 200;
        self.multiplex.wake_driver();
    }

    /// Answers with a head of ours; each of the fields ends with CRLF.
    pub(crate) fn send_own(&mut self, status: u16, fields: &[u8], end: bool) {
        let Some(id) = self.id else { return };
        self.multiplex.engine.borrow_mut().respond_with(id, status, fields, finish(end));
        self.finished |= end;
        self.multiplex.wake_driver();
    }

    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut Buffer,
        stock: &Stock,
    ) -> Poll<io::Result<usize>> {
        let Some(id) = self.id else { return Poll::Ready(Err(gone())) };
        buffer.acquire(stock);
        let read = self.multiplex.engine.borrow_mut().read(id, buffer.room());
        match read {
            Read::Bytes(len) => {
                buffer.fill(len);
                if !self.multiplex.engine.borrow().output().is_empty() {
                    // Room for the sender has been announced.
                    self.multiplex.wake_driver();
                }
                Poll::Ready(Ok(len))
            }
            Read::End => Poll::Ready(Ok(0)),
            Read::Reset(_) => Poll::Ready(Err(gone())),
            Read::Pending => {
                buffer.release(stock);
                self.wait(cx).map_ok(|()| 0)
            }
        }
    }

    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let Some(id) = self.id else { return Poll::Ready(Err(gone())) };
        if self.multiplex.is_lost() {
            return Poll::Ready(Err(gone()));
        }
        let written = self.multiplex.engine.borrow_mut().write(id, bytes).map_err(|_| gone())?;
        if written == 0 {
            return self.wait(cx).map_ok(|()| 0);
        }
        self.multiplex.wake_driver();
        Poll::Ready(Ok(written))
    }

    /// How much of `wanted` a write would take now.
    pub(crate) fn room(&self, wanted: usize) -> usize {
        self.id.and_then(|id| self.multiplex.engine.borrow().room(id, wanted).ok()).unwrap_or(0)
    }

    /// The same, pending as long as it is nothing.
    pub(crate) fn poll_room(&mut self, cx: &mut Context<'_>, wanted: usize) -> Poll<io::Result<usize>> {
        let Some(id) = self.id else { return Poll::Ready(Err(gone())) };
        if self.multiplex.is_lost() {
            return Poll::Ready(Err(gone()));
        }
        let room = self.multiplex.engine.borrow_mut().await_room(id, wanted).map_err(|_| gone())?;
        if room == 0 { self.wait(cx).map_ok(|()| 0) } else { Poll::Ready(Ok(room)) }
    }

    /// Says that nothing more will be written.
    pub(crate) fn finish(&mut self, trailers: Option<&Headers>) {
        if let Some(id) = self.id
            && !std::mem::replace(&mut self.finished, true)
        {
            self.multiplex.engine.borrow_mut().finish(id, trailers);
            self.multiplex.wake_driver();
        }
    }

    /// The trailers of what was read to its end.
    pub(crate) fn trailers(&mut self) -> Option<Headers> {
        self.multiplex.engine.borrow_mut().trailers(self.id?)
    }

    /// Ends the stream so that nobody takes what was sent for the whole.
    pub(crate) fn reset(&self) {
        if let Some(id) = self.id {
            self.multiplex.engine.borrow_mut().reset(id, Code::INTERNAL_ERROR);
            self.multiplex.wake_driver();
        }
    }

    /// Ready when the other side wants no more of the stream, or is gone.
    pub(crate) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.multiplex.is_lost() || self.reset_by_peer().is_some() {
            return Poll::Ready(());
        }
        self.wait(cx).map(drop)
    }

    /// The server has not answered in time: it may be gone without a word.
    pub(crate) fn doubt(&self) {
        self.multiplex.doubt();
    }

    /// Whether others have taken all the room of the connection before this stream could be opened.
    pub(crate) fn is_overtaken(&self) -> bool {
        let engine = self.multiplex.engine.borrow();
        let full = engine.no_room().is_some_and(|none| none != NoRoom::Closed);
        self.id.is_none() && full && engine.streams() > 0
    }

    /// Whether this stream alone was refused: its connection takes others.
    pub(crate) fn is_refused(&self) -> bool {
        self.id.is_some() && self.multiplex.is_open()
    }

    /// Whether the server has surely not acted on the request.
    pub(crate) fn is_unprocessed(&self) -> bool {
        self.unprocessed
    }

    fn reset_by_peer(&self) -> Option<Code> {
        self.multiplex.seats.borrow().get(&self.id?.number())?.reset
    }

    /// Waits for whatever may happen to the stream.
    fn wait(&mut self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        if self.multiplex.is_lost() {
            return Poll::Ready(Err(gone()));
        }
        if !self.known
            && let Some(id) = self.id
            && let Some(seat) = self.multiplex.seats.borrow_mut().get_mut(&id.number())
        {
            // Once is enough: a stream is worked with by one task, and tasks keep their waker.
            seat.waker = Some(cx.waker().clone());
            self.known = true;
        }
        Poll::Pending
    }
}

impl Drop for Http2Stream {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.multiplex.seats.borrow_mut().remove(&id.number());
            self.multiplex.engine.borrow_mut().release(id);
            self.multiplex.wake_driver();
        }
    }
}

fn finish(end: bool) -> Finish {
    if end { Finish::Now } else { Finish::Later }
}

/// Why no head of an answer comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoAnswer {
    /// The server has reset the stream, or the connection is over.
    Gone,
    /// It broke the rules, and the stream was reset for that.
    Malformed,
    /// It had more fields than are taken, or too many interim answers came before it.
    TooLarge,
}

fn gone() -> io::Error {
    io::ErrorKind::ConnectionReset.into()
}
