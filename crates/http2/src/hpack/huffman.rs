//! The Huffman code: RFC 7541 section 5.2 and appendix B. Read only: what we write goes out as it is.
//!
//! The code is canonical: codes of one length are consecutive, in the order of their symbols. So the lengths say it
//! all, and the tables below are made of them by the compiler. The first one takes [`FAST_BITS`] bits and gives up to
//! two symbols at once; what is longer, and rare, is found by its length.
//!
//! Not writing it costs a quarter more bytes in fields that are not in the table yet, and saves a loop over each
//! letter of them; HAProxy decides the same.

use super::Undecodable;

/// Appends the symbols of `input` to `out`.
pub(super) fn decode(input: &[u8], out: &mut Vec<u8>) -> Result<(), Undecodable> {
    let start = out.len();
    // No code is shorter than five bits; two bytes more, because symbols are written in pairs.
    out.resize(start + input.len() * 8 / 5 + 2, 0);
    let room = out.get_mut(start..).unwrap_or_default();
    let len = symbols(input, room)?;
    out.truncate(start + len);
    Ok(())
}

fn symbols(mut input: &[u8], room: &mut [u8]) -> Result<usize, Undecodable> {
    // The bits that are next, from the top; `bits` of them count.
    let (mut next, mut bits) = (0_u64, 0_u32);
    let mut at = 0;
    loop {
        if let Some(chunk) = input.first_chunk::<8>() {
            next |= u64::from_be_bytes(*chunk) >> bits;
            let taken = (63 - bits) >> 3;
            input = input.get(taken as usize..).unwrap_or_default();
            bits += taken << 3;
        } else {
            while bits <= 56
                && let Some((byte, rest)) = input.split_first()
            {
                next |= u64::from(*byte) << (56 - bits);
                bits += 8;
                input = rest;
            }
            if bits < LONGEST {
                return last(next, bits, at, room);
            }
        }
        while bits >= LONGEST {
            let fast = fast(next);
            if fast.count > 0 {
                put(room, at, fast.pair)?;
                at += usize::from(fast.count);
                next <<= fast.bits;
                bits -= u32::from(fast.bits);
            } else {
                let (symbol, len) = slow(next)?;
                put(room, at, [symbol, 0])?;
                at += 1;
                next <<= len;
                bits -= len;
            }
        }
    }
}

/// The end: what is missing of the last byte is filled with the beginning of EOS, which is all ones.
fn last(next: u64, mut bits: u32, mut at: usize, room: &mut [u8]) -> Result<usize, Undecodable> {
    let mut next = next | u64::MAX.checked_shr(bits).unwrap_or(0);
    loop {
        let fast = fast(next);
        let (pair, count, len) = if fast.count > 0 && u32::from(fast.bits) <= bits {
            (fast.pair, usize::from(fast.count), u32::from(fast.bits))
        } else if fast.count > 0 && u32::from(fast.first_bits) <= bits {
            (fast.pair, 1, u32::from(fast.first_bits))
        } else {
            // More than seven bits of padding, or padding of anything but ones, are an error.
            let padding = bits < 8 && next == u64::MAX;
            if padding {
                return Ok(at);
            }
            let (symbol, len) = slow(next)?;
            if len > bits {
                return Err(Undecodable);
            }
            ([symbol, 0], 1, len)
        };
        put(room, at, pair)?;
        at += count;
        next = (next << len) | ((1 << len) - 1);
        bits -= len;
    }
}

#[inline]
fn put(room: &mut [u8], at: usize, pair: [u8; 2]) -> Result<(), Undecodable> {
    room.get_mut(at..at + 2).ok_or(Undecodable)?.copy_from_slice(&pair);
    Ok(())
}

#[inline]
fn fast(next: u64) -> Fast {
    let index = usize::try_from(next >> (64 - FAST_BITS)).unwrap_or(0);
    FAST.get(index).copied().unwrap_or(Fast::NONE)
}

