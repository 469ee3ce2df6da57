//! Certificates made for a test, and TLS put before or behind whatever speaks plain text.
//!
//! Clients and origins of this kit stay what they are: a `Bridge` between them and the balancer speaks TLS on one
//! side. It is rustls's ordinary, buffered API, which the proxy does not use. An end without a goodbye on the TLS side
//! becomes a reset on the plain side, so nobody takes a cut for an end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion};

pub use bridge::Bridge;
use bridge::Side;

mod bridge;

/// Somebody who signs certificates.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its own certificate (PEM).
    pub pem: String,
}

/// A certificate with its key.
#[derive(Debug, Clone)]
pub struct Signed {
    /// The certificate (PEM).
    pub cert: String,
    /// The key (PEM, PKCS#8).
    pub key: String,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Authority")
    }
}

/// The usual days of a test's certificate, from yesterday on.
const DAYS: i64 = 90;

impl Authority {
    /// A new one.
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// Signs a certificate for host names and addresses.
    pub fn sign(&self, names: &[&str]) -> Signed {
        self.sign_with(names, &KeyPair::generate().unwrap(), DAYS, |_| ())
    }

    /// The same with an RSA key.
    pub fn sign_rsa(&self, names: &[&str]) -> Signed {
        let key = KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048).unwrap();
        self.sign_with(names, &key, DAYS, |_| ())
    }

    /// Signs one that is good for so many days; a number below 0 is one that has expired.
    pub fn sign_for_days(&self, names: &[&str], days: i64) -> Signed {
        self.sign_with(names, &KeyPair::generate().unwrap(), days, |_| ())
    }

    /// Signs one for a client.
    pub fn sign_client(&self, name: &str) -> Signed {
        self.sign_with(&[], &KeyPair::generate().unwrap(), DAYS, |params| {
            params.distinguished_name = rcgen::DistinguishedName::new();
            params.distinguished_name.push(DnType::OrganizationName, "Example, Inc.");
            params.distinguished_name.push(DnType::CommonName, name);
        })
    }

    fn sign_with(
        &self,
        names: &[&str],
        key: &KeyPair,
        days: i64,
        edit: impl FnOnce(&mut CertificateParams),
    ) -> Signed {
        let mut params = CertificateParams::default();
        params.subject_alt_names = names
            .iter()
            .map(|name| match name.parse() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) => SanType::DnsName((*name).try_into().unwrap()),
            })
            .collect();
        let now = std::time::SystemTime::now();
        let day = Duration::from_hours(24);
        params.not_before = (now - day * 400).into();
        let span = day * u32::try_from(days.unsigned_abs()).unwrap();
        params.not_after = if days < 0 { now - span } else { now + span }.into();
        edit(&mut params);
        let cert = params.signed_by(key, &self.issuer).unwrap();
        Signed { cert: cert.pem(), key: key.serialize_pem() }
    }

    /// A client that trusts this authority alone.
    pub fn client(&self) -> TlsClient {
        TlsClient {
            roots: self.pem.clone(),
            identity: None,
            versions: rustls::ALL_VERSIONS,
            protocols: vec![b"http/1.1".to_vec()],
            renews: false,
        }
    }

    fn roots(&self) -> RootCertStore {
        roots(&self.pem)
    }
}

fn roots(pem: &str) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        roots.add(certificate.unwrap()).unwrap();
    }
    roots
}

fn identity(signed: &Signed) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let chain = CertificateDer::pem_slice_iter(signed.cert.as_bytes()).map(Result::unwrap).collect();
    (chain, PrivateKeyDer::from_pem_slice(signed.key.as_bytes()).unwrap())
}

/// How a client shakes hands.
#[derive(Debug, Clone)]
pub struct TlsClient {
    roots: String,
    identity: Option<Signed>,
    versions: &'static [&'static SupportedProtocolVersion],
    protocols: Vec<Vec<u8>>,
    renews: bool,
}

impl TlsClient {
    /// Takes new keys before all that it sends, and asks for new ones (TLS 1.3).
    #[must_use]
    pub fn renewing_keys(mut self) -> Self {
        self.renews = true;
        self
    }

    /// Offers these protocols alone (ALPN).
    #[must_use]
    pub fn speaking(mut self, protocols: &[&str]) -> Self {
        self.protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        self
    }

    /// Speaks these versions alone.
    #[must_use]
    pub fn versions(mut self, versions: &'static [&'static SupportedProtocolVersion]) -> Self {
        self.versions = versions;
        self
    }

    /// Proves to be this one.
    #[must_use]
    pub fn identity(mut self, signed: &Signed) -> Self {
        self.identity = Some(signed.clone());
        self
    }

    /// Puts it before a TLS listener: connections to the bridge arrive there as `name`'s.
    pub fn bridge(&self, to: SocketAddr, name: &str) -> Bridge {
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(self.versions)
            .unwrap()
            .with_root_certificates(roots(&self.roots));
        let mut config = match &self.identity {
            Some(signed) => {
                let (chain, key) = identity(signed);
                builder.with_client_auth_cert(chain, key).unwrap()
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols.clone_from(&self.protocols);
        let (config, name) = (Arc::new(config), ServerName::try_from(name.to_owned()).unwrap());
        Bridge::start(to, (Side::Server, self.renews), move || {
            rustls::ClientConnection::new(Arc::clone(&config), name.clone()).unwrap().into()
        })
    }
}

/// How an origin shakes hands.
#[derive(Debug)]
pub struct TlsOrigin<'a> {
    /// What it shows.
    pub signed: &'a Signed,
    /// Whose clients it takes; none takes all.
    pub clients: Option<&'a Authority>,
    /// What it speaks.
    pub versions: &'static [&'static SupportedProtocolVersion],
    /// The protocols that it takes (ALPN); none at all says nothing of them.
    pub protocols: &'a [&'a str],
}

impl TlsOrigin<'_> {
    /// Puts it before an origin that speaks plain text.
    pub fn bridge(&self, to: SocketAddr) -> Bridge {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(self.versions)
            .unwrap();
        let builder = match self.clients {
            None => builder.with_no_client_auth(),
            Some(authority) => builder.with_client_cert_verifier(
                WebPkiClientVerifier::builder_with_provider(Arc::new(authority.roots()), provider)
                    .build()
                    .unwrap(),
            ),
        };
        let (chain, key) = identity(self.signed);
        let mut config = builder.with_single_cert(chain, key).unwrap();
        config.alpn_protocols = self.protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        config.ticketer = aws_lc_rs::Ticketer::new().unwrap();
        let config = Arc::new(config);
        Bridge::start(to, (Side::Client, false), move || {
            rustls::ServerConnection::new(Arc::clone(&config)).unwrap().into()
        })
    }
}
