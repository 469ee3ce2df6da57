//! What must be refused at the client's side because two readers could read it in two ways, and what is forwarded
//! instead: one unambiguous form. `hostile_answers.rs` holds the same toward servers.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use loadweaver_testkit::config::{one_pool, one_pool_with};
use loadweaver_testkit::origin::reply;
use loadweaver_testkit::wire::requests_in;
use loadweaver_testkit::{Balancer, Origin, RawClient};
use serde_json::json;

const BINARY: &str = env!("CARGO_BIN_EXE_loadweaver");

/// A balancer in front of one origin that answers everything.
struct Front {
    origin: Origin,
    balancer: Balancer,
}

impl Front {
    fn new(patch: &serde_json::Value) -> Self {
        let origin = Origin::named("origin");
        let balancer = Balancer::start(BINARY, &one_pool(&[origin.address()], patch));
        Self { origin, balancer }
    }

    /// Sends the bytes; wants that status and failure code, the connection closed, and the origin untouched.
    fn refuses(&self, bytes: impl AsRef<[u8]>, status: u16, code: &str) {
        if let Err(problem) = self.try_refuses(bytes.as_ref(), status, code) {
            panic!("{:?}: {problem}", String::from_utf8_lossy(bytes.as_ref()));
        }
    }

    fn try_refuses(&self, bytes: &[u8], status: u16, code: &str) -> Result<(), String> {
        self.origin.forget();
        let mut client = self.balancer.client();
        let _ = client.send(bytes);
        let answer = client.read_answer("GET").map_err(|error| format!("no answer: {error:?}"))?;
        let got = (answer.status, answer.failure().unwrap_or("-").to_owned());
        // Other processes' bytes could still be on their way: a request that follows must be all that arrives.
        let after = self.balancer.get("/after");
        let reached = self.origin.raw().concat();
        let (requests, _) = requests_in(&reached);
        let only_after = requests.len() == 1 && requests[0].target == "/after" && after.status == 200;
        if !only_after {
            return Err(format!("{got:?}, and the origin got {:?}", String::from_utf8_lossy(&reached)));
        }
        if got != (status, code.to_owned()) {
            return Err(format!("want {status} {code}, got {got:?}"));
        }
        if answer.fields.get("x-request-id").is_none_or(str::is_empty) {
            return Err("the answer has no request id".into());
        }
        client.is_closed_by_peer()
    }

    /// All problems of a list of cases at once.
    fn refuses_all<Bytes: AsRef<[u8]>>(
        &self,
        cases: impl IntoIterator<Item = Bytes>,
        status: u16,
        code: &str,
    ) {
        let problems: Vec<String> = cases
            .into_iter()
            .filter_map(|bytes| {
                let problem = self.try_refuses(bytes.as_ref(), status, code).err()?;
                Some(format!("{:?}: {problem}", String::from_utf8_lossy(bytes.as_ref())))
            })
            .collect();
        assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
    }
}

fn post(fields: &str, body: &str) -> String {
    format!("POST /case HTTP/1.1\r\nHost: a\r\n{fields}\r\n{body}")
}

#[test]
fn refuses_a_length_beside_a_transfer_encoding() {
    let front = Front::new(&json!({}));
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
    let front = Front::new(&json!({}));
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
    let front = Front::new(&json!({}));
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
    let front = Front::new(&json!({}));
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
    let front = Front::new(&json!({}));
    let case = post("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n");
    front.refuses(case, 501, "unsupported_transfer_coding");
}

#[test]
fn refuses_a_transfer_encoding_from_http_1_0() {
    let front = Front::new(&json!({}));
    for connection in ["", "Connection: keep-alive\r\n"] {
        let case = format!(
            "POST /case HTTP/1.0\r\nHost: a\r\n{connection}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n\
             GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
        );
        front.refuses(case, 400, "bad_framing");
    }
}

#[test]
fn refuses_header_lines_that_two_readers_read_in_two_ways() {
    let front = Front::new(&json!({}));
    let lines = [
        "X: a\r\n b\r\n",
        "X: a\r\n\tb\r\n",
        "X:\r\n b\r\n",
        "X : a\r\n",
        "X\t: a\r\n",
        "Content-Length : 5\r\n",
        "Transfer-Encoding : chunked\r\n",
        "X\r\n",
        ": a\r\n",
        "X Y: a\r\n",
        "X\0: a\r\n",
        "X: a\0b\r\n",
        "X: \0\r\n",
        "X: a\u{1}b\r\n",
        "X: a\u{7f}b\r\n",
        "X: a\u{b}b\r\n",
        "X: a\u{8}\r\n",
        "X\u{1}: a\r\n",
        "X: a\rb\r\n",
        "X: a\r\r\n",
        "X\r: a\r\n",
        "X: a\nY: b\r\n",
        "X: a\n b\r\n",
        "X(: a\r\n",
        "X\u{e9}: a\r\n",
        "\u{1}X: a\r\n",
        "X: a\r\nTransfer-Encoding\u{b}: chunked\r\n",
        "X: a\rTransfer-Encoding: chunked\r\n",
    ];
    front.refuses_all(lines.map(|line| post(line, "")), 400, "bad_header");
}

