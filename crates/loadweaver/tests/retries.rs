//! When a failed attempt goes to another server, and when it must not.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::net::SocketAddr;

use loadweaver_testkit::config::one_pool_with;
use loadweaver_testkit::origin::{reply, reply_with};
use loadweaver_testkit::peer::free_address;
use loadweaver_testkit::{Answer, Balancer, Origin, OriginConnection, WireError, eventually};
use serde_json::{Value, json};

/// How a server fails once it has read the request.
type Fail = fn(&mut OriginConnection) -> Result<(), WireError>;

const BINARY: &str = env!("CARGO_BIN_EXE_loadweaver");

/// Passive verdicts off, so that every exchange meets the same servers; the budget out of the way.
fn start(servers: &[SocketAddr], pool: &Value) -> Balancer {
    let mut config = one_pool_with(
        servers,
        &json!({ "passiveHealth": { "failures": 0 }, "retry": { "budgetFloor": 1000 } }),
    );
    loadweaver_testkit::config::merge(&mut config["pools"]["app"], pool);
    Balancer::start(BINARY, &config)
}

fn post(balancer: &Balancer, body: &[u8]) -> Answer {
    let head =
        format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    balancer.client().exchange([head.as_bytes(), body].concat())
}

/// An origin that reads the request and then fails in that way.
fn failing(fail: impl Fn(&mut OriginConnection) -> Result<(), WireError> + Send + Sync + 'static) -> Origin {
    Origin::start(move |connection| {
        connection.read_request()?;
        fail(connection)
    })
}

fn codes(answers: &[Answer]) -> Vec<(u16, Option<&str>)> {
    answers.iter().map(|answer| (answer.status, answer.failure())).collect()
}

#[test]
fn a_refused_connection_is_always_tried_elsewhere() {
    let (dead, alive) = (Origin::named("dead"), Origin::named("alive"));
    dead.refuse();
    let balancer = start(&[dead.address(), alive.address()], &json!({}));
    for _ in 0..6 {
        assert_eq!(balancer.get("/").text(), "alive");
        assert_eq!(post(&balancer, b"body").text(), "alive", "nothing was sent, so even a POST may be");
    }
    let kept: Vec<usize> = alive.requests().iter().map(|request| request.body.len()).collect();
    assert!(kept.iter().all(|length| [0, 4].contains(length)), "{kept:?}");
}

