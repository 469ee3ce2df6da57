//! Exchanges that end in an odd way: what was begun reaches the client whole or is visibly cut, and nothing of what
//! follows on the connection is taken for something else.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use loadweaver_testkit::config::one_pool;
use loadweaver_testkit::origin::reply;
use loadweaver_testkit::{Answer, Balancer, Origin, RawClient, eventually};
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_loadweaver");
/// Far more than the sockets between a server and a client hold.
const LARGE: usize = 12_000_000;
const NEXT: &str = "GET /next HTTP/1.1\r\nHost: a\r\n\r\n";

fn start(origin: &Origin, patch: &Value) -> Balancer {
    Balancer::start(BINARY, &one_pool(&[origin.address()], patch))
}

/// Reads the large answer with a further request sent in its middle; it must come whole, and its end in order.
#[track_caller]
fn whole_though_more_is_sent(balancer: &Balancer, request: &str) {
    let mut client = balancer.client();
    client.send(request).unwrap();
    let head = client.read_answer_head("GET").unwrap();
    assert_eq!(head.status, 200);
    let mut got = client.read_exact(100_000).unwrap().len();
    client.send(NEXT).unwrap();
    while got < LARGE {
        let want = (LARGE - got).min(200_000);
        got += client.read_exact(want).unwrap_or_else(|error| panic!("cut after {got}: {error:?}")).len();
    }
    assert_eq!(client.read_to_end(), (Vec::new(), Ok(())));
}

#[test]
fn the_last_answer_by_requests_per_connection_reaches_a_pipelining_client_whole() {
    let origin = Origin::answering(reply(200, vec![b'x'; LARGE]));
    let balancer = start(&origin, &json!({ "limits": { "requestsPerConnection": 1 } }));
    whole_though_more_is_sent(&balancer, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn the_answer_to_a_client_that_said_close_reaches_it_whole_though_it_sends_more() {
    let origin = Origin::answering(reply(200, vec![b'x'; LARGE]));
    let balancer = start(&origin, &json!({}));
    whole_though_more_is_sent(&balancer, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn an_early_answer_reaches_a_client_whole_that_goes_on_with_its_upload() {
    let origin = Origin::start(|connection| {
        let mut request = connection.read_request_head()?;
        connection.write(reply(200, vec![b'e'; 300_000]));
        connection.read_request_body(&mut request)
    });
    let balancer = start(&origin, &json!({}));
    let mut client = balancer.client();
    client.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 400000\r\n\r\n").unwrap();
    client.send(vec![b'u'; 100_000]).unwrap();
    assert_eq!(client.read_answer_head("PUT").unwrap().status, 200);
    let mut got = client.read_exact(1_000).unwrap().len();
    for _ in 0..6 {
        let _ = client.send(vec![b'u'; 50_000]);
        got += client.read_exact(10_000).unwrap().len();
    }
    let _ = client.send(NEXT);
    let rest = client.read_exact(300_000 - got).unwrap();
    assert!(rest.iter().all(|byte| *byte == b'e'));
}

fn connect(script: &'static str) -> (Origin, Balancer, RawClient) {
    let origin = Origin::start(move |connection| {
        loop {
            let request = connection.read_request()?;
            connection.write(if request.method == "CONNECT" { script } else { "HTTP/1.1 204 X\r\n\r\n" });
        }
    });
    let balancer = start(&origin, &json!({ "listeners": { "web": { "allowConnect": true } } }));
    let mut client = balancer.client();
    client.send("CONNECT x:443 HTTP/1.1\r\nHost: x:443\r\n\r\n").unwrap();
    (origin, balancer, client)
}

#[test]
fn bytes_behind_a_connect_that_the_server_refused_are_not_read_as_a_request() {
    let (origin, _balancer, mut client) = connect("HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n");
    client.send("GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    assert_eq!(client.answer("CONNECT").status, 403);
    client.expect_closed();
    assert!(origin.requests().iter().all(|request| request.method == "CONNECT"), "{:?}", origin.requests());
}

#[test]
fn an_accepted_connect_has_no_content_length_and_its_bytes_are_the_tunnels() {
    let (_origin, _balancer, mut client) = connect("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    let answer = client.read_answer_head("CONNECT").unwrap();
    assert_eq!(answer.status, 200);
    assert!(!answer.fields.has("content-length"), "{:?}", answer.fields);
    assert_eq!(client.read_exact(5).unwrap(), b"hello");
}

/// What the client gets for a request that asks for the protocol `foo`, when the server switches at once to another.
fn switched_to(protocol: &'static str, request: &str) -> Answer {
    let origin = Origin::start(move |connection| {
        connection.read_request_head()?;
        connection.write(format!("HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: {protocol}\r\n\r\n"));
        connection.hang()
    });
    let balancer = start(&origin, &json!({}));
    let mut client = balancer.client();
    let answer = client.exchange(request);
    client.expect_closed();
    eventually("the server's connection is closed", || origin.open() == 0);
    answer
}

#[test]
fn a_101_before_the_request_body_is_whole_is_502() {
    let upgrade = "POST / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: foo\r\n";
    for body in ["Transfer-Encoding: chunked\r\n\r\n5\r\nhel", "Content-Length: 5\r\n\r\nhel"] {
        let answer = switched_to("foo", &format!("{upgrade}{body}"));
        assert_eq!(answer.status, 502, "{body:?}: {answer:?}");
        assert!(answer.failure().is_some(), "{answer:?}");
    }
}

#[test]
fn a_101_to_another_protocol_than_was_asked_for_is_502() {
    let origin = Origin::start(|connection| {
        connection.read_request()?;
        connection.write("HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n");
        connection.hang()
    });
    let balancer = start(&origin, &json!({}));
    let mut client = balancer.client();
    let asked = "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    let answer = client.exchange(asked);
    assert_eq!(answer.status, 502, "{answer:?}");
    assert!(answer.failure().is_some(), "{answer:?}");
    eventually("the server's connection is closed", || origin.open() == 0);
}

#[test]
fn names_that_servers_believe_of_proxies_do_not_pass_from_an_untrusted_client() {
    let origin = Origin::named("x");
    let balancer = start(&origin, &json!({}));
    let spoofed = [
        "X_Forwarded_For",
        "X-Real-IP",
        "X_Real_IP",
        "X-Forwarded-Port",
        "X_Forwarded-Proto",
        "X-Forwarded-For",
    ];
    let lines = spoofed.map(|name| format!("{name}: 6.6.6.6\r\n")).concat();
    let answer = balancer.client().exchange(format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n"));
    assert_eq!(answer.status, 200);
    origin.wait_for_requests(1);
    let raw = String::from_utf8(origin.raw().concat()).unwrap();
    assert!(!raw.contains("6.6.6.6"), "{raw}");
}

#[test]
fn a_second_expect_field_that_is_unknown_is_417() {
    let origin = Origin::named("x");
    let balancer = start(&origin, &json!({}));
    let mut client = balancer.client();
    let answer = client.exchange("GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nExpect: foo\r\n\r\n");
    assert_eq!(answer.status, 417);
    assert!(origin.requests().is_empty());
}
