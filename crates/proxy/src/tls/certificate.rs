//! A certificate with its key, from files: everything that can be wrong with them, in words.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use loadweaver_config::CertificateFiles;
use rustls::RootCertStore;
use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{Fault, PROVIDER};

/// Largest file that is read: a bundle of every authority that there is takes a fifth of it.
const MOST_BYTES: u64 = 1024 * 1024;

/// From when on the end of a certificate is told beforehand.
pub(super) const SOON: Duration = Duration::from_hours(14 * 24);

/// A certificate with its chain and its key.
#[derive(Debug)]
pub struct Certificate {
    pub(super) certified: Arc<CertifiedKey>,
    files: CertificateFiles,
    /// In lower case; a wildcard begins with `*.`.
    names: Vec<String>,
    begins: SystemTime,
    ends: SystemTime,
    /// Others than owner and group may read the key.
    open: bool,
}

impl Certificate {
    /// Reads and checks the files.
    pub(crate) fn load(files: &CertificateFiles) -> Result<Self, Vec<Fault>> {
        let chain = certificates("cert", &files.cert);
        let key = private_key(&files.key);
        let ((chain, about), (key, open)) = match (chain, key) {
            (Ok(chain), Ok(key)) => (chain, key),
            (chain, key) => return Err([chain.err(), key.err()].into_iter().flatten().collect()),
        };
        let signing = PROVIDER.key_provider.load_private_key(key).map_err(|_| {
            let problem = format!("{} holds a kind of key that TLS does not use", files.key.display());
            vec![Fault::new("key", problem, "make an ECDSA key (P-256), or an RSA key of 2048 bits or more")]
        })?;
        let certified = CertifiedKey::new(chain, signing);
        if let Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::KeyMismatch)) =
            certified.keys_match()
        {
            let problem = format!(
                "the key in {} does not belong to the certificate in {}",
                files.key.display(),
                files.cert.display()
            );
            let help = "name the key that the certificate was asked for with; the server's own certificate \
                 stands first in its file";
            return Err(vec![Fault::new("key", problem, help)]);
        }
        Ok(Self {
            certified: Arc::new(certified),
            files: files.clone(),
            names: about.names,
            begins: about.begins,
            ends: about.ends,
            open,
        })
    }

    /// What is allowed but probably not meant.
    pub(super) fn warnings(&self, now: SystemTime) -> Vec<Fault> {
        let mut warnings = Vec::new();
        let cert = self.files.cert.display();
        if let Some(over) = self.expired(now) {
            let problem = format!("the certificate in {cert} expired {over} ago: clients will refuse it");
            warnings.push(Fault::new("cert", problem, "renew it; the new file is taken up without a reload"));
        } else if self.begins > now {
            let problem = format!("the certificate in {cert} is not valid before {}", date(self.begins));
            warnings.push(Fault::new(
                "cert",
                problem,
                "look at the clock of this machine, or use the older one",
            ));
        } else if let Some(left) = self.expires_soon(now) {
            let problem = format!("the certificate in {cert} expires in {left}");
            warnings.push(Fault::new("cert", problem, "renew it; the new file is taken up without a reload"));
        }
        if self.open {
            let problem = format!("{} can be read by every user of this machine", self.files.key.display());
            let help = format!("take that from them: chmod o-rwx {}", self.files.key.display());
            warnings.push(Fault::new("key", problem, help));
        }
        warnings
    }

    /// What is doubtful about it as a listener's.
    pub(super) fn shown_warnings(&self, now: SystemTime) -> Vec<Fault> {
        let mut warnings = self.warnings(now);
        if self.names.is_empty() {
            let problem = format!(
                "the certificate in {} is for no host name, so no client asks for it",
                self.files.cert.display()
            );
            let help = "ask for one with subject alternative names; browsers look at nothing else";
            warnings.push(Fault::new("cert", problem, help));
        }
        warnings
    }

    /// How long ago it expired, in words.
    pub fn expired(&self, now: SystemTime) -> Option<String> {
        now.duration_since(self.ends).ok().map(in_words)
    }

    /// How long it is still good, in words, if that is not long.
    pub fn expires_soon(&self, now: SystemTime) -> Option<String> {
        self.ends.duration_since(now).ok().filter(|left| *left < SOON).map(in_words)
    }

    /// How long it is not good yet, in words.
    pub fn begins_later(&self, now: SystemTime) -> Option<String> {
        self.begins.duration_since(now).ok().filter(|wait| !wait.is_zero()).map(in_words)
    }

    /// When it expires.
    pub fn ends(&self) -> SystemTime {
        self.ends
    }

    /// Where it came from.
    pub fn files(&self) -> &CertificateFiles {
        &self.files
    }

    /// The host names that it is for, in lower case; a wildcard begins with `*.`.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Whether it is for a host; `host` is in lower case.
    pub(crate) fn covers(&self, host: &str) -> bool {
        self.names.iter().any(|name| match name.strip_prefix('*') {
            // A star stands for one label (RFC 6125 section 6.4.3).
            Some(rest) => host
                .split_once('.')
                .is_some_and(|(first, _)| !first.is_empty() && host.get(first.len()..) == Some(rest)),
            None => name == host,
        })
    }

    /// Whether it is the very same certificate.
    pub fn is_same(&self, other: &Self) -> bool {
        self.certified.cert == other.certified.cert
    }
}

struct About {
    names: Vec<String>,
    begins: SystemTime,
    ends: SystemTime,
}

