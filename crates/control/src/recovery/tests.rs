#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
use std::path::Path;

use loadweaver_config::{
    Config, HealthCheck, HostCommand, HttpCall, PassiveHealth, Recovery, RecoveryAction,
};
use loadweaver_policy::health::{Observation, ProbeFailure};
use loadweaver_telemetry::event::Receiver;
use loadweaver_testkit::Origin;
use loadweaver_testkit::origin::reply;
use loadweaver_testkit::scratch::Scratch;
use tokio::time::timeout;

use crate::fixture;
use crate::fixture::secure::Secure;

use super::view::ServerView;
use super::*;

mod processes;

const PATIENCE: Duration = Duration::from_secs(10);

/// Recoveries of one pool `app` with servers `127.0.0.1:1`, `:2` and so on, whose verdicts fall by hand.
pub(super) struct Nursing {
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) recoveries: Recoveries,
    events: Receiver,
    task: JoinHandle<Infallible>,
}

impl Nursing {
    pub(super) fn of(servers: u16, recovery: Recovery) -> Self {
        let watched = fixture::watched(pool(servers, recovery));
        let recoveries = Recoveries::new(watched.bus.clone(), watched.started, None);
        recoveries.apply(&watched.snapshot);
        let events = watched.bus.subscribe();
        let task = tokio::spawn(recoveries.clone().run());
        Self { snapshot: watched.snapshot, recoveries, events, task }
    }

    pub(super) fn change_to(&mut self, pool: Pool) {
        let mut config = Config::clone(&self.snapshot.config);
        config.pools = vec![pool];
        let bus = &self.recoveries.shared.bus;
        self.snapshot = Snapshot::build(2, config, bus, self.recoveries.shared.started.0).unwrap();
        self.recoveries.apply(&self.snapshot);
    }

    pub(super) fn goes_down(&self, server: usize) {
        let failure = ProbeFailure::BadAnswer("not what I asked for\0".to_owned());
        self.snapshot.pools[0].observe(server, Observation::ProbeFailed { failure, latency: Duration::ZERO });
    }

    pub(super) fn comes_up(&self, server: usize) {
        let latency = Duration::from_millis(1);
        self.snapshot.pools[0].observe(server, Observation::ProbeOk { latency, status: None });
    }

    /// The next event of a recovery: its name, its server, and its reason.
    pub(super) async fn next(&mut self) -> (&'static str, String, String) {
        loop {
            let stamped = timeout(PATIENCE, self.events.recv()).await.expect("an event").unwrap();
            let name = stamped.event.name();
            if name.starts_with("recovery") {
                let json = stamped.to_json();
                let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
                return (name, text(&json["server"]["id"]), text(&json["reason"]));
            }
        }
    }

    pub(super) fn view(&self, server: usize) -> ServerView {
        self.recoveries.views()[0].servers[server].clone()
    }

    pub(super) async fn until_state(&self, server: usize, state: &str) {
        until(state, || self.view(server).state == state).await;
    }
}

