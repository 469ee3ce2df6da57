//! Who may use the admin API, and what nobody gets to see.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use loadweaver_testkit::config::one_pool;
use loadweaver_testkit::scratch::Scratch;
use loadweaver_testkit::{Balancer, Operator, PATIENCE, eventually};
use rustix::process::Signal;
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_loadweaver");
const READ: &str = "read-0123456789abcdef";
const WRITE: &str = "write-0123456789abcdef";
const SERVER: &str = "/api/servers/127.0.0.1:3001";

fn tokens() -> Value {
    json!([{"token": READ, "role": "read", "name": "board"}, {"token": WRITE, "role": "write", "name": "ops"}])
}

fn balancer(admin: &Value) -> Balancer {
    let servers: [SocketAddr; 1] = ["127.0.0.1:3001".parse().unwrap()];
    Balancer::start(BINARY, &one_pool(&servers, &json!({"admin": admin})))
}

#[test]
fn a_token_says_who_may_look_and_who_may_change() {
    let balancer = balancer(&json!({"tokens": tokens()}));
    let nobody = balancer.operator();
    let reader = nobody.clone().with_token(READ);
    let writer = nobody.clone().with_token(WRITE);
    let weight = json!({"weight": 2});
    let answer = nobody.ask("GET", "/api/servers", "", "");
    assert_eq!(answer.status, 401);
    assert_eq!(answer.fields.get("www-authenticate"), Some("Bearer realm=\"loadweaver\""));
    for token in [&WRITE[..WRITE.len() - 1], &format!("{WRITE}x"), "x", ""] {
        assert_eq!(nobody.clone().with_token(token).get("/status").0, 401, "{token}");
    }
    assert_eq!(nobody.get("/nothing").0, 401, "what there is and is not is told to those who may know");
    for path in ["/livez", "/readyz"] {
        assert_eq!(nobody.ask("GET", path, "", "").status, 200);
    }
    assert_eq!(reader.get("/api/servers").0, 200);
    for (method, path) in
        [("PUT", "/api/servers/127.0.0.1:3001/weight"), ("DELETE", SERVER), ("POST", "/api/servers")]
    {
        let (status, refused) = reader.send(method, path, &weight);
        assert_eq!((status, &refused["error"]["code"]), (403, &json!("read_only")), "{method}");
    }
    writer.must(200, "PUT", "/api/servers/127.0.0.1:3001/weight", &weight);
    assert_eq!(reader.data("/api/config/versions")["versions"][0]["origin"], "api (ops)");
    balancer.wait_for_log("an unknown token was sent");
    assert!(balancer.stderr().iter().all(|line| !line.contains(WRITE)), "a token is in the log");
}

#[test]
fn a_token_that_is_taken_out_is_good_for_nothing_at_once() {
    let balancer = balancer(&json!({"tokens": tokens()}));
    let writer = balancer.operator().with_token(WRITE);
    let reader = balancer.operator().with_token(READ);
    let mut live = TcpStream::connect(balancer.admin()).unwrap();
    live.set_read_timeout(Some(PATIENCE)).unwrap();
    let head = format!(
        "GET /api/events HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAccept: text/event-stream\r\nAuthorization: Bearer {READ}\r\n\r\n"
    );
    live.write_all(head.as_bytes()).unwrap();
    let mut first = [0; 15];
    live.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"HTTP/1.1 200 OK");

    // What was read, secrets hidden, less one token.
    let mut config = writer.data("/api/config");
    assert_eq!(config["admin"]["tokens"][1], json!({"token": "***", "role": "write", "name": "ops"}));
    config["admin"]["tokens"].as_array_mut().unwrap().remove(0);
    writer.must(200, "PUT", "/api/config", &config);
    assert_eq!(reader.get("/api/servers").0, 401);
    assert_eq!(writer.get("/api/servers").0, 200, "the other one stays what it was");
    assert!(balancer.config_text().contains(WRITE) && !balancer.config_text().contains(READ));
    // The stream that it opened ends too, without a word of what happened since.
    let mut rest = String::new();
    live.read_to_string(&mut rest).unwrap();
    assert!(!rest.contains("config_applied"), "{rest}");
}

#[test]
fn a_stream_ends_with_its_token_even_where_no_token_is_needed_any_more() {
    let balancer = balancer(&json!({"tokens": tokens()}));
    let mut live = TcpStream::connect(balancer.admin()).unwrap();
    live.set_read_timeout(Some(PATIENCE)).unwrap();
    let head = format!(
        "GET /api/events HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAccept: text/event-stream\r\nAuthorization: Bearer {READ}\r\n\r\n"
    );
    live.write_all(head.as_bytes()).unwrap();
    live.read_exact(&mut [0; 15]).unwrap();
    let writer = balancer.operator().with_token(WRITE);
    let mut config = writer.data("/api/config");
    config["admin"].as_object_mut().unwrap().remove("tokens");
    writer.must(200, "PUT", "/api/config", &config);
    let mut rest = String::new();
    live.read_to_string(&mut rest).unwrap();
    assert!(!rest.contains("config_applied"), "{rest}");
}

