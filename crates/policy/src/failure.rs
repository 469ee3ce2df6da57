//! The failure table: one name for each reason for which we answer in a server's place, or cut an answer.
//!
//! A [`Failure`] is the log field, the metric label, the `x-loadweaver-failure` answer header, and a row in
//! the operator's handbook. Its methods have no wildcard arms on purpose: whoever adds a failure is stopped
//! by the compiler until it has a code, a status, a culprit, a retry rule, and a sentence for the client.
//!
//! Texts written for operators never go into this file: `message` is what a stranger on the network reads.

use std::fmt;

pub use retry::{RetryKind, RetryRule};

mod grpc;
mod retry;

/// Whose fault a failure is. Only the server's own failures count against its health.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Blame {
    /// The client sent something wrong, went away, or was too slow.
    Client,
    /// The server (or the way to it) failed.
    Server,
    /// Ours: configuration, capacity, or shutdown.
    Operator,
}

impl Blame {
    /// As operators read it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
            Self::Operator => "operator",
        }
    }
}

/// Declares the enum and the list of all its values from one text, so that no list can fall behind.
macro_rules! failures {
    ($($(#[$doc:meta])* $name:ident,)+) => {
        /// A named reason for an answer that we made ourselves, or for an answer that we had to cut.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Failure {
            $($(#[$doc])* $name,)+
        }

        impl Failure {
            /// All failures, in the order of declaration: `ALL[f.index()] == f`.
            pub const ALL: &'static [Failure] = &[$(Failure::$name,)+];
        }
    };
}

failures! {
    /// What a trusted proxy has to say in front of its connection is missing or malformed.
    BadProxyHeader,
    /// A connection from nobody who is trusted to say whom it is from, where somebody has to.
    UntrustedProxy,
    /// The request line cannot be read.
    BadRequestLine,
    /// The request target is in no form that RFC 9112 section 3.2 knows.
    BadTarget,
    /// A header line of the request is malformed.
    BadHeader,
    /// Host is missing, repeated, malformed, or disagrees with the target.
    BadHost,
    /// The connection was opened for another host, and its certificate is not for this one.
    Misdirected,
    /// Content-Length or Transfer-Encoding leave the length of the request in doubt.
    BadFraming,
    /// A chunk of the request's body is malformed.
    BadChunk,
    /// CONNECT where the listener does not allow it.
    ConnectMethod,
    /// An extended CONNECT (RFC 8441) for a protocol other than WebSocket.
    UnsupportedProtocol,
    /// An Expect that we cannot meet.
    ExpectationFailed,
    /// A transfer coding other than chunked.
    UnsupportedTransferCoding,
    /// An HTTP version that we do not speak.
    UnsupportedVersion,
    /// A request in the clear where the listener speaks TLS.
    PlainHttp,
    /// The request target is longer than `limits.target`.
    TargetTooLong,
    /// The request head is larger than `limits.requestHead` or holds too many headers.
    HeadTooLarge,
    /// The request body is larger than `limits.body`.
    BodyTooLarge,
    /// The request head took longer than `timeouts.requestHead`.
    HeadTimeout,
    /// The request body paused for longer than `timeouts.body`.
    BodyTimeout,
    /// The client went away before its answer was whole.
    ClientClosed,
    /// The client took nothing of its answer for `timeouts.send`.
    SendTimeout,
    /// No route matches the request.
    NoRoute,
    /// All servers of the pool are down.
    NoServer,
    /// All servers of the pool are at `maxConnections`.
    PoolFull,
    /// We ran out of descriptors or local ports.
    Exhausted,
    /// A fault of our own.
    Internal,
    /// The exchange was still under way when the shutdown's deadline came.
    DrainDeadline,
    /// No connection to the server, for a reason other than the three below.
    ConnectFailed,
    /// The server refused the connection: nothing listens there.
    ConnectRefused,
    /// The connection was not there within `timeouts.connect`.
    ConnectTimeout,
    /// The server's name has no address.
    ResolveFailed,
    /// The server does not shake hands as the pool's `tls` wants it.
    TlsHandshakeFailed,
    /// The server's certificate is not good: expired, for another name, or signed by nobody whom the pool trusts.
    TlsCertificateRefused,
    /// The server takes no WebSockets: it speaks HTTP/2 without them, or answers as if none was asked for.
    NoWebsocket,
    /// The server closed or reset the connection before its answer's head was whole.
    ServerClosed,
    /// The answer's head did not come within `timeouts.response`.
    ResponseTimeout,
    /// The attempt took longer than `retry.perTryTimeout`.
    PerTryTimeout,
    /// The exchange with all its attempts took longer than `timeouts.total`.
    TotalTimeout,
    /// The head of the answer is malformed.
    BadResponse,
    /// The head of the answer is larger than `limits.responseHead`.
    ResponseHeadTooLarge,
    /// The server took nothing of the request's body for `timeouts.idle`.
    UploadStalled,
    /// The server closed or reset the connection in the middle of an answer.
    ResponseCut,
    /// The answer's body paused for longer than `timeouts.idle`.
    ResponseStalled,
    /// A chunk of the answer's body is malformed.
    BadResponseBody,
    /// An upgraded connection was silent for `timeouts.tunnel`.
    TunnelIdle,
}

impl Failure {
    /// The position in [`Failure::ALL`], for counters kept in an array.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The name in logs, metrics, the answer header and the handbook.
    pub const fn code(self) -> &'static str {
        match self {
            Self::BadProxyHeader => "bad_proxy_header",
            Self::UntrustedProxy => "untrusted_proxy",
            Self::BadRequestLine => "bad_request_line",
            Self::BadTarget => "bad_target",
            Self::BadHeader => "bad_header",
            Self::BadHost => "bad_host",
            Self::Misdirected => "misdirected",
            Self::BadFraming => "bad_framing",
            Self::BadChunk => "bad_chunk",
            Self::ConnectMethod => "connect_method",
            Self::UnsupportedProtocol => "unsupported_protocol",
            Self::ExpectationFailed => "expectation_failed",
            Self::UnsupportedTransferCoding => "unsupported_transfer_coding",
            Self::UnsupportedVersion => "unsupported_version",
            Self::PlainHttp => "plain_http",
            Self::TargetTooLong => "target_too_long",
            Self::HeadTooLarge => "head_too_large",
            Self::BodyTooLarge => "body_too_large",
            Self::HeadTimeout => "head_timeout",
            Self::BodyTimeout => "body_timeout",
            Self::ClientClosed => "client_closed",
            Self::SendTimeout => "send_timeout",
            Self::NoRoute => "no_route",
            Self::NoServer => "no_server",
            Self::PoolFull => "pool_full",
            Self::Exhausted => "exhausted",
            Self::Internal => "internal",
            Self::DrainDeadline => "drain_deadline",
            Self::ConnectFailed => "connect_failed",
            Self::ConnectRefused => "connect_refused",
            Self::ConnectTimeout => "connect_timeout",
            Self::ResolveFailed => "resolve_failed",
            Self::TlsHandshakeFailed => "tls_handshake_failed",
            Self::TlsCertificateRefused => "tls_certificate_refused",
            Self::NoWebsocket => "no_websocket",
            Self::ServerClosed => "server_closed",
            Self::ResponseTimeout => "response_timeout",
            Self::PerTryTimeout => "per_try_timeout",
            Self::TotalTimeout => "total_timeout",
            Self::BadResponse => "bad_response",
            Self::ResponseHeadTooLarge => "response_head_too_large",
            Self::UploadStalled => "upload_stalled",
            Self::ResponseCut => "response_cut",
            Self::ResponseStalled => "response_stalled",
            Self::BadResponseBody => "bad_response_body",
            Self::TunnelIdle => "tunnel_idle",
        }
    }

    /// The status of our answer; 0 where none can be sent any more, because one is under way or nobody is
    /// there to read it.
    pub const fn status(self) -> u16 {
        match self {
            Self::BadProxyHeader
            | Self::BadRequestLine
            | Self::BadTarget
            | Self::BadHeader
            | Self::BadHost
            | Self::BadFraming
            | Self::BadChunk
            | Self::PlainHttp => 400,
            Self::UntrustedProxy => 403,
            Self::NoRoute => 404,
            Self::ConnectMethod => 405,
            Self::HeadTimeout | Self::BodyTimeout => 408,
            Self::BodyTooLarge => 413,
            Self::TargetTooLong => 414,
            Self::ExpectationFailed => 417,
            Self::Misdirected => 421,
            Self::HeadTooLarge => 431,
            Self::Internal => 500,
            Self::UnsupportedTransferCoding | Self::UnsupportedProtocol => 501,
            Self::ConnectFailed
            | Self::ConnectRefused
            | Self::ResolveFailed
            | Self::TlsHandshakeFailed
            | Self::TlsCertificateRefused
            | Self::NoWebsocket
            | Self::ServerClosed
            | Self::BadResponse
            | Self::ResponseHeadTooLarge => 502,
            Self::NoServer | Self::PoolFull | Self::Exhausted => 503,
            Self::ConnectTimeout
            | Self::ResponseTimeout
            | Self::PerTryTimeout
            | Self::TotalTimeout
            | Self::UploadStalled => 504,
            Self::UnsupportedVersion => 505,
            Self::ClientClosed
            | Self::SendTimeout
            | Self::DrainDeadline
            | Self::ResponseCut
            | Self::ResponseStalled
            | Self::BadResponseBody
            | Self::TunnelIdle => 0,
        }
    }

    /// Whose fault it is. [`Health`](crate::health::Health) counts [`Blame::Server`] alone.
    pub const fn blame(self) -> Blame {
        match self {
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
            | Self::SendTimeout => Blame::Client,
            Self::NoRoute
            | Self::NoServer
            | Self::PoolFull
            | Self::Exhausted
            | Self::Internal
            | Self::DrainDeadline
            // Whoever was slow, the limit is the operator's, and a slow client must not take a server out.
            | Self::TotalTimeout
            | Self::TunnelIdle => Blame::Operator,
            Self::ConnectFailed
            | Self::ConnectRefused
            | Self::ConnectTimeout
            | Self::ResolveFailed
            | Self::TlsHandshakeFailed
            | Self::TlsCertificateRefused
            | Self::NoWebsocket
            | Self::ServerClosed
            | Self::ResponseTimeout
            | Self::PerTryTimeout
            | Self::BadResponse
            | Self::ResponseHeadTooLarge
            | Self::UploadStalled
            | Self::ResponseCut
            | Self::ResponseStalled
            | Self::BadResponseBody => Blame::Server,
        }
    }

    /// A short text for the client. It names no server, no address and no setting.
    pub const fn message(self) -> &'static str {
        match self {
            Self::BadProxyHeader => "The proxy in front did not say whom this connection is from.",
            Self::UntrustedProxy => "This port serves connections of its proxies only.",
            Self::BadRequestLine => "The request line is malformed.",
            Self::BadTarget => "The request target is malformed.",
            Self::BadHeader => "A request header is malformed.",
            Self::BadHost => "The Host header is missing, repeated or malformed.",
            Self::Misdirected => "This connection does not serve the requested host.",
            Self::BadFraming => "The length of the request body is ambiguous.",
            Self::BadChunk => "The chunked request body is malformed.",
            Self::ConnectMethod => "The CONNECT method is not allowed here.",
            Self::UnsupportedProtocol => "The protocol of the CONNECT request is not supported.",
            Self::NoWebsocket => "The service takes no WebSockets.",
            Self::ExpectationFailed => "The Expect header cannot be met.",
            Self::UnsupportedTransferCoding => "The transfer coding is not supported.",
            Self::UnsupportedVersion => "The HTTP version is not supported.",
            Self::PlainHttp => "This port speaks HTTPS: write https:// in front of the address.",
            Self::TargetTooLong => "The request target is too long.",
            Self::HeadTooLarge => "The request headers are too large.",
            Self::BodyTooLarge => "The request body is too large.",
            Self::HeadTimeout => "The request headers took too long to arrive.",
            Self::BodyTimeout => "The request body took too long to arrive.",
            Self::ClientClosed => "The connection was closed before the answer was complete.",
            Self::SendTimeout => "The answer was not read in time.",
            Self::NoRoute => "Nothing is served at this address.",
            Self::NoServer => "The service is unavailable. Please try again shortly.",
            Self::PoolFull | Self::Exhausted => "The service is at capacity. Please try again shortly.",
            Self::Internal => "An internal error occurred.",
            Self::DrainDeadline => "The service is restarting.",
            Self::ConnectFailed
            | Self::ConnectRefused
            | Self::ResolveFailed
            | Self::TlsHandshakeFailed
            | Self::TlsCertificateRefused => "The service could not be reached.",
            Self::ConnectTimeout => "The service could not be reached in time.",
            Self::ServerClosed => "The service closed the connection without an answer.",
            Self::ResponseTimeout | Self::PerTryTimeout | Self::TotalTimeout => {
                "The service did not answer in time."
            }
            Self::BadResponse | Self::ResponseHeadTooLarge => "The service sent an invalid answer.",
            Self::UploadStalled => "The service stopped reading the request.",
            Self::ResponseCut => "The service broke off its answer.",
            Self::ResponseStalled => "The service stopped sending its answer.",
            Self::BadResponseBody => "The service sent an invalid answer body.",
            Self::TunnelIdle => "The connection was idle for too long.",
        }
    }
}

impl fmt::Display for Failure {
    /// The [`code`](Failure::code).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

#[cfg(test)]
mod tests;
