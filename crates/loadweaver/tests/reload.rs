//! The configuration changes while it runs: what is not touched notices nothing, what is refused changes nothing.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::{Arc, Mutex, mpsc};

use loadweaver_testkit::config::{merge, one_pool};
use loadweaver_testkit::eventually::PATIENCE;
use loadweaver_testkit::load::Load;
use loadweaver_testkit::origin::reply;
use loadweaver_testkit::{Balancer, Origin, RawClient, eventually};
use rustix::process::Signal;
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_loadweaver");
const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const UPGRADE: &str = "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n";
const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n";

/// Answers with its name, and sends every byte back after an upgrade.
fn origin(name: &'static str) -> Origin {
    Origin::start(move |connection| {
        connection.set_patience(PATIENCE * 12);
        loop {
            let request = connection.read_request()?;
            if request.fields.lists("connection", "upgrade") {
                connection.write(SWITCH);
                while let Ok(byte) = connection.read_exact(1) {
                    connection.write(byte);
                }
                return Ok(());
            }
            connection.write(reply(200, name));
        }
    })
}

/// The servers of pool `app`, with ids of their own.
fn servers(of: &[(&str, &Origin)]) -> Value {
    let server =
        |(id, origin): &(&str, &Origin)| json!({"id": id, "host": "127.0.0.1", "port": origin.port()});
    of.iter().map(server).collect()
}

fn config(of: &[(&str, &Origin)], patch: &Value) -> Value {
    let mut config = one_pool(&[], &json!({"pools": {"app": {"servers": servers(of)}}}));
    merge(&mut config, patch);
    config
}

fn server(balancer: &Balancer, pool: &str, id: &str) -> Value {
    let status = balancer.status();
    let pools = status["pools"].as_array().unwrap();
    let pool = pools.iter().find(|each| each["name"] == pool).unwrap();
    let found = pool["servers"].as_array().unwrap().iter().find(|each| each["id"] == id).cloned();
    found.unwrap_or_else(|| panic!("no server {id} in {pool:#}"))
}

/// The names that so many requests are answered with, in order and each once.
fn answers(balancer: &Balancer, count: usize) -> Vec<String> {
    let mut names: Vec<_> = (0..count).map(|_| balancer.get("/").text()).collect();
    names.sort();
    names.dedup();
    names
}

fn tunnel(balancer: &Balancer) -> RawClient {
    let mut client = balancer.client();
    client.send(UPGRADE).unwrap();
    assert_eq!(client.read_answer_head("GET").unwrap().status, 101);
    client
}

fn echoes(client: &mut RawClient) {
    client.send("ping").unwrap();
    assert_eq!(client.read_exact(4).unwrap(), b"ping");
}

#[test]
fn a_file_that_is_renamed_over_is_taken_up_by_itself() {
    let (a, b) = (origin("a"), origin("b"));
    let balancer = Balancer::start(BINARY, &config(&[("a", &a)], &json!({})));
    let mut client = balancer.client();
    assert_eq!(client.exchange(GET).text(), "a");
    balancer.write_config(&config(&[("a", &a), ("b", &b)], &json!({})));
    eventually("it is in force", || balancer.version() == 2);
    assert_eq!(answers(&balancer, 4), ["a", "b"]);
    // The same client connection goes on.
    let both = [client.exchange(GET).text(), client.exchange(GET).text()];
    assert_ne!(both[0], both[1]);
    assert_eq!(balancer.status()["config"]["origin"], "file");
    let events = balancer.status()["recentEvents"].clone();
    let added = events.as_array().unwrap().iter().find(|event| event["event"] == "server_added");
    assert_eq!(added.unwrap()["server"]["id"], "b");
}

