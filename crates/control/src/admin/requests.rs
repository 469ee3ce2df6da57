//! `/api/requests`: the last exchanges, attempt by attempt.

use std::time::Duration;

use axum::extract::State;
use loadweaver_telemetry::recent::{End, Kept, Lost};
use loadweaver_telemetry::{redact, rfc3339};
use serde::Serialize;
use tokio::time::sleep;
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::answer::{Answer, Denied, Failure, Success, succeeded_with_all};
use super::asked::{Name, Query};
use super::openapi::LookDenials;

/// Exchanges that are shown unless something else is asked for, and at the most.
const SHOWN: u64 = 100;
const MOST: u64 = 1_000;

/// Workers hand over what they noted four times a second: an id that is not there yet is looked for again so often.
const LOOKS: u32 = 7;
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// An exchange that is over.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct RequestView {
    /// What became of it, in a sentence.
    summary: String,
    /// The client's `X-Request-Id`, or the one that was made.
    request_id: String,
    /// When its first byte was read (RFC 3339).
    at: String,
    client_ip: Option<String>,
    /// Empty where no request line could be read.
    method: String,
    host: String,
    /// Path and query; values of parameters that are called like credentials are `***`. At most 256 bytes.
    target: String,
    /// `HTTP/1.1`
    version: &'static str,
    /// The final status; 0 is none.
    status: u16,
    /// Why the answer was ours, or why there was none.
    failure: Option<&'static str>,
    listener: String,
    route: String,
    pool: String,
    /// The server that was asked last.
    server: String,
    /// Each server that was asked, in order.
    attempts: Vec<AttemptView>,
    bytes_in: u64,
    bytes_out: u64,
    /// Milliseconds to the first byte of an answer.
    first_byte: Option<f64>,
    /// Milliseconds in all.
    total: f64,
    /// It became a tunnel.
    upgraded: bool,
}

/// A server that was asked.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct AttemptView {
    server: String,
    /// Milliseconds after the request came.
    began: f64,
    /// Milliseconds after the request came: of an answer, when its first byte was there.
    ended: Option<f64>,
    /// Milliseconds to a connection; none where a kept one served, or none came about.
    connect: Option<f64>,
    /// The status of its answer.
    status: Option<u16>,
    /// Why it brought none.
    failure: Option<&'static str>,
    /// `answered`, `failed`, `set_aside` for a better answer, or `stale`: the server had closed a kept connection, so
    /// the request went out once more, which counts as no attempt.
    outcome: &'static str,
}

#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "read from the query by hand")]
pub(super) struct Wanted {
    /// How many; 100 unless given.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u64>,
    /// Those alone whose answer was ours, or a server's with a status of 500 or above, or that had none.
    failed: Option<bool>,
}

/// The last exchanges that are over, the newest first.
#[utoipa::path(get, path = "/api/requests", tag = "explain", params(Wanted),
    responses((status = 200, body = Success<Vec<RequestView>>), LookDenials))]
pub(super) async fn list(State(api): State<Api>, query: Query) -> Answer {
    query.only(&["limit", "failed"])?;
    let failed = query.flag("failed")?;
    let limit = query.number("limit", 1, MOST)?.unwrap_or(SHOWN);
    let is_wanted = move |kept: &Kept<'_>| !failed || has_failed(kept);
    let found = api.requests(usize::try_from(limit).unwrap_or(usize::MAX), is_wanted);
    Ok(succeeded_with_all(found.len(), found))
}

/// What became of a request, by its id. Of the last 10,000; an id that clients chose may be there several times, the
/// newest first.
#[utoipa::path(get, path = "/api/requests/{id}", tag = "explain", params(("id" = String, Path)),
    responses((status = 200, body = Success<Vec<RequestView>>),
        (status = 404, body = Failure, description = "There is no such request among the last ones"), LookDenials))]
pub(super) async fn get(State(api): State<Api>, Name(id): Name, query: Query) -> Answer {
    query.only(&[])?;
    for _ in 0..LOOKS {
        let found =
            api.requests(usize::try_from(SHOWN).unwrap_or(usize::MAX), |kept| kept.id == id.as_bytes());
        if !found.is_empty() {
            return Ok(succeeded_with_all(found.len(), found));
        }
        sleep(BETWEEN_LOOKS).await;
    }
    Err(Denied::not_found(format!("there is no request {id:?} among the last ones that are over")))
}

