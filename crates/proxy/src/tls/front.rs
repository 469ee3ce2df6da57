//! What a listener shakes hands with, for all workers.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use loadweaver_config::{CertificateFiles, ClientCertificateMode, Issue, ListenerTls, Protocols};
use rustls::pki_types::CertificateDer;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, ProducesTickets, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use thiserror::Error;

use super::certificate::{self, Certificate};
use super::shelf::Shelf;
use super::{Chosen, Fault, PROVIDER, Visitor, offered, versions};
use crate::listen::Crowd;
use crate::stream::{Facts, HandshakeError};

/// What a listener shakes hands with. Outlives changes of the configuration that do not touch it.
#[derive(Debug)]
pub struct Front {
    listener: Arc<str>,
    settings: ListenerTls,
    protocols: Protocols,
    /// What the next handshake gets.
    ready: ArcSwap<Ready>,
    /// Its lock is also what keeps renewals in order.
    clients: Mutex<Clients>,
    /// Shared with the front before this one.
    under_way: Arc<AtomicUsize>,
}

#[derive(Debug)]
struct Ready {
    config: Arc<ServerConfig>,
    shelf: Arc<Shelf>,
}

/// Who signs for clients.
#[derive(Debug, Clone)]
struct Clients {
    /// The file's content; none where nobody is asked.
    text: Option<Vec<u8>>,
    verifier: Option<Arc<dyn ClientCertVerifier>>,
    /// A ticket stands for a certificate that was verified: when it would be verified in another way, tickets that
    /// were given out must not be taken any more. So tickets and verification go together.
    tickets: Arc<dyn ProducesTickets>,
}

/// What became of changed files.
#[derive(Debug, Default)]
pub struct Renewal {
    /// In use from the next handshake on.
    pub loaded: Vec<Arc<Certificate>>,
    /// The old ones stay in use. What is wrong with the files, in words.
    pub refused: Vec<(PathBuf, String)>,
    /// Something is another than before, and good.
    pub changed: bool,
}

/// What is known of a client that has shaken hands.
#[derive(Debug, Clone)]
pub(crate) struct Greeting {
    pub(crate) facts: Facts,
    /// On listeners that ask for certificates.
    pub(crate) visitor: Option<Visitor>,
    /// What the client was shown; for a connection that was taken up again, what it would be shown now.
    pub(crate) chosen: Chosen,
}

impl Greeting {
    /// Whether both sides named HTTP/2.
    pub(crate) fn is_http2(&self) -> bool {
        self.facts.protocol.as_deref() == Some(super::HTTP2)
    }

    /// Whether a request for a host belongs here: the host that the client named in the handshake, or one that what it
    /// was shown is for as well. Any other is answered with 421 (RFC 9110 section 15.5.20). A client that named nobody
    /// has not been promised anything.
    pub(crate) fn serves(&self, host: &str) -> bool {
        let Some(named) = &self.chosen.name else { return true };
        let bare = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => host,
        };
        bare.eq_ignore_ascii_case(named)
            || self.chosen.certificate.as_ref().is_none_or(|shown| shown.covers(&bare.to_ascii_lowercase()))
    }
}

/// Why a client does not get in.
#[derive(Debug, Error)]
pub(crate) enum Refusal {
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    #[error("it took longer than handshakeTimeout")]
    Timeout,
    #[error("as many handshakes as maxHandshakes are under way, and this one waits for its client")]
    Crowded,
    #[error("the listener closes")]
    Closing,
}

/// A handshake under way; its place is given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Handshaking(Arc<AtomicUsize>);

