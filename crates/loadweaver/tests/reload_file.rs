//! What may become of the configuration file while it is in use.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;

use loadweaver_testkit::config::{merge, one_pool};
use loadweaver_testkit::origin::reply;
use loadweaver_testkit::{Balancer, Origin, eventually};
use rustix::fs::{CWD, Mode, mkfifoat};
use rustix::process::Signal;
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_loadweaver");

fn config(origin: &Origin, weight: u32) -> Value {
    let servers = json!([{"id": "a", "host": "127.0.0.1", "port": origin.port(), "weight": weight}]);
    one_pool(&[], &json!({"pools": {"app": {"servers": servers}}}))
}

/// Asks for an edit through the API; its answer.
fn edit(balancer: &Balancer, patch: &Value) -> Value {
    let lines = "Content-Type: application/merge-patch+json\r\n";
    let answer = balancer.operator().ask("PATCH", "/api/config", lines, &patch.to_string());
    serde_json::from_slice(&answer.body).unwrap()
}

fn refused(balancer: &Balancer, words: &str) {
    balancer.signal(Signal::HUP);
    balancer.wait_for_status(words, |status| {
        status["config"]["refused"]["reason"].as_str().is_some_and(|reason| reason.contains(words))
    });
}

#[test]
fn whatever_stands_in_the_place_of_the_file_nobody_waits_for_it() {
    let origin = Origin::answering(reply(200, "well"));
    let balancer = Balancer::start(BINARY, &config(&origin, 1));
    let file = balancer.config_file();
    fs::remove_file(&file).unwrap();
    refused(&balancer, "no such file");
    mkfifoat(CWD, &file, Mode::RUSR | Mode::WUSR).unwrap();
    refused(&balancer, "a pipe or a device");
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    refused(&balancer, "is a directory");
    fs::remove_dir(&file).unwrap();
    symlink("/dev/zero", &file).unwrap();
    refused(&balancer, "a pipe or a device");
    fs::remove_file(&file).unwrap();
    symlink("nowhere", &file).unwrap();
    refused(&balancer, "no such file");
    // An edit is in force all the same, and says that it is not saved.
    let answer = edit(&balancer, &json!({"pools": {"app": {"algorithm": "random"}}}));
    assert_eq!(
        (&answer["data"]["version"], &answer["data"]["saved"]),
        (&json!(2), &json!(false)),
        "{answer:#}"
    );
    // A file that is there again is taken up by itself.
    balancer.write_config(&config(&origin, 2));
    eventually("the file is in force", || balancer.version() == 3);
    assert_eq!(balancer.get("/").status, 200);
}

#[test]
fn a_file_that_is_deleted_and_made_again_with_the_same_text_changes_nothing() {
    let origin = Origin::answering(reply(200, "well"));
    let balancer = Balancer::start(BINARY, &config(&origin, 1));
    let text = balancer.config_text();
    fs::remove_file(balancer.config_file()).unwrap();
    fs::write(balancer.config_file(), &text).unwrap();
    balancer.signal(Signal::HUP);
    balancer.wait_for_log("says the same");
    assert_eq!(balancer.version(), 1);
    let answer = edit(&balancer, &json!({"pools": {"app": {"algorithm": "random"}}}));
    assert_eq!(answer["data"]["saved"], true, "{answer:#}");
    assert_ne!(balancer.config_text(), text);
}

#[test]
fn a_link_whose_target_vanishes_is_followed_again_when_it_is_back() {
    let origin = Origin::answering(reply(200, "well"));
    let balancer = Balancer::start(BINARY, &config(&origin, 1));
    let (file, target) = (balancer.config_file(), balancer.folder().join("target.json"));
    fs::rename(&file, &target).unwrap();
    symlink("target.json", &file).unwrap();
    fs::remove_file(&target).unwrap();
    let answer = edit(&balancer, &json!({"pools": {"app": {"algorithm": "random"}}}));
    assert_eq!(answer["data"]["saved"], false, "{answer:#}");
    fs::write(&target, config(&origin, 3).to_string()).unwrap();
    eventually("it is in force", || balancer.version() == 3);
    let answer = edit(&balancer, &json!({"pools": {"app": {"algorithm": "random"}}}));
    assert_eq!(answer["data"]["saved"], true, "{answer:#}");
    assert!(file.is_symlink() && fs::read_to_string(&target).unwrap().contains("random"));
}

#[test]
fn a_pipe_is_read_at_the_start_and_never_again() {
    let origin = Origin::answering(reply(200, "well"));
    let folder = loadweaver_testkit::scratch::Scratch::new();
    let pipe = folder.path().join("config.json");
    mkfifoat(CWD, &pipe, Mode::RUSR | Mode::WUSR).unwrap();
    let mut command = std::process::Command::new(BINARY);
    let mut process =
        loadweaver_testkit::process::Process::start(command.args(["run", "--config"]).arg(&pipe));
    let mut writer = fs::OpenOptions::new().write(true).open(&pipe).unwrap();
    writer.write_all(config(&origin, 1).to_string().as_bytes()).unwrap();
    drop(writer);
    process.wait_for_stderr("ready", |line| (line == "ready").then_some(()));
    process.signal(Signal::HUP);
    process.wait_for_stderr("the refusal", |line| line.contains("a pipe or a device").then_some(()));
}

#[test]
fn the_environment_stands_in_for_the_file_at_each_reload() {
    let origin = Origin::answering(reply(200, "well"));
    let port = loadweaver_testkit::peer::free_address().port();
    let variable = port.to_string();
    let mut first = config(&origin, 1);
    let balancer = Balancer::start_with(BINARY, &first, &[("PORT", &variable)]);
    assert_eq!(balancer.address().port(), port);
    let mut client = balancer.client();
    assert_eq!(client.get("/").status, 200);
    // The file says another port, the variable goes on to win: the listener is the same.
    merge(&mut first, &config(&origin, 2));
    merge(&mut first, &json!({"listeners": {"web": {"bind": "127.0.0.1:9"}}}));
    balancer.reload(&first);
    assert_eq!(balancer.listener("web").map(|address| address.port()), Some(port));
    assert_eq!(client.get("/").status, 200);
}
