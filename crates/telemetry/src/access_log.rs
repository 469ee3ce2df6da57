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

use loadweaver_config::{AccessLog as Settings, LogField, LogFormat, LogOutput};
use loadweaver_policy::failure::Failure;

use crate::line::Clock;
use crate::record::Record;
use crate::redact::Redaction;
use crate::sink::{Batch, Output, RotatedFile, Sink, Syslog, Trouble, append_to};

use choice::Choice;
use fields::{Desk, Fields, Style};
use header::Header;

mod choice;
mod combined;
mod fields;
mod header;
mod json;
mod value;

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
    plan: Arc<Plan>,
}

/// What every writer and every opening needs, made ready once.
#[derive(Debug)]
struct Plan {
    settings: Settings,
    choice: Choice,
    redaction: Redaction,
    headers: (Vec<Arc<str>>, Vec<Arc<str>>),
}

impl Plan {
    fn new(settings: Settings) -> io::Result<Self> {
        let (choice, headers) = (Choice::new(&settings)?, settings.headers());
        Ok(Self { choice, redaction: Redaction::new(&settings.redact), headers, settings })
    }
}

impl AccessLog {
    /// Opens the output and starts the thread that writes to it; none when the log is off.
    ///
    /// A file is made when there is none and appended to when there is one, so that a rotation that copies and
    /// truncates works. The error names the file.
    pub fn open(settings: &Settings) -> io::Result<Option<Self>> {
        let output = match &settings.output {
            LogOutput::Off => return Ok(None),
            LogOutput::Stdout => Output::Plain(File::from(io::stdout().as_fd().try_clone_to_owned()?)),
            LogOutput::Stderr => Output::Plain(File::from(io::stderr().as_fd().try_clone_to_owned()?)),
            LogOutput::File(path) => file(path, settings)?,
            LogOutput::Syslog(address) => Output::Syslog(Syslog::new(address.clone())),
        };
        Self::with(settings, output).map(Some)
    }

    fn with(settings: &Settings, output: Output) -> io::Result<Self> {
        let plan = Arc::new(Plan::new(settings.clone())?);
        let sink = Sink::start("access-log", output, WAITING_BATCHES, report)?;
        Ok(Self { sink, plan })
    }

    /// Opens the file by its path again and goes on there, for whoever renamed it. Batches that still wait go to
    /// the new file. A syslog server is connected to anew, and its name looked up again. False when the output is
    /// neither; after an error, which names the file, the old one stays in use.
    pub fn reopen(&self) -> io::Result<bool> {
        self.sink.replace(match &self.plan.settings.output {
            LogOutput::File(path) => file(path, &self.plan.settings)?,
            LogOutput::Syslog(address) => Output::Syslog(Syslog::new(address.clone())),
            LogOutput::Stdout | LogOutput::Stderr | LogOutput::Off => return Ok(false),
        });
        Ok(true)
    }

    /// A writer for one worker.
    pub fn writer(&self) -> AccessLogWriter {
        AccessLogWriter {
            sink: self.sink.clone(),
            line: Line::new(&self.plan),
            header: Header::new(&self.plan.settings),
            choice: self.plan.choice.for_worker(),
            rooms: Rooms::default(),
            plan: Arc::clone(&self.plan),
            batch: Batch::default(),
        }
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

fn file(path: &Path, settings: &Settings) -> io::Result<Output> {
    match &settings.rotate {
        None => append_to(path, WHAT).map(Output::Plain),
        Some(rotate) => RotatedFile::open(path, WHAT, rotate.max_size, rotate.keep).map(Output::Rotated),
    }
}

/// One worker's end of the access log. Dropping it hands over what it holds.
#[derive(Debug)]
pub struct AccessLogWriter {
    sink: Sink,
    plan: Arc<Plan>,
    line: Line,
    /// What stands before a line that a syslog server gets.
    header: Option<Header>,
    choice: Choice,
    rooms: Rooms,
    batch: Batch,
}

/// Where texts stand that are not shown as they came.
#[derive(Debug, Default)]
struct Rooms {
    target: Vec<u8>,
    referer: Vec<u8>,
    header: Vec<u8>,
}

/// What may be shown of the texts that can hold secrets.
#[derive(Debug, Clone, Copy)]
struct Shown<'r> {
    target: &'r [u8],
    referer: &'r [u8],
}

#[derive(Debug)]
enum Line {
    /// The usual fields, whose order is known beforehand.
    Json(Clock),
    Combined(Clock),
    Fields(Clock, Fields),
}

impl Line {
    fn new(plan: &Plan) -> Self {
        let fields = |style| Fields::new(&plan.settings, style, &plan.redaction);
        match plan.settings.format {
            LogFormat::Json if plan.settings.fields == LogField::usual() => {
                Self::Json(Clock::new(Clock::RFC3339))
            }
            LogFormat::Json => Self::Fields(Clock::new(Clock::RFC3339), fields(Style::Json)),
            LogFormat::Logfmt => Self::Fields(Clock::new(Clock::RFC3339), fields(Style::Logfmt)),
            LogFormat::Combined => Self::Combined(Clock::new(Clock::APACHE)),
        }
    }
}

impl AccessLogWriter {
    /// The headers of the request that a record shall bring, at most [`Settings::MOST_HEADERS`].
    pub fn request_headers(&self) -> &[Arc<str>] {
        &self.plan.headers.0
    }

    /// The same of the server's answer.
    pub fn response_headers(&self) -> &[Arc<str>] {
        &self.plan.headers.1
    }

    /// Adds one line, if the filter and the sample take the record. Never blocks.
    pub fn write(&mut self, record: &Record<'_>) {
        if !self.choice.takes(record) {
            return;
        }
        if self.batch.bytes.capacity() < BATCH {
            self.batch.bytes.reserve_exact(BATCH);
        }
        let (redaction, rooms) = (&self.plan.redaction, &mut self.rooms);
        let shown = Shown {
            target: redaction.shown(record.target.as_bytes(), &mut rooms.target),
            referer: redaction.shown(record.referer, &mut rooms.referer),
        };
        let out = &mut self.batch.bytes;
        if let Some(header) = &mut self.header {
            header.write(out, record);
        }
        match &mut self.line {
            Line::Json(clock) => json::write(out, clock, record, shown),
            Line::Combined(clock) => combined::write(out, clock, record, shown),
            Line::Fields(clock, fields) => {
                fields.write(out, &mut Desk { clock, redaction, room: &mut rooms.header }, record, shown);
            }
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
