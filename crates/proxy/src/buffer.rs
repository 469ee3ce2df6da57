//! Read buffers, and the stock of them that a worker keeps.
//!
//! A buffer has a block of memory only while there are bytes in it: the block is taken when the kernel has bytes for
//! us and given back when they are used. So thousands of connections that wait for something share a few blocks, and
//! the block that a read goes to is nearly always the one that was used last and is still in the cache.

use std::cell::RefCell;
use std::num::NonZeroUsize;

use crate::stream::pipe::Pipes;

/// Room for a read: most heads with a small body fit whole.
pub(crate) const SMALL: usize = 16 * 1024;

/// Room for a read of a long body: fewer system calls for the same bytes, and still within the second-level cache.
pub(crate) const LARGE: usize = 256 * 1024;

/// Bytes that may wait in a block of their own size, see [`Buffer::shrink`], and bytes that are read for a receiver that
/// takes none.
pub(crate) const FEW: usize = 2 * 1024;

/// Blocks of each size that a worker keeps: beyond it they go back to the allocator.
const STOCK: usize = 64;

/// Bytes that were read and not yet used: `start..end` of an initialised block, or of none at all.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    block: Vec<u8>,
    start: usize,
    end: usize,
    large: bool,
    /// Bytes that may stand in it, if that is less than there is room for.
    most: Option<NonZeroUsize>,
}

impl Buffer {
    pub(crate) fn filled(&self) -> &[u8] {
        self.block.get(self.start..self.end).unwrap_or_default()
    }

    pub(crate) fn filled_mut(&mut self) -> &mut [u8] {
        self.block.get_mut(self.start..self.end).unwrap_or_default()
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
        let end = self.most.map_or(self.block.len(), |most| self.block.len().min(self.start + most.get()));
        self.block.get_mut(self.end..end).unwrap_or_default()
    }

    /// Has the next read bring no more than so many bytes, or as many as it can.
    #[inline]
    pub(crate) fn bring_at_most(&mut self, bytes: Option<usize>) {
        self.most = bytes.and_then(|bytes| NonZeroUsize::new(self.len() + bytes));
    }

    /// Moves what stands in it to the front, so that all the room there is lies behind it.
    pub(crate) fn compact(&mut self) {
        if self.start > 0 {
            self.block.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
    }

    /// Whether a read has somewhere to go: into the block, or into one that it gets for it.
    pub(crate) fn takes_more(&self) -> bool {
        !self.has_block() || self.len() < self.block.len()
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

    /// Makes sure that there is a block.
    #[inline]
    pub(crate) fn acquire(&mut self, stock: &Stock) {
        if self.block.is_empty() {
            self.block = stock.take(if self.large { LARGE } else { SMALL });
        }
    }

    /// Whether there is a block.
    #[inline]
    pub(crate) fn has_block(&self) -> bool {
        !self.block.is_empty()
    }

    /// Gives the block back if nothing stands in it.
    #[inline]
    pub(crate) fn release(&mut self, stock: &Stock) {
        if self.is_empty() && self.has_block() {
            stock.give_back(std::mem::take(&mut self.block));
        }
    }

    /// Moves a few bytes that wait for more into a block of their size, so that whoever says little and slowly does not
    /// hold a whole one.
    pub(crate) fn shrink(&mut self, stock: &Stock) {
        let len = self.len();
        if (1..=FEW).contains(&len) && self.capacity() == SMALL {
            let mut block = vec![0; (2 * len).next_power_of_two()];
            if let Some(front) = block.get_mut(..len) {
                front.copy_from_slice(self.filled());
            }
            stock.give_back(std::mem::replace(&mut self.block, block));
            (self.start, self.end) = (0, len);
        }
    }

    /// Undoes [`Buffer::shrink`] before a read: whoever goes on may have much to say.
    #[inline]
    pub(crate) fn expand(&mut self, stock: &Stock) {
        if self.has_block() && self.capacity() < SMALL {
            self.widen(stock);
        }
    }

    #[cold]
    fn widen(&mut self, stock: &Stock) {
        let mut block = stock.take(SMALL);
        let len = self.len();
        if let Some(front) = block.get_mut(..len) {
            front.copy_from_slice(self.filled());
        }
        self.block = block;
        (self.start, self.end) = (0, len);
    }

    /// Forgets what stands in it and gives the block back.
    pub(crate) fn discard(&mut self, stock: &Stock) {
        self.consume(self.len());
        self.release(stock);
    }

    /// Whether the next block will be a large one.
    pub(crate) fn prefers_large(&self) -> bool {
        self.large
    }

    /// Whether the next block shall be a large one: for a long body.
    pub(crate) fn prefer_large(&mut self, large: bool) {
        self.large = large;
    }
}

/// A worker's stock of blocks. Taking one and giving it back costs a pop and a push, and the block that was used
/// last is the one that is taken next.
#[derive(Debug, Default)]
pub(crate) struct Stock {
    small: RefCell<Vec<Vec<u8>>>,
    large: RefCell<Vec<Vec<u8>>>,
    pub(crate) pipes: Pipes,
}

impl Stock {
    fn take(&self, size: usize) -> Vec<u8> {
        let blocks = if size == SMALL { &self.small } else { &self.large };
        blocks.borrow_mut().pop().unwrap_or_else(|| vec![0; size])
    }

    /// Takes a block back. One that grew to another size is not kept.
    fn give_back(&self, block: Vec<u8>) {
        let blocks = match block.len() {
            SMALL => &self.small,
            LARGE => &self.large,
            _ => return,
        };
        let mut kept = blocks.borrow_mut();
        if kept.len() < STOCK {
            kept.push(block);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holding(stock: &Stock, bytes: &[u8]) -> Buffer {
        let mut buffer = Buffer::default();
        buffer.acquire(stock);
        buffer.room().get_mut(..bytes.len()).expect("there is room").copy_from_slice(bytes);
        buffer.fill(bytes.len());
        buffer
    }

    #[test]
    fn what_waits_moves_to_a_block_of_its_size_and_back() {
        let stock = Stock::default();
        let mut buffer = holding(&stock, b"--GET / HTTP/1.1");
        buffer.consume(2);
        buffer.shrink(&stock);
        assert_eq!((buffer.filled(), buffer.capacity()), (&b"GET / HTTP/1.1"[..], 32));
        assert_eq!(stock.small.borrow().len(), 1, "the block is free again");
        buffer.expand(&stock);
        assert_eq!((buffer.filled(), buffer.capacity()), (&b"GET / HTTP/1.1"[..], SMALL));
        assert_eq!(stock.small.borrow().len(), 0);
        buffer.discard(&stock);
        assert_eq!(stock.small.borrow().len(), 1);
    }

    #[test]
    fn a_block_of_another_size_never_gets_into_the_stock() {
        let stock = Stock::default();
        let mut buffer = holding(&stock, b"few");
        buffer.shrink(&stock);
        buffer.discard(&stock);
        assert!(stock.small.borrow().iter().all(|block| block.len() == SMALL));
    }

    #[test]
    fn much_and_nothing_stay_where_they_are() {
        let stock = Stock::default();
        let mut much = holding(&stock, &[b'x'; FEW + 1]);
        much.shrink(&stock);
        assert_eq!(much.capacity(), SMALL);
        let mut none = Buffer::default();
        none.shrink(&stock);
        none.expand(&stock);
        assert!(!none.has_block());
    }
}
