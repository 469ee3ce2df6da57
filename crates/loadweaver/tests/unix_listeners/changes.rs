//! Changes of the config around a socket.

use super::*;

/// Connects, asks once and closes, again and again; counts what went well and what did not.
fn knock(name: &str, stop: &AtomicBool, (well, badly): (&AtomicU64, &AtomicU64)) {
    while !stop.load(Ordering::Relaxed) {
        let ask = || -> Option<bool> {
            let mut socket = unix::connect(name).ok()?;
            std::io::Write::write_all(&mut socket, b"GET / HTTP/1.0\r\n\r\n").ok()?;
            let mut answer = String::new();
            std::io::Read::read_to_string(&mut socket, &mut answer).ok()?;
            Some(answer.starts_with("HTTP/1.1 200 "))
        };
        if ask() == Some(true) { well } else { badly }.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn changes_around_a_socket_lose_no_connection() {
    let (scratch, origin) = (Scratch::new(), Origin::named("x"));
    for name in [path(&scratch, "web.sock"), unix::free_name()] {
        let stays = format!("unix:{name}");
        let other = format!("unix:{}", path(&scratch, "other.sock"));
        let base = config(&origin, &name, &json!({}));
        let balancer = Balancer::start(BINARY, &base);
        let (stop, well, badly) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| knock(&name, &stop, (&well, &badly)));
            }
            let steps = [
                ("web", json!([&stays, "127.0.0.1:0", &other])),
                ("web", json!(["127.0.0.1:0", &stays])),
                ("renamed", json!([&other, &stays])),
                ("renamed", json!(&stays)),
                ("web", json!(&stays)),
            ];
            for (listener, bind) in steps.iter().cycle().take(2 * steps.len()) {
                let mut next = base.clone();
                next["listeners"] = json!({ *listener: { "bind": bind } });
                balancer.reload(&next);
                let before = well.load(Ordering::Relaxed);
                eventually("clients go on", || well.load(Ordering::Relaxed) > before + 20);
            }
            stop.store(true, Ordering::Relaxed);
        });
        assert_eq!(badly.load(Ordering::Relaxed), 0, "of {}", well.load(Ordering::Relaxed));
    }
}

#[test]
fn a_listener_that_goes_takes_its_file_along_and_serves_who_has_connected() {
    let (scratch, origin) = (Scratch::new(), Origin::named("x"));
    for (name, mode) in [(path(&scratch, "side.sock"), 0o600), (unix::free_name(), 0)] {
        let base = config(&origin, &path(&scratch, "web.sock"), &json!({}));
        let mut both = base.clone();
        both["listeners"]["side"] = json!({ "bind": format!("unix:{name}") });
        let balancer = Balancer::start(BINARY, &both);
        for _ in 0..5 {
            let mut client = RawClient::connect_unix(&name);
            assert_eq!(client.get("/").text(), "x");
            balancer.reload(&base);
            assert!(!fs::exists(&name).unwrap());
            client.expect_closed();
            // It comes back in the same breath.
            balancer.reload(&both);
            assert_eq!(get(&name), "x");
        }
        if mode > 0 {
            let mut changed = both.clone();
            changed["listeners"]["side"]["socketMode"] = json!("0600");
            let mut client = RawClient::connect_unix(&name);
            balancer.reload(&changed);
            assert_eq!(fs::metadata(&name).unwrap().permissions().mode() & 0o777, mode);
            assert_eq!(client.get("/").text(), "x", "the connection stays");
            // What somebody has done by hand is not undone by a change of something else.
            fs::set_permissions(&name, fs::Permissions::from_mode(0o640)).unwrap();
            changed["via"] = json!("lb");
            balancer.reload(&changed);
            assert_eq!(fs::metadata(&name).unwrap().permissions().mode() & 0o777, 0o640);
        }
    }
}

#[test]
fn a_change_that_cannot_be_made_leaves_no_file() {
    let (scratch, origin) = (Scratch::new(), Origin::named("x"));
    let (web, side) = (path(&scratch, "web.sock"), path(&scratch, "side.sock"));
    let taken = path(&scratch, "taken.sock");
    let _theirs = UnixListener::bind(&taken).unwrap();
    let base = config(&origin, &web, &json!({}));
    let balancer = Balancer::start(BINARY, &base);
    let mut next = base.clone();
    next["listeners"]["web"]["bind"] =
        json!([format!("unix:{web}"), format!("unix:{side}"), format!("unix:{taken}")]);
    balancer.write_config(&next);
    balancer.signal(Signal::HUP);
    balancer.wait_for_log("another program listens there");
    assert!(!fs::exists(&side).unwrap());
    assert_eq!((balancer.version(), get(&web).as_str()), (1, "x"));
}

#[test]
fn an_edit_names_no_socket_to_listen_on() {
    let (scratch, origin) = (Scratch::new(), Origin::named("x"));
    let balancer = Balancer::start(BINARY, &config(&origin, &path(&scratch, "web.sock"), &json!({})));
    for bind in [format!("unix:{}", path(&scratch, "new.sock")), "unix:@new".to_owned()] {
        let patch = json!({ "listeners": { "side": { "bind": ["127.0.0.1:0", bind] } } });
        let lines = "Content-Type: application/merge-patch+json\r\n";
        let answer = balancer.operator().ask("PATCH", "/api/config", lines, &patch.to_string());
        assert_eq!(answer.status, 403, "{}", answer.text());
        assert!(answer.text().contains("names_file"), "{}", answer.text());
    }
}
