//! The PROXY protocol: who connections are from, said to us by proxies in front.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use std::process::Command;

use loadweaver_testkit::config::{merge, one_pool};
use loadweaver_testkit::origin::reply;
use loadweaver_testkit::scratch::Scratch;
use loadweaver_testkit::tls::Authority;
use loadweaver_testkit::{Balancer, Origin, Peer, RawClient, eventually};
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_loadweaver");

const LINE: &str = "PROXY TCP4 203.0.113.7 192.0.2.1 40000 80\r\n";
const GET: &str = "GET / HTTP/1.1\r\nHost: test\r\n\r\n";

/// Answers with who it is told that the client is.
fn origin() -> Origin {
    Origin::by_request(|request| {
        let told = |name| request.fields.all(name).join(",");
        reply(200, format!("{} {}", told("x-forwarded-for"), told("x-forwarded-proto")))
    })
}

fn start(origin: &Origin, rules: &Value, patch: &Value) -> Balancer {
    let mut config =
        one_pool(&[origin.address()], &json!({ "listeners": { "web": { "proxyProtocol": rules } } }));
    merge(&mut config, patch);
    Balancer::start(BINARY, &config)
}

fn trusting(origin: &Origin) -> Balancer {
    start(origin, &json!({ "trusted": ["127.0.0.0/8"] }), &json!({ "accessLog": { "output": "stdout" } }))
}

/// A header of version 2 with addresses of IPv4 and these fields.
fn binary(kind: u8, fields: &[u8]) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    let body = [&[203, 0, 113, 9, 192, 0, 2, 1, 0x9c, 0x40, 0, 80][..], fields].concat();
    header.extend_from_slice(&[kind, 0x11]);
    header.extend_from_slice(&u16::try_from(body.len()).unwrap().to_be_bytes());
    header.extend_from_slice(&body);
    header
}

#[test]
fn the_client_is_whom_a_trusted_proxy_names() {
    let origin = origin();
    let balancer = trusting(&origin);
    let v6 = "PROXY TCP6 2001:db8::7 ::1 40000 80\r\n".as_bytes().to_vec();
    let secured = binary(0x21, &[0x20, 0, 5, 1, 0, 0, 0, 1]);
    for (header, told) in [
        (LINE.as_bytes().to_vec(), "203.0.113.7 http"),
        (v6, "2001:db8::7 http"),
        (b"PROXY UNKNOWN\r\n".to_vec(), "127.0.0.1 http"),
        (binary(0x21, b""), "203.0.113.9 http"),
        (binary(0x20, b"whatever"), "127.0.0.1 http"),
        (secured, "203.0.113.9 https"),
    ] {
        let mut client = balancer.client();
        client.send([&header[..], GET.as_bytes()].concat()).unwrap();
        assert_eq!(client.answer("GET").text(), told, "{header:?}");
        // The header stands for the connection and not for a request.
        assert_eq!(client.get("/").text(), told);
    }
    eventually("the log has the client", || {
        balancer.stdout().iter().any(|line| line.contains("203.0.113.7"))
    });
}

#[test]
fn a_header_in_pieces_is_put_together() {
    let origin = origin();
    let balancer = trusting(&origin);
    for header in [LINE.as_bytes().to_vec(), binary(0x21, &[0x04, 0, 3, 0, 0, 0])] {
        let mut client = balancer.client();
        client.send_pieces(header.chunks(1));
        client.send_pieces(GET.as_bytes().chunks(5));
        assert!(client.answer("GET").text().starts_with("203.0.113."), "{header:?}");
    }
}

#[test]
fn a_trusted_proxy_without_a_good_header_is_refused() {
    let origin = origin();
    let balancer = trusting(&origin);
    let bad: [&[u8]; 7] = [
        GET.as_bytes(),
        b"PROXY TCP4 203.0.113.7 192.0.2.1 40000\r\n",
        b"PROXY TCP4 203.0.113.7 192.0.2.1 40000 80\nGET / HTTP/1.1\r\n",
        &binary(0x11, b""),
        &binary(0x21, &[0x02, 0xff, 0xff]),
        &[b"PROXY UNKNOWN ".as_slice(), &[b'x'; 200]].concat(),
        b"\x16\x03\x01\x02\x00",
    ];
    for header in bad {
        let mut client = balancer.client();
        let answer = client.exchange(header);
        assert_eq!((answer.status, answer.failure()), (400, Some("bad_proxy_header")), "{header:?}");
        client.expect_closed();
    }
    assert_eq!(origin.requests().len(), 0);
    let failures = balancer.status()["failures"]["bad_proxy_header"].clone();
    assert_eq!(failures, bad.len());
    assert_eq!(balancer.status()["connections"]["active"].as_u64().unwrap_or(0), 0);
}

#[test]
fn a_second_header_is_a_bad_request() {
    let origin = origin();
    let balancer = trusting(&origin);
    let answer = balancer.client().exchange(format!("{LINE}{LINE}{GET}"));
    assert_eq!((answer.status, origin.requests().len()), (400, 0));
}

#[test]
fn a_header_that_does_not_come_is_not_waited_for_for_long() {
    let origin = origin();
    let patch = json!({ "timeouts": { "requestHead": "200ms" } });
    let balancer = start(&origin, &json!({ "trusted": ["127.0.0.1"] }), &patch);
    for part in ["", "PROXY TCP4 203.", "\r\n\r\n\0\r\nQUIT\n!"] {
        let mut client = balancer.client();
        client.send(part).unwrap();
        let answer = client.answer("GET");
        assert_eq!((answer.status, answer.failure()), (408, Some("head_timeout")), "{part:?}");
    }
    // Whoever only looks whether somebody listens is no failure.
    let client = balancer.client();
    client.half_close();
    drop(client);
    assert_eq!(balancer.status()["failures"]["head_timeout"], 3);
}

