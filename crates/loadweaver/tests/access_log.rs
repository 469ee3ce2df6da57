//! The access log from outside: what is chosen, what is hidden, and files that grow.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use std::path::Path;

use loadweaver_testkit::config::one_pool;
use loadweaver_testkit::origin::reply_with;
use loadweaver_testkit::scratch::Scratch;
use loadweaver_testkit::{Balancer, Origin, PATIENCE, RawClient, eventually};
use rustix::process::Signal;
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_loadweaver");

/// A balancer in front of the origin whose lines go to standard output.
fn start(origin: &Origin, log: &Value) -> Balancer {
    let mut patch = json!({ "accessLog": log });
    patch["accessLog"]["output"] = json!("stdout");
    Balancer::start(BINARY, &one_pool(&[origin.address()], &patch))
}

/// Every line, once the balancer has ended.
fn lines(mut balancer: Balancer, count: usize) -> Vec<String> {
    balancer.terminate();
    assert!(balancer.wait_for_exit(PATIENCE).unwrap().success());
    eventually("the lines came", || balancer.stdout().len() >= count);
    let lines = balancer.stdout();
    assert_eq!(lines.len(), count, "{lines:?}");
    lines
}

fn send(client: &mut RawClient, target: &str, headers: &str) -> u16 {
    client.exchange(format!("GET {target} HTTP/1.1\r\nHost: shop.example\r\n{headers}\r\n")).status
}

#[test]
fn a_line_has_the_fields_that_are_named() {
    let origin = Origin::answering(reply_with(200, &["X-Cache: hit", "Set-Cookie: id=s3cr3t"], "hello"));
    let fields = json!([
        "status",
        "path",
        "query",
        "requestHeader:x-tenant",
        "requestHeader:Authorization",
        "requestHeader:absent",
        "responseHeader:x-cache",
        "responseHeader:set-cookie"
    ]);
    let balancer = start(&origin, &json!({ "fields": fields, "format": "logfmt" }));
    let mut client = balancer.client();
    assert_eq!(send(&mut client, "/a?b=c", "X-Tenant: big one\r\nAuthorization: Bearer s3cr3t\r\n"), 200);
    assert_eq!(client.exchange("GET /bad HTTP/1.1\r\nX : y\r\n\r\n").status, 400);
    assert_eq!(
        lines(balancer, 2),
        [
            r#"status=200 path=/a query="b=c" requestHeader:x-tenant="big one" requestHeader:authorization=*** responseHeader:x-cache=hit responseHeader:set-cookie=***"#,
            "status=400 path=/bad"
        ]
    );
}

/// An answer of ours never shows a header of the answer that came before it on the same connection.
#[test]
fn headers_of_an_answer_are_those_of_this_exchange() {
    let origin = Origin::answering(reply_with(200, &["X-Cache: hit"], "hello"));
    let balancer =
        start(&origin, &json!({ "fields": ["status", "responseHeader:x-cache"], "format": "logfmt" }));
    let mut client = balancer.client();
    assert_eq!(send(&mut client, "/", ""), 200);
    origin.refuse();
    origin.cut_all();
    assert!(send(&mut client, "/", "") >= 500);
    let lines = lines(balancer, 2);
    assert_eq!(lines[0], "status=200 responseHeader:x-cache=hit");
    assert!(lines[1].starts_with("status=50") && !lines[1].contains("x-cache"), "{}", lines[1]);
}

#[test]
fn filter_and_sample_choose_the_exchanges() {
    let origin = Origin::named("only");
    let log = json!({ "fields": ["target"], "filter": "path ~ '^/keep' and requestHeader:x-own == yes" });
    let balancer = start(&origin, &log);
    let mut client = balancer.client();
    for (target, header) in [("/keep/1", "x-own: yes"), ("/keep/2", "x-own: no"), ("/3", "x-own: yes")] {
        assert_eq!(send(&mut client, target, &format!("{header}\r\n")), 200);
    }
    assert_eq!(lines(balancer, 1), [r#"{"target":"/keep/1"}"#]);

    let balancer = start(&origin, &json!({ "fields": ["status"], "sample": { "ratio": 0 } }));
    let mut client = balancer.client();
    assert_eq!(send(&mut client, "/", ""), 200);
    origin.refuse();
    origin.cut_all();
    let status = send(&mut client, "/", "");
    assert!(status >= 500);
    assert_eq!(lines(balancer, 1), [format!("{{\"status\":{status}}}")]);
}

#[test]
fn secrets_are_hidden_in_every_format_by_default() {
    let origin = Origin::named("only");
    for format in ["json", "combined", "logfmt"] {
        let balancer = start(&origin, &json!({ "format": format }));
        let mut client = balancer.client();
        let referer = "Referer: https://shop.example/cb?x=1&code=s3cr3t\r\n";
        assert_eq!(send(&mut client, "/a?x=1&token=s3cr3t&y=2", referer), 200);
        let absolute = "GET http://shop.example/b?api%5Fkey=s3cr3t HTTP/1.1\r\nHost: shop.example\r\n\r\n";
        assert_eq!(client.exchange(absolute).status, 200);
        let mut bad = balancer.client();
        assert_eq!(bad.exchange("GET /c?password=s3cr3t HTTP/1.1\r\nX : y\r\n\r\n").status, 400);
        let lines = lines(balancer, 3);
        assert!(lines.iter().all(|line| !line.contains("s3cr3t")), "{lines:?}");
        let shown = |part: &str| lines.iter().any(|line| line.contains(part));
        assert!(shown("/a?x=1&token=***&y=2") && shown("?x=1&code=***"), "{lines:?}");
        assert!(shown("b?api%5Fkey=***") && shown("/c?password=***"), "{lines:?}");
    }
    // What a server is sent is not touched.
    assert!(origin.requests().iter().any(|request| request.target == "/a?x=1&token=s3cr3t&y=2"));
}

fn files(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let logs = entries.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("access.log"));
    logs.map(|path| std::fs::read_to_string(path).unwrap()).collect()
}

#[test]
fn a_file_is_set_aside_under_load_and_reopened_without_a_lost_line() {
    let origin = Origin::named("only");
    let scratch = Scratch::new();
    let file = scratch.path().join("access.log");
    let log = json!({ "output": file, "rotate": { "maxSize": "64KiB", "keep": 100 } });
    let patch = json!({ "accessLog": log, "workers": 2 });
    let mut balancer = Balancer::start(BINARY, &one_pool(&[origin.address()], &patch));
    let address = balancer.address();
    let clients: Vec<_> = (0..4)
        .map(|client| {
            std::thread::spawn(move || {
                let mut connection = RawClient::connect(address);
                for number in 0..250 {
                    connection.get(&format!("/{client}/{number}"));
                }
            })
        })
        .collect();
    for _ in 0..3 {
        balancer.signal(Signal::USR1);
    }
    for client in clients {
        client.join().unwrap();
    }
    balancer.terminate();
    assert!(balancer.wait_for_exit(PATIENCE).unwrap().success());
    let files = files(scratch.path());
    assert!(files.len() >= 3, "{} files", files.len());
    let mut targets: Vec<String> = files
        .iter()
        .flat_map(|text| text.lines())
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["target"].as_str().unwrap().to_owned())
        .collect();
    targets.sort();
    let mut expected: Vec<String> =
        (0..4).flat_map(|client| (0..250).map(move |number| format!("/{client}/{number}"))).collect();
    expected.sort();
    assert_eq!(targets, expected);
}
