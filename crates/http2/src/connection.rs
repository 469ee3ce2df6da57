//! One connection, from either end.
//!
//! The files below follow the bytes: `input` cuts them into frames, `blocks`, `data` and `control` take the frames by
//! kind, `body` hands data out and opens windows, `send` writes, `close` ends.

use std::collections::VecDeque;

use loadweaver_http1::{RequestHead, ResponseHead};

use crate::code::Code;
use crate::error::{Abuse, Ended, Refusal};
use crate::event::{Event, Scheme, StreamId};
use crate::frame::{self, flag, kind, setting};
use crate::guard::Guard;
use crate::hpack::{Decoder, Encoder};
use crate::limits::Limits;
use crate::output::Output;
use crate::stream::{By, Departed, Fate, Receiving, Streams};
use crate::window::{self, Window};

mod blocks;
mod body;
mod close;
mod control;
mod data;
mod input;
mod send;

use blocks::Pending;
use close::Closing;
use input::Reading;

/// An HTTP/2 connection without its socket.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, none of which rules out another")]
pub struct Connection {
    role: Role,
    limits: Limits,
    now: u64,
    reading: Reading,
    /// The last turn has left something.
    behind: bool,
    /// The peer's first SETTINGS came.
    settled: bool,
    /// The peer has acknowledged ours.
    acknowledged: bool,
    peer: PeerSettings,
    /// The header block that is under way, and its bytes so far.
    pending: Option<Pending>,
    block: Vec<u8>,
    decoder: Decoder,
    encoder: Encoder,
    streams: Streams,
    departed: Departed,
    /// The highest number of a stream so far: of the client's streams, whichever end we are.
    last_stream: u32,
    events: VecDeque<Event>,
    output: Output,
    /// Streams that wait for the output or the connection's window, first come first served.
    waiting: VecDeque<StreamId>,
    send_window: Window,
    receive_window: Window,
    /// Bytes in all inboxes.
    buffered: usize,
    guard: Guard,
    closing: Closing,
    /// An `open` found no room.
    wants_room: bool,
    malformed: u64,
    spare: Spare,
}

/// Which end we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Server,
    Client(Scheme),
}

/// What the peer has told us that we go by.
#[derive(Debug, Clone, Copy)]
struct PeerSettings {
    first_window: u32,
    max_streams: u32,
    connect_protocol: bool,
}

/// Streams that are opened before the peer's settings say how many there may be (RFC 9113 section 6.5.2 recommends
/// that nobody allows fewer).
const ASSUMED_STREAMS: u32 = 100;

/// Memory that goes from stream to stream.
#[derive(Debug, Default)]
#[expect(clippy::vec_box, reason = "a stream has room for a pointer, not for a head that it may never get")]
struct Spare {
    requests: Vec<Box<RequestHead>>,
    responses: Vec<Box<ResponseHead>>,
    inboxes: Vec<Vec<u8>>,
    /// To join cookies in, and to make lines in.
    text: Vec<u8>,
}

/// Heads that are kept for the next streams, and bytes of each.
const SPARE_HEADS: usize = 8;
const SPARE_HEAD: usize = 4096;

/// Where a stream's number leads.
#[derive(Debug, Clone, Copy)]
enum Found {
    Alive(StreamId),
    Gone(Fate),
    Idle,
}

impl Connection {
    /// The server's end of a new connection; its settings stand in the output. Time is in nanoseconds since any
    /// moment, here and everywhere.
    pub fn server(limits: &Limits, now: u64) -> Self {
        let mut connection = Self::new(Role::Server, limits, now);
        let mut settings = vec![
            (setting::MAX_CONCURRENT_STREAMS, limits.max_streams),
            // We send in the order in which there is something to send.
            (setting::NO_RFC7540_PRIORITIES, 1),
        ];
        if limits.allow_connect_protocol {
            settings.push((setting::ENABLE_CONNECT_PROTOCOL, 1));
        }
        connection.greet(settings);
        connection
    }

    /// The client's end of a new connection; preface and settings stand in the output.
    pub fn client(limits: &Limits, scheme: Scheme, now: u64) -> Self {
        let mut connection = Self::new(Role::Client(scheme), limits, now);
        connection.output.bytes().extend_from_slice(frame::PREFACE);
        connection.greet(vec![(setting::ENABLE_PUSH, 0)]);
        connection
    }

