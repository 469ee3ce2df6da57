//! Version 2: a signature, a kind, a length, addresses, and fields of a type, a length and a value.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::checksum::crc32c;
use super::{Details, Ends, MOST_ID, MOST_V2, Preface, PrefaceError, TlsDetails, six};

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// Signature, version and command, family and transport, length.
const FIXED: usize = 16;

const LOCAL: u8 = 0x20;
const PROXY: u8 = 0x21;

const UNSPECIFIED: u8 = 0x00;
const TCP4: u8 = 0x11;
const TCP6: u8 = 0x21;
const UNIX_STREAM: u8 = 0x31;

/// Two paths of 108 bytes.
const UNIX_LEN: usize = 216;

const ALPN: u8 = 0x01;
const AUTHORITY: u8 = 0x02;
const CRC32C: u8 = 0x03;
const UNIQUE_ID: u8 = 0x05;
const SSL: u8 = 0x20;
const SSL_VERSION: u8 = 0x21;
const SSL_CN: u8 = 0x22;
const SSL_CIPHER: u8 = 0x23;

const CLIENT_SSL: u8 = 0x01;
const CLIENT_CERT_CONN: u8 = 0x02;
const CLIENT_CERT_SESS: u8 = 0x04;

pub(super) fn parse(input: &[u8]) -> Result<Option<(Preface, usize)>, PrefaceError> {
    let begun = input.len().min(SIGNATURE.len());
    if input.get(..begun) != SIGNATURE.get(..begun) {
        return Err(PrefaceError::Other);
    }
    if input.get(12).is_some_and(|kind| ![LOCAL, PROXY].contains(kind)) {
        return Err(PrefaceError::Unknown);
    }
    let Some(&[command, family, high, low]) = input.get(12..FIXED) else { return Ok(None) };
    let len = FIXED + usize::from(u16::from_be_bytes([high, low]));
    if len > MOST_V2 {
        return Err(PrefaceError::TooLong);
    }
    let Some(header) = input.get(..len) else { return Ok(None) };
    // The sender speaks for itself; all else is to be ignored.
    if command == LOCAL {
        return Ok(Some((Preface::default(), len)));
    }
    let body = header.get(FIXED..).unwrap_or_default();
    let (ends, fields) = addresses(family, body)?;
    let details = details(header, len - fields.len(), fields)?;
    Ok(Some((Preface { ends, details }, len)))
}

/// The ends, and what follows them.
fn addresses(family: u8, body: &[u8]) -> Result<(Option<Ends>, &[u8]), PrefaceError> {
    match family {
        UNSPECIFIED => Ok((None, body)),
        TCP4 => {
            let (from, rest) = body.split_first_chunk::<4>().ok_or(PrefaceError::Malformed)?;
            let (to, rest) = rest.split_first_chunk::<4>().ok_or(PrefaceError::Malformed)?;
            let (ports, rest) = rest.split_first_chunk::<4>().ok_or(PrefaceError::Malformed)?;
            let (from, to) = (Ipv4Addr::from(*from), Ipv4Addr::from(*to));
            Ok((Some(ends(from.into(), to.into(), *ports)), rest))
        }
        TCP6 => {
            let (from, rest) = body.split_first_chunk::<16>().ok_or(PrefaceError::Malformed)?;
            let (to, rest) = rest.split_first_chunk::<16>().ok_or(PrefaceError::Malformed)?;
            let (ports, rest) = rest.split_first_chunk::<4>().ok_or(PrefaceError::Malformed)?;
            let (from, to) = (Ipv6Addr::from(*from), Ipv6Addr::from(*to));
            Ok((Some(ends(from.into(), to.into(), *ports)), rest))
        }
        // Paths on the proxy's host say nothing here.
        UNIX_STREAM => {
            body.split_at_checked(UNIX_LEN).map(|(_, rest)| (None, rest)).ok_or(PrefaceError::Malformed)
        }
        _ => Err(PrefaceError::Unknown),
    }
}

fn ends(from: IpAddr, to: IpAddr, [a, b, c, d]: [u8; 4]) -> Ends {
    Ends {
        source: SocketAddr::new(from, u16::from_be_bytes([a, b])),
        destination: SocketAddr::new(to, u16::from_be_bytes([c, d])),
    }
}

/// The type and the value of a field, and what follows it.
type Field<'f> = (u8, &'f [u8], &'f [u8]);

/// Takes the first field off.
fn field(fields: &[u8]) -> Result<Option<Field<'_>>, PrefaceError> {
    let Some((&kind, rest)) = fields.split_first() else { return Ok(None) };
    let (len, rest) = rest.split_first_chunk::<2>().ok_or(PrefaceError::Malformed)?;
    let len = usize::from(u16::from_be_bytes(*len));
    let (value, rest) = rest.split_at_checked(len).ok_or(PrefaceError::Malformed)?;
    Ok(Some((kind, value, rest)))
}

/// Puts a value in its place, where none may be yet: of two, readers would choose differently.
fn once<T>(slot: &mut Option<T>, value: T) -> Result<(), PrefaceError> {
    if slot.is_some() {
        return Err(PrefaceError::Malformed);
    }
    *slot = Some(value);
    Ok(())
}