#[test]
fn refuses_a_first_header_line_that_begins_with_white_space() {
    let front = Front::new(&json!({}));
    let cases = [" X: a", "\tX: a", " Host: b", "\u{b}X: a"]
        .map(|line| format!("GET /case HTTP/1.1\r\n{line}\r\nHost: a\r\n\r\n"));
    front.refuses_all(cases, 400, "bad_header");
}

#[test]
fn refuses_bare_line_feeds_and_bare_carriage_returns_as_line_ends() {
    let front = Front::new(&json!({}));
    let in_fields = [
        "GET /case HTTP/1.1\r\nHost: a\n\r\n",
        "GET /case HTTP/1.1\r\nHost: a\r\n\n",
        "GET /case HTTP/1.1\r\nHost: a\n\n",
        "GET /case HTTP/1.1\r\nHost: a\rX: b\r\n\r\n",
        "GET /case HTTP/1.1\r\nHost: a\r\r\n\r\n",
    ];
    front.refuses_all(in_fields, 400, "bad_header");
    let in_line = [
        "GET /case HTTP/1.1\nHost: a\r\n\r\n",
        "GET /case HTTP/1.1\rHost: a\r\n\r\n",
        "GET /case HTTP/1.1\r\r\nHost: a\r\n\r\n",
        "\nGET /case HTTP/1.1\r\nHost: a\r\n\r\n",
        "\rGET /case HTTP/1.1\r\nHost: a\r\n\r\n",
    ];
    front.refuses_all(in_line, 400, "bad_request_line");
}

#[test]
fn refuses_a_missing_repeated_or_malformed_host() {
    let front = Front::new(&json!({}));
    let hosts = [
        "",
        "Host: a\r\nHost: a\r\n",
        "Host: a\r\nhost: b\r\n",
        "Host: a b\r\n",
        "Host: a,b\r\n",
        "Host: a/b\r\n",
        "Host: u@a\r\n",
        "Host: a:b\r\n",
        "Host: a:1:2\r\n",
        "Host: a:99999\r\n",
        "Host: [::1\r\n",
        "Host: [x]\r\n",
        "Host: a?b\r\n",
        "Host: a#b\r\n",
        "Host: \u{e9}\r\n",
    ];
    let cases = hosts.map(|host| format!("GET /case HTTP/1.1\r\n{host}X: y\r\n\r\n"));
    front.refuses_all(cases, 400, "bad_host");
    let two = "GET /case HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n";
    front.refuses(two, 400, "bad_host");
}

