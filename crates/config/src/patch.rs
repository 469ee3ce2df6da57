//! JSON Patch (RFC 6902) and JSON Merge Patch (RFC 7396) on documents.
//!
//! Our own, since what comes in is not trusted: the crates for this copy as often as they are told to, so a patch of
//! a hundred lines that copies the document into itself fills the memory or overflows the stack. Here a patch may add
//! no more than a file may hold, and nest no deeper. Removing a key also keeps the others in their order.

use std::fmt;

use serde_json::{Map, Value};

use crate::MAX_CONFIG_BYTES;
use crate::document::push_step;
use crate::issue::{Fault, Issue, shown};
use crate::raw::same;

mod pointer;

use pointer::Pointer;

/// Most operations of one patch.
pub const MAX_OPERATIONS: usize = 10_000;

/// Why a patch was not applied. Nothing of it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PatchError {
    /// It is no patch, whatever the document.
    Malformed(Issue),
    /// It does not fit this document: a place that it names is not there, or a test of it does not hold.
    Conflict(Issue),
}

impl PatchError {
    /// What is wrong; its pointer is into the patch.
    pub const fn issue(&self) -> &Issue {
        match self {
            Self::Malformed(issue) | Self::Conflict(issue) => issue,
        }
    }
}

impl fmt::Display for PatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.issue().fmt(f)
    }
}

impl std::error::Error for PatchError {}

/// Applies a JSON Patch: all of its operations or none.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn json_patch(document: &Value, patch: &Value) -> Result<Value, PatchError> {
    let malformed = |at: &str, fault: Fault| PatchError::Malformed(issue(at, fault));
    let Value::Array(operations) = patch else {
        return Err(malformed("", Fault::new("a JSON Patch is a list of operations", EXAMPLE)));
    };
    if operations.len() > MAX_OPERATIONS {
        let problem =
            format!("{} operations are more than the {MAX_OPERATIONS} that may be", operations.len());
        return Err(malformed("", Fault::new(problem, "send the whole document instead")));
    }
    // All are read before the first is applied, so that what is malformed is said to be that.
    let mut read = Vec::with_capacity(operations.len());
    for (index, operation) in operations.iter().enumerate() {
        read.push(Operation::read(operation).map_err(|(key, fault)| malformed(&place(index, key), fault))?);
    }
    let mut patched = Patched { document: document.clone(), room: MAX_CONFIG_BYTES };
    for (index, operation) in read.into_iter().enumerate() {
        let conflict = |(key, fault): (_, Fault)| PatchError::Conflict(issue(&place(index, key), fault));
        patched.apply(operation).map_err(conflict)?;
    }
    Ok(patched.document)
}

/// Applies a JSON Merge Patch: what it names is replaced, null takes away, and what it leaves out stays. Whole lists
/// are replaced. Any document is such a patch.
pub fn merge_patch(document: &Value, patch: &Value) -> Value {
    let Value::Object(changes) = patch else { return patch.clone() };
    let mut merged = match document {
        Value::Object(map) => map.clone(),
        _ => Map::new(),
    };
    for (key, change) in changes {
        if change.is_null() {
            merged.shift_remove(key);
        } else {
            let value = merge_patch(merged.get(key).unwrap_or(&Value::Null), change);
            merged.insert(key.clone(), value);
        }
    }
    Value::Object(merged)
}

const EXAMPLE: &str = "write [ { \"op\": \"replace\", \"path\": \"/workers\", \"value\": 2 } ]";

fn issue(at: &str, fault: Fault) -> Issue {
    Issue { at: at.to_owned(), problem: fault.problem, help: fault.help }
}

fn place(index: usize, key: &str) -> String {
    let mut place = format!("/{index}");
    if !key.is_empty() {
        push_step(&mut place, key);
    }
    place
}

