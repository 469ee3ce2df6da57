//! The strictness of `smuggling.rs` toward servers: an answer that two readers could read in two ways becomes our
//! own 502 with a named failure, and its connection is never used again.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use loadweaver_testkit::config::one_pool_with;
use loadweaver_testkit::origin::{reply, reply_with};
use loadweaver_testkit::{Balancer, Origin, WireError, eventually};
use serde_json::json;

const BINARY: &str = env!("CARGO_BIN_EXE_loadweaver");

/// One server, no second try, and no verdict that would take it out in the middle of a list of cases.
fn balancer(origin: &Origin) -> Balancer {
    let pool = json!({ "retry": { "attempts": 1 }, "passiveHealth": { "failures": 0 } });
    Balancer::start(BINARY, &one_pool_with(&[origin.address()], &pool))
}

/// An origin that answers `/case/N` with the N-th of the cases, and anything else with 200 `good`.
fn origin_of(cases: &[String]) -> Origin {
    let cases: Arc<[String]> = cases.into();
    Origin::by_request(move |request| {
        let number = request.target.strip_prefix("/case/").and_then(|number| number.parse::<usize>().ok());
        number.map_or_else(|| reply(200, "good"), |number| cases[number].clone().into_bytes())
    })
}

/// Each case must become a 502 with that code, and what follows must come over a fresh connection.
fn refuses_all(cases: &[String], code: &str) {
    let origin = origin_of(cases);
    let balancer = balancer(&origin);
    let mut problems = Vec::new();
    for (number, case) in cases.iter().enumerate() {
        let answer = balancer.get(&format!("/case/{number}"));
        if (answer.status, answer.failure()) != (502, Some(code)) {
            problems.push(format!("{case:?}: {} {:?} {:?}", answer.status, answer.failure(), answer.text()));
        }
        let before = origin.accepted();
        let next = balancer.get("/next");
        if (next.status, next.text().as_str()) != (200, "good") || origin.accepted() != before + 1 {
            let fresh = origin.accepted() - before;
            problems.push(format!(
                "{case:?}: then {} {:?} over {fresh} fresh connections",
                next.status,
                next.text()
            ));
        }
    }
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
}

fn with(fields: &str, body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\n{fields}\r\n{body}")
}

#[test]
fn refuses_status_lines_that_cannot_be_read() {
    let lines = [
        "HTTP/1.1",
        "HTTP/1.1 ",
        "HTTP/1.1 abc OK",
        "HTTP/1.1 99 Low",
        "HTTP/1.1 20 OK",
        "HTTP/1.1 2000 OK",
        "HTTP/1.1 099 Low",
        "HTTP/1.1  200 OK",
        "HTTP/2 200 OK",
        "HTTP/2.0 200 OK",
        "ICY 200 OK",
        "http/1.1 200 OK",
        "HTTP/1.1 200 O\0K",
        "HTTP/1.1 200 O\u{7f}K",
        " HTTP/1.1 200 OK",
        "SSH-2.0-OpenSSH",
        "garbage",
        "HTTP/1.1 -20 OK",
        "HTTP/1.1 200\tOK",
        "HTTP/1.1 +20 OK",
    ];
    let cases = lines.map(|line| format!("{line}\r\nContent-Length: 2\r\n\r\nhi"));
    refuses_all(&cases, "bad_response");
}

#[test]
fn refuses_header_lines_that_two_readers_read_in_two_ways() {
    let lines = [
        "X : a\r\n",
        "X\t: a\r\n",
        "X: a\r\n b\r\n",
        " X: a\r\n",
        "X\r\n",
        ": a\r\n",
        "X: a\0b\r\n",
        "X: a\u{1}b\r\n",
        "X: a\u{7f}\r\n",
        "X\0: a\r\n",
        "X: a\rb\r\n",
        "X: a\nY: b\r\n",
        "X: a\n",
        "X Y: a\r\n",
        "Content-Length : 9\r\n",
    ];
    let cases = lines.map(|line| with(&format!("{line}Content-Length: 2\r\n"), "hi"));
    refuses_all(&cases, "bad_response");
}

