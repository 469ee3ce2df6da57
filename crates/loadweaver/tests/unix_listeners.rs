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
fn the_file_has_its_mode_whatever_the_umask_and_goes_with_the_process() {
    let (scratch, origin) = (Scratch::new(), Origin::named("x"));
    for (mode, expected) in [(json!(null), 0o660), (json!("0606"), 0o606)] {
        let name = path(&scratch, "web.sock");
        let patch = json!({ "listeners": { "web": { "socketMode": mode } } });
        let mut balancer = Balancer::start(BINARY, &config(&origin, &name, &patch));
        let found = fs::metadata(&name).unwrap();
        assert!(found.file_type().is_socket());
        assert_eq!(found.permissions().mode() & 0o7777, expected);
        // A client that is there is served to its end, and no new one comes.
        balancer.terminate();
        eventually("the file is gone", || !fs::exists(&name).unwrap());
        assert_eq!(balancer.wait_for_exit(PATIENCE).unwrap().code(), Some(0));
    }
}

#[test]
fn what_a_killed_process_leaves_is_taken_over() {
    let (scratch, origin) = (Scratch::new(), Origin::named("x"));
    for name in [path(&scratch, "web.sock"), unix::free_name()] {
        let config = config(&origin, &name, &json!({}));
        for _ in 0..3 {
            let mut balancer = Balancer::start(BINARY, &config);
            assert_eq!(get(&name), "x");
            balancer.signal(Signal::KILL);
            balancer.wait_for_exit(PATIENCE).unwrap();
            assert_eq!(fs::exists(&name).unwrap(), !name.starts_with('@'));
        }
    }
}

/// Starts the binary where it must not start, and returns what it says.
fn refusal(scratch: &Scratch, config: &Value) -> String {
    let file = scratch.file("second.json", config.to_string());
    let mut second = Process::start(Command::new(BINARY).arg("run").arg("--config").arg(file));
    let status = second.wait_for_exit(PATIENCE).expect("it does not start");
    assert_eq!(status.code(), Some(1));
    eventually("it says why", || !second.stderr().is_empty());
    second.stderr().join("\n")
}

#[test]
fn a_socket_that_somebody_listens_on_is_not_taken() {
    let (scratch, origin) = (Scratch::new(), Origin::named("first"));
    for name in [path(&scratch, "web.sock"), unix::free_name()] {
        let config = config(&origin, &name, &json!({}));
        let _first = Balancer::start(BINARY, &config);
        let said = refusal(&scratch, &config);
        assert!(said.contains(&format!("listener web cannot listen on unix:{name}")), "{said}");
        assert!(name.starts_with('@') || said.contains("another program listens there"), "{said}");
        assert_eq!(get(&name), "first");
    }
    // One whose queue is full is somebody's too.
    let name = path(&scratch, "full.sock");
    let door = unix::Door::shut(&name);
    let _waits = unix::connect(&name).unwrap();
    let said = refusal(&scratch, &config(&origin, &name, &json!({})));
    assert!(said.contains("another program listens there"), "{said}");
    drop(door);
    // What is no socket is nobody's to delete.
    let file = scratch.file("precious", "data");
    let said = refusal(&scratch, &config(&origin, file.to_str().unwrap(), &json!({})));
    assert!(said.contains("no socket"), "{said}");
    assert_eq!(fs::read(&file).unwrap(), b"data");
}

#[test]
fn of_several_that_start_at_once_exactly_one_gets_the_socket() {
    let (scratch, origin) = (Scratch::new(), Origin::named("x"));
    let name = path(&scratch, "web.sock");
    let file = scratch.file("config.json", config(&origin, &name, &json!({})).to_string());
    for _ in 0..3 {
        // All find what a process that is no more has left.
        drop(UnixListener::bind(&name).unwrap());
        let start = || Process::start(Command::new(BINARY).arg("run").arg("--config").arg(&file));
        let mut all: Vec<_> = (0..4).map(|_| start()).collect();
        let is_ready = |process: &Process| process.stderr().iter().any(|line| line == "ready");
        eventually("each has started or has not", || {
            all.iter_mut().all(|process| is_ready(process) || !process.is_running())
        });
        let count = all.iter_mut().map(Process::is_running).filter(|running| *running).count();
        assert_eq!(count, 1, "{:#?}", all.iter().map(Process::stderr).collect::<Vec<_>>());
        assert_eq!(get(&name), "x");
        all.iter_mut().for_each(Process::kill);
        fs::remove_file(&name).unwrap();
    }
}

#[test]
fn a_socket_that_somebody_else_has_put_there_since_stays() {
    let (scratch, origin) = (Scratch::new(), Origin::named("x"));
    let name = path(&scratch, "web.sock");
    let mut balancer = Balancer::start(BINARY, &config(&origin, &name, &json!({})));
    fs::remove_file(&name).unwrap();
    let theirs = UnixListener::bind(&name).unwrap();
    let inode = fs::metadata(&name).unwrap().ino();
    balancer.terminate();
    assert_eq!(balancer.wait_for_exit(PATIENCE).unwrap().code(), Some(0));
    assert_eq!(fs::metadata(&name).unwrap().ino(), inode);
    drop(theirs);
}

