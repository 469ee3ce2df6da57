#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
use std::path::Path;
use std::time::Duration;

use loadweaver_config::ProbeKind;
use loadweaver_testkit::eventually;
use loadweaver_testkit::scratch::Scratch;

use crate::fixture;

use super::*;

async fn probe(command: &[&str]) -> Result<(), String> {
    let check = HealthCheck {
        kind: ProbeKind::Exec,
        command: command.iter().map(|&text| text.to_owned()).collect(),
        timeout: Duration::from_millis(500),
        ..HealthCheck::default()
    };
    let pool = fixture::pool(&[("127.0.0.1", 3001)], check);
    ask(&pool.health_check, &pool.name, &pool.servers[0]).await.map_err(|failure| failure.to_string())
}

#[tokio::test]
async fn the_exit_status_is_the_verdict_and_the_last_line_its_reason() {
    assert_eq!(probe(&["/bin/true"]).await, Ok(()));
    let script = "echo first; echo \"$LOADWEAVER_SERVER_PORT lags {port}\" >&2; exit 2";
    assert_eq!(
        probe(&["/bin/sh", "-c", script]).await,
        Err("/bin/sh exited with status 2: 3001 lags 3001".to_owned())
    );
    assert_eq!(
        probe(&["/bin/sh", "-c", "kill -9 $$"]).await,
        Err("/bin/sh was killed by signal 9".to_owned())
    );
    let missing = probe(&["/nowhere/x"]).await.unwrap_err();
    assert!(missing.contains("cannot start /nowhere/x"), "{missing}");
}

#[tokio::test]
async fn a_program_that_does_not_end_is_ended() {
    assert_eq!(probe(&["/bin/sleep", "600"]).await, Err("no answer in time".to_owned()));
}

#[tokio::test]
async fn nobody_is_left_of_a_program_that_said_its_word() {
    let folder = Scratch::new();
    let path = folder.path().join("pid");
    let script = format!("sleep 600 > /dev/null 2>&1 & echo $! > {}", path.display());
    assert_eq!(probe(&["/bin/sh", "-c", &script]).await, Ok(()));
    let pid = std::fs::read_to_string(path).unwrap();
    let stat = Path::new("/proc").join(pid.trim()).join("stat");
    // Whoever inherits orphans may take a moment to bury this one.
    let gone = || std::fs::read_to_string(&stat).map_or(true, |stat| stat.contains(") Z "));
    eventually("the sleeper is gone", gone);
}
