//! A value together with its place, and the readers that every section uses.
//!
//! A reader reports what is wrong and answers `None`; whoever asked keeps its default and goes on, so one
//! wrong value hides no other.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde_json::Number;

use crate::document::{Node, Text, push_step};
use crate::issue::{Fault, Report, shown};
use crate::quantity::{self, DurationBounds};
use crate::shape::{self, Shape};
use crate::suggest;

/// A value and the JSON pointer to it.
#[derive(Clone)]
pub(crate) struct Spot<'a> {
    pub(crate) node: &'a Node,
    pub(crate) at: String,
}

impl<'a> Spot<'a> {
    fn child(&self, node: &'a Node, key: &str) -> Self {
        let mut at = String::with_capacity(self.at.len() + key.len() + 1);
        at.push_str(&self.at);
        push_step(&mut at, key);
        Self { node, at }
    }

    /// Reports a fault of this value, and where it came from if a variable stands there.
    pub(crate) fn refuse(&self, report: &mut Report, mut fault: Fault) {
        if let Node::Text(Text { written: Some(written), .. }) = self.node {
            fault.problem = format!("{} (the file says {})", fault.problem, shown(written));
        }
        report.issue(&self.at, fault);
    }

    /// Reports the fault, if there is one.
    pub(crate) fn settle<T>(&self, report: &mut Report, outcome: Result<T, Fault>) -> Option<T> {
        outcome.map_err(|fault| self.refuse(report, fault)).ok()
    }

    fn wrong_type(&self, report: &mut Report, expected: &str, help: &str) {
        if matches!(self.node, Node::Unread) {
            return; // A fault of its own has been reported.
        }
        let problem = format!("expected {expected}, found {}", describe(self.node));
        let help = match self.node {
            Node::Null => "write a value, or leave it out",
            _ => help,
        };
        self.refuse(report, Fault::new(problem, help));
    }

