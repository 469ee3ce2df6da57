//! HTTP/2 where the other side breaks, stalls, or is not what it was a moment ago.
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, clippy::indexing_slicing)]

use std::io::Read as _;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use loadweaver_testkit::config::{merge, one_pool, one_pool_with};
use loadweaver_testkit::http2::client::{get, request};
use loadweaver_testkit::http2::origin::echo;
use loadweaver_testkit::http2::raw::{PREFACE, block, flag, frame, kind};
use loadweaver_testkit::origin::reply;
use loadweaver_testkit::scratch::Scratch;
use loadweaver_testkit::tls::{Authority, TlsOrigin};
use loadweaver_testkit::{
    Balancer, Http2Client, Http2Origin, Origin, OriginConnection, RawClient, RawHttp2, eventually,
};
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_loadweaver");

fn h2c(origin: &Http2Origin, patch: &Value) -> Balancer {
    let mut pool = json!({ "protocol": "h2c" });
    merge(&mut pool, patch);
    Balancer::start(BINARY, &one_pool_with(&[origin.address()], &pool))
}

#[test]
fn an_answer_that_breaks_before_its_body_is_reset_and_not_told_twice() {
    let origin = Origin::start(|connection| {
        connection.read_request()?;
        connection.write(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n");
        Ok(())
    });
    let balancer = Balancer::start(BINARY, &one_pool(&[origin.address()], &json!({})));
    let mut raw = RawHttp2::connect(balancer.address());
    raw.get(1, "/").unwrap();
    assert_eq!(raw.wait_for(kind::HEADERS).stream, 1);
    loop {
        let frame = raw.read_frame().unwrap().unwrap();
        // A second head would be trailers with a pseudo-header field: malformed (RFC 9113 section 8.1).
        assert!(frame.kind != kind::HEADERS && frame.kind != kind::DATA, "{frame:?}");
        if frame.kind == kind::RST_STREAM {
            break;
        }
    }
    balancer.wait_for_status("the failure is counted", |status| status["failures"]["response_cut"] == 1);
}

#[test]
fn a_connection_that_takes_nothing_does_not_keep_its_place() {
    let origin = Origin::answering(reply(200, vec![b'x'; 1024 * 1024]));
    let config = one_pool(&[origin.address()], &json!({ "timeouts": { "send": "300ms", "idle": "300ms" } }));
    let balancer = Balancer::start(BINARY, &config);
    let mut raw = RawHttp2::silent(balancer.address());
    raw.send(PREFACE).unwrap();
    // Windows as large as can be: what stops the answers is that the socket is not read.
    raw.frame(kind::SETTINGS, 0, 0, &[0, 4, 0x7f, 0xff, 0xff, 0xff]).unwrap();
    raw.frame(kind::WINDOW_UPDATE, 0, 0, &0x7fff_0000_u32.to_be_bytes()).unwrap();
    for turn in 0..64 {
        raw.get(2 * turn + 1, "/").unwrap();
    }
    balancer.wait_for_status("it is stuck", |status| status["failures"]["send_timeout"].as_u64() > Some(0));
    eventually("its place is free", || balancer.status()["connections"]["active"] == 0);
}

#[test]
fn connections_that_wait_make_room_for_new_clients() {
    let origin = Origin::named("served");
    let balancer =
        Balancer::start(BINARY, &one_pool(&[origin.address()], &json!({ "limits": { "connections": 2 } })));
    let mut idle: Vec<_> = (0..2).map(|_| RawHttp2::connect(balancer.address())).collect();
    for raw in &mut idle {
        raw.get(1, "/").unwrap();
        raw.wait_for(kind::HEADERS);
    }
    assert_eq!(balancer.get("/").text(), "served");
    assert_eq!(idle[0].goaway(), Some(0), "NO_ERROR");
}

#[test]
fn an_answer_that_breaks_the_rules_is_told_so_though_its_connection_is_ending() {
    for ends_first in [false, true] {
        let origin = Origin::start(move |connection| {
            connection.read_exact(PREFACE.len())?;
            connection.write(frame(kind::SETTINGS, 0, 0, &[]));
            loop {
                let head = connection.read_exact(9)?;
                connection.read_exact(usize::from(head[1]) << 8 | usize::from(head[2]))?;
                if head[3] == kind::HEADERS {
                    break;
                }
            }
            // It takes no more than this one: an order, which leaves the exchange to go on.
            if ends_first {
                connection.write(frame(kind::GOAWAY, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 0]));
            }
            let answer = block(&[(":status", "200"), ("Upper-Case", "x")]);
            connection.write(frame(kind::HEADERS, flag::END_HEADERS | flag::END_STREAM, 1, &answer));
            connection.hang()
        });
        let pool =
            json!({ "protocol": "h2c", "retry": { "attempts": 1 }, "passiveHealth": { "failures": 0 } });
        let balancer = Balancer::start(BINARY, &one_pool_with(&[origin.address()], &pool));
        let answer = balancer.get("/");
        assert_eq!((answer.status, answer.fields.get("x-loadweaver-failure")), (502, Some("bad_response")));
    }
}

