//! Bodies on the move: large ones, `100-continue`, answers that come before the upload is over, and clients that
//! must get their answer although they are still sending.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::time::Duration;

use loadweaver_testkit::config::{one_pool, one_pool_with};
use loadweaver_testkit::origin::reply;
use loadweaver_testkit::{Balancer, Framing, Origin, RawClient, WireError, eventually};
use serde_json::json;

const BINARY: &str = env!("CARGO_BIN_EXE_loadweaver");
const LARGE: usize = 20 * 1024 * 1024;

fn balancer(origin: &Origin) -> Balancer {
    Balancer::start(BINARY, &one_pool_with(&[origin.address()], &json!({ "retry": { "attempts": 1 } })))
}

/// Noise whose period, a prime, is in step with no buffer, so that a piece lost or doubled shows.
fn content(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    let step = |_| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[0]
    };
    let period: Vec<u8> = (0..65_521).map(step).collect();
    let mut bytes = period.repeat(length / period.len() + 1);
    bytes.truncate(length);
    bytes
}

/// The body in chunks of changing size, without the last one.
fn chunked(body: &[u8]) -> Vec<u8> {
    let (mut bytes, mut rest, mut size) = (Vec::new(), body, 1);
    while !rest.is_empty() {
        let (piece, others) = rest.split_at(size.min(rest.len()));
        bytes.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        bytes.extend_from_slice(piece);
        bytes.extend_from_slice(b"\r\n");
        (rest, size) = (others, (size * 7 + 3) % 100_000 + 1);
    }
    bytes
}

/// Sends from another thread, so that reading goes on meanwhile.
fn send_beside(client: &RawClient, bytes: Vec<u8>) -> std::thread::JoinHandle<std::io::Result<()>> {
    let mut socket = client.socket().try_clone().unwrap();
    std::thread::spawn(move || std::io::Write::write_all(&mut socket, &bytes))
}

#[test]
fn large_downloads_arrive_byte_for_byte() {
    let body = content(LARGE);
    let sent = body.clone();
    let origin = Origin::by_request(move |request| {
        if request.target == "/length" {
            return reply(200, &sent);
        }
        let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        [head, chunked(&sent), b"0\r\n\r\n".to_vec()].concat()
    });
    let balancer = balancer(&origin);
    let mut client = balancer.client();
    client.set_patience(Duration::from_secs(40));
    for path in ["/length", "/chunked"] {
        let answer = client.get(path);
        assert!(answer.body == body, "{path}: {} bytes, or other ones", answer.body.len());
    }
}

#[test]
fn the_end_of_a_long_body_is_seen_with_its_last_byte() {
    let body = content(LARGE);
    let sent = body.clone();
    let origin = Origin::by_request(move |_| reply(200, &sent));
    let balancer = balancer(&origin);
    for _ in 0..3 {
        let mut client = balancer.client().patient_for(Duration::from_secs(5));
        let answer = client.exchange("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        assert!(answer.body == body);
        // Without waiting for the server to do anything more.
        client.expect_closed();
    }
    assert_eq!(origin.connections(), 1, "the server's connection was given back each time");
}

#[test]
fn large_uploads_arrive_byte_for_byte() {
    let body = content(LARGE);
    let expected = body.clone();
    let origin = Origin::start(move |connection| {
        connection.set_patience(Duration::from_secs(40));
        loop {
            let request = connection.read_request()?;
            let verdict = if request.body == expected { "same" } else { "other" };
            connection.write(reply(200, format!("{verdict} {:?}", request.framing)));
        }
    });
    let balancer = balancer(&origin);
    let mut client = balancer.client();
    client.set_patience(Duration::from_secs(40));
    let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len());
    let answer = client.exchange([head.as_bytes(), &body].concat());
    assert_eq!(answer.text(), format!("same Length({LARGE})"));
    let head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    let answer = client.exchange([head, chunked(&body), b"0\r\n\r\n".to_vec()].concat());
    assert_eq!(answer.text(), "same Chunked");
}

