//! What the load generator counted in one window, and its JSON line.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use hdrhistogram::Histogram;

/// Why an exchange did not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The connection was not established.
    Connect,
    /// The connection ended before the answer did.
    Closed,
    /// No readable head, or an answer to nothing.
    Malformed,
    /// A body of another length than expected, or without an announced length.
    Length,
    /// A body with other bytes than the origin's.
    Corrupt,
    /// No whole answer in time.
    Timeout,
}

/// Every fault with the name that the report uses.
const FAULTS: [(Fault, &str); 6] = [
    (Fault::Connect, "connect"),
    (Fault::Closed, "closed"),
    (Fault::Malformed, "malformed"),
    (Fault::Length, "length"),
    (Fault::Corrupt, "corrupt"),
    (Fault::Timeout, "timeout"),
];

/// Counters of one window.
pub struct Tally {
    /// Good answers.
    pub answers: u64,
    /// Requests handed to a connection.
    pub sent: u64,
    /// Connections established.
    pub connects: u64,
    /// Idle connections that the proxy closed.
    pub idle_closed: u64,
    /// Bytes of answer bodies.
    pub bytes: u64,
    faults: [u64; FAULTS.len()],
    statuses: BTreeMap<u16, u64>,
    latency: Histogram<u64>,
    slow_from: u64,
    /// When they were due, and what they took, in nanoseconds.
    slow: Vec<(u64, u64)>,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            answers: 0,
            sent: 0,
            connects: 0,
            idle_closed: 0,
            bytes: 0,
            faults: [0; FAULTS.len()],
            statuses: BTreeMap::new(),
            // 1 µs to 100 s with three digits; what is outside is clamped.
            latency: Histogram::new_with_bounds(1_000, 100_000_000_000, 3).expect("bounds are in order"),
            slow_from: u64::MAX,
            slow: Vec::new(),
        }
    }
}

impl Tally {
    /// An empty one that keeps answers which take longer than so many nanoseconds one by one.
    pub fn with_slow_from(slow_from: u64) -> Self {
        Self { slow_from, ..Self::default() }
    }

    /// Counts a fault.
    pub fn fault(&mut self, fault: Fault) {
        self.faults[fault as usize] += 1;
    }

    /// Counts a whole answer with the expected length; both times in nanoseconds.
    pub fn answer(&mut self, status: u16, due: u64, latency: u64) {
        if status == 200 {
            self.answers += 1;
            if latency > self.slow_from {
                self.slow.push((due, latency));
            }
            self.latency.saturating_record(latency);
        } else {
            *self.statuses.entry(status).or_default() += 1;
        }
    }

    /// Everything that was answered or went wrong.
    pub fn finished(&self) -> u64 {
        self.answers + self.faults.iter().sum::<u64>() + self.statuses.values().sum::<u64>()
    }

    /// The members of the report's JSON object.
    pub fn json(&self, seconds: f64) -> String {
        let Self { answers, sent, connects, idle_closed, bytes, .. } = self;
        let mut out = format!(
            "\"seconds\":{seconds:.6},\"requests\":{answers},\"sent\":{sent},\"connects\":{connects},\
             \"idle_closed\":{idle_closed},\"bytes\":{bytes},\"errors\":{{"
        );
        for (fault, name) in FAULTS {
            let comma = if fault as usize == 0 { "" } else { "," };
            let _ = write!(out, "{comma}\"{name}\":{}", self.faults[fault as usize]);
        }
        for (status, count) in &self.statuses {
            let _ = write!(out, ",\"status_{status}\":{count}");
        }
        let at = |quantile: f64| self.latency.value_at_quantile(quantile) as f64 / 1e3;
        let _ = write!(
            out,
            "}},\"latency_us\":{{\"p50\":{:.1},\"p90\":{:.1},\"p99\":{:.1},\"p999\":{:.1},\"max\":{:.1}}}",
            at(0.5),
            at(0.9),
            at(0.99),
            at(0.999),
            self.latency.max() as f64 / 1e3
        );
        out
    }
    /// The slow ones, as a member of the same object: `[due, latency]`, in seconds of the monotonic clock and in µs.
    pub fn slow(&self, start: f64) -> String {
        let mut out = String::from("\"slow\":[");
        for (nth, (due, latency)) in self.slow.iter().enumerate() {
            let comma = if nth == 0 { "" } else { "," };
            let (due, latency) = (start + *due as f64 / 1e9, *latency as f64 / 1e3);
            let _ = write!(out, "{comma}[{due:.6},{latency:.0}]");
        }
        out.push(']');
        out
    }
}
