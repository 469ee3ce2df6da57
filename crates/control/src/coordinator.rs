//! Every change of the configuration, one after the other.
//!
//! A change comes from the file, a signal or the admin API, and goes the same way from each: the new text is parsed
//! (all problems at once), compared with the old, built, its listeners bound; then it is swapped in, told, and
//! written back where it did not come from the file. Everything that can fail stands before the swap, so a change that
//! is refused has changed nothing. What is written back is the operator's own text with the edited values replaced.
//!
//! The file and the API meet here: before an edit the file is looked at, and if somebody has changed it by hand that
//! change comes first, as a version of its own.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use loadweaver_config::{Change, Config, Parsed};
use loadweaver_proxy::{Proxy, Snapshot};
use loadweaver_telemetry::event::Event;
use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep_until};

use crate::current::Current;
use crate::file;
use crate::followers::{Followers, Prepared};
use crate::resolver;
pub(crate) use command::{Command, Origin, Outcome, Refusal, Version, View};
use command::{Edit, EditError, Refused, Saved};
use farewell::Departed;

pub(crate) mod command;
mod farewell;

/// Commands that may wait. More than that is not a queue but a jam.
const WAITING: usize = 256;

/// Versions that are kept to look at and to go back to; each holds its text.
const VERSIONS: usize = 20;

/// Where the configuration comes from.
#[derive(Clone)]
pub struct Source {
    /// The file, if there is one.
    pub path: Option<PathBuf>,
    /// What it says, or what stands in for it.
    pub text: Arc<str>,
    /// Answers for environment variables.
    pub environment: Environment,
}

/// Answers for environment variables, from any thread.
pub type Environment = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source").field("path", &self.path).finish_non_exhaustive()
    }
}

/// The way to the coordinator. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Coordinator {
    requests: mpsc::Sender<Request>,
    view: watch::Receiver<Arc<View>>,
}

struct Request {
    command: Command,
    answer: oneshot::Sender<Result<Outcome, Refusal>>,
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request").field("origin", &self.command.origin).finish_non_exhaustive()
    }
}

impl Coordinator {
    /// Asks for a change and waits for what becomes of it.
    pub(crate) async fn submit(&self, command: Command) -> Result<Outcome, Refusal> {
        let (answer, answered) = oneshot::channel();
        self.requests.try_send(Request { command, answer }).map_err(|_| Refusal::Busy)?;
        answered.await.unwrap_or(Err(Refusal::Busy))
    }

    /// What is known now.
    pub(crate) fn view(&self) -> Arc<View> {
        self.view.borrow().clone()
    }
}

/// The coordinator's own side: what it knows, and the commands that wait. It outlives a task that died over one of
/// them.
#[derive(Debug, Clone)]
pub(crate) struct Desk(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    requests: mpsc::Receiver<Request>,
    view: watch::Sender<Arc<View>>,
    source: Source,
    /// The text in force; the file may say something else when it could not be written.
    text: Arc<str>,
    /// What the file said when it was last taken up or written. A text that was refused is not taken up: nothing may
    /// be written over it.
    on_disk: Arc<str>,
    versions: VecDeque<Version>,
    refused: Option<Refused>,
    /// A change that waits for its confirmation.
    trial: Option<Trial>,
    departed: Departed,
    unsaved: Option<String>,
    current: Current,
    proxy: Arc<Proxy>,
    followers: Followers,
}

#[derive(Debug)]
struct Trial {
    until: Instant,
    until_time: SystemTime,
    /// What was in force before.
    before: Arc<str>,
}

/// A change that nothing can stop any more but a listener's address.
struct Built {
    text: Arc<str>,
    parsed: Parsed,
    change: Change,
    next: Arc<Snapshot>,
    prepared: Prepared,
}