#[test]
fn others_are_refused_or_served_as_clients() {
    let origin = origin();
    let rules = json!({ "trusted": ["192.0.2.0/24"] });
    let balancer = start(&origin, &rules, &json!({}));
    for request in [GET.to_owned(), format!("{LINE}{GET}")] {
        let mut client = balancer.client();
        let answer = client.exchange(request);
        assert_eq!((answer.status, answer.failure()), (403, Some("untrusted_proxy")));
        client.expect_closed();
    }
    let balancer = start(&origin, &json!({ "trusted": ["192.0.2.0/24"], "required": false }), &json!({}));
    assert_eq!(balancer.get("/").text(), "127.0.0.1 http");
    // Nobody names another client who is not trusted.
    let answer = balancer.client().exchange(format!("{LINE}{GET}"));
    assert_eq!((answer.status, answer.failure()), (400, Some("bad_request_line")));
}

#[test]
fn the_named_client_is_believed_as_far_as_trusted_proxies_say() {
    let origin = origin();
    let patch = json!({ "trustedProxies": ["203.0.113.0/24"] });
    let balancer = start(&origin, &json!({ "trusted": ["127.0.0.1"] }), &patch);
    let request = "GET / HTTP/1.1\r\nHost: test\r\nX-Forwarded-For: 198.51.100.1\r\n\r\n";
    let through = balancer.client().exchange(format!("{LINE}{request}"));
    assert_eq!(through.text(), "198.51.100.1, 203.0.113.7 http");
    let plain = balancer.client().exchange(format!("PROXY UNKNOWN\r\n{request}"));
    assert_eq!(plain.text(), "127.0.0.1 http");
}

#[test]
fn a_header_comes_before_tls_and_before_http_2() {
    let (origin, authority, scratch) = (origin(), Authority::new("Test"), Scratch::new());
    let signed = authority.sign(&["localhost"]);
    let (cert, key) = (scratch.file("a.pem", &signed.cert), scratch.file("a.key", &signed.key));
    let patch = json!({ "listeners": {
        "web": { "tls": { "certificates": [{ "cert": cert, "key": key }] } },
        "plain": { "bind": "127.0.0.1:0", "proxyProtocol": { "trusted": ["127.0.0.1"] } }
    } });
    let balancer = start(&origin, &json!({ "trusted": ["127.0.0.1"] }), &patch);
    let (secure, plain) = (balancer.address(), balancer.listener("plain").unwrap());
    let url = |scheme: &str, port: u16| format!("{scheme}://localhost:{port}/");
    for (arguments, told) in [
        (vec!["-k", "--http1.1", &url("https", secure.port())], "https"),
        (vec!["-k", "--http2", &url("https", secure.port())], "https"),
        (vec!["--http1.1", &url("http", plain.port())], "http"),
        (vec!["--http2-prior-knowledge", &url("http", plain.port())], "http"),
    ] {
        let output =
            Command::new("curl").args(["-sS", "-4", "--haproxy-protocol"]).args(&arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(said, format!("127.0.0.1 {told}"), "{arguments:?}: {output:?}");
    }
    // Nothing that is no TLS is written to a port that speaks it.
    let mut client = RawClient::connect(secure);
    client.send(GET).unwrap();
    let (bytes, _) = client.read_to_end();
    assert_eq!(bytes, b"");
    assert_eq!(balancer.status()["failures"]["bad_proxy_header"], 1);
}

#[test]
fn haproxy_names_its_clients_to_us() {
    let origin = origin();
    let balancer = trusting(&origin);
    let to = balancer.address();
    for way in ["send-proxy", "send-proxy-v2", "send-proxy-v2 proxy-v2-options crc32c,unique-id,ssl"] {
        let front = Peer::start(|port, scratch| {
            let text = format!(
                "global\n maxconn 100\ndefaults\n mode tcp\n timeout connect 3s\n timeout client 30s\n \
                 timeout server 30s\nfrontend web\n bind 127.0.0.1:{port}\n unique-id-format %[src]\n \
                 default_backend app\nbackend app\n server s {to} {way}\n"
            );
            let mut command = Command::new("haproxy");
            command.arg("-db").arg("-f").arg(scratch.file("haproxy.cfg", text));
            command
        });
        let mut client = RawClient::connect(front.address());
        assert_eq!(client.get("/").text(), "127.0.0.1 http", "{way}");
        assert_eq!(client.get("/").text(), "127.0.0.1 http", "{way}");
        let port = client.local_address().port().to_string();
        eventually("the log has the port of HAProxy's client", || {
            balancer.stdout().iter().any(|line| line.contains(&port))
        });
    }
}

#[test]
fn a_change_of_who_is_trusted_is_taken_up() {
    let origin = origin();
    let mut config = one_pool(&[origin.address()], &json!({}));
    let balancer = Balancer::start(BINARY, &config);
    let mut kept = balancer.client();
    assert_eq!(kept.get("/").text(), "127.0.0.1 http");
    config["listeners"]["web"]["proxyProtocol"] = json!({ "trusted": ["127.0.0.1"] });
    balancer.reload(&config);
    assert_eq!(kept.get("/").text(), "127.0.0.1 http");
    assert_eq!(balancer.client().exchange(format!("{LINE}{GET}")).text(), "203.0.113.7 http");
    config["listeners"]["web"].as_object_mut().unwrap().remove("proxyProtocol");
    balancer.reload(&config);
    assert_eq!(balancer.get("/").text(), "127.0.0.1 http");
}
