//! Servers on Unix sockets: everything that goes to a port goes there too.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

use loadweaver_testkit::config::merge;
use loadweaver_testkit::eventually::{PATIENCE, holds_within};
use loadweaver_testkit::http2::Http2Origin;
use loadweaver_testkit::origin::reply;
use loadweaver_testkit::peer::nginx_command;
use loadweaver_testkit::process::Process;
use loadweaver_testkit::scratch::Scratch;
use loadweaver_testkit::tls::{Authority, TlsOrigin};
use loadweaver_testkit::unix::{self, Door};
use loadweaver_testkit::{Balancer, Origin, eventually};
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_loadweaver");

/// One worker, one pool of these hosts without probes, and the patch in the pool.
fn start(hosts: &[String], pool: &Value) -> Balancer {
    let servers: Vec<Value> = hosts.iter().map(|host| json!({ "host": host })).collect();
    let mut config = json!({
        "workers": 1,
        "listeners": { "web": { "bind": "127.0.0.1:0" } },
        "admin": { "bind": "127.0.0.1:0" },
        "pools": { "app": { "servers": servers, "healthCheck": { "type": "off" } } },
    });
    merge(&mut config["pools"]["app"], pool);
    Balancer::start(BINARY, &config)
}

fn path(scratch: &Scratch, name: &str) -> String {
    scratch.path().join(name).display().to_string()
}

#[test]
fn requests_reach_a_server_on_a_socket_with_a_file_and_on_one_without() {
    let (scratch, origin) = (Scratch::new(), Origin::named("served"));
    for name in [path(&scratch, "app.sock"), unix::free_name()] {
        let door = Door::open(name, origin.address());
        let balancer = start(&[door.host()], &json!({}));
        let mut client = balancer.client();
        for _ in 0..3 {
            assert_eq!(client.get("/").text(), "served");
        }
        assert_eq!(door.accepted(), 1, "the connection is kept");
        let server = balancer.operator().data("/api/servers").as_array().unwrap()[0].clone();
        assert_eq!((&server["serverId"], &server["host"]), (&json!(door.host()), &json!(door.host())));
        assert_eq!((&server["resolved"], server.get("port")), (&json!(door.host()), None));
        assert_eq!(server["requests"], 3);
    }
}

#[test]
fn the_host_of_a_request_stays_and_one_without_asks_for_localhost() {
    let origin = Origin::answering(reply(200, "x"));
    let door = Door::open(unix::free_name(), origin.address());
    let balancer = start(&[door.host()], &json!({}));
    assert_eq!(balancer.get("/").status, 200);
    assert_eq!(balancer.client().exchange("GET / HTTP/1.0\r\n\r\n").status, 200);
    let hosts: Vec<_> = origin
        .wait_for_requests(2)
        .iter()
        .map(|request| request.fields.get("host").unwrap().to_owned())
        .collect();
    assert_eq!(hosts, ["test", "localhost"]);
}

#[test]
fn bodies_of_any_size_pass_both_ways() {
    let origin = Origin::by_request(|request| reply(200, &request.body));
    let door = Door::open(unix::free_name(), origin.address());
    let balancer = start(&[door.host()], &json!({}));
    for size in [0, 1, 70_000, 8 << 20] {
        let body: Vec<u8> = (0..size).map(|place: u32| place.to_le_bytes()[place as usize % 3]).collect();
        let mut client = balancer.client();
        let mut sender = client.socket().try_clone().unwrap();
        let mut message = format!("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n").into_bytes();
        message.extend(&body);
        let sending = std::thread::spawn(move || std::io::Write::write_all(&mut sender, &message));
        let answer = client.answer("PUT");
        sending.join().unwrap().unwrap();
        assert!(answer.status == 200 && answer.body == body, "{size} bytes");
    }
}

#[test]
fn an_upgraded_connection_is_a_tunnel() {
    let origin = Origin::start(|connection| {
        connection.read_request()?;
        connection
            .write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
        while let Ok(byte) = connection.read_exact(1) {
            connection.write(byte);
        }
        Ok(())
    });
    let door = Door::open(unix::free_name(), origin.address());
    let balancer = start(&[door.host()], &json!({}));
    let mut client = balancer.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n").unwrap();
    assert_eq!(client.read_answer_head("GET").unwrap().status, 101);
    for bytes in [b"hello".as_slice(), b"\0\xff\r\n"] {
        client.send(bytes).unwrap();
        assert_eq!(client.read_exact(bytes.len()).unwrap(), bytes);
    }
    client.half_close();
    client.expect_closed();
}

