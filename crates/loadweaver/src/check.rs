//! `check FILE`: what would run, or everything that is wrong. `schema`, `openapi`: what may be written, and asked.

use std::path::Path;
use std::process::ExitCode;

use crate::config_file::{Loaded, load, tell_warnings};
use crate::terminal::say;

/// The command `check`.
pub(crate) fn command(file: &Path) -> ExitCode {
    match load(file) {
        Err(refusal) => refusal.tell(),
        Ok(Loaded { parsed, .. }) => {
            say(loadweaver_config::summary(&parsed.config).trim_end());
            tell_warnings(&parsed.warnings);
            ExitCode::SUCCESS
        }
    }
}

/// The command `schema`.
pub(crate) fn schema() -> ExitCode {
    say(format_args!("{:#}", loadweaver_config::schema()));
    ExitCode::SUCCESS
}

/// The command `openapi`.
pub(crate) fn openapi() -> ExitCode {
    say(loadweaver_control::openapi());
    ExitCode::SUCCESS
}
