//! Answers that are packed for whoever takes that: a pool of a thousand servers is a megabyte of JSON, of which a
//! dashboard wants one every few seconds, perhaps on a phone.

use std::io::Write;

use axum::body::{Body, HttpBody as _, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, VARY};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::write::GzEncoder;

use super::Api;
use super::answer::Denied;

/// Bytes of JSON from which on packing is worth the time.
const WORTH_IT: u64 = 4 * 1024;

/// Packs answers in JSON that are long and whole; the others leave as they are, streams of events among them.
///
/// What they are tagged with (`ETag`) is the version of the configuration, which `If-Match` names: packed or not, it is
/// the same.
pub(super) async fn pack(State(api): State<Api>, request: Request, next: Next) -> Response {
    let takes = takes_gzip(request.headers());
    let mut response = next.run(request).await;
    let is_json = response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
    let is_long = response.body().size_hint().exact().is_some_and(|bytes| bytes >= WORTH_IT);
    if !is_json || !is_long || response.headers().contains_key(CONTENT_ENCODING) {
        return response;
    }
    response.headers_mut().append(VARY, HeaderValue::from_static("accept-encoding"));
    if !takes {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    // It is whole already: nothing is waited for, and no limit is needed.
    let Ok(text) = to_bytes(body, usize::MAX).await else { return lost() };
    // One after the other: threads are for changes. It is never closed.
    let turn = api.pages.acquire_owned().await;
    let made = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        packed(&text)
    });
    let Ok(Ok(bytes)) = made.await else { return lost() };
    parts.headers.remove(CONTENT_LENGTH);
    parts.headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    Response::from_parts(parts, Body::from(bytes))
}

fn lost() -> Response {
    Denied::not_now("not_packed", "the answer could not be packed; ask without Accept-Encoding")
        .into_response()
}

pub(super) fn takes_gzip(headers: &HeaderMap) -> bool {
    quality(headers, ACCEPT_ENCODING, &["gzip"]) > 0
}

/// Fast rather than small: what is packed here is mostly repetition, and somebody waits for it.
pub(super) fn packed(text: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text)?;
    encoder.finish()
}

/// How much the client wants one of these, in thousandths (RFC 9110 section 12.4.2); 0 is not at all, as is not to be
/// named.
pub(super) fn quality(headers: &HeaderMap, name: HeaderName, wanted: &[&str]) -> u16 {
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
