//! One JSON object a line.
//!
//! What is not known is left out, apart from the fields that every exchange has.

use crate::line::{Clock, decimal, ip, json_text, millis, socket};
use crate::record::{HttpVersion, Record};

use super::{Shown, UNIX, shown_status};

pub(super) fn write(out: &mut Vec<u8>, clock: &mut Clock, record: &Record<'_>, shown: Shown<'_>) {
    out.extend_from_slice(b"{\"time\":\"");
    clock.rfc3339(out, record.at);
    text(out, b"\",\"requestId\":\"", record.request_id);
    out.extend_from_slice(b"\",\"client\":\"");
    match record.client {
        Some(client) => socket(out, client),
        None => out.extend_from_slice(UNIX),
    }
    if let Some(client) = record.client_ip {
        out.extend_from_slice(b"\",\"clientIp\":\"");
        ip(out, client);
    }
    request(out, record, shown);
    out.extend_from_slice(b"\",\"status\":");
    decimal(out, u64::from(shown_status(record)));
    number(out, b",\"bytesIn\":", record.bytes_in);
    number(out, b",\"bytesOut\":", record.bytes_out);
    path_taken(out, record);
    timers(out, record);
    if let Some(failure) = record.failure {
        text(out, b",\"failure\":\"", failure.code());
        out.push(b'"');
    }
    if record.upgraded {
        out.extend_from_slice(b",\"upgraded\":true");
    }
    out.extend_from_slice(b"}\n");
}

fn request(out: &mut Vec<u8>, record: &Record<'_>, shown: Shown<'_>) {
    text(out, b"\",\"method\":\"", record.method);
    out.extend_from_slice(b"\",\"target\":\"");
    json_text(out, shown.target);
    out.extend_from_slice(match record.version {
        HttpVersion::Http10 => b"\",\"version\":\"1.0",
        HttpVersion::Http11 => b"\",\"version\":\"1.1",
        HttpVersion::Http2 => b"\",\"version\":\"2",
    });
    text(out, b"\",\"host\":\"", record.host);
    for (name, value) in
        [(&b"\",\"userAgent\":\""[..], record.user_agent), (&b"\",\"referer\":\""[..], shown.referer)]
    {
        if !value.is_empty() {
            out.extend_from_slice(name);
            json_text(out, value);
        }
    }
}

fn path_taken(out: &mut Vec<u8>, record: &Record<'_>) {
    text(out, b",\"listener\":\"", record.listener);
    for (name, value) in [
        (&b"\",\"route\":\""[..], record.route),
        (&b"\",\"pool\":\""[..], record.pool),
        (&b"\",\"server\":\""[..], record.server),
    ] {
        if let Some(value) = value {
            text(out, name, value);
        }
    }
    number(out, b"\",\"attempts\":", u64::from(record.attempts));
}

fn timers(out: &mut Vec<u8>, record: &Record<'_>) {
    for (name, value) in [
        (&b",\"connectMs\":"[..], record.connect),
        (&b",\"firstByteMs\":"[..], record.first_byte),
        (&b",\"totalMs\":"[..], Some(record.total)),
    ] {
        if let Some(value) = value {
            out.extend_from_slice(name);
            millis(out, value);
        }
    }
}

fn text(out: &mut Vec<u8>, name: &[u8], value: &str) {
    out.extend_from_slice(name);
    json_text(out, value.as_bytes());
}

fn number(out: &mut Vec<u8>, name: &[u8], value: u64) {
    out.extend_from_slice(name);
    decimal(out, value);
}
