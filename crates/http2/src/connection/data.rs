//! DATA, received: RFC 9113 section 6.1.

use super::input::{DataFrame, Reading, at_most};
use super::{Connection, Found, PADDED};
use crate::code::Code;
use crate::error::{Abuse, Ended, Violation};
use crate::event::StreamId;
use crate::frame::{HEADER, Header, flag};
use crate::stream::{By, Fate, Receiving};

impl Connection {
    pub(super) fn data_frame(&mut self, header: Header, input: &[u8]) -> Result<Option<usize>, Ended> {
        let found = self.opened(header)?;
        let mut used = HEADER;
        let mut padding = 0;
        if header.has(PADDED) {
            if header.len == 0 {
                return Err(Violation::FrameSize.into());
            }
            let Some(len) = input.get(HEADER) else { return Ok(None) };
            padding = u32::from(*len);
            used += 1;
            if padding >= header.len {
                return Err(Violation::Padding.into());
            }
        }
        // Padding counts too, and so does what nobody wants (section 6.9.1).
        let size = header.len as usize;
        if size > self.receive_window.room() {
            return Err(Violation::WindowExceeded.into());
        }
        self.receive_window.spend(size);
        let left = header.len - padding - u32::from(header.has(PADDED));
        let ends = header.has(flag::END_STREAM);
        if left == 0 && !ends {
            self.count(Abuse::EmptyFrames)?;
        }
        let id = match found {
            Found::Alive(id) => self.admit_data(id, size, left, ends)?,
            Found::Gone(Fate::ResetByUs | Fate::Forgotten) | Found::Idle => None,
            Found::Gone(Fate::EndedByPeer | Fate::Skipped) => return Err(Violation::ClosedStream.into()),
        };
        let frame = DataFrame { id, left, padding, ends };
        self.reading = Reading::Data(frame);
        if left == 0 {
            // The end may not have to wait for another byte.
            self.data(frame, &[]);
        }
        Ok(Some(used))
    }

    /// Holds a frame against its stream; none if the stream cannot have it, which the peer was told then.
    fn admit_data(
        &mut self,
        id: StreamId,
        size: usize,
        len: u32,
        ends: bool,
    ) -> Result<Option<StreamId>, Ended> {
        let Some(stream) = self.streams.get_mut(id) else { return Ok(None) };
        match stream.reset {
            Some((_, By::Us | By::Connection)) => return Ok(None),
            Some((_, By::Peer)) => return Err(Violation::ClosedStream.into()),
            None => {}
        }
        let code = if stream.receiving == Receiving::Ended {
            Code::STREAM_CLOSED
        } else if stream.receiving == Receiving::Head {
            // An answer does not begin with its body (section 8.1).
            Code::PROTOCOL_ERROR
        } else if size > stream.receive_window.room() {
            Code::FLOW_CONTROL_ERROR
        } else {
            stream.receive_window.spend(size);
            let expected = stream.expected.map(|expected| expected.checked_sub(u64::from(len)));
            match expected {
                // More or less than was announced is malformed (section 8.1.1).
                Some(None) => Code::PROTOCOL_ERROR,
                Some(Some(left)) if ends && left > 0 => Code::PROTOCOL_ERROR,
                expected => {
                    stream.expected = expected.flatten();
                    return Ok(Some(id));
                }
            }
        };
        if code == Code::PROTOCOL_ERROR {
            self.malformed += 1;
        }
        self.violate(id, code)?;
        Ok(None)
    }

    /// Takes what is there of a frame.
    pub(super) fn data(&mut self, mut frame: DataFrame, input: &[u8]) -> usize {
        let len = at_most(frame.left, input);
        let mut used = len;
        if len > 0 {
            let data = input.get(..len).unwrap_or_default();
            frame.left -= u32::try_from(len).unwrap_or(frame.left);
            if let Some(id) = frame.id
                && let Some(stream) = self.streams.get_mut(id)
                && stream.reset.is_none()
            {
                stream.inbox.push(data, &mut self.spare.inboxes);
                self.buffered += len;
                if frame.left > 0 || !frame.ends {
                    self.tell_readable(id);
                }
            }
        }
        if frame.left == 0 && frame.ends {
            frame.ends = false;
            if let Some(id) = frame.id {
                self.received_all(id);
            }
        }
        let padding = at_most(frame.padding, input.get(len..).unwrap_or_default());
        frame.padding -= u32::try_from(padding).unwrap_or(frame.padding);
        used += padding;
        if frame.left + frame.padding > 0 {
            self.reading = Reading::Data(frame);
        } else {
            self.reading = Reading::Frame;
            self.open_connection_window();
        }
        used
    }

    /// The peer's message is whole.
    pub(super) fn received_all(&mut self, id: StreamId) {
        if let Some(stream) = self.streams.get_mut(id)
            && stream.reset.is_none()
        {
            stream.receiving = Receiving::Ended;
            if stream.sent_all {
                self.guard.exchange_ended(stream.refusal);
            }
            self.tell_readable(id);
        }
    }
}
