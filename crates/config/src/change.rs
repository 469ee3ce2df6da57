//! What changes between two configurations: as data for programs, and in words for people.
//!
//! Listeners, routes, pools and webhooks are told apart by their names, servers by pool and id: by what their live
//! state is kept under. Below that, each key that differs is a [`Setting`]. What may be secret is only said to change.

mod files;
mod named;
mod settings;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde::Serialize;

use crate::document::push_step;
use crate::model::Config;
use crate::model::pool::{Pool, Server};
use crate::model::probe::ProbeKind;
use crate::model::recovery::Recovery;

/// What changes between two checked configurations.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// By name.
    pub listeners: Difference,
    /// By name; a route without one is known by its place.
    pub routes: Difference,
    /// Whether routes that stay are tried in another order.
    pub route_order: bool,
    /// By name; without what is in `servers`.
    pub pools: Difference,
    /// The servers of pools that stay.
    pub servers: Vec<ServerDifference>,
    /// By name.
    pub webhooks: Difference,
    /// Everything else in the file.
    pub settings: Vec<Setting>,
}

/// What came, what went, and what is another.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Difference {
    /// In the order of the new file.
    pub added: Vec<Added>,
    /// In the order of the old one.
    pub removed: Vec<Arc<str>>,
    /// In the order of the new file.
    pub changed: Vec<Changed>,
}

/// Something new.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Added {
    /// Its name or id.
    pub name: Arc<str>,
    /// What it is, in words that follow the name; may be empty.
    pub details: String,
}

/// Something that stays and is not quite the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Changed {
    /// Its name or id.
    pub name: Arc<str>,
    /// What is another; never empty.
    pub settings: Vec<Setting>,
}

/// The servers of one pool, by id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ServerDifference {
    /// The pool.
    pub pool: Arc<str>,
    /// Its servers.
    #[serde(flatten)]
    pub servers: Difference,
}

/// A key whose value is another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// As it stands in the file, with those that it stands in: `healthCheck.interval`.
    pub key: String,
    /// What it was, in words; none where it is not shown.
    pub from: Option<String>,
    /// What it is.
    pub to: Option<String>,
}

impl Change {
    /// Compares the two.
    pub fn between(old: &Config, new: &Config) -> Self {
        let before: HashMap<&str, &Pool> = old.pools.iter().map(|pool| (&*pool.name, pool)).collect();
        let servers = new.pools.iter().filter_map(|pool| {
            let was = before.get(&*pool.name)?;
            let ends = was.servers.common_ends(&pool.servers);
            let servers = Difference::between(was.servers.between(ends), pool.servers.between(ends));
            (!servers.is_empty()).then(|| ServerDifference { pool: Arc::clone(&pool.name), servers })
        });
        Self {
            listeners: Difference::between(&old.listeners, &new.listeners),
            routes: Difference::between(&old.routes, &new.routes),
            route_order: is_reordered(&old.routes, &new.routes),
            pools: Difference::between(&old.pools, &new.pools),
            servers: servers.collect(),
            webhooks: Difference::between(&old.webhooks, &new.webhooks),
            settings: settings::file(old, new),
        }
    }

    /// Whether nothing changes that makes a difference.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Every difference in words a person reads, without a full stop.
    pub fn sentences(&self) -> Vec<String> {
        let mut said = Vec::new();
        self.listeners.say("listener", &mut said);
        self.routes.say("route", &mut said);
        if self.route_order {
            said.push("routes are tried in another order".to_owned());
        }
        self.pools.say("pool", &mut said);
        for ServerDifference { pool, servers } in &self.servers {
            servers.say(&format!("pool {pool}: server"), &mut said);
        }
        self.webhooks.say("webhook", &mut said);
        said.extend(self.settings.iter().map(|setting| {
            let later = if setting.needs_restart().is_some() { " (from the next start on)" } else { "" };
            format!("{}{later}", setting.words())
        }));
        said
    }

    /// JSON pointers to the sections of the new file that run programs on this machine and were not there before, or
    /// not so: recoveries, and probes of type `exec`. Such sections are written by whoever can write the file.
    pub fn runs_on_host(old: &Config, new: &Config) -> Vec<String> {
        let mut found = Vec::new();
        let before: HashMap<&str, &Pool> = old.pools.iter().map(|pool| (&*pool.name, pool)).collect();
        for pool in &new.pools {
            let mut at = "/pools".to_owned();
            push_step(&mut at, &pool.name);
            let was = before.get(&*pool.name);
            let checks = &pool.health_check;
            if checks.kind == ProbeKind::Exec && was.is_none_or(|was| was.health_check != *checks) {
                found.push(format!("{at}/healthCheck"));
            }
            if is_new_on_host(was.and_then(|was| was.recovery.as_ref()), pool.recovery.as_ref()) {
                found.push(format!("{at}/recovery"));
            }
            // Few servers have a recovery of their own, and most of a change's servers are as they were.
            let of_its_own = |server: &Server| server.recovery.is_some();
            let mut known: Option<HashMap<&str, &Server>> = None;
            if pool.servers.tally().recoveries == 0 {
                continue;
            }
            for (index, server) in pool.servers.iter().enumerate().filter(|(_, server)| of_its_own(server)) {
                let known = known.get_or_insert_with(|| {
                    let servers = was.iter().flat_map(|was| &was.servers);
                    servers.map(|server| (&*server.id, &**server)).collect()
                });
                let was = known.get(&*server.id).and_then(|was| was.recovery.as_ref());
                if is_new_on_host(was, server.recovery.as_ref()) {
                    found.push(format!("{at}/servers/{index}/recovery"));
                }
            }
        }
        found
    }

