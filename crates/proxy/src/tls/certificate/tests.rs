#![allow(clippy::unwrap_used)]

use super::*;

fn certificate(names: &[&str]) -> Certificate {
    let key = PROVIDER.key_provider.load_private_key(key()).unwrap();
    Certificate {
        certified: Arc::new(CertifiedKey::new(Vec::new(), key)),
        files: CertificateFiles { cert: "a.pem".into(), key: "a.key".into() },
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        begins: UNIX_EPOCH,
        ends: UNIX_EPOCH + Duration::from_hours(1000 * 24),
        open: false,
    }
}

/// The key of RFC 9500 section 2.3 (P-256), which is public.
fn key() -> PrivateKeyDer<'static> {
    let text = b"-----BEGIN EC PRIVATE KEY-----
MHcCAQEEIObLW92AqkWunJXowVR2Z5/+yVPBaFHnEedDk5WJxk/BoAoGCCqGSM49
AwEHoUQDQgAEQiVI+I+3gv+17KN0RFLHKh5Vj71vc75eSOkyMsxFxbFsTNEMTLjV
uKFxOelIgsiZJXKZNCX0FBmrfpCkKklCcg==
-----END EC PRIVATE KEY-----
";
    PrivateKeyDer::from_pem_slice(text).unwrap()
}

#[test]
fn a_star_stands_for_one_label() {
    let certificate = certificate(&["a.test", "*.b.test"]);
    for (host, covered) in
        [("a.test", true), ("x.b.test", true), ("b.test", false), ("x.y.b.test", false), (".b.test", false)]
    {
        assert_eq!(certificate.covers(host), covered, "{host}");
    }
}

#[test]
fn an_end_that_is_near_is_told_in_words() {
    let certificate = certificate(&["a.test"]);
    let at = |days: u64| UNIX_EPOCH + Duration::from_hours(days * 24);
    assert_eq!(certificate.expires_soon(at(985)), None);
    assert_eq!(certificate.expires_soon(at(987)).unwrap(), "13 days");
    assert_eq!(certificate.expires_soon(at(999) + Duration::from_hours(20)).unwrap(), "4 hours");
    assert_eq!(certificate.expired(at(999)), None);
    assert_eq!(certificate.expired(at(1001)).unwrap(), "1 day");
    assert!(certificate.warnings(at(1003)).iter().any(|fault| fault.problem.contains("expired 3 days ago")));
}
