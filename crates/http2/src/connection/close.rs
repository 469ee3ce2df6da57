//! Ends: of a stream that nobody wants any more, and of the connection (RFC 9113 section 6.8).

use super::{Connection, Role};
use crate::code::Code;
use crate::error::{Abuse, Ended, Violation};
use crate::event::{Event, StreamId};
use crate::frame::{self, kind};
use crate::stream::{By, Receiving};

/// How far the end of the connection has come.
#[derive(Debug, Default)]
pub(super) struct Closing {
    ended: Option<Ended>,
    stage: Stage,
    /// The peer takes no streams above this one.
    peer_last: Option<u32>,
    /// Pings of our caller's that were not answered yet.
    pings: u32,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Stage {
    #[default]
    Open,
    /// The peer was asked to open nothing more; what it has sent meanwhile is still taken.
    Announced,
    /// Nothing new is taken.
    Final,
}

/// The ping behind a first GOAWAY: when it comes back, all that was sent before the peer knew has come too.
const FAREWELL: u64 = u64::from_be_bytes(*b"farewell");

impl Closing {
    pub(super) fn ended(&self) -> Option<Ended> {
        self.ended
    }

    pub(super) fn ignores_new(&self) -> bool {
        self.stage == Stage::Final
    }
}

impl Connection {
    /// Nobody is interested in the stream any more; each stream needs this once. One that is not over is reset: with
    /// NO_ERROR by a server that has sent its whole answer (section 8.1), with CANCEL otherwise.
    pub fn release(&mut self, id: StreamId) {
        let Some(stream) = self.streams.get(id) else { return };
        let answered = stream.sent_all && self.role == Role::Server;
        let code = if answered { Code::NO_ERROR } else { Code::CANCEL };
        self.reset(id, code);
        let Some(stream) = self.streams.get_mut(id) else { return };
        let by = match stream.reset {
            Some((_, by)) => by,
            None => By::Peer,
        };
        self.buffered -= stream.inbox.len();
        stream.inbox.clear(&mut self.spare.inboxes);
        if stream.told.waits_turn {
            self.waiting.retain(|waiting| *waiting != id);
        }
        let request = stream.request.take();
        while let Some(head) = stream.responses.pop_front() {
            self.spare.keep_response(head);
        }
        if let Some(head) = request {
            self.spare.keep_request(head);
        }
        self.streams.remove(id);
        self.departed.note(id.number, by);
        self.open_connection_window();
        self.tell_room_if_any();
    }

    /// Resets a stream, unless it is over. It still has to be released.
    pub fn reset(&mut self, id: StreamId, code: Code) {
        let Some(stream) = self.streams.get_mut(id) else { return };
        if stream.is_over() {
            return;
        }
        stream.reset = Some((code, By::Us));
        stream.sent_all = true;
        if stream.receiving != Receiving::Ended {
            self.buffered -= stream.inbox.len();
            stream.inbox.clear(&mut self.spare.inboxes);
        }
        self.output.reset(id.number, code);
    }

    /// Begins a graceful end: the peer is asked to open no more streams, and what it has sent before it knew is still
    /// served. The end of that time is known by a ping, or told by [`Self::conclude`].
    pub fn shutdown(&mut self) {
        if self.closing.stage != Stage::Open || self.closing.ended.is_some() {
            return;
        }
        if self.role != Role::Server {
            // A server opens nothing.
            return self.conclude();
        }
        self.closing.stage = Stage::Announced;
        frame::goaway(self.output.bytes(), (1 << 31) - 1, Code::NO_ERROR);
        frame::small(self.output.bytes(), (kind::PING, 0, 0), &FAREWELL.to_be_bytes());
    }

    /// Takes nothing new from here on; what is alive goes on.
    pub fn conclude(&mut self) {
        if self.closing.stage == Stage::Final || self.closing.ended.is_some() {
            return;
        }
        self.closing.stage = Stage::Final;
        let last = self.last_of_peer();
        frame::goaway(self.output.bytes(), last, Code::NO_ERROR);
    }

    /// Whether nothing is left to be done but to close: all is written, and nothing is alive or to come.
    pub fn is_finished(&self) -> bool {
        let closing = self.closing.stage == Stage::Final || self.closing.peer_last.is_some();
        let quiet = closing && self.streams.len() == 0;
        self.output.len() == 0 && (self.closing.ended.is_some() || quiet)
    }

    /// Whether streams can still be opened, now or later.
    pub fn is_open(&self) -> bool {
        self.closing.stage == Stage::Open
            && self.closing.ended.is_none()
            && self.closing.peer_last.is_none()
            && self.last_stream < (1 << 31) - 1
    }

    /// Asks for a sign of life: [`Event::Pong`] brings the same number back.
    pub fn ping(&mut self, payload: u64) {
        if self.closing.ended.is_none() {
            self.closing.pings += 1;
            frame::small(self.output.bytes(), (kind::PING, 0, 0), &payload.to_be_bytes());
        }
    }

    /// The transport is gone: nothing comes and nothing goes any more.
    pub fn lost(&mut self) {
        let len = self.output.len();
        self.output.wrote(len);
        self.closing.ended.get_or_insert(Violation::Lost.into());
        self.end_streams(Code::CONNECT_ERROR);
    }

    /// The peer's fault ends the connection.
    #[cold]
    pub(super) fn fail(&mut self, ended: Ended) {
        let last = self.last_of_peer();
        frame::goaway(self.output.bytes(), last, ended.code);
        self.closing.ended = Some(ended);
        self.end_streams(ended.code);
    }

    fn end_streams(&mut self, code: Code) {
        let alive: Vec<StreamId> = self.streams.iter_mut().map(|(id, _)| id).collect();
        for id in alive {
            self.end_stream(id, code, By::Connection);
        }
    }

    /// When half of the room for streams is taken: has those leave that were reset before anybody took their request. For
    /// whoever receives again before asking for all events.
    pub fn make_room(&mut self) {
        if self.streams.len() < self.limits.max_streams as usize / 2 {
            return;
        }
        let unheard: Vec<StreamId> = self
            .streams
            .iter_mut()
            .filter(|(_, stream)| stream.reset.is_some() && stream.request.is_some())
            .map(|(id, _)| id)
            .collect();
        for id in unheard {
            self.release(id);
        }
    }

    /// The last stream of the peer's that we may have acted on.
    fn last_of_peer(&self) -> u32 {
        if self.role == Role::Server { self.last_stream } else { 0 }
    }

    pub(super) fn ponged(&mut self, payload: u64) -> Result<(), Ended> {
        if payload == FAREWELL && self.closing.stage == Stage::Announced {
            self.conclude();
        } else if self.closing.pings > 0 {
            self.closing.pings -= 1;
            self.events.push_back(Event::Pong(payload));
        } else {
            self.count(Abuse::Churn)?;
        }
        Ok(())
    }

    /// The peer takes no more streams; what it has not looked at is over.
    pub(super) fn goaway(&mut self, last: u32, code: Code) -> Result<(), Ended> {
        self.count(Abuse::Churn)?;
        let before = self.closing.peer_last;
        self.closing.peer_last = Some(before.map_or(last, |before| before.min(last)));
        if before.is_none_or(|before| last < before) {
            self.events.push_back(Event::GoAway { last, code });
        }
        if self.role == Role::Server {
            return Ok(());
        }
        let unseen: Vec<StreamId> =
            self.streams.iter_mut().map(|(id, _)| id).filter(|id| id.number > last).collect();
        for id in unseen {
            self.end_stream(id, Code::REFUSED_STREAM, By::Peer);
        }
        Ok(())
    }
}
