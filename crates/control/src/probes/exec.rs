//! A program that says by its exit whether a server is well.

use std::sync::Arc;

use loadweaver_config::{HealthCheck, HostCommand, Server};
use loadweaver_policy::health::ProbeFailure;

use crate::program::Ending;
use crate::target::Target;

/// Characters of the program's last line that an operator is shown.
const SHOWN: usize = 200;

/// Runs the program, within the time that the check allows. Exit status 0 is well. Nobody is left of it: a probe that
/// leaves one process behind each time would fill the machine.
pub(super) async fn ask(check: &HealthCheck, pool: &Arc<str>, server: &Server) -> Result<(), ProbeFailure> {
    let command = HostCommand { argv: check.command.clone(), env: Vec::new(), directory: None };
    let program = Target::of(pool, server).program(&command);
    let (ending, output) = program.run_alone(check.timeout).await;
    match &ending {
        Ending::Exited(status) if status.success() => Ok(()),
        Ending::OutOfTime => Err(ProbeFailure::Timeout),
        Ending::Exited(_) | Ending::CalledOff | Ending::NotStarted(_) => {
            let words = ending.in_words(&program, check.timeout);
            let last: String = output.lines().last().unwrap_or_default().chars().take(SHOWN).collect();
            let why = if last.is_empty() { words } else { format!("{words}: {last}") };
            Err(ProbeFailure::Program(why))
        }
    }
}

#[cfg(test)]
mod tests;
