//! The listener for operators: JSON about what runs, on a thread that no request can keep busy.
//!
//! It binds loopback only (the configuration's checker sees to that), so the only strangers who can reach it are web
//! pages in a browser on the same machine. Therefore each request must name this machine in `Host` (a page that
//! rebinds its own name to 127.0.0.1 cannot) and, where a browser says where a request comes from, in `Origin`.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use loadweaver_policy::health;
use loadweaver_proxy::{PoolState, Snapshot};
use loadweaver_telemetry::log;

use crate::current::Current;
use crate::plane::{Sight, Watched};
use crate::readiness::Stage;
use answer::{failed, succeeded};

mod answer;
mod names;
mod seats;
mod status;

/// What the answers are made of. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    watched: Arc<Watched>,
    current: Current,
    sight: Arc<OnceLock<Sight>>,
    bound: Option<SocketAddr>,
}

impl Api {
    pub(crate) fn new(
        watched: Watched,
        current: Current,
        sight: Arc<OnceLock<Sight>>,
        bound: Option<SocketAddr>,
    ) -> Self {
        Self { watched: Arc::new(watched), current, sight, bound }
    }

    fn router(self) -> Router {
        Router::new()
            .route("/status", get(status))
            .route("/livez", get(livez))
            .route("/readyz", get(readyz))
            .fallback(not_found)
            .method_not_allowed_fallback(method_not_allowed)
            .layer(from_fn_with_state(self.clone(), guard))
            .with_state(self)
    }
}

/// Serves for ever.
pub(crate) async fn serve(listener: io::Result<std::net::TcpListener>, api: Api) -> Infallible {
    match listener.and_then(tokio::net::TcpListener::from_std) {
        // axum's loop answers accept errors with a pause and never returns.
        Ok(listener) => drop(axum::serve(seats::Seats::new(listener), api.router()).await),
        Err(error) => tracing::error!(target: log::ADMIN, %error, "the admin listener cannot be used"),
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    // The supervisor tells and starts anew.
    std::panic::resume_unwind(Box::new("the admin listener ended"))
}

async fn status(State(api): State<Api>) -> Response {
    succeeded(&status::of(&api.watched, &api.current.load(), api.sight.get()))
}

/// The thread answers, so the process lives.
async fn livez() -> &'static str {
    "ok\n"
}

async fn readyz(State(api): State<Api>) -> Response {
    let because = |why| failed(StatusCode::SERVICE_UNAVAILABLE, api.watched.readiness.stage().name(), why);
    match api.watched.readiness.stage() {
        Stage::Ready => match first_waiting(&api.watched.snapshot) {
            None => "ok\n".into_response(),
            Some(pool) => failed(
                StatusCode::SERVICE_UNAVAILABLE,
                Stage::Starting.name(),
                &format!("the servers of pool {pool} wait for their first probe"),
            ),
        },
        Stage::Starting => because("not all listeners are open yet"),
        Stage::Draining => {
            because("shutting down: exchanges under way are finished, new ones should go elsewhere")
        }
    }
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

async fn not_found() -> Response {
    failed(StatusCode::NOT_FOUND, "not_found", "there is nothing here; see /status, /livez and /readyz")
}

async fn method_not_allowed() -> Response {
    failed(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "this address answers GET and HEAD only")
}

/// Lets in who means this machine, and keeps answers out of caches and out of guesses about their type.
async fn guard(State(api): State<Api>, request: Request, next: Next) -> Response {
    let mut response = if names::are_ours(&request, api.bound) {
        next.run(request).await
    } else {
        failed(
            StatusCode::FORBIDDEN,
            "foreign_host",
            "Host and Origin must name this machine: localhost, a loopback address, or the admin listener's own",
        )
    };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

#[cfg(test)]
mod tests;
