//! What the servers of a pool are spoken to with, for all workers.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, OnceLock};
use std::time::SystemTime;

use loadweaver_config::{Issue, PoolTls, Protocol, Server};
use rustls::client::Resumption;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use super::certificate::{self, Certificate};
use super::front::{Renewal, renewed};
use super::{Fault, PROVIDER, asked, versions};

/// Tickets that are kept for one server: as many connections can be opened at once that take an earlier one up.
const TICKETS: usize = 8;

/// What the servers of a pool are spoken to with. Outlives changes of the pool that do not touch it.
#[derive(Debug)]
pub struct Back {
    settings: PoolTls,
    protocol: Protocol,
    config: ClientConfig,
    /// What servers are shown.
    certificate: Option<Arc<Certificate>>,
    /// What was read, to tell whether it is another.
    read: Read,
}

#[derive(Debug, PartialEq, Eq, Default)]
struct Read {
    authorities: Option<Vec<u8>>,
    certificate: Option<Vec<CertificateDer<'static>>>,
}

/// One server's side of it.
#[derive(Debug)]
pub struct Identity {
    back: Arc<Back>,
    pub(crate) config: Arc<ClientConfig>,
    /// The same for connections that are to be of HTTP/1.1; made when it is first needed, as few ever are.
    http1: OnceLock<Arc<ClientConfig>>,
    pub(crate) name: ServerName<'static>,
    /// Tells apart what connections were secured with.
    number: u64,
}

impl Identity {
    /// The number that no other way to secure a connection has.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// What offers HTTP/1.1 and nothing else. Tickets are shared: what is spoken is agreed upon anew each time.
    pub(crate) fn for_http1(&self) -> Arc<ClientConfig> {
        let made = self.http1.get_or_init(|| {
            let mut config = ClientConfig::clone(&self.config);
            config.alpn_protocols = asked(Protocol::Http1);
            Arc::new(config)
        });
        Arc::clone(made)
    }

    /// What a client that is not the proxy shakes hands with, as a new client would: nothing is taken up again.
    pub fn for_probes(&self, protocol: Protocol) -> (Arc<ClientConfig>, ServerName<'static>) {
        let mut config = ClientConfig::clone(&self.config);
        config.resumption = Resumption::disabled();
        config.alpn_protocols = asked(protocol);
        (Arc::new(config), self.name.clone())
    }
}

