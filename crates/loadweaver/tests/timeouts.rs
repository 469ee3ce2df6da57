//! Each time-out of the config, with a peer that misbehaves in just that way; and what is slow but moves, which no
//! time-out may cut.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::time::{Duration, Instant};

use loadweaver_testkit::config::{merge, one_pool};
use loadweaver_testkit::origin::reply;
use loadweaver_testkit::{Answer, Balancer, Origin, WireError, eventually};
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_loadweaver");
/// A time-out under test.
const SHORT: &str = "250ms";
const SHORT_TIME: Duration = Duration::from_millis(250);
/// A pause well under it, and a number of pauses that together are well over it.
const PAUSE: Duration = Duration::from_millis(60);
const PAUSES: usize = 12;

fn start(origin: &Origin, patch: &Value) -> Balancer {
    let mut config =
        one_pool(&[origin.address()], &json!({ "pools": { "app": { "retry": { "attempts": 1 } } } }));
    merge(&mut config, patch);
    Balancer::start(BINARY, &config)
}

/// Runs it and holds that it took the time-out, neither less nor, on a busy machine, absurdly more.
#[track_caller]
fn takes_the_time_out<Outcome>(run: impl FnOnce() -> Outcome) -> Outcome {
    let began = Instant::now();
    let outcome = run();
    let took = began.elapsed();
    assert!(took + Duration::from_millis(20) >= SHORT_TIME, "cut after {took:?}, before the time was over");
    assert!(took < SHORT_TIME + Duration::from_secs(5), "cut only after {took:?}");
    outcome
}

#[track_caller]
fn expect(answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status, answer.failure()), (status, Some(code)));
}

#[test]
fn request_head_a_client_that_never_ends_its_head_gets_408() {
    let origin = Origin::named("x");
    let balancer = start(&origin, &json!({ "timeouts": { "requestHead": SHORT } }));
    let mut client = balancer.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nX: ").unwrap();
    let answer = takes_the_time_out(|| client.answer("GET"));
    expect(&answer, 408, "head_timeout");
    client.expect_closed();
}

#[test]
fn request_head_of_many_clients_at_once_ends_for_each_of_them() {
    let origin = Origin::named("x");
    let balancer = start(&origin, &json!({ "workers": 1, "timeouts": { "requestHead": SHORT } }));
    let mut clients: Vec<_> = (0..200).map(|_| balancer.client()).collect();
    for client in &mut clients {
        client.send("GET / HTTP/1.1\r\nHost: a\r\nX: ").unwrap();
    }
    for client in &mut clients {
        expect(&client.answer("GET"), 408, "head_timeout");
        client.expect_closed();
    }
    assert_eq!(balancer.client().get("/").body, b"x");
}

#[test]
fn request_head_bytes_that_drip_do_not_extend_it() {
    let origin = Origin::named("x");
    let balancer = start(&origin, &json!({ "timeouts": { "requestHead": SHORT } }));
    let mut client = balancer.client().patient_for(PAUSE);
    client.send("GET / HTTP/1.1\r\nHost: a\r\nX: ").unwrap();
    let began = Instant::now();
    let answer = loop {
        assert!(began.elapsed() < Duration::from_secs(8), "a slow loris is never cut");
        match client.read_answer("GET") {
            Err(WireError::Timeout(_)) => {
                let _ = client.send("y");
            }
            other => break other.unwrap(),
        }
    };
    expect(&answer, 408, "head_timeout");
}

#[test]
fn request_head_a_connection_that_says_nothing_is_closed() {
    let origin = Origin::named("x");
    let balancer = start(&origin, &json!({ "timeouts": { "requestHead": SHORT, "idle": SHORT } }));
    let mut client = balancer.client();
    let (said, outcome) = takes_the_time_out(|| client.read_to_end());
    assert!(outcome.is_ok() && (said.is_empty() || said.starts_with(b"HTTP/1.1 408 ")), "{said:?}");
}

#[test]
fn idle_a_kept_connection_is_closed_without_a_word() {
    let origin = Origin::named("x");
    let balancer = start(&origin, &json!({ "timeouts": { "idle": SHORT } }));
    let mut client = balancer.client();
    assert_eq!(client.get("/").status, 200);
    takes_the_time_out(|| client.expect_closed());
}

#[test]
fn body_a_client_that_stops_in_its_body_gets_408() {
    let origin = Origin::named("x");
    let balancer = start(&origin, &json!({ "timeouts": { "body": SHORT } }));
    let mut client = balancer.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf").unwrap();
    let answer = takes_the_time_out(|| client.answer("POST"));
    expect(&answer, 408, "body_timeout");
    client.expect_closed();
    eventually("the server's connection is closed", || origin.open() == 0);
    assert!(origin.requests().is_empty());
}

