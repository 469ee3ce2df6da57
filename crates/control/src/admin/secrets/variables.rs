//! Variables of the environment that an edit names.
//!
//! What is in the environment of this process is nobody's business but that of whoever wrote the file: with a
//! placeholder of his own, a caller could have any of it shown in an error, or sent to a client. So an edit may name
//! what the file names, and leave it in what it is for: one that stands for a secret stays with secrets of its kind.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{PLACES, each, holds, purpose};

/// The variables that `wanted` names and `before` does not, or not for this.
pub(in crate::admin) fn new_ones(before: &Value, wanted: &Value) -> Vec<String> {
    if !holds(wanted, &|text| text.contains("${")) {
        return Vec::new();
    }
    let (known, named) = (by_purpose(before), by_purpose(wanted));
    let seen = known.get(&Vec::new());
    let is_known = |purpose: &Vec<&str>, name: &String| {
        [known.get(purpose), seen].into_iter().flatten().any(|names| names.contains(name))
    };
    let new = named.iter().flat_map(|(purpose, names)| names.iter().filter(|name| !is_known(purpose, name)));
    new.map(|name| format!("${{{name}}}")).collect::<BTreeSet<_>>().into_iter().collect()
}

/// Which variables stand for which secrets; those that stand elsewhere have no purpose.
fn by_purpose(document: &Value) -> BTreeMap<Vec<&'static str>, BTreeSet<String>> {
    let mut rest = document.clone();
    let mut found = BTreeMap::<_, BTreeSet<String>>::new();
    for place in PLACES {
        let names = found.entry(purpose(place).collect()).or_default();
        each(&mut rest, place, &mut |secret| names.extend(loadweaver_config::variables(&secret.take())));
    }
    found.insert(Vec::new(), loadweaver_config::variables(&rest));
    found
}
