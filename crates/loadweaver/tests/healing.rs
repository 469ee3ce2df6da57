//! Servers that are brought back, from the file to the client.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use std::net::SocketAddr;
use std::path::Path;

use loadweaver_testkit::config::{merge, one_pool};
use loadweaver_testkit::peer::free_address;
use loadweaver_testkit::scratch::Scratch;
use loadweaver_testkit::{Balancer, Peer, eventually};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_loadweaver");

/// A server that answers with its process id.
const SERVER: &str = "
import http.server, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = str(os.getpid()).encode()
        self.send_response(200)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args): pass
print('serving on', sys.argv[1], flush=True)
http.server.ThreadingHTTPServer(('127.0.0.1', int(sys.argv[1])), Handler).serve_forever()
";

fn config(server: SocketAddr, recovery: &Value) -> Value {
    let mut config = one_pool(&[server], &json!({}));
    merge(
        &mut config["pools"]["app"],
        &json!({
            "healthCheck": {
                "type": "http", "interval": "50ms", "fastInterval": "50ms", "maxInterval": "50ms",
                "rise": 1, "fall": 2, "timeout": "2s",
            },
            "passiveHealth": { "hold": "10ms" },
            "recovery": recovery,
        }),
    );
    config
}

fn process(script: &Path) -> Value {
    json!({
        "action": "process", "command": ["/usr/bin/env", "python3", script, "{port}"],
        "backoff": "100ms", "maxBackoff": "200ms", "within": "20s",
    })
}

fn wait_for(balancer: &Balancer, state: &str) {
    balancer.wait_for_status(state, |status| status["pools"][0]["servers"][0]["state"] == state);
}

/// The events of recoveries so far, oldest first.
fn recoveries(balancer: &Balancer) -> Vec<String> {
    let status = balancer.status();
    let events = status["recentEvents"].as_array().unwrap().iter().rev();
    let names = events.map(|event| event["event"].as_str().unwrap().to_owned());
    names.filter(|name| name.starts_with("recovery")).collect()
}

fn kill(pid: &str) {
    kill_process(Pid::from_raw(pid.parse().unwrap()).unwrap(), Signal::KILL).unwrap();
}

fn lives(pid: &str) -> bool {
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid).join("stat")).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}

#[test]
fn a_child_that_is_killed_is_back_by_itself_with_one_attempt() {
    let folder = Scratch::new();
    let script = folder.file("server.py", SERVER);
    let server = free_address();
    let balancer = Balancer::start(BINARY, &config(server, &process(&script)));
    wait_for(&balancer, "up");
    let first = balancer.get("/").text();
    balancer.wait_for_log(&format!("serving on {}", server.port()));
    kill(&first);
    eventually("another child answers", || {
        let answer = balancer.get("/");
        answer.status == 200 && answer.text() != first
    });
    eventually("it is told", || recoveries(&balancer) == ["recovery_started", "recovery_succeeded"]);
    let second = balancer.get("/").text();
    assert!(!lives(&first) && lives(&second));
}

#[test]
fn a_child_ends_with_loadweaver_however_that_ends() {
    for signal in [Signal::TERM, Signal::KILL] {
        let folder = Scratch::new();
        let script = folder.file("server.py", SERVER);
        let mut balancer = Balancer::start(BINARY, &config(free_address(), &process(&script)));
        wait_for(&balancer, "up");
        let child = balancer.get("/").text();
        assert!(lives(&child));
        balancer.signal(signal);
        assert!(balancer.wait_for_exit(loadweaver_testkit::PATIENCE).is_some());
        eventually("the child is gone", || !lives(&child));
    }
}

#[test]
fn a_child_is_started_and_ended_by_a_change_of_the_file() {
    let folder = Scratch::new();
    let script = folder.file("server.py", SERVER);
    let server = free_address();
    let mut file = config(server, &process(&script));
    let balancer = Balancer::start(BINARY, &file);
    wait_for(&balancer, "up");
    let child = balancer.get("/").text();
    // Another weight is not another child.
    file["pools"]["app"]["servers"][0]["weight"] = json!(7);
    balancer.write_config_text(file.to_string());
    balancer.wait_for_status("the change", |status| status["pools"][0]["servers"][0]["weight"] == 7);
    assert_eq!(balancer.get("/").text(), child);
    file["pools"]["app"].as_object_mut().unwrap().remove("recovery");
    balancer.write_config_text(file.to_string());
    eventually("the child is gone", || !lives(&child));
    assert_eq!(recoveries(&balancer), [""; 0]);
}

/// Waits until the explanation of the server ends with these words.
#[track_caller]
fn explains(balancer: &Balancer, server: SocketAddr, words: &str) {
    eventually(words, || {
        let health = balancer.operator().data(&format!("/api/servers/{server}/health"));
        let explanation = &health["explanation"];
        let change = explanation["wouldChange"].as_array().unwrap().last().map(ToString::to_string);
        change.is_some_and(|change| change.contains(words))
            && explanation["summary"].as_str().unwrap().contains(words)
    });
}

#[test]
fn the_explanation_of_a_server_says_what_is_done_to_bring_it_back() {
    let folder = Scratch::new();
    let go = folder.path().join("go");
    // It waits for a file; then it has acted, in vain.
    let wait = format!("until test -e {}; do sleep 0.01; done", go.display());
    let command =
        json!({ "action": "command", "command": ["/bin/sh", "-c", wait], "after": "1ms", "within": "1m" });
    let server = free_address();
    let balancer = Balancer::start(BINARY, &config(server, &command));
    explains(&balancer, server, "recovery by command: attempt 1 is under way");
    std::fs::write(&go, "").unwrap();
    explains(&balancer, server, "recovery by command: attempt 1 has acted, and the server has until ");

    let futile = json!({ "action": "command", "command": ["/bin/false"], "after": "1ms", "attempts": 2, "backoff": "10m" });
    let balancer = Balancer::start(BINARY, &config(server, &futile));
    explains(&balancer, server, "recovery by command: attempt 2 is due at ");

    let short = json!({ "action": "command", "command": ["/bin/false"], "after": "1ms", "attempts": 1 });
    let balancer = Balancer::start(BINARY, &config(server, &short));
    explains(&balancer, server, "recovery by command has given up after 1 in a row; POST /api/servers/");
}

#[test]
fn a_command_restarts_a_server_that_somebody_else_runs() {
    let server = free_address();
    let start = |_: u16, scratch: &Scratch| {
        let mut command = std::process::Command::new("python3");
        command.arg(scratch.file("server.py", SERVER)).arg(server.port().to_string());
        command
    };
    let mut peer = Peer::start_at(server, start).expect("the port was free a moment ago");
    let folder = Scratch::new();
    let script = folder.file("server.py", SERVER);
    let restart = format!(
        "echo restarting \"$LOADWEAVER_SERVER_ID\"; python3 {} {{port}} > /dev/null 2>&1 & echo $! > {}/pid",
        script.display(),
        folder.path().display()
    );
    let recovery = json!({
        "action": "command", "command": ["/bin/sh", "-c", restart], "after": "100ms", "within": "20s",
    });
    let balancer = Balancer::start(BINARY, &config(server, &recovery));
    wait_for(&balancer, "up");
    peer.kill();
    eventually("it is told", || recoveries(&balancer) == ["recovery_started", "recovery_succeeded"]);
    assert_eq!(balancer.get("/").status, 200);
    kill(std::fs::read_to_string(folder.path().join("pid")).unwrap().trim());
}
