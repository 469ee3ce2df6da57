//! Spans: an exchange and its attempts, for a collector of traces.
//!
//! Which exchanges are told of is decided by a `Sampler`, at their begin (servers are told so) and again at their
//! end (what failed may be told of in any case). A worker writes what it tells in the form that goes over the wire,
//! protobuf, into a buffer of its own, and hands over a piece at a time; whoever delivers puts pieces together and
//! never looks into them. So a span costs a worker no allocation, and what waits is bytes that can be counted.
//!
//! Names are those of OpenTelemetry's semantic conventions for HTTP (1.23, stable), and `loadweaver.…` for what they
//! have none for.

use std::time::Duration;

use loadweaver_config::Sampling;

mod context;
mod message;
mod queue;
mod story;

pub use context::{Parent, SpanId, TraceId};
pub use message::{envelope, rejected};
pub use queue::{Piece, SpanQueue, SpanWriter};
pub use story::{AttemptSpan, ExchangeSpan, Scheme};

/// Decides which exchanges are told of.
#[derive(Debug, Clone, Copy)]
pub struct Sampler {
    /// What the random part of an id has to reach, of [`WHOLE`].
    threshold: u64,
    parent: bool,
    failures: bool,
}

/// The random part of a trace's id is its last 56 bits (W3C Trace Context level 2, section 2.2.2.5).
const WHOLE: u64 = 1 << 56;

impl Sampler {
    /// As configured.
    pub fn new(sampling: Sampling) -> Self {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a part of 2^56, and to how many digits does not matter"
        )]
        let threshold = ((1.0 - sampling.ratio.clamp(0.0, 1.0)) * WHOLE as f64) as u64;
        Self { threshold, parent: sampling.parent, failures: sampling.failures }
    }

    /// Whether a trace is recorded. Nodes with the same ratio agree, because the id decides.
    pub fn takes(&self, trace: TraceId, parent: Option<&Parent>) -> bool {
        match parent {
            Some(parent) if self.parent => parent.is_sampled,
            _ => trace.randomness() >= self.threshold,
        }
    }

    /// Whether what failed is told of in any case.
    pub fn takes_failures(&self) -> bool {
        self.failures
    }
}

/// A point in time as spans have it: nanoseconds since 1970.
pub type UnixNanos = u64;

/// The time since 1970 as spans have it.
pub fn unix_nanos(since: Duration) -> UnixNanos {
    UnixNanos::try_from(since.as_nanos()).unwrap_or(UnixNanos::MAX)
}

#[cfg(test)]
mod tests;
