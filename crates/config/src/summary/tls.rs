//! TLS with clients and with servers.

use std::fmt::{self, Display, Write};

use crate::model::listener::Listener;
use crate::model::tls::{CertificateFiles, ClientCertificateMode, Hsts, ListenerTls, PoolTls, RedirectHttps};
use crate::quantity::format_duration;

/// What follows a listener.
pub(super) fn write_listener(out: &mut String, listener: &Listener) -> fmt::Result {
    if let Some(tls) = &listener.tls {
        writeln!(out, "    TLS: {}", listener_tls(tls))?;
    }
    if let Some(to) = listener.redirect_https {
        writeln!(out, "    sends clients to https: {}", redirect(to))?;
    }
    if let Some(hsts) = &listener.hsts {
        writeln!(out, "    Strict-Transport-Security: {hsts}")?;
    }
    Ok(())
}

pub(crate) fn listener_tls(tls: &ListenerTls) -> String {
    let mut words = format!("{} and newer, ", tls.min_version.name());
    match tls.certificates.as_slice() {
        [one] => words.push_str(&files(one)),
        [first, rest @ ..] => {
            let _ = write!(words, "{} and {} more", files(first), rest.len());
        }
        [] => words.push_str("no certificate"),
    }
    let clients = &tls.client_certificates;
    if let (ClientCertificateMode::Optional | ClientCertificateMode::Required, Some(ca)) =
        (clients.mode, &clients.ca_file)
    {
        let _ = write!(words, ", clients' certificates {} by {}", clients.mode.name(), ca.display());
    }
    let _ = write!(
        words,
        ", handshakes within {}, {} at a time",
        format_duration(tls.handshake_timeout),
        tls.max_handshakes
    );
    words
}

fn files(files: &CertificateFiles) -> String {
    format!("{} with {}", files.cert.display(), files.key.display())
}

pub(crate) fn redirect(redirect: RedirectHttps) -> String {
    format!("{} to port {}", redirect.status, redirect.port)
}

pub(crate) fn pool_tls(tls: &PoolTls) -> String {
    let mut words = format!("{} and newer", tls.min_version.name());
    match (&tls.ca_file, tls.verify) {
        (_, false) => words.push_str(", NOT VERIFIED"),
        (Some(ca), true) => {
            let _ = write!(words, ", signed for by {}", ca.display());
        }
        (None, true) => words.push_str(", signed for by whom the system trusts"),
    }
    if let Some(name) = &tls.server_name {
        let _ = write!(words, ", for {name}");
    }
    if let Some(certificate) = &tls.certificate {
        let _ = write!(words, ", as {}", files(certificate));
    }
    words
}

impl Display for Hsts {
    /// The header's value (RFC 6797, 6.1).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "max-age={}", self.max_age.as_secs())?;
        if self.include_subdomains {
            f.write_str("; includeSubDomains")?;
        }
        if self.preload {
            f.write_str("; preload")?;
        }
        Ok(())
    }
}
