//! Programs to run on this machine, and paths of files.

use std::path::PathBuf;

use crate::bounds;
use crate::issue::{Fault, Report, shown};
use crate::spot::Spot;

const EXAMPLE: &str = "[\"/usr/bin/systemctl\", \"restart\", \"app\"]";

/// A program's path and its arguments.
pub(super) fn argv(spot: &Spot<'_>, report: &mut Report) -> Option<Vec<String>> {
    let entries = spot.list(report, "a program's path and its arguments")?;
    if entries.is_empty() {
        let fault = Fault::new("the command is empty", format!("write it, such as {EXAMPLE}"));
        spot.refuse(report, fault);
    }
    if entries.len() > bounds::ARGUMENTS {
        let problem =
            format!("{} arguments are more than the {} that may be", entries.len(), bounds::ARGUMENTS);
        spot.refuse(report, Fault::new(problem, "put them into a script"));
        return None;
    }
    let mut argv = Vec::with_capacity(entries.len());
    for (index, entry) in entries.iter().enumerate() {
        let Some(text) = entry.text(report, "an argument") else { continue };
        let checked = argument(text).and_then(|()| if index == 0 { program(text) } else { Ok(()) });
        if entry.settle(report, checked).is_some() {
            argv.push(text.to_owned());
        }
    }
    (argv.len() == entries.len() && !argv.is_empty()).then_some(argv)
}

/// No shell reads the command, so no search path does either: which program runs must not depend on how
/// LoadWeaver was started.
fn program(text: &str) -> Result<(), Fault> {
    if text.starts_with('/') && !text.ends_with('/') {
        return Ok(());
    }
    let problem = format!("{} is not the whole path of a program", shown(text));
    let help = if text.split_whitespace().nth(1).is_some() {
        format!(
            "no shell reads this: write the path and each argument as a text of its own, such as {EXAMPLE}"
        )
    } else {
        format!("write where it is, as in {EXAMPLE}")
    };
    Err(Fault::new(problem, help))
}

fn argument(text: &str) -> Result<(), Fault> {
    if text.len() > bounds::ARGUMENT {
        let problem = format!("the argument is longer than {} bytes", bounds::ARGUMENT);
        return Err(Fault::new(problem, "put it into a file"));
    }
    if text.contains('\0') {
        return Err(Fault::new(
            "the argument holds a NUL character",
            "take it out: no program can be given one",
        ));
    }
    Ok(())
}

/// Variables for a program's environment, in written order.
pub(super) fn environment(spot: &Spot<'_>, report: &mut Report) -> Option<Vec<(String, String)>> {
    let entries = spot.entries(report, "an object of variables and their values")?;
    if entries.len() > bounds::ARGUMENTS {
        let problem =
            format!("{} variables are more than the {} that may be", entries.len(), bounds::ARGUMENTS);
        spot.refuse(report, Fault::new(problem, "put them into a file that the program reads"));
        return None;
    }
    let mut variables = Vec::with_capacity(entries.len());
    for (name, entry) in entries {
        let named = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !named || name.len() > 256 {
            let problem = format!("{} is not the name of an environment variable", shown(name));
            entry
                .refuse(report, Fault::new(problem, "write letters, digits and \"_\", such as \"APP_PORT\""));
        }
        // What is handed to a program may be secret.
        let Some(value) = entry.hidden_text(report, "the variable's value") else { continue };
        if value.contains('\0') || value.len() > bounds::ARGUMENT {
            let problem = "the variable cannot be handed to a program";
            let help = format!("write at most {} bytes and no NUL character", bounds::ARGUMENT);
            entry.refuse(report, Fault::new(problem, help));
        }
        variables.push((name.to_owned(), value.to_owned()));
    }
    Some(variables)
}

/// Where a program runs.
pub(super) fn directory(spot: &Spot<'_>, report: &mut Report) -> Option<PathBuf> {
    let text = spot.text(report, "a directory such as \"/srv/app\"")?;
    let checked = path(text).and_then(|()| {
        if text.starts_with('/') {
            return Ok(());
        }
        let problem = format!("{} is not a whole path", shown(text));
        Err(Fault::new(problem, "begin with \"/\": it must not depend on where LoadWeaver was started"))
    });
    spot.settle(report, checked).map(|()| PathBuf::from(text))
}

/// A file's path, relative to where LoadWeaver runs or absolute.
pub(super) fn file(spot: &Spot<'_>, report: &mut Report) -> Option<PathBuf> {
    let text = spot.text(report, "a file's path")?;
    let checked = path(text).and_then(|()| {
        if text.ends_with('/') {
            return Err(Fault::new(format!("{} is a directory", shown(text)), "name the file"));
        }
        Ok(())
    });
    spot.settle(report, checked).map(|()| PathBuf::from(text))
}

/// What any path must hold to.
pub(super) fn path(text: &str) -> Result<(), Fault> {
    if text.is_empty() {
        return Err(Fault::new("the path is empty", "write one, or leave the key out"));
    }
    if text.len() > bounds::FILE_PATH {
        let problem = format!("the path is longer than {} bytes", bounds::FILE_PATH);
        return Err(Fault::new(problem, "choose a shorter one"));
    }
    if text.contains(char::is_control) {
        let problem = format!("the path {} holds a control character", shown(text));
        return Err(Fault::new(problem, "take it out"));
    }
    Ok(())
}
