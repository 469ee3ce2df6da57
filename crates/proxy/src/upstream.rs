//! Connections to servers: opened, kept, found dead.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::future::poll_fn;
use std::hash::{BuildHasherDefault, Hasher};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use loadweaver_config::ConnectionPool;
use loadweaver_policy::failure::Failure;
use loadweaver_telemetry::counters::ServerCounters;
use loadweaver_telemetry::log;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::AsyncWriteExt as _;

use crate::address::Address;
use crate::buffer::Stock;
use crate::deadline::{Alarm, For, Nanos, nanos};
use crate::server::ServerState;
use crate::stream::{HandshakeError, Secured, Stream};
use crate::tls;

/// Telling servers whom a connection is from.
pub(crate) mod announce;
pub(crate) mod shared;
/// Those for WebSockets, where HTTP/2 may not do.
pub(crate) mod socket;

use announce::Announced;

/// A connection to a server, in use.
#[derive(Debug)]
pub(crate) struct Lease {
    pub(crate) stream: Stream,
    /// Whether it had served an exchange before this one.
    pub(crate) reused: bool,
    address: Address,
    /// What it is secured with; 0 in the clear.
    identity: u64,
    /// TLS has agreed on HTTP/2.
    pub(crate) http2: bool,
    /// It does not speak what its pool's exchanges would have agreed on, so no other one gets it.
    odd: bool,
    /// Whom it was said to be from. Boxed: few are.
    pub(crate) announced: Option<Box<Announced>>,
    opened: Nanos,
    served: u64,
    /// None of a place on a connection that is shared.
    open: Option<Open>,
}

/// Counts a connection for as long as it is open, with the server that it was opened for.
#[derive(Debug)]
pub(crate) struct Open(Arc<ServerCounters>);

impl Open {
    fn for_one_of(server: &ServerState) -> Self {
        server.counters.connections.increment();
        Self(Arc::clone(&server.counters))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.connections.decrement();
    }
}

/// The kept connections of one worker. They belong to an address, not to a pool, and the one that was used last is
/// used next, so that the others may grow old and be closed.
#[derive(Debug, Default)]
pub(crate) struct Upstreams {
    idle: RefCell<Kept>,
    /// Those that were said to be from somebody, the oldest first.
    announced: RefCell<Kept>,
}

type Kept = HashMap<u64, Vec<Idle>, BuildHasherDefault<ByKey>>;

#[derive(Debug)]
struct Idle {
    lease: Lease,
    until: Nanos,
}

impl Upstreams {
    /// A kept connection that is still good, as far as the kernel has told. `careful` asks the kernel: for requests
    /// that could not be tried again, one system call is cheaper than a lost request.
    pub(crate) fn take(
        &self,
        server: &ServerState,
        cx: &mut Context<'_>,
        now: Nanos,
        careful: bool,
    ) -> Option<Lease> {
        let mut all = self.idle.borrow_mut();
        let key = server.upstream();
        let idle = all.get_mut(&key)?;
        while let Some(mut kept) = idle.pop() {
            let same = || {
                server.address().as_ref() == Some(&kept.lease.address)
                    && server.identity_number() == kept.lease.identity
            };
            if key & HASHED != 0 && !same() {
                // Another address with the same key, once in a very long time: its connection is given up.
                continue;
            }
            let told = kept.lease.stream.poll_readable(cx).is_ready();
            if kept.until > now && (!(told || careful) || kept.lease.stream.is_silent()) {
                kept.lease.reused = true;
                return Some(kept.lease);
            }
        }
        None
    }

    /// The same of those that were said to be from this client.
    pub(crate) fn take_announced(&self, server: &ServerState, from: Announced, now: Nanos) -> Option<Lease> {
        let mut all = self.announced.borrow_mut();
        let idle = all.get_mut(&server.upstream())?;
        loop {
            let place = idle.iter().rposition(|kept| kept.lease.announced.as_deref() == Some(&from))?;
            let mut lease = idle.remove(place);
            let same = server.address().as_ref() == Some(&lease.lease.address)
                && server.identity_number() == lease.lease.identity;
            if same && lease.until > now && lease.lease.stream.is_silent() {
                lease.lease.reused = true;
                return Some(lease.lease);
            }
        }
    }

