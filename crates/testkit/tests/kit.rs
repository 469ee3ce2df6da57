//! The kit against itself and against a proxy that is known to work: a test that could not fail proves nothing,
//! so the detectors (cuts, resets, malformed bytes, ambiguity) are each shown a case.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::time::Duration;

use loadweaver_testkit::origin::{reply, reply_with};
use loadweaver_testkit::wire::requests_in;
use loadweaver_testkit::{Framing, Origin, OriginConnection, Peer, RawClient, WireError, eventually};

const GET: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

#[test]
fn an_origin_records_the_raw_bytes_and_the_parsed_requests() {
    let origin = Origin::answering(reply(200, "hello"));
    let mut client = RawClient::connect(origin.address());
    client.send_pieces(["GET /a HT", "TP/1.1\r\nHo", "st: x\r\n\r\n"]);
    let answer = client.answer("GET");
    assert_eq!((answer.status, answer.text().as_str()), (200, "hello"));
    assert_eq!(origin.raw(), [b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()]);
    assert_eq!(origin.requests()[0].target, "/a");
}

#[test]
fn an_origin_refuses_and_comes_back_on_its_port() {
    let origin = Origin::named("a");
    origin.refuse();
    assert!(RawClient::try_connect(origin.address()).is_err());
    origin.come_back();
    assert_eq!(RawClient::connect(origin.address()).get("/").text(), "a");
}

#[test]
fn a_cut_body_is_told_from_a_whole_one() {
    for (bytes, body) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello", "hello"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", "hello"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n", "hello"),
    ] {
        let origin = Origin::start(move |connection| {
            connection.read_request()?;
            connection.write(bytes);
            Ok(())
        });
        let mut client = RawClient::connect(origin.address());
        client.send(GET).unwrap();
        let cut = WireError::Cut { status: Some(200), body: body.into() };
        assert_eq!(client.read_answer("GET").unwrap_err(), cut, "{bytes:?}");
    }
}

#[test]
fn a_reset_is_seen_on_both_sides() {
    let origin = Origin::start(|connection| {
        connection.read_request()?;
        connection.reset()
    });
    let mut client = RawClient::connect(origin.address());
    client.send(GET).unwrap();
    assert_eq!(client.read_answer("GET").unwrap_err(), WireError::Reset);

    let hanging = Origin::start(OriginConnection::hang);
    let client = RawClient::connect(hanging.address());
    eventually("the origin accepted", || hanging.accepted() == 1);
    client.reset();
    eventually("the origin noticed the reset", || hanging.open() == 0);
}

#[test]
fn a_half_closed_client_still_reads_its_answer() {
    let origin = Origin::named("late");
    let mut client = RawClient::connect(origin.address());
    client.send(GET).unwrap();
    client.half_close();
    assert_eq!(client.answer("GET").text(), "late");
    client.expect_closed();
}

#[test]
fn chunks_trailers_and_interim_answers_are_read() {
    let origin = Origin::answering(
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
         3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nX-Sum: 1\r\n\r\n",
    );
    let answer = RawClient::connect(origin.address()).get("/");
    assert_eq!(answer.text(), "abcde");
    assert_eq!(answer.trailers.get("x-sum"), Some("1"));
    assert_eq!(answer.interim[0].status, 103);
    assert_eq!(answer.framing, Framing::Chunked);
}

#[test]
fn the_referee_refuses_every_ambiguous_request() {
    for bad in [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\nHost: a\n\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n X: y\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\na",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551616\r\n\r\na",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n",
        "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5 \r\nhello\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX\r\n0\r\n\r\n",
    ] {
        let (requests, rest) = requests_in(bad.as_bytes());
        assert!(requests.is_empty() && rest.is_err(), "{bad:?} was read as {requests:?}, {rest:?}");
    }
}

#[test]
fn the_referee_separates_pipelined_requests() {
    let bytes = b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n\
                  PUT /b HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nyoGET /c HTTP/1.1\r\nHo";
    let (requests, rest) = requests_in(bytes);
    let targets: Vec<&str> = requests.iter().map(|request| request.target.as_str()).collect();
    assert_eq!(targets, ["/a", "/b"]);
    assert_eq!(rest.unwrap(), b"GET /c HTTP/1.1\r\nHo");
}

#[test]
fn a_real_proxy_passes_bytes_between_the_client_and_the_origin() {
    let origin = Origin::by_request(|request| reply_with(200, &["X-Origin: 1"], &request.body));
    let proxy = Peer::haproxy(&[origin.address()]);
    let mut client = RawClient::connect(proxy.address());
    let body = vec![b'x'; 3_000_000];
    let mut request =
        format!("POST /up HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
    request.extend_from_slice(&body);
    let answer = client.exchange(request);
    assert_eq!(answer.fields.get("x-origin"), Some("1"));
    assert!(answer.body == body, "{} bytes came back", answer.body.len());
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn a_silent_connection_runs_into_the_deadline() {
    let origin = Origin::start(OriginConnection::hang);
    let mut client = RawClient::connect(origin.address()).patient_for(Duration::from_millis(50));
    client.send(GET).unwrap();
    assert!(matches!(client.read_answer("GET"), Err(WireError::Timeout(_))));
}
