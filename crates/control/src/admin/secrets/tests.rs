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
        "webhooks": [{"url": "https://a.example/", "secret": "hush", "headers": {"Authorization": "Bearer abc", "X-Team": "a"}}],
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
    let patched = |patch: Value| {
        let sealed = Sealed::new(&document());
        let patched = json_patch(&sealed.document, &patch).unwrap();
        sealed.open(patched).and_then(|whole| unmasked(whole, &document()))
    };
    let whole = patched(json!([{"op": "remove", "path": "/admin/tokens/0"}])).unwrap();
    assert_eq!(whole["admin"]["tokens"][0]["token"], "second-second-second");
    let copied = json!([{"op": "copy", "from": "/admin/tokens/0/token", "path": "/pools/app/note"}]);
    assert!(patched(copied).is_err());
    let sealed = Sealed::new(&document());
    let guess = json!([{"op": "test", "path": "/admin/tokens/0/token", "value": "first-first-first"}]);
    assert!(json_patch(&sealed.document, &guess).is_err(), "a patch must not be a way to try passwords");
}
