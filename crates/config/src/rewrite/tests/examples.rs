use serde_json::{Value, json};

use super::rewritten;

const FILE: &str = r#"{
  "listeners": { "web": { "bind": "0.0.0.0:${PORT:-8080}" } },

  "pools": {
    "app": {
      "algorithm" : "round_robin",
      "servers": [
        { "id": "a", "host": "10.0.0.1",  "port": 3001, "weight": 1.0 },
        { "id": "b", "host": "10.0.0.2",  "port": 3001 },

        { "host": "10.0.0.3", "port": 3001 }
      ],
      "healthCheck": {
        "type": "http",
        "path": "/\u0068ealth",
        "expectStatus": ["200-299", 304]
      }
    }
  }
}
"#;

fn servers(file: &mut Value) -> &mut Vec<Value> {
    file.pointer_mut("/pools/app/servers").unwrap().as_array_mut().unwrap()
}

/// The lines that differ, `-` before those that are gone and `+` before those that came.
fn difference(before: &str, after: &str) -> Vec<String> {
    let (old, new): (Vec<&str>, Vec<&str>) = (before.split('\n').collect(), after.split('\n').collect());
    let head = old.iter().zip(&new).take_while(|(old, new)| old == new).count();
    let most = old.len().min(new.len()) - head;
    let tail = old.iter().rev().zip(new.iter().rev()).take(most).take_while(|(old, new)| old == new).count();
    let gone = old.get(head..old.len() - tail).unwrap().iter().map(|line| format!("-{line}"));
    let came = new.get(head..new.len() - tail).unwrap().iter().map(|line| format!("+{line}"));
    gone.chain(came).collect()
}

fn changes(edit: impl FnOnce(&mut Value)) -> Vec<String> {
    difference(FILE, &rewritten(FILE, edit))
}

#[test]
fn touches_nothing_when_nothing_differs() {
    assert_eq!(rewritten(FILE, |_| ()), FILE);
    // The same, as a program in a browser would send it.
    assert_eq!(
        rewritten(FILE, |file| *file.pointer_mut("/pools/app/servers/0/weight").unwrap() = json!(1)),
        FILE
    );
}