    /// JSON pointers to what names a file in the new configuration that the old one did not name, or not for the same.
    /// Such files are read and written as this process may, so whoever can write the configuration file names them.
    pub fn names_files(old: &Config, new: &Config) -> Vec<String> {
        let known: HashSet<_> = files::of(old).into_iter().map(|file| (file.purpose, file.path)).collect();
        let is_new = |file: &files::Named<'_>| !known.contains(&(file.purpose, file.path));
        files::of(new).into_iter().filter(is_new).map(|file| file.at).collect()
    }

    /// The keys that change and that only a new start takes up.
    pub fn needs_restart(&self) -> Vec<&'static str> {
        let changes = |key: &&str| self.settings.iter().any(|setting| setting.needs_restart() == Some(*key));
        NEED_RESTART.into_iter().filter(changes).collect()
    }
}

/// Settings that are looked at once, at the start.
const NEED_RESTART: [&str; 3] = ["workers", "accessLog", "admin"];

fn is_new_on_host(old: Option<&Recovery>, new: Option<&Recovery>) -> bool {
    new.is_some_and(|recovery| recovery.action.host_command().is_some()) && old != new
}

/// What is told apart by a name.
trait Named: PartialEq {
    fn name(&self) -> &Arc<str>;

    /// What to say of one that is new.
    fn details(&self) -> String;

    /// The keys that differ.
    fn settings(&self, new: &Self) -> Vec<Setting>;
}

impl Difference {
    fn between<T: Named>(old: &[T], new: &[T]) -> Self {
        let (old, new) = apart(old, new);
        let before: HashMap<&str, &T> = old.iter().map(|one| (&**one.name(), one)).collect();
        let after: HashSet<&str> = new.iter().map(|one| &**one.name()).collect();
        let gone = old.iter().filter(|one| !after.contains(&**one.name()));
        let mut difference =
            Self { removed: gone.map(|one| Arc::clone(one.name())).collect(), ..Self::default() };
        for one in new {
            let name = Arc::clone(one.name());
            let Some(was) = before.get(&*name) else {
                difference.added.push(Added { name, details: one.details() });
                continue;
            };
            let settings = if *was == one { Vec::new() } else { was.settings(one) };
            if !settings.is_empty() {
                difference.changed.push(Changed { name, settings });
            }
        }
        difference
    }

    /// Whether nothing came, went or changed.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }

    fn say(&self, what: &str, said: &mut Vec<String>) {
        said.extend(self.removed.iter().map(|name| format!("{what} {name} is removed")));
        said.extend(
            self.added.iter().map(|Added { name, details }| format!("{what} {name} is added{details}")),
        );
        said.extend(self.changed.iter().map(|Changed { name, settings }| {
            let settings: Vec<String> = settings.iter().map(Setting::words).collect();
            format!("{what} {name}: {}", settings.join(", "))
        }));
    }
}

/// The two lists without what is the same at both ends, which says nothing where no name stands twice.
fn apart<'l, T: Named>(old: &'l [T], new: &'l [T]) -> (&'l [T], &'l [T]) {
    let head = old.iter().zip(new).take_while(|(old, new)| old == new).count();
    let (old, new) = (old.get(head..).unwrap_or_default(), new.get(head..).unwrap_or_default());
    let same = old.iter().rev().zip(new.iter().rev()).take_while(|(old, new)| old == new).count();
    let without_tail = |list: &'l [T]| list.get(..list.len() - same).unwrap_or_default();
    (without_tail(old), without_tail(new))
}

/// Whether those that stay stand in another order.
fn is_reordered<T: Named>(old: &[T], new: &[T]) -> bool {
    let (old, new) = apart(old, new);
    let names = |list: &'_ [T]| list.iter().map(|one| Arc::clone(one.name())).collect::<HashSet<_>>();
    let (before, after) = (names(old), names(new));
    let stayed = |one: &&T| before.contains(one.name()) && after.contains(one.name());
    let old = old.iter().filter(stayed).map(Named::name);
    old.ne(new.iter().filter(stayed).map(Named::name))
}

impl Setting {
    fn words(&self) -> String {
        match (&self.from, &self.to) {
            (Some(from), Some(to)) => format!("{} {from} -> {to}", self.key),
            _ => format!("{} changes", self.key),
        }
    }

    /// The key that only a new start takes up, if this is of one. The admin listener is bound once, and speaks TLS or
    /// does not; its certificate, its tokens and the rest are looked up each time.
    fn needs_restart(&self) -> Option<&'static str> {
        let key = NEED_RESTART.into_iter().find(|key| *key == self.top())?;
        let is_bound = match self.key.as_str() {
            "admin" | "admin.bind" | "admin.socketMode" => true,
            "admin.tls" => [&self.from, &self.to].into_iter().any(|tls| tls.as_deref() == Some("none")),
            _ => false,
        };
        (key != "admin" || is_bound).then_some(key)
    }

    fn top(&self) -> &str {
        self.key.split('.').next().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