/// What is wrong, and under which key of the operation.
type Wrong = (&'static str, Fault);

enum Operation<'p> {
    Add { path: Pointer, value: &'p Value },
    Remove { path: Pointer },
    Replace { path: Pointer, value: &'p Value },
    Move { from: Pointer, path: Pointer },
    Copy { from: Pointer, path: Pointer },
    Test { path: Pointer, value: &'p Value },
}

impl<'p> Operation<'p> {
    fn read(operation: &'p Value) -> Result<Self, Wrong> {
        let Value::Object(members) = operation else {
            return Err(("", Fault::new("an operation is an object", EXAMPLE)));
        };
        let text = |key: &'static str| match members.get(key) {
            Some(Value::String(text)) => Ok(text),
            Some(_) => {
                Err((key, Fault::new(format!("\"{key}\" is not a text"), "write it in double quotes")))
            }
            None => {
                Err(("", Fault::new(format!("the operation has no \"{key}\""), format!("add \"{key}\""))))
            }
        };
        let pointer = |key| Pointer::read(text(key)?).map_err(|fault| (key, fault));
        let value = || {
            let fault = || Fault::new("the operation has no \"value\"", "add \"value\"; null is one too");
            members.get("value").ok_or_else(|| ("", fault()))
        };
        Ok(match text("op")?.as_str() {
            "add" => Self::Add { path: pointer("path")?, value: value()? },
            "remove" => Self::Remove { path: pointer("path")? },
            "replace" => Self::Replace { path: pointer("path")?, value: value()? },
            "move" => Self::Move { from: pointer("from")?, path: pointer("path")? },
            "copy" => Self::Copy { from: pointer("from")?, path: pointer("path")? },
            "test" => Self::Test { path: pointer("path")?, value: value()? },
            other => {
                let problem = format!("{} is not an operation", shown(other));
                let help = "write \"add\", \"remove\", \"replace\", \"move\", \"copy\" or \"test\"";
                return Err(("op", Fault::new(problem, help)));
            }
        })
    }
}

struct Patched {
    document: Value,
    /// How much more may be added, in bytes as [`weight`] counts them.
    room: usize,
}

impl Patched {
    fn apply(&mut self, operation: Operation<'_>) -> Result<(), Wrong> {
        match operation {
            Operation::Add { path, value } => self.grow(value.clone(), |this, value| this.add(&path, value)),
            Operation::Remove { path } => self.remove(&path).map(drop).map_err(at("path")),
            Operation::Replace { path, value } => self.grow(value.clone(), |this, value| {
                path.depth_holds(&value)?;
                *path.find_mut(&mut this.document)? = value;
                Ok(())
            }),
            Operation::Move { from, path } => self.relocate(&from, &path),
            Operation::Copy { from, path } => {
                let value = from.find(&self.document).map_err(at("from"))?.clone();
                self.grow(value, |this, value| this.add(&path, value))
            }
            Operation::Test { path, value } => {
                let found = path.find(&self.document).map_err(at("path"))?;
                if same(found, value) {
                    return Ok(());
                }
                let fault = Fault::new(
                    "the test does not hold: another value stands there",
                    "look at the document anew",
                );
                Err(("value", fault))
            }
        }
    }

    fn grow(
        &mut self,
        value: Value,
        put: impl FnOnce(&mut Self, Value) -> Result<(), Fault>,
    ) -> Result<(), Wrong> {
        let Some(room) = self.room.checked_sub(weight(&value)) else {
            let problem =
                format!("the patch adds more than the {MAX_CONFIG_BYTES} bytes that a file may have");
            return Err(("", Fault::new(problem, "split it, or send the whole document")));
        };
        self.room = room;
        put(self, value).map_err(at("path"))
    }

    fn relocate(&mut self, from: &Pointer, path: &Pointer) -> Result<(), Wrong> {
        if from == path {
            return from.find(&self.document).map(drop).map_err(at("from"));
        }
        if path.is_below(from) {
            // RFC 6902, section 4.4.
            let fault = Fault::new("a value cannot be moved into itself", "copy it, or move it elsewhere");
            return Err(("path", fault));
        }
        let value = self.remove(from).map_err(at("from"))?;
        self.add(path, value).map_err(at("path"))
    }

    fn add(&mut self, path: &Pointer, value: Value) -> Result<(), Fault> {
        path.depth_holds(&value)?;
        let Some((parent, step)) = path.split_last() else {
            self.document = value;
            return Ok(());
        };
        match parent.find_mut(&mut self.document)? {
            Value::Object(map) => {
                map.insert(step.to_owned(), value);
            }
            Value::Array(list) => {
                let index = if step == "-" { list.len() } else { pointer::index(step)? };
                if index > list.len() {
                    return Err(beyond(index, list.len()));
                }
                list.insert(index, value);
            }
            _ => return Err(no_container(&parent)),
        }
        Ok(())
    }

    fn remove(&mut self, path: &Pointer) -> Result<Value, Fault> {
        let Some((parent, step)) = path.split_last() else {
            return Err(Fault::new("the whole document cannot be removed", "replace it by another one"));
        };
        match parent.find_mut(&mut self.document)? {
            Value::Object(map) => map.shift_remove(step).ok_or_else(|| path.is_nowhere()),
            Value::Array(list) => {
                let index = pointer::index(step)?;
                if index < list.len() { Ok(list.remove(index)) } else { Err(beyond(index, list.len())) }
            }
            _ => Err(no_container(&parent)),
        }
    }
}

fn at(key: &'static str) -> impl Fn(Fault) -> Wrong {
    move |fault| (key, fault)
}

fn beyond(index: usize, len: usize) -> Fault {
    let problem = format!("there is no place {index} in a list of {len}");
    Fault::new(problem, "places count from 0; \"-\" is the one after the last")
}

fn no_container(parent: &Pointer) -> Fault {
    let problem = format!("what stands at {} holds nothing", shown(&parent.to_string()));
    Fault::new(problem, "name a place in an object or a list")
}

/// About as many bytes as the value takes in a file.
fn weight(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len() + 2,
        Value::Array(list) => list.iter().map(weight).sum::<usize>() + 2,
        Value::Object(map) => map.iter().map(|(key, value)| key.len() + 3 + weight(value)).sum::<usize>() + 2,
        Value::Null | Value::Bool(_) | Value::Number(_) => 4,
    }
}

/// How deep lists and objects are nested in it.
fn height(value: &Value) -> usize {
    match value {
        Value::Array(list) => 1 + list.iter().map(height).max().unwrap_or(0),
        Value::Object(map) => 1 + map.values().map(height).max().unwrap_or(0),
        _ => 0,
    }
}

#[cfg(test)]
mod tests;
