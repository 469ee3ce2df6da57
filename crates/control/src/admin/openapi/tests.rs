#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
use std::collections::HashSet;

use serde_json::Value;

fn document() -> Value {
    serde_json::from_str(&crate::openapi()).unwrap()
}

/// Path, method and operation.
fn operations(document: &Value) -> Vec<(String, String, Value)> {
    let paths = document["paths"].as_object().unwrap();
    let methods = ["get", "put", "post", "delete", "patch"];
    let of_path = |(path, item): (&String, &Value)| {
        let found = methods.iter().filter_map(|method| Some((*method, item.get(*method)?.clone())));
        found.map(|(method, operation)| (path.clone(), method.to_owned(), operation)).collect::<Vec<_>>()
    };
    paths.iter().flat_map(of_path).collect()
}

#[test]
fn every_operation_says_what_it_is_and_what_it_answers() {
    let document = document();
    assert_eq!(document["openapi"], "3.1.0");
    let operations = operations(&document);
    assert!(operations.len() >= 30, "{}", operations.len());
    let mut ids = HashSet::new();
    for (path, method, operation) in &operations {
        let name = format!("{method} {path}");
        assert!(ids.insert(operation["operationId"].clone()), "{name}: the operation's id stands twice");
        assert!(operation["summary"].as_str().is_some_and(|summary| !summary.is_empty()), "{name}");
        let responses = operation["responses"].as_object().unwrap();
        for (status, response) in responses {
            let content = response["content"].as_object();
            let all =
                content.is_some_and(|content| content.values().all(|each| each.get("schema").is_some()));
            assert!(all, "{name} {status}");
        }
        let open = matches!(path.as_str(), "/" | "/assets/{name}" | "/livez" | "/readyz");
        for status in ["401", "403"] {
            assert!(open || responses.contains_key(status), "{name} does not say {status}");
        }
        if operation.get("requestBody").is_some() {
            for status in ["400", "413", "415", "422"] {
                assert!(responses.contains_key(status), "{name} does not say {status}");
            }
        }
        // Those that change the configuration; the others only set something going.
        if responses.contains_key("412") || operation.get("requestBody").is_some() {
            for status in ["404", "409", "412", "503"] {
                assert!(responses.contains_key(status), "{name} does not say {status}");
            }
        }
    }
}

#[test]
fn every_reference_leads_somewhere() {
    let document = document();
    let text = document.to_string();
    for (at, _) in text.match_indices("\"#/components/schemas/") {
        let name = text[at..].split('"').nth(1).unwrap().rsplit('/').next().unwrap();
        assert!(document["components"]["schemas"].get(name).is_some(), "{name}");
    }
}

/// Of two things with one name the last would be the schema of both.
#[test]
fn what_is_wrong_now_and_why_something_was_refused_are_two_things() {
    let document = document();
    let schemas = &document["components"]["schemas"];
    assert!(schemas["Problem"]["properties"]["what"].is_object(), "{}", schemas["Problem"]);
    let reason = schemas["Failure"]["properties"]["error"]["$ref"].as_str().unwrap();
    let reason = document.pointer(reason.trim_start_matches('#')).unwrap();
    assert!(reason["properties"]["code"].is_object(), "{reason}");
}
