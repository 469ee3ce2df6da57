//! What must hold between any client and any server, whatever each of them speaks.
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used)]

use std::net::SocketAddr;
use std::time::Duration;

use loadweaver_testkit::Balancer;
use loadweaver_testkit::config::{merge, one_pool};
use loadweaver_testkit::pair::socket::{self, Socket};
use loadweaver_testkit::pair::{AnyOrigin, Ask, HALF, REST, Told, Wire, ask, begin};
use loadweaver_testkit::scratch::Scratch;
use loadweaver_testkit::tls::{Authority, Bridge, TlsOrigin};
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_loadweaver");

/// What one side speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Side {
    wire: Wire,
    tls: bool,
}

/// HTTP/1.1 in the clear.
const H1: Side = Side { wire: Wire::Http1, tls: false };
/// HTTP/1.1 over TLS.
const H1_TLS: Side = Side { wire: Wire::Http1, tls: true };
/// HTTP/2 over TLS, by ALPN.
const H2: Side = Side { wire: Wire::Http2, tls: true };
/// HTTP/2 in the clear, by prior knowledge.
const H2C: Side = Side { wire: Wire::Http2, tls: false };

impl Side {
    fn alpn(self) -> &'static str {
        if self.wire == Wire::Http2 { "h2" } else { "http/1.1" }
    }
}

/// A client's protocol, a balancer, and a server's.
struct Pair {
    client: Side,
    server: Side,
    origin: AnyOrigin,
    balancer: Balancer,
    /// Where clients connect to: the balancer, or what speaks TLS with it for them.
    entry: SocketAddr,
    config: Value,
    authority: Authority,
    _files: Scratch,
}

impl Pair {
    fn new(client: Side, server: Side) -> Self {
        let origin = AnyOrigin::start(server.wire);
        let (authority, files) = (Authority::new("Matrix"), Scratch::new());
        let signed = authority.sign(&["test"]);
        let (cert, key) = (files.file("cert.pem", &signed.cert), files.file("key.pem", &signed.key));
        let behind = server.tls.then(|| {
            let protocols = &[server.alpn()];
            TlsOrigin { signed: &signed, clients: None, versions: rustls::ALL_VERSIONS, protocols }
                .bridge(origin.address())
        });
        let address = behind.as_ref().map_or(origin.address(), Bridge::address);
        let mut config = one_pool(&[address], &json!({}));
        let protocol = match server {
            H1 => "http1",
            H2C => "h2c",
            // What TLS agrees on.
            _ => "auto",
        };
        let pool = json!({ "protocol": protocol, "timeouts": { "response": "20s" } });
        merge(&mut config, &json!({ "pools": { "app": pool } }));
        if server.tls {
            let ca = files.file("ca.pem", &authority.pem);
            let tls = json!({ "caFile": ca, "serverName": "test" });
            merge(&mut config, &json!({ "pools": { "app": { "tls": tls } } }));
        }
        if client.tls {
            let tls = json!({ "certificates": [{ "cert": cert, "key": key }] });
            merge(&mut config, &json!({ "listeners": { "web": { "tls": tls } } }));
        }
        let balancer = Balancer::start(BINARY, &config);
        let mut pair = Self {
            client,
            server,
            origin,
            entry: balancer.address(),
            balancer,
            config,
            authority,
            _files: files,
        };
        pair.connect();
        pair
    }

    /// Puts clients before the balancer.
    fn connect(&mut self) {
        let address = self.balancer.address();
        self.entry = address;
        if self.client.tls {
            let client = self.authority.client().speaking(&[self.client.alpn()]);
            self.entry = client.bridge(address, "test").address();
        }
    }

    /// Starts the balancer anew with other settings of the pool.
    fn with(&mut self, pool: &Value) {
        merge(&mut self.config, &json!({ "pools": { "app": pool } }));
        self.balancer = Balancer::start(BINARY, &self.config);
        self.connect();
    }

    #[track_caller]
    fn open(&self, path: &str) -> Box<dyn Socket> {
        socket::open(self.client.wire, self.entry, path)
            .unwrap_or_else(|told| panic!("{self}: no WebSocket: {told:?}"))
    }

