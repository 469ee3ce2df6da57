//! The program's log: text on standard error, written by a thread of its own.

use std::backtrace::Backtrace;
use std::io::IsTerminal;
use std::panic::PanicHookInfo;

use loadweaver_telemetry::log::{self, ProgramLog};
use tracing_subscriber::EnvFilter;

/// What is logged of the categories that `LOADWEAVER_LOG` does not name.
const DEFAULT_LEVEL: &str = "info";
/// Our crates' targets, and all categories, begin with it.
const OURS: &str = "loadweaver";
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// Sets the log up for the whole process. The error is for the operator: `LOADWEAVER_LOG` makes no sense.
pub(crate) fn start() -> Result<ProgramLog, String> {
    let text = std::env::var_os("LOADWEAVER_LOG").unwrap_or_default();
    let filter = directives(&text.to_string_lossy())
        .and_then(|text| EnvFilter::try_new(text).map_err(|error| error.to_string()))
        .map_err(|error| format!("LOADWEAVER_LOG is not understood: {error}"))?;
    let program_log = ProgramLog::to_stderr().map_err(|error| format!("cannot write the log: {error}"))?;
    let writer = program_log.clone();
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(colours)
        .with_writer(move || writer.line())
        .init();
    std::panic::set_hook(Box::new(tell_panic));
    Ok(program_log)
}

/// The operator's words (`debug`, `health`, `info,health=debug`) as the filter wants them. Words that nobody knows
/// are refused, because a filter that silently hides what was asked for is found out too late.
fn directives(text: &str) -> Result<String, String> {
    let mut default = DEFAULT_LEVEL;
    let mut named = Vec::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        match part.split_once('=') {
            Some((category, level)) => {
                let level = level_of(level).ok_or_else(|| unknown(level))?;
                let target = target_of(category).ok_or_else(|| unknown(category))?;
                named.push(format!("{target}={level}"));
            }
            None => match (level_of(part), target_of(part)) {
                (Some(level), _) => default = level,
                (None, Some(target)) => named.push(format!("{target}=trace")),
                (None, None) => return Err(unknown(part)),
            },
        }
    }
    // Libraries are silent: what they say has no category, repeats what we say ourselves, and nobody has looked whether
    // it holds secrets.
    named.insert(0, format!("off,{OURS}={default}"));
    Ok(named.join(","))
}

fn level_of(word: &str) -> Option<&'static str> {
    LEVELS.into_iter().find(|level| level.eq_ignore_ascii_case(word.trim()))
}

/// The target of a category, whether it is named alone or in full.
fn target_of(word: &str) -> Option<&'static str> {
    let word = word.trim();
    let word = word.strip_prefix(log::PREFIX).unwrap_or(word);
    log::CATEGORIES.into_iter().find(|target| target.strip_prefix(log::PREFIX) == Some(word))
}

fn unknown(word: &str) -> String {
    let categories = log::CATEGORIES.map(|target| target.strip_prefix(log::PREFIX).unwrap_or(target));
    format!(
        "{word:?} is not known; the levels are {}; the categories are {}; as in \"info,health=debug\"",
        LEVELS.join(", "),
        categories.join(", "),
    )
}

/// A panic is a fault of ours and must be found in the log with all the rest.
fn tell_panic(panic: &PanicHookInfo<'_>) {
    let thread = std::thread::current();
    let place = panic.location().map(ToString::to_string);
    let words = panic.payload_as_str().unwrap_or("no message");
    let trace = Backtrace::capture();
    tracing::error!(target: log::PROCESS, thread = thread.name(), place, words, "panic, this is a bug\n{trace}");
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::directives;

    #[test]
    fn bare_categories_become_targets_and_the_default_stays() {
        for (text, filter) in [
            ("", "off,loadweaver=info"),
            ("debug", "off,loadweaver=debug"),
            ("WARN", "off,loadweaver=warn"),
            ("health=debug", "off,loadweaver=info,loadweaver::health=debug"),
            ("health", "off,loadweaver=info,loadweaver::health=trace"),
            ("health=debug, error ,", "off,loadweaver=error,loadweaver::health=debug"),
            ("off,loadweaver::admin=info", "off,loadweaver=off,loadweaver::admin=info"),
        ] {
            assert_eq!(directives(text).unwrap(), filter, "{text}");
        }
    }

    #[test]
    fn unknown_words_are_refused_with_the_known_ones() {
        for (text, word) in [("helth=debug", "helth"), ("health=loud", "loud"), ("info,hyper", "hyper")] {
            let refusal = directives(text).unwrap_err();
            assert!(refusal.contains(word) && refusal.contains("health") && refusal.contains("debug"));
        }
    }
}
