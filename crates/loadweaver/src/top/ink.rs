//! Colours and signs, and text that fits into its place.
//!
//! A colour never stands alone: signs, heights and words say the same, for whoever sees no colours and where
//! `NO_COLOR` wants none.

use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Span;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::past::{Column, cells};
use super::shapes::Severity;

/// Heights of a line of blocks, the lowest first.
const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Points that a sparkline is made of.
const POINTS: usize = 300;

/// Whether there are colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ink {
    Colours,
    Plain,
}

/// What a text means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Usual,
    Strong,
    Muted,
    Good,
    Warning,
    Bad,
    Series,
}

impl From<Severity> for Tone {
    fn from(severity: Severity) -> Self {
        match severity {
            Severity::Critical => Self::Bad,
            Severity::Warning => Self::Warning,
        }
    }
}

impl Ink {
    /// As the environment wants it (<https://no-color.org>).
    pub(super) fn of_environment() -> Self {
        let is_unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        if is_unwanted { Self::Plain } else { Self::Colours }
    }

    pub(super) fn style(self, tone: Tone) -> Style {
        let (colour, modifier) = match tone {
            Tone::Usual => (Color::Reset, Modifier::empty()),
            Tone::Strong => (Color::Reset, Modifier::BOLD),
            Tone::Muted => (Color::Reset, Modifier::DIM),
            Tone::Good => (Color::Green, Modifier::empty()),
            Tone::Warning => (Color::Yellow, Modifier::empty()),
            Tone::Bad => (Color::Red, Modifier::BOLD),
            Tone::Series => (Color::Cyan, Modifier::empty()),
        };
        let style = Style::new().add_modifier(modifier);
        if self == Self::Colours && colour != Color::Reset { style.fg(colour) } else { style }
    }

    pub(super) fn span(self, text: impl Into<String>, tone: Tone) -> Span<'static> {
        Span::styled(text.into(), self.style(tone))
    }

    /// How it went in the last five minutes: each cell is the most of its points.
    pub(super) fn sparkline(self, column: &Column, last: Option<u64>, width: usize) -> Span<'static> {
        let per = POINTS.div_ceil(width.max(1)) as u64;
        let highest = column.iter().flatten().copied().fold(0.0, f32::max);
        let newest = last.unwrap_or(0);
        // Cells hold the same points for as long as they are seen: the picture moves and does not dance.
        let (mut filled, end) = (vec![None; width], newest / per);
        for (age, point) in column.iter().rev().enumerate() {
            let Some(number) = newest.checked_sub(age as u64) else { break };
            let place = usize::try_from(end - number / per)
                .ok()
                .and_then(|back| (width.checked_sub(1)?).checked_sub(back));
            let Some(cell) = place.and_then(|place| filled.get_mut(place)) else { break };
            *cell = match (*cell, *point) {
                (Some(known), Some(point)) => Some(f32::max(known, point)),
                (known, point) => known.or(point),
            };
        }
        let block = |cell: Option<f32>| cell.map_or(' ', |value| block(value, highest));
        self.span(filled.into_iter().map(block).collect::<String>(), Tone::Series)
    }

    /// A pool's health over the hour: the share of its servers that were up, cell by cell, at worst.
    pub(super) fn strip(self, up: &Column, now: Option<f32>, width: usize) -> Vec<Span<'static>> {
        let mut shares = cells(up, width.max(1));
        if let (Some(last), Some(now)) = (shares.last_mut(), now) {
            *last = Some(now);
        }
        let cell = |share: &Option<f32>| match share {
            None => self.span("·", Tone::Muted),
            Some(share) if *share <= 0.0 => self.span("×", Tone::Bad),
            Some(share) if *share >= 1.0 => self.span("█", Tone::Good),
            Some(share) => self.span(block((*share).min(0.85), 1.0), Tone::Warning),
        };
        shares.iter().map(cell).collect()
    }
}

