//! HTTP/2, toward clients and toward servers: what it has that HTTP/1 has not.
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, clippy::indexing_slicing)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use loadweaver_testkit::config::{merge, one_pool, one_pool_with};
use loadweaver_testkit::eventually::PATIENCE;
use loadweaver_testkit::http2::client::{get, request};
use loadweaver_testkit::http2::origin::echo;
use loadweaver_testkit::http2::raw::{flag, kind};
use loadweaver_testkit::origin::reply;
use loadweaver_testkit::pair::{AnyOrigin, Wire, socket};
use loadweaver_testkit::peer::free_address;
use loadweaver_testkit::scratch::Scratch;
use loadweaver_testkit::tls::Authority;
use loadweaver_testkit::{Balancer, Http2Client, Http2Origin, Origin, RawHttp2, eventually};
use serde_json::{Value, json};

#[path = "http2/attacks.rs"]
mod attacks;
#[path = "http2/stalls.rs"]
mod stalls;
#[path = "http2/websockets.rs"]
mod websockets;

const BINARY: &str = env!("CARGO_BIN_EXE_loadweaver");

/// ENHANCE_YOUR_CALM (RFC 9113 section 7).
const CALM: u32 = 11;

fn in_front_of(origin: &Origin) -> Balancer {
    Balancer::start(BINARY, &one_pool(&[origin.address()], &json!({})))
}

fn h2c(origin: &Http2Origin, patch: &Value) -> Balancer {
    let mut pool = json!({ "protocol": "h2c" });
    merge(&mut pool, patch);
    Balancer::start(BINARY, &one_pool_with(&[origin.address()], &pool))
}

#[test]
fn one_connection_carries_many_exchanges_at_once() {
    let origin = Origin::named("one");
    let balancer = in_front_of(&origin);
    let client = Http2Client::connect(balancer.address());
    client.run(async |send| {
        let mut answers = Vec::new();
        for number in 0..100 {
            let mut send = send.clone().ready().await.unwrap();
            answers.push(send.send_request(get(&format!("/{number}")), true).unwrap().0);
        }
        for answer in answers {
            assert_eq!(answer.await.unwrap().status(), 200);
        }
    });
    assert_eq!(origin.requests().len(), 100);
    assert_eq!(balancer.status()["connections"]["accepted"], 1);
}

#[test]
fn http_1_and_http_2_share_a_listener() {
    let origin = Origin::named("both");
    let balancer = in_front_of(&origin);
    assert_eq!(balancer.get("/").text(), "both");
    assert_eq!(Http2Client::connect(balancer.address()).get("/").text(), "both");
    // The preface is for the start of a connection.
    let mut client = balancer.client();
    assert_eq!(client.get("/").status, 200);
    assert_eq!(client.exchange("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").failure(), Some("unsupported_version"));
}

#[test]
fn a_head_beyond_the_limits_is_answered_and_the_connection_goes_on() {
    let origin = Origin::named("fine");
    let config = one_pool(
        &[origin.address()],
        &json!({ "limits": { "requestHead": "4KiB", "target": "1KiB" }, "accessLog": { "output": "stdout" } }),
    );
    let mut balancer = Balancer::start(BINARY, &config);
    let client = Http2Client::connect(balancer.address());
    let mut large = get("/cookies");
    large.headers_mut().insert("x-large", "x".repeat(5000).parse().unwrap());
    let told = client.exchange(large, "", None).unwrap();
    assert_eq!((told.status, told.failure()), (431, Some("head_too_large")));
    let told = client.get(&format!("/{}", "x".repeat(2000)));
    assert_eq!((told.status, told.failure()), (414, Some("target_too_long")));
    assert_eq!(client.get("/").text(), "fine");
    assert_eq!(origin.requests().len(), 1);
    balancer.terminate();
    assert!(balancer.wait_for_exit(PATIENCE).unwrap().success());
    eventually("each is a line of the log", || balancer.stdout().len() >= 3);
    let line: Value = serde_json::from_str(&balancer.stdout()[0]).unwrap();
    assert_eq!((&line["method"], &line["target"]), (&json!("GET"), &json!("/cookies")), "{line}");
}

#[test]
fn an_idle_connection_is_ended_with_a_word() {
    let origin = Origin::named("one");
    let config = one_pool(&[origin.address()], &json!({ "timeouts": { "idle": "100ms" } }));
    let balancer = Balancer::start(BINARY, &config);
    let mut raw = RawHttp2::connect(balancer.address());
    raw.get(1, "/").unwrap();
    assert_eq!(raw.goaway(), Some(0), "NO_ERROR");
}

