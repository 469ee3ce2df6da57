//! Every command of docs/admin-api.md, run in the order of the page against a running binary.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::path::Path;
use std::process::Command;

use loadweaver_testkit::Balancer;
use loadweaver_testkit::config::one_pool;
use loadweaver_testkit::scratch::Scratch;
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_loadweaver");
const PAGE: &str = "docs/admin-api.md";

/// The fenced blocks of shell on a page, and the line that each begins at.
fn scripts(page: &str) -> Vec<(usize, String)> {
    let mut scripts = Vec::new();
    let mut open = None;
    for (number, line) in (1..).zip(page.lines()) {
        match (&mut open, line) {
            (None, "```sh") => open = Some((number, String::new())),
            (Some(_), "```") => scripts.extend(open.take()),
            (Some((_, script)), line) => script.extend([line, "\n"]),
            (None, _) => {}
        }
    }
    scripts
}

#[test]
fn every_command_on_the_page_does_what_it_says() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(PAGE);
    let scripts = scripts(&std::fs::read_to_string(page).unwrap());
    assert!(scripts.len() >= 30, "only {} were found", scripts.len());
    let servers = ["127.0.0.1:3001", "127.0.0.1:3002"].map(|address| address.parse().unwrap());
    let balancer = Balancer::start(BINARY, &one_pool(&servers, &json!({})));
    let scratch = Scratch::new();
    for (line, script) in scripts {
        let output = Command::new("/bin/sh")
            .args(["-eu", "-c", &script])
            .env("ADMIN", format!("http://{}", balancer.admin()))
            .env("SCRATCH", scratch.path())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let at = format!("{PAGE}:{line}: {script}\n{text}{}", String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{at}");
        assert!(succeeded(&text), "{at}");
    }
}

/// Answers say so themselves; the others are texts, a stream, and the document.
fn succeeded(text: &str) -> bool {
    match serde_json::from_str::<Value>(text) {
        Ok(answer) => answer["success"] == Value::Bool(true) || answer["openapi"].is_string(),
        Err(_) => text == "ok\n" || text.starts_with("retry: ") || text.starts_with("# HELP "),
    }
}
