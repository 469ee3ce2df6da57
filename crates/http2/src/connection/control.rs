//! Frames that carry no message: RFC 9113 sections 6.3 to 6.9.

use super::input::{Reading, rest_of};
use super::{Connection, Found, Role};
use crate::code::Code;
use crate::error::{Abuse, Ended, Violation};
use crate::event::{Event, StreamId};
use crate::frame::{self, HEADER, Header, flag, kind, setting};
use crate::stream::By;
use crate::window;

impl Connection {
    /// SETTINGS begin; they are read one by one.
    pub(super) fn settings_frame(&mut self, header: Header) -> Result<usize, Ended> {
        if header.stream != 0 {
            return Err(Violation::WrongStream.into());
        }
        if header.has(flag::ACK) {
            if header.len != 0 {
                return Err(Violation::FrameSize.into());
            }
            self.settings_acknowledged()?;
            return Ok(HEADER);
        }
        if !header.len.is_multiple_of(6) {
            return Err(Violation::FrameSize.into());
        }
        self.count(Abuse::SettingsFlood)?;
        if header.len == 0 {
            self.settings_end(None)?;
        } else {
            self.reading = Reading::Settings { left: header.len, window: None };
        }
        Ok(HEADER)
    }

    /// From here on the peer goes by our settings: the window that streams begin with may be smaller than before.
    fn settings_acknowledged(&mut self) -> Result<(), Ended> {
        if std::mem::replace(&mut self.acknowledged, true) {
            return self.count(Abuse::SettingsFlood);
        }
        let by = i64::from(self.limits.first_window()) - i64::from(window::DEFAULT);
        for (_, stream) in self.streams.iter_mut() {
            // It only ever gets smaller.
            let _ = stream.receive_window.shift(by);
        }
        Ok(())
    }

    /// What a stream may send before its window is opened further.
    pub(super) fn first_receive_window(&self) -> u32 {
        if self.acknowledged { self.limits.first_window() } else { window::DEFAULT }
    }

    /// One setting.
    pub(super) fn settings(
        &mut self,
        input: &[u8],
        left: u32,
        mut window: Option<u32>,
    ) -> Result<Option<usize>, Ended> {
        let Some([a, b, value @ ..]) = input.first_chunk::<6>() else { return Ok(None) };
        let value = u32::from_be_bytes(*value);
        match u16::from_be_bytes([*a, *b]) {
            setting::HEADER_TABLE_SIZE => {
                self.encoder.set_limit(usize::try_from(value).unwrap_or(usize::MAX));
            }
            // Only a client may allow pushes (section 6.5.2).
            setting::ENABLE_PUSH if value > u32::from(self.role == Role::Server) => {
                return Err(Violation::Setting.into());
            }
            setting::MAX_CONCURRENT_STREAMS => self.peer.max_streams = value,
            setting::INITIAL_WINDOW_SIZE if i64::from(value) > window::MAX => {
                return Err(Violation::WindowOverflow.into());
            }
            setting::INITIAL_WINDOW_SIZE => window = Some(value),
            // We never send more than the default; the value has to be one all the same.
            setting::MAX_FRAME_SIZE if !(frame::MAX_FRAME..1 << 24).contains(&value) => {
                return Err(Violation::Setting.into());
            }
            setting::ENABLE_CONNECT_PROTOCOL if value > 1 => return Err(Violation::Setting.into()),
            setting::ENABLE_CONNECT_PROTOCOL => self.peer.connect_protocol = value == 1,
            _ => {}
        }
        if left > 6 {
            self.reading = Reading::Settings { left: left - 6, window };
        } else {
            self.reading = Reading::Frame;
            self.settings_end(window)?;
        }
        Ok(Some(6))
    }

    fn settings_end(&mut self, window: Option<u32>) -> Result<(), Ended> {
        if let Some(window) = window {
            let by = i64::from(window) - i64::from(self.peer.first_window);
            self.peer.first_window = window;
            self.shift_windows(by)?;
        }
        self.output.ack((kind::SETTINGS, flag::ACK, 0), &[]);
        let first = !std::mem::replace(&mut self.settled, true);
        if first && self.role != Role::Server {
            self.tell_room();
        } else {
            self.tell_room_if_any();
        }
        Ok(())
    }

    /// Moves the windows of all streams, below zero if need be (section 6.9.2).
    fn shift_windows(&mut self, by: i64) -> Result<(), Ended> {
        for (id, stream) in self.streams.iter_mut() {
            stream.send_window.shift(by).map_err(|_| Violation::WindowOverflow)?;
            if stream.told.waits_window && stream.send_window.room() > 0 {
                stream.told.waits_window = false;
                if !std::mem::replace(&mut stream.told.writable, true) {
                    self.events.push_back(Event::Writable(id));
                }
            }
        }
        Ok(())
    }

