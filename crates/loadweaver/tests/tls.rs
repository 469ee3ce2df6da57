//! TLS with clients: certificates, versions, tickets, and what is done with clients that do not speak it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use loadweaver_testkit::config::{merge, one_pool};
use loadweaver_testkit::origin::{reply, reply_with};
use loadweaver_testkit::scratch::Scratch;
use loadweaver_testkit::tls::{Authority, Bridge, Signed};
use loadweaver_testkit::{Balancer, Origin, RawClient, eventually};
use serde_json::{Value, json};

#[path = "tls/files.rs"]
mod files;
#[path = "tls/handshakes.rs"]
mod handshakes;
#[path = "tls/traffic.rs"]
mod traffic;

const BINARY: &str = env!("CARGO_BIN_EXE_loadweaver");

static ONLY_12: [&rustls::SupportedProtocolVersion; 1] = [&rustls::version::TLS12];
static ONLY_13: [&rustls::SupportedProtocolVersion; 1] = [&rustls::version::TLS13];

/// Who signs, and where the files are.
struct Site {
    authority: Authority,
    scratch: Scratch,
}

impl Site {
    fn new() -> Self {
        Self { authority: Authority::new("Test Authority"), scratch: Scratch::new() }
    }

    /// Writes the files and says where they are.
    fn files(&self, name: &str, signed: &Signed) -> Value {
        let cert = self.scratch.file(&format!("{name}.pem"), &signed.cert);
        let key = self.scratch.file(&format!("{name}.key"), &signed.key);
        json!({ "cert": cert, "key": key })
    }

    /// One certificate for `localhost`.
    fn tls(&self) -> Value {
        json!({ "certificates": [self.files("site", &self.authority.sign(&["localhost"]))] })
    }

    /// One that speaks so.
    #[allow(clippy::unused_self)] // the files are there while the site is
    fn balancer(&self, origin: &Origin, tls: &Value, patch: &Value) -> Balancer {
        let mut config = one_pool(&[origin.address()], &json!({ "listeners": { "web": { "tls": tls } } }));
        merge(&mut config, patch);
        Balancer::start(BINARY, &config)
    }
}

