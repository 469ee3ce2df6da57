//! Any document in any spelling, any edit.

use std::fmt::Write;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::rewrite;
use crate::raw::{document, same};

/// A document and the text that it has, with the place of each of its values in it.
#[derive(Debug, Clone)]
struct Written {
    text: String,
    places: Vec<(String, std::ops::Range<usize>)>,
}

/// Chooses spellings, the same ones for the same seed.
struct Spelling(u64);

impl Spelling {
    fn choose<'c>(&mut self, choices: &[&'c str]) -> &'c str {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        choices[usize::try_from(self.0 >> 33).unwrap() % choices.len()]
    }

    fn white(&mut self) -> &'static str {
        self.choose(&["", "", " ", "\n  ", "\r\n\t", "\n\n ", "\t", "  "])
    }

    fn string(&mut self, text: &str) -> String {
        let plain = Value::from(text).to_string();
        if self.choose(&["plain", "escaped"]) == "plain" {
            return plain;
        }
        let escape = |out: String, unit: u16| format!("{out}\\u{unit:04X}");
        format!("\"{}\"", text.encode_utf16().fold(String::new(), escape))
    }

    fn number(&mut self, number: &serde_json::Number) -> String {
        let plain = number.to_string();
        match number.as_i64() {
            Some(-999..1000) => format!("{plain}{}", self.choose(&["", "", ".0", "e0", ".00E+0"])),
            _ => plain,
        }
    }

    fn write(&mut self, value: &Value, pointer: &str, out: &mut Written) {
        let start = out.text.len();
        match value {
            Value::Array(list) => {
                out.text.push('[');
                for (index, value) in list.iter().enumerate() {
                    out.text.push_str(if index == 0 { "" } else { "," });
                    out.text.push_str(self.white());
                    self.write(value, &format!("{pointer}/{index}"), out);
                    out.text.push_str(self.white());
                }
                out.text.push_str(if list.is_empty() { self.white() } else { "" });
                out.text.push(']');
            }
            Value::Object(map) => {
                out.text.push('{');
                for (index, (key, value)) in map.iter().enumerate() {
                    out.text.push_str(if index == 0 { "" } else { "," });
                    let name = self.string(key);
                    write!(out.text, "{}{name}{}:{}", self.white(), self.white(), self.white()).unwrap();
                    let step = key.replace('~', "~0").replace('/', "~1");
                    self.write(value, &format!("{pointer}/{step}"), out);
                    out.text.push_str(self.white());
                }
                out.text.push_str(if map.is_empty() { self.white() } else { "" });
                out.text.push('}');
            }
            Value::String(text) => {
                let text = self.string(text);
                out.text.push_str(&text);
            }
            Value::Number(number) => {
                let number = self.number(number);
                out.text.push_str(&number);
            }
            plain => out.text.push_str(&plain.to_string()),
        }
        out.places.push((pointer.to_owned(), start..out.text.len()));
    }
}

fn written(value: &Value, seed: u64) -> Written {
    let mut spelling = Spelling(seed);
    let text = format!("{}{}", spelling.choose(&["", "\u{feff}"]), spelling.white());
    let mut out = Written { text, places: Vec::new() };
    spelling.write(value, "", &mut out);
    out.text.push_str(spelling.white());
    out
}

fn any_leaf() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-5..5_i64).prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        prop::sample::select(vec!["", "a", "b", "${X}", "\"\\/\u{7}ü🦀", "]},"]).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ]
}

fn any_document() -> impl Strategy<Value = Value> {
    let key = prop_oneof![
        4 => prop::sample::select(vec!["id", "host", "port", "name", "a", "b/~", "", "\"\\"]).prop_map(str::to_owned),
        1 => any::<String>()
    ];
    any_leaf().prop_recursive(5, 48, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((key.clone(), inner), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// Lists of objects that look like servers, so that edits meet their neighbours.
fn any_servers() -> impl Strategy<Value = Value> {
    let server = (0..6_u8, 0..3_u8, 0..4_u8).prop_map(|(n, kind, weight)| match kind {
        0 => json!({ "id": format!("s{n}"), "weight": weight }),
        1 => json!({ "host": format!("h{n}"), "port": 80, "weight": weight }),
        _ => json!({ "name": format!("n{n}"), "list": [weight, n] }),
    });
    prop::collection::vec(server, 0..8).prop_map(|servers| json!({ "servers": servers, "rest": 1 }))
}

fn without_white(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn says_exactly_what_it_should(from in any_document(), to in any_document(), seed in any::<u64>()) {
        let text = written(&from, seed).text;
        let after = rewrite(&text, &to).unwrap();
        prop_assert!(same(&document(after.as_bytes()).unwrap(), &to), "{text}\n{after}");
        let second_opinion: Value = serde_json::from_str(after.trim_start_matches('\u{feff}')).unwrap();
        prop_assert!(same(&second_opinion, &to));
    }

    #[test]
    fn lists_of_servers_too(from in any_servers(), to in any_servers(), seed in any::<u64>()) {
        let text = written(&from, seed).text;
        let after = rewrite(&text, &to).unwrap();
        prop_assert!(same(&document(after.as_bytes()).unwrap(), &to), "{text}\n{after}");
    }

    #[test]
    fn nothing_changed_is_nothing_written(from in any_document(), seed in any::<u64>()) {
        let text = written(&from, seed).text;
        prop_assert_eq!(&rewrite(&text, &from).unwrap(), &text);
    }

    #[test]
    fn every_byte_outside_a_changed_value_stays(
        from in any_document(), leaf in any_leaf(), which in any::<prop::sample::Index>(), seed in any::<u64>()
    ) {
        let Written { text, places } = written(&from, seed);
        let (pointer, place) = which.get(&places);
        let mut to = from.clone();
        *to.pointer_mut(pointer).unwrap() = leaf.clone();
        let after = rewrite(&text, &to).unwrap();
        if same(&to, &from) {
            prop_assert_eq!(&after, &text);
        } else {
            let expected = format!("{}{leaf}{}", &text[..place.start], &text[place.end..]);
            prop_assert_eq!(after, expected);
        }
    }

    #[test]
    fn what_stays_in_a_list_keeps_its_bytes(
        servers in prop::collection::btree_set(0..40_u8, 1..8), which in any::<prop::sample::Index>(), seed in any::<u64>()
    ) {
        let server = |n: &u8| json!({ "id": format!("s{n}"), "weight": 1, "tags": ["x", { "y": n }] });
        let list: Vec<Value> = servers.iter().map(server).collect();
        let Written { text, places } = written(&json!({ "servers": list }), seed);
        let gone = which.index(list.len());
        let mut left = list.clone();
        left.remove(gone);
        let after = rewrite(&text, &json!({ "servers": left })).unwrap();
        for index in (0..list.len()).filter(|index| *index != gone) {
            let place = places.iter().find(|(pointer, _)| *pointer == format!("/servers/{index}")).unwrap();
            prop_assert!(after.contains(&text[place.1.clone()]), "{text}\n{after}");
        }
        prop_assert!(without_white(&text).len() > without_white(&after).len());
        // And back again: the others stay as they are.
        let again = rewrite(&after, &json!({ "servers": list })).unwrap();
        let whole = json!({ "servers": list });
        prop_assert!(same(&document(again.as_bytes()).unwrap(), &whole));
    }
}
