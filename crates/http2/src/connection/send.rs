//! Messages, sent.

use loadweaver_http1::{Headers, Line, Method, Name, RequestHead, ResponseHead};

use super::{Connection, Role};
use crate::code::Code;
use crate::error::NoRoom;
use crate::event::{Event, Finish, Opening, Scheme, StreamId};
use crate::frame::MAX_FRAME;
use crate::hpack::Encoder;
use crate::limits::DRIBBLE;
use crate::stream::Receiving;

/// Room in the output below which it is not worth a frame, unless that is all there is to send.
const SCRAP: usize = 1024;

impl Connection {
    /// Opens a stream with a request. `extra` are lines `name: value CRLF` that go behind the head's fields. What
    /// speaks of a connection of HTTP/1.1 is left out, of both; `te: trailers` stays. The head's host is the authority.
    pub fn open(
        &mut self,
        head: &RequestHead,
        extra: &[u8],
        opening: Opening<'_>,
    ) -> Result<StreamId, NoRoom> {
        let Role::Client(scheme) = self.role else { return Err(NoRoom::Closed) };
        if let Some(none) = self.why_no_room() {
            self.wants_room = none != NoRoom::Closed;
            return Err(none);
        }
        self.wants_room = false;
        let number = if self.last_stream == 0 { 1 } else { self.last_stream + 2 };
        self.last_stream = number;
        let receive = self.first_receive_window();
        let (id, stream) = self.streams.insert(number, self.peer.first_window, receive);
        stream.method = if opening.protocol.is_some() { Method::Connect } else { head.method() };
        let place = self.output.begin_block();
        let mut block =
            Writer { encoder: &mut self.encoder, out: self.output.bytes(), text: &mut self.spare.text };
        block.encoder.begin(block.out);
        block.request_line(head, scheme, opening.protocol);
        block.fields(&head.headers, Message::Request);
        block.lines(extra, Message::Request);
        self.output.end_block(place, number, opening.finish);
        self.guard.sent();
        if let Some(stream) = self.streams.get_mut(id) {
            stream.last_frame = Some(place);
            stream.sent_all = opening.finish == Finish::Now;
        }
        Ok(id)
    }

    /// Why no stream can be opened, if none can.
    fn why_no_room(&self) -> Option<NoRoom> {
        if !self.is_open() {
            return Some(NoRoom::Closed);
        }
        if self.streams.len() >= self.peer.max_streams.min(self.limits.max_streams) as usize {
            return Some(NoRoom::Streams);
        }
        let busy = self.buffered > self.limits.buffered / 2 || self.output.len() > self.limits.output;
        busy.then_some(NoRoom::Busy)
    }

    /// Why [`Self::open`] would fail right now, if it would.
    pub fn no_room(&self) -> Option<NoRoom> {
        self.why_no_room()
    }

    pub(super) fn tell_room_if_any(&mut self) {
        if self.wants_room && self.why_no_room().is_none_or(|none| none == NoRoom::Closed) {
            self.tell_room();
        }
    }

    pub(super) fn tell_room(&mut self) {
        self.wants_room = false;
        self.events.push_back(Event::Room);
    }

    /// Sends the head of an answer; an interim one (1xx) leaves the way free for the final one, whatever `finish` says.
    pub fn respond(&mut self, id: StreamId, head: &ResponseHead, extra: &[u8], finish: Finish) {
        self.answer(id, head.status(), finish, |block| {
            block.fields(&head.headers, Message::Response);
            block.lines(extra, Message::Response);
        });
    }

    /// Sends the head of an answer that is made of lines `name: value CRLF`.
    pub fn respond_with(&mut self, id: StreamId, status: u16, lines: &[u8], finish: Finish) {
        self.answer(id, status, finish, |block| block.lines(lines, Message::Response));
    }

