//! Where the texts come from and go to: the file, the versions, the edits.

use std::path::Path;
use std::sync::Arc;

use loadweaver_config::Reading;
use loadweaver_proxy::Snapshot;
use loadweaver_telemetry::event::Event;
use serde_json::Value;
use tokio::task::spawn_blocking;

use crate::file;
use crate::followers::Followers;

use super::command::{Command, Edit, EditError, Origin, Refusal, Saved};
use super::{Environment, State};

impl State {
    /// Takes in what somebody wrote into the file by hand and nobody told us about.
    pub(super) async fn hear_the_file(&mut self) -> Result<(), Refusal> {
        let Some(path) = self.source.path.clone() else { return Ok(()) };
        let known = Arc::clone(&self.on_disk);
        if !spawn_blocking(move || is_changed(&path, &known)).await.unwrap_or(false) {
            return Ok(());
        }
        Box::pin(self.change(Command::new(Edit::Reload, Origin::File))).await.map(drop).map_err(|refusal| {
            let why = format!("the file was changed by hand and cannot be used, mend it first: {refusal}");
            let reason = refusal.to_string();
            // The watch has told already, or the edit before this one.
            if self.refused.as_ref().is_none_or(|known| known.reason != reason) {
                self.note_refusal(Origin::File, &refusal);
            }
            Refusal::File(why)
        })
    }

    pub(super) async fn text_after(&mut self, edit: Edit) -> Result<Arc<str>, Refusal> {
        match edit {
            Edit::Reload => self.read_file().await,
            Edit::Rollback(number) => {
                let version = self.versions.iter().find(|version| version.number == number);
                let unknown = || Refusal::Unknown(format!("version {number} is not kept"));
                version.map(|version| Arc::clone(&version.text)).ok_or_else(unknown)
            }
            Edit::Undo | Edit::Keep => {
                let nothing = || Refusal::Unknown("no change waits for its confirmation".to_owned());
                self.trial.as_ref().map(|trial| Arc::clone(&trial.before)).ok_or_else(nothing)
            }
            edit => {
                self.read().await;
                let ground = self.ground();
                spawn_blocking(move || ground.edited(edit)).await.unwrap_or(Err(Refusal::Died))
            }
        }
    }

    /// What an edit is made on.
    pub(super) fn ground(&self) -> Ground {
        Ground {
            running: self.current.load(),
            text: Arc::clone(&self.text),
            reading: self.reading.clone(),
            environment: Arc::clone(&self.source.environment),
            followers: self.followers.clone(),
        }
    }

    /// Sees to it that what is in force was read.
    pub(super) async fn read(&mut self) {
        if self.reading.is_none() {
            let (text, environment) = (Arc::clone(&self.text), Arc::clone(&self.source.environment));
            let reading = spawn_blocking(move || Reading::new(text, &*environment)).await;
            // Where a variable is gone by now, the checker says so.
            self.reading = reading.ok().and_then(Result::ok).map(Arc::new);
        }
    }

    pub(super) fn take_up(&mut self, reading: &Arc<Reading>) {
        self.text = Arc::clone(reading.text());
        self.reading = Some(Arc::clone(reading));
    }

    pub(super) async fn read_file(&self) -> Result<Arc<str>, Refusal> {
        let Some(path) = self.source.path.clone() else {
            return Err(Refusal::File(
                "there is no file to read: this configuration was built in".to_owned(),
            ));
        };
        let shown = path.display().to_string();
        let bytes = match spawn_blocking(move || file::read_again(&path)).await {
            Ok(Ok(bytes)) => bytes,
            Ok(Err(unreadable)) => return Err(Refusal::File(format!("{shown}: {unreadable}"))),
            Err(_) => return Err(Refusal::Died),
        };
        // What is not UTF-8 is for the checker to refuse, in its words.
        match String::from_utf8(bytes) {
            Ok(text) => Ok(text.into()),
            Err(error) => {
                let nothing = |_: &str| None;
                match loadweaver_config::parse(error.as_bytes(), &nothing) {
                    Err(issues) => Err(Refusal::Wrong(issues)),
                    Ok(_) => Err(Refusal::File(format!("{shown}: not UTF-8 text"))),
                }
            }
        }
    }

