//! Blocks, written.
//!
//! A field goes into the table when it comes a second time: what never comes again (ids, lengths, tags) then never
//! pushes out what does, and no list of names has to be right for that. Both "have I seen this line" and "is it in the
//! table" are one look into a small array by the line's hash; a line is compared as it came, upper case and all, so a
//! field that is in the table costs neither a look at its name nor a change of its case.

use loadweaver_http1::Name;

use super::kind::Kind;
use super::static_table::{self, Habit};
use super::table::Table;
use super::{TABLE_SIZE, integer};

/// Writes the blocks of one direction of a connection.
#[derive(Debug)]
pub(crate) struct Encoder {
    table: Table,
    /// By a line's hash: the number of its entry.
    numbers: Vec<u32>,
    /// By a line's hash: the rest of the hash of the line that came last.
    seen: Vec<u32>,
    /// A name in lower case.
    name: Vec<u8>,
    /// The smallest and the last limit that the peer has set since the last block.
    resized: Option<(usize, usize)>,
}

/// Places for hashes. More lines than this in turn, and some are written out anew now and then.
const PLACES: usize = 1 << PLACE_BITS;
const PLACE_BITS: u32 = 7;

/// The largest share of the table that one field gets; a larger one would push everything else out.
const LARGEST: usize = TABLE_SIZE / 4;

impl Encoder {
    pub(crate) fn new() -> Self {
        Self { table: Table::new(), numbers: Vec::new(), seen: Vec::new(), name: Vec::new(), resized: None }
    }

    /// The peer's limit for the table. We never use more than the default.
    pub(crate) fn set_limit(&mut self, limit: usize) {
        let limit = limit.min(TABLE_SIZE);
        let before = self.resized.map_or(self.table.limit(), |(_, last)| last);
        if limit != before {
            let smallest = self.resized.map_or(limit, |(smallest, _)| smallest.min(limit));
            self.resized = Some((smallest, limit));
        }
    }

    /// Begins a block: the peer must hear of new limits first (RFC 7541 section 4.2).
    #[inline]
    pub(crate) fn begin(&mut self, out: &mut Vec<u8>) {
        if let Some((smallest, last)) = self.resized.take() {
            for limit in [Some(smallest), (last != smallest).then_some(last)].into_iter().flatten() {
                self.table.set_limit(limit);
                integer::write(out, 5, 0x20, limit);
            }
        }
        if self.numbers.is_empty() {
            self.numbers.resize(PLACES, 0);
            self.seen.resize(PLACES, 0);
        }
    }

    /// Writes an entry of the static table.
    #[inline]
    pub(crate) fn indexed(out: &mut Vec<u8>, index: u8) {
        out.push(0x80 | index);
    }

    #[inline]
    pub(crate) fn status(out: &mut Vec<u8>, status: u16) {
        let index = match status {
            200 => 8,
            204 => 9,
            206 => 10,
            304 => 11,
            400 => 12,
            404 => 13,
            500 => 14,
            _ => {
                let digit = |value: u16| b'0' + u8::try_from(value % 10).unwrap_or(0);
                // The name of entry 8, and three letters, in no table.
                return out.extend_from_slice(&[
                    8,
                    3,
                    digit(status / 100),
                    digit(status / 10),
                    digit(status),
                ]);
            }
        };
        Self::indexed(out, index);
    }

    /// Writes a field that stands as the line `name: value CRLF`; the name may have upper case.
    #[inline]
    pub(crate) fn line(
        &mut self,
        out: &mut Vec<u8>,
        known: Name,
        line: &[u8],
        name_len: usize,
        secret: bool,
    ) {
        if known == Name::ContentLength {
            // The name of entry 28, in no table; 15 of it stand in the first byte.
            out.extend_from_slice(&[0x0f, 28 - 15]);
            return text(out, value_of(line, name_len));
        }
        if secret {
            return self.literal(out, line, name_len, Habit::Never);
        }
        let hash = hash(line);
        let place = usize::try_from(hash >> (64 - PLACE_BITS)).unwrap_or(0);
        let number = self.numbers.get(place).copied().unwrap_or(0);
        if let Some(index) = self.table.index_of(number)
            && let Some((_, entry)) = self.table.get(index)
            && entry == line
        {
            return integer::write(out, 7, 0x80, index + static_table::LEN + 1);
        }
        self.unknown(out, line, name_len, hash);
    }

