//! What happens to header fields on their way: most stay byte for byte, a few stop here, a few are ours.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use loadweaver_testkit::config::{one_pool, one_pool_with};
use loadweaver_testkit::origin::reply;
use loadweaver_testkit::{Balancer, Origin, Request};
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_loadweaver");

/// Sends one request with these header lines and returns what the server got.
fn forwarded(patch: &Value, lines: &[&str]) -> Request {
    let origin = Origin::named("x");
    let balancer = Balancer::start(BINARY, &one_pool(&[origin.address()], patch));
    forwarded_by(&origin, &balancer, lines)
}

fn forwarded_by(origin: &Origin, balancer: &Balancer, lines: &[&str]) -> Request {
    origin.forget();
    let mut request = "GET /p HTTP/1.1\r\nHost: shop.example\r\n".to_owned();
    for line in lines {
        request += line;
        request += "\r\n";
    }
    request += "\r\n";
    assert_eq!(balancer.client().exchange(request).status, 200);
    origin.wait_for_requests(1).remove(0)
}

#[test]
fn order_case_duplicates_and_high_bytes_of_request_headers_are_kept() {
    let origin = Origin::named("x");
    let balancer = Balancer::start(BINARY, &one_pool(&[origin.address()], &json!({})));
    let mut request = b"GET / HTTP/1.1\r\nzEBRA: 1\r\nHost: a\r\ncookie: a=1\r\nX-Dup: first\r\n".to_vec();
    request.extend_from_slice(
        b"X-HIGH: \xe9\xff\x80\r\nx-dup: second\r\nCookie: b=2\r\nX-Empty:\r\nX-Tab: a\tb\r\n\r\n",
    );
    assert_eq!(balancer.client().exchange(request).status, 200);
    let got = origin.requests().remove(0).fields;
    let ours = |name: &&str| {
        !name.to_ascii_lowercase().starts_with("x-forwarded") && !name.eq_ignore_ascii_case("x-request-id")
    };
    let names: Vec<&str> = got.names().into_iter().filter(|name| ours(name)).collect();
    assert_eq!(names, ["zEBRA", "Host", "cookie", "X-Dup", "X-HIGH", "x-dup", "Cookie", "X-Empty", "X-Tab"]);
    assert_eq!(got.all("x-dup"), ["first", "second"]);
    assert_eq!(got.raw("x-high").next().unwrap(), b"\xe9\xff\x80");
    assert_eq!(got.get("x-tab"), Some("a\tb"));
}

#[test]
fn order_case_duplicates_and_high_bytes_of_answer_headers_are_kept() {
    let mut answer =
        b"HTTP/1.1 200 Fine by me\r\nzEBRA: 1\r\nSet-Cookie: a=1\r\nContent-Length: 2\r\n".to_vec();
    answer.extend_from_slice(b"set-cookie: b=2\r\nX-HIGH: \xe9\xff\r\nX-Empty:\r\n\r\nhi");
    let origin = Origin::answering(answer);
    let balancer = Balancer::start(BINARY, &one_pool(&[origin.address()], &json!({})));
    let got = balancer.client().get("/");
    let kept = ["zebra", "set-cookie", "content-length", "x-high", "x-empty"];
    let names: Vec<&str> = got
        .fields
        .names()
        .into_iter()
        .filter(|name| kept.contains(&name.to_ascii_lowercase().as_str()))
        .collect();
    assert_eq!(names, ["zEBRA", "Set-Cookie", "Content-Length", "set-cookie", "X-HIGH", "X-Empty"]);
    assert_eq!(got.fields.all("set-cookie"), ["a=1", "b=2"]);
    assert_eq!(got.fields.raw("x-high").next().unwrap(), b"\xe9\xff");
    assert_eq!(got.reason, "Fine by me");
}

