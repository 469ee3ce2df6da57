//! Every event as a line of JSON in a file that does not grow for ever.
//!
//! A thread writes it. When the disk is full or slower than the events, lines are lost and counted; the bus never
//! waits.

use std::io;
use std::sync::Arc;

use loadweaver_config::EventLog;

use super::StampedEvent;
use crate::sink::{Batch, Output, RotatedFile, Sink, Trouble};

/// Events that may wait for the disk: more than all servers of a large installation at once, a few MiB at most.
const WAITING: usize = 16 * 1024;
/// The file, in errors.
const WHAT: &str = "the event file";

/// The handle: cheap to clone, all of them are one file. With the last one the thread ends, once it has written what
/// it was given.
#[derive(Debug, Clone)]
pub struct EventFile {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    sink: Sink,
    settings: EventLog,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.sink.retire();
    }
}

impl EventFile {
    /// Opens the file for appending, makes it when there is none, and starts the thread. The error names the file.
    pub fn open(settings: &EventLog) -> io::Result<Self> {
        let sink = Sink::start("event-file", output(settings)?, WAITING, report)?;
        Ok(Self { shared: Arc::new(Shared { sink, settings: settings.clone() }) })
    }

    /// What it was opened with.
    pub fn settings(&self) -> &EventLog {
        &self.shared.settings
    }

    /// Opens the file by its path again and goes on there, for whoever renamed it. After an error, which names the
    /// file, the old one stays in use.
    pub fn reopen(&self) -> io::Result<()> {
        self.shared.sink.replace(output(&self.shared.settings)?);
        Ok(())
    }

    /// Events that the file took.
    pub fn written(&self) -> u64 {
        self.shared.sink.written()
    }

    /// Events that were lost: the file was too slow or refused them.
    pub fn dropped(&self) -> u64 {
        self.shared.sink.dropped()
    }

    /// Writes what waits and ends the thread. Waits 3 s at most for a file that takes nothing.
    pub fn close(&self) {
        self.shared.sink.close();
    }

    pub(super) fn write(&self, event: &StampedEvent) {
        let mut bytes = event.to_json().to_string().into_bytes();
        bytes.push(b'\n');
        self.shared.sink.offer(Batch { bytes, lines: 1 });
    }
}

fn output(settings: &EventLog) -> io::Result<Output> {
    RotatedFile::open(&settings.file, WHAT, settings.max_size, settings.keep).map(Output::Rotated)
}

fn report(trouble: &Trouble) {
    let lost = trouble.lost;
    if let Some(error) = &trouble.error {
        tracing::warn!(target: crate::log::EVENTS, lost, %error, "cannot write the event file");
    } else {
        tracing::warn!(target: crate::log::EVENTS, lost, "the event file is slower than the events");
    }
}

#[cfg(test)]
mod tests;
