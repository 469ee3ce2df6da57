//! Between LoadWeaver and a server that it runs: whatever happens to LoadWeaver, the server does not outlive it.
//!
//! The kernel can send a child a signal when its parent dies, but asking for that takes unsafe code between `fork`
//! and `exec`. So the server's parent is this: the same binary under another command. Its standard input is a pipe
//! whose other end LoadWeaver holds and never writes to; when that end is gone, so is LoadWeaver, however it died.
//! Then the process group gets SIGTERM, some time, and SIGKILL. It leads the group and does not heed SIGTERM itself,
//! so that there is somebody to tell how the server ended.

use std::ffi::OsString;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Signal, getpgrp, kill_process_group};
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tokio::time::timeout;

/// The command of the binary that runs [`run`].
pub const COMMAND: &str = "keep";
/// The binary that runs now, even where another one has taken its place on disk since.
pub(crate) fn ourselves() -> PathBuf {
    PathBuf::from("/proc/self/exe")
}

/// Exit code when the program cannot be started, as shells have it.
const NOT_STARTED: u8 = 127;
/// Exit code when we cannot do our work.
const UNABLE: u8 = 125;
/// Added to a signal's number for the exit code of a program that it killed, as shells have it.
const SIGNALLED: i32 = 128;

/// Runs the program until it ends and returns its exit code. `patience` is how long its group may take to end when
/// standard input does.
pub fn run(program: &[OsString], patience: Duration) -> u8 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let Ok(runtime) = runtime else { return UNABLE };
    let code = runtime.block_on(async {
        let Ok(_signals) = take_signals() else { return UNABLE };
        guard(program, patience).await
    });
    // The thread that reads standard input never ends.
    runtime.shutdown_background();
    code
}

/// Signals that are meant for the group: the program gets them too, and we wait for what it makes of them.
fn take_signals() -> std::io::Result<Vec<tokio::signal::unix::Signal>> {
    let kinds = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup(), SignalKind::quit()];
    kinds.into_iter().map(signal).collect()
}

async fn guard(program: &[OsString], patience: Duration) -> u8 {
    let Some((first, rest)) = program.split_first() else { return NOT_STARTED };
    let mut child = match Command::new(first).args(rest).stdin(Stdio::null()).spawn() {
        Ok(child) => child,
        Err(error) => {
            eprintln!("cannot start {}: {error}", first.display());
            return NOT_STARTED;
        }
    };
    tokio::select! {
        status = child.wait() => return status.map_or(UNABLE, code_of),
        () = alone() => {}
    }
    let _ = kill_process_group(getpgrp(), Signal::TERM);
    let _ = timeout(patience, child.wait()).await;
    // We are a part of the group ourselves.
    let _ = kill_process_group(getpgrp(), Signal::KILL);
    UNABLE
}

/// Waits until nobody holds the other end of standard input.
async fn alone() {
    let (gone, told) = oneshot::channel();
    std::thread::spawn(move || {
        let mut nothing = [0; 64];
        let mut input = std::io::stdin().lock();
        while input.read(&mut nothing).is_ok_and(|count| count > 0) {}
        let _ = gone.send(());
    });
    // The thread ends by telling.
    let _ = told.await;
}

fn code_of(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| Some(SIGNALLED + status.signal()?));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(UNABLE)
}
