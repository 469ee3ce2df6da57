//! The spine: one request and its answer, from one snapshot.

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use loadweaver_config::RedirectHttps;
use loadweaver_http1::preface::Preface;
use loadweaver_http1::{Body, Method, Name, RequestHead};
use loadweaver_policy::failure::Failure;
use loadweaver_policy::route::RouteQuery;

use crate::deadline::{Alarm, Nanos};
use crate::edit;
use crate::engine::http1::{Client, Next};
use crate::forward;
use crate::listen::{Entrance, Peer};
use crate::pool::PoolState;
use crate::record::{self, Story};
use crate::respond;
use crate::snapshot::{Manners, Snapshot};
use crate::tls::Greeting;
use crate::trace;
use crate::websocket;
use crate::worker::{HeadPair, Worker};

/// One exchange: what it works with and what has become of it so far.
pub(crate) struct Exchange<'c> {
    pub(crate) worker: &'c Rc<Worker>,
    pub(crate) alarm: &'c Alarm,
    pub(crate) client: &'c mut Client,
    pub(crate) heads: &'c mut HeadPair,
    pub(crate) snapshot: Arc<Snapshot>,
    /// Reads the request's body.
    pub(crate) body: Body,
    pub(crate) story: Story,
    pub(crate) entrance: Option<Rc<Entrance>>,
    pub(crate) peer: Peer,
    /// The client as we believe it to be; none where nobody says.
    pub(crate) client_ip: Option<IpAddr>,
    /// The connection must not serve another exchange.
    pub(crate) last: bool,
    /// The WebSocket that the client asks for.
    pub(crate) websocket: Option<websocket::Asked>,
    /// What is known of a client that has shaken hands.
    pub(crate) greeting: Option<Rc<Greeting>>,
    /// What a proxy in front has said of the connection.
    pub(crate) preface: Option<Rc<Preface>>,
}

impl<'c> Exchange<'c> {
    pub(crate) fn new(
        worker: &'c Rc<Worker>,
        alarm: &'c Alarm,
        client: &'c mut Client,
        heads: &'c mut HeadPair,
        snapshot: Arc<Snapshot>,
    ) -> Self {
        Self {
            worker,
            alarm,
            client,
            heads,
            snapshot,
            body: Body::default(),
            story: Story::default(),
            entrance: None,
            peer: None,
            client_ip: None,
            last: false,
            websocket: None,
            greeting: None,
            preface: None,
        }
    }

    /// Says where the request came in; `last` makes it the connection's last one.
    pub(crate) fn place(&mut self, peer: Peer, entrance: &Rc<Entrance>, last: bool) {
        self.peer = peer;
        // An IPv4 client of a `[::]` listener is an IPv4 client.
        self.client_ip = peer.map(|peer| peer.ip().to_canonical());
        self.entrance = Some(entrance.clone());
        self.last = last;
    }

    /// Whether the connection came over TLS: to us, or to the proxy that passes it on.
    pub(crate) fn came_over_tls(&self) -> bool {
        let told = |preface: &Rc<Preface>| preface.details.tls.is_some();
        self.greeting.is_some() || self.preface.as_ref().is_some_and(told)
    }

    /// Whether the client speaks TLS: with us, or with a proxy that we believe. Only to be asked once it is known whom
    /// to believe.
    pub(crate) fn is_secure(&self) -> bool {
        is_secure(&self.heads.request, self.came_over_tls())
    }

    /// What the listener does beside serving.
    pub(crate) fn manners(&self) -> Option<&Manners> {
        self.snapshot.manners(self.entrance.as_deref()?)
    }

    /// Whether the client connection may serve another exchange after this one, as far as the request decides.
    pub(crate) fn keeps_client(&self) -> bool {
        let version = self.heads.request.version();
        let over = |entrance: &Rc<Entrance>| entrance.is_closing() || !entrance.is_for(version);
        let closing = self.entrance.as_ref().is_some_and(over);
        self.heads.request.keep_alive() && !self.last && !closing && !self.worker.draining.get()
    }
}

