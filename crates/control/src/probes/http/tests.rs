#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
use std::net::SocketAddr;

use loadweaver_config::{BodyPattern, ProbeKind, Protocol};
use loadweaver_testkit::origin::reply;
use loadweaver_testkit::{Origin, OriginConnection};

use crate::fixture;

use super::super::tcp::Place;
use super::*;

fn check() -> HealthCheck {
    HealthCheck { kind: ProbeKind::Http, timeout: Duration::from_secs(5), ..HealthCheck::default() }
}

fn containing(text: &str) -> HealthCheck {
    HealthCheck { expect_body: Some(BodyPattern::Contains(text.to_owned())), ..check() }
}

fn matching(text: &str) -> HealthCheck {
    HealthCheck { expect_body: Some(BodyPattern::Regex(text.to_owned())), ..check() }
}

fn server(host: &str, port: u16) -> Server {
    fixture::pool(&[(host, port)], check()).servers[0].as_ref().clone()
}

fn errand<'a>(
    check: &'a HealthCheck,
    server: &'a Server,
    address: SocketAddr,
    protocol: Protocol,
) -> Errand<'a> {
    Errand { check, server, place: Place::plain(address), identity: None, protocol }
}

async fn probe(origin: &Origin, check: &HealthCheck) -> Result<u16, String> {
    let server = server("127.0.0.1", origin.port());
    let answer = ask(errand(check, &server, origin.address(), Protocol::Http1)).await;
    answer.map(|answer| answer.status.unwrap()).map_err(|failure| failure.to_string())
}

/// An origin that reads a request, sends these bytes, and does as the end says.
fn saying(
    bytes: &str,
    end: fn(&mut OriginConnection) -> Result<(), loadweaver_testkit::WireError>,
) -> Origin {
    let bytes = bytes.to_owned();
    Origin::start(move |connection| {
        connection.read_request()?;
        connection.write(&bytes);
        end(connection)
    })
}

const CLOSE: fn(&mut OriginConnection) -> Result<(), loadweaver_testkit::WireError> = |_| Ok(());

#[tokio::test]
async fn asks_with_the_method_headers_and_host_that_were_configured() {
    let origin = Origin::answering(reply(200, "well"));
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let check = HealthCheck {
        method: "POST".to_owned(),
        path: "/ready?deep=1".to_owned(),
        headers: vec![header("user-agent", "ours"), header("x-probe", "yes, please")],
        ..check()
    };
    assert_eq!(probe(&origin, &check).await, Ok(200));
    let request = &origin.requests()[0];
    assert_eq!((request.method.as_str(), request.target.as_str()), ("POST", "/ready?deep=1"));
    assert_eq!(request.fields.get("user-agent"), Some("ours"));
    assert_eq!(request.fields.get("x-probe"), Some("yes, please"));
    assert_eq!(request.fields.get("content-length"), Some("0"));
    assert_eq!(request.fields.get("accept"), Some("*/*"));
}

#[test]
fn names_the_port_that_is_probed() {
    let text = |check: HealthCheck, host: &str, port| request(&check, &server(host, port), check.tls);
    let other = HealthCheck { port: Some(9000), ..check() };
    assert!(text(other, "app", 80).contains("\r\nHost: app:9000\r\n"));
    let tls = HealthCheck { port: Some(443), tls: true, ..check() };
    assert!(text(tls, "::1", 8080).contains("\r\nHost: [::1]\r\n"));
    let plain = HealthCheck { tls: true, ..check() };
    assert!(text(plain, "app", 80).contains("\r\nHost: app:80\r\n"));
}

#[tokio::test]
async fn the_port_of_the_check_is_asked_instead_of_the_servers() {
    let origin = Origin::answering(reply(200, "well"));
    let check = HealthCheck { port: Some(origin.port()), ..check() };
    let watched = fixture::watched(fixture::pool(&[("127.0.0.1", 1)], check));
    let pool = &watched.snapshot.pools[0];
    let answered = super::super::question::ask(&pool.config, &pool.servers[0]).await.unwrap();
    assert_eq!(answered.status(), Some(200));
}

