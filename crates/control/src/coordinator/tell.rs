//! What is told of a change: to whoever asked for it, and to everybody.

use std::sync::Arc;
use std::time::SystemTime;

use loadweaver_telemetry::event::Event;

use super::command::{EditError, Origin, Outcome, Refusal, Refused, Saved, View};
use super::swap::Built;
use super::{State, farewell};

impl State {
    pub(super) fn unchanged(&self, saved: Saved) -> Outcome {
        let (changes, warnings, needs_restart) = (Vec::new(), Vec::new(), Vec::new());
        Outcome { version: self.version(), changes, touched: Vec::new(), warnings, needs_restart, saved }
    }

    pub(super) fn outcome(&self, version: u64, built: &Built, saved: Saved) -> Outcome {
        Outcome {
            version,
            changes: built.sentences(&self.current.load()),
            touched: farewell::touched(&self.current.load(), &built.next, &self.proxy),
            warnings: [&*built.reading.parsed().warnings, &built.next.security.warnings].concat(),
            needs_restart: built.change.needs_restart(),
            saved,
        }
    }

    /// What has changed since a version, version by version; nothing where it is not kept any more.
    pub(super) fn since(&self, base: u64) -> Vec<String> {
        let later = self.versions.iter().filter(|version| version.number > base);
        later.flat_map(|version| version.changes.iter().cloned()).collect()
    }

    pub(super) fn note_refusal(&mut self, origin: Origin, refusal: &Refusal) {
        // That somebody was late, or asked for what is not there, is between the API and whoever asked. What is wrong
        // with the file is told as the file's.
        let issues = match refusal {
            Refusal::File(_) if matches!(origin, Origin::Api(_) | Origin::Certificates) => return,
            Refusal::Wrong(issues) => issues.0.clone(),
            Refusal::Bind(_)
            | Refusal::File(_)
            | Refusal::Reserved(_)
            | Refusal::Unusable(_)
            | Refusal::Died => Vec::new(),
            Refusal::Stale { .. }
            | Refusal::Edit(
                EditError::NotFound(_)
                | EditError::Conflict(_)
                | EditError::Invalid { .. }
                | EditError::Reserved(_),
            )
            | Refusal::Waiting
            | Refusal::Unknown(_)
            | Refusal::Busy => return,
        };
        let reason = refusal.to_string();
        self.followers.bus.emit(Event::ConfigRefused {
            origin: origin.to_string(),
            reason: reason.clone(),
            issues: issues.iter().map(ToString::to_string).collect(),
        });
        self.refused = Some(Refused { origin, at: SystemTime::now(), reason, issues });
    }

    pub(super) fn show(&self) {
        self.view.send_replace(Arc::new(View {
            versions: self.versions.iter().cloned().collect(),
            text: Arc::clone(&self.text),
            refused: self.refused.clone(),
            confirm_until: self.trial.as_ref().map(|trial| trial.until_time),
            unsaved: self.unsaved.clone(),
        }));
    }
}
