//! The two shapes of an answer, and every way in which a request can be denied.

use std::borrow::Cow;

use axum::http::header::{CONTENT_TYPE, ETAG, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::coordinator::Refusal;
use crate::coordinator::command::{EditError, Reserved};

/// What every handler returns.
pub(super) type Answer = Result<Response, Denied>;

/// How long whoever finds us busy should wait, in seconds.
const BUSY: u16 = 1;

/// `{"success": true, "data": …}`
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Success<Data> {
    #[schema(example = true)]
    success: bool,
    data: Data,
}

/// `{"success": false, "error": {"code", "message", "issues"}}`
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Failure {
    #[schema(example = false)]
    success: bool,
    error: Reason,
}

/// What is the matter.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = FailureReason)]
struct Reason {
    /// A word for programs; it stays the same while messages get better.
    #[schema(value_type = String, example = "invalid")]
    code: Cow<'static, str>,
    /// A sentence for people.
    message: String,
    /// Each thing that is wrong with what was sent, or with the configuration that it leads to.
    issues: Vec<Issue>,
    /// With 412: the version in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    current_version: Option<u64>,
    /// With 412: what has changed since the version that the request was made for, as far as it is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<Vec<String>>,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct Issue {
    /// JSON pointer (RFC 6901) into the body, or, once the body was understood, into the configuration that it leads
    /// to; a parameter is written with a question mark.
    #[schema(example = "/pools/app/servers/0/port")]
    pub(super) at: String,
    /// What is wrong.
    pub(super) problem: String,
    /// What to do about it.
    pub(super) help: String,
}

impl Issue {
    pub(super) fn new(at: impl Into<String>, problem: impl Into<String>, help: impl Into<String>) -> Self {
        Self { at: at.into(), problem: problem.into(), help: help.into() }
    }
}

impl From<loadweaver_config::Issue> for Issue {
    fn from(issue: loadweaver_config::Issue) -> Self {
        Self { at: issue.at, problem: issue.problem, help: issue.help }
    }
}

pub(super) fn succeeded(data: impl Serialize) -> Response {
    json(&Success { success: true, data }, ROOM)
}

/// With something about each of so many servers.
pub(super) fn succeeded_with_all(servers: usize, data: impl Serialize) -> Response {
    json(&Success { success: true, data }, ROOM + servers * ROOM_OF_A_SERVER)
}

pub(super) fn succeeded_with(status: StatusCode, data: impl Serialize) -> Response {
    (status, json(&Success { success: true, data }, ROOM)).into_response()
}

/// A list of thousands is written in a million small pieces, and nothing takes those faster than a plain vector that
/// has room for them; one that has too little costs copies.
fn json(data: &impl Serialize, room: usize) -> Response {
    let mut body = Vec::with_capacity(room);
    match serde_json::to_writer(&mut body, data) {
        Ok(()) => ([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response(),
        // Not known to happen: what is shown has names for keys, and nothing in it refuses to be written.
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// Bytes of the usual answer, and of what is shown of a server.
const ROOM: usize = 512;
const ROOM_OF_A_SERVER: usize = 768;

/// With the version that `data` belongs to.
pub(super) fn succeeded_at(status: StatusCode, version: u64, data: impl Serialize) -> Response {
    let mut response = (status, json(&Success { success: true, data }, ROOM)).into_response();
    response.headers_mut().insert(ETAG, tag(version));
    response
}

/// A version as an entity tag (RFC 9110, section 8.8.3).
fn tag(version: u64) -> HeaderValue {
    HeaderValue::try_from(format!("\"{version}\"")).unwrap_or(HeaderValue::from_static("\"0\""))
}

/// A request that is not granted.
#[derive(Debug)]
pub(super) struct Denied(Box<Denial>);

#[derive(Debug)]
struct Denial {
    status: StatusCode,
    headers: HeaderMap,
    reason: Reason,
}

impl Denied {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        let reason = Reason {
            code: code.into(),
            message: message.into(),
            issues: Vec::new(),
            current_version: None,
            since: None,
        };
        Self(Box::new(Denial { status, headers: HeaderMap::new(), reason }))
    }

    pub(super) fn not_found(what: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", what)
    }

    pub(super) fn conflict(what: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", what)
    }

    /// What was sent makes no sense, or leads to a configuration that makes none.
    pub(super) fn invalid(issues: Vec<Issue>) -> Self {
        let message = match issues.as_slice() {
            [only] if only.at.is_empty() => only.problem.clone(),
            [only] => format!("{}: {}", only.at, only.problem),
            several => format!("{} things are wrong", several.len()),
        };
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", message).with_issues(issues)
    }

    /// The node cannot answer this now.
    pub(super) fn not_now(code: &'static str, why: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, why).with_header(RETRY_AFTER, BUSY.into())
    }

    pub(super) fn unauthorized(message: &str, challenge: &'static str) -> Self {
        let denied = Self::new(StatusCode::UNAUTHORIZED, "unauthorized", message);
        denied.with_header(WWW_AUTHENTICATE, HeaderValue::from_static(challenge))
    }

    pub(super) fn with_issues(mut self, issues: Vec<Issue>) -> Self {
        self.0.reason.issues = issues;
        self
    }

    pub(super) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.insert(name, value);
        self
    }

    #[cfg(test)]
    pub(super) fn status(&self) -> StatusCode {
        self.0.status
    }

    #[cfg(test)]
    pub(super) fn issues(&self) -> &[Issue] {
        &self.0.reason.issues
    }
}

impl IntoResponse for Denied {
    fn into_response(self) -> Response {
        let Denial { status, headers, reason } = *self.0;
        (status, headers, json(&Failure { success: false, error: reason }, ROOM)).into_response()
    }
}

impl From<EditError> for Denied {
    fn from(error: EditError) -> Self {
        match error {
            EditError::NotFound(what) => Self::not_found(what),
            EditError::Conflict(what) => Self::conflict(what),
            EditError::Invalid { at, problem, help } => Self::invalid(vec![Issue { at, problem, help }]),
            EditError::Reserved(reserved) => reserved.into(),
        }
    }
}

impl From<Reserved> for Denied {
    fn from(reserved: Reserved) -> Self {
        let message = reserved.to_string();
        let (code, problem, places) = match reserved {
            Reserved::Programs(places) => ("runs_on_host", "this runs programs on the host", places),
            Reserved::Files(places) => {
                ("names_file", "this names a file that the configuration did not", places)
            }
            Reserved::Variables(names) => {
                let problem = "the configuration does not name this variable, or not for this";
                // Where it stands is not told: it may stand in many places.
                let issue = |name: String| Issue::new("", format!("{name}: {problem}"), FILE_ALONE);
                let issues = names.into_iter().map(issue).collect();
                return Self::new(StatusCode::FORBIDDEN, "names_variable", message).with_issues(issues);
            }
        };
        let issues = places.into_iter().map(|at| Issue::new(at, problem, FILE_ALONE)).collect();
        Self::new(StatusCode::FORBIDDEN, code, message).with_issues(issues)
    }
}

/// What to do about what is not for the API to do.
const FILE_ALONE: &str = "write it into the configuration file; the API takes edits that leave it as it is";

impl From<Refusal> for Denied {
    fn from(refusal: Refusal) -> Self {
        let message = refusal.to_string();
        match refusal {
            Refusal::Stale { current, since } => {
                let mut denied = Self::new(StatusCode::PRECONDITION_FAILED, "stale", message);
                denied.0.reason.current_version = Some(current);
                denied.0.reason.since = Some(since);
                denied.with_header(ETAG, tag(current))
            }
            Refusal::Wrong(issues) => Self::invalid(issues.0.into_iter().map(Issue::from).collect()),
            Refusal::Edit(error) => error.into(),
            Refusal::Reserved(reserved) => reserved.into(),
            Refusal::Unusable(reasons) => {
                let help = "see what it names: a file, a certificate, a program";
                Self::invalid(reasons.into_iter().map(|reason| Issue::new("", reason, help)).collect())
            }
            Refusal::Bind(_) => Self::new(StatusCode::CONFLICT, "cannot_bind", message),
            Refusal::File(_) => Self::new(StatusCode::CONFLICT, "file", message),
            Refusal::Waiting => Self::new(StatusCode::CONFLICT, "unconfirmed", message),
            Refusal::Unknown(_) => Self::not_found(message),
            Refusal::Busy => Self::not_now("busy", message),
            Refusal::Died => Self::new(StatusCode::INTERNAL_SERVER_ERROR, "failed", message),
        }
    }
}
