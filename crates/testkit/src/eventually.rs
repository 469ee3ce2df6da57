//! The polling helper that every wait goes through.

use std::time::{Duration, Instant};

/// How long a test waits for something that ought to happen at once. Long enough for a busy two-core machine,
/// short enough that a hang is found: no test should come near it when it passes.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Polls until the condition holds; panics with `what` when it still does not at the deadline.
#[track_caller]
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    assert!(holds_within(PATIENCE, &mut condition), "still not so after {PATIENCE:?}: {what}");
}

/// Polls until the condition holds or the time is up; says which.
pub fn holds_within(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + limit;
    loop {
        if condition() {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        // A poll's pace, not synchronisation: the loop is right at any length.
        std::thread::sleep(Duration::from_millis(5));
    }
}
