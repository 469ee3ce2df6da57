//! What reads and writes the socket of an HTTP/2 connection.

use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use loadweaver_http2::{Ended, Event};

use crate::buffer::{Buffer, Stock};
use crate::deadline::Nanos;
use crate::engine::http2::pace::{Pace, Ticket};
use crate::stream::Stream;
use crate::stream::http2::Multiplex;

/// A connection's socket, and what was read from it and makes no whole frame yet.
#[derive(Debug)]
pub(crate) struct Driver {
    multiplex: Rc<Multiplex>,
    stream: Stream,
    buffer: Buffer,
    /// Of clients' connections: exchanges whose server's connection broke look for the next one together.
    pace: Option<Rc<Pace>>,
    ticket: Ticket,
    /// The engine takes nothing more: what is left is to write what it has to say.
    ended: Option<Ended>,
    /// Bytes that were written in all.
    written: u64,
    /// The socket takes no more for now.
    stuck: bool,
}

/// How far the writing had come when the socket took no more: bytes that were written, and bytes under way.
pub(crate) type Stuck = (u64, usize);

/// Reads in a row, of 16 KiB each, before the other tasks of the worker are let to work: that many bytes of frames of
/// one byte are half a millisecond's work. Without it the reactor's own limit holds, which is 16 times as much.
const TURN: u32 = 8;

/// Bytes that the engine may have to say of what it hears in one turn: a peer that asks much, and in vain, is told so
/// before it is heard any further.
const SAID: usize = 8 * 1024;

/// How far the reading came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Read {
    /// There is nothing more for now.
    All,
    /// There may be more, but it is others' turn.
    More,
    /// The engine has not taken all that was read.
    Behind,
    /// The socket has ended or failed.
    Lost,
}

/// How a connection came to its end.
#[derive(Debug)]
pub(crate) enum Gone {
    /// In order.
    Finished,
    /// The other side broke the rules, and was told so.
    Ended(Ended),
    /// The socket ended or failed.
    Lost,
}

impl Driver {
    pub(crate) fn new(
        multiplex: Rc<Multiplex>,
        stream: Stream,
        buffer: Buffer,
        pace: Option<Rc<Pace>>,
    ) -> Self {
        let ticket = Ticket::default();
        Self { multiplex, stream, buffer, pace, ticket, ended: None, written: 0, stuck: false }
    }

    /// Reads and writes as far as it goes; ready when there is nothing left to do. `notice` says whether what it is told
    /// of begins something.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        stock: &Stock,
        now: Nanos,
        mut notice: impl FnMut(Event) -> bool,
    ) -> Poll<Gone> {
        let read = self.read(cx, stock, now);
        let mut all_told = self.tell(read, &mut notice);
        let written = self.poll_flush(cx);
        self.stuck = written.is_pending();
        all_told = all_told && self.tell(read, &mut notice);
        if !all_told {
            self.queue(cx);
        }
        match written {
            Poll::Ready(false) => return Poll::Ready(Gone::Lost),
            Poll::Ready(true) => {
                if let Some(ended) = self.ended {
                    return Poll::Ready(Gone::Ended(ended));
                }
                if self.multiplex.engine.borrow().is_finished() {
                    return Poll::Ready(Gone::Finished);
                }
            }
            Poll::Pending if self.ended.is_some() => return Poll::Pending,
            Poll::Pending => {}
        }
        match read {
            Read::Lost => Poll::Ready(Gone::Lost),
            Read::More | Read::Behind => give_way(cx),
            Read::All => Poll::Pending,
        }
    }

    /// Tells what has happened, as much as others allow; whether that was all. What is behind is judged whole first. Who
    /// is cut off begins nothing more: its streams are reset.
    fn tell(&self, read: Read, notice: impl FnMut(Event) -> bool) -> bool {
        if read == Read::Behind {
            return true;
        }
        let share = self.pace.as_ref().map_or(usize::MAX, |pace| pace.share(&self.ticket));
        let mut left = share;
        let all = self.multiplex.tell(&mut left, notice);
        if let Some(pace) = &self.pace {
            pace.spend(&self.ticket, share - left, all);
        }
        all
    }

    /// Waits until others allow more.
    fn queue(&self, cx: &Context<'_>) {
        if let Some(pace) = &self.pace {
            pace.queue(&self.ticket, cx);
        }
    }

    /// Takes what is there, a turn's worth at the most, before any of it begins: whoever sends what known attacks send is
    /// found out by all of it, and not after servers have worked on the first hundred requests.
    fn read(&mut self, cx: &mut Context<'_>, stock: &Stock, now: Nanos) -> Read {
        let said = self.multiplex.engine.borrow().output().len();
        for turn in 0.. {
            if self.ended.is_none() && !self.buffer.is_empty() {
                self.receive(now);
            }
            let mut engine = self.multiplex.engine.borrow_mut();
            if self.ended.is_some() {
                return Read::All;
            }
            if engine.is_behind() {
                return Read::Behind;
            }
            if turn == TURN || engine.output().len() > said + SAID {
                return Read::More;
            }
            engine.make_room();
            drop(engine);
            match self.stream.poll_read(cx, &mut self.buffer, stock) {
                Poll::Ready(Ok(0) | Err(_)) => return Read::Lost,
                Poll::Ready(Ok(_)) => {}
                Poll::Pending => break,
            }
        }
        Read::All
    }

    fn receive(&mut self, now: Nanos) {
        let received = self.multiplex.engine.borrow_mut().receive_turn(self.buffer.filled(), now);
        match received {
            Ok(used) => self.buffer.consume(used),
            Err(ended) => {
                self.buffer.consume(self.buffer.len());
                self.ended = Some(ended);
            }
        }
    }

    /// Writes what the engine has to say; false when the socket takes no more for good.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        let mut engine = self.multiplex.engine.borrow_mut();
        while !engine.output().is_empty() {
            match std::task::ready!(self.stream.poll_write(cx, engine.output())) {
                Ok(0) | Err(_) => return Poll::Ready(false),
                Ok(written) => {
                    self.written += written as u64;
                    engine.wrote(written);
                }
            }
        }
        drop(engine);
        self.stream.poll_flush(cx).map(|flushed| flushed.is_ok())
    }

    /// Whether the other side reads too little for us to go on, and since when it has read nothing: the value stays
    /// the same for as long.
    pub(crate) fn stuck(&self) -> Option<Stuck> {
        self.stuck.then(|| (self.written, self.stream.unsent()))
    }

    /// Why the other side was cut off, as soon as it is: what it is told of that may take a while to leave.
    pub(crate) fn ended(&self) -> Option<Ended> {
        self.ended
    }

    /// The socket, when nobody drives it any more: every stream is told that it is gone.
    pub(crate) async fn give_up(mut self, stock: &Stock) -> Stream {
        self.multiplex.lose();
        poll_fn(|cx| {
            if self.tell(Read::Lost, |_| false) {
                return Poll::Ready(());
            }
            self.queue(cx);
            Poll::Pending
        })
        .await;
        self.buffer.discard(stock);
        self.stream
    }
}

/// Others have something to do as well, the connection's own exchanges among them. A waker would put it right behind
/// those that are ready; like this the sockets are looked at first.
fn give_way(cx: &mut Context<'_>) -> Poll<Gone> {
    let _ = pin!(tokio::task::yield_now()).poll(cx);
    Poll::Pending
}
