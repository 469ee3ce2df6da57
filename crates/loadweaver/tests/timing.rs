//! Peers whose bytes come, stop or end at odd moments: no deadline is lost by it, and no server is blamed for what
//! its client did.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use loadweaver_testkit::config::{merge, one_pool};
use loadweaver_testkit::origin::reply;
use loadweaver_testkit::{Answer, Balancer, Origin, RawClient, WireError, eventually};
use rustix::process::Signal;
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_loadweaver");
/// A time-out under test.
const SHORT: &str = "250ms";
/// A pause well under it, and a number of pauses that together are well over it.
const PAUSE: Duration = Duration::from_millis(60);
const PAUSES: usize = 10;

/// One blamed failure takes the server out, so that a wrong blame shows in its state.
fn start(origin: &Origin, patch: &Value) -> Balancer {
    let strict = json!({ "failures": 1, "window": "10s", "hold": "5s" });
    let mut config =
        one_pool(&[origin.address()], &json!({ "pools": { "app": { "passiveHealth": strict } } }));
    merge(&mut config, patch);
    Balancer::start(BINARY, &config)
}

/// Holds that the only server has no failure to its name and no verdict on it, once nothing is under way.
#[track_caller]
fn not_blamed(balancer: &Balancer) {
    let server = |status: &Value| status["pools"][0]["servers"][0].clone();
    let status = balancer.wait_for_status("a server without work", |status| server(status)["active"] == 0);
    let server = server(&status);
    assert_eq!((&server["state"], &server["failures"]), (&json!("unknown"), &json!(0)), "{server:#}");
}

#[track_caller]
fn expect(answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status, answer.failure()), (status, Some(code)));
}

/// Sends a piece each pause until an answer comes.
#[track_caller]
fn drip(client: &mut RawClient, piece: &[u8]) -> Answer {
    client.set_patience(PAUSE);
    let began = Instant::now();
    loop {
        assert!(began.elapsed() < Duration::from_secs(8), "the pieces are taken without end");
        match client.read_answer("GET") {
            Err(WireError::Timeout(_)) => {
                let _ = client.send(piece);
            }
            other => break other.unwrap(),
        }
    }
}

#[test]
fn response_an_interim_answer_beside_the_last_body_byte_keeps_the_time_out() {
    let (go, hinted) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (wait, tell) = (Arc::clone(&go), Arc::clone(&hinted));
    let origin = Origin::start(move |connection| {
        connection.read_request_head()?;
        connection.read_exact(1)?;
        eventually("the balancer is stopped", || wait.load(Ordering::Acquire));
        connection.write("HTTP/1.1 103 Early Hints\r\n\r\n");
        tell.store(true, Ordering::Release);
        connection.hang()
    });
    let times = json!({ "retry": { "attempts": 1 }, "timeouts": { "response": SHORT, "idle": SHORT } });
    let balancer = start(&origin, &json!({ "pools": { "app": times } }));
    let mut client = balancer.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nx").unwrap();
    eventually("the first byte is through", || origin.raw().concat().ends_with(b"x"));
    // Stopped, it finds both events at once when it goes on.
    balancer.signal(Signal::STOP);
    client.send("y").unwrap();
    go.store(true, Ordering::Release);
    eventually("the interim answer is sent", || hinted.load(Ordering::Acquire));
    balancer.signal(Signal::CONT);
    expect(&client.answer("POST"), 504, "response_timeout");
}

