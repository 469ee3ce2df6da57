//! Edits of the text that turn one document into another.
//!
//! People write the file: their white space, their order of keys, how they spell numbers and escapes, and their
//! `${VAR}` are theirs. So a change that comes from elsewhere is written as edits of the values that differ, and
//! everything else stays byte for byte. Both documents are walked side by side with the places of the values in the
//! text; what is the same is copied, and what is new is written in the style of what stands around it.
//!
//! The elements of a list have no names. To leave the lines of those that stay, they are matched first by value, then
//! by `id`, by `host` and `port`, by `name`, and last by place.

pub(crate) mod layout;
mod pair;
pub(crate) mod place;
pub(crate) mod splice;

use std::cell::OnceCell;

use serde_json::Value;

use crate::issue::{Fault, Issues};
use crate::raw::{document, same};

use layout::{Layout, Shape, indentation};
use place::{Entry, Inside, Place};

/// The text with the fewest edits that make its document `to`. A number that is written otherwise (1.0 for 1) is not
/// a difference.
///
/// # Errors
/// Those of [`document`], for the text as it is, or as it would become: too long, too deep, too many values.
pub fn rewrite(text: &str, to: &Value) -> Result<String, Issues> {
    rewrite_from(text, &document(text.as_bytes())?, to)
}

/// The same for whoever has the [`document`] of the text already.
///
/// # Errors
/// Those of [`rewrite`].
pub fn rewrite_from(text: &str, from: &Value, to: &Value) -> Result<String, Issues> {
    rewrite_like(text, (from, to), &|| Layout::of(text))
}

/// The same in a layout that need not be that of the text.
pub(crate) fn rewrite_like(
    text: &str,
    (from, to): (&Value, &Value),
    layout: &dyn Fn() -> Layout,
) -> Result<String, Issues> {
    if same(from, to) {
        return Ok(text.to_owned());
    }
    let root = place::find(text);
    let mut writer = Writer::new(text, layout);
    writer.out.push_str(text.get(..root.start).unwrap_or_default());
    writer.value(&root, from, to);
    writer.out.push_str(text.get(root.end..).unwrap_or_default());
    let written = document(writer.out.as_bytes())?;
    if same(&written, to) {
        return Ok(writer.out);
    }
    // Not known to happen; a file that says something else than what was asked for must never be written.
    let fault = Fault::new("the edit cannot be written into the text", "edit the file by hand");
    Err(Issues::one("", fault))
}

struct Writer<'t> {
    text: &'t str,
    /// Looked for when something new is written.
    layout: OnceCell<Layout>,
    look: &'t dyn Fn() -> Layout,
    out: String,
}

/// What stands at one place of a list or an object afterwards.
struct Part<'v> {
    /// Which of the entries it was, if it was there.
    old: Option<usize>,
    /// Its key, in an object.
    key: Option<&'v str>,
    to: &'v Value,
}

impl<'t> Writer<'t> {
    fn new(text: &'t str, look: &'t dyn Fn() -> Layout) -> Self {
        Self { text, layout: OnceCell::new(), look, out: String::with_capacity(text.len() + 256) }
    }

    fn layout(&self) -> &Layout {
        self.layout.get_or_init(self.look)
    }

    fn write(&mut self, value: &Value, indent: &str, shape: Shape) {
        if value.is_object() || value.is_array() {
            let mut out = std::mem::take(&mut self.out);
            self.layout().write(&mut out, value, indent, shape);
            self.out = out;
        } else {
            self.out.push_str(&value.to_string());
        }
    }

    fn value(&mut self, place: &Place<'t>, from: &Value, to: &Value) {
        if same(from, to) {
            self.out.push_str(self.text.get(place.start..place.end).unwrap_or_default());
            return;
        }
        match (&place.inside, from, to) {
            (Inside::Map(entries), Value::Object(_), Value::Object(map))
                if !entries.is_empty() && !map.is_empty() =>
            {
                let kept = entries.iter().enumerate().filter_map(|(index, entry)| {
                    let key = entry.key.as_deref()?;
                    Some(Part { old: Some(index), key: Some(key), to: map.get(key)? })
                });
                let new = map.iter().filter(|(key, _)| from.get(key.as_str()).is_none());
                let new = new.map(|(key, to)| Part { old: None, key: Some(key), to });
                let parts: Vec<Part<'_>> = kept.chain(new).collect();
                self.container(place, entries, from, &parts);
            }
            (Inside::List(entries), Value::Array(old), Value::Array(list))
                if !entries.is_empty() && !list.is_empty() =>
            {
                let pairs = pair::pairs(old, list);
                let parts = list.iter().zip(pairs).map(|(to, old)| Part { old, key: None, to });
                self.container(place, entries, from, &parts.collect::<Vec<_>>());
            }
            _ => {
                let indent = indentation(self.text, place.start).to_owned();
                self.write(to, &indent, Shape::Fitting);
            }
        }
    }

