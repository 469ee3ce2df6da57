//! The access log: one line for each exchange, written off the request path.
//!
//! Each worker formats into a buffer of its own and hands over whole batches; a thread writes them. When the output
//! is slower than the traffic, batches are dropped and their lines counted, because a log must never decide how fast
//! requests are answered.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;

use loadweaver_config::{AccessLog as Settings, LogFormat, LogOutput};
use loadweaver_policy::failure::Failure;

use crate::line::Clock;
use crate::record::Record;
use crate::sink::{Batch, Output, Sink, Trouble, append_to};

mod combined;
mod json;

/// What a worker gathers before it hands over: large enough that a busy worker makes one system call for a few
/// hundred exchanges, small enough for the second-level cache.
const BATCH: usize = 64 * 1024;
/// Batches that may wait for the output: 8 MiB, a third of a second of the lines of 100,000 requests a second.
const WAITING_BATCHES: usize = 128;
/// The file, in errors.
const WHAT: &str = "the access log";

/// The handle that is shared: cheap to clone.
#[derive(Debug, Clone)]
pub struct AccessLog {
    sink: Sink,
    format: LogFormat,
    /// Where the output is, if it is a file.
    path: Option<Arc<Path>>,
}

impl AccessLog {
    /// Opens the output and starts the thread that writes to it; none when the log is off.
    ///
    /// A file is made when there is none and appended to when there is one, so that a rotation that copies and
    /// truncates works. The error names the file.
    pub fn open(settings: &Settings) -> io::Result<Option<Self>> {
        let mut file = None;
        let output = match &settings.output {
            LogOutput::Off => return Ok(None),
            LogOutput::Stdout => File::from(io::stdout().as_fd().try_clone_to_owned()?),
            LogOutput::Stderr => File::from(io::stderr().as_fd().try_clone_to_owned()?),
            LogOutput::File(path) => {
                file = Some(Arc::from(path.as_path()));
                append_to(path, WHAT)?
            }
        };
        let sink = Sink::start("access-log", Output::Plain(output), WAITING_BATCHES, report)?;
        Ok(Some(Self { sink, format: settings.format, path: file }))
    }

    /// Opens the file by its path again and goes on there, for whoever renamed it. Batches that still wait go to
    /// the new file. False when the output is not a file; after an error, which names the file, the old one stays
    /// in use.
    pub fn reopen(&self) -> io::Result<bool> {
        let Some(path) = &self.path else { return Ok(false) };
        self.sink.replace(Output::Plain(append_to(path, WHAT)?));
        Ok(true)
    }

    /// A writer for one worker.
    pub fn writer(&self) -> AccessLogWriter {
        let line = match self.format {
            LogFormat::Json => Line::Json(Clock::new(Clock::RFC3339)),
            LogFormat::Combined => Line::Combined(Clock::new(Clock::APACHE)),
        };
        AccessLogWriter { sink: self.sink.clone(), line, batch: Batch::default() }
    }

    /// Lines that were lost: the output was too slow or refused them.
    pub fn dropped(&self) -> u64 {
        self.sink.dropped()
    }

    /// Lines that the output took.
    pub fn written(&self) -> u64 {
        self.sink.written()
    }

    /// Writes what was handed over and ends the thread. Writers flush (or are dropped) before; what they hand over
    /// afterwards counts as lost. Waits 3 s at most for an output that takes nothing.
    pub fn close(&self) {
        self.sink.close();
    }
}

/// One worker's end of the access log. Dropping it hands over what it holds.
#[derive(Debug)]
pub struct AccessLogWriter {
    sink: Sink,
    line: Line,
    batch: Batch,
}

#[derive(Debug)]
enum Line {
    Json(Clock),
    Combined(Clock),
}

impl AccessLogWriter {
    /// Adds one line. Never blocks.
    pub fn write(&mut self, record: &Record<'_>) {
        if self.batch.bytes.capacity() < BATCH {
            self.batch.bytes.reserve_exact(BATCH);
        }
        match &mut self.line {
            Line::Json(clock) => json::write(&mut self.batch.bytes, clock, record),
            Line::Combined(clock) => combined::write(&mut self.batch.bytes, clock, record),
        }
        self.batch.lines += 1;
        // Room for one more line of usual length, so that the buffer does not grow for the last one.
        if self.batch.bytes.len() > BATCH - 2 * 1024 {
            self.flush();
        }
    }

    /// Hands over what is there. Call it about four times a second and at the end; costs nothing when there is
    /// nothing.
    pub fn flush(&mut self) {
        if self.batch.lines > 0 {
            let bytes = self.sink.offer(std::mem::take(&mut self.batch));
            self.batch.bytes = bytes;
        }
    }
}

impl Drop for AccessLogWriter {
    fn drop(&mut self) {
        self.flush();
    }
}

/// What stands for a client without an address: it came over a Unix socket. nginx writes the same.
const UNIX: &[u8] = b"unix:";

/// The status that a line shows: 499 (nginx's number) where the client went before there was one.
fn shown_status(record: &Record<'_>) -> u16 {
    match (record.status, record.failure) {
        (0, Some(Failure::ClientClosed)) => 499,
        (status, _) => status,
    }
}

fn report(trouble: &Trouble) {
    let lost = trouble.lost;
    if let Some(error) = &trouble.error {
        tracing::warn!(target: crate::log::ACCESS_LOG, lost, %error, "cannot write the access log");
    } else {
        tracing::warn!(target: crate::log::ACCESS_LOG, lost, "the access log is slower than the traffic");
    }
}

#[cfg(test)]
mod tests;