#[tokio::test]
async fn headers_are_expected_to_be_there_with_their_values() {
    let origin = saying(
        "HTTP/1.1 200 OK\r\nX-Ready: no\r\nX-Ready: yes\r\nX-Role: standby\x7f\r\nContent-Length: 0\r\n\r\n",
        CLOSE,
    );
    let expecting = |name: &str, value: &str| HealthCheck {
        expect_headers: vec![(name.to_owned(), value.to_owned())],
        ..check()
    };
    let refused = probe(&origin, &expecting("x-ready", "yes")).await.unwrap_err();
    assert!(refused.contains("no HTTP/1 answer"), "a control character in a header: {refused}");
    let origin = saying(
        "HTTP/1.1 200 OK\r\nX-Ready: no\r\nX-Ready: yes\r\nX-Role: standby\r\nContent-Length: 0\r\n\r\n",
        CLOSE,
    );
    assert_eq!(probe(&origin, &expecting("x-ready", "yes")).await, Ok(200));
    assert_eq!(
        probe(&origin, &expecting("x-role", "primary")).await,
        Err("the header x-role is \"standby\"".to_owned())
    );
    assert_eq!(
        probe(&origin, &expecting("x-other", "1")).await,
        Err("the header x-other is missing".to_owned())
    );
}

#[tokio::test]
async fn a_body_is_judged_however_it_is_framed() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nall is well",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nall i\r\n6;x=y\r\ns well\r\n0\r\n\r\n",
        "HTTP/1.0 200 OK\r\n\r\nall is well",
    ] {
        let origin = saying(answer, CLOSE);
        assert_eq!(probe(&origin, &containing("is well")).await, Ok(200), "{answer}");
        assert_eq!(probe(&origin, &matching("^all .* well$")).await, Ok(200), "{answer}");
        assert_eq!(
            probe(&origin, &containing("is bad")).await,
            Err("the body does not contain \"is bad\"".to_owned())
        );
        assert_eq!(
            probe(&origin, &matching("^well")).await,
            Err("nothing in the body matches \"^well\"".to_owned())
        );
    }
}

#[tokio::test]
async fn what_stands_behind_the_body_is_not_the_body() {
    let origin = saying("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbadwell", CLOSE);
    assert!(probe(&origin, &containing("well")).await.is_err());
    // Nor is the framing.
    let chunks =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;well=well\r\nbad\r\n0\r\nX: well\r\n\r\n";
    assert!(probe(&saying(chunks, CLOSE), &containing("well")).await.is_err());
    // Nor the head; and a HEAD has none.
    let head = "HTTP/1.1 200 OK\r\nX-Well: well\r\nContent-Length: 4\r\n\r\n";
    assert!(probe(&saying(head, CLOSE), &containing("well")).await.is_err());
    let check = HealthCheck { method: "HEAD".to_owned(), ..check() };
    assert_eq!(probe(&saying(head, OriginConnection::hang), &check).await, Ok(200));
}

#[tokio::test]
async fn only_the_first_64_kib_count_and_nobody_waits_for_more() {
    let flood = |text: &'static str, before: usize| {
        Origin::start(move |connection| {
            connection.read_request()?;
            connection.write("HTTP/1.1 200 OK\r\n\r\n");
            connection.write("x".repeat(before));
            connection.write(text);
            while connection.send([b'x'; 16 * 1024]).is_ok() {}
            Ok(())
        })
    };
    let edge = HealthCheck::PROBED_BODY - 4;
    assert_eq!(probe(&flood("well", edge), &containing("well")).await, Ok(200));
    assert_eq!(probe(&flood("well", edge), &matching("well")).await, Ok(200));
    assert!(probe(&flood("well", edge + 1), &containing("well")).await.is_err());
    assert!(probe(&flood("well", edge + 1), &matching("well")).await.is_err());
}

#[tokio::test]
async fn a_body_that_never_ends_is_judged_by_what_came() {
    let origin = saying("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nwell", OriginConnection::hang);
    // Found: nobody waits for the rest.
    let began = Instant::now();
    assert_eq!(probe(&origin, &containing("well")).await, Ok(200));
    assert!(began.elapsed() < Duration::from_secs(4));
    let short = |check| HealthCheck { timeout: Duration::from_millis(200), ..check };
    assert_eq!(probe(&origin, &short(matching("well$"))).await, Ok(200));
    let refused = probe(&origin, &short(containing("bad"))).await.unwrap_err();
    assert_eq!(refused, "the body does not contain \"bad\"");
}

