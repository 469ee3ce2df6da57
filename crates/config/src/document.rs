//! JSON text into a tree, strictly: no key twice, no nesting without end, and an error that says the line.
//!
//! `serde_json::Value` would silently keep the last of two equal keys, which hides half of what the operator
//! wrote, so the tree is our own; `serde_json` still does the reading. The limit on depth is what keeps every
//! later walk over the tree (and its drop) from overflowing the stack, the limit on values keeps a small text
//! from becoming a large tree.

use std::fmt;

use indexmap::IndexMap;
use indexmap::map::Entry;
use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::Number;

use crate::MAX_CONFIG_BYTES;
use crate::issue::{Fault, Issues, Report, shown};
use crate::model::servers::Servers;

/// Deepest nesting; the format itself needs 7.
pub(crate) const MAX_DEPTH: usize = 32;

/// Most values in one file: room for 200,000 servers, at less than 200 MiB of memory.
pub(crate) const MAX_VALUES: usize = 1_000_000;

/// One JSON value.
#[derive(Debug)]
pub(crate) enum Node {
    Null,
    Bool(bool),
    Number(Number),
    Text(Text),
    List(Vec<Node>),
    Map(IndexMap<String, Node>),
    /// What could not be read, and was reported.
    Unread,
    /// A list of servers that was read before, and about which there is nothing new to say.
    Servers(Servers),
}

/// A JSON string.
#[derive(Debug)]
pub(crate) struct Text {
    pub(crate) value: String,
    /// What the file says, where a variable was replaced.
    pub(crate) written: Option<Box<str>>,
}

/// Reads `text`. Doubled keys go to the report (the first of them stays); anything else that is wrong ends
/// the reading, since nothing after it can be trusted.
pub(crate) fn read(text: &[u8], report: &mut Report) -> Result<Node, Issues> {
    let text = plain_text(text).map_err(|fault| Issues::one("", fault))?;
    let mut progress = Progress { report, pointer: String::new(), values: 0, stopped: None };
    let mut reader = serde_json::Deserializer::from_str(text);
    let seed = Value { progress: &mut progress, depth: 0 };
    let outcome = seed.deserialize(&mut reader).and_then(|node| reader.end().map(|()| node));
    outcome.map_err(|error| {
        let (line, column) = (error.line(), error.column());
        match progress.stopped {
            Some(fault) => {
                let problem = format!("{} (line {line}, column {column})", fault.problem);
                Issues::one(progress.pointer, Fault::new(problem, fault.help))
            }
            None => Issues::one("", syntax_fault(text, &error)),
        }
    })
}

/// Reads a list of so many levels within a document; nothing where anything is the matter with it.
pub(crate) fn read_list(text: &str, depth: usize) -> Option<Vec<Node>> {
    let mut report = Report::default();
    let mut progress = Progress { report: &mut report, pointer: String::new(), values: 0, stopped: None };
    let mut reader = serde_json::Deserializer::from_str(text);
    let seed = Value { progress: &mut progress, depth };
    let node = seed.deserialize(&mut reader).and_then(|node| reader.end().map(|()| node)).ok()?;
    match node {
        Node::List(list) if report.is_empty() => Some(list),
        _ => None,
    }
}

/// Adds one step to a JSON pointer (RFC 6901, section 3).
pub(crate) fn push_step(pointer: &mut String, key: &str) {
    pointer.push('/');
    for character in key.chars() {
        match character {
            '~' => pointer.push_str("~0"),
            '/' => pointer.push_str("~1"),
            _ => pointer.push(character),
        }
    }
}

fn plain_text(text: &[u8]) -> Result<&str, Fault> {
    if text.len() > MAX_CONFIG_BYTES {
        let problem =
            format!("the file has {} bytes, more than the {MAX_CONFIG_BYTES} that are read", text.len());
        return Err(Fault::new(
            problem,
            "check that this is the right file; no useful configuration is this big",
        ));
    }
    let text = std::str::from_utf8(text).map_err(|error| {
        let before = text.get(..error.valid_up_to()).unwrap_or_default();
        let line = before.split(|byte| *byte == b'\n').count();
        let column = before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
        Fault::new(
            format!("the file is not UTF-8 text (line {line}, byte {column} of that line)"),
            "save the file as UTF-8; a file of another kind, or UTF-16, cannot be read",
        )
    })?;
    // A byte order mark may be ignored (RFC 8259, section 8.1).
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim().is_empty() {
        return Err(Fault::new("the file is empty", "write at least \"listeners\" and \"pools\""));
    }
    Ok(text)
}

