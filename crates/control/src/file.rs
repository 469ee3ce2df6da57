//! The configuration file: read, watched, and written so that whoever reads it finds the old one or the new one, whole.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use loadweaver_config::MAX_CONFIG_BYTES;
use rustix::fs::OFlags;
use thiserror::Error;

/// Earlier texts that are kept beside the file: `config.json.1` is the one before, and so on.
const KEPT: usize = 5;

/// Bytes of certificates that a `caFile` may have: the system's own collection is a quarter of a mebibyte.
pub(crate) const MAX_CERTIFICATES_BYTES: usize = 4 * 1024 * 1024;

/// Why a file cannot be read, and what to do about it.
#[derive(Debug, Error)]
#[error("{why}")]
pub struct Unreadable {
    /// What is the matter.
    pub why: String,
    /// What to do about it.
    pub help: &'static str,
}

/// Reads a configuration file for a process that has nothing to do before. It may be a pipe, too, as in
/// `check /dev/stdin`, and then this waits for whoever writes to it. One that is too big is refused without reading all
/// of it.
pub fn read(path: &Path) -> Result<Vec<u8>, Unreadable> {
    let file = File::open(path).map_err(|error| explain(&error))?;
    read_whole(file, MAX_CONFIG_BYTES).map_err(|error| explain(&error))
}

/// Reads it while the process runs. What was a pipe at the start says nothing a second time, and one that somebody has
/// put in the file's place would be waited for until somebody writes into it.
pub(crate) fn read_again(path: &Path) -> Result<Vec<u8>, Unreadable> {
    read_regular(path, MAX_CONFIG_BYTES).map_err(|error| explain(&error))
}

/// Reads a regular file of `most` bytes at the most.
pub(crate) fn read_regular(path: &Path, most: usize) -> io::Result<Vec<u8>> {
    read_whole(open_regular(path)?, most)
}

/// Whether a regular file says just this. Costs no memory in proportion to it: most often it does.
pub(crate) fn says(path: &Path, text: &str) -> io::Result<bool> {
    let mut file = open_regular(path)?;
    let mut rest = text.as_bytes();
    let mut piece = vec![0; PIECE];
    loop {
        let read = match file.read(&mut piece) {
            Ok(0) => return Ok(rest.is_empty()),
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        match piece.get(..read).and_then(|read| rest.strip_prefix(read)) {
            Some(behind) => rest = behind,
            None => return Ok(false),
        }
    }
}

/// What is compared at a time.
const PIECE: usize = 16 * 1024;

fn open_regular(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    // Of no meaning for regular files; others are opened without waiting for their other end.
    options.read(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed());
    let file = options.open(path)?;
    let kind = file.metadata()?.file_type();
    if kind.is_dir() {
        return Err(ErrorKind::IsADirectory.into());
    }
    if !kind.is_file() {
        return Err(io::Error::new(ErrorKind::InvalidInput, NO_FILE));
    }
    Ok(file)
}

const NO_FILE: &str = "is a pipe or a device";

fn read_whole(file: File, most: usize) -> io::Result<Vec<u8>> {
    // A hint: the file may grow while it is read.
    let size = file.metadata().map_or(0, |about| usize::try_from(about.len()).unwrap_or(most));
    let mut text = Vec::with_capacity(size.min(most) + 1);
    file.take(most as u64 + 1).read_to_end(&mut text)?;
    if text.len() > most {
        let why = format!("is larger than {} MiB", most / (1024 * 1024));
        return Err(io::Error::new(ErrorKind::FileTooLarge, why));
    }
    Ok(text)
}

fn explain(error: &io::Error) -> Unreadable {
    let (why, help) = match error.kind() {
        ErrorKind::NotFound => (
            "there is no such file".to_owned(),
            "name one with --config FILE or LOADWEAVER_CONFIG, or try `loadweaver demo`, which needs none",
        ),
        ErrorKind::IsADirectory => ("is a directory".to_owned(), "name the file in it, such as config.json"),
        ErrorKind::PermissionDenied => (
            "may not be read by this user".to_owned(),
            "change the file's permissions, or run as a user who may",
        ),
        ErrorKind::FileTooLarge => (error.to_string(), "this is probably not the file that was meant"),
        ErrorKind::InvalidInput => (error.to_string(), "put a regular file in its place"),
        _ => (format!("cannot be read: {error}"), "make it a readable file"),
    };
    Unreadable { why, help }
}

/// What tells one state of a file from another without reading it. A file that is renamed over, or reached through a
/// symbolic link that was swapped, has another inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    /// A file that could not be read may be readable now.
    permitted: (u32, u32, u32),
}

