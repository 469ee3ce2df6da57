//! Listeners on Unix sockets: who connects, what becomes of the file, and what a change does to it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use loadweaver_testkit::config::{merge, one_pool};
use loadweaver_testkit::eventually::PATIENCE;
use loadweaver_testkit::origin::reply;
use loadweaver_testkit::process::Process;
use loadweaver_testkit::scratch::Scratch;
use loadweaver_testkit::tls::Authority;
use loadweaver_testkit::unix;
use loadweaver_testkit::{Balancer, Origin, RawClient, eventually};
use rustix::process::Signal;
use serde_json::{Value, json};

#[path = "unix_listeners/changes.rs"]
mod changes;
#[path = "unix_listeners/files.rs"]
mod files;

const BINARY: &str = env!("CARGO_BIN_EXE_loadweaver");

fn path(scratch: &Scratch, name: &str) -> String {
    scratch.path().join(name).display().to_string()
}

/// Two workers, and `web` on the socket; the patch goes into the file.
fn config(origin: &Origin, name: &str, patch: &Value) -> Value {
    let web = json!({ "bind": format!("unix:{name}") });
    let mut config = one_pool(&[origin.address()], &json!({ "workers": 2, "listeners": { "web": web } }));
    merge(&mut config, patch);
    config
}

fn get(name: &str) -> String {
    RawClient::connect_unix(name).get("/").text()
}

/// What curl prints, and whether it went well.
fn curl(arguments: &[&str]) -> (String, bool) {
    let output = Command::new("curl").args(["-sS", "--max-time", "20"]).args(arguments).output().unwrap();
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (text, output.status.success())
}

#[test]
fn clients_are_served_over_a_socket_with_a_file_and_over_one_without() {
    let (scratch, origin) = (Scratch::new(), Origin::by_request(|request| reply(200, &request.target)));
    for (name, option) in
        [(path(&scratch, "web.sock"), "--unix-socket"), (unix::free_name(), "--abstract-unix-socket")]
    {
        let balancer = Balancer::start(BINARY, &config(&origin, &name, &json!({})));
        assert!(balancer.stderr().contains(&format!("listening listener=web address=unix:{name}")));
        assert_eq!(
            balancer.status()["listeners"][0],
            json!({ "name": "web", "address": format!("unix:{name}") })
        );
        let mut client = RawClient::connect_unix(&name);
        for _ in 0..3 {
            assert_eq!(client.get("/kept").text(), "/kept");
        }
        let plain = name.trim_start_matches('@');
        for version in ["--http1.1", "--http2-prior-knowledge"] {
            let (text, well) =
                curl(&[option, plain, version, "-w", " %{http_version}", "http://app.test/curl"]);
            let spoken = if version == "--http1.1" { "1.1" } else { "2" };
            assert!(well && text == format!("/curl {spoken}"), "{version}: {text}");
        }
    }
}

#[test]
fn tls_and_redirections_are_what_they_are_on_a_port() {
    let (authority, scratch, origin) = (Authority::new("Test"), Scratch::new(), Origin::named("secret"));
    let signed = authority.sign(&["app.test"]);
    let ca = scratch.file("ca.pem", &authority.pem).display().to_string();
    let (cert, key) = (scratch.file("a.pem", &signed.cert), scratch.file("a.key", &signed.key));
    let (secure, plain) = (path(&scratch, "secure.sock"), path(&scratch, "web.sock"));
    let listeners = json!({ "listeners": {
        "web": { "redirectHttps": true },
        "secure": { "bind": format!("unix:{secure}"), "tls": { "certificates": [ { "cert": cert, "key": key } ] } },
    } });
    let _balancer = Balancer::start(BINARY, &config(&origin, &plain, &listeners));
    for (version, spoken) in [("--http1.1", "1.1"), ("--http2", "2")] {
        let arguments = [
            "--unix-socket",
            &secure,
            "--cacert",
            &ca,
            version,
            "-w",
            " %{http_version}",
            "https://app.test/",
        ];
        assert_eq!(curl(&arguments), (format!("secret {spoken}"), true));
    }
    let answer = RawClient::connect_unix(&plain).get("/there");
    assert_eq!((answer.status, answer.fields.get("location")), (308, Some("https://test/there")));
}

