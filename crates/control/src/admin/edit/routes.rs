//! Routes: added, replaced, removed. Their order decides, so each of these says where.

use loadweaver_config::Config;
use serde_json::{Map, Value, json};

use crate::coordinator::command::EditError;

use super::{Edited, list};

/// Adds a route before the one of that name, or behind all others.
pub(in crate::admin) fn add(document: &Value, config: &Config, route: Value, before: Option<&str>) -> Edited {
    if let Some(name) = route.get("name").and_then(Value::as_str)
        && config.routes.iter().any(|known| &*known.name == name)
    {
        return Err(EditError::Conflict(format!("there is a route \"{name}\" already")));
    }
    let place = before.map(|name| place_of(config, name)).transpose()?;
    let mut document = document.clone();
    // An implied route takes everything: behind it the new one would never match.
    let implied = write_down(&mut document, config)?;
    let routes = list(document.as_object_mut().ok_or_else(|| EditError::out_of_step("the file"))?, "routes")?;
    let place = place.unwrap_or(if implied { 0 } else { routes.len() });
    if place > routes.len() {
        return Err(EditError::out_of_step("routes"));
    }
    routes.insert(place, route);
    Ok(document)
}

/// Puts another route in the place of one.
pub(in crate::admin) fn replace(document: &Value, config: &Config, name: &str, route: Value) -> Edited {
    let place = place_of(config, name)?;
    let mut document = document.clone();
    write_down(&mut document, config)?;
    let routes = list(document.as_object_mut().ok_or_else(|| EditError::out_of_step("the file"))?, "routes")?;
    *routes.get_mut(place).ok_or_else(|| EditError::out_of_step("routes"))? = route;
    Ok(document)
}

/// Takes a route out. The last one stays: without routes, everything would go to the only pool.
pub(in crate::admin) fn remove(document: &Value, config: &Config, name: &str) -> Edited {
    let place = place_of(config, name)?;
    if config.routes.len() == 1 {
        let why = "without it everything would go to the only pool, or nothing anywhere; replace it instead";
        return Err(EditError::Conflict(format!("\"{name}\" is the last route: {why}")));
    }
    let mut document = document.clone();
    let routes = list(document.as_object_mut().ok_or_else(|| EditError::out_of_step("the file"))?, "routes")?;
    if place >= routes.len() {
        return Err(EditError::out_of_step("routes"));
    }
    routes.remove(place);
    Ok(document)
}

/// What the file says of a route; of an implied one, what it could say.
pub(in crate::admin) fn written(document: &Value, config: &Config, place: usize) -> Value {
    let written = document.get("routes").and_then(|routes| routes.get(place)).cloned();
    let implied =
        || config.routes.get(place).map(|route| json!({ "name": &*route.name, "pool": &*route.pool }));
    written.or_else(implied).unwrap_or(Value::Null)
}

fn place_of(config: &Config, name: &str) -> Result<usize, EditError> {
    let place = config.routes.iter().position(|route| &*route.name == name);
    place.ok_or_else(|| EditError::NotFound(format!("there is no route \"{name}\"")))
}

/// Writes the route down that a single pool implies; says whether there was one.
pub(super) fn write_down(document: &mut Value, config: &Config) -> Result<bool, EditError> {
    let file: &mut Map<_, _> = document.as_object_mut().ok_or_else(|| EditError::out_of_step("the file"))?;
    let written = file.get("routes").and_then(Value::as_array).is_some_and(|routes| !routes.is_empty());
    if written {
        return Ok(false);
    }
    let implied = |route: &loadweaver_config::Route| json!({ "name": &*route.name, "pool": &*route.pool });
    file.insert("routes".to_owned(), config.routes.iter().map(implied).collect());
    Ok(true)
}
