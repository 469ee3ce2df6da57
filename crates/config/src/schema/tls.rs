//! TLS with clients and with servers.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};

use crate::bounds;
use crate::model::tls as model;

use super::words::{ClientCertificateMode, Span, TlsVersion, VARIABLE, or_variable};

/// How a listener speaks TLS.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ListenerTls {
    /// Chosen by the name that a client asks for; the first is for all others.
    #[schemars(length(min = 1))]
    certificates: Vec<Certificate>,
    /// The oldest version that is spoken.
    #[serde(default)]
    min_version: TlsVersion,
    /// Whether clients prove who they are.
    #[serde(default)]
    client_certificates: ClientCertificates,
    /// From the connection to the end of its handshake.
    #[serde(default = "handshake_timeout")]
    handshake_timeout: Span,
    /// Handshakes under way at a time, on all workers.
    #[serde(default = "max_handshakes")]
    #[schemars(
        range(min = *bounds::MAX_HANDSHAKES.start(), max = *bounds::MAX_HANDSHAKES.end()),
        transform = or_variable
    )]
    max_handshakes: usize,
}

fn handshake_timeout() -> Span {
    Span(model::ListenerTls::DEFAULT_HANDSHAKE_TIMEOUT)
}

fn max_handshakes() -> usize {
    model::ListenerTls::DEFAULT_MAX_HANDSHAKES
}

/// The files of a certificate.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Certificate {
    /// A file of certificates (PEM), its own first.
    cert: String,
    /// The file of the private key (PEM).
    key: String,
}

/// Whether clients prove who they are.
#[derive(Serialize, JsonSchema, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ClientCertificates {
    /// off: not asked; optional: one that is shown has to be good; required: a good one has to be shown.
    #[serde(default)]
    mode: ClientCertificateMode,
    /// Who signs for the clients (PEM); left out, nobody, which only mode off allows.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", default)]
    ca_file: Option<String>,
}

/// Sends clients that come without TLS to where it is spoken.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct RedirectHttps {
    /// The port that they are sent to.
    #[schemars(range(min = *bounds::PORT.start(), max = *bounds::PORT.end()), transform = or_variable)]
    port: u16,
    /// 301, 302, 307 or 308.
    #[schemars(
        range(min = *bounds::REDIRECT_STATUS.start(), max = *bounds::REDIRECT_STATUS.end()),
        transform = or_variable
    )]
    status: u16,
}

impl Default for RedirectHttps {
    fn default() -> Self {
        let model::RedirectHttps { port, status } = model::RedirectHttps::default();
        Self { port, status }
    }
}

/// A flag, or the redirection in detail.
pub(super) struct Redirection;

impl Serialize for Redirection {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bool(false)
    }
}

impl JsonSchema for Redirection {
    fn schema_name() -> Cow<'static, str> {
        "Redirection".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let details = generator.subschema_for::<RedirectHttps>();
        json_schema!({ "anyOf": [{ "type": "boolean" }, details, { "type": "string", "pattern": VARIABLE }] })
    }
}

/// What browsers are told to remember: only TLS for this host (RFC 6797).
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct Hsts {
    /// For how long; 0s has them forget.
    max_age: Span,
    /// Also for the names below the host.
    #[schemars(transform = or_variable)]
    include_subdomains: bool,
    /// Agrees to be built into browsers.
    #[schemars(transform = or_variable)]
    preload: bool,
}

impl Default for Hsts {
    fn default() -> Self {
        let model::Hsts { max_age, include_subdomains, preload } = model::Hsts::default();
        Self { max_age: Span(max_age), include_subdomains, preload }
    }
}

/// How servers of a pool are spoken to over TLS.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct PoolTls {
    /// Whether a server has to prove who it is.
    #[serde(default = "yes")]
    #[schemars(transform = or_variable)]
    verify: bool,
    /// The name that is asked for, and that the certificate has to be for; left out, the server's host.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", default)]
    server_name: Option<String>,
    /// Who signs for the servers (PEM); left out, whom the system trusts.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", default)]
    ca_file: Option<String>,
    /// Our own certificates (PEM), for servers that ask; left out, none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", default)]
    cert: Option<String>,
    /// The file of our private key (PEM); left out, none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", default)]
    key: Option<String>,
    /// The oldest version that is spoken.
    #[serde(default)]
    min_version: TlsVersion,
}

fn yes() -> bool {
    true
}
