//! Reading without copying: the ends of the bench stand for machines of their own.
//!
//! Generator and origin share one core, while in the field each client and server has its own. What they spend on
//! copying a large body into a buffer nobody looks at only keeps the proxy waiting, and a proxy that waits costs more
//! per request. So for the inside of a large body the kernel is asked to count the bytes and throw them away
//! (`MSG_TRUNC` on a TCP socket). Sending keeps its copy: `sendfile` from a file in memory was tried and costs these
//! two no less, page by page.

use std::io;
use std::os::fd::AsFd;

use rustix::net::{RecvFlags, recv};

/// Bodies with at least this many bytes to come are discarded instead of copied.
pub const WORTH_IT: u64 = 64 * 1024;

/// Throws away up to `buffer.len()` bytes of what came; returns how many, 0 at the end of the stream.
pub fn discard(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<usize> {
    let (_, count) = recv(socket, buffer, RecvFlags::TRUNC)?;
    Ok(count)
}
