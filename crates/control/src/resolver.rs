//! Names become addresses, before the node is ready and again on a schedule.
//!
//! The system's own resolver does it (hosts file, search domains, whatever the machine is set up for). A name that
//! stops resolving keeps the address that it had: a name server that is down must not take servers down that are
//! well.
//!
//! A name may have several addresses (`localhost` is `::1` and `127.0.0.1` on most machines, and many a server
//! listens on one of them only). The one in use is kept while it is among them and the server is well; otherwise the
//! first that accepts a connection is taken, here and not on the request path.

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use loadweaver_proxy::{Address, ServerState, Snapshot};
use loadweaver_telemetry::log;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{Instant, sleep_until, timeout};

use crate::current::Current;
use crate::jitter::Jitter;

/// From one round to the next. The system's resolver does not tell how long an answer is good for.
const EVERY: Duration = Duration::from_secs(30);
/// Lookups under way at a time; each holds a thread of the runtime's blocking pool.
pub(crate) const UNDER_WAY: usize = 16;
/// The process has one resolver, so one limit is for everybody who asks it.
static THREADS: Semaphore = Semaphore::const_new(UNDER_WAY);
/// Addresses of one name that are tried, and how long each.
const CHOICES: usize = 8;
const TRY: Duration = Duration::from_millis(300);
/// How long the start waits for the first round; what takes longer goes on beside the traffic.
const FIRST_ROUND: Duration = Duration::from_secs(3);

/// All servers that are given by name, by name.
type Names = BTreeMap<String, Vec<Arc<ServerState>>>;

pub(crate) struct Resolver {
    current: Current,
    names: Names,
    /// What the last lookup of a name said when it failed: trouble is logged when it begins and when it ends.
    troubled: HashMap<String, String>,
    jitter: Jitter,
}

/// Looks up what a configuration that is about to run names and nobody has asked for yet; gives up waiting after three
/// seconds.
pub(crate) async fn first_lookups(next: &Snapshot, running: &Snapshot) {
    let mut lookups = JoinSet::new();
    let names = new_names(next, running);
    for (name, servers) in names {
        lookups.spawn(async move { settle(&name, &servers).await });
    }
    // What fails or takes longer is for the schedule.
    let _ = timeout(FIRST_ROUND, lookups.join_all()).await;
}

/// A name that did not resolve before is for the schedule: it would keep each change waiting, whatever that is about.
fn new_names(next: &Snapshot, running: &Snapshot) -> Names {
    let has_none = |servers: &Vec<Arc<ServerState>>| servers.iter().any(|server| server.address().is_none());
    let (known, mut names) = (names_in(running), names_in(next));
    names.retain(|name, servers| has_none(servers) && !known.get(name).is_some_and(has_none));
    names
}

fn names_in(snapshot: &Snapshot) -> Names {
    let mut names = Names::new();
    let pools = snapshot.pools.iter().filter(|pool| pool.config.servers.tally().named > 0);
    for server in pools.flat_map(|pool| &pool.servers) {
        if server.is_named() {
            names.entry(server.config.host.clone()).or_default().push(Arc::clone(server));
        }
    }
    names
}

impl Resolver {
    pub(crate) fn new(current: Current) -> Self {
        let names = names_in(&current.load());
        Self { current, names, troubled: HashMap::new(), jitter: Jitter::from_system() }
    }

    /// Looks everything up once; gives up waiting after three seconds.
    pub(crate) async fn first_round(&mut self) {
        if timeout(FIRST_ROUND, self.round()).await.is_err() {
            for (name, servers) in &self.names {
                if servers.iter().any(|server| server.address().is_none()) {
                    tracing::warn!(target: log::RESOLVE, name, "no answer about the name yet, going on without");
                }
            }
        }
    }

    /// Runs for ever; the first round has been made.
    pub(crate) async fn run(mut self) -> Infallible {
        let mut due = self.next_round();
        loop {
            tokio::select! {
                biased;
                snapshot = self.current.changed() => {
                    self.names = names_in(&snapshot);
                    self.troubled.retain(|name, _| self.names.contains_key(name));
                    // Sooner, never later: changes may come one after the other for hours.
                    due = due.min(self.next_round());
                }
                () = sleep_until(due), if !self.names.is_empty() => {
                    let found = self.round().await;
                    due = self.due_after(found);
                }
            }
        }
    }

    /// What was found while a change was made was given to servers that are no more.
    fn due_after(&mut self, found: bool) -> Instant {
        if found && self.current.has_changed() { Instant::now() } else { self.next_round() }
    }

    fn next_round(&mut self) -> Instant {
        // A server without an address, or one that is out and may have moved, is worth asking for sooner.
        let mut servers = self.names.values().flatten();
        let waiting = servers.any(|server| server.address().is_none() || !server.is_eligible());
        Instant::now() + self.jitter.around(if waiting { EVERY / 10 } else { EVERY })
    }

