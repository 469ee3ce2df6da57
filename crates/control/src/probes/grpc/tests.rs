#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
use std::time::Duration;

use loadweaver_config::{HealthCheck, ProbeKind, Protocol, Server};
use loadweaver_testkit::http2::raw::{block, flag, frame, kind};
use loadweaver_testkit::{Origin, OriginConnection};

use crate::fixture;

use super::super::tcp::Place;
use super::*;

fn check() -> HealthCheck {
    HealthCheck { kind: ProbeKind::Grpc, timeout: Duration::from_secs(5), ..HealthCheck::default() }
}

/// A probe's verdict on a server.
async fn probe(origin: &Origin, check: &HealthCheck) -> Result<Option<u16>, String> {
    let server = Server::clone(&fixture::pool(&[("127.0.0.1", origin.port())], check.clone()).servers[0]);
    let place = Place::plain(origin.address());
    let errand = Errand { check, server: &server, place, identity: None, protocol: Protocol::H2c };
    ask(errand).await.map(|answer| answer.status).map_err(|failure| failure.to_string())
}

/// A server that begins with empty settings, sends these frames once it was asked, and waits.
fn saying(frames: &[Vec<u8>]) -> Origin {
    let mut bytes = frame(kind::SETTINGS, 0, 0, &[]);
    bytes.extend(frames.concat());
    Origin::start(move |connection: &mut OriginConnection| {
        connection.write(&bytes);
        connection.hang()
    })
}

fn head(fields: &[(&str, &str)], flags: u8) -> Vec<u8> {
    frame(kind::HEADERS, flag::END_HEADERS | flags, 1, &block(fields))
}

fn data(bytes: &[u8]) -> Vec<u8> {
    frame(kind::DATA, 0, 1, bytes)
}

const OK: &[(&str, &str)] = &[(":status", "200"), ("content-type", "application/grpc+proto")];
const SERVING: &[u8] = &[0, 0, 0, 0, 2, 8, 1];

fn trailers(fields: &[(&str, &str)]) -> Vec<u8> {
    head(fields, flag::END_STREAM)
}

#[tokio::test]
async fn serving_is_well_however_the_answer_is_cut_into_frames() {
    let end = trailers(&[("grpc-status", "0")]);
    let mut cut: Vec<Vec<u8>> = vec![head(OK, 0)];
    cut.extend(SERVING.iter().map(|byte| data(&[*byte])));
    cut.push(end.clone());
    for frames in [vec![head(OK, 0), data(SERVING), end], cut] {
        assert_eq!(probe(&saying(&frames), &check()).await, Ok(None));
    }
}

#[tokio::test]
async fn what_is_not_serving_is_told_in_words() {
    let shop = HealthCheck { service: "shop.Cart".to_owned(), ..check() };
    let says = |status: u8| {
        let message = [&SERVING[..6], &[status]].concat();
        saying(&[head(OK, 0), data(&message), trailers(&[("grpc-status", "0")])])
    };
    for (status, check, words) in [
        (2, &check(), "NOT_SERVING"),
        (2, &shop, "NOT_SERVING (the service \"shop.Cart\")"),
        (0, &check(), "health UNKNOWN"),
        (3, &shop, "SERVICE_UNKNOWN: the server does not know the service \"shop.Cart\""),
        (9, &check(), "health status 9, which no version knows"),
    ] {
        assert_eq!(probe(&says(status), check).await, Err(words.to_owned()));
    }
}

#[tokio::test]
async fn a_call_that_fails_says_why_in_its_trailers_or_in_its_only_head() {
    let shop = HealthCheck { service: "shop.Cart".to_owned(), ..check() };
    for (status, message, words) in [
        ("12", "Method not found!", "grpc status 12 UNIMPLEMENTED: the server has no grpc.health.v1.Health"),
        ("5", "", "grpc status 5 NOT_FOUND: the server does not know the service \"shop.Cart\""),
        ("14", "100%25 d%C3%A9bord%C3%A9 %zz%", "grpc status 14 UNAVAILABLE: 100% débordé %zz%"),
        ("16", "", "grpc status 16 UNAUTHENTICATED"),
        ("4711", "odd", "grpc status 4711: odd"),
    ] {
        let fields = [("grpc-status", status), ("grpc-message", message)];
        let only = [OK, &fields].concat();
        for frames in [vec![head(&only, flag::END_STREAM)], vec![head(OK, 0), trailers(&fields)]] {
            assert_eq!(probe(&saying(&frames), &shop).await, Err(words.to_owned()));
        }
    }
}