#[test]
fn a_link_that_is_swapped_somewhere_on_the_way_is_taken_up() {
    // As Kubernetes mounts a ConfigMap: config.json -> ..data/config.json, ..data -> a folder for each version.
    let (a, b) = (origin("a"), origin("b"));
    let first = config(&[("a", &a)], &json!({}));
    let balancer = Balancer::start(BINARY, &first);
    let folder = balancer.folder();
    for (name, config) in [("one", &first), ("two", &config(&[("b", &b)], &json!({})))] {
        fs::create_dir(folder.join(name)).unwrap();
        fs::write(folder.join(name).join("config.json"), config.to_string()).unwrap();
    }
    symlink("one", folder.join("..data")).unwrap();
    symlink("..data/config.json", folder.join("link")).unwrap();
    fs::rename(folder.join("link"), balancer.config_file()).unwrap();
    symlink("two", folder.join("..new")).unwrap();
    fs::rename(folder.join("..new"), folder.join("..data")).unwrap();
    eventually("it is in force", || balancer.version() == 2);
    assert_eq!(answers(&balancer, 2), ["b"]);
}

#[test]
fn a_refused_change_changes_nothing_and_is_shown_until_it_is_mended() {
    let (a, b) = (origin("a"), origin("b"));
    let balancer = Balancer::start(BINARY, &config(&[("a", &a)], &json!({})));
    let mut wrong = config(&[("b", &b)], &json!({"pools": {"app": {"algoritm": "random"}}}));
    wrong["workers"] = json!("many");
    balancer.write_config(&wrong);
    let status = balancer.wait_for_status("the refusal", |status| status["config"]["refused"].is_object());
    let refused = &status["config"]["refused"];
    assert_eq!((&status["configVersion"], &refused["origin"]), (&json!(1), &json!("file")));
    let places: Vec<_> = refused["issues"].as_array().unwrap().iter().map(|issue| &issue["at"]).collect();
    assert_eq!(places, ["/workers", "/pools/app/algoritm"], "{refused:#}");
    assert!(refused["issues"][1]["help"].as_str().unwrap().contains("algorithm"), "{refused:#}");
    let events = status["recentEvents"].as_array().unwrap();
    assert!(events.iter().any(|event| event["event"] == "config_refused"), "{events:#?}");
    assert_eq!(balancer.admin_get("/readyz").status, 200);
    assert_eq!(answers(&balancer, 2), ["a"]);
    balancer.write_config(&config(&[("b", &b)], &json!({})));
    eventually("it is mended", || balancer.version() == 2);
    assert!(balancer.status()["config"]["refused"].is_null());
    assert_eq!(answers(&balancer, 2), ["b"]);
}

#[test]
fn text_that_is_no_configuration_at_all_is_refused_and_nothing_is_lost() {
    let a = origin("a");
    let good = config(&[("a", &a)], &json!({}));
    let balancer = Balancer::start(BINARY, &good);
    for (text, words) in [
        (b"{\"listeners\": ".to_vec(), "not valid JSON"),
        (b"\xff\xfe{}".to_vec(), "UTF-8"),
        (Vec::new(), "empty"),
        (vec![b' '; 17 << 20], "larger than"),
    ] {
        balancer.write_config_text(text);
        balancer.signal(Signal::HUP);
        balancer.wait_for_status(words, |status| {
            status["config"]["refused"]["reason"].as_str().is_some_and(|reason| reason.contains(words))
        });
    }
    fs::remove_file(balancer.config_file()).unwrap();
    balancer.signal(Signal::HUP);
    balancer.wait_for_log("no such file");
    assert_eq!((answers(&balancer, 2), balancer.version()), (vec!["a".to_owned()], 1));
}

