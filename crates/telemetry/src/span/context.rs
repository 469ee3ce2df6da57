//! What a request says of the trace that it belongs to (W3C Trace Context).

/// A trace's id; never all zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceId([u8; 16]);

/// A span's id; never all zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpanId([u8; 8]);

/// The span that a request comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parent {
    /// Its trace.
    pub trace: TraceId,
    /// Itself.
    pub span: SpanId,
    /// Whether it is recorded.
    pub is_sampled: bool,
    /// Whether the trace's id is a random one, as whoever made it says.
    pub is_random: bool,
}

/// Bit 0 of the flags.
const SAMPLED: u8 = 1;
/// Bit 1, of level 2 of the specification.
const RANDOM: u8 = 2;
/// How long a `traceparent` of version 00 is.
const LENGTH: usize = 55;

impl TraceId {
    /// An id of random bits.
    pub fn of(random: [u64; 2]) -> Self {
        // One in 2^128, and it would be invalid.
        Self(
            if random == [0, 0] { 1_u128 } else { u128::from(random[0]) << 64 | u128::from(random[1]) }
                .to_be_bytes(),
        )
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Its last 56 bits.
    pub(super) fn randomness(self) -> u64 {
        let low = u128::from_be_bytes(self.0) & ((1 << 56) - 1);
        u64::try_from(low).unwrap_or(0)
    }
}

impl SpanId {
    /// How many characters it has as text.
    pub const DIGITS: usize = 16;

    /// An id of random bits.
    pub fn of(random: u64) -> Self {
        Self(random.max(1).to_be_bytes())
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8; 8] {
        &self.0
    }

    /// As it stands in a `traceparent`.
    pub fn digits(&self) -> [u8; Self::DIGITS] {
        let mut digits = [0; Self::DIGITS];
        hex(&self.0, &mut digits);
        digits
    }
}

impl Parent {
    /// Where the span's id stands in what [`Parent::write`] has written.
    pub const SPAN_AT: usize = 36;

    /// Reads the value of a `traceparent`; none if it is not one. Of a version that is not known here the beginning
    /// counts (section 4.2 of level 1).
    pub fn read(value: &[u8]) -> Option<Self> {
        let (version, rest) = value.split_first_chunk::<2>()?;
        let version = byte(*version)?;
        let has_end = match value.len() {
            LENGTH => true,
            more if more > LENGTH => version != 0 && value.get(LENGTH) == Some(&b'-'),
            _ => false,
        };
        if version == 0xff || !has_end {
            return None;
        }
        let (trace, rest) = bytes::<16>(rest)?;
        let (span, rest) = bytes::<8>(rest)?;
        let ([flags], _) = bytes::<1>(rest)?;
        (trace != [0; 16] && span != [0; 8]).then_some(Self {
            trace: TraceId(trace),
            span: SpanId(span),
            is_sampled: flags & SAMPLED != 0,
            is_random: flags & RANDOM != 0,
        })
    }

    /// The value of a `traceparent` for whoever this is the parent of.
    pub fn write(&self) -> [u8; LENGTH] {
        let mut value = [b'-'; LENGTH];
        let flags = (u8::from(self.is_sampled) * SAMPLED) | (u8::from(self.is_random) * RANDOM);
        let parts: [(usize, &[u8]); 4] =
            [(0, &[0]), (3, &self.trace.0), (Self::SPAN_AT, &self.span.0), (53, &[flags])];
        for (at, bytes) in parts {
            if let Some(digits) = value.get_mut(at..at + 2 * bytes.len()) {
                hex(bytes, digits);
            }
        }
        value
    }
}

/// The byte that two digits stand for. Only lower case is a `traceparent`.
fn byte([high, low]: [u8; 2]) -> Option<u8> {
    let digit = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    Some(digit(high)? << 4 | digit(low)?)
}

/// `-` and so many bytes, and what is left.
fn bytes<const N: usize>(text: &[u8]) -> Option<([u8; N], &[u8])> {
    let mut rest = text.strip_prefix(b"-")?;
    let mut found = [0; N];
    for place in &mut found {
        let (digits, left) = rest.split_first_chunk::<2>()?;
        *place = byte(*digits)?;
        rest = left;
    }
    Some((found, rest))
}

fn hex(bytes: &[u8], digits: &mut [u8]) {
    let digit = |nibble: u8| if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 };
    for (pair, byte) in digits.chunks_exact_mut(2).zip(bytes) {
        pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 0xf)]);
    }
}