#[test]
fn a_body_that_is_said_to_be_too_long_is_not_waited_for() {
    let balancer = balancer(&json!({}));
    let mut client = TcpStream::connect(balancer.admin()).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let head = "PUT /api/config HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 99999999999\r\n\r\n{";
    client.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}

#[test]
fn a_page_of_another_origin_needs_to_be_named_and_to_have_a_token() {
    let origins = json!(["https://ops.example.com"]);
    let balancer = balancer(&json!({"tokens": tokens(), "origins": origins}));
    let writer = balancer.operator().with_token(WRITE);
    let page = |origin: &str| writer.ask("GET", "/api/servers", &format!("Origin: {origin}\r\n"), "");
    let known = page("https://ops.example.com");
    assert_eq!(known.status, 200);
    assert_eq!(known.fields.get("access-control-allow-origin"), Some("https://ops.example.com"));
    assert_eq!(known.fields.get("vary"), Some("origin"));
    for foreign in
        ["https://evil.example.com", "http://ops.example.com", "https://ops.example.com:8443", "null"]
    {
        let answer = page(foreign);
        assert_eq!(answer.status, 403, "{foreign}");
        assert!(!answer.fields.has("access-control-allow-origin"));
    }
    let preflight = |origin: &str| {
        let lines = format!("Origin: {origin}\r\nAccess-Control-Request-Method: PUT\r\n");
        balancer.operator().ask("OPTIONS", "/api/config", &lines, "")
    };
    let allowed = preflight("https://ops.example.com");
    assert_eq!(allowed.status, 204);
    assert!(allowed.fields.get("access-control-allow-methods").unwrap().contains("PUT"));
    assert!(allowed.fields.get("access-control-allow-headers").unwrap().contains("authorization"));
    assert_eq!(preflight("https://evil.example.com").status, 403);
    // The name of the page is no token.
    let without = balancer.operator().ask("GET", "/api/servers", "Origin: https://ops.example.com\r\n", "");
    assert_eq!(without.status, 401);
}

#[test]
fn without_tokens_a_web_page_can_do_nothing() {
    let balancer = balancer(&json!({"origins": ["https://ops.example.com"]}));
    let operator = balancer.operator();
    let json = "Content-Type: application/json\r\n";
    for line in
        ["Origin: https://ops.example.com\r\n", "Origin: https://evil.example\r\n", "Host: evil.example\r\n"]
    {
        for (method, path) in
            [("GET", "/api/config"), ("PUT", "/api/algorithm"), ("POST", "/api/config/rollback")]
        {
            let answer = operator.ask(method, path, &format!("{json}{line}"), "{\"version\": 1}");
            assert_eq!(answer.status, 403, "{method} {path} {line}");
        }
    }
    assert_eq!(operator.get("/api/config").0, 200);
}

#[test]
fn a_listener_that_is_open_to_others_is_never_without_a_guard() {
    let balancer = balancer(&json!({"bind": "0.0.0.0:0", "tokens": tokens()}));
    let address = SocketAddr::from(([127, 0, 0, 1], balancer.admin().port()));
    let nobody = Operator::new(address);
    let writer = nobody.clone().with_token(WRITE);
    assert_eq!(writer.ask("GET", "/status", "Host: lb.example.com\r\n", "").status, 200);
    assert_eq!(nobody.ask("GET", "/status", "Host: lb.example.com\r\n", "").status, 401);
    let mut config = writer.data("/api/config");
    config["admin"] = json!({"bind": "0.0.0.0:0"});
    writer.must(422, "PUT", "/api/config", &config);
    // The new configuration is fine by itself, but the listener is still where it was.
    config["admin"] = json!({"bind": "127.0.0.1:0"});
    writer.must(200, "PUT", "/api/config", &config);
    for operator in [&nobody, &writer] {
        let (status, answer) = operator.get("/api/config");
        assert_eq!((status, &answer["error"]["code"]), (403, &json!("no_tokens")));
    }
    assert_eq!(nobody.ask("GET", "/livez", "", "").status, 200);
}

#[test]
fn a_listener_that_the_configuration_does_not_name_any_more_is_for_nobody() {
    let balancer = balancer(&json!({"tokens": tokens()}));
    let nobody = balancer.operator();
    let writer = nobody.clone().with_token(WRITE);
    let mut config = writer.data("/api/config");
    config.as_object_mut().unwrap().remove("admin");
    writer.must(200, "PUT", "/api/config", &config);
    for operator in [&nobody, &writer] {
        let (status, answer) = operator.get("/api/config");
        assert_eq!((status, &answer["error"]["code"]), (403, &json!("no_admin")));
    }
    assert_eq!(nobody.ask("GET", "/readyz", "", "").status, 200);
}

