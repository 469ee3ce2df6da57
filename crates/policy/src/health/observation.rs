//! What witnesses say of a server.

use std::fmt;
use std::time::Duration;

use crate::failure::{Blame, Failure};

/// Something that was seen of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Observation {
    /// A probe was answered as it should be.
    ProbeOk {
        /// From the start of the probe to its verdict.
        latency: Duration,
        /// The status of the answer, where there was one.
        status: Option<u16>,
    },
    /// A probe was not answered as it should be.
    ProbeFailed {
        /// What was wrong.
        failure: ProbeFailure,
        /// From the start of the probe to its verdict.
        latency: Duration,
    },
    /// The server refused the connection of an attempt.
    ConnectRefused,
    /// An attempt failed.
    RequestFailed(Failure),
    /// An attempt was answered with this status; it counts if `passiveHealth.onStatus` lists it.
    StatusFailed(u16),
}

/// What was wrong with a probe. `Display` is the text for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeFailure {
    /// No connection, for the reason that the system gave.
    Connect(String),
    /// No whole answer within `healthCheck.timeout`.
    Timeout,
    /// A status outside `healthCheck.expectStatus`.
    Status(u16),
    /// Answered well, but slower than `healthCheck.maxLatency`.
    Slow {
        /// What it took.
        latency: Duration,
        /// What was allowed.
        limit: Duration,
    },
    /// An answer that is no HTTP, or none that we can read.
    BadAnswer(String),
    /// The server's name has no address.
    Resolve(String),
}

/// Whether anybody is there who could take a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    Somebody,
    Nobody,
}

impl Observation {
    /// What this says of whether somebody listens; nothing, where it may be the network that is slow.
    pub(super) fn presence(&self) -> Option<Presence> {
        match self {
            Self::ProbeFailed { failure: ProbeFailure::Connect(_) | ProbeFailure::Resolve(_), .. }
            | Self::ConnectRefused
            | Self::RequestFailed(
                Failure::ConnectRefused | Failure::ConnectFailed | Failure::ResolveFailed,
            ) => Some(Presence::Nobody),
            Self::RequestFailed(Failure::ConnectTimeout) => None,
            Self::RequestFailed(failure) => (failure.blame() == Blame::Server).then_some(Presence::Somebody),
            Self::ProbeOk { .. } | Self::ProbeFailed { .. } | Self::StatusFailed(_) => {
                Some(Presence::Somebody)
            }
        }
    }
}

impl ProbeFailure {
    /// The status of the answer, where there was one.
    pub(super) fn status(&self) -> Option<u16> {
        match self {
            Self::Status(status) => Some(*status),
            Self::Connect(_) | Self::Timeout | Self::Slow { .. } | Self::BadAnswer(_) | Self::Resolve(_) => {
                None
            }
        }
    }
}

impl fmt::Display for ProbeFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(cause) => write!(f, "cannot connect: {cause}"),
            Self::Timeout => f.write_str("no answer in time"),
            Self::Status(status) => write!(f, "answered with status {status}"),
            Self::Slow { latency, limit } => write!(f, "took {latency:?}, allowed are {limit:?}"),
            Self::BadAnswer(cause) => write!(f, "bad answer: {cause}"),
            Self::Resolve(cause) => write!(f, "name cannot be resolved: {cause}"),
        }
    }
}
