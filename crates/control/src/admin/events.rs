//! `/api/events`: what happened, and what happens.
//!
//! Live events are server-sent events (the HTML standard, section 9.2). A client that lost its connection says with
//! `Last-Event-ID` what it saw last and gets the rest from the history; what the history has let go of is counted in a
//! `missed` event. A silent stream carries a comment now and then, so that nobody on the way takes it for dead.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use loadweaver_telemetry::event::{Event, Filter, Follower, StampedEvent};
use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::answer::{Answer, Denied, Failure, Issue, Success, succeeded};
use super::asked::{Query, bad_query, nearest};
use super::guard::Caller;
use super::openapi::LookDenials;

/// Streams at a time: each holds one of the admin listener's connections, and others want to be served too.
pub(super) const STREAMS: usize = 32;

/// From one sign of life to the next: under the minute after which a silent connection loses its seat, and under the
/// time-outs of common proxies.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Events of one answer, unless more are asked for, and at most.
const FEW: usize = 100;
const MANY: u64 = 10_000;

/// The greatest id that every JSON reader can hold (format `int64`).
const LAST_ID: u64 = i64::MAX.unsigned_abs();

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
const EVENT_STREAM: &str = "text/event-stream";

/// Something that happened.
#[derive(Debug, ToSchema)]
#[schema(value_type = Object, example = json!({"id": 12, "timestamp": "2026-11-21T10:00:00.000Z", "event": "server_down",
    "node": "lb-1", "pool": "app", "server": {"id": "app-1", "address": "127.0.0.1:3001"}, "reason": "connection refused"}))]
#[expect(dead_code, reason = "made by the crate telemetry")]
pub(super) struct EventView(Value);

/// Which events.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "read from the query by hand")]
pub(super) struct EventParameters {
    /// Names, separated by commas.
    #[param(example = "server_down,server_up")]
    event: Option<String>,
    /// About this pool or a server of it.
    pool: Option<String>,
    /// About the server with this id.
    server: Option<String>,
    /// After the event with this id.
    since: Option<u64>,
    /// At most so many, 1 to 10000; 100 unless given. Not for streams.
    #[param(minimum = 1, maximum = 10000)]
    limit: Option<u64>,
}

/// The last events, the newest first; with `Accept: text/event-stream` those that come, as they come.
#[utoipa::path(get, path = "/api/events", tag = "events",
    params(EventParameters, ("Last-Event-ID" = Option<String>, Header, description = "Of a stream: go on after this event")),
    responses((status = 200, content((Success<Vec<EventView>> = "application/json"), (String = "text/event-stream"))),
        (status = 503, body = Failure, description = "Too many streams are open"), LookDenials))]
pub(super) async fn events(
    State(api): State<Api>,
    caller: Caller,
    headers: HeaderMap,
    query: Query,
) -> Answer {
    query.only(&["event", "pool", "server", "since", "limit"])?;
    let filter = filter(&query)?;
    let since = query.number("since", 0, LAST_ID)?;
    let limit = query.number("limit", 1, MANY)?;
    if !wants_stream(&headers) {
        let count = limit.map_or(FEW, |limit| usize::try_from(limit).unwrap_or(FEW));
        let events = api.watched.bus.matching(&filter, since.unwrap_or(0), count);
        return Ok(succeeded(events.iter().map(|event| event.to_json()).collect::<Vec<_>>()));
    }
    let last = headers.get(LAST_EVENT_ID).and_then(|id| id.to_str().ok()?.trim().parse().ok());
    let after = last.or(since).unwrap_or_else(|| api.watched.bus.last_id());
    let seat = Arc::clone(&api.streams).try_acquire_owned();
    let seat =
        seat.map_err(|_| Denied::not_now("too_many_streams", format!("{STREAMS} streams are open already")))?;
    let follower = api.watched.bus.follow(after);
    Ok(Stream { follower, told: 0, filter, api, caller, greeted: false, _seat: seat }.into_response())
}

fn wants_stream(headers: &HeaderMap) -> bool {
    let accepts = headers.get_all(ACCEPT).iter().filter_map(|accept| accept.to_str().ok());
    let mut types = accepts.flat_map(|accept| accept.split(','));
    types.any(|accept| accept.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(EVENT_STREAM))
}

fn filter(query: &Query) -> Result<Filter, Denied> {
    let names =
        query.text("event").unwrap_or_default().split(',').map(str::trim).filter(|name| !name.is_empty());
    let names: Vec<String> = names.map(str::to_owned).collect();
    if let Some(unknown) = names.iter().find(|name| !Event::NAMES.contains(&name.as_str())) {
        let help = nearest(unknown, Event::NAMES.iter().copied()).map_or_else(
            || "see docs/operating.md for their names".to_owned(),
            |near| format!("did you mean \"{near}\"?"),
        );
        return Err(bad_query(vec![Issue::new("?event", "this event is not known", help)]));
    }
    let text = |name: &str| query.text(name).map(str::to_owned);
    Ok(Filter { names, pool: text("pool"), server: text("server") })
}

/// A stream of events to one client.
struct Stream {
    follower: Follower,
    /// Of those that were gone before they could be read, the ones that the client was told of.
    told: u64,
    filter: Filter,
    api: Api,
    caller: Caller,
    greeted: bool,
    _seat: OwnedSemaphorePermit,
}

impl Stream {
    fn into_response(self) -> Response {
        let frames = stream::unfold(self, |mut stream| async {
            let frame = stream.next().await?;
            Some((Ok::<_, Infallible>(frame), stream))
        });
        (StatusCode::OK, [(CONTENT_TYPE, EVENT_STREAM)], Body::from_stream(frames)).into_response()
    }

    /// The next piece of text; none when the token that opened the stream is good no more.
    async fn next(&mut self) -> Option<String> {
        if !self.greeted {
            self.greeted = true;
            return Some("retry: 2000\n\n".to_owned());
        }
        loop {
            let event = timeout(HEARTBEAT, self.follower.next()).await;
            if !self.caller.is_still_known(&self.api) {
                return None;
            }
            let Ok(event) = event else { return Some(": still here\n\n".to_owned()) };
            let missed = self.missed();
            match (self.filter.passes(&event.event), missed) {
                (false, None) => {}
                (false, Some(missed)) => return Some(missed),
                (true, missed) => return Some(missed.unwrap_or_default() + &frame(&event)),
            }
        }
    }

    fn missed(&mut self) -> Option<String> {
        let missed = self.follower.missed() - self.told;
        self.told += missed;
        (missed > 0).then(|| format!("event: missed\ndata: {{\"missed\":{missed}}}\n\n"))
    }
}

/// JSON has no line breaks unless it is made to look good.
fn frame(event: &StampedEvent) -> String {
    format!("id: {}\nevent: {}\ndata: {}\n\n", event.id, event.event.name(), event.to_json())
}

pub(super) fn seats() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(STREAMS))
}
