//! Text on the terminal. A pipe whose reader has gone is nobody's failure (`loadweaver schema | head`), so unlike
//! `println!` nothing here panics.

use std::fmt::Display;
use std::io::{Write, stderr, stdout};

use loadweaver_config::Issue;

/// A line, or several, on standard output.
pub(crate) fn say(text: impl Display) {
    let _ = writeln!(stdout().lock(), "{text}");
}

/// A line, or several, on standard error.
pub(crate) fn complain(text: impl Display) {
    let _ = writeln!(stderr().lock(), "{text}");
}

/// `at POINTER: problem`, and the remedy on a line of its own.
pub(crate) fn issue_text(issue: &Issue) -> String {
    let place = if issue.at.is_empty() { "the file".to_owned() } else { printable(&issue.at) };
    let problem = printable(&issue.problem);
    if issue.help.is_empty() {
        return format!("at {place}: {problem}");
    }
    format!("at {place}: {problem}\n    {}", printable(&issue.help))
}

/// Keys of a hostile file must not move the cursor, nor have what stands behind them read the other way round
/// (CVE-2021-42574).
pub(crate) fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() || turns(character) {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// Line separators, and marks that change the direction of text.
fn turns(character: char) -> bool {
    matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn issues_read_as_promised_and_move_no_cursor() {
        let issue = Issue {
            at: "/pools/app/servers/0/port".into(),
            problem: "70000 is no port".into(),
            help: "write a number from 1 to 65535".into(),
        };
        assert_eq!(
            issue_text(&issue),
            "at /pools/app/servers/0/port: 70000 is no port\n    write a number from 1 to 65535"
        );
        let hostile = Issue { at: "/\u{1b}[2J".into(), problem: "a\nb".into(), help: String::new() };
        assert_eq!(issue_text(&hostile), "at /\\u{1b}[2J: a\\nb");
    }
}
