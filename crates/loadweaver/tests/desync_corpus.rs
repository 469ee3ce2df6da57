//! The raw requests that the crate `http_desync_guardian` 0.1.3 ships with a verdict each, sent to a running
//! binary in front of an origin that records raw bytes.
//!
//! The corpus grades a request by how differently servers may read it. What a proxy owes each tier:
//!
//! | tier | refused (4xx or 501/505, closed, nothing forwarded) | forwarded |
//! |---|---|---|
//! | Compliant | only for what we do not support, and say so: codings besides `chunked`, targets with bytes that RFC 9112 does not know, HTTP/0.9 | clean |
//! | Acceptable | yes | clean |
//! | Ambiguous | yes | clean, and the ambiguity gone: no header that some server might take for a length or a coding |
//! | Severe | always | never |
//!
//! *Clean*: a strict reader finds exactly the one request in the recorded bytes, with one length, and then the
//! request that was sent behind it, which can be found only if both sides agree where the first one ended.
//!
//! Most cases have no Host, which alone would have them refused; each is sent as it is and with a Host before
//! and behind its own headers, and bytes written `\xa0` once as UTF-8 and once as one byte.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;

use loadweaver_testkit::config::one_pool;
use loadweaver_testkit::origin::reply;
use loadweaver_testkit::wire::requests_in;
use loadweaver_testkit::{Balancer, Origin, Request};
use serde_json::json;
use serde_yaml_ng::Value;

const BINARY: &str = env!("CARGO_BIN_EXE_loadweaver");

