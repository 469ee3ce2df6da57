//! Certificates made for a test, and TLS put before or behind whatever speaks plain text.
//!
//! Clients and origins of this kit stay what they are: a `Bridge` between them and the balancer speaks TLS on one
//! side. It is rustls's ordinary, buffered API, which the proxy does not use. An end without a goodbye on the TLS side
//! becomes a reset on the plain side, so nobody takes a cut for an end.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{
    ClientConfig, Connection, HandshakeKind, RootCertStore, ServerConfig, SupportedProtocolVersion,
};

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

/// Which side of the bridge speaks TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    /// Whoever connects to it.
    Client,
    /// Whom it connects to.
    Server,
}

/// Takes connections on a port of its own and carries each to an address, with TLS on one side.
#[derive(Debug)]
pub struct Bridge {
    address: SocketAddr,
    seen: Arc<Seen>,
}

/// What a bridge has seen of TLS.
#[derive(Debug, Default)]
struct Seen {
    handshakes: AtomicUsize,
    resumed: AtomicUsize,
    goodbyes: AtomicUsize,
    errors: Mutex<Vec<String>>,
    names: Mutex<Vec<Option<String>>>,
    certificates: Mutex<Vec<Vec<u8>>>,
}

impl Bridge {
    fn start(
        to: SocketAddr,
        (side, renews): (Side, bool),
        connect: impl Fn() -> Connection + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (seen, connect) = (Arc::new(Seen::default()), Arc::new(connect));
        let seeing = Arc::clone(&seen);
        std::thread::spawn(move || {
            // Ends with the process: a bridge is a port and an idle thread.
            while let Ok((near, _)) = listener.accept() {
                let (seen, connect) = (Arc::clone(&seeing), Arc::clone(&connect));
                std::thread::spawn(move || {
                    if let Ok(far) = TcpStream::connect(to) {
                        let (secured, plain) = if side == Side::Client { (near, far) } else { (far, near) };
                        carry(&secured, &plain, (connect(), renews), &seen);
                    }
                });
            }
        });
        Self { address, seen }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Handshakes that came to their end.
    pub fn handshakes(&self) -> usize {
        self.seen.handshakes.load(Ordering::SeqCst)
    }

    /// Those of them that took up an earlier connection.
    pub fn resumed(&self) -> usize {
        self.seen.resumed.load(Ordering::SeqCst)
    }

    /// Connections that the balancer ended with a goodbye.
    pub fn goodbyes(&self) -> usize {
        self.seen.goodbyes.load(Ordering::SeqCst)
    }

    /// What went wrong with TLS.
    pub fn errors(&self) -> Vec<String> {
        self.seen.errors.lock().unwrap().clone()
    }

    /// The names that clients asked for, one for each handshake.
    pub fn names(&self) -> Vec<Option<String>> {
        self.seen.names.lock().unwrap().clone()
    }

    /// The certificates (DER) that the balancer showed, one for each handshake in which it showed one.
    pub fn certificates(&self) -> Vec<Vec<u8>> {
        self.seen.certificates.lock().unwrap().clone()
    }
}

impl Seen {
    fn shaken(&self, connection: &Connection) {
        if connection.handshake_kind() == Some(HandshakeKind::Resumed) {
            self.resumed.fetch_add(1, Ordering::SeqCst);
        } else if let Some(chain) = connection.peer_certificates() {
            self.certificates.lock().unwrap().push(chain[0].to_vec());
        }
        if let Connection::Server(server) = connection {
            self.names.lock().unwrap().push(server.server_name().map(str::to_owned));
        }
        self.handshakes.fetch_add(1, Ordering::SeqCst);
    }
}

/// Carries both ways until both sides are done. Errors end it; a cut on one side is a reset on the other.
fn carry(secured: &TcpStream, plain: &TcpStream, (mut connection, renews): (Connection, bool), seen: &Seen) {
    for socket in [secured, plain] {
        let _ = socket.set_nonblocking(true);
        let _ = socket.set_nodelay(true);
    }
    let cut = |socket: &TcpStream| {
        let _ = socket2::SockRef::from(socket).set_linger(Some(Duration::ZERO));
    };
    let mut flow = Flow { renews, ..Flow::default() };
    loop {
        match flow.step((secured, plain), &mut connection, seen) {
            Ok(false) => return,
            Ok(true) => {}
            Err(error) => {
                // What it has to say about it is on the way.
                let mut out = secured;
                let _ = connection.write_tls(&mut out);
                seen.errors.lock().unwrap().push(error);
                return cut(plain);
            }
        }
        let mut wait =
            [PollFd::new(secured, flow.secured_flags(&connection)), PollFd::new(plain, flow.plain_flags())];
        let limit = Timespec { tv_sec: 30, tv_nsec: 0 };
        if poll(&mut wait, Some(&limit)).is_ok_and(|ready| ready == 0) {
            return;
        }
    }
}

#[derive(Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "what has happened in two directions, all of it independent"
)]
struct Flow {
    to_plain: Vec<u8>,
    to_secured: Vec<u8>,
    shaken: bool,
    secured_ended: bool,
    plain_ended: bool,
    plain_told: bool,
    secured_told: bool,
    renews: bool,
}

