//! Records: what goes over the wire once the handshake is done (RFC 8446 section 5, RFC 5246 section 6).
//!
//! rustls makes the handshake and hands us the keys. Its own record layer copies each record once more than needed and
//! allocates for each one; here a record is opened from where the kernel put it straight into the reader's buffer, and
//! sealed from the writer's bytes straight into the block that is sent. The cipher itself is aws-lc's either way.

use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use rustls::{ConnectionTrafficSecrets, ProtocolVersion};

/// Type, version, length.
pub(super) const HEADER: usize = 5;

/// What every cipher that rustls knows puts behind a record.
const TAG: usize = 16;

/// Most bytes of plaintext in a record.
pub(super) const MOST_PLAIN: usize = 16 * 1024;

/// Most bytes behind the header: RFC 5246 allows 2,048 more than the plaintext, RFC 8446 256.
pub(super) const MOST_SEALED: usize = MOST_PLAIN + 2_048;

/// Content types.
pub(super) const ALERT: u8 = 21;
pub(super) const HANDSHAKE: u8 = 22;
pub(super) const DATA: u8 = 23;

/// Records that may be sealed with one key of AES-GCM: about 2^24.5 (RFC 8446 section 5.5), as rustls counts it.
pub(super) const MOST_RECORDS: u64 = 1 << 24;

/// A record that cannot be. The number is the alert that says so (RFC 8446 section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fault(pub(super) u8);

impl Fault {
    pub(super) const UNEXPECTED: Self = Self(10);
    pub(super) const BAD_MAC: Self = Self(20);
    pub(super) const OVERFLOW: Self = Self(22);
    pub(super) const NO_RENEGOTIATION: Self = Self(100);
    pub(super) const INTERNAL: Self = Self(80);
}

/// How nonces are made, and what is signed beside a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// TLS 1.3.
    V13,
    /// TLS 1.2 with ChaCha20-Poly1305 (RFC 7905).
    V12,
    /// TLS 1.2 with AES-GCM, where part of the nonce stands in the record (RFC 5288).
    V12Explicit,
}

/// The protection of one direction.
pub(super) struct Keys {
    key: LessSafeKey,
    iv: [u8; 12],
    sequence: u64,
    form: Form,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Neither key nor vector is ever written anywhere.
        f.debug_struct("Keys").field("sequence", &self.sequence).finish_non_exhaustive()
    }
}

/// A record that is whole.
#[derive(Debug, Clone, Copy)]
pub(super) struct Whole {
    kind: u8,
    /// Bytes behind the header.
    len: usize,
}

impl Whole {
    /// The record at the start of `input`; none while it is not whole.
    #[inline]
    pub(super) fn first(input: &[u8]) -> Result<Option<Self>, Fault> {
        let Some((&[kind, _, _, high, low], rest)) = input.split_first_chunk() else { return Ok(None) };
        let len = usize::from(u16::from_be_bytes([high, low]));
        if len > MOST_SEALED {
            return Err(Fault::OVERFLOW);
        }
        Ok((rest.len() >= len).then_some(Self { kind, len }))
    }

    /// With its header.
    pub(super) fn len(self) -> usize {
        HEADER + self.len
    }
}

/// What was in a record: its type, and how much of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Content {
    pub(super) kind: u8,
    pub(super) len: usize,
}

impl Keys {
    pub(super) fn new(
        (sequence, secrets): (u64, ConnectionTrafficSecrets),
        version: ProtocolVersion,
    ) -> Option<Self> {
        let v13 = version == ProtocolVersion::TLSv1_3;
        let (algorithm, key, iv, form) = match &secrets {
            ConnectionTrafficSecrets::Aes128Gcm { key, iv } => (&AES_128_GCM, key, iv, Form::V12Explicit),
            ConnectionTrafficSecrets::Aes256Gcm { key, iv } => (&AES_256_GCM, key, iv, Form::V12Explicit),
            ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => {
                (&CHACHA20_POLY1305, key, iv, Form::V12)
            }
            _ => return None,
        };
        let key = LessSafeKey::new(UnboundKey::new(algorithm, key.as_ref()).ok()?);
        let iv = iv.as_ref().try_into().ok()?;
        Some(Self { key, iv, sequence, form: if v13 { Form::V13 } else { form } })
    }

    pub(super) fn is_v13(&self) -> bool {
        self.form == Form::V13
    }

