//! Writing the parts of a log line into a byte buffer, without allocation and so that no byte of a client can end
//! a field or a line or reach a terminal as a control sequence.

use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// What of one field a line holds at most, in bytes of input. Beside a head limit that an operator may raise to
/// 256 KiB, a line must stay something that log shippers take (many cut at 16 or 32 KiB).
const MAX_FIELD: usize = 8 * 1024;

const HEX: &[u8; 16] = b"0123456789abcdef";

/// The contents of a JSON string (RFC 8259, section 7). Valid UTF-8 stays as it is, except the C1 controls, which
/// some terminals obey. A byte that is not part of valid UTF-8 is written as the code point of the same number
/// (that is: read as Latin-1), which keeps the byte visible where U+FFFD would hide it.
pub(crate) fn json_text(out: &mut Vec<u8>, text: &[u8]) {
    let (text, cut) = limited(text);
    if is_all_plain(text) {
        out.extend_from_slice(text);
    } else {
        for chunk in text.utf8_chunks() {
            for character in chunk.valid().chars() {
                json_character(out, character);
            }
            for byte in chunk.invalid() {
                json_escape(out, *byte);
            }
        }
    }
    if cut {
        out.extend_from_slice(b"...");
    }
}

fn json_character(out: &mut Vec<u8>, character: char) {
    match character {
        '"' => out.extend_from_slice(b"\\\""),
        '\\' => out.extend_from_slice(b"\\\\"),
        '\n' => out.extend_from_slice(b"\\n"),
        '\r' => out.extend_from_slice(b"\\r"),
        '\t' => out.extend_from_slice(b"\\t"),
        // The C0 and C1 controls and DEL: all below U+0100.
        _ if character.is_control() => json_escape(out, u8::try_from(character).unwrap_or(b'?')),
        _ => out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}

fn json_escape(out: &mut Vec<u8>, byte: u8) {
    out.extend_from_slice(b"\\u00");
    hex(out, byte);
}

/// The contents of a quoted field of the combined format, escaped as Apache's mod_log_config does since 2.0.46:
/// quote and backslash by a backslash, whitespace controls as in C, every other byte outside printable ASCII as
/// `\xhh`.
pub(crate) fn quoted_text(out: &mut Vec<u8>, text: &[u8]) {
    let (text, cut) = limited(text);
    if is_all_plain(text) {
        out.extend_from_slice(text);
    } else {
        for byte in text {
            quoted_byte(out, *byte);
        }
    }
    if cut {
        out.extend_from_slice(b"...");
    }
}

/// A field that stands without quotes: blanks and quotes would end it, so they are written as `\xhh` too.
pub(crate) fn bare_text(out: &mut Vec<u8>, text: &[u8]) {
    let (text, _) = limited(text);
    if is_all_plain(text) && !text.iter().any(|byte| matches!(byte, b' ' | b'=')) {
        out.extend_from_slice(text);
        return;
    }
    for byte in text {
        match byte {
            b' ' | b'"' | b'=' => quoted_hex(out, *byte),
            _ => quoted_byte(out, *byte),
        }
    }
}

fn quoted_byte(out: &mut Vec<u8>, byte: u8) {
    match byte {
        b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
        b'\n' => out.extend_from_slice(b"\\n"),
        b'\r' => out.extend_from_slice(b"\\r"),
        b'\t' => out.extend_from_slice(b"\\t"),
        b' '..=b'~' => out.push(byte),
        _ => quoted_hex(out, byte),
    }
}

fn quoted_hex(out: &mut Vec<u8>, byte: u8) {
    out.extend_from_slice(b"\\x");
    hex(out, byte);
}

fn hex(out: &mut Vec<u8>, byte: u8) {
    for nibble in [byte >> 4, byte & 0xf] {
        out.push(HEX.get(usize::from(nibble)).copied().unwrap_or(b'?'));
    }
}

/// Whether every byte may stand as it is in both formats.
#[expect(clippy::needless_bitwise_bool, reason = "without branches the compiler tests 16 bytes at a time")]
fn is_all_plain(text: &[u8]) -> bool {
    text.iter().fold(true, |plain, byte| {
        plain & (*byte >= b' ') & (*byte < 0x7f) & (*byte != b'"') & (*byte != b'\\')
    })
}

fn limited(text: &[u8]) -> (&[u8], bool) {
    text.get(..MAX_FIELD).map_or((text, false), |start| (start, text.len() > MAX_FIELD))
}

pub(crate) fn decimal(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0_u8; 20];
    let mut start = digits.len();
    for slot in digits.iter_mut().rev() {
        *slot = digit(number % 10);
        start -= 1;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(start..).unwrap_or_default());
}

fn three_digits(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(&[digit(number / 100 % 10), digit(number / 10 % 10), digit(number % 10)]);
}

/// The digit for a number below ten.
#[expect(clippy::cast_possible_truncation, reason = "callers pass a remainder of ten")]
fn digit(number: u64) -> u8 {
    b'0' + number as u8
}

/// Milliseconds with three decimals.
pub(crate) fn millis(out: &mut Vec<u8>, duration: Duration) {
    let micros = crate::counters::micros(duration);
    decimal(out, micros / 1000);
    out.push(b'.');
    three_digits(out, micros % 1000);
}

pub(crate) fn ip(out: &mut Vec<u8>, address: IpAddr) {
    use std::io::Write;
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets().map(u64::from);
            decimal(out, a);
            for octet in [b, c, d] {
                out.push(b'.');
                decimal(out, octet);
            }
        }
        // The standard library knows RFC 5952. Writing into a Vec does not fail.
        IpAddr::V6(address) => drop(write!(out, "{address}")),
    }
}