impl Api {
    fn requests(&self, limit: usize, wanted: impl Fn(&Kept<'_>) -> bool) -> Vec<RequestView> {
        let sight = self.sight.get();
        sight.map(|sight| sight.proxy.recent().newest(limit, wanted, view)).unwrap_or_default()
    }
}

fn has_failed(kept: &Kept<'_>) -> bool {
    kept.numbers.failure.is_some() || kept.numbers.status >= 500
}

fn view(kept: &Kept<'_>) -> RequestView {
    let numbers = kept.numbers;
    let attempts = attempts(kept);
    let way = kept.way.map(loadweaver_telemetry::series::Series::way);
    let name = |name: Option<&std::sync::Arc<str>>| name.map(ToString::to_string).unwrap_or_default();
    RequestView {
        summary: summary(kept, &attempts),
        request_id: text(kept.id),
        at: rfc3339(kept.at()),
        client_ip: numbers.client.map(|client| client.to_string()),
        method: text(kept.method),
        host: text(kept.host),
        target: redact::target(&text(kept.target)).into_owned(),
        version: numbers.version.as_str(),
        status: numbers.status,
        failure: numbers.failure.map(loadweaver_policy::failure::Failure::code),
        listener: name(way.map(|way| &way.listener)),
        route: name(way.map(|way| &way.route)),
        pool: name(way.map(|way| &way.pool)),
        server: name(kept.way.map(loadweaver_telemetry::series::Series::server)),
        attempts,
        bytes_in: numbers.bytes_in,
        bytes_out: numbers.bytes_out,
        first_byte: numbers.first_byte.map(millis),
        total: millis(numbers.total),
        upgraded: numbers.upgraded,
    }
}

/// What was sent need not be text, and may be cut within a character.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn attempts(kept: &Kept<'_>) -> Vec<AttemptView> {
    let numbers = kept.numbers;
    let mut all: Vec<_> = kept.lost.iter().map(lost).collect();
    let counted = kept.lost.iter().filter(|lost| lost.end != End::Stale).count();
    // What is left is the one that brought the answer, or was cut.
    if usize::try_from(numbers.attempts).unwrap_or(0) > counted {
        let answered = numbers.first_byte.is_some();
        all.push(AttemptView {
            server: kept.way.map(|way| way.server().to_string()).unwrap_or_default(),
            began: millis(numbers.last_attempt),
            ended: numbers.first_byte.map(millis),
            connect: numbers.connect.map(millis),
            status: (numbers.status > 0 && answered).then_some(numbers.status),
            failure: numbers.failure.map(loadweaver_policy::failure::Failure::code),
            outcome: if numbers.failure.is_none() { "answered" } else { "failed" },
        });
    }
    all
}

fn lost(lost: &Lost) -> AttemptView {
    let (outcome, status, failure) = match lost.end {
        End::Failed(failure) => ("failed", None, Some(failure.code())),
        End::SetAside(status) => ("set_aside", Some(status), None),
        End::Stale => ("stale", None, None),
    };
    AttemptView {
        server: lost.server.to_string(),
        began: millis(lost.began),
        ended: Some(millis(lost.ended)),
        connect: lost.connect.map(millis),
        status,
        failure,
        outcome,
    }
}

fn summary(kept: &Kept<'_>, attempts: &[AttemptView]) -> String {
    let numbers = kept.numbers;
    let told = match (numbers.status, numbers.failure) {
        (0, Some(failure)) => format!("ended without an answer ({failure})"),
        (status, Some(failure)) => format!("was answered with {status} ({failure})"),
        (0, None) => "ended without an answer".to_owned(),
        (status, None) => format!("was answered with {status}"),
    };
    let each = attempts.iter().map(|attempt| {
        let end = match (attempt.outcome, attempt.status, attempt.failure) {
            ("stale", ..) => "had closed the kept connection".to_owned(),
            ("set_aside", Some(status), _) => format!("answered with {status}, set aside"),
            (_, _, Some(failure)) => format!("failed ({failure})"),
            (_, Some(status), None) => format!("answered with {status}"),
            (_, None, None) => "gave no answer".to_owned(),
        };
        format!("{} {end}", attempt.server)
    });
    let each: Vec<_> = each.collect();
    let by = if each.is_empty() { "no server was asked".to_owned() } else { each.join(", then ") };
    format!("{told} after {} ms: {by}", millis(numbers.total))
}

/// Milliseconds, to the microsecond.
fn millis(nanos: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "exact below 2^53 microseconds, which are 285 years")]
    let micros = (nanos / 1_000) as f64;
    micros / 1_000.0
}
