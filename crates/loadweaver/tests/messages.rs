//! Versions, connections and message forms: what goes in one way comes out one way, in order.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use loadweaver_testkit::config::one_pool_with;
use loadweaver_testkit::origin::{reply, reply_with};
use loadweaver_testkit::{Balancer, Framing, Origin, Request, WireError, eventually};
use serde_json::json;

const BINARY: &str = env!("CARGO_BIN_EXE_loadweaver");

fn balancer(origin: &Origin) -> Balancer {
    Balancer::start(BINARY, &one_pool_with(&[origin.address()], &json!({ "retry": { "attempts": 1 } })))
}

/// Answers with what it was asked, so that a mixed-up order shows.
fn echo(request: &Request) -> Vec<u8> {
    let mut body = format!("{} {} ", request.method, request.target).into_bytes();
    body.extend_from_slice(&request.body);
    reply(200, body)
}

#[test]
fn an_http_1_0_client_is_answered_and_its_connection_closed() {
    let origin = Origin::by_request(echo);
    let balancer = balancer(&origin);
    let mut client = balancer.client();
    let answer = client.exchange("GET /old HTTP/1.0\r\n\r\n");
    assert_eq!((answer.status, answer.text().as_str()), (200, "GET /old "));
    client.expect_closed();
    assert_eq!(origin.requests()[0].version, "HTTP/1.1", "we speak for ourselves toward the server");
}

#[test]
fn an_http_1_0_client_may_keep_its_connection() {
    let origin = Origin::by_request(echo);
    let balancer = balancer(&origin);
    let mut client = balancer.client();
    for _ in 0..3 {
        let answer = client.exchange("GET /old HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n");
        assert_eq!(answer.status, 200);
        assert!(answer.fields.lists("connection", "keep-alive"), "{:?}", answer.fields);
    }
}

