//! Which series of this worker's book an exchange counts in.
//!
//! Names are looked up once for each way through a configuration: what was found is kept under numbers until another
//! configuration is in force. Exchanges that began under an older one look their names up.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use loadweaver_telemetry::counters::ServerCounters;
use loadweaver_telemetry::series::{Book, Series, Times, Way};
use rustc_hash::{FxHashMap, FxHasher};

use crate::exchange::Exchange;
use crate::snapshot::Snapshot;

/// Listener's address, route, and server: what it did lives as long as the server is that one.
type Key = (u64, Option<usize>, *const ServerCounters);

/// Series that a worker keeps. Ways times servers may be many; from here on, servers that are met for the first time
/// count under [`OTHER`].
const MOST: usize = 10_000;

/// The label of servers that have no series of their own.
const OTHER: &str = "other";

/// What a worker has counted, and its thumb in it.
#[derive(Debug)]
pub(crate) struct Tally {
    book: Arc<Book>,
    /// Everything that is in the book, or will be.
    ways: RefCell<HashMap<Way, OneWay>>,
    /// The book does not say so yet.
    behind: Cell<bool>,
    /// How many series there are.
    count: Cell<usize>,
    /// The version that `found` is for.
    version: Cell<u64>,
    /// The last version that was looked at for what has left, and what its names came to.
    seen: Cell<u64>,
    followed: Cell<(u64, u64)>,
    /// Nobody outside chooses the keys, so their hash need not be safe from being foreseen, which costs ten times as much.
    found: RefCell<FxHashMap<Key, Found>>,
}

#[derive(Debug, Default)]
struct OneWay {
    times: Arc<Times>,
    servers: HashMap<Arc<str>, Arc<Series>>,
}

#[derive(Debug)]
struct Found {
    series: Arc<Series>,
    /// So that its address, which is the key, belongs to nobody else.
    _server: Option<Arc<ServerCounters>>,
}

impl Tally {
    pub(crate) fn new(book: Arc<Book>) -> Self {
        let (behind, count, version, seen, followed) = Default::default();
        Self {
            book,
            ways: RefCell::default(),
            behind,
            count,
            version,
            seen,
            followed,
            found: RefCell::default(),
        }
    }

    /// Counts an exchange that is over and took this long; says where, if there is such a place.
    pub(crate) fn count(&self, x: &Exchange<'_>, whole: Duration) -> Option<Arc<Series>> {
        let story = &x.story;
        let method = (!story.refused).then(|| x.heads.request.method_text());
        self.book.kinds.record(method, story.status);
        self.with(x, |series| {
            series.record(story.status);
            let times = series.times();
            // A tunnel is as long as its ends like.
            if !story.upgraded {
                times.whole.record(whole);
            }
            if let Some(first_byte) = story.first_byte {
                times.first_byte.record(Duration::from_nanos(first_byte));
            }
            if let Some(connect) = story.connect {
                times.connect.record(Duration::from_nanos(connect));
            }
        })
    }

    fn with(&self, x: &Exchange<'_>, count: impl Fn(&Series)) -> Option<Arc<Series>> {
        let version = x.snapshot.version;
        if version < self.version.get() {
            return self.look_up(x, false).inspect(|series| count(series));
        }
        self.turn_to(version);
        let server = x.story.server.as_ref().map(|server| &server.counters);
        let address = x.entrance.as_ref().map_or(u64::MAX, |entrance| entrance.number);
        let key = (address, x.story.route, server.map_or(std::ptr::null(), Arc::as_ptr));
        let mut found = self.found.borrow_mut();
        if let Some(found) = found.get(&key) {
            count(&found.series);
            return Some(Arc::clone(&found.series));
        }
        let series = self.look_up(x, true)?;
        count(&series);
        found.insert(key, Found { series: Arc::clone(&series), _server: server.cloned() });
        Some(series)
    }

    /// What was found under numbers of an older configuration is found anew.
    fn turn_to(&self, version: u64) {
        if version > self.version.get() {
            self.version.set(version);
            self.found.borrow_mut().clear();
        }
    }

