//! The program's log: text on standard error, written by a thread of its own.

use std::backtrace::Backtrace;
use std::io::IsTerminal;
use std::panic::PanicHookInfo;

use loadweaver_telemetry::log::{self, ProgramLog};
use tracing_subscriber::EnvFilter;

/// What is logged when `LOADWEAVER_LOG` does not say.
const DEFAULT_FILTER: &str = "info";

/// Sets the log up for the whole process. The error is for the operator: `LOADWEAVER_LOG` makes no sense.
pub(crate) fn start() -> Result<ProgramLog, String> {
    let text = std::env::var("LOADWEAVER_LOG").ok().filter(|text| !text.trim().is_empty());
    let filter = EnvFilter::try_new(text.as_deref().unwrap_or(DEFAULT_FILTER))
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

/// A panic is a fault of ours and must be found in the log with all the rest.
fn tell_panic(panic: &PanicHookInfo<'_>) {
    let thread = std::thread::current();
    let place = panic.location().map(ToString::to_string);
    let words = panic.payload_as_str().unwrap_or("no message");
    let trace = Backtrace::capture();
    tracing::error!(target: log::PROCESS, thread = thread.name(), place, words, "panic, this is a bug\n{trace}");
}
