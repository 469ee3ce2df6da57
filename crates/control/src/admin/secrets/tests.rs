#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
use loadweaver_config::patch::json_patch;
use serde_json::json;

use super::*;

fn document() -> Value {
    json!({
        "admin": {"bind": "127.0.0.1:1", "tokens": [
            {"token": "first-first-first", "role": "write"},
            {"token": "second-second-second", "role": "read"},
            {"token": "${READ_TOKEN}", "role": "read", "name": "board"},
        ]},
        "webhooks": [{"url": "https://a.example/services/T0?k=v", "secret": "hush", "headers": {"Authorization": "Bearer abc", "X-Team": "a"}}],
        "pools": {"app": {"healthCheck": {"headers": {"authorization": "Bearer ${PROBE_TOKEN}", "x-api-key": "${KEY:-k}"}},
            "recovery": {"env": {"DB_PASSWORD": "p", "HOME": "/"}}}},
    })
}

#[test]
fn literal_secrets_are_hidden_and_placeholders_are_shown() {
    let shown = masked(&document());
    assert_eq!(shown["admin"]["tokens"][0], json!({"token": "***", "role": "write"}));
    assert_eq!(shown["admin"]["tokens"][2]["token"], "${READ_TOKEN}");
    assert_eq!(shown["webhooks"][0]["secret"], "***");
    assert_eq!(shown["webhooks"][0]["headers"], json!({"Authorization": "***", "X-Team": "a"}));
    let headers = &shown["pools"]["app"]["healthCheck"]["headers"];
    // A default is a secret in the file.
    assert_eq!(headers, &json!({"authorization": "Bearer ${PROBE_TOKEN}", "x-api-key": "***"}));
    assert_eq!(shown["pools"]["app"]["recovery"]["env"], json!({"DB_PASSWORD": "***", "HOME": "/"}));
}

#[test]
fn what_was_read_can_be_sent_back() {
    assert_eq!(unmasked(masked(&document()), &document()).unwrap(), document());
    let mut wanted = masked(&document());
    wanted["webhooks"][0]["secret"] = "new".into();
    wanted["admin"]["tokens"][1]["role"] = "write".into();
    let whole = unmasked(wanted, &document()).unwrap();
    assert_eq!(whole["webhooks"][0]["secret"], "new");
    assert_eq!(whole["webhooks"][0]["headers"]["Authorization"], "Bearer abc");
    assert_eq!(whole["admin"]["tokens"][1], json!({"token": "second-second-second", "role": "write"}));
}

#[test]
fn a_token_never_becomes_another_ones() {
    // The first is taken out, and what is left is found by what it says.
    let mut wanted = masked(&document());
    wanted["admin"]["tokens"].as_array_mut().unwrap().remove(0);
    let whole = unmasked(wanted, &document()).unwrap();
    assert_eq!(whole["admin"]["tokens"][0]["token"], "second-second-second");
    // Here it could be either.
    let mut before = document();
    before["admin"]["tokens"][1]["role"] = "write".into();
    let mut wanted = masked(&before);
    wanted["admin"]["tokens"].as_array_mut().unwrap().remove(0);
    let refused = unmasked(wanted, &before).unwrap_err();
    assert!(matches!(refused, EditError::Invalid { at, .. } if at == "/admin/tokens/0/token"));
    // Two that changed places, or two roles that did: nobody can tell.
    let mut wanted = masked(&document());
    wanted["admin"]["tokens"].as_array_mut().unwrap().swap(0, 1);
    assert!(unmasked(wanted, &document()).is_err());
    // And here nothing was there.
    let mut wanted = masked(&document());
    wanted["webhooks"].as_array_mut().unwrap().push(json!({"url": "https://b.example/", "secret": "***"}));
    assert!(unmasked(wanted, &document()).is_err());
}

#[test]
fn a_patch_moves_secrets_with_their_entries_and_cannot_bring_them_to_light() {
    let whole = patched(&json!([{"op": "remove", "path": "/admin/tokens/0"}])).unwrap();
    assert_eq!(whole["admin"]["tokens"][0]["token"], "second-second-second");
    let copied = json!([{"op": "copy", "from": "/admin/tokens/0/token", "path": "/pools/app/note"}]);
    assert!(patched(&copied).is_err());
    let sealed = Sealed::new(&document(), &json!([])).unwrap();
    let guess = json!([{"op": "test", "path": "/admin/tokens/0/token", "value": "first-first-first"}]);
    assert!(json_patch(&sealed.document, &guess).is_err(), "a patch must not be a way to try passwords");
}

fn patched(patch: &Value) -> Result<Value, EditError> {
    let sealed = Sealed::new(&document(), patch)?;
    let patched = json_patch(&sealed.document, patch).unwrap();
    sealed.open(patched).and_then(|whole| unmasked(whole, &document()))
}