    pub(crate) fn text(&self, report: &mut Report, expected: &str) -> Option<&'a str> {
        if let Node::Text(text) = self.node {
            return Some(&text.value);
        }
        self.wrong_type(report, expected, "write it as a text in double quotes");
        None
    }

    /// A text that no message may show: not even when it is a number or a list.
    pub(crate) fn hidden_text(&self, report: &mut Report, expected: &str) -> Option<&'a str> {
        match self.node {
            Node::Text(text) => return Some(&text.value),
            Node::Unread => {}
            _ => {
                let problem = format!("expected {expected}, found something that is not a text");
                self.refuse(report, Fault::new(problem, "write it as a text in double quotes"));
            }
        }
        None
    }

    pub(crate) fn flag(&self, report: &mut Report) -> Option<bool> {
        match self.node {
            Node::Bool(value) => return Some(*value),
            Node::Text(Text { value, written: Some(_) }) if value == "true" => return Some(true),
            Node::Text(Text { value, written: Some(_) }) if value == "false" => return Some(false),
            _ => self.wrong_type(report, "true or false", "write true or false, without quotes"),
        }
        None
    }

    /// A whole number within `range`.
    pub(crate) fn whole(&self, report: &mut Report, range: &RangeInclusive<u64>) -> Option<u64> {
        let (min, max) = (*range.start(), *range.end());
        let expected = format!("a whole number from {min} to {max}");
        let found = match self.node {
            Node::Number(number) => whole_number(number),
            Node::Text(Text { value, written: Some(_) }) => digits(value),
            _ => {
                self.wrong_type(
                    report,
                    &expected,
                    &format!("write a number from {min} to {max}, without quotes"),
                );
                return None;
            }
        };
        if let Some(found) = found.filter(|found| range.contains(found)) {
            return Some(found);
        }
        let problem = format!("expected {expected}, found {}", describe(self.node));
        self.refuse(report, Fault::new(problem, format!("write a number from {min} to {max}")));
        None
    }

    /// The same for a narrower type, whose range `range` stays within.
    pub(crate) fn number<T: TryFrom<u64>>(
        &self,
        report: &mut Report,
        range: &RangeInclusive<u64>,
    ) -> Option<T> {
        self.whole(report, range).and_then(|value| T::try_from(value).ok())
    }

    /// A part of a whole: 0 to 1.
    pub(crate) fn fraction(&self, report: &mut Report) -> Option<f64> {
        let (expected, help) = ("a number from 0 to 1", "write a part of the whole, such as 0.01 for 1 %");
        let found = match self.node {
            Node::Number(number) => number.as_f64(),
            Node::Text(Text { value, written: Some(_) }) => plain_number(value),
            _ => {
                self.wrong_type(report, expected, help);
                return None;
            }
        };
        if let Some(found) = found.filter(|found| (0.0..=1.0).contains(found)) {
            return Some(found);
        }
        self.refuse(report, Fault::new(format!("expected {expected}, found {}", describe(self.node)), help));
        None
    }

    pub(crate) fn duration(&self, report: &mut Report, bounds: &DurationBounds) -> Option<Duration> {
        let found = match self.node {
            Node::Number(number) => quantity::duration_from_seconds(number.as_f64().unwrap_or(f64::MAX)),
            Node::Text(Text { value, written: Some(_) }) => match plain_number(value) {
                Some(seconds) => quantity::duration_from_seconds(seconds),
                None => quantity::parse_duration(value),
            },
            Node::Text(text) => quantity::parse_duration(&text.value),
            _ => {
                self.wrong_type(
                    report,
                    "a duration such as \"5s\"",
                    "write a text such as \"250ms\", \"5s\" or \"1m\"",
                );
                return None;
            }
        };
        self.settle(report, found.and_then(|duration| quantity::within(duration, bounds)))
    }

    pub(crate) fn size(&self, report: &mut Report, range: &RangeInclusive<u64>) -> Option<u64> {
        let found = match self.node {
            Node::Number(number) => whole_number(number).ok_or_else(|| {
                Fault::new(
                    format!("{number} is not a size"),
                    "write a whole number of bytes, or a text such as \"64KiB\"",
                )
            }),
            Node::Text(Text { value, written: Some(_) }) => {
                digits(value).map_or_else(|| quantity::parse_size(value), Ok)
            }
            Node::Text(text) => quantity::parse_size(&text.value),
            _ => {
                self.wrong_type(
                    report,
                    "a size such as \"64KiB\"",
                    "write a text such as \"64KiB\", or a number of bytes",
                );
                return None;
            }
        };
        let size = self.settle(report, found)?;
        if range.contains(&size) {
            return Some(size);
        }
        let (min, max) = (quantity::format_size(*range.start()), quantity::format_size(*range.end()));
        let problem = format!("{} is out of range", quantity::format_size(size));
        self.refuse(report, Fault::new(problem, format!("write {min} to {max}")));
        None
    }

    /// One of a fixed set of words.
    pub(crate) fn word<T: Copy, const N: usize>(
        &self,
        report: &mut Report,
        all: [T; N],
        name: impl Fn(T) -> &'static str,
    ) -> Option<T> {
        let words = || all.iter().map(|choice| name(*choice));
        let expected = format!("one of {}", suggest::one_of(words()));
        let text = self.text(report, &expected)?;
        if let Some(choice) = all.iter().find(|choice| name(**choice) == text) {
            return Some(*choice);
        }
        let help = match suggest::nearest(text, words()) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => format!("write {}", suggest::one_of(words())),
        };
        self.refuse(report, Fault::new(format!("{} is not known here", shown(text)), help));
        None
    }

    pub(crate) fn list(&self, report: &mut Report, of: &str) -> Option<Vec<Spot<'a>>> {
        if let Node::List(list) = self.node {
            return Some(list.iter().enumerate().map(|(i, node)| self.child(node, &i.to_string())).collect());
        }
        self.wrong_type(
            report,
            &format!("a list of {of}"),
            "put it in square brackets, even if there is only one",
        );
        None
    }

    pub(crate) fn is_empty_list(&self) -> bool {
        matches!(self.node, Node::List(list) if list.is_empty())
    }

    /// Names and what they stand for, in written order.
    pub(crate) fn entries(&self, report: &mut Report, expected: &str) -> Option<Vec<(&'a str, Spot<'a>)>> {
        let found = self.children();
        if found.is_none() {
            self.wrong_type(report, expected, "write an object: { \"name\": { … } }");
        }
        found
    }

    fn children(&self) -> Option<Vec<(&'a str, Spot<'a>)>> {
        let Node::Map(map) = self.node else { return None };
        Some(map.iter().map(|(key, node)| (key.as_str(), self.child(node, key))).collect())
    }
}

/// A JSON object with a fixed set of keys.
pub(crate) struct Section<'a> {
    spot: Spot<'a>,
    shape: &'static Shape,
}

