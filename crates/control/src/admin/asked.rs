//! The parts of a request: parameters, conditions, the body. What cannot be understood is refused in the house's
//! shape, and what is not known is refused too: a `?dryrun=true` that was quietly left aside would be a real change.

use std::time::Duration;

use axum::body::to_bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, IF_MATCH};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use http_body_util::LengthLimitError;
use serde::de::DeserializeOwned;
use serde_json::Value;
use utoipa::PartialSchema;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;

use super::answer::{Denied, Issue};

/// Longest body of a request that is not a whole configuration.
const BODY: usize = 1024 * 1024;

/// Longest time that a change may wait for its confirmation: whoever needs longer is not waiting any more.
const LONGEST_TRIAL: Duration = Duration::from_hours(24);

/// Most parameters of one request, and most issues that are told.
const PARAMETERS: usize = 32;
const ISSUES: usize = 32;

/// The one variable step of a path, decoded.
pub(super) struct Name(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Name {
    type Rejection = Denied;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Denied> {
        match Path::<String>::from_request_parts(parts, state).await {
            Ok(Path(name)) => Ok(Self(name)),
            Err(_) => Err(bad_request("bad_path", "the path is not percent-encoded UTF-8")),
        }
    }
}

/// The parameters behind the question mark.
pub(super) struct Query(Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for Query {
    type Rejection = Denied;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Denied> {
        let text = parts.uri.query().unwrap_or_default();
        let parameters: Vec<_> =
            form_urlencoded::parse(text.as_bytes()).into_owned().take(PARAMETERS + 1).collect();
        if parameters.len() > PARAMETERS {
            return Err(bad_request("bad_query", format!("more than {PARAMETERS} parameters")));
        }
        Ok(Self(parameters))
    }
}

impl Query {
    /// Refuses whatever is not among `known`, and what stands there twice but is not a list.
    pub(super) fn only(&self, known: &[&str]) -> Result<(), Denied> {
        self.only_with_lists(known, &[])
    }

    /// The same, where some of them may stand there several times.
    pub(super) fn only_with_lists(&self, known: &[&str], lists: &[&str]) -> Result<(), Denied> {
        let mut issues = Vec::new();
        for (index, (name, _)) in self.0.iter().enumerate() {
            if !known.contains(&name.as_str()) {
                let help = match (nearest(name, known.iter().copied()), known) {
                    (Some(near), _) => format!("did you mean \"{near}\"?"),
                    (None, []) => "this address takes no parameters".to_owned(),
                    (None, known) => format!("known are: {}", known.join(", ")),
                };
                issues.push(Issue::new(format!("?{name}"), "this parameter is not known", help));
            } else if !lists.contains(&name.as_str())
                && self.0.iter().take(index).any(|(before, _)| before == name)
            {
                issues.push(Issue::new(format!("?{name}"), "this parameter is given twice", "give it once"));
            }
        }
        if issues.is_empty() { Ok(()) } else { Err(bad_query(issues)) }
    }

    /// Each value of a parameter that may stand there several times.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// `true` or `false`; false when it is left out.
    pub(super) fn flag(&self, name: &str) -> Result<bool, Denied> {
        match self.text(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => {
                Err(bad_query(vec![Issue::new(format!("?{name}"), "not a flag", "write true or false")]))
            }
        }
    }

    /// A whole number within bounds.
    pub(super) fn number(&self, name: &str, least: u64, most: u64) -> Result<Option<u64>, Denied> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|number| digits && (least..=most).contains(number));
        let issue = || {
            let help = format!("write a whole number from {least} to {most}");
            bad_query(vec![Issue::new(format!("?{name}"), "not a number that fits", help)])
        };
        number.map(Some).ok_or_else(issue)
    }

    /// A duration with a unit, above 0.
    fn duration(&self, name: &str, most: Duration) -> Result<Option<Duration>, Denied> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let issue =
            |problem: String, help: String| bad_query(vec![Issue::new(format!("?{name}"), problem, help)]);
        let duration =
            loadweaver_config::duration(text).map_err(|issue_of| issue(issue_of.problem, issue_of.help))?;
        if duration.is_zero() || duration > most {
            let hours = most.as_secs() / 3600;
            return Err(issue("a time that does not fit".to_owned(), format!("write one up to {hours}h")));
        }
        Ok(Some(duration))
    }
}

/// On what conditions a change is wanted.
#[derive(Debug)]
pub(super) struct Terms {
    pub(super) base: Option<u64>,
    pub(super) dry_run: bool,
    pub(super) confirm: Option<Duration>,
}

impl Terms {
    /// The parameters that every change takes.
    pub(super) const PARAMETERS: [&str; 2] = ["dryRun", "confirm"];

    /// Reads the conditions; `more` are parameters that this change takes besides.
    pub(super) fn of(headers: &HeaderMap, query: &Query, more: &[&str]) -> Result<Self, Denied> {
        let known: Vec<&str> = Self::PARAMETERS.iter().chain(more).copied().collect();
        query.only(&known)?;
        Ok(Self {
            base: base(headers)?,
            dry_run: query.flag("dryRun")?,
            confirm: query.duration("confirm", LONGEST_TRIAL)?,
        })
    }
}

