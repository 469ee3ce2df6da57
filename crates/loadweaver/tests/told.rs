//! A sick server is brought back, and people are told: real processes, a real HTTP server that receives.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::io::Write as _;
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use loadweaver_testkit::origin::reply;
use loadweaver_testkit::scratch::Scratch;
use loadweaver_testkit::wire::Request;
use loadweaver_testkit::{Balancer, Origin, eventually};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_loadweaver");

/// Answers each GET with the number of its own process.
const SERVER: &str = r#"
import http.server, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = str(os.getpid()).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"#;

/// One server that LoadWeaver runs itself, and a webhook.
fn config(script: &std::path::Path, hook: &Origin) -> Value {
    // Taken and let go: nobody else asks for it in between, and if so the process is started again until it works.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    json!({
        "workers": 1,
        "listeners": {"web": {"bind": "127.0.0.1:0"}},
        "admin": {"bind": "127.0.0.1:0"},
        "pools": {"app": {
            "servers": [{"id": "own", "host": "127.0.0.1", "port": port}],
            "healthCheck": {"type": "http", "path": "/", "interval": "100ms", "fastInterval": "50ms",
                            "timeout": "1s", "rise": 1, "fall": 2, "startDown": true},
            "passiveHealth": {"hold": "100ms"},
            "recovery": {"action": "process", "command": ["/usr/bin/env", "python3", script, port.to_string()], "after": "1m",
                         "backoff": "100ms", "within": "20s", "stopTimeout": "5s"},
        }},
        "webhooks": [{"name": "ops", "url": format!("http://{}/hook", hook.address()), "events": ["*"],
                      "secret": "a secret of sixteen or more"}],
    })
}

fn process_of(balancer: &Balancer) -> i32 {
    let mut number = None;
    eventually("the server answers", || {
        let answer = balancer.get("/");
        number = answer.text().parse().ok();
        answer.status == 200
    });
    number.unwrap()
}

fn lives(process: i32) -> bool {
    test_kill_process(Pid::from_raw(process).unwrap()).is_ok()
}

/// The events that the hook was sent, in the order in which they came; each signature is checked by another program.
fn received(hook: &Origin) -> Vec<Value> {
    hook.requests()
        .iter()
        .map(|request| {
            assert_eq!(request.fields.get("x-loadweaver-signature"), Some(&*signature(request)));
            serde_json::from_slice(&request.body).unwrap()
        })
        .collect()
}

