//! A thread that writes for others.
//!
//! Whoever has something to write hands over a whole batch and goes on; when too much is waiting, the batch is
//! dropped and its lines are counted. The thread takes whatever the operating system does to it (a full disk, a
//! closed pipe, a reader that sleeps) and never passes it on.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::counters::Counter;

mod output;
mod syslog;

pub(crate) use output::{Output, RotatedFile, append_to};
pub(crate) use syslog::Syslog;

/// Trouble is reported at most this often.
const REPORT_EVERY: Duration = Duration::from_mins(1);
/// How long a shutdown waits for an output that takes nothing (a terminal that is stopped, a full pipe).
const CLOSE_PATIENCE: Duration = Duration::from_secs(3);
/// An output that somebody else made non-blocking (it may be shared with a shell) is asked again this often.
const BUSY_PAUSE: Duration = Duration::from_millis(10);
/// A buffer that one giant line blew up is not kept.
const KEEP_BUFFER: usize = 128 * 1024;

/// Whole lines.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) bytes: Vec<u8>,
    pub(crate) lines: u64,
}

/// What to tell about trouble with the output; called by the sink's thread.
pub(crate) type Report = fn(&Trouble);

/// What went wrong since the last report.
#[derive(Debug)]
pub(crate) struct Trouble {
    /// The last error of the output, if it was that.
    pub(crate) error: Option<io::Error>,
    /// Lines lost since the last report.
    pub(crate) lost: u64,
}

/// The handle: cheap to clone, all of them feed one thread.
#[derive(Debug, Clone)]
pub(crate) struct Sink {
    shared: Arc<Shared>,
    ended: Arc<Mutex<Receiver<()>>>,
}

#[derive(Debug)]
struct Shared {
    queue: Mutex<Queue>,
    filled: Condvar,
    limit: usize,
    closing: AtomicBool,
    written: Counter,
    dropped: Counter,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Batch>,
    spare: Vec<Vec<u8>>,
    /// The output to go on with from the next batch on.
    output: Option<Output>,
    closed: bool,
}

impl Sink {
    /// Starts the thread. At most `limit` batches wait.
    pub(crate) fn start(name: &str, output: Output, limit: usize, report: Report) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            filled: Condvar::new(),
            limit,
            closing: AtomicBool::new(false),
            written: Counter::default(),
            dropped: Counter::default(),
        });
        let (end, ended) = mpsc::sync_channel(1);
        let writer =
            Writer { output, torn: false, report, shared: Arc::clone(&shared), reported: None, told: 0 };
        thread::Builder::new().name(name.to_owned()).spawn(move || {
            writer.run();
            // Nobody may be waiting.
            let _ = end.send(());
        })?;
        Ok(Self { shared, ended: Arc::new(Mutex::new(ended)) })
    }

    /// Hands a batch over, or drops it and counts its lines. Gives back an empty buffer to go on with.
    pub(crate) fn offer(&self, batch: Batch) -> Vec<u8> {
        let mut queue = self.shared.lock();
        if queue.closed || queue.waiting.len() >= self.shared.limit {
            drop(queue);
            self.shared.dropped.add(batch.lines);
            let mut bytes = batch.bytes;
            bytes.clear();
            return bytes;
        }
        queue.waiting.push_back(batch);
        let spare = queue.spare.pop();
        drop(queue);
        self.shared.filled.notify_one();
        spare.unwrap_or_default()
    }

    /// Goes on with another output, from the next batch that is written on. The old one is closed.
    pub(crate) fn replace(&self, output: Output) {
        self.shared.lock().output = Some(output);
        self.shared.filled.notify_one();
    }

    /// Writes what waits and ends the thread; returns when that is done or the output has taken nothing for too
    /// long. What is offered later is dropped and counted.
    pub(crate) fn close(&self) {
        self.retire();
        // An error means that the thread has ended already.
        let _ = lock(&self.ended).recv_timeout(CLOSE_PATIENCE);
    }

    /// As [`Self::close`], without waiting for it.
    pub(crate) fn retire(&self) {
        self.shared.closing.store(true, Ordering::Relaxed);
        self.shared.lock().closed = true;
        self.shared.filled.notify_one();
    }

    /// Lines that reached the output.
    pub(crate) fn written(&self) -> u64 {
        self.shared.written.get()
    }

    /// Lines lost: no room, or the output refused them.
    pub(crate) fn dropped(&self) -> u64 {
        self.shared.dropped.get()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        lock(&self.queue)
    }

    /// Waits that long, but not for more than another output or the end.
    fn wait_for_another(&self, pause: Duration) -> Option<Output> {
        let until = Instant::now() + pause;
        let mut queue = self.lock();
        while queue.output.is_none() && !queue.closed {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            queue = self.filled.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        queue.output.take()
    }
}

