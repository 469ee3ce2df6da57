//! `/api/webhooks`: how messages fare, a message to try, and one of the past again.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use crate::webhooks::{NotAgain, WebhookView};

use super::Api;
use super::answer::{Answer, Denied, Failure, Success, succeeded, succeeded_with};
use super::asked::{Name, Query};
use super::openapi::LookDenials;

/// Each webhook with its last deliveries.
#[utoipa::path(get, path = "/api/webhooks", tag = "webhooks",
    responses((status = 200, body = Success<Vec<WebhookView>>),
        (status = 503, body = Failure, description = "Not all listeners are open yet"), LookDenials))]
pub(super) async fn list(State(api): State<Api>, query: Query) -> Answer {
    query.only(&[])?;
    Ok(succeeded(api.followers()?.webhooks.views()))
}

/// A message that is on its way.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SentMessage {
    /// Its id: `X-LoadWeaver-Delivery`, and the id of the delivery in `GET /api/webhooks`.
    delivery: String,
}

impl SentMessage {
    fn response(delivery: String) -> Response {
        succeeded_with(StatusCode::ACCEPTED, Self { delivery })
    }
}

/// Sends a message that says that it is a test.
#[utoipa::path(post, path = "/api/webhooks/{name}/test", tag = "webhooks", params(("name" = String, Path)),
    responses((status = 202, body = Success<SentMessage>), (status = 404, body = Failure, description = "There is no such webhook"),
        (status = 409, body = Failure, description = "Tests are under way already"),
        (status = 503, body = Failure, description = "Not all listeners are open yet"), LookDenials))]
pub(super) async fn test(State(api): State<Api>, Name(name): Name, query: Query) -> Answer {
    query.only(&[])?;
    api.followers()?.webhooks.test(&name).map(SentMessage::response).map_err(denied)
}

/// Sends a message of the past again: the same id and the same bytes.
#[utoipa::path(post, path = "/api/webhooks/{name}/deliveries/{delivery}/redeliver", tag = "webhooks",
    params(("name" = String, Path), ("delivery" = String, Path)),
    responses((status = 202, body = Success<SentMessage>), (status = 404, body = Failure, description = "There is no such webhook or delivery"),
        (status = 409, body = Failure, description = "It is under way, or its body is not kept any more"),
        (status = 503, body = Failure, description = "Not all listeners are open yet"), LookDenials))]
pub(super) async fn redeliver(
    State(api): State<Api>,
    path: Result<Path<(String, String)>, axum::extract::rejection::PathRejection>,
    query: Query,
) -> Answer {
    query.only(&[])?;
    let Ok(Path((name, delivery))) = path else {
        return Err(Denied::new(
            StatusCode::BAD_REQUEST,
            "bad_path",
            "the path is not percent-encoded UTF-8",
        ));
    };
    let again = api.followers()?.webhooks.redeliver(&name, &delivery);
    again.map(|()| SentMessage::response(delivery)).map_err(denied)
}

fn denied(why: NotAgain) -> Denied {
    match why {
        NotAgain::Unknown => Denied::not_found("there is no such webhook or delivery"),
        NotAgain::Pending => Denied::conflict("it is being delivered anyway"),
        NotAgain::BodyGone => Denied::conflict("its body was too large to be kept for so long"),
        NotAgain::TooMany => Denied::conflict("too many messages of this kind wait"),
    }
}
