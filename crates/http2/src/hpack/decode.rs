//! Blocks, read: RFC 7541 section 6.

use super::kind::{Kind, is_sound_value};
use super::table::Table;
use super::{TABLE_SIZE, Undecodable, huffman, integer, static_table};

/// Reads the blocks of one direction of a connection.
#[derive(Debug)]
pub(crate) struct Decoder {
    table: Table,
    /// The line of a field that does not stand in a table.
    line: Vec<u8>,
    /// Sizes of the requests that were decoded lately, for whoever sets it back.
    pub(crate) decoded: usize,
}

/// What is left of a block.
#[derive(Debug)]
pub(crate) struct Block<'b> {
    rest: &'b [u8],
    began: bool,
}

/// A field, as its line.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field<'a> {
    pub(crate) line: &'a [u8],
    pub(crate) name_len: usize,
    pub(crate) kind: Kind,
    /// The value can go into a message.
    pub(crate) sound: bool,
    /// The sender wants it in no table (RFC 7541 section 6.2.3).
    pub(crate) secret: bool,
}

impl<'a> Field<'a> {
    #[inline]
    pub(crate) fn value(&self) -> &'a [u8] {
        self.line.get(self.name_len + 2..self.line.len().saturating_sub(2)).unwrap_or_default()
    }

    /// Its size by RFC 7541 section 4.1, which the limit on heads counts too.
    #[inline]
    pub(crate) fn size(&self) -> usize {
        self.line.len() + 28
    }
}

impl<'b> Block<'b> {
    pub(crate) fn new(bytes: &'b [u8]) -> Self {
        Self { rest: bytes, began: false }
    }
}

impl Decoder {
    pub(crate) fn new() -> Self {
        Self { table: Table::new(), line: Vec::new(), decoded: 0 }
    }

    /// Gives back what one unusually long field has claimed.
    pub(crate) fn shrink(&mut self) {
        self.line.clear();
        self.line.shrink_to(KEPT);
    }

    /// The next field of a block; none at its end.
    #[inline]
    pub(crate) fn next(&mut self, block: &mut Block<'_>) -> Result<Option<Field<'_>>, Undecodable> {
        while let Some(first) = block.rest.first().copied() {
            if first & 0x80 != 0 {
                block.began = true;
                let index = integer::read(&mut block.rest, 7)?;
                return self.indexed(index).map(Some);
            }
            if first & 0xe0 == 0x20 {
                self.resize(block)?;
                continue;
            }
            block.began = true;
            return self.literal(block, first).map(Some);
        }
        Ok(None)
    }

    #[inline]
    fn indexed(&self, index: usize) -> Result<Field<'_>, Undecodable> {
        if let Some(entry) = static_table::get(index) {
            let (line, name_len, kind) = (entry.line, entry.name_len, entry.kind);
            return Ok(Field { line, name_len, kind, sound: true, secret: false });
        }
        let index = index.checked_sub(static_table::LEN + 1).ok_or(Undecodable)?;
        let (entry, line) = self.table.get(index).ok_or(Undecodable)?;
        let (name_len, kind, sound) = (entry.name_len, entry.kind, entry.sound);
        Ok(Field { line, name_len, kind, sound, secret: false })
    }

    fn literal(&mut self, block: &mut Block<'_>, first: u8) -> Result<Field<'_>, Undecodable> {
        let keep = first & 0x40 != 0;
        let index = integer::read(&mut block.rest, if keep { 6 } else { 4 })?;
        let mut line = std::mem::take(&mut self.line);
        line.clear();
        let (name_len, kind) = if index == 0 {
            string(block, &mut line)?;
            (line.len(), Kind::of(&line))
        } else {
            let known = self.indexed(index)?;
            line.extend_from_slice(known.line.get(..known.name_len).unwrap_or_default());
            (known.name_len, known.kind)
        };
        line.extend_from_slice(b": ");
        let value_start = line.len();
        string(block, &mut line)?;
        let sound = is_sound_value(line.get(value_start..).unwrap_or_default());
        line.extend_from_slice(b"\r\n");
        if keep {
            self.table.insert(&line, name_len, kind, sound);
        }
        self.line = line;
        Ok(Field { line: &self.line, name_len, kind, sound, secret: first & 0x50 == 0x10 })
    }

    /// A size update stands at the beginning of a block only, and stays within what we have allowed: the default
    /// (RFC 7541 sections 4.2 and 6.3).
    fn resize(&mut self, block: &mut Block<'_>) -> Result<(), Undecodable> {
        let limit = integer::read(&mut block.rest, 5)?;
        if block.began || limit > TABLE_SIZE {
            return Err(Undecodable);
        }
        self.table.set_limit(limit);
        Ok(())
    }
}

/// Appends a string literal (RFC 7541 section 5.2).
fn string(block: &mut Block<'_>, out: &mut Vec<u8>) -> Result<(), Undecodable> {
    let first = *block.rest.first().ok_or(Undecodable)?;
    let len = integer::read(&mut block.rest, 7)?;
    let (text, rest) = block.rest.split_at_checked(len).ok_or(Undecodable)?;
    block.rest = rest;
    if first & 0x80 != 0 {
        return huffman::decode(text, out);
    }
    out.extend_from_slice(text);
    Ok(())
}

/// Bytes that are kept for lines.
const KEPT: usize = 1024;