    /// Keeps a connection for the next exchange, within the pool's limits.
    pub(crate) fn keep(&self, mut lease: Lease, limits: &ConnectionPool, now: Nanos) {
        lease.served += 1;
        let spent = limits.max_requests > 0 && lease.served >= limits.max_requests;
        let mut until = now.saturating_add(nanos(limits.idle_timeout));
        if !limits.max_lifetime.is_zero() {
            until = until.min(lease.opened.saturating_add(nanos(limits.max_lifetime)));
        }
        if spent || until <= now || lease.odd {
            return;
        }
        let announced = lease.announced.is_some();
        let mut all = if announced { self.announced.borrow_mut() } else { self.idle.borrow_mut() };
        let idle = all.entry(key(&lease.address, lease.identity)).or_default();
        if announced && idle.len() >= limits.max_idle && !idle.is_empty() {
            // Its client is most likely gone.
            idle.remove(0);
        }
        if idle.len() < limits.max_idle {
            idle.push(Idle { lease, until });
        }
    }

    /// Closes the connections to whatever is no server any more.
    pub(crate) fn keep_only(&self, servers: &HashSet<u64>) {
        for kept in [&self.idle, &self.announced] {
            kept.borrow_mut().retain(|key, _| servers.contains(key));
        }
    }

    /// How many are kept, by what they are found by.
    pub(crate) fn count(&self, counts: &mut HashMap<u64, u64>) {
        for kept in [&self.idle, &self.announced] {
            for (key, idle) in &*kept.borrow() {
                *counts.entry(*key).or_default() += idle.len() as u64;
            }
        }
    }

    /// Closes what is too old or was closed by the server.
    pub(crate) fn sweep(&self, now: Nanos) {
        let mut cx = Context::from_waker(Waker::noop());
        for kept in [&self.idle, &self.announced] {
            kept.borrow_mut().retain(|_, idle| {
                idle.retain_mut(|kept| {
                    let told = kept.lease.stream.poll_readable(&mut cx).is_ready();
                    kept.until > now && (!told || kept.lease.stream.is_silent())
                });
                !idle.is_empty()
            });
        }
    }
}

/// How a connection is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner<'h> {
    /// As its pool has it, behind a header if there is one.
    Usual(&'h [u8]),
    /// For HTTP/1.1 alone, whatever else its pool would speak with the server.
    Http1,
}

/// Opens a connection, within `limit` of `now`, and says first what is to be said in front of it.
pub(crate) async fn connect(
    server: &ServerState,
    stock: &Rc<Stock>,
    alarm: &Alarm,
    (now, limit): (Nanos, Duration),
    manner: Manner<'_>,
) -> Result<Lease, Failure> {
    let address = server.address().ok_or(Failure::ResolveFailed)?;
    alarm.set(For::Server, now, limit);
    let identity = server.identity();
    let mut connecting = std::pin::pin!(async {
        let mut stream = address.connect().await.map_err(|error| failure_of(&error))?;
        if let Manner::Usual(header @ [_, ..]) = manner {
            stream.write_all(header).await.map_err(|_| Failure::ConnectFailed)?;
        }
        match identity {
            None => Ok((Stream::connected(stream), false)),
            // Boxed: a connection in the clear does not pay for its room.
            Some(identity) => {
                let terms =
                    if manner == Manner::Http1 { identity.for_http1() } else { identity.config.clone() };
                let greeting = greet(Stream::connected(stream), stock, (terms, identity.name.clone()));
                Box::pin(greeting).await.map_err(|error| {
                    tracing::debug!(target: log::TLS, server = server.address_text(), %error, "no handshake");
                    refused(&error)
                })
            }
        }
    });
    let connected = poll_fn(|cx| match connecting.as_mut().poll(cx) {
        Poll::Ready(result) => Poll::Ready(result),
        Poll::Pending => overdue(alarm).map_or(Poll::Pending, |failure| Poll::Ready(Err(failure))),
    })
    .await;
    alarm.clear(For::Server);
    server.counters.connects.increment();
    let (stream, http2) = connected?;
    let identity = server.identity_number();
    Ok(Lease {
        stream,
        reused: false,
        address: address.clone(),
        identity,
        http2,
        odd: manner == Manner::Http1,
        announced: None,
        opened: now,
        served: 0,
        open: Some(Open::for_one_of(server)),
    })
}

