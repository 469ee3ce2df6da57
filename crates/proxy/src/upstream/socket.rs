//! Connections for WebSockets to servers that are spoken to over HTTP/2.
//!
//! A server of HTTP/2 says in its settings whether it takes WebSockets (RFC 8441). Many that do not take them over
//! HTTP/1.1: nginx is one. Where the protocol is left to TLS, such a server is asked once more by a handshake that
//! offers nothing but HTTP/1.1, and what came of it is remembered until a new connection of HTTP/2 is opened to it.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::hash::BuildHasherDefault;
use std::rc::Rc;
use std::time::Duration;

use loadweaver_config::{ConnectionPool, Protocol};
use loadweaver_policy::failure::Failure;

use crate::deadline::{Alarm, Nanos};
use crate::server::ServerState;
use crate::upstream::{self, ByKey, Lease, Manner, shared};
use crate::worker::Worker;

/// Which servers of HTTP/2 without WebSockets have them elsewhere.
#[derive(Debug, Default)]
pub(crate) struct Sockets(RefCell<HashMap<u64, Found, BuildHasherDefault<ByKey>>>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    /// Over HTTP/1.1.
    Http1,
    /// The server agrees on HTTP/2 alone.
    Nowhere,
}

impl Sockets {
    fn of(&self, server: &ServerState) -> Option<Found> {
        self.0.borrow().get(&server.upstream()).copied()
    }

    fn note(&self, server: &ServerState, found: Found) {
        self.0.borrow_mut().insert(server.upstream(), found);
    }

    pub(super) fn forget(&self, server: &ServerState) {
        self.0.borrow_mut().remove(&server.upstream());
    }

    pub(super) fn keep_only(&self, servers: &HashSet<u64>) {
        self.0.borrow_mut().retain(|key, _| servers.contains(key));
    }
}

/// A place or a connection on which the server takes a WebSocket; else as [`shared::lease`].
pub(crate) async fn lease(
    worker: &Rc<Worker>,
    server: &ServerState,
    alarm: &Alarm,
    terms: (Protocol, &ConnectionPool, Duration),
    fresh: bool,
) -> Result<Lease, Failure> {
    let (protocol, _, limit) = terms;
    let began = worker.deadlines.now();
    let sockets = &worker.shared_upstreams.sockets;
    let mut found = sockets.of(server).filter(|_| protocol == Protocol::Auto);
    if found == Some(Found::Http1) {
        match by_http1(worker, server, alarm, (began, limit)).await {
            Err(Failure::NoWebsocket) => {
                sockets.forget(server);
                found = None;
            }
            told => return told,
        }
    }
    let mut lease = shared::lease(worker, server, alarm, terms, fresh).await?;
    let Some(stream) = lease.stream.framed() else { return Ok(lease) };
    if shared::settings(stream, alarm, (began, limit)).await? {
        return Ok(lease);
    }
    if protocol != Protocol::Auto || found.is_some() {
        return Err(Failure::NoWebsocket);
    }
    drop(lease);
    let told = by_http1(worker, server, alarm, (began, limit)).await;
    match &told {
        Ok(_) => sockets.note(server, Found::Http1),
        Err(Failure::NoWebsocket) => sockets.note(server, Found::Nowhere),
        Err(_) => {}
    }
    told
}

/// A connection on which nothing but HTTP/1.1 is offered.
async fn by_http1(
    worker: &Worker,
    server: &ServerState,
    alarm: &Alarm,
    within: (Nanos, Duration),
) -> Result<Lease, Failure> {
    let connected = upstream::connect(server, &worker.stock, alarm, within, Manner::Http1).await;
    // It has shaken hands on HTTP/2, so it is not its TLS that is wrong.
    connected.map_err(|failure| match failure {
        Failure::TlsHandshakeFailed => Failure::NoWebsocket,
        other => other,
    })
}
