//! A problem with the configuration: where it is, what it is, and what to do about it.

use std::fmt;

/// One problem (or warning).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issue {
    /// JSON pointer (RFC 6901) to a value that stands in the file; empty for the whole file.
    pub at: String,
    /// What is wrong, in words.
    pub problem: String,
    /// What to do about it.
    pub help: String,
}

impl fmt::Display for Issue {
    /// Three lines. A pointer holds keys as they were written, so whatever could move a terminal's cursor or
    /// forge a log line is shown as an escape.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = if self.at.is_empty() { "(whole file)" } else { &self.at };
        let lines = [("at", at), ("problem", &self.problem), ("help", &self.help)];
        for (index, (label, text)) in lines.into_iter().enumerate() {
            f.write_str(if index == 0 { "" } else { "\n  " })?;
            write!(f, "{label}: ")?;
            for character in text.chars() {
                if character.is_control() {
                    write!(f, "{}", character.escape_default())?;
                } else {
                    write!(f, "{character}")?;
                }
            }
        }
        Ok(())
    }
}

/// Why a configuration was refused: at least one [`Issue`], in the order of the checks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issues(pub Vec<Issue>);

impl Issues {
    pub(crate) fn one(at: impl Into<String>, fault: Fault) -> Self {
        Self(vec![Issue { at: at.into(), problem: fault.problem, help: fault.help }])
    }
}

impl fmt::Display for Issues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, issue) in self.0.iter().enumerate() {
            f.write_str(if index == 0 { "" } else { "\n" })?;
            write!(f, "{issue}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Issues {}

/// A problem whose place is known to the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) problem: String,
    pub(crate) help: String,
}

impl Fault {
    pub(crate) fn new(problem: impl Into<String>, help: impl Into<String>) -> Self {
        Self { problem: problem.into(), help: help.into() }
    }

    pub(crate) fn at(self, at: String) -> Issue {
        Issue { at, problem: self.problem, help: self.help }
    }
}

/// Most issues that are kept, and most warnings: a generated file of 16 MiB can be wrong a million times, and
/// nobody reads past the first thousand.
pub(crate) const MAX_KEPT: usize = 1_000;

/// Gathers what the checks find.
#[derive(Debug, Default)]
pub(crate) struct Report {
    issues: Vec<Issue>,
    warnings: Vec<Issue>,
    issues_left_out: usize,
    warnings_left_out: usize,
}

impl Report {
    pub(crate) fn issue(&mut self, at: &str, fault: Fault) {
        keep(&mut self.issues, &mut self.issues_left_out, at, fault);
    }

    pub(crate) fn warn(&mut self, at: &str, fault: Fault) {
        keep(&mut self.warnings, &mut self.warnings_left_out, at, fault);
    }

    /// Whether there is nothing to say.
    pub(crate) fn is_empty(&self) -> bool {
        self.issues.is_empty() && self.warnings.is_empty()
    }

    pub(crate) fn has_issues(&self) -> bool {
        !self.issues.is_empty()
    }

    /// The warnings, or the issues if there is a single one.
    pub(crate) fn finish(mut self) -> Result<Vec<Issue>, Issues> {
        close(&mut self.issues, self.issues_left_out);
        close(&mut self.warnings, self.warnings_left_out);
        if self.issues.is_empty() { Ok(self.warnings) } else { Err(Issues(self.issues)) }
    }
}

fn keep(list: &mut Vec<Issue>, left_out: &mut usize, at: &str, fault: Fault) {
    if list.len() < MAX_KEPT {
        list.push(Issue { at: at.to_owned(), problem: fault.problem, help: fault.help });
    } else {
        *left_out += 1;
    }
}

fn close(list: &mut Vec<Issue>, left_out: usize) {
    if left_out > 0 {
        list.push(Issue {
            at: String::new(),
            problem: format!("{left_out} more of these are not shown"),
            help: format!("correct the first {MAX_KEPT} and check again"),
        });
    }
}

/// Most characters of a value that are shown.
const SHOWN_CHARACTERS: usize = 60;

/// A text from the file in quotes, escaped, and cut where it is long.
pub(crate) fn shown(text: &str) -> String {
    if text.chars().nth(SHOWN_CHARACTERS).is_none() {
        return format!("{text:?}");
    }
    let start: String = text.chars().take(SHOWN_CHARACTERS).collect();
    format!("{start:?}… ({} characters)", text.chars().count())
}
