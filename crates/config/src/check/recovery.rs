//! What is done for a server that stays down.

use std::path::PathBuf;
use std::time::Duration;

use crate::bounds;
use crate::issue::{Fault, Report, shown};
use crate::model::recovery::{HostCommand, HttpCall, Recovery, RecoveryAction};
use crate::quantity::{self, format_duration};
use crate::shape;
use crate::spot::{Section, Spot};
use crate::{suggest, url};

use super::headers::{self, Purpose};
use super::program;

/// The keys that only some actions look at.
const OF_PROGRAMS: &[&str] = &["command", "env", "workingDirectory"];
const OF_HTTP: &[&str] = &["url", "method", "headers", "body", "caFile"];

/// Every key that an action may have.
struct Written {
    argv: Option<Vec<String>>,
    env: Vec<(String, String)>,
    directory: Option<PathBuf>,
    url: Option<String>,
    method: String,
    headers: Vec<(String, String)>,
    body: String,
    ca_file: Option<PathBuf>,
    stop_timeout: Duration,
}

#[allow(clippy::option_option)] // the outer one says whether the section could be read
pub(super) fn recovery(spot: &Spot<'_>, report: &mut Report) -> Option<Option<Recovery>> {
    let section = Section::open(spot, &shape::RECOVERY, report)?;
    let name = action_name(&section, report);
    let written = written(&section, report);
    // Read first and kept apart, so that a wrong action hides nothing that is wrong with its times.
    let mut recovery = Recovery::new(RecoveryAction::Command(HostCommand::default()));
    times(&section, &mut recovery, report);
    let name = name?;
    unused_keys(&section, name, report);
    recovery.action = action(&section, name, written, report)?;
    Some(Some(recovery))
}

fn action_name(section: &Section<'_>, report: &mut Report) -> Option<&'static str> {
    let help = "say what to do: \"action\": \"command\", \"http\" or \"process\"";
    let spot = section.need("action", report, help)?;
    let text = spot.text(report, &format!("one of {}", suggest::one_of(RecoveryAction::NAMES)))?;
    if let Some(name) = RecoveryAction::NAMES.into_iter().find(|name| *name == text) {
        return Some(name);
    }
    let help = match suggest::nearest(text, RecoveryAction::NAMES) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None => format!("write {}", suggest::one_of(RecoveryAction::NAMES)),
    };
    spot.refuse(report, Fault::new(format!("{} is not known here", shown(text)), help));
    None
}

fn written(section: &Section<'_>, report: &mut Report) -> Written {
    let mut written = Written {
        argv: None,
        env: Vec::new(),
        directory: None,
        url: None,
        method: HttpCall::DEFAULT_METHOD.to_owned(),
        headers: Vec::new(),
        body: String::new(),
        ca_file: None,
        stop_timeout: RecoveryAction::DEFAULT_STOP_TIMEOUT,
    };
    section.set("command", report, &mut written.argv, |spot, report| program::argv(spot, report).map(Some));
    section.set("env", report, &mut written.env, program::environment);
    section.set("workingDirectory", report, &mut written.directory, |spot, report| {
        program::directory(spot, report).map(Some)
    });
    section.set("url", report, &mut written.url, |spot, report| {
        let text = spot.hidden_text(report, "a URL such as \"https://ops.example.com/restart\"")?;
        spot.settle(report, url::url(text)).map(|text| Some(text.to_owned()))
    });
    section.set("method", report, &mut written.method, |spot, report| {
        let text = spot.text(report, "a method such as \"POST\"")?;
        spot.settle(report, url::sent_method(text))
    });
    section.set("headers", report, &mut written.headers, |spot, report| {
        headers::read(spot, Purpose::Send, report)
    });
    section.set("body", report, &mut written.body, body);
    section.set("caFile", report, &mut written.ca_file, |spot, report| program::file(spot, report).map(Some));
    section.set("stopTimeout", report, &mut written.stop_timeout, |spot, report| {
        spot.duration(report, &bounds::PATIENCE)
    });
    written
}

fn body(spot: &Spot<'_>, report: &mut Report) -> Option<String> {
    let body = spot.hidden_text(report, "a text")?;
    if body.len() > bounds::CALL_BODY {
        let most = quantity::format_size(bounds::CALL_BODY as u64);
        let problem = format!("the body has {} bytes, more than {most}", body.len());
        spot.refuse(report, Fault::new(problem, "write a shorter one"));
        return None;
    }
    Some(body.to_owned())
}

fn times(section: &Section<'_>, recovery: &mut Recovery, report: &mut Report) {
    for (key, slot, bounds) in [
        ("after", &mut recovery.after, &bounds::PATIENCE),
        ("backoff", &mut recovery.backoff, &bounds::PAUSE),
        ("maxBackoff", &mut recovery.max_backoff, &bounds::PAUSE),
        ("within", &mut recovery.within, &bounds::PAUSE),
        ("timeout", &mut recovery.timeout, &bounds::ACTION),
    ] {
        section.set(key, report, slot, |spot, report| spot.duration(report, bounds));
    }
    for (key, slot, range) in [
        ("attempts", &mut recovery.attempts, &bounds::TRIES),
        ("maxConcurrent", &mut recovery.max_concurrent, &bounds::MAX_CONCURRENT),
    ] {
        section.set(key, report, slot, |spot, report| spot.number(report, range));
    }
    if recovery.max_backoff < recovery.backoff {
        let (first, most) = (format_duration(recovery.backoff), format_duration(recovery.max_backoff));
        let problem = format!("the first pause ({first}) is longer than the longest ({most})");
        report.issue(section.at(), Fault::new(problem, "raise \"maxBackoff\" or lower \"backoff\""));
    }
}

fn unused_keys(section: &Section<'_>, action: &str, report: &mut Report) {
    let unused: &[&[&str]] = match action {
        "http" => &[OF_PROGRAMS, &["stopTimeout"]],
        "process" => &[OF_HTTP, &["timeout"]],
        _ => &[OF_HTTP, &["stopTimeout"]],
    };
    for key in unused.iter().copied().flatten() {
        let Some(spot) = section.get(key) else { continue };
        let problem = format!("\"{key}\" has no effect on the action \"{action}\"");
        report.warn(&spot.at, Fault::new(problem, "take it out, or choose another action"));
    }
}

fn action(
    section: &Section<'_>,
    name: &str,
    written: Written,
    report: &mut Report,
) -> Option<RecoveryAction> {
    if name == "http" {
        section.need("url", report, "say whom to ask: \"url\": \"https://ops.example.com/restart\"")?;
        let Written { url, method, headers, body, ca_file, .. } = written;
        let url = url?;
        if let Some(spot) = section.get("caFile").filter(|_| url.starts_with("http://")) {
            report.warn(
                &spot.at,
                Fault::new("a plain http:// URL uses no certificates", "write https://, or take it out"),
            );
        }
        return Some(RecoveryAction::Http(HttpCall { url, method, headers, body, ca_file }));
    }
    section.need(
        "command",
        report,
        "say what to run: \"command\": [\"/usr/local/bin/app\", \"--port\", \"3001\"]",
    )?;
    let Written { argv, env, directory, stop_timeout, .. } = written;
    let command = HostCommand { argv: argv?, env, directory };
    Some(match name {
        "process" => RecoveryAction::Process { command, stop_timeout },
        _ => RecoveryAction::Command(command),
    })
}
