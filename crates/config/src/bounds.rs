//! The least and the most of every setting, in one place: the checker and the JSON Schema both read it.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::quantity::DurationBounds;

/// Whole numbers from one to another, both included.
pub(crate) type Whole = RangeInclusive<u64>;

pub(crate) const WORKERS: Whole = 0..=1_024;
pub(crate) const PORT: Whole = 1..=65_535;
/// 0 lets the system choose.
pub(crate) const BIND_PORT: Whole = 0..=65_535;
pub(crate) const WEIGHT: Whole = 0..=1_000;
pub(crate) const MAX_CONNECTIONS: Whole = 0..=10_000_000;
pub(crate) const RISE_FALL: Whole = 1..=100;
pub(crate) const FAILURES: Whole = 0..=1_000_000;
pub(crate) const ATTEMPTS: Whole = 1..=10;
pub(crate) const BUDGET_PERCENT: Whole = 0..=100;
pub(crate) const BUDGET_FLOOR: Whole = 0..=1_000_000;
pub(crate) const MAX_IDLE: Whole = 0..=1_000_000;
pub(crate) const HEADERS: Whole = 1..=256;
/// Up to where every reader of JSON agrees on whole numbers.
pub(crate) const COUNT: Whole = 0..=9_007_199_254_740_991;
pub(crate) const FALLBACK_STATUS: Whole = 200..=599;
pub(crate) const PERCENT: Whole = 0..=100;
pub(crate) const FLAP_LIMIT: Whole = 0..=1_000;
/// A penalty that halves again and again never gets to 0.
pub(crate) const FLAP_REUSE: Whole = 1..=1_000;
/// Attempts of a recovery, and those of a delivery: each is spaced by pauses of seconds and more.
pub(crate) const TRIES: Whole = 1..=1_000;
pub(crate) const MAX_CONCURRENT: Whole = 1..=1_000;
pub(crate) const FILES_KEPT: Whole = 0..=1_000;
/// Fields of one line: every one there is, and more headers than anybody reads.
pub(crate) const LOG_FIELDS: usize = 64;
/// Names of one kind that are redacted beside the defaults.
pub(crate) const REDACTED_NAMES: usize = 256;
/// A file of events or of exchanges is at least big enough for some of them.
pub(crate) const EVENT_FILE: Whole = 64 * KIB..=1024 * 1024 * MIB;

pub(crate) const BUFFER_BODY: Whole = 0..=16 * MIB;
pub(crate) const HEAD: Whole = KIB..=256 * KIB;
pub(crate) const TARGET: Whole = 256..=256 * KIB;
pub(crate) const TRAILERS: Whole = 256..=256 * KIB;
/// Exchanges at once on a connection of HTTP/2: each may hold a head and 64 KiB of a body.
pub(crate) const STREAMS: Whole = 1..=1_000;
/// A body on the way. Below, every frame would need its own leave; above, a connection could not keep its memory.
pub(crate) const STREAM_WINDOW: Whole = 16 * KIB..=4 * MIB;
/// Not below what the protocol begins with (RFC 9113 section 6.9.2).
pub(crate) const CONNECTION_WINDOW: Whole = 64 * KIB..=4 * MIB;

/// Longest body of a fallback, in bytes: it is kept in memory and sent from there.
pub(crate) const FALLBACK_BODY: usize = 1024 * 1024;
/// Longest regular expression, in bytes.
pub(crate) const REGEX_TEXT: usize = 4_096;
/// Most routes with a `pathRegex`: each may take [`MAX_REGEX_SIZE`](crate::MAX_REGEX_SIZE) of memory.
pub(crate) const REGEX_ROUTES: usize = 1_000;
/// Handshakes under way at a time: each may take 32 KiB.
pub(crate) const MAX_HANDSHAKES: Whole = 1..=1_000_000;
pub(crate) const REDIRECT_STATUS: Whole = 301..=308;
/// Most certificates of one listener: each is looked at several times a second for changes.
pub(crate) const CERTIFICATES: usize = 1_000;
/// Most listeners.
pub(crate) const LISTENERS: usize = 256;

