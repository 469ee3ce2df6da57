//! What would become of a request, found out by the steps that an exchange takes, without a client and without a trace.
//!
//! Nothing here decides anything: heads are read by the same parser, and who is believed, what is redirected, which
//! route takes the request and whether it is admitted is asked of the functions that `exchange` asks, in its
//! order.

use std::net::IpAddr;
use std::sync::Arc;

use loadweaver_config::{Listener, RedirectHttps};
use loadweaver_http1::{Framing, RequestHead};
use loadweaver_policy::failure::Failure;
use loadweaver_policy::route::Tried;

use crate::edit;
use crate::engine::http1::{bounds, failure_of};
use crate::exchange::{admitted, belongs_elsewhere, query};
use crate::pool::PoolState;
use crate::respond;
use crate::snapshot::Snapshot;

/// A request that nobody sent.
#[derive(Debug, Clone, Copy)]
pub struct Imagined<'i> {
    /// Its head as a client of HTTP/1.1 would send it.
    pub head: &'i [u8],
    /// Where it would come in.
    pub listener: &'i Listener,
    /// Whom it would come from; none is somebody of whom nothing is known, who is no trusted proxy.
    pub client: Option<IpAddr>,
}

/// What would become of it.
#[derive(Debug)]
pub struct Course {
    /// The client, as far as proxies in front are believed.
    pub client: Option<IpAddr>,
    /// How far it gets.
    pub reaches: Reached,
}

/// How far a request gets.
#[derive(Debug)]
pub enum Reached {
    /// Its head is refused.
    Nothing(Failure),
    /// The listener sends it to where TLS is spoken.
    Redirect(RedirectHttps),
    /// The routes, and none of them takes it.
    Routes(Tried),
    /// A route that takes it, but it is not admitted.
    Route(Tried, Arc<PoolState>, Failure),
    /// Its pool.
    Pool(Tried, Arc<PoolState>),
}

impl Snapshot {
    /// Says what would become of a request.
    pub fn explain(&self, imagined: Imagined<'_>) -> Course {
        let Imagined { head, listener, client } = imagined;
        let client = client.map(|client| client.to_canonical());
        let mut request = RequestHead::default();
        match request.parse(head, &bounds(&self.config.limits)) {
            Ok(Some(_)) => {}
            Ok(None) => return Course { client, reaches: Reached::Nothing(Failure::HeadTooLarge) },
            Err(error) => return Course { client, reaches: Reached::Nothing(failure_of(error)) },
        }
        let trusted = if client.is_some() { &*self.config.trusted_proxies } else { &[] };
        let client = edit::believed(trusted, &mut request.headers, client);
        let over_tls = listener.tls.is_some();
        let to = listener.redirect_https.filter(|_| belongs_elsewhere(&request, over_tls));
        let reaches = to.map_or_else(|| self.routed(&request, listener), Reached::Redirect);
        Course { client, reaches }
    }

    fn routed(&self, request: &RequestHead, listener: &Listener) -> Reached {
        let header = |name: &str| request.headers.find(name.as_bytes());
        let tried = self.router.explain(&query(request, &header));
        let Some(pool) = tried.route.and_then(|route| self.pool_of(route)).cloned() else {
            return Reached::Routes(tried);
        };
        let length = match request.framing() {
            Framing::Length(length) => Some(length),
            Framing::None | Framing::Chunked | Framing::UntilClose => None,
        };
        let most = self.config.limits.body;
        match admitted(request.method(), || listener.allow_connect, (length, most)) {
            Ok(()) => Reached::Pool(tried, pool),
            Err(failure) => Reached::Route(tried, pool, failure),
        }
    }
}

/// The status that a client is answered with when an exchange of the pool fails so, and whether it comes from the
/// pool's `fallback`.
pub fn status_of(failure: Failure, pool: Option<&PoolState>) -> (u16, bool) {
    let fallback = pool.and_then(|pool| respond::fallback_for(pool, failure));
    fallback.map_or((failure.status(), false), |fallback| (fallback.status, true))
}
