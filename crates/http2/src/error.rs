//! Why a connection ends before its time, and why a request is refused.

use crate::code::Code;

/// The connection is over, by a fault of the peer's. What is left to do is to write the output, which ends with the
/// GOAWAY, and to close.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// What the peer is told.
    pub code: Code,
    /// What we know.
    pub why: Why,
}

/// What the peer did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It made more work than anybody needs to; the code is ENHANCE_YOUR_CALM.
    Abuse(Abuse),
    /// It broke the protocol.
    Violation(Violation),
}

impl Why {
    /// The name for logs, events and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Why::Abuse(abuse) => abuse.name(),
            Why::Violation(violation) => violation.name(),
        }
    }
}

macro_rules! abuses {
    ($($(#[$doc:meta])* $variant:ident, $name:literal, $cve:literal;)*) => {
        /// A known attack, or what cannot be told from one. Each is held to a rate or a count of [`crate::limits`].
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Abuse {
            $($(#[$doc])* $variant,)*
        }

        impl Abuse {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The name for events and metrics.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Where the attack was described.
            pub fn cve(self) -> &'static str {
                match self { $(Self::$variant => $cve,)* }
            }
        }
    };
}

abuses! {
    /// Requests that are cancelled as fast as they are sent.
    RapidReset, "rapid_reset", "CVE-2023-44487";
    /// Streams that we had to reset after they had become exchanges, because of what the peer did on them.
    MadeYouReset, "made_you_reset", "CVE-2025-8671";
    /// Requests that are no requests, each of which has us send a reset.
    ResetFlood, "reset_flood", "CVE-2019-9514";
    /// More requests at once than were allowed, again and again.
    StreamFlood, "stream_flood", "CVE-2023-44487";
    /// A header block in more pieces than it has reason to, or without an end.
    ContinuationFlood, "continuation_flood", "CVE-2024-27316";
    /// Frames that carry nothing and end nothing.
    EmptyFrames, "empty_frames", "CVE-2019-9518";
    /// Settings, each of which has to be acknowledged.
    SettingsFlood, "settings_flood", "CVE-2019-9515";
    /// Pings, each of which has to be answered.
    PingFlood, "ping_flood", "CVE-2019-9512";
    /// Answers to the peer's frames that it does not read.
    AckQueue, "ack_queue", "CVE-2019-9515";
    /// Priorities, window updates and resets of what is over: cheap to send, and good for nothing in such numbers.
    /// CVE-2019-9511 is the kind with tiny windows.
    Churn, "churn", "CVE-2019-9513";
    /// A header list that is many times larger than what it came in.
    HpackBomb, "hpack_bomb", "CVE-2016-6581";
    /// Heads that are too large, again and again: each has to be decoded to its end before it is refused.
    LargeHeads, "large_heads", "CVE-2023-45288";
}

macro_rules! violations {
    ($($(#[$doc:meta])* $variant:ident, $name:literal, $code:ident;)*) => {
        /// What the peer did against RFC 9113 that ends a connection.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Violation {
            $($(#[$doc])* $variant,)*
        }

        impl Violation {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The name for logs and metrics.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// What the peer is told.
            pub fn code(self) -> Code {
                match self { $(Self::$variant => Code::$code,)* }
            }
        }
    };
}

violations! {
    /// The connection does not begin as it has to (section 3.4).
    Preface, "bad_preface", PROTOCOL_ERROR;
    /// A frame longer than we allow, or of a length that its type does not have (section 4.2).
    FrameSize, "bad_frame_size", FRAME_SIZE_ERROR;
    /// A header block that cannot be decoded (section 4.3).
    Compression, "bad_compression", COMPRESSION_ERROR;
    /// A header block that is interrupted, or continued where there is none (section 6.10).
    Continuation, "bad_continuation", PROTOCOL_ERROR;
    /// A stream of the wrong side, or with a number that was passed over (section 5.1.1).
    StreamNumber, "bad_stream_number", PROTOCOL_ERROR;
    /// A frame for a stream that was never opened (section 5.1).
    IdleStream, "idle_stream", PROTOCOL_ERROR;
    /// A frame for a stream that the peer itself has ended (section 5.1).
    ClosedStream, "closed_stream", STREAM_CLOSED;
    /// A frame of the connection with the number of a stream, or the other way round.
    WrongStream, "wrong_stream", PROTOCOL_ERROR;
    /// Padding that is longer than the frame (section 6.1).
    Padding, "bad_padding", PROTOCOL_ERROR;
    /// A stream that depends on itself (RFC 7540 section 5.3.1).
    Dependency, "bad_dependency", PROTOCOL_ERROR;
    /// A setting with a value that it cannot have (section 6.5.2).
    Setting, "bad_setting", PROTOCOL_ERROR;
    /// A window that grew beyond 2^31-1 (section 6.9.1), or a setting that would have it so.
    WindowOverflow, "window_overflow", FLOW_CONTROL_ERROR;
    /// A window that was to grow by nothing (section 6.9).
    WindowIncrement, "bad_window_increment", PROTOCOL_ERROR;
    /// More data than the connection's window allowed (section 6.9).
    WindowExceeded, "window_exceeded", FLOW_CONTROL_ERROR;
    /// The transport was lost; nothing that the peer did, and nothing it can be told.
    Lost, "lost", CONNECT_ERROR;
    /// A push, which nobody may send to us (section 8.4).
    Push, "push_promise", PROTOCOL_ERROR;
}

impl From<Violation> for Ended {
    fn from(violation: Violation) -> Self {
        Self { code: violation.code(), why: Why::Violation(violation) }
    }
}

impl From<Abuse> for Ended {
    fn from(abuse: Abuse) -> Self {
        Self { code: Code::ENHANCE_YOUR_CALM, why: Why::Abuse(abuse) }
    }
}

/// A request that is well-formed but cannot be served. What is known of its head is in the head; it has to be
/// answered by [`crate::Connection::respond_with`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// A head above the limit, for a 431.
    TooLarge,
    /// A path above the limit, for a 414.
    TargetTooLong,
    /// An expectation that nobody can meet, for a 417.
    Expectation,
    /// The stream is gone: there is nobody to answer.
    Gone,
}

/// Why no stream can be opened right now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoRoom {
    /// As many are open as the peer, or we, allow.
    Streams,
    /// Too much waits to be read, or to be sent: an exchange here would have to stand behind it.
    Busy,
    /// Never again: the peer said GOAWAY, we did, the connection ended, or the numbers are used up.
    Closed,
}
