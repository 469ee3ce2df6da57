//! TLS with clients and with servers.

use std::path::PathBuf;
use std::time::Duration;

/// How a listener speaks TLS (key `listeners.NAME.tls`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerTls {
    /// At least one. The first is for clients that name no host, or one that no certificate is for.
    pub certificates: Vec<CertificateFiles>,
    /// The oldest version that is spoken.
    pub min_version: TlsVersion,
    /// Whether clients prove who they are.
    pub client_certificates: ClientCertificates,
    /// From the connection to the end of its handshake.
    pub handshake_timeout: Duration,
    /// Handshakes under way at a time, on all workers.
    pub max_handshakes: usize,
}

impl ListenerTls {
    /// `handshakeTimeout` where none is given.
    pub const DEFAULT_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

    /// `maxHandshakes` where none is given.
    pub const DEFAULT_MAX_HANDSHAKES: usize = 4096;
}

/// The files of a certificate.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CertificateFiles {
    /// Certificates (PEM), its own first.
    pub cert: PathBuf,
    /// The private key (PEM).
    pub key: PathBuf,
}

/// A version of TLS. Older ones are not spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum TlsVersion {
    /// RFC 5246.
    #[default]
    V12,
    /// RFC 8446.
    V13,
}

impl TlsVersion {
    /// Every version, the oldest first.
    pub const ALL: [Self; 2] = [Self::V12, Self::V13];

    /// The word that stands in the file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::V12 => "1.2",
            Self::V13 => "1.3",
        }
    }
}

/// Whether clients prove who they are (key `clientCertificates`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClientCertificates {
    /// Whether they are asked.
    pub mode: ClientCertificateMode,
    /// Who signs for them (PEM); there unless the mode is off.
    pub ca_file: Option<PathBuf>,
}

/// Whether clients are asked for a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClientCertificateMode {
    /// They are not.
    #[default]
    Off,
    /// One that is shown has to be good.
    Optional,
    /// A good one has to be shown.
    Required,
}

impl ClientCertificateMode {
    /// Every mode.
    pub const ALL: [Self; 3] = [Self::Off, Self::Optional, Self::Required];

    /// The word that stands in the file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Optional => "optional",
            Self::Required => "required",
        }
    }
}

/// Where clients that come without TLS are sent (key `redirectHttps`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RedirectHttps {
    /// The port in the address that they are sent to; 443 is left out of it.
    pub port: u16,
    /// 301, 302, 307 or 308.
    pub status: u16,
}

impl Default for RedirectHttps {
    fn default() -> Self {
        Self { port: 443, status: 308 }
    }
}

/// What browsers are told to remember: only TLS for this host (key `hsts`; RFC 6797).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hsts {
    /// For how long; 0 has them forget.
    pub max_age: Duration,
    /// Also for the names below the host.
    pub include_subdomains: bool,
    /// Agrees to be built into browsers.
    pub preload: bool,
}

impl Default for Hsts {
    fn default() -> Self {
        Self { max_age: Duration::from_hours(365 * 24), include_subdomains: false, preload: false }
    }
}

/// How servers of a pool are spoken to over TLS (key `pools.NAME.tls`).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PoolTls {
    /// Whether a server has to prove who it is.
    pub verify: bool,
    /// The name that is asked for, and that the certificate has to be for; none is the server's host.
    pub server_name: Option<String>,
    /// Who signs for the servers (PEM); none is whom the system trusts.
    pub ca_file: Option<PathBuf>,
    /// What we prove ourselves with.
    pub certificate: Option<CertificateFiles>,
    /// The oldest version that is spoken.
    pub min_version: TlsVersion,
}

impl Default for PoolTls {
    fn default() -> Self {
        Self {
            verify: true,
            server_name: None,
            ca_file: None,
            certificate: None,
            min_version: TlsVersion::default(),
        }
    }
}
