//! What is built beside the traffic, and put in force in its place.

use std::sync::Arc;
use std::time::SystemTime;

use loadweaver_config::{Change, Config, Reading};
use loadweaver_proxy::{Ready, Snapshot};
use loadweaver_telemetry::event::Event;
use tokio::task::spawn_blocking;

use crate::followers::{Files, Followers, Prepared};
use crate::resolver;

use super::command::{Edit, Origin, Refusal, Reserved, Version, Way};
use super::text::{Ground, is_changed};
use super::{State, Trial, VERSIONS, farewell};

/// A change that nothing can stop any more but a listener's address.
pub(super) struct Built {
    pub(super) reading: Arc<Reading>,
    pub(super) change: Change,
    pub(super) next: Arc<Snapshot>,
    pub(super) prepared: Prepared,
}

impl Built {
    /// What changes, in words: perhaps nothing but what is in the files that the configuration names.
    pub(super) fn sentences(&self, running: &Snapshot) -> Vec<String> {
        let mut sentences = self.change.sentences();
        if sentences.is_empty() && !self.next.security.is_same(&running.security) {
            sentences.push("certificates are others than before".to_owned());
        }
        sentences
    }
}

/// What of a change is known before its text is.
#[derive(Debug, Clone)]
pub(super) struct Occasion {
    pub(super) origin: Origin,
    pub(super) way: Way,
    pub(super) dry_run: bool,
}

impl Ground {
    /// Everything that can be done beside the traffic. Blocks.
    fn built(&self, text: Arc<str>, occasion: &Occasion) -> Result<Built, Refusal> {
        let reading = match &self.reading {
            Some(known) => known.next(text, &*self.environment),
            None => Reading::new(text, &*self.environment),
        };
        let mut reading = reading.map_err(Refusal::Wrong)?;
        reading.share_with(&self.running.config);
        let reading = Arc::new(reading);
        let (old, new): (&Config, _) = (&self.running.config, &reading.parsed().config);
        if matches!(occasion.origin, Origin::Api(_)) {
            is_for_the_api(old, new, occasion.way).map_err(Refusal::Reserved)?;
        }
        let change = Change::between(old, new);
        let files = if occasion.way == Way::In { Files::All } else { Files::WhereOthersAreNamed };
        let prepare = if occasion.dry_run { Followers::try_out } else { Followers::prepare };
        let prepared = prepare(&self.followers, new, files).map_err(Refusal::Unusable)?;
        let next = self.running.next(self.running.version + 1, new.clone()).map_err(Refusal::Wrong)?;
        Ok(Built { reading, change, next, prepared })
    }
}

impl State {
    /// Everything that can be done beside the traffic.
    pub(super) async fn build(&self, text: Arc<str>, occasion: Occasion) -> Result<Built, Refusal> {
        let ground = self.ground();
        let before = Arc::clone(&ground.running);
        let built = spawn_blocking(move || ground.built(text, &occasion)).await;
        let built = built.unwrap_or(Err(Refusal::Died))?;
        // A new server that is given by name is of no use before its name is resolved.
        resolver::first_lookups(&built.next, &before).await;
        Ok(built)
    }

    /// The same for an edit, with the look at the file before it: most edits are one errand that way, and each wait for
    /// a thread is longest when the machine is busiest. Gives the edit back where the file was changed by hand.
    pub(super) async fn build_edit(
        &mut self,
        edit: Edit,
        occasion: Occasion,
    ) -> Result<Result<Built, Refusal>, Edit> {
        self.read().await;
        let (ground, path, known) = (self.ground(), self.source.path.clone(), Arc::clone(&self.on_disk));
        let before = Arc::clone(&ground.running);
        let built = spawn_blocking(move || {
            if path.is_some_and(|path| is_changed(&path, &known)) {
                return Err(edit);
            }
            Ok(ground.edited(edit).and_then(|text| ground.built(text, &occasion)))
        });
        let built = built.await.unwrap_or(Ok(Err(Refusal::Died)))?;
        if let Ok(built) = &built {
            resolver::first_lookups(&built.next, &before).await;
        }
        Ok(built)
    }

    /// Whether what is new could be bound.
    pub(super) async fn try_to_bind(&self, next: &Arc<Snapshot>) -> Result<(), Refusal> {
        let (proxy, next) = (Arc::clone(&self.proxy), Arc::clone(next));
        let tried = spawn_blocking(move || proxy.could_apply(&next).map_err(Refusal::Bind));
        tried.await.unwrap_or(Err(Refusal::Died))
    }

    /// Binds what is new. That may wait for others, and the control plane goes on meanwhile.
    pub(super) async fn bind(&self, built: &Built) -> Result<Ready, Refusal> {
        let (proxy, next) = (Arc::clone(&self.proxy), Arc::clone(&built.next));
        if built.change.listeners.is_empty() {
            // Nothing is new, so there is nothing to wait for.
            return proxy.prepare(next).map_err(Refusal::Bind);
        }
        let ready = spawn_blocking(move || proxy.prepare(next).map_err(Refusal::Bind));
        ready.await.unwrap_or(Err(Refusal::Died))
    }

    /// The swap, and what follows it at once. `trial` is how it may be undone.
    ///
    /// First all that says what is in force, with nothing between that could die; then those who follow and are told.
    /// A coordinator that dies over one of them and is started again knows what it did.
    pub(super) fn put_in_force(
        &mut self,
        (built, ready): (Built, Ready),
        origin: &Origin,
        (way, trial): (Way, Option<Trial>),
    ) {
        let before = self.current.load();
        let changes = built.sentences(&before);
        self.proxy.apply(ready);
        self.current.set(Arc::clone(&built.next));
        self.take_up(&built.reading);
        if way == Way::In {
            self.on_disk = Arc::clone(&self.text);
        }
        self.refused = None;
        self.trial = trial;
        self.departed.follow(&before, &built.next);
        // Certificates that are renewed each hour push nothing out that somebody could want to go back to.
        let renewed = |last: &mut Version| {
            *origin == Origin::Certificates && last.origin == Origin::Certificates && last.text == self.text
        };
        self.versions.pop_back_if(renewed);
        if self.versions.len() >= VERSIONS {
            self.versions.pop_front();
        }
        self.versions.push_back(Version {
            number: built.next.version,
            origin: origin.clone(),
            at: SystemTime::now(),
            changes: changes.clone(),
            text: Arc::clone(&self.text),
        });
        self.followers.apply(built.prepared, &built.next);
        self.followers.bus.emit(Event::ConfigApplied {
            version: built.next.version,
            origin: origin.to_string(),
            summary: changes.join("; "),
        });
        farewell::tell(&before, &built.next, &self.followers.bus);
    }
}

/// Whether a change leaves alone what comes from the file. Files that an earlier version named are named by the way back
/// to it again; programs are not, because whoever took one out may have meant it.
fn is_for_the_api(old: &Config, new: &Config, way: Way) -> Result<(), Reserved> {
    let programs = Change::runs_on_host(old, new);
    if !programs.is_empty() {
        return Err(Reserved::Programs(programs));
    }
    let files = if way == Way::Back { Vec::new() } else { Change::names_files(old, new) };
    if files.is_empty() { Ok(()) } else { Err(Reserved::Files(files)) }
}
