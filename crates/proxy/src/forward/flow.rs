//! One direction of an exchange: a body on its way from one connection to another.
//!
//! A flow decodes what it reads and frames it anew, so the two sides may frame differently (chunked to a length-less
//! HTTP/1.0 answer, say) and nothing of the sender's framing survives. Bytes that we made (heads, chunk sizes, small
//! pieces) are gathered and leave in one write with the piece that follows them; long pieces are written from the
//! buffer that they were read into. A flow reads on only when all that it has was written: that is the back-pressure.

use std::io::{self, IoSlice};
use std::task::{Context, Poll, ready};

use loadweaver_http1::encode::{CHUNK_END, chunk_start, last_chunk};
use loadweaver_http1::{Body, BodyError, Piece};

use crate::buffer::{Buffer, FEW, LARGE, SMALL, Stock};
use crate::stream::Stream;
use crate::stream::http2::Http2Stream;
use crate::stream::pipe::{PIPE, Pipe};

mod replay;

pub(crate) use replay::Replay;

/// Pieces up to this many bytes are copied behind the head rather than written beside it: below it the copy is
/// cheaper than a second slice for the kernel.
const COPIED: usize = 4 * 1024;

/// Made bytes from which on nothing more is gathered before a write.
const GATHERED: usize = 16 * 1024;

/// Bytes of body that make it a long one, to be read in large blocks.
const LONG: u64 = 64 * 1024;

/// Bytes that are left of a body from which on they are moved by the kernel: below it the extra system calls cost
/// more than the copies.
const SPLICED: u64 = 128 * 1024;

/// Bytes in the pipe from which on the kernel may hold back an incomplete segment: more is sure to follow at once. A
/// body that trickles is never held back.
const CORKED: usize = 64 * 1024;

/// How the body is framed for its receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coding {
    /// As it is: a length was announced, or the connection ends with it.
    Plain,
    /// In chunks.
    Chunked,
    /// Not at all: the receiver gets no body.
    Nothing,
}

/// Why a flow broke, and on which side.
#[derive(Debug)]
pub(crate) enum Broken {
    /// The sender's connection ended or failed before the body did.
    SourceCut,
    /// The sender's body is malformed.
    Malformed,
    /// The body is longer than allowed.
    TooLong,
    /// The receiver's connection failed.
    Sink,
}

/// Whom a flow that made no progress waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waits {
    Source,
    Sink,
}

/// How far a request's body has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Upload {
    /// On its way.
    Flowing,
    /// The server has all of it.
    Whole,
    /// It will not go on.
    Broken,
}

/// A body on its way.
#[derive(Debug)]
pub(crate) struct Flow {
    pub(crate) coding: Coding,
    /// What we made and the receiver has yet to get.
    pub(crate) made: Vec<u8>,
    made_at: usize,
    /// Bytes at the start of the source's buffer that follow what we made.
    piece: usize,
    /// What follows the piece.
    tail: &'static [u8],
    /// All of the body has been framed.
    ended: bool,
    /// The receiver's connection ends with this flow.
    pub(crate) is_last: bool,
    /// Bytes of body taken from the source.
    pub(crate) taken: u64,
    /// The most bytes of body that may be taken.
    pub(crate) most: u64,
    /// Bytes that the receiver has taken, framing and head included.
    pub(crate) written: u64,
    pub(crate) waits: Waits,
    /// The rest of the body goes through it.
    pipe: Option<Pipe>,
}

/// The two ends of a flow while it is driven.
pub(crate) struct Ends<'e> {
    pub(crate) source: &'e mut Stream,
    pub(crate) buffer: &'e mut Buffer,
    /// The source will send no more.
    pub(crate) ended: &'e mut bool,
    pub(crate) sink: &'e mut Stream,
    pub(crate) stock: &'e Stock,
}

impl Flow {
    /// A flow that starts with `made`, a head or nothing.
    pub(crate) fn new(made: Vec<u8>, coding: Coding) -> Self {
        Self {
            coding,
            made,
            made_at: 0,
            piece: 0,
            tail: b"",
            ended: false,
            is_last: false,
            taken: 0,
            most: u64::MAX,
            written: 0,
            waits: Waits::Source,
            pipe: None,
        }
    }

    /// A flow of nothing but `made`.
    pub(crate) fn of(made: Vec<u8>) -> Self {
        Self { ended: true, ..Self::new(made, Coding::Nothing) }
    }

    /// Puts what an earlier attempt had taken before all else.
    pub(crate) fn replay(&mut self, replay: &Replay) {
        if replay.kept.is_empty() {
            return;
        }
        if self.coding == Coding::Chunked {
            chunk_start(&mut self.made, replay.kept.len());
            self.made.extend_from_slice(&replay.kept);
            self.made.extend_from_slice(CHUNK_END);
        } else {
            self.made.extend_from_slice(&replay.kept);
        }
    }

