//! Changes that meet: of the file and of the API, on trial and for good, and what was under way before both.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::net::TcpListener;
use std::sync::Mutex;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use loadweaver_testkit::config::{merge, one_pool};
use loadweaver_testkit::eventually::PATIENCE;
use loadweaver_testkit::origin::reply;
use loadweaver_testkit::{Balancer, Origin, RawClient, eventually};
use rustix::process::Signal;
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_loadweaver");
const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const UPGRADE: &str = "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n";
const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n";

/// Answers, and sends every byte back after an upgrade.
fn origin() -> Origin {
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
            connection.write(reply(200, "well"));
        }
    })
}

fn config(origin: &Origin, patch: &Value) -> Value {
    let servers = json!([{"id": "a", "host": "127.0.0.1", "port": origin.port()}]);
    let mut config = one_pool(&[], &json!({"pools": {"app": {"servers": servers}}}));
    merge(&mut config, patch);
    config
}

fn patch(balancer: &Balancer, query: &str, patch: &Value) -> Value {
    let lines = "Content-Type: application/merge-patch+json\r\n";
    let target = format!("/api/config{query}");
    let answer = balancer.operator().ask("PATCH", &target, lines, &patch.to_string());
    serde_json::from_slice(&answer.body).unwrap()
}

/// Waits as long as a change of the file takes at most to be noticed; whoever passes this has seen nothing happen.
fn version_holds(balancer: &Balancer, version: u64) {
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(1200) {
        let status = balancer.status();
        assert_eq!(status["configVersion"], version, "{:#}", status["config"]);
    }
}

fn algorithm(name: &str) -> Value {
    json!({"pools": {"app": {"algorithm": name}}})
}

#[test]
fn what_was_saved_last_does_not_undo_what_came_after_it() {
    let a = origin();
    let balancer = Balancer::start(BINARY, &config(&a, &json!({})));
    let saved = patch(&balancer, "", &algorithm("random"));
    assert_eq!(saved["data"]["version"], 2, "{saved}");
    // On trial, so it is not in the file: the file still says what the first edit wrote.
    let tried = patch(&balancer, "?confirm=1h", &algorithm("ip_hash"));
    assert_eq!(tried["data"]["version"], 3, "{tried}");
    version_holds(&balancer, 3);
}

#[test]
fn a_file_that_is_only_touched_does_not_undo_what_is_not_saved() {
    let a = origin();
    let balancer = Balancer::start(BINARY, &config(&a, &json!({"admin": {"persist": false}})));
    patch(&balancer, "", &algorithm("random"));
    balancer.write_config_text(balancer.config_text());
    version_holds(&balancer, 2);
    // But whoever asks for the file gets it.
    balancer.signal(Signal::HUP);
    eventually("the file is in force", || balancer.version() == 3);
}

#[test]
fn a_file_that_was_refused_is_not_written_over() {
    let a = origin();
    let balancer = Balancer::start(BINARY, &config(&a, &json!({})));
    let half_done = "{ \"pools\": { \"app\": ";
    balancer.write_config_text(half_done);
    balancer.wait_for_status("the refusal", |status| status["config"]["refused"].is_object());
    let answer = patch(&balancer, "", &algorithm("random"));
    assert_eq!(balancer.config_text(), half_done, "{answer}");
    assert_eq!(answer["success"], false, "{answer}");
}

#[test]
fn an_unconfirmed_change_is_undone_even_if_the_file_is_broken_by_then() {
    let a = origin();
    let balancer = Balancer::start(BINARY, &config(&a, &json!({})));
    let tried = patch(&balancer, "?confirm=1s", &algorithm("random"));
    assert_eq!(tried["data"]["version"], 2, "{tried}");
    balancer.write_config_text("{ \"pools\": ");
    eventually("it is undone", || balancer.version() == 3);
    assert_eq!(balancer.status()["pools"][0]["algorithm"], "round_robin");
    assert_eq!(balancer.config_text(), "{ \"pools\": ");
}

