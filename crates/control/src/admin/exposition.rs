//! `GET /metrics`: everything that can be counted, for Prometheus and whoever reads what it reads.
//!
//! The page is made when it is asked for and on a thread of its own, of counters that the request path adds to without
//! waiting for anybody. Labels are names of the configuration, and the one family that multiplies them has a limit.

use std::io::Write;

use axum::extract::State;
use axum::http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, VARY};
use axum::http::{HeaderMap, HeaderName};
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::write::GzEncoder;

use super::Api;
use super::answer::{Answer, Denied};
use super::asked::Query;
use super::openapi::LookDenials;
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

pub(super) fn takes_gzip(headers: &HeaderMap) -> bool {
    quality(headers, ACCEPT_ENCODING, &["gzip"]) > 0
}

/// Fast rather than small: the page is mostly repetition, and somebody waits for it.
fn packed(text: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text)?;
    encoder.finish()
}

/// OpenMetrics for whoever asks for it before plain text; plain text for everybody else.
fn format(headers: &HeaderMap) -> Format {
    let open = quality(headers, ACCEPT, &["application/openmetrics-text"]);
    let plain = quality(headers, ACCEPT, &["text/plain", "text/*", "*/*"]);
    if open > 0 && open >= plain { Format::OpenMetrics } else { Format::Prometheus }
}

/// How much the client wants one of these, in thousandths (RFC 9110 section 12.4.2); 0 is not at all, as is not to be
/// named.
fn quality(headers: &HeaderMap, name: HeaderName, wanted: &[&str]) -> u16 {
    let lines = headers.get_all(name).iter().filter_map(|line| line.to_str().ok());
    let items = lines.flat_map(|line| line.split(','));
    let of = items.filter_map(|item| {
        let mut parts = item.split(';').map(str::trim);
        let named =
            parts.next().is_some_and(|word| wanted.iter().any(|want| word.eq_ignore_ascii_case(want)));
        let weight = parts.find_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q=")));
        named.then(|| weight.map_or(1000, thousandths))
    });
    of.max().unwrap_or(0)
}

fn thousandths(weight: &str) -> u16 {
    let weight: f32 = weight.trim().parse().unwrap_or(0.0);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 1000")]
    let thousandths = (weight.clamp(0.0, 1.0) * 1000.0) as u16;
    thousandths
}
