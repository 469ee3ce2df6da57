//! The listener for operators: JSON about what runs, and changes of it, on a thread that no request can keep busy.
//!
//! Every change is a command to the coordinator, with the version that it was made for, and every answer says what it
//! did. Who may ask is in `guard`; the parts of a request are read in `asked`; the document of what there is
//! (`openapi`) is made from the handlers.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use loadweaver_policy::health;
use loadweaver_proxy::{PoolState, Snapshot};
use loadweaver_telemetry::log;
use tokio::sync::Semaphore;

use crate::current::Current;
use crate::history::History;
use crate::plane::{Sight, Watched};
use crate::rates::Rates;
use crate::readiness::Stage;
use answer::{Answer, Denied, Failure, Success, succeeded_with_all};
use asked::Query;
use guard::Logins;
use openapi::LookDenials;

mod answer;
mod asked;
mod change;
mod config;
mod dashboard;
pub(crate) mod door;
mod edit;
mod events;
mod explain;
mod exposition;
mod guard;
mod history;
mod metrics;
mod names;
mod openapi;
mod pack;
mod pools;
mod problems;
mod recoveries;
mod requests;
mod routes;
mod seats;
mod secrets;
mod servers;
mod status;
mod sums;
pub(crate) mod tls;
mod views;
mod vitals;
mod webhooks;

/// What the answers are made of. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    watched: Arc<Watched>,
    current: Current,
    sight: Arc<OnceLock<Sight>>,
    bound: Option<SocketAddr>,
    /// It listens on a Unix socket whose mode was chosen by somebody who had tokens in mind.
    had_tokens: bool,
    rates: Rates,
    history: History,
    logins: Arc<Logins>,
    streams: Arc<Semaphore>,
    /// One page of metrics is made at a time: threads are for changes.
    pages: Arc<Semaphore>,
    document: Arc<OnceLock<String>>,
}

/// What is read off counters now and then.
#[derive(Debug, Clone, Default)]
pub(crate) struct Numbers {
    pub(crate) rates: Rates,
    pub(crate) history: History,
}

impl Api {
    pub(crate) fn new(
        watched: Watched,
        current: Current,
        sight: Arc<OnceLock<Sight>>,
        bound: Option<SocketAddr>,
        Numbers { rates, history }: Numbers,
    ) -> Self {
        let admin = watched.snapshot.config.admin.as_ref();
        let had_tokens = bound.is_none() && admin.is_some_and(|admin| !admin.tokens.is_empty());
        Self {
            had_tokens,
            watched: Arc::new(watched),
            current,
            sight,
            bound,
            rates,
            history,
            logins: Arc::default(),
            streams: events::seats(),
            pages: Arc::new(Semaphore::new(1)),
            document: Arc::default(),
        }
    }

    fn router(self) -> Router {
        let (router, document) = openapi::router().split_for_parts();
        let _ = self.document.set(openapi::text(document));
        router
            .fallback(not_found)
            .method_not_allowed_fallback(method_not_allowed)
            .layer(from_fn_with_state(self.clone(), pack::pack))
            .layer(from_fn_with_state(self.clone(), guard::guard))
            .with_state(self)
    }
}

/// The OpenAPI document of this version.
pub fn openapi() -> String {
    openapi::text(openapi::router().split_for_parts().1)
}

/// Serves for ever.
pub(crate) async fn serve(listener: io::Result<door::Door>, identity: tls::Identity, api: Api) -> Infallible {
    match listener.and_then(door::Door::open) {
        // axum's loop answers accept errors with a pause and never returns.
        Ok(listener) => drop(axum::serve(seats::Seats::new(listener, identity), api.router()).await),
        Err(error) => tracing::error!(target: log::ADMIN, %error, "the admin listener cannot be used"),
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    // The supervisor tells and starts anew.
    std::panic::resume_unwind(Box::new("the admin listener ended"))
}

/// Everything at a glance.
#[utoipa::path(get, path = "/status", tag = "node", responses((status = 200, body = Success<status::Status>), LookDenials))]
async fn status(State(api): State<Api>) -> Response {
    let snapshot = api.current.load();
    let servers = snapshot.pools.iter().map(|pool| pool.servers.len()).sum();
    succeeded_with_all(servers, status::of(&api.watched, &snapshot, api.sight.get()))
}

/// The thread answers, so the process lives. Needs no token.
#[utoipa::path(get, path = "/livez", tag = "node", security(()),
    responses((status = 200, body = String, content_type = "text/plain"), (status = 403, body = Failure, description = "Host or Origin is foreign")))]
async fn livez() -> &'static str {
    "ok\n"
}

/// Whether new traffic is welcome. Needs no token.
#[utoipa::path(get, path = "/readyz", tag = "node", security(()),
    responses((status = 200, body = String, content_type = "text/plain"), (status = 403, body = Failure, description = "Host or Origin is foreign"),
        (status = 503, body = Failure, description = "Starting, or shutting down")))]
async fn readyz(State(api): State<Api>) -> Answer {
    let because = |why: &str| {
        let stage = api.watched.readiness.stage().name();
        Err(Denied::new(StatusCode::SERVICE_UNAVAILABLE, stage, why))
    };
    match api.watched.readiness.stage() {
        Stage::Ready => match first_waiting(&api.current.load()) {
            None => Ok("ok\n".into_response()),
            Some(pool) => Err(Denied::new(
                StatusCode::SERVICE_UNAVAILABLE,
                Stage::Starting.name(),
                format!("the servers of pool {pool} wait for their first probe"),
            )),
        },
        Stage::Starting => because("not all listeners are open yet"),
        Stage::Draining => {
            because("shutting down: exchanges under way are finished, new ones should go elsewhere")
        }
    }
}

/// This document.
#[utoipa::path(get, path = "/openapi.json", tag = "node", responses((status = 200, body = Object), LookDenials))]
async fn document(State(api): State<Api>, query: Query) -> Answer {
    query.only(&[])?;
    let text = api.document.get().cloned().unwrap_or_default();
    Ok(([(CONTENT_TYPE, "application/json")], text).into_response())
}

/// A pool none of whose servers may have traffic because none of them has been probed yet (`startDown`).
fn first_waiting(snapshot: &Snapshot) -> Option<&str> {
    let waits = |pool: &PoolState| {
        pool.config.health_check.start_down
            && pool.up_count() == 0
            && (0..pool.servers.len()).any(|server| pool.health(server).state == health::State::Unknown)
    };
    snapshot.pools.iter().find(|pool| waits(pool)).map(|pool| &*pool.config.name)
}

async fn not_found() -> Denied {
    Denied::not_found("there is nothing here; see /openapi.json for what there is")
}

async fn method_not_allowed() -> Denied {
    let message = "this address does not answer this method; see the header Allow";
    Denied::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
}

#[cfg(test)]
mod tests;
