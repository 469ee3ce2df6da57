//! Failures as gRPC knows them.

use super::Failure;

impl Failure {
    /// The status that a gRPC client is told, by the meanings of the gRPC status codes
    /// (`grpc/doc/statuscodes.md`): 13 internal, 12 unimplemented, 8 resource exhausted, 4 deadline exceeded,
    /// 7 permission denied, 1 cancelled, 14 unavailable. A client may try again by itself what is unavailable, so that is told only where
    /// the server cannot have done the work, or where its connection went away.
    pub const fn grpc_status(self) -> u8 {
        match self {
            Self::BadProxyHeader
            | Self::BadRequestLine
            | Self::BadTarget
            | Self::BadHeader
            | Self::BadHost
            | Self::BadFraming
            | Self::BadChunk
            | Self::ExpectationFailed
            | Self::Misdirected
            | Self::PlainHttp
            | Self::UnsupportedTransferCoding
            | Self::UnsupportedVersion
            | Self::Internal
            | Self::BadResponse
            | Self::ResponseHeadTooLarge
            | Self::BadResponseBody => 13,
            Self::NoRoute | Self::ConnectMethod | Self::UnsupportedProtocol | Self::NoWebsocket => 12,
            Self::TargetTooLong | Self::HeadTooLarge | Self::BodyTooLarge => 8,
            Self::HeadTimeout
            | Self::BodyTimeout
            | Self::SendTimeout
            | Self::ResponseTimeout
            | Self::PerTryTimeout
            | Self::TotalTimeout
            | Self::UploadStalled
            | Self::ResponseStalled
            | Self::TunnelIdle => 4,
            Self::UntrustedProxy => 7,
            Self::ClientClosed => 1,
            Self::NoServer
            | Self::PoolFull
            | Self::Exhausted
            | Self::DrainDeadline
            | Self::ConnectFailed
            | Self::ConnectRefused
            | Self::ConnectTimeout
            | Self::ResolveFailed
            | Self::TlsHandshakeFailed
            | Self::TlsCertificateRefused
            | Self::ServerClosed
            | Self::ResponseCut => 14,
        }
    }
}
