//! A client that writes single frames and reads them.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use crate::eventually::PATIENCE;

/// The bytes that begin a connection (RFC 9113 section 3.4).
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Frame types (RFC 9113 section 6).
pub mod kind {
    #![allow(missing_docs, reason = "the names of RFC 9113")]
    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const PRIORITY: u8 = 2;
    pub const RST_STREAM: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const PUSH_PROMISE: u8 = 5;
    pub const PING: u8 = 6;
    pub const GOAWAY: u8 = 7;
    pub const WINDOW_UPDATE: u8 = 8;
    pub const CONTINUATION: u8 = 9;
}

/// Flags of frames.
pub mod flag {
    #![allow(missing_docs, reason = "the names of RFC 9113")]
    pub const END_STREAM: u8 = 1;
    pub const ACK: u8 = 1;
    pub const END_HEADERS: u8 = 4;
    pub const PADDED: u8 = 8;
    pub const PRIORITY: u8 = 0x20;
}

/// A frame as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// One of [`kind`].
    pub kind: u8,
    /// Some of [`flag`].
    pub flags: u8,
    /// 0 is the connection.
    pub stream: u32,
    /// All of it.
    pub payload: Vec<u8>,
}

/// A connection of frames.
#[derive(Debug)]
pub struct RawHttp2 {
    socket: TcpStream,
}

impl RawHttp2 {
    /// Connects and sends nothing.
    #[track_caller]
    pub fn silent(address: SocketAddr) -> Self {
        let socket = TcpStream::connect_timeout(&address, PATIENCE).expect("the balancer takes a connection");
        socket.set_read_timeout(Some(PATIENCE)).expect("a time-out");
        socket.set_write_timeout(Some(PATIENCE)).expect("a time-out");
        let _ = socket.set_nodelay(true);
        Self { socket }
    }

    /// Connects, and begins with the preface and empty settings.
    #[track_caller]
    pub fn connect(address: SocketAddr) -> Self {
        let mut raw = Self::silent(address);
        raw.send(PREFACE).expect("the preface is taken");
        raw.frame(kind::SETTINGS, 0, 0, &[]).expect("settings are taken");
        raw
    }

    /// Writes bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.socket.write_all(bytes)
    }

    /// Writes a frame.
    pub fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> io::Result<()> {
        self.send(&frame(kind, flags, stream, payload))
    }

    /// Writes the HEADERS frame of a whole request without a body.
    pub fn get(&mut self, stream: u32, path: &str) -> io::Result<()> {
        let fields = [(":method", "GET"), (":scheme", "http"), (":authority", "test"), (":path", path)];
        self.frame(kind::HEADERS, flag::END_STREAM | flag::END_HEADERS, stream, &block(&fields))
    }

    /// The next frame; none when the connection has ended.
    pub fn read_frame(&mut self) -> io::Result<Option<Frame>> {
        let mut head = [0; 9];
        match self.socket.read_exact(&mut head) {
            Err(error) if ends(&error) => return Ok(None),
            read => read?,
        }
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let mut payload = vec![0; length];
        match self.socket.read_exact(&mut payload) {
            Err(error) if ends(&error) => return Ok(None),
            read => read?,
        }
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]) & 0x7fff_ffff;
        Ok(Some(Frame { kind: head[3], flags: head[4], stream, payload }))
    }

    /// The next frame of a kind; those before it are passed over.
    #[track_caller]
    pub fn wait_for(&mut self, kind: u8) -> Frame {
        loop {
            match self.read_frame() {
                Ok(Some(frame)) if frame.kind == kind => return frame,
                Ok(Some(_)) => {}
                other => panic!("no frame of kind {kind} before the end: {other:?}"),
            }
        }
    }

    /// The code of the GOAWAY that ends the connection; none where it ends without one.
    pub fn goaway(&mut self) -> Option<u32> {
        let mut code = None;
        while let Ok(Some(frame)) = self.read_frame() {
            if frame.kind == kind::GOAWAY {
                code =
                    frame.payload.get(4..8).and_then(|bytes| bytes.try_into().ok()).map(u32::from_be_bytes);
            }
        }
        code
    }

    /// The socket itself.
    pub fn socket(&self) -> &TcpStream {
        &self.socket
    }
}

fn ends(error: &io::Error) -> bool {
    use io::ErrorKind as K;
    matches!(error.kind(), K::UnexpectedEof | K::ConnectionReset | K::BrokenPipe)
}

/// A frame's bytes.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a payload that fits a frame").to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind, flags];
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// A header block of literals without indexing and without Huffman coding (RFC 7541 section 6.2.2).
pub fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        string(&mut block, name.as_bytes());
        string(&mut block, value.as_bytes());
    }
    block
}

/// A string literal: its length as an integer with a prefix of seven bits, then its bytes.
pub fn string(block: &mut Vec<u8>, text: &[u8]) {
    let mut length = text.len();
    if length < 127 {
        block.push(u8::try_from(length).expect("below 127"));
    } else {
        block.push(127);
        length -= 127;
        while length >= 128 {
            block.push(u8::try_from(length % 128).expect("below 128") | 128);
            length /= 128;
        }
        block.push(u8::try_from(length).expect("below 128"));
    }
    block.extend_from_slice(text);
}