#[test]
fn changes_one_value_where_it_stands() {
    assert_eq!(
        changes(|file| servers(file)[0]["weight"] = json!(3)),
        [
            r#"-        { "id": "a", "host": "10.0.0.1",  "port": 3001, "weight": 1.0 },"#,
            r#"+        { "id": "a", "host": "10.0.0.1",  "port": 3001, "weight": 3 },"#
        ]
    );
    assert_eq!(
        changes(|file| *file.pointer_mut("/pools/app/algorithm").unwrap() = json!("random")),
        [r#"-      "algorithm" : "round_robin","#, r#"+      "algorithm" : "random","#]
    );
    assert_eq!(
        changes(|file| *file.pointer_mut("/pools/app/healthCheck/expectStatus/1").unwrap() = json!("404")),
        [r#"-        "expectStatus": ["200-299", 304]"#, r#"+        "expectStatus": ["200-299", "404"]"#]
    );
}

#[test]
fn removes_a_server_with_its_line_alone() {
    assert_eq!(
        changes(|file| drop(servers(file).remove(0))),
        [r#"-        { "id": "a", "host": "10.0.0.1",  "port": 3001, "weight": 1.0 },"#]
    );
    assert_eq!(
        changes(|file| drop(servers(file).remove(1))),
        [r#"-        { "id": "b", "host": "10.0.0.2",  "port": 3001 },"#]
    );
    // The comma before the last one goes with it.
    assert_eq!(
        changes(|file| drop(servers(file).remove(2))),
        [
            r#"-        { "id": "b", "host": "10.0.0.2",  "port": 3001 },"#,
            "-",
            r#"-        { "host": "10.0.0.3", "port": 3001 }"#,
            r#"+        { "id": "b", "host": "10.0.0.2",  "port": 3001 }"#,
        ]
    );
}

#[test]
fn adds_a_server_as_its_neighbours_are_written() {
    let new = || json!({ "id": "d", "host": "10.0.0.4", "port": 3001 });
    assert_eq!(
        changes(|file| servers(file).push(new())),
        [
            r#"-        { "host": "10.0.0.3", "port": 3001 }"#,
            r#"+        { "host": "10.0.0.3", "port": 3001 },"#,
            r#"+        { "id": "d", "host": "10.0.0.4", "port": 3001 }"#,
        ]
    );
    assert_eq!(
        changes(|file| servers(file).insert(0, new())),
        [r#"+        { "id": "d", "host": "10.0.0.4", "port": 3001 },"#]
    );
    assert_eq!(
        changes(|file| servers(file).insert(1, new())),
        [r#"+        { "id": "d", "host": "10.0.0.4", "port": 3001 },"#]
    );
}

#[test]
fn moves_a_server_with_all_its_spaces() {
    assert_eq!(
        changes(|file| servers(file).swap(0, 1)),
        [
            r#"-        { "id": "a", "host": "10.0.0.1",  "port": 3001, "weight": 1.0 },"#,
            r#"-        { "id": "b", "host": "10.0.0.2",  "port": 3001 },"#,
            r#"+        { "id": "b", "host": "10.0.0.2",  "port": 3001 },"#,
            r#"+        { "id": "a", "host": "10.0.0.1",  "port": 3001, "weight": 1.0 },"#,
        ]
    );
}

#[test]
fn finds_a_server_that_changes_among_others_that_go() {
    assert_eq!(
        changes(|file| {
            servers(file).remove(0);
            servers(file)[1]["weight"] = json!(5);
        }),
        [
            r#"-        { "id": "a", "host": "10.0.0.1",  "port": 3001, "weight": 1.0 },"#,
            r#"-        { "id": "b", "host": "10.0.0.2",  "port": 3001 },"#,
            "-",
            r#"-        { "host": "10.0.0.3", "port": 3001 }"#,
            r#"+        { "id": "b", "host": "10.0.0.2",  "port": 3001 },"#,
            "+",
            r#"+        { "host": "10.0.0.3", "port": 3001, "weight": 5 }"#,
        ]
    );
}

#[test]
fn adds_and_removes_keys() {
    assert_eq!(
        changes(|file| file["pools"]["app"]["healthCheck"]["interval"] = json!("2s")),
        [
            r#"-        "expectStatus": ["200-299", 304]"#,
            r#"+        "expectStatus": ["200-299", 304],"#,
            r#"+        "interval": "2s""#,
        ]
    );
    assert_eq!(
        changes(|file| drop(
            file["pools"]["app"]["healthCheck"].as_object_mut().unwrap().shift_remove("path")
        )),
        [r#"-        "path": "/\u0068ealth","#]
    );
    assert_eq!(
        changes(|file| drop(file["pools"]["app"].as_object_mut().unwrap().shift_remove("healthCheck"))).len(),
        7
    );
}

#[test]
fn writes_a_new_pool_over_lines_as_the_one_that_is_there() {
    let pool = json!({
        "algorithm": "random",
        "servers": [{ "host": "10.1.0.1", "port": 80 }, { "host": "10.1.0.2", "port": 80 }],
        "healthCheck": { "type": "http", "path": "/", "expectStatus": ["200"], "interval": "5s", "timeout": "1s", "rise": 1, "fall": 1 }
    });
    assert_eq!(
        changes(|file| file["pools"]["api"] = pool),
        [
            "+    },",
            "+    \"api\": {",
            "+      \"algorithm\": \"random\",",
            "+      \"servers\": [ { \"host\": \"10.1.0.1\", \"port\": 80 }, { \"host\": \"10.1.0.2\", \"port\": 80 } ],",
            "+      \"healthCheck\": {",
            "+        \"type\": \"http\",",
            "+        \"path\": \"/\",",
            "+        \"expectStatus\": [\"200\"],",
            "+        \"interval\": \"5s\",",
            "+        \"timeout\": \"1s\",",
            "+        \"rise\": 1,",
            "+        \"fall\": 1",
            "+      }",
        ]
    );
}

#[test]
fn keeps_the_line_breaks_and_the_indentation_of_the_file() {
    let text = "{\r\n\t\"a\": [\r\n\t\t1\r\n\t],\r\n\t\"m\": {\r\n\t\t\"x\": 1\r\n\t}\r\n}";
    let written = rewritten(text, |file| {
        file["a"].as_array_mut().unwrap().push(json!({ "k": [2] }));
        file["m"]["y"] = json!(true);
    });
    assert_eq!(
        written,
        "{\r\n\t\"a\": [\r\n\t\t1,\r\n\t\t{\r\n\t\t\t\"k\": [\r\n\t\t\t\t2\r\n\t\t\t]\r\n\t\t}\r\n\t],\r\n\t\"m\": {\r\n\t\t\"x\": 1,\r\n\t\t\"y\": true\r\n\t}\r\n}"
    );
}

#[test]
fn a_file_of_one_line_stays_one() {
    for (text, expected) in [
        (r#"{"a":[1,2],"b":{"c":3}}"#, r#"{"a":[1,2,{"x":[1,2]}],"b":{"c":3,"d":"e"}}"#),
        (
            r#"{ "a": [1, 2], "b": { "c": 3 } }"#,
            r#"{ "a": [1, 2, { "x": [1, 2] }], "b": { "c": 3, "d": "e" } }"#,
        ),
        (
            "\u{feff}{\"a\" : [ 1 , 2 ],\"b\":{\"c\":3}} \n",
            "\u{feff}{\"a\" : [ 1 , 2, {\"x\" : [ 1,2 ]} ],\"b\":{\"c\":3,\"d\":\"e\"}} \n",
        ),
    ] {
        let written = rewritten(text, |file| {
            file["a"].as_array_mut().unwrap().push(json!({ "x": [1, 2] }));
            file["b"]["d"] = json!("e");
        });
        assert_eq!(written, expected);
    }
}

#[test]
fn fills_and_empties_what_is_empty_and_full() {
    for (text, pointer, to, expected) in [
        ("{ \"a\": [ ] }", "/a", json!([1, 2]), "{ \"a\": [1, 2] }"),
        ("{ \"a\": { }\n}", "/a", json!({ "b": 1 }), "{ \"a\": { \"b\": 1 }\n}"),
        ("{ \"a\": [\n  1\n] }", "/a", json!([]), "{ \"a\": [] }"),
        ("{ \"a\": { \"b\": 1 } }", "/a", json!({}), "{ \"a\": {} }"),
        ("{ \"a\": { \"b\": 1 } }", "/a", json!("x"), "{ \"a\": \"x\" }"),
        ("  {}  ", "", json!({ "a": 1 }), "  { \"a\": 1 }  "),
        ("[1]", "", json!([1, "\u{1}\"ü"]), "[1, \"\\u0001\\\"ü\"]"),
    ] {
        let written = rewritten(text, |file| *file.pointer_mut(pointer).unwrap() = to);
        assert_eq!(written, expected, "{text}");
    }
}

#[test]
fn numbers_and_escapes_that_stay_keep_their_spelling() {
    let text =
        r#"{ "a": 1.0, "b": 12345678901234567890123, "c": 1E2, "d": -0.0, "e": "\u00e9\/${X}", "f": 1 }"#;
    let written = rewritten(text, |file| file["f"] = json!(2));
    assert_eq!(written, text.replace("\"f\": 1", "\"f\": 2"));
}

#[test]
fn refuses_what_could_not_be_read_again() {
    let mut deep = json!(1);
    for _ in 0..40 {
        deep = json!([deep]);
    }
    let issues = super::rewrite("{}", &json!({ "a": deep })).unwrap_err();
    assert!(issues.to_string().contains("nested deeper than 32 levels"), "{issues}");
    assert!(super::rewrite("{ \"a\": 1, \"a\": 2 }", &json!({})).is_err());
    assert!(super::rewrite("// comment\n{}", &json!({})).is_err());
}

#[test]
fn the_first_eight_servers_show_how_the_document_is_laid_out() {
    for (flat, expected) in [(7, "\"more\": { \"x\": 1 }"), (8, "\"more\": {\n    \"x\": 1\n  }")] {
        let mut file = json!({ "pools": { "a": { "servers": [] } }, "workers": 1 });
        let servers = (0..12).map(|number| json!({ "port": number }));
        file["pools"]["a"]["servers"] = servers.collect();
        let text = serde_json::to_string_pretty(&file).unwrap();
        let spread = format!("{{\n          \"port\": {flat}\n        }}");
        assert!(text.contains(&spread), "{text}");
        let text = text.replace(&spread, &format!("{{ \"port\": {flat} }}"));
        let written = rewritten(&text, |file| file["more"] = json!({ "x": 1 }));
        assert!(written.contains(expected), "{written}");
    }
}
