//! What the configuration holds that nobody may read back.
//!
//! Tokens, webhook secrets, and values of header fields and environment variables that are called like credentials
//! are shown as `***`, to whoever asks. A text that is nothing but a placeholder is shown: it says where the secret
//! is, not what it is. What comes back as `***` keeps what is there, so that a configuration that was read can be
//! sent back.
//!
//! An entry of a list is found again by its name, by being the same but for the secret, or by its place where the list
//! is as long as before; where that is not sure, the change is refused: a token must not become another one's.

use serde_json::Value;

use crate::coordinator::command::EditError;

/// What stands for a secret.
pub(super) const MASK: &str = "***";

/// A step on the way to a secret.
#[derive(Debug, Clone, Copy)]
enum Step {
    Key(&'static str),
    /// Each member of an object.
    EachKey,
    /// Each entry of a list.
    EachEntry,
    /// Each member whose name is that of a credential.
    EachCredential,
}

use Step::{EachCredential, EachEntry, EachKey, Key};

/// Where secrets stand.
const PLACES: &[&[Step]] = &[
    &[Key("admin"), Key("tokens"), EachEntry, Key("token")],
    &[Key("webhooks"), EachEntry, Key("secret")],
    &[Key("webhooks"), EachEntry, Key("headers"), EachCredential],
    &[Key("pools"), EachKey, Key("healthCheck"), Key("headers"), EachCredential],
    &[Key("pools"), EachKey, Key("recovery"), Key("headers"), EachCredential],
    &[Key("pools"), EachKey, Key("recovery"), Key("env"), EachCredential],
    &[Key("pools"), EachKey, Key("servers"), EachEntry, Key("recovery"), Key("headers"), EachCredential],
    &[Key("pools"), EachKey, Key("servers"), EachEntry, Key("recovery"), Key("env"), EachCredential],
];

/// Parts of names of header fields and variables that hold credentials.
const CREDENTIALS: [&str; 10] =
    ["auth", "cookie", "token", "secret", "password", "passwd", "key", "credential", "signature", "session"];

/// The document as it may be shown.
pub(super) fn masked(document: &Value) -> Value {
    let mut shown = document.clone();
    for place in PLACES {
        each(&mut shown, place, &mut |secret| {
            if is_literal(secret) {
                *secret = MASK.into();
            }
        });
    }
    shown
}

/// `wanted` with the secrets of `before` wherever it says `***`.
pub(super) fn unmasked(wanted: Value, before: &Value) -> Result<Value, EditError> {
    let mut whole = wanted;
    for place in PLACES {
        fill(&mut whole, Some(before), place, &mut String::new())?;
    }
    Ok(whole)
}

/// A document in which each secret is a seal of its own, so that a patch can move entries about and each secret still
/// finds its way back.
pub(super) struct Sealed {
    pub(super) document: Value,
    secrets: Vec<Value>,
}

/// Begins a seal. JSON of others may hold this too, but no name, address or setting does.
const SEAL: &str = "***\u{0}";

impl Sealed {
    pub(super) fn new(document: &Value) -> Self {
        let mut sealed = Self { document: document.clone(), secrets: Vec::new() };
        let secrets = &mut sealed.secrets;
        for place in PLACES {
            each(&mut sealed.document, place, &mut |secret| {
                if is_literal(secret) {
                    let seal = format!("{SEAL}{}", secrets.len()).into();
                    secrets.push(std::mem::replace(secret, seal));
                }
            });
        }
        sealed
    }