#[test]
fn edits_stay_in_memory_where_the_file_says_so() {
    let balancer = balancer(&json!({"persist": false}));
    let before = balancer.config_text();
    let answer = balancer.operator().must(200, "PUT", "/api/algorithm", &json!({"algorithm": "random"}));
    assert_eq!(answer["data"]["saved"], false);
    assert!(answer["data"]["notSavedBecause"].as_str().unwrap().contains("persist"), "{answer}");
    eventually("it is in force", || balancer.operator().data("/api/metrics")["algorithm"] == "random");
    assert_eq!(balancer.config_text(), before);
}

/// A certificate of its own, in these files.
fn certify(cert: &Path, key: &Path) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    std::fs::write(cert, made.cert.pem()).unwrap();
    std::fs::write(key, made.signing_key.serialize_pem()).unwrap();
}

/// What `curl` makes of the address when it trusts this certificate.
fn secured(balancer: &Balancer, cert: &Path, path: &str) -> Output {
    let port = balancer.admin().port();
    Command::new("curl")
        .args(["-s", "--resolve", &format!("localhost:{port}:127.0.0.1"), "--cacert"])
        .arg(cert)
        .args(["-H", &format!("Authorization: Bearer {WRITE}"), &format!("https://localhost:{port}{path}")])
        .output()
        .unwrap()
}

#[test]
fn a_renewed_certificate_is_taken_up_and_a_broken_one_is_refused() {
    let scratch = Scratch::new();
    let (cert, key) = (scratch.path().join("admin.pem"), scratch.path().join("admin.key"));
    certify(&cert, &key);
    let balancer = balancer(&json!({"tokens": tokens(), "tls": {"cert": cert, "key": key}}));
    let old = scratch.file("old.pem", std::fs::read(&cert).unwrap());
    assert!(secured(&balancer, &old, "/livez").status.success());
    // A connection that was there before.
    let port = balancer.admin().port();
    let mut live = Command::new("curl")
        .args(["-sN", "--resolve", &format!("localhost:{port}:127.0.0.1"), "--cacert"])
        .arg(&old)
        .args(["-H", &format!("Authorization: Bearer {WRITE}"), "-H", "Accept: text/event-stream"])
        .arg(format!("https://localhost:{port}/api/events?event=config_refused"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut events = BufReader::new(live.stdout.take().unwrap()).lines();
    assert_eq!(events.next().unwrap().unwrap(), "retry: 2000");

    certify(&cert, &key);
    balancer.signal(Signal::HUP);
    eventually("the new one is shown", || secured(&balancer, &cert, "/livez").status.success());
    assert!(!secured(&balancer, &old, "/livez").status.success());

    std::fs::write(&key, "no key").unwrap();
    balancer.signal(Signal::HUP);
    // It comes by the connection that began with the first certificate.
    let told = events.find(|line| line.as_ref().unwrap().contains("admin.tls.key")).unwrap().unwrap();
    assert!(told.contains("config_refused") || told.contains("cannot be used"), "{told}");
    live.kill().unwrap();
    live.wait().unwrap();
    assert!(secured(&balancer, &cert, "/livez").status.success(), "what was good stays");
    // What is changed beside it goes on.
    let port = balancer.admin().port();
    let changed = Command::new("curl")
        .args(["-s", "--resolve", &format!("localhost:{port}:127.0.0.1"), "--cacert"])
        .arg(&cert)
        .args([
            "-H",
            &format!("Authorization: Bearer {WRITE}"),
            "-X",
            "PUT",
            "--json",
            "{\"algorithm\": \"random\"}",
        ])
        .arg(format!("https://localhost:{port}/api/algorithm"))
        .output()
        .unwrap();
    let answer: Value = serde_json::from_slice(&changed.stdout).unwrap();
    assert_eq!(answer["success"], true, "{answer}");
}

#[test]
fn tokens_travel_over_tls_where_the_listener_speaks_it() {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let scratch = Scratch::new();
    let cert = scratch.file("admin.pem", made.cert.pem());
    let key = scratch.file("admin.key", made.signing_key.serialize_pem());
    let balancer = balancer(&json!({"tokens": tokens(), "tls": {"cert": cert, "key": key}}));
    // Somebody who never says a word holds nobody up.
    let _silent = TcpStream::connect(balancer.admin()).unwrap();
    let port = balancer.admin().port();
    let output = Command::new("curl")
        .args(["-s", "--cacert", cert.to_str().unwrap(), "--resolve", &format!("localhost:{port}:127.0.0.1")])
        .args([
            "-H",
            &format!("Authorization: Bearer {WRITE}"),
            &format!("https://localhost:{port}/api/servers"),
        ])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["data"][0]["serverId"], "127.0.0.1:3001");
    let plain =
        Command::new("curl").args(["-s", &format!("http://localhost:{port}/livez")]).output().unwrap();
    assert!(!plain.status.success(), "plain text is answered too: {plain:?}");
}