#[test]
fn verdicts_and_counters_outlive_a_change_of_their_pool() {
    let (a, b, c) = (origin("a"), origin("b"), origin("c"));
    // Nothing but a request takes a server out here, and nothing brings it back.
    let patch = json!({"pools": {"app": {"passiveHealth": {"hold": "1h"}}}});
    let balancer = Balancer::start(BINARY, &config(&[("a", &a), ("b", &b)], &patch));
    b.refuse();
    assert_eq!(answers(&balancer, 4), ["a"]);
    let before = (server(&balancer, "app", "a"), server(&balancer, "app", "b"));
    assert_eq!((&before.1["state"], &before.0["requests"]), (&json!("down"), &json!(4)));
    let mut next = config(&[("c", &c), ("b", &b), ("a", &a)], &patch);
    next["pools"]["app"]["servers"][2]["weight"] = json!(7);
    balancer.reload(&next);
    let after = (server(&balancer, "app", "a"), server(&balancer, "app", "b"));
    assert_eq!((&after.0["requests"], &after.0["weight"]), (&json!(4), &json!(7)));
    for key in ["state", "reason", "since", "failures", "requests"] {
        assert_eq!(before.1[key], after.1[key], "{key}");
    }
    assert_eq!(answers(&balancer, 4), ["a", "c"]);
    // A verdict outlives other rules for the next one, but not another question.
    merge(&mut next, &json!({"pools": {"app": {"passiveHealth": {"hold": "2h"}}}}));
    balancer.reload(&next);
    assert_eq!(server(&balancer, "app", "b")["since"], before.1["since"]);
    merge(&mut next, &json!({"pools": {"app": {"healthCheck": {"maxLatency": "1s"}}}}));
    balancer.reload(&next);
    assert_eq!(server(&balancer, "app", "b")["state"], "unknown");
}

#[test]
fn a_server_that_moves_to_another_pool_keeps_its_counters_and_its_verdict() {
    let (a, b) = (origin("a"), origin("b"));
    let patch = json!({"pools": {"app": {"passiveHealth": {"hold": "1h"}}}});
    let balancer = Balancer::start(BINARY, &config(&[("a", &a), ("b", &b)], &patch));
    b.refuse();
    assert_eq!(answers(&balancer, 4), ["a"]);
    let before = server(&balancer, "app", "b");
    let mut next = config(&[("a", &a)], &patch);
    let mut other = next["pools"]["app"].clone();
    other["servers"] = servers(&[("b", &b)]);
    next["pools"]["other"] = other;
    next["routes"] = json!([{"match": {"path": "/other"}, "pool": "other"}, {"pool": "app"}]);
    balancer.reload(&next);
    let after = server(&balancer, "other", "b");
    for key in ["state", "since", "failures", "requests", "connects"] {
        assert_eq!(before[key], after[key], "{key}");
    }
    assert_eq!(balancer.get("/other").status, 503);
}

#[test]
fn a_change_elsewhere_leaves_tunnels_and_kept_connections_alone() {
    let (a, b) = (origin("a"), origin("b"));
    let balancer = Balancer::start(BINARY, &config(&[("a", &a)], &json!({})));
    let mut tunnel = tunnel(&balancer);
    let mut client = balancer.client();
    assert_eq!(client.exchange(GET).text(), "a");
    let opened = a.connections();
    for weight in 1..20 {
        let mut next = config(&[("a", &a), ("b", &b)], &json!({}));
        next["pools"]["app"]["servers"][0]["weight"] = weight.into();
        next["pools"]["app"]["servers"][1]["weight"] = 0.into();
        balancer.reload(&next);
        echoes(&mut tunnel);
        assert_eq!(client.exchange(GET).text(), "a");
    }
    assert_eq!(a.connections(), opened, "kept connections are used on");
    eventually("only the tunnel is left", || server(&balancer, "app", "a")["active"] == 1);
    drop(tunnel);
    eventually("the tunnel's place is given back", || server(&balancer, "app", "a")["active"] == 0);
}

#[test]
fn what_is_under_way_at_a_removed_server_ends_at_the_deadline_and_not_before() {
    let (a, b) = (origin("a"), origin("b"));
    let patch = json!({"timeouts": {"drain": "1s"}});
    let balancer = Balancer::start(BINARY, &config(&[("a", &a)], &patch));
    let mut doomed = tunnel(&balancer);
    balancer.reload(&config(&[("b", &b)], &patch));
    echoes(&mut doomed);
    assert_eq!(answers(&balancer, 2), ["b"]);
    let mut safe = tunnel(&balancer);
    doomed.expect_closed();
    echoes(&mut safe);
    assert_eq!(balancer.status()["failures"]["drain_deadline"], 1);
}

