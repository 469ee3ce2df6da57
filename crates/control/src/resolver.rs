//! Names become addresses, before the node is ready and again on a schedule.
//!
//! The system's own resolver does it (hosts file, search domains, whatever the machine is set up for). A name that
//! stops resolving keeps the address that it had: a name server that is down must not take servers down that are
//! well. Of several addresses the one in use is kept while it is among them; a server is one process on one host,
//! and more addresses of it are ways to the same place.

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use loadweaver_proxy::{ServerState, Snapshot};
use loadweaver_telemetry::log;
use tokio::net::lookup_host;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::jitter::Jitter;

/// From one round to the next. The system's resolver does not tell how long an answer is good for.
const EVERY: Duration = Duration::from_secs(30);
/// Lookups under way at a time; each holds a thread of the runtime's blocking pool.
pub(crate) const UNDER_WAY: usize = 16;
/// How long the start waits for the first round; what takes longer goes on beside the traffic.
const FIRST_ROUND: Duration = Duration::from_secs(3);

/// All servers that are given by name, by name.
pub(crate) struct Resolver {
    names: BTreeMap<String, Vec<Arc<ServerState>>>,
    /// What the last lookup of a name said when it failed: trouble is logged when it begins and when it ends.
    troubled: HashMap<String, String>,
    jitter: Jitter,
}

impl Resolver {
    pub(crate) fn new(snapshot: &Snapshot) -> Self {
        let mut names: BTreeMap<String, Vec<Arc<ServerState>>> = BTreeMap::new();
        for server in snapshot.pools.iter().flat_map(|pool| &pool.servers) {
            if server.config.host.parse::<IpAddr>().is_err() {
                names.entry(server.config.host.clone()).or_default().push(Arc::clone(server));
            }
        }
        Self { names, troubled: HashMap::new(), jitter: Jitter::from_system() }
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
        loop {
            if self.names.is_empty() {
                std::future::pending::<()>().await;
            }
            // A name without an address is worth asking for sooner.
            let waiting = self.names.values().flatten().any(|server| server.address().is_none());
            let pause = if waiting { EVERY / 10 } else { EVERY };
            sleep(self.jitter.around(pause)).await;
            self.round().await;
        }
    }

    async fn round(&mut self) {
        let mut waiting: Vec<String> = self.names.keys().rev().cloned().collect();
        let mut lookups = JoinSet::new();
        loop {
            while lookups.len() < UNDER_WAY
                && let Some(name) = waiting.pop()
            {
                lookups.spawn(async move {
                    let answer = lookup(&name).await;
                    (name, answer)
                });
            }
            match lookups.join_next().await {
                None => return,
                Some(Ok((name, answer))) => self.take(&name, answer),
                // A lookup that panicked is one without an answer.
                Some(Err(_)) => {}
            }
        }
    }

    fn take(&mut self, name: &str, answer: io::Result<Vec<IpAddr>>) {
        match answer {
            Ok(addresses) => {
                if self.troubled.remove(name).is_some() {
                    tracing::info!(target: log::RESOLVE, name, "the name resolves again");
                }
                for server in self.names.get(name).into_iter().flatten() {
                    place(server, &addresses);
                }
            }
            Err(error) => {
                let cause = error.to_string();
                if self.troubled.get(name) != Some(&cause) {
                    tracing::warn!(target: log::RESOLVE, name, cause, "the name does not resolve, keeping what is known");
                    self.troubled.insert(name.to_owned(), cause);
                }
            }
        }
    }
}

/// Gives a server its address, unless the one that it has is still good.
fn place(server: &ServerState, addresses: &[IpAddr]) {
    let old = server.address();
    if old.is_some_and(|old| addresses.contains(&old.ip())) {
        return;
    }
    if let Some(first) = addresses.first() {
        let new = SocketAddr::new(*first, server.config.port);
        tracing::info!(target: log::RESOLVE, server = %server.config.id, name = server.config.host, address = %new, "address");
        server.set_address(Some(new));
    }
}

/// At least one address, in the system's order of preference (RFC 6724).
async fn lookup(name: &str) -> io::Result<Vec<IpAddr>> {
    let addresses: Vec<IpAddr> = lookup_host((name, 0)).await?.map(|address| address.ip()).collect();
    if addresses.is_empty() { Err(io::Error::other("the name has no address")) } else { Ok(addresses) }
}
