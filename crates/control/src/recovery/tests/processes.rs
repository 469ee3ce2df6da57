//! Servers that LoadWeaver runs itself. The children are shells; their verdicts fall by hand.

use rustix::process::{Pid, Signal, kill_process};

use super::*;

fn process(script: &str) -> Recovery {
    let command = shell(script);
    quick(RecoveryAction::Process { command, stop_timeout: Duration::from_secs(5) })
}

/// Says which process it is and waits.
fn sleeper(folder: &Scratch) -> Recovery {
    process(&format!("echo $$ >> {}/pids; exec sleep 600", folder.path().display()))
}

fn pids(folder: &Scratch) -> Vec<String> {
    read(&folder.path().join("pids")).lines().map(str::to_owned).collect()
}

fn lives(pid: &str) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

fn kill(pid: &str) {
    kill_process(Pid::from_raw(pid.parse().unwrap()).unwrap(), Signal::KILL).unwrap();
}

#[tokio::test]
async fn a_killed_process_is_started_at_once_and_is_one_attempt_and_one_success() {
    let folder = Scratch::new();
    let recovery = Recovery { after: Duration::from_mins(1), ..sleeper(&folder) };
    let mut nursing = Nursing::of(1, recovery);
    until("it runs", || pids(&folder).len() == 1).await;
    nursing.comes_up(0);
    kill(&pids(&folder)[0]);
    assert_eq!(nursing.next().await.0, "recovery_started");
    until("it runs again", || pids(&folder).len() == 2).await;
    // Nobody had to find out by a request that nobody listens.
    nursing.until_state(0, "watching").await;
    assert_eq!(nursing.snapshot.pools[0].health(0).state, Verdict::Down);
    nursing.comes_up(0);
    assert_eq!(nursing.next().await.0, "recovery_succeeded");
    let view = nursing.view(0);
    assert_eq!((view.totals.attempts, view.totals.successes, view.totals.failures), (1, 1, 0));
    let attempt = &view.last_attempts[0];
    assert_eq!((attempt.cause, attempt.reason.as_str()), ("exit", "the process was killed by signal 9"));
    assert!(attempt.took.is_some());
    let process = view.process.unwrap();
    assert_eq!((process.starts, process.pid.map(|pid| pid.to_string())), (2, pids(&folder).last().cloned()));
    nursing.recoveries.stop().await;
}

#[tokio::test]
async fn a_process_that_dies_at_once_is_given_up_and_said_why() {
    let mut nursing = Nursing::of(1, process("echo cannot bind; exit 7"));
    for attempt in 1..=2 {
        assert_eq!(nursing.next().await.0, "recovery_started", "{attempt}");
        let (name, _, reason) = nursing.next().await;
        assert!(name == "recovery_failed" && reason.contains("exited with status 7"), "{reason}");
    }
    let view = nursing.view(0);
    assert_eq!((view.state, view.last_attempts[0].output.as_str()), ("given_up", "cannot bind"));
    assert_eq!(view.process.unwrap().pid, None);
}

#[tokio::test]
async fn a_process_that_hangs_is_ended_and_started_anew() {
    let folder = Scratch::new();
    let mut nursing = Nursing::of(1, sleeper(&folder));
    until("it runs", || pids(&folder).len() == 1).await;
    nursing.goes_down(0);
    assert_eq!(nursing.next().await.0, "recovery_started");
    until("another runs", || pids(&folder).len() == 2).await;
    assert!(!lives(&pids(&folder)[0]));
    nursing.recoveries.stop().await;
    assert!(!lives(&pids(&folder)[1]), "it ends with us");
}

#[tokio::test]
async fn a_change_touches_only_the_processes_that_it_names() {
    let folder = Scratch::new();
    let mut nursing = Nursing::of(2, sleeper(&folder));
    until("both run", || pids(&folder).len() == 2).await;
    let before = pids(&folder);
    // Other rules, one server more, the same program.
    nursing.change_to(pool(3, Recovery { attempts: 9, ..sleeper(&folder) }));
    until("the third runs", || pids(&folder).len() == 3).await;
    assert!(before.iter().all(|pid| lives(pid)));
    nursing.change_to(pool(1, sleeper(&folder)));
    let gone = || pids(&folder).iter().filter(|pid| lives(pid)).count() == 1;
    until("one is left", gone).await;
    let other = process(&format!("echo $$ >> {}/pids; exec sleep 601", folder.path().display()));
    nursing.change_to(pool(1, other));
    until("another program runs", || pids(&folder).len() == 4 && lives(&pids(&folder)[3])).await;
    assert!(before.iter().all(|pid| !lives(pid)), "the old one was gone before the new one came");
    nursing.recoveries.stop().await;
    assert!(pids(&folder).iter().all(|pid| !lives(pid)));
}

#[tokio::test]
async fn a_process_goes_on_with_its_server_in_another_pool_and_with_another_stop_timeout() {
    let folder = Scratch::new();
    let mut nursing = Nursing::of(1, sleeper(&folder));
    until("it runs", || pids(&folder).len() == 1).await;
    nursing.comes_up(0);
    kill(&pids(&folder)[0]);
    until("it runs again", || pids(&folder).len() == 2).await;
    nursing.until_state(0, "watching").await;
    nursing.comes_up(0);
    nursing.until_state(0, "idle").await;
    let mut recovery = sleeper(&folder);
    if let RecoveryAction::Process { stop_timeout, .. } = &mut recovery.action {
        *stop_timeout = Duration::from_secs(7);
    }
    nursing.change_to(Pool { name: "other".into(), ..pool(1, recovery) });
    let view = nursing.view(0);
    assert_eq!((view.totals.attempts, view.totals.successes), (1, 1), "its story goes with it");
    assert_eq!(view.process.unwrap().starts, 2);
    assert!(lives(&pids(&folder)[1]));
    // Who ended is told in the pool where it is now.
    nursing.comes_up(0);
    kill(&pids(&folder)[1]);
    until("it runs again", || pids(&folder).len() == 3).await;
    nursing.until_state(0, "watching").await;
    assert_eq!((nursing.view(0).totals.attempts, nursing.recoveries.views()[0].pool.as_str()), (2, "other"));
    nursing.recoveries.stop().await;
    assert!(pids(&folder).iter().all(|pid| !lives(pid)));
}

#[tokio::test]
async fn a_process_that_does_not_heed_sigterm_is_killed_with_its_group() {
    let folder = Scratch::new();
    let script = format!(
        "trap '' TERM; echo $$ >> {0}/pids; sh -c 'trap \"\" TERM; echo $$ >> {0}/pids; sleep 600' & wait",
        folder.path().display()
    );
    let command = shell(&script);
    let stop_timeout = Duration::from_millis(300);
    let nursing = Nursing::of(1, quick(RecoveryAction::Process { command, stop_timeout }));
    until("both run", || pids(&folder).len() == 2).await;
    timeout(PATIENCE, nursing.recoveries.stop()).await.unwrap();
    until("nobody is left", || pids(&folder).iter().all(|pid| !lives(pid))).await;
}
