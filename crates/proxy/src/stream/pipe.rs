//! Pipes, through which the kernel moves bytes from one socket to another without showing them to us.

use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;

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
    /// Counts the pipes of the worker: one strong reference each.
    _one: Rc<()>,
}

impl Pipe {
    fn open(one: Rc<()>) -> io::Result<Self> {
        let (read, write) = pipe_with(PipeFlags::NONBLOCK | PipeFlags::CLOEXEC)?;
        // A smaller pipe works too.
        let _ = fcntl_setpipe_size(&write, PIPE);
        Ok(Self { read, write, held: 0, _one: one })
    }
}

/// The pipes of a worker: those that stand by empty, and how many there may be in all.
#[derive(Debug, Default)]
pub(crate) struct Pipes {
    idle: RefCell<Vec<Pipe>>,
    one: Rc<()>,
    most: Cell<usize>,
}

impl Pipes {
    /// Says how many pipes there may be: each takes two descriptors that connections then cannot have.
    pub(crate) fn limit(&self, most: usize) {
        self.most.set(most);
    }

    /// An empty pipe; none when there are enough or descriptors have run out, which copying does without.
    pub(crate) fn take(&self) -> Option<Pipe> {
        if let Some(pipe) = self.idle.borrow_mut().pop() {
            return Some(pipe);
        }
        let open = Rc::strong_count(&self.one) - 1;
        if open < self.most.get() { Pipe::open(self.one.clone()).ok() } else { None }
    }

    /// Takes an empty pipe back; one with bytes of a broken exchange in it is closed.
    pub(crate) fn give_back(&self, pipe: Pipe) {
        let mut kept = self.idle.borrow_mut();
        if pipe.held == 0 && kept.len() < STOCK {
            kept.push(pipe);
        }
    }
}
