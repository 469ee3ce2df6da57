//! TLS for `http` probes.

use std::sync::{Arc, OnceLock};

use loadweaver_config::{HealthCheck, Server};
use loadweaver_policy::health::ProbeFailure;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::Resumption;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{
    CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature,
};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    ClientConfig, ConfigBuilder, DigitallySignedStruct, Error, RootCertStore, SignatureScheme, WantsVerifier,
};

use super::http::Stream;

/// Whom a probe asks for (SNI), and whose name its certificate has to have: the host of the request.
pub(super) fn name(check: &HealthCheck, server: &Server) -> Result<ServerName<'static>, ProbeFailure> {
    let host = check.host.as_deref().map_or(server.host.as_str(), without_port);
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    ServerName::try_from(bare.to_owned())
        .map_err(|_| ProbeFailure::Tls(format!("no certificate can be for {bare}")))
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        // The colons of an address without brackets are its own.
        Some((name, _)) if !name.contains(':') || name.ends_with(']') => name,
        _ => host,
    }
}

/// Made once. With `verify` the system's certificates count, as they were when the first such probe was sent.
pub(super) fn settings(verify: bool) -> Arc<ClientConfig> {
    static VERIFYING: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    static TRUSTING: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    if verify {
        let roots = || {
            let mut roots = RootCertStore::empty();
            // What cannot be read or understood is left out; without any, no certificate is good.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            roots
        };
        Arc::clone(VERIFYING.get_or_init(|| trusting(roots())))
    } else {
        let anybody = || {
            let verifier = Arc::new(Anybody(aws_lc_rs::default_provider()));
            let builder = builder().dangerous().with_custom_certificate_verifier(verifier);
            finish(builder.with_no_client_auth())
        };
        Arc::clone(TRUSTING.get_or_init(anybody))
    }
}

/// Trusts what these have signed.
pub(super) fn trusting(roots: RootCertStore) -> Arc<ClientConfig> {
    finish(builder().with_root_certificates(roots).with_no_client_auth())
}

fn builder() -> ConfigBuilder<ClientConfig, WantsVerifier> {
    ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("aws-lc-rs has the versions that rustls has")
}

fn finish(mut config: ClientConfig) -> Arc<ClientConfig> {
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // A probe tries what a new client has to go through.
    config.resumption = Resumption::disabled();
    Arc::new(config)
}

/// Shakes hands.
pub(super) async fn open(
    stream: Stream,
    name: Result<ServerName<'static>, ProbeFailure>,
    settings: Arc<ClientConfig>,
) -> Result<TlsStream<Stream>, ProbeFailure> {
    let opened = TlsConnector::from(settings).connect(name?, stream).await;
    // Somebody is there, so this is no failure to connect.
    opened.map_err(|error| ProbeFailure::Tls(error.to_string()))
}

/// Takes any certificate, from whoever proves to hold its key.
#[derive(Debug)]
struct Anybody(CryptoProvider);

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

#[cfg(test)]
mod tests;
