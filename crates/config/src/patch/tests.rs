//! The examples of both RFCs, and what a patch cannot be made to do.

#![allow(clippy::unwrap_used, clippy::panic, clippy::needless_pass_by_value)]

use serde_json::json;

use super::*;

fn patched(document: Value, patch: Value) -> Value {
    json_patch(&document, &patch).unwrap_or_else(|error| panic!("{error}"))
}

/// Where in the patch, and what; the document must fit otherwise.
fn conflict(document: Value, patch: Value) -> (String, String) {
    match json_patch(&document, &patch) {
        Err(PatchError::Conflict(issue)) => (issue.at, issue.problem),
        other => panic!("{other:?}"),
    }
}

fn malformed(patch: Value) -> (String, String) {
    match json_patch(&json!({ "a": 1 }), &patch) {
        Err(PatchError::Malformed(issue)) => (issue.at, issue.problem),
        other => panic!("{other:?}"),
    }
}

#[test]
fn does_what_appendix_a_of_rfc_6902_shows() {
    let foo = || json!({ "foo": "bar" });
    let list = || json!({ "foo": ["bar", "baz"] });
    for (document, patch, expected) in [
        (
            foo(),
            json!([{ "op": "add", "path": "/baz", "value": "qux" }]),
            json!({ "baz": "qux", "foo": "bar" }),
        ),
        (
            list(),
            json!([{ "op": "add", "path": "/foo/1", "value": "qux" }]),
            json!({ "foo": ["bar", "qux", "baz"] }),
        ),
        (json!({ "baz": "qux", "foo": "bar" }), json!([{ "op": "remove", "path": "/baz" }]), foo()),
        (json!({ "foo": ["bar", "qux", "baz"] }), json!([{ "op": "remove", "path": "/foo/1" }]), list()),
        (
            json!({ "baz": "qux", "foo": "bar" }),
            json!([{ "op": "replace", "path": "/baz", "value": "boo" }]),
            json!({ "baz": "boo", "foo": "bar" }),
        ),
        (
            json!({ "foo": { "bar": "baz", "waldo": "fred" }, "qux": { "corge": "grault" } }),
            json!([{ "op": "move", "from": "/foo/waldo", "path": "/qux/thud" }]),
            json!({ "foo": { "bar": "baz" }, "qux": { "corge": "grault", "thud": "fred" } }),
        ),
        (
            json!({ "foo": ["all", "grass", "cows", "eat"] }),
            json!([{ "op": "move", "from": "/foo/1", "path": "/foo/3" }]),
            json!({ "foo": ["all", "cows", "eat", "grass"] }),
        ),
        (
            json!({ "baz": "qux", "foo": ["a", 2, "c"] }),
            json!([
                { "op": "test", "path": "/baz", "value": "qux" },
                { "op": "test", "path": "/foo/1", "value": 2.0 }
            ]),
            json!({ "baz": "qux", "foo": ["a", 2, "c"] }),
        ),
        (
            foo(),
            json!([{ "op": "add", "path": "/child", "value": { "grandchild": {} } }]),
            json!({ "foo": "bar", "child": { "grandchild": {} } }),
        ),
        (
            foo(),
            json!([{ "op": "add", "path": "/baz", "value": "qux", "xyz": 123 }]),
            json!({ "foo": "bar", "baz": "qux" }),
        ),
        (
            json!({ "/": 9, "~1": 10 }),
            json!([{ "op": "test", "path": "/~01", "value": 10 }]),
            json!({ "/": 9, "~1": 10 }),
        ),
        (
            json!({ "foo": ["bar"] }),
            json!([{ "op": "add", "path": "/foo/-", "value": ["abc", "def"] }]),
            json!({ "foo": ["bar", ["abc", "def"]] }),
        ),
        (
            list(),
            json!([{ "op": "copy", "from": "/foo/0", "path": "/bar" }]),
            json!({ "foo": ["bar", "baz"], "bar": "bar" }),
        ),
        (foo(), json!([{ "op": "replace", "path": "", "value": [1] }]), json!([1])),
        (foo(), json!([{ "op": "move", "from": "/foo", "path": "/foo" }]), foo()),
        (foo(), json!([]), foo()),
        (json!({ "": 1 }), json!([{ "op": "replace", "path": "/", "value": 2 }]), json!({ "": 2 })),
    ] {
        assert_eq!(patched(document.clone(), patch.clone()), expected, "{document} {patch}");
    }
}

#[test]
fn refuses_what_does_not_fit_the_document_and_says_where() {
    for (patch, at, problem) in [
        (json!([{ "op": "test", "path": "/baz", "value": "bar" }]), "/0/path", "nothing stands at \"/baz\""),
        (json!([{ "op": "test", "path": "/s", "value": 10 }]), "/0/value", "another value stands there"),
        (json!([{ "op": "add", "path": "/baz/bat", "value": 1 }]), "/0/path", "nothing stands at \"/baz\""),
        (json!([{ "op": "add", "path": "/s/x", "value": 1 }]), "/0/path", "holds nothing"),
        (json!([{ "op": "add", "path": "/list/4", "value": 1 }]), "/0/path", "no place 4 in a list of 3"),
        (
            json!([{ "op": "add", "path": "/list/01", "value": 1 }]),
            "/0/path",
            "\"01\" is not a place in a list",
        ),
        (json!([{ "op": "replace", "path": "/list/3", "value": 1 }]), "/0/path", "nothing stands at"),
        (json!([{ "op": "replace", "path": "/list/-", "value": 1 }]), "/0/path", "\"-\" is not a place"),
        (json!([{ "op": "remove", "path": "/list/-1" }]), "/0/path", "is not a place"),
        (json!([{ "op": "remove", "path": "/list/3" }]), "/0/path", "no place 3"),
        (json!([{ "op": "remove", "path": "" }]), "/0/path", "whole document"),
        (json!([{ "op": "copy", "from": "/no", "path": "/x" }]), "/0/from", "nothing stands at"),
        (json!([{ "op": "move", "from": "/map", "path": "/map/in" }]), "/0/path", "into itself"),
        (
            json!([{ "op": "add", "path": "/t", "value": 1 }, { "op": "remove", "path": "/u" }]),
            "/1/path",
            "nothing stands at \"/u\"",
        ),
    ] {
        let document = json!({ "s": "10", "list": [1, 2, 3], "map": { "in": 1 } });
        let (found, said) = conflict(document, patch.clone());
        assert_eq!(found, at, "{patch}");
        assert!(said.contains(problem), "{patch}: {said}");
    }
}

