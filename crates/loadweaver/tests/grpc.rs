//! gRPC through the binary: Python's grpcio on both ends, and what is tried again.
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used)]

use std::path::PathBuf;
use std::process::Command;

use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::{HeaderMap, Request, Response};
use loadweaver_testkit::config::{merge, one_pool, one_pool_with};
use loadweaver_testkit::http2::client::{Reply, request};
use loadweaver_testkit::http2::origin::send;
use loadweaver_testkit::peer::grpcio_python;
use loadweaver_testkit::scratch::Scratch;
use loadweaver_testkit::tls::Authority;
use loadweaver_testkit::{Balancer, Http2Client, Http2Origin, Origin, Peer, WireError};
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_loadweaver");

fn talk(balancer: &Balancer, ca: Option<PathBuf>) {
    let mut client = Command::new(grpcio_python());
    client.arg("-c").arg(include_str!("grpc/client.py")).arg(balancer.address().to_string()).args(ca);
    let output = client.output().expect("python starts");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(out.trim(), "fine", "{err}\n{:#?}", balancer.stderr());
}

#[test]
fn grpcio_calls_grpcio_in_the_clear() {
    let server = Peer::grpcio(include_str!("grpc/server.py"), &[]);
    let balancer =
        Balancer::start(BINARY, &one_pool_with(&[server.address()], &json!({ "protocol": "h2c" })));
    talk(&balancer, None);
}

#[test]
fn grpcio_calls_grpcio_over_tls() {
    let (authority, files) = (Authority::new("gRPC"), Scratch::new());
    let signed = authority.sign(&["test"]);
    let (cert, key) = (files.file("cert.pem", &signed.cert), files.file("key.pem", &signed.key));
    let ca = files.file("ca.pem", &authority.pem);
    let server = Peer::grpcio(include_str!("grpc/server.py"), &[&cert, &key]);
    let mut config = one_pool(&[server.address()], &json!({}));
    let tls = json!({ "caFile": ca, "serverName": "test" });
    merge(&mut config, &json!({ "pools": { "app": { "tls": tls } } }));
    let certificates = json!([{ "cert": cert, "key": key }]);
    merge(&mut config, &json!({ "listeners": { "web": { "tls": { "certificates": certificates } } } }));
    talk(&Balancer::start(BINARY, &config), Some(ca));
}

/// Answers with this status and nothing else, in one head.
fn only(status: &'static str, mut respond: SendResponse<Bytes>) -> Result<(), h2::Error> {
    let head = Response::builder().header("content-type", "application/grpc").header("grpc-status", status);
    respond.send_response(head.body(()).expect("a head"), true).map(drop)
}

/// Answers with a message and this status in the trailers.
async fn message(status: &'static str, mut respond: SendResponse<Bytes>) -> Result<(), h2::Error> {
    let head = Response::builder().header("content-type", "application/grpc").body(()).expect("a head");
    let mut stream = respond.send_response(head, false)?;
    send(&mut stream, Bytes::from_static(b"\0\0\0\0\x02ok")).await?;
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", status.parse().expect("a value"));
    stream.send_trailers(trailers)
}

fn refusing(status: &'static str) -> Http2Origin {
    Http2Origin::start(move |_: Request<RecvStream>, respond| std::future::ready(only(status, respond)))
}

/// The same after the message.
fn refusing_what_it_read(status: &'static str) -> Http2Origin {
    Http2Origin::start(move |mut request: Request<RecvStream>, respond| async move {
        while request.body_mut().data().await.transpose()?.is_some() {}
        only(status, respond)
    })
}

fn good() -> Http2Origin {
    Http2Origin::start(|_: Request<RecvStream>, respond| message("0", respond))
}

