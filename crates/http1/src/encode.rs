//! Messages, written.

use crate::headers::Headers;
use crate::request::RequestHead;
use crate::response::ResponseHead;

/// Writes `method SP target SP HTTP/1.1 CRLF` and the fields; the caller adds its own fields and [`end_head`].
/// We are an HTTP/1.1 sender whatever the client spoke (RFC 9110 section 2.5).
#[inline]
pub fn request_head(out: &mut Vec<u8>, head: &RequestHead) {
    out.extend_from_slice(head.method_text().as_bytes());
    out.push(b' ');
    out.extend_from_slice(head.target().as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    head.headers.write(out);
}

/// Writes the status line and the fields of an answer; the caller adds its own fields and [`end_head`].
#[inline]
pub fn response_head(out: &mut Vec<u8>, head: &ResponseHead) {
    status_line(out, head.status(), head.reason());
    head.headers.write(out);
}

/// Writes `HTTP/1.1 SP status SP reason CRLF`.
#[inline]
pub fn status_line(out: &mut Vec<u8>, status: u16, reason: &[u8]) {
    out.extend_from_slice(b"HTTP/1.1 ");
    let digit = |value: u16| b'0' + u8::try_from(value % 10).unwrap_or(0);
    out.extend_from_slice(&[digit(status / 100), digit(status / 10), digit(status), b' ']);
    out.extend_from_slice(reason);
    out.extend_from_slice(b"\r\n");
}

/// Writes one field.
#[inline]
pub fn field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Ends a head.
#[inline]
pub fn end_head(out: &mut Vec<u8>) {
    out.extend_from_slice(b"\r\n");
}

/// Writes the line before the data of a chunk; [`CHUNK_END`] follows the data. `len` must not be 0, which would
/// end the body.
#[inline]
pub fn chunk_start(out: &mut Vec<u8>, len: usize) {
    let digits = (usize::BITS - len.leading_zeros()).div_ceil(4).max(1);
    for place in (0..digits).rev() {
        let digit = u8::try_from(len >> (4 * place) & 0xf).unwrap_or(0);
        out.push(if digit < 10 { b'0' + digit } else { b'a' + digit - 10 });
    }
    out.extend_from_slice(b"\r\n");
}

/// What follows the data of each chunk.
pub const CHUNK_END: &[u8] = b"\r\n";

/// Ends a chunked body, with its trailers if there are any.
pub fn last_chunk(out: &mut Vec<u8>, trailers: Option<&Headers>) {
    out.extend_from_slice(b"0\r\n");
    if let Some(trailers) = trailers {
        trailers.write(out);
    }
    out.extend_from_slice(b"\r\n");
}

/// Writes a decimal number.
pub fn decimal(out: &mut Vec<u8>, mut value: u64) {
    let start = out.len();
    loop {
        out.push(b'0' + u8::try_from(value % 10).unwrap_or(0));
        value /= 10;
        if value == 0 {
            break;
        }
    }
    if let Some(digits) = out.get_mut(start..) {
        digits.reverse();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_chunk_sizes_as_the_decoder_reads_them() {
        for len in [1_usize, 9, 10, 15, 16, 255, 256, 65_536, 1 << 20] {
            let mut out = Vec::new();
            chunk_start(&mut out, len);
            assert_eq!(String::from_utf8_lossy(&out), format!("{len:x}\r\n"));
            out.clear();
            decimal(&mut out, len as u64);
            assert_eq!(String::from_utf8_lossy(&out), len.to_string());
        }
    }
}