#[test]
fn a_client_has_no_address_unless_somebody_who_is_trusted_says_one() {
    let (scratch, origin) = (Scratch::new(), Origin::answering(reply(200, "x")));
    let name = path(&scratch, "web.sock");
    let told = "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: https\r\nConnection: close\r\n\r\n";
    let ask = |patch: Value, bytes: &[u8]| {
        origin.forget();
        let mut all = json!({ "forwardedHeaders": "both", "accessLog": { "output": "stdout" } });
        merge(&mut all, &patch);
        let balancer = Balancer::start(BINARY, &config(&origin, &name, &all));
        let mut client = RawClient::connect_unix(&name);
        client.send(bytes).unwrap();
        assert_eq!(client.answer("GET").status, 200);
        eventually("it is logged", || !balancer.stdout().is_empty());
        let line: Value = serde_json::from_str(&balancer.stdout()[0]).unwrap();
        let request = origin.wait_for_requests(1).remove(0);
        let field = |name: &str| request.fields.get(name).map(str::to_owned);
        (field("x-forwarded-for"), field("x-forwarded-proto"), field("forwarded"), line)
    };
    let text = |text: &str| Some(text.to_owned());

    let (list, proto, forwarded, line) = ask(json!({}), told.as_bytes());
    assert_eq!((list, proto), (None, text("http")));
    assert_eq!(forwarded, text("for=unknown;host=\"a\";proto=http"));
    assert_eq!((&line["client"], line.get("clientIp")), (&json!("unix:"), None));

    // A network holds no Unix socket.
    let everybody = json!({ "trustedProxies": ["0.0.0.0/0", "::/0"] });
    assert_eq!(ask(everybody, told.as_bytes()).0, None);

    let (list, proto, _, line) = ask(json!({ "trustedProxies": ["unix:"] }), told.as_bytes());
    assert_eq!((list, proto), (text("192.0.2.7"), text("https")));
    assert_eq!((&line["client"], &line["clientIp"]), (&json!("unix:"), &json!("192.0.2.7")));

    let header = format!("PROXY TCP4 192.0.2.9 192.0.2.1 5000 80\r\n{told}");
    let rules = json!({ "listeners": { "web": { "proxyProtocol": { "trusted": ["unix:"] } } } });
    let (list, _, forwarded, line) = ask(rules, header.as_bytes());
    assert_eq!((list, forwarded), (text("192.0.2.9"), text("for=192.0.2.9;host=\"a\";proto=http")));
    assert_eq!((&line["client"], &line["clientIp"]), (&json!("192.0.2.9:5000"), &json!("192.0.2.9")));

    let combined = json!({ "accessLog": { "format": "combined", "output": "stdout" } });
    let balancer = Balancer::start(BINARY, &config(&origin, &name, &combined));
    get(&name);
    eventually("it is logged", || balancer.stdout().iter().any(|line| line.starts_with("unix: - - [")));
}

#[test]
fn clients_without_an_address_are_spread_by_ip_hash() {
    let scratch = Scratch::new();
    let (a, b) = (Origin::named("a"), Origin::named("b"));
    let name = path(&scratch, "web.sock");
    let servers = [&a, &b].map(|origin| json!({ "host": "127.0.0.1", "port": origin.port() }));
    let patch = json!({ "pools": { "app": { "algorithm": "ip_hash", "servers": servers } } });
    let _balancer = Balancer::start(BINARY, &config(&a, &name, &patch));
    // By chance one in 2^63 of these would fail.
    let mut seen: Vec<_> = (0..64).map(|_| get(&name)).collect();
    seen.sort();
    seen.dedup();
    assert_eq!(seen, ["a", "b"]);
}