#[test]
fn every_request_of_the_desync_corpus_is_refused_or_forwarded_in_one_unambiguous_form() {
    let origin = Origin::by_request(|_| reply(200, ""));
    let balancer = Balancer::start(BINARY, &one_pool(&[origin.address()], &json!({})));
    let cases = corpus();
    let mut problems = Vec::new();
    let mut outcomes: BTreeMap<String, usize> = BTreeMap::new();
    for case in &cases {
        for (variant, bytes) in case.variants() {
            origin.forget();
            let (outcome, judged) = match try_one(&origin, &balancer, case, &bytes) {
                Ok(outcome) => (outcome, case.judge(outcome, variant)),
                Err(problem) => (Outcome::Forwarded, Err(problem)),
            };
            *outcomes.entry(format!("{} {outcome:?}", case.tier)).or_default() += 1;
            if let Err(problem) = judged {
                problems.push(format!("{} / {} ({variant:?}): {problem}", case.file, case.name));
            }
        }
    }
    println!("{outcomes:#?}");
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
    assert_eq!(cases.len(), 159, "the corpus is not the one that this test was written for");
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Outcome {
    Refused(u16),
    Forwarded,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Variant {
    AsItIs,
    HostFirst,
    HostLast,
    SingleBytes,
}

#[derive(Debug)]
struct Case {
    file: String,
    name: String,
    method: String,
    target: String,
    version: String,
    fields: Vec<(String, String)>,
    tier: String,
}

/// A request behind the case; it must arrive as a request of its own or not at all.
const MARKER: &[u8] = b"GET /marker HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

fn try_one(origin: &Origin, balancer: &Balancer, case: &Case, bytes: &[u8]) -> Result<Outcome, String> {
    let mut client = balancer.client();
    let _ = client.send(bytes);
    let answer = client.read_answer(&case.method).map_err(|error| format!("no answer: {error:?}"))?;
    let recorded = origin.raw().concat();
    if (400..600).contains(&answer.status) {
        client.is_closed_by_peer()?;
        // A body that streams may have taken its head ahead, but the corpus has no such case.
        let nothing = recorded.is_empty() || case.is_cut_off(bytes);
        let refused = nothing.then_some(Outcome::Refused(answer.status));
        return refused.ok_or_else(|| format!("refused, but the origin got {}", shown(&recorded)));
    }
    if answer.status != 200 {
        return Err(format!("answered {}", answer.status));
    }
    let marker = client.read_answer("GET").map_err(|error| format!("no answer to the marker: {error:?}"))?;
    client.is_closed_by_peer()?;
    let recorded = origin.raw().concat();
    let (requests, rest) = requests_in(&recorded);
    let targets: Vec<&str> = requests.iter().map(|request| request.target.as_str()).collect();
    if marker.status != 200 || targets.len() != 2 || targets[1] != "/marker" || rest != Ok(vec![]) {
        return Err(format!("{targets:?} and then {rest:?} in {}", shown(&recorded)));
    }
    case.check_forwarded(&requests[0])?;
    Ok(Outcome::Forwarded)
}

fn shown(bytes: &[u8]) -> String {
    format!("{:?}", String::from_utf8_lossy(&bytes[..bytes.len().min(600)]))
}

impl Case {
    fn judge(&self, outcome: Outcome, variant: Variant) -> Result<(), String> {
        match (self.tier.as_str(), outcome) {
            ("Severe", Outcome::Forwarded) => Err("severe, and forwarded".into()),
            ("Compliant", Outcome::Refused(status))
                if variant != Variant::AsItIs && !self.is_unsupported() =>
            {
                Err(format!("compliant, and refused with {status}"))
            }
            ("Compliant" | "Acceptable" | "Ambiguous" | "Severe", _) => Ok(()),
            (tier, _) => Err(format!("unknown tier {tier}")),
        }
    }

    /// What the corpus calls compliant and we refuse on purpose.
    fn is_unsupported(&self) -> bool {
        let coding = self.fields.iter().any(|(name, value)| {
            name.eq_ignore_ascii_case("transfer-encoding") && !value.trim().eq_ignore_ascii_case("chunked")
        });
        let target = !self.target.starts_with('/')
            || self.target.contains(|c: char| !c.is_ascii_graphic() || c == '#');
        coding || target
    }

    fn check_forwarded(&self, request: &Request) -> Result<(), String> {
        if request.method != self.method || request.version != "HTTP/1.1" {
            return Err(format!("forwarded as {} {}", request.method, request.version));
        }
        let body = self.body();
        let expected = if body == b"0\r\n\r\n" { b"".as_slice() } else { &body };
        if request.body != expected {
            return Err(format!("a body of {} bytes", request.body.len()));
        }
        for (name, _) in &request.fields.0 {
            let letters: String =
                name.to_ascii_lowercase().chars().filter(char::is_ascii_alphabetic).collect();
            let genuine =
                ["transfer-encoding", "content-length"].contains(&name.to_ascii_lowercase().as_str());
            if !genuine && ["transferencoding", "contentlength"].contains(&letters.as_str()) {
                return Err(format!("{name:?} was forwarded; a server may take it for the real one"));
            }
        }
        Ok(())
    }

    /// The body as a strict reader of the case would expect it.
    fn body(&self) -> Vec<u8> {
        let values = |wanted: &str| -> Vec<&str> {
            let of_name = |(name, _): &&(String, String)| name.eq_ignore_ascii_case(wanted);
            self.fields.iter().filter(of_name).map(|(_, value)| value.trim()).collect()
        };
        match (values("transfer-encoding").as_slice(), values("content-length").as_slice()) {
            ([], [length, others @ ..]) if others.iter().all(|other| other == length) => {
                vec![b'b'; length.parse().unwrap_or(0)]
            }
            ([coding], []) if coding.eq_ignore_ascii_case("chunked") => b"0\r\n\r\n".to_vec(),
            _ => Vec::new(),
        }
    }

    /// Whether the case's own bytes hold a whole request before the offending ones (a CRLF within its target).
    fn is_cut_off(&self, bytes: &[u8]) -> bool {
        self.target.contains("\r\n\r\n") && requests_in(bytes).0.len() > 1
    }

    fn variants(&self) -> Vec<(Variant, Vec<u8>)> {
        let utf8 = |text: &str| text.as_bytes().to_vec();
        let mut all = vec![(Variant::AsItIs, self.bytes(&[Place::None], utf8))];
        if !self.fields.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            all.push((Variant::HostFirst, self.bytes(&[Place::First], utf8)));
            all.push((Variant::HostLast, self.bytes(&[Place::Last], utf8)));
        }
        let texts = || self.fields.iter().flat_map(|(name, value)| [name, value]).chain([&self.target]);
        let latin = texts().all(|text| text.chars().all(|c| u32::from(c) < 256));
        if latin && texts().any(|text| !text.is_ascii()) {
            let single = |text: &str| text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
            all.push((Variant::SingleBytes, self.bytes(&[Place::First], single)));
        }
        all
    }

    fn bytes(&self, host: &[Place], encode: impl Fn(&str) -> Vec<u8>) -> Vec<u8> {
        let mut head = format!("{} {}", self.method, self.target);
        if !self.version.is_empty() {
            head.push(' ');
            head.push_str(&self.version);
        }
        head.push_str("\r\n");
        if host.contains(&Place::First) {
            head.push_str("Host: a\r\n");
        }
        for (name, value) in &self.fields {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        if host.contains(&Place::Last) {
            head.push_str("Host: a\r\n");
        }
        head.push_str("\r\n");
        let mut bytes = encode(&head);
        bytes.extend_from_slice(&self.body());
        bytes.extend_from_slice(MARKER);
        bytes
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Place {
    None,
    First,
    Last,
}

/// All cases of all files in the crate's folder of tests.
fn corpus() -> Vec<Case> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(corpus_folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    files.sort();
    files.iter().flat_map(cases_of).collect()
}

fn cases_of(path: &PathBuf) -> Vec<Case> {
    let file = path.file_stem().unwrap().to_string_lossy().into_owned();
    let parsed: Value = serde_yaml_ng::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let cases = parsed.as_sequence().unwrap().iter().map(|case| {
        let fields = case["headers"].as_sequence().into_iter().flatten();
        Case {
            file: file.clone(),
            name: text(&case["name"]),
            method: text(&case["method"]),
            target: text(&case["uri"]),
            version: text(&case["version"]),
            fields: fields.map(|field| (text(&field["name"]), text(&field["value"]))).collect(),
            tier: text(&case["expected"]["tier"]),
        }
    });
    cases.collect()
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        other => panic!("{other:?} where a text is expected"),
    }
}

/// Where cargo keeps the crate: nothing of it is copied into our tree.
fn corpus_folder() -> PathBuf {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--offline", "--manifest-path"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let package = packages.iter().find(|package| package["name"] == "http_desync_guardian").unwrap();
    assert_eq!(package["version"], "0.1.3");
    PathBuf::from(package["manifest_path"].as_str().unwrap()).parent().unwrap().join("tests")
}