#[test]
fn those_whose_shared_connection_broke_share_the_next_one() {
    const MANY: usize = 40;
    let open = Arc::<Mutex<Vec<TcpStream>>>::default();
    let asked = Arc::<AtomicUsize>::default();
    let sockets = Arc::clone(&open);
    let breaking = Arc::clone(&open);
    let origin = Http2Origin::over(
        move |socket| {
            let socket = socket.into_std().unwrap();
            sockets.lock().unwrap().push(socket.try_clone().unwrap());
            async move { tokio::net::TcpStream::from_std(socket).ok() }
        },
        h2::server::Builder::new(),
        move |request, respond| {
            let (asked, open) = (Arc::clone(&asked), Arc::clone(&breaking));
            async move {
                if request.uri().path() == "/break" {
                    let before = asked.fetch_add(1, Ordering::SeqCst);
                    if before < MANY {
                        if before + 1 == MANY {
                            open.lock().unwrap()[0].shutdown(Shutdown::Both).unwrap();
                        }
                        return std::future::pending().await;
                    }
                }
                echo(request, respond).await
            }
        },
    );
    let balancer = h2c(&origin, &json!({}));
    let client = Http2Client::connect(balancer.address());
    assert_eq!(client.get("/warm").status, 200);
    client.run(async |send| {
        let mut answers = Vec::new();
        for _ in 0..MANY {
            let mut send = send.clone().ready().await.unwrap();
            answers.push(send.send_request(get("/break"), true).unwrap().0);
        }
        for answer in answers {
            assert_eq!(answer.await.unwrap().status(), 200);
        }
    });
    assert_eq!(origin.connections(), 2, "one that broke, and one for all of them");
}

#[test]
fn connections_that_take_no_streams_are_not_kept() {
    let mut settings = h2::server::Builder::new();
    settings.max_concurrent_streams(0);
    let (open, gone) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
    let (opened, over) = (Arc::clone(&open), Arc::clone(&gone));
    // Counts sockets, not prefaces.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let origin = Http2Origin::over(async |socket| Some(socket), settings, echo);
    let (front, to) = (listener.local_addr().unwrap(), origin.address());
    std::thread::spawn(move || {
        while let Ok((client, _)) = listener.accept() {
            opened.fetch_add(1, Ordering::SeqCst);
            let over = Arc::clone(&over);
            splice(client, to, move || {
                over.fetch_add(1, Ordering::SeqCst);
            });
        }
    });
    let pool = json!({ "protocol": "h2c", "retry": { "attempts": 1 }, "passiveHealth": { "failures": 0 } });
    let balancer = Balancer::start(BINARY, &one_pool_with(&[front], &pool));
    let client = Http2Client::connect(balancer.address());
    for _ in 0..20 {
        assert_ne!(client.get("/").status, 200);
    }
    eventually("they are closed again", || {
        let open = open.load(Ordering::SeqCst);
        open > 0 && gone.load(Ordering::SeqCst) + 1 >= open
    });
}

