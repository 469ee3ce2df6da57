#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
use loadweaver_config::ProbeKind;
use tokio::net::TcpStream;

use crate::fixture;
use crate::fixture::secure::Secure;

use super::super::http;
use super::super::reach::Errand;
use super::super::tcp::Place;
use super::*;

async fn shake_hands(secure: &Secure, name: &str, settings: Arc<ClientConfig>) -> Result<(), String> {
    let stream: Stream = Box::new(TcpStream::connect(("127.0.0.1", secure.port)).await.unwrap());
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let opened = open(stream, Ok(name), settings).await;
    opened.map(drop).map_err(|failure| failure.to_string())
}

fn check(host: Option<&str>, verify: bool) -> HealthCheck {
    HealthCheck {
        kind: ProbeKind::Http,
        tls: true,
        host: host.map(str::to_owned),
        verify,
        expect_body: Some(loadweaver_config::BodyPattern::Contains("asked for".to_owned())),
        ..HealthCheck::default()
    }
}

async fn ask(secure: &Secure, check: &HealthCheck, expected_name: &str) -> Result<u16, String> {
    let expect_headers = vec![("x-name".to_owned(), expected_name.to_owned())];
    let check = HealthCheck { expect_headers, ..check.clone() };
    let server = fixture::pool(&[("127.0.0.1", secure.port)], check.clone()).servers[0].clone();
    let place = Place::plain(([127, 0, 0, 1], secure.port).into());
    let errand = Errand { check: &check, server: &server, place, identity: None, protocol: Protocol::Http1 };
    http::ask(errand).await.map(|answer| answer.status.unwrap()).map_err(|failure| failure.to_string())
}

#[tokio::test]
async fn a_certificate_must_be_signed_and_for_the_name() {
    let secure = Secure::start().await;
    let settings = trusting(secure.roots.clone());
    assert_eq!(shake_hands(&secure, "app.test", Arc::clone(&settings)).await, Ok(()));
    let refused = shake_hands(&secure, "other.test", settings).await.unwrap_err();
    assert!(refused.contains("TLS: ") && refused.contains("not valid for name"), "{refused}");
}

#[tokio::test]
async fn nobody_whom_the_system_does_not_know_is_trusted_unless_told_so() {
    let secure = Secure::start().await;
    let refused = ask(&secure, &check(Some("app.test"), true), "app.test").await.unwrap_err();
    assert!(refused.starts_with("TLS: invalid peer certificate"), "{refused}");
    assert_eq!(ask(&secure, &check(Some("app.test:8443"), false), "app.test").await, Ok(200));
    // An address is no name to ask for (RFC 6066, 3).
    assert_eq!(ask(&secure, &check(None, false), "nobody").await, Ok(200));
}

#[tokio::test]
async fn who_speaks_no_tls_gives_a_bad_answer() {
    let origin = loadweaver_testkit::Origin::start(|connection| {
        connection.write("HTTP/1.1 400 Bad Request\r\n\r\n");
        connection.hang()
    });
    let server = fixture::pool(&[("127.0.0.1", origin.port())], check(None, false)).servers[0].clone();
    let (check, place) = (check(None, false), Place::plain(origin.address()));
    let errand = Errand { check: &check, server: &server, place, identity: None, protocol: Protocol::Http1 };
    let failure = http::ask(errand).await.unwrap_err();
    assert!(failure.to_string().starts_with("TLS: "), "{failure}");
}

#[test]
fn the_name_is_the_hosts_without_its_port() {
    for (host, name) in [
        ("app.test:8443", "app.test"),
        ("app.test", "app.test"),
        ("[::1]:80", "[::1]"),
        ("[::1]", "[::1]"),
        ("::1", "::1"),
        ("10.0.0.1:80", "10.0.0.1"),
    ] {
        assert_eq!(without_port(host), name);
    }
}
