//! Who may ask, and what for.
//!
//! With tokens, who has one may; the role says whether to look or to change. They are taken from the configuration in
//! force at each request, so that a token that was taken out is good for nothing at once. Without tokens the listener
//! is bound to loopback and whoever can connect may, but for web pages: those are told from people by `Host` (a page
//! that rebinds its own name to 127.0.0.1 cannot name this machine) and by `Origin`.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{SHA256, digest};
use axum::extract::{FromRequestParts, Request, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, AUTHORIZATION,
    CACHE_CONTROL, ORIGIN, VARY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use loadweaver_config::{Admin, Role};
use loadweaver_telemetry::log;
use serde::Serialize;
use subtle::{Choice, ConstantTimeEq};
use utoipa::ToSchema;

use crate::coordinator::Origin;

use super::answer::{Answer, Denied, Success, succeeded};
use super::asked::Query;
use super::openapi::LookDenials;
use super::{Api, dashboard, names};

/// One line in the log for all failed logins of this time.
const LOGIN_LINES: Duration = Duration::from_secs(10);

/// How long a browser may remember what a page of another origin may do, in seconds.
const PREFLIGHT: &str = "600";

/// Whoever asks.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    /// The name of the token; none where there are no tokens.
    name: Option<Arc<str>>,
    role: Role,
    proof: Option<Proof>,
}

/// What a presented token hashes to. All are equally long, so that a comparison tells nothing of the token's length.
type Proof = [u8; 32];

impl Caller {
    /// As the origin of a change.
    pub(super) fn origin(&self) -> Origin {
        Origin::Api(self.name.clone())
    }

    /// Whether what let the caller in still would, for answers that go on for hours. A token that is gone lets nobody
    /// in, not even where none is needed any more: whoever took it out meant it.
    pub(super) fn is_still_known(&self, api: &Api) -> bool {
        let snapshot = api.current.load();
        let admin = snapshot.config.admin.as_ref();
        match self.proof {
            Some(proof) => admin.is_some_and(|admin| role_of(admin, &proof).is_some()),
            None => admin.is_some_and(|admin| admin.tokens.is_empty()),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Denied;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Denied> {
        // Put there by `guard`, which stands before every route.
        let caller = parts.extensions.get::<Self>().cloned();
        caller.ok_or_else(|| Denied::unauthorized("nobody has looked at who asks", "Bearer"))
    }
}

/// Lets in who may ask, and keeps answers out of caches and out of guesses about their type.
pub(super) async fn guard(State(api): State<Api>, mut request: Request, next: Next) -> Response {
    let snapshot = api.current.load();
    let admin = snapshot.config.admin.as_ref();
    let page = foreign_page(admin, request.headers());
    let mut response = match admit(&api, admin, &request) {
        Err(denied) => denied.into_response(),
        Ok(_) if page.is_some() && is_preflight(&request) => preflight(),
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
    };
    let headers = response.headers_mut();
    // Parts of the dashboard say themselves for how long they are good.
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Some(origin) = page {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("etag, location"));
        headers.insert(VARY, HeaderValue::from_static("origin"));
    }
    response
}

fn admit(api: &Api, admin: Option<&Admin>, request: &Request) -> Result<Caller, Denied> {
    let tokens = admin.map(|admin| admin.tokens.as_slice()).unwrap_or_default();
    let is_open_to_others = api.bound.is_some_and(|bound| !bound.ip().to_canonical().is_loopback());
    let any_host = !tokens.is_empty() && is_open_to_others;
    let origins = if tokens.is_empty() { &[] } else { admin.map_or(&[][..], |admin| &admin.origins) };
    if !names::host_is_ours(request, api.bound) && !any_host {
        let message =
            "Host must name this machine: localhost, a loopback address, or the admin listener's own";
        return Err(Denied::new(StatusCode::FORBIDDEN, "foreign_host", message));
    }
    if !names::origin_is_ours(request, api.bound, origins) {
        let message =
            "Origin must be the admin listener's own, or one of \"admin\": {\"origins\": [ … ]} with tokens";
        return Err(Denied::new(StatusCode::FORBIDDEN, "foreign_origin", message));
    }
    let path = request.uri().path();
    // The dashboard's page and its parts are the same for everybody: what they show is asked for with a token.
    let is_open = matches!(path, "/" | "/livez" | "/readyz") || path.starts_with(dashboard::ASSETS);
    let needs_no_token = is_open || is_preflight(request);
    if tokens.is_empty() && (is_open_to_others || api.had_tokens) && !needs_no_token {
        // It was bound when there were tokens; without them it would be anybody's.
        let message =
            "the configuration has no tokens any more, and this listener is open to others: start anew";
        return Err(Denied::new(StatusCode::FORBIDDEN, "no_tokens", message));
    }
    if admin.is_none() && !needs_no_token {
        // Whoever took the section out, tokens and all, did not mean to let everybody in until the next start.
        let message = "the configuration has no admin listener any more; it is closed by the next start";
        return Err(Denied::new(StatusCode::FORBIDDEN, "no_admin", message));
    }
    let Some(admin) = admin.filter(|admin| !admin.tokens.is_empty() && !needs_no_token) else {
        return Ok(Caller { name: None, role: Role::Write, proof: None });
    };
    let proof = proof(request.headers()).ok_or_else(|| {
        Denied::unauthorized("send a token: Authorization: Bearer …", "Bearer realm=\"loadweaver\"")
    })?;
    let Some((name, role)) = role_of(admin, &proof) else {
        api.logins.failed(request);
        let challenge = "Bearer realm=\"loadweaver\", error=\"invalid_token\"";
        return Err(Denied::unauthorized("this token is not known", challenge));
    };
    let looks = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    if role == Role::Read && !looks {
        let message = format!("the token \"{name}\" has the role \"read\"; changes take \"write\"");
        return Err(Denied::new(StatusCode::FORBIDDEN, "read_only", message));
    }
    Ok(Caller { name: Some(name), role, proof: Some(proof) })
}

/// Who asks.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CallerView {
    /// The name of the token; none where there are no tokens.
    token: Option<String>,
    /// `read` may look, `write` may also change.
    #[schema(example = "write")]
    role: &'static str,
}

