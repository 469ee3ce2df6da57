//! TLS with clients and with servers: what can be said without looking at the files.

use crate::bounds;
use crate::document::Node;
use crate::issue::{Fault, Report, shown};
use crate::model::listener::Listener;
use crate::model::tls::{
    CertificateFiles, ClientCertificateMode, ClientCertificates, Hsts, ListenerTls, PoolTls, RedirectHttps,
    TlsVersion,
};
use crate::shape;
use crate::spot::{Section, Spot};
use crate::{address, quantity};

use super::program;

const NEED_CERTIFICATES: &str =
    "name the files: \"certificates\": [ { \"cert\": \"site.pem\", \"key\": \"site.key\" } ]";

pub(super) fn listener(spot: &Spot<'_>, report: &mut Report) -> Option<ListenerTls> {
    let section = Section::open(spot, &shape::LISTENER_TLS, report)?;
    let mut tls = ListenerTls {
        certificates: Vec::new(),
        min_version: TlsVersion::default(),
        client_certificates: ClientCertificates::default(),
        handshake_timeout: ListenerTls::DEFAULT_HANDSHAKE_TIMEOUT,
        max_handshakes: ListenerTls::DEFAULT_MAX_HANDSHAKES,
    };
    if let Some(spot) = section.need("certificates", report, NEED_CERTIFICATES) {
        tls.certificates = certificates(&spot, report).unwrap_or_default();
    }
    section.set("minVersion", report, &mut tls.min_version, version);
    section.set("clientCertificates", report, &mut tls.client_certificates, client_certificates);
    section.set("handshakeTimeout", report, &mut tls.handshake_timeout, |spot, report| {
        spot.duration(report, &bounds::CONNECT)
    });
    section.set("maxHandshakes", report, &mut tls.max_handshakes, |spot, report| {
        spot.number(report, &bounds::MAX_HANDSHAKES)
    });
    Some(tls)
}

fn certificates(spot: &Spot<'_>, report: &mut Report) -> Option<Vec<CertificateFiles>> {
    let entries = spot.list(report, "certificates: { \"cert\": …, \"key\": … }")?;
    if entries.is_empty() || entries.len() > bounds::CERTIFICATES {
        let (problem, help) = if entries.is_empty() {
            ("there is no certificate to show to clients".to_owned(), NEED_CERTIFICATES.to_owned())
        } else {
            let problem = format!(
                "{} certificates are more than the {} that may be",
                entries.len(),
                bounds::CERTIFICATES
            );
            (problem, "use certificates for several names, or wildcards".to_owned())
        };
        spot.refuse(report, Fault::new(problem, help));
        return None;
    }
    let mut all = Vec::<CertificateFiles>::new();
    for entry in &entries {
        let Some(files) = certificate(entry, report) else { continue };
        if all.contains(&files) {
            report.warn(&entry.at, Fault::new("these files stand in the list twice", "take them out once"));
        }
        all.push(files);
    }
    Some(all)
}

fn certificate(spot: &Spot<'_>, report: &mut Report) -> Option<CertificateFiles> {
    let section = Section::open(spot, &shape::CERTIFICATE, report)?;
    let cert = section.need("cert", report, "name the file of certificates: \"cert\": \"site.pem\"");
    let cert = cert.and_then(|spot| program::file(&spot, report));
    let key = section.need("key", report, "name the file of the private key: \"key\": \"site.key\"");
    let key = key.and_then(|spot| program::file(&spot, report));
    Some(CertificateFiles { cert: cert?, key: key? })
}

fn version(spot: &Spot<'_>, report: &mut Report) -> Option<TlsVersion> {
    if let Node::Number(number) = spot.node {
        let help = "write a text: \"1.2\" or \"1.3\"";
        spot.refuse(report, Fault::new(format!("expected a version in quotes, found {number}"), help));
        return None;
    }
    spot.word(report, TlsVersion::ALL, TlsVersion::name)
}

fn client_certificates(spot: &Spot<'_>, report: &mut Report) -> Option<ClientCertificates> {
    let section = Section::open(spot, &shape::CLIENT_CERTIFICATES, report)?;
    let mut clients = ClientCertificates::default();
    section.set("mode", report, &mut clients.mode, |spot, report| {
        spot.word(report, ClientCertificateMode::ALL, ClientCertificateMode::name)
    });
    section.set("caFile", report, &mut clients.ca_file, |spot, report| program::file(spot, report).map(Some));
    match (clients.mode, section.get("caFile")) {
        (ClientCertificateMode::Off, Some(spot)) => {
            let help = "add \"mode\": \"required\" or \"optional\", or take the key out";
            report.warn(&spot.at, Fault::new("no client is asked for a certificate", help));
        }
        (ClientCertificateMode::Optional | ClientCertificateMode::Required, None) => {
            let help = "name who signs for the clients: \"caFile\": \"clients-ca.pem\"";
            let problem = "nothing says whose certificates are good";
            report.issue(section.at(), Fault::new(problem, help));
        }
        _ => {}
    }
    Some(clients)
}