/// Connects, asks once and closes, again and again; counts what went well and what did not.
fn knock(name: &str, stop: &AtomicBool, (well, badly): (&AtomicU64, &AtomicU64)) {
    while !stop.load(Ordering::Relaxed) {
        let ask = || -> Option<bool> {
            let mut socket = unix::connect(name).ok()?;
            std::io::Write::write_all(&mut socket, b"GET / HTTP/1.0\r\n\r\n").ok()?;
            let mut answer = String::new();
            std::io::Read::read_to_string(&mut socket, &mut answer).ok()?;
            Some(answer.starts_with("HTTP/1.1 200 "))
        };
        if ask() == Some(true) { well } else { badly }.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn changes_around_a_socket_lose_no_connection() {
    let (scratch, origin) = (Scratch::new(), Origin::named("x"));
    for name in [path(&scratch, "web.sock"), unix::free_name()] {
        let stays = format!("unix:{name}");
        let other = format!("unix:{}", path(&scratch, "other.sock"));
        let base = config(&origin, &name, &json!({}));
        let balancer = Balancer::start(BINARY, &base);
        let (stop, well, badly) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| knock(&name, &stop, (&well, &badly)));
            }
            let steps = [
                ("web", json!([&stays, "127.0.0.1:0", &other])),
                ("web", json!(["127.0.0.1:0", &stays])),
                ("renamed", json!([&other, &stays])),
                ("renamed", json!(&stays)),
                ("web", json!(&stays)),
            ];
            for (listener, bind) in steps.iter().cycle().take(2 * steps.len()) {
                let mut next = base.clone();
                next["listeners"] = json!({ *listener: { "bind": bind } });
                balancer.reload(&next);
                let before = well.load(Ordering::Relaxed);
                eventually("clients go on", || well.load(Ordering::Relaxed) > before + 20);
            }
            stop.store(true, Ordering::Relaxed);
        });
        assert_eq!(badly.load(Ordering::Relaxed), 0, "of {}", well.load(Ordering::Relaxed));
    }
}

#[test]
fn a_listener_that_goes_takes_its_file_along_and_serves_who_has_connected() {
    let (scratch, origin) = (Scratch::new(), Origin::named("x"));
    for (name, mode) in [(path(&scratch, "side.sock"), 0o600), (unix::free_name(), 0)] {
        let base = config(&origin, &path(&scratch, "web.sock"), &json!({}));
        let mut both = base.clone();
        both["listeners"]["side"] = json!({ "bind": format!("unix:{name}") });
        let balancer = Balancer::start(BINARY, &both);
        for _ in 0..5 {
            let mut client = RawClient::connect_unix(&name);
            assert_eq!(client.get("/").text(), "x");
            balancer.reload(&base);
            assert!(!fs::exists(&name).unwrap());
            client.expect_closed();
            // It comes back in the same breath.
            balancer.reload(&both);
            assert_eq!(get(&name), "x");
        }
        if mode > 0 {
            let mut changed = both.clone();
            changed["listeners"]["side"]["socketMode"] = json!("0600");
            let mut client = RawClient::connect_unix(&name);
            balancer.reload(&changed);
            assert_eq!(fs::metadata(&name).unwrap().permissions().mode() & 0o777, mode);
            assert_eq!(client.get("/").text(), "x", "the connection stays");
            // What somebody has done by hand is not undone by a change of something else.
            fs::set_permissions(&name, fs::Permissions::from_mode(0o640)).unwrap();
            changed["via"] = json!("lb");
            balancer.reload(&changed);
            assert_eq!(fs::metadata(&name).unwrap().permissions().mode() & 0o777, 0o640);
        }
    }
}

#[test]
fn a_change_that_cannot_be_made_leaves_no_file() {
    let (scratch, origin) = (Scratch::new(), Origin::named("x"));
    let (web, side) = (path(&scratch, "web.sock"), path(&scratch, "side.sock"));
    let taken = path(&scratch, "taken.sock");
    let _theirs = UnixListener::bind(&taken).unwrap();
    let base = config(&origin, &web, &json!({}));
    let balancer = Balancer::start(BINARY, &base);
    let mut next = base.clone();
    next["listeners"]["web"]["bind"] =
        json!([format!("unix:{web}"), format!("unix:{side}"), format!("unix:{taken}")]);
    balancer.write_config(&next);
    balancer.signal(Signal::HUP);
    balancer.wait_for_log("another program listens there");
    assert!(!fs::exists(&side).unwrap());
    assert_eq!((balancer.version(), get(&web).as_str()), (1, "x"));
}

#[test]
fn an_edit_names_no_socket_to_listen_on() {
    let (scratch, origin) = (Scratch::new(), Origin::named("x"));
    let balancer = Balancer::start(BINARY, &config(&origin, &path(&scratch, "web.sock"), &json!({})));
    for bind in [format!("unix:{}", path(&scratch, "new.sock")), "unix:@new".to_owned()] {
        let patch = json!({ "listeners": { "side": { "bind": ["127.0.0.1:0", bind] } } });
        let lines = "Content-Type: application/merge-patch+json\r\n";
        let answer = balancer.operator().ask("PATCH", "/api/config", lines, &patch.to_string());
        assert_eq!(answer.status, 403, "{}", answer.text());
        assert!(answer.text().contains("names_file"), "{}", answer.text());
    }
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
