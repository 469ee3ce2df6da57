//! What the configuration holds that nobody may read back.
//!
//! Tokens, webhook secrets, bodies of recoveries, and values of header fields and environment variables that are
//! called like credentials are shown as `***`, to whoever asks; of URLs, that is what stands behind the host. A text
//! that is nothing but a placeholder is shown: it says where the secret is, not what it is. What comes back as `***`
//! keeps what is there, so that a configuration that was read can be sent back.
//!
//! A secret that nobody may read must not be readable by sending it elsewhere: it stays in what it is for (a token does
//! not become a header field), and what goes to one host does not go to another one without being written anew.
//!
//! An entry of a list is found again by its name, by being the same but for the secret, or by its place where the list
//! is as long as before; where that is not sure, the change is refused: a token must not become another one's.

use std::collections::HashMap;

use serde_json::Value;

use crate::coordinator::command::EditError;
use loadweaver_telemetry::redact::CREDENTIALS;
pub(super) use loadweaver_telemetry::redact::MASK;
pub(super) use sealed::Sealed;

mod sealed;
pub(super) mod variables;

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
    &[Key("webhooks"), EachEntry, Key("url")],
    &[Key("webhooks"), EachEntry, Key("headers"), EachCredential],
    &[Key("tracing"), Key("endpoint")],
    &[Key("tracing"), Key("headers"), EachCredential],
    &[Key("pools"), EachKey, Key("healthCheck"), Key("headers"), EachCredential],
    &[Key("pools"), EachKey, Key("recovery"), Key("url")],
    &[Key("pools"), EachKey, Key("recovery"), Key("body")],
    &[Key("pools"), EachKey, Key("recovery"), Key("headers"), EachCredential],
    &[Key("pools"), EachKey, Key("recovery"), Key("env"), EachCredential],
    &[Key("pools"), EachKey, Key("servers"), EachEntry, Key("recovery"), Key("url")],
    &[Key("pools"), EachKey, Key("servers"), EachEntry, Key("recovery"), Key("body")],
    &[Key("pools"), EachKey, Key("servers"), EachEntry, Key("recovery"), Key("headers"), EachCredential],
    &[Key("pools"), EachKey, Key("servers"), EachEntry, Key("recovery"), Key("env"), EachCredential],
];

/// Sections that say where something is sent, by their `url` or `endpoint`.
const SENDERS: &[&[Step]] = &[
    &[Key("webhooks"), EachEntry],
    &[Key("tracing")],
    &[Key("pools"), EachKey, Key("recovery")],
    &[Key("pools"), EachKey, Key("servers"), EachEntry, Key("recovery")],
];

/// What of such a section is sent.
const SENT: [&str; 2] = ["headers", "body"];

/// The document as it may be shown.
pub(super) fn masked(document: &Value) -> Value {
    let mut shown = document.clone();
    for place in PLACES {
        each(&mut shown, place, &mut |secret| {
            if let Some(mask) = mask(place, secret) {
                *secret = mask.into();
            }
        });
    }
    shown
}

/// What is shown in the place of a value; none where it is shown itself.
fn mask(place: &[Step], value: &Value) -> Option<String> {
    if !is_url(place) {
        return is_literal(value).then(|| MASK.to_owned());
    }
    let url = value.as_str()?;
    let host = loadweaver_config::without_path(url);
    let rest = url.get(host.len()..).unwrap_or_default().trim_start_matches('/');
    (!rest.is_empty() && !is_placeholder(url) && !is_placeholder(rest)).then(|| format!("{host}/{MASK}"))
}

fn is_url(place: &[Step]) -> bool {
    matches!(place.last(), Some(Key("url" | "endpoint")))
}

/// `wanted` with the secrets of `before` wherever it says `***`.
pub(super) fn unmasked(wanted: Value, before: &Value) -> Result<Value, EditError> {
    let mut whole = wanted;
    for place in PLACES {
        fill(&mut whole, Some(before), (place, place), &mut String::new())?;
    }
    Ok(whole)
}

/// What secrets at this place are for: the same for a pool and for its servers.
fn purpose(place: &[Step]) -> impl Iterator<Item = &'static str> {
    let keys = place.iter().filter_map(|step| if let Key(key) = step { Some(*key) } else { None });
    keys.filter(|key| !matches!(*key, "pools" | "servers"))
}

/// A URL without what may be secret in it.
fn host_of(url: &Value) -> &str {
    url.as_str().map(loadweaver_config::without_path).unwrap_or_default()
}

fn holds_mask(value: &Value) -> bool {
    holds(value, &|text| text.ends_with(MASK))
}