impl<'a> Section<'a> {
    /// Takes the value as such an object; reports each key that it must not have.
    pub(crate) fn open(spot: &Spot<'a>, shape: &'static Shape, report: &mut Report) -> Option<Self> {
        let section = Self { spot: spot.clone(), shape };
        let Some(children) = spot.children() else {
            let keys = shape.keys.iter().filter(|key| !key.starts_with('$')).take(4);
            let keys: Vec<String> = keys.map(|key| format!("\"{key}\"")).collect();
            let help = format!("write an object, {{ … }}, with keys such as {}", keys.join(", "));
            spot.wrong_type(report, &format!("an object ({})", shape.what), &help);
            return None;
        };
        for (key, child) in children {
            if !shape.keys.contains(&key) {
                report.issue(&child.at, unknown_key(key, shape));
            }
        }
        Some(section)
    }

    pub(crate) fn at(&self) -> &str {
        &self.spot.at
    }

    pub(crate) fn get(&self, key: &str) -> Option<Spot<'a>> {
        debug_assert!(self.shape.keys.contains(&key), "{key} is missing in the shape {}", self.shape.name);
        match self.spot.node {
            Node::Map(map) => map.get(key).map(|node| self.spot.child(node, key)),
            _ => None,
        }
    }

    /// Reports it when the key is not there; `help` says what to write.
    pub(crate) fn need(&self, key: &str, report: &mut Report, help: &str) -> Option<Spot<'a>> {
        let found = self.get(key);
        if found.is_none() {
            let problem = format!("{} needs the key \"{key}\"", self.shape.what);
            report.issue(&self.spot.at, Fault::new(problem, help));
        }
        found
    }

    /// Reads the key into `slot`; what is left out or wrong leaves the default there.
    pub(crate) fn set<T>(
        &self,
        key: &str,
        report: &mut Report,
        slot: &mut T,
        read: impl FnOnce(&Spot<'a>, &mut Report) -> Option<T>,
    ) {
        if let Some(value) = self.get(key).and_then(|spot| read(&spot, report)) {
            *slot = value;
        }
    }
}

fn unknown_key(key: &str, shape: &Shape) -> Fault {
    if shape.later.contains(&key) {
        let problem = format!("\"{key}\" is not in this version yet");
        return Fault::new(problem, "take it out until a version that knows it");
    }
    let problem = format!("unknown key {} in {}", shown(key), shape.what);
    let also = shape.also.iter().find(|(word, _)| suggest::same(word, key)).map(|(_, meant)| *meant);
    if let Some(meant) = also.or_else(|| suggest::nearest(key, shape.keys.iter().chain(shape.later).copied()))
    {
        let yet = if shape.later.contains(&meant) { " It is not in this version yet" } else { "" };
        return Fault::new(problem, format!("did you mean \"{meant}\"?{yet}"));
    }
    let elsewhere: Vec<_> =
        shape::ALL.iter().filter(|other| other.keys.contains(&key)).map(|o| o.what).collect();
    let known = format!("known here: {}", shape.keys.join(", "));
    if elsewhere.is_empty() {
        return Fault::new(problem, format!("take it out; {known}"));
    }
    Fault::new(problem, format!("\"{key}\" belongs in {}; {known}", elsewhere.join(" or ")))
}

fn describe(node: &Node) -> String {
    match node {
        Node::Null => "null".to_owned(),
        Node::Bool(value) => value.to_string(),
        Node::Number(number) => format!("the number {number}"),
        Node::Text(text) => format!("the text {}", shown(&text.value)),
        Node::List(list) if list.is_empty() => "an empty list".to_owned(),
        Node::List(_) | Node::Servers(_) => "a list".to_owned(),
        Node::Map(_) => "an object".to_owned(),
        Node::Unread => "nothing".to_owned(),
    }
}

/// JSON has one kind of number: 3.0 is as whole as 3.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // checked by the comparison before
fn whole_number(number: &Number) -> Option<u64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    number.as_u64().or_else(|| {
        number
            .as_f64()
            .filter(|value| value.fract() == 0.0 && (0.0..EXACT).contains(value))
            .map(|value| value as u64)
    })
}

fn digits(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// What a variable holds has no quotes that could tell a number from a text.
fn plain_number(text: &str) -> Option<f64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    plain.then(|| text.parse().ok()).flatten()
}
