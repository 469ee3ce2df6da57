//! What happens over the life of the process beside its start and end (`life.rs`): draining in detail, running out
//! of descriptors, probes, and what the access log and the status tell.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use loadweaver_testkit::config::{one_pool, one_pool_with};
use loadweaver_testkit::eventually::PATIENCE;
use loadweaver_testkit::origin::{reply, reply_with};
use loadweaver_testkit::{Balancer, Origin, RawClient, WireError, eventually};
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_loadweaver");

#[test]
fn draining_closes_idle_connections_at_once() {
    let origin = Origin::named("x");
    let mut balancer =
        Balancer::start(BINARY, &one_pool(&[origin.address()], &json!({ "timeouts": { "drain": "60s" } })));
    let mut idle: Vec<RawClient> = (0..5).map(|_| balancer.client()).collect();
    for client in &mut idle {
        assert_eq!(client.get("/").status, 200);
    }
    let mut silent = balancer.client();
    balancer.terminate();
    idle.iter_mut().for_each(RawClient::expect_closed);
    silent.expect_closed();
    assert!(balancer.wait_for_exit(PATIENCE).unwrap().success());
    eventually("the servers' connections are closed too", || origin.open() == 0);
}

#[test]
fn draining_finishes_an_upload_and_a_download_that_are_under_way() {
    let origin = Origin::by_request(|request| reply(200, &request.body));
    let mut balancer = Balancer::start(BINARY, &one_pool(&[origin.address()], &json!({})));
    let mut client = balancer.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc").unwrap();
    eventually("the upload is under way", || origin.raw().concat().ends_with(b"abc"));
    balancer.terminate();
    eventually("new connections are refused", || RawClient::try_connect(balancer.address()).is_err());
    client.send("def").unwrap();
    let answer = client.answer("POST");
    assert_eq!(answer.text(), "abcdef");
    assert!(answer.says_close());
    client.expect_closed();
    assert!(balancer.wait_for_exit(PATIENCE).unwrap().success());
}

#[test]
fn a_tunnel_lives_until_the_drain_deadline() {
    let origin = Origin::start(|connection| {
        connection.read_request()?;
        connection.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n");
        while let Ok(byte) = connection.read_exact(1) {
            connection.write(byte);
        }
        Ok(())
    });
    let patch = json!({ "timeouts": { "drain": "600ms" } });
    let mut balancer = Balancer::start(BINARY, &one_pool(&[origin.address()], &patch));
    let mut client = balancer.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n").unwrap();
    assert_eq!(client.read_answer_head("GET").unwrap().status, 101);
    let began = Instant::now();
    balancer.terminate();
    eventually("new connections are refused", || RawClient::try_connect(balancer.address()).is_err());
    client.send("x").unwrap();
    assert_eq!(client.read_exact(1).unwrap(), b"x", "the drain does not cut it at once");
    client.expect_closed();
    assert!(began.elapsed() >= Duration::from_millis(550), "cut after {:?}", began.elapsed());
    assert!(balancer.wait_for_exit(PATIENCE).is_some());
}