#[test]
fn refuses_bare_line_feeds_as_line_ends() {
    let cases = [
        "HTTP/1.1 200 OK\nContent-Length: 2\r\n\r\nhi",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\n\r\nhi",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\nhi",
        "HTTP/1.1 200 OK\nContent-Length: 2\n\nhi",
        "HTTP/1.1 200 OK\rContent-Length: 2\r\n\r\nhi",
    ];
    refuses_all(&cases.map(str::to_owned), "bad_response");
}

#[test]
fn refuses_lengths_and_codings_in_doubt() {
    let mut cases = vec![
        with("Content-Length: 2\r\nContent-Length: 3\r\n", "hi!"),
        with("Content-Length: 2\r\nTransfer-Encoding: chunked\r\n", "2\r\nhi\r\n0\r\n\r\n"),
        with("Transfer-Encoding: chunked\r\nContent-Length: 2\r\n", "2\r\nhi\r\n0\r\n\r\n"),
        with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
    ];
    let lengths =
        ["+2", "-2", "2,3", "2 2", "", "0x2", "2.0", "18446744073709551616", "99999999999999999999999"];
    cases.extend(lengths.iter().map(|value| with(&format!("Content-Length: {value}\r\n"), "hi")));
    let codings = ["xchunked", "chunked, chunked", "chunked, gzip", "identity", "", "\"chunked\""];
    cases.extend(codings.iter().map(|value| with(&format!("Transfer-Encoding: {value}\r\n"), "0\r\n\r\n")));
    refuses_all(&cases, "bad_response");
}

#[test]
fn refuses_an_upgrade_that_nobody_asked_for() {
    let case =
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nraw bytes".to_owned();
    refuses_all(&[case], "bad_response");
}

#[test]
fn refuses_an_answer_head_beyond_the_limit() {
    let wide = with(&format!("X: {}\r\nContent-Length: 2\r\n", "y".repeat(100_000)), "hi");
    let many = with(&format!("{}Content-Length: 2\r\n", "X: y\r\n".repeat(30_000)), "hi");
    refuses_all(&[wide, many], "response_head_too_large");
}

#[test]
fn refuses_an_answer_from_a_server_that_says_only_garbage() {
    let noise: String = (0..3000_u32).map(|n| char::from(u8::try_from(n * 7919 % 127).unwrap())).collect();
    let origin = Origin::start(move |connection| {
        connection.read_request()?;
        connection.write(&noise);
        Ok(())
    });
    let answer = balancer(&origin).get("/");
    assert_eq!((answer.status, answer.failure()), (502, Some("bad_response")));
    assert!(!answer.text().contains('\0'), "nothing of it may be passed on");
}

#[test]
fn an_answer_in_two_pieces_that_turns_bad_is_refused_as_well() {
    let origin = Origin::start(|connection| {
        connection.read_request()?;
        for piece in ["HTTP/1.1 200 OK\r\nContent-Le", "ngth: 2\r\nX : y\r\n\r\nhi"] {
            connection.write(piece);
            std::thread::yield_now();
        }
        connection.hang()
    });
    let answer = balancer(&origin).get("/");
    assert_eq!((answer.status, answer.failure()), (502, Some("bad_response")));
}

#[test]
fn a_bad_chunk_in_an_answer_cuts_the_client_and_never_ends_the_body() {
    for bad in [
        "g\r\nhi\r\n",
        "FFFFFFFFFFFFFFFFF\r\nhi",
        "2\nhi\r\n",
        "2\r\nhiX\r\n",
        "-2\r\nhi\r\n",
        "2 \r\nhi\r\n0\r\n\r\n",
    ] {
        let bytes = with("Transfer-Encoding: chunked\r\n", &format!("5\r\nhello\r\n{bad}"));
        let origin = Origin::start(move |connection| {
            connection.read_request()?;
            connection.write(&bytes);
            connection.hang()
        });
        let balancer = balancer(&origin);
        let mut client = balancer.client();
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        match client.read_answer("GET") {
            Err(WireError::Cut { .. } | WireError::Reset | WireError::Closed) => {}
            // The bad chunk came with the head: refusing the whole answer is as good.
            Ok(answer) if answer.status == 502 => {}
            other => panic!("{bad:?}: {other:?}"),
        }
        eventually("the server's connection is closed", || origin.open() == 0);
        let counted = balancer.status().to_string();
        assert!(counted.contains("failures"), "{counted}");
    }
}