    fn try_ask(&self, request: Ask<'_>) -> Result<Told, String> {
        ask(self.client.wire, self.entry, request)
    }

    #[track_caller]
    fn ask(&self, request: Ask<'_>) -> Told {
        self.try_ask(request)
            .unwrap_or_else(|error| panic!("{self}: {} gets no answer: {error}", request.path))
    }
}

impl std::fmt::Display for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a client of {:?} and a server of {:?}", self.client, self.server)
    }
}

/// Makes a test of each rule for each pair.
macro_rules! matrix {
    ($($rule:ident,)*) => {
        matrix!(@from h1 H1 $($rule)*);
        matrix!(@from h1_tls H1_TLS $($rule)*);
        matrix!(@from h2 H2 $($rule)*);
        matrix!(@from h2c H2C $($rule)*);
    };
    (@from $name:ident $client:ident $($rule:ident)*) => {
        mod $name {
            matrix!(@to to_h1 $client H1 $($rule)*);
            matrix!(@to to_h1_tls $client H1_TLS $($rule)*);
            matrix!(@to to_h2 $client H2 $($rule)*);
            matrix!(@to to_h2c $client H2C $($rule)*);
        }
    };
    (@to $name:ident $client:ident $server:ident $($rule:ident)*) => {
        mod $name {
            use crate::{$client as CLIENT, $server as SERVER, Pair};
            $(
                #[test]
                fn $rule() {
                    crate::$rule(&mut Pair::new(CLIENT, SERVER));
                }
            )*
        }
    };
}

matrix! {
    a_get_is_answered,
    a_head_is_answered_without_a_body,
    a_post_with_a_length_arrives_whole,
    a_streamed_post_arrives_whole,
    large_bodies_pass_both_ways_at_once,
    trailers_pass_both_ways,
    interim_answers_are_passed_on,
    an_early_answer_ends_the_upload,
    cookies_arrive_as_one,
    a_client_that_goes_away_frees_the_server,
    a_client_that_goes_away_in_the_middle_harms_nobody_else,
    an_answer_that_is_cut_is_seen_to_be,
    a_server_that_hangs_is_given_up,
    a_drain_lets_an_answer_end,
    many_exchanges_at_once_are_each_answered,
    an_upgrade_opens_a_tunnel_both_ways,
    a_tunnel_that_a_client_breaks_off_is_broken_off_for_the_server,
    a_tunnel_that_a_server_breaks_off_is_broken_off_for_the_client,
    a_silent_tunnel_is_closed,
    a_drain_lets_a_tunnel_go_on_until_its_deadline,
}

fn a_get_is_answered(pair: &mut Pair) {
    let told = pair.ask(Ask::get("/echo?a=b%20c"));
    assert_eq!(told.status, 200);
    assert_eq!(told.field("x-method"), Some("GET"));
    assert_eq!(told.field("x-target"), Some("/echo?a=b%20c"));
    assert_eq!(told.field("x-saw-host"), Some("test"));
    let scheme = if pair.client.tls { "https" } else { "http" };
    assert_eq!(told.field("x-saw-x-forwarded-proto"), Some(scheme));
    assert_eq!(told.body, b"");
    for name in ["connection", "keep-alive", "transfer-encoding", "upgrade"] {
        assert!(pair.client.wire == Wire::Http1 || told.field(name).is_none(), "{name} in HTTP/2: {told:?}");
    }
}

fn a_head_is_answered_without_a_body(pair: &mut Pair) {
    let told = pair.ask(Ask { method: "HEAD", ..Ask::get("/echo") });
    assert_eq!((told.status, told.field("content-length")), (200, Some("5")), "{told:?}");
    assert_eq!(told.body, b"");
    assert_eq!(told.field("x-method"), Some("HEAD"));
}

fn a_post_with_a_length_arrives_whole(pair: &mut Pair) {
    for length in [1, 10_000, 300_000] {
        let body = bytes(length);
        let told = pair.ask(Ask::post("/echo", &body));
        assert_eq!(told.status, 200);
        assert!(told.body == body, "{length} bytes came back as {}", told.body.len());
        assert_eq!(told.field("x-saw-content-length"), Some(length.to_string().as_str()));
    }
}

