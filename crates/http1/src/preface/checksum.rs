//! CRC32c (RFC 3309), for a header of at most a few KiB once a connection: bit by bit is fast enough.

/// Castagnoli's polynomial, its bits the other way round.
const POLYNOMIAL: u32 = 0x82f6_3b78;

/// The sum over the bytes.
pub(super) fn crc32c(bytes: impl Iterator<Item = u8>) -> u32 {
    !bytes.fold(!0, |sum, byte| {
        (0..8).fold(sum ^ u32::from(byte), |sum, _| {
            let carry = sum & 1 == 1;
            (sum >> 1) ^ if carry { POLYNOMIAL } else { 0 }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::crc32c;

    #[test]
    fn has_the_value_of_the_standard() {
        assert_eq!(crc32c(b"123456789".iter().copied()), 0xe306_9283);
    }
}
