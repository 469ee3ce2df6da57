//! TLS: certificates, and what connections with clients and with servers are secured with.
//!
//! The files that a configuration names are read when it is checked, before anything of it is in force; what is wrong
//! with them is told like any other issue, with its place in the file. Certificates of listeners live in a
//! [`Front`], which all workers share and which outlives changes that do not touch it: session tickets that were given
//! out stay good, and a renewed certificate is put in its place without a change of the configuration.

use std::sync::{Arc, LazyLock};

use loadweaver_config::{Config, Issue, Issues, Protocol, Protocols, TlsVersion};
use rustls::crypto::aws_lc_rs::cipher_suite;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::{SupportedCipherSuite, SupportedProtocolVersion};

/// What the servers of a pool are spoken to with.
mod back;
/// A certificate with its key, from files.
mod certificate;
/// What listeners shake hands with.
mod front;
/// Which certificate a client is shown.
mod shelf;
/// Who a client proved to be.
mod visitor;

pub use back::{Anybody, Back, Identity, system_roots};
pub use certificate::Certificate;
pub use front::{Front, Renewal};
pub(crate) use front::{Greeting, Handshaking, Refusal};
pub(crate) use shelf::{Chosen, take_chosen};
pub(crate) use visitor::Visitor;

/// The names of protocols.
pub(crate) const HTTP2: &[u8] = b"h2";
const HTTP1: &[u8] = b"http/1.1";

/// Protocols that a listener offers, the best first (RFC 7301, RFC 9113 section 3.2).
fn offered(protocols: Protocols) -> Vec<Vec<u8>> {
    let names: &[&[u8]] = match protocols {
        Protocols::Both => &[HTTP2, HTTP1],
        Protocols::Http1 => &[HTTP1],
        Protocols::Http2 => &[HTTP2],
    };
    names.iter().map(|name| name.to_vec()).collect()
}

/// What servers are asked to speak, the best first.
fn asked(protocol: Protocol) -> Vec<Vec<u8>> {
    let names: &[&[u8]] = match protocol {
        Protocol::Auto => &[HTTP2, HTTP1],
        Protocol::Http1 => &[HTTP1],
        // The last one has no TLS.
        Protocol::Http2 | Protocol::H2c => &[HTTP2],
    };
    names.iter().map(|name| name.to_vec()).collect()
}

/// The cryptography of every connection.
pub(crate) static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| {
    Arc::new(CryptoProvider { cipher_suites: CIPHERS.to_vec(), ..aws_lc_rs::default_provider() })
});

/// All that rustls knows, in our order: AES-128 costs the least, and nobody breaks it.
static CIPHERS: [SupportedCipherSuite; 9] = [
    cipher_suite::TLS13_AES_128_GCM_SHA256,
    cipher_suite::TLS13_AES_256_GCM_SHA384,
    cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
    cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    cipher_suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
];

static NEWEST: [&SupportedProtocolVersion; 1] = [&rustls::version::TLS13];
static BOTH: [&SupportedProtocolVersion; 2] = [&rustls::version::TLS13, &rustls::version::TLS12];

/// The versions that are spoken.
pub(crate) fn versions(oldest: TlsVersion) -> &'static [&'static SupportedProtocolVersion] {
    match oldest {
        TlsVersion::V12 => &BOTH,
        TlsVersion::V13 => &NEWEST,
    }
}

/// What the files of a configuration hold.
#[derive(Debug, Clone, Default)]
pub struct Security {
    /// By the index of the listener; none for one in the clear.
    pub fronts: Vec<Option<Arc<Front>>>,
    /// By the index of the pool; none for one that is spoken to in the clear.
    pub backs: Vec<Option<Arc<Back>>>,
    /// The names of the pools.
    pools: Vec<Arc<str>>,
    /// What is allowed but probably not meant.
    pub warnings: Vec<Issue>,
}

impl Security {
    /// Reads the files. What did not change since `before` is taken over with all that lives in it.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn load(config: &Config, before: Option<&Self>) -> Result<Self, Issues> {
        let (mut issues, mut security) = (Vec::new(), Self::default());
        for listener in &config.listeners {
            let Some(tls) = &listener.tls else {
                security.fronts.push(None);
                continue;
            };
            let at = format!("/listeners/{}/tls", listener.name);
            match Front::load(&listener.name, (tls, listener.protocols), &at) {
                Ok((front, warnings)) => {
                    let old = before.and_then(|before| before.front(&listener.name));
                    security.fronts.push(Some(front.succeed(old)));
                    security.warnings.extend(warnings);
                }
                Err(found) => issues.extend(found),
            }
        }
        for pool in &config.pools {
            security.pools.push(Arc::clone(&pool.name));
            let back = match &pool.tls {
                None => None,
                Some(tls) => match Back::load(
                    (tls, pool.protocol),
                    &pool.servers,
                    &format!("/pools/{}/tls", pool.name),
                ) {
                    Ok((back, warnings)) => {
                        security.warnings.extend(warnings);
                        Some(back.succeed(before.and_then(|before| before.back(&pool.name))))
                    }
                    Err(found) => {
                        issues.extend(found);
                        None
                    }
                },
            };
            security.backs.push(back);
        }
        if issues.is_empty() { Ok(security) } else { Err(Issues(issues)) }
    }

    /// Whether nothing in any file is another.
    pub fn is_same(&self, other: &Self) -> bool {
        fn same<T>(ours: &[Option<Arc<T>>], others: &[Option<Arc<T>>]) -> bool {
            let key = |one: &Option<Arc<T>>| one.as_ref().map(Arc::as_ptr);
            ours.iter().map(key).eq(others.iter().map(key))
        }
        same(&self.fronts, &other.fronts) && same(&self.backs, &other.backs)
    }

    /// What a pool's servers are spoken to with, by its name.
    pub fn back(&self, pool: &str) -> Option<&Arc<Back>> {
        let place = self.pools.iter().position(|name| &**name == pool)?;
        self.backs.get(place)?.as_ref()
    }

    /// The pools that are spoken to over TLS, by name, and with what.
    pub fn named_backs(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<Back>)> {
        self.pools.iter().zip(&self.backs).filter_map(|(name, back)| Some((name, back.as_ref()?)))
    }

    /// The front of a listener, by its name.
    pub fn front(&self, listener: &str) -> Option<&Arc<Front>> {
        self.fronts.iter().flatten().find(|front| &**front.listener() == listener)
    }
}

/// What is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The key that names the file.
    pub(crate) key: &'static str,
    pub(crate) problem: String,
    pub(crate) help: String,
}

impl Fault {
    fn new(key: &'static str, problem: impl Into<String>, help: impl Into<String>) -> Self {
        Self { key, problem: problem.into(), help: help.into() }
    }

    /// With its place in the configuration.
    pub(crate) fn at(self, section: &str) -> Issue {
        Issue { at: format!("{section}/{}", self.key), problem: self.problem, help: self.help }
    }
}
