//! Streams: what is known of each, and where each is found.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};

use loadweaver_http1::{Headers, Method, RequestHead, ResponseHead};

use crate::code::Code;
use crate::error::Refusal;
use crate::event::StreamId;
use crate::output::Place;
use crate::window::Window;

/// One stream, from its first head until it is released.
#[derive(Debug)]
pub(crate) struct Stream {
    /// Zero while the place is free.
    pub(crate) number: u32,
    pub(crate) receiving: Receiving,
    /// We have ended our side.
    pub(crate) sent_all: bool,
    pub(crate) reset: Option<(Code, By)>,
    pub(crate) send_window: Window,
    pub(crate) receive_window: Window,
    /// Bytes of the body that were announced and have not come yet.
    pub(crate) expected: Option<u64>,
    /// Of the request: it decides whether the answer has a body.
    pub(crate) method: Method,
    pub(crate) inbox: Inbox,
    pub(crate) request: Option<Box<RequestHead>>,
    pub(crate) refusal: Option<Refusal>,
    pub(crate) responses: VecDeque<Box<ResponseHead>>,
    pub(crate) interims: u32,
    pub(crate) trailers: Option<Headers>,
    pub(crate) told: Told,
    /// The last frame of ours that may carry the end.
    pub(crate) last_frame: Option<Place>,
}

/// How far the peer's message has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Receiving {
    Head,
    Body,
    Ended,
}

/// Who has reset a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    Us,
    Peer,
    /// The end of the connection, with all of its streams.
    Connection,
}

/// What of a stream stands in a queue already.
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, none of which rules out another")]
pub(crate) struct Told {
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    /// Waits for its own window.
    pub(crate) waits_window: bool,
    /// Waits in the queue for the connection's window, or for the output.
    pub(crate) waits_turn: bool,
}

impl Stream {
    fn vacant() -> Self {
        Self {
            number: 0,
            receiving: Receiving::Head,
            sent_all: false,
            reset: None,
            send_window: Window::new(0),
            receive_window: Window::new(0),
            expected: None,
            method: Method::default(),
            inbox: Inbox::default(),
            request: None,
            refusal: None,
            responses: VecDeque::new(),
            interims: 0,
            trailers: None,
            told: Told::default(),
            last_frame: None,
        }
    }

    /// Neither side has anything more to say.
    pub(crate) fn is_over(&self) -> bool {
        self.reset.is_some() || (self.sent_all && self.receiving == Receiving::Ended)
    }
}

/// Data that came and was not read yet. It has memory only while it has data.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    bytes: Vec<u8>,
    at: usize,
}

impl Inbox {
    #[inline]
    pub(crate) fn pending(&self) -> &[u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.bytes.len() - self.at
    }

    #[inline]
    pub(crate) fn push(&mut self, data: &[u8], spare: &mut Vec<Vec<u8>>) {
        if self.bytes.capacity() == 0 {
            self.bytes = spare.pop().unwrap_or_default();
        }
        if self.at > 0 && self.bytes.len() + data.len() > self.bytes.capacity() {
            self.bytes.drain(..self.at);
            self.at = 0;
        }
        self.bytes.extend_from_slice(data);
    }

    #[inline]
    pub(crate) fn consume(&mut self, n: usize, spare: &mut Vec<Vec<u8>>) {
        self.at = (self.at + n).min(self.bytes.len());
        if self.at == self.bytes.len() {
            self.clear(spare);
        }
    }

    pub(crate) fn clear(&mut self, spare: &mut Vec<Vec<u8>>) {
        self.at = 0;
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.clear();
        if bytes.capacity() > 0 && spare.len() < SPARE_INBOXES {
            bytes.shrink_to(SPARE_INBOX);
            spare.push(bytes);
        }
    }
}

/// Buffers for data that are kept for the next streams, and the size of each.
const SPARE_INBOXES: usize = 4;
const SPARE_INBOX: usize = 64 * 1024;

/// The streams that were not released yet.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    slots: Vec<Stream>,
    free: Vec<u32>,
    by_number: HashMap<u32, u32, BuildHasherDefault<Spread>>,
}

impl Streams {
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    #[inline]
    pub(crate) fn find(&self, number: u32) -> Option<StreamId> {
        self.by_number.get(&number).map(|slot| StreamId { number, slot: *slot })
    }

