//! The line that an event makes in the program's log.

use super::Event;
use crate::log;

impl Event {
    /// Writes the line: one arm for each event, so that a new one has to say what operators read of it.
    pub(super) fn log(&self) {
        match self {
            Self::ServerDown { pool, server, reason, cause } => {
                tracing::warn!(target: log::HEALTH, %pool, server = %server.id, address = server.address, reason, cause, "server is down");
            }
            Self::ServerUp { pool, server, reason } => {
                tracing::info!(target: log::HEALTH, %pool, server = %server.id, address = server.address, reason, "server is up");
            }
            Self::ServerUnstable { pool, server, reason } => {
                tracing::warn!(target: log::HEALTH, %pool, server = %server.id, address = server.address, reason, "server is unstable and held out");
            }
            Self::ServerAdded { pool, server } => {
                tracing::info!(target: log::CONFIG, %pool, server = %server.id, address = server.address, "server added");
            }
            Self::ServerRemoved { pool, server } => {
                tracing::info!(target: log::CONFIG, %pool, server = %server.id, address = server.address, "server removed");
            }
            Self::PoolDown { pool, reason } => {
                tracing::error!(target: log::HEALTH, %pool, reason, "no server of the pool is up");
            }
            Self::PoolUp { pool } => tracing::info!(target: log::HEALTH, %pool, "the pool is up again"),
            Self::PanicStarted { pool, healthy, total } => {
                tracing::error!(target: log::HEALTH, %pool, healthy, total, "too few servers are healthy, traffic goes to the others too");
            }
            Self::PanicEnded { pool } => {
                tracing::info!(target: log::HEALTH, %pool, "enough servers are healthy again");
            }
            Self::RecoveryStarted { pool, server, attempt, action } => {
                tracing::warn!(target: log::RECOVERY, %pool, server = %server.id, attempt, action, "recovery started");
            }
            Self::RecoverySucceeded { pool, server, attempt, took } => {
                tracing::info!(target: log::RECOVERY, %pool, server = %server.id, attempt, ?took, "recovery succeeded");
            }
            Self::RecoveryFailed { pool, server, attempt, reason } => {
                tracing::error!(target: log::RECOVERY, %pool, server = %server.id, attempt, reason, "recovery failed");
            }
            Self::RecoveryHeld { pool, reason } => {
                tracing::warn!(target: log::RECOVERY, %pool, reason, "recovery held");
            }
            Self::ConfigApplied { version, origin, summary } => {
                tracing::info!(target: log::CONFIG, version, origin, summary, "configuration is in force");
            }
            Self::ConfigRefused { origin, reason, issues } => {
                tracing::error!(target: log::CONFIG, origin, reason, ?issues, "configuration refused, the old one stays");
            }
            Self::ConfigReverted { version, reason } => {
                tracing::warn!(target: log::CONFIG, version, reason, "configuration undone");
            }
            Self::ConfigNotSaved { path, reason } => {
                tracing::error!(target: log::CONFIG, path, reason, "configuration is in force but not saved");
            }
            Self::WebhookFailing { webhook, reason } => {
                tracing::warn!(target: log::WEBHOOKS, %webhook, reason, "the target takes no messages, they wait");
            }
            Self::WebhookRecovered { webhook } => {
                tracing::info!(target: log::WEBHOOKS, %webhook, "the target takes messages again");
            }
            Self::CertificateLoaded { holder, path, names } => {
                let (listener, pool) = holder.names();
                tracing::info!(target: log::TLS, listener, pool, path, names, "new certificate");
            }
            Self::CertificateRefused { holder, path, reason } => {
                let (listener, pool) = holder.names();
                tracing::error!(target: log::TLS, listener, pool, path, reason, "new certificate refused, the old one stays");
            }
            Self::CertificateExpiring { holder, path, reason } => {
                let (listener, pool) = holder.names();
                tracing::warn!(target: log::TLS, listener, pool, path, reason, "renew the certificate");
            }
            Self::AcceptPaused { listener, reason } => {
                tracing::error!(target: log::LISTEN, %listener, reason, "accepting paused");
            }
            Self::AcceptResumed { listener } => {
                tracing::info!(target: log::LISTEN, %listener, "accepting again");
            }
            Self::ClientCut { listener, client, attack, cve, connections } => {
                tracing::warn!(target: log::LISTEN, %listener, client = client.map(tracing::field::display), attack, cve, connections, "a client was cut off");
            }
            Self::TaskDied { task, reason } => {
                tracing::error!(target: log::PROCESS, task, reason, "a task died and is started again");
            }
            Self::ShutdownStarted => tracing::info!(target: log::PROCESS, "draining"),
            Self::ShutdownFinished { cut } => {
                tracing::info!(target: log::PROCESS, cut, "all workers have ended");
            }
        }
    }
}
