//! Requests whose end two readers could see in two places: refused at the client's side, or forwarded in one
//! unambiguous form. `request_heads.rs` has the rest of the refusal list, `hostile_answers.rs` the same toward servers.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use loadweaver_testkit::config::one_pool_with;
use loadweaver_testkit::front::Front;
use loadweaver_testkit::origin::reply;
use loadweaver_testkit::wire::requests_in;
use loadweaver_testkit::{Balancer, Origin, RawClient};
use serde_json::json;

const BINARY: &str = env!("CARGO_BIN_EXE_loadweaver");

fn front() -> Front {
    Front::start(BINARY, &json!({}))
}

fn post(fields: &str, body: &str) -> String {
    format!("POST /case HTTP/1.1\r\nHost: a\r\n{fields}\r\n{body}")
}

#[test]
fn refuses_a_length_beside_a_transfer_encoding() {
    let front = front();
    let body = "0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    let cases = [
        post("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", body),
        post("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", body),
        post("Content-Length: 0\r\ntransfer-encoding: Chunked\r\n", body),
        post("Content-Length: 4\r\nTransfer-Encoding: gzip\r\n", body),
    ];
    front.refuses_all(cases, 400, "bad_framing");
}

#[test]
fn refuses_lengths_that_differ_or_are_no_plain_numbers() {
    let front = front();
    let mut cases = vec![post("Content-Length: 5\r\nContent-Length: 6\r\n", "hello!")];
    let bad = [
        "+5",
        "-5",
        "5,6",
        "5, 6",
        "5 5",
        "",
        " ",
        "0x5",
        "5.0",
        "5a",
        "'5'",
        "\"5\"",
        "five",
        "\u{665}",
        "5;",
        "18446744073709551616",
        "18446744073709551621",
        "9223372036854775808",
        "99999999999999999999999",
    ];
    cases.extend(bad.iter().map(|value| post(&format!("Content-Length: {value}\r\n"), "hello")));
    front.refuses_all(cases, 400, "bad_framing");
}

#[test]
fn equal_lengths_are_refused_or_forwarded_as_one() {
    let front = front();
    for fields in ["Content-Length: 5\r\nContent-Length: 5\r\n", "Content-Length: 5, 5\r\n"] {
        front.origin.forget();
        let mut client = front.balancer.client();
        let answer = client.exchange(post(fields, "hello"));
        if answer.status == 400 {
            client.expect_closed();
            assert!(front.origin.raw().is_empty(), "{fields:?}");
        } else {
            let request = front.origin.wait_for_requests(1).remove(0);
            assert_eq!(request.fields.all("content-length"), ["5"]);
        }
    }
}

#[test]
fn refuses_a_transfer_encoding_that_does_not_end_in_one_chunked() {
    let front = front();
    let values = [
        "identity",
        "xchunked",
        "chunked, gzip",
        "chunked, chunked",
        "chunked,",
        ",chunked",
        "",
        "\"chunked\"",
        "chunked;q=1",
        "chunked\u{b}",
        "chunk",
        "gzip",
        "cow",
    ];
    let cases = values.map(|value| post(&format!("Transfer-Encoding: {value}\r\n"), "0\r\n\r\n"));
    let controls = |case: &String| case.contains('\u{b}');
    let (bad_header, bad_framing): (Vec<String>, Vec<String>) = cases.into_iter().partition(controls);
    front.refuses_all(bad_framing, 400, "bad_framing");
    front.refuses_all(bad_header, 400, "bad_header");
    let repeated = post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n");
    front.refuses(repeated, 400, "bad_framing");
    let split = post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "0\r\n\r\n");
    front.refuses(split, 400, "bad_framing");
}

#[test]
fn refuses_codings_it_does_not_know_with_501() {
    let front = front();
    let case = post("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n");
    front.refuses(case, 501, "unsupported_transfer_coding");
}

#[test]
fn refuses_a_transfer_encoding_from_http_1_0() {
    let front = front();
    for connection in ["", "Connection: keep-alive\r\n"] {
        let case = format!(
            "POST /case HTTP/1.0\r\nHost: a\r\n{connection}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n\
             GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
        );
        front.refuses(case, 400, "bad_framing");
    }
}

