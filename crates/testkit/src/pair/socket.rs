//! WebSockets, of either protocol. What goes through them is bytes to us.

use std::net::SocketAddr;

use super::{Told, Wire, http1, http2};

/// An open one. Whoever drops it breaks it off.
pub trait Socket: std::fmt::Debug {
    /// Sends bytes.
    fn send(&mut self, bytes: &[u8]);
    /// Reads so many bytes.
    fn read(&mut self, count: usize) -> Result<Vec<u8>, String>;
    /// Says that nothing more will be sent.
    fn end(&mut self);
    /// Reads to the end, and says whether that was an orderly one.
    fn read_to_end(&mut self) -> (Vec<u8>, Result<(), String>);
}

/// Opens one; or the answer that refuses it.
pub fn open(wire: Wire, address: SocketAddr, path: &str) -> Result<Box<dyn Socket>, Told> {
    match wire {
        Wire::Http1 => http1::open(address, path),
        Wire::Http2 => http2::open(address, path),
    }
}

/// The `Sec-WebSocket-Accept` to a key (RFC 6455 section 4.2.2).
pub fn accept(key: &str) -> String {
    let text = format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes());
    let mut bits: String = digest.as_ref().iter().flat_map(|byte| bits_of(*byte)).collect();
    // 160 bits are 26 digits and four bits of a 27th.
    bits.push_str("00");
    let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digit = |at: usize| usize::from_str_radix(&bits[at..at + 6], 2).expect("binary digits");
    let mut encoded: String = (0..bits.len()).step_by(6).map(|at| char::from(digits[digit(at)])).collect();
    encoded.push('=');
    encoded
}

fn bits_of(byte: u8) -> impl Iterator<Item = char> {
    (0..8).rev().map(move |place| if byte >> place & 1 == 1 { '1' } else { '0' })
}
