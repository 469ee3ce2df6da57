//! TLS for probes with a request.

use std::sync::{Arc, OnceLock};

use loadweaver_config::{HealthCheck, Protocol, Server};
use loadweaver_policy::health::ProbeFailure;
use loadweaver_proxy::tls::{Anybody, system_roots};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::Resumption;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier};

use super::reach::Stream;

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
pub(super) fn settings(verify: bool, protocol: Protocol) -> Arc<ClientConfig> {
    static VERIFYING: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    static TRUSTING: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    let settings = if verify {
        Arc::clone(VERIFYING.get_or_init(|| trusting(system_roots())))
    } else {
        let anybody = || {
            let verifier = Arc::<Anybody>::default();
            let builder = builder().dangerous().with_custom_certificate_verifier(verifier);
            finish(builder.with_no_client_auth())
        };
        Arc::clone(TRUSTING.get_or_init(anybody))
    };
    if protocol != Protocol::Http2 {
        return settings;
    }
    let mut settings = ClientConfig::clone(&settings);
    settings.alpn_protocols = vec![b"h2".to_vec()];
    Arc::new(settings)
}

/// Trusts what these have signed.
pub(super) fn trusting(roots: impl Into<Arc<RootCertStore>>) -> Arc<ClientConfig> {
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

#[cfg(test)]
mod tests;
