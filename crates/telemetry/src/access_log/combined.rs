//! Apache's combined format, then what that format has no place for as `key=value`.
//!
//! `%h - - [%t] "%r" %s %b "%{Referer}i" "%{User-Agent}i"` comes first and exact, so that every tool that reads the
//! format reads this; tools that match whole lines need the rest in their pattern.

use crate::line::{Clock, bare_text, decimal, ip, millis, quoted_text};
use crate::record::Record;

use super::{Shown, UNIX, shown_status};

pub(super) fn write(out: &mut Vec<u8>, clock: &mut Clock, record: &Record<'_>, shown: Shown<'_>) {
    match record.client_ip {
        Some(client) => ip(out, client),
        None => out.extend_from_slice(UNIX),
    }
    out.extend_from_slice(b" - - [");
    out.extend_from_slice(clock.second(record.at).0.as_bytes());
    out.extend_from_slice(b"] \"");
    request_line(out, record, shown.target);
    out.extend_from_slice(b"\" ");
    decimal(out, u64::from(shown_status(record)));
    out.push(b' ');
    match record.bytes_out {
        0 => out.push(b'-'),
        bytes => decimal(out, bytes),
    }
    quoted(out, shown.referer);
    quoted(out, record.user_agent);
    path_taken(out, record);
    timers(out, record);
    out.extend_from_slice(b" failure=");
    bare_text(out, record.failure.map_or("-", |failure| failure.code()).as_bytes());
    out.push(b'\n');
}

fn request_line(out: &mut Vec<u8>, record: &Record<'_>, target: &[u8]) {
    if record.method.is_empty() {
        out.push(b'-');
        return;
    }
    quoted_text(out, record.method.as_bytes());
    out.push(b' ');
    quoted_text(out, target);
    out.push(b' ');
    out.extend_from_slice(record.version.as_str().as_bytes());
}

fn quoted(out: &mut Vec<u8>, value: &[u8]) {
    out.extend_from_slice(b" \"");
    quoted_text(out, if value.is_empty() { b"-" } else { value });
    out.push(b'"');
}

fn path_taken(out: &mut Vec<u8>, record: &Record<'_>) {
    for (name, value) in [
        (&b" id="[..], Some(record.request_id)),
        (&b" host="[..], Some(record.host)),
        (&b" listener="[..], Some(record.listener)),
        (&b" route="[..], record.route),
        (&b" pool="[..], record.pool),
        (&b" server="[..], record.server),
    ] {
        out.extend_from_slice(name);
        bare_text(out, value.filter(|value| !value.is_empty()).unwrap_or("-").as_bytes());
    }
    out.extend_from_slice(b" in=");
    decimal(out, record.bytes_in);
    out.extend_from_slice(b" attempts=");
    decimal(out, u64::from(record.attempts));
}

/// Milliseconds.
fn timers(out: &mut Vec<u8>, record: &Record<'_>) {
    for (name, value) in [
        (&b" connect="[..], record.connect),
        (&b" first_byte="[..], record.first_byte),
        (&b" total="[..], Some(record.total)),
    ] {
        out.extend_from_slice(name);
        match value {
            Some(value) => millis(out, value),
            None => out.push(b'-'),
        }
    }
}
