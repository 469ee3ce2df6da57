//! Scripts of Debian's varnishtest, whose clients and servers write frames by hand, with the balancer between them.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::{Path, PathBuf};
use std::process::Command;

use loadweaver_testkit::Balancer;
use loadweaver_testkit::config::one_pool_with;
use loadweaver_testkit::peer::free_address;
use loadweaver_testkit::scratch::Scratch;
use serde_json::json;

/// Those whose names begin so have a server of HTTP/2.
const HTTP_2: &str = "server_h2";

fn scripts() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/varnish");
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let mut scripts: Vec<_> = files.filter(|file| file.extension().is_some_and(|end| end == "vtc")).collect();
    scripts.sort();
    scripts
}

/// Runs one between its own client and server; what it said where it failed.
fn play(script: &Path) -> Result<(), String> {
    let name = script.file_stem().unwrap().to_str().unwrap();
    let protocol = if name.starts_with(HTTP_2) { "h2c" } else { "http1" };
    let server = free_address();
    let pool = json!({ "protocol": protocol });
    let balancer = Balancer::start(env!("CARGO_BIN_EXE_loadweaver"), &one_pool_with(&[server], &pool));
    let scratch = Scratch::new();
    let mut varnishtest = Command::new("varnishtest");
    varnishtest.env("TMPDIR", scratch.path()).args(["-t", "60"]);
    varnishtest.arg(format!("-Dweb={}", spaced(balancer.address())));
    varnishtest.arg(format!("-Dserver={}", spaced(server)));
    let output = varnishtest.arg(script).output();
    let output = output.unwrap_or_else(|error| panic!("varnishtest: {error}; ./scripts/test installs it"));
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{name}: {}\n{}", output.status, String::from_utf8_lossy(&output.stdout)))
}

/// Addresses as these scripts write them.
fn spaced(address: std::net::SocketAddr) -> String {
    format!("{}:{}", address.ip(), address.port())
}

#[test]
fn scripts_of_varnishtest_pass_with_the_balancer_between_their_ends() {
    let scripts = scripts();
    assert!(scripts.len() >= 6, "{scripts:?}");
    let problems: Vec<String> = scripts.iter().filter_map(|script| play(script).err()).collect();
    assert!(problems.is_empty(), "{} of {} scripts:\n{}", problems.len(), scripts.len(), problems.join("\n"));
}