    /// Moves the body on as far as it goes; ready when the receiver has all of it.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        ends: &mut Ends<'_>,
        body: &mut Body,
        mut replay: Option<&mut Replay>,
    ) -> Poll<Result<(), Broken>> {
        loop {
            if self.pipe.is_some() {
                ready!(self.poll_splice(cx, ends, body))?;
            }
            self.frame(ends.buffer, body, replay.as_deref_mut())?;
            let flushed = self.poll_flush(cx, ends.buffer, ends.sink);
            if flushed.is_pending() {
                // What waits may have been copied out of it.
                ends.buffer.release(ends.stock);
            }
            ready!(flushed).map_err(|_| Broken::Sink)?;
            if self.ended {
                ends.sink.finish(body.trailers());
                return Poll::Ready(Ok(()));
            }
            // A long piece went out alone: what stands behind it, or the end, is framed next.
            if !ends.buffer.is_empty() || body.is_done() {
                continue;
            }
            self.waits = Waits::Source;
            let plain = ends.source.is_plain() && ends.sink.is_plain();
            if plain && self.may_splice(body, replay.as_deref()) {
                self.pipe = ends.stock.pipes.take();
                if self.pipe.is_some() {
                    ends.buffer.release(ends.stock);
                    continue;
                }
            }
            ends.buffer.release(ends.stock);
            let room = if *ends.ended { None } else { ready!(self.poll_room(cx, ends, body))? };
            let long = self.taken >= LONG || body.length_left().is_some_and(|left| left >= LONG);
            ends.buffer.prefer_large(long && room.is_none_or(|room| room > SMALL));
            let read = if *ends.ended { 0 } else { ready!(poll_source(cx, ends, room))? };
            if read == 0 {
                *ends.ended = true;
                body.end_of_input().map_err(|_| Broken::SourceCut)?;
                if let Some(trailers) = ends.source.framed().and_then(Http2Stream::trailers) {
                    body.give_trailers(trailers);
                }
            }
        }
    }

    /// Whether the rest of the body can go past us: its length is known, it is long, nobody needs a copy.
    fn may_splice(&self, body: &Body, replay: Option<&Replay>) -> bool {
        self.coding == Coding::Plain
            && body.length_left().is_some_and(|left| left >= SPLICED && left <= self.most - self.taken)
            && replay.is_none_or(Replay::is_over)
    }

    /// Bytes that may be read because the receiver takes them, where it says how many: a stream that its client does not
    /// let go on shall hold nothing, for there may be thousands of them (CVE-2019-9517). Only where the end of the body
    /// can come without a byte of it a few are read to see whether it does.
    fn poll_room(
        &mut self,
        cx: &mut Context<'_>,
        ends: &mut Ends<'_>,
        body: &Body,
    ) -> Poll<Result<Option<usize>, Broken>> {
        if !ends.sink.is_framed() || self.coding == Coding::Nothing {
            return Poll::Ready(Ok(None));
        }
        match ends.sink.poll_room(cx, LARGE) {
            Poll::Ready(room) => Poll::Ready(room.map(|room| Some(room.max(FEW))).map_err(|_| Broken::Sink)),
            Poll::Pending if body.length_left().is_some_and(|left| left > 0) => {
                self.waits = Waits::Sink;
                Poll::Pending
            }
            Poll::Pending => Poll::Ready(Ok(Some(FEW))),
        }
    }

    /// Moves the rest of the body through a pipe.
    fn poll_splice(
        &mut self,
        cx: &mut Context<'_>,
        ends: &mut Ends<'_>,
        body: &mut Body,
    ) -> Poll<Result<(), Broken>> {
        while let Some(pipe) = &mut self.pipe {
            let left = body.length_left().unwrap_or(0);
            if pipe.held > 0 {
                self.waits = Waits::Sink;
                let sent = ready!(ends.sink.poll_out_of_pipe(cx, pipe, left > 0 && pipe.held >= CORKED))
                    .map_err(|_| Broken::Sink)?;
                self.written += sent as u64;
            } else if left > 0 {
                self.waits = Waits::Source;
                let most = usize::try_from(left).unwrap_or(PIPE).min(PIPE);
                let moved =
                    ready!(ends.source.poll_into_pipe(cx, pipe, most)).map_err(|_| Broken::SourceCut)?;
                if moved == 0 {
                    *ends.ended = true;
                    return Poll::Ready(Err(Broken::SourceCut));
                }
                self.taken += moved as u64;
                body.passed_over(moved as u64);
            } else if let Some(pipe) = self.pipe.take() {
                ends.stock.pipes.give_back(pipe);
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Writes what we made and the piece behind it.
    pub(crate) fn poll_flush(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut Buffer,
        sink: &mut Stream,
    ) -> Poll<io::Result<()>> {
        self.waits = Waits::Sink;
        loop {
            let made = self.made.get(self.made_at..).unwrap_or_default();
            let piece = buffer.filled().get(..self.piece).unwrap_or_default();
            let written = match (made.is_empty(), piece.is_empty() && self.tail.is_empty()) {
                (true, true) => {
                    ready!(sink.poll_flush(cx))?;
                    self.made.clear();
                    self.made_at = 0;
                    return Poll::Ready(Ok(()));
                }
                (false, true) if self.ended && self.is_last => ready!(sink.poll_write_last(cx, made))?,
                (false, true) => ready!(sink.poll_write(cx, made))?,
                (true, false) if self.tail.is_empty() => ready!(sink.poll_write(cx, piece))?,
                _ => {
                    let parts = [IoSlice::new(made), IoSlice::new(piece), IoSlice::new(self.tail)];
                    ready!(sink.poll_write_vectored(cx, &parts))?
                }
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.wrote(written, buffer);
        }
    }

    fn wrote(&mut self, written: usize, buffer: &mut Buffer) {
        self.written += written as u64;
        let of_made = written.min(self.made.len() - self.made_at);
        self.made_at += of_made;
        let of_piece = (written - of_made).min(self.piece);
        buffer.consume(of_piece);
        self.piece -= of_piece;
        let of_tail = written - of_made - of_piece;
        self.tail = self.tail.get(of_tail..).unwrap_or_default();
    }

    /// Frames what stands in the buffer, up to the first long piece.
    fn frame(
        &mut self,
        buffer: &mut Buffer,
        body: &mut Body,
        mut replay: Option<&mut Replay>,
    ) -> Result<(), Broken> {
        while !self.ended
            && self.piece == 0
            && self.tail.is_empty()
            && self.made.len() - self.made_at < GATHERED
        {
            match body.decode(buffer.filled()).map_err(broken)? {
                Piece::NeedMore { consumed } => {
                    buffer.consume(consumed);
                    return Ok(());
                }
                Piece::End { consumed } => {
                    buffer.consume(consumed);
                    self.ended = true;
                    if self.coding == Coding::Chunked {
                        last_chunk(&mut self.made, body.trailers());
                    }
                }
                Piece::Data { skip, len } => {
                    buffer.consume(skip);
                    self.taken += len as u64;
                    if self.taken > self.most {
                        return Err(Broken::TooLong);
                    }
                    if let Some(replay) = replay.as_deref_mut() {
                        replay.take(buffer.filled().get(..len).unwrap_or_default());
                    }
                    self.frame_piece(buffer, len);
                }
            }
        }
        Ok(())
    }

    fn frame_piece(&mut self, buffer: &mut Buffer, len: usize) {
        if self.coding == Coding::Nothing {
            return buffer.consume(len);
        }
        let chunked = self.coding == Coding::Chunked;
        if chunked {
            chunk_start(&mut self.made, len);
        }
        if len <= COPIED {
            self.made.extend_from_slice(buffer.filled().get(..len).unwrap_or_default());
            buffer.consume(len);
            if chunked {
                self.made.extend_from_slice(CHUNK_END);
            }
        } else {
            self.piece = len;
            if chunked {
                self.tail = CHUNK_END;
            }
        }
    }

    /// Whether the receiver has part of what we made, and nothing else may follow that part.
    pub(crate) fn is_torn(&self) -> bool {
        self.made_at > 0
    }

    /// Ends the flow early: what it had taken and not yet written is dropped, and its buffer of made bytes given
    /// back. What was dropped is in the replay, if there is one.
    pub(crate) fn abandon(self, buffer: &mut Buffer) -> Vec<u8> {
        buffer.consume(self.piece);
        let mut made = self.made;
        made.clear();
        made
    }
}

fn poll_source(
    cx: &mut Context<'_>,
    ends: &mut Ends<'_>,
    most: Option<usize>,
) -> Poll<Result<usize, Broken>> {
    ends.buffer.bring_at_most(most);
    let read = ends.source.poll_read(cx, ends.buffer, ends.stock);
    ends.buffer.bring_at_most(None);
    read.map_err(|_| Broken::SourceCut)
}

fn broken(error: BodyError) -> Broken {
    match error {
        BodyError::Cut => Broken::SourceCut,
        BodyError::ChunkSize
        | BodyError::ChunkExtension
        | BodyError::ChunkEnd
        | BodyError::Trailers
        | BodyError::TooLong => Broken::Malformed,
    }
}
