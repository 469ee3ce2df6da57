//! `GET /metrics`: everything that can be counted, for Prometheus and whoever reads what it reads.
//!
//! The page is made when it is asked for and on a thread of its own, of counters that the request path adds to without
//! waiting for anybody. Labels are names of the configuration, and the one family that multiplies them has a limit.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE, VARY};
use axum::response::{IntoResponse, Response};

use super::Api;
use super::answer::{Answer, Denied};
use super::asked::Query;
use super::openapi::LookDenials;
use super::pack::{packed, quality, takes_gzip};
use page::{Format, Page};

mod healing;
mod node;
mod page;
mod process;
mod requests;
mod servers;

/// Everything that can be counted, in Prometheus' text format or, for whoever prefers it (`Accept`), OpenMetrics.
#[utoipa::path(get, path = "/metrics", tag = "metrics",
    responses((status = 200, content(
        (String = "text/plain"), (String = "application/openmetrics-text"))), LookDenials))]
pub(super) async fn metrics(State(api): State<Api>, query: Query, headers: HeaderMap) -> Answer {
    query.only(&[])?;
    let format = format(&headers);
    let packs = takes_gzip(&headers);
    // It is never closed. The turn lasts as long as the work, whether or not somebody still waits for it.
    let turn = api.pages.clone().acquire_owned().await;
    let made = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        let text = page(&api, format);
        if packs {
            packed(text.as_bytes()).map(|bytes| (bytes, true))
        } else {
            Ok((text.into_bytes(), false))
        }
    });
    match made.await {
        Ok(Ok((body, packed))) => Ok(response(body, format, packed)),
        Ok(Err(error)) => Err(Denied::not_now("no_page", error.to_string())),
        Err(error) => Err(Denied::not_now("no_page", error.to_string())),
    }
}

fn page(api: &Api, format: Format) -> String {
    let snapshot = api.current.load();
    let mut page = Page::new(format);
    node::write(&mut page, api, &snapshot);
    servers::write(&mut page, api);
    if let Some(sight) = api.sight.get() {
        requests::write(&mut page, sight.proxy.books());
        requests::methods(&mut page, sight.proxy.books());
        healing::recoveries(&mut page, &sight.followers.recoveries.views());
        healing::webhooks(&mut page, &sight.followers.webhooks.views());
        if let Some(spans) = sight.followers.spans.view() {
            healing::spans(&mut page, spans);
        }
    }
    process::write(&mut page, api.watched.started.1);
    page.finish()
}

fn response(body: Vec<u8>, format: Format, packed: bool) -> Response {
    let mut response =
        ([(CONTENT_TYPE, format.content_type()), (VARY, "accept, accept-encoding")], body).into_response();
    if packed {
        response.headers_mut().insert(CONTENT_ENCODING, axum::http::HeaderValue::from_static("gzip"));
    }
    response
}

/// OpenMetrics for whoever asks for it before plain text; plain text for everybody else.
fn format(headers: &HeaderMap) -> Format {
    let open = quality(headers, ACCEPT, &["application/openmetrics-text"]);
    let plain = quality(headers, ACCEPT, &["text/plain", "text/*", "*/*"]);
    if open > 0 && open >= plain { Format::OpenMetrics } else { Format::Prometheus }
}