    /// A frame of a few bytes, of which all must be there.
    pub(super) fn control_frame(&mut self, header: Header, input: &[u8]) -> Result<Option<usize>, Ended> {
        let wanted = match header.kind {
            kind::PRIORITY => 5,
            kind::RST_STREAM | kind::WINDOW_UPDATE => 4,
            _ => 8,
        };
        let longer = header.kind == kind::GOAWAY && header.len > wanted;
        if header.len != wanted && !longer {
            return Err(Violation::FrameSize.into());
        }
        let Some(payload) = input.get(HEADER..HEADER + wanted as usize) else { return Ok(None) };
        let word = |at: usize| {
            payload.get(at..).and_then(|rest| rest.first_chunk::<4>()).copied().unwrap_or_default()
        };
        match header.kind {
            kind::PRIORITY => self.priority(header, frame::stream(word(0)))?,
            kind::RST_STREAM => self.rst_stream(header, Code(u32::from_be_bytes(word(0))))?,
            kind::WINDOW_UPDATE => self.window_update(header, frame::stream(word(0)))?,
            _ if header.stream != 0 => return Err(Violation::WrongStream.into()),
            kind::PING => self.pinged(header, payload)?,
            _ => self.goaway(frame::stream(word(0)), Code(u32::from_be_bytes(word(4))))?,
        }
        self.reading = rest_of(header.len - wanted, 0, Reading::Skip);
        Ok(Some(HEADER + wanted as usize))
    }

    /// Priorities are read for their errors alone; RFC 9113 has none any more.
    fn priority(&mut self, header: Header, depends_on: u32) -> Result<(), Ended> {
        if header.stream == 0 {
            return Err(Violation::WrongStream.into());
        }
        self.count(Abuse::Churn)?;
        if depends_on != header.stream {
            return Ok(());
        }
        match self.find(header.stream) {
            Found::Alive(id) => self.violate(id, Code::PROTOCOL_ERROR),
            Found::Gone(_) => Ok(()),
            Found::Idle => Err(Violation::Dependency.into()),
        }
    }

    fn rst_stream(&mut self, header: Header, code: Code) -> Result<(), Ended> {
        match self.opened(header)? {
            Found::Alive(id) => {
                let Some(stream) = self.streams.get(id) else { return Ok(()) };
                if stream.is_over() {
                    return self.count(Abuse::Churn);
                }
                let cancelled = self.role == Role::Server && !stream.sent_all;
                self.end_stream(id, code, By::Peer);
                self.open_connection_window();
                if cancelled { self.count(Abuse::RapidReset) } else { Ok(()) }
            }
            Found::Gone(_) | Found::Idle => self.count(Abuse::Churn),
        }
    }

    fn window_update(&mut self, header: Header, by: u32) -> Result<(), Ended> {
        self.count(Abuse::Churn)?;
        if header.stream == 0 {
            if by == 0 {
                return Err(Violation::WindowIncrement.into());
            }
            self.send_window.shift(i64::from(by)).map_err(|_| Violation::WindowOverflow)?;
            self.wake_waiting();
            return Ok(());
        }
        let Found::Alive(id) = self.opened(header)? else { return Ok(()) };
        if by == 0 {
            return self.violate(id, Code::PROTOCOL_ERROR);
        }
        self.open_stream(id, by)
    }

    fn open_stream(&mut self, id: StreamId, by: u32) -> Result<(), Ended> {
        let Some(stream) = self.streams.get_mut(id) else { return Ok(()) };
        if stream.send_window.shift(i64::from(by)).is_err() {
            return self.violate(id, Code::FLOW_CONTROL_ERROR);
        }
        if stream.told.waits_window && stream.send_window.room() > 0 {
            stream.told.waits_window = false;
            if !std::mem::replace(&mut stream.told.writable, true) {
                self.events.push_back(Event::Writable(id));
            }
        }
        Ok(())
    }

    fn pinged(&mut self, header: Header, payload: &[u8]) -> Result<(), Ended> {
        if header.has(flag::ACK) {
            let Some(payload) = payload.first_chunk::<8>() else { return Ok(()) };
            return self.ponged(u64::from_be_bytes(*payload));
        }
        self.count(Abuse::PingFlood)?;
        self.output.ack((kind::PING, flag::ACK, 0), payload);
        Ok(())
    }
}