#[test]
fn bytes_behind_an_answer_are_never_given_to_the_next_client() {
    let evil = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
    let cases = [
        format!("{}{evil}", with("Content-Length: 2\r\n", "hi")),
        format!("{}{evil}", with("Transfer-Encoding: chunked\r\n", "2\r\nhi\r\n0\r\n\r\n")),
        format!("HTTP/1.1 204 No Content\r\n\r\n{evil}"),
        format!("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n{evil}"),
        with("Content-Length: 2\r\n", "hiX"),
    ];
    let origin = origin_of(&cases);
    let balancer = balancer(&origin);
    for (number, case) in cases.iter().enumerate() {
        let answer = balancer.get(&format!("/case/{number}"));
        assert!([200, 204, 304, 502].contains(&answer.status), "{case:?}: {answer:?}");
        let next = balancer.get("/next");
        assert_eq!((next.status, next.text().as_str()), (200, "good"), "after {case:?}");
    }
}

#[test]
fn a_body_behind_the_answer_to_head_is_never_given_to_the_next_client() {
    let origin = Origin::by_request(|request| match request.method.as_str() {
        "HEAD" => {
            with("Content-Length: 40\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil").into_bytes()
        }
        _ => reply(200, "good"),
    });
    let balancer = balancer(&origin);
    let mut client = balancer.client();
    let head = client.exchange("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!((head.status, head.fields.get("content-length")), (200, Some("40")));
    assert_eq!(client.get("/next").text(), "good");
}

#[test]
fn bytes_that_come_unasked_on_an_idle_connection_are_never_an_answer() {
    let turns = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&turns);
    let (sent, evil) = std::sync::mpsc::channel();
    let origin = Origin::start(move |connection| {
        connection.read_request()?;
        let turn = seen.fetch_add(1, Ordering::SeqCst);
        connection.write(reply(200, "good"));
        if turn == 0 {
            connection.write(reply(200, "evil"));
            sent.send(()).map_err(|_| WireError::Closed)?;
        }
        connection.read_request()?;
        connection.write(reply(200, "second on one connection"));
        connection.hang()
    });
    let balancer = balancer(&origin);
    assert_eq!(balancer.get("/first").text(), "good");
    // What arrives after the next request was sent looks like its answer to any proxy.
    evil.recv().expect("the first connection says when its second answer is out");
    let next = balancer.get("/next");
    assert_eq!(next.text(), "good", "a fresh connection answers");
    assert_eq!(turns.load(Ordering::SeqCst), 2);
}

#[test]
fn the_servers_hop_by_hop_headers_stop_here() {
    let lines = [
        "Keep-Alive: timeout=5, max=100",
        "Connection: keep-alive, X-Hop",
        "X-Hop: 1",
        "Proxy-Connection: keep-alive",
        "X-End: 2",
    ];
    let origin = Origin::answering(reply_with(200, &lines, "hi"));
    let answer = balancer(&origin).client().get("/");
    for name in ["keep-alive", "x-hop", "proxy-connection"] {
        assert!(!answer.fields.has(name), "{name} was passed on: {:?}", answer.fields);
    }
    assert_eq!(answer.fields.get("x-end"), Some("2"));
    assert!(!answer.fields.lists("connection", "x-hop"));
}

#[test]
fn a_flood_of_interim_answers_ends_with_the_time_for_the_answer() {
    let origin = Origin::start(|connection| {
        connection.read_request()?;
        let flood = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n".repeat(20);
        while connection.send(&flood).is_ok() {
            std::thread::yield_now();
        }
        Err(WireError::Closed)
    });
    let pool = json!({ "retry": { "attempts": 1 }, "timeouts": { "response": "300ms" } });
    let balancer = Balancer::start(BINARY, &one_pool_with(&[origin.address()], &pool));
    let mut client = balancer.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
    match client.read_answer("GET") {
        Ok(answer) => assert!([502, 504].contains(&answer.status), "{:?}", answer.failure()),
        Err(WireError::Closed | WireError::Cut { .. } | WireError::Reset) => {}
        Err(error) => panic!("{error:?}"),
    }
}
