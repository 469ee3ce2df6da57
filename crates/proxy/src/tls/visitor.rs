//! Who a client proved to be, as servers are told.

use std::fmt::Write;

use aws_lc_rs::digest::{SHA256, digest};
use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::x509::X509Name;

/// Longest subject that is told. A longer one is left out rather than cut: what is left of it could be somebody else's.
const MOST: usize = 4 * 1024;

/// A client on a listener that asks for certificates.
#[derive(Debug, Clone, Default)]
pub(crate) struct Visitor {
    /// What it showed, and was verified; none if it showed nothing.
    pub(crate) certificate: Option<Shown>,
}

/// A verified certificate.
#[derive(Debug, Clone)]
pub(crate) struct Shown {
    /// As RFC 4514 has it, in ASCII; none if that cannot be said.
    pub(crate) subject: Option<String>,
    /// The most specific one of the subject; none if there is none that can be said.
    pub(crate) common_name: Option<String>,
    /// SHA-256 of the certificate, in lower case hexadecimal.
    pub(crate) fingerprint: String,
}

impl Visitor {
    pub(super) fn new(certificate: Option<&CertificateDer<'_>>) -> Self {
        Self { certificate: certificate.map(Shown::new) }
    }
}

impl Shown {
    fn new(certificate: &CertificateDer<'_>) -> Self {
        let parsed = X509Certificate::from_der(certificate).ok();
        let parsed = parsed.as_ref().map(|(_, parsed)| parsed.subject());
        let subject = parsed.and_then(|name| subject(name));
        let common_name = parsed.and_then(|name| name.iter_common_name().last()?.as_str().ok());
        let common_name = common_name.map(str::to_owned);
        let mut fingerprint = String::with_capacity(64);
        for byte in digest(&SHA256, certificate).as_ref() {
            // Writing to a String cannot fail.
            let _ = write!(fingerprint, "{byte:02x}");
        }
        Self { subject, common_name, fingerprint }
    }
}

/// The last part first (RFC 4514 section 2.1). What has no short name there is named by its number.
fn subject(name: &X509Name<'_>) -> Option<String> {
    let mut text = String::new();
    let parts: Vec<_> = name.iter_rdn().collect();
    for (index, part) in parts.iter().rev().enumerate() {
        for (place, attribute) in part.iter().enumerate() {
            match (index, place) {
                (0, 0) => {}
                (_, 0) => text.push(','),
                _ => text.push('+'),
            }
            let id = attribute.attr_type().to_id_string();
            text.push_str(short(&id).unwrap_or(&id));
            text.push('=');
            escape(attribute.as_str().ok()?, &mut text);
        }
        if text.len() > MOST {
            return None;
        }
    }
    Some(text)
}

fn short(id: &str) -> Option<&'static str> {
    Some(match id {
        "2.5.4.3" => "CN",
        "2.5.4.6" => "C",
        "2.5.4.7" => "L",
        "2.5.4.8" => "ST",
        "2.5.4.9" => "STREET",
        "2.5.4.10" => "O",
        "2.5.4.11" => "OU",
        "0.9.2342.19200300.100.1.1" => "UID",
        "0.9.2342.19200300.100.1.25" => "DC",
        "1.2.840.113549.1.9.1" => "emailAddress",
        _ => return None,
    })
}

/// RFC 4514 section 2.4. Whatever is not plain ASCII stands there in hexadecimal, so nothing can break out of the
/// header that it goes into.
fn escape(value: &str, text: &mut String) {
    let last = value.len().saturating_sub(1);
    for (index, byte) in value.bytes().enumerate() {
        match byte {
            b'"' | b'+' | b',' | b';' | b'<' | b'>' | b'\\' | b'=' => {
                text.push('\\');
                text.push(char::from(byte));
            }
            b'#' if index == 0 => text.push_str("\\#"),
            b' ' if index == 0 || index == last => text.push_str("\\ "),
            b' '..=b'~' => text.push(char::from(byte)),
            _ => {
                let _ = write!(text, "\\{byte:02X}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_subject_can_break_out_of_its_header() {
        let mut text = String::new();
        escape(" a,b\r\nX-Evil: 1 é ", &mut text);
        assert_eq!(text, "\\ a\\,b\\0D\\0AX-Evil: 1 \\C3\\A9\\ ");
    }
}
