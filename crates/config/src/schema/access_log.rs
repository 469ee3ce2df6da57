//! What is written about each exchange, and where.

use schemars::JsonSchema;
use serde::Serialize;

use crate::bounds;
use crate::model::access_log as model;

use super::words::{Facility, Fraction, LogFormat, Severity, Size, or_variable};

/// What is written about each exchange, and where.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct AccessLog {
    /// How a line looks.
    format: LogFormat,
    /// stdout, stderr, off, a file's path, or a syslog server: syslog+udp://HOST:PORT, syslog+tcp://HOST:PORT or
    /// syslog+unix:PATH.
    output: String,
    /// What a line of json or logfmt holds, in this order; requestHeader:NAME and responseHeader:NAME are headers.
    #[schemars(length(min = 1, max = bounds::LOG_FIELDS))]
    fields: Vec<String>,
    /// Which exchanges are written, such as status >= 500 or duration > 1s; left out, all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", default)]
    filter: Option<String>,
    /// Which of those that pass the filter are written.
    sample: LogSample,
    /// When a file is set aside; left out, others see to that.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "LogRotation", default)]
    rotate: Option<LogRotation>,
    /// What is written as ***.
    redact: Redact,
    /// What a message to a syslog server says of itself.
    syslog: Syslog,
}

impl Default for AccessLog {
    fn default() -> Self {
        let model::AccessLog { format, output, fields, filter, sample: _, rotate: _, redact: _, syslog: _ } =
            model::AccessLog::default();
        Self {
            format: LogFormat(format),
            output: output.to_string(),
            fields: fields.iter().map(ToString::to_string).collect(),
            filter: filter.map(|filter| filter.to_string()),
            sample: LogSample::default(),
            rotate: None,
            redact: Redact::default(),
            syslog: Syslog::default(),
        }
    }
}

/// Which exchanges are written, of those that pass the filter.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct LogSample {
    /// The part of them that is written.
    ratio: Fraction,
    /// Whether what failed is written in any case.
    #[schemars(transform = or_variable)]
    failures: bool,
}

impl Default for LogSample {
    fn default() -> Self {
        let model::LogSample { ratio, failures } = model::LogSample::default();
        Self { ratio: Fraction(ratio), failures }
    }
}

/// When a file is set aside and a new one begun.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct LogRotation {
    /// The size at which it is.
    max_size: Size,
    /// How many files that were set aside are kept.
    #[schemars(range(min = *bounds::FILES_KEPT.start(), max = *bounds::FILES_KEPT.end()), transform = or_variable)]
    keep: u32,
}

impl Default for LogRotation {
    fn default() -> Self {
        let model::LogRotation { max_size, keep } = model::LogRotation::default();
        Self { max_size: Size(max_size), keep }
    }
}

/// What a message to a syslog server says of itself.
#[derive(Serialize, JsonSchema, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Syslog {
    /// Which part of a system speaks.
    facility: Facility,
    /// How much it matters.
    severity: Severity,
}

/// What is written as ***.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Redact {
    /// Whether the usual names are among it.
    #[schemars(transform = or_variable)]
    defaults: bool,
    /// More names of parameters, of which letters and digits alone count.
    #[schemars(length(max = bounds::REDACTED_NAMES))]
    query: Vec<String>,
    /// More names of headers.
    #[schemars(length(max = bounds::REDACTED_NAMES))]
    headers: Vec<String>,
}

impl Default for Redact {
    fn default() -> Self {
        let model::Redact { defaults, query, headers } = model::Redact::default();
        Self { defaults, query, headers }
    }
}