#[test]
fn a_large_echo_flows_both_ways_at_once() {
    let origin = Origin::start(|connection| {
        let request = connection.read_request_head()?;
        let Framing::Length(length) = request.framing else { panic!("{request:?}") };
        connection.write(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"));
        let mut left = usize::try_from(length).unwrap();
        while left > 0 {
            let piece = connection.read_exact(left.min(50_000))?;
            left -= piece.len();
            connection.write(piece);
        }
        Ok(())
    });
    let body = content(8 * 1024 * 1024);
    let balancer = balancer(&origin);
    let mut client = balancer.client();
    client.set_patience(Duration::from_secs(30));
    let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len());
    let sender = send_beside(&client, [head.as_bytes(), &body].concat());
    let answer = client.answer("POST");
    assert!(answer.body == body, "{} bytes, or other ones", answer.body.len());
    sender.join().unwrap().unwrap();
}

#[test]
fn a_client_that_waits_for_100_continue_gets_the_servers() {
    let origin = Origin::start(|connection| {
        let mut request = connection.read_request_head()?;
        assert!(request.fields.lists("expect", "100-continue"), "{request:?}");
        connection.write("HTTP/1.1 100 Continue\r\n\r\n");
        connection.read_request_body(&mut request)?;
        connection.write(reply(200, &request.body));
        Ok(())
    });
    let balancer = balancer(&origin);
    let mut client = balancer.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n").unwrap();
    assert_eq!(client.read_answer_head("POST").unwrap().status, 100);
    client.send("hello").unwrap();
    assert_eq!(client.answer("POST").text(), "hello");
}

