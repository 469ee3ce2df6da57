//! TLS on the admin listener: certificates from files, read again at every reload. A handshake takes those of its
//! moment, so a renewed certificate cuts nothing.
//!
//! The handshake is made when the connection is first read from, not when it is accepted: whoever is slow at it keeps
//! a seat and holds up nobody else.

use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use arc_swap::ArcSwapOption;
use loadweaver_config::AdminTls;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::server::TlsStream;
use tokio_rustls::{Accept, TlsAcceptor};

use crate::file::{MAX_CERTIFICATES_BYTES, read_regular};
use crate::followers::Files;

/// The certificate that new handshakes are made with. Cheap to clone; all clones are the same. None from the start on
/// is none until the next start: who speaks plain text to the listener cannot know better.
#[derive(Debug, Clone, Default)]
pub(crate) struct Identity(Arc<ArcSwapOption<Loaded>>);

/// What was read from files.
#[derive(Debug)]
pub(crate) struct Loaded {
    from: AdminTls,
    config: Arc<ServerConfig>,
}

impl Identity {
    /// Reads the files; none where there is nothing to read, or nothing anew. The error is a sentence for an operator.
    pub(crate) fn prepare(
        &self,
        tls: Option<&AdminTls>,
        files: Files,
    ) -> Result<Option<Arc<Loaded>>, String> {
        let known = self.0.load();
        let is_known = |tls: &&AdminTls| known.as_ref().is_some_and(|known| known.from == **tls);
        match (tls, files) {
            (Some(tls), Files::WhereOthersAreNamed) if is_known(&tls) => Ok(None),
            (tls, _) => tls.map(load).transpose().map(|loaded| loaded.map(Arc::new)),
        }
    }

    /// What the listener begins with.
    pub(crate) fn begin(&self, loaded: Option<Arc<Loaded>>) {
        self.0.store(loaded);
    }

    /// Makes new handshakes with this, if the listener speaks TLS.
    pub(crate) fn renew(&self, loaded: Option<&Arc<Loaded>>) {
        if let Some(loaded) = loaded.filter(|_| self.0.load().is_some()) {
            self.0.store(Some(Arc::clone(loaded)));
        }
    }

    /// For one handshake.
    pub(super) fn acceptor(&self) -> Option<TlsAcceptor> {
        self.0.load().as_ref().map(|loaded| TlsAcceptor::from(Arc::clone(&loaded.config)))
    }
}

fn load(tls: &AdminTls) -> Result<Loaded, String> {
    let wrong = |key: &str, file: &Path, why: &dyn std::fmt::Display| {
        format!("admin.tls.{key} {} cannot be used: {why}", file.display())
    };
    let read = |key: &str, path: &Path| {
        read_regular(path, MAX_CERTIFICATES_BYTES).map_err(|error| wrong(key, path, &error))
    };
    let chain = read("cert", &tls.cert)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&chain).collect();
    let chain = chain.map_err(|error| wrong("cert", &tls.cert, &error))?;
    let key = PrivateKeyDer::from_pem_slice(&read("key", &tls.key)?);
    let key = key.map_err(|error| wrong("key", &tls.key, &error))?;
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key));
    let mut config = config.map_err(|error| wrong("cert", &tls.cert, &error))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Loaded { from: tls.clone(), config: Arc::new(config) })
}

/// A connection, in the clear or not.
pub(super) enum Wire {
    Plain(TcpStream),
    Greeting(Box<Accept<TcpStream>>),
    Secured(Box<TlsStream<TcpStream>>),
}

impl Wire {
    pub(super) fn new(stream: TcpStream, acceptor: Option<&TlsAcceptor>) -> Self {
        match acceptor {
            None => Self::Plain(stream),
            Some(acceptor) => Self::Greeting(Box::new(acceptor.accept(stream))),
        }
    }

    /// Drives the handshake to its end.
    fn poll_greet(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Self::Greeting(accept) = self {
            *self = Self::Secured(Box::new(ready!(Pin::new(accept.as_mut()).poll(cx))?));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_greet(cx))?;
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, into),
            Self::Secured(stream) => Pin::new(stream.as_mut()).poll_read(cx, into),
            Self::Greeting(_) => Poll::Pending,
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_greet(cx))?;
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Secured(stream) => Pin::new(stream.as_mut()).poll_write(cx, bytes),
            Self::Greeting(_) => Poll::Pending,
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Secured(stream) => Pin::new(stream.as_mut()).poll_flush(cx),
            Self::Greeting(_) => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Secured(stream) => Pin::new(stream.as_mut()).poll_shutdown(cx),
            // Nothing was said yet; the drop closes it.
            Self::Greeting(_) => Poll::Ready(Ok(())),
        }
    }
}