/// Shakes hands with a server; also says whether both sides named HTTP/2. What the handshake says last goes out with the
/// request.
async fn greet(
    mut stream: Stream,
    stock: &Rc<Stock>,
    (config, name): (Arc<ClientConfig>, ServerName<'static>),
) -> Result<(Stream, bool), HandshakeError> {
    stream.secure(|socket| Secured::client(socket, stock, config, name)).map_err(HandshakeError::Tls)?;
    let facts = poll_fn(|cx| stream.poll_handshake(cx)).await?;
    let http2 = facts.protocol.as_deref() == Some(tls::HTTP2);
    Ok((stream, http2))
}

fn refused(error: &HandshakeError) -> Failure {
    match error {
        HandshakeError::Tls(
            rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented,
        ) => Failure::TlsCertificateRefused,
        _ => Failure::TlsHandshakeFailed,
    }
}

/// What has taken too long while a connection was waited for.
fn overdue(alarm: &Alarm) -> Option<Failure> {
    if alarm.is_due(For::Server) {
        Some(Failure::ConnectTimeout)
    } else if alarm.is_due(For::Attempt) {
        Some(Failure::PerTryTimeout)
    } else if alarm.is_due(For::Exchange) {
        Some(Failure::TotalTimeout)
    } else {
        None
    }
}

fn failure_of(error: &io::Error) -> Failure {
    // Ours, not the server's: descriptors, memory or local ports have run out.
    let exhausted = [
        rustix::io::Errno::MFILE,
        rustix::io::Errno::NFILE,
        rustix::io::Errno::NOBUFS,
        rustix::io::Errno::NOMEM,
        rustix::io::Errno::ADDRNOTAVAIL,
        rustix::io::Errno::ADDRINUSE,
        rustix::io::Errno::AGAIN,
    ];
    if error.raw_os_error().is_some_and(|code| exhausted.iter().any(|errno| errno.raw_os_error() == code)) {
        return Failure::Exhausted;
    }
    match error.kind() {
        // A Unix socket that is not there is a server that does not run.
        io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => Failure::ConnectRefused,
        io::ErrorKind::TimedOut => Failure::ConnectTimeout,
        _ => Failure::ConnectFailed,
    }
}

/// What the kept connections to an address are found by, in whatever pool and under whatever name it stands: a server
/// that is renamed, moved to another pool or given another weight goes on with its connections.
///
/// What is secured in another way is another connection.
pub(crate) fn key(address: &Address, identity: u64) -> u64 {
    let key = plain_key(address);
    if identity == 0 {
        return key;
    }
    HASHED | (key ^ identity.wrapping_mul(MULTIPLIER)).wrapping_mul(MULTIPLIER).rotate_left(29)
}

fn plain_key(address: &Address) -> u64 {
    let mix = |mixed: u64, word: u64| (mixed ^ word).wrapping_mul(MULTIPLIER).rotate_left(29);
    match address {
        Address::Ip(SocketAddr::V4(v4)) => u64::from(v4.ip().to_bits()) << 16 | u64::from(v4.port()),
        Address::Ip(SocketAddr::V6(v6)) => {
            let words = v6.ip().segments().into_iter().chain([v6.port()]);
            HASHED | words.map(u64::from).fold(0, mix)
        }
        Address::Unix(name) => HASHED | name.bytes().map(u64::from).fold(1, mix),
    }
}

/// Marks a key that does not say all of its address.
const HASHED: u64 = 1 << 63;

/// Spreads what differs in few bits: 2^64 divided by the golden ratio (Knuth, The Art of Computer Programming,
/// volume 3, section 6.4).
const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

/// The keys are numbers already; the map only wants their bits spread.
#[derive(Debug, Default)]
pub(crate) struct ByKey(u64);

impl Hasher for ByKey {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0 << 8 | u64::from(*byte);
        }
    }

    fn write_u64(&mut self, key: u64) {
        // The map looks at the top bits and at the bottom ones, and a product mixes upwards only.
        let product = key.wrapping_mul(MULTIPLIER);
        self.0 = product ^ product >> 32;
    }
}
