//! `PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n`

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{Details, Ends, MOST_V1, Preface, PrefaceError};

const START: &[u8] = b"PROXY ";

pub(super) fn parse(input: &[u8]) -> Result<Option<(Preface, usize)>, PrefaceError> {
    let begun = input.len().min(START.len());
    if input.get(..begun) != START.get(..begun) {
        return Err(PrefaceError::Other);
    }
    let within = input.get(..input.len().min(MOST_V1)).unwrap_or_default();
    let Some(end) = within.iter().position(|byte| !(b' '..=b'~').contains(byte)) else {
        return if within.len() < MOST_V1 { Ok(None) } else { Err(PrefaceError::TooLong) };
    };
    match within.get(end..end + 2) {
        Some(b"\r\n") => {}
        None if within.get(end) == Some(&b'\r') && within.len() < MOST_V1 => return Ok(None),
        None | Some(_) => return Err(PrefaceError::Malformed),
    }
    let line = within.get(START.len()..end).unwrap_or_default();
    let line = std::str::from_utf8(line).map_err(|_| PrefaceError::Malformed)?;
    let preface = Preface { ends: ends(line)?, details: Details::default() };
    Ok(Some((preface, end + 2)))
}

fn ends(line: &str) -> Result<Option<Ends>, PrefaceError> {
    let mut words = line.split(' ');
    let kind = words.next().unwrap_or_default();
    // What follows is to be ignored, whatever it is.
    if kind == "UNKNOWN" {
        return Ok(None);
    }
    if kind != "TCP4" && kind != "TCP6" {
        return Err(PrefaceError::Unknown);
    }
    let mut address = || {
        let word = words.next()?;
        match kind {
            "TCP4" => word.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
            _ => word.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        }
    };
    let from = address().ok_or(PrefaceError::Malformed)?;
    let to = address().ok_or(PrefaceError::Malformed)?;
    let mut port = || words.next().and_then(port).ok_or(PrefaceError::Malformed);
    let (source, destination) = (SocketAddr::new(from, port()?), SocketAddr::new(to, port()?));
    match words.next() {
        None => Ok(Some(Ends { source, destination })),
        Some(_) => Err(PrefaceError::Malformed),
    }
}

/// Digits alone, and no zero in front of others.
fn port(word: &str) -> Option<u16> {
    let plain = word.bytes().all(|byte| byte.is_ascii_digit()) && (word == "0" || !word.starts_with('0'));
    word.parse().ok().filter(|_| plain)
}

pub(super) fn write(out: &mut Vec<u8>, ends: Option<Ends>) {
    // Writing to a Vec cannot fail.
    let _ = match ends {
        None => out.write_all(b"PROXY UNKNOWN\r\n"),
        Some(Ends { source, destination }) => write!(
            out,
            "PROXY {} {} {} {} {}\r\n",
            if source.is_ipv4() { "TCP4" } else { "TCP6" },
            source.ip(),
            destination.ip(),
            source.port(),
            destination.port()
        ),
    };
}
