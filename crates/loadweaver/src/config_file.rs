//! Reading `config.json`: every way in which that can fail, in words.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use loadweaver_config::{Issue, Issues, MAX_CONFIG_BYTES, Parsed, parse};

use crate::REFUSED;
use crate::terminal::{complain, issue_text};

/// Why there is no configuration.
pub(crate) enum Refusal {
    /// The file cannot be read.
    Unreadable { path: PathBuf, why: String, help: &'static str },
    /// The file was read and is wrong.
    Wrong { path: PathBuf, issues: Issues },
}

impl Refusal {
    /// Tells all of it on standard error; the exit code for it.
    pub(crate) fn tell(&self) -> ExitCode {
        match self {
            Self::Unreadable { path, why, help } => {
                complain(format_args!("{}: {why}\n    {help}", path.display()));
            }
            Self::Wrong { path, issues } => {
                for issue in &issues.0 {
                    complain(issue_text(issue));
                }
                let count = issues.0.len();
                let word = if count == 1 { "problem" } else { "problems" };
                complain(format_args!("{} is refused: {count} {word}", path.display()));
            }
        }
        ExitCode::from(REFUSED)
    }
}

/// Reads and checks a file with the process's environment.
pub(crate) fn load(path: &Path) -> Result<Parsed, Refusal> {
    let text = read(path)?;
    parse(&text, &environment).map_err(|issues| Refusal::Wrong { path: path.to_owned(), issues })
}

/// Tells about what is allowed but probably not meant.
pub(crate) fn tell_warnings(warnings: &[Issue]) {
    for warning in warnings {
        complain(format_args!("warning: {}", issue_text(warning)));
    }
}

/// A variable of the environment; what is not Unicode in it is replaced, so that it shows up as wrong and not as
/// unset.
pub(crate) fn environment(name: &str) -> Option<String> {
    std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}

fn read(path: &Path) -> Result<Vec<u8>, Refusal> {
    let refused = |why: String, help| Refusal::Unreadable { path: path.to_owned(), why, help };
    let file = File::open(path).map_err(|error| {
        let (why, help) = explain(&error);
        refused(why, help)
    })?;
    let mut text = Vec::new();
    // One byte more than allowed tells a file that is too big, however big, without reading all of it.
    let limit = MAX_CONFIG_BYTES as u64 + 1;
    match file.take(limit).read_to_end(&mut text) {
        Ok(_) if text.len() > MAX_CONFIG_BYTES => Err(refused(
            format!("is larger than {} MiB", MAX_CONFIG_BYTES / (1024 * 1024)),
            "this is probably not the file that was meant",
        )),
        Ok(_) => Ok(text),
        Err(error) => {
            let (why, help) = explain(&error);
            Err(refused(why, help))
        }
    }
}

fn explain(error: &io::Error) -> (String, &'static str) {
    match error.kind() {
        ErrorKind::NotFound => (
            "there is no such file".to_owned(),
            "name one with --config FILE or LOADWEAVER_CONFIG, or try `loadweaver demo`, which needs none",
        ),
        ErrorKind::IsADirectory => ("is a directory".to_owned(), "name the file in it, such as config.json"),
        ErrorKind::PermissionDenied => (
            "may not be read by this user".to_owned(),
            "change the file's permissions, or run as a user who may",
        ),
        _ => (format!("cannot be read: {error}"), "make it a readable file"),
    }
}
