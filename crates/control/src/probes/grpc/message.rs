//! `HealthCheckRequest { string service = 1 }` and `HealthCheckResponse { ServingStatus status = 1 }`, in the
//! encoding of protobuf, each behind the five bytes that gRPC puts before a message.

use super::named;

/// Whether a message is compressed, and its length in four bytes.
const PREFIX: usize = 5;
/// Longest message of an answer. That of today has two bytes; later versions may say more.
const MAX_MESSAGE: usize = 4096;
/// Field 1 and how its value is written: as a text, and as a number.
const SERVICE: u8 = 0x0a;
const STATUS: u64 = 0x08;

/// What a server says of itself or of one of its services.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Health {
    Unknown,
    Serving,
    NotServing,
    ServiceUnknown,
    /// Nothing that this protocol knows.
    Other(u64),
}

impl Health {
    pub(super) fn words(self, service: &str) -> String {
        let whom = if service.is_empty() { String::new() } else { format!(" ({})", named(service)) };
        match self {
            Self::Serving => format!("SERVING{whom}"),
            Self::NotServing => format!("NOT_SERVING{whom}"),
            Self::Unknown => format!("health UNKNOWN{whom}"),
            Self::ServiceUnknown => {
                format!("SERVICE_UNKNOWN: the server does not know {}", named(service))
            }
            Self::Other(number) => format!("health status {number}, which no version knows{whom}"),
        }
    }
}

/// The request. An empty text is left out, as protobuf does.
pub(super) fn request(service: &str) -> Vec<u8> {
    let mut message = Vec::new();
    if !service.is_empty() {
        message.push(SERVICE);
        let mut length = service.len();
        // In pieces of seven bits, the lowest first.
        while length >= 0x80 {
            let [low, ..] = length.to_le_bytes();
            message.push(low | 0x80);
            length >>= 7;
        }
        let [low, ..] = length.to_le_bytes();
        message.push(low);
        message.extend_from_slice(service.as_bytes());
    }
    let mut framed = vec![0];
    framed.extend_from_slice(&u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes());
    framed.append(&mut message);
    framed
}

/// The message of an answer, as it comes.
#[derive(Debug, Default)]
pub(super) struct Incoming {
    bytes: Vec<u8>,
}

impl Incoming {
    /// Takes more of it; says at once what cannot become good.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.bytes.extend_from_slice(bytes);
        match self.bytes.first() {
            None | Some(0) => {}
            Some(1) => return Err("a compressed message, which was not asked for".to_owned()),
            Some(_) => return Err("no message of gRPC".to_owned()),
        }
        match self.length() {
            Some(length) if length > MAX_MESSAGE => {
                Err(format!("a message of {length} bytes, which no answer to a health check has"))
            }
            Some(length) if self.bytes.len() > PREFIX + length => Err("more than one message".to_owned()),
            _ => Ok(()),
        }
    }

    /// The length that the message says it has, once that is there.
    fn length(&self) -> Option<usize> {
        let length = self.bytes.get(1..PREFIX)?.try_into().ok().map(u32::from_be_bytes)?;
        usize::try_from(length).ok()
    }

    /// What the whole message says.
    pub(super) fn health(&self) -> Result<Health, String> {
        let Some(length) = self.length() else {
            return Err(if self.bytes.is_empty() { "OK, but no message" } else { "a message that was cut" }
                .to_owned());
        };
        let message = self.bytes.get(PREFIX..PREFIX + length).ok_or("a message that was cut")?;
        let status = status(message).ok_or("a message that is no HealthCheckResponse")?;
        Ok(match status {
            0 => Health::Unknown,
            1 => Health::Serving,
            2 => Health::NotServing,
            3 => Health::ServiceUnknown,
            other => Health::Other(other),
        })
    }
}

/// The status in a message; 0 where it stands for itself by being left out. Fields that are not known are passed over,
/// and of several the last one counts, as protobuf has it.
fn status(mut message: &[u8]) -> Option<u64> {
    let mut status = 0;
    while !message.is_empty() {
        let tag = number(&mut message)?;
        match tag % 8 {
            0 => {
                let value = number(&mut message)?;
                if tag == STATUS {
                    status = value;
                }
            }
            1 => skip(&mut message, 8)?,
            2 => {
                let length = number(&mut message)?;
                skip(&mut message, usize::try_from(length).ok()?)?;
            }
            5 => skip(&mut message, 4)?,
            _ => return None,
        }
    }
    Some(status)
}

fn skip(message: &mut &[u8], length: usize) -> Option<()> {
    *message = message.get(length..)?;
    Some(())
}

/// A number in pieces of seven bits, the lowest first: at most ten of them.
fn number(message: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = message.split_first()?;
        *message = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests;