#[test]
fn an_http_1_0_client_never_gets_chunks() {
    let origin =
        Origin::answering("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
    let balancer = balancer(&origin);
    let mut client = balancer.client();
    let answer = client.exchange("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_eq!((answer.framing, answer.text().as_str()), (Framing::UntilClose, "hello"));
    assert!(!answer.fields.has("transfer-encoding"));
}

#[test]
fn an_http_1_0_client_never_gets_interim_answers() {
    let origin =
        Origin::answering("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
    let answer = balancer(&origin).client().exchange("GET / HTTP/1.0\r\n\r\n");
    assert_eq!((answer.interim.len(), answer.text().as_str()), (0, "hi"));
}

#[test]
fn an_http_1_0_servers_connection_is_not_reused_unless_it_says_so() {
    for (extra, connections) in [("", 2), ("Connection: keep-alive\r\n", 1)] {
        let bytes = format!("HTTP/1.0 200 OK\r\n{extra}Content-Length: 2\r\n\r\nhi");
        let origin = Origin::answering(bytes);
        let balancer = balancer(&origin);
        let mut client = balancer.client();
        for _ in 0..2 {
            let answer = client.get("/");
            assert_eq!((answer.version.as_str(), answer.text().as_str()), ("HTTP/1.1", "hi"));
        }
        assert_eq!(origin.connections(), connections, "{extra:?}");
    }
}

#[test]
fn a_body_that_ends_with_the_servers_connection_arrives_whole_and_in_chunks() {
    let origin = Origin::start(|connection| {
        connection.read_request()?;
        connection.write("HTTP/1.1 200 OK\r\n\r\n");
        for piece in ["one ", "two ", "three"] {
            connection.write(piece);
        }
        Ok(())
    });
    let balancer = balancer(&origin);
    let mut client = balancer.client();
    for _ in 0..2 {
        let answer = client.get("/");
        assert_eq!(answer.text(), "one two three");
        assert_eq!(answer.framing, Framing::Chunked, "the client's connection outlives the server's");
    }
}

#[test]
fn a_client_that_says_close_is_closed_and_the_servers_connection_is_kept() {
    let origin = Origin::by_request(echo);
    let balancer = balancer(&origin);
    for _ in 0..3 {
        let mut client = balancer.client();
        let answer = client.exchange("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        assert!(answer.says_close());
        client.expect_closed();
    }
    assert_eq!(origin.connections(), 1);
}

#[test]
fn a_server_that_says_close_is_closed_and_the_clients_connection_is_kept() {
    let origin = Origin::by_request(|_| reply_with(200, &["Connection: close"], "hi"));
    let balancer = balancer(&origin);
    let mut client = balancer.client();
    for _ in 0..3 {
        let answer = client.get("/");
        assert!(!answer.says_close(), "what the server said of its connection is not passed on");
    }
    assert_eq!(origin.connections(), 3);
    eventually("the servers' connections are closed", || origin.open() == 0);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let origin = Origin::by_request(echo);
    let balancer = balancer(&origin);
    let mut client = balancer.client();
    let request = |number: u32| match number % 3 {
        0 => format!("GET /{number} HTTP/1.1\r\nHost: a\r\n\r\n"),
        1 => format!("POST /{number} HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"),
        _ => format!(
            "POST /{number} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
        ),
    };
    client.send((0..50).map(request).collect::<String>()).unwrap();
    for number in 0..50 {
        let (method, body) = if number % 3 == 0 { ("GET", "") } else { ("POST", "abc") };
        assert_eq!(client.answer(method).text(), format!("{method} /{number} {body}"));
    }
}

#[test]
fn a_request_in_single_bytes_is_read_like_one_in_a_piece() {
    let origin = Origin::by_request(echo);
    let balancer = balancer(&origin);
    let mut client = balancer.client();
    let request = "POST /slow HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nX: y\r\n\r\n";
    client.send_pieces(request.as_bytes().chunks(1));
    assert_eq!(client.answer("POST").text(), "POST /slow abc");
    client.expect_open();
}

#[test]
fn an_answer_in_single_bytes_is_read_like_one_in_a_piece() {
    let origin = Origin::start(|connection| {
        loop {
            connection.read_request()?;
            let answer =
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n1\r\nd\r\n0\r\n\r\n";
            for byte in answer.as_bytes().chunks(1) {
                connection.write(byte);
            }
        }
    });
    let balancer = balancer(&origin);
    let mut client = balancer.client();
    assert_eq!(client.get("/").text(), "abcd");
    assert_eq!(client.get("/").text(), "abcd");
    assert_eq!(origin.connections(), 1);
}

#[test]
fn head_has_the_length_and_no_body() {
    let origin = Origin::by_request(|request| match request.method.as_str() {
        "HEAD" => b"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n".to_vec(),
        _ => reply(200, "after"),
    });
    let balancer = balancer(&origin);
    let mut client = balancer.client();
    let answer = client.exchange("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(answer.fields.get("content-length"), Some("1234"));
    assert_eq!(client.get("/").text(), "after");
    assert_eq!(origin.connections(), 1);
}

#[test]
fn the_answer_to_head_may_speak_of_chunks() {
    let origin = Origin::by_request(|request| match request.method.as_str() {
        "HEAD" => b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec(),
        _ => reply(200, "after"),
    });
    let balancer = balancer(&origin);
    let mut client = balancer.client();
    assert_eq!(client.exchange("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n").status, 200);
    assert_eq!(client.get("/").text(), "after");
}

#[test]
fn our_own_answer_to_head_has_no_body_either() {
    let origin = Origin::named("never asked");
    origin.refuse();
    let balancer = balancer(&origin);
    let mut client = balancer.client();
    for _ in 0..2 {
        let answer = client.exchange("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert!([502, 503].contains(&answer.status), "{answer:?}");
        if answer.says_close() {
            client = balancer.client();
        }
    }
}

#[test]
fn answers_204_and_304_have_no_body_and_keep_the_connection() {
    for head in [
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n",
    ] {
        let origin = Origin::answering(head);
        let balancer = balancer(&origin);
        let mut client = balancer.client();
        for _ in 0..2 {
            let answer = client.get("/");
            assert!([204, 304].contains(&answer.status));
            assert!(answer.body.is_empty());
        }
        assert_eq!(origin.connections(), 1, "{head:?}");
    }
}

#[test]
fn early_hints_are_passed_on_before_the_answer() {
    let origin = Origin::answering(
        "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </b.css>\r\n\r\n\
         HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
    );
    let balancer = balancer(&origin);
    let mut client = balancer.client();
    let answer = client.get("/");
    let links: Vec<&str> = answer.interim.iter().filter_map(|hint| hint.fields.get("link")).collect();
    assert_eq!((links, answer.text().as_str()), (vec!["</a.css>", "</b.css>"], "hi"));
    client.expect_open();
}

#[test]
fn trailers_pass_both_ways() {
    let origin = Origin::by_request(|request| {
        let sum = request.trailers.get("x-sum").unwrap_or("none").to_owned();
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n2\r\nhi\r\n0\r\nX-Sum: {sum}!\r\n\r\n")
            .into_bytes()
    });
    let balancer = balancer(&origin);
    let answer = balancer.client().exchange(
        "POST / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: TE\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n\
         3\r\nabc\r\n0\r\nX-Sum: 7\r\n\r\n",
    );
    assert_eq!(answer.trailers.get("x-sum"), Some("7!"));
    assert_eq!(origin.requests()[0].body, b"abc");
}

#[test]
fn trailers_cannot_bring_in_framing_or_routing() {
    let origin = Origin::by_request(echo);
    let balancer = balancer(&origin);
    for line in ["Content-Length: 9", "Transfer-Encoding: chunked", "Host: evil", "Connection: close"] {
        origin.forget();
        let mut client = balancer.client();
        let request = format!(
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n{line}\r\n\r\n"
        );
        let answer = client.exchange(request);
        if answer.status == 200 {
            let trailers = &origin.wait_for_requests(1)[0].trailers;
            assert!(trailers.0.is_empty(), "{line:?} was passed on: {trailers:?}");
        } else {
            assert_eq!((answer.status, answer.failure()), (400, Some("bad_chunk")));
        }
    }
}

#[test]
fn an_options_for_the_whole_server_keeps_its_asterisk() {
    let origin = Origin::by_request(echo);
    let answer = balancer(&origin).client().exchange("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(answer.text(), "OPTIONS * ");
}

#[test]
fn unknown_methods_pass_as_they_are() {
    let origin = Origin::by_request(echo);
    let balancer = balancer(&origin);
    let mut client = balancer.client();
    for method in ["PATCH", "PROPFIND", "get", "X-Y", "M-SEARCH"] {
        let answer =
            client.exchange(format!("{method} /m HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nz"));
        assert_eq!(answer.text(), format!("{method} /m z"));
    }
}

#[test]
fn targets_pass_byte_for_byte() {
    let origin = Origin::by_request(echo);
    let balancer = balancer(&origin);
    let mut client = balancer.client();
    for target in [
        "/a//b/../c/./d",
        "/%2e%2E/%00",
        "/?",
        "/a?b=c&d=%20+{x}|[y]\"",
        "//host/path",
        "/a;b=c",
        "/~u/!$'()*,",
    ] {
        let answer = client.exchange(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert_eq!(answer.text(), format!("GET {target} "));
    }
}

#[test]
fn requests_per_connection_end_it_in_order() {
    let origin = Origin::by_request(echo);
    let mut config = one_pool_with(&[origin.address()], &json!({}));
    config["limits"] = json!({ "requestsPerConnection": 3 });
    let balancer = Balancer::start(BINARY, &config);
    let mut client = balancer.client();
    assert!(!client.get("/1").says_close());
    assert!(!client.get("/2").says_close());
    assert!(client.get("/3").says_close());
    client.expect_closed();
}

#[test]
fn a_client_that_half_closes_still_gets_its_answer() {
    let origin = Origin::by_request(echo);
    let balancer = balancer(&origin);
    let mut client = balancer.client();
    client.send("GET /one HTTP/1.1\r\nHost: a\r\n\r\nGET /two HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    client.half_close();
    assert_eq!(client.answer("GET").text(), "GET /one ");
    assert_eq!(client.answer("GET").text(), "GET /two ");
    client.expect_closed();
}

#[test]
fn a_client_that_leaves_in_its_body_leaves_no_whole_request_behind() {
    let origin = Origin::by_request(echo);
    let balancer = balancer(&origin);
    for reset in [false, true] {
        let mut client = balancer.client();
        client.send("POST /cut HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf").unwrap();
        eventually("the head went ahead", || origin.raw().concat().ends_with(b"half"));
        if reset {
            client.reset();
        } else {
            drop(client);
        }
        eventually("the server's connection ends too", || origin.open() == 0);
        assert!(origin.requests().is_empty());
        origin.forget();
    }
}

#[test]
fn a_client_that_leaves_while_it_waits_frees_the_server() {
    let origin = Origin::start(|connection| {
        connection.read_request()?;
        connection.hang()
    });
    let balancer = balancer(&origin);
    let mut client = balancer.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    origin.wait_for_requests(1);
    client.reset();
    eventually("the server's connection is closed", || origin.open() == 0);
}

#[test]
fn a_cut_answer_is_never_silently_short() {
    for head in ["Content-Length: 100", "Transfer-Encoding: chunked"] {
        for reset in [false, true] {
            let bytes = if head.starts_with('C') { "part" } else { "4\r\npart\r\n" };
            let origin = Origin::start(move |connection| {
                connection.read_request()?;
                connection.write(format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n{bytes}"));
                if reset { connection.reset() } else { Ok(()) }
            });
            let balancer = balancer(&origin);
            let mut client = balancer.client();
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
            match client.read_answer("GET") {
                Err(WireError::Cut { .. } | WireError::Reset) => {}
                // A reset may overtake the bytes before it; then nothing was promised yet.
                Ok(answer) if answer.status == 502 => assert_eq!(answer.failure(), Some("server_closed")),
                other => panic!("{head} {reset}: {other:?}"),
            }
        }
    }
}