#[test]
fn an_undoing_that_something_is_in_the_way_of_is_told_and_tried_again() {
    let a = origin();
    // Free again when the balancer takes it.
    let second = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let listeners = json!({"listeners": {"second": {"bind": second.to_string()}}});
    let balancer = Balancer::start(BINARY, &config(&a, &listeners));
    let tried = patch(&balancer, "?confirm=1s", &json!({"listeners": {"second": null}}));
    assert_eq!(tried["data"]["version"], 2, "{tried}");
    let mut taken = None;
    eventually("the address is free", || {
        taken = TcpListener::bind(second).ok();
        taken.is_some()
    });
    let status = balancer.wait_for_status("the refusal", |status| status["config"]["refused"].is_object());
    assert_eq!(status["config"]["refused"]["origin"], "not confirmed in time");
    assert!(status["config"]["confirmUntil"].is_string(), "it is still on trial: {:#}", status["config"]);
    assert_eq!(patch(&balancer, "", &algorithm("random"))["error"]["code"], "unconfirmed");
    assert!(balancer.config_text().contains("second"), "what is on trial is not in the file");
    drop(taken);
    eventually("it is undone", || balancer.version() == 3);
    let config = &balancer.status()["config"];
    assert!(config["refused"].is_null() && config["confirmUntil"].is_null(), "{config:#}");
    let told = balancer.operator().data("/api/events?event=config_refused");
    assert_eq!(told.as_array().unwrap().len(), 1, "{told:#}");
}

#[test]
fn what_nobody_confirmed_is_not_what_is_gone_back_to() {
    let a = origin();
    let balancer = Balancer::start(BINARY, &config(&a, &json!({})));
    patch(&balancer, "", &algorithm("ip_hash"));
    let file = balancer.config_text();
    patch(&balancer, "?confirm=1h", &algorithm("random"));
    // A way back that is itself only tried.
    balancer.operator().must(200, "POST", "/api/config/rollback?confirm=1s", &json!({"version": 1}));
    eventually("it is undone", || balancer.version() == 5);
    assert_eq!(balancer.status()["pools"][0]["algorithm"], "ip_hash");
    assert_eq!(balancer.config_text(), file);
}

#[test]
fn a_change_on_trial_that_somebody_writes_into_the_file_stays() {
    let a = origin();
    let first = config(&a, &json!({}));
    let balancer = Balancer::start(BINARY, &first);
    patch(&balancer, "?confirm=2s", &algorithm("random"));
    let mut by_hand = first;
    merge(&mut by_hand, &algorithm("random"));
    balancer.write_config(&by_hand);
    balancer.signal(Signal::HUP);
    balancer.wait_for_status("the end of the trial", |_| {
        balancer.operator().data("/api/config/versions")["confirmUntil"].is_null()
    });
    assert_eq!(balancer.version(), 2);
    assert_eq!(balancer.status()["pools"][0]["algorithm"], "random");
}

#[test]
fn a_change_of_words_is_saved_although_it_asks_for_a_confirmation() {
    let a = origin();
    let time = |time: &str| json!({"pools": {"app": {"timeouts": {"connect": time}}}});
    let balancer = Balancer::start(BINARY, &config(&a, &time("2s")));
    let answer = patch(&balancer, "?confirm=1h", &time("2000ms"));
    assert!(balancer.config_text().contains("2000ms"), "{answer}");
}

#[test]
fn what_began_before_its_server_was_changed_ends_with_the_server_too() {
    let (a, b) = (origin(), origin());
    let first = config(&a, &json!({"timeouts": {"drain": "500ms"}}));
    let balancer = Balancer::start(BINARY, &first);
    let mut tunnel = balancer.client();
    tunnel.send(UPGRADE).unwrap();
    assert_eq!(tunnel.read_answer_head("GET").unwrap().status, 101);
    let mut next = first;
    next["pools"]["app"]["servers"][0]["weight"] = json!(7);
    balancer.reload(&next);
    next["pools"]["app"]["servers"] = json!([{"id": "b", "host": "127.0.0.1", "port": b.port()}]);
    balancer.reload(&next);
    tunnel.expect_closed();
}

