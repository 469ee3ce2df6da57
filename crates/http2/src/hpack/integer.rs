//! Integers: RFC 7541 section 5.1.

use super::Undecodable;

/// Reads an integer whose first byte has `prefix` bits of it, and takes it off the input.
#[inline]
pub(super) fn read(input: &mut &[u8], prefix: u32) -> Result<usize, Undecodable> {
    let (first, mut rest) = input.split_first().ok_or(Undecodable)?;
    let full = (1_u32 << prefix) - 1;
    let mut value = u32::from(*first) & full;
    if value == full {
        let mut shift = 0;
        loop {
            let (byte, after) = rest.split_first().ok_or(Undecodable)?;
            rest = after;
            // Five bytes reach beyond every length that there can be; whoever writes more counts on an overflow.
            if shift > 21 && (shift > 28 || *byte & 0x70 != 0) {
                return Err(Undecodable);
            }
            value = value.checked_add(u32::from(*byte & 0x7f) << shift).ok_or(Undecodable)?;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
    }
    *input = rest;
    usize::try_from(value).map_err(|_| Undecodable)
}

/// Writes an integer whose first byte has `prefix` bits of it and `flags` above them.
#[inline]
pub(super) fn write(out: &mut Vec<u8>, prefix: u32, flags: u8, value: usize) {
    let full = (1_usize << prefix) - 1;
    if value < full {
        return out.push(flags | low(value));
    }
    out.push(flags | low(full));
    let mut left = value - full;
    while left >= 0x80 {
        out.push(0x80 | low(left & 0x7f));
        left >>= 7;
    }
    out.push(low(left));
}

/// The lowest byte.
#[inline]
fn low(value: usize) -> u8 {
    u8::try_from(value & 0xff).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        for prefix in 4..=7 {
            for value in [0, 1, 14, 15, 16, 30, 31, 127, 128, 1337, 65_535, 1 << 20, 1 << 28, (1 << 31) - 1] {
                let mut out = Vec::new();
                write(&mut out, prefix, 0x80, value);
                out.push(0xff);
                let mut input = out.as_slice();
                assert_eq!(read(&mut input, prefix), Ok(value), "{value} with {prefix} bits");
                assert_eq!(input, [0xff]);
            }
        }
    }

    #[test]
    fn reads_the_examples_of_the_rfc() {
        assert_eq!(read(&mut [0x0a].as_slice(), 5), Ok(10));
        assert_eq!(read(&mut [0x1f, 0x9a, 0x0a].as_slice(), 5), Ok(1337));
        assert_eq!(read(&mut [42].as_slice(), 7), Ok(42));
    }

    #[test]
    fn refuses_what_overflows_or_ends_early() {
        for bad in [
            &[][..],
            &[0x1f],
            &[0x1f, 0x80],
            &[0x1f, 0xff, 0xff, 0xff, 0xff, 0x10],
            &[0x1f, 0xff, 0xff, 0xff, 0xff, 0x0f],
            &[0x1f, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00],
            &[0x1f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
        ] {
            assert_eq!(read(&mut { bad }, 5), Err(Undecodable), "{bad:?}");
        }
    }
}
