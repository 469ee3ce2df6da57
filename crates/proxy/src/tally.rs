//! Which series of this worker's book an exchange counts in.
//!
//! Names are looked up once for each way through a configuration: what was found is kept under numbers until another
//! configuration is in force. Exchanges that began under an older one look their names up.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use loadweaver_telemetry::counters::ServerCounters;
use loadweaver_telemetry::series::{Book, Series, Times, Way};
use rustc_hash::FxHashMap;

use crate::exchange::Exchange;
use crate::snapshot::Snapshot;

/// Listener's address, route, and server: what it did lives as long as the server is that one.
type Key = (u64, Option<usize>, *const ServerCounters);

/// What a worker has counted, and its thumb in it.
#[derive(Debug)]
pub(crate) struct Tally {
    book: Arc<Book>,
    /// Everything that is in the book, or will be.
    ways: RefCell<HashMap<Way, OneWay>>,
    /// The book does not say so yet.
    behind: Cell<bool>,
    /// The version that `found` is for, and that `ways` follow.
    version: Cell<u64>,
    followed: Cell<u64>,
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
        let (behind, version, followed) = Default::default();
        Self { book, ways: RefCell::default(), behind, version, followed, found: RefCell::default() }
    }

    /// Counts an exchange that is over and took this long.
    pub(crate) fn count(&self, x: &Exchange<'_>, whole: Duration) {
        let story = &x.story;
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
        });
    }

    fn with(&self, x: &Exchange<'_>, count: impl FnOnce(&Series)) {
        let version = x.snapshot.version;
        if version < self.version.get() {
            return count(&self.look_up(x));
        }
        if version > self.version.get() {
            self.version.set(version);
            self.found.borrow_mut().clear();
        }
        let server = x.story.server.as_ref().map(|server| &server.counters);
        let address = x.entrance.as_ref().map_or(u64::MAX, |entrance| entrance.number);
        let key = (address, x.story.route, server.map_or(std::ptr::null(), Arc::as_ptr));
        let mut found = self.found.borrow_mut();
        let found =
            found.entry(key).or_insert_with(|| Found { series: self.look_up(x), _server: server.cloned() });
        count(&found.series);
    }

    fn look_up(&self, x: &Exchange<'_>) -> Arc<Series> {
        let story = &x.story;
        let listener = x.entrance.as_ref().map(|entrance| entrance.name(&x.snapshot));
        let route = story.route.and_then(|route| x.snapshot.config.routes.get(route));
        let way = Way {
            listener: listener.unwrap_or_default(),
            route: route.map(|route| route.name.clone()).unwrap_or_default(),
            pool: story.pool.as_ref().map(|pool| pool.config.name.clone()).unwrap_or_default(),
        };
        let server = story.server.as_ref().map(|server| server.config.id.clone()).unwrap_or_default();
        let mut ways = self.ways.borrow_mut();
        let OneWay { times, servers } = ways.entry(way.clone()).or_default();
        if let Some(series) = servers.get(&server) {
            return series.clone();
        }
        let series = Arc::new(Series::new(way, server.clone(), times.clone()));
        servers.insert(server, series.clone());
        if !self.book.try_enter(series.clone()) {
            self.behind.set(true);
        }
        series
    }

    /// Forgets what the configuration in force does not have any more, and brings the book up to date. Called now and
    /// then.
    pub(crate) fn keep(&self, snapshot: &Snapshot) {
        let mut ways = self.ways.borrow_mut();
        if self.followed.replace(snapshot.version) != snapshot.version {
            self.behind.set(true);
            // What they lead to is not held any longer than the configuration.
            self.found.borrow_mut().clear();
            ways.retain(|way, one| {
                let known = is_in(way, snapshot);
                let pool = snapshot.pool(&way.pool);
                one.servers.retain(|server, _| {
                    server.is_empty() || pool.is_some_and(|pool| pool.place_of(server).is_some())
                });
                known && !one.servers.is_empty()
            });
        }
        if self.behind.get() {
            let all = ways.values().flat_map(|one| one.servers.values().cloned());
            self.behind.set(!self.book.try_rewrite(all));
        }
    }
}

fn is_in(way: &Way, snapshot: &Snapshot) -> bool {
    let config = &snapshot.config;
    let listener = way.listener.is_empty() || config.listeners.iter().any(|each| each.name == way.listener);
    let route = way.route.is_empty() || config.routes.iter().any(|each| each.name == way.route);
    listener && route && (way.pool.is_empty() || snapshot.pool(&way.pool).is_some())
}
