//! What an attempt does.

use std::time::Duration;

use loadweaver_config::{HttpCall, RecoveryAction};
use tokio::sync::oneshot;

use super::process::{Acted, Keeper};
use super::{Care, Key, call};
use crate::program::{Ending, Program};
use crate::target::Target;

/// An action with all that it needs.
pub(super) enum Deed {
    Command { program: Program, limit: Duration },
    Http { call: HttpCall, target: Target, number: u32, reason: String, limit: Duration },
    Process { restarted: std::pin::Pin<Box<dyn Future<Output = Acted> + Send>> },
}

/// The action for a server; none when it is gone.
pub(super) fn of(care: &Care, key: &Key, (number, reason): (u32, String)) -> Option<Deed> {
    let (ward, pool) = care.pools.get(&key.0)?;
    let rules = ward.cases.get(&key.1)?.rules.as_ref()?;
    let server = pool.config.servers.iter().find(|server| server.id == key.1)?;
    let target = Target::of(&key.0, server);
    let limit = rules.timeout;
    Some(match &rules.action {
        RecoveryAction::Command(command) => {
            let mut program = target.program(command);
            program.env.push(("LOADWEAVER_REASON".to_owned(), fit_for_env(&reason)));
            program.env.push(("LOADWEAVER_ATTEMPT".to_owned(), number.to_string()));
            Deed::Command { program, limit }
        }
        RecoveryAction::Http(call) => Deed::Http { call: call.clone(), target, number, reason, limit },
        RecoveryAction::Process { .. } => {
            let keeper = care.keepers.get(key).map(Keeper::restart)?;
            Deed::Process { restarted: Box::pin(keeper) }
        }
    })
}

impl Deed {
    pub(super) async fn go(self, called_off: oneshot::Receiver<()>) -> Acted {
        // The sender is dropped, never used.
        let called_off = async { drop(called_off.await) };
        match self {
            Self::Command { program, limit } => {
                let (ending, output) = program.run(limit, called_off).await;
                (judge(&program, ending, limit), output)
            }
            Self::Http { call, target, number, reason, limit } => tokio::select! {
                acted = call::make(&call, &target, (number, &reason), limit) => acted,
                () = called_off => (Err("called off".to_owned()), String::new()),
            },
            Self::Process { restarted } => tokio::select! {
                acted = restarted => acted,
                () = called_off => (Err("called off".to_owned()), String::new()),
            },
        }
    }
}

fn judge(program: &Program, ending: Ending, limit: Duration) -> Result<(), String> {
    match ending {
        Ending::Exited(status) if status.success() => Ok(()),
        ending => Err(ending.in_words(program, limit)),
    }
}

/// A variable cannot hold a NUL, and reasons may hold what a server answered.
fn fit_for_env(text: &str) -> String {
    crate::program::harmless(text)
}
