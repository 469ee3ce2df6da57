//! Whether a failed attempt is made again at another server.
//!
//! Three things have to agree: the failure itself ([`Failure::retry`]: can a server have acted on the
//! request?), the operator's rules ([`RetryRules`]: which failures, how many attempts), and the pool's
//! [`RetryBudget`], which keeps retries from multiplying the load of a pool that is failing already. A
//! request whose first answer byte went to the client is never tried again; the caller does not ask then.

mod budget;

use loadweaver_config::{Retry, RetryOn};

pub use budget::RetryBudget;

use crate::failure::{Failure, RetryKind, RetryRule};

/// What is known of an attempt that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempted {
    /// Why it failed.
    pub failure: Failure,
    /// Whether any byte of the request was written to the server's connection.
    pub bytes_sent: bool,
    /// Whether the method may be repeated without harm; see [`is_idempotent`].
    pub idempotent: bool,
    /// Whether all that was read of the request's body is still there to be sent again.
    pub replayable: bool,
}

/// A pool's rules for trying again.
#[derive(Debug, Clone)]
pub struct RetryRules {
    attempts: u32,
    on: RetryOn,
    non_idempotent: bool,
}

impl RetryRules {
    /// The rules that the operator wrote.
    pub fn new(retry: &Retry) -> Self {
        Self { attempts: retry.attempts.max(1), on: retry.on.clone(), non_idempotent: retry.non_idempotent }
    }

    /// How many attempts an exchange may make, the first one included; at least 1. The caller counts.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Whether a failed attempt may be followed by another one.
    pub fn after_failure(&self, attempted: &Attempted) -> bool {
        let governed = match attempted.failure.kind() {
            RetryKind::ConnectFailure => self.on.connect_failure,
            RetryKind::Reset => self.on.reset,
            RetryKind::Timeout => self.on.timeout,
            RetryKind::None => false,
        };
        let harmless = match attempted.failure.retry() {
            RetryRule::Always => true,
            RetryRule::IfIdempotent => !attempted.bytes_sent || attempted.idempotent || self.non_idempotent,
            RetryRule::Never => false,
        };
        governed && harmless && attempted.replayable && self.attempts > 1
    }

    /// Whether an answer with this status may be thrown away in favour of another attempt. The server has
    /// seen the request, so the method decides. When this says no, the client gets the answer as it is.
    pub fn after_status(&self, status: u16, idempotent: bool, replayable: bool) -> bool {
        let listed = self.on.statuses.iter().any(|range| range.contains(status));
        listed && (idempotent || self.non_idempotent) && replayable && self.attempts > 1
    }

    /// Whether a gRPC call that was answered with UNAVAILABLE, and nothing else, may be made again. Calls are POSTs, of
    /// which nothing says whether they may be made twice: the operator who writes the word says it for them.
    pub fn after_unavailable(&self, replayable: bool) -> bool {
        self.on.unavailable && replayable && self.attempts > 1
    }
}

/// Whether a request may be made twice with the effect of once (RFC 9110 section 9.2.2). Methods are
/// case-sensitive, and one that we do not know is taken for harmful.
pub fn is_idempotent(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "OPTIONS" | "TRACE" | "PUT" | "DELETE")
}

#[cfg(test)]
mod tests;
