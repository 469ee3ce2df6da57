//! The way to a server that a probe with a request takes: a connection of its own, secured as it has to be.

use std::sync::Arc;

use loadweaver_config::{HealthCheck, Protocol, Server};
use loadweaver_policy::health::ProbeFailure;
use loadweaver_proxy::tls::Identity;
use tokio::io::{AsyncRead, AsyncWrite};

use super::tcp::{Place, connect};
use super::tls;

/// A connection, with or without TLS.
pub(super) type Stream = Box<dyn Connection>;

pub(super) trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}

impl<Any: AsyncRead + AsyncWrite + Send + Unpin> Connection for Any {}

/// Who is asked, and how.
pub(super) struct Errand<'a> {
    pub(super) check: &'a HealthCheck,
    pub(super) server: &'a Server,
    pub(super) place: Place,
    /// How the pool's requests are secured, where that holds for this probe too.
    pub(super) identity: Option<&'a Arc<Identity>>,
    pub(super) protocol: Protocol,
}

/// What is spoken on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spoken {
    Http1,
    Http2,
}

impl Errand<'_> {
    /// Whether there is TLS on the way.
    pub(super) fn is_secure(&self) -> bool {
        self.check.tls || self.identity.is_some()
    }

    /// Connects, shakes hands, and says what is spoken.
    pub(super) async fn reach(&self) -> Result<(Stream, Spoken), ProbeFailure> {
        let Self { check, server, ref place, identity, protocol } = *self;
        let stream: Stream = Box::new(connect(place).await?);
        let (settings, name) = match identity {
            Some(identity) => {
                let (settings, name) = identity.for_probes(protocol);
                (settings, Ok(name))
            }
            None if check.tls => (tls::settings(check.verify, protocol), tls::name(check, server)),
            None if protocol == Protocol::H2c => return Ok((stream, Spoken::Http2)),
            None => return Ok((stream, Spoken::Http1)),
        };
        let secured = tls::open(stream, name, settings).await?;
        let agreed = secured.get_ref().1.alpn_protocol() == Some(b"h2");
        let spoken = if agreed { Spoken::Http2 } else { Spoken::Http1 };
        if protocol == Protocol::Http2 && !agreed {
            return Err(ProbeFailure::Tls("the server does not agree on HTTP/2".to_owned()));
        }
        Ok((Box::new(secured), spoken))
    }
}
