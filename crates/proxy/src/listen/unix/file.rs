//! The file of a Unix socket, and the folder that it is in.

use std::fs::{self, File, Metadata, Permissions};
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use loadweaver_telemetry::log;
use rustix::fs::{CWD, FlockOperation, Mode, OFlags, flock, openat};
use rustix::io::Errno;

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
    /// Of a socket that was bound there just now. An account that may write to the folder can have put anything else
    /// there since: what gets the mode is a socket, and one that goes by no other name.
    pub(super) fn made(path: &Path, mode: u32) -> io::Result<Self> {
        let (pinned, found) = Pinned::at(path)?;
        if !found.file_type().is_socket() || found.nlink() != 1 {
            let why =
                "somebody put another file in the socket's place; listen in a folder that nobody else writes";
            return Err(io::Error::new(io::ErrorKind::AddrInUse, why));
        }
        // Whoever starts elsewhere later must still find it.
        let path = std::path::absolute(path)?;
        let (mode_now, gone) = (AtomicU32::new(mode), AtomicBool::new(false));
        let file = Self { path, identity: identity(&found), mode: mode_now, gone };
        if found.mode() & 0o7777 != mode {
            pinned.set_mode(mode)?;
        }
        Ok(file)
    }

    /// Takes the file away, so that nobody connects any more. Somebody else's in its place stays.
    pub fn remove(&self) {
        if self.gone.swap(true, Ordering::Relaxed) {
            return;
        }
        // Without a wait: while we listen nobody takes the place of a file that is there.
        let _lock = try_lock(&self.path);
        if is_at(&self.path, self.identity) {
            // If that cannot be done, whoever starts next finds a socket that nobody listens on.
            let _ = fs::remove_file(&self.path);
        }
    }

    /// Gives the file another mode. Where that is no other one, whoever has changed it by hand is left in peace.
    pub(crate) fn set_mode(&self, mode: u32) {
        if self.mode.load(Ordering::Relaxed) == mode {
            return;
        }
        let pinned = match Pinned::at(&self.path) {
            Ok((pinned, found)) if identity(&found) == self.identity => Ok(pinned),
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            // It is no more, or somebody else's.
            Ok(_) | Err(_) => return,
        };
        match pinned.and_then(|pinned| pinned.set_mode(mode)) {
            Ok(()) => self.mode.store(mode, Ordering::Relaxed),
            // The next change tries again.
            Err(error) => {
                let path = self.path.display();
                tracing::warn!(target: log::LISTEN, %path, %error, "the socket keeps its old mode");
            }
        }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        self.remove();
    }
}

/// How long somebody else may hold the lock of a folder. Another LoadWeaver does for a moment; whoever else locks
/// folders does not keep us from listening.
const LOCK_TRIES: u32 = 20;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// Waits, so this is nothing for a thread that has others to serve.
pub(super) fn lock(path: &Path) -> Option<OwnedFd> {
    let folder = opened(path)?;
    for _ in 0..LOCK_TRIES {
        if lock_now(&folder) {
            break;
        }
        thread::sleep(LOCK_PAUSE);
    }
    Some(folder)
}

fn try_lock(path: &Path) -> Option<OwnedFd> {
    opened(path).filter(lock_now)
}

/// A folder that may not be read has no lock: then two that start at the same moment may both believe to be alone.
fn opened(path: &Path) -> Option<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat(CWD, folder(path), flags, Mode::empty()).ok()
}

/// Whether nobody has it any more, as far as can be known.
fn lock_now(folder: &OwnedFd) -> bool {
    let locked = flock(folder, FlockOperation::NonBlockingLockExclusive);
    !matches!(locked, Err(Errno::WOULDBLOCK | Errno::INTR))
}

pub(super) fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A file itself, whatever comes to stand under its name, and no link to it.
#[derive(Debug)]
struct Pinned(File);

impl Pinned {
    fn at(path: &Path) -> io::Result<(Self, Metadata)> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = File::from(openat(CWD, path, flags, Mode::empty())?);
        let found = file.metadata()?;
        Ok((Self(file), found))
    }

    fn set_mode(&self, mode: u32) -> io::Result<()> {
        // A descriptor of this kind takes no `fchmod`; what /proc has for it leads to the file and follows no name.
        let itself = format!("/proc/self/fd/{}", self.0.as_raw_fd());
        fs::set_permissions(itself, Permissions::from_mode(mode))
    }
}

/// Whether it is that file which stands there.
pub(super) fn is_at(path: &Path, file: (u64, u64)) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| identity(&found) == file)
}

/// Device and inode.
pub(super) fn identity(found: &Metadata) -> (u64, u64) {
    (found.dev(), found.ino())
}
