//! The access log.

use std::fmt::{self, Write};

use crate::model::access_log::{AccessLog, LogField, LogOutput, LogSample};
use crate::quantity::format_size;

pub(super) fn write(out: &mut String, log: &AccessLog) -> fmt::Result {
    if log.output == LogOutput::Off {
        return writeln!(out, "access log: off");
    }
    write!(out, "access log: {} to {}", log.format.name(), log.output)?;
    if let (Some(rotate), LogOutput::File(_)) = (&log.rotate, &log.output) {
        write!(out, ", set aside at {}, {} such files kept", format_size(rotate.max_size), rotate.keep)?;
    }
    if matches!(log.output, LogOutput::Syslog(_)) {
        write!(out, " as {}.{}", log.syslog.facility.name(), log.syslog.severity.name())?;
    }
    writeln!(out)?;
    if log.fields != LogField::usual() {
        let fields: Vec<String> = log.fields.iter().map(ToString::to_string).collect();
        writeln!(out, "  fields: {}", fields.join(", "))?;
    }
    if let Some(filter) = &log.filter {
        writeln!(out, "  only where {filter}")?;
    }
    if log.sample.ratio < LogSample::default().ratio {
        let failures = if log.sample.failures { ", and all that fail" } else { "" };
        writeln!(out, "  sample: {} of them{failures}", log.sample.ratio)?;
    }
    write_redact(out, log)
}

fn write_redact(out: &mut String, log: &AccessLog) -> fmt::Result {
    let redact = &log.redact;
    let names = |names: &[String]| if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    match (redact.defaults, redact.query.is_empty() && redact.headers.is_empty()) {
        (true, true) => Ok(()),
        (false, true) => writeln!(out, "  redacted: nothing"),
        (defaults, false) => {
            let also = if defaults { "the usual names and " } else { "" };
            let (query, headers) = (names(&redact.query), names(&redact.headers));
            writeln!(out, "  redacted: {also}parameters {query}; headers {headers}")
        }
    }
}