    /// A line that is not in the table.
    fn unknown(&mut self, out: &mut Vec<u8>, line: &[u8], name_len: usize, hash: u64) {
        let place = usize::try_from(hash >> (64 - PLACE_BITS)).unwrap_or(0);
        let rest = u32::try_from(hash & 0xffff_ffff).unwrap_or(0) | 1;
        let (index, habit) = self.lower(line, name_len);
        let worth = habit == Habit::Repeats && line.len() <= LARGEST && self.table.limit() >= TABLE_SIZE / 8;
        if worth && let Some(seen) = self.seen.get_mut(place) {
            if *seen == rest {
                integer::write(out, 6, 0x40, index);
                self.named(out, index);
                text(out, value_of(line, name_len));
                self.table.insert(line, name_len, Kind::Field(Name::Other), true);
                if let Some(number) = self.numbers.get_mut(place) {
                    *number = self.table.inserted();
                }
                return;
            }
            *seen = rest;
        }
        self.literal_named(out, (line, name_len), index, habit);
    }

    fn literal(&mut self, out: &mut Vec<u8>, line: &[u8], name_len: usize, habit: Habit) {
        let (index, _) = self.lower(line, name_len);
        self.literal_named(out, (line, name_len), index, habit);
    }

    fn literal_named(&self, out: &mut Vec<u8>, (line, name_len): (&[u8], usize), index: usize, habit: Habit) {
        integer::write(out, 4, if habit == Habit::Never { 0x10 } else { 0 }, index);
        self.named(out, index);
        text(out, value_of(line, name_len));
    }

    /// Puts the name in lower case aside, and looks for it in the static table.
    fn lower(&mut self, line: &[u8], name_len: usize) -> (usize, Habit) {
        let name = line.get(..name_len).unwrap_or_default();
        self.name.clear();
        self.name.extend(name.iter().map(u8::to_ascii_lowercase));
        static_table::name(&self.name)
    }

    #[inline]
    fn named(&self, out: &mut Vec<u8>, index: usize) {
        if index == 0 {
            text(out, &self.name);
        }
    }
}

#[inline]
fn value_of(line: &[u8], name_len: usize) -> &[u8] {
    line.get(name_len + 2..line.len().saturating_sub(2)).unwrap_or_default()
}

/// A string as it is.
#[inline]
fn text(out: &mut Vec<u8>, bytes: &[u8]) {
    integer::write(out, 7, 0, bytes.len());
    out.extend_from_slice(bytes);
}

/// Eight bytes at a time. Not keyed: a peer that finds lines with one hash gets them written in full.
#[inline]
fn hash(line: &[u8]) -> u64 {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut hash = (line.len() as u64).wrapping_mul(ODD);
    let mut take = |word: [u8; 8]| {
        hash = (hash.rotate_left(23) ^ u64::from_le_bytes(word)).wrapping_mul(ODD);
    };
    // A line has five bytes at least, and its last two say nothing.
    let text = line.get(..line.len().saturating_sub(2)).unwrap_or_default();
    let (words, _) = text.as_chunks::<8>();
    for word in words {
        take(*word);
    }
    if let Some(last) = text.last_chunk::<8>() {
        take(*last);
    } else {
        let mut word = [0; 8];
        for (to, from) in word.iter_mut().zip(text) {
            *to = *from;
        }
        take(word);
    }
    hash ^ (hash >> 29).wrapping_mul(ODD)
}
