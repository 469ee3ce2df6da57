//! A connection after its handshake: data, and the few messages that may still come between.

use std::io::IoSlice;

use rustls::client::ClientConnectionData;
use rustls::kernel::KernelConnection;
use rustls::server::ServerConnectionData;
use rustls::{ExtractedSecrets, ProtocolVersion};

use super::record::{ALERT, DATA, Fault, HANDSHAKE, Keys, MOST_PLAIN, MOST_RECORDS, Plain, Whole};
use crate::buffer::{Buffer, Stock};

/// A connection after its handshake.
#[derive(Debug)]
pub(super) struct Open {
    receives: Keys,
    pub(super) sends: Keys,
    kernel: Kernel,
    /// A message after the handshake that is not whole.
    message: Vec<u8>,
    /// Opened bytes at the start of `raw`, and what to drop behind them.
    pub(super) plain: usize,
    behind: usize,
    /// Records in a row without data.
    fruitless: u32,
    /// The other side wants us to take new keys. That is done with the next data: one change answers all wishes that
    /// came while we were silent.
    owes: bool,
    /// The other side has said that it will send no more.
    pub(super) ended: bool,
    /// We have said so.
    pub(super) said: bool,
}

/// What is left of rustls.
pub(super) enum Kernel {
    Server(KernelConnection<ServerConnectionData>),
    Client(KernelConnection<ClientConnectionData>),
}

impl std::fmt::Debug for Kernel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Server(_) => "Server",
            Self::Client(_) => "Client",
        })
    }
}

/// What was found among the records.
pub(super) enum Taken {
    Bytes(usize),
    /// The other side has said goodbye.
    End,
    /// Nothing for us until more is received.
    Nothing,
}

impl Open {
    pub(super) fn new(secrets: ExtractedSecrets, kernel: Kernel, version: ProtocolVersion) -> Option<Self> {
        Some(Self {
            receives: Keys::new(secrets.rx, version)?,
            sends: Keys::new(secrets.tx, version)?,
            kernel,
            message: Vec::new(),
            plain: 0,
            behind: 0,
            fruitless: 0,
            owes: false,
            ended: false,
            said: false,
        })
    }

    /// Opens what is whole in `raw` into the buffer, as far as there is room.
    pub(super) fn take_in(
        &mut self,
        raw: &mut Buffer,
        buffer: &mut Buffer,
        stock: &Stock,
    ) -> Result<Taken, Fault> {
        let mut got = 0;
        loop {
            if self.plain > 0 {
                got += self.pass_on(raw, buffer, stock);
                if self.plain > 0 {
                    return Ok(Taken::Bytes(got));
                }
            }
            let whole = if self.ended { None } else { Whole::first(raw.filled())? };
            let Some(whole) = whole else {
                return Ok(match (got, self.ended) {
                    (0, true) => Taken::End,
                    (0, false) => Taken::Nothing,
                    (got, _) => Taken::Bytes(got),
                });
            };
            buffer.acquire(stock);
            let room = buffer.room();
            if room.len() >= self.receives.sealed(whole) {
                let content = self.receives.open_into(whole, raw.filled(), room)?;
                let words = room.get(..content.len).unwrap_or_default();
                if content.kind == DATA {
                    self.count(content.len)?;
                    buffer.fill(content.len);
                    got += content.len;
                } else {
                    let words = words.to_vec();
                    self.hear(content.kind, &words)?;
                }
                raw.consume(whole.len());
            } else if got > 0 {
                return Ok(Taken::Bytes(got));
            } else {
                let (begin, content) = self.receives.open_in_place(whole, raw.filled_mut())?;
                if content.kind == DATA {
                    self.count(content.len)?;
                    self.plain = content.len;
                    self.behind = whole.len() - begin - content.len;
                    raw.consume(begin);
                    if content.len == 0 {
                        raw.consume(self.behind);
                    }
                } else {
                    let words = raw.filled().get(begin..begin + content.len).unwrap_or_default().to_vec();
                    raw.consume(whole.len());
                    self.hear(content.kind, &words)?;
                }
            }
        }
    }

