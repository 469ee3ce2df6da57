//! The last probes and transitions of a server, and what they say of its latency.
//!
//! Bounded: an entry takes 32 bytes, and its text is shared with the entries that say the same. With 200
//! entries and as many different texts of 120 bytes that is [`History::MOST_BYTES`], 33,600, per server; a
//! server that fails for one reason stays below 7,000.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::State;
use super::observation::ProbeFault;

/// Entries that are kept of a server.
pub const HISTORY: usize = 200;

/// Bytes of a text; a longer one is cut.
const TEXT: usize = 120;

/// Places that are added to the ring when it is full, up to [`HISTORY`].
const GROWTH: usize = 50;

/// Good probes that are compared with as many before.
const TREND: usize = 50;

/// A probe or a transition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Microseconds since the process started.
    at: u64,
    text: Option<Arc<str>>,
    /// Microseconds, up to 71 minutes.
    latency: u32,
    /// 0 is none.
    status: u16,
    what: Happened,
}

/// What an entry tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Happened {
    /// A good probe.
    ProbeOk,
    /// A bad probe.
    ProbeFailed(ProbeFault),
    /// The verdict changed.
    Changed {
        /// What was believed.
        from: State,
        /// What is believed from then on.
        to: State,
    },
}

impl Entry {
    /// When, since the process started.
    pub fn at(&self) -> Duration {
        Duration::from_micros(self.at)
    }

    /// A probe, or a transition.
    pub fn what(&self) -> Happened {
        self.what
    }

    /// How long the probe took, to the microsecond; none of a transition.
    pub fn latency(&self) -> Option<Duration> {
        match self.what {
            Happened::ProbeOk | Happened::ProbeFailed(_) => Some(Duration::from_micros(self.latency.into())),
            Happened::Changed { .. } => None,
        }
    }

    /// The status that the probe was answered with, if it was.
    pub fn status(&self) -> Option<u16> {
        (self.status != 0).then_some(self.status)
    }

    /// What was wrong, or why the verdict changed, for the operator; none of a good probe.
    pub fn reason(&self) -> Option<&str> {
        self.text.as_deref()
    }
}

/// Latency of good probes: the last 50 against the 50 before, as far as the history reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trend {
    /// Of the last.
    pub recent: Quantiles,
    /// Of those before; none while there are none.
    pub before: Option<Quantiles>,
}

/// Half of the probes took `p50` or less, 95 in 100 took `p95` or less.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quantiles {
    /// The median.
    pub p50: Duration,
    /// The slow end.
    pub p95: Duration,
}

/// The last entries, oldest first.
#[derive(Debug, Clone, Default)]
pub(super) struct History(VecDeque<Entry>);

impl History {
    /// What the history of one server takes at the most, in bytes.
    #[cfg(test)]
    pub(super) const MOST_BYTES: usize = HISTORY * (size_of::<Entry>() + TEXT + 2 * size_of::<usize>());

    pub(super) fn probe_ok(&mut self, latency: Duration, status: Option<u16>, now: Duration) {
        self.push(Entry {
            at: micros(now),
            text: None,
            latency: short(latency),
            status: status.unwrap_or(0),
            what: Happened::ProbeOk,
        });
    }

    pub(super) fn probe_failed(
        &mut self,
        (fault, reason): (ProbeFault, &str),
        latency: Duration,
        status: Option<u16>,
        now: Duration,
    ) {
        let text = Some(self.text(reason));
        let (at, latency, what) = (micros(now), short(latency), Happened::ProbeFailed(fault));
        self.push(Entry { at, text, latency, status: status.unwrap_or(0), what });
    }

    pub(super) fn changed(&mut self, from: State, to: State, reason: &str, now: Duration) {
        let text = Some(self.text(reason));
        self.push(Entry {
            at: micros(now),
            text,
            latency: 0,
            status: 0,
            what: Happened::Changed { from, to },
        });
    }

    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = &Entry> + DoubleEndedIterator {
        self.0.iter()
    }

    pub(super) fn trend(&self) -> Option<Trend> {
        let good = |entry: &&Entry| entry.what == Happened::ProbeOk;
        let mut latencies: Vec<u32> =
            self.0.iter().rev().filter(good).map(|entry| entry.latency).take(2 * TREND).collect();
        let mut before = latencies.split_off(latencies.len().min(TREND));
        Some(Trend { recent: quantiles(&mut latencies)?, before: quantiles(&mut before) })
    }

    fn push(&mut self, entry: Entry) {
        if self.0.len() >= HISTORY {
            self.0.pop_front();
        }
        if self.0.len() == self.0.capacity() {
            // Doubling would end at 256 places.
            self.0.reserve_exact(GROWTH);
        }
        self.0.push_back(entry);
    }

    /// The text as it stands in an entry, or a new one.
    fn text(&self, text: &str) -> Arc<str> {
        let text = text.get(..text.floor_char_boundary(TEXT)).unwrap_or_default();
        let known =
            self.0.iter().rev().filter_map(|entry| entry.text.as_ref()).find(|known| &***known == text);
        known.map_or_else(|| text.into(), Arc::clone)
    }

    /// What it takes now, texts that are shared counted once for each entry.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        let text = |entry: &Entry| entry.text.as_ref().map_or(0, |text| text.len() + 2 * size_of::<usize>());
        self.0.capacity() * size_of::<Entry>() + self.0.iter().map(text).sum::<usize>()
    }
}

/// The nearest ranks.
fn quantiles(latencies: &mut [u32]) -> Option<Quantiles> {
    latencies.sort_unstable();
    let rank = |percent: usize| {
        let nth = (latencies.len() * percent).div_ceil(100).saturating_sub(1);
        latencies.get(nth).map(|&micros| Duration::from_micros(micros.into()))
    };
    Some(Quantiles { p50: rank(50)?, p95: rank(95)? })
}

/// Up to 584,000 years.
fn micros(at: Duration) -> u64 {
    u64::try_from(at.as_micros()).unwrap_or(u64::MAX)
}

fn short(latency: Duration) -> u32 {
    u32::try_from(latency.as_micros()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