#[test]
fn refuses_a_host_that_disagrees_with_an_absolute_target() {
    let front = Front::new(&json!({}));
    let cases = ["http://b/case", "http://a.b/case", "http://a:81/case", "HTTP://B/case"]
        .map(|target| format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
    front.refuses_all(cases, 400, "bad_host");
}

#[test]
fn an_absolute_target_that_agrees_is_forwarded_in_origin_form() {
    let front = Front::new(&json!({}));
    for (target, sent) in [("http://a/x?y=1", "/x?y=1"), ("http://A", "/"), ("http://a:80/x", "/x")] {
        front.origin.forget();
        let answer = front.balancer.client().exchange(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert_eq!(answer.status, 200, "{target}");
        let request = front.origin.wait_for_requests(1).remove(0);
        assert_eq!((request.target.as_str(), request.fields.all("host").len()), (sent, 1), "{target}");
    }
}

#[test]
fn refuses_targets_of_no_known_form() {
    let front = Front::new(&json!({}));
    let targets = [
        "case",
        "*",
        "?x",
        "http://",
        "http:///case",
        "ftp://a/case",
        "a:80",
        "/ca#se",
        "http://u@a/",
        "//\u{7f}",
        "/\u{1}",
        "/a\0b",
        "/\u{e9}",
    ];
    let cases = targets.map(|target| format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
    front.refuses_all(cases, 400, "bad_target");
}

#[test]
fn refuses_request_lines_of_another_shape() {
    let front = Front::new(&json!({}));
    let lines = [
        "GET /case",
        "GET",
        "GET /case HTTP/1.1 x",
        "GET  /case HTTP/1.1",
        "GET /case  HTTP/1.1",
        "GET /case HTTP/1.1 ",
        " GET /case HTTP/1.1",
        "GET\t/case\tHTTP/1.1",
        "G(T /case HTTP/1.1",
        "GET\0 /case HTTP/1.1",
        "GET /case http/1.1",
        "GET /case HTTP/1",
        "GET /case HTTP/1.10",
        "GET /case HTTP/x.y",
        "GET /case HTTP1.1",
        "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0",
    ];
    let problems: Vec<String> = lines
        .iter()
        .filter_map(|line| {
            let bytes = format!("{line}\r\nHost: a\r\n\r\n");
            // Where a line has a word too many or too few, either name for the mistake is a fair one.
            let first = front.try_refuses(bytes.as_bytes(), 400, "bad_request_line").err()?;
            front.try_refuses(bytes.as_bytes(), 400, "bad_target").err()?;
            Some(format!("{line:?}: {first}"))
        })
        .collect();
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
}

#[test]
fn refuses_versions_it_does_not_speak() {
    let front = Front::new(&json!({}));
    for version in ["HTTP/2.0", "HTTP/3.0", "HTTP/0.9", "HTTP/9.9"] {
        let case = format!("GET /case {version}\r\nHost: a\r\n\r\n");
        front.refuses(case, 505, "unsupported_version");
    }
    front.refuses("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "unsupported_version");
}

#[test]
fn refuses_http_0_9() {
    let front = Front::new(&json!({}));
    for line in ["GET /case\r\n\r\n", "GET /\r\nHost: a\r\n\r\n", "GET /\r\n"] {
        // What is missing may be called a bad line or a bad target.
        let answer = front.balancer.client().exchange(line);
        assert_eq!(answer.status, 400, "{line:?}");
        front.refuses(line, 400, answer.failure().unwrap());
    }
}

#[test]
fn refuses_connect_unless_configured() {
    let front = Front::new(&json!({}));
    front.refuses("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", 405, "connect_method");
}

#[test]
fn refuses_expectations_it_cannot_meet() {
    let front = Front::new(&json!({}));
    front.refuses(post("Expect: 200-ok\r\nContent-Length: 2\r\n", "hi"), 417, "expectation_failed");
}

#[test]
fn limits_have_their_own_statuses() {
    let limits =
        json!({ "limits": { "requestHead": "4KiB", "target": "1KiB", "headers": 20, "body": 1000 } });
    let front = Front::new(&limits);
    let long = "x".repeat(1100);
    front.refuses(format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n"), 414, "target_too_long");
    let wide = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "y".repeat(5000));
    front.refuses(wide, 431, "head_too_large");
    let many = "X: y\r\n".repeat(21);
    front.refuses(format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n"), 431, "head_too_large");
    front.refuses(post("Content-Length: 1001\r\n", ""), 413, "body_too_large");
}

#[test]
fn a_head_that_never_ends_is_refused_at_the_limit() {
    let front = Front::new(&json!({ "limits": { "requestHead": "4KiB", "target": "1KiB" } }));
    front.refuses(format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", "y".repeat(9000)), 431, "head_too_large");
    front.refuses(format!("GET /{}", "y".repeat(9000)), 414, "target_too_long");
}

/// A chunked body streams, so its head may have gone ahead; but no server may be told that it was whole.
#[test]
fn malformed_chunks_are_refused_and_never_completed_toward_the_server() {
    let front = Front::new(&json!({}));
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
    let front = Front::new(&json!({}));
    let next = "GET /next HTTP/1.1\r\nHost: a\r\n\r\n";
    front.refuses(format!("{}{next}", post("Content-Length: +5\r\n", "hello")), 400, "bad_framing");
    front.refuses(format!("GET /case HTTP/1.1\r\n\r\n{next}"), 400, "bad_host");
}

#[test]
fn a_good_request_before_a_bad_one_is_answered_first() {
    let front = Front::new(&json!({}));
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
    let front = Front::new(&json!({}));
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
    let front = Front::new(&json!({}));
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
    let front = Front::new(&json!({}));
    let names = "Connection: x-forwarded-for, x-forwarded-host, x-forwarded-proto, x-request-id\r\n";
    front.balancer.client().exchange(format!("GET / HTTP/1.1\r\nHost: a\r\n{names}\r\n"));
    let request = front.origin.wait_for_requests(1).remove(0);
    for name in ["x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-request-id"] {
        assert!(request.fields.has(name), "{name} is gone: {:?}", request.fields);
    }
}

#[test]
fn what_is_forwarded_is_written_anew() {
    let front = Front::new(&json!({}));
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

#[test]
fn empty_lines_before_a_request_are_not_forwarded() {
    let front = Front::new(&json!({}));
    let mut client = front.balancer.client();
    client.send("\r\nGET /case HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    assert_eq!(client.answer("GET").status, 200);
    assert!(front.origin.raw().concat().starts_with(b"GET /case "));
}

/// The known slips of the peers that the issue names; the ones about answers are in `hostile_answers.rs`.
#[test]
fn does_not_make_the_known_slips_of_the_peers() {
    let front = Front::new(&json!({}));
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
