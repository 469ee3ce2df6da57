//! The documents against the code: whoever changes one is told about the other.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use loadweaver_config::{ClientTimeouts, ConnectionPool, HealthCheck, Limits, PoolTimeouts, Retry};
use loadweaver_policy::failure::{Blame, Failure, RetryKind, RetryRule};
use loadweaver_policy::health::{Cause, ProbeFault};
use loadweaver_telemetry::event::Event;
use loadweaver_testkit::eventually;
use loadweaver_testkit::process::Process;
use loadweaver_testkit::scratch::Scratch;

mod docs {
    pub(crate) mod markdown;
    pub(crate) mod sources;
}
use docs::{markdown, sources};

const BINARY: &str = env!("CARGO_BIN_EXE_loadweaver");

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn page(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn binary() -> Command {
    let mut command = Command::new(BINARY);
    for name in ["PORT", "WORKER_COUNT", "REDIS_URL", "HEALTH_CHECK_INTERVAL", "LOADWEAVER_LOG"] {
        command.env_remove(name);
    }
    command
}

#[test]
fn architecture_cites_only_what_there_is() {
    let text = page("ARCHITECTURE.md");
    let files = sources::rust_files(&root().join("crates"));
    let mut wrong = Vec::new();
    let cited: Vec<&str> =
        markdown::code_spans(&text).into_iter().filter(|span| span.contains(".rs")).collect();
    assert!(cited.len() > 50, "only {} citations were found", cited.len());
    for citation in cited {
        let (file, symbol) = citation.split_once("::").unwrap_or((citation, ""));
        let found: Vec<&PathBuf> = files.iter().filter(|path| path.ends_with(file)).collect();
        // Names of this page may begin below `crates` or with it.
        let found: Vec<&PathBuf> = match found.as_slice() {
            [] => files.iter().filter(|path| path.ends_with(file.trim_start_matches("crates/"))).collect(),
            _ => found,
        };
        match found.as_slice() {
            [path] if symbol.is_empty() || sources::defines(&fs::read_to_string(path).unwrap(), symbol) => {}
            [_] => wrong.push(format!("{citation}: the file does not define it")),
            [] => wrong.push(format!("{citation}: there is no such file")),
            several => wrong.push(format!("{citation}: {} files could be meant", several.len())),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn operating_has_a_right_row_for_each_failure_and_no_other() {
    let text = page("docs/operating.md");
    let rows = markdown::rows(&text, "Failure codes");
    let codes: Vec<String> = rows.iter().map(|row| markdown::bare(&row[0])).collect();
    let expected: Vec<&str> = Failure::ALL.iter().map(|failure| failure.code()).collect();
    assert_eq!(codes, expected, "the codes, in the order of the enum");
    for (row, failure) in rows.iter().zip(Failure::ALL) {
        let status = match failure.status() {
            0 => "none".to_owned(),
            status => status.to_string(),
        };
        let fault = match failure.blame() {
            Blame::Client => "client",
            Blame::Server => "server",
            Blame::Operator => "operator",
        };
        assert_eq!((row[1].as_str(), row[2].as_str()), (status.as_str(), fault), "{failure}");
        assert_eq!(row[3], retried(*failure), "{failure}");
        assert!(row[4].len() > 10, "{failure} is not explained");
    }
}

fn retried(failure: Failure) -> String {
    let word = match failure.kind() {
        RetryKind::ConnectFailure => "connect_failure",
        RetryKind::Reset => "reset",
        RetryKind::Timeout => "timeout",
        RetryKind::None => return "never".to_owned(),
    };
    match failure.retry() {
        RetryRule::Always => format!("always (`{word}`)"),
        RetryRule::IfIdempotent => format!("if idempotent (`{word}`)"),
        RetryRule::Never => "never".to_owned(),
    }
}

#[test]
fn operating_explains_each_event_and_no_other() {
    let rows = markdown::rows(&page("docs/operating.md"), "Events");
    let names: Vec<String> = rows.iter().map(|row| markdown::bare(&row[0])).collect();
    assert_eq!(names, Event::NAMES, "the names, in the order of the enum");
    assert!(rows.iter().all(|row| row[1].len() > 5));
}

#[test]
fn operating_explains_each_cause_and_no_other() {
    let rows = markdown::rows(&page("docs/operating.md"), "Causes");
    let words: Vec<String> = rows.iter().map(|row| markdown::bare(&row[0])).collect();
    let probes = ProbeFault::ALL.map(|fault| Cause::Probe(fault).code());
    let others = [Cause::Status.code(), Cause::Process.code()];
    assert_eq!(words, [&probes[..], &others[..]].concat(), "the words, in the order of the enums");
    assert!(rows.iter().all(|row| row[1].len() > 10));
}

#[test]
fn operating_names_the_default_time_outs() {
    let (client, pool) = (ClientTimeouts::default(), PoolTimeouts::default());
    let (kept, probes, retry) = (ConnectionPool::default(), HealthCheck::default(), Retry::default());
    let expected = [
        ("timeouts.requestHead", client.request_head),
        ("timeouts.idle", client.idle),
        ("timeouts.body", client.body),
        ("timeouts.send", client.send),
        ("timeouts.drain", client.drain),
        ("pools.NAME.timeouts.connect", pool.connect),
        ("pools.NAME.timeouts.response", pool.response),
        ("pools.NAME.timeouts.idle", pool.idle),
        ("pools.NAME.timeouts.total", pool.total),
        ("pools.NAME.timeouts.tunnel", pool.tunnel),
        ("pools.NAME.retry.perTryTimeout", retry.per_try_timeout),
        ("pools.NAME.healthCheck.timeout", probes.timeout),
        ("pools.NAME.connectionPool.idleTimeout", kept.idle_timeout),
        ("pools.NAME.connectionPool.maxLifetime", kept.max_lifetime),
    ];
    let text = page("docs/operating.md");
    let said: Vec<(String, Duration)> = markdown::rows(&text, "Time-outs")
        .iter()
        .map(|row| (markdown::bare(&row[0]), duration(&markdown::bare(&row[1]))))
        .collect();
    let expected: Vec<(String, Duration)> =
        expected.into_iter().map(|(key, duration)| (key.to_owned(), duration)).collect();
    assert_eq!(said, expected);
}

fn duration(text: &str) -> Duration {
    if text == "off" {
        return Duration::ZERO;
    }
    let (number, unit) = text.split_at(text.len() - 1);
    let factor = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => panic!("{text} has no unit"),
    };
    Duration::from_secs(number.parse::<u64>().unwrap() * factor)
}

#[test]
fn operating_names_the_default_limits() {
    let (limits, kept, retry) = (Limits::default(), ConnectionPool::default(), Retry::default());
    let size = |bytes: usize| format!("{} KiB", bytes / 1024);
    let count = |count: u64| if count == 0 { "off".to_owned() } else { count.to_string() };
    let expected = [
        ("limits.requestHead", size(limits.request_head)),
        ("limits.target", size(limits.target)),
        ("limits.headers", limits.headers.to_string()),
        ("limits.responseHead", size(limits.response_head)),
        ("limits.trailers", size(limits.trailers)),
        ("limits.body", count(limits.body)),
        ("limits.connections", count(limits.connections as u64)),
        ("limits.requestsPerConnection", count(limits.requests_per_connection)),
        ("pools.NAME.connectionPool.maxIdle", kept.max_idle.to_string()),
        ("pools.NAME.connectionPool.maxRequests", count(kept.max_requests)),
        ("pools.NAME.retry.bufferBody", size(retry.buffer_body)),
    ];
    let text = page("docs/operating.md");
    let said: Vec<(String, String)> = markdown::rows(&text, "Limits")
        .iter()
        .map(|row| (markdown::bare(&row[0]), markdown::bare(&row[1])))
        .collect();
    assert_eq!(said, expected.map(|(key, default)| (key.to_owned(), default)));
}

#[test]
fn links_lead_somewhere() {
    let root = root();
    let pages = sources::markdown_files(&root);
    assert!(pages.len() >= 10, "only {} pages were found", pages.len());
    let mut dead = Vec::new();
    for path in pages {
        let text = fs::read_to_string(&path).unwrap();
        for link in markdown::links(&text) {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
            let there = target.exists()
                && (anchor.is_empty()
                    || markdown::anchors(&fs::read_to_string(&target).unwrap()).iter().any(|a| a == anchor));
            if !there {
                dead.push(format!("{}: {link}", path.strip_prefix(&root).unwrap().display()));
            }
        }
    }
    assert!(dead.is_empty(), "{}", dead.join("\n"));
}

#[test]
fn the_smallest_configuration_of_the_readme_passes_the_check() {
    let text = page("README.md");
    let smallest = markdown::blocks(&text, "json").into_iter().next().expect("a configuration");
    let scratch = Scratch::new();
    let output = binary().arg("check").arg(scratch.file("config.json", smallest)).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_readme_shows_what_the_demo_prints() {
    let text = page("README.md");
    let shown = markdown::blocks(&text, "text").into_iter().next().expect("the demo's words");
    let process = Process::start(binary().args(["demo", "--port", "0", "--admin-port", "0"]));
    let printed = || process.stdout().join("\n");
    eventually("the guide is printed", || printed().contains("Ctrl-C"));
    assert_eq!(without_ports(&printed()), without_ports(shown));
}

/// The text with each port replaced, which no two runs have in common.
fn without_ports(text: &str) -> String {
    let mut parts = text.trim().split("127.0.0.1:");
    let mut bare = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        bare.push_str("127.0.0.1:PORT");
        bare.push_str(part.trim_start_matches(|c: char| c.is_ascii_digit()));
    }
    bare
}
