//! What is to be written: frames one behind the other.

use crate::code::Code;
use crate::event::Finish;
use crate::frame::{self, HEADER, Header, MAX_FRAME, flag, kind};

#[derive(Debug, Default)]
pub(crate) struct Output {
    bytes: Vec<u8>,
    /// How much of it was written.
    at: usize,
    /// What was written and taken out, to tell where a frame stands now.
    gone: u64,
    /// Acknowledgements and resets since the peer last had read everything.
    acks: u32,
}

/// Where a frame stands, counted from the beginning of the connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place(u64);

/// Written bytes that may stand before the rest; more, and the rest is moved.
const MOVED_AT: usize = 32 * 1024;

impl Output {
    #[inline]
    pub(crate) fn pending(&self) -> &[u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.bytes.len() - self.at
    }

    pub(crate) fn acks(&self) -> u32 {
        self.acks
    }

    pub(crate) fn wrote(&mut self, n: usize) {
        self.at = (self.at + n).min(self.bytes.len());
        if self.at == self.bytes.len() {
            self.acks = 0;
        } else if self.at < MOVED_AT || self.at * 2 < self.bytes.len() {
            return;
        }
        self.gone += self.at as u64;
        self.bytes.drain(..self.at);
        self.at = 0;
    }

    /// Gives the memory back that is not needed right now.
    pub(crate) fn shrink(&mut self) {
        self.bytes.shrink_to(0);
    }

    /// Direct access, for what has no method of its own.
    pub(crate) fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// A frame that answers one of the peer's; those are counted.
    pub(crate) fn ack(&mut self, head: (u8, u8, u32), payload: &[u8]) {
        self.acks = self.acks.saturating_add(1);
        frame::small(&mut self.bytes, head, payload);
    }

    pub(crate) fn reset(&mut self, stream: u32, code: Code) {
        self.ack((kind::RST_STREAM, 0, stream), &code.0.to_be_bytes());
    }

    pub(crate) fn window_update(&mut self, stream: u32, by: u32) {
        frame::small(&mut self.bytes, (kind::WINDOW_UPDATE, 0, stream), &by.to_be_bytes());
    }

    /// One frame of data, at most [`MAX_FRAME`] long.
    #[inline]
    pub(crate) fn data(&mut self, stream: u32, data: &[u8], finish: Finish) -> Place {
        let place = self.end();
        let flags = if finish == Finish::Now { flag::END_STREAM } else { 0 };
        let len = u32::try_from(data.len()).unwrap_or(0);
        self.bytes.extend_from_slice(&Header { len, kind: kind::DATA, flags, stream }.bytes());
        self.bytes.extend_from_slice(data);
        place
    }

    /// Begins a block: what is appended to [`Output::bytes`] until [`Output::end_block`] is in it.
    #[inline]
    pub(crate) fn begin_block(&mut self) -> Place {
        let place = self.end();
        self.bytes.extend_from_slice(&[0; HEADER]);
        place
    }

    /// Ends a block: it becomes a frame of HEADERS, and frames of CONTINUATION where it is too long for one.
    #[inline]
    pub(crate) fn end_block(&mut self, place: Place, stream: u32, finish: Finish) {
        let Some(start) = self.index(place) else { return };
        let len = self.bytes.len().saturating_sub(start + HEADER);
        let flags = if finish == Finish::Now { flag::END_STREAM } else { 0 };
        if len > MAX_FRAME as usize {
            return self.split(start, stream, flags);
        }
        let len = u32::try_from(len).unwrap_or(0);
        let header = Header { len, kind: kind::HEADERS, flags: flags | flag::END_HEADERS, stream };
        if let Some(room) = self.bytes.get_mut(start..start + HEADER) {
            room.copy_from_slice(&header.bytes());
        }
    }

    #[cold]
    fn split(&mut self, start: usize, stream: u32, flags: u8) {
        let block = self.bytes.split_off(start + HEADER);
        self.bytes.truncate(start);
        let mut pieces = block.chunks(MAX_FRAME as usize).peekable();
        let (mut kind, mut flags) = (kind::HEADERS, flags);
        while let Some(piece) = pieces.next() {
            if pieces.peek().is_none() {
                flags |= flag::END_HEADERS;
            }
            frame::small(&mut self.bytes, (kind, flags, stream), piece);
            (kind, flags) = (kind::CONTINUATION, 0);
        }
    }

    /// Has the frame that stands there end its stream; false if part of it was written already.
    pub(crate) fn end_stream_at(&mut self, place: Place) -> bool {
        let flags = self.index(place).and_then(|start| self.bytes.get_mut(start + 4));
        if let Some(flags) = flags {
            *flags |= flag::END_STREAM;
            return true;
        }
        false
    }

    #[inline]
    fn end(&self) -> Place {
        Place(self.gone + self.bytes.len() as u64)
    }

    /// Where the frame stands in the buffer, if nothing of it was written.
    #[inline]
    fn index(&self, place: Place) -> Option<usize> {
        let index = usize::try_from(place.0.checked_sub(self.gone)?).ok()?;
        (index >= self.at).then_some(index)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn ends_a_stream_on_its_last_frame_while_none_of_it_was_written() {
        let mut output = Output::default();
        let first = output.data(1, b"one", Finish::Later);
        let second = output.data(1, b"two", Finish::Later);
        output.wrote(1);
        assert!(!output.end_stream_at(first));
        assert!(output.end_stream_at(second));
        assert_eq!(output.pending().get(11..).unwrap(), [0, 0, 3, 0, 1, 0, 0, 0, 1, b't', b'w', b'o']);
        output.wrote(11 + 12);
        assert!(!output.end_stream_at(second));
        let third = output.data(1, b"three", Finish::Later);
        assert!(output.end_stream_at(third));
    }

    #[test]
    fn splits_a_block_that_is_too_long_for_a_frame() {
        let mut output = Output::default();
        output.data(1, b"x", Finish::Later);
        let place = output.begin_block();
        output.bytes().resize(19 + 40_000, 7);
        output.end_block(place, 3, Finish::Now);
        let mut rest = output.pending().get(10..).unwrap();
        let mut frames = Vec::new();
        while let Some(header) = Header::read(rest) {
            frames.push((header.kind, header.flags, header.stream, header.len));
            rest = rest.get(HEADER + header.len as usize..).unwrap();
        }
        assert_eq!(frames, [(1, 1, 3, 16_384), (9, 0, 3, 16_384), (9, 4, 3, 40_000 - 32_768)]);
    }
}
