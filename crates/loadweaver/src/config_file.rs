//! Reading `config.json`: every way in which that can fail, in words.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use loadweaver_config::{Issue, Issues, Parsed, parse};
use loadweaver_control::Source;
use loadweaver_control::file::{self, Unreadable};
use loadweaver_proxy::tls::Security;

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

/// A configuration with the text that it was read from.
pub(crate) struct Loaded {
    pub(crate) parsed: Parsed,
    pub(crate) source: Source,
}

/// The file that was asked for: by an option, by the environment, or by saying nothing.
pub(crate) fn path(option: Option<PathBuf>) -> PathBuf {
    let from_environment =
        || std::env::var_os("LOADWEAVER_CONFIG").filter(|path| !path.is_empty()).map(PathBuf::from);
    option.or_else(from_environment).unwrap_or_else(|| PathBuf::from("config.json"))
}

/// Reads and checks a file with the process's environment, but not the files that it names: whoever only wants to
/// know where it listens may not be allowed to read its keys. The text comes with it.
pub(crate) fn checked(path: &Path) -> Result<(Parsed, Vec<u8>), Refusal> {
    let text = file::read(path).map_err(|Unreadable { why, help }| Refusal::Unreadable {
        path: path.to_owned(),
        why,
        help,
    })?;
    let wrong = |issues| Refusal::Wrong { path: path.to_owned(), issues };
    Ok((parse(&text, &environment).map_err(wrong)?, text))
}

/// Reads and checks a file and what it names.
pub(crate) fn load(path: &Path) -> Result<Loaded, Refusal> {
    let (mut parsed, text) = checked(path)?;
    let wrong = |issues| Refusal::Wrong { path: path.to_owned(), issues };
    let security = Security::load(&parsed.config, None).map_err(wrong)?;
    parsed.warnings.extend(security.warnings);
    // The checker takes nothing but UTF-8.
    let text = String::from_utf8_lossy(&text).into();
    let source = Source { path: Some(path.to_owned()), text, environment: Arc::new(environment) };
    Ok(Loaded { parsed, source })
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
