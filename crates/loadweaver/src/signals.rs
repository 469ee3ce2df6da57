//! SIGTERM and its kin.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What an operator asked for from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// SIGTERM, SIGINT or SIGQUIT: end in order; a second one: at once.
    End,
    /// SIGHUP: read the configuration again.
    Reload,
    /// SIGUSR1: open the files of access log and events anew, as log rotation asks other servers to.
    Reopen,
    /// SIGUSR2: nothing. It is only kept from ending the process.
    Nothing,
}

/// The signals that mean something to us. From the moment that this is made they end the process no more.
#[derive(Debug)]
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
    hangup: Signal,
    user1: Signal,
    user2: Signal,
}

impl Signals {
    /// Takes them over; to be called within a runtime.
    pub(crate) fn take() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            hangup: signal(SignalKind::hangup())?,
            user1: signal(SignalKind::user_defined1())?,
            user2: signal(SignalKind::user_defined2())?,
        })
    }

    /// The next one.
    pub(crate) async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.terminate.recv() => Asked::End,
            _ = self.interrupt.recv() => Asked::End,
            _ = self.quit.recv() => Asked::End,
            _ = self.hangup.recv() => Asked::Reload,
            _ = self.user1.recv() => Asked::Reopen,
            _ = self.user2.recv() => Asked::Nothing,
        }
    }
}
