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
    /// The server is a process of ours that ended, and this is how: nobody is there, whatever requests saw.
    ProcessEnded(String),
}

/// What was wrong with a probe. `Display` is the text for the operator, [`ProbeFailure::fault`] the word for it.
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
    /// A body without what `healthCheck.expectBody` asks for.
    Body(String),
    /// A header that `healthCheck.expectHeaders` asks for is missing, or has another value.
    Header(String),
    /// A `grpc` probe was answered with something other than SERVING.
    Grpc(String),
    /// The program of an `exec` probe did not exit with 0, or could not be started.
    Program(String),
    /// Somebody is there and TLS with them failed, for the reason that is given.
    Tls(String),
    /// The server's name has no address.
    Resolve(String),
}

/// What was wrong with a probe, in a word that programs can compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProbeFault {
    /// See [`ProbeFailure::Connect`].
    Connect,
    /// See [`ProbeFailure::Resolve`].
    Resolve,
    /// See [`ProbeFailure::Timeout`].
    Timeout,
    /// See [`ProbeFailure::Slow`].
    Slow,
    /// See [`ProbeFailure::Tls`].
    Tls,
    /// See [`ProbeFailure::BadAnswer`].
    Answer,
    /// See [`ProbeFailure::Status`].
    Status,
    /// See [`ProbeFailure::Header`].
    Header,
    /// See [`ProbeFailure::Body`].
    Body,
    /// See [`ProbeFailure::Grpc`].
    Grpc,
    /// See [`ProbeFailure::Program`].
    Program,
}

impl ProbeFault {
    /// Every one, in the order of the documentation.
    pub const ALL: [Self; 11] = [
        Self::Connect,
        Self::Resolve,
        Self::Timeout,
        Self::Slow,
        Self::Tls,
        Self::Answer,
        Self::Status,
        Self::Header,
        Self::Body,
        Self::Grpc,
        Self::Program,
    ];

    /// The word.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Connect => "probe_connect",
            Self::Resolve => "probe_resolve",
            Self::Timeout => "probe_timeout",
            Self::Slow => "probe_slow",
            Self::Tls => "probe_tls",
            Self::Answer => "probe_answer",
            Self::Status => "probe_status",
            Self::Header => "probe_header",
            Self::Body => "probe_body",
            Self::Grpc => "probe_grpc",
            Self::Program => "probe_program",
        }
    }
}

/// What took a server out, in a word that programs can compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Probes.
    Probe(ProbeFault),
    /// An attempt, or several.
    Request(Failure),
    /// Answers with a status that `passiveHealth.onStatus` lists.
    Status,
    /// Its process ended.
    Process,
}

impl Cause {
    /// The word: that of the probe, the failure's code, `request_status`, `process_ended`.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Probe(fault) => fault.code(),
            Self::Request(failure) => failure.code(),
            Self::Status => "request_status",
            Self::Process => "process_ended",
        }
    }
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
            | Self::ProcessEnded(_)
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
            Self::Connect(_)
            | Self::Timeout
            | Self::Slow { .. }
            | Self::BadAnswer(_)
            | Self::Body(_)
            | Self::Header(_)
            | Self::Grpc(_)
            | Self::Program(_)
            | Self::Tls(_)
            | Self::Resolve(_) => None,
        }
    }

    /// The word for it.
    pub const fn fault(&self) -> ProbeFault {
        match self {
            Self::Connect(_) => ProbeFault::Connect,
            Self::Timeout => ProbeFault::Timeout,
            Self::Status(_) => ProbeFault::Status,
            Self::Slow { .. } => ProbeFault::Slow,
            Self::BadAnswer(_) => ProbeFault::Answer,
            Self::Body(_) => ProbeFault::Body,
            Self::Header(_) => ProbeFault::Header,
            Self::Grpc(_) => ProbeFault::Grpc,
            Self::Program(_) => ProbeFault::Program,
            Self::Tls(_) => ProbeFault::Tls,
            Self::Resolve(_) => ProbeFault::Resolve,
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
            Self::Body(problem) | Self::Header(problem) | Self::Grpc(problem) | Self::Program(problem) => {
                f.write_str(problem)
            }
            Self::Tls(cause) => write!(f, "TLS: {cause}"),
            Self::Resolve(cause) => write!(f, "name cannot be resolved: {cause}"),
        }
    }
}
