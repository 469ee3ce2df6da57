//! Why a request would go where it would go.
//!
//! What decides is asked, not told again: the parser, the routes, the balancer and the pool's view of its servers say
//! what they would do ([`loadweaver_proxy::explain`], `policy`), and this module makes words of that. What nobody may
//! read stays out of it: the value that a route wants of a header may come from a variable that holds a secret.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use loadweaver_config::{Bind, Listener};
use loadweaver_policy::failure::Failure;
use loadweaver_proxy::explain::{Course, Imagined, Reached, status_of};
use loadweaver_proxy::{PoolState, Snapshot};
use serde::Serialize;
use utoipa::ToSchema;

use request::Located;

/// How a pool picks.
mod choice;
/// Why a server stands as it does.
pub(crate) mod health;
/// What is asked about.
mod request;
/// Each route and what it had against the request.
mod routes;
/// What would hold for the exchange.
mod terms;
/// The explanation as lines on a terminal.
mod text;

pub use choice::{Choice, ServerChance};
pub use health::Reason;
pub use request::{Asked, Misfit};
pub use routes::{RouteTried, UnmetCondition};
pub use terms::{Retries, Terms};

/// What an explanation is made from.
#[derive(Debug)]
pub struct Scene<'s> {
    /// The configuration, perhaps at work.
    pub snapshot: &'s Snapshot,
    /// Each listener's addresses, as they really are where it is at work.
    pub addresses: Vec<(Arc<str>, Bind)>,
    /// Since when it is at work; none is not at all, so that nothing is known of the health of servers.
    pub live: Option<SystemTime>,
}

impl<'s> Scene<'s> {
    /// Of a configuration that nobody runs.
    pub fn at_rest(snapshot: &'s Snapshot) -> Self {
        let binds = |listener: &Listener| {
            let name = Arc::clone(&listener.name);
            listener.binds.iter().map(move |bind| (Arc::clone(&name), bind.clone())).collect::<Vec<_>>()
        };
        let addresses = snapshot.config.listeners.iter().flat_map(binds).collect();
        Self { snapshot, addresses, live: None }
    }
}

/// What would become of a request, and why.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// All of it in a sentence or two.
    pub summary: String,
    /// `forwarded` to a server, `redirected` to TLS, `refused` before any server is asked, or `failed` for want of a
    /// server.
    #[schema(example = "forwarded")]
    pub outcome: &'static str,
    /// The configuration that this holds for.
    pub config_version: u64,
    /// Whether the state of the servers is known.
    pub live: bool,
    /// What was asked about, what was left out filled in.
    pub request: AskedRequest,
    /// Where it would come in.
    pub listener: ListenerView,
    /// The routes that were tried, in order; the last one took the request if it says so.
    pub routes: Vec<RouteTried>,
    /// Routes behind the one that took it, which nobody asked.
    pub routes_not_tried: usize,
    /// The route that took it.
    pub route: Option<String>,
    /// Where that route leads.
    pub pool: Option<String>,
    /// How the pool picks, and whom it would pick now.
    pub choice: Option<Choice>,
    /// The servers of the pool, in the order of the configuration.
    pub servers: Vec<ServerChance>,
    /// What would hold for the exchange.
    pub terms: Option<Terms>,
    /// What the client would be told: now, or, where the request can be served, if no server could take it.
    pub failure: Option<FailureView>,
    /// Where the client would be sent to.
    pub redirect_status: Option<u16>,
}

/// The request that is explained.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AskedRequest {
    /// As it would be sent.
    pub method: String,
    /// The field `Host`.
    pub host: String,
    /// The target.
    pub path: String,
    /// Names of the headers that were given.
    pub headers: Vec<String>,
    /// The client as it would be believed to be; none where nobody said.
    pub client_ip: Option<String>,
}

/// The listener that would take the request.
#[derive(Debug, Serialize, ToSchema)]
pub struct ListenerView {
    /// Its name.
    pub name: String,
    /// Its addresses.
    pub addresses: Vec<String>,
    /// Whether it speaks TLS.
    pub tls: bool,
    /// Why this one.
    pub reason: String,
}

