//! What a connection may cost.
//!
//! Bodies: all that is unread of them is [`Limits::buffered`] at most (and what is left of one frame), because the
//! connection's window is opened only as far as that allows. A stream begins with a window of 64 KiB at most, and gets
//! [`Limits::stream_window`] once its reader keeps up. So readers that do not keep up hold 64 KiB each and leave the
//! connection's window to the others: it is opened when data comes, not when it is read.
//!
//! Heads: one decoded head for each stream that nobody has taken yet, of which one that is refused has only method and
//! target left ([`SHOWN_TARGET`]), one block under way (at most twice [`Limits::head`] compressed), two compression
//! tables of 8 KiB. Output: [`Limits::output`], heads and control frames beside it; those are bounded by the streams and
//! by [`QUEUED_ACKS`].
//!
//! The rates below are token buckets: so many at once, so many a second. What an honest peer does in proportion to the
//! work that it has done earns tokens back, so that a busy connection is not mistaken for an attack.

use crate::bucket::Rate;

/// The bounds of one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Streams at once; for a server, those that were not released yet.
    pub max_streams: u32,
    /// Bytes that a stream whose reader keeps up may have on the way.
    pub stream_window: u32,
    /// Bytes that the connection may have on the way.
    pub connection_window: u32,
    /// Bytes of bodies that wait to be read, of all streams.
    pub buffered: usize,
    /// Bytes of output above which no more data is taken.
    pub output: usize,
    /// Size of a head, counted by RFC 7541 section 4.1: names, values, and 32 for each field.
    pub head: usize,
    /// Fields of a head, cookies counted as they come.
    pub fields: usize,
    /// Bytes of a path.
    pub target: usize,
    /// Whether a server takes extended CONNECT (RFC 8441), which WebSocket needs.
    pub allow_connect_protocol: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_streams: 128,
            stream_window: 256 * 1024,
            connection_window: 1024 * 1024,
            buffered: 4 * 1024 * 1024,
            output: 64 * 1024,
            head: 32 * 1024,
            fields: 100,
            target: 8 * 1024,
            allow_connect_protocol: true,
        }
    }
}

impl Limits {
    /// [`RAPID_RESET`], or as many at once as twice what may be open: whoever may have it open may cancel it, and what
    /// is opened in its place as well. The rate in the long run is the same.
    pub(crate) fn rapid_reset(&self) -> Rate {
        let burst = RAPID_RESET.burst.max(self.max_streams.saturating_mul(2));
        Rate { burst, ..RAPID_RESET }
    }

    /// [`LARGE_HEADS`], or as many at once as may be open: what is wrong with one request of a page is wrong with all.
    pub(crate) fn large_heads(&self) -> Rate {
        Rate { burst: LARGE_HEADS.burst.max(self.max_streams), ..LARGE_HEADS }
    }

    /// Bytes of a compressed block. A head above its limit must still be decoded, or the connection is lost with the
    /// state of its compression; this is how far we go for that.
    pub(crate) fn block(&self) -> usize {
        self.head.saturating_mul(2).max(crate::frame::MAX_FRAME as usize)
    }

    /// Size of a decoded head that no honest peer sends: small blocks that grow so large are made for it
    /// (CVE-2016-6581).
    pub(crate) fn bomb(&self) -> usize {
        self.head.saturating_mul(16).max(1 << 20)
    }

    /// The window that a stream begins with. Not above the protocol's default: it cannot be taken back from a reader
    /// that then does not read.
    pub(crate) fn first_window(&self) -> u32 {
        self.stream_window.min(crate::window::DEFAULT)
    }
}

/// Cancelled exchanges (CVE-2023-44487). A closed page cancels what it has open, a hundred or so; an exchange that is
/// not cancelled earns one. Where more streams are allowed at once, so are more of these: see
/// `Limits::rapid_reset`.
pub const RAPID_RESET: Rate = Rate { burst: 400, per_second: 50 };

/// Exchanges that we had to reset for what the peer did on them (CVE-2025-8671). An honest peer does nothing of the
/// kind, but one with a fault does it now and then.
pub const MADE_YOU_RESET: Rate = Rate { burst: 64, per_second: 8 };

/// Malformed requests (CVE-2019-9514).
pub const RESET_FLOOD: Rate = Rate { burst: 128, per_second: 16 };

/// Heads above [`Limits::head`] or [`Limits::fields`] (CVE-2023-45288: what is refused has to be decoded all the same).
/// Each gets its 431, because the usual sender is a browser whose cookies have grown and who repeats them on each
/// request: a page of a hundred files at once, and from then on as many as its user or a script asks for. An exchange
/// that is not refused earns one, so that a proxy whose many users share the connection does not lose it by one of them.
pub const LARGE_HEADS: Rate = Rate { burst: 128, per_second: 16 };

/// Requests above the number that is allowed at once. A peer may send as many as it likes until it has our SETTINGS.
pub const STREAM_FLOOD: Rate = Rate { burst: 512, per_second: 64 };

/// Frames of SETTINGS (CVE-2019-9515). One is usual, a few more where windows are tuned.
pub const SETTINGS_FLOOD: Rate = Rate { burst: 32, per_second: 2 };

/// Pings (CVE-2019-9512). gRPC measures its windows with one for each batch of data that it gets, so each frame that
/// we send it earns one.
pub const PING_FLOOD: Rate = Rate { burst: 128, per_second: 16 };

/// Frames with nothing in them (CVE-2019-9518).
pub const EMPTY_FRAMES: Rate = Rate { burst: 128, per_second: 16 };

/// Frames of PRIORITY (CVE-2019-9513), of WINDOW_UPDATE (CVE-2019-9511), of unknown types, and resets of what is over
/// already. Frames of data that are more than a dribble, and heads, earn a few.
pub const CHURN: Rate = Rate { burst: 1024, per_second: 128 };

/// What a frame earns against [`CHURN`]: an update of the stream and one of the connection, and something to spare.
pub(crate) const CHURN_EARNED: u32 = 4;

/// Data below which a frame is a dribble, made by a window that was opened by that little (CVE-2019-9511).
pub(crate) const DRIBBLE: usize = 256;

/// Frames of CONTINUATION in one block (CVE-2024-27316 and its kin). They are as long as HEADERS frames; whoever fills
/// them needs two for the largest block that we take.
pub const CONTINUATIONS: u32 = 16;

/// Acknowledgements and resets that wait for the peer to read (CVE-2019-9512, CVE-2019-9515).
pub const QUEUED_ACKS: u32 = 1024;

/// Size of the heads that are decoded before others have their turn: a page's hundred usual ones and more, and no more
/// than that, since each connection that there is may have so many in a round. Those that are refused for their size can
/// be a megabyte each when they are unpacked, out of a few bytes of one read.
pub const TURN: usize = 32 * 1024;

/// Bytes of the target that are kept of a request that is refused: enough to see in a log what it was about.
pub const SHOWN_TARGET: usize = 256;

/// Interim answers that wait to be taken, or that one answer may have in all. Nobody needs more than two or three.
pub const INTERIMS: u32 = 32;
