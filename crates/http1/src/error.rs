//! Why a message is refused.

use thiserror::Error;

/// Why a request head is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RequestError {
    /// The first line is not `method SP target SP version CRLF`.
    #[error("malformed request line")]
    Line,
    /// The target is none of the forms of RFC 9112 section 3.2, or has bytes that no target has.
    #[error("malformed request target")]
    Target,
    /// The target is longer than the limit.
    #[error("request target too long")]
    TargetTooLong,
    /// A version other than 1.0 and 1.1.
    #[error("unsupported protocol version")]
    Version,
    /// A header line that no strict reader takes: a space before the colon, a folded line, a control character,
    /// a bare CR or LF.
    #[error("malformed header line")]
    Header,
    /// More bytes or more fields than the limit.
    #[error("request head too large")]
    TooLarge,
    /// No `Host`, more than one, a malformed one, or one that disagrees with the target.
    #[error("missing, repeated, malformed or contradicting Host")]
    Host,
    /// The length of the body is not given in exactly one unambiguous way.
    #[error("ambiguous or malformed body length")]
    Framing,
    /// A transfer coding that is valid but not `chunked`.
    #[error("unsupported transfer coding")]
    TransferCoding,
    /// An expectation other than `100-continue`.
    #[error("unsupported expectation")]
    Expectation,
}

/// Why an answer's head is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ResponseError {
    /// The first line is not `version SP status SP reason CRLF` with a status from 100 to 599.
    #[error("malformed status line")]
    Line,
    /// A header line that no strict reader takes.
    #[error("malformed header line")]
    Header,
    /// More bytes or more fields than the limit.
    #[error("answer head too large")]
    TooLarge,
    /// The length of the body is not given in exactly one unambiguous way.
    #[error("ambiguous or malformed body length")]
    Framing,
}

/// Why a body is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BodyError {
    /// A chunk-size line that is no hexadecimal number, is too large, or ends in anything but CRLF.
    #[error("malformed chunk size")]
    ChunkSize,
    /// Chunk extensions beyond [`crate::chunked::MAX_EXTENSIONS`], or with control characters.
    #[error("malformed or over-long chunk extension")]
    ChunkExtension,
    /// The data of a chunk is not followed by CRLF.
    #[error("chunk data not followed by CRLF")]
    ChunkEnd,
    /// Malformed trailer fields, or more than the limit.
    #[error("malformed or over-long trailers")]
    Trailers,
    /// The connection ended before the body did.
    #[error("connection ended before the body did")]
    Cut,
    /// More data than was announced, in a protocol that ends bodies by other means than their length.
    #[error("more data than announced")]
    TooLong,
}
