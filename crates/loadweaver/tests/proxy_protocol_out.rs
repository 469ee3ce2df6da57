//! The PROXY protocol: who connections are from, said by us to servers.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use std::net::SocketAddr;
use std::process::Command;
use std::sync::{Arc, Mutex};

use loadweaver_testkit::config::{merge, one_pool};
use loadweaver_testkit::origin::reply;
use loadweaver_testkit::peer::nginx_command;
use loadweaver_testkit::scratch::Scratch;
use loadweaver_testkit::tls::Authority;
use loadweaver_testkit::wire::Stream;
use loadweaver_testkit::{Balancer, Origin, Peer, RawClient, WireError, eventually};
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_loadweaver");

static ONLY_12: [&rustls::SupportedProtocolVersion; 1] = [&rustls::version::TLS12];
static ONLY_13: [&rustls::SupportedProtocolVersion; 1] = [&rustls::version::TLS13];

type Headers = Arc<Mutex<Vec<Vec<u8>>>>;

/// Takes the header off each connection, keeps it, and serves.
fn origin() -> (Origin, Headers) {
    let headers = Headers::default();
    let kept = Arc::clone(&headers);
    let origin = Origin::start(move |connection| {
        let header = header(connection)?;
        kept.lock().unwrap().push(header);
        loop {
            connection.read_request()?;
            connection.write(reply(200, "served"));
        }
    });
    (origin, headers)
}

fn header(connection: &mut Stream) -> Result<Vec<u8>, WireError> {
    let mut take = |header: &mut Vec<u8>, len: usize| {
        header.extend(connection.read_exact(len)?);
        Ok::<_, WireError>(())
    };
    let mut header = Vec::new();
    take(&mut header, 12)?;
    if header.starts_with(b"PROXY ") {
        while !header.ends_with(b"\r\n") {
            take(&mut header, 1)?;
        }
    } else {
        take(&mut header, 4)?;
        let len = usize::from(u16::from_be_bytes([header[14], header[15]]));
        take(&mut header, len)?;
    }
    Ok(header)
}

fn start(server: SocketAddr, way: &str, patch: &Value) -> Balancer {
    let mut config = one_pool(&[server], &json!({ "pools": { "app": { "sendProxyProtocol": way } } }));
    merge(&mut config, patch);
    Balancer::start(BINARY, &config)
}

fn line(client: &RawClient, balancer: &Balancer) -> Vec<u8> {
    let (from, to) = (client.local_address().port(), balancer.address().port());
    format!("PROXY TCP4 127.0.0.1 127.0.0.1 {from} {to}\r\n").into_bytes()
}

#[test]
fn each_client_has_connections_of_its_own() {
    let (origin, headers) = origin();
    let balancer = start(origin.address(), "v1", &json!({}));
    let (mut one, mut other) = (balancer.client(), balancer.client());
    for _ in 0..3 {
        assert_eq!(one.get("/").text(), "served");
        assert_eq!(other.get("/").text(), "served");
    }
    let wanted = [line(&one, &balancer), line(&other, &balancer)];
    assert_eq!(*headers.lock().unwrap(), wanted, "a connection for each client, and no more");
}

#[test]
fn connections_that_say_nothing_are_not_taken_for_those_that_do() {
    let (origin, headers) = origin();
    let plain = Origin::named("plain");
    let patch = json!({
        "routes": [{ "match": { "path": "/plain" }, "pool": "plain" }, { "pool": "app" }],
        "pools": { "plain": { "servers": [{ "host": "127.0.0.1", "port": plain.port() }], "healthCheck": { "type": "off" } } }
    });
    let balancer = start(origin.address(), "v2", &patch);
    let mut client = balancer.client();
    for _ in 0..2 {
        assert_eq!(client.get("/").text(), "served");
        assert_eq!(client.get("/plain").text(), "plain");
    }
    let headers = headers.lock().unwrap().clone();
    let mut wanted = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x7f\0\0\x01\x7f\0\0\x01".to_vec();
    wanted.extend_from_slice(&client.local_address().port().to_be_bytes());
    wanted.extend_from_slice(&balancer.address().port().to_be_bytes());
    assert_eq!(headers, [wanted]);
}