fn signature(request: &Request) -> String {
    let mut openssl = Command::new("openssl")
        .args(["dgst", "-sha256", "-hmac", "a secret of sixteen or more"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    openssl.stdin.take().unwrap().write_all(&request.body).unwrap();
    let output = String::from_utf8(openssl.wait_with_output().unwrap().stdout).unwrap();
    format!("sha256={}", output.trim().rsplit(' ').next().unwrap())
}

fn names(events: &[Value]) -> Vec<&str> {
    events.iter().filter_map(|event| event["event"].as_str()).collect()
}

/// Attempts, successes and episodes so far.
fn counts(balancer: &Balancer) -> [usize; 3] {
    let status = balancer.status();
    let events = status["recentEvents"].as_array().unwrap();
    ["recovery_started", "recovery_succeeded", "pool_down"]
        .map(|name| events.iter().filter(|event| event["event"] == name).count())
}

#[test]
fn a_process_that_is_killed_is_back_by_itself_and_everybody_is_told() {
    let (scratch, hook) = (Scratch::new(), Origin::answering(reply(204, "")));
    let script = scratch.file("server.py", SERVER);
    let mut balancer = Balancer::start(BINARY, &config(&script, &hook));
    let first = process_of(&balancer);
    let before = counts(&balancer);
    assert_eq!(before[..2], [0, 0]);
    kill_process(Pid::from_raw(first).unwrap(), Signal::KILL).unwrap();
    let mut second = first;
    eventually("another process answers", || {
        second = process_of(&balancer);
        second != first
    });
    eventually("one attempt, one success, one episode", || {
        counts(&balancer) == before.map(|count| count + 1)
    });
    eventually("the hook was told", || {
        let told = received(&hook);
        names(&told).iter().filter(|name| **name == "recovery_succeeded").count() == before[1] + 1
    });
    let told = received(&hook);
    let of_server: Vec<_> = names(&told)
        .into_iter()
        .filter(|name| name.starts_with("recovery_") || name.starts_with("pool_"))
        .collect();
    // The process's end may be seen before a probe or a request finds out what it means.
    let place = |name: &str| of_server.iter().rposition(|each| *each == name).unwrap();
    assert!(place("recovery_started") < place("recovery_succeeded"), "{of_server:?}");
    assert!(place("pool_down") < place("pool_up"), "{of_server:?}");
    let number = |name: &str| of_server.iter().filter(|each| **each == name).count();
    assert_eq!((number("pool_down"), number("pool_up")), (before[2] + 1, before[2] + 1), "{of_server:?}");
    let succeeded = told.iter().rfind(|event| event["event"] == "recovery_succeeded").unwrap();
    assert_eq!((&succeeded["pool"], &succeeded["server"]["id"]), (&json!("app"), &json!("own")));
    story_of_one_attempt(&balancer, succeeded);
    // It is our child, so it ends with us.
    balancer.terminate();
    assert!(balancer.wait_for_exit(loadweaver_testkit::eventually::PATIENCE).unwrap().success());
    eventually("the child is gone", || !lives(second));
}

/// What the API has to say of the attempt that `succeeded` told of: how many there were, how they went, how long this
/// one took, and the same events in the same order.
fn story_of_one_attempt(balancer: &Balancer, succeeded: &Value) {
    let api = balancer.operator().must(200, "GET", "/api/recoveries", &Value::Null);
    let pool = &api["data"][0];
    let server = &pool["servers"][0];
    for counted in [pool, server] {
        assert_eq!((&counted["attempts"], &counted["successes"]), (&json!(1), &json!(1)), "{api}");
        assert_eq!((&counted["failures"], &counted["successRate"]), (&json!(0), &json!(1.0)), "{api}");
    }
    let last = &server["lastAttempts"][0];
    assert_eq!((&last["outcome"], &last["cause"]), (&json!("succeeded"), &json!("exit")), "{api}");
    assert_eq!(last["reason"], "the process was killed by signal 9");
    // From the attempt's begin to the server being up; the mean counts from its going down, which was before.
    let took = last["took"].as_f64().unwrap();
    let told = succeeded["details"]["tookMs"].as_f64().unwrap();
    assert_eq!(succeeded["details"]["attempt"], 1);
    assert!(
        (took - told).abs() < 1.0 && took > 0.0 && server["meanTimeToRecover"].as_f64().unwrap() > 0.0,
        "{api}"
    );
    let events = balancer.operator().must(200, "GET", "/api/events?server=own&limit=4", &Value::Null);
    let events = events["data"].as_array().unwrap();
    let names: Vec<_> = events.iter().rev().map(|event| event["event"].as_str().unwrap()).collect();
    let back_and_told =
        |names: &[&str]| names.contains(&"server_up") && names.contains(&"recovery_succeeded");
    assert_eq!(names[..2], ["server_down", "recovery_started"], "{names:?}");
    assert!(back_and_told(&names[2..]), "{names:?}");
    let down = &events[3];
    // A request or the probes that found the port closed may have been a little faster than the news of the exit.
    let cause = down["details"]["cause"].as_str().unwrap();
    assert!(["process_ended", "connect_refused", "probe_connect"].contains(&cause), "{down}");
}

#[test]
fn a_child_does_not_outlive_a_balancer_that_was_killed() {
    let (scratch, hook) = (Scratch::new(), Origin::answering(reply(204, "")));
    let script = scratch.file("server.py", SERVER);
    let balancer = Balancer::start(BINARY, &config(&script, &hook));
    let child = process_of(&balancer);
    balancer.signal(Signal::KILL);
    eventually("the child is gone", || !lives(child));
}

#[test]
fn a_target_that_fails_for_a_while_gets_all_of_it_later_and_in_order() {
    let refusals = Arc::new(AtomicU64::new(3));
    let left = Arc::clone(&refusals);
    let hook = Origin::by_request(move |_| {
        let refuse =
            left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok();
        reply(if refuse { 500 } else { 204 }, "")
    });
    let (scratch, script) = (Scratch::new(), SERVER);
    let script = scratch.file("server.py", script);
    let balancer = Balancer::start(BINARY, &config(&script, &hook));
    let child = process_of(&balancer);
    kill_process(Pid::from_raw(child).unwrap(), Signal::KILL).unwrap();
    let delivered = || {
        let mut seen = Vec::new();
        for event in received(&hook) {
            let id = event["id"].clone();
            if !seen.iter().any(|known: &Value| known["id"] == id) {
                seen.push(event);
            }
        }
        seen
    };
    eventually("all of it", || names(&delivered()).contains(&"recovery_succeeded"));
    assert_eq!(refusals.load(Ordering::Relaxed), 0);
    let stamps: Vec<String> =
        delivered().iter().map(|event| event["timestamp"].as_str().unwrap().to_owned()).collect();
    assert!(stamps.is_sorted(), "{stamps:?}");
}