impl Back {
    /// Reads the files of a pool whose `tls` stands at `at`; also what is doubtful about them.
    pub(super) fn load(
        (tls, protocol): (&PoolTls, Protocol),
        servers: &[Arc<Server>],
        at: &str,
    ) -> Result<(Arc<Self>, Vec<Issue>), Vec<Issue>> {
        // A Unix socket without a name is spoken to without SNI; it was refused where certificates are verified.
        let with_host = servers.iter().filter(|server| server.unix().is_none());
        let names = with_host.map(|server| tls.server_name.as_ref().unwrap_or(&server.host));
        if let Some(name) = names.into_iter().find(|name| ServerName::try_from(name.as_str()).is_err()) {
            let problem = format!("no certificate can be for {name}");
            let help = "name whom the certificates of the servers are for: \"serverName\": \"app.internal\"";
            return Err(vec![Fault::new("serverName", problem, help).at(at)]);
        }
        let place = |faults: Vec<Fault>| faults.into_iter().map(|fault| fault.at(at)).collect::<Vec<_>>();
        let (roots, authorities) = match &tls.ca_file {
            _ if !tls.verify => (None, None),
            None => (Some(system_roots()), None),
            Some(path) => match certificate::authorities("caFile", path) {
                Ok((roots, text)) => (Some(Arc::new(roots)), Some(text)),
                Err(fault) => return Err(place(vec![fault])),
            },
        };
        let certificate = tls.certificate.as_ref().map(Certificate::load).transpose().map_err(place)?;
        let builder = ClientConfig::builder_with_provider(Arc::clone(&PROVIDER))
            .with_protocol_versions(versions(tls.min_version))
            .expect("aws-lc-rs has the versions that rustls has");
        let verifier: Arc<dyn ServerCertVerifier> = match roots {
            None => Arc::<Anybody>::default(),
            Some(roots) if roots.is_empty() => {
                let problem = "this system trusts nobody, so no server could be verified";
                let help = "install ca-certificates, or name who signs: \"caFile\": \"servers-ca.pem\"";
                return Err(place(vec![Fault::new("verify", problem, help)]));
            }
            Some(roots) => {
                let built = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&PROVIDER)).build();
                let unusable = |error: rustls::server::VerifierBuilderError| {
                    place(vec![Fault::new("caFile", error.to_string(), "look at the file with openssl")])
                };
                built.map_err(unusable)?
            }
        };
        let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
        let mut config = match &certificate {
            None => builder.with_no_client_auth(),
            Some(certificate) => {
                let shown = SingleCertAndKey::from(Arc::clone(&certificate.certified));
                builder.with_client_cert_resolver(Arc::new(shown))
            }
        };
        config.alpn_protocols = asked(protocol);
        // For our own record layer.
        config.enable_secret_extraction = true;
        let now = SystemTime::now();
        let warnings = certificate.iter().flat_map(|certificate| certificate.warnings(now));
        let warnings = place(warnings.collect());
        let shown = certificate.as_ref().map(|certificate| certificate.certified.cert.clone());
        let read = Read { authorities, certificate: shown };
        let certificate = certificate.map(Arc::new);
        Ok((Arc::new(Self { settings: tls.clone(), protocol, config, certificate, read }), warnings))
    }

    /// The old one where nothing is new.
    pub(super) fn succeed(self: Arc<Self>, old: Option<&Arc<Self>>) -> Arc<Self> {
        match old {
            Some(old) if old.is_same(&self) => Arc::clone(old),
            _ => self,
        }
    }

    fn is_same(&self, other: &Self) -> bool {
        self.settings == other.settings && self.protocol == other.protocol && self.read == other.read
    }

    /// Every file that it was made of.
    pub fn files(&self) -> Vec<PathBuf> {
        let certificate = self.settings.certificate.iter();
        let files = certificate.flat_map(|files| [files.cert.clone(), files.key.clone()]);
        files.chain(self.settings.ca_file.clone().filter(|_| self.settings.verify)).collect()
    }

    /// What servers are shown, if they are shown anything.
    pub fn certificate(&self) -> Option<&Arc<Certificate>> {
        self.certificate.as_ref()
    }

    /// Reads the files again. Nothing is taken up by that: what is another belongs into the next snapshot. Blocks for as
    /// long as reading takes.
    pub fn look_again(&self) -> Renewal {
        let (mut renewal, mut read) = (Renewal::default(), Read::default());
        if let Some(path) = self.settings.ca_file.as_ref().filter(|_| self.settings.verify) {
            match certificate::authorities("caFile", path) {
                Ok((_, text)) => read.authorities = Some(text),
                Err(fault) => renewal.refused.push((path.clone(), fault.problem)),
            }
        }
        match self.certificate.as_ref().map(|old| renewed(old)) {
            None => {}
            Some(Ok(None)) => read.certificate.clone_from(&self.read.certificate),
            Some(Ok(Some(new))) => {
                read.certificate = Some(new.certified.cert.clone());
                renewal.loaded.push(new);
            }
            Some(Err(refused)) => renewal.refused.push(refused),
        }
        renewal.changed = renewal.refused.is_empty() && read != self.read;
        renewal
    }

    /// One server's side of it. Tickets are the server's own: another one behind the same name could not read them.
    pub(crate) fn identity(self: &Arc<Self>, server: &Server) -> Identity {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let name = self.settings.server_name.as_ref().unwrap_or(&server.host);
        // What is neither was refused when the files were read, or is a Unix socket.
        let nobody = || ServerName::from(IpAddr::from(Ipv4Addr::UNSPECIFIED));
        let name = ServerName::try_from(name.clone()).unwrap_or_else(|_| nobody());
        let mut config = self.config.clone();
        config.resumption = Resumption::in_memory_sessions(TICKETS);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Identity { back: Arc::clone(self), config: Arc::new(config), http1: OnceLock::new(), name, number }
    }

    /// Whether an identity is this one's.
    pub(crate) fn has(self: &Arc<Self>, identity: &Identity) -> bool {
        Arc::ptr_eq(self, &identity.back)
    }
}

/// Whom the system trusts: read once, when first asked. What cannot be read or understood is left out; without any, no
/// certificate is good.
pub fn system_roots() -> Arc<RootCertStore> {
    Arc::clone(&SYSTEM)
}

static SYSTEM: LazyLock<Arc<RootCertStore>> = LazyLock::new(|| {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    Arc::new(roots)
});

/// Takes any certificate, from whoever proves to hold its key.
#[derive(Debug)]
pub struct Anybody(Arc<CryptoProvider>);

impl Default for Anybody {
    fn default() -> Self {
        Self(Arc::clone(&PROVIDER))
    }
}

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
