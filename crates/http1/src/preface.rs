//! The PROXY protocol: who a connection is from, said in front of its first byte by a proxy that opened it for them.
//!
//! Versions 1 (a line) and 2 (binary), as HAProxy's `proxy-protocol.txt` describes them. It is no HTTP, and lives here
//! because it is the same kind of work: bytes from the network, in pieces, into a checked value, without a socket.
//! Whom to believe is not decided here.
//!
//! The reader is strict where the text leaves a choice: a header that one reader takes for a header and another for
//! the start of a request is how a client gets to say who it is.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use thiserror::Error;

mod checksum;
mod v1;
mod v2;

/// Longest header of version 1, its line end included.
pub const MOST_V1: usize = 107;

/// Longest header of version 2 that is read. Its length field could announce 64 KiB; what proxies send stays below 536
/// bytes (the smallest segment that every network carries), and certificates' names and tokens of clouds below this.
pub const MOST_V2: usize = 4096;

/// Longest id of a connection, by the protocol.
pub const MOST_ID: usize = 128;

/// What a proxy has said of the connection behind it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Preface {
    /// None where the sender speaks for itself (a probe), or cannot say.
    pub ends: Option<Ends>,
    /// What stood beside the addresses.
    pub details: Details,
}

/// The two ends of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ends {
    /// Who opened it.
    pub source: SocketAddr,
    /// Where to.
    pub destination: SocketAddr,
}

/// What version 2 may say beside the addresses. What has no field here is passed over.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Details {
    /// The protocol that is spoken behind the header, by its ALPN name.
    pub alpn: Option<Vec<u8>>,
    /// The host that the client asked for (SNI).
    pub authority: Option<String>,
    /// Names the connection through every proxy that passes it on.
    pub unique_id: Option<Vec<u8>>,
    /// The client spoke TLS with the proxy.
    pub tls: Option<TlsDetails>,
}

impl Details {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The client's TLS, as far as it is told.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TlsDetails {
    /// Such as `TLSv1.3`.
    pub version: Option<String>,
    /// By its usual name.
    pub cipher: Option<String>,
    /// Of the certificate that the client has shown.
    pub common_name: Option<String>,
    /// The client has shown a certificate, and it was found good.
    pub verified: bool,
    /// It has shown it on an earlier connection, whose session this one takes up.
    pub resumed: bool,
}

/// Why something is no header that is acceptable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PrefaceError {
    /// It begins like none.
    #[error("what came is no PROXY header")]
    Other,
    /// A version, command, family or transport that is not spoken.
    #[error("a version or kind of PROXY header that is not known")]
    Unknown,
    /// Begun well, and malformed.
    #[error("a malformed PROXY header")]
    Malformed,
    /// Longer than may be.
    #[error("a PROXY header that is too long")]
    TooLong,
    /// It was changed on its way.
    #[error("a PROXY header whose checksum is wrong")]
    Checksum,
}

/// Reads a header from what has come so far. None while it may become one; otherwise it and its length.
///
/// # Errors
/// [`PrefaceError`], as soon as more bytes could not help.
pub fn parse(input: &[u8]) -> Result<Option<(Preface, usize)>, PrefaceError> {
    match input.first() {
        None => Ok(None),
        Some(b'P') => v1::parse(input),
        Some(b'\r') => v2::parse(input),
        Some(_) => Err(PrefaceError::Other),
    }
}

/// Writes a header of version 1; without ends it says that the sender does not know.
pub fn write_v1(out: &mut Vec<u8>, ends: Option<Ends>) {
    v1::write(out, ends.map(Ends::alike));
}

/// Writes a header of version 2; without ends the sender speaks for itself, and says nothing else.
pub fn write_v2(out: &mut Vec<u8>, preface: &Preface) {
    v2::write(out, preface.ends.map(Ends::alike), &preface.details);
}

impl Ends {
    /// Both ends in one family: a header has no mixed ones.
    fn alike(self) -> Self {
        let canonical = |end: SocketAddr| SocketAddr::new(end.ip().to_canonical(), end.port());
        let (source, destination) = (canonical(self.source), canonical(self.destination));
        if source.is_ipv4() == destination.is_ipv4() {
            return Self { source, destination };
        }
        // An unspecified end is not known, and is so in every family.
        if source.is_ipv4() && destination.ip().is_unspecified() {
            let destination = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), destination.port());
            return Self { source, destination };
        }
        let mapped = |end: SocketAddr| SocketAddr::new(six(end).into(), end.port());
        Self { source: mapped(source), destination: mapped(destination) }
    }
}

/// The address in the family that holds all of them.
fn six(end: SocketAddr) -> Ipv6Addr {
    match end {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => Ipv6Addr::UNSPECIFIED,
        SocketAddr::V4(v4) => v4.ip().to_ipv6_mapped(),
        SocketAddr::V6(v6) => *v6.ip(),
    }
}

#[cfg(test)]
mod tests;
