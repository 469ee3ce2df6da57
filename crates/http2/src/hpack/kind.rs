//! What a field is, told by its name once, when it is first read.

use loadweaver_http1::Name;

/// What a field is to a receiver of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Pseudo(Pseudo),
    /// Joined into one field before it goes on (RFC 9113 section 8.2.3).
    Cookie,
    Field(Name),
    /// A name that no message may have: not a lower-case token, or a field that speaks of the connection
    /// (RFC 9113 sections 8.2.1 and 8.2.2).
    Refused,
}

/// The pseudo-header fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pseudo {
    Method,
    Scheme,
    Authority,
    Path,
    Protocol,
    Status,
    /// None that there is (RFC 9113 section 8.3).
    Unknown,
}

impl Kind {
    pub(crate) fn of(name: &[u8]) -> Self {
        if name.first() == Some(&b':') {
            return Self::Pseudo(match name {
                b":method" => Pseudo::Method,
                b":scheme" => Pseudo::Scheme,
                b":authority" => Pseudo::Authority,
                b":path" => Pseudo::Path,
                b":protocol" => Pseudo::Protocol,
                b":status" => Pseudo::Status,
                _ => Pseudo::Unknown,
            });
        }
        if !is_sound_name(name) {
            return Self::Refused;
        }
        if name == b"cookie" {
            return Self::Cookie;
        }
        match Name::of(name) {
            Name::Connection
            | Name::KeepAlive
            | Name::ProxyConnection
            | Name::TransferEncoding
            | Name::Upgrade => Self::Refused,
            name => Self::Field(name),
        }
    }
}

/// Longest name that is taken: an index of fields counts it in 16 bits.
const MAX_NAME: usize = 4096;

/// A token of RFC 9110 section 5.6.2 without upper case (RFC 9113 section 8.2.1).
fn is_sound_name(name: &[u8]) -> bool {
    !name.is_empty()
        && name.len() <= MAX_NAME
        && name.iter().all(|byte| IN_NAME.get(usize::from(*byte)) == Some(&true))
}

/// Whether a value can go into a message of any version: no control characters but the tab, and no white space at its
/// ends, which one reader would keep and another one strip (RFC 9113 section 8.2.1, RFC 9110 section 5.5).
#[inline]
pub(crate) fn is_sound_value(value: &[u8]) -> bool {
    // Without an early way out the compiler looks at many bytes at once.
    let bad = value.iter().fold(false, |bad, byte| bad | matches!(*byte, 0..=8 | 10..=0x1f | 0x7f));
    let blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    !bad && !blank(value.first()) && !blank(value.last())
}

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler, which would refuse it")]
static IN_NAME: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        table[byte as usize] = byte.is_ascii_lowercase()
            || byte.is_ascii_digit()
            || matches!(
                byte,
                b'!' | b'#'
                    | b'$'
                    | b'%'
                    | b'&'
                    | b'\''
                    | b'*'
                    | b'+'
                    | b'-'
                    | b'.'
                    | b'^'
                    | b'_'
                    | b'`'
                    | b'|'
                    | b'~'
            );
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_names_that_no_message_may_have() {
        for name in [
            "",
            "A",
            "aB",
            "a b",
            "a:",
            "a\0",
            "\u{e9}",
            "connection",
            "keep-alive",
            "proxy-connection",
            "transfer-encoding",
            "upgrade",
        ] {
            assert_eq!(Kind::of(name.as_bytes()), Kind::Refused, "{name:?}");
        }
        assert_eq!(Kind::of(b"x-a_b"), Kind::Field(Name::Other));
        assert_eq!(Kind::of(b":x"), Kind::Pseudo(Pseudo::Unknown));
        assert_eq!(Kind::of(b":Path"), Kind::Pseudo(Pseudo::Unknown));
        assert_eq!(Kind::of(b"cookie"), Kind::Cookie);
    }

    #[test]
    fn knows_values_that_cannot_be_passed_on() {
        for bad in [" a", "a ", "\ta", "a\t", "a\rb", "a\nb", "a\0", "\x01", "a\x7f", " "] {
            assert!(!is_sound_value(bad.as_bytes()), "{bad:?}");
        }
        for good in ["", "a", "a b\tc", "\u{e9}"] {
            assert!(is_sound_value(good.as_bytes()), "{good:?}");
        }
    }
}
