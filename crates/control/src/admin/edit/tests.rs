#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
use std::sync::Arc;

use loadweaver_config::ServerEdit;
use serde_json::{Value, json};

use super::servers::NewServer;
use super::*;

fn config(document: &Value) -> Config {
    let environment = |name: &str| (name == "PORT_TWO").then(|| "3002".to_owned());
    loadweaver_config::parse(document.to_string().as_bytes(), &environment).unwrap().config
}

fn one_pool() -> Value {
    json!({
        "listeners": {"web": {"bind": "127.0.0.1:0"}},
        "pools": {"app": {"servers": [{"host": "127.0.0.1", "port": 3001}, {"host": "LOCALHOST", "port": "${PORT_TWO}"}]}},
    })
}

fn two_pools() -> Value {
    let mut document = one_pool();
    document["pools"]["api"] = json!({"servers": [{"host": "127.0.0.1", "port": 3001}]});
    document["routes"] =
        json!([{"match": {"path": "/api/"}, "pool": "api"}, {"name": "rest", "pool": "app"}]);
    document
}

fn new(host: &str, port: u16) -> NewServer {
    let keys = json!({"host": host, "port": port}).as_object().unwrap().clone();
    NewServer { keys, ..NewServer::default() }
}

/// The document with the edit that was picked.
fn made(document: &Value, picked: Result<(Arc<str>, ServerEdit), EditError>) -> Edited {
    let (pool, edit) = picked?;
    let mut document = document.clone();
    edit.apply(&mut document, &pool).map_err(|key| EditError::out_of_step(&key))?;
    Ok(document)
}

fn is_conflict(edited: &Edited, text: &str) -> bool {
    matches!(edited, Err(EditError::Conflict(why)) if why.contains(text))
}

#[test]
fn a_server_is_found_by_what_its_placeholders_stand_for() {
    let document = one_pool();
    let config = config(&document);
    let edited =
        made(&document, servers::set(&config, ("localhost:3002", None), ("weight", json!(3)))).unwrap();
    assert_eq!(
        edited["pools"]["app"]["servers"][1],
        json!({"host": "LOCALHOST", "port": "${PORT_TWO}", "weight": 3})
    );
    let edited = made(&document, servers::remove(&config, "localhost:3002", None)).unwrap();
    assert_eq!(edited["pools"]["app"]["servers"], json!([{"host": "127.0.0.1", "port": 3001}]));
    assert!(is_conflict(
        &made(&edited, servers::remove(&self::config(&edited), "127.0.0.1:3001", None)),
        "last server"
    ));
    assert!(is_conflict(&made(&document, servers::add(&config, new("localhost", 3002))), "already"));
}

#[test]
fn where_several_could_be_meant_nobody_guesses() {
    let document = two_pools();
    let config = config(&document);
    let twice = made(&document, servers::set(&config, ("127.0.0.1:3001", None), ("weight", json!(3))));
    assert!(is_conflict(&twice, "app, api"), "{twice:?}");
    let edited =
        made(&document, servers::set(&config, ("127.0.0.1:3001", Some("api")), ("weight", json!(3))))
            .unwrap();
    assert_eq!(edited["pools"]["api"]["servers"][0]["weight"], 3);
    assert!(edited["pools"]["app"]["servers"][0].get("weight").is_none());
    assert!(is_conflict(&made(&document, servers::add(&config, new("127.0.0.1", 3003))), "say which"));
    assert!(matches!(
        servers::set_algorithm(&document, &config, "random", Some("none")),
        Err(EditError::NotFound(_))
    ));
}

#[test]
fn a_probe_without_a_path_is_not_given_one() {
    let mut document = one_pool();
    document["pools"]["app"]["healthCheck"] = json!({"type": "tcp"});
    let with_path = NewServer { probe_path: Some("/up".to_owned()), ..new("127.0.0.1", 3003) };
    assert!(is_conflict(&made(&document, servers::add(&config(&document), with_path)), "tcp"));
}

#[test]
fn a_route_that_was_implied_is_written_down_before_it_would_be_lost() {
    let document = one_pool();
    let config = config(&document);
    let edited =
        pools::add(&document, &config, "api", json!({"servers": [{"host": "a", "port": 1}]})).unwrap();
    assert_eq!(edited["routes"], json!([{"name": "default", "pool": "app"}]));
    let route = json!({"match": {"path": "/v1/"}, "pool": "app"});
    let edited = routes::add(&document, &config, route.clone(), None).unwrap();
    assert_eq!(
        edited["routes"],
        json!([route, {"name": "default", "pool": "app"}]),
        "behind it, it would never match"
    );
    let replaced =
        routes::replace(&document, &config, "default", json!({"match": {"path": "/a/"}, "pool": "app"}))
            .unwrap();
    assert_eq!(replaced["routes"], json!([{"match": {"path": "/a/"}, "pool": "app"}]));
}

#[test]
fn routes_stand_where_they_are_put() {
    let document = two_pools();
    let config = config(&document);
    let route = json!({"name": "new", "pool": "api"});
    let names = |edited: Value| -> Vec<Value> {
        edited["routes"].as_array().unwrap().iter().map(|route| route["name"].clone()).collect()
    };
    let before = routes::add(&document, &config, route.clone(), Some("rest")).unwrap();
    assert_eq!(names(before), [Value::Null, json!("new"), json!("rest")]);
    let last = routes::add(&document, &config, route.clone(), None).unwrap();
    assert_eq!(names(last), [Value::Null, json!("rest"), json!("new")]);
    assert!(matches!(routes::add(&document, &config, route, Some("none")), Err(EditError::NotFound(_))));
    // One without a name is found by the name of its place.
    assert_eq!(names(routes::remove(&document, &config, "route-1").unwrap()), [json!("rest")]);
}

#[test]
fn a_pool_that_is_in_use_stays_and_the_others_keep_their_order() {
    let mut document = two_pools();
    assert!(is_conflict(&pools::remove(&document, &config(&document), "api"), "route-1"));
    document["routes"] = json!([{"pool": "api"}]);
    document["pools"]["last"] = document["pools"]["api"].clone();
    let edited = pools::remove(&document, &config(&document), "app").unwrap();
    let names: Vec<_> = edited["pools"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(names, ["api", "last"]);
    let single = one_pool();
    assert!(is_conflict(&pools::remove(&single, &config(&single), "app"), "only pool"));
}