    /// The series by its names. One that is not there is begun, unless the exchange is of a configuration that is not in
    /// force any more: what has left stays away.
    fn look_up(&self, x: &Exchange<'_>, begins: bool) -> Option<Arc<Series>> {
        let story = &x.story;
        let listener = x.entrance.as_ref().map(|entrance| entrance.name(&x.snapshot));
        let route = story.route.and_then(|route| x.snapshot.config.routes.get(route));
        let way = Way {
            listener: listener.unwrap_or_default(),
            route: route.map(|route| route.name.clone()).unwrap_or_default(),
            pool: story.pool.as_ref().map(|pool| pool.config.name.clone()).unwrap_or_default(),
        };
        let mut server = story.server.as_ref().map(|server| server.config.id.clone()).unwrap_or_default();
        let mut ways = self.ways.borrow_mut();
        if !begins {
            return ways.get(&way)?.servers.get(&server).cloned();
        }
        let OneWay { times, servers } = ways.entry(way.clone()).or_default();
        if self.count.get() >= MOST && !servers.contains_key(&server) {
            server = OTHER.into();
        }
        if let Some(series) = servers.get(&server) {
            return Some(series.clone());
        }
        let series = Arc::new(Series::new(way, server.clone(), times.clone()));
        servers.insert(server, series.clone());
        self.count.set(self.count.get() + 1);
        // A book that is behind will be written anew.
        if self.behind.get() || !self.book.try_enter(series.clone()) {
            self.behind.set(true);
        }
        Some(series)
    }

    /// Forgets what the configuration in force does not have any more, and brings the book up to date. Called now and
    /// then; a change that takes no name away costs next to nothing.
    pub(crate) fn keep(&self, snapshot: &Snapshot) {
        // Also when nobody has asked for anything since: what ends from here on began before.
        self.turn_to(snapshot.version);
        if self.seen.replace(snapshot.version) != snapshot.version {
            let mark = (snapshot.departures, hash_of_names(snapshot));
            if self.followed.replace(mark) != mark {
                self.forget(snapshot);
            }
        }
        if self.behind.get() {
            let ways = self.ways.borrow();
            let all = ways.values().flat_map(|one| one.servers.values().cloned());
            self.behind.set(!self.book.try_rewrite(all));
        }
    }

    fn forget(&self, snapshot: &Snapshot) {
        let config = &snapshot.config;
        let listeners: HashSet<&str> = config.listeners.iter().map(|each| &*each.name).collect();
        let routes: HashSet<&str> = config.routes.iter().map(|each| &*each.name).collect();
        let pools: HashMap<&str, _> = snapshot.pools.iter().map(|pool| (&*pool.config.name, pool)).collect();
        let is_in = |names: &HashSet<&str>, name: &str| name.is_empty() || names.contains(name);
        let mut ways = self.ways.borrow_mut();
        ways.retain(|way, one| {
            if !is_in(&listeners, &way.listener) || !is_in(&routes, &way.route) {
                return false;
            }
            let pool = pools.get(&*way.pool);
            let stays = |server: &str| {
                let named = !server.is_empty() && server != OTHER;
                if named { pool.is_some_and(|pool| pool.place_of(server).is_some()) } else { true }
            };
            one.servers.retain(|server, _| stays(server));
            (pool.is_some() || way.pool.is_empty()) && !one.servers.is_empty()
        });
        self.count.set(ways.values().map(|one| one.servers.len()).sum());
        // What it leads to is not held any longer than the configuration.
        self.found.borrow_mut().clear();
        self.behind.set(true);
    }
}

fn hash_of_names(snapshot: &Snapshot) -> u64 {
    let mut hasher = FxHasher::default();
    let config = &snapshot.config;
    config.listeners.iter().for_each(|each| each.name.hash(&mut hasher));
    config.routes.iter().for_each(|each| each.name.hash(&mut hasher));
    snapshot.pools.iter().for_each(|pool| pool.config.name.hash(&mut hasher));
    hasher.finish()
}