/// Takes a request whose head was read at `now` to its end.
pub(crate) async fn run(x: &mut Exchange<'_>, now: Nanos) -> Next {
    edit::believe(x);
    trace::begin(x);
    if let Some(to) = elsewhere(x) {
        let next = respond::redirect(x, to).await;
        record::finish(x);
        return next;
    }
    let next = match prepare(x) {
        Ok(pool) => match forward::forward(x, pool, now).await {
            Ok(next) => next,
            Err(failure) => respond::fail(x, failure).await,
        },
        Err(failure) => respond::fail(x, failure).await,
    };
    record::finish(x);
    next
}

/// Where the client is sent to for TLS.
fn elsewhere(x: &Exchange<'_>) -> Option<RedirectHttps> {
    let to = x.manners()?.redirect?;
    belongs_elsewhere(&x.heads.request, x.came_over_tls()).then_some(to)
}

/// Whether a request is for where TLS is spoken. Not where certificates are asked for (RFC 8555 section 8.3): whoever
/// renews them may not have one yet.
pub(crate) fn belongs_elsewhere(request: &RequestHead, over_tls: bool) -> bool {
    let served_here = request.path().starts_with("/.well-known/acme-challenge/")
        || request.method() == Method::Connect
        || is_secure(request, over_tls);
    !served_here
}

/// Whether the client of a request whose forwarded headers are believed speaks TLS.
#[inline]
fn is_secure(request: &RequestHead, over_tls: bool) -> bool {
    let told = || request.headers.get(Name::XForwardedProto);
    over_tls || told().is_some_and(|proto| proto.eq_ignore_ascii_case(b"https"))
}

/// Route, admit, edit: everything that needs no server.
fn prepare(x: &mut Exchange<'_>) -> Result<Arc<PoolState>, Failure> {
    let elsewhere = |greeting: &Rc<Greeting>| !greeting.serves(x.heads.request.host());
    if x.client.stream.is_framed() && x.greeting.as_ref().is_some_and(elsewhere) {
        // It came on a connection that was opened for another host.
        return Err(Failure::Misdirected);
    }
    let pool = route(x)?;
    admit(x)?;
    edit::request(x);
    Ok(pool)
}

fn route(x: &mut Exchange<'_>) -> Result<Arc<PoolState>, Failure> {
    let header = |name: &str| x.heads.request.headers.find(name.as_bytes());
    let query = || query(&x.heads.request, &header);
    let route = x.snapshot.route(query).ok_or(Failure::NoRoute)?;
    // The checker has seen that every route leads to a pool.
    let pool = x.snapshot.pool_of(route).ok_or(Failure::Internal)?;
    x.story.route = Some(route);
    x.story.pool = Some(pool.clone());
    Ok(pool.clone())
}

/// What a request shows to the router.
pub(crate) fn query<'r>(
    request: &'r RequestHead,
    header: &'r dyn Fn(&str) -> Option<&'r [u8]>,
) -> RouteQuery<'r> {
    RouteQuery { method: request.method_text(), host: request.host(), path: request.path(), header }
}

fn admit(x: &Exchange<'_>) -> Result<(), Failure> {
    let allowed = || {
        let entrance = x.entrance.as_ref()?;
        Some(x.snapshot.listener(entrance)?.allow_connect)
    };
    let most = x.snapshot.config.limits.body;
    admitted(x.heads.request.method(), || allowed() == Some(true), (x.body.length_left(), most))
}

/// Whether a request may go on to a server: its method, and the length of its body where it is known. No limit is 0.
pub(crate) fn admitted(
    method: Method,
    connect_allowed: impl FnOnce() -> bool,
    (length, most): (Option<u64>, u64),
) -> Result<(), Failure> {
    if method == Method::Connect && !connect_allowed() {
        return Err(Failure::ConnectMethod);
    }
    if most > 0 && length.is_some_and(|length| length > most) {
        return Err(Failure::BodyTooLarge);
    }
    Ok(())
}