fn call(servers: &[&Http2Origin], retry: &Value) -> Vec<Reply> {
    let addresses: Vec<_> = servers.iter().map(|server| server.address()).collect();
    let pool = json!({ "protocol": "h2c", "retry": retry });
    let balancer = Balancer::start(BINARY, &one_pool_with(&addresses, &pool));
    let client = Http2Client::connect(balancer.address());
    let calls = (0..servers.len()).map(|_| {
        let mut call = request("POST", "/test.Echo/Unary");
        call.headers_mut().insert("content-type", "application/grpc".parse().expect("a value"));
        client.exchange(call, &b"\0\0\0\0\x02hi"[..], None).expect("an answer")
    });
    calls.collect()
}

#[test]
fn a_call_that_is_unavailable_is_made_again_elsewhere_where_that_is_configured() {
    let (bad, fine) = (refusing("14"), good());
    for told in call(&[&bad, &fine], &json!({ "on": ["unavailable"] })) {
        assert_eq!((told.trailer("grpc-status"), told.body.as_slice()), (Some("0"), &b"\0\0\0\0\x02ok"[..]));
    }
    assert!(bad.requests() > 0);
    let told = call(&[&bad, &fine], &json!({}));
    let failed = told.iter().filter(|told| told.field("grpc-status") == Some("14")).count();
    assert_eq!(failed, 1, "it is not tried again by itself: {told:?}");
}

#[test]
fn nothing_but_unavailable_and_nothing_that_has_begun_is_made_again() {
    let on = json!({ "on": ["unavailable"] });
    for status in ["13", "4", "8", "0"] {
        let servers = [refusing(status), refusing(status)];
        call(&[&servers[0], &servers[1]], &on);
        assert_eq!(servers[0].requests() + servers[1].requests(), 2, "grpc-status {status}");
    }
    let begun = || Http2Origin::start(|_: Request<RecvStream>, respond| message("14", respond));
    let servers = [begun(), begun()];
    call(&[&servers[0], &servers[1]], &on);
    assert_eq!(servers[0].requests() + servers[1].requests(), 2);
    // A body that was not kept cannot be sent again, once some of it was taken.
    let servers = [refusing_what_it_read("14"), refusing_what_it_read("14")];
    call(&[&servers[0], &servers[1]], &json!({ "on": ["unavailable"], "bufferBody": 0 }));
    assert_eq!(servers[0].requests() + servers[1].requests(), 2);
}

#[test]
fn the_last_answer_is_passed_on_when_every_server_is_unavailable() {
    let servers = [refusing("14"), refusing("14")];
    for told in call(&[&servers[0], &servers[1]], &json!({ "on": ["unavailable"] })) {
        assert_eq!((told.status, told.field("grpc-status")), (200, Some("14")));
    }
    assert_eq!(servers[0].requests() + servers[1].requests(), 4);
}

/// A call with this deadline to a server that answers with a message, and then hangs or goes.
fn begun(timeout: &str, hangs: bool) -> Reply {
    let server = Origin::start(move |connection| {
        connection.read_request()?;
        connection
            .write("HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\nTransfer-Encoding: chunked\r\n\r\n");
        connection.write(b"7\r\n\0\0\0\0\x02ok\r\n");
        if hangs { connection.hang() } else { Err(WireError::Closed) }
    });
    let balancer = Balancer::start(BINARY, &one_pool(&[server.address()], &json!({})));
    let client = Http2Client::connect(balancer.address());
    let mut call = request("POST", "/test.Echo/Stream");
    call.headers_mut().insert("content-type", "application/grpc".parse().expect("a value"));
    call.headers_mut().insert("grpc-timeout", timeout.parse().expect("a value"));
    client.exchange(call, &b"\0\0\0\0\x02hi"[..], None).expect("an answer")
}

#[test]
fn a_call_that_has_begun_to_be_answered_is_told_how_it_ended() {
    for (told, status) in [(begun("300m", true), "4"), (begun("1M", false), "14")] {
        assert_eq!((told.status, told.body.as_slice()), (200, &b"\0\0\0\0\x02ok"[..]), "{told:?}");
        assert_eq!(told.trailer("grpc-status"), Some(status), "{told:?}");
        assert!(told.trailer("grpc-message").is_some_and(|message| !message.is_empty()), "{told:?}");
    }
}