#[tokio::test]
async fn what_no_health_service_answers_is_called_that() {
    let end = || trailers(&[("grpc-status", "0")]);
    let refused = |fields: &[(&str, &str)]| vec![head(fields, 0), data(b"<html>")];
    let html = [(":status", "200"), ("content-type", "text/html")];
    let long = "x".repeat(2000);
    for (frames, words) in [
        (refused(&[(":status", "404")]), "HTTP status 404 and no grpc-status: this is no gRPC"),
        (refused(&html), "content-type text/html: this is no gRPC"),
        (refused(&[(":status", "200")]), "no content-type: this is no gRPC"),
        (vec![head(&[OK, &[("grpc-status", "0")]].concat(), flag::END_STREAM)], "OK, but no message"),
        (
            vec![head(&[OK, &[("grpc-status", "well")]].concat(), flag::END_STREAM)],
            "the grpc-status \"well\"",
        ),
        (vec![head(&[OK, &[("grpc-status", "-1")]].concat(), flag::END_STREAM)], "the grpc-status \"-1\""),
        (vec![head(OK, 0), end()], "OK, but no message"),
        (vec![head(OK, 0), data(&SERVING[..6]), end()], "a message that was cut"),
        (vec![head(OK, 0), data(SERVING), trailers(&[("x", "y")])], "ends without a grpc-status"),
        (vec![head(OK, flag::END_STREAM)], "ends without a grpc-status"),
        // These are judged although no end ever comes.
        (vec![head(OK, 0), data(b"\x01\0\0\0\x02")], "a compressed message, which was not asked for"),
        (vec![head(OK, 0), data(b"\0\x7f\0\0\0")], "a message of 2130706432 bytes"),
        (vec![head(OK, 0), data(SERVING), data(SERVING)], "more than one message"),
        (vec![head(OK, 0), data(long.as_bytes())], "no message of gRPC"),
        (vec![frame(kind::RST_STREAM, 0, 1, &[0, 0, 0, 7])], "refused_stream"),
        (vec![frame(kind::RST_STREAM, 0, 9, &[])], "no HTTP/2 answer"),
    ] {
        let failure = probe(&saying(&frames), &check()).await.unwrap_err();
        assert!(failure.starts_with("bad answer: ") && failure.contains(words), "{failure:?}: {words}");
    }
}

#[tokio::test]
async fn a_server_that_never_ends_its_answer_is_out_of_time() {
    let check = HealthCheck { timeout: Duration::from_millis(200), ..check() };
    for frames in [vec![], vec![head(OK, 0)], vec![head(OK, 0), data(SERVING)]] {
        assert_eq!(probe(&saying(&frames), &check).await, Err("no answer in time".to_owned()));
    }
}

#[tokio::test]
async fn a_server_of_http_1_is_no_server_of_grpc() {
    let failure = probe(&Origin::named("old"), &check()).await.unwrap_err();
    assert!(failure.contains("HTTP/2"), "{failure}");
}

#[test]
fn calls_as_the_protocol_wants_it() {
    let server = Server::clone(&fixture::pool(&[("app", 9000)], check()).servers[0]);
    let headers = vec![("authorization".to_owned(), "Bearer x".to_owned())];
    let check = HealthCheck { headers, ..check() };
    let place = Place::plain(([127, 0, 0, 1], 9000).into());
    let errand = Errand { check: &check, server: &server, place, identity: None, protocol: Protocol::H2c };
    let expected = format!(
        "POST /grpc.health.v1.Health/Check HTTP/1.1\r\nHost: app:9000\r\nTE: trailers\r\n\
         Content-Type: application/grpc\r\ngrpc-timeout: 5000m\r\nUser-Agent: loadweaver/{VERSION}\r\n\
         authorization: Bearer x\r\n\r\n"
    );
    assert_eq!(request(&errand), expected);
}
