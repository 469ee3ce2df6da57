//! Which events somebody wants.

use super::Event;

/// What is not set lets everything pass. Names that nobody knows let nothing pass.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Event names; none for all.
    pub names: Vec<String>,
    /// Events about this pool or a server of it.
    pub pool: Option<String>,
    /// Events about the server with this id, in whichever pool.
    pub server: Option<String>,
}

impl Filter {
    /// Whether somebody with this filter wants the event.
    pub fn passes(&self, event: &Event) -> bool {
        (self.names.is_empty() || self.names.iter().any(|name| name == event.name()))
            && self.pool.as_deref().is_none_or(|pool| event.pool() == Some(pool))
            && self.server.as_deref().is_none_or(|id| event.server().is_some_and(|server| &*server.id == id))
    }
}
