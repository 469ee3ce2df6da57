//! What is under way at one server: counted, and ended when the server is gone and its time is over.
//!
//! It belongs to a place, a host and port in a pool under an id: other settings change nothing about it, another host
//! or port does. A server that leaves is remembered as long as anything may be under way at it ([`Leavers`]), so that it
//! still counts, and is not cut, when the server comes back.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use loadweaver_config::Server;
use loadweaver_telemetry::counters::{Gauge, ServerCounters};

use super::ServerState;

/// On a cache line of its own, as counters are.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Underway {
    exchanges: Gauge,
    /// What is still under way has no more time.
    cut: AtomicBool,
}

impl Underway {
    pub(super) fn active(&self) -> u64 {
        self.exchanges.get()
    }

    /// One more, if there may be: 0 is no limit.
    pub(super) fn enter(&self, most: u64) -> bool {
        let now = self.exchanges.increment();
        if most > 0 && now > most {
            self.exchanges.decrement();
            return false;
        }
        true
    }

    pub(super) fn leave(&self) {
        self.exchanges.decrement();
    }

    pub(super) fn cut(this: &Arc<Self>) -> Cut {
        Cut(Arc::downgrade(this))
    }

    pub(super) fn is_cut(&self) -> bool {
        self.cut.load(Ordering::Relaxed)
    }
}

/// Ends what is still under way at a server that was removed, whatever the server looked like when it began. Keeps
/// nothing alive.
#[derive(Debug)]
pub struct Cut(Weak<Underway>);

impl Cut {
    /// Whether anything may still be under way.
    pub fn is_of_use(&self) -> bool {
        self.0.strong_count() > 0
    }

    /// Whether this server has what it would end.
    pub fn is_of(&self, server: &ServerState) -> bool {
        std::ptr::eq(self.0.as_ptr(), Arc::as_ptr(&server.underway))
    }

    /// Says whether anybody is left to notice.
    pub(crate) fn make(&self) -> bool {
        self.0.upgrade().inspect(|underway| underway.cut.store(true, Ordering::Relaxed)).is_some()
    }
}

/// Servers that were removed, or got another address, while something may be under way at them. Keeps nothing alive.
#[derive(Debug, Clone, Default)]
pub(crate) struct Leavers(HashMap<Arc<str>, Vec<Leaver>>);

impl Leavers {
    /// Remembers a server of a pool.
    pub(crate) fn add(&mut self, pool: &Arc<str>, server: &ServerState) {
        self.0.entry(Arc::clone(&server.config.id)).or_default().push(Leaver {
            pool: Arc::clone(pool),
            host: server.config.host.as_str().into(),
            port: server.config.port,
            counters: Arc::downgrade(&server.counters),
            underway: Arc::downgrade(&server.underway),
        });
    }

    /// The server that left, if something may still be under way at it that was not told to end.
    pub(super) fn find(&self, pool: &str, server: &Server) -> Option<(Arc<ServerCounters>, Arc<Underway>)> {
        let mut of_that_id = self.0.get(&server.id)?.iter();
        let leaver = of_that_id.find(|leaver| leaver.is(pool, &server.host, server.port))?;
        let underway = leaver.underway.upgrade().filter(|underway| !underway.is_cut())?;
        Some((leaver.counters.upgrade()?, underway))
    }

    /// Forgets those at which nothing is under way any more, and those that are back: `now` is the server of that pool
    /// and id.
    pub(crate) fn prune<'s>(&mut self, now: impl Fn(&str, &str) -> Option<&'s Server>) {
        self.0.retain(|id, leavers| {
            leavers.retain(|leaver| {
                let of_use = leaver.underway.upgrade().is_some_and(|underway| !underway.is_cut());
                of_use
                    && !now(&leaver.pool, id).is_some_and(|now| leaver.is(&leaver.pool, &now.host, now.port))
            });
            !leavers.is_empty()
        });
    }
}

#[derive(Debug, Clone)]
struct Leaver {
    pool: Arc<str>,
    host: Arc<str>,
    port: u16,
    counters: Weak<ServerCounters>,
    underway: Weak<Underway>,
}

impl Leaver {
    fn is(&self, pool: &str, host: &str, port: u16) -> bool {
        (&*self.pool, &*self.host, self.port) == (pool, host, port)
    }
}