/// A coordinator for what is in force, and the way to it.
pub(crate) fn coordinator(
    source: Source,
    current: Current,
    proxy: Arc<Proxy>,
    followers: Followers,
) -> (Coordinator, Desk) {
    let (requests, receiver) = mpsc::channel(WAITING);
    let first = Version {
        number: current.load().version,
        origin: Origin::Start,
        at: SystemTime::now(),
        changes: Vec::new(),
        text: Arc::clone(&source.text),
    };
    let view = View { versions: vec![first.clone()], text: Arc::clone(&source.text), ..View::default() };
    let (view, seen) = watch::channel(Arc::new(view));
    let state = State {
        requests: receiver,
        view,
        text: Arc::clone(&source.text),
        on_disk: Arc::clone(&source.text),
        source,
        versions: VecDeque::from([first]),
        refused: None,
        trial: None,
        departed: Departed::default(),
        unsaved: None,
        current,
        proxy,
        followers,
    };
    (Coordinator { requests, view: seen }, Desk(Arc::new(Mutex::new(state))))
}

impl Desk {
    /// Runs for ever.
    pub(crate) async fn run(self) -> Infallible {
        let mut state = self.0.lock().await;
        loop {
            let until = state.trial.as_ref().map(|trial| trial.until);
            let due = state.departed.due();
            tokio::select! {
                request = state.requests.recv() => match request {
                    Some(Request { command, answer }) => {
                        let outcome = state.obey(command).await;
                        // Whoever asked may have gone.
                        let _ = answer.send(outcome);
                    }
                    // Nobody can ask any more: the process ends.
                    None => std::future::pending().await,
                },
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => state.cut_departed(),
                () = sleep_until(until.unwrap_or_else(Instant::now)), if until.is_some() => {
                    let undo = Command::new(Edit::Undo, Origin::Unconfirmed);
                    // It was in force before, so only an address that somebody took meanwhile can be in its way.
                    let _ = state.obey(undo).await;
                    state.trial = None;
                    state.show();
                }
            }
        }
    }
}

impl State {
    async fn obey(&mut self, command: Command) -> Result<Outcome, Refusal> {
        let origin = command.origin.clone();
        let dry_run = command.dry_run;
        let outcome = self.change(command).await;
        if let Err(refusal) = &outcome
            && !dry_run
        {
            self.note_refusal(origin, refusal);
        }
        self.show();
        outcome
    }

    async fn change(&mut self, command: Command) -> Result<Outcome, Refusal> {
        let Command { base, edit, origin, dry_run, confirm } = command;
        let reads = matches!(edit, Edit::Reload);
        if !reads {
            let heard = self.hear_the_file().await;
            // What is on trial ends one way or the other, whatever the file says by then.
            if !matches!(edit, Edit::Undo | Edit::Keep) {
                heard?;
            }
        }
        if let Some(base) = base
            && base != self.version()
        {
            return Err(Refusal::Stale { current: self.version(), since: self.since(base) });
        }
        let goes_back = matches!(edit, Edit::Undo | Edit::Rollback(_));
        let text = match edit {
            Edit::Keep => return self.keep().await,
            edit => self.text_after(edit).await?,
        };
        // The echo of what was saved, or a touch: no reason to lose what is on trial or could not be saved. Whoever
        // sends SIGHUP wants the file as it is.
        if reads && origin == Origin::File && text == self.on_disk {
            self.refused = None;
            return Ok(self.unchanged(Saved::NotNeeded));
        }
        // By hand is how one gets out of a trial, too.
        if self.trial.is_some() && !goes_back && matches!(origin, Origin::Api(_)) {
            return Err(Refusal::Waiting);
        }
        let built = self.build(text, &origin, dry_run).await?;
        if dry_run {
            self.proxy.could_apply(&built.next).map_err(Refusal::Bind)?;
            let version = self.version() + u64::from(!built.change.is_empty());
            return Ok(self.outcome(version, &built, Saved::NotNeeded));
        }
        if built.change.is_empty() {
            // Other words for the same: no version, and what is edited later are these words.
            self.text = Arc::clone(&built.text);
            self.refused = None;
            if reads {
                // Whoever writes into the file what is on trial means it.
                self.trial = None;
                self.on_disk = Arc::clone(&self.text);
            }
            let saved = self.save(&origin, self.trial.is_some()).await;
            return Ok(self.outcome(self.version(), &built, saved));
        }
        let before = Arc::clone(&self.text);
        let mut told = self.outcome(built.next.version, &built, Saved::NotNeeded);
        self.put_in_force(built, &origin)?;
        if reads {
            self.on_disk = Arc::clone(&self.text);
        }
        self.trial = confirm.map(|time| Trial {
            until: Instant::now() + time,
            until_time: SystemTime::now() + time,
            before,
        });
        told.saved = self.save(&origin, confirm.is_some()).await;
        Ok(told)
    }