#[test]
fn a_connection_that_has_served_its_share_ends_and_loses_nothing() {
    let origin = Origin::named("one");
    let config = one_pool(&[origin.address()], &json!({ "limits": { "requestsPerConnection": 3 } }));
    let balancer = Balancer::start(BINARY, &config);
    let client = Http2Client::connect(balancer.address());
    for _ in 0..3 {
        assert_eq!(client.get("/").status, 200);
    }
    client.expect_over();
}

#[test]
fn many_clients_share_few_connections_to_a_server() {
    let origin = Http2Origin::echoing();
    let balancer = h2c(&origin, &json!({}));
    let address = balancer.address();
    let clients: Vec<_> = (0..32)
        .map(|_| {
            std::thread::spawn(move || {
                let mut client = loadweaver_testkit::RawClient::connect(address);
                for _ in 0..10 {
                    assert_eq!(client.get("/x").status, 200);
                }
            })
        })
        .collect();
    for client in clients {
        client.join().unwrap();
    }
    assert_eq!((origin.requests(), origin.connections()), (320, 1));
}

#[test]
fn no_more_streams_than_a_server_takes_are_opened_on_a_connection() {
    let most = Arc::new(AtomicUsize::new(0));
    let (alive, seen) = (Arc::new(AtomicUsize::new(0)), Arc::clone(&most));
    let mut settings = h2::server::Builder::new();
    settings.max_concurrent_streams(4);
    let origin = Http2Origin::over(
        async |socket| Some(socket),
        settings,
        move |request, respond| {
            let (alive, seen) = (Arc::clone(&alive), Arc::clone(&seen));
            async move {
                seen.fetch_max(alive.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                let answered = echo(request, respond).await;
                alive.fetch_sub(1, Ordering::SeqCst);
                answered
            }
        },
    );
    let balancer = h2c(&origin, &json!({}));
    let client = Http2Client::connect(balancer.address());
    client.run(async |send| {
        let mut answers = Vec::new();
        for _ in 0..64 {
            let mut send = send.clone().ready().await.unwrap();
            answers.push(send.send_request(get("/x"), true).unwrap().0);
        }
        for answer in answers {
            assert_eq!(answer.await.unwrap().status(), 200);
        }
    });
    assert_eq!(origin.requests(), 64, "no stream was refused");
}

#[test]
fn what_a_server_refused_unseen_goes_to_another_one_even_if_it_is_a_post() {
    let refusing = Http2Origin::start(async |_, mut respond| {
        respond.send_reset(h2::Reason::REFUSED_STREAM);
        Ok(())
    });
    let taking = Http2Origin::echoing();
    let pool =
        json!({ "protocol": "h2c", "retry": { "budgetPercent": 100 }, "passiveHealth": { "failures": 0 } });
    let config = one_pool_with(&[refusing.address(), taking.address()], &pool);
    let balancer = Balancer::start(BINARY, &config);
    let client = Http2Client::connect(balancer.address());
    for _ in 0..4 {
        let told = client.exchange(request("POST", "/order"), "pay once", None).unwrap();
        assert_eq!((told.status, told.text().as_str()), (200, "POST /order pay once"));
    }
    assert_eq!(taking.requests(), 4);
    assert!(refusing.requests() > 0, "it was asked");
    assert_eq!(refusing.connections(), 1, "a server that refuses is not made to take more connections");
}

#[test]
fn a_post_that_a_server_may_have_seen_is_not_sent_again() {
    let breaking = Http2Origin::start(async |mut request, mut respond| {
        let _ = request.body_mut().data().await;
        respond.send_reset(h2::Reason::INTERNAL_ERROR);
        Ok(())
    });
    let balancer = h2c(&breaking, &json!({ "retry": { "attempts": 3 } }));
    let client = Http2Client::connect(balancer.address());
    let told = client.exchange(request("POST", "/order"), "pay once", None).unwrap();
    assert_eq!((told.status, told.failure()), (502, Some("server_closed")));
    assert_eq!(breaking.requests(), 1);
}

#[test]
fn a_slow_reader_holds_up_nobody_on_its_connection() {
    let origin = Origin::by_request(|request| {
        if request.target == "/large" { reply(200, vec![b'x'; 4 * 1024 * 1024]) } else { reply(200, "small") }
    });
    let balancer = in_front_of(&origin);
    let client = Http2Client::connect(balancer.address());
    client.run(async |send| {
        let mut send = send.ready().await.unwrap();
        let (large, _) = send.send_request(get("/large"), true).unwrap();
        let large = large.await.unwrap();
        for _ in 0..20 {
            send = send.ready().await.unwrap();
            let (small, _) = send.send_request(get("/small"), true).unwrap();
            assert_eq!(small.await.unwrap().status(), 200);
        }
        drop(large);
    });
}

#[test]
fn a_client_that_takes_nothing_is_given_up() {
    let origin = Origin::answering(reply(200, vec![b'x'; 1024 * 1024]));
    let config = one_pool(&[origin.address()], &json!({ "timeouts": { "send": "200ms" } }));
    let balancer = Balancer::start(BINARY, &config);
    let mut raw = RawHttp2::silent(balancer.address());
    raw.send(loadweaver_testkit::http2::raw::PREFACE).unwrap();
    // SETTINGS_INITIAL_WINDOW_SIZE of 0: not a byte of a body may be sent.
    raw.frame(kind::SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]).unwrap();
    raw.get(1, "/").unwrap();
    assert_eq!(raw.wait_for(kind::HEADERS).stream, 1);
    assert_eq!(raw.wait_for(kind::RST_STREAM).stream, 1);
    balancer.wait_for_status("the failure is counted", |status| status["failures"]["send_timeout"] == 1);
}

