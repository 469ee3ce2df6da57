//! The program's log: what is told by category, and how it gets out.
//!
//! A category is a tracing target, so an operator turns one up with `LOADWEAVER_LOG=info,health=debug`.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;

use crate::sink::{Batch, Output, Sink};

/// Servers and pools going down and coming up, probes.
pub const HEALTH: &str = "loadweaver::health";
/// The configuration: applied, refused, warned about.
pub const CONFIG: &str = "loadweaver::config";
/// Listeners and client connections.
pub const LISTEN: &str = "loadweaver::listen";
/// Connections to servers.
pub const UPSTREAM: &str = "loadweaver::upstream";
/// Handshakes and certificates.
pub const TLS: &str = "loadweaver::tls";
/// Self-healing actions.
pub const RECOVERY: &str = "loadweaver::recovery";
/// Messages to operators' own systems.
pub const WEBHOOKS: &str = "loadweaver::webhooks";
/// The admin listener.
pub const ADMIN: &str = "loadweaver::admin";
/// Names becoming addresses.
pub const RESOLVE: &str = "loadweaver::resolve";
/// The process: start, signals, drain, its own tasks.
pub const PROCESS: &str = "loadweaver::process";
/// The access log's own trouble.
pub const ACCESS_LOG: &str = "loadweaver::access_log";
/// The collector of spans.
pub const SPANS: &str = "loadweaver::spans";
/// The event file's own trouble.
pub const EVENTS: &str = "loadweaver::events";
/// All of them.
pub const CATEGORIES: [&str; 13] = [
    HEALTH, CONFIG, LISTEN, UPSTREAM, TLS, RECOVERY, WEBHOOKS, ADMIN, RESOLVE, PROCESS, ACCESS_LOG, SPANS,
    EVENTS,
];
/// What a target has in front of the category that operators know.
pub const PREFIX: &str = "loadweaver::";

/// Lines that may wait for standard error.
const WAITING_LINES: usize = 4096;

/// Standard error, written by a thread: a container runtime that stops reading it must not stop a worker that has
/// something to say.
#[derive(Debug, Clone)]
pub struct ProgramLog {
    sink: Sink,
}

impl ProgramLog {
    /// Takes a descriptor of standard error and starts the thread.
    pub fn to_stderr() -> io::Result<Self> {
        let output = File::from(io::stderr().as_fd().try_clone_to_owned()?);
        // There is nowhere to tell trouble with the log itself; the lost lines are counted.
        Ok(Self { sink: Sink::start("program-log", Output::Plain(output), WAITING_LINES, |_| ())? })
    }

    /// For `tracing_subscriber`'s `with_writer`: each event is one write.
    pub fn line(&self) -> LineWriter {
        LineWriter { sink: self.sink.clone() }
    }

    /// Lines lost: standard error is gone or its reader is too slow.
    pub fn dropped(&self) -> u64 {
        self.sink.dropped()
    }

    /// Writes what waits (3 s at most) and ends the thread.
    pub fn close(&self) {
        self.sink.close();
    }
}

/// One event's way to the log.
#[derive(Debug)]
pub struct LineWriter {
    sink: Sink,
}

impl Write for LineWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.sink.offer(Batch { bytes: line.to_vec(), lines: 1 });
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