    /// What was made of the document, with its secrets. One that was copied to where it would be shown is refused.
    pub(super) fn open(&self, patched: Value) -> Result<Value, EditError> {
        let mut whole = patched;
        for place in PLACES {
            each(&mut whole, place, &mut |value| {
                let number = value.as_str().and_then(|text| text.strip_prefix(SEAL)?.parse::<usize>().ok());
                if let Some(secret) = number.and_then(|number| self.secrets.get(number)) {
                    *value = secret.clone();
                }
            });
        }
        if holds_seal(&whole) {
            return Err(EditError::Invalid {
                at: String::new(),
                problem: "the patch would put a secret where everybody can read it".to_owned(),
                help: "leave secrets where they are".to_owned(),
            });
        }
        Ok(whole)
    }
}

fn holds_seal(value: &Value) -> bool {
    match value {
        Value::String(text) => text.starts_with(SEAL),
        Value::Array(list) => list.iter().any(holds_seal),
        Value::Object(map) => map.values().any(holds_seal),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

fn holds_mask(value: &Value) -> bool {
    match value {
        Value::String(text) => text == MASK,
        Value::Array(list) => list.iter().any(holds_mask),
        Value::Object(map) => map.values().any(holds_mask),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

fn each(value: &mut Value, steps: &[Step], act: &mut impl FnMut(&mut Value)) {
    let Some((step, rest)) = steps.split_first() else { return act(value) };
    match (step, value) {
        (Key(key), Value::Object(map)) => {
            if let Some(value) = map.get_mut(*key) {
                each(value, rest, act);
            }
        }
        (EachKey, Value::Object(map)) => map.values_mut().for_each(|value| each(value, rest, act)),
        (EachCredential, Value::Object(map)) => {
            let secret = map.iter_mut().filter(|(name, _)| is_credential(name));
            secret.for_each(|(_, value)| each(value, rest, act));
        }
        (EachEntry, Value::Array(list)) => list.iter_mut().for_each(|value| each(value, rest, act)),
        _ => {}
    }
}

fn fill(value: &mut Value, before: Option<&Value>, steps: &[Step], at: &mut String) -> Result<(), EditError> {
    let Some((step, rest)) = steps.split_first() else { return restore(value, before, at) };
    let depth = at.len();
    match (step, value) {
        (Key(key), Value::Object(map)) => {
            if let Some(value) = map.get_mut(*key) {
                at.push('/');
                at.push_str(key);
                fill(value, before.and_then(|before| before.get(*key)), rest, at)?;
            }
        }
        (EachKey | EachCredential, Value::Object(map)) => {
            for (key, value) in map.iter_mut() {
                if matches!(step, EachKey) || is_credential(key) {
                    at.push('/');
                    at.push_str(&key.replace('~', "~0").replace('/', "~1"));
                    fill(value, before.and_then(|before| before.get(key)), rest, at)?;
                    at.truncate(depth);
                }
            }
        }
        // To find 2,000 servers again takes long; nearly always nothing is asked back.
        (EachEntry, Value::Array(list)) if list.iter().any(holds_mask) => {
            let before = before.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            let known = pairs(list, before);
            for (index, (value, known)) in list.iter_mut().zip(known).enumerate() {
                at.push('/');
                at.push_str(&index.to_string());
                fill(value, known, rest, at)?;
                at.truncate(depth);
            }
        }
        _ => {}
    }
    at.truncate(depth);
    Ok(())
}

fn restore(value: &mut Value, before: Option<&Value>, at: &str) -> Result<(), EditError> {
    if value.as_str() != Some(MASK) {
        return Ok(());
    }
    let Some(before) = before else {
        return Err(EditError::Invalid {
            at: at.to_owned(),
            problem: format!("\"{MASK}\" stands for a secret, and it is not sure which one is meant"),
            help: "write the secret itself or a placeholder such as ${TOKEN}, or give the entries names"
                .to_owned(),
        });
    };
    *value = before.clone();
    Ok(())
}

/// For each entry of a list the one that it was before; none where that is not sure.
fn pairs<'b>(list: &[Value], before: &'b [Value]) -> Vec<Option<&'b Value>> {
    let alike = |one: &Value, other: &Value| {
        named(one).is_none() && named(other).is_none() && without_secrets(one) == without_secrets(other)
    };
    let same_length = list.len() == before.len();
    let unchanged = |place: usize| {
        let (entry, known) = (list.get(place)?, before.get(place)?);
        (same_length && alike(entry, known)).then_some(known)
    };
    // Those that nobody has by name or by standing unchanged in their place.
    let is_free = |(place, known): &(usize, &Value)| named(known).is_none() && unchanged(*place).is_none();
    let free: Vec<(usize, &Value)> = before.iter().enumerate().filter(is_free).collect();
    let pair = |(place, entry): (usize, &Value)| {
        if let Some(name) = named(entry) {
            return before.iter().find(|known| named(known) == Some(name));
        }
        if let Some(known) = unchanged(place) {
            return Some(known);
        }
        let here = free.iter().find(|(known, _)| same_length && *known == place);
        let mut likely = free.iter().filter(|(_, known)| alike(entry, known));
        match (likely.next(), likely.next(), here) {
            (Some((_, only)), None, None) => Some(*only),
            (None, _, Some((_, here))) => Some(*here),
            // It may have moved, or have been changed where it stands.
            _ => None,
        }
    };
    list.iter().enumerate().map(pair).collect()
}

fn named(entry: &Value) -> Option<&Value> {
    entry.get("name").or_else(|| entry.get("id"))
}

/// An entry without what may be secret in it.
fn without_secrets(entry: &Value) -> Value {
    let mut shown = entry.clone();
    if let Value::Object(map) = &mut shown {
        map.retain(|key, _| !matches!(key.as_str(), "token" | "secret" | "headers" | "recovery"));
    }
    shown
}

fn is_credential(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    CREDENTIALS.iter().any(|part| name.contains(part))
}

/// Whether a text says anything but where the secret is: a placeholder without a default, perhaps behind the name of
/// an authentication scheme.
fn is_literal(value: &Value) -> bool {
    let Some(text) = value.as_str() else { return !value.is_null() };
    let rest =
        ["Bearer ", "Basic ", "Token "].iter().find_map(|scheme| text.strip_prefix(scheme)).unwrap_or(text);
    let inside = rest.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
    let is_name =
        |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    !inside.is_some_and(is_name)
}

#[cfg(test)]
mod tests;