/// Anything is seen, and the most is the highest.
fn block(value: f32, highest: f32) -> char {
    if highest <= 0.0 || value <= 0.0 {
        return BLOCKS[0];
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 7")]
    let height = (value / highest * 7.0).ceil().clamp(0.0, 7.0) as usize;
    BLOCKS.get(height).copied().unwrap_or(' ')
}

pub(super) fn width(text: &str) -> usize {
    text.width()
}

/// At the left of its place, cut where it is too long.
pub(super) fn left(text: &str, wanted: usize) -> String {
    let mut fitting = cut(text, wanted);
    fitting.extend(std::iter::repeat_n(' ', wanted.saturating_sub(fitting.width())));
    fitting
}

/// At the right of it.
pub(super) fn right(text: &str, wanted: usize) -> String {
    let fitting = cut(text, wanted);
    let mut padded = " ".repeat(wanted.saturating_sub(fitting.width()));
    padded.push_str(&fitting);
    padded
}

/// What is left of it in so many columns.
pub(super) fn cut(text: &str, wanted: usize) -> String {
    if text.width() <= wanted {
        return text.to_owned();
    }
    let (mut fitting, mut used) = (String::new(), 0);
    for character in text.chars() {
        let wide = character.width().unwrap_or(0);
        if used + wide + 1 > wanted {
            break;
        }
        used += wide;
        fitting.push(character);
    }
    if wanted > 0 {
        fitting.push('…');
    }
    fitting
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_take_the_columns_that_they_are_given() {
        for (text, wanted, fits) in [
            ("abc", 5, "abc  "),
            ("abcdef", 5, "abcd…"),
            ("日本語", 5, "日本…"),
            ("日本語", 4, "日… "),
            ("abc", 1, "…"),
            ("abc", 0, ""),
        ] {
            assert_eq!(left(text, wanted), fits);
            assert_eq!(left(text, wanted).width(), wanted);
        }
        assert_eq!((right("12", 4).as_str(), right("12345", 4).as_str()), ("  12", "123…"));
    }

    #[test]
    fn sparklines_move_and_do_not_dance() {
        let points: Column = (0..300).map(|point| Some(if point % 50 == 0 { 9.0 } else { 0.0 })).collect();
        let text = |last| Ink::Plain.sparkline(&points, Some(last), 60).content.into_owned();
        assert_eq!(text(299).chars().count(), 60);
        assert_eq!(text(299).matches('█').count(), 6);
        // The peaks are of the same numbers one point later: so much of the picture is the same.
        let later: Column = points.iter().skip(1).copied().chain([Some(0.0)]).collect();
        let moved = Ink::Plain.sparkline(&later, Some(300), 60).content.into_owned();
        assert!(text(299).chars().skip(6).eq(moved.chars().skip(5).take(54)), "{moved}");
        assert_eq!(Ink::Plain.sparkline(&vec![], None, 5).content, "     ");
        assert_eq!(
            Ink::Plain.sparkline(&vec![Some(0.0), None, Some(2.0)], Some(2), 300).content.trim(),
            "▁ █"
        );
    }

    #[test]
    fn a_strip_tells_all_some_none_and_unknown_apart_without_colours() {
        let mut up: Column = vec![Some(1.0); 360];
        for (place, share) in [(0, None), (100, Some(0.0)), (200, Some(0.97))] {
            if let Some(point) = up.get_mut(place) {
                *point = share;
            }
        }
        let text: String =
            Ink::Plain.strip(&up, Some(0.5), 360).iter().map(|span| span.content.to_string()).collect();
        assert_eq!(text.chars().filter(|cell| *cell == '█').count(), 356);
        assert_eq!((text.chars().next(), text.chars().nth(100)), (Some('·'), Some('×')));
        assert!(text.chars().nth(200).is_some_and(|cell| cell != '█'), "{text}");
        assert_eq!(text.chars().last(), Some('▅'));
    }
}