    /// Copies what was opened in place.
    fn pass_on(&mut self, raw: &mut Buffer, buffer: &mut Buffer, stock: &Stock) -> usize {
        buffer.acquire(stock);
        let room = buffer.room();
        let len = room.len().min(self.plain);
        if let (Some(room), Some(plain)) = (room.get_mut(..len), raw.filled().get(..len)) {
            room.copy_from_slice(plain);
        }
        buffer.fill(len);
        raw.consume(len);
        self.plain -= len;
        if self.plain == 0 {
            raw.consume(self.behind);
        }
        len
    }

    fn count(&mut self, len: usize) -> Result<(), Fault> {
        self.fruitless = if len == 0 { self.fruitless + 1 } else { 0 };
        if self.fruitless > FRUITLESS { Err(Fault::UNEXPECTED) } else { Ok(()) }
    }

    /// Hears what is not data.
    #[cold]
    fn hear(&mut self, kind: u8, words: &[u8]) -> Result<(), Fault> {
        self.count(0)?;
        match (kind, words) {
            // close_notify
            (ALERT, [_, 0]) => {
                self.ended = true;
                Ok(())
            }
            // user_canceled: a goodbye follows (RFC 8446 section 6.1).
            (ALERT, [_, 90]) => Ok(()),
            (HANDSHAKE, _) => self.hear_message(words),
            _ => Err(Fault::UNEXPECTED),
        }
    }

    /// Messages after the handshake (RFC 8446 section 4.6). They may be cut and joined at will.
    fn hear_message(&mut self, words: &[u8]) -> Result<(), Fault> {
        if self.message.len() + words.len() > MOST_MESSAGE {
            return Err(Fault::UNEXPECTED);
        }
        self.message.extend_from_slice(words);
        while let Some((&[kind, a, b, c], rest)) = self.message.split_first_chunk() {
            let len = u32::from_be_bytes([0, a, b, c]) as usize;
            let Some(body) = rest.get(..len) else { break };
            let more = rest.len() > len;
            match (&mut self.kernel, kind, body) {
                // A ticket to come back with.
                (Kernel::Client(kernel), 4, ticket) if self.sends.is_v13() => {
                    kernel.handle_new_session_ticket(ticket).map_err(|_| Fault::UNEXPECTED)?;
                }
                // New keys, which must not come in the middle of a record.
                (_, 24, &[wanted @ 0..=1]) if self.sends.is_v13() && !more => {
                    self.receives = self.kernel.next_keys(Direction::Received).ok_or(Fault::INTERNAL)?;
                    self.owes |= wanted == 1;
                }
                // The wish to shake hands anew, which TLS 1.2 allows to be left unheard.
                (Kernel::Client(_), 0, []) if !self.sends.is_v13() => {}
                (Kernel::Server(_), 1, _) if !self.sends.is_v13() => return Err(Fault::NO_RENEGOTIATION),
                _ => return Err(Fault::UNEXPECTED),
            }
            self.message.drain(..4 + len);
        }
        if self.message.is_empty() {
            self.message = Vec::new();
        } else if self.message.len() > 4 && !matches!(self.message.first(), Some(4 | 0)) {
            return Err(Fault::UNEXPECTED);
        }
        Ok(())
    }

    /// Takes new keys for what we send, and says so with the old ones (RFC 8446 section 4.6.3).
    fn renew(&mut self, out: &mut Buffer, stock: &Stock) -> Result<(), Fault> {
        self.seal_message(HANDSHAKE, &[24, 0, 0, 1, 0], out, stock);
        self.sends = self.kernel.next_keys(Direction::Sent).ok_or(Fault::INTERNAL)?;
        self.owes = false;
        Ok(())
    }

