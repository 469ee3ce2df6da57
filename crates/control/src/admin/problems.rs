//! `/api/problems`: what is wrong now, in words.

use std::time::SystemTime;

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::problems::{self, Problem, Scene, WINDOW};

use super::Api;
use super::answer::{Answer, Success, succeeded};
use super::asked::Query;
use super::openapi::LookDenials;

/// What is wrong.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Problems {
    /// All of it in a sentence.
    #[schema(example = "All is well. All 3 servers may have new requests.")]
    summary: String,
    /// The worst first; none where all is well.
    problems: Vec<Problem>,
}

/// What is wrong now, in words, the worst first: pools without servers, sick servers, errors, a start or an end under
/// way, refused and unconfirmed changes, certificates that expire, webhooks that are not delivered, recoveries that are
/// held or were given up.
#[utoipa::path(get, path = "/api/problems", tag = "node", responses((status = 200, body = Success<Problems>), LookDenials))]
pub(super) async fn list(State(api): State<Api>, query: Query) -> Answer {
    query.only(&[])?;
    let snapshot = api.current.load();
    let sight = api.sight.get();
    let view = sight.map(|sight| sight.coordinator.view());
    let followers = sight.map(|sight| &sight.followers);
    let told = followers.map_or_else(Vec::new, |followers| {
        followers.webhooks.problems().into_iter().chain(followers.recoveries.problems()).collect()
    });
    let scene = Scene {
        snapshot: &snapshot,
        stage: api.watched.readiness.stage(),
        lately: api.rates.over(WINDOW),
        config: view.as_deref(),
        told,
    };
    let (summary, problems) = problems::look(scene, SystemTime::now());
    Ok(succeeded(Problems { summary, problems }))
}
