//! Protobuf, as much as OTLP needs (proto3; `opentelemetry/proto/trace/v1/trace.proto` and its neighbours, 1.x).
//!
//! Ours, because spans are written on the request path, straight into the buffer that is sent: the generated types
//! have an allocation for each attribute, and bring a dozen crates. Every test of it reads with the real ones.

use std::borrow::Cow;

/// What the numbers of fields and their kinds are written as.
#[derive(Debug, Clone, Copy)]
enum Wire {
    Varint = 0,
    Fixed64 = 1,
    Bytes = 2,
    Fixed32 = 5,
}

/// Longest text of an attribute, in bytes: a target of 8 KiB says no more of a request than its beginning.
const LONGEST: usize = 1024;

fn varint(out: &mut Vec<u8>, mut value: u64) {
    loop {
        let low = u8::try_from(value & 0x7f).unwrap_or(0);
        value >>= 7;
        if value == 0 {
            return out.push(low);
        }
        out.push(low | 0x80);
    }
}

fn varint_len(value: u64) -> usize {
    let bits = usize::try_from(64 - value.leading_zeros()).unwrap_or(64);
    bits.div_ceil(7).max(1)
}

fn key(out: &mut Vec<u8>, field: u8, wire: Wire) {
    // A number beyond 15, as that of a span's flags, makes it two bytes.
    varint(out, u64::from(field) << 3 | wire as u64);
}

/// A text, bytes, or a message.
pub(super) fn bytes(out: &mut Vec<u8>, field: u8, value: &[u8]) {
    key(out, field, Wire::Bytes);
    varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

pub(super) fn number(out: &mut Vec<u8>, field: u8, value: u64) {
    key(out, field, Wire::Varint);
    varint(out, value);
}

pub(super) fn fixed64(out: &mut Vec<u8>, field: u8, value: u64) {
    key(out, field, Wire::Fixed64);
    out.extend_from_slice(&value.to_le_bytes());
}

pub(super) fn fixed32(out: &mut Vec<u8>, field: u8, value: u32) {
    key(out, field, Wire::Fixed32);
    out.extend_from_slice(&value.to_le_bytes());
}

/// An attribute: `KeyValue { key = 1, value = 2 }` with `AnyValue { string_value = 1 }`.
pub(super) fn text(out: &mut Vec<u8>, field: u8, name: &str, value: &str) {
    let value = value.get(..value.floor_char_boundary(LONGEST)).unwrap_or_default();
    let size = 1 + varint_len(value.len() as u64) + value.len();
    attribute(out, (field, name), size);
    bytes(out, 1, value.as_bytes());
}

/// The same of bytes that ought to be text.
pub(super) fn lossy(out: &mut Vec<u8>, field: u8, name: &str, value: &[u8]) {
    let value = value.get(..LONGEST).unwrap_or(value);
    match String::from_utf8_lossy(value) {
        Cow::Borrowed(value) => text(out, field, name, value),
        Cow::Owned(value) => text(out, field, name, &value),
    }
}

/// An attribute with `AnyValue { int_value = 3 }`.
pub(super) fn whole(out: &mut Vec<u8>, field: u8, name: &str, value: u64) {
    attribute(out, (field, name), 1 + varint_len(value));
    number(out, 3, value);
}

/// All of an attribute but its value, which is so long.
fn attribute(out: &mut Vec<u8>, (field, name): (u8, &str), value: usize) {
    let named = 1 + varint_len(name.len() as u64) + name.len();
    key(out, field, Wire::Bytes);
    varint(out, (named + 1 + varint_len(value as u64) + value) as u64);
    bytes(out, 1, name.as_bytes());
    key(out, 2, Wire::Bytes);
    varint(out, value as u64);
}

/// An `ExportTraceServiceRequest` of these spans, each of which is a field of `ScopeSpans` already.
pub fn envelope(resource: &[(&str, &str)], version: &str, spans: &[&[u8]]) -> Vec<u8> {
    let mut scope = Vec::new();
    bytes(&mut scope, 1, b"loadweaver");
    bytes(&mut scope, 2, version.as_bytes());
    let mut attributes = Vec::new();
    for (name, value) in resource {
        text(&mut attributes, 1, name, value);
    }
    let all: usize = spans.iter().map(|piece| piece.len()).sum();
    let size = |content: usize| 1 + varint_len(content as u64) + content;
    let of_scope = size(scope.len()) + all;
    let of_resource = size(attributes.len()) + size(of_scope);
    let mut out = Vec::with_capacity(size(of_resource));
    key(&mut out, 1, Wire::Bytes);
    varint(&mut out, of_resource as u64);
    bytes(&mut out, 1, &attributes);
    key(&mut out, 2, Wire::Bytes);
    varint(&mut out, of_scope as u64);
    bytes(&mut out, 1, &scope);
    for piece in spans {
        out.extend_from_slice(piece);
    }
    out
}

/// How many spans a collector says that it has not taken (`ExportTraceServiceResponse { partial_success = 1 }` with
/// `rejected_spans = 1`), and why; none in an answer that is not one.
pub fn rejected(answer: &[u8]) -> (u64, String) {
    let (mut count, mut why) = (0, String::new());
    each(answer, &mut |field, value| {
        if let (1, Value::Bytes(partial)) = (field, value) {
            each(partial, &mut |field, value| match (field, value) {
                (1, Value::Number(rejected)) => count = rejected,
                (2, Value::Bytes(words)) => why = String::from_utf8_lossy(words).into_owned(),
                _ => {}
            });
        }
    });
    (count, why)
}

enum Value<'m> {
    Number(u64),
    Bytes(&'m [u8]),
}

/// Each field of a message, up to what cannot be read.
fn each<'m>(mut message: &'m [u8], see: &mut impl FnMut(u64, Value<'m>)) {
    while let Some((key, rest)) = read_varint(message) {
        let (value, rest) = match key & 7 {
            0 => match read_varint(rest) {
                Some((number, rest)) => (Value::Number(number), rest),
                None => return,
            },
            2 => {
                let Some((length, rest)) = read_varint(rest) else { return };
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                let Some((bytes, rest)) = rest.split_at_checked(length) else { return };
                (Value::Bytes(bytes), rest)
            }
            1 => match rest.get(8..) {
                Some(rest) => (Value::Number(0), rest),
                None => return,
            },
            5 => match rest.get(4..) {
                Some(rest) => (Value::Number(0), rest),
                None => return,
            },
            _ => return,
        };
        see(key >> 3, value);
        message = rest;
    }
}

fn read_varint(message: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0_u64;
    for (place, byte) in message.iter().enumerate().take(10) {
        value |= u64::from(byte & 0x7f).checked_shl(u32::try_from(7 * place).ok()?)?;
        if byte & 0x80 == 0 {
            return Some((value, message.get(place + 1..)?));
        }
    }
    None
}