    /// Records sealed or opened so far.
    pub(super) fn records(&self) -> u64 {
        self.sequence
    }

    /// Bytes of the nonce that stand in the record.
    fn explicit(&self) -> usize {
        if self.form == Form::V12Explicit { 8 } else { 0 }
    }

    /// Bytes that a record has beside its plaintext.
    #[inline]
    pub(super) fn overhead(&self) -> usize {
        HEADER + self.explicit() + usize::from(self.is_v13()) + TAG
    }

    /// The vector with the sequence number laid over it (RFC 8446 section 5.3).
    #[inline]
    fn mixed(&self) -> [u8; 12] {
        let mut nonce = self.iv;
        if let Some(end) = nonce.last_chunk_mut::<8>() {
            *end = (u64::from_be_bytes(*end) ^ self.sequence).to_be_bytes();
        }
        nonce
    }

    /// What TLS 1.2 signs beside a record (RFC 5246 section 6.2.3.3).
    fn beside(&self, kind: u8, len: usize) -> [u8; 13] {
        let mut beside = [0; 13];
        let [high, low] = u16::try_from(len).unwrap_or(u16::MAX).to_be_bytes();
        if let Some((sequence, rest)) = beside.split_first_chunk_mut::<8>() {
            *sequence = self.sequence.to_be_bytes();
            rest.copy_from_slice(&[kind, 3, 3, high, low]);
        }
        beside
    }

    /// Opens a record out of `input` into `room`, which must have as many bytes as [`Keys::sealed`] says.
    pub(super) fn open_into(
        &mut self,
        whole: Whole,
        input: &[u8],
        room: &mut [u8],
    ) -> Result<Content, Fault> {
        let parts = self.parts(whole, input)?;
        let room = room.get_mut(..parts.sealed.len()).ok_or(Fault::INTERNAL)?;
        let opened = match parts.beside {
            Beside::Header(header) => {
                self.key.open_separate_gather(parts.nonce, Aad::from(header), parts.sealed, parts.tag, room)
            }
            Beside::Pseudo(pseudo) => {
                self.key.open_separate_gather(parts.nonce, Aad::from(pseudo), parts.sealed, parts.tag, room)
            }
        };
        opened.map_err(|_| Fault::BAD_MAC)?;
        self.sequence += 1;
        content(self.form, whole.kind, room)
    }

    /// Opens a record where it stands; the plaintext begins at the offset that is returned too.
    pub(super) fn open_in_place(
        &mut self,
        whole: Whole,
        input: &mut [u8],
    ) -> Result<(usize, Content), Fault> {
        let (nonce, beside) = {
            let parts = self.parts(whole, input)?;
            (parts.nonce, parts.beside)
        };
        let begin = HEADER + self.explicit();
        let body = input.get_mut(begin..whole.len()).ok_or(Fault::INTERNAL)?;
        let opened = match beside {
            Beside::Header(header) => self.key.open_in_place(nonce, Aad::from(header), body),
            Beside::Pseudo(pseudo) => self.key.open_in_place(nonce, Aad::from(pseudo), body),
        };
        let plain = opened.map_err(|_| Fault::BAD_MAC)?;
        self.sequence += 1;
        Ok((begin, content(self.form, whole.kind, plain)?))
    }

    /// Bytes of room that a record needs to be opened into.
    #[inline]
    pub(super) fn sealed(&self, whole: Whole) -> usize {
        whole.len.saturating_sub(self.explicit() + TAG)
    }

