//! Telling a server in front of a connection whom it is from (the PROXY protocol).

use std::net::{Ipv4Addr, SocketAddr};

use loadweaver_config::{Pool, SendProxyProtocol};
use loadweaver_http1::preface::{self, Details, Ends, Preface, TlsDetails};
use rustls::{CipherSuite, ProtocolVersion};

use crate::exchange::Exchange;
use crate::listen::Peer;
use crate::tls::Greeting;

/// Whom a connection was said to be from, and in which way: it serves nobody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Announced {
    way: SendProxyProtocol,
    client: Peer,
}

impl Announced {
    /// What the pool wants said of the client; nothing in most pools.
    #[inline]
    pub(crate) fn of(x: &Exchange<'_>, pool: &Pool) -> Option<Self> {
        match pool.send_proxy_protocol {
            SendProxyProtocol::Off => None,
            way => Some(Self { way, client: x.peer }),
        }
    }

    /// The header that says so.
    pub(crate) fn header(self, x: &Exchange<'_>) -> Vec<u8> {
        let known = x.preface.as_ref().and_then(|preface| preface.ends).map(|ends| ends.destination);
        let nowhere = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0);
        let destination = known.or_else(|| x.client.stream.local_address()).unwrap_or(nowhere);
        let ends = self.client.map(|source| Ends { source, destination });
        let mut header = Vec::with_capacity(256);
        match self.way {
            SendProxyProtocol::Off | SendProxyProtocol::V1 => preface::write_v1(&mut header, ends),
            SendProxyProtocol::V2 => {
                preface::write_v2(&mut header, &Preface { ends, details: details(x) });
            }
        }
        header
    }
}

/// The header in front of a connection that is our own.
pub fn own_header(way: SendProxyProtocol) -> Vec<u8> {
    let mut header = Vec::new();
    match way {
        SendProxyProtocol::Off => {}
        SendProxyProtocol::V1 => preface::write_v1(&mut header, None),
        SendProxyProtocol::V2 => preface::write_v2(&mut header, &Preface::default()),
    }
    header
}

/// What is known beside the addresses: what a proxy in front has said, and of TLS what we know ourselves.
fn details(x: &Exchange<'_>) -> Details {
    let mut details = x.preface.as_ref().map(|preface| preface.details.clone()).unwrap_or_default();
    if let Some(greeting) = &x.greeting {
        details.alpn.clone_from(&greeting.facts.protocol);
        details.authority.clone_from(&greeting.chosen.name);
        details.tls = Some(tls(greeting));
    }
    details
}

fn tls(greeting: &Greeting) -> TlsDetails {
    let shown = greeting.visitor.as_ref().and_then(|visitor| visitor.certificate.as_ref());
    let version = match greeting.facts.version {
        ProtocolVersion::TLSv1_2 => Some("TLSv1.2".to_owned()),
        ProtocolVersion::TLSv1_3 => Some("TLSv1.3".to_owned()),
        _ => None,
    };
    TlsDetails {
        version,
        cipher: greeting.facts.cipher.and_then(usual_name).map(str::to_owned),
        common_name: shown.and_then(|shown| shown.common_name.clone()),
        verified: shown.is_some(),
        resumed: shown.is_some() && greeting.facts.resumed,
    }
}

/// As OpenSSL calls it, and with it whoever reads such headers.
fn usual_name(cipher: CipherSuite) -> Option<&'static str> {
    use CipherSuite as C;
    Some(match cipher {
        C::TLS13_AES_128_GCM_SHA256 => "TLS_AES_128_GCM_SHA256",
        C::TLS13_AES_256_GCM_SHA384 => "TLS_AES_256_GCM_SHA384",
        C::TLS13_CHACHA20_POLY1305_SHA256 => "TLS_CHACHA20_POLY1305_SHA256",
        C::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 => "ECDHE-ECDSA-AES128-GCM-SHA256",
        C::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 => "ECDHE-ECDSA-AES256-GCM-SHA384",
        C::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 => "ECDHE-ECDSA-CHACHA20-POLY1305",
        C::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => "ECDHE-RSA-AES128-GCM-SHA256",
        C::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 => "ECDHE-RSA-AES256-GCM-SHA384",
        C::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 => "ECDHE-RSA-CHACHA20-POLY1305",
        _ => return None,
    })
}
