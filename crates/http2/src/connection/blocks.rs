//! Header blocks, received: HEADERS and CONTINUATION, RFC 9113 sections 6.2 and 6.10.

use loadweaver_http1::{Framing, Headers, Method};

use super::input::{Reading, at_most};
use super::{Connection, Found, PADDED, Role};
use crate::code::Code;
use crate::error::{Abuse, Ended, Refusal, Violation};
use crate::event::{Event, StreamId};
use crate::frame::{self, HEADER, Header, flag};
use crate::limits;
use crate::message::{self, Verdict};
use crate::stream::{By, Fate, Receiving};

/// A header block that is under way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pending {
    pub(super) stream: u32,
    ends: bool,
    /// The stream was said to depend on itself.
    on_itself: bool,
    continuations: u32,
}

impl Connection {
    pub(super) fn headers_frame(&mut self, header: Header, input: &[u8]) -> Result<Option<usize>, Ended> {
        if header.stream == 0 {
            return Err(Violation::WrongStream.into());
        }
        let before = usize::from(header.has(PADDED)) + if header.has(flag::PRIORITY) { 5 } else { 0 };
        let Some(left) = (header.len as usize).checked_sub(before) else {
            return Err(Violation::FrameSize.into());
        };
        let Some(extra) = input.get(HEADER..HEADER + before) else { return Ok(None) };
        let padding = match extra.first() {
            Some(len) if header.has(PADDED) => usize::from(*len),
            _ => 0,
        };
        let Some(left) = left.checked_sub(padding) else { return Err(Violation::Padding.into()) };
        let on_itself = header.has(flag::PRIORITY)
            && extra
                .get(usize::from(header.has(PADDED))..)
                .and_then(|priority| priority.first_chunk::<4>())
                .is_some_and(|depends| frame::stream(*depends) == header.stream);
        let ends = header.has(flag::END_STREAM);
        let pending = Pending { stream: header.stream, ends, on_itself, continuations: 0 };
        let used = HEADER + before;
        let last = header.has(flag::END_HEADERS);
        if last
            && let Some(block) = input.get(used..used + left)
            && input.len() >= used + left + padding
        {
            // The usual case: all of it is here, and is read where it stands.
            self.take_block(pending, block)?;
            return Ok(Some(used + left + padding));
        }
        if left == 0 && !last {
            self.count(Abuse::EmptyFrames)?;
        }
        self.block.clear();
        self.pending = Some(pending);
        self.begin_fragment(left, padding, last)?;
        Ok(Some(used))
    }

    pub(super) fn continuation_frame(&mut self, header: Header) -> Result<usize, Ended> {
        let last = header.has(flag::END_HEADERS);
        if let Some(pending) = &mut self.pending {
            pending.continuations += 1;
            if pending.continuations > limits::CONTINUATIONS {
                return Err(Abuse::ContinuationFlood.into());
            }
        }
        if header.len == 0 && !last {
            self.count(Abuse::EmptyFrames)?;
        }
        self.begin_fragment(header.len as usize, 0, last)?;
        Ok(HEADER)
    }

    fn begin_fragment(&mut self, left: usize, padding: usize, last: bool) -> Result<(), Ended> {
        if self.block.len() + left > self.limits.block() {
            return Err(Abuse::ContinuationFlood.into());
        }
        let left = u32::try_from(left).unwrap_or(u32::MAX);
        let padding = u32::try_from(padding).unwrap_or(u32::MAX);
        // Even of an empty one the end is to be seen.
        self.fragment(&[], left, padding, last).map(drop)
    }

