//! Read buffers, and the stock of them that a worker keeps.

use std::cell::RefCell;

/// Room for a read: most heads with a small body fit whole.
pub(crate) const SMALL: usize = 16 * 1024;

/// Room for a read of a long body: fewer system calls for the same bytes, and still within the second-level cache.
pub(crate) const LARGE: usize = 256 * 1024;

/// Buffers of each size that a worker keeps: beyond it they go back to the allocator.
const STOCK: usize = 64;

/// Bytes that were read and not yet used: `start..end` of an initialised block.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    block: Vec<u8>,
    start: usize,
    end: usize,
}

impl Buffer {
    pub(crate) fn filled(&self) -> &[u8] {
        self.block.get(self.start..self.end).unwrap_or_default()
    }

    pub(crate) fn len(&self) -> usize {
        self.end - self.start
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    pub(crate) fn capacity(&self) -> usize {
        self.block.len()
    }

    /// Drops the first `len` bytes.
    #[inline]
    pub(crate) fn consume(&mut self, len: usize) {
        self.start = (self.start + len).min(self.end);
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
        }
    }

    /// Room for more; what is there moves to the front first when the end is reached.
    #[inline]
    pub(crate) fn room(&mut self) -> &mut [u8] {
        if self.end == self.block.len() && self.start > 0 {
            self.block.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        self.block.get_mut(self.end..).unwrap_or_default()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.len() == self.block.len()
    }

    /// Counts `len` bytes of the room as filled.
    #[inline]
    pub(crate) fn fill(&mut self, len: usize) {
        self.end = (self.end + len).min(self.block.len());
    }

    /// Makes the block at least `capacity` large.
    pub(crate) fn grow(&mut self, capacity: usize) {
        if self.block.len() < capacity {
            self.block.resize(capacity, 0);
        }
    }

    fn clear(&mut self) {
        self.start = 0;
        self.end = 0;
    }
}

/// A worker's stock of buffers. Taking one and giving it back costs a push and a pop, and the block that was used
/// last is the one that is still in the cache.
#[derive(Debug, Default)]
pub(crate) struct Stock {
    small: RefCell<Vec<Buffer>>,
    large: RefCell<Vec<Buffer>>,
}

impl Stock {
    /// An empty buffer of [`SMALL`] bytes.
    pub(crate) fn small(&self) -> Buffer {
        self.small.borrow_mut().pop().unwrap_or_else(|| Buffer { block: vec![0; SMALL], start: 0, end: 0 })
    }

    /// An empty buffer of [`LARGE`] bytes.
    pub(crate) fn large(&self) -> Buffer {
        self.large.borrow_mut().pop().unwrap_or_else(|| Buffer { block: vec![0; LARGE], start: 0, end: 0 })
    }

    /// Takes a buffer back. One that grew to another size is not kept.
    pub(crate) fn give_back(&self, mut buffer: Buffer) {
        buffer.clear();
        let shelf = match buffer.capacity() {
            SMALL => &self.small,
            LARGE => &self.large,
            _ => return,
        };
        let mut shelf = shelf.borrow_mut();
        if shelf.len() < STOCK {
            shelf.push(buffer);
        }
    }
}
