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

/// The handle: cheap to clone, all of them are one file.
#[derive(Debug, Clone)]
pub struct EventFile {
    sink: Sink,
    settings: Arc<EventLog>,
}

impl EventFile {
    /// Opens the file for appending, makes it when there is none, and starts the thread. The error names the file.
    pub fn open(settings: &EventLog) -> io::Result<Self> {
        let sink = Sink::start("event-file", output(settings)?, WAITING, report)?;
        Ok(Self { sink, settings: Arc::new(settings.clone()) })
    }

    /// What it was opened with.
    pub fn settings(&self) -> &EventLog {
        &self.settings
    }

    /// Opens the file by its path again and goes on there, for whoever renamed it. After an error, which names the
    /// file, the old one stays in use.
    pub fn reopen(&self) -> io::Result<()> {
        self.sink.replace(output(&self.settings)?);
        Ok(())
    }

    /// Events that the file took.
    pub fn written(&self) -> u64 {
        self.sink.written()
    }

    /// Events that were lost: the file was too slow or refused them.
    pub fn dropped(&self) -> u64 {
        self.sink.dropped()
    }

    /// Writes what waits and ends the thread. Waits 3 s at most for a file that takes nothing.
    pub fn close(&self) {
        self.sink.close();
    }

    /// As [`Self::close`], without waiting.
    pub(super) fn retire(&self) {
        self.sink.retire();
    }

    pub(super) fn write(&self, event: &StampedEvent) {
        let mut bytes = event.to_json().to_string().into_bytes();
        bytes.push(b'\n');
        self.sink.offer(Batch { bytes, lines: 1 });
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
