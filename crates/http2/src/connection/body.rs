//! Bodies, handed out, and the windows that are opened for it: RFC 9113 section 6.9.

use loadweaver_http1::Headers;

use super::Connection;
use crate::code::Code;
use crate::event::{Read, StreamId};
use crate::stream::Receiving;
use crate::window;

impl Connection {
    /// Reads on in a stream's body.
    pub fn read(&mut self, id: StreamId, into: &mut [u8]) -> Read {
        let Some(stream) = self.streams.get(id) else { return Read::Reset(Code::CANCEL) };
        let data = stream.inbox.pending();
        if !data.is_empty() {
            let len = data.len().min(into.len());
            if let (Some(to), Some(from)) = (into.get_mut(..len), data.get(..len)) {
                to.copy_from_slice(from);
            }
            self.consume(id, len);
            return Read::Bytes(len);
        }
        match (stream.receiving, stream.reset) {
            (Receiving::Ended, _) => Read::End,
            (_, Some((code, _))) => Read::Reset(code),
            _ => Read::Pending,
        }
    }

    /// What a read would give, without a copy.
    #[inline]
    pub fn peek(&self, id: StreamId) -> &[u8] {
        self.streams.get(id).map(|stream| stream.inbox.pending()).unwrap_or_default()
    }

    /// Takes the first `n` bytes of what [`Self::peek`] has shown as read.
    pub fn consume(&mut self, id: StreamId, n: usize) {
        let Some(stream) = self.streams.get_mut(id) else { return };
        let n = n.min(stream.inbox.len());
        stream.inbox.consume(n, &mut self.spare.inboxes);
        self.buffered -= n;
        self.open_stream_window(id);
        self.open_connection_window();
        self.tell_room_if_any();
    }

    /// The body's trailers, once it has ended.
    pub fn trailers(&mut self, id: StreamId) -> Option<Headers> {
        self.streams.get_mut(id)?.trailers.take()
    }

    /// Bytes that wait to be read, of all streams.
    pub fn buffered(&self) -> usize {
        self.buffered
    }

    /// Lets the peer send more on a stream whose reader has read. Half of what it may have is worth a frame; and only
    /// what may still come is.
    fn open_stream_window(&mut self, id: StreamId) {
        let crowded = self.buffered > self.limits.buffered / 2;
        let wanted = if crowded { self.limits.first_window() } else { self.limits.stream_window };
        let Some(stream) = self.streams.get_mut(id) else { return };
        let window = stream.receive_window.size();
        let enough = stream.expected.is_some_and(|left| i64::try_from(left).is_ok_and(|left| left <= window));
        if stream.receiving != Receiving::Body || stream.reset.is_some() || enough {
            return;
        }
        let held = i64::try_from(stream.inbox.len()).unwrap_or(window::MAX);
        let by = i64::from(wanted) - held - window;
        if by >= i64::from(wanted / 2)
            && let Ok(by) = u32::try_from(by)
            && stream.receive_window.shift(i64::from(by)).is_ok()
        {
            self.output.window_update(id.number, by);
        }
    }

    /// Lets the peer send more on the connection. That does not wait for readers: one that does not read would have all
    /// others wait with it. It waits when what is unread comes to the limit.
    pub(super) fn open_connection_window(&mut self) {
        let room = self.limits.buffered.saturating_sub(self.buffered);
        let wanted = i64::from(self.limits.connection_window).min(i64::try_from(room).unwrap_or(window::MAX));
        let by = wanted - self.receive_window.size();
        if by >= i64::from(self.limits.connection_window / 2)
            && let Ok(by) = u32::try_from(by)
            && self.receive_window.shift(i64::from(by)).is_ok()
        {
            self.output.window_update(0, by);
        }
    }
}
