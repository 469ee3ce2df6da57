//! Frames: RFC 9113 sections 4 and 6.

use crate::code::Code;

/// The largest frame that we take, and the least that every peer takes (section 4.2).
pub(crate) const MAX_FRAME: u32 = 16_384;

/// Bytes of a frame's header.
pub(crate) const HEADER: usize = 9;

/// What the connection of a client begins with (section 3.4).
pub(crate) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Types of frames.
pub(crate) mod kind {
    pub(crate) const DATA: u8 = 0x0;
    pub(crate) const HEADERS: u8 = 0x1;
    pub(crate) const PRIORITY: u8 = 0x2;
    pub(crate) const RST_STREAM: u8 = 0x3;
    pub(crate) const SETTINGS: u8 = 0x4;
    pub(crate) const PUSH_PROMISE: u8 = 0x5;
    pub(crate) const PING: u8 = 0x6;
    pub(crate) const GOAWAY: u8 = 0x7;
    pub(crate) const WINDOW_UPDATE: u8 = 0x8;
    pub(crate) const CONTINUATION: u8 = 0x9;
}

/// Flags of frames.
pub(crate) mod flag {
    pub(crate) const ACK: u8 = 0x1;
    pub(crate) const END_STREAM: u8 = 0x1;
    pub(crate) const END_HEADERS: u8 = 0x4;
    pub(crate) const PADDED: u8 = 0x8;
    pub(crate) const PRIORITY: u8 = 0x20;
}

/// Settings (section 6.5.2, RFC 8441, RFC 9218).
pub(crate) mod setting {
    pub(crate) const HEADER_TABLE_SIZE: u16 = 0x1;
    pub(crate) const ENABLE_PUSH: u16 = 0x2;
    pub(crate) const MAX_CONCURRENT_STREAMS: u16 = 0x3;
    pub(crate) const INITIAL_WINDOW_SIZE: u16 = 0x4;
    pub(crate) const MAX_FRAME_SIZE: u16 = 0x5;
    pub(crate) const MAX_HEADER_LIST_SIZE: u16 = 0x6;
    pub(crate) const ENABLE_CONNECT_PROTOCOL: u16 = 0x8;
    pub(crate) const NO_RFC7540_PRIORITIES: u16 = 0x9;
}

/// A frame's header.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Header {
    pub(crate) len: u32,
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    /// Zero for the connection.
    pub(crate) stream: u32,
}

impl Header {
    /// Reads the header at the start of `input`; none if it is not whole.
    #[inline]
    pub(crate) fn read(input: &[u8]) -> Option<Self> {
        let [high, middle, low, kind, flags, a, b, c, d] = *input.first_chunk::<HEADER>()?;
        Some(Self {
            len: u32::from_be_bytes([0, high, middle, low]),
            kind,
            flags,
            stream: stream([a, b, c, d]),
        })
    }

    #[inline]
    pub(crate) fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    #[inline]
    pub(crate) fn bytes(self) -> [u8; HEADER] {
        let [_, high, middle, low] = self.len.to_be_bytes();
        let [a, b, c, d] = self.stream.to_be_bytes();
        [high, middle, low, self.kind, self.flags, a, b, c, d]
    }
}

/// The number of a stream: the first bit is reserved and ignored.
#[inline]
pub(crate) fn stream(bytes: [u8; 4]) -> u32 {
    u32::from_be_bytes(bytes) & 0x7fff_ffff
}

/// Writes a frame whose payload is a few bytes.
pub(crate) fn small(out: &mut Vec<u8>, (kind, flags, stream): (u8, u8, u32), payload: &[u8]) {
    let len = u32::try_from(payload.len()).unwrap_or(0);
    out.extend_from_slice(&Header { len, kind, flags, stream }.bytes());
    out.extend_from_slice(payload);
}

pub(crate) fn goaway(out: &mut Vec<u8>, last: u32, code: Code) {
    let mut payload = [0; 8];
    let (stream, error) = payload.split_at_mut(4);
    stream.copy_from_slice(&last.to_be_bytes());
    error.copy_from_slice(&code.0.to_be_bytes());
    small(out, (kind::GOAWAY, 0, 0), &payload);
}
