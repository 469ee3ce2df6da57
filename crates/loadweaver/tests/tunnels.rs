//! Upgraded connections (WebSocket) and CONNECT: bytes pass untouched both ways until either side ends.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::time::{Duration, Instant};

use loadweaver_testkit::config::{one_pool, one_pool_with};
use loadweaver_testkit::origin::reply;
use loadweaver_testkit::{Balancer, Origin, RawClient, eventually};
use serde_json::json;

const BINARY: &str = env!("CARGO_BIN_EXE_loadweaver");
const UPGRADE: &str = "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                       Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                      Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// Upgrades, then sends every byte back until the client ends.
fn echoing() -> Origin {
    Origin::start(|connection| {
        let request = connection.read_request()?;
        if !request.fields.lists("connection", "upgrade") {
            connection.write(reply(200, "plain"));
            return Ok(());
        }
        connection.write(SWITCH);
        while let Ok(byte) = connection.read_exact(1) {
            connection.write(byte);
        }
        Ok(())
    })
}

fn upgraded(balancer: &Balancer) -> RawClient {
    let mut client = balancer.client();
    client.send(UPGRADE).unwrap();
    let answer = client.read_answer_head("GET").unwrap();
    assert_eq!(answer.status, 101);
    assert!(answer.fields.lists("connection", "upgrade"), "{:?}", answer.fields);
    assert_eq!(answer.fields.get("upgrade"), Some("websocket"));
    assert_eq!(answer.fields.get("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    client
}

#[test]
fn an_upgrade_opens_a_tunnel_both_ways() {
    let origin = echoing();
    let balancer = Balancer::start(BINARY, &one_pool(&[origin.address()], &json!({})));
    let mut client = upgraded(&balancer);
    let request = origin.wait_for_requests(1).remove(0);
    assert_eq!(request.fields.get("upgrade"), Some("websocket"));
    assert_eq!(request.fields.get("sec-websocket-key"), Some("dGhlIHNhbXBsZSBub25jZQ=="));
    for bytes in [b"\x81\x05hello".as_slice(), b"GET / HTTP/1.1\r\n\r\n", b"\0\xff\r\n"] {
        client.send(bytes).unwrap();
        assert_eq!(client.read_exact(bytes.len()).unwrap(), bytes);
    }
    client.half_close();
    client.expect_closed();
    eventually("the server's side ends too", || origin.open() == 0);
}

#[test]
fn the_first_bytes_behind_an_upgrade_are_not_lost_on_either_side() {
    let origin = Origin::start(|connection| {
        connection.read_request()?;
        connection.write(format!("{SWITCH}server first"));
        let got = connection.read_exact(12)?;
        connection.write(got);
        Ok(())
    });
    let balancer = Balancer::start(BINARY, &one_pool(&[origin.address()], &json!({})));
    let mut client = balancer.client();
    // A client that sends before the 101 breaks its protocol, but its bytes are the tunnel's all the same.
    client.send(format!("{UPGRADE}client first")).unwrap();
    assert_eq!(client.read_answer_head("GET").unwrap().status, 101);
    assert_eq!(client.read_exact(24).unwrap(), b"server firstclient first");
    client.expect_closed();
}

#[test]
fn a_server_that_does_not_upgrade_answers_as_usual() {
    let origin = Origin::named("no websockets here");
    let balancer = Balancer::start(BINARY, &one_pool(&[origin.address()], &json!({})));
    let mut client = balancer.client();
    let answer = client.exchange(UPGRADE);
    assert_eq!((answer.status, answer.text().as_str()), (200, "no websockets here"));
    client.expect_open();
}

#[test]
fn a_tunnel_half_closed_by_the_server_still_carries_the_client() {
    let origin = Origin::start(|connection| {
        connection.read_request()?;
        connection.write(format!("{SWITCH}bye"));
        connection.half_close();
        assert_eq!(connection.read_exact(4)?, b"last");
        Ok(())
    });
    let balancer = Balancer::start(BINARY, &one_pool(&[origin.address()], &json!({})));
    let mut client = upgraded(&balancer);
    assert_eq!(client.read_exact(3).unwrap(), b"bye");
    client.send("last").unwrap();
    client.half_close();
    eventually("the server read what came after its own end", || {
        origin.raw().concat().ends_with(b"last") && origin.open() == 0
    });
}

#[test]
fn a_reset_on_one_side_of_a_tunnel_ends_the_other() {
    let origin = echoing();
    let balancer = Balancer::start(BINARY, &one_pool(&[origin.address()], &json!({})));
    let mut client = upgraded(&balancer);
    client.send("x").unwrap();
    client.read_exact(1).unwrap();
    client.reset();
    eventually("the server's side ends", || origin.open() == 0);
}

#[test]
fn a_silent_tunnel_ends_after_its_own_time_out_and_a_busy_one_does_not() {
    let origin = echoing();
    let pool = json!({ "timeouts": { "tunnel": "400ms", "idle": "100ms", "response": "100ms" } });
    let balancer = Balancer::start(BINARY, &one_pool_with(&[origin.address()], &pool));
    let (mut busy, mut silent) = (upgraded(&balancer), upgraded(&balancer));
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(1200) {
        busy.send("x").unwrap();
        assert_eq!(busy.read_exact(1).unwrap(), b"x");
        std::thread::sleep(Duration::from_millis(20));
    }
    silent.expect_closed();
    busy.send("y").unwrap();
    assert_eq!(busy.read_exact(1).unwrap(), b"y");
    drop(busy);
    eventually("both sides of both tunnels are closed", || origin.open() == 0);
    balancer.wait_for_status("one idle tunnel, and none open", |status| {
        status["failures"]["tunnel_idle"] == 1 && status["tunnels"] == 0
    });
}

#[test]
fn a_tunnel_moves_large_amounts_both_ways_at_once() {
    let origin = echoing_blocks();
    let balancer = Balancer::start(BINARY, &one_pool(&[origin.address()], &json!({})));
    let mut client = upgraded(&balancer);
    client.set_patience(Duration::from_secs(30));
    let sent: Vec<u8> = (0..4_000_000_u32).map(|n| u8::try_from(n % 251).unwrap()).collect();
    let (mut socket, bytes) = (client.socket().try_clone().unwrap(), sent.clone());
    let sender = std::thread::spawn(move || std::io::Write::write_all(&mut socket, &bytes));
    assert!(client.read_exact(sent.len()).unwrap() == sent);
    sender.join().unwrap().unwrap();
}

fn echoing_blocks() -> Origin {
    Origin::start(|connection| {
        connection.read_request()?;
        connection.write(SWITCH);
        loop {
            let block = connection.read_exact(10_000)?;
            connection.write(block);
        }
    })
}

#[test]
fn connect_opens_a_tunnel_to_a_server_of_the_pool_where_it_is_allowed() {
    let origin = Origin::start(|connection| {
        let request = connection.read_request()?;
        assert_eq!((request.method.as_str(), request.target.as_str()), ("CONNECT", "db.example:5432"));
        connection.write("HTTP/1.1 200 Connected\r\n\r\n");
        let got = connection.read_exact(4)?;
        connection.write(got);
        Ok(())
    });
    let patch = json!({ "listeners": { "web": { "allowConnect": true } } });
    let balancer = Balancer::start(BINARY, &one_pool(&[origin.address()], &patch));
    let mut client = balancer.client();
    client.send("CONNECT db.example:5432 HTTP/1.1\r\nHost: db.example:5432\r\n\r\n").unwrap();
    assert_eq!(client.read_answer_head("CONNECT").unwrap().status, 200);
    client.send("ping").unwrap();
    assert_eq!(client.read_exact(4).unwrap(), b"ping");
    client.expect_closed();
}

#[test]
fn a_refused_connect_is_an_answer_like_any_other() {
    let origin = Origin::answering(reply(403, "not there"));
    let patch = json!({ "listeners": { "web": { "allowConnect": true } } });
    let balancer = Balancer::start(BINARY, &one_pool(&[origin.address()], &patch));
    let mut client = balancer.client();
    let answer = client.exchange("CONNECT db.example:5432 HTTP/1.1\r\nHost: db.example:5432\r\n\r\n");
    assert_eq!((answer.status, answer.text().as_str()), (403, "not there"));
}
