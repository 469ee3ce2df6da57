//! The texts of an event: cut, and without control characters.

use super::Event;

/// Longest text of an event, in bytes. A reason is a sentence; what is longer is somebody's output.
pub const MAX_TEXT: usize = 1024;
/// Most issues that a refused configuration brings with it; the last one then says how many more there are.
pub const MAX_ISSUES: usize = 50;
/// What a cut text ends with.
const CUT: &str = "…";

impl Event {
    /// The event with every text cut to [`MAX_TEXT`] and every control character a space; and about how many bytes
    /// its texts have.
    pub(super) fn bounded(mut self) -> (Self, usize) {
        if let Self::ConfigRefused { issues, .. } = &mut self
            && issues.len() > MAX_ISSUES
        {
            let more = issues.len() - (MAX_ISSUES - 1);
            issues.truncate(MAX_ISSUES - 1);
            issues.push(format!("and {more} more"));
        }
        let mut bytes = 0;
        for text in self.texts() {
            bound(text);
            bytes += text.len();
        }
        (self, bytes)
    }

    /// Every text that is not a name out of the configuration.
    fn texts(&mut self) -> Vec<&mut String> {
        match self {
            Self::ServerDown { server, reason, .. }
            | Self::ServerUp { server, reason, .. }
            | Self::ServerUnstable { server, reason, .. }
            | Self::RecoveryFailed { server, reason, .. } => vec![&mut server.address, reason],
            Self::ServerAdded { server, .. }
            | Self::ServerRemoved { server, .. }
            | Self::RecoveryStarted { server, .. }
            | Self::RecoverySucceeded { server, .. } => vec![&mut server.address],
            Self::PoolDown { reason, .. }
            | Self::RecoveryHeld { reason, .. }
            | Self::ConfigReverted { reason, .. }
            | Self::WebhookFailing { reason, .. }
            | Self::AcceptPaused { reason, .. }
            | Self::TaskDied { reason, .. } => vec![reason],
            Self::ConfigApplied { origin, summary, .. } => vec![origin, summary],
            Self::ConfigRefused { origin, reason, issues } => {
                let mut texts = vec![origin, reason];
                texts.extend(issues);
                texts
            }
            Self::ConfigNotSaved { path, reason }
            | Self::CertificateRefused { path, reason, .. }
            | Self::CertificateExpiring { path, reason, .. } => vec![path, reason],
            Self::CertificateLoaded { path, names, .. } => vec![path, names],
            Self::PoolUp { .. }
            | Self::PanicStarted { .. }
            | Self::PanicEnded { .. }
            | Self::WebhookRecovered { .. }
            | Self::AcceptResumed { .. }
            | Self::ClientCut { .. }
            | Self::ShutdownStarted
            | Self::ShutdownFinished { .. } => Vec::new(),
        }
    }
}

fn bound(text: &mut String) {
    if text.len() > MAX_TEXT {
        text.truncate(text.floor_char_boundary(MAX_TEXT - CUT.len()));
        text.push_str(CUT);
        text.shrink_to_fit();
    }
    if text.chars().any(char::is_control) {
        *text = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    }
}