    /// Takes in what somebody wrote into the file by hand and nobody told us about.
    async fn hear_the_file(&mut self) -> Result<(), Refusal> {
        let Some(path) = self.source.path.clone() else { return Ok(()) };
        let read = spawn_blocking(move || file::read(&path)).await;
        // A file that is gone or unreadable is no change by hand; saving will say what is the matter.
        let Ok(Ok(bytes)) = read else { return Ok(()) };
        if bytes == self.on_disk.as_bytes() {
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

    async fn text_after(&mut self, edit: Edit) -> Result<Arc<str>, Refusal> {
        match edit {
            Edit::Reload => self.read_file().await,
            Edit::Rollback(number) => {
                let version = self.versions.iter().find(|version| version.number == number);
                let unknown = || Refusal::Unknown(format!("version {number} is not kept"));
                version.map(|version| Arc::clone(&version.text)).ok_or_else(unknown)
            }
            Edit::Undo | Edit::Keep => {
                let nothing = || Refusal::Unknown("no change waits for its confirmation".to_owned());
                self.trial.take().map(|trial| trial.before).ok_or_else(nothing)
            }
            Edit::Document(edit) => {
                let text = Arc::clone(&self.text);
                let document = loadweaver_config::document(text.as_bytes()).map_err(Refusal::Wrong)?;
                let wanted = edit(&document).map_err(Refusal::Edit)?;
                let rewritten = spawn_blocking(move || loadweaver_config::rewrite(&text, &wanted)).await;
                match rewritten {
                    Ok(Ok(text)) => Ok(text.into()),
                    Ok(Err(issues)) => Err(Refusal::Wrong(issues)),
                    Err(_) => Err(Refusal::Busy),
                }
            }
        }
    }

    async fn read_file(&self) -> Result<Arc<str>, Refusal> {
        let Some(path) = self.source.path.clone() else {
            return Err(Refusal::File(
                "there is no file to read: this configuration was built in".to_owned(),
            ));
        };
        let shown = path.display().to_string();
        let bytes = match spawn_blocking(move || file::read(&path)).await {
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

    /// Everything that can be done beside the traffic.
    async fn build(&self, text: Arc<str>, origin: &Origin, dry_run: bool) -> Result<Built, Refusal> {
        let environment = Arc::clone(&self.source.environment);
        let running = self.current.load();
        let from_api = matches!(origin, Origin::Api(_));
        let followers = self.followers.clone();
        let before = Arc::clone(&running);
        let built = spawn_blocking(move || {
            let parsed = loadweaver_config::parse(text.as_bytes(), &*environment).map_err(Refusal::Wrong)?;
            let old: &Config = &running.config;
            let on_host = if from_api { Change::runs_on_host(old, &parsed.config) } else { Vec::new() };
            if !on_host.is_empty() {
                return Err(Refusal::RunsOnHost(on_host));
            }
            let change = Change::between(old, &parsed.config);
            let prepared =
                if dry_run { followers.try_out(&parsed.config) } else { followers.prepare(&parsed.config) };
            let prepared = prepared.map_err(Refusal::Unusable)?;
            let next = running.next(running.version + 1, parsed.config.clone());
            Ok(Built { text, parsed, change, next, prepared })
        });
        let built = built.await.unwrap_or(Err(Refusal::Busy))?;
        // A new server that is given by name is of no use before its name is resolved.
        resolver::first_lookups(&built.next, &before).await;
        Ok(built)
    }

    /// The swap, and what follows it at once.
    fn put_in_force(&mut self, built: Built, origin: &Origin) -> Result<(), Refusal> {
        let before = self.current.load();
        self.proxy.apply(Arc::clone(&built.next)).map_err(Refusal::Bind)?;
        self.current.set(Arc::clone(&built.next));
        self.followers.apply(built.prepared, &built.next);
        self.text = Arc::clone(&built.text);
        self.refused = None;
        self.trial = None;
        let changes = built.change.sentences();
        self.followers.bus.emit(Event::ConfigApplied {
            version: built.next.version,
            origin: origin.to_string(),
            summary: changes.join("; "),
        });
        farewell::tell(&before, &built.next, &self.followers.bus);
        self.departed.follow(&before, &built.next);
        if self.versions.len() >= VERSIONS {
            self.versions.pop_front();
        }
        self.versions.push_back(Version {
            number: built.next.version,
            origin: origin.clone(),
            at: SystemTime::now(),
            changes,
            text: Arc::clone(&built.text),
        });
        Ok(())
    }

    fn cut_departed(&mut self) {
        self.departed.cut(&self.proxy);
    }

    async fn keep(&mut self) -> Result<Outcome, Refusal> {
        if self.trial.take().is_none() {
            return Err(Refusal::Unknown("no change waits for its confirmation".to_owned()));
        }
        let saved = self.save(&Origin::Api(None), false).await;
        Ok(self.unchanged(saved))
    }

    fn unchanged(&self, saved: Saved) -> Outcome {
        let (changes, warnings, needs_restart) = (Vec::new(), Vec::new(), Vec::new());
        Outcome { version: self.version(), changes, touched: Vec::new(), warnings, needs_restart, saved }
    }

    /// Writes what is in force into the file, unless it is there. A change on trial is not: a crash undoes it too.
    async fn save(&mut self, origin: &Origin, on_trial: bool) -> Saved {
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

    fn outcome(&self, version: u64, built: &Built, saved: Saved) -> Outcome {
        Outcome {
            version,
            changes: built.change.sentences(),
            touched: farewell::touched(&self.current.load(), &built.next, &self.proxy),
            warnings: built.parsed.warnings.clone(),
            needs_restart: built.change.needs_restart(),
            saved,
        }
    }

    fn version(&self) -> u64 {
        self.current.load().version
    }

    /// What has changed since a version, version by version; nothing where it is not kept any more.
    fn since(&self, base: u64) -> Vec<String> {
        let later = self.versions.iter().filter(|version| version.number > base);
        later.flat_map(|version| version.changes.iter().cloned()).collect()
    }

    fn note_refusal(&mut self, origin: Origin, refusal: &Refusal) {
        // That somebody was late, or asked for what is not there, is between the API and whoever asked. What is wrong
        // with the file is told as the file's.
        let issues = match refusal {
            Refusal::File(_) if matches!(origin, Origin::Api(_)) => return,
            Refusal::Wrong(issues) => issues.0.clone(),
            Refusal::Bind(_) | Refusal::File(_) | Refusal::RunsOnHost(_) | Refusal::Unusable(_) => Vec::new(),
            Refusal::Stale { .. }
            | Refusal::Edit(EditError::NotFound(_) | EditError::Conflict(_) | EditError::Invalid { .. })
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

    fn show(&self) {
        self.view.send_replace(Arc::new(View {
            versions: self.versions.iter().cloned().collect(),
            text: Arc::clone(&self.text),
            refused: self.refused.clone(),
            confirm_until: self.trial.as_ref().map(|trial| trial.until_time),
            unsaved: self.unsaved.clone(),
        }));
    }
}
