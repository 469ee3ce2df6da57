//! The dynamic table: RFC 7541 section 2.3.2 and 4.
//!
//! Fields come in at one end and go at the other, so their lines lie one behind the other in one buffer. Room at its
//! beginning is taken back when the end is reached: a field moves at most once for each time that the table is filled
//! anew, and nothing is allocated once the buffer has its size.

use std::collections::VecDeque;

use super::TABLE_SIZE;
use super::kind::Kind;

/// What an entry costs beside its name and value (RFC 7541 section 4.1); a line has four bytes of its own already.
const OVERHEAD: usize = 32 - 4;

#[derive(Debug)]
pub(super) struct Table {
    lines: Vec<u8>,
    /// Where the oldest line begins.
    start: usize,
    /// Bytes that were taken off the front since the beginning, to tell where a line stands now.
    gone: usize,
    entries: VecDeque<Entry>,
    size: usize,
    limit: usize,
    inserted: u32,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    at: usize,
    len: usize,
    pub(super) name_len: usize,
    pub(super) kind: Kind,
    /// The value can go into a message.
    pub(super) sound: bool,
}

impl Table {
    pub(super) fn new() -> Self {
        Self {
            lines: Vec::new(),
            start: 0,
            gone: 0,
            entries: VecDeque::new(),
            size: 0,
            limit: TABLE_SIZE,
            inserted: 0,
        }
    }

    /// The entry with this index, which begins at zero with the newest.
    #[inline]
    pub(super) fn get(&self, index: usize) -> Option<(&Entry, &[u8])> {
        let place = self.entries.len().checked_sub(index + 1)?;
        let entry = self.entries.get(place)?;
        let at = entry.at - self.gone;
        Some((entry, self.lines.get(at..at + entry.len)?))
    }

    /// The index of the entry that was put in as the `number`th, counted from one, if it is still there.
    #[inline]
    pub(super) fn index_of(&self, number: u32) -> Option<usize> {
        let index = self.inserted.wrapping_sub(number) as usize;
        (index < self.entries.len()).then_some(index)
    }

    /// How many were put in so far.
    #[inline]
    pub(super) fn inserted(&self) -> u32 {
        self.inserted
    }

    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// Puts a line in; what is older has to go for it. One that is larger than the table empties it and is not kept
    /// (RFC 7541 section 4.4).
    pub(super) fn insert(&mut self, line: &[u8], name_len: usize, kind: Kind, sound: bool) {
        let size = line.len() + OVERHEAD;
        self.shrink_to(self.limit.saturating_sub(size));
        if size > self.limit {
            return;
        }
        if self.lines.len() + line.len() > 2 * TABLE_SIZE {
            self.lines.drain(..self.start);
            self.gone += self.start;
            self.start = 0;
        }
        let at = self.lines.len() + self.gone;
        self.lines.extend_from_slice(line);
        self.entries.push_back(Entry { at, len: line.len(), name_len, kind, sound });
        self.size += size;
        self.inserted = self.inserted.wrapping_add(1);
    }

    pub(super) fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
        self.shrink_to(limit);
    }

    fn shrink_to(&mut self, size: usize) {
        while self.size > size {
            let Some(oldest) = self.entries.pop_front() else { return };
            self.size -= oldest.len + OVERHEAD;
            self.start += oldest.len;
        }
        if self.entries.is_empty() {
            self.gone += self.lines.len();
            self.lines.clear();
            self.start = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use loadweaver_http1::Name;

    proptest::proptest! {
        #[test]
        fn holds_what_came_last_up_to_its_size(lens: Vec<(u16, bool)>) {
            let mut table = Table::new();
            let mut model: VecDeque<Vec<u8>> = VecDeque::new();
            for (number, (len, narrow)) in lens.into_iter().enumerate() {
                let len = usize::from(len) % if number % 7 == 0 { 6000 } else { 400 } + 4;
                let limit = if narrow { 1000 } else { TABLE_SIZE };
                table.set_limit(limit);
                let line = vec![u8::try_from(number % 256).unwrap(); len];
                table.insert(&line, 1, Kind::Field(Name::Other), true);
                model.push_front(line);
                while model.iter().map(|line| line.len() + OVERHEAD).sum::<usize>() > limit {
                    model.pop_back();
                }
                for (index, line) in model.iter().enumerate() {
                    proptest::prop_assert_eq!(table.get(index).unwrap().1, line);
                    let number = table.inserted() - u32::try_from(index).unwrap();
                    proptest::prop_assert_eq!(table.index_of(number), Some(index));
                }
                proptest::prop_assert!(table.get(model.len()).is_none());
            }
        }
    }
}
