//! The fields beside the name, as webhooks and the history show them.

use serde_json::{Map, Value, json};

use super::{Event, Holder, ServerRef};

impl Event {
    /// Those of `pool`, `server`, `reason` and `details` that the event has.
    pub(super) fn fields(&self) -> Map<String, Value> {
        let mut fields = Map::new();
        let mut put = |key: &str, value: Value| fields.insert(key.to_owned(), value);
        if let Some(pool) = self.pool() {
            put("pool", pool.into());
        }
        if let Some(ServerRef { id, address }) = self.server() {
            put("server", json!({"id": &**id, "address": address}));
        }
        if let Some(reason) = self.reason() {
            put("reason", reason.into());
        }
        match self.details() {
            Value::Null => {}
            details => {
                put("details", details);
            }
        }
        fields
    }

    /// Why it happened, in words for an operator.
    fn reason(&self) -> Option<String> {
        match self {
            Self::ServerDown { reason, .. }
            | Self::ServerUp { reason, .. }
            | Self::ServerUnstable { reason, .. }
            | Self::PoolDown { reason, .. }
            | Self::RecoveryFailed { reason, .. }
            | Self::RecoveryHeld { reason, .. }
            | Self::ConfigRefused { reason, .. }
            | Self::ConfigReverted { reason, .. }
            | Self::ConfigNotSaved { reason, .. }
            | Self::WebhookFailing { reason, .. }
            | Self::CertificateRefused { reason, .. }
            | Self::CertificateExpiring { reason, .. }
            | Self::AcceptPaused { reason, .. }
            | Self::TaskDied { reason, .. } => Some(reason.clone()),
            Self::PanicStarted { healthy, total, .. } => {
                Some(format!("{healthy} of {total} servers are healthy"))
            }
            Self::ClientCut { attack, client, .. } => {
                Some(format!("{attack} by {}", address_or_unix(*client)))
            }
            Self::ServerAdded { .. }
            | Self::ServerRemoved { .. }
            | Self::PoolUp { .. }
            | Self::PanicEnded { .. }
            | Self::RecoveryStarted { .. }
            | Self::RecoverySucceeded { .. }
            | Self::ConfigApplied { .. }
            | Self::WebhookRecovered { .. }
            | Self::CertificateLoaded { .. }
            | Self::AcceptResumed { .. }
            | Self::ShutdownStarted
            | Self::ShutdownFinished { .. } => None,
        }
    }

    /// What only this kind of event has; null for nothing.
    fn details(&self) -> Value {
        match self {
            Self::ServerDown { cause, .. } => json!({"cause": cause}),
            Self::PanicStarted { healthy, total, .. } => json!({"healthy": healthy, "total": total}),
            Self::RecoveryStarted { attempt, action, .. } => json!({"attempt": attempt, "action": action}),
            Self::RecoverySucceeded { attempt, took, .. } => {
                json!({"attempt": attempt, "tookMs": u64::try_from(took.as_millis()).unwrap_or(u64::MAX)})
            }
            Self::RecoveryFailed { attempt, .. } => json!({"attempt": attempt}),
            Self::ConfigApplied { version, origin, summary } => {
                json!({"version": version, "origin": origin, "summary": summary})
            }
            Self::ConfigRefused { origin, issues, .. } => json!({"origin": origin, "issues": issues}),
            Self::ConfigReverted { version, .. } => json!({"version": version}),
            Self::ConfigNotSaved { path, .. } => json!({"path": path}),
            Self::WebhookFailing { webhook, .. } | Self::WebhookRecovered { webhook } => {
                json!({"webhook": &**webhook})
            }
            Self::CertificateLoaded { holder: Holder::Listener(listener), path, names } => {
                json!({"listener": &**listener, "path": path, "names": names})
            }
            Self::CertificateLoaded { holder: Holder::Pool(_), path, names } => {
                json!({"path": path, "names": names})
            }
            Self::CertificateRefused { holder, path, .. }
            | Self::CertificateExpiring { holder, path, .. } => match holder {
                Holder::Listener(listener) => json!({"listener": &**listener, "path": path}),
                Holder::Pool(_) => json!({"path": path}),
            },
            Self::AcceptPaused { listener, .. } | Self::AcceptResumed { listener } => {
                json!({"listener": &**listener})
            }
            Self::ClientCut { listener, client, attack, cve, connections } => json!({
                "listener": &**listener,
                "client": client.map(|client| client.to_string()),
                "attack": attack,
                "cve": cve,
                "connections": connections,
            }),
            Self::TaskDied { task, .. } => json!({"task": task}),
            Self::ShutdownFinished { cut } => json!({"cut": cut}),
            Self::ServerUp { .. }
            | Self::ServerUnstable { .. }
            | Self::ServerAdded { .. }
            | Self::ServerRemoved { .. }
            | Self::PoolDown { .. }
            | Self::PoolUp { .. }
            | Self::PanicEnded { .. }
            | Self::RecoveryHeld { .. }
            | Self::ShutdownStarted => Value::Null,
        }
    }
}

fn address_or_unix(client: Option<std::net::IpAddr>) -> String {
    client.map_or_else(|| "a client of a Unix socket".to_owned(), |client| client.to_string())
}