#[test]
fn a_client_that_waits_for_100_continue_may_be_refused_instead() {
    let origin = Origin::start(|connection| {
        connection.read_request_head()?;
        connection.write(reply(417, "no"));
        Ok(())
    });
    let balancer = balancer(&origin);
    let mut client = balancer.client();
    let answer =
        client.exchange("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    assert_eq!((answer.status, answer.interim.len()), (417, 0));
    // Whether the five bytes will come is not known, so only a closed connection is unambiguous.
    assert!(answer.says_close());
    client.expect_closed();
}

#[test]
fn a_client_that_does_not_wait_for_100_continue_is_served() {
    let origin = Origin::answering(reply(200, "hi"));
    let balancer = balancer(&origin);
    let mut client = balancer.client();
    let answer = client
        .exchange("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello");
    assert_eq!(answer.text(), "hi");
    assert_eq!(origin.requests()[0].body, b"hello");
}

#[test]
fn an_early_answer_reaches_a_client_that_is_still_sending() {
    let origin = Origin::start(|connection| {
        connection.read_request_head()?;
        connection.write("HTTP/1.1 403 No\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno");
        Ok(())
    });
    let balancer = balancer(&origin);
    let mut client = balancer.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nfirst bytes").unwrap();
    let answer = client.answer("POST");
    assert_eq!((answer.status, answer.text().as_str()), (403, "no"));
}

#[test]
fn an_early_answer_does_not_stop_an_upload_that_the_server_still_takes() {
    let origin = Origin::start(|connection| {
        let mut request = connection.read_request_head()?;
        connection.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nearly\r\n");
        connection.read_request_body(&mut request)?;
        connection.write(format!("{:x}\r\n{}\r\n0\r\n\r\n", 5, "after"));
        assert_eq!(request.body.len(), 300_000);
        connection.hang()
    });
    let balancer = balancer(&origin);
    let mut client = balancer.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n").unwrap();
    let head = client.read_answer_head("POST").unwrap();
    assert_eq!(head.status, 200);
    assert_eq!(client.read_exact(10).unwrap(), b"5\r\nearly\r\n");
    client.send(vec![b'u'; 300_000]).unwrap();
    assert_eq!(client.read_exact(15).unwrap(), b"5\r\nafter\r\n0\r\n\r\n");
}

#[test]
fn a_whole_early_answer_does_not_mix_the_rest_of_the_upload_into_the_next_request() {
    let origin = Origin::start(|connection| {
        let request = connection.read_request_head()?;
        connection.write(reply(200, &request.target));
        let mut request = request;
        connection.read_request_body(&mut request)?;
        loop {
            let next = connection.read_request()?;
            connection.write(reply(200, &next.target));
        }
    });
    let balancer = balancer(&origin);
    let mut client = balancer.client();
    client.send("POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\nGET /").unwrap();
    assert_eq!(client.answer("POST").text(), "/early");
    // The rest of the body, which looks like a request's continuation, and then a real request.
    let _ = client.send("smuggled HTTP/1GET /next HTTP/1.1\r\nHost: a\r\n\r\n");
    match client.read_answer("GET") {
        Ok(answer) => assert_eq!(answer.text(), "/next"),
        Err(error) => assert!(error.is_end(), "{error:?}"),
    }
    assert!(origin.requests().iter().all(|request| !request.target.contains("smuggled")));
}

#[test]
fn a_server_that_answers_early_and_resets_the_upload_still_gets_its_answer_through() {
    let origin = Origin::start(|connection| {
        connection.read_request_head()?;
        connection.read_exact(1000)?;
        connection.write("HTTP/1.1 413 Too Much\r\nContent-Length: 4\r\nConnection: close\r\n\r\nmuch");
        // Closing with the upload unread makes the kernel send a reset behind the answer.
        Ok(())
    });
    let balancer = balancer(&origin);
    let mut client = balancer.client();
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3000000\r\n\r\n".as_bytes().to_vec();
    let sender = send_beside(&client, [head, content(3_000_000)].concat());
    let answer = client.answer("POST");
    assert_eq!((answer.status, answer.text().as_str()), (413, "much"));
    drop(client);
    drop(balancer);
    let _ = sender.join();
}

#[test]
fn a_body_over_the_limit_is_refused_whether_counted_or_chunked() {
    let origin = Origin::named("x");
    let balancer =
        Balancer::start(BINARY, &one_pool(&[origin.address()], &json!({ "limits": { "body": "64KiB" } })));
    let mut client = balancer.client();
    let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", 65_537);
    let answer = client.exchange([head.as_bytes(), &content(65_537)].concat());
    assert_eq!((answer.status, answer.failure()), (413, Some("body_too_large")));
    let mut client = balancer.client();
    let head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    let answer = client.exchange([head, chunked(&content(200_000)), b"0\r\n\r\n".to_vec()].concat());
    assert_eq!((answer.status, answer.failure()), (413, Some("body_too_large")));
    assert!(origin.requests().is_empty(), "no server was told that it was whole");
    let mut client = balancer.client();
    let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", 65_536);
    assert_eq!(client.exchange([head.as_bytes(), &content(65_536)].concat()).status, 200);
}

#[test]
fn a_client_that_takes_nothing_holds_the_server_back_and_costs_no_memory() {
    let origin = Origin::start(|connection| {
        connection.read_request()?;
        connection.write("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
        let piece = vec![b'x'; 1 << 20];
        while connection.send(&piece).is_ok() {}
        Err(WireError::Closed)
    });
    let balancer = balancer(&origin);
    let mut client = balancer.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    client.read_answer_head("GET").unwrap();
    let resident = || -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", balancer.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    // The sockets' own buffers fill within a moment; what would grow without end has grown by then.
    let (mut last, mut steady) = (resident(), 0);
    eventually("the memory stays flat", || {
        let now = resident();
        steady = if now <= last { steady + 1 } else { 0 };
        last = now;
        steady > 60
    });
    assert!(resident() < 200_000, "{} KiB resident", resident());
}
