//! `loadweaver keep`: what stands between LoadWeaver and a server that it runs.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use loadweaver_testkit::eventually;
use loadweaver_testkit::scratch::Scratch;
use rustix::process::{Pid, Signal, kill_process_group};

/// A kept shell that writes its process id into a file.
struct Kept {
    child: Child,
    folder: Scratch,
}

impl Kept {
    fn run(patience: &str, script: &str) -> Self {
        let folder = Scratch::new();
        let child = Command::new(env!("CARGO_BIN_EXE_loadweaver"))
            .args(["keep", patience, "--", "/bin/sh", "-c", &format!("echo $$ >> pids; {script}")])
            .current_dir(folder.path())
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self { child, folder }
    }

    fn pids(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.folder.path().join("pids")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    fn until_running(&self, count: usize) {
        eventually("the program runs", || self.pids().len() == count);
    }

    fn lives(&self) -> bool {
        let runs = |pid: &String| {
            let stat = std::fs::read_to_string(Path::new("/proc").join(pid).join("stat"));
            stat.is_ok_and(|stat| !stat.contains(") Z "))
        };
        self.pids().iter().any(runs)
    }

    fn signal(&self, signal: Signal) {
        let id = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        let _ = kill_process_group(id, signal);
    }

    fn code(&mut self) -> Option<i32> {
        let mut status = None;
        eventually("it ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap().code()
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
        let _ = self.child.wait();
    }
}

#[test]
fn ends_as_its_program_does_and_says_how() {
    assert_eq!(Kept::run("1000", "exit 7").code(), Some(7));
    assert_eq!(Kept::run("1000", "kill -9 $$").code(), Some(128 + 9));
}

#[test]
fn a_program_that_is_not_there_is_127_and_named() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadweaver"));
    let output = command.args(["keep", "1000", "--", "/nowhere/x"]).stdin(Stdio::piped()).output().unwrap();
    assert_eq!(output.status.code(), Some(127));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot start /nowhere/x"));
}

#[test]
fn passes_output_on_and_keeps_its_own_input_to_itself() {
    let mut kept = Kept::run("1000", "cat; echo out; echo err >&2");
    assert_eq!(kept.code(), Some(0));
    let (mut out, mut err) = (String::new(), String::new());
    kept.child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    kept.child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    assert_eq!((out.as_str(), err.as_str()), ("out\n", "err\n"));
}

#[test]
fn the_program_does_not_outlive_whoever_holds_the_other_end() {
    let mut kept = Kept::run("5000", "sh -c 'echo $$ >> pids; sleep 600' & wait");
    kept.until_running(2);
    // What the kernel does when LoadWeaver is killed.
    drop(kept.child.stdin.take());
    eventually("the program and its children are gone", || !kept.lives());
}

#[test]
fn nobody_who_does_not_heed_sigterm_is_left() {
    let mut kept = Kept::run(
        "200",
        "trap '' TERM; sh -c 'trap \"\" TERM; echo $$ >> pids; sleep 600' & wait; sleep 600",
    );
    kept.until_running(2);
    let began = Instant::now();
    drop(kept.child.stdin.take());
    eventually("all are gone", || !kept.lives());
    assert!(began.elapsed().as_millis() >= 200);
}

#[test]
fn a_signal_to_the_group_ends_the_program_and_waits_for_it() {
    let mut kept = Kept::run("5000", "trap 'exit 3' TERM; echo $$ >> pids; while :; do sleep 0.05; done");
    kept.until_running(2);
    kept.signal(Signal::TERM);
    assert_eq!(kept.code(), Some(3));
}
