//! Files of certificates and keys.

use super::*;

#[test]
fn what_is_wrong_with_the_files_is_said_before_anything_runs() {
    let site = Site::new();
    let (good, other) = (site.authority.sign(&["localhost"]), site.authority.sign(&["localhost"]));
    let file = |name: &str, text: &str| site.scratch.file(name, text).display().to_string();
    let (cert, key) = (file("good.pem", &good.cert), file("good.key", &good.key));
    let run = |arguments: &[&str], input: &str| {
        let output = Command::new("openssl").args(arguments).arg("-in").arg(input).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        output.stdout
    };
    let encrypted = run(&["pkey", "-aes256", "-passout", "pass:secret"], &key);
    let der = site.scratch.file("good.der", run(&["x509", "-outform", "der"], &cert)).display().to_string();
    let old = file("old.pem", &site.authority.sign_for_days(&["localhost"], -3).cert);
    for (cert, key, at, problem) in [
        (cert.as_str(), file("other.key", &other.key), "key", "does not belong to the certificate"),
        (&cert, file("encrypted.key", &String::from_utf8(encrypted).unwrap()), "key", "is encrypted"),
        (&cert, file("empty.key", ""), "key", "is empty"),
        (&cert, cert.clone(), "key", "holds certificates and no private key"),
        (&cert, "/nowhere/at/all.key".to_owned(), "key", "there is no file"),
        (&key, key.clone(), "cert", "holds a private key and no certificate"),
        (&der, key.clone(), "cert", "is a binary certificate (DER)"),
        (&file("text.pem", "hello"), key.clone(), "cert", "holds no certificate"),
        ("/tmp", key.clone(), "cert", "is a directory"),
    ] {
        let tls = json!({ "certificates": [{ "cert": cert, "key": key }] });
        let mut config = one_pool(&["127.0.0.1:1".parse().unwrap()], &json!({}));
        merge(&mut config, &json!({ "listeners": { "web": { "tls": tls } } }));
        let path = site.scratch.file("config.json", config.to_string());
        for command in [&["check"][..], &["run", "--config"]] {
            let output = Command::new(BINARY).args(command).arg(&path).output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(2), "{command:?} {said}");
            assert!(said.contains(&format!("at /listeners/web/tls/certificates/0/{at}")), "{said}");
            assert!(said.contains(problem), "{said}");
            assert!(!said.contains("PRIVATE KEY-----\n"), "{said}");
        }
    }
    // Allowed, and not meant.
    let _ = Command::new("chmod").args(["644", &key]).status();
    let expired_key = old.replace("old.pem", "old.key");
    let expired = site.authority.sign_for_days(&["localhost"], -3);
    std::fs::write(&old, &expired.cert).unwrap();
    std::fs::write(&expired_key, &expired.key).unwrap();
    let tls = json!({ "certificates": [{ "cert": cert, "key": key }, { "cert": old, "key": expired_key }] });
    let mut config = one_pool(&["127.0.0.1:1".parse().unwrap()], &json!({}));
    merge(&mut config, &json!({ "listeners": { "web": { "tls": tls } } }));
    let path = site.scratch.file("config.json", config.to_string());
    let output = Command::new(BINARY).arg("check").arg(&path).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("can be read by every user") && said.contains("expired 3 days ago"), "{said}");
}

#[test]
fn a_key_may_be_written_in_each_of_the_three_ways() {
    let (site, origin) = (Site::new(), Origin::named("origin"));
    for (kind, signed) in
        [("ec", site.authority.sign(&["localhost"])), ("rsa", site.authority.sign_rsa(&["localhost"]))]
    {
        let files = site.files(kind, &signed);
        let traditional = format!("{}.traditional", files["key"].as_str().unwrap());
        let status = Command::new("openssl")
            .args([kind, "-traditional", "-in", files["key"].as_str().unwrap(), "-out", &traditional])
            .stderr(Stdio::null())
            .status()
            .unwrap();
        if !status.success() {
            let status = Command::new("openssl")
                .args([kind, "-in", files["key"].as_str().unwrap(), "-out", &traditional])
                .stderr(Stdio::null())
                .status();
            assert!(status.unwrap().success());
        }
        let text = std::fs::read_to_string(&traditional).unwrap();
        assert!(text.contains("BEGIN EC PRIVATE KEY") || text.contains("BEGIN RSA PRIVATE KEY"), "{text}");
        let tls = json!({ "certificates": [{ "cert": files["cert"], "key": traditional }] });
        let balancer = site.balancer(&origin, &tls, &json!({}));
        let bridge = site.authority.client().bridge(balancer.address(), "localhost");
        assert_eq!(get(&bridge, "/").body, b"origin", "{kind}");
    }
}
