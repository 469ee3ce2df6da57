//! How new values are written: as the document around them is.

use serde_json::Value;

use super::place::{self, Inside, Place, Span};

/// Widest list or object that is written on one line where its neighbours do not say; the usual width of a page.
const MAX_WIDTH: usize = 100;

/// Widest where its neighbours are on one line.
const MAX_WIDTH_LIKE_NEIGHBOURS: usize = 200;

/// Servers of a pool that show how the document is laid out. With thousands, all of them would cost more to look at than
/// the edit does.
const SHOWING: usize = 8;

/// What the document looks like, by the first place that shows it.
#[derive(Debug)]
pub(crate) struct Layout {
    line_break: &'static str,
    /// One step of indentation.
    step: String,
    pub(super) colon: String,
    /// White space after a comma within a line.
    pub(super) after_comma: String,
    /// White space inside the braces of an object on one line.
    in_braces: String,
    /// White space inside the brackets of a list on one line, of plain values and of others.
    in_brackets: [String; 2],
    /// Whether the document has more than one line, and objects and lists that stand on one.
    has_lines: bool,
    has_flat_maps: bool,
    has_flat_lists: bool,
}

/// Whether a list or an object is to be spread over lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// On one line if that fits and is usual in the document.
    Fitting,
    Flat,
    Spread,
}

impl Shape {
    /// As the neighbour is, if it is of the same kind.
    pub(super) fn like(text: &str, neighbour: &Place<'_>, value: &Value) -> Self {
        let comparable = match (&neighbour.inside, value) {
            (Inside::Map(entries), Value::Object(_)) | (Inside::List(entries), Value::Array(_)) => {
                !entries.is_empty()
            }
            _ => false,
        };
        let written = text.get(neighbour.start..neighbour.end).unwrap_or_default();
        match comparable {
            false => Self::Fitting,
            true if written.contains('\n') => Self::Spread,
            true => Self::Flat,
        }
    }
}

/// The white space that the line of this place begins with.
pub(super) fn indentation(text: &str, at: usize) -> &str {
    let before = text.get(..at).unwrap_or_default();
    let line = before.rsplit('\n').next().unwrap_or_default().trim_start_matches('\u{feff}');
    line.get(..line.len() - line.trim_start_matches([' ', '\t']).len()).unwrap_or_default()
}

/// Entries may stand apart in groups; a new one belongs to the group.
pub(super) fn without_blank_lines(lead: &str) -> String {
    let Some((before, indent)) = lead.rsplit_once('\n') else { return lead.to_owned() };
    format!("{}{indent}", if before.ends_with('\r') { "\r\n" } else { "\n" })
}

/// What the walk over the document has seen so far.
#[derive(Default)]
struct Seen<'t> {
    line_break: Option<&'static str>,
    step: Option<&'t str>,
    colon: Option<&'t str>,
    after_comma: Option<&'t str>,
    in_braces: Option<&'t str>,
    in_brackets: [Option<&'t str>; 2],
}

impl<'t> Seen<'t> {
    fn look(&mut self, text: &'t str, place: &Place<'t>) {
        let (entries, is_map) = match &place.inside {
            Inside::Nothing => return,
            Inside::List(entries) => (entries, false),
            Inside::Map(entries) => (entries, true),
        };
        let Some(first) = entries.first() else { return };
        if let Some((before, indent)) = first.lead.rsplit_once('\n') {
            self.line_break.get_or_insert(if before.ends_with('\r') { "\r\n" } else { "\n" });
            let step = indent.strip_prefix(indentation(text, place.start)).filter(|step| !step.is_empty());
            self.step = self.step.or(step);
        } else if is_map {
            self.in_braces.get_or_insert(first.lead);
        } else if let Some(slot) =
            self.in_brackets.get_mut(usize::from(!matches!(first.place.inside, Inside::Nothing)))
        {
            slot.get_or_insert(first.lead);
        }
        if is_map && self.colon.is_none() {
            self.colon = first.colon();
        }
        let within_line = || entries.iter().skip(1).map(|entry| entry.lead).find(|lead| !lead.contains('\n'));
        self.after_comma = self.after_comma.or_else(within_line);
        for entry in entries {
            self.look(text, &entry.place);
        }
    }
}

impl Layout {
    pub(crate) fn of(text: &str) -> Self {
        let lists = place::servers(&place::find(text));
        Self::with_servers_at(text, lists.iter().map(Vec::as_slice))
    }