#[test]
fn a_removed_server_that_comes_back_in_time_keeps_what_it_has() {
    let (a, b) = (origin("a"), origin("b"));
    let patch = json!({"timeouts": {"drain": "500ms"}});
    let balancer = Balancer::start(BINARY, &config(&[("a", &a), ("b", &b)], &patch));
    let mut tunnels = [tunnel(&balancer), tunnel(&balancer)];
    balancer.reload(&config(&[("a", &a)], &patch));
    balancer.reload(&config(&[("a", &a), ("b", &b)], &patch));
    // A second server is removed for good, so that there is a deadline to wait for.
    let c = origin("c");
    balancer.reload(&config(&[("a", &a), ("b", &b), ("c", &c)], &patch));
    let mut last = loop {
        let candidate = tunnel(&balancer);
        if server(&balancer, "app", "c")["active"] == 1 {
            break candidate;
        }
    };
    balancer.reload(&config(&[("a", &a), ("b", &b)], &patch));
    last.expect_closed();
    tunnels.iter_mut().for_each(echoes);
}

#[test]
fn listeners_come_go_and_change_their_names_without_a_lost_connection() {
    let a = origin("a");
    let balancer = Balancer::start(BINARY, &config(&[("a", &a)], &json!({})));
    let old = balancer.address();
    let mut client = balancer.client();
    assert_eq!(client.exchange(GET).text(), "a");
    // A second listener, and the first one under another name: its port is written out, so it is the same.
    let both = json!({"listeners": {"web": null, "front": {"bind": old.to_string()}, "side": {"bind": "127.0.0.1:0"}}});
    let first = json!({"listeners": {"web": {"bind": old.to_string()}}});
    balancer.reload(&config(&[("a", &a)], &first));
    balancer.reload(&config(&[("a", &a)], &both));
    assert_eq!(balancer.listener("front"), Some(old));
    let side = balancer.listener("side").unwrap();
    assert_eq!(RawClient::connect(side).exchange(GET).text(), "a");
    assert_eq!(client.exchange(GET).text(), "a", "the connection is still there");
    // Away with it: its connections finish, and are told.
    let mut waiting = RawClient::connect(side);
    assert_eq!(waiting.exchange(GET).text(), "a");
    balancer.reload(&config(
        &[("a", &a)],
        &json!({"listeners": {"web": null, "front": {"bind": old.to_string()}}}),
    ));
    waiting.expect_closed();
    eventually("nobody listens", || RawClient::try_connect(side).is_err());
    assert_eq!(client.exchange(GET).text(), "a");
}

#[test]
fn an_exchange_on_a_removed_listener_ends_in_order() {
    let (gate, closed) = mpsc::channel::<()>();
    let closed = Mutex::new(closed);
    let a = Origin::start(move |connection| {
        connection.read_request()?;
        // Until the gate is gone.
        let _ = closed.lock().unwrap().recv();
        connection.write(reply(200, "late"));
        Ok(())
    });
    let side = json!({"listeners": {"side": {"bind": "127.0.0.1:0"}}});
    let balancer = Balancer::start(BINARY, &config(&[("a", &a)], &side));
    let address = balancer.listener("side").unwrap();
    let mut client = RawClient::connect(address);
    client.send(GET).unwrap();
    a.wait_for_requests(1);
    balancer.reload(&config(&[("a", &a)], &json!({})));
    // A worker hears of it when it is next awake.
    eventually("the listener is closed", || RawClient::try_connect(address).is_err());
    drop(gate);
    let answer = client.read_answer("GET").unwrap();
    assert_eq!((answer.text().as_str(), answer.says_close()), ("late", true));
    client.expect_closed();
}

