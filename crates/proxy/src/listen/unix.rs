//! Listening on Unix sockets, and what becomes of their files.
//!
//! A file outlives the process that made it, so what stands at a path says nothing: whoever connects to it hears
//! whether somebody listens. If nobody does, the file is taken out and the socket bound in its place; there is no moment
//! in which a connection that could have been served fails, since none could be before. Two processes that start at the
//! same time must not both find nobody there: a lock on the folder, which leaves nothing behind, lets them look one
//! after the other.

use std::fs::{self, Metadata};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;
use std::thread;
use std::time::Duration;

use rustix::fs::{Access, AtFlags, CWD, Mode, accessat, fchmod};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, listen, socket_with};
use rustix::process::geteuid;

use super::BACKLOG;
use crate::address;
pub use file::SocketFile;
use file::{folder, lock};

mod file;

/// A listening socket, and its file if it has one.
pub type Opened = (OwnedFd, Option<SocketFile>);

/// Listens on a Unix socket: a path, or `@` and a name in the abstract namespace. Nobody else may listen there.
///
/// # Errors
/// What the system said, or that the place is taken.
pub fn open(name: &str, mode: u32) -> io::Result<Opened> {
    if is_abstract(name) {
        let socket = socket()?;
        bind(&socket, &address::unix(name)?)?;
        listen(&socket, BACKLOG)?;
        return Ok((socket, None));
    }
    let path = Path::new(name);
    let _lock = lock(path);
    clear(name, path)?;
    let socket = socket()?;
    // Before the bind it is what the file is made with, less what the umask takes.
    fchmod(&socket, Mode::from_raw_mode(mode))?;
    bind(&socket, &address::unix(name)?)?;
    // Nobody can connect before it listens, so nobody gets in by another mode than the one that was asked for.
    let file = SocketFile::made(path, mode)?;
    listen(&socket, BACKLOG)?;
    Ok((socket, Some(file)))
}

/// Whether it is a name without a file.
pub(super) fn is_abstract(name: &str) -> bool {
    name.starts_with('@')
}

fn socket() -> io::Result<OwnedFd> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    Ok(socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?)
}

/// Whether [`open`] could listen there, as far as looking can tell: with a file that is whether somebody listens, and
/// whether the folder may be written. The socket that is returned keeps a name without a file, and nobody can connect
/// to it.
pub(super) fn try_out(name: &str) -> io::Result<Option<OwnedFd>> {
    if is_abstract(name) {
        let socket = socket()?;
        bind(&socket, &address::unix(name)?)?;
        return Ok(Some(socket));
    }
    let path = Path::new(name);
    let left = look(name, path)?;
    let folder = folder(path);
    // As the real user: a balancer is none that changes it.
    accessat(CWD, folder, Access::WRITE_OK | Access::EXEC_OK, AtFlags::empty())?;
    match left {
        Some(left) if !may_remove(&left, &fs::metadata(folder)?) => Err(Errno::PERM.into()),
        _ => Ok(None),
    }
}

/// Whether a folder that may be written lets us have a file out of it (its sticky bit, as `/tmp` has it).
fn may_remove(file: &Metadata, folder: &Metadata) -> bool {
    let us = geteuid();
    folder.mode() & 0o1000 == 0 || us.is_root() || [file.uid(), folder.uid()].contains(&us.as_raw())
}

/// Takes away what a process that is no more has left there.
fn clear(name: &str, path: &Path) -> io::Result<()> {
    let Some(left) = look(name, path)? else { return Ok(()) };
    // Unless somebody else has put his own there meanwhile.
    if !file::is_at(path, file::identity(&left)) {
        return taken("another program binds it just now");
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// What stands in the way of a socket and belongs to nobody any more; an error where it is somebody's.
fn look(name: &str, path: &Path) -> io::Result<Option<Metadata>> {
    let found = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
        Ok(found) if !found.file_type().is_socket() => {
            return taken("a file stands there that is no socket; take it away, or choose another path");
        }
        Ok(found) => found,
    };
    let mut asked = connect(socket()?, &address::unix(name)?);
    if asked == Err(Errno::CONNREFUSED) {
        // Bound by somebody who is about to listen, perhaps.
        thread::sleep(ABOUT_TO_LISTEN);
        asked = connect(socket()?, &address::unix(name)?);
    }
    match asked {
        Err(Errno::CONNREFUSED) => Ok(Some(found)),
        Err(Errno::NOENT) => Ok(None),
        Ok(()) | Err(Errno::AGAIN) => taken("another program listens there"),
        Err(Errno::ACCESS | Errno::PERM) => {
            taken("a socket stands there that may not be connected to, so nobody knows whether it is in use")
        }
        Err(error) => Err(error.into()),
    }
}

fn taken<T>(what: &str) -> io::Result<T> {
    Err(io::Error::new(io::ErrorKind::AddrInUse, what.to_owned()))
}

/// Between binding and listening another program does next to nothing.
const ABOUT_TO_LISTEN: Duration = Duration::from_millis(50);
