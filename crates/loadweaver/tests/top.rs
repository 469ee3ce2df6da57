//! `loadweaver top`: beside a real balancer, in a real terminal, and without one.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::process::{Command, Output};

use loadweaver_testkit::config::{merge, one_pool, one_pool_with};
use loadweaver_testkit::eventually::PATIENCE;
use loadweaver_testkit::origin::{reply, reply_with};
use loadweaver_testkit::scratch::Scratch;
use loadweaver_testkit::tls::Authority;
use loadweaver_testkit::{Balancer, Origin, Terminal, eventually};
use rustix::process::Signal;
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_loadweaver");
const TOKEN: &str = "read-0123456789abcdef";
const USUAL: (u16, u16) = (160, 30);

fn clean(command: &mut Command) -> &mut Command {
    for name in ["LOADWEAVER_CONFIG", "LOADWEAVER_TOKEN", "NO_COLOR"] {
        command.env_remove(name);
    }
    // Where no config.json is.
    command.current_dir("/")
}

/// What `top` prints without a terminal.
fn printed(arguments: &[&str], environment: &[(&str, &str)]) -> (i32, String, String) {
    let mut command = Command::new(BINARY);
    clean(&mut command).arg("top").args(arguments).envs(environment.iter().copied());
    let Output { status, stdout, stderr } = command.output().unwrap();
    (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// `top` in a terminal.
fn watch(place: &str, size: (u16, u16)) -> Terminal {
    let mut command = Terminal::command(BINARY);
    clean(&mut command).args(["top", "--url", place]);
    Terminal::start(&mut command, size)
}

fn admin(balancer: &Balancer) -> String {
    balancer.admin().to_string()
}

/// A pool that finds out quickly.
fn quick(origins: &[&Origin]) -> Value {
    let servers: Vec<_> = origins.iter().map(|origin| origin.address()).collect();
    let probe = json!({"type": "http", "interval": "100ms", "timeout": "5s", "rise": 1, "fall": 2});
    one_pool_with(&servers, &json!({"healthCheck": probe, "passiveHealth": {"hold": "100ms"}}))
}

#[test]
fn a_server_that_dies_and_comes_back_is_told_in_words() {
    let (well, sick) = (Origin::named("well"), Origin::named("sick"));
    let balancer = Balancer::start(BINARY, &quick(&[&well, &sick]));
    let terminal = watch(&admin(&balancer), USUAL);
    terminal.wait_for("that all is well", |screen| {
        screen.contains("All is well. All 2 servers") && screen.contains("✓ 2 of 2")
    });
    // Both get their share, and the picture of the last minutes is not empty.
    terminal.wait_for("the traffic", |screen| {
        balancer.get("/");
        screen.contains(" 50 %") && screen.contains('█')
    });
    sick.refuse();
    sick.cut_all();
    let told = format!("! {} (pool app) is down: ", sick.address());
    let screen = terminal.wait_for("that it is down", |screen| {
        screen.contains(&told) && screen.contains("✗ down") && screen.contains("! 1 of 2")
    });
    // Why, and for how long.
    let line = screen.lines().find(|line| line.contains(&told)).unwrap();
    assert!(line.contains("refused") && line.contains(", for ") && line.contains(" s"), "{line}");
    sick.come_back();
    terminal.wait_for("that all is well again", |screen| {
        screen.contains("All is well. All 2 servers") && !screen.contains("✗ down")
    });
}

#[test]
fn without_a_terminal_one_overview_is_printed() {
    let origins = [Origin::named("a"), Origin::named("b")];
    let mut config = one_pool(&[origins[0].address()], &json!({}));
    merge(
        &mut config,
        &json!({"pools": {"spare": {"servers": [
        {"id": "b", "host": "127.0.0.1", "port": origins[1].port(), "state": "drain"}]}},
        "routes": [{"name": "all", "pool": "app"}]}),
    );
    let balancer = Balancer::start(BINARY, &config);
    // The first points of the history have nothing before them to be compared with.
    eventually("there are numbers", || {
        balancer.get("/");
        let history = balancer.operator().data("/api/history?step=1");
        history["node"]["active"].as_array().unwrap().last().is_some_and(Value::is_number)
    });
    let url = format!("http://{}/", admin(&balancer));
    for arguments in [vec!["--url", &admin(&balancer)], vec!["--once", "--url", &url]] {
        let (code, stdout, stderr) = printed(&arguments, &[("TERM", "xterm")]);
        assert_eq!((code, stderr.as_str()), (0, ""), "{stdout}");
        for text in [
            " LoadWeaver  http://127.0.0.1:",
            "  ready  up ",
            "✗ Pool spare has no server for new requests: all of them are drained, in maintenance, or of weight 0",
            "\n Requests ",
            "\n Clients ",
            "✓ 1 of 1",
            "✗ 0 of 1",
            "- drain",
        ] {
            assert!(stdout.contains(text), "{text} is missing:\n{stdout}");
        }
        assert!(!stdout.contains('\u{1b}'), "{stdout:?}");
    }
    let (code, stdout, _) = printed(&["--json", "--url", &admin(&balancer)], &[]);
    let overview: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((code, &overview["wrong"][0]["severity"]), (0, &json!("critical")));
    let app = overview["servers"].as_array().unwrap().iter().find(|server| server["pool"] == "app").unwrap();
    assert_eq!((&app["requestsPerSecond"], &app["share"]), (&json!(0.0), &Value::Null));
    assert_eq!(overview["pools"][0]["up"], 1);
    assert!(overview["activeConnections"].is_number(), "{overview}");
}

#[test]
fn the_configuration_says_where_to_ask_and_has_a_token() {
    let scratch = Scratch::new();
    let socket = format!("unix:{}", scratch.path().join("admin.sock").display());
    let origin = Origin::named("a");
    let config = one_pool(
        &[origin.address()],
        &json!({"admin": {"bind": socket, "tokens": [{"token": "${TOKEN}", "role": "read"}]}}),
    );
    let balancer = Balancer::start_with(BINARY, &config, &[("TOKEN", TOKEN)]);
    let file = balancer.config_file();
    let file = file.to_str().unwrap();
    let (code, stdout, stderr) = printed(&["--config", file], &[("TOKEN", TOKEN)]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    assert!(stdout.starts_with(&format!(" LoadWeaver  {socket}  ready")), "{stdout}");
    let (code, ..) = printed(&["--once"], &[("TOKEN", TOKEN), ("LOADWEAVER_CONFIG", file)]);
    assert_eq!(code, 0);
    // The token of a file that was not asked for is not sent to whoever is named.
    let (code, _, stderr) = printed(&["--url", &socket], &[("TOKEN", TOKEN), ("LOADWEAVER_CONFIG", file)]);
    assert_eq!(code, 1);
    assert!(stderr.contains("asks for a token"), "{stderr}");
    let (code, _, stderr) = printed(&["--config", file], &[]);
    assert_eq!(code, 2);
    assert!(stderr.contains("TOKEN"), "{stderr}");
    let bare = scratch.file("bare.json", one_pool(&[origin.address()], &json!({"admin": null})).to_string());
    let (code, _, stderr) = printed(&["--config", bare.to_str().unwrap()], &[]);
    assert_eq!(code, 2);
    assert!(stderr.contains("has no admin listener\n    add \"admin\""), "{stderr}");
}

#[test]
fn a_token_is_asked_for_and_a_wrong_one_is_refused_in_words() {
    let (scratch, origin) = (Scratch::new(), Origin::named("a"));
    let tokens = json!({"admin": {"tokens": [{"token": TOKEN, "role": "read"}]}});
    let balancer = Balancer::start(BINARY, &one_pool(&[origin.address()], &tokens));
    let place = admin(&balancer);
    let good = scratch.file("token", format!("{TOKEN}\n"));
    let (good, empty) = (good.to_str().unwrap(), scratch.file("empty", "\n"));
    for (arguments, environment, code, words) in [
        (vec![], vec![], 1, "it asks for a token\n    give one of admin.tokens: --token-file"),
        (vec![], vec![("LOADWEAVER_TOKEN", "wrong-0123456789abcdef")], 1, "it refuses the token: "),
        (vec!["--token-file", empty.to_str().unwrap()], vec![], 2, "the file is empty"),
        (vec!["--token-file", "/nowhere/token"], vec![], 2, "/nowhere/token: it cannot be read: "),
        (vec!["--token-file", good], vec![("LOADWEAVER_TOKEN", "wrong-0123456789abcdef")], 0, ""),
        (vec![], vec![("LOADWEAVER_TOKEN", TOKEN)], 0, ""),
    ] {
        let mut all = vec!["--once", "--url", &place];
        all.extend(arguments);
        let (came, stdout, stderr) = printed(&all, &environment);
        assert_eq!(came, code, "{all:?} {environment:?}: {stderr}");
        assert_eq!(stdout.is_empty(), code != 0);
        assert!(stderr.contains(words) && !stderr.contains("0123456789"), "{words} is missing: {stderr}");
        assert!(code == 0 || stderr.lines().nth(1).unwrap().starts_with("    "), "{stderr}");
    }
}

#[test]
fn what_cannot_be_asked_is_told_with_what_to_do() {
    let refusing = Origin::named("nobody");
    refusing.refuse();
    let page = Origin::answering(reply_with(200, &["Content-Type: text/html"], "<html>"));
    let moved = Origin::answering(reply_with(302, &["Location: /login"], ""));
    let other = Origin::answering(reply(200, r#"{"success": true, "data": {"status": "fine"}}"#));
    let silent = Origin::start(|connection| connection.read_request().map(drop));
    for (origin, words) in [
        (&refusing, "connection refused\n    is LoadWeaver running"),
        (&page, "is not LoadWeaver's admin API (status 200, text/html)"),
        (&moved, "is not LoadWeaver's admin API (status 302"),
        (&other, "is not LoadWeaver's admin API (status 200"),
        (&silent, "\n    is this the admin listener?"),
    ] {
        let place = origin.address().to_string();
        let (code, stdout, stderr) = printed(&["--url", &place], &[]);
        assert_eq!((code, stdout.as_str()), (1, ""), "{stderr}");
        assert!(
            stderr.starts_with(&format!("http://{place}: ")) && stderr.contains(words),
            "{words}: {stderr}"
        );
    }
    for url in ["", "ftp://127.0.0.1", "http://me:word@127.0.0.1", "unix:"] {
        let (code, _, stderr) = printed(&["--url", url], &[]);
        assert_eq!(code, 2, "{stderr}");
        assert!(
            stderr.contains("--url") && stderr.contains("\n    ") && !stderr.contains("word@"),
            "{stderr}"
        );
    }
}

#[test]
fn tls_is_verified_by_the_authority_that_is_named() {
    let (scratch, origin, authority) = (Scratch::new(), Origin::named("a"), Authority::new("ops"));
    let signed = authority.sign(&["127.0.0.1"]);
    let tls = json!({"cert": scratch.file("a.pem", &signed.cert), "key": scratch.file("a.key", &signed.key)});
    let balancer = Balancer::start(BINARY, &one_pool(&[origin.address()], &json!({"admin": {"tls": tls}})));
    let authority = scratch.file("ca.pem", &authority.pem);
    let url = format!("https://{}", balancer.admin());
    let (code, stdout, stderr) = printed(&["--url", &url, "--ca-file", authority.to_str().unwrap()], &[]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    assert!(stdout.starts_with(&format!(" LoadWeaver  {url}  ready")), "{stdout}");
    let (code, _, stderr) = printed(&["--url", &url], &[]);
    assert_eq!(code, 1);
    assert!(stderr.contains("--ca-file FILE says whom to trust"), "{stderr}");
    let (code, _, stderr) = printed(&["--url", &admin(&balancer)], &[]);
    assert_eq!(code, 1);
    assert!(stderr.contains("write https://"), "{stderr}");
    let nothing = scratch.file("no.pem", "nothing");
    let (code, _, stderr) = printed(&["--url", &url, "--ca-file", nothing.to_str().unwrap()], &[]);
    assert_eq!(code, 2);
    assert!(stderr.contains("--ca-file holds no certificates"), "{stderr}");
}

#[test]
fn the_terminal_is_given_back_however_it_ends() {
    let origin = Origin::named("a");
    let balancer = Balancer::start(BINARY, &one_pool(&[origin.address()], &json!({})));
    let ends: [(&str, Option<Signal>); 6] = [
        ("q", None),
        ("\u{3}", None),
        ("", Some(Signal::TERM)),
        ("", Some(Signal::HUP)),
        ("", Some(Signal::INT)),
        ("", Some(Signal::QUIT)),
    ];
    for (keys, signal) in ends {
        let mut terminal = watch(&admin(&balancer), USUAL);
        terminal.wait_for_text("q quit");
        assert!(!terminal.is_given_back());
        terminal.press(keys);
        if let Some(signal) = signal {
            terminal.signal(signal);
        }
        let status = terminal.wait_for_exit(PATIENCE);
        let status = status.unwrap_or_else(|| panic!("{keys:?} {signal:?}: it goes on"));
        assert_eq!(status.code(), Some(0), "{keys:?} {signal:?}");
        eventually("the terminal is given back", || terminal.is_given_back());
    }
}

#[test]
fn every_size_of_terminal_will_do() {
    let origin = Origin::named("a");
    let balancer = Balancer::start(BINARY, &one_pool(&[origin.address()], &json!({})));
    let mut terminal = watch(&admin(&balancer), (1, 1));
    for size in [(3, 2), (12, 5), (40, 8), (80, 24), (200, 50), (2, 40), (200, 1), (1, 1)] {
        terminal.resize(size.0, size.1);
        terminal.press("\u{1b}[B\u{1b}[6~s");
    }
    terminal.resize(80, 24);
    let screen = terminal.wait_for_text("q quit");
    assert!(screen.contains("All is well") && screen.contains("Health, last hour"), "{screen}");
    terminal.resize(200, 40);
    terminal.wait_for("a weight, where there is room", |screen| screen.contains("Weight  Why"));
    // A key that comes together with another size is not forgotten.
    terminal.resize(100, 30);
    terminal.press("q");
    assert_eq!(terminal.wait_for_exit(PATIENCE).and_then(|status| status.code()), Some(0));
}

#[test]
fn keys_sort_filter_and_pause() {
    let server = |number| json!({"id": format!("s{number:02}"), "host": "127.0.0.1", "port": 1000 + number});
    let servers: Vec<Value> = (0..50).map(server).collect();
    let off = json!({"type": "off"});
    let config = one_pool(&[], &json!({"pools": {"app": {"servers": servers, "healthCheck": off}}}));
    let balancer = Balancer::start(BINARY, &config);
    let mut terminal = watch(&admin(&balancer), (80, 24));
    terminal.wait_for("the first servers", |screen| screen.contains("1 of 50") && screen.contains("s00"));
    terminal.press("\u{1b}[F");
    terminal
        .wait_for("the last one", |screen| screen.contains("50 of 50") && screen.contains("s49 (pool app)"));
    terminal.press("sr");
    terminal.wait_for_text("s sort (server, reversed)");
    terminal.wait_for_text("s00 (pool app)");
    terminal.press("/s3");
    terminal.wait_for_text("filter: s3_  10 of 50 servers");
    terminal.press("\r");
    terminal.wait_for("those alone", |screen| {
        screen.contains("10 of 50 servers have") && !screen.contains("s49")
    });
    terminal.press("?");
    terminal.wait_for_text("any key goes back");
    terminal.press("?p");
    terminal.wait_for_text("PAUSED");
    balancer.operator().must(200, "PUT", "/api/servers/s31/state", &json!({"state": "drain"}));
    terminal.press("p");
    let screen = terminal.wait_for("what happened meanwhile", |screen| screen.contains("- drain"));
    assert!(!screen.contains("PAUSED"), "{screen}");
}

#[test]
fn colours_are_left_away_where_they_are_not_wanted() {
    let origin = Origin::named("a");
    let balancer = Balancer::start(BINARY, &one_pool(&[origin.address()], &json!({})));
    let colourful = watch(&admin(&balancer), USUAL);
    colourful.wait_for_text("✓ All is well");
    assert!(colourful.has_colours());
    let mut command = Terminal::command(BINARY);
    clean(&mut command).args(["top", "--url", &admin(&balancer)]).env("NO_COLOR", "1");
    let plain = Terminal::start(&mut command, USUAL);
    plain.wait_for_text("✓ All is well");
    assert!(!plain.has_colours());
}

#[test]
fn a_lost_connection_is_told_and_a_node_that_is_back_is_taken_up() {
    let (scratch, origin) = (Scratch::new(), Origin::named("a"));
    let socket = format!("unix:{}", scratch.path().join("admin.sock").display());
    let config = one_pool(&[origin.address()], &json!({"admin": {"bind": socket}}));
    let balancer = Balancer::start(BINARY, &config);
    for _ in 0..100 {
        balancer.get("/");
    }
    let terminal = watch(&socket, (160, 30));
    terminal.wait_for("its traffic", |screen| {
        balancer.get("/");
        screen.contains("100 %")
    });
    drop(balancer);
    let screen = terminal.wait_for_text("✗ No connection since ");
    let lost = screen.contains(" UTC (") && screen.contains("trying again. What is shown is from before");
    assert!(lost, "{screen}");
    assert!(screen.contains("✓ 1 of 1"), "what was known is gone:\n{screen}");
    terminal.wait_for("for how long", |screen| screen.contains(" UTC (") && !screen.contains("(0 s)"));
    let again = Balancer::start(BINARY, &config);
    // Counters that begin anew are no traffic.
    let rate = |screen: &str| {
        let name = origin.address().to_string();
        let line = screen.lines().find(|line| line.contains(&name) && line.contains("? unknown"))?;
        line.split_whitespace().nth(3)?.parse::<f64>().ok()
    };
    let screen = terminal.wait_for("the node that is back", |screen| {
        screen.contains("All is well") && !screen.contains("No connection") && rate(screen).is_some()
    });
    assert_eq!(rate(&screen), Some(0.0), "{screen}");
    drop(again);
}

/// An API whose texts want to do something to the terminal.
fn hostile() -> Origin {
    const EVIL: &str = "a\u{1b}]0;owned\u{7}\u{1b}[2J\u{9b}31m\u{202e}\r\n\t\u{7f}";
    let server = json!({"serverId": EVIL, "pool": EVIL, "weight": 1, "state": "active", "status": "down",
        "reason": EVIL, "since": EVIL, "eligible": false, "activeConnections": 0, "requests": 0,
        "latency": {"p50": null, "p95": null, "p99": null}});
    let columns =
        json!({"requests": [1], "errors": [0], "active": [1], "up": [1], "p50": [1], "p95": [1], "p99": [1]});
    let mut lines = json!({"startedAt": EVIL, "step": 1, "first": 0, "last": 0, "at": EVIL, "node": columns});
    lines["pools"] = json!([{"name": EVIL}]);
    merge(&mut lines["pools"][0], &columns);
    let answers = json!({
        "/api/health": {"state": EVIL, "version": EVIL, "uptime": 1e300, "configVersion": 1},
        "/api/history": lines,
        "/api/pools": [{"name": EVIL, "algorithm": EVIL, "up": 0, "total": 1}],
        "/api/servers": [server],
        "/api/problems": {"summary": EVIL,
            "problems": [{"severity": "later", "subject": EVIL, "what": EVIL, "why": EVIL}]},
    });
    Origin::by_request(move |request| {
        let path = request.target.split('?').next().unwrap();
        let body = json!({"success": true, "data": answers[path]}).to_string();
        reply_with(200, &["Content-Type: application/json"], body)
    })
}

#[test]
fn texts_of_the_node_do_nothing_to_the_terminal() {
    let node = hostile();
    let place = node.address().to_string();
    let mut terminal = watch(&place, (160, 40));
    terminal.wait_for_text("a\\u{1b}]0;owned");
    terminal.press("q");
    assert_eq!(terminal.wait_for_exit(PATIENCE).and_then(|status| status.code()), Some(0));
    eventually("the terminal is given back", || terminal.is_given_back());
    let raw = String::from_utf8(terminal.raw()).unwrap();
    let forbidden = ["\u{1b}]", "\u{7}", "\u{9b}", "\u{202e}", "\u{7f}"];
    assert!(!forbidden.iter().any(|text| raw.contains(text)), "{raw:?}");
    for arguments in [["--url", &place, "--once"], ["--url", &place, "--json"]] {
        let (code, stdout, stderr) = printed(&arguments, &[]);
        assert_eq!((code, stderr.as_str()), (0, ""));
        assert!(stdout.contains("owned"));
        assert!(!stdout.contains(|c: char| c.is_control() && c != '\n' || c == '\u{202e}'), "{stdout:?}");
    }
    // What refuses has words, too.
    let denial =
        json!({"success": false, "error": {"code": "x", "message": "\u{1b}]0;owned\u{7}", "issues": []}});
    let denying = Origin::answering(reply_with(403, &["Content-Type: application/json"], denial.to_string()));
    let (code, _, stderr) = printed(&["--url", &denying.address().to_string()], &[]);
    assert_eq!(code, 1);
    assert!(stderr.contains("it answers 403: \\u{1b}]0;owned\\u{7}\n"), "{stderr:?}");
}
