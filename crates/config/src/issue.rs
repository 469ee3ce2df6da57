//! A problem with the configuration: where it is, what it is, and what to do about it.

use std::fmt;

/// One problem (or warning).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issue {
    /// JSON pointer (RFC 6901) to the value that is meant; empty for the whole file.
    pub at: String,
    /// What is wrong, in words.
    pub problem: String,
    /// What to do about it.
    pub help: String,
}

impl fmt::Display for Issue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = if self.at.is_empty() { "(whole file)" } else { &self.at };
        write!(f, "{at}\n  problem: {}\n  help: {}", self.problem, self.help)
    }
}

/// Why a configuration was refused: at least one [`Issue`], in the order of the checks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issues(pub Vec<Issue>);

impl Issues {
    pub(crate) fn one(at: impl Into<String>, problem: impl Into<String>, help: impl Into<String>) -> Self {
        Self(vec![Issue { at: at.into(), problem: problem.into(), help: help.into() }])
    }
}

impl fmt::Display for Issues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, issue) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{issue}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Issues {}