#[test]
fn refuses_what_is_no_patch_before_anything_is_applied() {
    let good = json!({ "op": "remove", "path": "/a" });
    for (patch, at, problem) in [
        (json!({ "op": "remove", "path": "/a" }), "", "a list of operations"),
        (json!([good, 1]), "/1", "an operation is an object"),
        (json!([good, { "path": "/a" }]), "/1", "no \"op\""),
        (json!([{ "op": "remove" }]), "/0", "no \"path\""),
        (json!([{ "op": "delete", "path": "/a" }]), "/0/op", "\"delete\" is not an operation"),
        (json!([{ "op": "remove", "path": 1 }]), "/0/path", "not a text"),
        (json!([{ "op": "remove", "path": "a" }]), "/0/path", "does not begin with \"/\""),
        (json!([{ "op": "remove", "path": "/~2" }]), "/0/path", "stands for nothing"),
        (json!([{ "op": "add", "path": "/b" }]), "/0", "no \"value\""),
        (json!([{ "op": "move", "path": "/b" }]), "/0", "no \"from\""),
        (json!(vec![good.clone(); MAX_OPERATIONS + 1]), "", "more than the 10000"),
    ] {
        let (found, said) = malformed(patch.clone());
        assert_eq!(found, at, "{patch}");
        assert!(said.contains(problem), "{said}");
    }
}

#[test]
fn a_null_is_a_value() {
    let patch =
        json!([{ "op": "add", "path": "/b", "value": null }, { "op": "test", "path": "/b", "value": null }]);
    assert_eq!(patched(json!({}), patch), json!({ "b": null }));
}

#[test]
fn keeps_the_other_keys_in_order() {
    let document = json!({ "a": 1, "b": 2, "c": 3, "d": 4 });
    let without = patched(document.clone(), json!([{ "op": "remove", "path": "/a" }]));
    assert_eq!(without.to_string(), r#"{"b":2,"c":3,"d":4}"#);
    assert_eq!(merge_patch(&document, &json!({ "a": null, "c": 5 })).to_string(), r#"{"b":2,"c":5,"d":4}"#);
}

#[test]
fn cannot_be_made_to_fill_the_memory() {
    let doubling = json!({ "op": "copy", "from": "", "path": "/a/-" });
    let (_, said) = conflict(json!({ "a": ["x"] }), json!(vec![doubling; 200]));
    assert!(said.contains("nested deeper than 32 levels"), "{said}");
    let wide = json!({ "op": "copy", "from": "/a", "path": "/a/-" });
    let (_, said) = conflict(json!({ "a": ["x".repeat(64 * 1024)] }), json!(vec![wide; 200]));
    assert!(said.contains("more than the 16777216 bytes"), "{said}");
    let long = json!({ "op": "copy", "from": "/text", "path": "/list/-" });
    let document = json!({ "text": "x".repeat(1024 * 1024), "list": [] });
    let (at, said) = conflict(document, json!(vec![long; 20]));
    assert!(at == "/15" && said.contains("more than the 16777216 bytes"), "{at} {said}");
}

#[test]
fn does_what_appendix_a_of_rfc_7396_shows() {
    for (document, patch, expected) in [
        (json!({ "a": "b" }), json!({ "a": "c" }), json!({ "a": "c" })),
        (json!({ "a": "b" }), json!({ "b": "c" }), json!({ "a": "b", "b": "c" })),
        (json!({ "a": "b" }), json!({ "a": null }), json!({})),
        (json!({ "a": "b", "b": "c" }), json!({ "a": null }), json!({ "b": "c" })),
        (json!({ "a": ["b"] }), json!({ "a": "c" }), json!({ "a": "c" })),
        (json!({ "a": "c" }), json!({ "a": ["b"] }), json!({ "a": ["b"] })),
        (json!({ "a": { "b": "c" } }), json!({ "a": { "b": "d", "c": null } }), json!({ "a": { "b": "d" } })),
        (json!({ "a": [{ "b": "c" }] }), json!({ "a": [1] }), json!({ "a": [1] })),
        (json!(["a", "b"]), json!(["c", "d"]), json!(["c", "d"])),
        (json!({ "a": "b" }), json!(["c"]), json!(["c"])),
        (json!({ "a": "foo" }), json!(null), json!(null)),
        (json!({ "a": "foo" }), json!("bar"), json!("bar")),
        (json!({ "e": null }), json!({ "a": 1 }), json!({ "e": null, "a": 1 })),
        (json!([1, 2]), json!({ "a": "b", "c": null }), json!({ "a": "b" })),
        (json!({}), json!({ "a": { "bb": { "ccc": null } } }), json!({ "a": { "bb": {} } })),
    ] {
        assert_eq!(merge_patch(&document, &patch), expected, "{document} {patch}");
    }
}
