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
    /// `X-LoadWeaver-Failure`
    XLoadweaverFailure,
    /// `Strict-Transport-Security`
    StrictTransportSecurity,
    /// What a proxy says of a client's certificate: `X-Client-Verified`, `X-Client-Cert-Subject`,
    /// `X-Client-Cert-Fingerprint`, in any spelling that CGI takes for them.
    ClientProof,
    /// A name that some server reads as `Content-Length` or `Transfer-Encoding`.
    Lookalike,
    /// A name that some server believes to be said by a proxy, though no other name here is it: `X-Real-IP`,
    /// `X_Forwarded_For`.
    Spoofable,
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
            20 => (b"x-loadweaver-failure", Name::XLoadweaverFailure),
            25 => (b"strict-transport-security", Name::StrictTransportSecurity),
            _ => (b"", Name::Other),
        };
        if same(name, text) {
            known
        } else if may_look_alike(name) && looks_alike(name) {
            Name::Lookalike
        } else if matches!(name, [b'x' | b'X', b'-' | b'_', ..]) {
            claim(name)
        } else {
            Name::Other
        }
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

    /// Whether the field may come behind a body: those that frame, route, or speak for us come too late there
    /// (RFC 9110 section 6.5.1).
    pub fn may_be_trailer(self) -> bool {
        !self.is_hop_by_hop()
            && !self.is_protected()
            && !matches!(
                self,
                Name::Expect | Name::Date | Name::Lookalike | Name::Spoofable | Name::XLoadweaverFailure
            )
    }

    /// The bit of this name in a set of names.
    pub(crate) fn bit(self) -> u32 {
        1 << (self as u8)
    }
}

/// Compares a name with one in lower case, eight bytes at a time. Setting bit 5 folds letters and changes no other
/// byte of a token into one of the names above.
#[inline]
fn same(name: &[u8], text: &[u8]) -> bool {
    if name.len() != text.len() || text.is_empty() {
        return false;
    }
    let (words, rest) = name.as_chunks::<8>();
    let (text_words, text_rest) = text.as_chunks::<8>();
    let folded = |word: &[u8; 8]| u64::from_ne_bytes(*word) | 0x2020_2020_2020_2020;
    words.iter().zip(text_words).all(|(word, text)| folded(word) == u64::from_ne_bytes(*text))
        && rest.iter().zip(text_rest).all(|(byte, text)| byte | 0x20 == *text)
}

/// Rules out nearly every name at the cost of two bytes.
#[inline]
fn may_look_alike(name: &[u8]) -> bool {
    name.len() >= 13 && matches!(name, [b'c' | b'C', b'o' | b'O', ..] | [b't' | b'T', b'r' | b'R', ..])
}

/// CGI and its descendants turn dashes into underscores, so a server behind us may read `Content_Length`, or even
/// `Transfer--Encoding`, as the header that frames the body while we do not.
#[cold]
fn looks_alike(name: &[u8]) -> bool {
    let letters = || name.iter().filter(|byte| !matches!(byte, b'-' | b'_')).map(u8::to_ascii_lowercase);
    letters().eq(*b"contentlength") || letters().eq(*b"transferencoding")
}

/// What servers take from proxies in front of them, in whatever spelling CGI makes of it.
#[cold]
fn claim(name: &[u8]) -> Name {
    const PROOFS: [&[u8]; 3] = [b"x-client-verified", b"x-client-cert-subject", b"x-client-cert-fingerprint"];
    const NAMES: [&[u8]; 8] = [
        b"x-real-ip",
        b"x-request-id",
        b"x-forwarded-for",
        b"x-forwarded-host",
        b"x-forwarded-port",
        b"x-forwarded-proto",
        b"x-forwarded-server",
        b"x-forwarded-ssl",
    ];
    let folded = |byte: &u8| if *byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
    let is = |known: &&[u8]| known.len() == name.len() && name.iter().map(folded).eq(known.iter().copied());
    if NAMES.iter().any(is) {
        Name::Spoofable
    } else if PROOFS.iter().any(is) {
        Name::ClientProof
    } else {
        Name::Other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_names_in_any_case_and_none_besides() {
        for (text, name) in [
            ("hOsT", Name::Host),
            ("Content-Length", Name::ContentLength),
            ("TRANSFER-ENCODING", Name::TransferEncoding),
            ("te", Name::Te),
            ("X-Request-ID", Name::XRequestId),
            ("x-loadweaver-failure", Name::XLoadweaverFailure),
            ("Hos~", Name::Other),
            ("X-Real-IP", Name::Spoofable),
            ("x_forwarded_for", Name::Spoofable),
            ("X-Forwarded_Proto", Name::Spoofable),
            ("X-Client-Verified", Name::ClientProof),
            ("X_Client-Cert_Subject", Name::ClientProof),
            ("x-client-cert-fingerprint", Name::ClientProof),
            ("Strict-Transport-Security", Name::StrictTransportSecurity),
            ("x-forwarded-fox", Name::Other),
            ("content-type", Name::Other),
            ("", Name::Other),
        ] {
            assert_eq!(Name::of(text.as_bytes()), name, "{text}");
        }
    }

    #[test]
    fn knows_what_a_server_could_take_for_a_framing_header() {
        for text in
            ["Content_Length", "transfer_encoding", "Transfer---Encoding", "Content-_Length", "contentlength"]
        {
            assert_eq!(Name::of(text.as_bytes()), Name::Lookalike, "{text}");
        }
        for text in ["content-lengths", "x-content-length", "content-encoding", "transferred-encoding"] {
            assert_eq!(Name::of(text.as_bytes()), Name::Other, "{text}");
        }
    }
}
