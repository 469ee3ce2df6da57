//! The last events, within a number and an amount of memory.

use std::collections::VecDeque;
use std::sync::Arc;

use super::{Filter, StampedEvent};

/// Events that are kept: at one a second almost three hours, on a quiet node months.
pub const HISTORY: usize = 10_000;
/// About how many bytes they may hold together, 16 MiB: most events are under 300 bytes, so that only a flood of
/// refused configurations or long reasons makes this the limit.
pub const HISTORY_BYTES: usize = 16 * 1024 * 1024;

/// The oldest first.
#[derive(Debug, Default)]
pub(super) struct History {
    kept: VecDeque<Kept>,
    bytes: usize,
    last: u64,
}

#[derive(Debug)]
struct Kept {
    event: Arc<StampedEvent>,
    bytes: usize,
}

impl History {
    /// The id of the last event; 0 before the first.
    pub(super) fn last(&self) -> u64 {
        self.last
    }

    /// Takes the next event, whose texts have so many bytes, and lets go of the oldest that have no room.
    pub(super) fn push(&mut self, event: Arc<StampedEvent>, texts: usize) {
        let bytes = size_of::<StampedEvent>() + size_of::<Kept>() + texts;
        while self.kept.len() >= HISTORY || (self.bytes + bytes > HISTORY_BYTES && !self.kept.is_empty()) {
            self.bytes -= self.kept.pop_front().map_or(0, |oldest| oldest.bytes);
        }
        self.bytes += bytes;
        self.last = event.id;
        self.kept.push_back(Kept { event, bytes });
    }

    /// Those after an id, the oldest first. An id that was not given out yet (it comes from an earlier life of the
    /// process) asks for everything.
    pub(super) fn since(&self, id: u64) -> impl DoubleEndedIterator<Item = &Arc<StampedEvent>> {
        let id = if id > self.last { 0 } else { id };
        // Ids have no gaps, so that the place is a subtraction.
        let newer = usize::try_from(self.last - id).unwrap_or(usize::MAX);
        let skipped = self.kept.len().saturating_sub(newer);
        self.kept.iter().skip(skipped).map(|kept| &kept.event)
    }

    /// The last `count` of those after an id that pass, the newest first.
    pub(super) fn matching(&self, filter: &Filter, after: u64, count: usize) -> Vec<Arc<StampedEvent>> {
        self.since(after).rev().filter(|each| filter.passes(&each.event)).take(count).cloned().collect()
    }
}