/// Nothing in here leaves a queue half changed, so a panic of another holder does not matter.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Writer {
    output: Output,
    /// The last thing written was the first part of a line.
    torn: bool,
    report: Report,
    shared: Arc<Shared>,
    reported: Option<Instant>,
    /// Lost lines that were reported.
    told: u64,
}

impl Writer {
    fn run(mut self) {
        while let Some((output, batches)) = self.next() {
            if let Some(output) = output {
                self.output = output;
                self.torn = false;
            }
            let mut error = None;
            for batch in batches {
                match self.output.make_room(batch.bytes.len()) {
                    Ok(fresh) => self.torn &= !fresh,
                    // Better too long a file than a lost line.
                    Err(failed) => error = Some(failed),
                }
                error = self.write(&batch).err().or(error);
                self.recycle(batch.bytes);
            }
            self.tell(error);
        }
    }

    /// A new output, if there is one, and all that waits; none when the sink is closed and empty.
    fn next(&self) -> Option<(Option<Output>, VecDeque<Batch>)> {
        let mut queue = self.shared.lock();
        while queue.waiting.is_empty() && queue.output.is_none() {
            if queue.closed {
                return None;
            }
            queue = self.shared.filled.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        Some((queue.output.take(), std::mem::take(&mut queue.waiting)))
    }

    fn recycle(&self, mut bytes: Vec<u8>) {
        bytes.clear();
        let mut queue = self.shared.lock();
        if bytes.capacity() <= KEEP_BUFFER && queue.spare.len() < self.shared.limit {
            queue.spare.push(bytes);
        }
    }

    /// Writes the batch or counts the lines of it that were lost. After an error in the middle of a line the next
    /// batch starts on a line of its own.
    fn write(&mut self, batch: &Batch) -> io::Result<()> {
        if matches!(self.output, Output::Syslog(_)) {
            self.send(&batch.bytes);
            return Ok(());
        }
        if self.torn {
            if let Err(error) = self.write_all(b"\n") {
                self.shared.dropped.add(batch.lines);
                return Err(error.error);
            }
            self.torn = false;
        }
        let Err(stop) = self.write_all(&batch.bytes) else {
            self.shared.written.add(batch.lines);
            return Ok(());
        };
        let (done, lost) = batch.bytes.split_at_checked(stop.written).unwrap_or((&batch.bytes, &[]));
        self.torn = done.last().is_some_and(|byte| *byte != b'\n');
        #[expect(clippy::naive_bytecount, reason = "once per failed write")]
        let lost = lost.iter().filter(|byte| **byte == b'\n').count() as u64;
        self.shared.dropped.add(lost);
        self.shared.written.add(batch.lines.saturating_sub(lost));
        Err(stop.error)
    }

    fn write_all(&mut self, bytes: &[u8]) -> Result<(), Stop> {
        let mut written = 0;
        while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
            match self.output.write(rest) {
                Ok(0) => return Err(Stop { written, error: ErrorKind::WriteZero.into() }),
                Ok(count) => written += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock && !self.closing() => {
                    thread::sleep(BUSY_PAUSE);
                }
                Err(error) => return Err(Stop { written, error }),
            }
        }
        Ok(())
    }

    /// Sends the lines, however long the server is away; what comes meanwhile waits, as far as there is room.
    fn send(&mut self, mut lines: &[u8]) {
        let shared = Arc::clone(&self.shared);
        loop {
            let Output::Syslog(syslog) = &mut self.output else { return };
            let closing = || shared.closing.load(Ordering::Relaxed);
            let sent = syslog.send(lines, &closing);
            let pause = if sent.error.is_some() { syslog.pause() } else { Duration::ZERO };
            shared.written.add(sent.written);
            shared.dropped.add(sent.lost);
            lines = lines.get(sent.bytes..).unwrap_or_default();
            self.tell(sent.error);
            if lines.is_empty() {
                return;
            }
            if closing() {
                #[expect(clippy::naive_bytecount, reason = "once, at the end")]
                let lost = lines.iter().filter(|byte| **byte == b'\n').count() as u64;
                shared.dropped.add(lost);
                return;
            }
            if let Some(output) = shared.wait_for_another(pause) {
                self.output = output;
            }
        }
    }

    fn closing(&self) -> bool {
        self.shared.closing.load(Ordering::Relaxed)
    }

    fn tell(&mut self, error: Option<io::Error>) {
        let dropped = self.shared.dropped.get();
        let quiet = error.is_none() && dropped == self.told;
        if quiet || self.reported.is_some_and(|at| at.elapsed() < REPORT_EVERY) {
            return;
        }
        let lost = dropped - self.told;
        self.reported = Some(Instant::now());
        self.told = dropped;
        (self.report)(&Trouble { error, lost });
    }
}

struct Stop {
    written: usize,
    error: io::Error,
}