/// Sends one GET on each of that many connections and counts the answers (200, or 503 where there was no descriptor
/// left for the way to the server); nobody waits for long.
fn crowd(balancer: &Balancer, count: usize) -> (Vec<RawClient>, usize) {
    let mut all: Vec<RawClient> =
        (0..count).map(|_| balancer.client().patient_for(Duration::from_millis(100))).collect();
    for client in &mut all {
        let _ = client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    let served = all.iter_mut().filter_map(|client| client.read_answer("GET").ok());
    let served =
        served.filter(|answer| answer.status == 200 || answer.failure() == Some("exhausted")).count();
    (all, served)
}

fn serves_again(balancer: &Balancer) {
    eventually("it takes connections again", || {
        let mut client = balancer.client().patient_for(Duration::from_millis(500));
        let _ = client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        client.read_answer("GET").is_ok_and(|answer| answer.status == 200)
    });
}

#[test]
fn running_out_of_descriptors_pauses_accepting_and_goes_on() {
    let origin = Origin::named("x");
    let balancer = Balancer::start(BINARY, &one_pool(&[origin.address()], &json!({})));
    assert_eq!(balancer.get("/").status, 200);
    // Taken away while it runs, so that accepting really fails; with the ones of before it would know its limit.
    let most = balancer.descriptors() + 12;
    balancer.limit_descriptors(most as u64);
    let (clients, served) = crowd(&balancer, 40);
    assert!(served >= 5, "{served} were served while descriptors were short");
    let cpu = balancer.cpu_ticks();
    let (more, _) = crowd(&balancer, 10);
    assert!(balancer.cpu_ticks() - cpu < 80, "accepting that fails must pause, not spin");
    drop((clients, more));
    serves_again(&balancer);
    assert_eq!(balancer.admin_get("/livez").status, 200);
    let events = balancer.status()["recentEvents"].to_string();
    assert!(events.contains("accept_paused"), "{events}");
}

#[test]
fn a_small_descriptor_limit_bounds_the_connections_and_not_the_service() {
    let origin = Origin::named("x");
    let config = one_pool(&[origin.address()], &json!({}));
    let balancer = Balancer::start_with_descriptors(BINARY, &config, 160);
    let (clients, served) = crowd(&balancer, 100);
    assert!((20..100).contains(&served), "{served} of 100 were served at once");
    drop(clients);
    serves_again(&balancer);
}

#[test]
fn connections_beyond_the_limit_wait_and_are_served_when_there_is_room() {
    let origin = Origin::named("x");
    let balancer =
        Balancer::start(BINARY, &one_pool(&[origin.address()], &json!({ "limits": { "connections": 10 } })));
    let mut crowd: Vec<RawClient> = (0..10).map(|_| balancer.client()).collect();
    for client in &mut crowd {
        assert_eq!(client.get("/").status, 200);
    }
    let mut more = balancer.client();
    more.set_patience(Duration::from_millis(200));
    more.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let waited = more.read_answer("GET");
    assert!(!matches!(&waited, Ok(answer) if answer.status == 200), "an eleventh was served");
    drop(crowd);
    eventually("there is room again", || {
        let mut client = balancer.client().patient_for(Duration::from_millis(500));
        let _ = client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        client.read_answer("GET").is_ok_and(|answer| answer.status == 200)
    });
}

/// Probes as often as is sensible in a test.
fn probing(kind: &str) -> Value {
    json!({ "type": kind, "interval": "50ms", "timeout": "200ms", "rise": 2, "fall": 2 })
}

fn server(balancer: &Balancer, index: usize) -> Value {
    balancer.status()["pools"][0]["servers"][index].clone()
}

#[test]
fn an_http_probe_takes_a_server_out_and_brings_it_back() {
    let status = Arc::new(AtomicU16::new(200));
    let said = Arc::clone(&status);
    let sick = Origin::by_request(move |request| match request.target.as_str() {
        "/health?deep=1" => reply(said.load(Ordering::SeqCst), ""),
        _ => reply(200, "sick"),
    });
    let well = Origin::named("well");
    let mut probe = probing("http");
    probe["path"] = "/health?deep=1".into();
    probe["host"] = "health.example".into();
    let balancer = Balancer::start(
        BINARY,
        &one_pool_with(&[sick.address(), well.address()], &json!({ "healthCheck": probe })),
    );
    eventually("both are up", || {
        server(&balancer, 0)["state"] == "up" && server(&balancer, 1)["state"] == "up"
    });
    let asked = sick.requests().remove(0);
    assert_eq!(asked.fields.all("host"), ["health.example"]);
    assert_eq!(asked.method, "GET");

    status.store(500, Ordering::SeqCst);
    eventually("it is out", || server(&balancer, 0)["state"] == "down");
    let reason = server(&balancer, 0)["reason"].as_str().unwrap().to_owned();
    assert!(reason.contains("500"), "the reason says why: {reason}");
    for _ in 0..10 {
        assert_eq!(balancer.get("/").text(), "well", "a server that is down gets no traffic");
    }
    status.store(204, Ordering::SeqCst);
    eventually("it is back", || server(&balancer, 0)["state"] == "up");
    let answers: Vec<String> = (0..4).map(|_| balancer.get("/").text()).collect();
    assert!(answers.contains(&"sick".to_owned()), "{answers:?}");
}

#[test]
fn a_probe_that_is_answered_late_or_slowly_or_with_garbage_fails() {
    type Script = fn(&mut loadweaver_testkit::OriginConnection) -> Result<(), WireError>;
    let scripts: [(Script, Value); 4] = [
        (|connection| connection.hang(), json!({})),
        (
            |connection| {
                connection.write("nonsense\r\n\r\n");
                Ok(())
            },
            json!({}),
        ),
        (|_| Ok(()), json!({})),
        (
            |connection| {
                std::thread::sleep(Duration::from_millis(80));
                connection.write(reply(200, ""));
                Ok(())
            },
            json!({ "maxLatency": "30ms" }),
        ),
    ];
    for (number, (script, extra)) in scripts.into_iter().enumerate() {
        let origin = Origin::start(move |connection| {
            connection.read_request()?;
            script(connection)
        });
        let mut probe = probing("http");
        loadweaver_testkit::config::merge(&mut probe, &extra);
        // Somebody is there, so in a panic the server would get traffic.
        let pool = json!({ "healthCheck": probe, "panicPercent": "off" });
        let balancer = Balancer::start(BINARY, &one_pool_with(&[origin.address()], &pool));
        eventually(&format!("script {number} is found out"), || server(&balancer, 0)["state"] == "down");
        assert_eq!(balancer.get("/").failure(), Some("no_server"));
    }
}

#[test]
fn one_failed_probe_takes_nobody_out() {
    let fail_next = Arc::new(AtomicBool::new(false));
    let failing = Arc::clone(&fail_next);
    let origin = Origin::by_request(move |_| {
        reply(if failing.swap(false, Ordering::SeqCst) { 500 } else { 200 }, "x")
    });
    let balancer = Balancer::start(
        BINARY,
        &one_pool_with(&[origin.address()], &json!({ "healthCheck": probing("http") })),
    );
    eventually("it is up", || server(&balancer, 0)["state"] == "up");
    for _ in 0..3 {
        fail_next.store(true, Ordering::SeqCst);
        eventually("the failing probe was taken", || !fail_next.load(Ordering::SeqCst));
        let seen = origin.requests().len();
        eventually("the next two came", || origin.requests().len() >= seen + 2);
    }
    let status = balancer.status();
    assert_eq!(status["pools"][0]["servers"][0]["state"], "up");
    assert!(!status["recentEvents"].to_string().contains("server_down"), "{status}");
}

#[test]
fn a_tcp_probe_sees_a_server_leave_and_return() {
    let origin = Origin::named("x");
    let balancer = Balancer::start(
        BINARY,
        &one_pool_with(&[origin.address()], &json!({ "healthCheck": probing("tcp") })),
    );
    eventually("it is up", || server(&balancer, 0)["state"] == "up");
    origin.refuse();
    eventually("it is down", || server(&balancer, 0)["state"] == "down");
    assert_eq!(balancer.get("/").failure(), Some("no_server"));
    origin.come_back();
    eventually("it is up again", || server(&balancer, 0)["state"] == "up");
    assert_eq!(balancer.get("/").text(), "x");
}

#[test]
fn an_unknown_server_gets_no_traffic_where_it_starts_down() {
    let (gate, closed) = mpsc::channel::<()>();
    let closed = Mutex::new(closed);
    let origin = Origin::start(move |connection| {
        let request = connection.read_request()?;
        if request.target == "/health" {
            // Until the gate is gone.
            let _ = closed.lock().unwrap().recv();
        }
        connection.write(reply(200, "here"));
        Ok(())
    });
    let mut probe = probing("http");
    probe["path"] = "/health".into();
    probe["timeout"] = "20s".into();
    probe["startDown"] = true.into();
    let balancer =
        Balancer::start(BINARY, &one_pool_with(&[origin.address()], &json!({ "healthCheck": probe })));
    assert_eq!(balancer.get("/").failure(), Some("no_server"));
    assert_eq!(server(&balancer, 0)["state"], "unknown");
    let readyz = balancer.admin_get("/readyz");
    assert_eq!(readyz.status, 503);
    assert!(readyz.text().contains("pool app"), "{}", readyz.text());
    drop(gate);
    eventually("it is ready", || balancer.admin_get("/readyz").status == 200);
    assert_eq!(balancer.get("/").text(), "here");
}

#[test]
fn each_exchange_is_one_line_of_the_access_log() {
    let origin = Origin::answering(reply_with(201, &["X: y"], "hello"));
    let patch = json!({ "accessLog": { "format": "json", "output": "stdout" } });
    let mut balancer = Balancer::start(BINARY, &one_pool(&[origin.address()], &patch));
    let mut client = balancer.client();
    let request = "POST /a?b=\"c\" HTTP/1.1\r\nHost: Shop.example\r\nUser-Agent: t\u{e9}st\\\r\nReferer: r\r\n\
                   Content-Length: 3\r\n\r\nabc";
    assert_eq!(client.exchange(request).status, 201);
    assert_eq!(client.exchange("GET /bad HTTP/1.1\r\nX : y\r\n\r\n").status, 400);
    balancer.terminate();
    assert!(balancer.wait_for_exit(PATIENCE).unwrap().success());
    eventually("both lines came", || balancer.stdout().len() >= 2);
    let lines: Vec<Value> =
        balancer.stdout().iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    let line = &lines[0];
    for (key, value) in [
        ("method", json!("POST")),
        ("target", json!("/a?b=\"c\"")),
        ("status", json!(201)),
        ("version", json!("1.1")),
        ("host", json!("Shop.example")),
        ("referer", json!("r")),
        ("pool", json!("app")),
        ("listener", json!("web")),
        ("attempts", json!(1)),
        ("clientIp", json!("127.0.0.1")),
        ("server", json!(origin.address().to_string())),
    ] {
        assert_eq!(line[key], value, "{key} in {line}");
    }
    assert_eq!(line["client"], json!(client.local_address().to_string()), "{line}");
    for key in ["totalMs", "firstByteMs", "connectMs"] {
        assert!(line[key].as_f64().is_some_and(|time| (0.0..10_000.0).contains(&time)), "{key} in {line}");
    }
    assert!(line["bytesOut"].as_u64().unwrap() >= 5 && line["bytesIn"].as_u64().unwrap() >= 3, "{line}");
    let forwarded = origin.requests()[0].fields.get("x-request-id").unwrap().to_owned();
    assert_eq!(line["requestId"], json!(forwarded));
    assert!(line.get("failure").is_none_or(Value::is_null), "{line}");
    let refused = &lines[1];
    assert_eq!((&refused["method"], &refused["target"]), (&json!("GET"), &json!("/bad")), "{refused}");
    assert_eq!((&lines[1]["status"], &lines[1]["failure"]), (&json!(400), &json!("bad_header")));
}

#[test]
fn the_access_log_says_when_a_client_left() {
    let origin = Origin::start(|connection| {
        connection.read_request()?;
        connection.hang()
    });
    let patch = json!({ "accessLog": { "output": "stdout" } });
    let balancer = Balancer::start(BINARY, &one_pool(&[origin.address()], &patch));
    let mut client = balancer.client();
    client.send("GET /left HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    origin.wait_for_requests(1);
    client.reset();
    eventually("the line comes", || !balancer.stdout().is_empty());
    let line: Value = serde_json::from_str(&balancer.stdout()[0]).unwrap();
    assert_eq!((&line["failure"], &line["status"]), (&json!("client_closed"), &json!(499)), "{line}");
}

#[test]
fn the_counters_of_the_status_add_up() {
    let good = Origin::named("x");
    let balancer = Balancer::start(BINARY, &one_pool(&[good.address()], &json!({})));
    let mut client = balancer.client();
    for _ in 0..20 {
        client.get("/");
    }
    for _ in 0..3 {
        let mut bad = balancer.client();
        bad.exchange("GET / HTTP/1.1\r\n\r\n");
    }
    let status = balancer.wait_for_status("all of it", |status| {
        status["refused"] == 3 && status["requests"].as_u64() >= Some(20)
    });
    assert_eq!(status["connections"]["accepted"], 4);
    let server = &status["pools"][0]["servers"][0];
    assert_eq!((&server["requests"], &server["statuses"]["2xx"]), (&json!(20), &json!(20)));
    assert_eq!((&server["failures"], &server["active"]), (&json!(0), &json!(0)));
    assert_eq!(status["pools"][0]["requests"], 20);
    assert_eq!(status["failures"]["bad_host"], 3);
    assert!(server["latency"]["p50"].as_f64().is_some_and(|millis| millis < 1000.0), "{server}");
    // Bodies are counted, heads are not: twenty times one byte, and nothing sent.
    assert_eq!((&server["bytesOut"], &server["bytesIn"]), (&json!(20), &json!(0)));
}

#[test]
fn the_admin_listener_says_whether_it_lives_and_is_ready_and_nothing_else() {
    let origin = Origin::named("x");
    let balancer = Balancer::start(BINARY, &one_pool(&[origin.address()], &json!({})));
    assert_eq!((balancer.admin_get("/livez").status, balancer.admin_get("/readyz").status), (200, 200));
    let missing = balancer.admin_get("/nothing-here");
    let body: Value = serde_json::from_slice(&missing.body).unwrap();
    assert_eq!((missing.status, &body["success"]), (404, &json!(false)));
    assert!(body["error"]["code"].is_string() && body["error"]["message"].is_string(), "{body}");
    let mut client = RawClient::connect(balancer.admin());
    let head = format!("POST /status HTTP/1.1\r\nHost: {}\r\nContent-Length: 0\r\n\r\n", balancer.admin());
    assert_eq!(client.exchange(head).status, 405);
}