fn get(bridge: &Bridge, path: &str) -> loadweaver_testkit::Answer {
    RawClient::connect(bridge.address())
        .exchange(format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"))
}

#[test]
fn both_versions_are_served_and_servers_hear_of_it() {
    let (site, origin) = (Site::new(), Origin::named("origin"));
    let balancer = site.balancer(&origin, &site.tls(), &json!({ "forwardedHeaders": "both" }));
    for versions in [&ONLY_12, &ONLY_13] {
        let bridge = site.authority.client().versions(versions).bridge(balancer.address(), "localhost");
        let mut client = RawClient::connect(bridge.address());
        for _ in 0..3 {
            assert_eq!(client.get("/").body, b"origin");
        }
        let requests = origin.requests();
        let fields = &requests.last().unwrap().fields;
        assert_eq!(fields.get("x-forwarded-proto"), Some("https"));
        assert!(fields.get("forwarded").unwrap().ends_with(";proto=https"), "{fields:?}");
        assert_eq!(bridge.errors(), [""; 0]);
        drop(client);
    }
    let told = json!({
        "handshakes": 2, "versions": { "TLSv1.2": 1, "TLSv1.3": 1 }, "resumed": 0, "failed": 0, "timedOut": 0,
        "crowdedOut": 0,
    });
    assert_eq!(balancer.status()["tls"], told);
    assert_eq!(balancer.operator().data("/api/metrics")["tls"], told);
}

#[test]
fn curl_and_openssl_agree_with_us_on_every_cipher() {
    let (site, origin) = (Site::new(), Origin::answering(reply(200, "x".repeat(100_000))));
    let rsa = site.files("rsa", &site.authority.sign_rsa(&["localhost"]));
    let ecdsa = site.files("ecdsa", &site.authority.sign(&["localhost"]));
    let balancer = site.balancer(&origin, &json!({ "certificates": [rsa, ecdsa] }), &json!({}));
    let ca = site.scratch.file("ca.pem", &site.authority.pem);
    let port = balancer.address().port();
    for (version, option, ciphers) in [
        (
            "1.3",
            "--tls13-ciphers",
            "TLS_AES_128_GCM_SHA256 TLS_AES_256_GCM_SHA384 TLS_CHACHA20_POLY1305_SHA256",
        ),
        (
            "1.2",
            "--ciphers",
            "ECDHE-ECDSA-AES128-GCM-SHA256 ECDHE-ECDSA-AES256-GCM-SHA384 ECDHE-ECDSA-CHACHA20-POLY1305 \
             ECDHE-RSA-AES128-GCM-SHA256 ECDHE-RSA-AES256-GCM-SHA384 ECDHE-RSA-CHACHA20-POLY1305",
        ),
    ] {
        for cipher in ciphers.split_whitespace() {
            let output = Command::new("curl")
                .args(["-sS", "--cacert", ca.to_str().unwrap(), option, cipher])
                .args([&format!("--tlsv{version}"), "--tls-max", version])
                .args(["--resolve", &format!("localhost:{port}:127.0.0.1")])
                // Two requests on one connection, one of them with a body.
                .args(["-d", &"y".repeat(50_000), &format!("https://localhost:{port}/a")])
                .args(["--next", "-sS", "--cacert", ca.to_str().unwrap()])
                .args(["--resolve", &format!("localhost:{port}:127.0.0.1")])
                .args([&format!("https://localhost:{port}/b")])
                .output()
                .unwrap();
            assert!(output.status.success(), "{cipher}: {}", String::from_utf8_lossy(&output.stderr));
            assert_eq!(output.stdout.len(), 200_000, "{cipher}");
        }
    }
}

#[test]
fn a_client_is_shown_the_certificate_for_the_name_that_it_asks_for() {
    let (site, origin) = (Site::new(), Origin::named("origin"));
    let first = site.authority.sign(&["first.test", "localhost"]);
    let wild = site.authority.sign(&["*.wild.test"]);
    let exact = site.authority.sign(&["exact.wild.test"]);
    let files = [site.files("first", &first), site.files("wild", &wild), site.files("exact", &exact)];
    let balancer = site.balancer(&origin, &json!({ "certificates": files }), &json!({}));
    for (name, expected) in [
        ("first.test", Some(&first)),
        ("FIRST.test", Some(&first)),
        ("a.wild.test", Some(&wild)),
        ("exact.wild.test", Some(&exact)),
        // A star is for one label, and nobody has these: they get the first, which is not theirs.
        ("a.b.wild.test", None),
        ("wild.test", None),
        ("other.test", None),
    ] {
        let bridge = site.authority.client().bridge(balancer.address(), name);
        if let Some(expected) = expected {
            assert_eq!(get(&bridge, "/").status, 200, "{name}");
            assert_eq!(bridge.certificates(), [der(expected)], "{name}");
        } else {
            let _ = RawClient::connect(bridge.address()).read_answer("GET");
            eventually("the client refuses it", || {
                bridge.errors().iter().any(|error| error.contains("not valid for name"))
            });
        }
    }
    let shown = s_client(&balancer, &["-noservername"], "");
    assert!(shown.contains("first.test") || shown.contains("Certificate chain"), "{shown}");
}

fn der(signed: &Signed) -> Vec<u8> {
    use rustls::pki_types::pem::PemObject;
    rustls::pki_types::CertificateDer::from_pem_slice(signed.cert.as_bytes()).unwrap().to_vec()
}

/// What `openssl s_client` says.
fn s_client(balancer: &Balancer, arguments: &[&str], input: &str) -> String {
    let mut child = Command::new("openssl")
        .args(["s_client", "-connect", &balancer.address().to_string()])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn of_an_ecdsa_and_an_rsa_certificate_a_client_gets_the_one_that_it_can_verify() {
    let (site, origin) = (Site::new(), Origin::named("origin"));
    let rsa = site.files("rsa", &site.authority.sign_rsa(&["localhost"]));
    let ecdsa = site.files("ecdsa", &site.authority.sign(&["localhost"]));
    let balancer = site.balancer(&origin, &json!({ "certificates": [rsa, ecdsa] }), &json!({}));
    for (arguments, expected) in [
        (&["-tls1_3"][..], "id-ecPublicKey"),
        (&["-tls1_3", "-sigalgs", "RSA-PSS+SHA256"], "rsaEncryption"),
        (&["-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256"], "rsaEncryption"),
        (&["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"], "id-ecPublicKey"),
    ] {
        let all = [&["-servername", "localhost"], arguments].concat();
        let shown = s_client(&balancer, &all, "");
        let chain = shown.lines().find(|line| line.contains("a:PKEY")).unwrap_or_default();
        assert!(chain.contains(expected), "{arguments:?}: {shown}");
    }
}

#[test]
fn earlier_connections_are_taken_up_on_every_worker_and_after_a_reload() {
    let (site, origin) = (Site::new(), Origin::named("origin"));
    let tls = site.tls();
    let balancer = site.balancer(&origin, &tls, &json!({ "workers": 2 }));
    for versions in [&ONLY_12, &ONLY_13] {
        let bridge = site.authority.client().versions(versions).bridge(balancer.address(), "localhost");
        for _ in 0..12 {
            assert_eq!(get(&bridge, "/").body, b"origin");
        }
        eventually("all but the first are taken up", || bridge.resumed() == 11);
        let mut next = one_pool(&[origin.address()], &json!({ "workers": 2, "via": "lw" }));
        merge(&mut next, &json!({ "listeners": { "web": { "tls": tls } } }));
        if versions == &ONLY_13 {
            merge(&mut next, &json!({ "via": "other" }));
        }
        balancer.reload(&next);
        assert_eq!(get(&bridge, "/").body, b"origin");
        eventually("a reload changes nothing about it", || bridge.resumed() == 12);
    }
}

#[test]
fn a_ticket_is_not_good_for_more_than_it_was_given_out_for() {
    let (site, origin) = (Site::new(), Origin::named("origin"));
    let (tls, ca) = (site.tls(), site.scratch.file("ca.pem", &site.authority.pem));
    let balancer = site.balancer(&origin, &tls, &json!({}));
    let bridge = site.authority.client().bridge(balancer.address(), "localhost");
    assert_eq!(get(&bridge, "/").body, b"origin");
    // Now certificates are asked for: whoever has a ticket has never shown one.
    let mut next = one_pool(&[origin.address()], &json!({ "listeners": { "web": { "tls": tls } } }));
    let clients = json!({ "clientCertificates": { "mode": "required", "caFile": ca } });
    merge(&mut next["listeners"]["web"]["tls"], &clients);
    balancer.reload(&next);
    let answer = RawClient::connect(bridge.address()).read_answer("GET");
    assert!(answer.is_err(), "{answer:?}");
    eventually("it is asked anew", || {
        bridge.errors().iter().any(|error| error.contains("CertificateRequired"))
    });
    assert_eq!(bridge.resumed(), 0);
}

#[test]
fn clients_prove_who_they_are_and_cannot_say_so_themselves() {
    let (site, origin) = (Site::new(), Origin::named("origin"));
    let ca = site.scratch.file("clients.pem", &site.authority.pem);
    let forged = "GET / HTTP/1.1\r\nHost: test\r\nX-Client-Verified: SUCCESS\r\nX_Client_Cert_Subject: CN=root\r\n\
         X-Client-Cert-Fingerprint: 00\r\nConnection: close\r\n\r\n";
    let told = |name: &str| origin.requests().last().unwrap().fields.get(name).map(str::to_owned);
    for mode in ["off", "optional", "required"] {
        let mut tls = site.tls();
        merge(&mut tls, &json!({ "clientCertificates": { "mode": mode, "caFile": ca } }));
        // Not even a trusted proxy can.
        let balancer = site.balancer(&origin, &tls, &json!({ "trustedProxies": ["127.0.0.0/8"] }));
        let plain = site.authority.client();
        let known = plain.clone().identity(&site.authority.sign_client("ops"));
        let stranger = Authority::new("Somebody else").sign_client("ops");
        for versions in [&ONLY_12, &ONLY_13] {
            for (client, is_known) in [(plain.clone(), false), (known.clone(), true)] {
                let bridge = client.versions(versions).bridge(balancer.address(), "localhost");
                if mode == "required" && !is_known {
                    assert!(RawClient::connect(bridge.address()).read_answer("GET").is_err());
                    continue;
                }
                // The second one takes the first one up, and is the same client still.
                for _ in 0..2 {
                    assert_eq!(RawClient::connect(bridge.address()).exchange(forged).status, 200);
                    match (mode, is_known) {
                        ("off", _) => assert_eq!(told("x-client-verified"), None),
                        (_, false) => assert_eq!(told("x-client-verified").unwrap(), "NONE"),
                        (_, true) => {
                            assert_eq!(told("x-client-verified").unwrap(), "SUCCESS");
                            assert_eq!(told("x-client-cert-subject").unwrap(), "CN=ops,O=Example\\, Inc.");
                            assert_eq!(told("x-client-cert-fingerprint").unwrap().len(), 64);
                        }
                    }
                    assert_eq!(told("x_client_cert_subject"), None);
                    if mode == "off" || !is_known {
                        assert_eq!(
                            (told("x-client-cert-subject"), told("x-client-cert-fingerprint")),
                            (None, None)
                        );
                    }
                }
            }
            if mode != "off" {
                let bridge = plain
                    .clone()
                    .identity(&stranger)
                    .versions(versions)
                    .bridge(balancer.address(), "localhost");
                assert!(RawClient::connect(bridge.address()).read_answer("GET").is_err(), "{mode}");
            }
        }
    }
}

#[test]
fn clients_without_tls_are_sent_to_where_it_is_spoken() {
    let (site, origin) = (
        Site::new(),
        Origin::answering(reply_with(200, &["strict-transport-security: max-age=1"], "origin")),
    );
    let patch = json!({
        "trustedProxies": ["127.0.0.2/32"],
        "listeners": {
            "web": { "tls": null, "redirectHttps": true, "hsts": {} },
            "other": { "bind": "127.0.0.1:0", "redirectHttps": { "port": 8443, "status": 307 } },
            "secure": { "bind": "127.0.0.1:0", "tls": site.tls(), "hsts": { "maxAge": "1d", "includeSubdomains": true } }
        }
    });
    let balancer = site.balancer(&origin, &json!({}), &patch);
    for (listener, request, status, location) in [
        ("web", "GET /a/b?c=%20 HTTP/1.1\r\nHost: a.test:8080\r\n\r\n", 308, "https://a.test/a/b?c=%20"),
        ("web", "GET http://b.test/x HTTP/1.1\r\nHost: b.test\r\n\r\n", 308, "https://b.test/x"),
        ("web", "GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", 308, "https://[::1]/"),
        ("web", "OPTIONS * HTTP/1.1\r\nHost: a.test\r\n\r\n", 308, "https://a.test/"),
        ("web", "GET / HTTP/1.1\r\nHost: a.test\r\nX-Forwarded-Proto: https\r\n\r\n", 308, "https://a.test/"),
        (
            "other",
            "POST /p HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\n\r\nabc",
            307,
            "https://a.test:8443/p",
        ),
        ("web", "GET /.well-known/acme-challenge/x HTTP/1.1\r\nHost: a.test\r\n\r\n", 200, ""),
        ("web", "GET / HTTP/1.0\r\n\r\n", 400, ""),
    ] {
        let answer = RawClient::connect(balancer.listener(listener).unwrap()).exchange(request);
        assert_eq!(
            (answer.status, answer.fields.get("location").unwrap_or_default()),
            (status, location),
            "{request}"
        );
        let hsts = answer.fields.get("strict-transport-security");
        assert_eq!(hsts, (status == 200).then_some("max-age=1"), "{request}");
    }
    assert_eq!(origin.requests().len(), 1);
    let bridge = site.authority.client().bridge(balancer.listener("secure").unwrap(), "localhost");
    let (answer, failed) = (
        get(&bridge, "/"),
        RawClient::connect(bridge.address()).exchange("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n"),
    );
    for answer in [answer, failed] {
        let all: Vec<_> = answer.fields.all("strict-transport-security");
        assert_eq!(all, ["max-age=86400; includeSubDomains"], "{answer:?}");
    }
}