#[test]
fn the_clients_hop_by_hop_headers_stop_here() {
    let lines = [
        "Connection: keep-alive, X-Hop, x-other",
        "X-Hop: 1",
        "X-Other: 2",
        "Keep-Alive: timeout=5",
        "Proxy-Connection: keep-alive",
        "TE: gzip",
        "Upgrade: h2c",
        "HTTP2-Settings: AAMAAABk",
        "X-End: 3",
    ];
    let got = forwarded(&json!({}), &lines).fields;
    for name in ["x-hop", "x-other", "keep-alive", "proxy-connection", "upgrade", "http2-settings"] {
        assert!(!got.has(name), "{name} was passed on: {got:?}");
    }
    assert!(!got.lists("te", "gzip") && !got.lists("connection", "x-hop"));
    assert_eq!(got.get("x-end"), Some("3"));
}

#[test]
fn the_client_is_named_to_the_server() {
    let got = forwarded(&json!({}), &[]).fields;
    assert_eq!(got.all("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(got.all("x-forwarded-proto"), ["http"]);
    assert_eq!(got.all("x-forwarded-host"), ["shop.example"]);
    assert_eq!(got.all("host"), ["shop.example"]);
    assert!(!got.has("forwarded") && !got.has("via"));
}

const CLAIMS: [&str; 5] = [
    "X-Forwarded-For: 203.0.113.9",
    "x-forwarded-proto: https",
    "X-Forwarded-Host: evil.example",
    "Forwarded: for=203.0.113.9",
    "X-Forwarded-For: 198.51.100.1",
];

#[test]
fn a_strangers_own_forwarded_headers_are_not_believed() {
    let got = forwarded(&json!({}), &CLAIMS).fields;
    assert_eq!(got.all("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(got.all("x-forwarded-proto"), ["http"]);
    assert_eq!(got.all("x-forwarded-host"), ["shop.example"]);
    assert!(!got.all("forwarded").concat().contains("203.0.113.9"), "{got:?}");
}

#[test]
fn a_trusted_proxys_forwarded_headers_are_believed_and_extended() {
    let got = forwarded(&json!({ "trustedProxies": ["127.0.0.0/8"] }), &CLAIMS).fields;
    let chain = got.all("x-forwarded-for").join(", ");
    assert_eq!(chain, "203.0.113.9, 198.51.100.1, 127.0.0.1");
    assert_eq!(got.all("x-forwarded-proto"), ["https"]);
    assert_eq!(got.all("x-forwarded-host"), ["evil.example"]);
}

#[test]
fn a_proxy_outside_the_trusted_ranges_is_a_stranger() {
    let got = forwarded(&json!({ "trustedProxies": ["10.0.0.0/8", "::1/128"] }), &CLAIMS).fields;
    assert_eq!(got.all("x-forwarded-for"), ["127.0.0.1"]);
}

#[test]
fn the_standard_forwarded_header_is_a_choice() {
    let got = forwarded(&json!({ "forwardedHeaders": "forwarded" }), &[]).fields;
    let value = got.all("forwarded").join(", ").to_ascii_lowercase();
    assert!(value.contains("for=127.0.0.1") && value.contains("proto=http"), "{value}");
    assert!(value.contains("host=shop.example") || value.contains("host=\"shop.example\""), "{value}");
    assert!(!got.has("x-forwarded-for"));
}

#[test]
fn both_kinds_of_forwarded_headers_or_none_are_choices() {
    let both = forwarded(&json!({ "forwardedHeaders": "both" }), &[]).fields;
    assert!(both.has("forwarded") && both.has("x-forwarded-for"));
    let off = forwarded(&json!({ "forwardedHeaders": "off" }), &[]).fields;
    assert!(!off.has("forwarded") && !off.has("x-forwarded-for") && !off.has("x-forwarded-proto"), "{off:?}");
}

#[test]
fn off_does_not_let_a_strangers_claims_through() {
    let got = forwarded(&json!({ "forwardedHeaders": "off" }), &CLAIMS).fields;
    assert!(!got.all("x-forwarded-for").concat().contains("203.0.113.9"), "{got:?}");
}

#[test]
fn via_is_written_when_it_has_a_pseudonym() {
    let got = forwarded(&json!({ "via": "lw1" }), &["Via: 1.0 before"]).fields;
    assert_eq!(got.all("via").join(", "), "1.0 before, 1.1 lw1");
    let origin = Origin::named("x");
    let balancer = Balancer::start(BINARY, &one_pool(&[origin.address()], &json!({ "via": "lw1" })));
    assert_eq!(balancer.client().get("/").fields.get("via"), Some("1.1 lw1"));
}

#[test]
fn a_request_id_is_made_where_there_is_none() {
    let origin = Origin::named("x");
    let balancer = Balancer::start(BINARY, &one_pool(&[origin.address()], &json!({})));
    let ids: Vec<String> = (0..3)
        .map(|_| forwarded_by(&origin, &balancer, &[]).fields.get("x-request-id").unwrap().to_owned())
        .collect();
    assert!(
        ids.iter().all(|id| id.len() >= 8 && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')),
        "{ids:?}"
    );
    assert!(ids[0] != ids[1] && ids[1] != ids[2] && ids[0] != ids[2], "{ids:?}");
}

#[test]
fn a_request_id_is_kept_where_there_is_one() {
    let got = forwarded(&json!({ "trustedProxies": ["127.0.0.0/8"] }), &["X-Request-Id: abc-123"]).fields;
    assert_eq!(got.all("x-request-id"), ["abc-123"]);
}

#[test]
fn our_own_answers_carry_the_request_id() {
    let origin = Origin::named("x");
    origin.refuse();
    let pool = json!({ "retry": { "attempts": 1 } });
    let balancer = Balancer::start(BINARY, &one_pool_with(&[origin.address()], &pool));
    let answer = balancer.get("/");
    assert!(answer.failure().is_some());
    assert!(answer.fields.get("x-request-id").is_some_and(|id| id.len() >= 8), "{:?}", answer.fields);
    assert!(!answer.text().contains("127.0.0.1"), "nothing for operators reaches clients: {}", answer.text());
}

#[test]
fn routes_choose_the_pool_by_host_path_method_and_header() {
    let (a, b, c) = (Origin::answering(reply(200, "a")), Origin::named("b"), Origin::named("c"));
    let server = |origin: &Origin| json!({ "servers": [{ "host": "127.0.0.1", "port": origin.port() }] });
    let balancer = Balancer::start(
        BINARY,
        &json!({
            "listeners": { "web": { "bind": "127.0.0.1:0" } },
            "routes": [
                { "name": "api", "match": { "hosts": ["*.example.com"], "path": "/v1/", "methods": ["GET"] }, "pool": "a" },
                { "name": "beta", "match": { "headers": { "x-beta": "1" } }, "pool": "b" },
                { "name": "rest", "match": { "hosts": ["shop.example"] }, "pool": "c" },
            ],
            "pools": { "a": server(&a), "b": server(&b), "c": server(&c) },
        }),
    );
    let ask = |method: &str, path: &str, host: &str, extra: &str| {
        let answer =
            balancer.client().exchange(format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n{extra}\r\n"));
        answer.failure().map_or_else(|| answer.text(), |code| format!("{} {code}", answer.status))
    };
    assert_eq!(ask("GET", "/v1/x", "API.Example.com:8080", ""), "a");
    // `/v1/` is below `/v1`, not `/v1` itself (docs/configuration.md).
    assert_eq!(ask("GET", "/v1", "api.example.com", ""), "404 no_route");
    assert_eq!(ask("GET", "/v1x", "api.example.com", ""), "404 no_route");
    assert_eq!(ask("DELETE", "/v1/x", "api.example.com", ""), "404 no_route");
    assert_eq!(ask("GET", "/", "api.example.com", "X-Beta: 1\r\n"), "b");
    assert_eq!(ask("GET", "/", "shop.example", ""), "c");
    assert_eq!(ask("GET", "/", "example.com", ""), "404 no_route");
}
