//! What a field of a line holds, and what a filter looks at.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use loadweaver_config::{KnownField, LogField};

use crate::record::{HttpVersion, Record};

use super::shown_status;

/// One value on its way into a line.
pub(super) enum Value<'r> {
    /// It is not there, and the line says nothing of it.
    None,
    Text(&'r [u8]),
    Number(u64),
    Millis(Duration),
    Time(SystemTime),
    Ip(IpAddr),
    Socket(SocketAddr),
    True,
}

/// Where a value comes from.
#[derive(Debug, Clone, Copy)]
pub(super) enum Source {
    Known(KnownField),
    /// By its place among the headers that the log asks for.
    RequestHeader(usize),
    ResponseHeader(usize),
}

impl Source {
    /// The field's place among what the record brings.
    pub(super) fn of(field: &LogField, headers: &(Vec<Arc<str>>, Vec<Arc<str>>)) -> Self {
        let place = |names: &[Arc<str>], name| names.iter().position(|known| known == name);
        // Every name that is asked for is among them.
        match field {
            LogField::Known(field) => Self::Known(*field),
            LogField::RequestHeader(name) => {
                Self::RequestHeader(place(&headers.0, name).unwrap_or(usize::MAX))
            }
            LogField::ResponseHeader(name) => {
                Self::ResponseHeader(place(&headers.1, name).unwrap_or(usize::MAX))
            }
        }
    }

    /// The value of a text, as it came; empty where there is none.
    pub(super) fn text<'r>(self, record: &Record<'r>) -> &'r [u8] {
        match self {
            Self::Known(field) => text(field, record),
            Self::RequestHeader(place) => header(record.request_headers, place).unwrap_or_default(),
            Self::ResponseHeader(place) => header(record.response_headers, place).unwrap_or_default(),
        }
    }
}

pub(super) fn header<'r>(values: &[Option<&'r [u8]>], place: usize) -> Option<&'r [u8]> {
    values.get(place).copied().flatten()
}

/// The value of a field that every exchange may have. `target` and `referer` are what may be shown of them.
pub(super) fn value<'r>(
    field: KnownField,
    record: &Record<'r>,
    target: &'r [u8],
    referer: &'r [u8],
) -> Value<'r> {
    let some = |text: &'r [u8]| if text.is_empty() { Value::None } else { Value::Text(text) };
    match field {
        KnownField::Time => Value::Time(record.at),
        KnownField::Client => record.client.map_or(Value::Text(super::UNIX), Value::Socket),
        KnownField::ClientIp => record.client_ip.map_or(Value::None, Value::Ip),
        KnownField::Status => Value::Number(u64::from(shown_status(record))),
        KnownField::BytesIn => Value::Number(record.bytes_in),
        KnownField::BytesOut => Value::Number(record.bytes_out),
        KnownField::Attempts => Value::Number(u64::from(record.attempts)),
        KnownField::Connect => record.connect.map_or(Value::None, Value::Millis),
        KnownField::FirstByte => record.first_byte.map_or(Value::None, Value::Millis),
        KnownField::Total => Value::Millis(record.total),
        KnownField::Upgraded => {
            if record.upgraded {
                Value::True
            } else {
                Value::None
            }
        }
        KnownField::Target => Value::Text(target),
        KnownField::Path => Value::Text(path(target)),
        KnownField::Query => query(target).map_or(Value::None, Value::Text),
        KnownField::Referer => some(referer),
        KnownField::UserAgent
        | KnownField::Route
        | KnownField::Pool
        | KnownField::Server
        | KnownField::Failure => some(text(field, record)),
        KnownField::RequestId
        | KnownField::Method
        | KnownField::Version
        | KnownField::Host
        | KnownField::Listener => Value::Text(text(field, record)),
    }
}

fn text<'r>(field: KnownField, record: &Record<'r>) -> &'r [u8] {
    match field {
        KnownField::RequestId => record.request_id.as_bytes(),
        KnownField::Method => record.method.as_bytes(),
        KnownField::Target => record.target.as_bytes(),
        KnownField::Path => path(record.target.as_bytes()),
        KnownField::Query => query(record.target.as_bytes()).unwrap_or_default(),
        KnownField::Version => match record.version {
            HttpVersion::Http10 => b"1.0",
            HttpVersion::Http11 => b"1.1",
            HttpVersion::Http2 => b"2",
        },
        KnownField::Host => record.host.as_bytes(),
        KnownField::UserAgent => record.user_agent,
        KnownField::Referer => record.referer,
        KnownField::Listener => record.listener.as_bytes(),
        KnownField::Route => record.route.unwrap_or_default().as_bytes(),
        KnownField::Pool => record.pool.unwrap_or_default().as_bytes(),
        KnownField::Server => record.server.unwrap_or_default().as_bytes(),
        KnownField::Failure => record.failure.map_or("", |failure| failure.code()).as_bytes(),
        KnownField::Upgraded => {
            if record.upgraded {
                b"true"
            } else {
                b"false"
            }
        }
        // No texts.
        KnownField::Time
        | KnownField::Client
        | KnownField::ClientIp
        | KnownField::Status
        | KnownField::BytesIn
        | KnownField::BytesOut
        | KnownField::Attempts
        | KnownField::Connect
        | KnownField::FirstByte
        | KnownField::Total => b"",
    }
}

/// The path of a target in any of its forms (RFC 9112 section 3.2).
fn path(target: &[u8]) -> &[u8] {
    let end = memchr::memchr(b'?', target).unwrap_or(target.len());
    let whole = target.get(..end).unwrap_or_default();
    if whole.starts_with(b"/") {
        return whole;
    }
    let Some(scheme) = memchr::memmem::find(whole, b"://") else { return whole };
    let authority = whole.get(scheme + 3..).unwrap_or_default();
    memchr::memchr(b'/', authority).and_then(|slash| authority.get(slash..)).unwrap_or(b"/")
}

fn query(target: &[u8]) -> Option<&[u8]> {
    target.get(memchr::memchr(b'?', target)? + 1..)
}
