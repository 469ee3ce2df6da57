//! The command line, from outside: what each command prints, where, and with which exit code.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use std::fs::File;
use std::path::Path;
use std::process::{Command, Output};

use loadweaver_testkit::scratch::Scratch;
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_loadweaver");

/// The binary with none of the environment that it listens to.
fn binary() -> Command {
    let mut command = Command::new(BINARY);
    for name in
        ["PORT", "WORKER_COUNT", "REDIS_URL", "HEALTH_CHECK_INTERVAL", "LOADWEAVER_CONFIG", "LOADWEAVER_LOG"]
    {
        command.env_remove(name);
    }
    command
}

fn ended(command: &mut Command) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

fn check(file: &Path) -> (i32, String, String) {
    ended(binary().arg("check").arg(file))
}

const SMALLEST: &str = r#"{
  "listeners": { "web": { "bind": "127.0.0.1:0" } },
  "pools": { "app": { "servers": [ { "host": "127.0.0.1", "port": 3001 } ] } }
}"#;

#[test]
fn check_says_what_would_run() {
    let scratch = Scratch::new();
    let (code, stdout, stderr) = check(&scratch.file("config.json", SMALLEST));
    assert_eq!((code, stderr.as_str()), (0, ""));
    for word in ["web", "127.0.0.1:0", "app", "127.0.0.1:3001", "round_robin"] {
        assert!(stdout.contains(word), "{word} is missing: {stdout}");
    }
}

#[test]
fn check_tells_every_problem_with_place_and_remedy() {
    let scratch = Scratch::new();
    let file = scratch.file(
        "config.json",
        r#"{"listeners": {"web": {"bind": "nowhere", "colour": 1}},
            "pools": {"app": {"servers": [{"host": "127.0.0.1", "port": 70000}]}}}"#,
    );
    let (code, stdout, stderr) = check(&file);
    assert_eq!((code, stdout.as_str()), (2, ""));
    let lines: Vec<&str> = stderr.lines().collect();
    for place in ["/listeners/web/bind", "/listeners/web/colour", "/pools/app/servers/0/port"] {
        let start = format!("at {place}: ");
        let line = lines.iter().position(|line| line.starts_with(&start));
        let line = line.unwrap_or_else(|| panic!("nothing {start}\n{stderr}"));
        assert!(lines[line + 1].starts_with("    ") && lines[line + 1].trim().len() > 5, "{stderr}");
    }
    assert!(lines.last().unwrap().ends_with("config.json is refused: 3 problems"), "{stderr}");
}

#[test]
fn check_warns_of_what_is_allowed_and_probably_not_meant() {
    let scratch = Scratch::new();
    let file = scratch.file(
        "config.json",
        r#"{"listeners": {"web": {"bind": "127.0.0.1:0"}},
            "pools": {"app": {"servers": [{"host": "a", "port": 1, "weight": 0}, {"host": "b", "port": 1}]}}}"#,
    );
    let (code, stdout, stderr) = check(&file);
    assert_eq!(code, 0);
    assert!(stdout.contains("app"));
    assert!(stderr.starts_with("warning: at /pools/app/servers/0"), "{stderr}");
}

#[test]
fn files_that_cannot_be_read_are_told_apart() {
    let scratch = Scratch::new();
    let missing = scratch.path().join("missing.json");
    let large = scratch.path().join("large.json");
    // Sparse: takes no room.
    File::create(&large).unwrap().set_len(50 * 1024 * 1024).unwrap();
    let binary = scratch.file("binary.json", b"\xff\xfe{}");
    for (file, words) in [
        (missing.as_path(), "there is no such file"),
        (scratch.path(), "is a directory"),
        (&large, "is larger than 16 MiB"),
        (&binary, "UTF-8"),
        (&scratch.file("empty.json", ""), "at the file: "),
    ] {
        let (code, stdout, stderr) = check(file);
        assert_eq!((code, stdout.as_str()), (2, ""), "{stderr}");
        assert!(stderr.contains(words), "{words} is missing: {stderr}");
        assert!(!stderr.contains("panic"), "{stderr}");
        assert!(stderr.contains(file.to_str().unwrap()), "the file is not named: {stderr}");
    }
}

#[test]
fn a_file_without_permission_is_told_as_such() {
    use std::os::unix::fs::PermissionsExt;
    let scratch = Scratch::new();
    let file = scratch.file("config.json", SMALLEST);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o000)).unwrap();
    if File::open(&file).is_ok() {
        // Root may read everything, and then there is nothing to see.
        return;
    }
    let (code, _, stderr) = check(&file);
    assert_eq!(code, 2);
    assert!(stderr.contains("may not be read by this user"), "{stderr}");
}