    /// The same for whoever knows where the servers of each pool stand.
    pub(crate) fn with_servers_at<'l>(text: &str, lists: impl Iterator<Item = &'l [Span]>) -> Self {
        let tail = |list: &[Span]| Some((list.get(SHOWING - 1)?.end, list.last()?.end));
        let mut tails: Vec<_> = lists.filter_map(tail).collect();
        tails.sort_unstable();
        let (mut shown, mut from) = (String::new(), 0);
        for (start, end) in tails {
            shown.push_str(text.get(from..start).unwrap_or_default());
            from = end;
        }
        shown.push_str(text.get(from..).unwrap_or_default());
        let mut seen = Seen::default();
        seen.look(&shown, &place::find(&shown));
        let colon = seen.colon.unwrap_or(": ").to_owned();
        let space = if colon.ends_with(char::is_whitespace) { " " } else { "" };
        let or_space = |found: Option<&str>| found.unwrap_or(space).to_owned();
        Self {
            line_break: seen.line_break.unwrap_or("\n"),
            step: seen.step.unwrap_or("  ").to_owned(),
            after_comma: or_space(seen.after_comma),
            in_braces: or_space(seen.in_braces),
            in_brackets: [seen.in_brackets[0].unwrap_or_default().to_owned(), or_space(seen.in_brackets[1])],
            has_lines: seen.line_break.is_some(),
            has_flat_maps: seen.in_braces.is_some(),
            has_flat_lists: seen.in_brackets.iter().any(Option::is_some),
            colon,
        }
    }

    /// Writes `value`, whose line is indented by `indent`.
    pub(super) fn write(&self, out: &mut String, value: &Value, indent: &str, shape: Shape) {
        if !is_filled(value) || self.is_flat(value, shape) {
            return self.write_flat(out, value);
        }
        let inner = format!("{indent}{}", self.step);
        let entry = |out: &mut String, position: usize| {
            out.push_str(if position == 0 { "" } else { "," });
            out.push_str(self.line_break);
            out.push_str(&inner);
        };
        match value {
            Value::Object(map) => {
                out.push('{');
                for (position, (key, value)) in map.iter().enumerate() {
                    entry(out, position);
                    self.key(out, key);
                    self.write(out, value, &inner, Shape::Fitting);
                }
            }
            Value::Array(list) => {
                out.push('[');
                for (position, value) in list.iter().enumerate() {
                    entry(out, position);
                    self.write(out, value, &inner, Shape::Fitting);
                }
            }
            _ => {}
        }
        out.push_str(self.line_break);
        out.push_str(indent);
        out.push(if value.is_object() { '}' } else { ']' });
    }

    fn is_flat(&self, value: &Value, shape: Shape) -> bool {
        let width = || {
            let mut flat = String::new();
            self.write_flat(&mut flat, value);
            flat.chars().count()
        };
        match shape {
            _ if !self.has_lines => true,
            Shape::Spread => false,
            Shape::Flat => width() <= MAX_WIDTH_LIKE_NEIGHBOURS,
            Shape::Fitting => self.is_usual_on_one_line(value) && width() <= MAX_WIDTH,
        }
    }

    /// Whether the document has objects and lists on one line, for each that stands in `value`.
    fn is_usual_on_one_line(&self, value: &Value) -> bool {
        match value {
            Value::Object(map) => {
                map.is_empty()
                    || self.has_flat_maps && map.values().all(|value| self.is_usual_on_one_line(value))
            }
            Value::Array(list) => {
                list.is_empty()
                    || self.has_flat_lists && list.iter().all(|value| self.is_usual_on_one_line(value))
            }
            _ => true,
        }
    }

    fn write_flat(&self, out: &mut String, value: &Value) {
        let comma = |out: &mut String, position: usize| {
            if position > 0 {
                out.push(',');
                out.push_str(&self.after_comma);
            }
        };
        match value {
            Value::Object(map) if !map.is_empty() => {
                out.push('{');
                out.push_str(&self.in_braces);
                for (position, (key, value)) in map.iter().enumerate() {
                    comma(out, position);
                    self.key(out, key);
                    self.write_flat(out, value);
                }
                out.push_str(&self.in_braces);
                out.push('}');
            }
            Value::Array(list) if !list.is_empty() => {
                let [plain, others] = &self.in_brackets;
                let inside = if list.first().is_some_and(is_filled) { others } else { plain };
                out.push('[');
                out.push_str(inside);
                for (position, value) in list.iter().enumerate() {
                    comma(out, position);
                    self.write_flat(out, value);
                }
                out.push_str(inside);
                out.push(']');
            }
            plain => out.push_str(&plain.to_string()),
        }
    }

    fn key(&self, out: &mut String, key: &str) {
        out.push_str(&Value::from(key).to_string());
        out.push_str(&self.colon);
    }
}

/// Whether it is a list or an object that holds something.
fn is_filled(value: &Value) -> bool {
    match value {
        Value::Object(map) => !map.is_empty(),
        Value::Array(list) => !list.is_empty(),
        _ => false,
    }
}