impl Drop for Handshaking {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What a configuration's files hold, before it is known what of it is new.
pub(super) struct Loaded {
    listener: Arc<str>,
    settings: ListenerTls,
    protocols: Protocols,
    certificates: Vec<Arc<Certificate>>,
    clients: Clients,
}

impl Front {
    /// Reads the files of a listener whose `tls` stands at `at`; also what is doubtful about them.
    pub(super) fn load(
        listener: &Arc<str>,
        (tls, protocols): (&ListenerTls, Protocols),
        at: &str,
    ) -> Result<(Loaded, Vec<Issue>), Vec<Issue>> {
        let (mut issues, mut warnings, mut certificates) = (Vec::new(), Vec::new(), Vec::new());
        let now = SystemTime::now();
        for (index, files) in tls.certificates.iter().enumerate() {
            let section = format!("{at}/certificates/{index}");
            match Certificate::load(files) {
                Ok(certificate) => {
                    warnings
                        .extend(certificate.shown_warnings(now).into_iter().map(|fault| fault.at(&section)));
                    certificates.push(Arc::new(certificate));
                }
                Err(faults) => issues.extend(faults.into_iter().map(|fault| fault.at(&section))),
            }
        }
        let clients = match Clients::load(tls) {
            Ok(clients) => clients,
            Err(fault) => {
                issues.push(fault.at(&format!("{at}/clientCertificates")));
                return Err(issues);
            }
        };
        if !issues.is_empty() {
            return Err(issues);
        }
        let (listener, settings) = (Arc::clone(listener), tls.clone());
        Ok((Loaded { listener, settings, protocols, certificates, clients }, warnings))
    }

    /// The listener's name.
    pub fn listener(&self) -> &Arc<str> {
        &self.listener
    }

    /// The certificates in use, in the order of the configuration.
    pub fn certificates(&self) -> Vec<Arc<Certificate>> {
        self.ready.load().shelf.all.clone()
    }

    /// Every file that it was made of.
    pub fn files(&self) -> Vec<PathBuf> {
        let certificates = self.settings.certificates.iter();
        let files = certificates.flat_map(|files| [files.cert.clone(), files.key.clone()]);
        files.chain(self.ca_file().cloned()).collect()
    }

    fn ca_file(&self) -> Option<&PathBuf> {
        let clients = &self.settings.client_certificates;
        clients.ca_file.as_ref().filter(|_| clients.mode != ClientCertificateMode::Off)
    }

    /// Reads the files again and takes up what is new and good. Blocks for as long as reading takes.
    pub fn renew(&self) -> Renewal {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let mut renewal = Renewal::default();
        let mut changed = false;
        let old = self.certificates();
        let next = old.iter().map(|old| match renewed(old) {
            Ok(None) => Arc::clone(old),
            Ok(Some(new)) => {
                changed = true;
                renewal.loaded.push(Arc::clone(&new));
                new
            }
            Err((path, why)) => {
                renewal.refused.push((path, why));
                Arc::clone(old)
            }
        });
        let next: Vec<_> = next.collect();
        match Clients::load(&self.settings) {
            Ok(new) if new.text == clients.text => {}
            Ok(new) => {
                changed = true;
                *clients = new;
            }
            Err(fault) => {
                renewal.refused.extend(self.ca_file().map(|path| (path.clone(), fault.problem)));
            }
        }
        renewal.changed = changed;
        if changed {
            self.ready.store(Arc::new(Ready::new((&self.settings, self.protocols), next, &clients)));
        }
        renewal
    }

    /// How long a handshake may take.
    pub(crate) fn timeout(&self) -> Duration {
        self.settings.handshake_timeout
    }

    /// Takes a place for a handshake.
    pub(crate) fn enter(&self) -> Handshaking {
        self.under_way.fetch_add(1, Ordering::Relaxed);
        Handshaking(Arc::clone(&self.under_way))
    }