    fn new(role: Role, limits: &Limits, now: u64) -> Self {
        Self {
            role,
            limits: *limits,
            now,
            reading: if role == Role::Server { Reading::Preface(0) } else { Reading::Frame },
            behind: false,
            settled: false,
            acknowledged: false,
            peer: PeerSettings {
                first_window: window::DEFAULT,
                max_streams: ASSUMED_STREAMS,
                connect_protocol: false,
            },
            pending: None,
            block: Vec::new(),
            decoder: Decoder::new(),
            encoder: Encoder::new(),
            streams: Streams::default(),
            departed: Departed::default(),
            last_stream: 0,
            events: VecDeque::new(),
            output: Output::default(),
            waiting: VecDeque::new(),
            send_window: Window::new(window::DEFAULT),
            receive_window: Window::new(window::DEFAULT),
            buffered: 0,
            guard: Guard::new(limits),
            closing: Closing::default(),
            wants_room: false,
            malformed: 0,
            spare: Spare::default(),
        }
    }

    fn greet(&mut self, mut settings: Vec<(u16, u32)>) {
        settings.push((setting::INITIAL_WINDOW_SIZE, self.limits.first_window()));
        settings.push((setting::MAX_HEADER_LIST_SIZE, u32::try_from(self.limits.head).unwrap_or(u32::MAX)));
        let mut payload = Vec::new();
        for (name, value) in settings {
            payload.extend_from_slice(&name.to_be_bytes());
            payload.extend_from_slice(&value.to_be_bytes());
        }
        frame::small(self.output.bytes(), (kind::SETTINGS, 0, 0), &payload);
        self.open_connection_window();
    }

    /// What happened; to be asked until there is nothing more after everything that may make events: [`Self::receive`],
    /// [`Self::wrote`], [`Self::read`], [`Self::release`].
    #[inline]
    pub fn next_event(&mut self) -> Option<Event> {
        loop {
            let event = self.events.pop_front()?;
            if let Some(event) = self.still_of_use(event) {
                return Some(event);
            }
        }
    }

    /// The same, but for heads and resets, which stay where they are: for whoever has no time for new exchanges now.
    /// Streams read what is theirs from here when they are woken, so nothing depends on the order.
    pub fn next_light_event(&mut self) -> Option<Event> {
        loop {
            let place = self.events.iter().position(|event| match event {
                // Of one that has left nobody has to be told.
                Event::Head(id) | Event::Reset(id, _) => self.streams.get(*id).is_none(),
                _ => true,
            })?;
            if let Some(event) = self.events.remove(place).and_then(|event| self.still_of_use(event)) {
                return Some(event);
            }
        }
    }

    /// Whether there is no event left.
    pub fn is_told(&self) -> bool {
        self.events.is_empty()
    }

    /// An event whose stream has not left.
    fn still_of_use(&mut self, event: Event) -> Option<Event> {
        let id = match event {
            Event::Head(id) | Event::Reset(id, _) | Event::Readable(id) | Event::Writable(id) => id,
            Event::GoAway { .. } | Event::Room | Event::Pong(_) => return Some(event),
        };
        let stream = self.streams.get_mut(id)?;
        match event {
            Event::Readable(_) => stream.told.readable = false,
            Event::Writable(_) => stream.told.writable = false,
            _ => {}
        }
        Some(event)
    }

    /// Takes the request of a stream; `head`'s memory is used for another one. What is refused has to be answered
    /// by the caller; of its head there is the method and the beginning of the target.
    pub fn take_request(&mut self, id: StreamId, head: &mut RequestHead) -> Result<(), Refusal> {
        let stream = self.streams.get_mut(id).ok_or(Refusal::Gone)?;
        let mut taken = stream.request.take().ok_or(Refusal::Gone)?;
        std::mem::swap(head, &mut taken);
        let refusal = stream.refusal;
        self.spare.keep_request(taken);
        refusal.map_or(Ok(()), Err)
    }

    /// Whether a stream was reset, by either side: nobody waits for what comes of it.
    pub fn is_reset(&self, id: StreamId) -> bool {
        self.streams.get(id).is_none_or(|stream| stream.reset.is_some())
    }