#[test]
fn a_call_of_grpc_that_fails_is_told_so_in_its_own_terms() {
    let nobody = free_address();
    let balancer = Balancer::start(BINARY, &one_pool_with(&[nobody], &json!({ "protocol": "h2c" })));
    let client = Http2Client::connect(balancer.address());
    let mut call = request("POST", "/a.Service/Call");
    call.headers_mut().insert("content-type", "application/grpc+proto".parse().unwrap());
    let told = client.exchange(call, "\0\0\0\0\0", None).unwrap();
    assert_eq!((told.status, told.field("grpc-status")), (200, Some("14")), "{told:?}");
    assert_eq!(told.field("content-type"), Some("application/grpc"));
    assert!(told.field("grpc-message").is_some_and(|message| !message.is_empty()));
    assert_eq!(told.failure(), Some("connect_refused"));
    // Anything else is told in terms of HTTP.
    let told = client.get("/");
    assert_eq!((told.status, told.field("grpc-status")), (503, None), "{told:?}");
}

#[test]
fn a_call_of_grpc_ends_when_its_caller_stops_to_wait() {
    let origin = Http2Origin::start(async |_, mut respond| {
        let _ = std::future::poll_fn(|cx| respond.poll_reset(cx)).await;
        Ok(())
    });
    let balancer = h2c(&origin, &json!({}));
    let client = Http2Client::connect(balancer.address());
    let mut call = request("POST", "/a.Service/Call");
    call.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
    call.headers_mut().insert("grpc-timeout", "100m".parse().unwrap());
    let told = client.exchange(call, "\0\0\0\0\0", None).unwrap();
    assert_eq!((told.status, told.field("grpc-status")), (200, Some("4")), "{told:?}");
}

#[test]
fn a_host_that_the_certificate_is_not_for_is_sent_elsewhere() {
    let (origin, files) = (Origin::named("mine"), Scratch::new());
    let authority = Authority::new("Coalescing");
    let signed = authority.sign(&["a.test", "b.test"]);
    let tls = json!({ "certificates": [{
        "cert": files.file("cert.pem", &signed.cert),
        "key": files.file("key.pem", &signed.key),
    }] });
    let patch = json!({ "listeners": { "web": { "tls": tls } } });
    let balancer = Balancer::start(BINARY, &one_pool(&[origin.address()], &patch));
    let bridge = authority.client().speaking(&["h2"]).bridge(balancer.address(), "a.test");
    let client = Http2Client::connect(bridge.address());
    let ask = |host: &str| {
        let request = http::Request::builder().uri(format!("https://{host}/")).body(()).unwrap();
        client.exchange(request, "", None).unwrap()
    };
    assert_eq!(ask("a.test").text(), "mine");
    assert_eq!(ask("B.test:8443").text(), "mine", "the certificate is for it too");
    let told = ask("c.test");
    assert_eq!((told.status, told.failure()), (421, Some("misdirected")));
    assert_eq!(origin.requests().len(), 2);
}
