//! File descriptors: each client takes one, and one more at a server.

use loadweaver_telemetry::log;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Below this a balancer is soon out of descriptors.
const FEW: u64 = 4096;

/// Raises the limit as far as an ordinary process may. The soft limit is 1,024 in most shells, for the sake of
/// programs that use select(2); we do not.
pub(crate) fn raise_limit() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            tracing::warn!(target: log::PROCESS, %error, "the limit on file descriptors cannot be raised");
        }
    }
    if let Some(current) = getrlimit(Resource::Nofile).current.filter(|current| *current < FEW) {
        tracing::warn!(target: log::PROCESS, limit = current, "few file descriptors: raise the hard limit (ulimit -Hn)");
    }
}