/// Addresses of one listener: each is a socket for each worker.
pub(crate) const BINDS: usize = 64;
/// Longest path of a file: what Linux takes.
pub(crate) const FILE_PATH: usize = 4_095;

/// Longest text that a probe looks for in a body, in bytes.
pub(crate) const EXPECTED_TEXT: usize = 4_096;
/// Name of a service that a probe asks about, in bytes: the longest of protobuf's are far from it.
pub(crate) const PROBED_SERVICE: usize = 512;
/// Most headers in one object of them.
pub(crate) const HEADER_FIELDS: usize = 64;
/// Most arguments of a program, its own path included, and most variables of its environment.
pub(crate) const ARGUMENTS: usize = 256;
/// Longest argument, and longest variable, in bytes: Linux takes 128 KiB for one.
pub(crate) const ARGUMENT: usize = 64 * 1024;
/// Longest body that a recovery sends, in bytes.
pub(crate) const CALL_BODY: usize = 64 * 1024;
/// Longest URL, in bytes.
pub(crate) const URL: usize = 2_048;
/// Most webhooks: each has a queue and a history of its own.
pub(crate) const WEBHOOKS: usize = 64;
/// Spans of one request to a collector: with the largest that there are it is 24 MiB.
pub(crate) const SPAN_BATCH: RangeInclusive<u64> = 1..=4_096;
/// Spans that may wait for a collector: some 128 MiB of usual ones, 256 MiB of any.
pub(crate) const SPAN_QUEUE: RangeInclusive<u64> = 1..=262_144;
/// Longest name of a service, in bytes.
pub(crate) const SERVICE_NAME: usize = 255;
/// Most tokens: each request is held against every one of them.
pub(crate) const TOKENS: usize = 64;
/// Shortest token, in characters: 16 random letters and digits cannot be guessed.
pub(crate) const TOKEN_MIN: usize = 16;
/// Longest token and longest secret, in bytes.
pub(crate) const SECRET: usize = 1_024;
/// Most origins.
pub(crate) const ORIGINS: usize = 64;

/// A limit that is always on.
pub(crate) const WAIT: DurationBounds = DurationBounds { min: MS, max: YEAR, zero: None };
pub(crate) const CONNECT: DurationBounds =
    DurationBounds { min: MS, max: Duration::from_hours(1), zero: None };
/// A limit that 0 turns off.
pub(crate) const OPTIONAL: DurationBounds = DurationBounds { min: MS, max: YEAR, zero: Some("off") };
pub(crate) const INTERVAL: DurationBounds =
    DurationBounds { min: Duration::from_millis(10), max: Duration::from_hours(24), zero: None };
pub(crate) const PROBE_TIMEOUT: DurationBounds =
    DurationBounds { min: MS, max: Duration::from_hours(1), zero: None };
pub(crate) const WINDOW: DurationBounds =
    DurationBounds { min: Duration::from_millis(10), max: Duration::from_hours(24), zero: None };
pub(crate) const HOLD: DurationBounds = DurationBounds { min: MS, max: Duration::from_hours(24), zero: None };
pub(crate) const SLOW_START: DurationBounds =
    DurationBounds { min: MS, max: Duration::from_hours(24), zero: Some("off") };
pub(crate) const HALF_LIFE: DurationBounds =
    DurationBounds { min: Duration::from_millis(10), max: Duration::from_hours(24), zero: None };
/// How long something is waited for that may be done at once.
pub(crate) const PATIENCE: DurationBounds =
    DurationBounds { min: MS, max: Duration::from_hours(24), zero: Some("at once") };
/// Between attempts, and for their success.
pub(crate) const PAUSE: DurationBounds =
    DurationBounds { min: MS, max: Duration::from_hours(24), zero: None };
/// What browsers remember.
pub(crate) const MAX_AGE: DurationBounds = DurationBounds {
    min: Duration::from_secs(1),
    max: Duration::from_hours(10 * 365 * 24),
    zero: Some("forget"),
};
/// What one action or delivery may take.
pub(crate) const ACTION: DurationBounds =
    DurationBounds { min: MS, max: Duration::from_hours(1), zero: None };

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const MS: Duration = Duration::from_millis(1);
const YEAR: Duration = Duration::from_hours(365 * 24);