    /// Seals as much as fits into the block.
    pub(super) fn seal(
        &mut self,
        parts: &[IoSlice<'_>],
        out: &mut Buffer,
        stock: &Stock,
    ) -> Result<usize, Fault> {
        if self.owes {
            self.renew(out, stock)?;
        }
        if self.sends.records() >= MOST_RECORDS - 64 {
            if !self.sends.is_v13() {
                return Err(Fault::INTERNAL);
            }
            self.renew(out, stock)?;
        }
        out.acquire(stock);
        let mut gather = Gather { parts, at: 0, left: parts.iter().map(|part| part.len()).sum() };
        let mut taken = 0;
        while gather.left > 0 {
            let room = out.room();
            let Some(most) = room.len().checked_sub(self.sends.overhead()) else { break };
            let len = gather.left.min(MOST_PLAIN).min(most);
            // No crumbs at the end of a block.
            if len == 0 || (taken > 0 && len < gather.left.min(MOST_PLAIN)) {
                break;
            }
            let sealed = if let Some(plain) = gather.single(len) {
                self.sends.seal(DATA, Plain::Elsewhere(plain), room)?
            } else {
                let at = self.sends.plain_at();
                gather.copy(room.get_mut(at..at + len).unwrap_or_default());
                self.sends.seal(DATA, Plain::InPlace(len), room)?
            };
            out.fill(sealed);
            gather.pass(len);
            taken += len;
        }
        Ok(taken)
    }

    pub(super) fn seal_message(&mut self, kind: u8, words: &[u8], out: &mut Buffer, stock: &Stock) {
        out.acquire(stock);
        let wanted = words.len() + self.sends.overhead();
        if out.room().len() < wanted {
            out.compact();
            let len = out.len();
            out.grow(len + wanted);
        }
        // What cannot be sealed leaves the other side without the word, and the connection without another.
        if let Ok(len) = self.sends.seal(kind, Plain::Elsewhere(words), out.room()) {
            out.fill(len);
        }
    }

    /// Says, once, that no more will be sent.
    pub(super) fn say_goodbye(&mut self, out: &mut Buffer, stock: &Stock) {
        if !std::mem::replace(&mut self.said, true) {
            self.seal_message(ALERT, &[1, 0], out, stock);
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Direction {
    Sent,
    Received,
}

impl Kernel {
    fn next_keys(&mut self, direction: Direction) -> Option<Keys> {
        let next = match (self, direction) {
            (Self::Server(kernel), Direction::Sent) => kernel.update_tx_secret(),
            (Self::Server(kernel), Direction::Received) => kernel.update_rx_secret(),
            (Self::Client(kernel), Direction::Sent) => kernel.update_tx_secret(),
            (Self::Client(kernel), Direction::Received) => kernel.update_rx_secret(),
        };
        Keys::new(next.ok()?, ProtocolVersion::TLSv1_3)
    }
}

/// Reads along parts as if they were one.
struct Gather<'p> {
    parts: &'p [IoSlice<'p>],
    /// Bytes of the first part that are done.
    at: usize,
    left: usize,
}

impl<'p> Gather<'p> {
    /// The next `len` bytes, if they lie together.
    fn single(&mut self, len: usize) -> Option<&'p [u8]> {
        while let Some((first, rest)) = self.parts.split_first() {
            if self.at < first.len() {
                return first.get(self.at..self.at + len);
            }
            self.at = 0;
            self.parts = rest;
        }
        None
    }

    /// Copies the next bytes.
    fn copy(&self, mut room: &mut [u8]) {
        let mut at = self.at;
        for part in self.parts {
            let bytes = part.get(at..).unwrap_or_default();
            let len = bytes.len().min(room.len());
            let (place, rest) = std::mem::take(&mut room).split_at_mut(len);
            place.copy_from_slice(bytes.get(..len).unwrap_or_default());
            room = rest;
            at = 0;
        }
    }

    fn pass(&mut self, mut len: usize) {
        self.left -= len;
        while let Some((first, rest)) = self.parts.split_first() {
            let here = (first.len() - self.at).min(len);
            self.at += here;
            len -= here;
            if len == 0 {
                return;
            }
            self.at = 0;
            self.parts = rest;
        }
    }
}

/// Records in a row that bring nothing: empty ones, new keys. The other side could keep us busy with them for ever.
const FRUITLESS: u32 = 32;

/// Most bytes of a message after the handshake: a session ticket, usually of some hundred.
const MOST_MESSAGE: usize = 32 * 1024;