impl Drop for Nursing {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(super) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let wait = async {
        while !holds() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(timeout(PATIENCE, wait).await.is_ok(), "still not so: {what}");
}

pub(super) fn pool(servers: u16, recovery: Recovery) -> Pool {
    let addresses: Vec<(&str, u16)> = (1..=servers).map(|port| ("127.0.0.1", port)).collect();
    let check = HealthCheck { rise: 1, fall: 1, ..HealthCheck::default() };
    Pool {
        recovery: Some(recovery),
        passive_health: PassiveHealth { hold: Duration::ZERO, ..PassiveHealth::default() },
        ..fixture::pool(&addresses, check)
    }
}

pub(super) fn quick(action: RecoveryAction) -> Recovery {
    Recovery {
        after: Duration::from_millis(20),
        attempts: 2,
        backoff: Duration::from_millis(20),
        max_backoff: Duration::from_millis(40),
        ..Recovery::new(action)
    }
}

pub(super) fn shell(script: &str) -> HostCommand {
    let argv = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
    HostCommand { argv, env: vec![("OWN".to_owned(), "at {port}".to_owned())], directory: None }
}

fn command(script: &str) -> Recovery {
    quick(RecoveryAction::Command(shell(script)))
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

#[tokio::test]
async fn a_command_brings_a_server_back_and_knows_whom_it_is_for() {
    let mut nursing = Nursing::of(1, command("env; echo done >&2"));
    nursing.goes_down(0);
    assert_eq!(nursing.next().await, ("recovery_started", "127.0.0.1:1".to_owned(), String::new()));
    nursing.until_state(0, "watching").await;
    nursing.comes_up(0);
    assert_eq!(nursing.next().await.0, "recovery_succeeded");
    let view = nursing.view(0);
    assert_eq!((view.state, view.totals.attempts, view.totals.successes), ("idle", 1, 1));
    assert_eq!((view.totals.success_rate, view.totals.mean_time_to_recover.is_some()), (Some(1.0), true));
    let attempt = &view.last_attempts[0];
    assert_eq!((attempt.outcome, attempt.cause), ("succeeded", "down"));
    for line in [
        "LOADWEAVER_POOL=app",
        "LOADWEAVER_SERVER_ID=127.0.0.1:1",
        "LOADWEAVER_SERVER_HOST=127.0.0.1",
        "LOADWEAVER_SERVER_PORT=1",
        "LOADWEAVER_ATTEMPT=1",
        "LOADWEAVER_REASON=probe failed: bad answer: not what I asked for\u{fffd}",
        "OWN=at 1",
        "done",
    ] {
        assert!(attempt.output.lines().any(|each| each == line), "{line}: {}", attempt.output);
    }
}

#[tokio::test]
async fn a_command_that_fails_is_tried_again_and_given_up() {
    let mut nursing = Nursing::of(1, command("echo no such unit; exit 5"));
    nursing.goes_down(0);
    assert_eq!(nursing.next().await.0, "recovery_started");
    assert_eq!(nursing.next().await.2, "/bin/sh exited with status 5");
    assert_eq!(nursing.next().await.0, "recovery_started");
    assert_eq!(nursing.next().await.2, "/bin/sh exited with status 5; giving up after 2 attempts");
    let view = nursing.view(0);
    assert_eq!((view.state, view.totals.failures, view.totals.success_rate), ("given_up", 2, Some(0.0)));
    assert_eq!(view.last_attempts[1].output, "no such unit");
    let problems = nursing.recoveries.problems();
    assert_eq!((problems.len(), problems[0].why.as_str()), (1, "after 2 attempts in a row"));
    assert_eq!(problems[0].what, "Recovery of 127.0.0.1:1 (pool app) was given up");
    // An operator knows better.
    nursing.recoveries.trigger("app", "127.0.0.1:1").unwrap();
    assert_eq!(nursing.next().await.0, "recovery_started");
    for (pool, server) in [("other", "127.0.0.1:1"), ("app", "other")] {
        assert_eq!(nursing.recoveries.trigger(pool, server), Err(TriggerError::Unknown));
    }
}

#[tokio::test]
async fn a_program_that_cannot_be_started_is_a_failed_attempt() {
    let missing = HostCommand { argv: vec!["/nowhere/x".into()], env: Vec::new(), directory: None };
    let mut nursing = Nursing::of(1, quick(RecoveryAction::Command(missing)));
    nursing.goes_down(0);
    nursing.next().await;
    let (name, _, reason) = nursing.next().await;
    assert!(name == "recovery_failed" && reason.starts_with("cannot start /nowhere/x"), "{reason}");
}

#[tokio::test]
async fn a_verdict_that_fell_before_is_seen() {
    let watched = fixture::watched(pool(1, command("true")));
    watched.snapshot.pools[0].observe(0, Observation::ConnectRefused);
    let recoveries = Recoveries::new(watched.bus.clone(), watched.started, None);
    let mut events = watched.bus.subscribe();
    recoveries.apply(&watched.snapshot);
    let task = tokio::spawn(recoveries.run());
    let event = timeout(PATIENCE, events.recv()).await.unwrap().unwrap();
    assert_eq!(event.event.name(), "recovery_started");
    task.abort();
}

#[tokio::test]
async fn a_change_cuts_an_attempt_short_and_leaves_nobody_behind() {
    let folder = Scratch::new();
    let pid = folder.path().join("pid");
    let mut nursing = Nursing::of(3, command(&format!("echo $$ > {}; exec sleep 600", pid.display())));
    nursing.goes_down(0);
    until("the command runs", || read(&pid).ends_with('\n')).await;
    // What does not concern it does not touch it.
    nursing.recoveries.apply(&nursing.snapshot);
    assert_eq!(nursing.view(0).state, "acting");
    assert_eq!(nursing.next().await.0, "recovery_started");
    let mut other = pool(3, command("true"));
    other.servers.edit(|servers| drop(servers.remove(0)));
    nursing.change_to(other);
    let (name, server, reason) = nursing.next().await;
    assert_eq!((name, reason.as_str()), ("recovery_failed", "cut short: the server was removed"));
    assert_eq!(server, "127.0.0.1:1");
    let process = format!("/proc/{}", read(&pid).trim());
    until("the command is gone", || !Path::new(&process).exists()).await;
}

#[tokio::test]
async fn the_end_of_all_ends_what_is_under_way() {
    let folder = Scratch::new();
    let pid = folder.path().join("pid");
    let nursing = Nursing::of(1, command(&format!("echo $$ > {}; exec sleep 600", pid.display())));
    nursing.goes_down(0);
    until("the command runs", || read(&pid).ends_with('\n')).await;
    timeout(PATIENCE, nursing.recoveries.stop()).await.unwrap();
    assert!(!Path::new(&format!("/proc/{}", read(&pid).trim())).exists(), "neither running nor a zombie");
    nursing.recoveries.apply(&nursing.snapshot);
    assert!(nursing.recoveries.views().is_empty());
}

#[tokio::test]
async fn most_of_a_pool_at_once_is_held_and_told_once() {
    let folder = Scratch::new();
    let mark = folder.path().join("mark");
    let mut nursing = Nursing::of(3, command(&format!("echo x >> {}", mark.display())));
    nursing.goes_down(0);
    nursing.goes_down(1);
    nursing.goes_down(2);
    let (name, _, reason) = nursing.next().await;
    assert_eq!(name, "recovery_held");
    assert!(reason.contains("2 of 3 servers went down within 60s"), "{reason}");
    nursing.until_state(2, "held").await;
    let views = nursing.recoveries.views();
    assert!(views[0].held.is_some() && views[0].totals.attempts == 0);
    let problems = nursing.recoveries.problems();
    assert_eq!((problems.len(), problems[0].what.as_str()), (1, "Recovery of pool app is held"));
    nursing.recoveries.trigger("app", "127.0.0.1:2").unwrap();
    assert_eq!(nursing.next().await.0, "recovery_started");
    nursing.until_state(1, "watching").await;
    assert_eq!(read(&mark), "x\n");
}

#[tokio::test]
async fn an_endpoint_is_asked_and_its_answer_counts() {
    let status = Arc::new(std::sync::atomic::AtomicU16::new(500));
    let seen = Arc::clone(&status);
    let origin = Origin::by_request(move |_| {
        reply(seen.load(std::sync::atomic::Ordering::SeqCst), "the scheduler says \x1b[31mhello")
    });
    let call = HttpCall {
        url: format!("http://{}/restart/{{pool}}/{{serverId}}", origin.address()),
        method: "PUT".into(),
        headers: vec![("authorization".into(), "Bearer very-secret".into())],
        body: String::new(),
        ca_file: None,
    };
    let mut nursing = Nursing::of(1, quick(RecoveryAction::Http(call)));
    nursing.goes_down(0);
    nursing.next().await;
    let (_, _, reason) = nursing.next().await;
    assert_eq!(reason, "the endpoint answered with status 500");
    assert_eq!(nursing.view(0).last_attempts[0].output, "the scheduler says \u{fffd}[31mhello");
    status.store(202, std::sync::atomic::Ordering::SeqCst);
    nursing.next().await;
    nursing.until_state(0, "watching").await;
    let request = origin.requests()[1].clone();
    assert_eq!((request.method.as_str(), request.target.as_str()), ("PUT", "/restart/app/127.0.0.1%3A1"));
    assert_eq!(request.fields.get("authorization"), Some("Bearer very-secret"));
    let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!(body["server"]["id"], "127.0.0.1:1");
    assert_eq!((&body["attempt"], &body["pool"]), (&2.into(), &"app".into()));
    assert!(body["reason"].as_str().unwrap().starts_with("probe failed"), "{body}");
}

#[tokio::test]
async fn an_endpoint_that_never_answers_or_is_not_there_is_a_failed_attempt() {
    let origin = Origin::start(loadweaver_testkit::OriginConnection::hang);
    let call = |url: String| HttpCall {
        url,
        method: "POST".into(),
        headers: Vec::new(),
        body: "{\"reason\": \"{reason}\"}".into(),
        ca_file: None,
    };
    let recovery =
        |url| Recovery { timeout: Duration::from_millis(300), ..quick(RecoveryAction::Http(call(url))) };
    for (url, words) in [
        (format!("http://{}/", origin.address()), "did not answer within 300ms"),
        ("http://127.0.0.1:1/secret".to_owned(), "cannot connect: "),
    ] {
        let mut nursing = Nursing::of(1, recovery(url));
        nursing.goes_down(0);
        nursing.next().await;
        let (_, _, reason) = nursing.next().await;
        assert!(reason.contains(words) && !reason.contains("secret"), "{reason}");
    }
}

#[tokio::test]
async fn an_endpoint_over_tls_must_prove_who_it_is() {
    let (secure, stranger) = (Secure::start().await, Secure::start().await);
    let folder = Scratch::new();
    let call = |ca_file| HttpCall {
        url: format!("https://localhost:{}/", secure.port),
        method: "POST".into(),
        headers: Vec::new(),
        body: String::new(),
        ca_file,
    };
    let (good, other) = (folder.file("ca.pem", &secure.pem), folder.file("other.pem", &stranger.pem));
    let (empty, missing) = (folder.file("empty.pem", ""), folder.path().join("missing.pem"));
    for (ca_file, words) in [
        (None, "invalid peer certificate"),
        (Some(other), "invalid peer certificate"),
        (Some(empty), "holds no certificate"),
        (Some(missing), "cannot read "),
    ] {
        let mut nursing = Nursing::of(1, quick(RecoveryAction::Http(call(ca_file))));
        nursing.goes_down(0);
        nursing.next().await;
        let (_, _, reason) = nursing.next().await;
        assert!(reason.contains(words), "{reason} does not say {words}");
    }
    let nursing = Nursing::of(1, quick(RecoveryAction::Http(call(Some(good)))));
    nursing.goes_down(0);
    nursing.until_state(0, "watching").await;
    assert_eq!(nursing.view(0).last_attempts[0].output, "asked for localhost");
}
