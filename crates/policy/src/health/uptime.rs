//! How much of the time a server was in.
//!
//! Time that the server was up counts as up, time that it was down or unstable does not, and time in which
//! nothing was known of it is left out. Since the start the sums are exact. For the last hour and the last day
//! they are kept in buckets of 30 seconds and of 6 minutes, and the answer is that for a window which begins
//! with a bucket: up to so much earlier than asked. Each bucket that is over is rounded to a millisecond (of
//! the hour) or 10 (of the day). All buckets together take 1,536 bytes.

use std::collections::VecDeque;
use std::time::Duration;

use super::State;

/// What an uptime is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Window {
    /// The last hour.
    Hour,
    /// The last 24 hours.
    Day,
    /// All the time that we have known the server.
    Start,
}

/// What a day's timeline is cut into.
pub const DAY_STEP: Duration = Duration::from_millis(DAY.width);

impl Window {
    /// Every window, the shortest first.
    pub const ALL: [Self; 3] = [Self::Hour, Self::Day, Self::Start];

    /// How operators read it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hour => "1h",
            Self::Day => "24h",
            Self::Start => "start",
        }
    }
}

/// The time accounted for so far.
#[derive(Debug, Clone)]
pub(super) struct Uptime {
    /// Up to when.
    until: Duration,
    total: Span,
    hour: Ring,
    day: Ring,
}

/// Time that is known, and how much of it the server was in.
#[derive(Debug, Clone, Copy, Default)]
struct Span {
    up: Duration,
    known: Duration,
}

#[derive(Debug, Clone)]
struct Ring {
    scale: &'static Scale,
    /// The number of the bucket that time goes into now.
    open: u64,
    filling: Span,
    /// The buckets before it, the last one at the back.
    closed: VecDeque<Bucket>,
}

/// A bucket that is over, in the units of its scale.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    up: u16,
    known: u16,
}

#[derive(Debug)]
struct Scale {
    window: Duration,
    /// A bucket's, in milliseconds.
    width: u64,
    /// What buckets that are over are counted in, in milliseconds: `width` of them fit into 16 bits.
    unit: u64,
    buckets: usize,
}

const HOUR: Scale = Scale { window: Duration::from_hours(1), width: 30_000, unit: 1, buckets: 120 };
const DAY: Scale = Scale { window: Duration::from_hours(24), width: 360_000, unit: 10, buckets: 240 };

impl Default for Uptime {
    fn default() -> Self {
        let (until, total) = (Duration::ZERO, Span::default());
        Self { until, total, hour: Ring::new(&HOUR), day: Ring::new(&DAY) }
    }
}

impl Uptime {
    /// Accounts for the time up to now, which the server spent in this state.
    pub(super) fn advance(&mut self, state: State, now: Duration) {
        let from = self.until;
        self.until = from.max(now);
        self.total.add(&Span::of(state, now.saturating_sub(from)));
        for ring in [&mut self.hour, &mut self.day] {
            ring.advance(state, from, now);
        }
    }

    /// The share of the known time in which the server was in; none if nothing is known. It has been in this
    /// state since what was accounted for last.
    pub(super) fn share(&self, window: Window, state: State, now: Duration) -> Option<f64> {
        let ring = match window {
            Window::Hour => &self.hour,
            Window::Day => &self.day,
            Window::Start => {
                let mut all = self.total;
                all.add(&Span::of(state, now.saturating_sub(self.until)));
                return all.share();
            }
        };
        let first = ring.scale.bucket(now.saturating_sub(ring.scale.window));
        let mut all = ring.since(first);
        let from = self.until.max(ring.scale.start(first));
        all.add(&Span::of(state, now.saturating_sub(from)));
        all.share()
    }
}

impl Uptime {
    /// The last day bucket by bucket, the oldest first: of each the share of its known time in which the server was in.
    /// The last one is the one that time goes into now.
    pub(super) fn day(&self, state: State, now: Duration) -> Vec<Option<f64>> {
        let mut until_now = self.clone();
        until_now.advance(state, now);
        let ring = &until_now.day;
        let kept = ring.closed.iter().map(|bucket| {
            let (up, known) = (f64::from(bucket.up), f64::from(bucket.known));
            (bucket.known > 0).then(|| (up / known).min(1.0))
        });
        let unknown = ring.scale.buckets - ring.closed.len();
        std::iter::repeat_n(None, unknown).chain(kept).chain([ring.filling.share()]).collect()
    }
}

impl Span {
    fn of(state: State, time: Duration) -> Self {
        match state {
            State::Unknown => Self::default(),
            State::Up => Self { up: time, known: time },
            State::Down | State::Unstable => Self { up: Duration::ZERO, known: time },
        }
    }

    fn add(&mut self, other: &Self) {
        self.up += other.up;
        self.known += other.known;
    }

    fn share(&self) -> Option<f64> {
        (!self.known.is_zero()).then(|| self.up.div_duration_f64(self.known).min(1.0))
    }
}

impl Ring {
    fn new(scale: &'static Scale) -> Self {
        Self { scale, open: 0, filling: Span::default(), closed: VecDeque::new() }
    }

    fn advance(&mut self, state: State, mut from: Duration, now: Duration) {
        let reaches = self.scale.bucket(now).saturating_sub(self.scale.buckets as u64);
        if self.open < reaches {
            // Nothing is kept of what lies further back, and a step for each of its buckets would be too many.
            let kept = usize::try_from(reaches - self.open).unwrap_or(usize::MAX);
            if kept > self.scale.buckets {
                self.closed.clear();
                (self.open, self.filling) = (reaches, Span::default());
                from = from.max(self.scale.start(reaches));
            }
        }
        while from < now {
            let end = self.scale.start(self.open + 1);
            let stop = now.min(end);
            self.filling.add(&Span::of(state, stop.saturating_sub(from)));
            from = from.max(stop);
            if stop == end {
                self.close();
            }
        }
    }

    fn close(&mut self) {
        let full = std::mem::take(&mut self.filling);
        if self.closed.len() >= self.scale.buckets {
            self.closed.pop_front();
        }
        self.closed.push_back(Bucket { up: self.scale.units(full.up), known: self.scale.units(full.known) });
        self.open += 1;
    }

    /// All that is kept from this bucket on.
    fn since(&self, first: u64) -> Span {
        let wanted = usize::try_from(self.open.saturating_sub(first)).unwrap_or(usize::MAX);
        let (mut up, mut known) = (0, 0);
        for bucket in self.closed.iter().rev().take(wanted) {
            up += u64::from(bucket.up);
            known += u64::from(bucket.known);
        }
        let time = |units: u64| Duration::from_millis(units * self.scale.unit);
        let mut all = Span { up: time(up), known: time(known) };
        if self.open >= first {
            all.add(&self.filling);
        }
        all
    }
}

impl Scale {
    /// The number of the bucket that this time lies in.
    fn bucket(&self, at: Duration) -> u64 {
        u64::try_from(at.as_millis()).unwrap_or(u64::MAX) / self.width
    }

    /// When a bucket begins.
    fn start(&self, bucket: u64) -> Duration {
        Duration::from_millis(bucket.saturating_mul(self.width))
    }

    fn units(&self, time: Duration) -> u16 {
        let unit = u128::from(self.unit) * 1_000;
        u16::try_from((time.as_micros() + unit / 2) / unit).unwrap_or(u16::MAX)
    }
}

#[cfg(test)]
mod tests;
