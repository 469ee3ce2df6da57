//! Edits of configuration texts: `[what the second is][the text] NUL [the second text]`.

use loadweaver_config::patch::{PatchError, json_patch, merge_patch};
use loadweaver_config::{document, rewrite};
use serde_json::{Number, Value};

/// The rewritten text says what it should, and nothing is written where nothing changes.
pub fn holds(input: &[u8]) {
    let Some((kind, input)) = input.split_first() else { return };
    let mut halves = input.splitn(2, |byte| *byte == 0);
    let (Some(text), Some(second)) = (halves.next(), halves.next()) else { return };
    let (Ok(text), Ok(second)) = (std::str::from_utf8(text), document(second)) else { return };
    let Ok(from) = document(text.as_bytes()) else { return };
    assert_eq!(rewrite(text, &from).as_deref(), Ok(text), "nothing changed, and yet something was written");
    let to = match kind % 3 {
        0 => second,
        1 => merge_patch(&from, &second),
        _ => match json_patch(&from, &second) {
            Ok(to) => to,
            Err(PatchError::Malformed(issue) | PatchError::Conflict(issue)) => {
                assert!(
                    second.pointer(&issue.at).is_some(),
                    "{:?} points nowhere: {}",
                    issue.at,
                    issue.problem
                );
                assert!(!issue.problem.is_empty() && !issue.help.is_empty());
                return;
            }
        },
    };
    // A merge patch may nest deeper than a file can.
    let Ok(after) = rewrite(text, &to) else { return };
    let said = document(after.as_bytes()).expect("the rewritten text cannot be read");
    assert!(same(&said, &to), "the text says {said}, not {to}");
    let back = rewrite(&after, &from).expect("the way back");
    let said = document(back.as_bytes()).expect("the text that was rewritten twice cannot be read");
    assert!(same(&said, &from), "the text says {said}, not {from}");
}

/// A second opinion on what means the same; it takes no number for a neighbour that it would be rounded to.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => number(one) == number(other),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(key, one)| other.get(key).is_some_and(|other| same(one, other)))
        }
        _ => one == other,
    }
}

/// Digits without a sign of zero and without a fraction of nothing.
fn number(number: &Number) -> String {
    match number.as_f64() {
        Some(0.0) => "0".to_owned(),
        Some(float) if number.is_f64() => format!("{float}"),
        _ => number.to_string(),
    }
}
