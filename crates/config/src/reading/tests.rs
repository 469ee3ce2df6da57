//! What is read in parts against what is read whole, what is spliced against what is rewritten.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::{document, rewrite};

fn env(name: &str) -> Option<String> {
    (name == "PORT_A").then(|| "3001".to_owned())
}

fn read_whole(text: &str) -> Reading {
    Reading::new(text.into(), &env).unwrap_or_else(|issues| panic!("{issues}\n{text}"))
}

/// Two pools around a listener, the first with servers of every spelling.
const TEXT: &str = r#"{ "listeners": { "web": { "bind": "127.0.0.1:8080" } },
  "pools": {
    "app": { "fallback": { "body": "ü \\\" \"servers\": [ {} ]" }, "servers": [
      { "id": "a", "host": "10.0.0.1", "port": 80 },

      {"host":"10.0.0.2","port":"${PORT_A}", "weight": 2.0},
      { "id": "]:[", "host": "10.0.0.3",
        "port": 80 } , { "id": "d", "host": "10.0.0.4", "port": 80 }
    ] },
    "api": { "servers": [ { "host": "10.0.0.1", "port": 80 } ] }
  },
  "routes": [ { "match": { "path": "/api/" }, "pool": "api" }, { "pool": "app" } ] }"#;

/// Whether the next text was read in parts, which must come to what the whole text says.
fn is_read_in_parts(from: &Reading, text: &str) -> bool {
    let parts = from.in_parts(&text.into(), &env);
    match (&parts, Reading::new(text.into(), &env)) {
        (Some(parts), Ok(whole)) => {
            assert_eq!(parts.parsed, whole.parsed, "{text}");
            assert_eq!(parts.lists, whole.lists, "{text}");
        }
        (Some(_), Err(issues)) => panic!("read in parts though {issues}\n{text}"),
        (None, _) => {}
    }
    parts.is_some()
}

#[test]
fn an_edit_of_one_server_is_read_in_parts() {
    let from = read_whole(TEXT);
    let text = &**from.text();
    for (old, new) in [
        ("10.0.0.4\", \"port\": 80", "10.0.0.4\", \"port\": 80, \"weight\": 7"),
        ("2.0", "3"),
        ("{ \"id\": \"a\", \"host\": \"10.0.0.1\", \"port\": 80 },", ""),
        ("\"port\": 80 }\n    ] }", "\"port\": 80 }, {\"host\": \"new\", \"port\": 1}\n    ] }"),
        ("[ { \"host\": \"10.0.0.1\"", "[ { \"host\": \"other\""),
        ("\"10.0.0.2\"", "\"10.0.0.22\""),
        (" , {", ",{"),
    ] {
        assert!(text.contains(old), "{old}");
        assert!(is_read_in_parts(&from, &text.replacen(old, new, 1)), "{old} -> {new}");
    }
}

#[test]
fn what_is_not_plain_is_read_whole() {
    let (text, from) = (TEXT, read_whole(TEXT));
    for (old, new) in [
        // Problems.
        ("\"id\": \"d\"", "\"id\": \"a\""),
        ("\"id\": \"d\", \"host\": \"10.0.0.4\"", "\"host\": \"10.0.0.1\""),
        ("\"10.0.0.4\", \"port\": 80", "\"10.0.0.4\", \"port\": 80, \"port\": 80"),
        ("\"port\": 80 }\n    ] }", "\"port\": 80, \"wait\": 1 }\n    ] }"),
        ("\"port\": 80 }\n    ] }", "\"port\": 80 }, \"x\n    ] }"),
        ("\"port\": 80 }\n    ] }", "\"port\": 80 } ]\n    ] }"),
        ("\"port\": 80 }\n    ] }", "\"port\": 80 },\n    ] }"),
        ("{ \"id\": \"a\", \"host\": \"10.0.0.1\", \"port\": 80 },", ", "),
        // Warnings.
        ("10.0.0.4\", \"port\": 80", "10.0.0.4\", \"port\": 80, \"weight\": 0"),
        ("\"10.0.0.4\", \"port\": 80", "\"127.0.0.1\", \"port\": 8080"),
        // Around them: a problem, a pool that is another, lists that are none any more, and what stands for one.
        ("/api/", "api"),
        ("\"api\": {", "\"api2\": {"),
        ("\"pools\": {", "\"pool\": {"),
        ("\"fallback\": { \"body\": \"", "\"fallback\": { \"body\": "),
        ("\"routes\":", &format!("\"via\": \"{}\", \"routes\":", frame::mark(0))),
    ] {
        assert!(text.contains(old), "{old}");
        assert!(!is_read_in_parts(&from, &text.replacen(old, new, 1)), "{old} -> {new}");
    }
    let both = text.replace("\"10.0.0.1\"", "\"10.0.0.9\"");
    assert!(!is_read_in_parts(&from, &both));
}