    fn parts<'i>(&self, whole: Whole, input: &'i [u8]) -> Result<Parts<'i>, Fault> {
        // Nothing but protected records once the handshake is done: TLS 1.3 calls them all data.
        if self.is_v13() && whole.kind != DATA {
            return Err(Fault::UNEXPECTED);
        }
        let (header, rest) = input.split_first_chunk::<HEADER>().ok_or(Fault::INTERNAL)?;
        let body = rest.get(..whole.len).ok_or(Fault::INTERNAL)?;
        let (explicit, body) = body.split_at_checked(self.explicit()).ok_or(Fault::BAD_MAC)?;
        let sealed = body.len().checked_sub(TAG).ok_or(Fault::BAD_MAC)?;
        let (sealed, tag) = body.split_at_checked(sealed).ok_or(Fault::BAD_MAC)?;
        if sealed.len() > MOST_PLAIN + 256 {
            return Err(Fault::OVERFLOW);
        }
        let nonce = match self.form {
            Form::V13 | Form::V12 => self.mixed(),
            Form::V12Explicit => {
                let mut nonce = self.iv;
                if let Some(end) = nonce.last_chunk_mut::<8>() {
                    end.copy_from_slice(explicit);
                }
                nonce
            }
        };
        let beside = match self.form {
            Form::V13 => Beside::Header(*header),
            Form::V12 | Form::V12Explicit => Beside::Pseudo(self.beside(whole.kind, sealed.len())),
        };
        Ok(Parts { nonce: Nonce::assume_unique_for_key(nonce), beside, sealed, tag })
    }

    /// Seals `len` bytes of plaintext into `room`; how many bytes the record has. `plain` holds them all, or stands
    /// already where the ciphertext will.
    pub(super) fn seal(&mut self, kind: u8, plain: Plain<'_>, room: &mut [u8]) -> Result<usize, Fault> {
        let len = match plain {
            Plain::Elsewhere(bytes) => bytes.len(),
            Plain::InPlace(len) => len,
        };
        let whole = len + self.overhead();
        let outer = if self.is_v13() { DATA } else { kind };
        let [high, low] = u16::try_from(whole - HEADER).map_err(|_| Fault::INTERNAL)?.to_be_bytes();
        let header = [outer, 3, 3, high, low];
        let nonce = self.mixed();
        let room = room.get_mut(..whole).ok_or(Fault::INTERNAL)?;
        let (start, rest) = room.split_at_mut(HEADER);
        start.copy_from_slice(&header);
        let (explicit, rest) = rest.split_at_mut(self.explicit());
        if let Some(end) = nonce.get(4..).filter(|_| !explicit.is_empty()) {
            explicit.copy_from_slice(end);
        }
        let (body, tail) = rest.split_at_mut(len);
        let inner: &[u8] = if self.is_v13() { &[kind] } else { &[] };
        let nonce = Nonce::assume_unique_for_key(nonce);
        let sealed = if self.is_v13() {
            seal_with(&self.key, (nonce, &header), plain, inner, body, tail)
        } else {
            seal_with(&self.key, (nonce, &self.beside(kind, len)), plain, inner, body, tail)
        };
        sealed.map_err(|_| Fault::INTERNAL)?;
        self.sequence += 1;
        Ok(whole)
    }

    /// Where the plaintext of a record begins that is sealed in place.
    pub(super) fn plain_at(&self) -> usize {
        HEADER + self.explicit()
    }
}

/// Where the plaintext of a record is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Plain<'p> {
    Elsewhere(&'p [u8]),
    /// So many bytes, at [`Keys::plain_at`] of the room.
    InPlace(usize),
}

fn seal_with(
    key: &LessSafeKey,
    (nonce, beside): (Nonce, &[u8]),
    plain: Plain<'_>,
    inner: &[u8],
    body: &mut [u8],
    tail: &mut [u8],
) -> Result<(), aws_lc_rs::error::Unspecified> {
    let beside = Aad::from(beside);
    match plain {
        Plain::Elsewhere(bytes) => key.seal_out_of_place_scatter(nonce, beside, bytes, body, inner, tail),
        Plain::InPlace(_) => key.seal_in_place_scatter(nonce, beside, body, inner, tail),
    }
}

struct Parts<'i> {
    nonce: Nonce,
    beside: Beside,
    sealed: &'i [u8],
    tag: &'i [u8],
}

enum Beside {
    Header([u8; HEADER]),
    Pseudo([u8; 13]),
}

/// TLS 1.3 hides the type behind the plaintext and may pad it with zeros (RFC 8446 section 5.4).
#[inline]
fn content(form: Form, outer: u8, plain: &[u8]) -> Result<Content, Fault> {
    let content = if form == Form::V13 {
        let last = plain.iter().rposition(|byte| *byte != 0).ok_or(Fault::UNEXPECTED)?;
        Content { kind: plain.get(last).copied().unwrap_or_default(), len: last }
    } else {
        Content { kind: outer, len: plain.len() }
    };
    if content.len > MOST_PLAIN { Err(Fault::OVERFLOW) } else { Ok(content) }
}

#[cfg(test)]
mod tests;