pub(crate) fn socket(out: &mut Vec<u8>, address: SocketAddr) {
    if address.is_ipv4() {
        ip(out, address.ip());
    } else {
        out.push(b'[');
        ip(out, address.ip());
        out.push(b']');
    }
    out.push(b':');
    decimal(out, u64::from(address.port()));
}

/// Timestamps of which all but the milliseconds are kept from line to line: taking a date apart costs more than the
/// rest of a line.
#[derive(Debug)]
pub(crate) struct Clock {
    format: &'static str,
    second: u64,
    text: String,
}

impl Clock {
    /// RFC 3339 up to the second; the caller adds fraction and zone.
    pub(crate) const RFC3339: &'static str = "%Y-%m-%dT%H:%M:%S";
    /// Apache's common log format; UTC, so that the text does not depend on where the node runs.
    pub(crate) const APACHE: &'static str = "%d/%b/%Y:%H:%M:%S +0000";

    pub(crate) fn new(format: &'static str) -> Self {
        Self { format, second: u64::MAX, text: String::new() }
    }

    /// The text of the second that `at` lies in; a time before 1970 counts as 1970.
    pub(crate) fn second(&mut self, at: SystemTime) -> (&str, u32) {
        let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        if since.as_secs() != self.second {
            self.second = since.as_secs();
            let second = i64::try_from(self.second).unwrap_or(i64::MAX);
            let date = Timestamp::from_second(second).unwrap_or(Timestamp::MAX).to_zoned(TimeZone::UTC);
            self.text = date.strftime(self.format).to_string();
        }
        (&self.text, since.subsec_millis())
    }

    /// `2026-11-21T09:54:31.123Z`; for a clock made with [`Clock::RFC3339`].
    pub(crate) fn rfc3339(&mut self, out: &mut Vec<u8>, at: SystemTime) {
        let (second, millis) = self.second(at);
        out.extend_from_slice(second.as_bytes());
        out.push(b'.');
        three_digits(out, u64::from(millis));
        out.push(b'Z');
    }
}

/// One moment as RFC 3339 text in UTC with milliseconds.
pub fn rfc3339(at: SystemTime) -> String {
    thread_local! {
        // Who asks for one moment often asks for thousands within one second.
        static CLOCK: RefCell<Clock> = RefCell::new(Clock::new(Clock::RFC3339));
    }
    let mut out = Vec::with_capacity(24);
    CLOCK.with_borrow_mut(|clock| clock.rfc3339(&mut out, at));
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers() {
        for number in [0, 9, 10, 255, 1_000_000, u64::MAX] {
            assert_eq!(written(|out| decimal(out, number)), number.to_string());
        }
        assert_eq!(written(|out| millis(out, Duration::from_nanos(1_234_567))), "1.234");
        assert_eq!(written(|out| millis(out, Duration::from_secs(61))), "61000.000");
    }

    #[test]
    fn addresses_read_as_the_standard_library_writes_them() {
        for text in
            ["127.0.0.1:80", "255.10.0.1:65535", "[::1]:8080", "[2001:db8::17]:1", "[::ffff:1.2.3.4]:9"]
        {
            let address: SocketAddr = text.parse().unwrap();
            assert_eq!(written(|out| socket(out, address)), text);
        }
    }

    #[test]
    fn times() {
        let at = UNIX_EPOCH + Duration::from_millis(1_700_000_000_007);
        assert_eq!(rfc3339(at), "2023-11-14T22:13:20.007Z");
        assert_eq!(Clock::new(Clock::APACHE).second(at).0, "14/Nov/2023:22:13:20 +0000");
        assert_eq!(rfc3339(UNIX_EPOCH - Duration::from_secs(9)), "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn a_clock_notices_the_next_second() {
        let mut clock = Clock::new(Clock::RFC3339);
        let at = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        for (later, text) in
            [(0, "2023-11-14T22:13:20"), (1, "2023-11-14T22:13:21"), (0, "2023-11-14T22:13:20")]
        {
            assert_eq!(clock.second(at + Duration::from_secs(later)).0, text);
        }
    }

    #[test]
    fn json_text_reads_back_for_each_byte_and_is_one_line_of_printable_text() {
        for byte in 0..=u8::MAX {
            let text = written(|out| json_text(out, &[b'a', byte, b'z']));
            assert!(!text.chars().any(char::is_control), "{byte:#x}: {text:?}");
            let read: String = serde_json::from_str(&format!("\"{text}\"")).unwrap();
            assert_eq!(read, format!("a{}z", char::from(byte)));
        }
        assert_eq!(written(|out| json_text(out, "käse 日本 \u{85}".as_bytes())), "käse 日本 \\u0085");
    }

    #[test]
    fn quoted_text_is_printable_ascii_for_each_byte_and_never_ends_its_field() {
        for byte in 0..=u8::MAX {
            let text = written(|out| quoted_text(out, &[byte]));
            assert!(text.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{byte:#x}");
            assert!(text == "\\\"" || !text.contains('"'));
            let bare = written(|out| bare_text(out, &[byte]));
            assert!(!bare.contains(' ') && (bare == "\\\"" || !bare.contains('"')), "{byte:#x}: {bare}");
        }
    }

    #[test]
    fn a_huge_field_is_cut() {
        let text = written(|out| json_text(out, &vec![b'"'; 100_000]));
        assert_eq!(text.len(), MAX_FIELD * 2 + 3);
    }
}