#[tokio::test]
async fn a_pattern_is_found_across_any_cut() {
    let origin = Origin::start(|connection| {
        connection.read_request()?;
        connection.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        for byte in "..well..".chars() {
            connection.write(format!("1\r\n{byte}\r\n"));
            std::thread::sleep(Duration::from_millis(5));
        }
        connection.write("0\r\n\r\n");
        Ok(())
    });
    assert_eq!(probe(&origin, &containing("well")).await, Ok(200));
    assert_eq!(probe(&origin, &containing("..well..")).await, Ok(200));
}

#[tokio::test]
async fn a_hostile_answer_is_a_bad_one_in_bounded_time() {
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(200));
    let interim = "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n".repeat(1_000);
    for (answer, words) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nwell!", "ambiguous or malformed"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\nwell", "ambiguous"),
        ("HTTP/1.1 200 OK\nContent-Length: 4\n\nwell", "no HTTP/1 answer"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "malformed chunk size"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n", "malformed chunk size"),
        ("HTTP/1.1 999 OK\r\n\r\n", "no HTTP/1 answer"),
        ("HTTP/2 200\r\n\r\n", "no HTTP/1 answer"),
        (many.as_str(), "128 fields"),
        (interim.as_str(), "16384 bytes"),
    ] {
        let refused = probe(&saying(answer, CLOSE), &containing("never")).await.unwrap_err();
        assert!(refused.contains(words), "{refused} does not say {words}");
    }
    // Interim answers without end do not outlast the time.
    let origin = Origin::start(|connection| {
        connection.read_request()?;
        while connection.send(b"HTTP/1.1 102 Processing\r\n\r\n").is_ok() {
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    });
    let short = HealthCheck { timeout: Duration::from_millis(200), ..check() };
    assert_eq!(probe(&origin, &short).await, Err("no answer in time".to_owned()));
}

#[tokio::test]
async fn statuses_are_judged_first() {
    let origin = Origin::answering(reply(503, "well"));
    assert_eq!(probe(&origin, &containing("well")).await, Err("answered with status 503".to_owned()));
}

#[tokio::test]
async fn a_body_that_was_packed_all_the_same_is_said_to_be() {
    let origin =
        saying("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\u{1f}zip", CLOSE);
    assert_eq!(
        probe(&origin, &containing("well")).await,
        Err("the body does not contain \"well\"; it is encoded: gzip".to_owned())
    );
    assert_eq!(origin.requests()[0].fields.get("accept-encoding"), Some("identity"));
}

async fn ask_http2(check: &HealthCheck, address: std::net::SocketAddr) -> Result<u16, String> {
    let server = server("127.0.0.1", address.port());
    let answer = ask(errand(check, &server, address, Protocol::H2c)).await;
    answer.map(|answer| answer.status.unwrap()).map_err(|failure| failure.to_string())
}

#[tokio::test]
async fn a_server_of_http_2_alone_is_asked_in_http_2() {
    let origin = loadweaver_testkit::Http2Origin::echoing();
    let path = HealthCheck { path: "/health".to_owned(), ..containing("GET /health") };
    assert_eq!(ask_http2(&path, origin.address()).await, Ok(200));
    let failure = ask_http2(&containing("something else"), origin.address()).await.unwrap_err();
    assert!(failure.contains("something else"), "{failure}");
    let status = loadweaver_config::StatusRange { first: 204, last: 204 };
    let failure = ask_http2(&HealthCheck { expect_status: vec![status], ..check() }, origin.address()).await;
    assert!(failure.unwrap_err().contains("200"));
    assert!(origin.requests() == 3);
}

#[tokio::test]
async fn a_server_of_http_1_gives_a_probe_of_http_2_no_answer() {
    let origin = loadweaver_testkit::Origin::named("old");
    let failure = ask_http2(&check(), origin.address()).await.unwrap_err();
    assert!(failure.contains("HTTP/2"), "{failure}");
}