    /// What a handshake that begins now is made with.
    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.ready.load().config)
    }

    /// Whether as many handshakes are under way as may be. Workers that accept at the same moment may go over it by
    /// one each.
    pub(crate) fn is_full(&self) -> bool {
        self.under_way.load(Ordering::Relaxed) >= self.settings.max_handshakes
    }

    /// How many handshakes may be under way.
    pub(crate) fn places(&self) -> usize {
        self.settings.max_handshakes
    }

    /// Who shares the places.
    pub(crate) fn crowd(&self) -> Crowd {
        Arc::as_ptr(&self.under_way).addr()
    }

    /// Handshakes under way, on all workers.
    pub fn under_way(&self) -> usize {
        self.under_way.load(Ordering::Relaxed)
    }

    /// What is known of a client now.
    pub(crate) fn greeting(&self, facts: Facts, chosen: Chosen) -> Greeting {
        let asks = self.settings.client_certificates.mode != ClientCertificateMode::Off;
        let visitor =
            asks.then(|| Visitor::new(facts.certificate.as_ref().map(|shown: &CertificateDer<'_>| shown)));
        Greeting { facts, visitor, chosen }
    }
}

impl Loaded {
    /// The front of what was loaded. Where nothing is new it is the old one; otherwise what lives in that goes on in
    /// this: the places of handshakes, and tickets while they mean the same.
    pub(super) fn succeed(self, old: Option<&Arc<Front>>) -> Arc<Front> {
        let Self { listener, settings, protocols, certificates, mut clients } = self;
        if let Some(old) = old {
            let before = old.clients.lock().unwrap_or_else(PoisonError::into_inner);
            let same_clients = old.settings.client_certificates.mode == settings.client_certificates.mode
                && before.text == clients.text;
            let were = old.certificates();
            let same = were.len() == certificates.len()
                && were.iter().zip(&certificates).all(|(old, new)| old.is_same(new));
            if same && same_clients && old.settings == settings && old.protocols == protocols {
                drop(before);
                return Arc::clone(old);
            }
            if same_clients {
                clients = before.clone();
            }
        }
        let ready = ArcSwap::from_pointee(Ready::new((&settings, protocols), certificates, &clients));
        let under_way = old.map_or_else(Arc::default, |old| Arc::clone(&old.under_way));
        Arc::new(Front { listener, settings, protocols, ready, clients: Mutex::new(clients), under_way })
    }
}

/// The certificate anew from its files; none if it is the same.
pub(super) fn renewed(old: &Certificate) -> Result<Option<Arc<Certificate>>, (PathBuf, String)> {
    let files: &CertificateFiles = old.files();
    let new = Certificate::load(files).map_err(|faults| {
        let path = match faults.first() {
            Some(Fault { key: "key", .. }) => files.key.clone(),
            _ => files.cert.clone(),
        };
        let problems: Vec<String> = faults.into_iter().map(|fault| fault.problem).collect();
        (path, problems.join("; "))
    })?;
    if new.is_same(old) {
        return Ok(None);
    }
    let now = SystemTime::now();
    match new.expired(now).filter(|_| old.expired(now).is_none()) {
        Some(over) => {
            let why = format!("the new certificate expired {over} ago, and the one in use is good");
            Err((files.cert.clone(), why))
        }
        None => Ok(Some(Arc::new(new))),
    }
}

impl Clients {
    fn load(tls: &ListenerTls) -> Result<Self, Fault> {
        let clients = &tls.client_certificates;
        let unusable = |why: String| Fault::new("caFile", why, "look at the file with openssl");
        let tickets = aws_lc_tickets().map_err(|error| unusable(error.to_string()))?;
        let asked = clients.ca_file.as_ref().filter(|_| clients.mode != ClientCertificateMode::Off);
        let Some(path) = asked else { return Ok(Self { text: None, verifier: None, tickets }) };
        let (roots, text): (RootCertStore, Vec<u8>) = certificate::authorities("caFile", path)?;
        let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&PROVIDER));
        let builder = match clients.mode {
            ClientCertificateMode::Optional => builder.allow_unauthenticated(),
            ClientCertificateMode::Off | ClientCertificateMode::Required => builder,
        };
        let verifier = builder.build().map_err(|error| unusable(error.to_string()))?;
        Ok(Self { text: Some(text), verifier: Some(verifier), tickets })
    }
}

/// Keys for session tickets: made anew every six hours, and good for as long again (RFC 5077, RFC 8446).
fn aws_lc_tickets() -> Result<Arc<dyn ProducesTickets>, rustls::Error> {
    rustls::crypto::aws_lc_rs::Ticketer::new()
}

impl Ready {
    fn new(
        (tls, protocols): (&ListenerTls, Protocols),
        certificates: Vec<Arc<Certificate>>,
        clients: &Clients,
    ) -> Self {
        let shelf = Arc::new(Shelf::new(certificates));
        let builder = ServerConfig::builder_with_provider(Arc::clone(&PROVIDER))
            .with_protocol_versions(versions(tls.min_version))
            .expect("aws-lc-rs has the versions that rustls has");
        let builder = match &clients.verifier {
            Some(verifier) => builder.with_client_cert_verifier(Arc::clone(verifier)),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(Arc::clone(&shelf) as _);
        config.alpn_protocols = offered(protocols);
        // Our order of ciphers and not the client's: all of them are good, and ours begins with the cheapest.
        config.ignore_client_order = true;
        // Tickets hold all that there is to know; nothing is kept here.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.ticketer = Arc::clone(&clients.tickets);
        // For our own record layer.
        config.enable_secret_extraction = true;
        Self { config: Arc::new(config), shelf }
    }
}
