//! Files of a pool's TLS that are replaced: who is believed, and what servers are shown.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use std::fs;
use std::path::PathBuf;

use loadweaver_testkit::config::{merge, one_pool_with};
use loadweaver_testkit::scratch::Scratch;
use loadweaver_testkit::tls::{Authority, Bridge, Signed, TlsOrigin};
use loadweaver_testkit::{Balancer, Origin, eventually};
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_loadweaver");

/// A server that wants a certificate of us, and the files of the balancer's side.
struct Site {
    authority: Authority,
    files: Scratch,
    origin: Origin,
}

impl Site {
    fn new() -> Self {
        Self { authority: Authority::new("Test"), files: Scratch::new(), origin: Origin::named("origin") }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    /// Written beside and renamed over.
    fn replace(&self, name: &str, content: &str) {
        fs::rename(self.files.file("fresh", content), self.path(name)).unwrap();
    }

    fn show(&self, signed: &Signed) {
        self.replace("ours.pem", &signed.cert);
        self.replace("ours.key", &signed.key);
    }

    /// The server, with its own certificate by this authority.
    fn server(&self, by: &Authority) -> Bridge {
        let signed = by.sign(&["127.0.0.1"]);
        let clients = Some(&self.authority);
        TlsOrigin { signed: &signed, clients, versions: rustls::ALL_VERSIONS, protocols: &[] }
            .bridge(self.origin.address())
    }

    fn start(&self, server: &Bridge) -> Balancer {
        self.replace("ca.pem", &self.authority.pem);
        self.show(&self.authority.sign_client("first"));
        let tls = json!({
            "caFile": self.path("ca.pem"), "cert": self.path("ours.pem"), "key": self.path("ours.key"),
        });
        let pool = json!({ "tls": tls, "healthCheck": { "type": "off" }, "retry": { "attempts": 1 } });
        let mut config = one_pool_with(&[server.address()], &pool);
        merge(&mut config, &json!({ "workers": 1 }));
        Balancer::start(BINARY, &config)
    }
}

fn der(signed: &Signed) -> Vec<u8> {
    use rustls::pki_types::pem::PemObject;
    rustls::pki_types::CertificateDer::from_pem_slice(signed.cert.as_bytes()).unwrap().to_vec()
}

fn events(balancer: &Balancer, name: &str) -> Vec<Value> {
    let events = balancer.status()["recentEvents"].as_array().unwrap().clone();
    events.into_iter().filter(|event| event["event"] == name).collect()
}

#[test]
fn a_replaced_ca_file_says_who_is_believed_without_a_signal() {
    let (site, other) = (Site::new(), Authority::new("Other"));
    let server = site.server(&other);
    let balancer = site.start(&server);
    assert_eq!(balancer.get("/").fields.get("x-loadweaver-failure"), Some("tls_certificate_refused"));
    site.replace("ca.pem", &format!("{}{}", site.authority.pem, other.pem));
    eventually("the new signers are believed", || balancer.get("/").status == 200);
    assert_eq!(balancer.version(), 2);
    let applied = events(&balancer, "config_applied");
    assert_eq!(applied[0]["details"]["origin"], "certificates", "{applied:?}");
}

#[test]
fn a_replaced_certificate_is_shown_by_new_connections_and_old_ones_are_not_used_again() {
    let site = Site::new();
    let server = site.server(&site.authority);
    let balancer = site.start(&server);
    assert_eq!(balancer.get("/").status, 200);
    assert_eq!(balancer.get("/").status, 200);
    assert_eq!(server.handshakes(), 1, "it is kept");
    let new = site.authority.sign_client("second");
    site.show(&new);
    eventually("it is told", || !events(&balancer, "certificate_loaded").is_empty());
    let loaded = events(&balancer, "certificate_loaded");
    assert_eq!((&loaded[0]["pool"], loaded.len()), (&json!("app"), 1), "{loaded:?}");
    assert_eq!(loaded[0]["details"].get("listener"), None);
    assert_eq!(balancer.get("/").status, 200);
    assert_eq!(server.certificates().last().unwrap(), &der(&new));
    assert_eq!(server.handshakes(), 2);
    assert_eq!(events(&balancer, "certificate_refused"), [Value::Null; 0]);
}

#[test]
fn bad_new_files_of_a_pool_leave_the_old_ones_in_use() {
    let site = Site::new();
    let server = site.server(&site.authority);
    let balancer = site.start(&server);
    let first = Signed {
        cert: fs::read_to_string(site.path("ours.pem")).unwrap(),
        key: fs::read_to_string(site.path("ours.key")).unwrap(),
    };
    let other = site.authority.sign_client("other");
    let told = |reason: &str| {
        eventually(reason, || {
            let refused = events(&balancer, "certificate_refused");
            refused
                .iter()
                .any(|event| event["pool"] == "app" && event["reason"].as_str().unwrap().contains(reason))
        });
    };
    site.show(&Signed { cert: other.cert.clone(), key: first.key.clone() });
    told("does not belong");
    site.show(&first);
    site.replace("ca.pem", "nonsense");
    told("holds no certificate");
    assert_eq!(events(&balancer, "certificate_refused").len(), 2, "each is told once");
    assert_eq!((balancer.get("/").status, balancer.version()), (200, 1));
    assert_eq!(server.certificates().last().unwrap(), &der(&first));
    // Mended, the new ones are taken up all the same.
    site.replace("ca.pem", &site.authority.pem);
    site.show(&other);
    eventually("the new one is shown", || {
        balancer.get("/").status == 200 && server.certificates().last() == Some(&der(&other))
    });
}