/// What the client is told when no server answers.
#[derive(Debug, Serialize, ToSchema)]
pub struct FailureView {
    /// The failure's name, as in `x-loadweaver-failure`.
    #[schema(example = "no_server")]
    pub code: &'static str,
    /// The status of the answer; 0 is none at all.
    pub status: u16,
    /// Whether the pool's `fallback` answers.
    pub fallback: bool,
    /// Whether this would happen now, or only if no server could take the request.
    pub now: bool,
}

impl FailureView {
    fn of(failure: Failure, pool: Option<&PoolState>, now: bool) -> Self {
        let (status, fallback) = status_of(failure, pool);
        Self { code: failure.code(), status, fallback, now }
    }
}

/// Explains a request.
///
/// # Errors
/// What cannot be understood of the question.
pub fn explain(scene: &Scene<'_>, asked: &Asked) -> Result<Explanation, Misfit> {
    let snapshot = scene.snapshot;
    let Located { listener, reason } = asked.locate(scene)?;
    let host = asked.host_at(listener, scene);
    let head = asked.head(&host)?;
    let course = snapshot.explain(Imagined { head: &head, listener, client: asked.client });
    let addresses = scene.addresses.iter().filter(|(name, _)| *name == listener.name);
    let mut explanation = Explanation {
        summary: String::new(),
        outcome: "refused",
        config_version: snapshot.version,
        live: scene.live.is_some(),
        request: AskedRequest {
            method: asked.method.clone(),
            host,
            path: asked.path.clone(),
            headers: asked.headers.iter().map(|(name, _)| name.clone()).collect(),
            client_ip: course.client.map(|client| client.to_string()),
        },
        listener: ListenerView {
            name: listener.name.to_string(),
            addresses: addresses.map(|(_, bind)| bind.to_string()).collect(),
            tls: listener.tls.is_some(),
            reason,
        },
        routes: Vec::new(),
        routes_not_tried: snapshot.config.routes.len(),
        route: None,
        pool: None,
        choice: None,
        servers: Vec::new(),
        terms: None,
        failure: None,
        redirect_status: None,
    };
    follow(&mut explanation, scene, (listener, asked), course);
    explanation.summary = text::summary(&explanation);
    Ok(explanation)
}

fn follow(
    explanation: &mut Explanation,
    scene: &Scene<'_>,
    (listener, asked): (&Listener, &Asked),
    course: Course,
) {
    let Course { client, reaches } = course;
    let refused = |failure, pool: Option<&PoolState>| Some(FailureView::of(failure, pool, true));
    let (tried, pool) = match reaches {
        Reached::Nothing(failure) => {
            explanation.failure = refused(failure, None);
            return;
        }
        Reached::Redirect(to) => {
            explanation.outcome = "redirected";
            explanation.redirect_status = Some(to.status);
            return;
        }
        Reached::Routes(tried) => {
            explanation.failure = refused(Failure::NoRoute, None);
            explanation.take_routes(scene, &tried, asked);
            return;
        }
        Reached::Route(tried, pool, failure) => {
            explanation.failure = refused(failure, Some(&pool));
            (tried, pool)
        }
        Reached::Pool(tried, pool) => (tried, pool),
    };
    explanation.take_routes(scene, &tried, asked);
    explanation.take_pool(scene, &pool, client);
    explanation.terms = Some(terms::of(&scene.snapshot.config, (&pool.config, listener), &asked.method));
}

impl Explanation {
    fn take_routes(&mut self, scene: &Scene<'_>, tried: &loadweaver_policy::route::Tried, asked: &Asked) {
        let routes = &scene.snapshot.config.routes;
        self.routes = routes::tried(routes, tried, (asked, &self.request.host));
        self.routes_not_tried = routes.len().saturating_sub(self.routes.len());
        let route = tried.route.and_then(|route| routes.get(route));
        self.route = route.map(|route| route.name.to_string());
        self.pool = route.map(|route| route.pool.to_string());
    }

    fn take_pool(&mut self, scene: &Scene<'_>, pool: &PoolState, client: Option<IpAddr>) {
        self.servers = choice::servers(scene, pool);
        let choice = choice::of(scene, pool, client);
        if self.failure.is_none() {
            let nobody = scene.live.is_some() && !self.servers.iter().any(|server| server.takes_traffic);
            let failure = if nobody { pool.refusal() } else { Failure::NoServer };
            self.failure = Some(FailureView::of(failure, Some(pool), nobody));
            self.outcome = if nobody { "failed" } else { "forwarded" };
        }
        self.choice = Some(choice);
    }
}
