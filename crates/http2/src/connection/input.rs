//! Bytes cut into frames. Nothing is kept of what is not whole but header blocks; data is handed on as it comes.

use super::{Connection, Found};
use crate::error::{Abuse, Ended, Violation};
use crate::event::StreamId;
use crate::frame::{HEADER, Header, MAX_FRAME, PREFACE, flag, kind};
use crate::limits;

/// What the next byte is part of.
#[derive(Debug, Clone, Copy)]
pub(super) enum Reading {
    /// The preface, of which so much has come.
    Preface(usize),
    /// A frame's header.
    Frame,
    /// A frame's data.
    Data(DataFrame),
    /// A piece of a header block: bytes of it, of padding behind it, and whether it is the last.
    Fragment { left: u32, padding: u32, last: bool },
    /// Bytes of settings, and the window among them.
    Settings { left: u32, window: Option<u32> },
    /// So many bytes that mean nothing.
    Skip(u32),
}

/// What is left of a frame of DATA.
#[derive(Debug, Clone, Copy)]
pub(super) struct DataFrame {
    /// None if nobody wants it.
    pub(super) id: Option<StreamId>,
    pub(super) left: u32,
    pub(super) padding: u32,
    pub(super) ends: bool,
}

impl Connection {
    /// Takes received bytes and says how many it used. The rest, a few bytes of a frame's beginning, has to be
    /// offered again with what follows them. After an error nothing is taken any more; what is in the output is still
    /// to be written.
    pub fn receive(&mut self, input: &[u8], now: u64) -> Result<usize, Ended> {
        self.receive_within(input, now, usize::MAX)
    }

    /// The same, but no further than heads that are a turn's work ([`limits::TURN`]). Whether it has stopped for that says
    /// [`Self::is_behind`].
    pub fn receive_turn(&mut self, input: &[u8], now: u64) -> Result<usize, Ended> {
        self.receive_within(input, now, limits::TURN)
    }

    /// The last turn has left frames that are there for the next one.
    pub fn is_behind(&self) -> bool {
        self.behind
    }

    fn receive_within(&mut self, input: &[u8], now: u64, turn: usize) -> Result<usize, Ended> {
        if let Some(ended) = self.closing.ended() {
            return Err(ended);
        }
        self.now = now;
        self.decoder.decoded = 0;
        self.behind = false;
        let mut rest = input;
        loop {
            if self.decoder.decoded >= turn {
                self.behind = !rest.is_empty();
                return Ok(input.len() - rest.len());
            }
            let step = self.step(rest).and_then(|used| {
                if self.output.acks() > limits::QUEUED_ACKS { Err(Abuse::AckQueue.into()) } else { Ok(used) }
            });
            match step {
                Ok(None) => return Ok(input.len() - rest.len()),
                Ok(Some(used)) => rest = rest.get(used..).unwrap_or_default(),
                Err(ended) => {
                    self.fail(ended);
                    return Err(ended);
                }
            }
        }
    }

    /// Reads on; none where there is not enough to read on with.
    #[inline]
    fn step(&mut self, input: &[u8]) -> Result<Option<usize>, Ended> {
        match self.reading {
            Reading::Frame => self.frame(input),
            _ if input.is_empty() => Ok(None),
            Reading::Data(frame) => Ok(Some(self.data(frame, input))),
            Reading::Fragment { left, padding, last } => self.fragment(input, left, padding, last).map(Some),
            Reading::Settings { left, window } => self.settings(input, left, window),
            Reading::Skip(left) => {
                let skipped = at_most(left, input);
                self.reading = rest_of(left, skipped, Reading::Skip);
                Ok(Some(skipped))
            }
            Reading::Preface(matched) => {
                let wanted = PREFACE.get(matched..).unwrap_or_default();
                let len = wanted.len().min(input.len());
                if input.get(..len) != wanted.get(..len) {
                    return Err(Violation::Preface.into());
                }
                let whole = len == wanted.len();
                self.reading = if whole { Reading::Frame } else { Reading::Preface(matched + len) };
                Ok(Some(len))
            }
        }
    }

    #[inline]
    fn frame(&mut self, input: &[u8]) -> Result<Option<usize>, Ended> {
        let Some(header) = Header::read(input) else { return Ok(None) };
        if header.len > MAX_FRAME {
            return Err(Violation::FrameSize.into());
        }
        // The first frame of either side is its settings (RFC 9113 section 3.4).
        if !self.settled && (header.kind != kind::SETTINGS || header.has(flag::ACK)) {
            return Err(Violation::Preface.into());
        }
        // Nothing stands between the pieces of a header block (section 4.3).
        let continues = self.pending.as_ref().is_some_and(|pending| pending.stream == header.stream);
        if (header.kind == kind::CONTINUATION) != continues || (self.pending.is_some() && !continues) {
            return Err(Violation::Continuation.into());
        }
        match header.kind {
            kind::DATA => self.data_frame(header, input),
            kind::HEADERS => self.headers_frame(header, input),
            kind::CONTINUATION => self.continuation_frame(header).map(Some),
            kind::SETTINGS => self.settings_frame(header).map(Some),
            kind::PRIORITY | kind::RST_STREAM | kind::PING | kind::GOAWAY | kind::WINDOW_UPDATE => {
                self.control_frame(header, input)
            }
            kind::PUSH_PROMISE => Err(Violation::Push.into()),
            _ => {
                // Unknown types are ignored (section 5.5), and counted.
                self.count(Abuse::Churn)?;
                self.reading = rest_of(header.len, 0, Reading::Skip);
                Ok(Some(HEADER))
            }
        }
    }

    /// A stream that a frame names, which must have been opened.
    pub(super) fn opened(&self, header: Header) -> Result<Found, Ended> {
        if header.stream == 0 {
            return Err(Violation::WrongStream.into());
        }
        match self.find(header.stream) {
            Found::Idle => Err(Violation::IdleStream.into()),
            found => Ok(found),
        }
    }
}

/// Bytes of a part of `left` bytes that are in the input.
#[inline]
pub(super) fn at_most(left: u32, input: &[u8]) -> usize {
    input.len().min(left as usize)
}

/// What comes after `used` of `left` bytes.
#[inline]
pub(super) fn rest_of(left: u32, used: usize, on: impl FnOnce(u32) -> Reading) -> Reading {
    let left = left.saturating_sub(u32::try_from(used).unwrap_or(u32::MAX));
    if left == 0 { Reading::Frame } else { on(left) }
}