    /// Takes what is there of a piece of a block.
    pub(super) fn fragment(
        &mut self,
        input: &[u8],
        left: u32,
        padding: u32,
        last: bool,
    ) -> Result<usize, Ended> {
        let len = at_most(left, input);
        self.block.extend_from_slice(input.get(..len).unwrap_or_default());
        let left = left - u32::try_from(len).unwrap_or(left);
        let padded = at_most(padding, input.get(len..).unwrap_or_default());
        let padding = padding - u32::try_from(padded).unwrap_or(padding);
        if left + padding > 0 {
            self.reading = Reading::Fragment { left, padding, last };
            return Ok(len + padded);
        }
        self.reading = Reading::Frame;
        if last && let Some(pending) = self.pending.take() {
            let mut block = std::mem::take(&mut self.block);
            let taken = self.take_block(pending, &block);
            block.clear();
            block.shrink_to(KEPT_BLOCK);
            self.block = block;
            taken?;
        }
        Ok(len + padded)
    }

    /// A whole block.
    fn take_block(&mut self, pending: Pending, block: &[u8]) -> Result<(), Ended> {
        let taken = match self.find(pending.stream) {
            Found::Alive(id) => self.block_of(id, pending, block),
            Found::Idle if self.role == Role::Server => self.block_of_new(pending, block),
            Found::Idle => return Err(Violation::IdleStream.into()),
            Found::Gone(Fate::ResetByUs | Fate::Forgotten) => self.discard_block(block),
            Found::Gone(Fate::EndedByPeer) => return Err(Violation::ClosedStream.into()),
            Found::Gone(Fate::Skipped) => return Err(Violation::StreamNumber.into()),
        };
        self.decoder.shrink();
        taken
    }

    /// A block that nobody is shown. It costs what others cost, so it counts.
    fn discard_block(&mut self, block: &[u8]) -> Result<(), Ended> {
        let before = self.decoder.decoded;
        message::discard(&mut self.decoder, block, &self.limits)?;
        let size = self.decoder.decoded.saturating_sub(before);
        self.count(if size > self.limits.head { Abuse::LargeHeads } else { Abuse::Churn })
    }

    /// A request.
    fn block_of_new(&mut self, pending: Pending, block: &[u8]) -> Result<(), Ended> {
        let number = pending.stream;
        if number.is_multiple_of(2) {
            return Err(Violation::StreamNumber.into());
        }
        self.last_stream = number;
        if self.closing.ignores_new() {
            // It was told that we take no more; it will ask elsewhere (section 6.8).
            self.departed.note(number, By::Us);
            return self.discard_block(block);
        }
        if self.streams.len() >= self.limits.max_streams as usize {
            self.discard_block(block)?;
            return self.refuse_stream(number, Code::REFUSED_STREAM, Abuse::StreamFlood);
        }
        let mut head = self.spare.requests.pop().unwrap_or_default();
        let scratch = (&self.limits, &mut self.spare.text, pending.ends);
        let verdict = message::request(&mut self.decoder, block, &mut head, scratch)?;
        let refusal = match verdict {
            _ if pending.on_itself => Err(Verdict::Malformed),
            Verdict::Good => Ok(None),
            Verdict::Refused(refusal) => Ok(Some(refusal)),
            Verdict::Malformed => Err(verdict),
        };
        let Ok(refusal) = refusal else {
            self.spare.keep_request(head);
            self.malformed += 1;
            return self.refuse_stream(number, Code::PROTOCOL_ERROR, Abuse::ResetFlood);
        };
        if refusal.is_some() {
            // Its fields would wait with it until its answer is written.
            head.abridge(limits::SHOWN_TARGET);
        }
        if refusal == Some(Refusal::TooLarge) {
            self.count(Abuse::LargeHeads)?;
        }
        let receive = self.first_receive_window();
        let (id, stream) = self.streams.insert(number, self.peer.first_window, receive);
        stream.method = head.method();
        stream.receiving = if pending.ends { Receiving::Ended } else { Receiving::Body };
        stream.expected = match head.framing() {
            // Of a head that is not whole the length is not known.
            _ if refusal.is_some() => None,
            Framing::Length(length) => Some(length),
            _ => None,
        };
        stream.refusal = refusal;
        stream.request = Some(head);
        self.events.push_back(Event::Head(id));
        Ok(())
    }

