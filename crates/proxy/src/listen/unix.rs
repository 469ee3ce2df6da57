//! Listening on Unix sockets, and what becomes of their files.
//!
//! A file outlives the process that made it, so what stands at a path says nothing: whoever connects to it hears
//! whether somebody listens. If nobody does, the file is taken out and the socket bound in its place; there is no moment
//! in which a connection that could have been served fails, since none could be before. Two processes that start at the
//! same time must not both find nobody there: a lock on the folder, which leaves nothing behind, lets them look one
//! after the other.

use std::fs::{self, Metadata, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use loadweaver_telemetry::log;
use rustix::fs::{Access, AtFlags, CWD, FlockOperation, Mode, OFlags, accessat, flock, openat};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, listen, socket_with};
use rustix::process::geteuid;

use super::BACKLOG;
use crate::address;

/// A listening socket, and its file if it has one.
pub type Opened = (OwnedFd, Option<SocketFile>);

/// Listens on a Unix socket: a path, or `@` and a name in the abstract namespace. Nobody else may listen there.
///
/// # Errors
/// What the system said, or that the place is taken.
pub fn open(name: &str, mode: u32) -> io::Result<Opened> {
    if is_abstract(name) {
        return Ok((bound(name, None)?, None));
    }
    let path = Path::new(name);
    let _lock = lock(path);
    clear(name, path)?;
    let socket = bound(name, Some((path, mode)))?;
    Ok((socket, Some(SocketFile::at(path, mode)?)))
}

/// Whether it is a name without a file.
pub(super) fn is_abstract(name: &str) -> bool {
    name.starts_with('@')
}

fn bound(name: &str, file: Option<(&Path, u32)>) -> io::Result<OwnedFd> {
    let socket = socket()?;
    bind(&socket, &address::unix(name)?)?;
    // Nobody can connect before it listens, so nobody gets in by the mode that the file was made with.
    let ready = file.map_or(Ok(()), |(path, mode)| fs::set_permissions(path, Permissions::from_mode(mode)));
    if let Err(error) = ready.and_then(|()| Ok(listen(&socket, BACKLOG)?)) {
        file.map(|(path, _)| fs::remove_file(path));
        return Err(error);
    }
    Ok(socket)
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
    if identity(path).ok() != Some(identity_of(&left)) {
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

/// How long somebody else may hold the lock of a folder. Another LoadWeaver does for a moment; whoever else locks
/// folders does not keep us from listening.
const LOCK_TRIES: u32 = 20;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

fn lock(path: &Path) -> Option<OwnedFd> {
    // A folder that may not be read has no lock: then two that start at the same moment may both believe to be alone.
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = openat(CWD, folder(path), flags, Mode::empty()).ok()?;
    for _ in 0..LOCK_TRIES {
        match flock(&folder, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK | Errno::INTR) => thread::sleep(LOCK_PAUSE),
            _ => break,
        }
    }
    Some(folder)
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The file of a socket that we listen on. It goes with the value, if it is still the one that we made.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    /// Device and inode.
    identity: (u64, u64),
    mode: AtomicU32,
    gone: AtomicBool,
}

impl SocketFile {
    fn at(path: &Path, mode: u32) -> io::Result<Self> {
        let identity = identity(path)?;
        // Whoever starts elsewhere later must still find it.
        let path = std::path::absolute(path)?;
        Ok(Self { path, identity, mode: AtomicU32::new(mode), gone: AtomicBool::new(false) })
    }

    /// Takes the file away, so that nobody connects any more. Somebody else's in its place stays.
    pub fn remove(&self) {
        if self.gone.swap(true, Ordering::Relaxed) {
            return;
        }
        let _lock = lock(&self.path);
        if self.is_there() {
            // If that cannot be done, whoever starts next finds a socket that nobody listens on.
            let _ = fs::remove_file(&self.path);
        }
    }

    /// Gives the file another mode. Where that is no other one, whoever has changed it by hand is left in peace.
    pub(crate) fn set_mode(&self, mode: u32) {
        if self.mode.load(Ordering::Relaxed) == mode || !self.is_there() {
            return;
        }
        match fs::set_permissions(&self.path, Permissions::from_mode(mode)) {
            Ok(()) => self.mode.store(mode, Ordering::Relaxed),
            // The next change tries again.
            Err(error) => {
                let path = self.path.display();
                tracing::warn!(target: log::LISTEN, %path, %error, "the socket keeps its old mode");
            }
        }
    }

    fn is_there(&self) -> bool {
        identity(&self.path).is_ok_and(|found| found == self.identity)
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        self.remove();
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|found| identity_of(&found))
}

fn identity_of(found: &Metadata) -> (u64, u64) {
    (found.dev(), found.ino())
}