    #[inline]
    pub(crate) fn get(&self, id: StreamId) -> Option<&Stream> {
        self.slots.get(id.slot as usize).filter(|stream| stream.number == id.number)
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, id: StreamId) -> Option<&mut Stream> {
        self.slots.get_mut(id.slot as usize).filter(|stream| stream.number == id.number)
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (StreamId, &mut Stream)> {
        let numbered = self.slots.iter_mut().zip(0..).filter(|(stream, _)| stream.number != 0);
        numbered.map(|(stream, slot)| (StreamId { number: stream.number, slot }, stream))
    }

    /// A new stream with these windows for sending and receiving.
    pub(crate) fn insert(&mut self, number: u32, send: u32, receive: u32) -> (StreamId, &mut Stream) {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Stream::vacant());
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
        });
        self.by_number.insert(number, slot);
        let stream = self.slots.get_mut(slot as usize).expect("a free slot is one of the slots");
        stream.number = number;
        stream.send_window = Window::new(send);
        stream.receive_window = Window::new(receive);
        (StreamId { number, slot }, stream)
    }

    /// Forgets a stream; the caller has taken out of it what is to be kept.
    pub(crate) fn remove(&mut self, id: StreamId) {
        let Some(stream) = self.get_mut(id) else { return };
        let responses = std::mem::take(&mut stream.responses);
        *stream = Stream { responses, ..Stream::vacant() };
        stream.responses.clear();
        self.by_number.remove(&id.number);
        self.free.push(id.slot);
    }

    /// Gives memory back where nothing is alive.
    pub(crate) fn shrink(&mut self) {
        if self.len() == 0 {
            *self = Self::default();
        }
    }
}

/// Spreads the numbers of streams, which the peer may choose, over the table. Whoever finds numbers that fall together
/// gains nothing to speak of: there are as many as there are streams.
#[derive(Debug, Default)]
pub(crate) struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u32(u32::from(*byte));
        }
    }

    #[inline]
    fn write_u32(&mut self, number: u32) {
        self.0 = (self.0 ^ u64::from(number)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 ^= self.0 >> 32;
    }
}

/// Streams that are over and released, as far back as frames for them may still be on their way.
#[derive(Debug, Default)]
pub(crate) struct Departed {
    last: VecDeque<(u32, By)>,
    forgotten: bool,
}

/// What is known of a stream that is no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The peer ended or reset it: nothing may follow.
    EndedByPeer,
    /// We have reset it: frames that were on their way are ignored.
    ResetByUs,
    /// It was passed over by a higher number, and never was.
    Skipped,
    /// Too long ago.
    Forgotten,
}

/// How many are remembered.
const REMEMBERED: usize = 256;

impl Departed {
    #[inline]
    pub(crate) fn note(&mut self, number: u32, by: By) {
        if self.last.len() == REMEMBERED {
            self.last.pop_front();
            self.forgotten = true;
        }
        self.last.push_back((number, by));
    }

    pub(crate) fn fate(&self, number: u32) -> Fate {
        match self.last.iter().rev().find(|(known, _)| *known == number) {
            Some((_, By::Peer)) => Fate::EndedByPeer,
            Some((_, By::Us | By::Connection)) => Fate::ResetByUs,
            None if self.forgotten => Fate::Forgotten,
            None => Fate::Skipped,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_handle_of_a_stream_that_is_gone_finds_nothing() {
        let mut streams = Streams::default();
        let (one, _) = streams.insert(1, 0, 0);
        streams.remove(one);
        let (three, _) = streams.insert(3, 0, 0);
        assert_eq!(one.slot, three.slot);
        assert!(streams.get(one).is_none() && streams.find(1).is_none());
        assert_eq!(streams.find(3), Some(three));
        assert_eq!(streams.len(), 1);
    }

    #[test]
    fn an_inbox_gives_its_memory_back_when_it_is_empty() {
        let (mut inbox, mut spare) = (Inbox::default(), Vec::new());
        inbox.push(b"hello", &mut spare);
        inbox.consume(2, &mut spare);
        inbox.push(b"!", &mut spare);
        assert_eq!(inbox.pending(), b"llo!");
        inbox.consume(4, &mut spare);
        assert_eq!((inbox.len(), inbox.bytes.capacity(), spare.len()), (0, 0, 1));
    }

    #[test]
    fn remembers_how_streams_ended() {
        let mut departed = Departed::default();
        departed.note(1, By::Peer);
        departed.note(5, By::Us);
        assert_eq!([1, 3, 5].map(|n| departed.fate(n)), [Fate::EndedByPeer, Fate::Skipped, Fate::ResetByUs]);
        for number in 0..300 {
            departed.note(2 * number + 7, By::Us);
        }
        assert_eq!(departed.fate(3), Fate::Forgotten);
    }
}