#[test]
fn what_is_found_out_about_a_machine_is_not_held_against_the_one_that_took_its_name() {
    let (gate, closed) = mpsc::channel::<()>();
    let closed = Mutex::new(closed);
    let old = Origin::start(move |connection| {
        connection.read_request()?;
        // Until the gate is gone, and then it dies without an answer.
        let _ = closed.lock().unwrap().recv();
        Ok(())
    });
    let new = origin();
    let rules = json!({"pools": {"app": {
        "passiveHealth": {"failures": 1, "hold": "1h"}, "retry": {"attempts": 1}}}});
    let balancer = Balancer::start(BINARY, &config(&old, &rules));
    let mut client = balancer.client();
    client.send(GET).unwrap();
    old.wait_for_requests(1);
    balancer.reload(&config(&new, &rules));
    drop(gate);
    assert_eq!(client.read_answer("GET").unwrap().status, 502);
    let status = balancer.status();
    let server = &status["pools"][0]["servers"][0];
    assert_ne!(server["state"], "down", "{server:#}");
    assert_eq!(balancer.get("/").status, 200);
}

#[test]
fn a_reload_takes_no_listeners_that_the_next_start_would_refuse() {
    let a = origin();
    let balancer = Balancer::start(BINARY, &config(&a, &json!({})));
    let port = balancer.address().port();
    let web = json!({"bind": format!("127.0.0.1:{port}")});
    let twice = json!({"listeners": {"web": web, "wide": {"bind": format!("0.0.0.0:{port}")}}});
    balancer.write_config(&config(&a, &twice));
    balancer.signal(Signal::HUP);
    balancer.wait_for_status("the refusal", |status| status["config"]["refused"].is_object());
    // Wider, then narrow again, is fine: the one makes room for the other.
    for bind in ["0.0.0.0", "127.0.0.1"] {
        let moved = json!({"listeners": {"web": {"bind": format!("{bind}:{port}")}}});
        balancer.reload(&config(&a, &moved));
        assert_eq!(RawClient::connect(balancer.address()).exchange(GET).status, 200);
    }
}

#[test]
fn another_address_for_the_admin_api_is_said_to_need_a_restart() {
    let a = origin();
    let balancer = Balancer::start(BINARY, &config(&a, &json!({})));
    let answer = patch(&balancer, "", &json!({"admin": {"bind": "127.0.0.2:0"}}));
    assert_eq!(answer["data"]["needsRestart"], json!(["admin"]), "{answer:#}");
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_survive_an_edit() {
    let a = origin();
    let first = config(&a, &json!({}));
    let balancer = Balancer::start(BINARY, &first);
    let windows = serde_json::to_string_pretty(&first).unwrap().replace('\n', "\r\n");
    for text in [windows.clone(), format!("\u{feff}{windows}")] {
        let before = balancer.version();
        balancer.write_config_text(&text);
        balancer.signal(Signal::HUP);
        let answer = patch(
            &balancer,
            "",
            &json!({"pools": {"app": {"servers": [
            {"id": "a", "host": "127.0.0.1", "port": a.port(), "weight": 3}]}}}),
        );
        let after = balancer.config_text();
        assert_eq!(answer["success"], true, "{answer}");
        assert_eq!(balancer.version(), before + 1);
        assert!(after.starts_with(&text[..40]), "{after:?}");
        assert_eq!(after.matches('\n').count(), after.matches("\r\n").count(), "{after:?}");
        balancer.reload(&first);
    }
}

#[test]
fn a_server_that_comes_and_goes_gives_what_began_first_as_much_time_as_the_rest() {
    let (a, b) = (origin(), origin());
    let first = config(&a, &json!({"timeouts": {"drain": "1500ms"}}));
    let balancer = Balancer::start(BINARY, &first);
    let mut tunnel = balancer.client();
    tunnel.send(UPGRADE).unwrap();
    assert_eq!(tunnel.read_answer_head("GET").unwrap().status, 101);
    let mut without = first.clone();
    without["pools"]["app"]["servers"] = json!([{"id": "b", "host": "127.0.0.1", "port": b.port()}]);
    balancer.reload(&without);
    balancer.reload(&first);
    let before = Instant::now();
    balancer.reload(&without);
    tunnel.expect_closed();
    assert!(before.elapsed() >= Duration::from_millis(1500), "{:?}", before.elapsed());
}
