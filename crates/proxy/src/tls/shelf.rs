//! Which certificate a client is shown: by the name that it asks for and the signatures that it can verify.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{SignatureAlgorithm, SignatureScheme};

use super::Certificate;

/// The certificates of a listener.
#[derive(Debug)]
pub(super) struct Shelf {
    pub(super) all: Vec<Arc<Certificate>>,
    /// Those for a name, the cheapest to sign with first.
    exact: HashMap<String, Vec<Arc<Certificate>>>,
    /// Those for all names one label below this.
    below: HashMap<String, Vec<Arc<Certificate>>>,
    /// Those for whatever the first is for.
    rest: Vec<Arc<Certificate>>,
}

thread_local! {
    /// The last certificate that was chosen on this thread. rustls does not say which one a connection was shown; but
    /// it asks for one in the middle of the call that takes the greeting in, so whoever made that call finds it here.
    static CHOSEN: RefCell<Option<Chosen>> = const { RefCell::new(None) };
}

/// What a greeting was answered with.
#[derive(Debug, Clone, Default)]
pub(crate) struct Chosen {
    /// The host that the client named, as it spelled it.
    pub(crate) name: Option<String>,
    /// What it was shown for it.
    pub(crate) certificate: Option<Arc<Certificate>>,
}

/// What the greeting was answered with that this thread has just taken in.
pub(crate) fn take_chosen() -> Option<Chosen> {
    CHOSEN.take()
}

impl Shelf {
    /// The first certificate is also for whoever asks for none of them.
    pub(super) fn new(all: Vec<Arc<Certificate>>) -> Self {
        let mut exact: HashMap<_, Vec<_>> = HashMap::new();
        let mut below: HashMap<_, Vec<_>> = HashMap::new();
        for certificate in &all {
            for name in certificate.names() {
                let (shelf, key) = match name.strip_prefix("*.") {
                    Some(rest) => (&mut below, rest),
                    None => (&mut exact, name.as_str()),
                };
                shelf.entry(key.to_owned()).or_default().push(Arc::clone(certificate));
            }
        }
        let first = all.first().cloned();
        let mut rest: Vec<_> = first.iter().cloned().collect();
        if let Some(first) = first {
            let same = |other: &&Arc<Certificate>| {
                let names = first.names();
                !Arc::ptr_eq(other, &first) && !names.is_empty() && names == other.names()
            };
            rest.extend(all.iter().filter(same).cloned());
        }
        for certificates in exact.values_mut().chain(below.values_mut()).chain([&mut rest]) {
            // Stable: with equal costs the order of the file counts.
            certificates.sort_by_key(|certificate| cost(certificate));
        }
        Self { all, exact, below, rest }
    }

    fn choose(&self, name: Option<&str>, schemes: &[SignatureScheme]) -> Option<&Arc<Certificate>> {
        let name = name.map(str::to_ascii_lowercase);
        let exact = name.as_ref().and_then(|name| self.exact.get(name));
        let below = || self.below.get(name.as_ref()?.split_once('.')?.1);
        let certificates = exact.or_else(below).unwrap_or(&self.rest);
        let good = certificates
            .iter()
            .find(|certificate| certificate.certified.key.choose_scheme(schemes).is_some());
        // One that the client cannot verify makes rustls say just that.
        good.or_else(|| certificates.first())
    }
}

impl ResolvesServerCert for Shelf {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let chosen = self.choose(hello.server_name(), hello.signature_schemes());
        let name = hello.server_name().map(str::to_owned);
        CHOSEN.set(Some(Chosen { name, certificate: chosen.cloned() }));
        chosen.map(|certificate| Arc::clone(&certificate.certified))
    }
}

/// An ECDSA signature costs a tenth of an RSA one.
fn cost(certificate: &Certificate) -> u8 {
    match certificate.certified.key.algorithm() {
        SignatureAlgorithm::ECDSA => 0,
        SignatureAlgorithm::ED25519 => 1,
        _ => 2,
    }
}