#[test]
fn a_server_that_accepts_and_speaks_no_http_2_has_not_been_connected_to() {
    let (silent, good) = (Origin::start(OriginConnection::hang), Http2Origin::echoing());
    let pool = json!({
        "protocol": "h2c", "timeouts": { "connect": "2s" }, "healthCheck": { "type": "off" },
        "passiveHealth": { "failures": 0 }, "retry": { "budgetPercent": 100 },
    });
    let mut config = one_pool_with(&[silent.address(), good.address()], &pool);
    merge(&mut config, &json!({ "workers": 1 }));
    let balancer = Balancer::start(BINARY, &config);
    let client = Http2Client::connect(balancer.address());
    for _ in 0..2 {
        // Nobody can have seen it, so it goes elsewhere although it is a POST.
        let told = client.exchange(request("POST", "/once"), &b"body"[..], None).expect("an answer");
        assert_eq!((told.status, told.text().as_str()), (200, "POST /once body"));
    }
    assert!(silent.accepted() > 0, "it was never its turn");
    assert_eq!(good.requests(), 2);
    eventually("it is hung up on", || silent.open() == 0);
    let old = Origin::named("speaks HTTP/1.1");
    for (server, status, failure) in
        [(silent.address(), 504, "connect_timeout"), (old.address(), 502, "connect_failed")]
    {
        let balancer = Balancer::start(BINARY, &one_pool_with(&[server], &pool));
        let told = balancer.get("/");
        assert_eq!((told.status, told.fields.get("x-loadweaver-failure")), (status, Some(failure)));
    }
}

#[test]
fn a_server_gets_no_more_requests_on_a_connection_than_it_shall() {
    let origin = Http2Origin::echoing();
    let balancer = h2c(&origin, &json!({ "connectionPool": { "maxRequests": 2 } }));
    let client = Http2Client::connect(balancer.address());
    for _ in 0..6 {
        assert_eq!(client.get("/x").status, 200);
    }
    assert_eq!((origin.requests(), origin.connections()), (6, 3));
}

#[test]
fn a_request_without_a_host_gets_the_servers_name_in_http_2_too() {
    let seen = Arc::<Mutex<Vec<String>>>::default();
    let told = Arc::clone(&seen);
    let origin = Http2Origin::start(move |request, respond| {
        let authority = request.uri().authority().map(ToString::to_string);
        told.lock().unwrap().push(authority.unwrap_or_default());
        echo(request, respond)
    });
    let balancer = h2c(&origin, &json!({}));
    let answer = RawClient::connect(balancer.address()).exchange("GET / HTTP/1.0\r\n\r\n");
    assert_eq!(answer.status, 200);
    assert_eq!(*seen.lock().unwrap(), [origin.address().to_string()]);
}

#[test]
fn a_server_that_learns_http_2_is_spoken_to_in_it() {
    let (authority, files) = (Authority::new("Learning"), Scratch::new());
    let ca = files.file("ca.pem", &authority.pem).display().to_string();
    let signed = authority.sign(&["127.0.0.1"]);
    let old = Origin::named("old");
    let new = Http2Origin::echoing();
    let tls =
        |protocols| TlsOrigin { signed: &signed, clients: None, versions: rustls::ALL_VERSIONS, protocols };
    let (before, after) = (tls(&["http/1.1"]).bridge(old.address()), tls(&["h2"]).bridge(new.address()));
    let to = Arc::new(Mutex::new(before.address()));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (front, current) = (listener.local_addr().unwrap(), Arc::clone(&to));
    std::thread::spawn(move || {
        while let Ok((client, _)) = listener.accept() {
            splice(client, *current.lock().unwrap(), || ());
        }
    });
    let pool = json!({
        "tls": { "caFile": ca },
        "connectionPool": { "maxIdle": 0 },
        "retry": { "attempts": 1 },
        "passiveHealth": { "failures": 0 },
    });
    let balancer = Balancer::start(BINARY, &one_pool_with(&[front], &pool));
    assert_eq!(balancer.get("/x").text(), "old");
    *to.lock().unwrap() = after.address();
    for _ in 0..3 {
        assert_eq!(balancer.get("/x").text(), "GET /x ");
    }
    assert_eq!(new.connections(), 1, "and it is shared again");
}

/// Carries bytes between a client and another address, and says when it is over.
fn splice(client: TcpStream, to: SocketAddr, over: impl FnOnce() + Send + 'static) {
    let Ok(server) = TcpStream::connect(to) else { return };
    let (mut up, mut server_up) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut up, &mut server_up);
        let _ = server_up.shutdown(Shutdown::Write);
        over();
    });
    let (mut down, mut client) = (server, client);
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut down, &mut client);
        let _ = client.shutdown(Shutdown::Both);
        let _ = client.read(&mut [0]);
    });
}
