//! `/api/recoveries`: how servers are brought back, and an attempt now.

use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use crate::recovery::{PoolView, TriggerError};

use super::Api;
use super::answer::{Answer, Denied, Failure, Success, succeeded, succeeded_with};
use super::asked::{Name, Query};
use super::change::find;
use super::openapi::{LookDenials, PoolParameter};

/// Pools whose servers are brought back: attempts, successes, how long it took, and the last attempts of each server.
#[utoipa::path(get, path = "/api/recoveries", tag = "recoveries",
    responses((status = 200, body = Success<Vec<PoolView>>),
        (status = 503, body = Failure, description = "Not all listeners are open yet"), LookDenials))]
pub(super) async fn list(State(api): State<Api>, query: Query) -> Answer {
    query.only(&[])?;
    Ok(succeeded(api.followers()?.recoveries.views()))
}

/// An attempt that was asked for.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Triggered {
    server_id: String,
    pool: String,
}

/// Begins an attempt now, whatever the server's health.
#[utoipa::path(post, path = "/api/servers/{serverId}/recover", tag = "recoveries",
    params(("serverId" = String, Path), PoolParameter),
    responses((status = 202, body = Success<Triggered>), (status = 404, body = Failure, description = "There is no such server"),
        (status = 409, body = Failure, description = "It stands in several pools, has no recovery, or an attempt is under way"),
        (status = 503, body = Failure, description = "Not all listeners are open yet"), LookDenials))]
pub(super) async fn trigger(State(api): State<Api>, Name(id): Name, query: Query) -> Answer {
    query.only(&["pool"])?;
    let snapshot = api.current.load();
    let (pool, _) = find(&snapshot.config, &id, query.text("pool"))?;
    match api.followers()?.recoveries.trigger(pool, &id) {
        Ok(()) => Ok(succeeded_with(
            StatusCode::ACCEPTED,
            Triggered { pool: pool.to_owned(), server_id: id.clone() },
        )),
        Err(TriggerError::Unknown | TriggerError::NotConfigured) => {
            Err(Denied::conflict(TriggerError::NotConfigured.to_string()))
        }
        Err(TriggerError::UnderWay) => Err(Denied::conflict(TriggerError::UnderWay.to_string())),
    }
}