#[test]
fn servers_are_told_that_nobody_knows_the_client() {
    let (scratch, name) = (Scratch::new(), unix::free_name());
    for (way, expected) in
        [("v1", b"PROXY UNKNOWN\r\n".to_vec()), ("v2", b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0".to_vec())]
    {
        let len = expected.len();
        let origin = Origin::start(move |connection| {
            let header = connection.read_exact(len)?;
            loop {
                connection.read_request()?;
                connection.write(reply(200, &header));
            }
        });
        let patch = json!({ "pools": { "app": { "sendProxyProtocol": way } } });
        let _balancer = Balancer::start(BINARY, &config(&origin, &name, &patch));
        assert_eq!(RawClient::connect_unix(&name).get("/").body, expected, "{way}");
    }
    drop(scratch);
}

#[test]
fn operators_need_no_token_on_a_socket_of_their_own() {
    let (scratch, origin) = (Scratch::new(), Origin::named("x"));
    for (name, option) in
        [(path(&scratch, "admin.sock"), "--unix-socket"), (unix::free_name(), "--abstract-unix-socket")]
    {
        let file = scratch.file(
            "config.json",
            one_pool(&[origin.address()], &json!({ "admin": { "bind": format!("unix:{name}") } }))
                .to_string(),
        );
        let start = || {
            let mut process = Process::start(Command::new(BINARY).arg("run").arg("--config").arg(&file));
            process.wait_for_stderr("ready", |line| (line == "ready").then_some(()));
            process
        };
        let mut process = start();
        assert!(process.stderr().contains(&format!("listening admin address=unix:{name}")));
        let ask = |host: &str, path: &str| {
            curl(&[option, name.trim_start_matches('@'), &format!("http://{host}{path}")]).0
        };
        assert!(ask("localhost", "/status").contains("\"success\":true"));
        assert!(ask("evil.test", "/status").contains("foreign_host"));
        if option == "--unix-socket" {
            assert_eq!(fs::metadata(&name).unwrap().permissions().mode() & 0o777, 0o600);
            process.kill();
            process = start();
        }
        process.signal(Signal::TERM);
        assert_eq!(process.wait_for_exit(PATIENCE).unwrap().code(), Some(0));
        assert!(!fs::exists(&name).unwrap());
    }
}

#[test]
fn whoever_takes_the_tokens_out_opens_a_socket_to_nobody() {
    let (scratch, origin) = (Scratch::new(), Origin::named("x"));
    let name = path(&scratch, "admin.sock");
    let admin = json!({
        "bind": format!("unix:{name}"), "socketMode": "0666",
        "tokens": [{ "token": "0123456789abcdef0123456789abcdef", "role": "write" }],
    });
    let file =
        scratch.file("config.json", one_pool(&[origin.address()], &json!({ "admin": admin })).to_string());
    let mut process = Process::start(Command::new(BINARY).arg("run").arg("--config").arg(&file));
    process.wait_for_stderr("ready", |line| (line == "ready").then_some(()));
    let ask = || curl(&["--unix-socket", &name, "http://localhost/status"]).0;
    assert!(ask().contains("unauthorized"), "{}", ask());
    let open = json!({ "admin": { "bind": format!("unix:{name}") } });
    fs::write(&file, one_pool(&[origin.address()], &open).to_string()).unwrap();
    process.signal(Signal::HUP);
    process.wait_for_stderr("the change", |line| line.contains("in force version=2").then_some(()));
    assert!(ask().contains("no_tokens"), "{}", ask());
    // From the next start on it is its owner's.
    let said = process.stderr().join("\n");
    assert!(said.contains("socketMode 0666 -> 0600 (from the next start on)"), "{said}");
    process.signal(Signal::TERM);
    assert_eq!(process.wait_for_exit(PATIENCE).unwrap().code(), Some(0));
}

#[test]
fn workers_share_the_queue_of_a_socket() {
    let (scratch, origin) = (Scratch::new(), Origin::named("x"));
    let name = path(&scratch, "web.sock");
    let balancer = Balancer::start(BINARY, &config(&origin, &name, &json!({})));
    let clients: Vec<_> = (0..200).map(|_| RawClient::connect_unix(&name)).collect();
    for mut client in clients {
        assert_eq!(client.get("/").text(), "x");
    }
    assert_eq!(balancer.status()["connections"]["accepted"], 200);
}
