#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
use axum::http::HeaderValue;
use serde::Deserialize;
use serde_json::json;
use utoipa::ToSchema;

use super::*;

fn query(text: &str) -> Query {
    Query(form_urlencoded::parse(text.as_bytes()).into_owned().collect())
}

fn terms(if_match: Option<&'static str>, text: &str) -> Result<Terms, Denied> {
    let mut headers = HeaderMap::new();
    if let Some(tag) = if_match {
        headers.insert(IF_MATCH, HeaderValue::from_static(tag));
    }
    Terms::of(&headers, &query(text), &["pool"])
}

#[test]
fn a_parameter_that_is_not_known_or_doubled_is_refused() {
    assert!(terms(None, "dryRun=true&pool=app&confirm=1m").is_ok());
    for (wrong, help) in [
        ("dryrun=true", "did you mean \"dryRun\"?"),
        ("xyzzy=1", "known are: dryRun, confirm, pool"),
        ("pool=a&pool=b", "give it once"),
        ("dryRun=1", "write true or false"),
        ("confirm=90", "write \"90s\" for seconds or \"90ms\" for milliseconds"),
        ("confirm=0s", "write one up to 24h"),
        ("confirm=25h", "write one up to 24h"),
    ] {
        let denied = terms(None, wrong).unwrap_err();
        assert_eq!(denied.status(), StatusCode::BAD_REQUEST, "{wrong}");
        assert_eq!(denied.issues()[0].help, help, "{wrong}");
    }
}

#[test]
fn only_a_strong_tag_of_ours_names_a_version() {
    for (tag, base) in [
        (None, None),
        (Some("*"), None),
        (Some("\"7\""), Some(7)),
        (Some("W/\"7\""), Some(0)),
        (Some("\"of another\""), Some(0)),
        (Some("\"+7\""), Some(0)),
        (Some("\"07\""), Some(0)),
    ] {
        assert_eq!(terms(tag, "").unwrap().base, base, "{tag:?}");
    }
    for wrong in ["7", "\"7", "\"1\", \"2\"", ""] {
        assert_eq!(terms(Some(wrong), "").unwrap_err().status(), StatusCode::BAD_REQUEST, "{wrong}");
    }
}

#[test]
fn numbers_are_whole_and_within_bounds() {
    assert_eq!(query("limit=10").number("limit", 1, 10).unwrap(), Some(10));
    for wrong in ["limit=0", "limit=11", "limit=+5", "limit=1.0", "limit=", "limit=99999999999999999999"] {
        assert!(query(wrong).number("limit", 1, 10).is_err(), "{wrong}");
    }
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Wanted {
    host_name: String,
    port: u16,
    id: Option<String>,
}

#[test]
fn every_key_that_is_wrong_is_told_at_once() {
    let wanted: Wanted = Sent(json!({"hostName": "a", "port": 1, "id": null})).take().unwrap();
    assert_eq!((wanted.host_name.as_str(), wanted.port, wanted.id), ("a", 1, None));
    let denied = Sent(json!({"hostname": "a", "prt": 1, "a/b": 2})).take::<Wanted>().unwrap_err();
    let issues: Vec<_> =
        denied.issues().iter().map(|issue| (issue.at.as_str(), issue.help.as_str())).collect();
    assert_eq!(
        issues,
        [
            ("/hostname", "did you mean \"hostName\"?"),
            ("/prt", "did you mean \"port\"?"),
            ("/a~1b", "known are: hostName, id, port"),
            ("", "add it"),
            ("", "add it"),
        ]
    );
    let denied = Sent(json!({"hostName": "a", "port": 70_000})).take::<Wanted>().unwrap_err();
    assert_eq!(
        (denied.status(), denied.issues()[0].at.as_str()),
        (StatusCode::UNPROCESSABLE_ENTITY, "/port")
    );
}
