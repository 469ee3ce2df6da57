//! A peer that writes frames by hand, and reads them as they are.

use loadweaver_http2::{Code, Connection, Ended, Event, Limits, Scheme, StreamId};

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PUSH_PROMISE: u8 = 5;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const ACK: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
pub(crate) const PADDED: u8 = 8;
pub(crate) const PRIORITIZED: u8 = 32;

/// A frame, as it goes over the wire.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
    out
}

/// A block of literal fields that are in no table.
pub(crate) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in fields {
        out.push(0);
        for text in [name, value] {
            integer(&mut out, text.len());
            out.extend_from_slice(text.as_bytes());
        }
    }
    out
}

fn integer(out: &mut Vec<u8>, value: usize) {
    if value < 127 {
        return out.push(u8::try_from(value).unwrap());
    }
    out.push(127);
    let mut left = value - 127;
    while left >= 128 {
        out.push(u8::try_from(left % 128).unwrap() | 128);
        left /= 128;
    }
    out.push(u8::try_from(left).unwrap());
}

pub(crate) const GET: [(&str, &str); 4] =
    [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "a.example")];

pub(crate) const POST: [(&str, &str); 4] =
    [(":method", "POST"), (":scheme", "http"), (":path", "/"), (":authority", "a.example")];

pub(crate) fn setting(name: u16, value: u32) -> Vec<u8> {
    [&name.to_be_bytes()[..], &value.to_be_bytes()].concat()
}

/// A frame that our side has sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    pub(crate) fn word(&self, at: usize) -> u32 {
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }
}

/// Our side, and what is known of it from outside.
pub(crate) struct Engine {
    pub(crate) connection: Connection,
    pub(crate) now: u64,
    kept: Vec<u8>,
}

impl Engine {
    /// A server that has its client's settings and has told its own.
    pub(crate) fn server() -> Self {
        Self::server_with(&Limits::default())
    }

    pub(crate) fn server_with(limits: &Limits) -> Self {
        let mut engine = Self::new(Connection::server(limits, 0));
        engine.send(&[PREFACE, &frame(SETTINGS, 0, 0, &[]), &frame(SETTINGS, ACK, 0, &[])].concat()).unwrap();
        engine.frames();
        engine
    }

    /// A client that has its server's settings.
    pub(crate) fn client() -> Self {
        let mut engine = Self::new(Connection::client(&Limits::default(), Scheme::Http, 0));
        engine.connection.wrote(PREFACE.len());
        engine.send(&[frame(SETTINGS, 0, 0, &[]), frame(SETTINGS, ACK, 0, &[])].concat()).unwrap();
        engine.frames();
        engine.events();
        engine
    }

    pub(crate) fn new(connection: Connection) -> Self {
        Self { connection, now: 1_000_000_000, kept: Vec::new() }
    }

    /// Bytes from the peer.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> Result<(), Ended> {
        self.kept.extend_from_slice(bytes);
        let used = self.connection.receive(&self.kept, self.now)?;
        self.kept.drain(..used);
        assert!(self.kept.len() < 32, "{} bytes were not used", self.kept.len());
        Ok(())
    }

    pub(crate) fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Result<(), Ended> {
        self.send(&frame(kind, flags, stream, payload))
    }

    pub(crate) fn headers(&mut self, flags: u8, stream: u32, fields: &[(&str, &str)]) -> Result<(), Ended> {
        self.frame(HEADERS, flags | END_HEADERS, stream, &block(fields))
    }

    /// What our side has sent since the last time.
    pub(crate) fn frames(&mut self) -> Vec<Frame> {
        let mut bytes = self.connection.output().to_vec();
        self.connection.wrote(bytes.len());
        let mut frames = Vec::new();
        while !bytes.is_empty() {
            let len = u32::from_be_bytes([0, bytes[0], bytes[1], bytes[2]]) as usize;
            assert!(len <= 16_384);
            frames.push(Frame {
                kind: bytes[3],
                flags: bytes[4],
                stream: u32::from_be_bytes(bytes[5..9].try_into().unwrap()),
                payload: bytes[9..9 + len].to_vec(),
            });
            bytes.drain(..9 + len);
        }
        frames
    }

    pub(crate) fn frames_of(&mut self, kind: u8) -> Vec<Frame> {
        self.frames().into_iter().filter(|frame| frame.kind == kind).collect()
    }

    pub(crate) fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.connection.next_event()).collect()
    }

    /// The stream of the one head that there is among the events.
    pub(crate) fn head(&mut self) -> StreamId {
        let heads: Vec<_> = self
            .events()
            .into_iter()
            .filter_map(|event| if let Event::Head(id) = event { Some(id) } else { None })
            .collect();
        let [id] = heads[..] else { panic!("{} heads", heads.len()) };
        id
    }

    /// The codes of the resets that our side has sent, with their streams.
    pub(crate) fn resets(&mut self) -> Vec<(u32, Code)> {
        self.frames_of(RST_STREAM).iter().map(|frame| (frame.stream, Code(frame.word(0)))).collect()
    }
}
