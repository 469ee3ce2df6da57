//! `/api/pools`, and the algorithms.

use axum::extract::State;
use axum::http::header::LOCATION;
use axum::http::{HeaderValue, StatusCode};
use loadweaver_config::Algorithm;
use loadweaver_proxy::PoolState;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::answer::{Answer, Denied, Failure, Issue, Success, succeeded, succeeded_at};
use super::asked::{Name, Query, Sent, nearest};
use super::change::{ChangeDone, Wish, changed, response};
use super::edit::pools as edit;
use super::edit::servers::set_algorithm as edit_algorithm;
use super::openapi::{ChangeDenials, ChangeHeaders, ChangeParameters, LookDenials, SendDenials};
use super::servers::encoded;
use super::views::ServerView;
use super::{Api, secrets};

/// A pool and how it does.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct PoolView {
    #[schema(example = "app")]
    name: String,
    #[schema(example = "round_robin")]
    algorithm: &'static str,
    /// Servers that may have new traffic.
    up: usize,
    total: usize,
    /// Exchanges routed to it.
    requests: u64,
    /// Exchanges that ended in a failure.
    failures: u64,
    /// Attempts after the first one.
    retries: u64,
    retry_budget_exhausted: u64,
    /// Exchanges answered by its fallback.
    fallbacks: u64,
    /// How its servers are spoken to: `plain`, `verified`, or `not_verified`, which lets anybody be one.
    tls: &'static str,
}

impl PoolView {
    pub(super) fn of(pool: &PoolState) -> Self {
        Self {
            name: pool.config.name.to_string(),
            algorithm: pool.config.algorithm.name(),
            up: pool.up_count(),
            total: pool.servers.len(),
            requests: pool.counters.requests.get(),
            failures: pool.counters.failures.get(),
            retries: pool.counters.retries.get(),
            retry_budget_exhausted: pool.counters.retry_budget_exhausted.get(),
            fallbacks: pool.counters.fallbacks.get(),
            tls: match &pool.config.tls {
                None => "plain",
                Some(tls) if tls.verify => "verified",
                Some(_) => "not_verified",
            },
        }
    }
}

/// A pool with its servers, and what the file says of it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PoolDetail {
    #[serde(flatten)]
    pool: PoolView,
    servers: Vec<ServerView>,
    /// As it is written in the file, secrets left out: what `PUT` takes.
    #[schema(value_type = Object)]
    config: Value,
}

/// A pool as `config.json` has it.
#[derive(Debug, ToSchema)]
#[schema(value_type = Object, example = json!({"algorithm": "least_connections", "servers": [{"host": "127.0.0.1", "port": 3003}]}))]
#[expect(dead_code, reason = "what it holds is for the configuration's checker to judge")]
pub(super) struct PoolDocument(Value);

/// A pool as `config.json` has it, with its name.
#[derive(Debug, ToSchema)]
#[schema(value_type = Object, example = json!({"name": "api", "servers": [{"host": "127.0.0.1", "port": 3003}]}))]
#[expect(dead_code, reason = "what it holds is for the configuration's checker to judge")]
pub(super) struct NamedPool(Value);

/// All pools.
#[utoipa::path(get, path = "/api/pools", tag = "pools", responses((status = 200, body = Success<Vec<PoolView>>), LookDenials))]
pub(super) async fn list(State(api): State<Api>, query: Query) -> Answer {
    query.only(&[])?;
    Ok(succeeded(api.current.load().pools.iter().map(|pool| PoolView::of(pool)).collect::<Vec<_>>()))
}

/// One pool, with its servers and what the file says of it.
#[utoipa::path(get, path = "/api/pools/{name}", tag = "pools", params(("name" = String, Path)),
    responses((status = 200, body = Success<PoolDetail>, headers(("ETag" = String))),
        (status = 404, body = Failure, description = "There is no such pool"), (status = 503, body = Failure, description = "Not all listeners are open yet"), LookDenials))]
pub(super) async fn get(State(api): State<Api>, Name(name): Name, query: Query) -> Answer {
    query.only(&[])?;
    let (version, document) = api.written()?;
    let snapshot = api.current.load();
    let pool = snapshot.pool(&name);
    let pool = pool.ok_or_else(|| Denied::not_found(format!("there is no pool \"{name}\"")))?;
    let detail = PoolDetail {
        pool: PoolView::of(pool),
        servers: api.views_of(pool).collect(),
        config: edit::written(&secrets::masked(&document), &name),
    };
    Ok(succeeded_at(StatusCode::OK, version, detail))
}

