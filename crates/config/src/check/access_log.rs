//! What is written about each exchange, and where.

use std::path::PathBuf;

use crate::bounds;
use crate::issue::{Fault, Report, shown};
use crate::model::access_log::{AccessLog, LogField, LogFormat, LogOutput, LogRotation, LogSample, Redact};
use crate::model::log_filter::LogFilter;
use crate::model::syslog::{Facility, Severity, Syslog};
use crate::spot::{Section, Spot};
use crate::{address, filter, log_field, shape, suggest, syntax};

use super::program;

pub(super) fn access_log(spot: &Spot<'_>, report: &mut Report) -> Option<AccessLog> {
    let section = Section::open(spot, &shape::ACCESS_LOG, report)?;
    let mut log = AccessLog::default();
    section.set("format", report, &mut log.format, |spot, report| {
        spot.word(report, LogFormat::ALL, LogFormat::name)
    });
    section.set("output", report, &mut log.output, output);
    section.set("fields", report, &mut log.fields, fields);
    section.set("filter", report, &mut log.filter, |spot, report| filter(spot, report).map(Some));
    section.set("sample", report, &mut log.sample, sample);
    section.set("rotate", report, &mut log.rotate, |spot, report| rotate(spot, report).map(Some));
    section.set("redact", report, &mut log.redact, redact);
    section.set("syslog", report, &mut log.syslog, syslog);
    is_of_use(&section, &log, report);
    few_headers(&section, &log, report);
    Some(log)
}

/// The outputs that are words; anything else is a file.
const OUTPUT_WORDS: [&str; 3] = ["stdout", "stderr", "off"];

fn output(spot: &Spot<'_>, report: &mut Report) -> Option<LogOutput> {
    let text = spot.text(report, "\"stdout\", \"stderr\", \"off\" or a file's path")?;
    let is = |start: &str| text.get(..start.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(start));
    if is("syslog+") || is("syslog:") {
        return spot.settle(report, address::syslog(text)).map(LogOutput::Syslog);
    }
    let fault = match text {
        "stdout" => return Some(LogOutput::Stdout),
        "stderr" => return Some(LogOutput::Stderr),
        "off" => return Some(LogOutput::Off),
        "" => Fault::new("the output is empty", "write \"stdout\", \"stderr\", \"off\" or a file's path"),
        _ => match program::path(text) {
            Err(fault) => fault,
            Ok(()) if text.ends_with('/') => Fault::new(
                format!("{} is a directory", shown(text)),
                format!("name the file: {}", shown(&format!("{text}access.log"))),
            ),
            Ok(()) => {
                let near = suggest::nearest(text, OUTPUT_WORDS).filter(|_| !text.contains(['/', '.']));
                let Some(near) = near else { return Some(LogOutput::File(PathBuf::from(text))) };
                let problem = format!("{} would be a file's path", shown(text));
                Fault::new(
                    problem,
                    format!("did you mean \"{near}\"? For a file of that name write \"./{text}\""),
                )
            }
        },
    };
    spot.refuse(report, fault);
    None
}

fn fields(spot: &Spot<'_>, report: &mut Report) -> Option<Vec<LogField>> {
    let entries = spot.list(report, "names of fields")?;
    if entries.is_empty() {
        let help = "name some, such as [\"time\", \"method\", \"target\", \"status\"], or leave the key out";
        spot.refuse(report, Fault::new("the list names no field, so lines would be empty", help));
    }
    if entries.len() > bounds::LOG_FIELDS {
        let problem =
            format!("{} fields are more than the {} that may be", entries.len(), bounds::LOG_FIELDS);
        spot.refuse(report, Fault::new(problem, "leave some out"));
        return None;
    }
    let mut fields = Vec::with_capacity(entries.len());
    for entry in &entries {
        let Some(text) = entry.text(report, "a field's name such as \"status\"") else { continue };
        let Some(field) = entry.settle(report, log_field::read(text)) else { continue };
        if fields.contains(&field) {
            let problem = format!("{} stands in this list twice", shown(text));
            entry.refuse(report, Fault::new(problem, "take one out: a line cannot have the same key twice"));
        }
        fields.push(field);
    }
    Some(fields)
}

fn filter(spot: &Spot<'_>, report: &mut Report) -> Option<LogFilter> {
    let text = spot.text(report, "an expression such as \"status >= 500 or duration > 1s\"")?;
    spot.settle(report, filter::read(text))
}

fn sample(spot: &Spot<'_>, report: &mut Report) -> Option<LogSample> {
    let section = Section::open(spot, &shape::LOG_SAMPLE, report)?;
    let mut sample = LogSample::default();
    section.set("ratio", report, &mut sample.ratio, Spot::fraction);
    section.set("failures", report, &mut sample.failures, Spot::flag);
    Some(sample)
}