#[test]
fn body_a_slow_but_moving_upload_is_never_cut() {
    let origin = Origin::by_request(|request| reply(200, &request.body));
    let short = json!({ "body": SHORT, "idle": SHORT, "requestHead": SHORT, "send": SHORT });
    let pool = json!({ "app": { "timeouts": { "response": SHORT, "idle": SHORT } } });
    let balancer = start(&origin, &json!({ "timeouts": short, "pools": pool }));
    let mut client = balancer.client();
    client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {PAUSES}\r\n\r\n")).unwrap();
    for _ in 0..PAUSES {
        std::thread::sleep(PAUSE);
        client.send("u").unwrap();
    }
    assert_eq!(client.answer("POST").text(), "u".repeat(PAUSES));
}

#[test]
fn idle_a_slow_but_moving_download_is_never_cut() {
    for head in ["Content-Length: 12", "Transfer-Encoding: chunked"] {
        let origin = Origin::start(move |connection| {
            connection.read_request()?;
            connection.write(format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n"));
            for _ in 0..PAUSES {
                std::thread::sleep(PAUSE);
                connection.write(if head.starts_with('C') { "d" } else { "1\r\nd\r\n" });
            }
            connection.write(if head.starts_with('C') { "" } else { "0\r\n\r\n" });
            connection.hang()
        });
        let short = json!({ "body": SHORT, "idle": SHORT, "requestHead": SHORT, "send": SHORT });
        let pool = json!({ "app": { "timeouts": { "response": SHORT, "idle": SHORT } } });
        let balancer = start(&origin, &json!({ "timeouts": short, "pools": pool }));
        assert_eq!(balancer.client().get("/").text(), "d".repeat(PAUSES));
    }
}

#[test]
fn response_a_server_that_never_answers_is_504() {
    let origin = Origin::start(|connection| {
        connection.read_request()?;
        connection.hang()
    });
    let balancer = start(&origin, &json!({ "pools": { "app": { "timeouts": { "response": SHORT } } } }));
    let mut client = balancer.client();
    let answer = takes_the_time_out(|| client.get("/"));
    expect(&answer, 504, "response_timeout");
    eventually("the server's connection is closed", || origin.open() == 0);
    expect(&client.get("/again"), 504, "response_timeout");
}

#[test]
fn response_a_server_that_stops_in_its_head_is_504() {
    let origin = Origin::start(|connection| {
        connection.read_request()?;
        connection.write("HTTP/1.1 200 OK\r\nContent-Le");
        connection.hang()
    });
    let balancer = start(&origin, &json!({ "pools": { "app": { "timeouts": { "response": SHORT } } } }));
    let answer = takes_the_time_out(|| balancer.get("/"));
    expect(&answer, 504, "response_timeout");
}

#[test]
fn response_does_not_run_while_the_client_still_uploads() {
    let origin = Origin::by_request(|_| reply(200, "taken"));
    let balancer = start(&origin, &json!({ "pools": { "app": { "timeouts": { "response": SHORT } } } }));
    let mut client = balancer.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\na").unwrap();
    std::thread::sleep(SHORT_TIME * 2);
    client.send("b").unwrap();
    assert_eq!(client.answer("POST").text(), "taken");
}

#[test]
fn idle_a_server_that_stops_in_its_body_cuts_the_client() {
    for (head, part) in [("Content-Length: 100", "half"), ("Transfer-Encoding: chunked", "4\r\nhalf\r\n")] {
        let origin = Origin::start(move |connection| {
            connection.read_request()?;
            connection.write(format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n{part}"));
            connection.hang()
        });
        let balancer = start(&origin, &json!({ "pools": { "app": { "timeouts": { "idle": SHORT } } } }));
        let mut client = balancer.client();
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        match takes_the_time_out(|| client.read_answer("GET")) {
            Err(WireError::Cut { status: Some(200), body }) => assert_eq!(body, b"half"),
            other => panic!("{head}: {other:?}"),
        }
        balancer.wait_for_status("the stalled answer", |status| status["failures"]["response_stalled"] == 1);
        eventually("the server's connection is closed", || origin.open() == 0);
    }
}

#[test]
fn idle_a_server_that_takes_no_body_is_504() {
    let origin = Origin::start(|connection| {
        connection.read_request_head()?;
        connection.hang_without_reading()
    });
    let pool = json!({ "timeouts": { "idle": SHORT, "response": SHORT } });
    let balancer = start(&origin, &json!({ "pools": { "app": pool } }));
    let mut client = balancer.client();
    client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", 1 << 30)).unwrap();
    let mut socket = client.socket().try_clone().unwrap();
    let sender = std::thread::spawn(move || {
        let piece = vec![b'x'; 1 << 20];
        while std::io::Write::write_all(&mut socket, &piece).is_ok() {}
    });
    expect(&client.answer("POST"), 504, "upload_stalled");
    drop(client);
    balancer.wait_for_status("the stalled upload", |status| status["failures"]["upload_stalled"] == 1);
    drop(balancer);
    sender.join().unwrap();
}

#[test]
fn send_a_client_that_takes_nothing_is_cut() {
    let origin = Origin::start(|connection| {
        connection.read_request()?;
        connection.write("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
        let piece = vec![b'x'; 1 << 20];
        while connection.send(&piece).is_ok() {}
        Err(WireError::Closed)
    });
    let balancer = start(&origin, &json!({ "timeouts": { "send": SHORT } }));
    let mut client = balancer.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    balancer.wait_for_status("the cut", |status| status["failures"]["send_timeout"] == 1);
    eventually("the server is let go", || origin.open() == 0);
    assert!(matches!(client.read_answer("GET"), Err(WireError::Cut { .. } | WireError::Reset)));
}

#[test]
fn connect_a_server_that_does_not_take_the_connection_is_504() {
    // A full backlog drops what comes: listen with none, and fill it.
    let full = socket_that_accepts_nothing();
    let mut config =
        one_pool(&[full.address], &json!({ "pools": { "app": { "retry": { "attempts": 1 } } } }));
    merge(&mut config, &json!({ "pools": { "app": { "timeouts": { "connect": SHORT } } } }));
    let balancer = Balancer::start(BINARY, &config);
    let answer = takes_the_time_out(|| balancer.get("/"));
    expect(&answer, 504, "connect_timeout");
}

struct Full {
    address: std::net::SocketAddr,
    _listener: std::net::TcpListener,
    _fillers: Vec<std::net::TcpStream>,
}

fn socket_that_accepts_nothing() -> Full {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    let address = listener.local_addr().unwrap();
    let mut fillers = Vec::new();
    // Once the queue is full a connection attempt hangs; that is the state wanted.
    while let Ok(filler) = std::net::TcpStream::connect_timeout(&address, Duration::from_millis(150)) {
        fillers.push(filler);
        assert!(fillers.len() < 100, "the backlog never fills");
    }
    Full { address, _listener: listener, _fillers: fillers }
}

#[test]
fn per_try_a_slow_server_is_left_for_another() {
    let slow = Origin::start(|connection| {
        connection.read_request()?;
        connection.hang()
    });
    let fast = Origin::named("fast");
    let pool = json!({ "app": { "retry": { "perTryTimeout": SHORT } } });
    let balancer =
        Balancer::start(BINARY, &one_pool(&[slow.address(), fast.address()], &json!({ "pools": pool })));
    for _ in 0..4 {
        assert_eq!(balancer.get("/").text(), "fast");
    }
    assert!(!slow.requests().is_empty());
}

#[test]
fn per_try_without_another_server_is_504() {
    let slow = Origin::start(|connection| {
        connection.read_request()?;
        connection.hang()
    });
    let pool = json!({ "app": { "retry": { "perTryTimeout": SHORT } } });
    let balancer = Balancer::start(BINARY, &one_pool(&[slow.address()], &json!({ "pools": pool })));
    let answer = takes_the_time_out(|| balancer.get("/"));
    expect(&answer, 504, "per_try_timeout");
}

#[test]
fn total_bounds_the_exchange_with_all_its_attempts() {
    let slow: Vec<Origin> = (0..3)
        .map(|_| {
            Origin::start(|connection| {
                connection.read_request()?;
                connection.hang()
            })
        })
        .collect();
    let servers: Vec<_> = slow.iter().map(Origin::address).collect();
    let pool = json!({ "app": { "timeouts": { "total": SHORT }, "retry": { "perTryTimeout": "150ms" } } });
    let balancer = Balancer::start(BINARY, &one_pool(&servers, &json!({ "pools": pool })));
    let answer = takes_the_time_out(|| balancer.get("/"));
    expect(&answer, 504, "total_timeout");
    assert_eq!(slow.iter().map(|origin| origin.requests().len()).sum::<usize>(), 2);
}