#[test]
fn clients_that_reset_during_a_silent_answer_free_the_server_and_do_not_harm_it() {
    let origin = Origin::start(|connection| {
        if connection.read_request()?.target == "/plain" {
            connection.write(reply(200, "plain"));
            return Ok(());
        }
        connection.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
        connection.hang()
    });
    // The time-outs are their defaults of many seconds: it is the reset that must be seen.
    let balancer = start(&origin, &json!({}));
    for _ in 0..3 {
        let mut client = balancer.client();
        client.send("GET /events HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        client.read_answer_head("GET").unwrap();
        client.read_exact(10).unwrap();
        client.reset();
    }
    eventually("the server's connections are closed", || origin.open() == 0);
    not_blamed(&balancer);
    assert_eq!(balancer.get("/plain").text(), "plain");
}

#[test]
fn body_a_client_that_waits_for_100_without_one_is_late_itself() {
    for hint in ["", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"] {
        let origin = Origin::start(move |connection| {
            connection.read_request_head()?;
            connection.write(hint);
            connection.hang()
        });
        let pool = json!({ "app": { "timeouts": { "response": "5s" } } });
        let balancer = start(&origin, &json!({ "timeouts": { "body": SHORT }, "pools": pool }));
        let mut client = balancer.client();
        let began = Instant::now();
        let answer = client
            .exchange("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n");
        expect(&answer, 408, "body_timeout");
        assert!(began.elapsed() < Duration::from_secs(3), "{hint:?}: only after {:?}", began.elapsed());
        not_blamed(&balancer);
    }
}

#[test]
fn per_try_timeout_does_not_cut_a_slow_but_moving_upload() {
    let origin = Origin::by_request(|request| reply(200, &request.body));
    let retry = json!({ "app": { "retry": { "perTryTimeout": SHORT } } });
    let balancer = start(&origin, &json!({ "pools": retry }));
    let mut client = balancer.client();
    client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {PAUSES}\r\n\r\n")).unwrap();
    for _ in 0..PAUSES {
        std::thread::sleep(PAUSE);
        client.send("u").unwrap();
    }
    assert_eq!(client.answer("POST").text(), "u".repeat(PAUSES));
    not_blamed(&balancer);
}

#[test]
fn a_server_that_gives_up_on_a_silent_client_is_not_blamed() {
    let origin = Origin::start(|connection| {
        if connection.read_request_head()?.method == "GET" {
            connection.write(reply(200, "plain"));
        }
        Ok(())
    });
    let balancer = start(&origin, &json!({}));
    let mut client = balancer.client();
    let answer = client.exchange("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n");
    assert!(answer.failure().is_some(), "{answer:?}");
    client.expect_closed();
    not_blamed(&balancer);
    assert_eq!(balancer.get("/").text(), "plain");
}

#[test]
fn a_small_put_on_a_stale_connection_is_repeated_even_with_one_attempt() {
    for body in ["", "abc"] {
        let connections = AtomicUsize::new(0);
        let origin = Origin::start(move |connection| {
            let first = connections.fetch_add(1, Ordering::SeqCst) == 0;
            loop {
                let request = connection.read_request()?;
                if first && request.method == "PUT" {
                    // Just what a server's idle time-out looks like that crosses with the request.
                    return Ok(());
                }
                connection.write(reply(200, &request.body));
            }
        });
        let balancer = start(&origin, &json!({ "pools": { "app": { "retry": { "attempts": 1 } } } }));
        let mut client = balancer.client();
        assert_eq!(client.get("/").status, 200);
        let put = format!("PUT /b HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        let answer = client.exchange(put);
        assert_eq!((answer.status, answer.text().as_str()), (200, body));
        assert_eq!(origin.connections(), 2);
    }
}

#[test]
fn a_request_head_that_grows_too_large_in_pieces_gets_431() {
    let origin = Origin::named("x");
    let balancer = start(&origin, &json!({}));
    let mut client = balancer.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nX: ").unwrap();
    let answer = drip(&mut client, &[b'a'; 9_970]);
    assert_eq!(answer.status, 431);
    assert!(answer.failure().is_some(), "{answer:?}");
    assert_eq!(origin.accepted(), 0);
}

#[test]
fn an_answer_head_that_grows_too_large_in_pieces_is_refused_as_such() {
    let origin = Origin::start(|connection| {
        connection.read_request()?;
        connection.write("HTTP/1.1 200 OK\r\nX: ");
        for size in [10_000, 7_000, 4_000, 22_000, 21_000, 1_500, 1_500, 40_000] {
            std::thread::sleep(PAUSE);
            connection.write("a".repeat(size));
        }
        connection.hang()
    });
    let balancer = start(&origin, &json!({ "pools": { "app": { "retry": { "attempts": 1 } } } }));
    expect(&balancer.get("/"), 502, "response_head_too_large");
}

#[test]
fn pipelined_requests_before_a_half_close_are_all_answered() {
    let origin = Origin::by_request(|request| {
        std::thread::sleep(PAUSE);
        reply(200, &request.target)
    });
    let balancer = start(&origin, &json!({}));
    let mut client = balancer.client();
    let requests = [1, 2, 3].map(|number| format!("GET /{number} HTTP/1.1\r\nHost: a\r\n\r\n")).concat();
    client.send(requests).unwrap();
    client.half_close();
    for number in 1..=3 {
        assert_eq!(client.answer("GET").text(), format!("/{number}"));
    }
    client.expect_closed();
}