#[allow(clippy::option_option)] // the outer one says whether the value could be read
pub(super) fn redirect(spot: &Spot<'_>, report: &mut Report) -> Option<Option<RedirectHttps>> {
    if let Node::Bool(_) | Node::Text(_) = spot.node {
        return spot.flag(report).map(|on| on.then(RedirectHttps::default));
    }
    let section = Section::open(spot, &shape::REDIRECT_HTTPS, report)?;
    let mut redirect = RedirectHttps::default();
    section.set("port", report, &mut redirect.port, |spot, report| spot.number(report, &bounds::PORT));
    section.set("status", report, &mut redirect.status, |spot, report| {
        let status: u16 = spot.number(report, &bounds::REDIRECT_STATUS)?;
        if matches!(status, 301 | 302 | 307 | 308) {
            return Some(status);
        }
        let help = "write 308 or 307, which keep the method, or 301 or 302";
        spot.refuse(report, Fault::new(format!("{status} sends nobody elsewhere"), help));
        None
    });
    Some(Some(redirect))
}

#[allow(clippy::option_option)] // the outer one says whether the section could be read
pub(super) fn hsts(spot: &Spot<'_>, report: &mut Report) -> Option<Option<Hsts>> {
    let section = Section::open(spot, &shape::HSTS, report)?;
    let mut hsts = Hsts::default();
    section.set("maxAge", report, &mut hsts.max_age, |spot, report| spot.duration(report, &bounds::MAX_AGE));
    section.set("includeSubdomains", report, &mut hsts.include_subdomains, Spot::flag);
    section.set("preload", report, &mut hsts.preload, Spot::flag);
    let year = Hsts::default().max_age;
    if let Some(spot) = section.get("preload").filter(|_| hsts.preload)
        && (hsts.max_age < year || !hsts.include_subdomains)
    {
        let problem = format!(
            "browsers preload nobody with a maxAge of {}{}",
            quantity::format_duration(hsts.max_age),
            if hsts.include_subdomains { "" } else { " and without subdomains" }
        );
        let help = "write \"maxAge\": \"365d\" and \"includeSubdomains\": true, or take \"preload\" out";
        report.warn(&spot.at, Fault::new(problem, help));
    }
    Some(Some(hsts))
}

/// What the keys of a listener mean to each other.
pub(super) fn fits(section: &Section<'_>, listener: &Listener, report: &mut Report) {
    if let Some(spot) = section.get("redirectHttps")
        && listener.redirect_https.is_some()
        && listener.tls.is_some()
    {
        let problem = "clients of this listener speak TLS already: they would be sent round in circles";
        let help = "write it at the listener without \"tls\", such as the one on port 80";
        spot.refuse(report, Fault::new(problem, help));
    }
    if let Some(spot) = section.get("hsts")
        && listener.tls.is_none()
        && listener.redirect_https.is_some()
    {
        let problem = "browsers take this from connections with TLS alone, and this listener sends them away";
        report.warn(&spot.at, Fault::new(problem, "write it at the listener with \"tls\""));
    }
}

pub(super) fn pool(spot: &Spot<'_>, report: &mut Report) -> Option<PoolTls> {
    let section = Section::open(spot, &shape::POOL_TLS, report)?;
    let mut tls = PoolTls::default();
    section.set("verify", report, &mut tls.verify, Spot::flag);
    section.set("serverName", report, &mut tls.server_name, |spot, report| {
        let text = spot.text(report, "a name such as \"app.internal\"")?;
        spot.settle(report, address::server_host(text)).map(Some)
    });
    section.set("caFile", report, &mut tls.ca_file, |spot, report| program::file(spot, report).map(Some));
    section.set("minVersion", report, &mut tls.min_version, version);
    match (section.get("cert"), section.get("key")) {
        (Some(cert), Some(key)) => {
            let (cert, key) = (program::file(&cert, report), program::file(&key, report));
            tls.certificate = cert.zip(key).map(|(cert, key)| CertificateFiles { cert, key });
        }
        (Some(spot), None) => {
            let help = "name its private key too: \"key\": \"client.key\"";
            spot.refuse(report, Fault::new("a certificate proves nothing without its key", help));
        }
        (None, Some(spot)) => {
            let help = "name the certificate too: \"cert\": \"client.pem\"";
            spot.refuse(report, Fault::new("a private key without a certificate is of no use", help));
        }
        (None, None) => {}
    }
    verifies(&section, &tls, report);
    Some(tls)
}

fn verifies(section: &Section<'_>, tls: &PoolTls, report: &mut Report) {
    if tls.verify {
        return;
    }
    if let Some(spot) = section.get("verify") {
        let problem =
            "servers of this pool prove nothing: whoever sits on the way reads and changes everything";
        let help = "take it out and name who signs for the servers: \"caFile\": \"servers-ca.pem\"";
        report.warn(&spot.at, Fault::new(problem, help));
    }
    if let Some(spot) = section.get("caFile") {
        let problem = format!("{} is not looked at: nothing is verified", shown("caFile"));
        report.warn(&spot.at, Fault::new(problem, "take out one of \"verify\" and \"caFile\""));
    }
}
