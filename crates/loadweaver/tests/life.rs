//! The life of `loadweaver run`, from outside: start, signals, drain, end, and what stays behind.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use loadweaver_testkit::config::one_pool;
use loadweaver_testkit::origin::reply;
use loadweaver_testkit::process::Process;
use loadweaver_testkit::scratch::Scratch;
use loadweaver_testkit::{Balancer, Origin, PATIENCE, eventually};
use rustix::process::Signal;
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_loadweaver");

/// An origin that tells when a request has come and answers when it is let.
struct Gate {
    origin: Origin,
    came: mpsc::Receiver<()>,
    let_go: mpsc::Sender<()>,
}

impl Gate {
    fn new() -> Self {
        let (tell, came) = mpsc::channel();
        let (let_go, wait) = mpsc::channel::<()>();
        let wait = Mutex::new(wait);
        let origin = Origin::by_request(move |_| {
            let _ = tell.send(());
            let _ = wait.lock().unwrap().recv_timeout(PATIENCE * 3);
            reply(200, "late but whole")
        });
        Self { origin, came, let_go }
    }

    /// A balancer in front of it, and a client whose request has arrived at the origin.
    fn with_request(&self, patch: &Value) -> (Balancer, loadweaver_testkit::RawClient) {
        let balancer = Balancer::start(BINARY, &one_pool(&[self.origin.address()], patch));
        let mut client = balancer.client();
        client.send("GET /slow HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
        self.came.recv_timeout(PATIENCE).unwrap();
        (balancer, client)
    }
}

#[test]
fn says_where_it_listens_serves_and_ends_on_sigterm_sigint_or_sigquit() {
    for signal in [Signal::TERM, Signal::INT, Signal::QUIT] {
        let origin = Origin::named("only");
        let mut balancer = Balancer::start(BINARY, &one_pool(&[origin.address()], &json!({})));
        assert_eq!(balancer.get("/").text(), "only");
        assert_eq!(balancer.admin_get("/livez").status, 200);
        assert_eq!(balancer.admin_get("/readyz").status, 200);
        balancer.signal(signal);
        assert_eq!(balancer.wait_for_exit(PATIENCE).unwrap().code(), Some(0));
        let log = balancer.stderr().join("\n");
        assert!(log.contains("draining") && log.contains("all workers have ended"), "{log}");
    }
}

#[test]
fn drains_what_is_under_way_and_takes_nothing_new() {
    let gate = Gate::new();
    let (mut balancer, mut client) = gate.with_request(&json!({}));
    balancer.terminate();
    eventually("readyz says that it drains", || balancer.admin_get("/readyz").status == 503);
    let readyz = balancer.admin_get("/readyz");
    assert!(readyz.text().contains("draining"), "{}", readyz.text());
    eventually("new connections are refused", || TcpStream::connect(balancer.address()).is_err());
    assert!(balancer.is_running());
    gate.let_go.send(()).unwrap();
    let answer = client.answer("GET");
    assert_eq!((answer.status, answer.text().as_str()), (200, "late but whole"));
    assert!(answer.says_close());
    assert_eq!(balancer.wait_for_exit(PATIENCE).unwrap().code(), Some(0));
}

#[test]
fn cuts_what_is_left_at_the_drain_deadline() {
    let gate = Gate::new();
    let (mut balancer, _client) = gate.with_request(&json!({"timeouts": {"drain": "500ms"}}));
    let asked = Instant::now();
    balancer.terminate();
    assert_eq!(balancer.wait_for_exit(PATIENCE).unwrap().code(), Some(0));
    assert!(asked.elapsed() >= Duration::from_millis(500));
}

#[test]
fn a_second_signal_ends_at_once() {
    let gate = Gate::new();
    let (mut balancer, _client) = gate.with_request(&json!({"timeouts": {"drain": "10m"}}));
    balancer.terminate();
    balancer.wait_for_log("draining");
    balancer.terminate();
    assert_eq!(balancer.wait_for_exit(Duration::from_secs(5)).unwrap().code(), Some(0));
    balancer.wait_for_log("a second signal");
}

#[test]
fn sighup_with_the_same_file_says_that_nothing_changed() {
    let origin = Origin::named("only");
    let mut balancer = Balancer::start(BINARY, &one_pool(&[origin.address()], &json!({})));
    balancer.signal(Signal::HUP);
    balancer.wait_for_log("SIGHUP");
    assert!(balancer.is_running());
    assert_eq!(balancer.get("/").status, 200);
}

#[test]
fn sigusr1_goes_on_in_a_new_access_log_after_a_rename() {
    let origin = Origin::named("only");
    let scratch = Scratch::new();
    let (file, old) = (scratch.path().join("access.log"), scratch.path().join("access.log.1"));
    let config = one_pool(&[origin.address()], &json!({"accessLog": {"output": file}}));
    let mut balancer = Balancer::start(BINARY, &config);
    balancer.get("/before");
    let written = || std::fs::read_to_string(&file).is_ok_and(|text| text.contains("/before"));
    eventually("the first line", written);
    std::fs::rename(&file, &old).unwrap();
    balancer.signal(Signal::USR1);
    balancer.wait_for_log("SIGUSR1");
    balancer.get("/after");
    balancer.terminate();
    assert_eq!(balancer.wait_for_exit(PATIENCE).unwrap().code(), Some(0));
    for (path, target) in [(old, "/before"), (file, "/after")] {
        let text = std::fs::read_to_string(path).unwrap();
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!((lines.len(), &lines[0]["target"]), (1, &json!(target)), "{text}");
    }
}

#[test]
fn signals_without_a_task_end_nothing() {
    let origin = Origin::named("only");
    let mut balancer = Balancer::start(BINARY, &one_pool(&[origin.address()], &json!({})));
    for (signal, name) in [(Signal::USR1, "SIGUSR1"), (Signal::USR2, "SIGUSR2")] {
        balancer.signal(signal);
        balancer.wait_for_log(name);
    }
    assert!(balancer.is_running());
    assert_eq!(balancer.get("/").status, 200);
}

#[test]
fn log_categories_go_by_their_bare_names() {
    let origin = Origin::named("only");
    let start = |filter: &str| {
        let config = one_pool(&[origin.address()], &json!({}));
        Balancer::start_with(BINARY, &config, &[("LOADWEAVER_LOG", filter)])
    };
    // In the second, the default goes on for the category that is not named.
    for filter in ["error,config=warn", "health=debug"] {
        let balancer = start(filter);
        balancer.write_config(&one_pool(&[origin.address()], &json!({"workers": 2})));
        balancer.signal(Signal::HUP);
        balancer.wait_for_log("next start");
    }
}

#[test]
fn variables_of_the_environment_win_over_the_file() {
    let origin = Origin::named("only");
    let port = loadweaver_testkit::peer::free_address().port().to_string();
    let environment = [("PORT", port.as_str()), ("WORKER_COUNT", "2"), ("LOADWEAVER_LOG", "debug")];
    let balancer = Balancer::start_with(BINARY, &one_pool(&[origin.address()], &json!({})), &environment);
    assert_eq!(balancer.address().port().to_string(), port);
    assert!(balancer.stderr().iter().any(|line| line.contains("DEBUG")), "{:?}", balancer.stderr());
}

#[test]
fn raises_the_descriptor_limit_as_far_as_it_may() {
    let scratch = Scratch::new();
    let file =
        scratch.file("config.json", one_pool(&["127.0.0.1:9".parse().unwrap()], &json!({})).to_string());
    let mut shell = Command::new("/bin/sh");
    shell
        .args(["-c", "ulimit -S -n 256 && ulimit -H -n 5000 && exec \"$0\" run --config \"$1\"", BINARY])
        .arg(file);
    let mut process = Process::start(&mut shell);
    process.wait_for_stderr("ready", |line| (line == "ready").then_some(()));
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", process.id())).unwrap();
    let files = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    assert_eq!(files.split_whitespace().nth(3), Some("5000"), "{files}");
}

#[test]
fn the_access_log_is_whole_after_the_end() {
    let origin = Origin::named("only");
    let scratch = Scratch::new();
    let file = scratch.path().join("access.log");
    let config = one_pool(&[origin.address()], &json!({"accessLog": {"output": file}}));
    let mut balancer = Balancer::start(BINARY, &config);
    let mut client = balancer.client();
    for number in 0..50 {
        client.get(&format!("/{number}"));
    }
    balancer.terminate();
    assert_eq!(balancer.wait_for_exit(PATIENCE).unwrap().code(), Some(0));
    let text = std::fs::read_to_string(file).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 50);
    for (number, line) in lines.iter().enumerate() {
        assert_eq!(line["target"], format!("/{number}"));
        assert_eq!(
            (&line["status"], &line["pool"], &line["attempts"]),
            (&json!(200), &json!("app"), &json!(1))
        );
        assert_eq!(line["server"], origin.address().to_string());
    }
}

