//! The header names that a proxy acts on.

/// A header name that means something to a proxy, or [`Name::Other`] for all that it only passes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Name {
    /// A name without meaning to us.
    Other,
    /// `Host`
    Host,
    /// `Content-Length`
    ContentLength,
    /// `Transfer-Encoding`
    TransferEncoding,
    /// `Connection`
    Connection,
    /// `Keep-Alive`
    KeepAlive,
    /// `Proxy-Connection`
    ProxyConnection,
    /// `Upgrade`
    Upgrade,
    /// `TE`
    Te,
    /// `Trailer`
    Trailer,
    /// `Expect`
    Expect,
    /// `HTTP2-Settings`
    Http2Settings,
    /// `X-Forwarded-For`
    XForwardedFor,
    /// `X-Forwarded-Proto`
    XForwardedProto,
    /// `X-Forwarded-Host`
    XForwardedHost,
    /// `Forwarded`
    Forwarded,
    /// `Via`
    Via,
    /// `X-Request-Id`
    XRequestId,
    /// `User-Agent`
    UserAgent,
    /// `Referer`
    Referer,
    /// `Date`
    Date,
}

impl Name {
    /// Recognises a name, whatever its case.
    #[inline]
    pub fn of(name: &[u8]) -> Self {
        // The length alone rules out nearly everything, so that an unknown name costs one comparison at most.
        let (text, known): (&[u8], Name) = match name.len() {
            2 => (b"te", Name::Te),
            3 => (b"via", Name::Via),
            4 if name.first().is_some_and(|c| c | 0x20 == b'd') => (b"date", Name::Date),
            4 => (b"host", Name::Host),
            6 => (b"expect", Name::Expect),
            7 => match name.first().map(|c| c | 0x20) {
                Some(b'u') => (b"upgrade", Name::Upgrade),
                Some(b't') => (b"trailer", Name::Trailer),
                _ => (b"referer", Name::Referer),
            },
            9 => (b"forwarded", Name::Forwarded),
            10 => match name.first().map(|c| c | 0x20) {
                Some(b'c') => (b"connection", Name::Connection),
                Some(b'k') => (b"keep-alive", Name::KeepAlive),
                _ => (b"user-agent", Name::UserAgent),
            },
            12 => (b"x-request-id", Name::XRequestId),
            14 if name.first().is_some_and(|c| c | 0x20 == b'c') => (b"content-length", Name::ContentLength),
            14 => (b"http2-settings", Name::Http2Settings),
            15 => (b"x-forwarded-for", Name::XForwardedFor),
            16 if name.first().is_some_and(|c| c | 0x20 == b'p') => {
                (b"proxy-connection", Name::ProxyConnection)
            }
            16 => (b"x-forwarded-host", Name::XForwardedHost),
            17 if name.first().is_some_and(|c| c | 0x20 == b't') => {
                (b"transfer-encoding", Name::TransferEncoding)
            }
            17 => (b"x-forwarded-proto", Name::XForwardedProto),
            _ => return Name::Other,
        };
        if name.eq_ignore_ascii_case(text) { known } else { Name::Other }
    }

    /// Whether the field says something about this one connection and so never passes a proxy
    /// (RFC 9110 section 7.6.1).
    pub fn is_hop_by_hop(self) -> bool {
        matches!(
            self,
            Name::Connection
                | Name::KeepAlive
                | Name::ProxyConnection
                | Name::Upgrade
                | Name::Te
                | Name::TransferEncoding
                | Name::Http2Settings
        )
    }

    /// Whether a `Connection` header may not have the field removed by naming it: framing and routing must not
    /// be taken away by the peer that they bind, nor what earlier proxies said about it.
    pub fn is_protected(self) -> bool {
        matches!(
            self,
            Name::Host
                | Name::ContentLength
                | Name::Trailer
                | Name::XForwardedFor
                | Name::XForwardedProto
                | Name::XForwardedHost
                | Name::Forwarded
                | Name::Via
                | Name::XRequestId
        )
    }

    /// The bit of this name in a set of names.
    pub(crate) fn bit(self) -> u32 {
        1 << (self as u8)
    }
}
