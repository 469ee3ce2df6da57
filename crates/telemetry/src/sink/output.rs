//! What a sink writes to.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use super::Syslog;

/// A file that somebody else looks after, one that is set aside when it has grown, or a syslog server.
#[derive(Debug)]
pub(crate) enum Output {
    Plain(File),
    Rotated(RotatedFile),
    /// Has a way of its own ([`super::Writer::send`]).
    Syslog(Syslog),
}

impl Output {
    /// Gets ready for whole lines of that many bytes. True when they will stand at the beginning of a new file.
    /// After an error the old file is still in use.
    pub(super) fn make_room(&mut self, bytes: usize) -> io::Result<bool> {
        match self {
            Self::Plain(_) | Self::Syslog(_) => Ok(false),
            Self::Rotated(file) => file.make_room(bytes as u64),
        }
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(file) => file.write(bytes),
            Self::Syslog(_) => Err(ErrorKind::Unsupported.into()),
            Self::Rotated(RotatedFile { file, size, .. }) => {
                let count = file.write(bytes)?;
                *size += count as u64;
                Ok(count)
            }
        }
    }
}

/// Opens a file for appending and makes it when there is none. The error names it.
pub(crate) fn append_to(path: &Path, what: &str) -> io::Result<File> {
    let mut options = OpenOptions::new();
    if path.metadata().is_ok_and(|about| about.file_type().is_fifo()) {
        // Opened for writing alone, a FIFO keeps the start waiting until somebody reads it.
        options.read(true).write(true);
    } else {
        options.append(true).create(true);
    }
    options.open(path).map_err(|error| named(&error, what, path))
}

fn named(error: &io::Error, what: &str, path: &Path) -> io::Error {
    io::Error::new(error.kind(), format!("cannot open {what} {}: {error}", path.display()))
}

/// A file that becomes `PATH.1` when the next line would make it too large; `PATH.1` becomes `PATH.2` then, and so on.
#[derive(Debug)]
pub(crate) struct RotatedFile {
    file: File,
    path: PathBuf,
    size: u64,
    /// None for what cannot grow: a device, a FIFO.
    max_size: Option<u64>,
    keep: u32,
}

impl RotatedFile {
    /// Appends to the file. At most `keep` files beside it are kept.
    pub(crate) fn open(path: &Path, what: &str, max_size: u64, keep: u32) -> io::Result<Self> {
        let file = append_to(path, what)?;
        let about = file.metadata().map_err(|error| named(&error, what, path))?;
        let max_size = about.is_file().then_some(max_size);
        Ok(Self { file, path: path.to_owned(), size: about.len(), max_size, keep })
    }

    fn make_room(&mut self, bytes: u64) -> io::Result<bool> {
        if self.size == 0 || self.max_size.is_none_or(|max| self.size.saturating_add(bytes) <= max) {
            return Ok(false);
        }
        // The new file first: when there can be none, nothing has been moved and the old one goes on.
        let next = self.beside("new");
        let file = OpenOptions::new().append(true).create(true).open(&next)?;
        file.set_len(0)?;
        for number in (1..self.keep).rev() {
            rename_if_there(&self.beside(number), &self.beside(number + 1))?;
        }
        if self.keep > 0 {
            rename_if_there(&self.path, &self.beside(1))?;
        }
        fs::rename(&next, &self.path)?;
        self.file = file;
        self.size = 0;
        Ok(true)
    }

    fn beside(&self, suffix: impl std::fmt::Display) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{suffix}"));
        name.into()
    }
}

fn rename_if_there(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        renamed => renamed,
    }
}