    /// Writes what is in force into the file, unless it is there. A change on trial is not: a crash undoes it too.
    pub(super) async fn save(&mut self, origin: &Origin, on_trial: bool) -> Saved {
        self.unsaved = None;
        if self.text == self.on_disk || matches!(origin, Origin::File | Origin::Signal) {
            return Saved::NotNeeded;
        }
        let persist = self.current.load().config.admin.as_ref().is_none_or(|admin| admin.persist);
        let why = match &self.source.path {
            _ if on_trial => Some("saved when it is confirmed".to_owned()),
            None => Some("there is no file: this configuration was built in".to_owned()),
            Some(_) if !persist => Some("\"admin\": {\"persist\": false} says so".to_owned()),
            Some(path) => {
                let (path, old, text) = (path.clone(), Arc::clone(&self.on_disk), Arc::clone(&self.text));
                let shown = path.display().to_string();
                match spawn_blocking(move || file::replace_known(&path, &old, &text)).await {
                    Ok(Ok(())) => {
                        self.on_disk = Arc::clone(&self.text);
                        None
                    }
                    Ok(Err(error)) => {
                        let reason = format!("{shown}: {error}");
                        self.followers
                            .bus
                            .emit(Event::ConfigNotSaved { path: shown, reason: error.to_string() });
                        Some(reason)
                    }
                    Err(_) => Some("the writing ended without a result".to_owned()),
                }
            }
        };
        self.unsaved.clone_from(&why);
        why.map_or(Saved::Yes, Saved::No)
    }
}

/// Whether somebody has changed the file by hand. One that is gone or unreadable is no change; saving will say what is
/// the matter.
pub(super) fn is_changed(path: &Path, known: &str) -> bool {
    file::says(path, known).is_ok_and(|same| !same)
}

/// What is in force, for whoever edits and builds beside the traffic.
pub(super) struct Ground {
    pub(super) running: Arc<Snapshot>,
    pub(super) text: Arc<str>,
    pub(super) reading: Option<Arc<Reading>>,
    pub(super) environment: Environment,
    pub(super) followers: Followers,
}

impl Ground {
    /// The text with as little of it changed as the edit asks for. Blocks.
    pub(super) fn edited(&self, edit: Edit) -> Result<Arc<str>, Refusal> {
        match edit {
            Edit::Document(edit) => {
                let beside = self.reading.as_ref().and_then(|reading| reading.reworked(&edit));
                both_ways(beside, || rewritten(&self.text, edit))
            }
            Edit::Server(pick) => {
                let (pool, edit) = pick(&self.running.config).map_err(Refusal::Edit)?;
                let spliced = self.reading.as_ref().and_then(|reading| reading.edited(&pool, &edit));
                let rework = |document: &Value| {
                    let mut document = document.clone();
                    edit.apply(&mut document, &pool).map_err(|key| EditError::out_of_step(&key))?;
                    Ok(document)
                };
                both_ways(spliced, || rewritten(&self.text, rework))
            }
            Edit::Whole(edit) => rewritten(&self.text, edit),
            // Nothing of the text.
            Edit::Files | Edit::Reload | Edit::Rollback(_) | Edit::Undo | Edit::Keep => {
                Ok(Arc::clone(&self.text))
            }
        }
    }
}

/// What was written in parts, or else the whole. Debug builds write it both ways.
fn both_ways(
    parts: Option<String>,
    whole: impl FnOnce() -> Result<Arc<str>, Refusal>,
) -> Result<Arc<str>, Refusal> {
    match parts {
        Some(text) if !cfg!(debug_assertions) => Ok(text.into()),
        parts => {
            let whole = whole()?;
            debug_assert!(parts.is_none_or(|parts| *parts == *whole), "written otherwise in parts");
            Ok(whole)
        }
    }
}

/// The text with as little of it changed as makes it another document.
fn rewritten(text: &str, edit: impl FnOnce(&Value) -> Result<Value, EditError>) -> Result<Arc<str>, Refusal> {
    let document = loadweaver_config::document(text.as_bytes()).map_err(Refusal::Wrong)?;
    let wanted = edit(&document).map_err(Refusal::Edit)?;
    loadweaver_config::rewrite_from(text, &document, &wanted).map(Into::into).map_err(Refusal::Wrong)
}
