//! `/api/config`: the whole of it, its versions, and the ways back.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use loadweaver_config::MAX_CONFIG_BYTES;
use loadweaver_config::patch::{self, PatchError};
use loadweaver_telemetry::rfc3339;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::coordinator::command::{Edit, EditError};

use super::answer::{Answer, Failure, Issue, Success, succeeded, succeeded_at};
use super::asked::{Query, Sent, media_type, read};
use super::change::{ChangeDone, Wish, changed};
use super::openapi::{ChangeDenials, ChangeHeaders, ChangeParameters, LookDenials, SendDenials};
use super::secrets::Sealed;
use super::{Api, secrets};

const JSON: &str = "application/json";
const JSON_PATCH: &str = "application/json-patch+json";
const MERGE_PATCH: &str = "application/merge-patch+json";

/// A configuration as `config.json` has it.
#[derive(Debug, ToSchema)]
#[schema(value_type = Object)]
#[expect(dead_code, reason = "what it holds is for the configuration's checker to judge")]
pub(super) struct ConfigDocument(Value);

/// What the file says: placeholders as they are written, secrets as `***`.
#[utoipa::path(get, path = "/api/config", tag = "config",
    responses((status = 200, body = Success<ConfigDocument>, headers(("ETag" = String, description = "The version, in quotes"))),
        (status = 503, body = Failure, description = "Not all listeners are open yet"), LookDenials))]
pub(super) async fn get(State(api): State<Api>, query: Query) -> Answer {
    query.only(&[])?;
    let (version, document) = api.written()?;
    Ok(succeeded_at(StatusCode::OK, version, secrets::masked(&document)))
}

/// Replaces the configuration. Text that does not change stays byte for byte; a secret that is sent as `***` stays
/// what it is.
#[utoipa::path(put, path = "/api/config", tag = "config", request_body = ConfigDocument, params(ChangeParameters, ChangeHeaders),
    responses((status = 200, body = Success<ChangeDone>, headers(("ETag" = String))), ChangeDenials, SendDenials))]
pub(super) async fn put(wish: Wish, request: Request) -> Answer {
    let terms = wish.terms(&[])?;
    media_type(request.headers(), &[JSON])?;
    let wanted = read(request, MAX_CONFIG_BYTES).await?;
    changed(wish.edit_whole(terms, move |document, _| secrets::unmasked(wanted, document)).await)
}

/// Changes parts of the configuration: a JSON Patch (RFC 6902) or a merge patch (RFC 7396) of what `GET` shows.
#[utoipa::path(patch, path = "/api/config", tag = "config",
    request_body(content((Object = "application/json-patch+json"), (Object = "application/merge-patch+json"))),
    params(ChangeParameters, ChangeHeaders),
    responses((status = 200, body = Success<ChangeDone>, headers(("ETag" = String))), ChangeDenials, SendDenials))]
pub(super) async fn patch(wish: Wish, request: Request) -> Answer {
    let terms = wish.terms(&[])?;
    let kind = media_type(request.headers(), &[JSON_PATCH, MERGE_PATCH])?;
    let wanted = read(request, MAX_CONFIG_BYTES).await?;
    let by_place = kind == JSON_PATCH && names_a_server(&wanted);
    let edit = move |document: &Value, _: &_| {
        let sealed = Sealed::new(document, &wanted)?;
        let patched = if kind == MERGE_PATCH {
            patch::merge_patch(&sealed.document, &wanted)
        } else {
            patch::json_patch(&sealed.document, &wanted).map_err(does_not_fit)?
        };
        secrets::unmasked(sealed.open(patched)?, document)
    };
    changed(if by_place { wish.edit_whole(terms, edit).await } else { wish.edit(terms, edit).await })
}