#[test]
fn of_a_url_only_the_host_is_shown_and_the_rest_comes_back_only_behind_it() {
    let shown = |url: &str| masked(&json!({"webhooks": [{"url": url}]}))["webhooks"][0]["url"].clone();
    assert_eq!(shown("https://hooks.example/services/T0/B0/x"), "https://hooks.example/***");
    assert_eq!(shown("https://hooks.example:8443?key=x"), "https://hooks.example:8443/***");
    for whole in ["https://a.example", "https://a.example/", "${HOOK}", "https://a.example/${PATH_OF_HOOK}"] {
        assert_eq!(shown(whole), whole);
    }
    let mut wanted = masked(&document());
    for other in ["https://b.example/***", "http://a.example/***", "https://a.example/services/***"] {
        wanted["webhooks"][0]["url"] = other.into();
        assert!(unmasked(wanted.clone(), &document()).is_err(), "{other}");
    }
    let mut recovery =
        json!({"pools": {"app": {"recovery": {"url": "https://o/x", "body": "key=1", "headers": {}}}}});
    assert_eq!(
        masked(&recovery)["pools"]["app"]["recovery"],
        json!({"url": "https://o/***", "body": "***", "headers": {}})
    );
    assert_eq!(unmasked(masked(&recovery), &recovery).unwrap(), recovery);
    // Two that look alike in what is shown of them are told apart by their place, or not at all.
    let hook = |path: &str| json!({"url": format!("https://a.example/{path}")});
    recovery["webhooks"] = json!([hook("1"), hook("2")]);
    assert_eq!(unmasked(masked(&recovery), &recovery).unwrap(), recovery);
    let mut wanted = masked(&recovery);
    wanted["webhooks"].as_array_mut().unwrap().remove(0);
    assert!(unmasked(wanted, &recovery).is_err());
}

#[test]
fn what_is_sent_to_one_host_is_not_sent_to_another_by_whoever_cannot_read_it() {
    let mut wanted = masked(&document());
    wanted["webhooks"][0]["url"] = "https://evil.example/".into();
    assert!(unmasked(wanted.clone(), &document()).is_err());
    wanted["webhooks"][0]["headers"]["Authorization"] = "Bearer mine".into();
    let whole = unmasked(wanted, &document()).unwrap();
    assert_eq!(whole["webhooks"][0]["secret"], "hush", "what signs is not sent");
    let elsewhere = json!({"op": "replace", "path": "/webhooks/0/url", "value": "https://evil.example/"});
    assert!(patched(&json!([elsewhere])).is_err());
    let same_host = json!([{"op": "replace", "path": "/webhooks/0/url", "value": "https://a.example/new"}]);
    assert_eq!(patched(&same_host).unwrap()["webhooks"][0]["headers"]["Authorization"], "Bearer abc");
    let copied = json!([
        {"op": "copy", "from": "/webhooks/0", "path": "/webhooks/-"},
        {"op": "replace", "path": "/webhooks/1/url", "value": "https://evil.example/"},
    ]);
    assert!(patched(&copied).is_err());
    let mut before = document();
    before["webhooks"][0]["headers"]["Authorization"] = "Bearer ${HOOK_TOKEN}".into();
    let mut wanted = before.clone();
    wanted["webhooks"][0]["url"] = "https://evil.example/".into();
    assert!(unmasked(wanted, &before).is_err(), "a placeholder is as good as the secret");
}

#[test]
fn a_secret_stays_in_what_it_is_for() {
    for (from, path) in [
        ("/admin/tokens/0/token", "/webhooks/0/headers/X-Token"),
        ("/admin/tokens/0/token", "/webhooks/0/secret"),
        ("/webhooks/0/secret", "/pools/app/healthCheck/headers/x-secret"),
        ("/pools/app/recovery/env/DB_PASSWORD", "/webhooks/0/headers/X-Key"),
    ] {
        assert!(patched(&json!([{"op": "copy", "from": from, "path": path}])).is_err(), "{from} {path}");
    }
    let made_up = json!([{"op": "add", "path": "/webhooks/0/headers/X-Token", "value": "***\u{0}0"}]);
    assert!(patched(&made_up).is_err());
}

#[test]
fn an_edit_names_the_variables_that_are_named_and_for_what_they_are() {
    let before = document();
    let new = |path: &str, value: &str| {
        let mut wanted = before.clone();
        *wanted.pointer_mut(path).unwrap() = value.into();
        variables::new_ones(&before, &wanted)
    };
    assert_eq!(new("/admin/bind", "${HOME}"), ["${HOME}"]);
    assert_eq!(new("/admin/bind", "$${HOME}"), [""; 0], "that is no placeholder");
    assert_eq!(
        new("/admin/tokens/0/role", "${READ_TOKEN}"),
        ["${READ_TOKEN}"],
        "where an error would show it"
    );
    assert_eq!(new("/webhooks/0/headers/Authorization", "Bearer ${READ_TOKEN}"), ["${READ_TOKEN}"]);
    assert_eq!(new("/webhooks/0/url", "https://evil/${KEY:-x}"), ["${KEY}"]);
    assert_eq!(new("/admin/tokens/0/token", "${READ_TOKEN}"), [""; 0]);
    assert_eq!(new("/pools/app/healthCheck/headers/x-api-key", "${PROBE_TOKEN}"), [""; 0]);
    assert_eq!(variables::new_ones(&before, &json!({})), [""; 0]);
}

#[test]
fn what_goes_to_a_collector_is_kept_like_what_goes_to_a_webhook() {
    let before = json!({"tracing": {
        "endpoint": "https://otel.example/hush", "headers": {"api-key": "hush", "x-team": "a"}
    }});
    let shown = masked(&before);
    assert_eq!(
        shown,
        json!({"tracing": {"endpoint": "https://otel.example/***", "headers": {"api-key": "***", "x-team": "a"}}})
    );
    assert_eq!(unmasked(shown.clone(), &before).unwrap(), before);
    let mut elsewhere = shown;
    elsewhere["tracing"]["endpoint"] = "https://evil.example/".into();
    let EditError::Invalid { at, problem, .. } = unmasked(elsewhere, &before).unwrap_err() else {
        unreachable!("it is invalid")
    };
    assert_eq!((&*at, problem.contains("another host")), ("/tracing/endpoint", true), "{problem}");
}
