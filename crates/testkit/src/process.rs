//! Child processes with captured output, killed on drop.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::eventually::{PATIENCE, holds_within};

/// A running child.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    stdout: Arc<Mutex<Vec<String>>>,
    stderr: Arc<Mutex<Vec<String>>>,
}

impl Process {
    /// Starts it, or panics with a clear message (a missing program must never look like a passed test).
    #[track_caller]
    pub fn start(command: &mut Command) -> Self {
        let name = command.get_program().to_string_lossy().into_owned();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("{name} does not start: {error}; ./scripts/test installs what it needs")
            });
        let stdout = collect(child.stdout.take().expect("piped"));
        let stderr = collect(child.stderr.take().expect("piped"));
        Self { name, child, stdout, stderr }
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The lines of standard error so far.
    pub fn stderr(&self) -> Vec<String> {
        self.stderr.lock().unwrap().clone()
    }

    /// The lines of standard output so far.
    pub fn stdout(&self) -> Vec<String> {
        self.stdout.lock().unwrap().clone()
    }

    /// Waits for a line of standard error for which the closure finds something.
    #[track_caller]
    pub fn wait_for_stderr<Found>(&mut self, what: &str, find: impl Fn(&str) -> Option<Found>) -> Found {
        let mut found = None;
        let came = holds_within(PATIENCE, || {
            found = self.stderr.lock().unwrap().iter().find_map(|line| find(line));
            found.is_some() || matches!(self.child.try_wait(), Ok(Some(_)))
        });
        // The last lines may come after the exit was seen.
        let found = found.or_else(|| self.stderr().iter().find_map(|line| find(line)));
        found.unwrap_or_else(|| {
            let state = if came { "it ended" } else { "still running" };
            panic!("{} never said {what} ({state}); standard error: {:#?}", self.name, self.stderr())
        })
    }

    /// Sends the signal.
    pub fn signal(&self, signal: Signal) {
        let id = Pid::from_raw(i32::try_from(self.child.id()).expect("a process id")).expect("not zero");
        let _ = kill_process(id, signal);
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits for its end; `None` when it still runs at the limit.
    pub fn wait_for_exit(&mut self, limit: Duration) -> Option<ExitStatus> {
        exit_of(&mut self.child, limit)
    }

    /// Ends it at once with SIGKILL and reaps it.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

fn collect(source: impl Read + Send + 'static) -> Arc<Mutex<Vec<String>>> {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let own = Arc::clone(&lines);
    std::thread::spawn(move || {
        let mut reader = BufReader::new(source);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
            own.lock().unwrap().push(String::from_utf8_lossy(&line).trim_end().to_owned());
            line.clear();
        }
    });
    lines
}

/// Waits for a child's end; `None` when it still runs at the limit.
pub(crate) fn exit_of(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let mut status = None;
    holds_within(limit, || {
        status = child.try_wait().expect("a child can be waited for");
        status.is_some()
    });
    status
}