/// Whether any step is about a pool's list of servers, or a place in it.
fn names_a_server(steps: &Value) -> bool {
    let is_it = |pointer: &str| {
        let mut keys = pointer.split('/').skip(1);
        keys.next() == Some("pools") && keys.nth(1) == Some("servers")
    };
    let pointers = |step: &Value| ["path", "from"].iter().any(|key| step[key].as_str().is_some_and(is_it));
    steps.as_array().is_some_and(|steps| steps.iter().any(pointers))
}

fn does_not_fit(error: PatchError) -> EditError {
    match error {
        PatchError::Malformed(issue) => {
            EditError::Invalid { at: issue.at, problem: issue.problem, help: issue.help }
        }
        PatchError::Conflict(issue) => EditError::Conflict(format!("{}: {}", issue.at, issue.problem)),
    }
}

/// Keeps a change that would be undone by itself.
#[utoipa::path(post, path = "/api/config/confirm", tag = "config", params(ChangeHeaders),
    responses((status = 200, body = Success<ChangeDone>, headers(("ETag" = String))), ChangeDenials))]
pub(super) async fn confirm(wish: Wish) -> Answer {
    // Nothing of it can be tried, or confirmed in its turn.
    let terms = wish.conditions()?;
    changed(wish.submit(terms, Edit::Keep).await)
}

/// What was in force, and what was refused.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct VersionList {
    /// The version in force.
    current: u64,
    /// The last versions, the newest first.
    versions: Vec<VersionView>,
    /// When the version in force is undone unless it is confirmed (RFC 3339).
    confirm_until: Option<String>,
    /// Why what is in force is not in the file, where that is so.
    unsaved: Option<String>,
    /// The last change that was refused, until one is applied.
    refused: Option<RefusedView>,
}

#[derive(Debug, Serialize, ToSchema)]
struct VersionView {
    version: u64,
    /// Where it came from: `start`, `file`, `SIGHUP`, `api (NAME OF THE TOKEN)`.
    origin: String,
    /// RFC 3339.
    at: String,
    /// What it changed against the one before.
    changes: Vec<String>,
}

#[derive(Debug, Serialize, ToSchema)]
struct RefusedView {
    origin: String,
    /// RFC 3339.
    at: String,
    reason: String,
    issues: Vec<Issue>,
}

/// The last versions, and the last change that was refused.
#[utoipa::path(get, path = "/api/config/versions", tag = "config",
    responses((status = 200, body = Success<VersionList>), (status = 503, body = Failure, description = "Not all listeners are open yet"), LookDenials))]
pub(super) async fn versions(State(api): State<Api>, query: Query) -> Answer {
    query.only(&[])?;
    let view = api.coordinator()?.view();
    let versions = view.versions.iter().rev().map(|version| VersionView {
        version: version.number,
        origin: version.origin.to_string(),
        at: rfc3339(version.at),
        changes: version.changes.clone(),
    });
    let refused = view.refused.clone().map(|refused| RefusedView {
        origin: refused.origin.to_string(),
        at: rfc3339(refused.at),
        reason: refused.reason,
        issues: refused.issues.into_iter().map(Issue::from).collect(),
    });
    Ok(succeeded(VersionList {
        current: view.versions.last().map_or(0, |version| version.number),
        versions: versions.collect(),
        confirm_until: view.confirm_until.map(rfc3339),
        unsaved: view.unsaved.clone(),
        refused,
    }))
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Rollback {
    /// One of those that `GET /api/config/versions` lists.
    #[schema(example = 1)]
    version: u64,
}

/// Goes back to the text of an earlier version, as a new one.
#[utoipa::path(post, path = "/api/config/rollback", tag = "config", request_body = Rollback, params(ChangeParameters, ChangeHeaders),
    responses((status = 200, body = Success<ChangeDone>, headers(("ETag" = String))), ChangeDenials, SendDenials))]
pub(super) async fn rollback(wish: Wish, body: Sent) -> Answer {
    let terms = wish.terms(&[])?;
    let Rollback { version } = body.take()?;
    changed(wish.submit(terms, Edit::Rollback(version)).await)
}