#[test]
fn nobody_who_stops_reading_its_output_can_stop_it() {
    let origin = Origin::named("only");
    let scratch = Scratch::new();
    let config = one_pool(&[origin.address()], &json!({"accessLog": {"output": "stdout"}}));
    let file = scratch.file("config.json", config.to_string());
    let mut child = Command::new(BINARY)
        .args(["run", "--config"])
        .arg(file)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut process = Reaper(child);
    let (address, admin) = process.read_addresses();
    // From here on both outputs are pipes without a reader.
    drop(process.0.stderr.take());
    let ask = |address: &str, path: &str| {
        let mut stream = TcpStream::connect(address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    assert!(ask(&address, "/").starts_with("HTTP/1.1 200 "));
    eventually("the line is lost and counted", || {
        ask(&admin, "/status").contains(r#""accessLog":{"written":0,"dropped":"#)
            && !ask(&admin, "/status").contains(r#""dropped":0"#)
    });
    assert!(ask(&address, "/").starts_with("HTTP/1.1 200 "));
}

/// A child that is killed and reaped at the end.
struct Reaper(std::process::Child);

impl Reaper {
    /// Listener and admin listener, from standard error up to `ready`.
    fn read_addresses(&mut self) -> (String, String) {
        let mut text = String::new();
        let stderr = self.0.stderr.as_mut().unwrap();
        let mut byte = [0];
        while !text.ends_with("\nready\n") {
            stderr.read_exact(&mut byte).unwrap();
            text.push(char::from(byte[0]));
        }
        let find = |start: &str| text.lines().find_map(|line| line.strip_prefix(start)).unwrap().to_owned();
        (find("listening listener=web address="), find("listening admin address="))
    }
}

impl Drop for Reaper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn probes_take_a_server_out_and_bring_it_back() {
    let (steady, flapping) = (Origin::named("steady"), Origin::named("flapping"));
    let probes = json!({"type": "http", "path": "/", "interval": "50ms", "rise": 2, "fall": 2});
    let patch = json!({"pools": {"app": {"healthCheck": probes, "passiveHealth": {"failures": 0}}}});
    let balancer = Balancer::start(BINARY, &one_pool(&[steady.address(), flapping.address()], &patch));
    let state = |status: &Value| status["pools"][0]["servers"][1]["state"].clone();
    balancer.wait_for_status("both up", |status| status["pools"][0]["up"] == 2 && state(status) == "up");
    flapping.refuse();
    flapping.cut_all();
    let down = balancer.wait_for_status("one down", |status| state(status) == "down");
    assert!(
        down["pools"][0]["servers"][1]["reason"].as_str().unwrap().contains("connection refused"),
        "{down:#}"
    );
    assert_eq!(down["recentEvents"][0]["event"], "server_down");
    balancer.wait_for_log("server is down");
    for _ in 0..10 {
        assert_eq!(balancer.get("/").text(), "steady");
    }
    flapping.come_back();
    balancer
        .wait_for_status("both up again", |status| status["pools"][0]["up"] == 2 && state(status) == "up");
    balancer.wait_for_log("server is up");
}

#[test]
fn a_server_by_name_is_found_before_ready() {
    let origin = Origin::named("only");
    let mut config = one_pool(&[origin.address()], &json!({}));
    config["pools"]["app"]["servers"] = json!([{"host": "localhost", "port": origin.port()}]);
    let balancer = Balancer::start(BINARY, &config);
    assert_eq!(balancer.get("/").text(), "only");
    assert_eq!(balancer.status()["pools"][0]["servers"][0]["resolved"], origin.address().to_string());
}

#[test]
fn the_admin_listener_answers_while_every_worker_is_busy() {
    let origin = Arc::new(Origin::named("only"));
    let balancer = Balancer::start(BINARY, &one_pool(&[origin.address()], &json!({})));
    let address = balancer.address();
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let load: Vec<_> = (0..8)
        .map(|_| {
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || {
                let mut client = loadweaver_testkit::RawClient::connect(address);
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    client.get("/");
                }
            })
        })
        .collect();
    for _ in 0..20 {
        let asked = Instant::now();
        assert_eq!(balancer.admin_get("/status").status, 200);
        assert!(asked.elapsed() < Duration::from_secs(2));
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    for thread in load {
        thread.join().unwrap();
    }
    let status = balancer.status();
    assert!(status["pools"][0]["servers"][0]["latency"]["p99"].as_f64().unwrap() > 0.0, "{status:#}");
}