#[test]
fn http_2_in_the_clear_is_spoken_over_one() {
    let origin = Http2Origin::start(async |request, mut respond| {
        let body = request.uri().to_string().into();
        respond.send_response(http::Response::new(()), false)?.send_data(body, true)
    });
    let door = Door::open(unix::free_name(), origin.address());
    let probed = json!({ "type": "http", "interval": "50ms", "startDown": true, "rise": 1 });
    let balancer = start(&[door.host()], &json!({ "protocol": "h2c", "healthCheck": probed }));
    balancer
        .wait_for_status("a server that is up", |status| status["pools"][0]["servers"][0]["state"] == "up");
    assert_eq!(balancer.get("/there").text(), "http://test/there");
}

#[test]
fn tls_over_one_needs_a_name_and_then_believes_who_proves_it() {
    let (authority, scratch) = (Authority::new("Test Authority"), Scratch::new());
    let ca = scratch.file("ca.pem", &authority.pem);
    let signed = authority.sign(&["app.internal"]);
    let origin = Origin::named("secret");
    let secured =
        TlsOrigin { signed: &signed, clients: None, versions: rustls::ALL_VERSIONS, protocols: &[] };
    let bridge = secured.bridge(origin.address());
    let door = Door::open(unix::free_name(), bridge.address());
    for (tls, asked) in [
        (json!({ "caFile": ca, "serverName": "app.internal" }), Some(Some("app.internal".to_owned()))),
        (json!({ "caFile": ca, "serverName": "other.internal" }), None),
        (json!({ "verify": false }), Some(None)),
    ] {
        let balancer = start(&[door.host()], &json!({ "tls": tls, "retry": { "attempts": 1 } }));
        let before = bridge.names().len();
        assert_eq!(balancer.get("/").status, if asked.is_some() { 200 } else { 502 }, "{tls}");
        assert_eq!(bridge.names().get(before), asked.as_ref(), "{tls}");
    }
}

#[test]
fn the_proxy_protocol_says_who_the_client_is() {
    let origin = Origin::start(|connection| {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            line.extend(connection.read_exact(1)?);
        }
        connection.read_request()?;
        connection.write(reply(200, line));
        Ok(())
    });
    let door = Door::open(unix::free_name(), origin.address());
    let balancer = start(&[door.host()], &json!({ "sendProxyProtocol": "v1" }));
    let mut client = balancer.client();
    let (from, to) = (client.local_address(), balancer.address());
    let line = format!("PROXY TCP4 {} {} {} {}\r\n", from.ip(), to.ip(), from.port(), to.port());
    assert_eq!(client.get("/").text(), line);
}

#[test]
fn probes_of_either_kind_take_it_out_and_bring_it_back() {
    let (scratch, origin) = (Scratch::new(), Origin::answering(reply(200, "well")));
    for kind in ["tcp", "http"] {
        let name = path(&scratch, "app.sock");
        let door = Door::open(&name, origin.address());
        let often = json!({ "type": kind, "interval": "50ms", "fastInterval": "50ms", "rise": 1, "fall": 3 });
        let check = json!({ "healthCheck": often, "passiveHealth": { "hold": "10ms" } });
        let balancer = start(&[door.host()], &check);
        let wait_for = |state: &str| {
            balancer.wait_for_status(state, |status| status["pools"][0]["servers"][0]["state"] == state);
        };
        wait_for("up");
        drop(door);
        wait_for("down");
        assert_eq!(balancer.get("/").status, 503, "{kind}");
        let _door = Door::open(&name, origin.address());
        wait_for("up");
        assert_eq!(balancer.get("/").status, 200, "{kind}");
    }
    let asked: Vec<_> = origin
        .requests()
        .iter()
        .filter_map(|request| request.fields.get("host").map(str::to_owned))
        .collect();
    assert!(asked.contains(&"localhost".to_owned()), "{asked:?}");
}

#[test]
fn a_socket_that_nobody_listens_on_is_a_refused_connection_and_the_next_server_serves() {
    let (scratch, origin) = (Scratch::new(), Origin::named("alive"));
    // What a killed server leaves behind, and what was never there.
    let left = path(&scratch, "left.sock");
    drop(UnixListener::bind(&left).unwrap());
    let door = Door::open(unix::free_name(), origin.address());
    for dead in [left, path(&scratch, "none.sock"), unix::free_name()] {
        let alone = start(&[format!("unix:{dead}")], &json!({ "retry": { "attempts": 1 } }));
        assert_eq!(alone.get("/").failure(), Some("connect_refused"), "{dead}");
        let balancer = start(&[format!("unix:{dead}"), door.host()], &json!({}));
        for _ in 0..4 {
            assert_eq!(balancer.get("/").text(), "alive", "{dead}");
        }
    }
}

