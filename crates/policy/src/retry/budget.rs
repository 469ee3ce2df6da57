//! The cap on a pool's retries, shared by all workers without a lock.
//!
//! Retries are granted while those of the last ten seconds are at most `percent` of the requests of the same
//! ten seconds; under that, `floor` retries in each second are granted whatever the traffic, so that a quiet
//! pool can fail over at all. The ten seconds are this one, which is not over yet, and the nine before it.
//!
//! Each second is one word of a ring: its number, its requests and its retries in a single atomic, because
//! two counters and a time stamp that change one by one would be three half-truths. A retry is entered
//! first, then judged, and taken back when it was too much: of several that compete for the last place at
//! most one gets it (now and then none does), and the bound is never exceeded.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How far back requests and retries count, in seconds.
const WINDOW: u64 = 10;

/// Seconds that the ring holds: the window, and six of slack. A worker that read the clock, was held up, and
/// asks up to six seconds later still sees what the others were granted meanwhile; one that is later than
/// that may take a place too many.
const SLOTS: usize = 16;

/// How much of its own traffic a pool may add to itself by retrying.
#[derive(Debug)]
pub struct RetryBudget {
    percent: u64,
    floor: u64,
    seconds: [AtomicU64; SLOTS],
}

impl RetryBudget {
    /// A budget of `percent` of the requests, and at least `floor_per_second` retries in any second.
    pub fn new(percent: u32, floor_per_second: u32) -> Self {
        Self {
            percent: u64::from(percent),
            floor: u64::from(floor_per_second),
            seconds: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }

    /// Counts a request: once for an exchange, however many attempts it takes. `now` is the time since the
    /// process started.
    pub fn on_request(&self, now: Duration) {
        let second = now.as_secs();
        // Relaxed: a request that a retry elsewhere does not see yet makes the budget smaller, never larger.
        let _ = self.slot(second).fetch_update(Ordering::Relaxed, Ordering::Relaxed, |word| {
            Some(Second::read(word, second)?.with_request().word())
        });
    }

    /// Takes one retry from the budget, if there is one left. It cannot be given back.
    pub fn try_retry(&self, now: Duration) -> bool {
        let second = now.as_secs();
        let slot = self.slot(second);
        if self.entered(second).retries >= self.floor && !self.within_percent(second, 1) {
            return false;
        }
        // SeqCst, here and where entries are read: of two that compete, at least one sees the other's entry.
        let entered = slot.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |word| {
            Some(Second::read(word, second)?.with_retry()?.word())
        });
        let Ok(before) = entered else { return false };
        let earlier = Second::read(before, second).map_or(0, |found| found.retries);
        let granted = earlier < self.floor || self.within_percent(second, 0);
        if !granted {
            let _ = slot.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |word| {
                Some(Second::read(word, second)?.without_retry().word())
            });
        }
        granted
    }

    /// Whether the retries of the window ending with `second`, and `more`, keep within the share of its
    /// requests. Retries that a worker with a newer clock reading entered already count as well.
    fn within_percent(&self, second: u64, more: u64) -> bool {
        let (mut requests, mut retries) = (0, more);
        for back in 0..WINDOW.min(second.saturating_add(1)) {
            let entered = self.entered(second - back);
            requests += entered.requests;
            retries += entered.retries;
        }
        for ahead in 1..=SLOTS as u64 - WINDOW {
            retries += self.entered(second.saturating_add(ahead)).retries;
        }
        retries * 100 <= requests * self.percent
    }

    /// What is entered for a second; nothing if its slot belongs to another one.
    fn entered(&self, second: u64) -> Second {
        let found = Second::from_word(self.slot(second).load(Ordering::SeqCst));
        if found.number == Second::number_of(second) { found } else { Second::empty(second) }
    }

    fn slot(&self, second: u64) -> &AtomicU64 {
        let at = usize::try_from(second % SLOTS as u64).unwrap_or(0);
        self.seconds.get(at).expect("the remainder is below the number of slots")
    }
}

/// One second as it stands in its word: 22 bits of number, 21 of requests, 21 of retries.
///
/// The counts stop at their highest value (two million a second and pool), where the budget turns stricter
/// than it would have to be. A number comes again after 2^22 rounds of the ring, which is two years.
#[derive(Debug, Clone, Copy)]
struct Second {
    number: u64,
    requests: u64,
    retries: u64,
}

const COUNT_BITS: u32 = 21;
const COUNT_MAX: u64 = (1 << COUNT_BITS) - 1;
const NUMBER_MAX: u64 = (1 << 22) - 1;

impl Second {
    /// The contents of a slot's word for `second`: what is there, or a fresh start where the word is of an
    /// earlier round. `None` where it is of a later one: the caller's clock reading is hopelessly old.
    fn read(word: u64, second: u64) -> Option<Self> {
        let found = Self::from_word(word);
        match found.number.cmp(&Self::number_of(second)) {
            std::cmp::Ordering::Equal => Some(found),
            std::cmp::Ordering::Less => Some(Self::empty(second)),
            std::cmp::Ordering::Greater => None,
        }
    }

    fn empty(second: u64) -> Self {
        Self { number: Self::number_of(second), requests: 0, retries: 0 }
    }

    fn number_of(second: u64) -> u64 {
        (second / SLOTS as u64) & NUMBER_MAX
    }

    fn from_word(word: u64) -> Self {
        Self {
            number: word >> (2 * COUNT_BITS),
            requests: (word >> COUNT_BITS) & COUNT_MAX,
            retries: word & COUNT_MAX,
        }
    }

    fn word(self) -> u64 {
        self.number << (2 * COUNT_BITS) | self.requests << COUNT_BITS | self.retries
    }

    fn with_request(self) -> Self {
        Self { requests: (self.requests + 1).min(COUNT_MAX), ..self }
    }

    fn with_retry(self) -> Option<Self> {
        (self.retries < COUNT_MAX).then_some(Self { retries: self.retries + 1, ..self })
    }

    fn without_retry(self) -> Self {
        Self { retries: self.retries.saturating_sub(1), ..self }
    }
}

#[cfg(test)]
mod tests;
