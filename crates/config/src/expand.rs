//! `${VAR}` and `${VAR:-default}` inside texts.
//!
//! The rules are those of the POSIX shell for these two forms, but an unset variable without a default is an
//! issue, not an empty text. `$${` stands for a literal `${`; a `$` before anything else is itself. What a
//! variable holds is not looked at again. Keys are left as they are.

use std::cell::RefCell;
use std::collections::BTreeSet;

use serde_json::Value;

use crate::document::{Node, Text, push_step};
use crate::issue::{Fault, Report, shown};

/// Answers for the environment.
pub(crate) type Env<'e> = &'e dyn Fn(&str) -> Option<String>;

/// Longest text after replacement: what a variable holds is not bounded by the size of the file.
const MAX_EXPANDED_BYTES: usize = 2 * 1024 * 1024;

/// Replaces variables in every text below `node`.
pub(crate) fn expand(node: &mut Node, env: Env<'_>, report: &mut Report) {
    walk(node, &mut String::new(), env, report);
}

/// As deep as the document, which has a limit.
fn walk(node: &mut Node, pointer: &mut String, env: Env<'_>, report: &mut Report) {
    let base = pointer.len();
    match node {
        Node::Null | Node::Bool(_) | Node::Number(_) | Node::Unread | Node::Servers(_) => {}
        Node::Text(text) => {
            if let Err(fault) = expand_text(text, env) {
                report.issue(pointer, fault);
                *node = Node::Unread;
            }
        }
        Node::List(list) => {
            for (index, child) in list.iter_mut().enumerate() {
                push_step(pointer, &index.to_string());
                walk(child, pointer, env, report);
                pointer.truncate(base);
            }
        }
        Node::Map(map) => {
            for (key, child) in map {
                push_step(pointer, key);
                walk(child, pointer, env, report);
                pointer.truncate(base);
            }
        }
    }
}

fn expand_text(text: &mut Text, env: Env<'_>) -> Result<(), Fault> {
    if text.value.contains("${") {
        let (value, replaced) = expanded(&text.value, env)?;
        let written = std::mem::replace(&mut text.value, value);
        text.written = replaced.then(|| written.into_boxed_str());
    }
    Ok(())
}

/// The names of the variables in the texts of a document that nothing was replaced in.
pub fn variables(document: &Value) -> BTreeSet<String> {
    let names = RefCell::new(BTreeSet::new());
    let note = |name: &str| {
        names.borrow_mut().insert(name.to_owned());
        Some(String::new())
    };
    in_texts(document, &mut |text| {
        // A text that cannot be replaced is for the checker to refuse.
        let _ = expanded(text, &note);
    });
    names.into_inner()
}

fn in_texts(value: &Value, act: &mut impl FnMut(&str)) {
    match value {
        Value::String(text) => act(text),
        Value::Array(list) => list.iter().for_each(|value| in_texts(value, act)),
        Value::Object(map) => map.values().for_each(|value| in_texts(value, act)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The text with its variables replaced, and whether there was one.
fn expanded(text: &str, env: Env<'_>) -> Result<(String, bool), Fault> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut replaced = false;
    while let Some(start) = rest.find("${") {
        let (before, from_here) = rest.split_at(start);
        if let Some(literal) = before.strip_suffix('$') {
            out.push_str(literal);
            out.push_str("${");
            rest = from_here.get(2..).unwrap_or_default();
            continue;
        }
        out.push_str(before);
        let inside = from_here.get(2..).unwrap_or_default();
        let Some((expression, after)) = inside.split_once('}') else {
            let problem = format!("\"${{\" without a closing \"}}\" in {}", shown(text));
            return Err(Fault::new(problem, "close it, or write \"$${\" for a literal \"${\""));
        };
        out.push_str(&value_of(expression, env)?);
        replaced = true;
        if out.len() > MAX_EXPANDED_BYTES {
            let problem = format!("the variables make this text longer than {MAX_EXPANDED_BYTES} bytes");
            return Err(Fault::new(problem, "look at what the variables hold"));
        }
        rest = after;
    }
    out.push_str(rest);
    Ok((out, replaced))
}

fn value_of(expression: &str, env: Env<'_>) -> Result<String, Fault> {
    let (name, default) = match expression.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (expression, None),
    };
    let starts_well = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    if !starts_well || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Err(Fault::new(
            format!("{} is not the name of an environment variable", shown(name)),
            "write ${NAME} or ${NAME:-default} with letters, digits and \"_\"; a literal \"${\" is \"$${\"",
        ));
    }
    if default.is_some_and(|default| default.contains("${")) {
        return Err(Fault::new(
            format!("the default of ${{{name}}} holds another variable"),
            "give a plain default; variables are not replaced inside variables",
        ));
    }
    // With a default, an empty variable counts as unset, as in the shell.
    match (env(name), default) {
        (Some(value), None) => Ok(value),
        (Some(value), Some(_)) if !value.is_empty() => Ok(value),
        (_, Some(default)) => Ok(default.to_owned()),
        (None, None) => Err(Fault::new(
            format!("the environment variable {name} is not set"),
            format!("set {name}, or give a default: \"${{{name}:-value}}\""),
        )),
    }
}
