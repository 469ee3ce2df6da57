//! Secrets in a document that a patch is made on.

use serde_json::Value;

use super::{PLACES, SENDERS, SENT, Step, each, holds, host_of, mask, purpose, url_of};
use crate::coordinator::command::EditError;

/// A document in which each secret is a seal of its own, so that a patch can move entries about and each secret still
/// finds its way back.
pub(in crate::admin) struct Sealed {
    pub(in crate::admin) document: Value,
    secrets: Vec<Secret>,
}

struct Secret {
    value: Value,
    /// What it is for.
    place: &'static [Step],
    /// Where it is sent; none where that is not said beside it.
    host: Option<String>,
}

/// Begins a seal. No name, address or setting does.
const SEAL: &str = "***\u{0}";

impl Sealed {
    /// Seals the secrets of `document` for `patch`, which must not hold seals of its own making.
    pub(in crate::admin) fn new(document: &Value, patch: &Value) -> Result<Self, EditError> {
        if holds_seal(patch) {
            return Err(astray("the patch holds what stands for a secret"));
        }
        let mut sealed = Self { document: document.clone(), secrets: Vec::new() };
        let secrets = &mut sealed.secrets;
        for place in PLACES {
            each(&mut sealed.document, place, &mut |secret| {
                if mask(place, secret).is_some() {
                    let seal = format!("{SEAL}{}", secrets.len()).into();
                    let value = std::mem::replace(secret, seal);
                    secrets.push(Secret { value, place, host: None });
                }
            });
        }
        let mut document = std::mem::take(&mut sealed.document);
        for (number, host) in sealed.sent(&mut document) {
            if let Some(secret) = sealed.secrets.get_mut(number) {
                secret.host = Some(host);
            }
        }
        Ok(Self { document, ..sealed })
    }

    /// What was made of the document, with its secrets. One that was brought to where it would be shown, or sent to
    /// somebody else, is refused.
    pub(in crate::admin) fn open(&self, patched: Value) -> Result<Value, EditError> {
        let mut whole = patched;
        for (number, host) in self.sent(&mut whole) {
            let known = self.secrets.get(number).and_then(|secret| secret.host.as_ref());
            if known.is_some_and(|known| *known != host) {
                return Err(astray("the patch would send a secret to another host"));
            }
        }
        for place in PLACES {
            each(&mut whole, place, &mut |value| {
                let secret = number(value).and_then(|number| self.secrets.get(number));
                if let Some(secret) = secret.filter(|secret| purpose(secret.place).eq(purpose(place))) {
                    *value = secret.value.clone();
                }
            });
        }
        if holds_seal(&whole) {
            return Err(astray("the patch would put a secret where it does not belong"));
        }
        Ok(whole)
    }

    /// The sealed secrets that are sent somewhere, and where to.
    fn sent(&self, document: &mut Value) -> Vec<(usize, String)> {
        let mut found = Vec::new();
        for section in SENDERS {
            each(document, section, &mut |section| {
                let url = url_of(section);
                let url = url
                    .map(|url| number(url).and_then(|at| self.secrets.get(at)).map_or(url, |it| &it.value));
                let host = url.map(host_of).unwrap_or_default();
                let values = SENT.iter().filter_map(|key| section.get(*key)).flat_map(leaves);
                found.extend(values.filter_map(number).map(|number| (number, host.to_owned())));
            });
        }
        found
    }
}

fn number(value: &Value) -> Option<usize> {
    value.as_str()?.strip_prefix(SEAL)?.parse().ok()
}

fn astray(problem: &str) -> EditError {
    EditError::Invalid {
        at: String::new(),
        problem: problem.to_owned(),
        help: "leave secrets where they are, or write them anew".to_owned(),
    }
}

fn leaves(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(list) => list.iter().flat_map(leaves).collect(),
        Value::Object(map) => map.values().flat_map(leaves).collect(),
        leaf => vec![leaf],
    }
}

fn holds_seal(value: &Value) -> bool {
    holds(value, &|text| text.starts_with(SEAL))
}
