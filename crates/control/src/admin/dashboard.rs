//! The dashboard: a page and its parts, which are in the binary.
//!
//! They are built out of `dashboard/` beforehand and are the same for everybody; what the page shows it asks the API
//! for, as anybody does. Its policy lets it load nothing from elsewhere and be framed by nobody.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::OnceLock;

use aws_lc_rs::digest::{SHA256, digest};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH,
    REFERRER_POLICY, VARY,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::write::GzEncoder;
use rust_embed::RustEmbed;

use super::answer::{Answer, Denied, Failure};
use super::asked::{Name, Query};
use super::pack::takes_gzip;

/// Where the parts of the page are.
pub(super) const ASSETS: &str = "/assets/";

/// Nothing but what comes from here, nothing written into the page, and nobody around it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
    font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The page may be another one after the next start.
const ASK_AGAIN: HeaderValue = HeaderValue::from_static("no-cache");
/// The name of a part has the hash of what it holds.
const FOR_GOOD: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

/// Licences of what is built in: no hash stands in its name.
const NOTICES: &str = "third-party.txt";

/// What `npm run build` in `dashboard` makes; see `./scripts/test dashboard`.
#[derive(RustEmbed)]
#[folder = "../../dashboard/dist"]
struct Built;

/// A file as it is sent.
struct Part {
    kind: &'static str,
    tag: HeaderValue,
    plain: Cow<'static, [u8]>,
    packed: Vec<u8>,
}

/// The dashboard.
#[utoipa::path(get, path = "/", tag = "node", security(()),
    responses((status = 200, body = String, content_type = "text/html"),
        (status = 400, body = Failure, description = "It takes no parameters"),
        (status = 403, body = Failure, description = "Host or Origin is foreign")))]
pub(super) async fn page(headers: HeaderMap, query: Query) -> Answer {
    query.only(&[])?;
    let mut response = answer("index.html", &headers)?;
    response.headers_mut().insert(CACHE_CONTROL, ASK_AGAIN);
    Ok(response)
}

/// A part of the dashboard.
#[utoipa::path(get, path = "/assets/{name}", tag = "node", security(()), params(("name" = String, Path)),
    responses((status = 200, content((String = "text/javascript"), (String = "text/css"), (String = "image/svg+xml"), (String = "text/plain"))),
        (status = 400, body = Failure, description = "The path cannot be read, or a parameter is sent"),
        (status = 403, body = Failure, description = "Host or Origin is foreign"),
        (status = 404, body = Failure, description = "There is no such part")))]
pub(super) async fn asset(Name(name): Name, headers: HeaderMap, query: Query) -> Answer {
    query.only(&[])?;
    let mut response = answer(&format!("assets/{name}"), &headers)?;
    let lasts = if name == NOTICES { ASK_AGAIN } else { FOR_GOOD };
    response.headers_mut().insert(CACHE_CONTROL, lasts);
    Ok(response)
}

fn answer(name: &str, asked: &HeaderMap) -> Result<Response, Denied> {
    let part = parts().get(name).ok_or_else(|| Denied::not_found("the dashboard has no such part"))?;
    let known = asked.get_all(IF_NONE_MATCH).iter().filter_map(|tags| tags.to_str().ok());
    let mut tags = known.flat_map(|tags| tags.split(',')).map(|tag| tag.trim().trim_start_matches("W/"));
    let mut response = if tags.any(|tag| tag == "*" || tag.as_bytes() == part.tag.as_bytes()) {
        StatusCode::NOT_MODIFIED.into_response()
    } else if takes_gzip(asked) {
        let packed = [(CONTENT_ENCODING, HeaderValue::from_static("gzip"))];
        (packed, [(CONTENT_TYPE, part.kind)], part.packed.as_slice()).into_response()
    } else {
        ([(CONTENT_TYPE, part.kind)], part.plain.clone()).into_response()
    };
    let headers = response.headers_mut();
    headers.insert(ETAG, part.tag.clone());
    headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    Ok(response)
}

/// All of them, made ready once: some 100 KiB.
fn parts() -> &'static HashMap<Cow<'static, str>, Part> {
    static PARTS: OnceLock<HashMap<Cow<'static, str>, Part>> = OnceLock::new();
    PARTS.get_or_init(|| {
        Built::iter()
            .filter_map(|name| Built::get(&name).map(|file| (part(&name, file.data), name)))
            .map(|(part, name)| (name, part))
            .collect()
    })
}

fn part(name: &str, plain: Cow<'static, [u8]>) -> Part {
    let mut tag = String::from("\"");
    for byte in digest(&SHA256, &plain).as_ref().iter().take(16) {
        // Writing into a String does not fail.
        let _ = write!(tag, "{byte:02x}");
    }
    tag.push('"');
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    // Neither does writing into a vector.
    let _ = encoder.write_all(&plain);
    let packed = encoder.finish().unwrap_or_default();
    let tag = HeaderValue::try_from(tag).unwrap_or(HeaderValue::from_static("\"\""));
    Part { kind: kind(name), tag, plain, packed }
}

fn kind(name: &str) -> &'static str {
    match name.rsplit_once('.').map_or("", |(_, ending)| ending) {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        _ => "text/plain; charset=utf-8",
    }
}