#[test]
fn an_edit_around_the_servers_is_read_without_them() {
    let from = read_whole(TEXT);
    for (old, new) in [
        ("/api/", "/app/"),
        ("127.0.0.1:8080", "127.0.0.1:80"),
        ("\"app\": {", "\"app\": { \"algorithm\": \"random\","),
        ("\"api\": { \"servers\"", "\"api\": { \"algorithm\": \"random\", \"servers\""),
        ("8080\" } }", "${PORT_A}\" } }, \"via\": \"${VIA:-x}\""),
        ("{ \"pool\": \"app\" } ]", "{ \"pool\": \"app\" } ], \"timeouts\": { \"idle\": \"7s\" }"),
    ] {
        assert!(TEXT.contains(old), "{old}");
        assert!(is_read_in_parts(&from, &TEXT.replacen(old, new, 1)), "{old} -> {new}");
    }
    // On both sides of a list, and of both.
    for new in [["8080", "8081"], ["{ \"fallback\"", "{ \"algorithm\": \"random\", \"fallback\""]] {
        let text = TEXT.replace(new[0], new[1]).replace("/api/", "/app/");
        assert!(is_read_in_parts(&from, &text), "{new:?}");
    }
}

#[test]
fn what_is_said_of_servers_is_still_said_after_an_edit_around_them() {
    let idle =
        TEXT.replace("2.0", "0").replace("\"port\": 80 } ] }", "\"port\": 80, \"state\": \"drain\" } ] }");
    let from = read_whole(&idle);
    assert_eq!(from.parsed.warnings.len(), 2);
    assert!(is_read_in_parts(&from, &idle.replace("/api/", "/app/")));
    // What else there is to say is found where the server is read.
    let recovery = r#""recovery": { "action": "http", "url": "http://10.0.0.9/", "stopTimeout": "1s" }"#;
    let more = TEXT.replace("\"weight\": 2.0", recovery);
    let from = read_whole(&more);
    assert!(from.parsed.warnings[0].at.starts_with("/pools/app/servers/1/recovery"));
    assert!(!is_read_in_parts(&from, &more.replace("/api/", "/app/")));
}

#[test]
fn what_a_variable_says_by_now_counts() {
    let from = read_whole(TEXT);
    let next: Arc<str> = TEXT.replace("\"id\": \"d\"", "\"id\": \"e\"").into();
    let other = |name: &str| (name == "PORT_A").then(|| "4000".to_owned());
    assert!(from.in_parts(&next, &env).is_some());
    assert!(from.in_parts(&next, &other).is_none());
    assert_eq!(from.next(next, &other).unwrap().parsed.config.pools[0].servers[1].port, 4000);
}

#[test]
fn servers_without_weight_are_still_told_each_at_its_place() {
    let light = TEXT.replace("2.0", "0");
    let from = read_whole(&light);
    assert_eq!(from.parsed.warnings.len(), 1);
    let removed = from.edited("app", &ServerEdit::Remove(0)).unwrap();
    assert!(is_read_in_parts(&from, &removed));
    let both = from.edited("app", &ServerEdit::Set(3, "weight".to_owned(), json!(0))).unwrap();
    assert!(is_read_in_parts(&from, &both));
    let none = from.edited("app", &ServerEdit::Set(1, "weight".to_owned(), json!(1))).unwrap();
    assert!(is_read_in_parts(&from, &none));
}