/// A chunked body streams, so its head may have gone ahead; but no server may be told that it was whole.
#[test]
fn malformed_chunks_are_refused_and_never_completed_toward_the_server() {
    let front = front();
    let long = format!("5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(20_000));
    let trailers = format!("0\r\n{}\r\n", "X: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n".repeat(1000));
    let bodies = [
        "FFFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n",
        "10000000000000000\r\nhello\r\n0\r\n\r\n",
        "ffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        " 5\r\nhello\r\n0\r\n\r\n",
        "g\r\nhello\r\n0\r\n\r\n",
        "\r\nhello\r\n0\r\n\r\n",
        ";x\r\nhello\r\n0\r\n\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "5\rhello\r\n0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhelloX\r\n0\r\n\r\n",
        "5\r\nhello\r0\r\n\r\n",
        "5;x\ny\r\nhello\r\n0\r\n\r\n",
        "5;x\0\r\nhello\r\n0\r\n\r\n",
        "5 x\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello\r\n0\r\nX : y\r\n\r\n",
        "5\r\nhello\r\n0\r\nX: y\n\r\n",
        "5\r\nhello\r\n0\r\n X: y\r\n\r\n",
        "5\r\nhello\r\n0\n\r\n",
        &long,
        &trailers,
    ];
    let mut problems = Vec::new();
    for body in bodies {
        front.origin.forget();
        let mut client = front.balancer.client();
        let request = post(
            "Transfer-Encoding: chunked\r\n",
            &format!("{body}GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"),
        );
        let shown = format!("{:?}", &body[..body.len().min(60)]);
        let _ = client.send(&request);
        match client.read_answer("POST") {
            Ok(answer) if (answer.status, answer.failure()) != (400, Some("bad_chunk")) => {
                problems.push(format!("{shown}: answered {} {:?}", answer.status, answer.failure()));
            }
            Ok(_) => {
                if let Err(problem) = client.is_closed_by_peer() {
                    problems.push(format!("{shown}: {problem}"));
                }
            }
            Err(error) => problems.push(format!("{shown}: {error:?}")),
        }
        front.balancer.get("/after");
        let whole: Vec<String> = front.origin.requests().into_iter().map(|request| request.target).collect();
        if whole != ["/after"] {
            problems.push(format!("{shown}: the origin read {whole:?} as whole requests"));
        }
    }
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
}

#[test]
fn a_request_behind_a_refused_one_is_never_served() {
    let front = front();
    let next = "GET /next HTTP/1.1\r\nHost: a\r\n\r\n";
    front.refuses(format!("{}{next}", post("Content-Length: +5\r\n", "hello")), 400, "bad_framing");
    front.refuses(format!("GET /case HTTP/1.1\r\n\r\n{next}"), 400, "bad_host");
}

#[test]
fn a_good_request_before_a_bad_one_is_answered_first() {
    let front = front();
    let mut client = front.balancer.client();
    client
        .send("GET /good HTTP/1.1\r\nHost: a\r\n\r\nGET /bad HTTP/1.1\r\nX : y\r\nHost: a\r\n\r\n")
        .unwrap();
    assert_eq!(client.answer("GET").status, 200);
    assert_eq!(client.answer("GET").status, 400);
    client.expect_closed();
    let targets: Vec<String> = front.origin.requests().into_iter().map(|request| request.target).collect();
    assert_eq!(targets, ["/good"]);
}

#[test]
fn what_stands_behind_a_body_is_the_next_request_and_nothing_else() {
    let front = front();
    let mut client = front.balancer.client();
    // The body spells a request: it must arrive as a body.
    let body = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    let chunked = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    client.send(post(&format!("Content-Length: {}\r\n", body.len()), body)).unwrap();
    client.send(post("Transfer-Encoding: chunked\r\n", &chunked)).unwrap();
    client.send("GET /last HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    for method in ["POST", "POST", "GET"] {
        assert_eq!(client.answer(method).status, 200);
    }
    let requests = front.origin.requests();
    let seen: Vec<(&str, usize)> = requests.iter().map(|r| (r.target.as_str(), r.body.len())).collect();
    assert_eq!(seen, [("/case", body.len()), ("/case", body.len()), ("/last", 0)]);
}

#[test]
fn what_connection_names_cannot_take_away_the_framing_or_the_host() {
    let front = front();
    for name in
        ["content-length", "Content-Length, close", "host", "transfer-encoding", "Host, Content-Length"]
    {
        front.origin.forget();
        let mut client = front.balancer.client();
        let answer = client.exchange(post(&format!("Connection: {name}\r\nContent-Length: 5\r\n"), "hello"));
        if answer.status == 400 {
            client.expect_closed();
            continue;
        }
        let request = front.origin.wait_for_requests(1).remove(0);
        assert_eq!(
            (request.body.as_slice(), request.fields.all("host")),
            (b"hello".as_slice(), vec!["a".into()])
        );
    }
}

#[test]
fn what_connection_names_cannot_take_away_what_we_say_of_the_client() {
    let front = front();
    let names = "Connection: x-forwarded-for, x-forwarded-host, x-forwarded-proto, x-request-id\r\n";
    front.balancer.client().exchange(format!("GET / HTTP/1.1\r\nHost: a\r\n{names}\r\n"));
    let request = front.origin.wait_for_requests(1).remove(0);
    for name in ["x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-request-id"] {
        assert!(request.fields.has(name), "{name} is gone: {:?}", request.fields);
    }
}

#[test]
fn what_is_forwarded_is_written_anew() {
    let front = front();
    // Odd but legal: case, white space around values, zeros before a length, a chunk extension.
    let odd = "POST /case HTTP/1.1\r\nhOsT:\t a \t\r\nX-A:\t b\r\ncOnTeNt-LeNgTh:   005  \r\n\r\nhello";
    front.balancer.client().exchange(odd);
    let raw = String::from_utf8(front.origin.raw().concat()).unwrap();
    let (requests, rest) = requests_in(raw.as_bytes());
    assert_eq!((requests.len(), rest), (1, Ok(vec![])), "{raw}");
    assert_eq!(requests[0].body, b"hello");
    assert!(raw.contains("X-A: b\r\n"), "{raw}");

    front.origin.forget();
    front
        .balancer
        .client()
        .exchange(post("Transfer-Encoding: CHUNKED\r\n", "0005;a=b;c\r\nhello\r\n000\r\n\r\n"));
    let raw = String::from_utf8(front.origin.raw().concat()).unwrap();
    assert!(!raw.contains("a=b"), "a chunk extension is for one connection: {raw}");
    let (requests, rest) = requests_in(raw.as_bytes());
    assert_eq!((requests.len(), rest), (1, Ok(vec![])), "{raw}");
}

/// The known slips of the peers that the issue names; the ones about answers are in `hostile_answers.rs`.
#[test]
fn does_not_make_the_known_slips_of_the_peers() {
    let front = front();
    // HAProxy 2.6 forwards these two.
    front.refuses("GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", 400, "bad_header");
    front.refuses(post("Content-Length: 18446744073709551616\r\n", ""), 400, "bad_framing");
    // HAProxy forwards the coding of an HTTP/1.0 request.
    front.refuses("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "bad_framing");
    // Envoy joins them with a comma.
    front.refuses("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, "bad_host");
}

#[test]
fn a_refusal_reaches_a_client_that_is_still_sending() {
    let origin = Origin::answering(reply(200, ""));
    let balancer =
        Balancer::start(BINARY, &one_pool_with(&[origin.address()], &json!({ "retry": { "attempts": 1 } })));
    let mut client: RawClient = balancer.client();
    client.send(post("Content-Length: 400000\r\nX : y\r\n", "")).unwrap();
    for _ in 0..40 {
        client.send([b'x'; 10_000]).expect("the refusal is no reason to reset what the client is sending");
    }
    let answer = client.answer("POST");
    assert_eq!((answer.status, answer.failure()), (400, Some("bad_header")));
    client.half_close();
    assert_eq!(client.read_to_end(), (vec![], Ok(())), "the connection ends in order, not by a reset");
}