fn a_streamed_post_arrives_whole(pair: &mut Pair) {
    let body = bytes(300_000);
    let told = pair.ask(Ask { announced: false, ..Ask::post("/echo", &body) });
    assert_eq!(told.status, 200);
    assert!(told.body == body, "{} bytes came back", told.body.len());
    assert_eq!(told.field("x-saw-content-length"), None);
}

fn large_bodies_pass_both_ways_at_once(pair: &mut Pair) {
    let body = bytes(8 * 1024 * 1024);
    let told = pair.ask(Ask::post("/both", &body));
    assert_eq!(told.status, 200);
    assert!(told.body == body, "{} bytes came back", told.body.len());
}

fn trailers_pass_both_ways(pair: &mut Pair) {
    let trailers = [("x-first", "1"), ("x-second", "two words")];
    let fields = [("te", "trailers")];
    let request =
        Ask { announced: false, trailers: &trailers, fields: &fields, ..Ask::post("/echo", b"abc") };
    let told = pair.ask(request);
    assert_eq!(told.body, b"abc");
    assert_eq!(told.trailer("x-first"), Some("1"), "{told:?}");
    assert_eq!(told.trailer("x-second"), Some("two words"), "{told:?}");
}

fn interim_answers_are_passed_on(pair: &mut Pair) {
    let told = pair.ask(Ask::get("/hints"));
    assert_eq!((told.status, told.interim.as_slice()), (200, [103].as_slice()), "{told:?}");
}

fn an_early_answer_ends_the_upload(pair: &mut Pair) {
    let body = bytes(4 * 1024 * 1024);
    let told = pair.ask(Ask::post("/early", &body));
    assert_eq!((told.status, told.body.as_slice()), (413, b"big".as_slice()));
    assert_eq!(pair.ask(Ask::get("/echo")).status, 200, "the next one is served");
}

fn cookies_arrive_as_one(pair: &mut Pair) {
    let fields: &[_] = match pair.client.wire {
        Wire::Http1 => &[("cookie", "a=1; b=2; c=3")],
        // RFC 9113 section 8.2.3 lets a client send its cookies apart.
        Wire::Http2 => &[("cookie", "a=1"), ("cookie", "b=2; c=3")],
    };
    let told = pair.ask(Ask { fields, ..Ask::get("/echo") });
    assert_eq!(told.field("x-saw-cookie"), Some("a=1; b=2; c=3"), "{told:?}");
}

fn a_client_that_goes_away_frees_the_server(pair: &mut Pair) {
    let begun = begin(pair.client.wire, pair.entry, "/hang", false);
    pair.origin.wait_for_hanging(1);
    drop(begun);
    pair.origin.wait_for_hanging(0);
    assert_eq!(pair.ask(Ask::get("/echo")).status, 200);
}

fn a_client_that_goes_away_in_the_middle_harms_nobody_else(pair: &mut Pair) {
    let stays = begin(pair.client.wire, pair.entry, "/gate", true);
    let leaves = begin(pair.client.wire, pair.entry, "/gate", true);
    drop(leaves);
    pair.origin.open_gate();
    let told = stays.finish().expect("the rest of the answer");
    assert_eq!(told.body, [HALF, REST].concat());
}

fn an_answer_that_is_cut_is_seen_to_be(pair: &mut Pair) {
    let told = pair.try_ask(Ask::get("/cut"));
    assert!(told.is_err(), "{pair}: half an answer looks whole: {told:?}");
    assert_eq!(pair.ask(Ask::get("/echo")).status, 200);
}

fn a_server_that_hangs_is_given_up(pair: &mut Pair) {
    pair.with(&json!({ "timeouts": { "response": "200ms" }, "retry": { "attempts": 1 } }));
    let told = pair.ask(Ask::get("/hang"));
    assert_eq!((told.status, told.field("x-loadweaver-failure")), (504, Some("response_timeout")));
    pair.origin.wait_for_hanging(0);
    assert_eq!(pair.ask(Ask::get("/echo")).status, 200);
}