#[test]
fn a_queue_that_is_full_is_waited_for_as_long_as_a_connection_may_take() {
    let door = Door::shut(unix::free_name());
    let name = door.host();
    let name = name.strip_prefix("unix:").unwrap();
    let _waits = unix::connect(name).unwrap();
    let once = json!({ "retry": { "attempts": 1 }, "timeouts": { "connect": "300ms" } });
    let balancer = start(&[door.host()], &once);
    assert_eq!(balancer.get("/").failure(), Some("connect_timeout"));

    let long = json!({ "retry": { "attempts": 1 }, "timeouts": { "connect": "1m" } });
    let balancer = start(&[door.host()], &long);
    let mut client = balancer.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let connects = || balancer.operator().data("/api/servers")[0]["connects"] == 1;
    assert!(!connects());
    door.turn_one_away();
    eventually("the connection is there", connects);
}

#[test]
fn an_edit_names_no_socket_that_the_file_does_not_name() {
    let origin = Origin::named("served");
    let door = Door::open(unix::free_name(), origin.address());
    let balancer = start(&[door.host()], &json!({ "healthCheck": { "type": "off" } }));
    let operator = balancer.operator();
    for host in ["unix:/run/docker.sock", "unix:@other"] {
        let (status, answer) = operator.send("POST", "/api/servers", &json!({ "host": host }));
        assert_eq!((status, &answer["error"]["code"]), (403, &json!("names_file")), "{host}: {answer}");
    }
    let (status, answer) = operator.send("POST", "/api/servers", &json!({ "host": door.host(), "port": 1 }));
    assert_eq!(
        (status, &answer["error"]["issues"][0]["at"]),
        (422, &json!("/pools/app/servers/1/port")),
        "{answer}"
    );
    let (status, answer) = operator.send("POST", "/api/servers", &json!({ "host": door.host() }));
    assert_eq!(status, 409, "{answer}");
    // One that is named already may be named again, and what is there be changed by its id.
    operator.must(201, "POST", "/api/servers", &json!({ "host": "127.0.0.1", "port": origin.port() }));
    let id = door.host().replace('/', "%2F");
    operator.must(200, "PUT", &format!("/api/servers/{id}/weight"), &json!({ "weight": 7 }));
    assert_eq!(operator.data(&format!("/api/servers/{id}"))["weight"], 7);
}

/// Waits until somebody listens on the socket.
fn is_open(name: &Path) -> bool {
    unix::connect(name.to_str().unwrap()).is_ok()
}

#[test]
fn real_servers_are_served_from_their_sockets() {
    let scratch = Scratch::new();
    let nginx = format!(
        "listen unix:{}/nginx.sock; return 200 \"nginx $host $http_x_forwarded_for\";",
        scratch.path().display()
    );
    let python = "
import http.server, socketserver, sys
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def do_GET(self):
        body = b'python ' + self.headers['Host'].encode()
        self.send_response(200)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def address_string(self): return 'unix'
    def log_message(self, *args): pass
class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer): daemon_threads = True
Server(sys.argv[1], Handler).serve_forever()
";
    let (first, second) = (scratch.path().join("nginx.sock"), scratch.path().join("python.sock"));
    let nginx = Process::start(&mut nginx_command(&scratch, &nginx));
    let python = Process::start(Command::new("python3").arg(scratch.file("server.py", python)).arg(&second));
    // Programs of other makers take their time to start on a busy machine.
    let up = holds_within(PATIENCE * 12, || is_open(&first) && is_open(&second));
    assert!(up, "{:?} {:?}", nginx.stderr(), python.stderr());
    let balancer = start(
        &[&first, &second].map(|name| format!("unix:{}", name.display())),
        &json!({ "algorithm": "round_robin" }),
    );
    let mut client = balancer.client();
    let mut bodies: Vec<_> = (0..4).map(|_| client.get("/").text()).collect();
    bodies.sort();
    bodies.dedup();
    assert_eq!(bodies, ["nginx test 127.0.0.1", "python test"]);
}