#[test]
fn what_a_proxy_in_front_has_said_is_passed_on() {
    let (origin, headers) = origin();
    let patch = json!({ "listeners": { "web": { "proxyProtocol": { "trusted": ["127.0.0.1"] } } } });
    let balancer = start(origin.address(), "v2", &patch);
    let fields = b"\x02\0\x09a.example\x05\0\x02id\x20\0\x0f\x01\0\0\0\x01\x21\0\x07TLSv1.3";
    let mut sent = b"\r\n\r\n\0\r\nQUIT\n\x21\x11".to_vec();
    sent.extend_from_slice(&u16::try_from(12 + fields.len()).unwrap().to_be_bytes());
    sent.extend_from_slice(&[203, 0, 113, 9, 192, 0, 2, 1, 0x9c, 0x40, 0, 80]);
    sent.extend_from_slice(fields);
    let request = [&sent[..], b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"].concat();
    assert_eq!(balancer.client().exchange(request).text(), "served");
    assert_eq!(*headers.lock().unwrap(), [sent]);
}

#[test]
fn version_2_tells_of_the_clients_tls_over_both_protocols() {
    let ((origin, headers), authority, scratch) = (origin(), Authority::new("Test"), Scratch::new());
    let signed = authority.sign(&["localhost"]);
    let (cert, key) = (scratch.file("a.pem", &signed.cert), scratch.file("a.key", &signed.key));
    let patch =
        json!({ "listeners": { "web": { "tls": { "certificates": [{ "cert": cert, "key": key }] } } } });
    let balancer = start(origin.address(), "v2", &patch);
    let url = format!("https://localhost:{}/", balancer.address().port());
    for (way, alpn) in [("--http1.1", "http/1.1"), ("--http2", "h2")] {
        let output = Command::new("curl").args(["-sS", "-4", "-k", way, &url]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "served", "{output:?}");
        let header = headers.lock().unwrap().pop().unwrap();
        let text = String::from_utf8_lossy(&header).into_owned();
        for part in [alpn, "localhost", "TLSv1.3", "TLS_"] {
            assert!(text.contains(part), "{part} is not in {text:?}");
        }
        assert_eq!(header[16..24], [127, 0, 0, 1, 127, 0, 0, 1]);
        assert_eq!(header[26..28], balancer.address().port().to_be_bytes());
    }
}

/// The fields of a header's second part, or of one of them: kind and value.
fn fields(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut all = Vec::new();
    while let [kind, high, low, rest @ ..] = bytes {
        let (value, others) = rest.split_at(usize::from(u16::from_be_bytes([*high, *low])));
        all.push((*kind, value.to_vec()));
        bytes = others;
    }
    assert!(bytes.is_empty(), "{bytes:?}");
    all
}

#[test]
fn version_2_names_the_client_that_has_shown_a_certificate_and_nobody_else() {
    // Section 2.2.6 of the specification.
    let [ssl, version_of_tls, name, cipher] = [0x20_u8, 0x21, 0x22, 0x23];
    let ((origin, headers), authority, scratch) = (origin(), Authority::new("Test"), Scratch::new());
    let signed = authority.sign(&["localhost"]);
    let (cert, key) = (scratch.file("a.pem", &signed.cert), scratch.file("a.key", &signed.key));
    let ca = scratch.file("ca.pem", &authority.pem);
    let tls = json!({
        "certificates": [{ "cert": cert, "key": key }],
        "clientCertificates": { "mode": "optional", "caFile": ca },
    });
    let balancer = start(origin.address(), "v2", &json!({ "listeners": { "web": { "tls": tls } } }));
    let known = authority.sign_client("ops");
    for (versions, version) in [(&ONLY_13, "TLSv1.3"), (&ONLY_12, "TLSv1.2")] {
        for (shown, verified) in [(Some(&known), true), (None, false)] {
            let mut client = authority.client().versions(versions);
            if let Some(known) = shown {
                client = client.identity(known);
            }
            let bridge = client.bridge(balancer.address(), "localhost");
            // The second takes up the first one's session, where it has one.
            for _ in 0..2 {
                let resumed = bridge.resumed();
                assert_eq!(RawClient::connect(bridge.address()).get("/").text(), "served");
                let header = headers.lock().unwrap().pop().unwrap();
                let all = fields(&header[16 + 12..]);
                let (_, value) = all.iter().find(|(kind, _)| *kind == ssl).unwrap();
                let (flags, within) = value.split_at(5);
                let what = (version, verified, flags);
                assert_eq!(flags[1..] == [0; 4], verified, "{what:?}");
                // Over TLS; a certificate was shown on this connection; or on that whose session it takes up.
                let wanted = match (verified, bridge.resumed() - resumed) {
                    (false, _) => 1,
                    (true, 0) => 1 | 2 | 4,
                    (true, _) => 1 | 4,
                };
                assert_eq!(flags[0], wanted, "{what:?}");
                let within = fields(within);
                let text = |kind| {
                    let found = within.iter().find(|(found, _)| *found == kind);
                    found.map(|(_, value)| String::from_utf8_lossy(value).into_owned())
                };
                assert_eq!(text(version_of_tls).as_deref(), Some(version));
                assert_eq!(text(name), verified.then(|| "ops".to_owned()), "{what:?}");
                assert!(text(cipher).is_some_and(|cipher| !cipher.is_empty()), "{what:?}");
            }
            assert_eq!(bridge.resumed(), 1);
        }
    }
}

#[test]
fn probes_say_that_they_are_from_nobody() {
    for (way, wanted) in [("v1", &b"PROXY UNKNOWN\r\n"[..]), ("v2", b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0")] {
        for kind in ["http", "tcp"] {
            let (origin, headers) = origin();
            let patch = json!({ "pools": { "app": { "healthCheck": { "type": kind } } } });
            let _balancer = start(origin.address(), way, &patch);
            eventually("a probe has come", || headers.lock().unwrap().first().is_some_and(|it| it == wanted));
        }
    }
}

#[test]
fn haproxy_and_nginx_hear_whom_we_serve() {
    for way in ["v1", "v2"] {
        let haproxy = Peer::start(|port, scratch| {
            let text = format!(
                "global\n maxconn 100\ndefaults\n mode http\n timeout connect 3s\n timeout client 30s\n \
                 timeout server 30s\nfrontend web\n bind 127.0.0.1:{port} accept-proxy\n \
                 http-request return status 200 content-type text/plain lf-string \"%[src]:%[src_port]\"\n"
            );
            let mut command = Command::new("haproxy");
            command.arg("-db").arg("-f").arg(scratch.file("haproxy.cfg", text));
            command
        });
        let nginx = Peer::start(|port, scratch| {
            let server = format!(
                "listen 127.0.0.1:{port} proxy_protocol;\n\
                 location / {{ return 200 \"$proxy_protocol_addr:$proxy_protocol_port\"; }}"
            );
            nginx_command(scratch, &server)
        });
        for (name, server) in [("haproxy", haproxy), ("nginx", nginx)] {
            let patch = json!({ "pools": { "app": { "healthCheck": { "type": "http" } } } });
            let balancer = start(server.address(), way, &patch);
            let mut client = balancer.client();
            for _ in 0..2 {
                let from = client.local_address().to_string();
                assert_eq!(client.get("/").text(), from, "{name} {way}");
            }
            assert_eq!(balancer.client().get("/").status, 200);
        }
    }
}
