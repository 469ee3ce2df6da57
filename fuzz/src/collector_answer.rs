//! What a collector says of the spans that it was sent: `[count][its words]`, as protobuf and as what it comes.
//!
//! Any bytes are read as far as they go. What was written by the book, with fields around it that nobody knows, is read
//! as it was written.

use loadweaver_telemetry::span::rejected;

/// Bytes do no harm, and a message is read.
pub fn holds(input: &[u8]) {
    let (_, why) = rejected(input);
    // What is not text becomes marks of three bytes.
    assert!(why.len() <= 3 * input.len(), "more words than there were");
    let Some((count, words)) = input.split_first_chunk::<8>() else { return };
    let (count, words) = (u64::from_le_bytes(*count), String::from_utf8_lossy(words));
    let mut partial = Vec::new();
    number(&mut partial, 1 << 3, count);
    // Fields 3 to 5, which are not there yet: a number, a text, and eight bytes.
    number(&mut partial, 3 << 3, u64::MAX);
    text(&mut partial, 4 << 3 | 2, words.as_bytes());
    number(&mut partial, 5 << 3 | 1, 0);
    partial.extend([0; 7]);
    text(&mut partial, 2 << 3 | 2, words.as_bytes());
    let mut answer = Vec::new();
    text(&mut answer, 9 << 3 | 2, b"unknown");
    text(&mut answer, 1 << 3 | 2, &partial);
    assert_eq!(rejected(&answer), (count, words.into_owned()), "an answer was misread");
}

/// A key, and a number in groups of seven bits.
fn number(out: &mut Vec<u8>, key: u8, mut value: u64) {
    out.push(key);
    while value > 0x7f {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

/// A key, how long it is, and itself.
fn text(out: &mut Vec<u8>, key: u8, value: &[u8]) {
    number(out, key, value.len() as u64);
    out.extend(value);
}
