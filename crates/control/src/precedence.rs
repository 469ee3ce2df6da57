//! The control plane's threads go before the workers.
//!
//! Workers that have more to do than they can are always runnable, and a scheduler that is fair lets whoever has just
//! computed for ten milliseconds wait for as long. A change of a large configuration is such a computation, and so is a
//! list of 2,000 servers. They are short and rare, so their threads ask for precedence. The system grants it to root and
//! to whoever has `CAP_SYS_NICE` or a limit on niceness (`LimitNICE=` of systemd); without it all threads are equal.

use rustix::process::{Pid, getpid, getpriority_process, setpriority_process};

/// How much nearer to the front: a thread in need gets three times the share of a worker's.
const STEP: i32 = 5;

/// For the calling thread and those that it starts from here on.
pub(crate) fn take() {
    if let Ok(own) = getpriority_process(None) {
        // Refused to most; nothing depends on it.
        let _ = setpriority_process(None, own - STEP);
    }
}

/// For a program that a thread with precedence has started: it has nothing to do with ours.
pub(crate) fn give_back(program: Pid) {
    if let Ok(of_the_process) = getpriority_process(Some(getpid())) {
        // An error means that it has ended already.
        let _ = setpriority_process(Some(program), of_the_process);
    }
}
