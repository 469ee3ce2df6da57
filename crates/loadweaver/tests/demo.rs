//! `loadweaver demo`, from outside: what it prints can be typed, and shows what it promises.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpListener};
use std::process::Command;

use loadweaver_testkit::process::Process;
use loadweaver_testkit::{PATIENCE, RawClient, eventually};
use rustix::process::Signal;
use serde_json::Value;

const BINARY: &str = env!("CARGO_BIN_EXE_loadweaver");

fn demo(arguments: &[&str]) -> Command {
    let mut command = Command::new(BINARY);
    for name in ["PORT", "WORKER_COUNT", "REDIS_URL", "HEALTH_CHECK_INTERVAL", "LOADWEAVER_LOG"] {
        command.env_remove(name);
    }
    command.arg("demo").args(arguments);
    command
}

struct Demo {
    process: Process,
    balancer: SocketAddr,
    admin: SocketAddr,
}

impl Demo {
    fn start() -> Self {
        let mut process = Process::start(&mut demo(&["--port", "0", "--admin-port", "0"]));
        let listener =
            |line: &str| line.strip_prefix("listening listener=web address=")?.parse::<SocketAddr>().ok();
        let port = process.wait_for_stderr("its listener", listener).port();
        let admin = process.wait_for_stderr("its admin listener", |line| {
            line.strip_prefix("listening admin address=")?.parse().ok()
        });
        process.wait_for_stderr("ready", |line| (line == "ready").then_some(()));
        let demo = Self { process, balancer: SocketAddr::from(([127, 0, 0, 1], port)), admin };
        eventually("the guide is printed", || demo.guide().contains("Ctrl-C"));
        demo
    }

    fn guide(&self) -> String {
        self.process.stdout().join("\n")
    }

    /// The address behind a `curl -X POST` of the guide that ends with `what`.
    fn post(&self, what: &str) -> String {
        let guide = self.guide();
        let line = guide.lines().find(|line| line.contains("curl -X POST") && line.ends_with(what)).unwrap();
        let (address, path) = line.split_once("http://").unwrap().1.split_once('/').unwrap();
        let request = format!("POST /{path} HTTP/1.1\r\nHost: {address}\r\nContent-Length: 0\r\n\r\n");
        let answer = RawClient::connect(address.parse().unwrap()).exchange(request);
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.text()
    }

    /// Who answers: first words of so many answers, each on its own connection.
    fn names(&self, count: usize) -> BTreeSet<String> {
        let name = |_| {
            let answer = RawClient::connect(self.balancer).get("/hello");
            assert_eq!(answer.status, 200, "{answer:?}");
            answer.text().split_whitespace().next().unwrap().to_owned()
        };
        (0..count).map(name).collect()
    }

    fn up(&self) -> u64 {
        let answer =
            RawClient::connect(self.admin).exchange("GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let status: Value = serde_json::from_slice(&answer.body).unwrap();
        status["data"]["pools"][0]["up"].as_u64().unwrap()
    }
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(ToString::to_string).collect()
}

#[test]
fn three_origins_answer_and_the_failover_can_be_seen_by_typing_what_is_printed() {
    let mut demo = Demo::start();
    assert!(demo.guide().contains(&format!("curl -s http://{}/", demo.balancer)), "{}", demo.guide());
    assert_eq!(demo.names(30), set(&["red", "green", "blue"]));
    assert_eq!(demo.post("/red/stop"), "red is stopped\n");
    assert_eq!(demo.names(30), set(&["green", "blue"]));
    eventually("the status shows it", || demo.up() == 2);
    assert_eq!(demo.post("/red/start"), "red runs again\n");
    eventually("red is back", || demo.up() == 3 && demo.names(6).len() == 3);
    demo.process.signal(Signal::INT);
    assert_eq!(demo.process.wait_for_exit(PATIENCE).unwrap().code(), Some(0));
}

#[test]
fn an_origin_answers_a_browser_with_a_page() {
    let demo = Demo::start();
    let request = "GET /a%3Cb HTTP/1.1\r\nHost: test\r\nAccept: text/html,*/*\r\n\r\n";
    let answer = RawClient::connect(demo.balancer).exchange(request);
    assert_eq!(answer.fields.get("content-type"), Some("text/html; charset=utf-8"));
    assert!(answer.text().starts_with("<!doctype html>") && answer.text().contains("request headers"));
}

#[test]
fn a_port_that_is_taken_is_named_with_the_way_out() {
    let taken = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for (arguments, option) in [
        (["--port", port.as_str(), "--admin-port", "0"], "--port "),
        (["--port", "0", "--admin-port", port.as_str()], "--admin-port "),
    ] {
        let output = demo(&arguments).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains(&format!("port {port} cannot be used")), "{stderr}");
        assert!(stderr.contains(&format!("loadweaver demo {option}")), "{stderr}");
    }
}

#[test]
fn port_of_the_environment_counts_unless_one_is_given() {
    let taken = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = demo(&["--admin-port", "0"]).env("PORT", &port).output().unwrap();
    assert!(String::from_utf8(output.stderr).unwrap().contains(&format!("port {port} cannot be used")));
    let mut process = Process::start(demo(&["--port", "0", "--admin-port", "0"]).env("PORT", &port));
    process.wait_for_stderr("ready", |line| (line == "ready").then_some(()));
}
