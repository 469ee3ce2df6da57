//! Pools: added, replaced, removed.

use loadweaver_config::Config;
use serde_json::{Value, json};

use crate::coordinator::command::EditError;

use super::{Edited, no_pool, routes, section};

/// Adds a pool. Routes that were implied by there being one pool are written down first, so that what went to it
/// still does.
pub(in crate::admin) fn add(document: &Value, config: &Config, name: &str, pool: Value) -> Edited {
    if config.pools.iter().any(|known| &*known.name == name) {
        return Err(EditError::Conflict(format!("there is a pool \"{name}\" already")));
    }
    let mut document = document.clone();
    routes::write_down(&mut document, config)?;
    section(&mut document, &["pools"])?.insert(name.to_owned(), pool);
    Ok(document)
}

/// Puts another pool in the place of one.
pub(in crate::admin) fn replace(document: &Value, config: &Config, name: &str, pool: Value) -> Edited {
    if !config.pools.iter().any(|known| &*known.name == name) {
        return Err(no_pool(name));
    }
    let mut document = document.clone();
    section(&mut document, &["pools"])?.insert(name.to_owned(), pool);
    Ok(document)
}

/// Takes a pool out that no route leads to.
pub(in crate::admin) fn remove(document: &Value, config: &Config, name: &str) -> Edited {
    if !config.pools.iter().any(|known| &*known.name == name) {
        return Err(no_pool(name));
    }
    let routes: Vec<&str> =
        config.routes.iter().filter(|route| &*route.pool == name).map(|route| &*route.name).collect();
    if config.pools.len() == 1 {
        return Err(EditError::Conflict(format!("\"{name}\" is the only pool; add another one first")));
    }
    if !routes.is_empty() {
        let routes = routes.join(", ");
        return Err(EditError::Conflict(format!("routes lead to the pool \"{name}\": {routes}")));
    }
    let mut document = document.clone();
    // In the order that it was written in: `remove` would move the last key to this place.
    section(&mut document, &["pools"])?.shift_remove(name);
    Ok(document)
}

/// What the file says of a pool.
pub(in crate::admin) fn written(document: &Value, name: &str) -> Value {
    document.get("pools").and_then(|pools| pools.get(name)).cloned().unwrap_or_else(|| json!({}))
}