fn syntax_fault(text: &str, error: &serde_json::Error) -> Fault {
    let (line, column) = (error.line(), error.column());
    let full = error.to_string();
    let reason = full.rsplit_once(" at line ").map_or(full.as_str(), |(reason, _)| reason);
    let written = text.lines().nth(line.saturating_sub(1)).unwrap_or_default().trim();
    let place = if column == 0 { format!("line {line}") } else { format!("line {line}, column {column}") };
    let problem = format!("not valid JSON at {place}: {reason}");
    let problem = problem.replace("EOF while parsing", "the text ends within");
    let help = if reason.contains("EOF") {
        "the text ends too early: a closing \" or } or ] is missing".to_owned()
    } else if written.starts_with("//") || written.starts_with("/*") || written.starts_with('#') {
        "JSON knows no comments: take the line out".to_owned()
    } else if reason.contains("trailing comma") {
        "take out the comma before the closing } or ]".to_owned()
    } else if reason.contains("trailing characters") {
        "take out what follows the final }".to_owned()
    } else if reason.contains("control character") {
        "write control characters in a text as escapes, such as \\n".to_owned()
    } else if reason.contains("key must be a string") {
        "write keys in double quotes; the last entry is followed by no comma".to_owned()
    } else if reason.contains("expected `,`") {
        "separate entries by commas; the comma is missing before this place".to_owned()
    } else if !text.trim_start().starts_with('{') {
        "the file must be one JSON object: it begins with { and ends with }".to_owned()
    } else {
        let start: String = written.chars().take(80).collect();
        format!("correct the line that reads: {start}")
    };
    Fault::new(problem, help)
}

/// What is known in the middle of reading.
struct Progress<'r> {
    report: &'r mut Report,
    /// Where the reading stands.
    pointer: String,
    values: usize,
    /// Why we ended the reading ourselves.
    stopped: Option<Fault>,
}

struct Value<'p, 'r> {
    progress: &'p mut Progress<'r>,
    depth: usize,
}

impl Value<'_, '_> {
    fn stop<E: de::Error>(&mut self, problem: String, help: &str) -> E {
        self.progress.stopped = Some(Fault::new(problem, help));
        E::custom("stopped")
    }

    fn enter<E: de::Error>(&mut self) -> Result<(), E> {
        if self.depth < MAX_DEPTH {
            return Ok(());
        }
        // The pointer to the place itself would be as long as the nesting.
        let cut = self.progress.pointer.match_indices('/').nth(3).map(|(at, _)| at);
        self.progress.pointer.truncate(cut.unwrap_or(self.progress.pointer.len()));
        let problem = format!("lists and objects are nested deeper than {MAX_DEPTH} levels here");
        Err(self.stop(problem, "take the extra levels out; no setting needs more than a few"))
    }
}

impl<'de> DeserializeSeed<'de> for Value<'_, '_> {
    type Value = Node;

    fn deserialize<D: de::Deserializer<'de>>(mut self, deserializer: D) -> Result<Node, D::Error> {
        self.progress.values += 1;
        if self.progress.values > MAX_VALUES {
            self.progress.pointer.clear();
            let problem = format!("the file holds more than {MAX_VALUES} values");
            return Err(self.stop(problem, "split the configuration; this many cannot be meant"));
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value<'_, '_> {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Number(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Number(value.into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Node, E> {
        Number::from_f64(value).map(Node::Number).ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Text(Text { value: value.to_owned(), written: None }))
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut access: A) -> Result<Node, A::Error> {
        self.enter()?;
        let mut list = Vec::new();
        let base = self.progress.pointer.len();
        loop {
            push_step(&mut self.progress.pointer, &list.len().to_string());
            let seed = Value { progress: &mut *self.progress, depth: self.depth + 1 };
            let Some(node) = access.next_element_seed(seed)? else { break };
            list.push(node);
            self.progress.pointer.truncate(base);
        }
        self.progress.pointer.truncate(base);
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut access: A) -> Result<Node, A::Error> {
        self.enter()?;
        let mut map = IndexMap::new();
        let base = self.progress.pointer.len();
        while let Some(key) = access.next_key::<String>()? {
            push_step(&mut self.progress.pointer, &key);
            let seed = Value { progress: &mut *self.progress, depth: self.depth + 1 };
            let node = access.next_value_seed(seed)?;
            match map.entry(key) {
                Entry::Vacant(place) => {
                    place.insert(node);
                }
                Entry::Occupied(place) => {
                    let problem = format!("the key {} stands here twice", shown(place.key()));
                    let fault = Fault::new(problem, "keep one of the two; which one counts would be a guess");
                    self.progress.report.issue(&self.progress.pointer, fault);
                }
            }
            self.progress.pointer.truncate(base);
        }
        Ok(Node::Map(map))
    }
}
