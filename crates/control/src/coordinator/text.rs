//! Where the texts come from and go to: the file, the versions, the edits.

use std::sync::Arc;

use loadweaver_config::Reading;
use loadweaver_telemetry::event::Event;
use serde_json::Value;
use tokio::task::spawn_blocking;

use crate::file;

use super::State;
use super::command::{Command, Edit, EditError, Origin, Refusal, Rework, ReworkOnce, Saved};

impl State {
    /// Takes in what somebody wrote into the file by hand and nobody told us about.
    pub(super) async fn hear_the_file(&mut self) -> Result<(), Refusal> {
        let Some(path) = self.source.path.clone() else { return Ok(()) };
        let known = Arc::clone(&self.on_disk);
        let same = spawn_blocking(move || file::says(&path, &known)).await;
        // A file that is gone or unreadable is no change by hand; saving will say what is the matter.
        if !matches!(same, Ok(Ok(false))) {
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
            Edit::Files => Ok(Arc::clone(&self.text)),
            Edit::Document(edit) => {
                let reading = self.reading().await;
                self.reworked(edit, reading).await
            }
            Edit::Whole(edit) => self.rewritten(edit).await,
            Edit::Server(pick) => {
                let (pool, edit) = pick(&self.current.load().config).map_err(Refusal::Edit)?;
                let reading = self.reading().await;
                let edited = reading.and_then(|reading| reading.edited(&pool, &edit));
                let edited = match edited {
                    // Debug builds write it both ways.
                    Some(text) if !cfg!(debug_assertions) => return Ok(text.into()),
                    edited => edited,
                };
                let rework = move |document: &Value| {
                    let mut document = document.clone();
                    edit.apply(&mut document, &pool).map_err(|key| EditError::out_of_step(&key))?;
                    Ok(document)
                };
                let text = self.rewritten(Box::new(rework)).await?;
                debug_assert!(
                    edited.is_none_or(|edited| *edited == *text),
                    "spliced otherwise than rewritten"
                );
                Ok(text)
            }
        }
    }

    /// The text with as little of it changed as makes it another document.
    async fn rewritten(&self, edit: ReworkOnce) -> Result<Arc<str>, Refusal> {
        let text = Arc::clone(&self.text);
        let rewritten = spawn_blocking(move || rewrite(&text, edit));
        rewritten.await.unwrap_or(Err(Refusal::Busy))
    }

    /// The same, without a look at the servers where the edit does not touch them.
    async fn reworked(&self, edit: Rework, reading: Option<Arc<Reading>>) -> Result<Arc<str>, Refusal> {
        let text = Arc::clone(&self.text);
        let reworked = spawn_blocking(move || {
            let beside = reading.and_then(|reading| reading.reworked(&edit));
            match beside {
                // Debug builds write it both ways.
                Some(text) if !cfg!(debug_assertions) => Ok(text.into()),
                beside => {
                    let whole = rewrite(&text, edit)?;
                    debug_assert!(
                        beside.is_none_or(|beside| *beside == *whole),
                        "written otherwise without the servers"
                    );
                    Ok(whole)
                }
            }
        });
        reworked.await.unwrap_or(Err(Refusal::Busy))
    }

    /// What is in force, as it was read.
    async fn reading(&mut self) -> Option<Arc<Reading>> {
        if self.reading.is_none() {
            let (text, environment) = (Arc::clone(&self.text), Arc::clone(&self.source.environment));
            let reading = spawn_blocking(move || Reading::new(text, &*environment)).await;
            // Where a variable is gone by now, the checker says so.
            self.reading = reading.ok().and_then(Result::ok).map(Arc::new);
        }
        self.reading.clone()
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
            Err(_) => return Err(Refusal::Busy),
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

fn rewrite(text: &str, edit: impl FnOnce(&Value) -> Result<Value, EditError>) -> Result<Arc<str>, Refusal> {
    let document = loadweaver_config::document(text.as_bytes()).map_err(Refusal::Wrong)?;
    let wanted = edit(&document).map_err(Refusal::Edit)?;
    loadweaver_config::rewrite_from(text, &document, &wanted).map(Into::into).map_err(Refusal::Wrong)
}
