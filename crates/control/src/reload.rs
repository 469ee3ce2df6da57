//! Notices that the configuration file has changed.
//!
//! The file is looked at several times a second instead of being watched by the kernel: a look costs a system call, and
//! sees every way in which a file comes to say something else, a rename over it, a symbolic link that is swapped
//! somewhere on the way to it, or a file system that tells nobody about writes. What changed is read once it has held
//! still for a moment, so that an editor that writes in two steps is read once; one that never holds still is read now
//! and then, whatever it says at that moment.

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use loadweaver_telemetry::log;
use tokio::sync::Notify;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use crate::coordinator::command::Edit;
use crate::coordinator::{Command, Coordinator, Origin, Refusal};
use crate::file::{self, Stamp};

const LOOK: Duration = Duration::from_millis(200);

/// Looks in a row that must see the same before it is read.
const STILL: u32 = 2;

/// Looks for which an empty file is taken for one that is being written.
const FILLING: u32 = 10;

/// Looks for which a file that never holds still is left alone.
const RESTLESS: u32 = 10;

/// Runs for ever. `asked` is SIGHUP; `renewed` says that certificates of pools were replaced.
pub(crate) async fn run(
    path: Option<PathBuf>,
    (asked, renewed): (Arc<Notify>, Arc<Notify>),
    coordinator: Coordinator,
) -> Infallible {
    let mut eyes = Eyes { path, seen: None, still: 0, other: 0, taken: None };
    let texts = coordinator.view().versions.iter().map(|version| Arc::clone(&version.text)).collect();
    eyes.begin(texts).await;
    loop {
        let (edit, origin) = tokio::select! {
            () = asked.notified() => (Edit::Reload, Origin::Signal),
            () = renewed.notified() => (Edit::Files, Origin::Certificates),
            () = eyes.change() => (Edit::Reload, Origin::File),
        };
        let told = origin.to_string();
        match coordinator.submit(Command::new(edit, origin)).await {
            Ok(outcome) if outcome.changes.is_empty() => {
                tracing::info!(target: log::CONFIG, origin = told, "the configuration says the same as before");
            }
            Ok(outcome) => {
                for setting in outcome.needs_restart {
                    tracing::warn!(target: log::CONFIG, setting, "changed, and taken up by the next start only");
                }
                for warning in outcome.warnings {
                    tracing::warn!(target: log::CONFIG, "{warning}");
                }
            }
            // Told by its event, but for this one.
            Err(Refusal::Busy) => tracing::error!(target: log::CONFIG, "too many changes wait; reload again"),
            Err(_) => {}
        }
    }
}

struct Eyes {
    path: Option<PathBuf>,
    /// What the last look saw, and how many looks have seen it.
    seen: Option<Stamp>,
    still: u32,
    /// How many looks have seen something else than what was read last.
    other: u32,
    /// What was read last.
    taken: Option<Stamp>,
}

impl Eyes {
    fn look(&self) -> Option<Stamp> {
        self.path.as_deref().and_then(Stamp::of)
    }

    /// Takes the file for read if it says what has been in force. It may have changed between the start of the process,
    /// which read it, and this moment.
    async fn begin(&mut self, texts: Vec<Arc<str>>) {
        let stamp = self.look();
        let Some(path) = self.path.clone() else { return };
        let known = move || match file::read_again(&path) {
            Ok(now) => texts.iter().any(|text| text.as_bytes() == now),
            // What was a pipe at the start can only be read once.
            Err(_) => path.metadata().is_ok_and(|about| !about.is_file()),
        };
        if spawn_blocking(known).await.unwrap_or(true) {
            self.taken = stamp;
        }
    }

    /// Waits for a file that is not the one that was read last. One that is not there is no change: whoever replaces
    /// it is not done.
    async fn change(&mut self) {
        loop {
            if self.path.is_none() {
                std::future::pending::<()>().await;
            }
            sleep(LOOK).await;
            let now = self.look();
            self.still = if now == self.seen { self.still.saturating_add(1) } else { 1 };
            self.seen = now;
            let Some(stamp) = now.filter(|_| now != self.taken) else {
                self.other = 0;
                continue;
            };
            self.other = self.other.saturating_add(1);
            let enough = if stamp.is_empty() { FILLING } else { STILL };
            let restless = self.other >= RESTLESS && !stamp.is_empty();
            if self.still >= enough || restless {
                self.other = 0;
                self.taken = now;
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use loadweaver_testkit::scratch::Scratch;
    use tokio::time::timeout;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_file_that_changed_since_the_start_read_it_is_noticed_and_one_that_did_not_is_not() {
        let scratch = Scratch::new();
        let path = scratch.file("config.json", "{}");
        for (read, changed) in [("{}", false), ("{ \"workers\": 1 }", true)] {
            let mut eyes = Eyes { path: Some(path.clone()), seen: None, still: 0, other: 0, taken: None };
            eyes.begin(vec![read.into()]).await;
            assert_eq!(timeout(LOOK * 20, eyes.change()).await.is_ok(), changed, "{read}");
            // Nor is it noticed twice.
            assert!(timeout(LOOK * 20, eyes.change()).await.is_err());
            std::fs::write(&path, format!("{{{}}}", " ".repeat(read.len()))).unwrap();
            assert!(timeout(LOOK * 20, eyes.change()).await.is_ok());
            std::fs::write(&path, "{}").unwrap();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_that_is_written_again_and_again_is_read_now_and_then() {
        let scratch = Scratch::new();
        let path = scratch.file("config.json", "{}");
        let mut eyes = Eyes { path: Some(path.clone()), seen: None, still: 0, other: 0, taken: None };
        eyes.begin(vec!["{}".into()]).await;
        let writes = async {
            for length in 3.. {
                std::fs::write(&path, format!("{{{}}}", " ".repeat(length))).unwrap();
                sleep(LOOK / 2).await;
            }
        };
        let reads = async {
            for _ in 0..3 {
                assert!(timeout(LOOK * (RESTLESS + 2), eyes.change()).await.is_ok());
            }
        };
        tokio::select! {
            () = writes => {}
            () = reads => {}
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_can_be_read_only_once_is_not_read_again_by_itself() {
        let scratch = Scratch::new();
        let path = scratch.path().join("config.json");
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR)
            .unwrap();
        let mut eyes = Eyes { path: Some(path), seen: None, still: 0, other: 0, taken: None };
        eyes.begin(vec!["{}".into()]).await;
        assert!(timeout(LOOK * 20, eyes.change()).await.is_err());
    }
}
