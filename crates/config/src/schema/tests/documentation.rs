//! `docs/configuration.md` against the schema and the checker.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::{definition, issues_at, properties};
use crate::model::access_log::{KnownField, LogFormat, Redact};
use crate::model::admin::Role;
use crate::model::event::{EVENT_NAMES, WebhookFormat};
use crate::model::listener::ForwardedHeaders;
use crate::model::pool::{Algorithm, ServerState};
use crate::model::probe::ProbeKind;
use crate::model::recovery::RecoveryAction;
use crate::model::syslog::{Facility, Severity};
use crate::model::tracing::TracingProtocol;
use crate::schema::schema;
use crate::shape;

fn page() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    fs::read_to_string(path).unwrap()
}

/// A row of a table: key, meaning, kind, default, limits.
struct Row {
    key: String,
    kind: String,
    default: String,
    limits: String,
}

/// The rows below the heading `## Name: …`, up to the next heading.
fn rows(page: &str, name: &str) -> Vec<Row> {
    let start = format!("## {name}: ");
    let section = page.lines().skip_while(|line| !line.starts_with(&start)).skip(1);
    let section = section.take_while(|line| !line.starts_with("## "));
    let table = section.skip_while(|line| !line.starts_with("| key |")).skip(2);
    let table = table.take_while(|line| line.starts_with('|'));
    table
        .map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            assert_eq!(cells.len(), 5, "{line}");
            assert!(cells.iter().all(|cell| !cell.is_empty()), "{line}");
            let [key, _, kind, default, limits] = [0, 1, 2, 3, 4].map(|at| cells[at].to_owned());
            Row { key: key.trim_matches('`').to_owned(), kind, default, limits }
        })
        .collect()
}

#[test]
fn documents_exactly_the_keys_that_there_are() {
    let page = page();
    for shape in shape::ALL {
        let keys: Vec<String> = rows(&page, shape.name).into_iter().map(|row| row.key).collect();
        assert_eq!(keys, shape.keys, "{}", shape.name);
    }
    let tables = page.lines().filter(|line| line.starts_with("| key |")).count();
    assert_eq!(tables, shape::ALL.len(), "a table that no shape stands for");
}

#[test]
fn documents_the_defaults_that_there_are() {
    let (page, schema) = (page(), schema());
    for shape in shape::ALL {
        let required = definition(&schema, shape)["required"].as_array().cloned().unwrap_or_default();
        let properties = properties(&schema, shape);
        for row in rows(&page, shape.name) {
            let expected = match properties[&row.key].get("default") {
                Some(Value::Object(_)) => "see there".to_owned(),
                Some(default) => format!("`{}`", default.to_string().replace(',', ", ")),
                None if required.contains(&json!(row.key)) => "required".to_owned(),
                None => "none".to_owned(),
            };
            assert_eq!(row.default, expected, "{} {}", shape.name, row.key);
        }
    }
}

#[test]
fn documents_the_limits_that_there_are() {
    let (page, schema) = (page(), schema());
    for shape in shape::ALL {
        let properties = properties(&schema, shape);
        for row in rows(&page, shape.name) {
            // What the checker says to a value that cannot be right names the limits.
            let absurd = match row.kind.as_str() {
                "duration" => json!("9999d"),
                "size" => json!("9007199254740992B"),
                "number" => {
                    let number = &properties[&row.key]["anyOf"][0];
                    assert_eq!(
                        row.limits,
                        format!("{} to {}", number["minimum"], number["maximum"]),
                        "{}",
                        row.key
                    );
                    continue;
                }
                _ => continue,
            };
            let found = issues_at(shape, &row.key, absurd);
            assert_eq!(found.len(), 1, "{} {}", shape.name, row.key);
            let expected = format!("write {}", row.limits);
            assert!(found[0].help.starts_with(&expected), "{} {}: {}", shape.name, row.key, found[0].help);
        }
    }
}

#[test]
fn documents_every_word() {
    let page = page();
    let words = Algorithm::ALL.map(Algorithm::name).into_iter();
    let words = words.chain(ProbeKind::ALL.map(ProbeKind::name)).chain(LogFormat::ALL.map(LogFormat::name));
    let words = words.chain(ForwardedHeaders::ALL.map(ForwardedHeaders::name));
    let words = words.chain(ServerState::ALL.map(ServerState::name)).chain(Role::ALL.map(Role::name));
    let words = words.chain(WebhookFormat::ALL.map(WebhookFormat::name)).chain(RecoveryAction::NAMES);
    let words = words.chain(EVENT_NAMES).chain(KnownField::ALL.map(KnownField::name));
    let words = words.chain(Facility::ALL.map(Facility::name)).chain(Severity::ALL.map(Severity::name));
    let words = words.chain(Redact::QUERY).chain(Redact::HEADERS);
    let words = words.chain(TracingProtocol::ALL.map(TracingProtocol::name));
    let variables =
        ["PORT", "WORKER_COUNT", "HEALTH_CHECK_INTERVAL", "REDIS_URL", "LOADWEAVER_CONFIG", "LOADWEAVER_LOG"];
    for word in words.chain(["connect_failure", "reset", "timeout"]).chain(variables) {
        assert!(page.contains(&format!("`{word}`")), "{word} is not documented");
    }
}

#[test]
fn every_example_is_accepted_without_a_warning() {
    let page = page();
    let examples: Vec<&str> =
        page.split("```json\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(examples.len() >= 3, "only {} examples", examples.len());
    let environment = |name: &str| (name == "APP_PORT").then(|| "3001".to_owned());
    for example in examples {
        let parsed =
            crate::parse(example.as_bytes(), &environment).unwrap_or_else(|i| panic!("{example}\n{i}"));
        assert_eq!(parsed.warnings, [], "{example}");
    }
}