#[test]
fn servers_that_stay_are_the_same_values() {
    let from = read_whole(TEXT);
    let text = from.edited("app", &ServerEdit::Set(1, "weight".to_owned(), json!(9))).unwrap();
    let next = from.next(text.into(), &env).unwrap();
    // In release builds; debug builds hold the whole text against it and keep what was read in parts.
    let (before, after) = (&from.parsed.config.pools[0].servers, &next.parsed.config.pools[0].servers);
    assert!(Arc::ptr_eq(&before[0], &after[0]) && Arc::ptr_eq(&before[3], &after[3]));
    assert_eq!((before[1].weight, after[1].weight), (2, 9));
}

fn any_edit() -> impl Strategy<Value = ServerEdit> {
    let key = prop::sample::select(vec!["weight", "maxConnections", "state", "port", "host", "id"]);
    let value = prop_oneof![
        (0..4_u32).prop_map(Value::from),
        prop::sample::select(vec!["drain", "active", "10.0.0.4", "x", "${PORT_A}"]).prop_map(Value::from),
        Just(json!({ "action": "http", "url": "http://127.0.0.1/{serverId}" })),
    ];
    let server = (0..6_u32, prop::option::of(0..3_u32)).prop_map(|(host, weight)| {
        let mut server = Map::new();
        server.insert("host".to_owned(), format!("10.0.0.{host}").into());
        server.insert("port".to_owned(), 80.into());
        if let Some(weight) = weight {
            server.insert("weight".to_owned(), weight.into());
        }
        ServerEdit::Add(server)
    });
    prop_oneof![
        server,
        (0..5_usize).prop_map(ServerEdit::Remove),
        (0..5_usize, key, value).prop_map(|(place, key, value)| ServerEdit::Set(
            place,
            key.to_owned(),
            value
        )),
    ]
}

/// The same document on other lines.
fn respelled(spelling: u8) -> String {
    let text = respelled_short(spelling);
    if spelling < 128 {
        return text;
    }
    // Many more than show how the document is laid out, in another way than that.
    let first = text.find("\"10.0.0.1\"").unwrap();
    let end = first + text[first..].find('}').unwrap() + 1;
    let server = |number| format!("{{\t\"port\" :9,\n \"host\": \"10.9.0.{number}\"}}");
    let more = (0..12).map(server).fold(String::new(), |all, server| all + ",\n\n " + &server);
    format!("{}{more}{}", &text[..end], &text[end..])
}

fn respelled_short(spelling: u8) -> String {
    let document = document(TEXT.as_bytes()).unwrap();
    match spelling % 4 {
        0 => TEXT.to_owned(),
        1 => document.to_string(),
        2 => serde_json::to_string_pretty(&document).unwrap(),
        _ => format!("\u{feff}{}", TEXT.replace('\n', "\r\n").replace("  ", "\t")),
    }
}

#[test]
fn servers_that_say_the_same_stand_in_memory_once() {
    let (running, mut reading) = (read_whole(TEXT), read_whole(&TEXT.replace("10.0.0.3", "10.0.0.33")));
    reading.share_with(&running.parsed().config);
    let servers = |reading: &Reading| reading.parsed().config.pools[0].servers.clone();
    let same = |reading: &Reading| {
        servers(&running)
            .iter()
            .zip(servers(reading).iter())
            .map(|(one, other)| Arc::ptr_eq(one, other))
            .collect::<Vec<_>>()
    };
    assert_eq!(same(&reading), [true, true, false, true]);
    assert_eq!(servers(&reading)[2].host, "10.0.0.33");
    // Another place in the list is no other server.
    let first = r#"{ "id": "a", "host": "10.0.0.1", "port": 80 },"#;
    let mut reading = read_whole(&TEXT.replace(first, ""));
    reading.share_with(&running.parsed().config);
    assert!(Arc::ptr_eq(&servers(&reading)[0], &servers(&running)[1]));
    assert!(Arc::ptr_eq(&servers(&reading)[2], &servers(&running)[3]));
}