    /// Takes the next head of an answer, interim ones first; false if there is none.
    pub fn take_response(&mut self, id: StreamId, head: &mut ResponseHead) -> bool {
        let Some(stream) = self.streams.get_mut(id) else { return false };
        let Some(mut taken) = stream.responses.pop_front() else { return false };
        std::mem::swap(head, &mut taken);
        self.spare.keep_response(taken);
        true
    }

    /// What is to be sent. It may still change until it is told to be written.
    #[inline]
    pub fn output(&self) -> &[u8] {
        self.output.pending()
    }

    /// The first `n` bytes of the output were written.
    #[inline]
    pub fn wrote(&mut self, n: usize) {
        self.output.wrote(n);
        self.wake_waiting();
    }

    /// Streams that were not released yet.
    pub fn streams(&self) -> usize {
        self.streams.len()
    }

    /// The peer's settings came.
    pub fn is_settled(&self) -> bool {
        self.settled
    }

    /// The peer, a server, takes extended CONNECT (RFC 8441).
    pub fn peer_takes_connect_protocol(&self) -> bool {
        self.peer.connect_protocol
    }

    /// Messages of the peer that were malformed, and whose streams we have reset for it.
    pub fn malformed(&self) -> u64 {
        self.malformed
    }

    /// Gives back memory that is not needed right now: for a connection that has been idle for a while.
    pub fn free(&mut self) {
        self.output.shrink();
        self.streams.shrink();
        self.decoder.shrink();
        self.spare = Spare::default();
        self.events.shrink_to(0);
        self.waiting.shrink_to(0);
        if self.pending.is_none() {
            self.block = Vec::new();
        }
    }

    #[inline]
    fn find(&self, number: u32) -> Found {
        if let Some(id) = self.streams.find(number) {
            return Found::Alive(id);
        }
        // Nobody but clients opens streams, and theirs are odd (RFC 9113 section 5.1.1).
        if number % 2 == 1 && number <= self.last_stream {
            Found::Gone(self.departed.fate(number))
        } else {
            Found::Idle
        }
    }

    fn count(&mut self, abuse: Abuse) -> Result<(), Ended> {
        self.guard.count(abuse, self.now)
    }

    /// The code with which we have reset a stream for what the peer did: its message broke the rules, or (then it is
    /// ENHANCE_YOUR_CALM) had more fields than we take. What ended the connection is no fault of one stream's.
    pub fn fault(&self, id: StreamId) -> Option<Code> {
        match self.streams.get(id)?.reset {
            Some((code, By::Us)) => Some(code),
            _ => None,
        }
    }

    /// Resets a stream that is alive for what the peer did on it.
    fn violate(&mut self, id: StreamId, code: Code) -> Result<(), Ended> {
        if self.streams.get(id).is_none_or(|stream| stream.reset.is_some()) {
            return Ok(());
        }
        self.output.reset(id.number, code);
        self.end_stream(id, code, By::Us);
        if self.role == Role::Server { self.count(Abuse::MadeYouReset) } else { Ok(()) }
    }

    /// Marks a stream as reset and says so. What was received whole can still be read.
    fn end_stream(&mut self, id: StreamId, code: Code, by: By) {
        let Some(stream) = self.streams.get_mut(id) else { return };
        let over = stream.is_over();
        if stream.reset.is_none() {
            stream.reset = Some((code, by));
        }
        if stream.receiving != Receiving::Ended {
            self.buffered -= stream.inbox.len();
            stream.inbox.clear(&mut self.spare.inboxes);
        }
        if !over {
            self.events.push_back(Event::Reset(id, code));
        }
    }

    fn tell_readable(&mut self, id: StreamId) {
        if let Some(stream) = self.streams.get_mut(id)
            && !std::mem::replace(&mut stream.told.readable, true)
        {
            self.events.push_back(Event::Readable(id));
        }
    }
}

impl Spare {
    fn keep_request(&mut self, mut head: Box<RequestHead>) {
        if self.requests.len() < SPARE_HEADS {
            head.headers.shrink_to(SPARE_HEAD);
            self.requests.push(head);
        }
    }

    fn keep_response(&mut self, mut head: Box<ResponseHead>) {
        if self.responses.len() < SPARE_HEADS {
            head.headers.shrink_to(SPARE_HEAD);
            self.responses.push(head);
        }
    }
}

/// Flags of a frame that may be padded.
const PADDED: u8 = flag::PADDED;
