//! Edits of the document that the operator wrote.
//!
//! The document has placeholders where the checked configuration has values, so a server's id cannot always be read
//! from it. But both hold the same pools, servers and routes in the same order (the checker drops nothing that it
//! does not refuse), so what is wanted is looked up in the checked one and changed at that place in the document.
//!
//! Everything here is a function of the two. What is only wrong with the outcome (a weight of a million, a pool
//! without servers) is left to the checker, which says it better.

use loadweaver_config::{Config, Pool};
use serde_json::{Map, Value, json};

use crate::coordinator::command::EditError;

pub(super) mod pools;
pub(super) mod routes;
pub(super) mod servers;

type Edited = Result<Value, EditError>;

/// The pool of that name, or the only one.
fn pool<'c>(config: &'c Config, wanted: Option<&str>) -> Result<&'c Pool, EditError> {
    match (wanted, config.pools.as_slice()) {
        (Some(name), pools) => pools.iter().find(|pool| &*pool.name == name).ok_or_else(|| no_pool(name)),
        (None, [only]) => Ok(only),
        (None, several) => {
            let names: Vec<&str> = several.iter().map(|pool| &*pool.name).collect();
            Err(EditError::Conflict(format!("there are several pools, say which: {}", names.join(", "))))
        }
    }
}

fn no_pool(name: &str) -> EditError {
    EditError::NotFound(format!("there is no pool \"{name}\""))
}

/// Which pools of `config` have a server of that id.
pub(super) fn pools_of<'c>(config: &'c Config, id: &'c str) -> impl Iterator<Item = (&'c Pool, usize)> {
    let place = move |pool: &Pool| pool.servers.iter().position(|server| &*server.id == id);
    config.pools.iter().filter_map(move |pool| Some((pool, place(pool)?)))
}

/// The one server of that id, or the one in that pool.
pub(super) fn server<'c>(
    config: &'c Config,
    id: &'c str,
    wanted: Option<&str>,
) -> Result<(&'c Pool, usize), EditError> {
    if let Some(name) = wanted {
        let pool = pool(config, wanted)?;
        let place = pool.servers.iter().position(|server| &*server.id == id);
        let missing = || EditError::NotFound(format!("the pool \"{name}\" has no server \"{id}\""));
        return place.map(|place| (pool, place)).ok_or_else(missing);
    }
    let found: Vec<_> = pools_of(config, id).collect();
    match found.as_slice() {
        [] => Err(EditError::NotFound(format!("there is no server \"{id}\""))),
        [only] => Ok(*only),
        several => {
            let names: Vec<&str> = several.iter().map(|(pool, _)| &*pool.name).collect();
            let names = names.join(", ");
            Err(EditError::Conflict(format!(
                "the server \"{id}\" stands in several pools, say which with ?pool=: {names}"
            )))
        }
    }
}

/// The section of a document by its keys; what is not there or is not an object cannot be edited piece by piece.
fn section<'d>(document: &'d mut Value, keys: &[&str]) -> Result<&'d mut Map<String, Value>, EditError> {
    let mut here = document;
    for key in keys {
        here = here.get_mut(*key).ok_or_else(|| EditError::out_of_step(key))?;
    }
    here.as_object_mut().ok_or_else(|| EditError::out_of_step(keys.last().unwrap_or(&"the file")))
}

/// The same, made where it is missing.
fn section_or_new<'d>(
    within: &'d mut Map<String, Value>,
    key: &str,
) -> Result<&'d mut Map<String, Value>, EditError> {
    within.entry(key).or_insert_with(|| json!({})).as_object_mut().ok_or_else(|| EditError::out_of_step(key))
}

fn list<'d>(within: &'d mut Map<String, Value>, key: &str) -> Result<&'d mut Vec<Value>, EditError> {
    within.get_mut(key).and_then(Value::as_array_mut).ok_or_else(|| EditError::out_of_step(key))
}

#[cfg(test)]
mod tests;
