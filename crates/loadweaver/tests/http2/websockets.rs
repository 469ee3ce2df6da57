//! WebSockets over HTTP/2, and what asks for one and is none.

use super::*;

/// An extended CONNECT, and how it was answered.
fn connect(client: &Http2Client, protocol: &'static str, fields: &[(&'static str, &str)]) -> (u16, String) {
    client.run(async |mut send| {
        while !send.is_extended_connect_protocol_enabled() {
            tokio::task::yield_now().await;
        }
        let mut request = request("CONNECT", "/socket");
        request.extensions_mut().insert(h2::ext::Protocol::from_static(protocol));
        for (name, value) in fields {
            request.headers_mut().append(*name, value.parse().unwrap());
        }
        let (answer, _stream) = send.send_request(request, false).unwrap();
        let answer = answer.await.unwrap();
        let failure = answer.headers().get("x-loadweaver-failure").map(|code| code.to_str().unwrap());
        (answer.status().as_u16(), failure.unwrap_or_default().to_owned())
    })
}

#[test]
fn an_extended_connect_for_anything_but_a_websocket_is_refused() {
    let origin = Origin::named("never asked");
    let balancer = in_front_of(&origin);
    let client = Http2Client::connect(balancer.address());
    assert_eq!(connect(&client, "connect-udp", &[]), (501, "unsupported_protocol".to_owned()));
    let told = connect(&client, "websocket", &[("content-length", "5")]);
    assert_eq!(told, (400, "bad_framing".to_owned()));
    assert_eq!(origin.connections(), 0);
    assert_eq!(client.get("/").text(), "never asked");
}

#[test]
fn a_route_sees_a_websocket_of_http_2_as_the_get_that_it_is() {
    let origin = AnyOrigin::start(Wire::Http1);
    let mut config = one_pool(&[origin.address()], &json!({}));
    let only =
        json!([{ "name": "sockets", "match": { "path": "/socket", "methods": ["GET"] }, "pool": "app" }]);
    merge(&mut config, &json!({ "routes": only }));
    let balancer = Balancer::start(BINARY, &config);
    let mut socket = socket::open(Wire::Http2, balancer.address(), "/socket").unwrap();
    socket.send(b"through");
    assert_eq!(socket.read(7).unwrap(), b"through");
}

#[test]
fn an_answer_that_is_no_websocket_is_not_taken_for_one() {
    let key = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
               Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    for (answer, status, failure) in [
        (reply(200, "just a page"), 502, "no_websocket"),
        (key.as_bytes().to_vec(), 502, "bad_response"),
        (reply(403, "not you"), 403, ""),
        (reply(302, "elsewhere"), 302, ""),
    ] {
        let origin = Origin::answering(answer);
        let config = one_pool_with(&[origin.address()], &json!({ "retry": { "attempts": 1 } }));
        let balancer = Balancer::start(BINARY, &config);
        let client = Http2Client::connect(balancer.address());
        let told = connect(&client, "websocket", &[("sec-websocket-version", "13")]);
        assert_eq!(told, (status, failure.to_owned()));
    }
}

#[test]
fn a_server_of_http_2_without_websockets_is_passed_over_and_stays_healthy() {
    let (without, with) = (Http2Origin::echoing(), AnyOrigin::start(Wire::Http2));
    let retry = json!({ "budgetPercent": 100 });
    let pool = json!({ "protocol": "h2c", "passiveHealth": { "failures": 1 }, "retry": retry });
    let balancer = Balancer::start(BINARY, &one_pool_with(&[without.address(), with.address()], &pool));
    for _ in 0..4 {
        let mut socket = socket::open(Wire::Http1, balancer.address(), "/socket").unwrap();
        socket.send(b"x");
        assert_eq!(socket.read(1).unwrap(), b"x");
    }
    assert_eq!(without.requests(), 0, "it was not even asked");
    assert!(balancer.get("/").status == 200 && balancer.get("/").status == 200);
    assert!(without.requests() > 0, "it still gets its share");
    let balancer = Balancer::start(BINARY, &one_pool_with(&[without.address()], &pool));
    for wire in [Wire::Http1, Wire::Http2] {
        let told = socket::open(wire, balancer.address(), "/socket").unwrap_err();
        assert_eq!(
            (told.status, told.field("x-loadweaver-failure")),
            (502, Some("no_websocket")),
            "{wire:?}"
        );
    }
    assert_eq!(balancer.get("/").status, 200);
}
