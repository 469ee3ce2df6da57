//! The spine: one request and its answer, from one snapshot.

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use loadweaver_config::RedirectHttps;
use loadweaver_http1::preface::Preface;
use loadweaver_http1::{Body, Method, Name};
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
        let told = || self.heads.request.headers.get(Name::XForwardedProto);
        self.came_over_tls() || told().is_some_and(|proto| proto.eq_ignore_ascii_case(b"https"))
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

/// Where the client is sent to for TLS. Not where certificates are asked for (RFC 8555 section 8.3): whoever renews
/// them may not have one yet.
fn elsewhere(x: &Exchange<'_>) -> Option<RedirectHttps> {
    let to = x.manners()?.redirect?;
    let request = &x.heads.request;
    let served_here = request.path().starts_with("/.well-known/acme-challenge/")
        || request.method() == Method::Connect
        || x.is_secure();
    (!served_here).then_some(to)
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
    let request = &x.heads.request;
    let header = |name: &str| request.headers.find(name.as_bytes());
    let query = || RouteQuery {
        method: request.method_text(),
        host: request.host(),
        path: request.path(),
        header: &header,
    };
    let route = x.snapshot.route(query).ok_or(Failure::NoRoute)?;
    // The checker has seen that every route leads to a pool.
    let pool = x.snapshot.pool_of(route).ok_or(Failure::Internal)?;
    x.story.route = Some(route);
    x.story.pool = Some(pool.clone());
    Ok(pool.clone())
}

fn admit(x: &Exchange<'_>) -> Result<(), Failure> {
    let allowed = || {
        let entrance = x.entrance.as_ref()?;
        Some(x.snapshot.listener(entrance)?.allow_connect)
    };
    if x.heads.request.method() == Method::Connect && allowed() != Some(true) {
        return Err(Failure::ConnectMethod);
    }
    let most = x.snapshot.config.limits.body;
    if most > 0 && x.body.length_left().is_some_and(|length| length > most) {
        return Err(Failure::BodyTooLarge);
    }
    Ok(())
}