#[test]
fn a_listener_that_cannot_bind_refuses_the_whole_change() {
    let (a, b) = (origin("a"), origin("b"));
    let balancer = Balancer::start(BINARY, &config(&[("a", &a)], &json!({})));
    let taken = b.address();
    let next = json!({"listeners": {"fine": {"bind": "127.0.0.1:0"}, "side": {"bind": taken.to_string()}}});
    balancer.write_config(&config(&[("b", &b)], &next));
    let status = balancer.wait_for_status("the refusal", |status| status["config"]["refused"].is_object());
    let reason = status["config"]["refused"]["reason"].as_str().unwrap();
    assert!(reason.contains("side") && reason.contains(&taken.to_string()), "{reason}");
    assert_eq!(status["listeners"].as_array().unwrap().len(), 1);
    assert_eq!(answers(&balancer, 2), ["a"]);
}

#[test]
fn a_thousand_changes_under_load_fail_no_request_and_cut_nothing() {
    let (a, b, c) = (origin("a"), origin("b"), origin("c"));
    let large = Arc::new(vec![b'x'; 1 << 20]);
    let body = Arc::clone(&large);
    let slow = Origin::start(move |connection| {
        // As long as the changes take: on a busy machine some minutes.
        connection.set_patience(PATIENCE * 60);
        let request = connection.read_request()?;
        if request.method == "POST" {
            connection.write(reply(200, request.body.len().to_string()));
            return Ok(());
        }
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", 100 * body.len());
        connection.write(head);
        for _ in 0..100 {
            connection.write(&body[..]);
        }
        Ok(())
    });
    let patch = json!({
        "pools": {"slow": {"servers": servers(&[("slow", &slow)]), "healthCheck": {"type": "off"}}},
        "routes": [{"name": "slow", "match": {"path": "/slow"}, "pool": "slow"}, {"name": "rest", "pool": "app"}],
    });
    let mut everything = config(&[("a", &a), ("b", &b), ("c", &c)], &patch);
    // Servers without traffic, so that whatever stayed of a change would be seen.
    let idle = (0..50)
        .map(|number| json!({"id": format!("idle-{number}"), "host": "127.0.0.1", "port": 9, "weight": 0}));
    everything["pools"]["app"]["servers"].as_array_mut().unwrap().extend(idle);
    let balancer = Balancer::start(BINARY, &everything);
    let load = Load::start(balancer.address(), 64, GET);
    let mut tunnel = tunnel(&balancer);
    let mut download = balancer.client();
    download.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    assert_eq!(download.read_answer_head("GET").unwrap().status, 200);
    let mut upload = balancer.client();
    upload.send("POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n").unwrap();
    let mut resident = Vec::new();
    for change in 0..1000_u32 {
        let mut next = everything.clone();
        match change % 5 {
            0 => next["pools"]["app"]["servers"] = servers(&[("a", &a), ("b", &b)]),
            1 => next["pools"]["app"]["servers"][1]["weight"] = (change % 9 + 1).into(),
            2 => next["routes"][0]["match"]["headers"] = json!({"x-change": change.to_string()}),
            3 => merge(&mut next, &json!({"listeners": {"side": {"bind": "127.0.0.1:0"}}})),
            _ => next["pools"]["app"]["algorithm"] = "least_connections".into(),
        }
        balancer.reload(&next);
        upload.send("u").unwrap();
        if change % 10 == 0 {
            echoes(&mut tunnel);
            download.read_exact(1 << 20).unwrap();
        }
        if change >= 200 && change % 200 == 0 {
            resident.push(resident_kib(balancer.id()));
        }
    }
    let answer = upload.read_answer("POST").unwrap();
    assert_eq!((answer.status, answer.text().as_str()), (200, "1000"));
    assert_eq!(load.stop().keys().collect::<Vec<_>>(), ["200 a", "200 b", "200 c"]);
    echoes(&mut tunnel);
    let (first, last) = (resident[0], resident[resident.len() - 1]);
    // The history of events fills on the way; snapshots that stayed would be more.
    assert!(last < first + 12 * 1024, "resident memory grew from {first} to {last} KiB");
}

fn resident_kib(id: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