#[test]
fn an_idempotent_request_is_tried_elsewhere_however_the_first_server_failed() {
    let failures: [Fail; 5] = [
        |_| Ok(()),
        OriginConnection::reset,
        |connection| {
            connection.write("HTTP/1.1 200 OK\r\nContent-Le");
            Ok(())
        },
        |connection| {
            connection.write("\u{1}\u{2} garbage\r\n\r\n");
            Ok(())
        },
        OriginConnection::hang,
    ];
    for (number, fail) in failures.into_iter().enumerate() {
        let (bad, good) = (failing(fail), Origin::named("good"));
        let balancer =
            start(&[bad.address(), good.address()], &json!({ "retry": { "perTryTimeout": "200ms" } }));
        for method in ["GET", "PUT", "DELETE", "OPTIONS"] {
            let request = format!("{method} / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
            // Two each, so that both servers are the first choice once.
            for _ in 0..2 {
                let answer = balancer.client().exchange(&request);
                assert_eq!(answer.text(), "good", "case {number}, {method}: {:?}", answer.failure());
            }
        }
        assert!(
            bad.connections() >= 4,
            "case {number}: the bad server was asked {} times",
            bad.connections()
        );
    }
}

#[test]
fn a_post_is_never_sent_twice() {
    let (one, two) = (failing(|_| Ok(())), failing(OriginConnection::reset));
    let balancer = start(&[one.address(), two.address()], &json!({}));
    for sent in 1..=6 {
        let answer = post(&balancer, b"pay once");
        assert_eq!((answer.status, answer.failure()), (502, Some("server_closed")));
        assert_eq!(one.requests().len() + two.requests().len(), sent);
    }
}

#[test]
fn a_post_is_sent_again_where_the_operator_says_so() {
    let (bad, good) = (failing(|_| Ok(())), Origin::by_request(|request| reply(200, &request.body)));
    let balancer = start(&[bad.address(), good.address()], &json!({ "retry": { "nonIdempotent": true } }));
    for _ in 0..4 {
        assert_eq!(post(&balancer, b"the same bytes").text(), "the same bytes");
    }
    assert!(bad.requests().iter().chain(&good.requests()).all(|request| request.body == b"the same bytes"));
}

#[test]
fn a_kept_body_is_replayed_with_the_same_bytes_and_framing() {
    let bad = failing(OriginConnection::reset);
    let good = Origin::by_request(|request| reply(200, &request.body));
    let balancer = start(&[bad.address(), good.address()], &json!({}));
    for _ in 0..2 {
        let counted =
            balancer.client().exchange("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\nhello again");
        assert_eq!(counted.text(), "hello again");
        let chunked = "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n again\r\n0\r\n\r\n";
        assert_eq!(balancer.client().exchange(chunked).text(), "hello again");
    }
    assert!(good.requests().len() == 4 && bad.connections() >= 1);
}

#[test]
fn a_body_beyond_the_kept_size_streams_and_gives_up_the_retry_not_the_request() {
    let pool = json!({ "retry": { "bufferBody": "1KiB" } });
    let large = vec![b'l'; 200_000];
    let put = |balancer: &Balancer| {
        let head = format!("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", large.len());
        balancer.client().exchange([head.as_bytes(), &large].concat())
    };
    let good = Origin::by_request(|request| reply(200, request.body.len().to_string()));
    let balancer = start(&[good.address()], &pool);
    assert_eq!(put(&balancer).text(), "200000");

    let bad = failing(|_| Ok(()));
    let balancer = start(&[bad.address(), good.address()], &pool);
    let mut answers = [put(&balancer), put(&balancer)];
    answers.sort_by_key(|answer| answer.status);
    assert_eq!(codes(&answers), [(200, None), (502, Some("server_closed"))]);
}

#[test]
fn a_listed_status_is_tried_elsewhere_and_the_last_real_answer_returned() {
    let (busy, fine) = (Origin::answering(reply(503, "busy")), Origin::named("fine"));
    let balancer = start(&[busy.address(), fine.address()], &json!({ "retry": { "on": ["503"] } }));
    for _ in 0..4 {
        assert_eq!(balancer.get("/").text(), "fine");
    }
    let both = [
        Origin::answering(reply_with(503, &["X-From: 1"], "real")),
        Origin::answering(reply_with(503, &["X-From: 2"], "real")),
    ];
    let balancer = start(&[both[0].address(), both[1].address()], &json!({ "retry": { "on": ["503"] } }));
    let answer = balancer.get("/");
    assert_eq!((answer.status, answer.text().as_str(), answer.failure()), (503, "real", None));
    assert_eq!(both[0].requests().len() + both[1].requests().len(), 2);
}

#[test]
fn a_status_that_is_not_listed_is_passed_on() {
    let (busy, fine) = (Origin::answering(reply(500, "broken")), Origin::answering(reply(500, "broken")));
    let balancer = start(&[busy.address(), fine.address()], &json!({}));
    assert_eq!(balancer.get("/").text(), "broken");
    assert_eq!(busy.requests().len() + fine.requests().len(), 1);
}

#[test]
fn a_post_is_not_tried_again_for_a_status() {
    let (busy, fine) = (Origin::answering(reply(503, "busy")), Origin::answering(reply(503, "busy")));
    let balancer = start(&[busy.address(), fine.address()], &json!({ "retry": { "on": ["503"] } }));
    assert_eq!(post(&balancer, b"x").text(), "busy");
    assert_eq!(busy.requests().len() + fine.requests().len(), 1);
}

#[test]
fn only_what_retry_on_lists_is_tried_again() {
    let (bad, good) = (failing(|_| Ok(())), Origin::named("good"));
    let balancer =
        start(&[bad.address(), good.address()], &json!({ "retry": { "on": ["connect_failure"] } }));
    let mut answers = [balancer.get("/"), balancer.get("/")];
    answers.sort_by_key(|answer| answer.status);
    assert_eq!(codes(&answers), [(200, None), (502, Some("server_closed"))]);
}

#[test]
fn attempts_are_counted_with_the_first_one() {
    let dead: Vec<Origin> = (0..5).map(|_| failing(|_| Ok(()))).collect();
    let servers: Vec<SocketAddr> = dead.iter().map(Origin::address).collect();
    for attempts in [1, 2, 4] {
        dead.iter().for_each(Origin::forget);
        let balancer = start(&servers, &json!({ "retry": { "attempts": attempts } }));
        assert_eq!(balancer.get("/").failure(), Some("server_closed"));
        let asked: Vec<usize> = dead.iter().map(|origin| origin.requests().len()).collect();
        assert_eq!(asked.iter().sum::<usize>(), attempts, "{asked:?}");
        assert!(asked.iter().all(|count| *count <= 1), "no server is asked twice: {asked:?}");
    }
}

#[test]
fn nothing_is_tried_again_once_the_answer_has_begun() {
    let cut = failing(|connection| {
        connection.write("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nbegun");
        Ok(())
    });
    let also = failing(|connection| {
        connection.write("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nbegun");
        connection.reset()
    });
    let balancer = start(&[cut.address(), also.address()], &json!({}));
    for sent in 1..=4 {
        let mut client = balancer.client();
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        match client.read_answer("GET") {
            Err(WireError::Cut { .. } | WireError::Reset) => {}
            // A reset may overtake the answer; then it never began, and a retry or a 502 is right.
            Ok(answer) if answer.status == 502 => {}
            other => panic!("{other:?}"),
        }
        assert!(cut.requests().len() + also.requests().len() >= sent);
    }
    assert!(
        cut.requests().len() >= 2,
        "the orderly one is never followed by a retry: {}",
        cut.requests().len()
    );
}

#[test]
fn the_budget_bounds_retries_when_everything_fails() {
    let dead: Vec<Origin> = (0..3).map(|_| failing(|_| Ok(()))).collect();
    let servers: Vec<SocketAddr> = dead.iter().map(Origin::address).collect();
    let retry = json!({ "attempts": 3, "budgetPercent": 20, "budgetFloor": 3 });
    let balancer = start(&servers, &json!({ "retry": retry }));
    for _ in 0..200 {
        assert_eq!(balancer.get("/").status, 502);
    }
    let asked: usize = dead.iter().map(|origin| origin.requests().len()).sum();
    // 200 first tries, a fifth more, and three for each second that the test took (a handful).
    assert!((200..=290).contains(&asked), "{asked} requests reached the servers");
    assert!(asked > 200, "some retries there must be");
    let status = balancer.status();
    assert!(status["retryBudgetExhausted"].as_u64().unwrap() > 0, "{status}");
}

#[test]
fn a_connection_that_was_closed_while_idle_costs_nothing() {
    let origin = Origin::start(|connection| {
        connection.read_request()?;
        connection.write(reply(200, "once"));
        // Keep-alive was implied, and then it closes: under load, under the next request.
        Ok(())
    });
    let balancer = start(&[origin.address()], &json!({ "retry": { "attempts": 1 } }));
    for _ in 0..50 {
        let answer = balancer.get("/");
        assert_eq!((answer.status, answer.failure()), (200, None));
    }
    assert_eq!(origin.requests().len(), 50);
}

/// The race proper: the server takes the second request on the kept connection and closes without a word, as one
/// does whose idle time-out and our request cross on the wire.
#[test]
fn a_reused_connection_that_ends_under_a_request_is_replaced_by_a_fresh_one() {
    let origin = Origin::start(|connection| {
        connection.read_request()?;
        connection.write(reply(200, "fresh"));
        connection.read_request()?;
        Ok(())
    });
    let balancer = start(&[origin.address()], &json!({ "retry": { "attempts": 1 } }));
    for number in 0..10 {
        let answer = balancer.get("/");
        assert_eq!((answer.status, answer.text().as_str()), (200, "fresh"), "request {number}");
    }
    let status = balancer.status();
    assert_eq!(status["pools"][0]["servers"][0]["failures"], 0, "{status}");
}

#[test]
fn a_reused_connection_that_ends_under_a_post_is_not_replaced_after_bytes_were_taken() {
    let origin = Origin::start(|connection| {
        connection.read_request()?;
        connection.write(reply(200, "fresh"));
        connection.read_request()?;
        Ok(())
    });
    let balancer = start(&[origin.address()], &json!({ "retry": { "attempts": 1 } }));
    assert_eq!(balancer.get("/").status, 200);
    let answer = post(&balancer, b"pay once");
    let posts = origin.requests().iter().filter(|request| request.method == "POST").count();
    assert_eq!((answer.status, posts), (502, 1), "the server read it whole: a second one could pay twice");
}

#[test]
fn without_any_server_the_answer_is_503_with_retry_after_or_the_fallback() {
    let dead = free_address();
    let balancer = start(&[dead], &json!({ "passiveHealth": { "failures": 1 } }));
    let first = balancer.get("/");
    assert_eq!((first.status, first.failure()), (502, Some("connect_refused")));
    let mut last = first;
    eventually("the server is out", || {
        last = balancer.get("/");
        last.status == 503
    });
    assert_eq!(last.failure(), Some("no_server"));
    assert!(
        last.fields.get("retry-after").is_some_and(|value| value.parse::<u32>().is_ok()),
        "{:?}",
        last.fields
    );

    let fallback = json!({ "status": 200, "body": "<p>sorry</p>", "contentType": "text/html" });
    let balancer = start(&[dead], &json!({ "passiveHealth": { "failures": 1 }, "fallback": fallback }));
    eventually("the fallback answers", || balancer.get("/").status == 200);
    let answer = balancer.get("/");
    assert_eq!(
        (answer.text().as_str(), answer.fields.get("content-type")),
        ("<p>sorry</p>", Some("text/html"))
    );
    assert_eq!(answer.failure(), Some("no_server"), "it is our answer, whatever its status");
    assert!(answer.fields.has("x-request-id"));
}

#[test]
fn each_cause_has_its_status_and_code() {
    let cases: [(Fail, u16, &str); 5] = [
        (|_| Ok(()), 502, "server_closed"),
        (OriginConnection::reset, 502, "server_closed"),
        (OriginConnection::hang, 504, "response_timeout"),
        (
            |connection| {
                connection.write("nonsense\r\n\r\n");
                Ok(())
            },
            502,
            "bad_response",
        ),
        (
            |connection| {
                connection.write(format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "y".repeat(200_000)));
                connection.hang()
            },
            502,
            "response_head_too_large",
        ),
    ];
    for (fail, status, code) in cases {
        let origin = failing(fail);
        let balancer = start(&[origin.address()], &json!({ "timeouts": { "response": "200ms" } }));
        let answer = balancer.get("/");
        assert_eq!((answer.status, answer.failure()), (status, Some(code)));
        let id = answer.fields.get("x-request-id").unwrap_or_default();
        assert!((8..=64).contains(&id.len()), "a short request id: {id:?}");
        balancer.wait_for_status("the failure by its code", |status| status["failures"][code] == 1);
    }
}
