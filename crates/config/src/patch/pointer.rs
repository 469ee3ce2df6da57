//! JSON pointers (RFC 6901).

use std::fmt;

use serde_json::Value;

use crate::document::{MAX_DEPTH, push_step};
use crate::issue::{Fault, shown};

use super::height;

/// A place in a document, as the steps from its root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pointer(Vec<String>);

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        self.0.iter().for_each(|step| push_step(&mut text, step));
        f.write_str(&text)
    }
}

impl Pointer {
    pub(super) fn read(text: &str) -> Result<Self, Fault> {
        if text.is_empty() {
            return Ok(Self(Vec::new()));
        }
        let Some(steps) = text.strip_prefix('/') else {
            let problem = format!("the pointer {} does not begin with \"/\"", shown(text));
            return Err(Fault::new(problem, format!("write {}", shown(&format!("/{text}")))));
        };
        steps.split('/').map(step).collect::<Result<Vec<_>, _>>().map(Self)
    }

    /// The place that it stands in, and the last step; none for the root.
    pub(super) fn split_last(&self) -> Option<(Self, &str)> {
        self.0.split_last().map(|(last, parent)| (Self(parent.to_vec()), last.as_str()))
    }

    pub(super) fn is_below(&self, other: &Self) -> bool {
        self.0.len() > other.0.len() && self.0.starts_with(&other.0)
    }

    pub(super) fn find<'d>(&self, document: &'d Value) -> Result<&'d Value, Fault> {
        self.0.iter().try_fold(document, |value, step| match value {
            Value::Object(map) => map.get(step).ok_or_else(|| self.is_nowhere()),
            Value::Array(list) => list.get(index(step)?).ok_or_else(|| self.is_nowhere()),
            _ => Err(self.is_nowhere()),
        })
    }

    pub(super) fn find_mut<'d>(&self, document: &'d mut Value) -> Result<&'d mut Value, Fault> {
        self.0.iter().try_fold(document, |value, step| match value {
            Value::Object(map) => map.get_mut(step).ok_or_else(|| self.is_nowhere()),
            Value::Array(list) => list.get_mut(index(step)?).ok_or_else(|| self.is_nowhere()),
            _ => Err(self.is_nowhere()),
        })
    }

    pub(super) fn is_nowhere(&self) -> Fault {
        let problem = format!("nothing stands at {}", shown(&self.to_string()));
        Fault::new(problem, "look at the document anew")
    }

    /// A document that is deeper than what can be read would also be more than a stack can walk.
    pub(super) fn depth_holds(&self, value: &Value) -> Result<(), Fault> {
        if self.0.len() + height(value) <= MAX_DEPTH {
            return Ok(());
        }
        let problem = format!("lists and objects would be nested deeper than {MAX_DEPTH} levels");
        Err(Fault::new(problem, "put the value higher up; no setting needs more than a few levels"))
    }
}

fn step(text: &str) -> Result<String, Fault> {
    let mut step = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        step.push(match character {
            '~' => match characters.next() {
                Some('0') => '~',
                Some('1') => '/',
                _ => {
                    let problem = format!("{} holds \"~\" that stands for nothing", shown(text));
                    return Err(Fault::new(problem, "write \"~0\" for \"~\" and \"~1\" for \"/\""));
                }
            },
            plain => plain,
        });
    }
    Ok(step)
}

/// A place in a list: digits without leading zeros (RFC 6901, section 4).
pub(super) fn index(step: &str) -> Result<usize, Fault> {
    let digits = !step.is_empty() && step.bytes().all(|byte| byte.is_ascii_digit());
    let plain = digits && (step == "0" || !step.starts_with('0'));
    plain.then(|| step.parse().ok()).flatten().ok_or_else(|| {
        let problem = format!("{} is not a place in a list", shown(step));
        Fault::new(problem, "write a number that counts from 0, without leading zeros")
    })
}
