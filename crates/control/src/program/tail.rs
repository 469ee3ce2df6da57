//! The end of what a program says, made fit to be shown.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// What is kept of a program's output.
const KEPT: usize = 4 * 1024;

/// The last 4 KiB of an output. Clones are the same tail.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tail(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    bytes: VecDeque<u8>,
    cut: bool,
}

impl Tail {
    pub(crate) fn add(&self, bytes: &[u8]) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let news = bytes.get(bytes.len().saturating_sub(KEPT)..).unwrap_or_default();
        let surplus = (kept.bytes.len() + news.len()).saturating_sub(KEPT);
        kept.cut |= surplus > 0 || news.len() < bytes.len();
        kept.bytes.drain(..surplus);
        kept.bytes.extend(news);
    }

    /// What is kept, as text. Where the beginning is missing, so is what is left of a character that was cut.
    pub(crate) fn text(&self) -> String {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let continues = |byte: &u8| kept.cut && byte & 0b1100_0000 == 0b1000_0000;
        let bytes: Vec<u8> = kept.bytes.iter().copied().skip_while(continues).collect();
        harmless(&String::from_utf8_lossy(&bytes)).trim_end().to_owned()
    }
}

/// Text that does nothing to a terminal or a page: line ends and tabs stay, other control characters and those that
/// turn the direction of writing become a replacement character.
pub(crate) fn harmless(text: &str) -> String {
    let one_line_end = text.replace("\r\n", "\n").replace('\r', "\n");
    one_line_end.chars().map(|c| if is_harmless(c) { c } else { char::REPLACEMENT_CHARACTER }).collect()
}

fn is_harmless(c: char) -> bool {
    let turns = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c == '\n' || c == '\t' || !(c.is_control() || turns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_end_however_it_comes() {
        let whole: Vec<u8> = (0..20_000_u32).map(|at| b'a' + u8::try_from(at % 26).unwrap_or(0)).collect();
        for size in [1, 7, 4095, 4096, 4097, 20_000] {
            let tail = Tail::default();
            for piece in whole.chunks(size) {
                tail.add(piece);
            }
            assert_eq!(tail.text().as_bytes(), whole.get(20_000 - KEPT..).unwrap_or_default(), "{size}");
        }
    }

    #[test]
    fn is_text_and_does_no_harm() {
        let tail = Tail::default();
        tail.add(b"\x1b[2Jred \xff\xfe\r\nprogress\rdone\tok \xe2\x80\xae\x00\x07\n\n");
        assert_eq!(
            tail.text(),
            "\u{fffd}[2Jred \u{fffd}\u{fffd}\nprogress\ndone\tok \u{fffd}\u{fffd}\u{fffd}"
        );
    }

    #[test]
    fn a_character_that_was_cut_is_left_out() {
        let tail = Tail::default();
        tail.add("ä".repeat(KEPT).as_bytes());
        tail.add(b"x");
        assert_eq!(tail.text(), format!("{}x", "ä".repeat(KEPT / 2 - 1)));
    }
}
