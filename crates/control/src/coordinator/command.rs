//! What the coordinator is asked, and what it answers.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use loadweaver_config::{Config, Issue, Issues, ServerEdit};
use loadweaver_proxy::StartError;
use serde_json::Value;

/// A wish to change the configuration. All of them go the same way, wherever they come from.
pub(crate) struct Command {
    /// The version that the wish was made for; none for whichever is in force.
    pub(crate) base: Option<u64>,
    pub(crate) edit: Edit,
    pub(crate) origin: Origin,
    /// Only say what would change.
    pub(crate) dry_run: bool,
    /// Undone by itself after this time unless it is confirmed.
    pub(crate) confirm: Option<Duration>,
}

impl Command {
    /// Without conditions.
    pub(crate) fn new(edit: Edit, origin: Origin) -> Self {
        Self { base: None, edit, origin, dry_run: false, confirm: None }
    }
}

/// What is to be changed.
pub(crate) enum Edit {
    /// Take the file as it is now.
    Reload,
    /// Go back to the text of an earlier version.
    Rollback(u64),
    /// Undo the change that waits for its confirmation.
    Undo,
    /// Keep the change that waits for its confirmation.
    Keep,
    /// Take what stands now in the files that the configuration names.
    Files,
    /// Change the document, in which placeholders stand as they were written. It is asked first with a document in which
    /// a number stands for all servers of each pool, and again with the whole one where that does not do.
    Document(Rework),
    /// The same for what is sure to touch servers, or comes whole.
    Whole(ReworkOnce),
    /// Change one server, told from the configuration in force.
    Server(Pick),
}

/// Which way a change goes: what is asked of it on the way depends on this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// From the file.
    In,
    /// Back to an earlier version.
    Back,
    /// Back to what was before a trial.
    Undoing,
    /// Nowhere: what is in force stays.
    Keeping,
    /// On, from what is in force.
    On,
}

impl Way {
    pub(super) fn of(edit: &Edit) -> Self {
        match edit {
            Edit::Reload => Self::In,
            Edit::Rollback(_) => Self::Back,
            Edit::Undo => Self::Undoing,
            Edit::Keep => Self::Keeping,
            Edit::Files | Edit::Document(_) | Edit::Whole(_) | Edit::Server(_) => Self::On,
        }
    }
}

/// Makes another document out of the one in force.
pub(crate) type Rework = Box<dyn Fn(&Value) -> Result<Value, EditError> + Send>;

/// The same, once.
pub(crate) type ReworkOnce = Box<dyn FnOnce(&Value) -> Result<Value, EditError> + Send>;

/// Says which server of which pool is to become what.
pub(crate) type Pick = Box<dyn FnOnce(&Config) -> Result<(Arc<str>, ServerEdit), EditError> + Send>;

/// Why an edit does not fit the document that it was meant for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum EditError {
    /// What it names is not there.
    NotFound(String),
    /// What it adds is there already, or it contradicts what is there.
    Conflict(String),
    /// It makes no sense.
    Invalid { at: String, problem: String, help: String },
    /// It is not for the API to do.
    Reserved(Reserved),
}

/// What reaches beyond this process comes from whoever can write the configuration file, and from nobody else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reserved {
    /// Sections that run programs; pointers to them.
    Programs(Vec<String>),
    /// Names of files that are read or written; pointers to them.
    Files(Vec<String>),
    /// Variables of the environment, as they would be written.
    Variables(Vec<String>),
}

impl fmt::Display for Reserved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, places) = match self {
            Self::Programs(places) => ("what runs programs on the host comes", places),
            Self::Files(places) => ("which files are read and written comes", places),
            Self::Variables(names) => ("which variables are read, and for what, comes", names),
        };
        write!(f, "{what} from the file alone: {}", places.join(", "))
    }
}

impl EditError {
    /// The document does not look like the configuration that was made from it. Not expected; better said than
    /// guessed.
    pub(crate) fn out_of_step(what: &str) -> Self {
        Self::Conflict(format!("{what} is not written in a way that can be edited piece by piece"))
    }
}