/// Who asks, and what they may do.
#[utoipa::path(get, path = "/api/whoami", tag = "node", responses((status = 200, body = Success<CallerView>), LookDenials))]
pub(super) async fn whoami(caller: Caller, query: Query) -> Answer {
    query.only(&[])?;
    let role = match caller.role {
        Role::Read => "read",
        Role::Write => "write",
    };
    Ok(succeeded(CallerView { token: caller.name.map(|name| name.to_string()), role }))
}

/// The presented token's hash (RFC 6750, section 2.1).
fn proof(headers: &HeaderMap) -> Option<Proof> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (value, None) = (values.next()?, values.next()) else { return None };
    let (scheme, token) = value.to_str().ok()?.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| hash(token.trim_start()))
}

fn hash(token: &str) -> Proof {
    let mut hash = Proof::default();
    hash.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
    hash
}

/// Whose token it is. Looks at all of them, so that the time tells nothing of which one it is or how near it is.
fn role_of(admin: &Admin, proof: &Proof) -> Option<(Arc<str>, Role)> {
    let mut found = None;
    for token in &admin.tokens {
        let same: Choice = hash(token.token.reveal()).ct_eq(proof);
        if bool::from(same) {
            found = Some((Arc::clone(&token.name), token.role));
        }
    }
    found
}

/// The origin of a page that is not ours but may ask.
fn foreign_page(admin: Option<&Admin>, headers: &HeaderMap) -> Option<HeaderValue> {
    let admin = admin.filter(|admin| !admin.tokens.is_empty())?;
    let origin = headers.get(ORIGIN)?;
    let known = admin.origins.iter().any(|known| known.as_bytes() == origin.as_bytes());
    known.then(|| origin.clone())
}

fn is_preflight(request: &Request) -> bool {
    request.method() == Method::OPTIONS
        && request.headers().contains_key(ORIGIN)
        && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

fn preflight() -> Response {
    let headers = [
        (ACCESS_CONTROL_ALLOW_METHODS, "GET, HEAD, POST, PUT, PATCH, DELETE"),
        (ACCESS_CONTROL_ALLOW_HEADERS, "authorization, content-type, if-match, last-event-id"),
        (ACCESS_CONTROL_MAX_AGE, PREFLIGHT),
    ];
    (StatusCode::NO_CONTENT, headers).into_response()
}

/// Failed logins, of which somebody may make thousands a second.
#[derive(Debug, Default)]
pub(super) struct Logins(Mutex<(Option<Instant>, u64)>);

impl Logins {
    fn failed(&self, request: &Request) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (told, untold) = &mut *state;
        *untold += 1;
        let now = Instant::now();
        if told.is_none_or(|told| now.duration_since(told) >= LOGIN_LINES) {
            let path = request.uri().path();
            tracing::warn!(target: log::ADMIN, count = *untold, path, "an unknown token was sent");
            (*told, *untold) = (Some(now), 0);
        }
    }
}

#[cfg(test)]
mod tests;