fn details(header: &[u8], mut at: usize, mut fields: &[u8]) -> Result<Details, PrefaceError> {
    let mut details = Details::default();
    let (mut sum, mut secured) = (None, None);
    while let Some((kind, value, rest)) = field(fields)? {
        match kind {
            ALPN => once(&mut details.alpn, value.to_vec())?,
            AUTHORITY => once(&mut details.authority, text(value)?)?,
            UNIQUE_ID if value.len() > MOST_ID => return Err(PrefaceError::Malformed),
            UNIQUE_ID => once(&mut details.unique_id, value.to_vec())?,
            SSL => once(&mut secured, tls(value)?)?,
            CRC32C => {
                let value = value.try_into().map_err(|_| PrefaceError::Malformed)?;
                once(&mut sum, (at + 3, u32::from_be_bytes(value)))?;
            }
            // Padding, the namespace of the proxy, and what others have made up.
            _ => {}
        }
        at += 3 + value.len();
        fields = rest;
    }
    if let Some((at, expected)) = sum {
        // It is counted as if it were zero itself.
        let bytes = header.iter().enumerate();
        let bytes = bytes.map(|(place, byte)| if (at..at + 4).contains(&place) { 0 } else { *byte });
        if crc32c(bytes) != expected {
            return Err(PrefaceError::Checksum);
        }
    }
    details.tls = secured.flatten();
    Ok(details)
}

fn text(value: &[u8]) -> Result<String, PrefaceError> {
    let text = std::str::from_utf8(value).map_err(|_| PrefaceError::Malformed)?;
    if text.chars().any(char::is_control) { Err(PrefaceError::Malformed) } else { Ok(text.to_owned()) }
}

/// None where the client spoke no TLS.
fn tls(value: &[u8]) -> Result<Option<TlsDetails>, PrefaceError> {
    let (&[client, ref verify @ ..], mut fields) =
        value.split_first_chunk::<5>().ok_or(PrefaceError::Malformed)?;
    let mut tls = TlsDetails::default();
    while let Some((kind, value, rest)) = field(fields)? {
        match kind {
            SSL_VERSION => once(&mut tls.version, text(value)?)?,
            SSL_CN => once(&mut tls.common_name, text(value)?)?,
            SSL_CIPHER => once(&mut tls.cipher, text(value)?)?,
            _ => {}
        }
        fields = rest;
    }
    tls.verified = client & (CLIENT_CERT_CONN | CLIENT_CERT_SESS) != 0 && *verify == [0; 4];
    tls.resumed = tls.verified && client & CLIENT_CERT_CONN == 0;
    Ok((client & CLIENT_SSL != 0).then_some(tls))
}

pub(super) fn write(out: &mut Vec<u8>, ends: Option<Ends>, details: &Details) {
    let start = out.len();
    out.extend_from_slice(SIGNATURE);
    let Some(Ends { source, destination }) = ends else {
        return out.extend_from_slice(&[LOCAL, UNSPECIFIED, 0, 0]);
    };
    out.extend_from_slice(&[PROXY, if source.is_ipv4() { TCP4 } else { TCP6 }, 0, 0]);
    if let (IpAddr::V4(from), IpAddr::V4(to)) = (source.ip(), destination.ip()) {
        out.extend_from_slice(&from.octets());
        out.extend_from_slice(&to.octets());
    } else {
        out.extend_from_slice(&six(source).octets());
        out.extend_from_slice(&six(destination).octets());
    }
    out.extend_from_slice(&source.port().to_be_bytes());
    out.extend_from_slice(&destination.port().to_be_bytes());
    let Details { alpn, authority, unique_id, tls } = details;
    put(out, ALPN, alpn.as_deref());
    put(out, AUTHORITY, authority.as_deref().map(str::as_bytes));
    put(out, UNIQUE_ID, unique_id.as_deref());
    put(out, SSL, tls.as_ref().map(ssl).as_deref());
    let len = u16::try_from(out.len() - start - FIXED).unwrap_or(u16::MAX).to_be_bytes();
    if let Some(place) = out.get_mut(start + FIXED - 2..start + FIXED) {
        place.copy_from_slice(&len);
    }
}

fn ssl(tls: &TlsDetails) -> Vec<u8> {
    let client = match (tls.verified, tls.resumed) {
        (false, _) => CLIENT_SSL,
        (true, false) => CLIENT_SSL | CLIENT_CERT_CONN | CLIENT_CERT_SESS,
        (true, true) => CLIENT_SSL | CLIENT_CERT_SESS,
    };
    let mut value = vec![client, 0, 0, 0, u8::from(!tls.verified)];
    put(&mut value, SSL_VERSION, tls.version.as_deref().map(str::as_bytes));
    put(&mut value, SSL_CN, tls.common_name.as_deref().map(str::as_bytes));
    put(&mut value, SSL_CIPHER, tls.cipher.as_deref().map(str::as_bytes));
    value
}

/// Longest value that is written: names are shorter, and whatever is passed on stays below [`MOST_V2`].
const MOST_VALUE: usize = 1024;

fn put(out: &mut Vec<u8>, kind: u8, value: Option<&[u8]>) {
    let Some(value) = value.filter(|value| value.len() <= MOST_VALUE) else { return };
    out.push(kind);
    out.extend_from_slice(&u16::try_from(value.len()).unwrap_or(0).to_be_bytes());
    out.extend_from_slice(value);
}