/// A symbol whose code is longer than [`FAST_BITS`], and the length of its code. EOS within a string is an error.
#[cold]
fn slow(next: u64) -> Result<(u8, u32), Undecodable> {
    for len in 5..=LONGEST {
        let code = u32::try_from(next >> (64 - len)).unwrap_or(u32::MAX);
        let Some(codes) = CODES.get(len as usize) else { break };
        let place = code.wrapping_sub(codes.first);
        if place < codes.count {
            let symbol = SYMBOLS.get(codes.symbols as usize + place as usize).ok_or(Undecodable)?;
            return u8::try_from(*symbol).map(|symbol| (symbol, len)).map_err(|_| Undecodable);
        }
    }
    Err(Undecodable)
}

/// Bits that the fast table takes. Two of the letters that text consists of fit into 12; 11 lose a few of the pairs
/// and halve the table, which competes with everything else for the first cache.
const FAST_BITS: u32 = 11;

/// The longest code, EOS among them.
const LONGEST: u32 = 30;

/// What stands at the beginning of some bits: no symbol whose code is short enough, or one, or two.
#[derive(Clone, Copy)]
struct Fast {
    pair: [u8; 2],
    count: u8,
    /// Of all symbols in the low bits, of the first one alone in `first_bits`.
    bits: u8,
    first_bits: u8,
}

impl Fast {
    const NONE: Self = Self { pair: [0; 2], count: 0, bits: 0, first_bits: 0 };
}

/// The codes of one length: the first, how many, and where their symbols stand.
#[derive(Clone, Copy)]
struct Codes {
    first: u32,
    count: u32,
    symbols: u32,
}

/// Symbols in the order of their codes.
#[expect(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "evaluated by the compiler, which would refuse it"
)]
const SYMBOLS: [u16; 257] = {
    let mut symbols = [0; 257];
    let (mut at, mut len) = (0, 5);
    while len <= LONGEST as u8 {
        let mut symbol = 0;
        while symbol < 257 {
            if LENGTHS[symbol] == len {
                symbols[at] = symbol as u16;
                at += 1;
            }
            symbol += 1;
        }
        len += 1;
    }
    symbols
};

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler, which would refuse it")]
static CODES: [Codes; 31] = {
    let mut codes = [Codes { first: 0, count: 0, symbols: 0 }; 31];
    let (mut code, mut symbols, mut len) = (0, 0, 1);
    while len <= LONGEST as usize {
        code <<= 1;
        let mut count = 0;
        let mut symbol = 0;
        while symbol < 257 {
            if LENGTHS[symbol] as usize == len {
                count += 1;
            }
            symbol += 1;
        }
        codes[len] = Codes { first: code, count, symbols };
        code += count;
        symbols += count;
        len += 1;
    }
    codes
};

#[expect(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "evaluated by the compiler, which would refuse it"
)]
static FAST: [Fast; 1 << FAST_BITS] = {
    let mut table = [Fast::NONE; 1 << FAST_BITS];
    // The symbols with short codes stand first, in the order of their codes; so their codes can be counted up.
    let (mut at, mut code, mut len) = (0, 0, 5);
    while at < 257 {
        let symbol = SYMBOLS[at] as usize;
        while len < LENGTHS[symbol] as u32 {
            code <<= 1;
            len += 1;
        }
        if len > FAST_BITS {
            break;
        }
        let first = code << (FAST_BITS - len);
        let mut rest = 0;
        while rest < 1 << (FAST_BITS - len) {
            table[first + rest] =
                Fast { pair: [symbol as u8, 0], count: 1, bits: len as u8, first_bits: len as u8 };
            rest += 1;
        }
        code += 1;
        at += 1;
    }
    // What is left of the bits behind the first symbol may hold a second one.
    let singles = table;
    let mut index = 0;
    while index < 1 << FAST_BITS {
        let first = singles[index];
        let second = singles[(index << first.first_bits) & ((1 << FAST_BITS) - 1)];
        if first.count == 1 && second.count == 1 && (first.bits + second.bits) as u32 <= FAST_BITS {
            table[index].pair[1] = second.pair[0];
            table[index].count = 2;
            table[index].bits = first.bits + second.bits;
        }
        index += 1;
    }
    table
};