/// Where a change came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The first configuration.
    Start,
    /// The file was changed.
    File,
    /// SIGHUP.
    Signal,
    /// The admin API; the token's name, where there are tokens.
    Api(Option<Arc<str>>),
    /// A change that was not confirmed in time.
    Unconfirmed,
    /// Files of certificates were replaced.
    Certificates,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start => f.write_str("start"),
            Self::File => f.write_str("file"),
            Self::Signal => f.write_str("SIGHUP"),
            Self::Api(None) => f.write_str("api"),
            Self::Api(Some(token)) => write!(f, "api ({token})"),
            Self::Unconfirmed => f.write_str("not confirmed in time"),
            Self::Certificates => f.write_str("certificates"),
        }
    }
}

/// What became of a command that was not refused.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    /// The version in force; with a dry run, the one that would be.
    pub(crate) version: u64,
    /// What changed, in words.
    pub(crate) changes: Vec<String>,
    /// What is alive and touched by it, in words.
    pub(crate) touched: Vec<String>,
    /// What is allowed but probably not meant.
    pub(crate) warnings: Vec<Issue>,
    /// Settings that only a new start takes up.
    pub(crate) needs_restart: Vec<&'static str>,
    pub(crate) saved: Saved,
}

/// Whether a change is in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Saved {
    Yes,
    /// It is where it came from, or there was nothing to save.
    NotNeeded,
    /// It is in force and will be gone with the next start.
    No(String),
}

/// Why a command was refused. Nothing has changed then.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// It was made for another version than the one in force; what has changed since, where that is known.
    Stale {
        current: u64,
        since: Vec<String>,
    },
    /// The configuration that it leads to is wrong.
    Wrong(Issues),
    Edit(EditError),
    Reserved(Reserved),
    /// Something that it names cannot be used: a certificate, a file of events.
    Unusable(Vec<String>),
    /// A new listener cannot be bound.
    Bind(StartError),
    /// The file on disk cannot be read, or was changed by hand and is wrong, so that nothing can be written to it.
    File(String),
    /// A change waits for its confirmation.
    Waiting,
    /// There is no such version, or nothing to confirm.
    Unknown(String),
    /// More commands wait than may, or the coordinator is gone.
    Busy,
    /// A fault of LoadWeaver's own: what worked on it has died.
    Died,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stale { current, .. } => {
                write!(f, "made for another version; version {current} is in force")
            }
            Self::Wrong(issues) => match issues.0.as_slice() {
                [only] => write!(f, "{only}"),
                [first, rest @ ..] => write!(f, "{} problems, the first: {first}", rest.len() + 1),
                [] => f.write_str("wrong"),
            },
            Self::Edit(EditError::NotFound(what) | EditError::Conflict(what)) => f.write_str(what),
            Self::Edit(EditError::Invalid { at, problem, .. }) => write!(f, "{at}: {problem}"),
            Self::Reserved(reserved) | Self::Edit(EditError::Reserved(reserved)) => write!(f, "{reserved}"),
            Self::Unusable(reasons) => f.write_str(&reasons.join("; ")),
            Self::Bind(error) => write!(f, "{error}"),
            Self::File(why) | Self::Unknown(why) => f.write_str(why),
            Self::Waiting => {
                f.write_str("a change waits for its confirmation; confirm it or roll it back first")
            }
            Self::Busy => f.write_str("too many changes are under way"),
            Self::Died => f.write_str(
                "LoadWeaver failed over it, which is a fault of its own that the log tells more of; look at what is in \
                 force before you try again",
            ),
        }
    }
}

/// A configuration that was in force, or is.
#[derive(Debug, Clone)]
pub(crate) struct Version {
    pub(crate) number: u64,
    pub(crate) origin: Origin,
    pub(crate) at: SystemTime,
    /// What it changed against the one before.
    pub(crate) changes: Vec<String>,
    pub(crate) text: Arc<str>,
}

/// The last change that was refused, until one is applied.
#[derive(Debug, Clone)]
pub(crate) struct Refused {
    pub(crate) origin: Origin,
    pub(crate) at: SystemTime,
    pub(crate) reason: String,
    pub(crate) issues: Vec<Issue>,
}

/// What everybody may know of the coordinator.
#[derive(Debug, Clone, Default)]
pub(crate) struct View {
    /// The text in force: that of the newest version, but for words that change nothing.
    pub(crate) text: Arc<str>,
    /// The last versions, the newest last.
    pub(crate) versions: Vec<Version>,
    pub(crate) refused: Option<Refused>,
    /// When the change that is in force will be undone.
    pub(crate) confirm_until: Option<SystemTime>,
    /// Why what is in force is not in the file, where that is so.
    pub(crate) unsaved: Option<String>,
}