/// The version in `If-Match` (RFC 9110, section 13.1.1). A tag that we never gave out matches nothing, as version 0.
fn base(headers: &HeaderMap) -> Result<Option<u64>, Denied> {
    let mut values = headers.get_all(IF_MATCH).iter();
    let bad = || {
        bad_request("bad_condition", "If-Match takes one ETag as it was sent, such as \"7\" with its quotes")
    };
    let Some(value) = values.next() else { return Ok(None) };
    let text = value.to_str().map_err(|_| bad())?.trim();
    if values.next().is_some() {
        return Err(bad());
    }
    if text == "*" {
        return Ok(None);
    }
    // A weak tag never matches: section 13.1.1 asks for the strong comparison.
    let strong = text.strip_prefix("W/").unwrap_or(text);
    let inside = strong.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let inside = inside.filter(|inside| !inside.contains('"')).ok_or_else(bad)?;
    let version = inside.parse().ok().filter(|version: &u64| version.to_string() == inside);
    Ok(Some(version.filter(|_| strong == text).unwrap_or(0)))
}

/// A JSON body of at most one MiB.
pub(super) struct Sent(pub(super) Value);

impl<S: Send + Sync> FromRequest<S> for Sent {
    type Rejection = Denied;

    async fn from_request(request: Request, _: &S) -> Result<Self, Denied> {
        media_type(request.headers(), &["application/json"])?;
        read(request, BODY).await.map(Self)
    }
}

impl Sent {
    /// The body as what an operation takes; unknown keys are told with the nearest known one.
    pub(super) fn take<Wanted: DeserializeOwned + PartialSchema>(self) -> Result<Wanted, Denied> {
        check_keys(&self.0, &Wanted::schema())?;
        serde_path_to_error::deserialize(self.0).map_err(|error| {
            let mut at = String::new();
            for step in error.path() {
                at.push('/');
                at.push_str(&step.to_string());
            }
            let problem = error.into_inner().to_string();
            Denied::invalid(vec![Issue::new(at, problem, "see /openapi.json for what this takes")])
        })
    }
}

fn check_keys(value: &Value, schema: &RefOr<Schema>) -> Result<(), Denied> {
    let RefOr::T(Schema::Object(schema)) = schema else { return Ok(()) };
    let Value::Object(sent) = value else {
        return Err(Denied::invalid(vec![Issue::new("", "not an object", "send { … }")]));
    };
    let known = || schema.properties.keys().map(String::as_str);
    let mut issues = Vec::new();
    for key in sent.keys().filter(|key| !schema.properties.contains_key(*key)).take(ISSUES) {
        let help = nearest(key, known()).map_or_else(
            || format!("known are: {}", known().collect::<Vec<_>>().join(", ")),
            |near| format!("did you mean \"{near}\"?"),
        );
        issues.push(Issue::new(pointer(key), "this key is not known", help));
    }
    for key in schema.required.iter().filter(|key| !sent.contains_key(*key)) {
        issues.push(Issue::new("", format!("\"{key}\" is missing"), "add it"));
    }
    if issues.is_empty() { Ok(()) } else { Err(Denied::invalid(issues)) }
}

/// A pointer to a key of the body itself.
fn pointer(key: &str) -> String {
    format!("/{}", key.replace('~', "~0").replace('/', "~1"))
}

/// Which of `accepted` the body is; parameters of the type are not looked at.
pub(super) fn media_type(headers: &HeaderMap, accepted: &[&'static str]) -> Result<&'static str, Denied> {
    let sent = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = sent.split(';').next().unwrap_or_default().trim();
    let found = accepted.iter().find(|accepted| accepted.eq_ignore_ascii_case(essence));
    found.copied().ok_or_else(|| {
        let message = format!("the body's Content-Type must be {}", accepted.join(" or "));
        Denied::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", message)
    })
}

/// Reads a body of at most `limit` bytes as strict JSON: no key twice, not too deep.
pub(super) async fn read(request: Request, limit: usize) -> Result<Value, Denied> {
    let too_large = || {
        let message = format!("the body is longer than {limit} bytes");
        Denied::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
    };
    // Whoever says so beforehand need not send it.
    let said = request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if said.is_some_and(|length: u64| length > limit as u64) {
        return Err(too_large());
    }
    let bytes = to_bytes(request.into_body(), limit).await.map_err(|error| {
        let too_long =
            std::error::Error::source(&error).is_some_and(<dyn std::error::Error>::is::<LengthLimitError>);
        if too_long { too_large() } else { bad_request("bad_body", "the body could not be read to its end") }
    })?;
    if bytes.trim_ascii().is_empty() {
        return Err(bad_request("malformed", "the body is empty; send JSON"));
    }
    loadweaver_config::document(&bytes).map_err(|issues| {
        let issues: Vec<Issue> = issues.0.into_iter().map(Issue::from).collect();
        let first = issues.first().map_or_else(String::new, |issue| issue.problem.clone());
        bad_request("malformed", format!("the body is not JSON that can be used: {first}"))
            .with_issues(issues)
    })
}

fn bad_request(code: &'static str, message: impl Into<String>) -> Denied {
    Denied::new(StatusCode::BAD_REQUEST, code, message)
}

pub(super) fn bad_query(issues: Vec<Issue>) -> Denied {
    let first = issues.first().map(|issue| format!("{}: {}", issue.at, issue.problem)).unwrap_or_default();
    bad_request("bad_query", first).with_issues(issues)
}

/// The known word that was probably meant.
pub(super) fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    loadweaver_config::nearest(word, known)
}

#[cfg(test)]
mod tests;
