//! Pipes, through which the kernel moves bytes from one socket to another without showing them to us.

use std::cell::RefCell;
use std::io;
use std::os::fd::OwnedFd;

use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};

/// Bytes that a pipe is asked to hold. The kernel may give less: 64 KiB once a user has many pipes.
pub(crate) const PIPE: usize = 1024 * 1024;

/// Pipes that a worker keeps. Each costs two descriptors and, while it is empty, no memory to speak of.
const STOCK: usize = 32;

/// A pipe and how many bytes are in it.
#[derive(Debug)]
pub(crate) struct Pipe {
    pub(super) read: OwnedFd,
    pub(super) write: OwnedFd,
    pub(crate) held: usize,
}

impl Pipe {
    fn open() -> io::Result<Self> {
        let (read, write) = pipe_with(PipeFlags::NONBLOCK | PipeFlags::CLOEXEC)?;
        // A smaller pipe works too.
        let _ = fcntl_setpipe_size(&write, PIPE);
        Ok(Self { read, write, held: 0 })
    }
}

/// A worker's stock of empty pipes.
#[derive(Debug, Default)]
pub(crate) struct Pipes(RefCell<Vec<Pipe>>);

impl Pipes {
    /// An empty pipe; none when descriptors have run out, which copying does without.
    pub(crate) fn take(&self) -> Option<Pipe> {
        self.0.borrow_mut().pop().or_else(|| Pipe::open().ok())
    }

    /// Takes an empty pipe back; one with bytes of a broken exchange in it is closed.
    pub(crate) fn give_back(&self, pipe: Pipe) {
        let mut kept = self.0.borrow_mut();
        if pipe.held == 0 && kept.len() < STOCK {
            kept.push(pipe);
        }
    }
}