/// Adds a pool.
#[utoipa::path(post, path = "/api/pools", tag = "pools", request_body = NamedPool, params(ChangeParameters, ChangeHeaders),
    responses((status = 201, body = Success<ChangeDone>, headers(("ETag" = String), ("Location" = String))),
        (status = 200, body = Success<ChangeDone>, description = "A dry run"), ChangeDenials, SendDenials))]
pub(super) async fn add(wish: Wish, body: Sent) -> Answer {
    let terms = wish.terms(&[])?;
    let mut pool = object(body.0)?;
    let Some(Value::String(name)) = pool.shift_remove("name") else {
        return Err(Denied::invalid(vec![Issue::new(
            "/name",
            "the pool has no name",
            "add \"name\": \"api\"",
        )]));
    };
    let at = format!("/api/pools/{}", encoded(&name));
    let add = move |document: &Value, config: &_| {
        let edited = edit::add(document, config, &name, Value::Object(pool.clone()))?;
        secrets::unmasked(edited, document)
    };
    let applied = wish.edit(terms, add).await?;
    if !applied.applied {
        return Ok(response(StatusCode::OK, applied));
    }
    let mut response = response(StatusCode::CREATED, applied);
    if let Ok(at) = HeaderValue::try_from(at) {
        response.headers_mut().insert(LOCATION, at);
    }
    Ok(response)
}

/// Replaces a pool. Servers that keep their ids keep their counters and, where the probe is the same, their health.
#[utoipa::path(put, path = "/api/pools/{name}", tag = "pools", request_body = PoolDocument,
    params(("name" = String, Path), ChangeParameters, ChangeHeaders),
    responses((status = 200, body = Success<ChangeDone>, headers(("ETag" = String))), ChangeDenials, SendDenials))]
pub(super) async fn replace(wish: Wish, Name(name): Name, body: Sent) -> Answer {
    let terms = wish.terms(&[])?;
    let pool = object(body.0)?;
    let replace = move |document: &Value, config: &_| {
        let edited = edit::replace(document, config, &name, Value::Object(pool.clone()))?;
        secrets::unmasked(edited, document)
    };
    changed(wish.edit(terms, replace).await)
}

/// Takes a pool out that no route leads to.
#[utoipa::path(delete, path = "/api/pools/{name}", tag = "pools",
    params(("name" = String, Path), ChangeParameters, ChangeHeaders),
    responses((status = 200, body = Success<ChangeDone>, headers(("ETag" = String))), ChangeDenials))]
pub(super) async fn remove(wish: Wish, Name(name): Name) -> Answer {
    let terms = wish.terms(&[])?;
    changed(wish.edit(terms, move |document, config| edit::remove(document, config, &name)).await)
}

pub(super) fn object(sent: Value) -> Result<Map<String, Value>, Denied> {
    match sent {
        Value::Object(map) => Ok(map),
        _ => Err(Denied::invalid(vec![Issue::new("", "not an object", "send { … }")])),
    }
}

/// The algorithms that a pool can have, in the order of the documentation.
#[utoipa::path(get, path = "/api/algorithms", tag = "pools", responses((status = 200, body = Success<Vec<String>>), LookDenials))]
pub(super) async fn algorithms(query: Query) -> Answer {
    query.only(&[])?;
    Ok(succeeded(Algorithm::ALL.map(Algorithm::name)))
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WantedAlgorithm {
    #[schema(example = "least_connections")]
    algorithm: String,
    /// May be left out where there is one pool.
    pool: Option<String>,
}

/// Sets a pool's algorithm.
#[utoipa::path(put, path = "/api/algorithm", tag = "pools", request_body = WantedAlgorithm, params(ChangeParameters, ChangeHeaders),
    responses((status = 200, body = Success<ChangeDone>, headers(("ETag" = String))), ChangeDenials, SendDenials))]
pub(super) async fn set_algorithm(wish: Wish, body: Sent) -> Answer {
    let terms = wish.terms(&[])?;
    let WantedAlgorithm { algorithm, pool } = body.take()?;
    let names = Algorithm::ALL.map(Algorithm::name);
    if !names.contains(&algorithm.as_str()) {
        let help = nearest(&algorithm, names).map_or_else(
            || format!("known are: {}", names.join(", ")),
            |near| format!("did you mean \"{near}\"?"),
        );
        return Err(Denied::invalid(vec![Issue::new("/algorithm", "this algorithm is not known", help)]));
    }
    let set =
        move |document: &Value, config: &_| edit_algorithm(document, config, &algorithm, pool.as_deref());
    changed(wish.edit(terms, set).await)
}
