//! From workers to whoever delivers: a bounded queue of pieces.
//!
//! A mutex and not a channel, because its limit may change while it is in use, and because it is taken once for some
//! dozens of spans.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::story::{AttemptSpan, ExchangeSpan};
use crate::counters::Counter;

/// Spans that a worker gathers before it hands them over: the lock is taken, and the one who delivers perhaps woken,
/// once for so many.
const PIECE: usize = 64;
/// How many bytes a span that waits may have on average. A usual one has half of that; but whoever sends requests chooses
/// how long theirs are, up to some KiB, and shall not choose how much memory a collector that is away costs.
const SPAN_BYTES: usize = 1024;
/// A buffer that some giant spans blew up is not kept.
const KEEP_SCRATCH: usize = 64 * 1024;

/// Spans as they are sent: each is a field of the message around them.
#[derive(Debug, Default)]
pub struct Piece {
    /// The spans, one behind the other.
    pub bytes: Vec<u8>,
    /// How many they are.
    pub spans: usize,
}

/// The way from the workers to whoever delivers. Cheap to clone; all clones are the same.
#[derive(Debug, Clone, Default)]
pub struct SpanQueue {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    filled: Notify,
    exported: Counter,
    lost: Counter,
}

#[derive(Debug, Default)]
struct Waiting {
    pieces: VecDeque<Piece>,
    spans: usize,
    bytes: usize,
}

impl SpanQueue {
    /// A writer for one worker.
    pub fn writer(&self) -> SpanWriter {
        SpanWriter { queue: self.clone(), piece: Piece::default(), scratch: Vec::new(), limits: (0, 0) }
    }

    /// Puts a piece behind the others, or counts it as lost. Whoever delivers is woken when there is a batch. Where
    /// nothing waits there is a place for any piece: one may be larger than all that may wait.
    pub(super) fn offer(&self, piece: Piece, (batch, limit): (usize, usize)) {
        let mut waiting = self.waiting();
        let (spans, bytes) = (waiting.spans + piece.spans, waiting.bytes + piece.bytes.len());
        let is_full = spans > limit || bytes > limit.saturating_mul(SPAN_BYTES);
        if is_full && !waiting.pieces.is_empty() {
            drop(waiting);
            self.shared.lost.add(piece.spans as u64);
            return;
        }
        let reaches = waiting.spans < batch && spans >= batch;
        (waiting.spans, waiting.bytes) = (spans, bytes);
        waiting.pieces.push_back(piece);
        drop(waiting);
        if reaches {
            self.shared.filled.notify_one();
        }
    }

    /// The oldest pieces, up to so many spans together; at least one piece, if there is one.
    pub fn take(&self, most: usize) -> Vec<Piece> {
        let mut waiting = self.waiting();
        let (mut taken, mut spans) = (Vec::new(), 0);
        while let Some(piece) = waiting.pieces.front() {
            spans += piece.spans;
            if spans > most && !taken.is_empty() {
                break;
            }
            let (piece_spans, piece_bytes) = (piece.spans, piece.bytes.len());
            waiting.spans -= piece_spans;
            waiting.bytes -= piece_bytes;
            taken.extend(waiting.pieces.pop_front());
        }
        taken
    }

    /// Waits until somebody hands over the spans that make a batch.
    pub async fn filled(&self) {
        self.shared.filled.notified().await;
    }

    /// Counts spans that a collector has.
    pub fn delivered(&self, spans: u64) {
        self.shared.exported.add(spans);
    }

    /// Counts spans that nobody will have.
    pub fn lose(&self, spans: u64) {
        self.shared.lost.add(spans);
    }

    /// Spans that collectors took.
    pub fn exported(&self) -> u64 {
        self.shared.exported.get()
    }

    /// Spans that were lost: too many waited, or the collector would not have them.
    pub fn lost(&self) -> u64 {
        self.shared.lost.get()
    }

    /// Spans that wait.
    pub fn waiting_spans(&self) -> usize {
        self.waiting().spans
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.shared.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One worker's end of the queue. Dropping it hands over what it holds.
#[derive(Debug)]
pub struct SpanWriter {
    queue: SpanQueue,
    piece: Piece,
    /// A span before its length is known.
    scratch: Vec<u8>,
    /// Of what it holds: spans of a batch, and spans that may wait.
    limits: (usize, usize),
}

impl SpanWriter {
    /// Tells of an exchange and its attempts, under the limits in force: spans of a batch, and spans that may wait.
    pub fn write<'a>(
        &mut self,
        exchange: &ExchangeSpan<'_>,
        attempts: impl ExactSizeIterator<Item = AttemptSpan<'a>>,
        limits: (usize, usize),
    ) {
        let room = PIECE.min(limits.0);
        if self.piece.spans + attempts.len() + 1 > room {
            self.flush();
        }
        self.limits = limits;
        self.add(|span| exchange.write(span));
        for attempt in attempts {
            self.add(|span| attempt.write(exchange, span));
        }
        if self.piece.spans >= room {
            self.flush();
        }
    }

    fn add(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        self.scratch.clear();
        write(&mut self.scratch);
        // `ScopeSpans { spans = 2 }`
        super::message::bytes(&mut self.piece.bytes, 2, &self.scratch);
        self.piece.spans += 1;
    }

    /// Hands over what is there. Call it about four times a second and at the end; costs nothing when there is
    /// nothing.
    pub fn flush(&mut self) {
        if self.piece.spans > 0 {
            self.scratch.shrink_to(KEEP_SCRATCH);
            let mut piece = std::mem::take(&mut self.piece);
            // What waits is counted by its length, so it shall be no longer.
            piece.bytes.shrink_to_fit();
            self.queue.offer(piece, self.limits);
        }
    }
}

impl Drop for SpanWriter {
    fn drop(&mut self) {
        self.flush();
    }
}
