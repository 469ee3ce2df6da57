//! Edits of one object in a list of them, as [`rewrite`](super::rewrite) would write them, without a look at the rest
//! of the document.

use serde_json::{Map, Value};

use crate::raw::document;

use super::layout::Layout;
use super::place::{self, Entry, Span};
use super::{Part, Writer};

/// Sets a key of the object that stands there; the layout is that of the text.
pub(crate) fn set(
    text: &str,
    span: Span,
    (key, value): (&str, &Value),
    layout: &dyn Fn() -> Layout,
) -> Option<String> {
    let place = place::at(text, span.start);
    let from = document(text.get(span.start..span.end)?.as_bytes()).ok()?;
    let mut to = from.clone();
    to.as_object_mut()?.insert(key.to_owned(), value.clone());
    let mut writer = Writer::new(text, layout);
    writer.out.push_str(text.get(..span.start)?);
    writer.value(&place, &from, &to);
    writer.out.push_str(text.get(span.end..)?);
    Some(writer.out)
}

/// Puts one more behind the last; the layout is that of the text.
pub(crate) fn append(
    text: &str,
    spans: &[Span],
    object: &Map<String, Value>,
    layout: &dyn Fn() -> Layout,
) -> Option<String> {
    let to = Value::Object(object.clone());
    let last = spans.last()?;
    // How it is written depends on the last one, and on whether that is the only one.
    let entries: Vec<Entry<'_>> =
        spans.iter().skip(spans.len().saturating_sub(2)).map(|span| entry(text, *span)).collect();
    let kept = (0..entries.len()).map(|old| Part { old: Some(old), key: None, to: &Value::Null });
    let parts: Vec<Part<'_>> = kept.chain([Part { old: None, key: None, to: &to }]).collect();
    let mut writer = Writer::new(text, layout);
    writer.out.push_str(text.get(..last.end)?);
    writer.out.push(',');
    let opening = text.get(..spans.first()?.start)?.rfind('[')?;
    writer.new_entry(opening, &entries, &parts, entries.len());
    writer.out.push_str(text.get(last.end..)?);
    Some(writer.out)
}

/// Takes one out, but for the only one.
pub(crate) fn remove(text: &str, list: &[Span], place: usize) -> Option<String> {
    let gone = list.get(place)?;
    let (from, to) = match (place.checked_sub(1).and_then(|before| list.get(before)), list.get(place + 1)) {
        (None, None) => return None,
        // White space between them stays with whichever is first, or last.
        (None, Some(next)) => (gone.start, next.start),
        (Some(before), None) => (before.end, gone.end),
        (Some(before), Some(_)) => {
            let comma = |after: usize| Some(after + text.get(after..)?.find(',')?);
            (comma(before.end)?, comma(gone.end)?)
        }
    };
    let mut out = String::with_capacity(text.len());
    out.push_str(text.get(..from)?);
    out.push_str(text.get(to..)?);
    Some(out)
}

fn entry(text: &str, span: Span) -> Entry<'_> {
    let before = text.get(..span.start).unwrap_or_default();
    let lead = before.get(before.trim_end_matches([' ', '\t', '\r', '\n']).len()..).unwrap_or_default();
    Entry { lead, key: None, head: "", place: place::at(text, span.start), trail: "" }
}