#[test]
fn schema_is_a_json_schema() {
    let (code, stdout, stderr) = ended(binary().arg("schema"));
    assert_eq!((code, stderr.as_str()), (0, ""));
    let schema: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let mut child = binary().arg("schema").stdout(std::process::Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn version_and_help_are_answers_and_bad_arguments_are_refused() {
    let (code, stdout, _) = ended(binary().arg("--version"));
    assert_eq!((code, stdout.as_str()), (0, concat!("loadweaver ", env!("CARGO_PKG_VERSION"), "\n")));
    let (code, stdout, _) = ended(binary().arg("--help"));
    assert_eq!(code, 0);
    for word in
        ["run", "check", "top", "schema", "demo", "LOADWEAVER_CONFIG", "LOADWEAVER_TOKEN", "Exit codes"]
    {
        assert!(stdout.contains(word), "{word} is missing: {stdout}");
    }
    let refused: [&[&str]; 5] =
        [&[], &["fly"], &["check"], &["run", "--colour"], &["demo", "--port", "70000"]];
    for arguments in refused {
        let (code, stdout, stderr) = ended(binary().args(arguments));
        assert_eq!((code, stdout.as_str()), (2, ""), "{arguments:?}");
        assert!(!stderr.is_empty());
    }
}

#[test]
fn run_looks_for_its_file_in_order() {
    let scratch = Scratch::new();
    let wrong = |name: &str| scratch.file(name, format!(r#"{{"{name}": 1}}"#));
    let (flag, variable, _default) = (wrong("flag.json"), wrong("variable.json"), wrong("config.json"));
    let run = || {
        let mut command = binary();
        command.arg("run").current_dir(scratch.path());
        command
    };
    // Each file is refused for its own name.
    let (code, _, stderr) = ended(run().arg("--config").arg(&flag).env("LOADWEAVER_CONFIG", &variable));
    assert!(code == 2 && stderr.contains("/flag.json: "), "{stderr}");
    let (code, _, stderr) = ended(run().env("LOADWEAVER_CONFIG", &variable));
    assert!(code == 2 && stderr.contains("/variable.json: "), "{stderr}");
    let (code, _, stderr) = ended(&mut run());
    assert!(code == 2 && stderr.contains("/config.json: "), "{stderr}");
    let (code, _, stderr) = ended(run().current_dir("/"));
    assert!(code == 2 && stderr.contains("loadweaver demo"), "{stderr}");
}

#[test]
fn run_refuses_a_log_filter_that_makes_no_sense() {
    let scratch = Scratch::new();
    let file = scratch.file("config.json", SMALLEST);
    for filter in ["a=b=c", "helth=debug", "info,health=loud", "verbose", "loadweaver::helth=debug"] {
        let (code, _, stderr) =
            ended(binary().arg("run").arg("--config").arg(&file).env("LOADWEAVER_LOG", filter));
        assert_eq!(code, 2, "{filter}: {stderr}");
        assert!(stderr.contains("LOADWEAVER_LOG") && stderr.contains("debug"), "{stderr}");
    }
}

#[test]
fn what_cannot_be_opened_ends_the_start_with_its_name() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let scratch = Scratch::new();
    for (patch, words) in [
        (json!({"listeners": {"web": {"bind": address}}}), ["listener web", address.as_str()]),
        (json!({"admin": {"bind": address}}), ["admin listener", address.as_str()]),
        (
            json!({"accessLog": {"output": "/proc/nowhere/access.log"}}),
            ["access log", "/proc/nowhere/access.log"],
        ),
    ] {
        let mut config: Value = serde_json::from_str(SMALLEST).unwrap();
        loadweaver_testkit::config::merge(&mut config, &patch);
        let file = scratch.file("config.json", config.to_string());
        let (code, _, stderr) = ended(binary().arg("run").arg("--config").arg(file));
        assert_eq!(code, 1, "{stderr}");
        assert!(words.iter().all(|word| stderr.contains(word)), "{words:?}: {stderr}");
        assert!(!stderr.contains("ready\n"), "{stderr}");
    }
}

const ROUTED: &str = r#"{
  "listeners": { "web": { "bind": "127.0.0.1:8080" } },
  "routes": [
    { "name": "beta", "match": { "headers": { "x-beta": "1" } }, "pool": "beta" },
    { "name": "rest", "pool": "app" }
  ],
  "pools": {
    "app": { "servers": [ { "host": "127.0.0.1", "port": 3001 } ] },
    "beta": { "algorithm": "ip_hash", "servers": [
      { "id": "one", "host": "127.0.0.1", "port": 3002, "state": "drain" },
      { "id": "two", "host": "127.0.0.1", "port": 3003 } ] }
  }
}"#;

#[test]
fn explain_says_which_way_a_request_would_go_and_that_health_is_not_known() {
    let scratch = Scratch::new();
    let file = scratch.file("config.json", ROUTED);
    let explain =
        |arguments: &[&str]| ended(binary().args(["explain", "--config"]).arg(&file).args(arguments));
    let (code, stdout, stderr) = explain(&["http://a.test/x"]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    for part in
        ["listener web", "1. beta: no, the header x-beta is missing", "2. rest: takes it", "not known"]
    {
        assert!(stdout.contains(part), "{part} is missing: {stdout}");
    }
    let (code, stdout, _) = explain(&["/x", "-H", "X-Beta: 1", "--client-ip", "192.0.2.7", "--json"]);
    let told: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((code, &told["pool"], &told["choice"]["next"]), (0, &json!("beta"), &json!("two")));
    assert_eq!((&told["live"], &told["servers"][0]["reasons"][0]["code"]), (&json!(false), &json!("drain")));
}

#[test]
fn explain_refuses_what_is_no_request_with_a_remedy() {
    let scratch = Scratch::new();
    let file = scratch.file("config.json", ROUTED);
    for (arguments, remedy) in [
        (&["a.test/x"][..], "http://example.com/path"),
        (&["/x", "-H", "x-beta"], "name: value"),
        (&["/x", "--client-ip", "me"], "192.0.2.7"),
        (&["/x", "--listener", "wbe"], "there are: web"),
    ] {
        let (code, stdout, stderr) = ended(binary().args(["explain", "--config"]).arg(&file).args(arguments));
        assert_eq!((code, stdout.as_str()), (2, ""), "{arguments:?}");
        assert!(stderr.contains(remedy), "{arguments:?}: {stderr}");
    }
    let (code, _, stderr) = ended(binary().args(["explain", "/x", "--config", "nowhere.json"]));
    assert!(code == 2 && stderr.contains("nowhere.json"), "{stderr}");
}
