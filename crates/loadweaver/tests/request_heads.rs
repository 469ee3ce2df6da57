//! Request lines, targets, hosts and header lines that must be refused, and the limits with statuses of their own.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use loadweaver_testkit::front::Front;
use serde_json::json;

const BINARY: &str = env!("CARGO_BIN_EXE_loadweaver");

fn front() -> Front {
    Front::start(BINARY, &json!({}))
}

fn post(fields: &str, body: &str) -> String {
    format!("POST /case HTTP/1.1\r\nHost: a\r\n{fields}\r\n{body}")
}

#[test]
fn refuses_header_lines_that_two_readers_read_in_two_ways() {
    let front = front();
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
    let front = front();
    let cases = [" X: a", "\tX: a", " Host: b", "\u{b}X: a"]
        .map(|line| format!("GET /case HTTP/1.1\r\n{line}\r\nHost: a\r\n\r\n"));
    front.refuses_all(cases, 400, "bad_header");
}

#[test]
fn refuses_bare_line_feeds_and_bare_carriage_returns_as_line_ends() {
    let front = front();
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
    let front = front();
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
    let front = front();
    let cases = ["http://b/case", "http://a.b/case", "http://a:81/case", "HTTP://B/case"]
        .map(|target| format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
    front.refuses_all(cases, 400, "bad_host");
}

#[test]
fn an_absolute_target_that_agrees_is_forwarded_in_origin_form() {
    let front = front();
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
    let front = front();
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
    let front = front();
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
    let front = front();
    for version in ["HTTP/2.0", "HTTP/3.0", "HTTP/0.9", "HTTP/9.9"] {
        let case = format!("GET /case {version}\r\nHost: a\r\n\r\n");
        front.refuses(case, 505, "unsupported_version");
    }
    // HTTP/2 begins with just one line; every other is a version that is not spoken that way.
    front.refuses("PRI * HTTP/2.0\r\nHost: a\r\n\r\n", 505, "unsupported_version");
    front.refuses("PRI * HTTP/2.1\r\n\r\nSM\r\n\r\n", 505, "unsupported_version");
}

#[test]
fn refuses_http_0_9() {
    let front = front();
    for line in ["GET /case\r\n\r\n", "GET /\r\nHost: a\r\n\r\n", "GET /\r\n"] {
        // What is missing may be called a bad line or a bad target.
        let answer = front.balancer.client().exchange(line);
        assert_eq!(answer.status, 400, "{line:?}");
        front.refuses(line, 400, answer.failure().unwrap());
    }
}

#[test]
fn refuses_connect_unless_configured() {
    let front = front();
    front.refuses("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", 405, "connect_method");
}

#[test]
fn refuses_expectations_it_cannot_meet() {
    let front = front();
    front.refuses(post("Expect: 200-ok\r\nContent-Length: 2\r\n", "hi"), 417, "expectation_failed");
}

#[test]
fn limits_have_their_own_statuses() {
    let limits =
        json!({ "limits": { "requestHead": "4KiB", "target": "1KiB", "headers": 20, "body": 1000 } });
    let front = Front::start(BINARY, &limits);
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
    let front = Front::start(BINARY, &json!({ "limits": { "requestHead": "4KiB", "target": "1KiB" } }));
    front.refuses(format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", "y".repeat(9000)), 431, "head_too_large");
    front.refuses(format!("GET /{}", "y".repeat(9000)), 414, "target_too_long");
}

#[test]
fn empty_lines_before_a_request_are_not_forwarded() {
    let front = front();
    let mut client = front.balancer.client();
    client.send("\r\nGET /case HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    assert_eq!(client.answer("GET").status, 200);
    assert!(front.origin.raw().concat().starts_with(b"GET /case "));
}
