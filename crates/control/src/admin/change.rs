//! What an operator is told about a change that was asked for.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use loadweaver_config::{Config, ServerEdit};
use loadweaver_telemetry::rfc3339;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::coordinator::command::{Edit, EditError, Reserved, Saved};
use crate::coordinator::{Command, Coordinator, Outcome};
use crate::followers::Followers;

use super::answer::{Answer, Denied, Issue, succeeded_at};
use super::asked::{Query, Terms};
use super::guard::Caller;
use super::secrets::variables;
use super::{Api, edit};

/// What became of a change.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ChangeDone {
    /// The version in force; of a dry run, the one that would be.
    #[schema(example = 7)]
    pub(super) version: u64,
    /// False for a dry run.
    pub(super) applied: bool,
    /// What changed, in words; empty where everything was so already.
    #[schema(example = json!(["pool app: server 10.0.0.7:3001 added"]))]
    pub(super) changes: Vec<String>,
    /// What is alive and touched by it, in words: connections of listeners and exchanges at servers that go.
    #[schema(example = json!(["pool app, server 10.0.0.7:3001: 3 exchanges have 30s to end"]))]
    pub(super) touched: Vec<String>,
    /// Whether it is in the file, and so outlives this process.
    pub(super) saved: bool,
    /// Why it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) not_saved_because: Option<String>,
    /// What is allowed and probably not meant.
    pub(super) warnings: Vec<Issue>,
    /// Settings that only a new start takes up.
    pub(super) needs_restart: Vec<String>,
    /// When it is undone unless it is confirmed (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) confirm_until: Option<String>,
}

impl Api {
    /// The way to the coordinator; there is none until the data plane runs.
    pub(super) fn coordinator(&self) -> Result<&Coordinator, Denied> {
        let sight = self.sight.get();
        sight.map(|sight| &sight.coordinator).ok_or_else(|| {
            Denied::not_now("starting", "the listeners are not open yet, so there is nothing to change")
        })
    }

    /// What follows the configuration beside the proxy.
    pub(super) fn followers(&self) -> Result<&Followers, Denied> {
        let sight = self.sight.get();
        sight
            .map(|sight| &sight.followers)
            .ok_or_else(|| Denied::not_now("starting", "the listeners are not open yet"))
    }

    /// What the operator wrote, secrets and all.
    pub(super) fn written(&self) -> Result<(u64, Value), Denied> {
        let view = self.coordinator()?.view();
        let version = view.versions.last().map_or(0, |version| version.number);
        let document = loadweaver_config::document(view.text.as_bytes());
        // It is in force, so it was read before.
        let document = document.map_err(|issues| Denied::not_now("unreadable", issues.to_string()))?;
        Ok((version, document))
    }
}

/// Somebody who wants a change: who, and on what conditions.
pub(super) struct Wish {
    pub(super) api: Api,
    caller: Caller,
    headers: HeaderMap,
    query: Query,
}

impl FromRequestParts<Api> for Wish {
    type Rejection = Denied;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Denied> {
        Ok(Self {
            api: api.clone(),
            caller: Caller::from_request_parts(parts, api).await?,
            headers: parts.headers.clone(),
            query: Query::from_request_parts(parts, api).await?,
        })
    }
}

impl Wish {
    /// The conditions; `more` are parameters that this change takes besides.
    pub(super) fn terms(&self, more: &[&str]) -> Result<Terms, Denied> {
        Terms::of(&self.headers, &self.query, more)
    }

    /// The conditions of a change that takes no parameters.
    pub(super) fn conditions(&self) -> Result<Terms, Denied> {
        self.query.only(&[])?;
        self.terms(&[])
    }

    /// One of those parameters.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.query.text(name).map(str::to_owned)
    }

    /// Asks the coordinator for a change.
    pub(super) async fn submit(&self, terms: Terms, edit: Edit) -> Result<ChangeDone, Denied> {
        let coordinator = self.api.coordinator()?;
        let Terms { base, dry_run, confirm } = terms;
        let command = Command { base, edit, origin: self.caller.origin(), dry_run, confirm };
        let outcome = coordinator.submit(command).await?;
        let until = confirm.filter(|_| !dry_run).and_then(|_| coordinator.view().confirm_until);
        Ok(applied(outcome, dry_run, until.map(rfc3339)))
    }

    /// Asks for an edit of the document, made with the configuration that it stands for beside it.
    /// It may be asked twice, first with a document that has no servers in it; see [`Edit::Document`].
    pub(super) async fn edit(
        &self,
        terms: Terms,
        edit: impl Fn(&Value, &Config) -> Result<Value, EditError> + Send + 'static,
    ) -> Result<ChangeDone, Denied> {
        let current = self.api.current.clone();
        // It runs on the coordinator's side, where nothing changes between the document and what is in force.
        let edit =
            move |document: &Value| without_new_variables(document, edit(document, &current.load().config)?);
        self.submit(terms, Edit::Document(Box::new(edit))).await
    }

    /// Asks for an edit of the whole document.
    pub(super) async fn edit_whole(
        &self,
        terms: Terms,
        edit: impl FnOnce(&Value, &Config) -> Result<Value, EditError> + Send + 'static,
    ) -> Result<ChangeDone, Denied> {
        let current = self.api.current.clone();
        let edit =
            move |document: &Value| without_new_variables(document, edit(document, &current.load().config)?);
        self.submit(terms, Edit::Whole(Box::new(edit))).await
    }

    /// Asks for an edit of one server, by values without variables: nobody looks whether those are new.
    pub(super) async fn edit_server(
        &self,
        terms: Terms,
        pick: impl FnOnce(&Config) -> Result<(Arc<str>, ServerEdit), EditError> + Send + 'static,
    ) -> Result<ChangeDone, Denied> {
        self.submit(terms, Edit::Server(Box::new(pick))).await
    }
}

fn without_new_variables(document: &Value, wanted: Value) -> Result<Value, EditError> {
    let variables = variables::new_ones(document, &wanted);
    if variables.is_empty() { Ok(wanted) } else { Err(EditError::Reserved(Reserved::Variables(variables))) }
}

fn applied(outcome: Outcome, dry_run: bool, confirm_until: Option<String>) -> ChangeDone {
    let (saved, not_saved_because) = match outcome.saved {
        _ if dry_run => (false, Some("only tried".to_owned())),
        Saved::Yes | Saved::NotNeeded => (true, None),
        Saved::No(why) => (false, Some(why)),
    };
    ChangeDone {
        version: outcome.version,
        applied: !dry_run,
        changes: outcome.changes,
        touched: outcome.touched,
        saved,
        not_saved_because,
        warnings: outcome.warnings.into_iter().map(Issue::from).collect(),
        needs_restart: outcome.needs_restart.into_iter().map(str::to_owned).collect(),
        confirm_until,
    }
}

/// The answer to a change that makes or removes nothing that has an address of its own.
pub(super) fn changed(outcome: Result<ChangeDone, Denied>) -> Answer {
    outcome.map(|done| response(StatusCode::OK, done))
}

pub(super) fn response(status: StatusCode, applied: ChangeDone) -> Response {
    succeeded_at(status, applied.version, applied)
}

/// A server, by the id and pool that a request names.
pub(super) fn find<'c>(
    config: &'c Config,
    id: &'c str,
    pool: Option<&str>,
) -> Result<(&'c str, usize), Denied> {
    let (pool, place) = edit::server(config, id, pool)?;
    Ok((&pool.name, place))
}
