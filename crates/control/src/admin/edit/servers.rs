//! Servers: added, removed, changed in one key.

use std::sync::Arc;

use loadweaver_config::{Config, Pool, ProbeKind, Server, ServerEdit};
use serde_json::{Map, Value, json};

use crate::coordinator::command::EditError;

use super::{Edited, list, pool, section, section_or_new, server};

/// A server that is to be added, key by key as the file has it, and the probe that it asks for.
#[derive(Debug, Default)]
pub(in crate::admin) struct NewServer {
    pub(in crate::admin) pool: Option<String>,
    pub(in crate::admin) keys: Map<String, Value>,
    pub(in crate::admin) probe_path: Option<String>,
    pub(in crate::admin) probe_interval: Option<Value>,
}

/// A pool and what becomes of one of its servers.
type Picked = Result<(Arc<str>, ServerEdit), EditError>;

impl NewServer {
    /// Whether it only adds a server, and says all of it in so many words.
    pub(in crate::admin) fn is_plain(&self) -> bool {
        let holds_variable = |value: &Value| value.as_str().is_some_and(|text| text.contains("${"));
        self.probe_path.is_none() && self.probe_interval.is_none() && !self.keys.values().any(holds_variable)
    }

    /// The pool that it goes to.
    fn pool<'c>(&self, config: &'c Config) -> Result<&'c Pool, EditError> {
        let pool = pool(config, self.pool.as_deref())?;
        let text = |key: &str| self.keys.get(key).and_then(Value::as_str);
        let id = text("id");
        let port = self.keys.get("port").and_then(Value::as_u64);
        let host = text("host").unwrap_or_default().trim_matches(['[', ']']);
        // The cheap look first: there may be thousands.
        let may_be = |server: &Server| port.is_none_or(|port| port == u64::from(server.port));
        let taken = |server: &&Arc<Server>| {
            let same_place = || server.tcp_port().map(u64::from) == port && server.has_host(host);
            id.map_or_else(|| may_be(server) && same_place(), |id| *server.id == *id)
        };
        if let Some(taken) = pool.servers.iter().find(taken) {
            let (name, id) = (&pool.name, &taken.id);
            return Err(EditError::Conflict(format!("the pool \"{name}\" has a server \"{id}\" already")));
        }
        if self.probe_path.is_some() && pool.health_check.kind != ProbeKind::Http {
            let (name, kind) = (&pool.name, pool.health_check.kind.name());
            return Err(EditError::Conflict(format!(
                "the pool \"{name}\" probes by \"{kind}\", which has no path; change its healthCheck first"
            )));
        }
        Ok(pool)
    }
}

/// Adds a server at the end of its pool.
pub(in crate::admin) fn add(config: &Config, new: NewServer) -> Picked {
    let pool = new.pool(config)?;
    Ok((Arc::clone(&pool.name), ServerEdit::Add(new.keys)))
}

/// The same, and sets how the pool is probed where that is asked for.
pub(in crate::admin) fn add_at_large(document: &Value, config: &Config, new: NewServer) -> Edited {
    let pool = new.pool(config)?;
    let mut document = document.clone();
    let section = section(&mut document, &["pools", &pool.name])?;
    list(section, "servers")?.push(Value::Object(new.keys));
    for (key, value) in [("path", new.probe_path.map(Value::from)), ("interval", new.probe_interval)] {
        if let Some(value) = value {
            section_or_new(section, "healthCheck")?.insert(key.to_owned(), value);
        }
    }
    Ok(document)
}

/// Takes a server out. The last one stays: a pool without servers is none.
pub(in crate::admin) fn remove(config: &Config, id: &str, wanted: Option<&str>) -> Picked {
    let (pool, place) = server(config, id, wanted)?;
    if pool.servers.len() == 1 {
        let name = &pool.name;
        return Err(EditError::Conflict(format!(
            "\"{id}\" is the last server of the pool \"{name}\"; add another one first, or delete the pool"
        )));
    }
    Ok((Arc::clone(&pool.name), ServerEdit::Remove(place)))
}

/// Sets one key of a server.
pub(in crate::admin) fn set(
    config: &Config,
    (id, wanted): (&str, Option<&str>),
    (key, value): (&str, Value),
) -> Picked {
    let (pool, place) = server(config, id, wanted)?;
    Ok((Arc::clone(&pool.name), ServerEdit::Set(place, key.to_owned(), value)))
}

/// Sets a pool's algorithm.
pub(in crate::admin) fn set_algorithm(
    document: &Value,
    config: &Config,
    algorithm: &str,
    wanted: Option<&str>,
) -> Edited {
    let pool = pool(config, wanted)?;
    let mut document = document.clone();
    section(&mut document, &["pools", &pool.name])?.insert("algorithm".to_owned(), json!(algorithm));
    Ok(document)
}
