//! Certificates that are renewed by replacing their files.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use loadweaver_testkit::config::{merge, one_pool};
use loadweaver_testkit::scratch::Scratch;
use loadweaver_testkit::tls::{Authority, Bridge, Signed};
use loadweaver_testkit::{Balancer, Origin, RawClient, eventually};
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_loadweaver");

struct Site {
    authority: Authority,
    scratch: Scratch,
    origin: Origin,
}

impl Site {
    fn new() -> Self {
        Self { authority: Authority::new("Test"), scratch: Scratch::new(), origin: Origin::named("origin") }
    }

    fn start(&self, signed: &Signed) -> Balancer {
        self.replace(signed);
        let tls = json!({ "certificates": [{ "cert": self.cert(), "key": self.key() }] });
        let mut config = one_pool(&[self.origin.address()], &json!({ "workers": 2 }));
        merge(&mut config, &json!({ "listeners": { "web": { "tls": tls } } }));
        Balancer::start(BINARY, &config)
    }

    fn cert(&self) -> PathBuf {
        self.scratch.path().join("site.pem")
    }

    fn key(&self) -> PathBuf {
        self.scratch.path().join("site.key")
    }

    /// Written beside and renamed over, one after the other.
    fn replace(&self, signed: &Signed) {
        fs::rename(self.scratch.file("fresh.pem", &signed.cert), self.cert()).unwrap();
        fs::rename(self.scratch.file("fresh.key", &signed.key), self.key()).unwrap();
    }

    fn bridge(&self, balancer: &Balancer) -> Bridge {
        self.authority.client().bridge(balancer.address(), "localhost")
    }
}

fn der(signed: &Signed) -> Vec<u8> {
    use rustls::pki_types::pem::PemObject;
    rustls::pki_types::CertificateDer::from_pem_slice(signed.cert.as_bytes()).unwrap().to_vec()
}

/// What a new client is shown; its own bridge has no tickets.
fn shown(site: &Site, balancer: &Balancer) -> Vec<u8> {
    let bridge = site.bridge(balancer);
    let mut client = RawClient::connect(bridge.address());
    assert_eq!(client.get("/").status, 200);
    bridge.certificates().pop().unwrap()
}

fn events(balancer: &Balancer, name: &str) -> Vec<Value> {
    let events = balancer.status()["recentEvents"].as_array().unwrap().clone();
    events.into_iter().filter(|event| event["event"] == name).collect()
}