    fn container(&mut self, place: &Place<'t>, entries: &[Entry<'t>], from: &Value, parts: &[Part<'_>]) {
        self.out.push_str(self.text.get(place.start..place.start + 1).unwrap_or_default());
        for (position, part) in parts.iter().enumerate() {
            if position > 0 {
                self.out.push(',');
            }
            match part.old.and_then(|old| entries.get(old).map(|entry| (old, entry))) {
                Some((old, entry)) => {
                    self.out.push_str(&self.lead(entries, old, position));
                    self.out.push_str(entry.head);
                    let was = part.key.map_or_else(|| from.get(old), |key| from.get(key));
                    self.value(&entry.place, was.unwrap_or(&Value::Null), part.to);
                }
                None => self.new_entry(place.start, entries, parts, position),
            }
            if position + 1 == parts.len() {
                self.out.push_str(entries.last().map_or("", |entry| entry.trail));
            } else if let Some(entry) =
                part.old.filter(|old| old + 1 < entries.len()).and_then(|old| entries.get(old))
            {
                self.out.push_str(entry.trail);
            }
        }
        self.out.push_str(self.text.get(place.end - 1..place.end).unwrap_or_default());
    }

    /// The white space before an entry that was there. Before the first, it is often another than before the rest.
    fn lead(&self, entries: &[Entry<'t>], old: usize, position: usize) -> String {
        let own = entries.get(old).map_or("", |entry| entry.lead);
        if (old == 0) == (position == 0) {
            own.to_owned()
        } else if position == 0 {
            entries.first().map_or("", |entry| entry.lead).to_owned()
        } else {
            self.lead_of_rest(entries)
        }
    }

    fn lead_of_rest(&self, entries: &[Entry<'t>]) -> String {
        let first = entries.first().map_or("", |entry| entry.lead);
        match entries.get(1) {
            Some(second) => layout::without_blank_lines(second.lead),
            None if first.contains('\n') => layout::without_blank_lines(first),
            None => self.layout().after_comma.clone(),
        }
    }

    fn new_entry(&mut self, start: usize, entries: &[Entry<'t>], parts: &[Part<'_>], position: usize) {
        let Some(part) = parts.get(position) else { return };
        // The nearest entry that was there, before rather than after.
        let before = parts.get(..position).unwrap_or_default().iter().rev();
        let after = parts.get(position..).unwrap_or_default().iter();
        let neighbour = before.chain(after).find_map(|part| part.old);
        let lead = match neighbour {
            _ if position == 0 => entries.first().map_or("", |entry| entry.lead).to_owned(),
            Some(old) if old > 0 => {
                layout::without_blank_lines(entries.get(old).map_or("", |entry| entry.lead))
            }
            _ => self.lead_of_rest(entries),
        };
        let indent = match lead.rsplit_once('\n') {
            Some((_, indent)) => indent.to_owned(),
            None => indentation(self.text, start).to_owned(),
        };
        self.out.push_str(&lead);
        let sibling = neighbour.and_then(|old| entries.get(old)).or_else(|| entries.last());
        if let Some(key) = part.key {
            self.out.push_str(&Value::from(key).to_string());
            let usual = || self.layout().colon.as_str();
            let colon = sibling.and_then(Entry::colon).unwrap_or_else(usual).to_owned();
            self.out.push_str(&colon);
        }
        let shape = sibling.map_or(Shape::Fitting, |entry| Shape::like(self.text, &entry.place, part.to));
        self.write(part.to, &indent, shape);
    }
}

#[cfg(test)]
mod tests;
