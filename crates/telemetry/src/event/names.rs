//! What the events are called in webhooks, metrics, the history and the configuration.

use super::Event;

impl Event {
    /// All names, in the order of the enum. They stand where the filters of webhooks are checked.
    pub const NAMES: &[&str] = &loadweaver_config::EVENT_NAMES;

    /// The event's name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::ServerDown { .. } => "server_down",
            Self::ServerUp { .. } => "server_up",
            Self::ServerUnstable { .. } => "server_unstable",
            Self::ServerAdded { .. } => "server_added",
            Self::ServerRemoved { .. } => "server_removed",
            Self::PoolDown { .. } => "pool_down",
            Self::PoolUp { .. } => "pool_up",
            Self::PanicStarted { .. } => "panic_started",
            Self::PanicEnded { .. } => "panic_ended",
            Self::RecoveryStarted { .. } => "recovery_started",
            Self::RecoverySucceeded { .. } => "recovery_succeeded",
            Self::RecoveryFailed { .. } => "recovery_failed",
            Self::RecoveryHeld { .. } => "recovery_held",
            Self::ConfigApplied { .. } => "config_applied",
            Self::ConfigRefused { .. } => "config_refused",
            Self::ConfigReverted { .. } => "config_reverted",
            Self::ConfigNotSaved { .. } => "config_not_saved",
            Self::WebhookFailing { .. } => "webhook_failing",
            Self::WebhookRecovered { .. } => "webhook_recovered",
            Self::CertificateLoaded { .. } => "certificate_loaded",
            Self::CertificateRefused { .. } => "certificate_refused",
            Self::CertificateExpiring { .. } => "certificate_expiring",
            Self::AcceptPaused { .. } => "accept_paused",
            Self::AcceptResumed { .. } => "accept_resumed",
            Self::ClientCut { .. } => "client_cut",
            Self::TaskDied { .. } => "task_died",
            Self::ShutdownStarted => "shutdown_started",
            Self::ShutdownFinished { .. } => "shutdown_finished",
        }
    }

    /// The pool that it is about, if it is about one.
    pub fn pool(&self) -> Option<&str> {
        match self {
            Self::ServerDown { pool, .. }
            | Self::ServerUp { pool, .. }
            | Self::ServerUnstable { pool, .. }
            | Self::ServerAdded { pool, .. }
            | Self::ServerRemoved { pool, .. }
            | Self::PoolDown { pool, .. }
            | Self::PoolUp { pool }
            | Self::PanicStarted { pool, .. }
            | Self::PanicEnded { pool }
            | Self::RecoveryStarted { pool, .. }
            | Self::RecoverySucceeded { pool, .. }
            | Self::RecoveryFailed { pool, .. }
            | Self::RecoveryHeld { pool, .. } => Some(pool),
            Self::CertificateLoaded { holder, .. }
            | Self::CertificateRefused { holder, .. }
            | Self::CertificateExpiring { holder, .. } => holder.names().1,
            Self::ConfigApplied { .. }
            | Self::ConfigRefused { .. }
            | Self::ConfigReverted { .. }
            | Self::ConfigNotSaved { .. }
            | Self::WebhookFailing { .. }
            | Self::WebhookRecovered { .. }
            | Self::AcceptPaused { .. }
            | Self::AcceptResumed { .. }
            | Self::ClientCut { .. }
            | Self::TaskDied { .. }
            | Self::ShutdownStarted
            | Self::ShutdownFinished { .. } => None,
        }
    }

    /// The server that it is about, if it is about one.
    pub fn server(&self) -> Option<&super::ServerRef> {
        match self {
            Self::ServerDown { server, .. }
            | Self::ServerUp { server, .. }
            | Self::ServerUnstable { server, .. }
            | Self::ServerAdded { server, .. }
            | Self::ServerRemoved { server, .. }
            | Self::RecoveryStarted { server, .. }
            | Self::RecoverySucceeded { server, .. }
            | Self::RecoveryFailed { server, .. } => Some(server),
            Self::PoolDown { .. }
            | Self::PoolUp { .. }
            | Self::PanicStarted { .. }
            | Self::PanicEnded { .. }
            | Self::RecoveryHeld { .. }
            | Self::ConfigApplied { .. }
            | Self::ConfigRefused { .. }
            | Self::ConfigReverted { .. }
            | Self::ConfigNotSaved { .. }
            | Self::WebhookFailing { .. }
            | Self::WebhookRecovered { .. }
            | Self::CertificateLoaded { .. }
            | Self::CertificateRefused { .. }
            | Self::CertificateExpiring { .. }
            | Self::AcceptPaused { .. }
            | Self::AcceptResumed { .. }
            | Self::ClientCut { .. }
            | Self::TaskDied { .. }
            | Self::ShutdownStarted
            | Self::ShutdownFinished { .. } => None,
        }
    }
}