    fn answer(&mut self, id: StreamId, status: u16, finish: Finish, write: impl FnOnce(&mut Writer<'_>)) {
        let Some(stream) = self.streams.get_mut(id) else { return };
        if stream.reset.is_some() || stream.sent_all {
            return;
        }
        let interim = status < 200;
        let finish = if interim { Finish::Later } else { finish };
        let place = self.output.begin_block();
        let mut block =
            Writer { encoder: &mut self.encoder, out: self.output.bytes(), text: &mut self.spare.text };
        block.encoder.begin(block.out);
        Encoder::status(block.out, status);
        write(&mut block);
        self.output.end_block(place, id.number, finish);
        self.guard.sent();
        stream.last_frame = (!interim).then_some(place);
        if finish == Finish::Now {
            self.sent_all(id);
        }
    }

    /// Sends data, as far as windows and the output allow; the rest is to be offered again at [`Event::Writable`]. An
    /// error says that nobody will read it.
    pub fn write(&mut self, id: StreamId, data: &[u8]) -> Result<usize, Code> {
        let len = self.room(id, data.len())?;
        let Some(stream) = self.streams.get_mut(id) else { return Err(Code::CANCEL) };
        let sent = data.get(..len).unwrap_or_default();
        for piece in sent.chunks(MAX_FRAME as usize) {
            stream.last_frame = Some(self.output.data(id.number, piece, Finish::Later));
            if piece.len() >= DRIBBLE {
                self.guard.sent();
            }
        }
        stream.send_window.spend(len);
        self.send_window.spend(len);
        if len < data.len() {
            self.tell_when_writable(id);
        }
        Ok(len)
    }

    /// The same as [`Self::room`]; where it is none, [`Event::Writable`] comes as after a write.
    pub fn await_room(&mut self, id: StreamId, wanted: usize) -> Result<usize, Code> {
        let room = self.room(id, wanted)?;
        if room == 0 {
            self.tell_when_writable(id);
        }
        Ok(room)
    }

    /// Bytes of so many that [`Self::write`] would take now: whoever asks before it reads has not to keep what nobody
    /// takes.
    pub fn room(&self, id: StreamId, wanted: usize) -> Result<usize, Code> {
        let stream = self.streams.get(id).ok_or(Code::CANCEL)?;
        if let Some((code, _)) = stream.reset {
            return Err(code);
        }
        if stream.sent_all {
            return Err(Code::STREAM_CLOSED);
        }
        let mut room = self.limits.output.saturating_sub(self.output.len());
        if room < SCRAP && room < wanted {
            room = 0;
        }
        Ok(wanted.min(room).min(self.send_window.room()).min(stream.send_window.room()))
    }

    fn tell_when_writable(&mut self, id: StreamId) {
        let Some(stream) = self.streams.get_mut(id) else { return };
        if stream.send_window.room() == 0 {
            stream.told.waits_window = true;
        } else if !std::mem::replace(&mut stream.told.waits_turn, true) {
            self.waiting.push_back(id);
        }
    }

    /// Ends our side of a stream, behind trailers if there are any. The end goes onto the last frame where that has not
    /// been written yet, and needs one of its own otherwise.
    pub fn finish(&mut self, id: StreamId, trailers: Option<&Headers>) {
        let Some(stream) = self.streams.get_mut(id) else { return };
        if stream.reset.is_some() || stream.sent_all {
            return;
        }
        if let Some(trailers) = trailers.filter(|trailers| !trailers.is_empty()) {
            let place = self.output.begin_block();
            let mut block =
                Writer { encoder: &mut self.encoder, out: self.output.bytes(), text: &mut self.spare.text };
            block.encoder.begin(block.out);
            block.fields(trailers, Message::Response);
            self.output.end_block(place, id.number, Finish::Now);
        } else if !stream.last_frame.is_some_and(|place| self.output.end_stream_at(place)) {
            self.output.data(id.number, &[], Finish::Now);
        }
        self.guard.sent();
        self.sent_all(id);
    }

    fn sent_all(&mut self, id: StreamId) {
        let Some(stream) = self.streams.get_mut(id) else { return };
        stream.sent_all = true;
        if stream.receiving == Receiving::Ended {
            self.guard.exchange_ended(stream.refusal);
        }
    }

    /// Tells those that wait for the connection's window or the output that they may go on, if they may.
    pub(super) fn wake_waiting(&mut self) {
        if self.wants_room {
            self.tell_room_if_any();
        }
        if self.output.len() > self.limits.output / 2 || self.send_window.room() == 0 {
            return;
        }
        while let Some(id) = self.waiting.pop_front() {
            let Some(stream) = self.streams.get_mut(id) else { continue };
            stream.told.waits_turn = false;
            if !std::mem::replace(&mut stream.told.writable, true) {
                self.events.push_back(Event::Writable(id));
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Message {
    Request,
    Response,
}

/// Writes a block.
struct Writer<'a> {
    encoder: &'a mut Encoder,
    out: &'a mut Vec<u8>,
    /// To make lines in.
    text: &'a mut Vec<u8>,
}

impl Writer<'_> {
    fn request_line(&mut self, head: &RequestHead, scheme: Scheme, protocol: Option<&[u8]>) {
        let host = head.headers.get(Name::Host).unwrap_or_default();
        let plain_connect = head.method() == Method::Connect && head.protocol().is_none();
        if let Some(protocol) = protocol {
            self.made(b":method", b"CONNECT");
            self.made(b":protocol", protocol);
        } else {
            match head.method() {
                Method::Get => Encoder::indexed(self.out, 2),
                _ if head.method_text() == "POST" => Encoder::indexed(self.out, 3),
                _ => self.made(b":method", head.method_text().as_bytes()),
            }
        }
        if plain_connect && protocol.is_none() {
            return self.made(b":authority", head.target().as_bytes());
        }
        Encoder::indexed(self.out, if scheme == Scheme::Https { 7 } else { 6 });
        if !host.is_empty() {
            self.made(b":authority", host);
        }
        match head.target() {
            "/" => Encoder::indexed(self.out, 4),
            target => self.made(b":path", target.as_bytes()),
        }
    }

    #[inline]
    fn fields(&mut self, headers: &Headers, message: Message) {
        for line in headers.lines() {
            if !goes_on(line.known, line.value, message) {
                continue;
            }
            match line {
                Line { whole: Some(whole), .. } => {
                    self.encoder.line(self.out, line.known, whole, line.name.len(), line.secret);
                }
                line => {
                    self.text.clear();
                    for part in [line.name, b": ", line.value, b"\r\n"] {
                        self.text.extend_from_slice(part);
                    }
                    self.encoder.line(self.out, line.known, self.text, line.name.len(), line.secret);
                }
            }
        }
    }

    #[inline]
    fn lines(&mut self, lines: &[u8], message: Message) {
        let mut rest = lines;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            let (line, after) = rest.split_at(end + 1);
            rest = after;
            let Some(name_len) = line.iter().position(|byte| *byte == b':') else { continue };
            let name = Name::of(line.get(..name_len).unwrap_or_default());
            let value = line.get(name_len + 2..line.len().saturating_sub(2)).unwrap_or_default();
            if goes_on(name, value, message) {
                self.encoder.line(self.out, name, line, name_len, false);
            }
        }
    }

    /// A field of our own making, which may come again.
    fn made(&mut self, name: &[u8], value: &[u8]) {
        self.text.clear();
        for part in [name, b": ", value, b"\r\n"] {
            self.text.extend_from_slice(part);
        }
        self.encoder.line(self.out, Name::Other, self.text, name.len(), false);
    }
}

/// Whether a field has a place in HTTP/2 (RFC 9113 section 8.2.2). The host of a request is its authority.
#[inline]
fn goes_on(name: Name, value: &[u8], message: Message) -> bool {
    match name {
        Name::Other => true,
        Name::Te => message == Message::Request && value.eq_ignore_ascii_case(b"trailers"),
        Name::Host => message == Message::Response,
        name => !name.is_hop_by_hop(),
    }
}