fn holds(value: &Value, wanted: &impl Fn(&str) -> bool) -> bool {
    match value {
        Value::String(text) => wanted(text),
        Value::Array(list) => list.iter().any(|value| holds(value, wanted)),
        Value::Object(map) => map.values().any(|value| holds(value, wanted)),
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

/// Walks on along `steps`, the rest of the way to `place`.
fn fill(
    value: &mut Value,
    before: Option<&Value>,
    (place, steps): (&[Step], &[Step]),
    at: &mut String,
) -> Result<(), EditError> {
    let Some((step, rest)) = steps.split_first() else { return restore(value, before, place, at) };
    stays_with_its_host(value, before, at)?;
    let depth = at.len();
    match (step, value) {
        (Key(key), Value::Object(map)) => {
            if let Some(value) = map.get_mut(*key) {
                at.push('/');
                at.push_str(key);
                fill(value, before.and_then(|before| before.get(*key)), (place, rest), at)?;
            }
        }
        (EachKey | EachCredential, Value::Object(map)) => {
            for (key, value) in map.iter_mut() {
                if matches!(step, EachKey) || is_credential(key) {
                    at.push('/');
                    at.push_str(&key.replace('~', "~0").replace('/', "~1"));
                    fill(value, before.and_then(|before| before.get(key)), (place, rest), at)?;
                    at.truncate(depth);
                }
            }
        }
        // To find 2,000 servers again takes long; nearly always nothing is asked back.
        (EachEntry, Value::Array(list)) if list.iter().any(|entry| holds_mask(entry) || is_sender(entry)) => {
            let before = before.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            let known = pairs(list, before);
            for (index, (value, known)) in list.iter_mut().zip(known).enumerate() {
                at.push('/');
                at.push_str(&index.to_string());
                fill(value, known, (place, rest), at)?;
                at.truncate(depth);
            }
        }
        _ => {}
    }
    at.truncate(depth);
    Ok(())
}

fn restore(value: &mut Value, before: Option<&Value>, place: &[Step], at: &str) -> Result<(), EditError> {
    let text = value.as_str().unwrap_or_default();
    if text != MASK && !(is_url(place) && text.contains(MASK)) {
        return Ok(());
    }
    let meant = before.filter(|before| text == MASK || mask(place, before).is_some_and(|mask| mask == text));
    let Some(before) = meant else {
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

/// Whether it may send a secret somewhere.
fn is_sender(entry: &Value) -> bool {
    url_of(entry).is_some()
}

/// Where a section sends something.
fn url_of(section: &Value) -> Option<&Value> {
    section.get("url").or_else(|| section.get("endpoint"))
}

/// Whoever may not read a secret may not have it sent to himself.
fn stays_with_its_host(value: &Value, before: Option<&Value>, at: &str) -> Result<(), EditError> {
    let (Some(url), Some(before)) = (url_of(value), before.and_then(url_of)) else {
        return Ok(());
    };
    let moves = host_of(url) != host_of(before) && url != MASK;
    let is_unseen = |text: &str| text.ends_with(MASK) || text.contains("${");
    if !moves || !SENT.iter().filter_map(|key| value.get(*key)).any(|sent| holds(sent, &is_unseen)) {
        return Ok(());
    }
    Err(EditError::Invalid {
        at: format!("{at}/{}", if value.get("url").is_some() { "url" } else { "endpoint" }),
        problem: "what is secret in the headers or the body would go to another host".to_owned(),
        help: "write those values anew, or change the URL in the configuration file".to_owned(),
    })
}

/// For each entry of a list the one that it was before; none where that is not sure. Thousands are paired in one pass
/// over each list.
fn pairs<'b>(list: &[Value], before: &'b [Value]) -> Vec<Option<&'b Value>> {
    let same_length = list.len() == before.len();
    let (looks, were): (Vec<_>, Vec<_>) =
        (list.iter().map(look).collect(), before.iter().map(look).collect());
    let mut names = HashMap::new();
    for known in before {
        if let Some(name) = named(known) {
            names.entry(name).or_insert(known);
        }
    }
    let unchanged = |place: usize| {
        let (look, was) = (looks.get(place)?.as_ref()?, were.get(place)?.as_ref()?);
        (same_length && look == was).then_some(place)
    };
    // Those that nobody has by name or by standing unchanged in their place.
    let mut free: HashMap<&Value, Vec<usize>> = HashMap::new();
    for (place, was) in were.iter().enumerate() {
        if let Some(was) = was.as_ref().filter(|_| unchanged(place).is_none()) {
            free.entry(was).or_default().push(place);
        }
    }
    let is_free = |place: usize| were.get(place).is_some_and(Option::is_some) && unchanged(place).is_none();
    let pair = |(place, entry): (usize, &Value)| {
        if let Some(name) = named(entry) {
            return names.get(name).copied();
        }
        if let Some(place) = unchanged(place) {
            return before.get(place);
        }
        let likely = looks.get(place)?.as_ref().and_then(|look| free.get(look)).map(Vec::as_slice);
        let here = same_length && is_free(place);
        match (likely.unwrap_or_default(), here) {
            ([only], false) => before.get(*only),
            ([], true) => before.get(place),
            // It may have moved, or have been changed where it stands.
            _ => None,
        }
    };
    list.iter().enumerate().map(pair).collect()
}

/// How an entry looks that is found again by that: one without a name, but for its secrets.
fn look(entry: &Value) -> Option<Value> {
    named(entry).is_none().then(|| without_secrets(entry))
}

fn named(entry: &Value) -> Option<&Value> {
    entry.get("name").or_else(|| entry.get("id"))
}

/// An entry without what may be secret in it.
fn without_secrets(entry: &Value) -> Value {
    let mut shown = entry.clone();
    if let Value::Object(map) = &mut shown {
        map.retain(|key, _| !matches!(key.as_str(), "token" | "secret" | "headers" | "recovery"));
        if let Some((url, mask)) =
            map.get_mut("url").and_then(|url| mask(&[Key("url")], url).map(|mask| (url, mask)))
        {
            *url = mask.into();
        }
    }
    shown
}

fn is_credential(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    CREDENTIALS.iter().any(|part| name.contains(part))
}

/// Whether a text says anything but where the secret is: a placeholder, perhaps behind the name of an authentication
/// scheme.
fn is_literal(value: &Value) -> bool {
    let Some(text) = value.as_str() else { return !value.is_null() };
    let rest = ["Bearer ", "Basic ", "Token "].iter().find_map(|scheme| text.strip_prefix(scheme));
    !is_placeholder(rest.unwrap_or(text))
}

/// Whether it is one without a default.
fn is_placeholder(text: &str) -> bool {
    let name = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
    let is_name =
        |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    name.is_some_and(is_name)
}

#[cfg(test)]
mod tests;