fn syslog(spot: &Spot<'_>, report: &mut Report) -> Option<Syslog> {
    let section = Section::open(spot, &shape::SYSLOG, report)?;
    let mut syslog = Syslog::default();
    section.set("facility", report, &mut syslog.facility, |spot, report| {
        spot.word(report, Facility::ALL, Facility::name)
    });
    section.set("severity", report, &mut syslog.severity, |spot, report| {
        spot.word(report, Severity::ALL, Severity::name)
    });
    Some(syslog)
}

fn rotate(spot: &Spot<'_>, report: &mut Report) -> Option<LogRotation> {
    let section = Section::open(spot, &shape::LOG_ROTATION, report)?;
    let mut rotation = LogRotation::default();
    section.set("maxSize", report, &mut rotation.max_size, |spot, report| {
        spot.size(report, &bounds::EVENT_FILE)
    });
    section.set("keep", report, &mut rotation.keep, |spot, report| spot.number(report, &bounds::FILES_KEPT));
    Some(rotation)
}

fn redact(spot: &Spot<'_>, report: &mut Report) -> Option<Redact> {
    let section = Section::open(spot, &shape::REDACT, report)?;
    let mut redact = Redact::default();
    section.set("defaults", report, &mut redact.defaults, Spot::flag);
    section.set("query", report, &mut redact.query, |spot, report| names(spot, report, parameter));
    section
        .set("headers", report, &mut redact.headers, |spot, report| names(spot, report, syntax::header_name));
    Some(redact)
}

fn names(
    spot: &Spot<'_>,
    report: &mut Report,
    read: impl Fn(&str) -> Result<String, Fault>,
) -> Option<Vec<String>> {
    let entries = spot.list(report, "names")?;
    if entries.len() > bounds::REDACTED_NAMES {
        let problem =
            format!("{} names are more than the {} that may be", entries.len(), bounds::REDACTED_NAMES);
        spot.refuse(report, Fault::new(problem, "leave some out"));
        return None;
    }
    let read = |entry: &Spot<'_>, report: &mut Report| {
        let text = entry.text(report, "a name")?;
        entry.settle(report, read(text))
    };
    Some(entries.iter().filter_map(|entry| read(entry, report)).collect())
}

/// The name of a parameter. Letters and digits alone are looked at, so there must be one.
fn parameter(text: &str) -> Result<String, Fault> {
    let speaks = text.chars().any(|c| c.is_ascii_alphanumeric() || !c.is_ascii());
    if speaks && text.len() <= 256 && !text.contains(|c: char| c.is_control() || "&;=?#[].%".contains(c)) {
        return Ok(text.to_owned());
    }
    let problem = format!("{} is not the name of a parameter", shown(text));
    Err(Fault::new(
        problem,
        "write what stands before the \"=\", such as \"token\"; of user[pin] write \"pin\"",
    ))
}

/// Looks for keys that change nothing.
fn is_of_use(section: &Section<'_>, log: &AccessLog, report: &mut Report) {
    if let Some(spot) = section.get("fields").filter(|_| log.format == LogFormat::Combined) {
        let problem = "\"fields\" has no effect with the format \"combined\", whose lines are fixed";
        report.warn(
            &spot.at,
            Fault::new(problem, "write \"logfmt\" or \"json\" as the format, or take it out"),
        );
    }
    let is_file = matches!(log.output, LogOutput::File(_));
    if let Some(spot) = section.get("rotate").filter(|_| !is_file) {
        let problem = "\"rotate\" has no effect without a file as the output";
        report.warn(&spot.at, Fault::new(problem, "name a file as the output, or take it out"));
    }
    let is_syslog = matches!(log.output, LogOutput::Syslog(_));
    if let Some(spot) = section.get("syslog").filter(|_| !is_syslog) {
        let problem = "\"syslog\" has no effect without a syslog server as the output";
        let help = "write an output such as \"syslog+udp://10.0.0.5:514\", or take it out";
        report.warn(&spot.at, Fault::new(problem, help));
    }
}

/// Each name of a header is looked up for each exchange.
fn few_headers(section: &Section<'_>, log: &AccessLog, report: &mut Report) {
    let (request, response) = log.headers();
    let most = request.len().max(response.len());
    if most > AccessLog::MOST_HEADERS {
        let problem = format!(
            "\"fields\" and \"filter\" name {most} headers of one kind, more than the {} that may be",
            AccessLog::MOST_HEADERS
        );
        report.issue(section.at(), Fault::new(problem, "leave some out"));
    }
}