    /// Looks everything up once, and says whether anybody has another address now.
    async fn round(&mut self) -> bool {
        let mut found = false;
        let mut waiting: Vec<String> = self.names.keys().rev().cloned().collect();
        let mut lookups = JoinSet::new();
        loop {
            while lookups.len() < UNDER_WAY
                && let Some(name) = waiting.pop()
            {
                let servers = self.names.get(&name).cloned().unwrap_or_default();
                lookups.spawn(async move {
                    let outcome = settle(&name, &servers).await;
                    (name, outcome)
                });
            }
            match lookups.join_next().await {
                None => return found,
                Some(Ok((name, outcome))) => {
                    found |= outcome.as_ref().is_ok_and(|moved| *moved);
                    self.note(name, outcome.err());
                }
                // A lookup that panicked is one without an answer.
                Some(Err(_)) => {}
            }
        }
    }

    fn note(&mut self, name: String, trouble: Option<io::Error>) {
        let Some(error) = trouble else {
            if self.troubled.remove(&name).is_some() {
                tracing::info!(target: log::RESOLVE, name, "the name resolves again");
            }
            return;
        };
        let cause = error.to_string();
        if self.troubled.get(&name) != Some(&cause) {
            tracing::warn!(target: log::RESOLVE, name, cause, "the name does not resolve, keeping what is known");
            self.troubled.insert(name, cause);
        }
    }
}

/// Looks a name up and gives its servers their addresses. Says whether one of them has another than before.
async fn settle(name: &str, servers: &[Arc<ServerState>]) -> io::Result<bool> {
    let addresses = look_up(name.to_owned()).await?;
    if addresses.is_empty() {
        return Err(io::Error::other("the name has no address"));
    }
    let mut moved = false;
    for server in servers {
        moved |= place(server, &addresses).await;
    }
    Ok(moved)
}

/// The addresses of a name in the system's order of preference (RFC 6724).
async fn look_up(name: String) -> io::Result<Vec<IpAddr>> {
    // Held until the system has answered, not until nobody waits any more: a system that hangs must not take all the
    // threads that changes need.
    let thread = THREADS.acquire().await.map_err(io::Error::other)?;
    let lookup = spawn_blocking(move || {
        let addresses = (name.as_str(), 0).to_socket_addrs();
        drop(thread);
        addresses.map(|found| found.map(|address| address.ip()).collect())
    });
    lookup.await.map_err(io::Error::other)?
}

/// Gives a server its address, unless the one that it has is still good. Says whether it has another one now.
async fn place(server: &ServerState, addresses: &[IpAddr]) -> bool {
    let old = server.address().and_then(|old| old.tcp()).filter(|old| addresses.contains(&old.ip()));
    if old.is_some() && (server.is_eligible() || addresses.len() == 1) {
        return false;
    }
    let port = server.config.port;
    let choices: Vec<SocketAddr> =
        addresses.iter().take(CHOICES).map(|ip| SocketAddr::new(*ip, port)).collect();
    let new = match choices.as_slice() {
        [only] => Some(*only),
        several => first_that_accepts(several).await.or(old).or(several.first().copied()),
    };
    let new = new.map(Address::Ip);
    let is_other = new != server.address();
    if is_other {
        let address = new.as_ref().map(Address::to_string);
        tracing::info!(target: log::RESOLVE, server = %server.config.id, name = server.config.host, address, "address");
        server.set_address(new);
    }
    is_other
}