#[test]
fn a_certificate_renewed_under_load_fails_no_request() {
    let site = Site::new();
    let (old, new) = (site.authority.sign(&["localhost"]), site.authority.sign(&["localhost"]));
    let balancer = site.start(&old);
    let bridge = site.bridge(&balancer);
    let (done, served, kept) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for number in 0..64 {
            let (bridge, done, served, kept) = (&bridge, &done, &served, &kept);
            scope.spawn(move || {
                // Half of them keep their connection, half shake hands for each request.
                let mut client = RawClient::connect(bridge.address());
                while !done.load(Ordering::SeqCst) {
                    if number % 2 == 1 {
                        client = RawClient::connect(bridge.address());
                    } else {
                        kept.fetch_add(1, Ordering::SeqCst);
                    }
                    assert_eq!(client.get("/").body, b"origin");
                    served.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        eventually("everybody is served", || served.load(Ordering::SeqCst) > 500);
        assert_eq!(shown(&site, &balancer), der(&old));
        site.replace(&new);
        eventually("new handshakes get the new one", || shown(&site, &balancer) == der(&new));
        let (before, before_kept) = (served.load(Ordering::SeqCst), kept.load(Ordering::SeqCst));
        eventually("everybody is served on", || served.load(Ordering::SeqCst) > before + 500);
        assert!(kept.load(Ordering::SeqCst) > before_kept);
        done.store(true, Ordering::SeqCst);
    });
    // A client that goes away hears no goodbye; nobody else was cut.
    let errors = bridge.errors();
    assert!(errors.iter().all(|error| error.starts_with("cut ") || error.contains("pipe")), "{errors:?}");
    let loaded = events(&balancer, "certificate_loaded");
    assert_eq!(loaded.len(), 1, "{loaded:?}");
    assert_eq!(loaded[0]["details"]["listener"], "web");
    assert_eq!(events(&balancer, "certificate_refused"), [Value::Null; 0]);
    // Nothing was put in force for it.
    assert_eq!(balancer.version(), 1);
}

#[test]
fn a_bad_new_certificate_leaves_the_old_one_in_use() {
    let site = Site::new();
    let old = site.authority.sign(&["localhost"]);
    let balancer = site.start(&old);
    let other = site.authority.sign(&["localhost"]);
    let expired = site.authority.sign_for_days(&["localhost"], -2);
    for (signed, reason) in [
        (Signed { cert: other.cert.clone(), key: old.key.clone() }, "does not belong"),
        (Signed { cert: "nonsense".to_owned(), key: old.key.clone() }, "holds no certificate"),
        (Signed { cert: old.cert.clone(), key: String::new() }, "is empty"),
        (expired, "expired 2 days ago"),
    ] {
        site.replace(&signed);
        eventually(reason, || {
            events(&balancer, "certificate_refused")
                .iter()
                .any(|event| event["reason"].as_str().unwrap().contains(reason))
        });
        assert_eq!(shown(&site, &balancer), der(&old), "{reason}");
    }
    fs::remove_file(site.cert()).unwrap();
    eventually("a file that is gone is told", || {
        events(&balancer, "certificate_refused")
            .iter()
            .any(|event| event["reason"].as_str().unwrap().contains("there is no file"))
    });
    assert_eq!(events(&balancer, "certificate_refused").len(), 5, "each is told once");
    site.replace(&other);
    eventually("a good one is taken up all the same", || shown(&site, &balancer) == der(&other));
}

#[test]
fn the_end_of_a_certificate_is_told_beforehand() {
    let site = Site::new();
    let balancer = site.start(&site.authority.sign_for_days(&["localhost"], 5));
    eventually("it is told", || events(&balancer, "certificate_expiring").len() == 1);
    let told = events(&balancer, "certificate_expiring");
    assert!(told[0]["reason"].as_str().unwrap().starts_with("it expires in "), "{told:?}");
    let wrong = balancer.operator().data("/api/problems");
    let file = site.cert().display().to_string();
    assert_eq!(wrong["summary"], format!("Certificate {file} of listener web expires soon."));
    let problem = &wrong["problems"][0];
    assert_eq!((&problem["severity"], &problem["subject"]), (&json!("warning"), &json!("certificate")));
    assert!(problem["why"].as_str().unwrap().starts_with("in "), "{problem}");
    site.replace(&site.authority.sign_for_days(&["localhost"], 200));
    eventually("a new one", || !events(&balancer, "certificate_loaded").is_empty());
    assert_eq!(events(&balancer, "certificate_expiring").len(), 1);
    assert_eq!(balancer.operator().data("/api/problems")["problems"], json!([]));
}

/// Its workers hear of the new name a moment after the change is in force; nobody is let in without TLS meanwhile, and
/// nobody is sent away.
#[test]
fn a_listener_gets_another_name_under_load_and_shakes_hands_with_everybody() {
    let site = Site::new();
    let balancer = site.start(&site.authority.sign(&["localhost"]));
    let bind = balancer.address().to_string();
    let named = |name: &str| {
        let tls = json!({ "certificates": [{ "cert": site.cert(), "key": site.key() }] });
        let mut config = one_pool(&[site.origin.address()], &json!({ "workers": 2 }));
        config["listeners"] = json!({ name: { "bind": bind, "tls": tls } });
        config
    };
    // Its port is written out, so it is the same from here on.
    balancer.reload(&named("web"));
    let bridge = site.bridge(&balancer);
    let (done, served) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while !done.load(Ordering::SeqCst) {
                    assert_eq!(RawClient::connect(bridge.address()).get("/").body, b"origin");
                    served.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        for number in 0..20 {
            balancer.reload(&named(&format!("name-{number}")));
        }
        let before = served.load(Ordering::SeqCst);
        eventually("everybody is served on", || served.load(Ordering::SeqCst) > before + 50);
        done.store(true, Ordering::SeqCst);
    });
}
