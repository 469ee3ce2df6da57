//! The document as it was written: variables not replaced, order of keys kept.

use serde_json::{Map, Number, Value};

use crate::document::{self, Node};
use crate::issue::{Issues, Report};

/// Reads the text as [`parse`](crate::parse) does, but stops before variables are replaced and sections are looked
/// at: this is what edits work on.
///
/// # Errors
/// What makes the text no strict JSON, keys that stand twice among it.
pub fn document(text: &[u8]) -> Result<Value, Issues> {
    let mut report = Report::default();
    let node = document::read(text, &mut report)?;
    report.finish()?;
    Ok(value(node))
}

/// As deep as the document, which has a limit.
fn value(node: Node) -> Value {
    match node {
        // Servers that are known already are no document's.
        Node::Null | Node::Unread | Node::Servers(_) => Value::Null,
        Node::Bool(value) => Value::Bool(value),
        Node::Number(number) => Value::Number(number),
        Node::Text(text) => Value::String(text.value),
        Node::List(list) => Value::Array(list.into_iter().map(value).collect()),
        Node::Map(map) => {
            Value::Object(map.into_iter().map(|(key, node)| (key, value(node))).collect::<Map<_, _>>())
        }
    }
}

/// Whether the two mean the same: JSON has one kind of number (1 is 1.0), and the order of keys says nothing.
pub(crate) fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => same_number(one, other),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => one.len() == other.len() && same_keys(one, other),
        _ => one == other,
    }
}

/// Nearly always they stand in the same order; what does not is looked up.
fn same_keys(one: &Map<String, Value>, other: &Map<String, Value>) -> bool {
    one.iter().zip(other).all(|((key, value), (likely, there))| {
        let there = if key == likely { Some(there) } else { other.get(key) };
        there.is_some_and(|there| same(value, there))
    })
}

/// A whole number beyond 2^53 is not the float that it would be rounded to.
fn same_number(one: &Number, other: &Number) -> bool {
    match (whole(one), whole(other)) {
        (Some(one), Some(other)) => one == other,
        (None, None) => one.as_f64() == other.as_f64(),
        _ => false,
    }
}

#[allow(clippy::cast_possible_truncation)] // whole and below 2^64
fn whole(number: &Number) -> Option<i128> {
    const LIMIT: f64 = 18_446_744_073_709_551_616.0;
    let float = || number.as_f64().filter(|float| float.fract() == 0.0 && float.abs() < LIMIT);
    let exact = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
    exact.or_else(|| float().map(|float| float as i128))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    #[test]
    fn keeps_variables_and_the_order_of_keys() {
        let found = document(br#"{ "z": "${Z}", "a": [1.0, "$${x}"], "\u0062": null }"#).unwrap();
        assert_eq!(found.to_string(), r#"{"z":"${Z}","a":[1.0,"$${x}"],"b":null}"#);
    }

    #[test]
    fn refuses_what_the_checker_refuses() {
        for (text, problem) in [
            ("{ \"a\": 1, \"a\": 2 }", "the key \"a\" stands here twice"),
            ("{ // comment\n }", "not valid JSON"),
            ("{ \"a\": 1e400 }", "number out of range"),
            ("", "the file is empty"),
        ] {
            let issues = document(text.as_bytes()).unwrap_err();
            assert!(issues.0.iter().any(|issue| issue.problem.contains(problem)), "{text}: {issues}");
        }
    }

    #[test]
    fn numbers_are_the_same_when_their_values_are() {
        let big = json!(9_007_199_254_740_993_u64);
        for (one, other, are) in [
            (json!(1), json!(1.0), true),
            (json!(-0.0), json!(0), true),
            (json!(0.1), json!(0.1), true),
            (json!(1e300), json!(1e300), true),
            (json!(1), json!(1.5), false),
            (json!(-1), json!(u64::MAX), false),
            (big, json!(9_007_199_254_740_992.0), false),
            (json!({ "a": [1, 2], "b": 0 }), json!({ "b": 0.0, "a": [1.0, 2] }), true),
            (json!({ "a": 1 }), json!({ "a": 1, "b": 1 }), false),
            (json!("1"), json!(1), false),
        ] {
            assert_eq!((same(&one, &other), same(&other, &one)), (are, are), "{one} {other}");
        }
    }
}