fn a_drain_lets_an_answer_end(pair: &mut Pair) {
    let begun = begin(pair.client.wire, pair.entry, "/gate", true);
    pair.balancer.terminate();
    pair.balancer.wait_for_log("draining");
    pair.origin.open_gate();
    let told = begun.finish().expect("the rest of the answer");
    assert_eq!(told.body, [HALF, REST].concat());
    let ended = pair.balancer.wait_for_exit(Duration::from_secs(20));
    assert!(ended.is_some_and(|status| status.success()), "{pair}: {ended:?}");
}

fn an_upgrade_opens_a_tunnel_both_ways(pair: &mut Pair) {
    let mut tunnel = pair.open("/socket");
    for bytes in [b"\x81\x05hello".as_slice(), b"\x89\0", b"GET / HTTP/1.1\r\n\r\n", b"\0\xff\r\n"] {
        tunnel.send(bytes);
        assert_eq!(tunnel.read(bytes.len()).expect("the echo"), bytes);
    }
    tunnel.end();
    let (last, ended) = tunnel.read_to_end();
    assert_eq!((last.as_slice(), ended), (b"bye".as_slice(), Ok(())), "{pair}: an end is an end of one side");
    pair.origin.wait_for_hanging(0);
    assert_eq!(pair.ask(Ask::get("/echo")).status, 200);
}

fn a_tunnel_that_a_client_breaks_off_is_broken_off_for_the_server(pair: &mut Pair) {
    let tunnel = pair.open("/socket");
    pair.origin.wait_for_hanging(1);
    drop(tunnel);
    pair.origin.wait_for_hanging(0);
    assert_eq!(pair.ask(Ask::get("/echo")).status, 200);
}

fn a_tunnel_that_a_server_breaks_off_is_broken_off_for_the_client(pair: &mut Pair) {
    let mut tunnel = pair.open("/socket-cut");
    tunnel.send(b"x");
    let (bytes, ended) = tunnel.read_to_end();
    assert_eq!(bytes, b"");
    // What stands between us and a client of HTTP/1 with TLS makes a reset an end.
    let told = pair.client == H1_TLS || pair.server == H1_TLS || ended.is_err();
    assert!(told, "{pair}: it looks like an orderly end");
}

fn a_silent_tunnel_is_closed(pair: &mut Pair) {
    pair.with(&json!({ "timeouts": { "tunnel": "300ms" } }));
    let mut tunnel = pair.open("/socket");
    tunnel.send(b"x");
    assert_eq!(tunnel.read_to_end().0, b"x");
    pair.origin.wait_for_hanging(0);
}

fn a_drain_lets_a_tunnel_go_on_until_its_deadline(pair: &mut Pair) {
    merge(&mut pair.config, &json!({ "timeouts": { "drain": "1s" } }));
    pair.with(&json!({}));
    let mut tunnel = pair.open("/socket");
    pair.balancer.terminate();
    pair.balancer.wait_for_log("draining");
    tunnel.send(b"still there");
    assert_eq!(tunnel.read(11).expect("the echo"), b"still there");
    assert_eq!(tunnel.read_to_end().0, b"");
    pair.origin.wait_for_hanging(0);
    assert!(pair.balancer.wait_for_exit(Duration::from_secs(20)).is_some(), "{pair}");
}

fn many_exchanges_at_once_are_each_answered(pair: &mut Pair) {
    let (client, address) = (pair.client.wire, pair.entry);
    let clients: Vec<_> = (0..16)
        .map(|number| {
            std::thread::spawn(move || {
                for turn in 0..20 {
                    let body = format!("{number} {turn}");
                    let told = ask(client, address, Ask::post("/echo", body.as_bytes()));
                    let told = told.unwrap_or_else(|error| panic!("{body}: {error}"));
                    assert_eq!(String::from_utf8_lossy(&told.body), body);
                }
            })
        })
        .collect();
    for client in clients {
        client.join().expect("each answer is the one to its request");
    }
}

/// Bytes that show when they are not in their place.
fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|index| u8::try_from(index % 251).expect("below 251")).collect()
}
