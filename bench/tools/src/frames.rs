//! Frames of HTTP/2, written one by one: an honest library would not send what an attacker does.

/// The bytes that begin a connection (RFC 9113 section 3.4).
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Length of a frame's header.
pub const HEADER: usize = 9;

/// Frame types (RFC 9113 section 6).
pub mod kind {
    #![allow(missing_docs, reason = "the names of RFC 9113")]
    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const RST_STREAM: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const PING: u8 = 6;
    pub const GOAWAY: u8 = 7;
    pub const WINDOW_UPDATE: u8 = 8;
    pub const CONTINUATION: u8 = 9;
}

/// The flag of HEADERS and DATA that ends the stream.
pub const END_STREAM: u8 = 1;
/// The flag of HEADERS and CONTINUATION that ends the head.
pub const END_HEADERS: u8 = 4;

/// Appends a frame.
pub fn frame(out: &mut Vec<u8>, (kind, flags, stream): (u8, u8, u32), payload: &[u8]) {
    let length = u32::try_from(payload.len()).expect("a payload fits a frame").to_be_bytes();
    out.extend_from_slice(&[length[1], length[2], length[3], kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
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

/// Appends a field that goes into the table (RFC 7541 section 6.2.1); index 62 means the last one that did.
pub fn indexed(block: &mut Vec<u8>, name: &str, value: &[u8]) {
    block.push(0x40);
    string(block, name.as_bytes());
    string(block, value);
}

/// Appends a string literal: its length as an integer with a prefix of seven bits, then its bytes.
fn string(block: &mut Vec<u8>, text: &[u8]) {
    let mut length = text.len();
    if length < 127 {
        block.push(length as u8);
    } else {
        block.push(127);
        length -= 127;
        while length >= 128 {
            block.push((length % 128) as u8 | 128);
            length /= 128;
        }
        block.push(length as u8);
    }
    block.extend_from_slice(text);
}

/// Finds GOAWAY in what a proxy sends, whatever pieces it comes in.
#[derive(Debug, Default)]
pub struct Scan {
    head: Vec<u8>,
    /// Bytes of a payload that are still to come.
    left: usize,
}

impl Scan {
    /// Looks at more bytes; whether a GOAWAY began in them.
    pub fn sees_goaway(&mut self, mut bytes: &[u8]) -> bool {
        loop {
            let skipped = self.left.min(bytes.len());
            bytes = &bytes[skipped..];
            self.left -= skipped;
            let wanted = (HEADER - self.head.len()).min(bytes.len());
            self.head.extend_from_slice(&bytes[..wanted]);
            bytes = &bytes[wanted..];
            if self.head.len() < HEADER {
                return false;
            }
            if self.head[3] == kind::GOAWAY {
                return true;
            }
            self.left =
                usize::from(self.head[0]) << 16 | usize::from(self.head[1]) << 8 | usize::from(self.head[2]);
            self.head.clear();
        }
    }
}