impl Stamp {
    /// The file's state now; none while there is no file, as in the middle of a replacement.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let about = fs::metadata(path).ok()?;
        Some(Self {
            device: about.dev(),
            inode: about.ino(),
            size: about.size(),
            modified: (about.mtime(), about.mtime_nsec()),
            permitted: (about.mode(), about.uid(), about.gid()),
        })
    }

    /// Whether there is nothing in it.
    pub(crate) fn is_empty(self) -> bool {
        self.size == 0
    }
}

/// [`replace`], unless somebody has changed the file by hand since it said `known`.
pub(crate) fn replace_known(path: &Path, known: &str, text: &str) -> io::Result<()> {
    if says(path, known).is_ok_and(|same| !same) {
        return Err(io::Error::other("the file was changed by hand meanwhile"));
    }
    replace(path, text.as_bytes())
}

/// Puts `text` in the place of the file: written beside it, forced to the disk, renamed over it. The text before goes
/// to `<file>.1`, those before it one further.
///
/// A symbolic link stays, what it leads to is replaced. Owner and mode stay as far as this process may set them.
pub(crate) fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let path = fs::canonicalize(path)?;
    let about = fs::metadata(&path)?;
    if !about.is_file() {
        return Err(io::Error::new(ErrorKind::InvalidInput, "it is no file any more"));
    }
    if about.permissions().readonly() || OpenOptions::new().append(true).open(&path).is_err() {
        return Err(io::Error::new(ErrorKind::PermissionDenied, "the file may not be written"));
    }
    let (fresh, old) = (beside(&path, ".new"), beside(&path, ".old"));
    let written = write_whole(&fresh, text, &about).and_then(|()| {
        set_aside(&path, &old);
        fs::rename(&fresh, &path).map_err(explain_rename)
    });
    if written.is_err() {
        // Nothing but our own leftovers.
        let _ = fs::remove_file(&fresh);
        let _ = fs::remove_file(&old);
        return written;
    }
    keep_previous(&path, &old);
    // The rename itself is only sure to outlive a power failure when the directory is on the disk.
    let directory = path.parent().unwrap_or(Path::new("/"));
    File::open(directory)?.sync_all()
}

fn write_whole(path: &Path, text: &[u8], like: &fs::Metadata) -> io::Result<()> {
    // What a crash has left there, or a link that somebody has laid there to have us write elsewhere.
    let _ = fs::remove_file(path);
    // Nobody may open it before it has the permissions of the old one.
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.set_permissions(like.permissions())?;
    // Only the superuser may give files away; a file that stays ours is no reason to fail.
    let _ = std::os::unix::fs::fchown(&file, Some(like.uid()), Some(like.gid()));
    file.write_all(text)?;
    file.sync_all()
}

/// The usual reason has a name that explains nothing.
fn explain_rename(error: io::Error) -> io::Error {
    if error.kind() != ErrorKind::ResourceBusy {
        return error;
    }
    let why = "it is mounted by itself, as containers do it, so nothing can be put in its place; mount its directory";
    io::Error::new(ErrorKind::ResourceBusy, why)
}

/// Earlier texts are a convenience: what cannot be kept is not.
fn set_aside(path: &Path, old: &Path) {
    let _ = fs::remove_file(old);
    if fs::hard_link(path, old).is_err() {
        let _ = fs::copy(path, old);
    }
}

/// Only once the new text is in its place: an attempt that failed pushes no earlier one out.
fn keep_previous(path: &Path, old: &Path) {
    if !old.exists() {
        return;
    }
    for number in (1..KEPT).rev() {
        let _ = fs::rename(numbered(path, number), numbered(path, number + 1));
    }
    let _ = fs::rename(old, numbered(path, 1));
}

fn numbered(path: &Path, number: usize) -> PathBuf {
    beside(path, &format!(".{number}"))
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name: OsString = path.file_name().unwrap_or_default().to_owned();
    name.push(ending);
    path.with_file_name(name)
}

#[cfg(test)]
mod tests;
