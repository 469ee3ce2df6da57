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
use std::time::{Duration, SystemTime};

use loadweaver_config::Reading;
use loadweaver_proxy::Proxy;
use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};

use crate::current::Current;
use crate::followers::Followers;
pub(crate) use command::{Command, Origin, Outcome, Refusal, Refused, Version, View};
use command::{Edit, Saved, Way};
use farewell::Departed;
use swap::{Built, Occasion};

pub(crate) mod command;
mod farewell;
mod swap;
mod tell;
mod text;

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
        answered.await.unwrap_or(Err(Refusal::Died))
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
    /// That text as it was read; none until there was a change.
    reading: Option<Arc<Reading>>,
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

/// From an undoing that failed to the next.
const UNDO_AGAIN: Duration = Duration::from_secs(5);

#[derive(Debug)]
struct Trial {
    until: Instant,
    until_time: SystemTime,
    /// What was in force before.
    before: Arc<str>,
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
        reading: None,
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
        // One that was started again after a death shows what it knows.
        state.show();
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
                    state.undo().await;
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
            && !self.is_old_news(&origin, refusal)
        {
            self.note_refusal(origin, refusal);
        }
        self.show();
        outcome
    }

    /// Whether it was told already. Certificates are tried again by themselves.
    fn is_old_news(&self, origin: &Origin, refusal: &Refusal) -> bool {
        *origin == Origin::Certificates
            && self
                .refused
                .as_ref()
                .is_some_and(|known| known.origin == *origin && known.reason == refusal.to_string())
    }

    async fn change(&mut self, command: Command) -> Result<Outcome, Refusal> {
        let Command { base, edit, origin, dry_run, confirm } = command;
        let way = Way::of(&edit);
        let occasion = Occasion { origin: origin.clone(), way, dry_run };
        // Nothing can be said against it but what the file says, or what comes of it.
        let is_plain =
            way == Way::On && self.trial.is_none() && base.is_none_or(|base| base == self.version());
        let built = if is_plain { self.build_edit(edit, occasion.clone()).await } else { Err(edit) };
        let built = match built {
            Ok(built) => built?,
            Err(edit) => match self.build_after(base, edit, occasion).await? {
                Ok(built) => built,
                Err(done) => return Ok(done),
            },
        };
        if dry_run {
            self.try_to_bind(&built.next).await?;
            let version = self.version() + u64::from(!built.change.is_empty());
            return Ok(self.outcome(version, &built, Saved::NotNeeded));
        }
        let same_files = built.next.security.is_same(&self.current.load().security);
        if built.change.is_empty() && same_files {
            // Other words for the same: no version, and what is edited later are these words.
            self.take_up(&built.reading);
            self.refused = None;
            self.followers.renew(&built.prepared);
            if way == Way::In {
                self.on_disk = Arc::clone(&self.text);
            }
            if matches!(way, Way::In | Way::Undoing) {
                // Whoever writes into the file what is on trial means it.
                self.trial = None;
            }
            let saved = self.save(&origin, self.trial.is_some()).await;
            return Ok(self.outcome(self.version(), &built, saved));
        }
        let ready = self.bind(&built).await?;
        // A rollback may be tried while another change is. What nobody has confirmed is never gone back to.
        let before = self.trial.as_ref().map_or(&self.text, |trial| &trial.before).clone();
        let mut told = self.outcome(built.next.version, &built, Saved::NotNeeded);
        let trial = confirm.map(|time| Trial {
            until: Instant::now() + time,
            until_time: SystemTime::now() + time,
            before,
        });
        self.put_in_force((built, ready), &origin, (way, trial));
        told.saved = self.save(&origin, confirm.is_some()).await;
        Ok(told)
    }

    /// What comes of an edit once the file was heard; or what there is to say where nothing comes of it.
    async fn build_after(
        &mut self,
        base: Option<u64>,
        edit: Edit,
        occasion: Occasion,
    ) -> Result<Result<Built, Outcome>, Refusal> {
        let way = occasion.way;
        if way != Way::In {
            let heard = self.hear_the_file().await;
            // What is on trial ends one way or the other, whatever the file says by then.
            if !matches!(way, Way::Undoing | Way::Keeping) {
                heard?;
            }
        }
        if let Some(base) = base
            && base != self.version()
        {
            return Err(Refusal::Stale { current: self.version(), since: self.since(base) });
        }
        let text = match edit {
            Edit::Keep => return self.keep().await.map(Err),
            edit => self.text_after(edit).await?,
        };
        // The echo of what was saved, or a touch: no reason to lose what is on trial or could not be saved. Whoever
        // sends SIGHUP wants the file as it is.
        if way == Way::In && occasion.origin == Origin::File && text == self.on_disk {
            self.refused = None;
            return Ok(Err(self.unchanged(Saved::NotNeeded)));
        }
        // By hand is how one gets out of a trial, too.
        if self.trial.is_some() && way == Way::On {
            return Err(Refusal::Waiting);
        }
        self.build(text, occasion).await.map(Ok)
    }

    /// Undoes what was not confirmed in time. It was in force before, so only what the machine took meanwhile can be in
    /// its way: an address, a file. Then the change stays on trial, everybody is told, and it is tried again.
    async fn undo(&mut self) {
        let known = self.refused.clone();
        if let Err(refusal) = self.change(Command::new(Edit::Undo, Origin::Unconfirmed)).await {
            let reason = refusal.to_string();
            if known.is_none_or(|known| known.origin != Origin::Unconfirmed || known.reason != reason) {
                self.note_refusal(Origin::Unconfirmed, &refusal);
            }
            if let Some(trial) = &mut self.trial {
                trial.until = Instant::now() + UNDO_AGAIN;
            }
        }
        self.show();
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

    fn version(&self) -> u64 {
        self.current.load().version
    }
}

#[cfg(test)]
mod tests;