/// The length of the code of each symbol, EOS last (RFC 7541 appendix B).
#[rustfmt::skip]
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
    28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
     6, 10, 10, 12, 13,  6,  8, 11, 10, 10,  8, 11,  8,  6,  6,  6,
     5,  5,  5,  6,  6,  6,  6,  6,  6,  6,  7,  8, 15,  6, 12, 10,
    13,  6,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,
     7,  7,  7,  7,  7,  7,  7,  7,  8,  7,  8, 13, 19, 13, 14,  6,
    15,  5,  6,  5,  6,  5,  6,  6,  6,  5,  7,  7,  6,  6,  6,  5,
     6,  7,  6,  5,  5,  6,  7,  7,  7,  7,  7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
    21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
    30,
];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use std::fmt::Write as _;

    /// Writes the code, bit by bit: what is read must be what this has written.
    fn encode(text: &[u8]) -> Vec<u8> {
        let mut bits = String::new();
        for byte in text {
            let len = usize::from(LENGTHS[usize::from(*byte)]);
            let place = SYMBOLS.iter().position(|symbol| *symbol == u16::from(*byte)).unwrap();
            let codes = CODES[len];
            let code = codes.first as usize + place - codes.symbols as usize;
            write!(bits, "{code:0len$b}").unwrap();
        }
        while !bits.len().is_multiple_of(8) {
            bits.push('1');
        }
        bits.as_bytes()
            .chunks(8)
            .map(|byte| byte.iter().fold(0, |all, bit| all << 1 | (bit - b'0')))
            .collect()
    }

    fn decoded(input: &[u8]) -> Result<Vec<u8>, Undecodable> {
        let mut out = b"before".to_vec();
        decode(input, &mut out).map(|()| out.split_off(6))
    }

    #[test]
    fn the_lengths_make_a_whole_code() {
        let sum: u64 = LENGTHS.iter().map(|len| 1 << (30 - len)).sum();
        assert_eq!(sum, 1 << 30);
    }

    #[test]
    fn reads_every_symbol_beside_every_other() {
        for one in 0..=255 {
            for other in 0..=255 {
                let text = [one, other, b'a', one, other];
                assert_eq!(decoded(&encode(&text)).unwrap(), text);
            }
        }
    }

    #[test]
    fn reads_the_examples_of_the_rfc() {
        let cases: [(&[u8], &str); 4] = [
            (&[0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff], "www.example.com"),
            (&[0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbf], "no-cache"),
            (&[0x25, 0xa8, 0x49, 0xe9, 0x5b, 0xa9, 0x7d, 0x7f], "custom-key"),
            (&[0x9b, 0xd9, 0xab], "gzip"),
        ];
        for (code, text) in cases {
            assert_eq!(decoded(code).unwrap(), text.as_bytes());
        }
    }

    #[test]
    fn refuses_bad_padding_and_eos() {
        // "a" is 00011: three bits of padding.
        assert_eq!(decoded(&[0b0001_1111]).unwrap(), b"a");
        for bad in [
            &[0b0001_1110][..],
            &[0b0001_1000],
            &[0b0001_1111, 0xff],
            &[0xff],
            &[0xff, 0xff, 0xff, 0xff],
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
            &[0xff, 0xff, 0xff, 0xfc],
        ] {
            assert_eq!(decoded(bad), Err(Undecodable), "{bad:?}");
        }
        assert_eq!(decoded(&[]).unwrap(), b"");
    }

    proptest::proptest! {
        #[test]
        fn reads_any_text(text: Vec<u8>) {
            proptest::prop_assert_eq!(decoded(&encode(&text)).unwrap(), text);
        }

        #[test]
        fn takes_exactly_what_would_be_written(input: Vec<u8>) {
            if let Ok(text) = decoded(&input) {
                proptest::prop_assert_eq!(encode(&text), input);
            }
        }
    }
}