/// An edit of what stands around the servers, and whether it leaves them alone.
fn any_rework() -> impl Strategy<Value = (Value, bool)> {
    prop::sample::select(vec![
        (json!({ "timeouts": { "idle": "7s" } }), true),
        (json!({ "pools": { "app": { "algorithm": "random" } } }), true),
        (json!({ "pools": { "api": { "retry": { "on": ["502", "503"] } } } }), true),
        (json!({ "listeners": { "more": { "bind": "127.0.0.1:1" } } }), true),
        (json!({ "pools": { "app": { "fallback": null } } }), true),
        (json!({ "trustedProxies": ["10.0.0.0/8"], "routes": [{ "pool": "app" }] }), true),
        (json!({}), true),
        (json!({ "pools": { "api": null } }), false),
        (json!({ "pools": { "app": { "servers": [{ "host": "h", "port": 1 }] } } }), false),
        (json!({ "pools": { "app": { "servers": { "0": null } } } }), false),
        (json!({ "via": frame::mark(0) }), false),
    ])
}

proptest! {
    /// One edit after the other: the text is what the whole document would be rewritten to, and what is read of it
    /// is what the whole text says.
    #[test]
    fn splices_are_what_would_be_rewritten(
        spelling in any::<u8>(),
        edits in prop::collection::vec((prop::sample::select(vec!["app", "api"]), any_edit()), 1..8),
    ) {
        let mut reading = read_whole(&respelled(spelling));
        for (pool, edit) in edits {
            let mut wanted = document(reading.text().as_bytes()).unwrap();
            let servers = &wanted["pools"][pool]["servers"];
            let is_last = edit == ServerEdit::Remove(0) && servers.as_array().unwrap().len() == 1;
            if is_last || edit.apply(&mut wanted, pool).is_err() {
                continue;
            }
            let text = reading.edited(pool, &edit).unwrap();
            prop_assert_eq!(&text, &rewrite(reading.text(), &wanted).unwrap());
            is_read_in_parts(&reading, &text);
            if let Ok(next) = reading.next(text.into(), &env) {
                reading = next;
            }
        }
    }

    /// What is edited around the servers is what the whole document would be rewritten to, or is left to that.
    #[test]
    fn what_is_reworked_is_what_would_be_rewritten(
        spelling in any::<u8>(),
        edits in prop::collection::vec(any_rework(), 1..6),
    ) {
        let mut reading = read_whole(&respelled(spelling));
        for (change, beside) in edits {
            let edit = |document: &Value| Ok::<_, ()>(crate::patch::merge_patch(document, &change));
            let text = reading.reworked(edit);
            prop_assert_eq!(text.is_some(), beside, "{}", &change);
            let Some(text) = text else { continue };
            let wanted = edit(&document(reading.text().as_bytes()).unwrap()).unwrap();
            prop_assert_eq!(&text, &rewrite(reading.text(), &wanted).unwrap());
            prop_assert!(is_read_in_parts(&reading, &text), "{}", &text);
            reading = reading.next(text.into(), &env).unwrap();
        }
    }

    /// Texts that somebody has cut and pasted in are read as they are, or not in parts.
    #[test]
    fn any_splice_of_bytes_is_read_as_it_is(
        at in any::<prop::sample::Index>(),
        length in 0..40_usize,
        from in any::<prop::sample::Index>(),
        new in prop_oneof![
            prop::sample::select(vec!["", ",", "]", "[", "{", "}", "\"", "null", "{}", "\\", "1", " ", "],["]).prop_map(str::to_owned),
            (0..40_usize).prop_map(|length| "#".repeat(length)),
        ],
    ) {
        let reading = read_whole(TEXT);
        let characters: Vec<char> = TEXT.chars().collect();
        let at = at.index(characters.len());
        let end = (at + length).min(characters.len());
        let source = from.index(characters.len());
        // A run of # stands for as many characters from elsewhere.
        let new: String = if new.starts_with('#') {
            characters.iter().skip(source).take(new.len()).collect()
        } else {
            new
        };
        let text: String = characters[..at].iter().collect::<String>() + &new + &characters[end..].iter().collect::<String>();
        is_read_in_parts(&reading, &text);
    }
}
