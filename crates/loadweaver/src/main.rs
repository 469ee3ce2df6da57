//! The binary: arguments, wiring, runtimes.
//!
//! Nothing here decides anything about traffic. A command reads the configuration, puts the crates together, and
//! turns what happened into an exit code: 0, 1 (failed while running), 2 (bad arguments or configuration).

use std::process::ExitCode;
use std::time::Duration;

/// What can be asked for.
mod arguments;
/// `check`, `schema` and `openapi`.
mod check;
/// Reading `config.json`.
mod config_file;
/// `demo`.
mod demo;
/// File descriptors.
mod descriptors;
/// `explain`.
mod explain;
/// The program's log.
mod logging;
/// `run`, and what `demo` shares with it.
mod run;
/// SIGTERM and its kin.
mod signals;
/// Text on the terminal.
mod terminal;
/// `top`.
mod top;

/// Exchanges allocate and free on one thread each; mimalloc does that without locks and gives memory back.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The process failed while running.
const FAILED: u8 = 1;
/// Arguments or configuration are refused.
const REFUSED: u8 = 2;

fn main() -> ExitCode {
    match arguments::read() {
        arguments::Command::Run { config } => run::command(config),
        arguments::Command::Check { file } => check::command(&file),
        arguments::Command::Explain(question) => explain::command(&question),
        arguments::Command::Schema => check::schema(),
        arguments::Command::Openapi => check::openapi(),
        arguments::Command::Demo(ports) => demo::command(ports),
        arguments::Command::Top(overview) => top::command(&overview),
        arguments::Command::Keep { patience, program } => {
            ExitCode::from(loadweaver_control::guard::run(&program, Duration::from_millis(patience)))
        }
    }
}
