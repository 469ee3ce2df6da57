//! Whether a failure may be followed by another attempt, and what switches that on.

use super::Failure;

/// What a failure allows as to a second attempt; [`RetryRules`](crate::retry::RetryRules) may allow less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RetryRule {
    /// Nothing can have reached a server: any method may be tried again.
    Always,
    /// The server may have acted on the request: only what is safe to do twice may be tried again.
    IfIdempotent,
    /// Another attempt would be wrong or futile.
    Never,
}

/// Which word of a pool's `retry.on` governs a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RetryKind {
    /// `connect_failure`
    ConnectFailure,
    /// `reset`
    Reset,
    /// `timeout`
    Timeout,
    /// No word governs it: it is never tried again.
    None,
}

impl Failure {
    /// Whether another attempt may follow at all.
    ///
    /// The line between `Always` and `IfIdempotent` is whether a byte of the request can have reached a
    /// server (RFC 9110 section 9.2.2 on when a proxy may repeat a request by itself).
    pub const fn retry(self) -> RetryRule {
        match self {
            Self::ConnectFailed
            | Self::ConnectRefused
            | Self::ConnectTimeout
            | Self::ResolveFailed
            | Self::TlsHandshakeFailed
            | Self::TlsCertificateRefused
            | Self::NoWebsocket => RetryRule::Always,
            Self::ServerClosed
            | Self::ResponseTimeout
            | Self::PerTryTimeout
            | Self::BadResponse
            | Self::ResponseHeadTooLarge
            | Self::UploadStalled => RetryRule::IfIdempotent,
            Self::BadProxyHeader
            | Self::UntrustedProxy
            | Self::BadRequestLine
            | Self::BadTarget
            | Self::BadHeader
            | Self::BadHost
            | Self::Misdirected
            | Self::BadFraming
            | Self::BadChunk
            | Self::ConnectMethod
            | Self::UnsupportedProtocol
            | Self::ExpectationFailed
            | Self::UnsupportedTransferCoding
            | Self::UnsupportedVersion
            | Self::PlainHttp
            | Self::TargetTooLong
            | Self::HeadTooLarge
            | Self::BodyTooLarge
            | Self::HeadTimeout
            | Self::BodyTimeout
            | Self::ClientClosed
            | Self::SendTimeout
            | Self::NoRoute
            | Self::NoServer
            | Self::PoolFull
            | Self::Exhausted
            | Self::Internal
            | Self::DrainDeadline
            | Self::TotalTimeout
            | Self::ResponseCut
            | Self::ResponseStalled
            | Self::BadResponseBody
            | Self::TunnelIdle => RetryRule::Never,
        }
    }

    /// Which word of `retry.on` switches another attempt on.
    pub const fn kind(self) -> RetryKind {
        match self {
            Self::ConnectFailed
            | Self::ConnectRefused
            | Self::ConnectTimeout
            | Self::ResolveFailed
            | Self::TlsHandshakeFailed
            | Self::TlsCertificateRefused
            | Self::NoWebsocket => RetryKind::ConnectFailure,
            Self::ServerClosed | Self::BadResponse | Self::ResponseHeadTooLarge => RetryKind::Reset,
            Self::ResponseTimeout | Self::PerTryTimeout | Self::UploadStalled => RetryKind::Timeout,
            Self::BadProxyHeader
            | Self::UntrustedProxy
            | Self::BadRequestLine
            | Self::BadTarget
            | Self::BadHeader
            | Self::BadHost
            | Self::Misdirected
            | Self::BadFraming
            | Self::BadChunk
            | Self::ConnectMethod
            | Self::UnsupportedProtocol
            | Self::ExpectationFailed
            | Self::UnsupportedTransferCoding
            | Self::UnsupportedVersion
            | Self::PlainHttp
            | Self::TargetTooLong
            | Self::HeadTooLarge
            | Self::BodyTooLarge
            | Self::HeadTimeout
            | Self::BodyTimeout
            | Self::ClientClosed
            | Self::SendTimeout
            | Self::NoRoute
            | Self::NoServer
            | Self::PoolFull
            | Self::Exhausted
            | Self::Internal
            | Self::DrainDeadline
            | Self::TotalTimeout
            | Self::ResponseCut
            | Self::ResponseStalled
            | Self::BadResponseBody
            | Self::TunnelIdle => RetryKind::None,
        }
    }
}
