//! What the admin API answers, as far as it is shown; `/openapi.json` has all of it.
//!
//! Every text comes from outside: from configuration files, from programs that probe, from whatever answers at the
//! address. As a `Text` it cannot reach the terminal with what a terminal would obey.

use std::fmt;
use std::ops::Deref;

use serde::{Deserialize, Deserializer, Serialize};

use crate::terminal::printable;

/// A text of the node's that is safe to be shown.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub(super) struct Text(String);

impl Text {
    pub(super) fn new(text: &str) -> Self {
        Self(printable(text))
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self::new(&text))
    }
}

/// `{"success", "data"}`, or `{"success", "error"}`.
#[derive(Debug, Deserialize)]
pub(super) struct Envelope<Data> {
    pub(super) success: bool,
    pub(super) data: Option<Data>,
    pub(super) error: Option<Denial>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Denial {
    pub(super) message: Text,
}

/// `/api/health`. What it must have tells this API from other ones.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Health {
    pub(super) state: Text,
    pub(super) version: Text,
    /// Seconds.
    pub(super) uptime: f64,
    pub(super) config_version: u64,
}

/// `/api/pools`.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Pool {
    pub(super) name: Text,
    pub(super) algorithm: Text,
    /// Servers that may have new traffic.
    pub(super) up: usize,
    pub(super) total: usize,
}

/// `/api/servers`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Server {
    #[serde(rename = "serverId")]
    pub(super) id: Text,
    pub(super) pool: Text,
    pub(super) weight: u32,
    /// `active`, `drain`, `maintenance`.
    pub(super) state: Text,
    /// `unknown`, `up`, `down`, `unstable`.
    pub(super) status: Text,
    pub(super) reason: Text,
    pub(super) since: Text,
    /// Whether it may have new traffic.
    pub(super) eligible: bool,
    pub(super) active_connections: u64,
    /// Attempts begun since the start.
    pub(super) requests: u64,
    pub(super) latency: Times,
}

/// Milliseconds; none without traffic.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub(super) struct Times {
    pub(super) p50: Option<f64>,
    pub(super) p95: Option<f64>,
    pub(super) p99: Option<f64>,
}

/// `/api/problems`.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Problems {
    /// All of it in a sentence.
    pub(super) summary: Text,
    /// The worst first.
    pub(super) problems: Vec<Problem>,
}

/// One thing that is wrong.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub(super) struct Problem {
    pub(super) severity: Severity,
    pub(super) what: Text,
    pub(super) why: Text,
    /// The pool and the server that it is about, where it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pool: Option<Text>,
    #[serde(rename = "serverId", skip_serializing_if = "Option::is_none")]
    pub(super) server: Option<Text>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Severity {
    Critical,
    /// Or what a later version calls otherwise.
    #[serde(other)]
    Warning,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn texts_of_answers_cannot_speak_to_the_terminal() {
        let hostile = "\"a\\u001b]0;x\\u0007\\u009b2J\\u202eb\\r\\n\"";
        let text: Text = serde_json::from_str(hostile).unwrap();
        assert_eq!(&*text, "a\\u{1b}]0;x\\u{7}\\u{9b}2J\\u{202e}b\\r\\n");
    }
}