impl Flow {
    fn secured_flags(&self, connection: &Connection) -> PollFlags {
        let mut flags = PollFlags::empty();
        if !self.secured_ended && self.to_plain.len() < 256 * 1024 {
            flags |= PollFlags::IN;
        }
        // rustls takes 64 KiB at a time: what is left goes on when the socket takes more.
        if connection.wants_write() || (self.shaken && !self.to_secured.is_empty()) {
            flags |= PollFlags::OUT;
        }
        flags
    }

    fn plain_flags(&self) -> PollFlags {
        let mut flags = PollFlags::empty();
        if !self.plain_ended && self.to_secured.len() < 256 * 1024 {
            flags |= PollFlags::IN;
        }
        if !self.to_plain.is_empty() {
            flags |= PollFlags::OUT;
        }
        flags
    }

    /// Moves what can be moved; false when both directions are done.
    fn step(
        &mut self,
        (mut secured, mut plain): (&TcpStream, &TcpStream),
        connection: &mut Connection,
        seen: &Seen,
    ) -> Result<bool, String> {
        let would_block = |error: &std::io::Error| error.kind() == ErrorKind::WouldBlock;
        if !self.secured_ended {
            match connection.read_tls(&mut secured) {
                Ok(0) => return Err("cut without a goodbye".to_owned()),
                Ok(_) => {}
                Err(error) if would_block(&error) => {}
                Err(error) => return Err(error.to_string()),
            }
            let state = connection.process_new_packets().map_err(|error| error.to_string())?;
            let mut bytes = vec![0; state.plaintext_bytes_to_read()];
            connection.reader().read_exact(&mut bytes).map_err(|error| error.to_string())?;
            self.to_plain.extend_from_slice(&bytes);
            if state.peer_has_closed() {
                seen.goodbyes.fetch_add(1, Ordering::SeqCst);
                self.secured_ended = true;
            }
        }
        if !self.shaken && !connection.is_handshaking() {
            self.shaken = true;
            seen.shaken(connection);
        }
        let mut block = [0; 16 * 1024];
        if !self.plain_ended && self.to_secured.len() < 256 * 1024 {
            match plain.read(&mut block) {
                Ok(0) => self.plain_ended = true,
                Ok(len) => self.to_secured.extend_from_slice(&block[..len]),
                Err(error) if would_block(&error) => {}
                // A reset on the plain side is a cut on the other: no goodbye.
                Err(error) => return Err(error.to_string()),
            }
        }
        if self.shaken {
            if self.renews && !self.to_secured.is_empty() {
                let renewed = match connection {
                    Connection::Client(client) => client.refresh_traffic_keys(),
                    Connection::Server(server) => server.refresh_traffic_keys(),
                };
                renewed.map_err(|error| error.to_string())?;
            }
            let taken = connection.writer().write(&self.to_secured).map_err(|error| error.to_string())?;
            self.to_secured.drain(..taken);
            if self.plain_ended && self.to_secured.is_empty() && !self.secured_told {
                connection.send_close_notify();
                self.secured_told = true;
            }
        }
        while connection.wants_write() {
            match connection.write_tls(&mut secured) {
                Ok(_) => {}
                Err(error) if would_block(&error) => break,
                Err(error) => return Err(error.to_string()),
            }
        }
        // Even nothing at all cannot be written behind an end.
        if !self.to_plain.is_empty() {
            match plain.write(&self.to_plain) {
                Ok(len) => drop(self.to_plain.drain(..len)),
                Err(error) if would_block(&error) => {}
                Err(error) => return Err(error.to_string()),
            }
        }
        if self.secured_ended && self.to_plain.is_empty() && !self.plain_told {
            let _ = plain.shutdown(Shutdown::Write);
            self.plain_told = true;
        }
        let done = self.plain_told && self.secured_told && !connection.wants_write();
        if done {
            let _ = secured.shutdown(Shutdown::Write);
        }
        Ok(!done)
    }
}
