//! Lines of chosen fields, as JSON or as logfmt.

use loadweaver_config::{AccessLog, LogField};

use crate::line::{Clock, decimal, ip, json_text, millis, socket};
use crate::record::Record;
use crate::redact::{MASK, Redaction};

use super::Shown;
use super::value::{Source, Value, header, value};

/// The chosen fields, in their order.
#[derive(Debug, Clone)]
pub(super) struct Fields {
    fields: Vec<Field>,
    style: Style,
}

/// How they are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Json,
    Logfmt,
}

#[derive(Debug, Clone)]
struct Field {
    /// What stands before the value, but for what parts it from the one before.
    key: Vec<u8>,
    source: Source,
    /// A header whose value is not shown.
    hidden: bool,
}

/// What every line needs beside its record.
pub(super) struct Desk<'w> {
    pub(super) clock: &'w mut Clock,
    pub(super) redaction: &'w Redaction,
    pub(super) room: &'w mut Vec<u8>,
}

impl Fields {
    pub(super) fn new(settings: &AccessLog, style: Style, redaction: &Redaction) -> Self {
        let headers = settings.headers();
        let field = |field: &LogField| {
            let key = match style {
                Style::Json => format!("\"{field}\":"),
                Style::Logfmt => format!("{field}="),
            };
            let hidden = match field {
                LogField::Known(_) => false,
                LogField::RequestHeader(name) | LogField::ResponseHeader(name) => {
                    redaction.hides_header(name)
                }
            };
            Field { key: key.into_bytes(), source: Source::of(field, &headers), hidden }
        };
        Self { fields: settings.fields.iter().map(field).collect(), style }
    }

    pub(super) fn write(
        &self,
        out: &mut Vec<u8>,
        desk: &mut Desk<'_>,
        record: &Record<'_>,
        shown: Shown<'_>,
    ) {
        let (open, between, close): (&[u8], u8, &[u8]) = match self.style {
            Style::Json => (b"{", b',', b"}\n"),
            Style::Logfmt => (b"", b' ', b"\n"),
        };
        out.extend_from_slice(open);
        let mut first = true;
        for Field { key, source, hidden } in &self.fields {
            let value = match *source {
                Source::Known(field) => value(field, record, shown.target, shown.referer),
                Source::RequestHeader(place) => {
                    header_value(record.request_headers, place, *hidden, desk.redaction, desk.room)
                }
                Source::ResponseHeader(place) => {
                    header_value(record.response_headers, place, *hidden, desk.redaction, desk.room)
                }
            };
            if matches!(value, Value::None) {
                continue;
            }
            if !first {
                out.push(between);
            }
            first = false;
            out.extend_from_slice(key);
            self.style.write(out, desk.clock, &value);
        }
        out.extend_from_slice(close);
    }
}

/// Parameters are looked for in the value of any header: `Location` has them, and nobody knows which others.
fn header_value<'r>(
    values: &[Option<&'r [u8]>],
    place: usize,
    hidden: bool,
    redaction: &Redaction,
    room: &'r mut Vec<u8>,
) -> Value<'r> {
    match header(values, place) {
        None => Value::None,
        Some(_) if hidden => Value::Text(MASK.as_bytes()),
        Some(value) => Value::Text(redaction.shown(value, room)),
    }
}

impl Style {
    fn write(self, out: &mut Vec<u8>, clock: &mut Clock, value: &Value<'_>) {
        let in_quotes = |out: &mut Vec<u8>, write: &mut dyn FnMut(&mut Vec<u8>)| {
            let quote: &[u8] = if self == Self::Json { b"\"" } else { b"" };
            out.extend_from_slice(quote);
            write(out);
            out.extend_from_slice(quote);
        };
        match *value {
            Value::None => {}
            Value::Text(text) if self == Self::Logfmt && stands_bare(text) => out.extend_from_slice(text),
            Value::Text(text) => {
                out.push(b'"');
                json_text(out, text);
                out.push(b'"');
            }
            Value::Number(number) => decimal(out, number),
            Value::Millis(duration) => millis(out, duration),
            Value::Time(at) => in_quotes(out, &mut |out| clock.rfc3339(out, at)),
            Value::Ip(address) => in_quotes(out, &mut |out| ip(out, address)),
            Value::Socket(address) => in_quotes(out, &mut |out| socket(out, address)),
            Value::True => out.extend_from_slice(b"true"),
        }
    }
}

/// Whether a value of logfmt needs no quotes. A long one is cut, which [`json_text`] does.
fn stands_bare(text: &[u8]) -> bool {
    let plain = |byte: &u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'=' | b'\\');
    !text.is_empty() && text.len() <= 1024 && text.iter().all(plain)
}
