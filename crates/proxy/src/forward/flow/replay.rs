//! What is kept of a body on its way to one server, for another one.

/// A copy of what a flow has taken, so that another attempt can send it again.
#[derive(Debug, Default)]
pub(crate) struct Replay {
    pub(super) kept: Vec<u8>,
    limit: usize,
}

impl Replay {
    /// Keeps up to `limit` bytes; with 0 nothing can be replayed once a byte was taken.
    pub(crate) fn new(limit: usize) -> Self {
        Self { kept: Vec::new(), limit }
    }

    pub(super) fn take(&mut self, piece: &[u8]) {
        if self.kept.len() + piece.len() <= self.limit {
            self.kept.extend_from_slice(piece);
        } else {
            self.give_up();
        }
    }

    /// From here on what was taken is lost.
    fn give_up(&mut self) {
        self.kept = Vec::new();
        self.limit = 0;
    }

    /// Whether nothing is kept, now or later.
    pub(super) fn is_over(&self) -> bool {
        self.limit == 0
    }

    /// Whether there is nothing to be sent again.
    pub(crate) fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// Whether another attempt can send the same body from its start, after a flow that took `taken` bytes.
    pub(crate) fn is_whole(&self, taken: u64) -> bool {
        self.kept.len() as u64 == taken
    }
}
