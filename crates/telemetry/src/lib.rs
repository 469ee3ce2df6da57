//! What happened, named once.
//!
//! Everything that an operator can learn about a running node comes from here: an [`event::Event`] is something
//! worth telling, a [`record::Record`] is the story of one exchange, the counters add both up. The request path
//! only ever touches relaxed atomics and a buffer of its own worker; whatever can be slow (a log file, a pipe whose
//! reader sleeps) is written by a thread of its own that may lose lines but never holds anybody up.

/// Records as lines of a file or pipe.
pub mod access_log;
/// Sums that the request path adds to.
pub mod counters;
/// What an operator wants to know, and who is told.
pub mod event;
/// How long things took, as quantiles.
pub mod latency;
/// Categories of the program's own log, and its way out.
pub mod log;
/// The last exchanges, attempt by attempt.
pub mod recent;
/// One exchange's story.
pub mod record;
/// Secrets out of what is shown.
pub mod redact;
/// Exchanges by where they came in and went to.
pub mod series;
/// An exchange and its attempts, for a collector of traces.
pub mod span;

/// The parts of a log line as bytes.
mod line;
/// The thread that writes for others.
mod sink;

pub use line::rfc3339;