async fn first_that_accepts(choices: &[SocketAddr]) -> Option<SocketAddr> {
    for choice in choices {
        if matches!(timeout(TRY, TcpStream::connect(choice)).await, Ok(Ok(_))) {
            return Some(*choice);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use loadweaver_config::HealthCheck;
    use loadweaver_policy::health::Observation;
    use loadweaver_testkit::Origin;
    use loadweaver_testkit::origin::reply;

    use crate::fixture;
    use crate::plane::Watched;

    use super::*;

    const V6: IpAddr = IpAddr::V6(std::net::Ipv6Addr::LOCALHOST);
    const V4: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    /// Nobody listens on it: the port is bound on 127.0.0.1 only.
    const OTHER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 2));

    fn server_by_name(port: u16) -> Watched {
        fixture::watched(fixture::pool(&[("app.test", port)], HealthCheck::default()))
    }

    #[tokio::test]
    async fn of_several_addresses_the_one_that_accepts_is_taken() {
        let origin = Origin::answering(reply(200, "well"));
        let watched = server_by_name(origin.port());
        let server = &watched.snapshot.pools[0].servers[0];
        place(server, &[OTHER, V6, V4]).await;
        assert_eq!(server.address(), Some(Address::Ip(origin.address())));
    }

    #[tokio::test]
    async fn an_address_in_use_stays_while_the_server_is_well() {
        let watched = server_by_name(1);
        let server = &watched.snapshot.pools[0].servers[0];
        place(server, &[OTHER]).await;
        place(server, &[V4, OTHER]).await;
        assert_eq!(server.address().unwrap().tcp().unwrap().ip(), OTHER);
        place(server, &[V4]).await;
        assert_eq!(server.address().unwrap().tcp().unwrap().ip(), V4);
    }

    #[tokio::test]
    async fn a_server_that_is_out_may_move_to_another_of_its_addresses() {
        let origin = Origin::answering(reply(200, "well"));
        let watched = server_by_name(origin.port());
        let pool = &watched.snapshot.pools[0];
        place(&pool.servers[0], &[OTHER]).await;
        pool.observe(0, Observation::ConnectRefused);
        place(&pool.servers[0], &[OTHER, V4]).await;
        assert_eq!(pool.servers[0].address(), Some(Address::Ip(origin.address())));
    }

    #[tokio::test]
    async fn a_name_that_stops_resolving_keeps_its_address() {
        let watched = fixture::watched(fixture::pool(&[("nowhere.invalid", 80)], HealthCheck::default()));
        let server = &watched.snapshot.pools[0].servers[0];
        server.set_address(Some(Address::Ip(SocketAddr::new(V4, 80))));
        let mut resolver = Resolver::new(Current::new(Arc::clone(&watched.snapshot)));
        resolver.round().await;
        assert_eq!(server.address(), Some(Address::Ip(SocketAddr::new(V4, 80))));
        assert_eq!(resolver.troubled.len(), 1);
    }

    #[tokio::test]
    async fn a_change_waits_for_names_that_it_brings_and_for_no_others() {
        let servers = [("nowhere.invalid", 80), ("127.0.0.1", 1), ("app.test", 1), ("app.test", 2)];
        let running = fixture::watched(fixture::pool(&servers, HealthCheck::default())).snapshot;
        let mut config = loadweaver_config::Config::clone(&running.config);
        running.pools[0].servers[2..]
            .iter()
            .for_each(|server| server.set_address(Some(Address::Ip(([127, 0, 0, 1], 1).into()))));
        config.pools[0].servers.edit(|servers| {
            Arc::make_mut(&mut servers[1]).host = "new.test".to_owned();
            // Known by name, but another server.
            Arc::make_mut(&mut servers[3]).port = 3;
        });
        let next = running.next(2, config).unwrap();
        assert_eq!(new_names(&next, &running).into_keys().collect::<Vec<_>>(), ["app.test", "new.test"]);
    }

    #[tokio::test(start_paused = true)]
    async fn changes_one_after_the_other_do_not_keep_names_from_being_looked_up() {
        let watched = fixture::watched(fixture::pool(&[("localhost", 1)], HealthCheck::default()));
        let server = &watched.snapshot.pools[0].servers[0];
        let before = Some(Address::Ip(SocketAddr::new(OTHER, 1)));
        server.set_address(before.clone());
        let current = Current::new(Arc::clone(&watched.snapshot));
        let resolver = tokio::spawn(Resolver::new(current.clone()).run());
        for _ in 0..60 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            current.set(Arc::clone(&watched.snapshot));
        }
        resolver.abort();
        assert_ne!(server.address(), before);
    }

    #[tokio::test]
    async fn what_is_found_while_a_change_is_made_is_looked_up_again_at_once() {
        let running = fixture::watched(fixture::pool(&[("localhost", 1)], HealthCheck::default())).snapshot;
        let current = Current::new(Arc::clone(&running));
        let mut resolver = Resolver::new(current.clone());
        let changes = async { current.set(Arc::clone(&running)) };
        let (found, ()) = tokio::join!(resolver.round(), changes);
        let now = Instant::now();
        assert!(found && resolver.due_after(found) <= Instant::now());
        // Nothing else was found, or nothing has changed.
        let again = resolver.round().await;
        assert!(!again && resolver.due_after(again) > now + EVERY / 100);
        resolver.current.changed().await;
        assert!(resolver.due_after(true) > now + EVERY / 100);
    }

    #[test]
    fn addresses_are_not_looked_up() {
        let servers = [("127.0.0.1", 1), ("::1", 2), ("app.test", 3), ("app.test", 4)];
        let watched = fixture::watched(fixture::pool(&servers, HealthCheck::default()));
        let resolver = Resolver::new(Current::new(Arc::clone(&watched.snapshot)));
        assert_eq!(resolver.names.len(), 1);
        assert_eq!(resolver.names["app.test"].len(), 2);
    }
}
