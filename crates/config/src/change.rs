//! What changes between two configurations, and changed text. To be replaced by the whole thing (H1).

use crate::model::Config;

/// What changes between two checked configurations.
#[derive(Debug, Clone)]
pub struct Change {
    sentences: Vec<String>,
    needs_restart: Vec<&'static str>,
}

impl Change {
    /// Compares.
    pub fn between(old: &Config, new: &Config) -> Self {
        let mut sentences = Vec::new();
        for pool in &new.pools {
            match old.pools.iter().find(|before| before.name == pool.name) {
                None => sentences.push(format!("pool {} is added", pool.name)),
                Some(before) if before != pool => sentences.push(format!("pool {} changes", pool.name)),
                Some(_) => {}
            }
        }
        let gone = old.pools.iter().filter(|pool| !new.pools.iter().any(|after| after.name == pool.name));
        sentences.extend(gone.map(|pool| format!("pool {} is removed", pool.name)));
        if old.listeners != new.listeners {
            sentences.push("listeners change".to_owned());
        }
        if old.routes != new.routes {
            sentences.push("routes change".to_owned());
        }
        if sentences.is_empty() && old != new {
            sentences.push("settings change".to_owned());
        }
        let restart =
            [("workers", old.workers != new.workers), ("accessLog", old.access_log != new.access_log)];
        let needs_restart = restart.into_iter().filter(|(_, changed)| *changed).map(|(name, _)| name);
        Self { sentences, needs_restart: needs_restart.collect() }
    }

    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.sentences.is_empty()
    }

    /// In words a person reads.
    pub fn sentences(&self) -> Vec<String> {
        self.sentences.clone()
    }

    /// Pointers to sections that run programs on the host and were added or changed.
    pub fn runs_on_host(_old: &Config, _new: &Config) -> Vec<String> {
        Vec::new()
    }

    /// Settings that only a new start takes up.
    pub fn needs_restart(&self) -> Vec<&'static str> {
        self.needs_restart.clone()
    }
}