/// The certificates of a file, and what the first one says.
fn certificates(key: &'static str, path: &Path) -> Result<(Vec<CertificateDer<'static>>, About), Fault> {
    let text = read(key, path)?;
    let chain: Result<Vec<_>, PemError> = CertificateDer::pem_slice_iter(&text).collect();
    let shown = path.display();
    let chain = chain.map_err(|error| {
        Fault::new(key, format!("{shown} is no PEM file: {error}"), "write it anew from where it came from")
    })?;
    let Some(first) = chain.first() else {
        let problem = if text.starts_with(&[0x30, 0x82]) {
            format!("{shown} is a binary certificate (DER), not PEM")
        } else if has(&text, "PRIVATE KEY-----") {
            format!("{shown} holds a private key and no certificate")
        } else {
            format!("{shown} holds no certificate")
        };
        let help = if text.starts_with(&[0x30, 0x82]) {
            format!("turn it into PEM: openssl x509 -inform der -in {shown} -out site.pem")
        } else {
            "name a PEM file with -----BEGIN CERTIFICATE----- in it".to_owned()
        };
        return Err(Fault::new(key, problem, help));
    };
    let about = about(first).ok_or_else(|| {
        let problem = format!("the first certificate in {shown} cannot be read");
        Fault::new(key, problem, "look at it: openssl x509 -noout -text -in FILE")
    })?;
    Ok((chain, about))
}

fn about(certificate: &CertificateDer<'_>) -> Option<About> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let names = parsed.subject_alternative_name().ok().flatten();
    let names = names.iter().flat_map(|names| &names.value.general_names).filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        _ => None,
    });
    let names = names.collect();
    let validity = parsed.validity();
    let time = |seconds: i64| UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    let (begins, ends) = (time(validity.not_before.timestamp()), time(validity.not_after.timestamp()));
    Some(About { names, begins, ends })
}

/// The key of a file, and whether others than owner and group may read it. Nothing of its content is ever told.
fn private_key(path: &Path) -> Result<(PrivateKeyDer<'static>, bool), Fault> {
    let text = read("key", path)?;
    let shown = path.display();
    if has(&text, "BEGIN ENCRYPTED PRIVATE KEY") || has(&text, "Proc-Type: 4,ENCRYPTED") {
        let problem = format!("the key in {shown} is encrypted, and nobody is there to type its password");
        let help =
            format!("write it without one, readable by nobody else: openssl pkey -in {shown} -out site.key");
        return Err(Fault::new("key", problem, help));
    }
    let key = PrivateKeyDer::from_pem_slice(&text).map_err(|_| {
        let problem = if text.starts_with(&[0x30, 0x82]) || text.starts_with(&[0x30, 0x77]) {
            format!("{shown} is a binary key (DER), not PEM")
        } else if has(&text, "BEGIN CERTIFICATE") {
            format!("{shown} holds certificates and no private key")
        } else if has(&text, "BEGIN OPENSSH PRIVATE KEY") {
            format!("{shown} holds a key for SSH")
        } else {
            format!("{shown} holds no private key")
        };
        Fault::new("key", problem, "name a PEM file with -----BEGIN PRIVATE KEY----- in it")
    })?;
    let mode = fs::metadata(path).map_or(0, |about| about.permissions().mode());
    Ok((key, mode & 0o007 != 0))
}

/// Who signs, out of a file.
pub(super) fn authorities(key: &'static str, path: &Path) -> Result<(RootCertStore, Vec<u8>), Fault> {
    let text = read(key, path)?;
    let shown = path.display();
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&text) {
        let added = certificate.map_err(|error| error.to_string());
        let added = added.and_then(|certificate| roots.add(certificate).map_err(|error| error.to_string()));
        if let Err(why) = added {
            let problem = format!("a certificate in {shown} cannot be used: {why}");
            return Err(Fault::new(key, problem, "take it out, or write the file anew"));
        }
    }
    if roots.is_empty() {
        let problem = format!("{shown} holds no certificate");
        return Err(Fault::new(key, problem, "name a PEM file with the certificates of those who sign"));
    }
    Ok((roots, text))
}

fn has(text: &[u8], what: &str) -> bool {
    memchr::memmem::find(text, what.as_bytes()).is_some()
}

fn read(key: &'static str, path: &Path) -> Result<Vec<u8>, Fault> {
    let shown = path.display();
    let fault = |problem: String, help: &str| Fault::new(key, problem, help);
    let mut text = Vec::new();
    let read = fs::File::open(path)
        .and_then(|file| io::Read::read_to_end(&mut io::Read::take(file, MOST_BYTES + 1), &mut text));
    match read {
        Ok(0) => Err(fault(format!("{shown} is empty"), "write it anew from where it came from")),
        Ok(len) if len as u64 > MOST_BYTES => Err(fault(
            format!("{shown} is larger than 1 MiB"),
            "this is probably not the file that was meant",
        )),
        Ok(_) => Ok(text),
        Err(error) => Err(match error.kind() {
            io::ErrorKind::NotFound => {
                let help = "write its whole path: a relative one counts from where LoadWeaver was started";
                fault(format!("there is no file {shown}"), help)
            }
            io::ErrorKind::PermissionDenied => {
                let help = "let the user that LoadWeaver runs as read it, and nobody else";
                fault(format!("{shown} may not be read by this user"), help)
            }
            io::ErrorKind::IsADirectory => fault(format!("{shown} is a directory"), "name the file in it"),
            _ => fault(format!("{shown} cannot be read: {error}"), "make it a readable file"),
        }),
    }
}

/// Roughly: days, then hours, then minutes.
fn in_words(time: Duration) -> String {
    let minutes = time.as_secs() / 60;
    match (minutes / (24 * 60), minutes / 60) {
        (0, 0) => format!("{minutes} minutes"),
        (0, hours) => format!("{hours} hours"),
        (1, _) => "1 day".to_owned(),
        (days, _) => format!("{days} days"),
    }
}

fn date(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time).map_or_else(|_| "its begin".to_owned(), |time| time.to_string())
}

#[cfg(test)]
mod tests;