    /// Resets a stream that never became an exchange.
    fn refuse_stream(&mut self, number: u32, code: Code, abuse: Abuse) -> Result<(), Ended> {
        self.departed.note(number, By::Us);
        self.output.reset(number, code);
        self.count(abuse)
    }

    /// An answer, or trailers.
    fn block_of(&mut self, id: StreamId, pending: Pending, block: &[u8]) -> Result<(), Ended> {
        let Some(stream) = self.streams.get(id) else { return Ok(()) };
        match stream.reset {
            Some((_, By::Us | By::Connection)) => return self.discard_block(block),
            Some((_, By::Peer)) => return Err(Violation::ClosedStream.into()),
            None => {}
        }
        match stream.receiving {
            Receiving::Ended => {
                self.discard_block(block)?;
                self.violate(id, Code::STREAM_CLOSED)
            }
            Receiving::Body => self.trailer_block(id, pending, block),
            Receiving::Head => {
                let method = stream.method;
                self.answer_block((id, method), pending, block)
            }
        }
    }

    fn trailer_block(&mut self, id: StreamId, pending: Pending, block: &[u8]) -> Result<(), Ended> {
        let mut trailers = Headers::new();
        let verdict = message::trailers(&mut self.decoder, block, &mut trailers, &self.limits)?;
        let Some(stream) = self.streams.get_mut(id) else { return Ok(()) };
        let short = stream.expected.is_some_and(|left| left > 0);
        match verdict {
            // Trailers end the stream, or they are none (section 8.1).
            Verdict::Good if pending.ends && !short && !pending.on_itself => {
                if !trailers.is_empty() {
                    stream.trailers = Some(trailers);
                }
                self.received_all(id);
                Ok(())
            }
            Verdict::Refused(_) => self.violate(id, TOO_LARGE),
            Verdict::Good | Verdict::Malformed => {
                self.malformed += 1;
                self.violate(id, Code::PROTOCOL_ERROR)
            }
        }
    }

    fn answer_block(
        &mut self,
        (id, method): (StreamId, Method),
        pending: Pending,
        block: &[u8],
    ) -> Result<(), Ended> {
        let mut head = self.spare.responses.pop().unwrap_or_default();
        let how = (&self.limits, method, pending.ends);
        let verdict = message::response(&mut self.decoder, block, &mut head, how)?;
        let Some(stream) = self.streams.get_mut(id) else { return Ok(()) };
        if verdict != Verdict::Good || pending.on_itself {
            self.spare.keep_response(head);
            if verdict == Verdict::Refused(Refusal::TooLarge) {
                return self.violate(id, TOO_LARGE);
            }
            self.malformed += 1;
            return self.violate(id, Code::PROTOCOL_ERROR);
        }
        if head.status() < 200 {
            stream.interims += 1;
            if stream.interims > limits::INTERIMS {
                return self.violate(id, TOO_LARGE);
            }
        } else {
            stream.receiving = if pending.ends { Receiving::Ended } else { Receiving::Body };
            let tunnel = method == Method::Connect && head.status() < 300;
            stream.expected = match head.framing() {
                _ if tunnel => None,
                Framing::None => Some(0),
                Framing::Length(length) => Some(length),
                Framing::Chunked | Framing::UntilClose => None,
            };
            if pending.ends && stream.sent_all {
                self.guard.exchange_ended(None);
            }
        }
        stream.responses.push_back(head);
        self.events.push_back(Event::Head(id));
        Ok(())
    }
}

/// What the peer is told of a message with more fields than we take: it is not wrong, only too much.
const TOO_LARGE: Code = Code::ENHANCE_YOUR_CALM;

/// Bytes that are kept for the next block that does not come in one piece.
const KEPT_BLOCK: usize = 4096;
