//! A child's output, line by line, in the program's log.
//!
//! A server that says more than a few lines a second has a log of its own to say it in: more than that is counted
//! and left out, so that it cannot drown what LoadWeaver has to say, or fill a disk in our name.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use loadweaver_telemetry::log;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{ChildStderr, ChildStdout};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::program::{READ, Tail, breathe, harmless};
use crate::target::Target;

use super::Shared;

/// Longest line that is logged in one piece; the rest of it is the next line.
const LINE: usize = 4 * 1024;
/// Lines a second in the long run, and at once.
const A_SECOND: u32 = 20;
const AT_ONCE: u32 = 200;

/// Reads both outputs to their ends.
pub(super) fn follow(
    charge: &Shared,
    tail: &Tail,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
) -> JoinSet<()> {
    let allowance = Arc::new(Mutex::new(Allowance::new(Instant::now())));
    let mut readers = JoinSet::new();
    let lines = |stream| Lines {
        charge: Arc::clone(charge),
        stream,
        allowance: Arc::clone(&allowance),
        line: Vec::new(),
    };
    if let Some(stdout) = stdout {
        readers.spawn(read(stdout, tail.clone(), lines("stdout")));
    }
    if let Some(stderr) = stderr {
        readers.spawn(read(stderr, tail.clone(), lines("stderr")));
    }
    readers
}

async fn read(mut output: impl AsyncRead + Unpin, tail: Tail, mut lines: Lines) {
    let mut buffer = vec![0; READ];
    while let Ok(count) = output.read(&mut buffer).await
        && count > 0
    {
        let news = buffer.get(..count).unwrap_or_default();
        tail.add(news);
        lines.add(news, Instant::now());
        breathe(count).await;
    }
    lines.finish(Instant::now());
}

struct Lines {
    charge: Shared,
    stream: &'static str,
    allowance: Arc<Mutex<Allowance>>,
    line: Vec<u8>,
}

impl Lines {
    fn add(&mut self, news: &[u8], now: Instant) {
        let mut rest = news;
        while !rest.is_empty() {
            let room = LINE.saturating_sub(self.line.len()).min(rest.len());
            let begin = rest.get(..room).unwrap_or_default();
            let end = begin.iter().position(|byte| *byte == b'\n').map_or(room, |at| at + 1);
            let (piece, behind) = rest.split_at(end);
            self.line.extend_from_slice(piece);
            rest = behind;
            let whole = self.line.ends_with(b"\n") || self.line.len() >= LINE;
            if whole && !self.finish(now) {
                return self.leave_out(rest);
            }
        }
    }

    /// What comes in the same moment as a line that is left out is left out too: to look at each line of a flood
    /// would take more time than the flood is worth.
    fn leave_out(&mut self, rest: &[u8]) {
        let whole = rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let (lines, begun) = rest.split_at(whole);
        let count = lines.split(|byte| *byte == b'\n').count().saturating_sub(1);
        let mut allowance = self.allowance.lock().unwrap_or_else(PoisonError::into_inner);
        allowance.left_out += u64::try_from(count).unwrap_or(u64::MAX);
        self.line.extend(begun.iter().take(LINE - 1));
    }

    /// Logs the line; false if that was one too many.
    fn finish(&mut self, now: Instant) -> bool {
        let bytes = std::mem::take(&mut self.line);
        if bytes.trim_ascii().is_empty() {
            return true;
        }
        let allowed = self.allowance.lock().unwrap_or_else(PoisonError::into_inner).take(now);
        let Some(left_out) = allowed else { return false };
        let text = harmless(&String::from_utf8_lossy(&bytes));
        let text = text.trim_end();
        let (Target { pool, server, .. }, stream) = (super::now(&self.charge).target, self.stream);
        if left_out == 0 {
            tracing::info!(target: log::RECOVERY, %pool, %server, stream, "{text}");
        } else {
            tracing::info!(target: log::RECOVERY, %pool, %server, stream, left_out, "{text}");
        }
        true
    }
}

/// How many lines may be logged: a bucket that fills at a steady rate.
struct Allowance {
    lines: u32,
    filled: Instant,
    left_out: u64,
}

impl Allowance {
    fn new(now: Instant) -> Self {
        Self { lines: AT_ONCE, filled: now, left_out: 0 }
    }

    /// Whether a line may be logged, and if so how many before it were not.
    fn take(&mut self, now: Instant) -> Option<u64> {
        let each = Duration::from_secs(1) / A_SECOND;
        let new = now.duration_since(self.filled).as_nanos() / each.as_nanos();
        let new = u32::try_from(new).unwrap_or(AT_ONCE).min(AT_ONCE);
        self.filled += each * new;
        if new == AT_ONCE {
            self.filled = now;
        }
        self.lines = (self.lines + new).min(AT_ONCE);
        let Some(lines) = self.lines.checked_sub(1) else {
            self.left_out += 1;
            return None;
        };
        self.lines = lines;
        Some(std::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::Charge;
    use super::*;
    use crate::program::Program;

    fn lines() -> Lines {
        let target = Target { pool: "app".into(), server: "a".into(), host: "127.0.0.1".to_owned(), port: 1 };
        let allowance = Arc::new(Mutex::new(Allowance::new(Instant::now())));
        let program = Program { argv: Vec::new(), env: Vec::new(), directory: None };
        let charge = Charge { target, program, stop_timeout: Duration::ZERO };
        Lines { charge: Arc::new(Mutex::new(charge)), stream: "stdout", allowance, line: Vec::new() }
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_in_one_piece_costs_the_lines_that_may_be_logged_and_no_more() {
        let mut lines = lines();
        lines.add(&b"y\n".repeat(5_000), Instant::now());
        lines.add(b"begun", Instant::now());
        assert_eq!((lines.allowance.lock().unwrap().left_out, lines.line.as_slice()), (4_800, &b"begun"[..]));
        lines.add(b" and ended\n", Instant::now());
        assert_eq!((lines.allowance.lock().unwrap().left_out, lines.line.len()), (4_801, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_line_without_an_end_is_logged_in_pieces_and_never_kept_whole() {
        let mut lines = lines();
        for _ in 0..100 {
            lines.add(&[b'x'; READ], Instant::now());
            assert!(lines.line.capacity() <= 2 * LINE);
        }
        assert_eq!(lines.allowance.lock().unwrap().lines, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_is_counted_and_left_out() {
        let mut allowance = Allowance::new(Instant::now());
        let logged = (0..1_000).filter(|_| allowance.take(Instant::now()).is_some()).count();
        assert_eq!(logged, 200);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(allowance.take(Instant::now()), Some(800));
        let logged = (0..1_000).filter(|_| allowance.take(Instant::now()).is_some()).count();
        assert_eq!(logged, 19);
        tokio::time::advance(Duration::from_hours(1)).await;
        let logged = (0..1_000).filter(|_| allowance.take(Instant::now()).is_some()).count();
        assert_eq!(logged, 200);
    }
}
