#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
use std::time::Instant;

use loadweaver_testkit::eventually::{eventually, holds_within};
use loadweaver_testkit::scratch::Scratch;

use super::*;

const LONG: Duration = Duration::from_secs(30);

fn shell(script: &str) -> Program {
    let argv = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
    Program { argv, env: vec![("GREETING".to_owned(), "hello".to_owned())], directory: None }
}

fn exit_code(ending: &Ending) -> Option<i32> {
    match ending {
        Ending::Exited(status) => status.code(),
        _ => None,
    }
}

fn is_alive(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}

#[tokio::test]
async fn tells_how_it_ended_and_what_it_said_on_both_outputs() {
    let (ending, output) = shell("echo one; echo two >&2; exit 3").run(LONG, pending()).await;
    assert_eq!(exit_code(&ending), Some(3));
    assert!(output.contains("one") && output.contains("two"), "{output}");
}

#[tokio::test]
async fn gets_a_clean_environment_no_input_and_no_descriptor() {
    let folder = Scratch::new();
    let own = std::fs::File::open(folder.file("ours", "")).unwrap();
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let program = shell("env; cat; echo =; readlink /proc/self/fd/*");
    let (_, output) = program.run(LONG, pending()).await;
    drop((own, socket));
    let (env, descriptors) = output.split_once("\n=\n").unwrap();
    let mut names: Vec<&str> = env.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    names.retain(|name| !["PWD", "SHLVL", "_", "OLDPWD"].contains(name));
    names.sort_unstable();
    assert_eq!(names, ["GREETING", "PATH"]);
    assert!(descriptors.starts_with("/dev/null\npipe:"), "{descriptors}");
    assert!(!descriptors.contains("ours") && !descriptors.contains("socket:"), "{descriptors}");
}

#[test]
fn is_as_nice_as_the_process_whatever_precedence_we_have() {
    use rustix::process::{getpid, getpriority_process, setpriority_process};
    let whole = getpriority_process(Some(getpid())).unwrap();
    // Of a thread that ends with this.
    let is_granted = std::thread::spawn(move || setpriority_process(None, whole - 5).is_ok()).join().unwrap();
    let thread = std::thread::spawn(move || {
        precedence::take();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        // It may be asked before it is told.
        let script = format!("for i in $(seq 200); do [ $(nice) = {whole} ] && break; done; nice");
        let (_, output) = runtime.block_on(shell(&script).run(LONG, pending()));
        (getpriority_process(None).unwrap(), output)
    });
    let (ours, output) = thread.join().unwrap();
    assert_eq!(output.trim(), whole.to_string());
    assert_eq!(ours, if is_granted { (whole - 5).max(-20) } else { whole });
}

#[tokio::test]
async fn starts_no_shell() {
    let argv = ["/bin/echo", "$HOME;", "`id`"].map(str::to_owned).to_vec();
    let program = Program { argv, env: Vec::new(), directory: Some("/".into()) };
    let (_, output) = program.run(LONG, pending()).await;
    assert_eq!(output, "$HOME; `id`");
}

#[tokio::test]
async fn a_program_that_is_not_there_is_not_started() {
    let program = Program { argv: vec!["/nowhere/at/all".to_owned()], env: Vec::new(), directory: None };
    let (ending, _) = program.run(LONG, pending()).await;
    assert!(matches!(ending, Ending::NotStarted(error) if error.kind() == io::ErrorKind::NotFound));
}

#[tokio::test]
async fn a_group_that_is_out_of_time_ends_whole_and_leaves_no_zombie() {
    let folder = Scratch::new();
    let (pid, path) = (folder.path().join("pid"), folder.path().display().to_string());
    // The child of the child does not listen to SIGTERM.
    let script = format!(
        "(trap '' TERM; echo $$ > {path}/leader; sh -c 'trap \"\" TERM; echo $$ > {path}/pid; sleep 600' & wait) & wait"
    );
    let began = Instant::now();
    let (ending, _) = shell(&script).run(Duration::from_millis(500), pending()).await;
    assert!(matches!(ending, Ending::OutOfTime), "{ending:?}");
    assert!(began.elapsed() < Duration::from_secs(20));
    let pid = std::fs::read_to_string(pid).unwrap();
    let leader = std::fs::read_to_string(folder.path().join("leader")).unwrap();
    eventually("nobody of the group lives", || !is_alive(&pid) && !is_alive(&leader));
    assert!(!std::path::Path::new(&format!("/proc/{}", leader.trim())).exists(), "the leader was reaped");
}

#[tokio::test]
async fn a_group_that_listens_to_sigterm_may_tidy_up() {
    let folder = Scratch::new();
    let mark = folder.path().join("tidied");
    let script =
        format!("trap 'echo tidied > {}; exit 0' TERM; while :; do sleep 0.05; done", mark.display());
    let (ending, _) = shell(&script).run(Duration::from_millis(500), pending()).await;
    assert!(matches!(ending, Ending::OutOfTime), "{ending:?}");
    assert_eq!(std::fs::read_to_string(mark).unwrap(), "tidied\n");
}

#[tokio::test]
async fn what_is_called_off_or_dropped_is_killed() {
    let folder = Scratch::new();
    for way in ["called off", "dropped"] {
        let file = folder.path().join(way.replace(' ', "-"));
        let program = shell(&format!("echo $$ > {}; exec sleep 600", file.display()));
        let started = async {
            while !std::fs::read_to_string(&file).is_ok_and(|text| text.ends_with('\n')) {
                sleep(Duration::from_millis(5)).await;
            }
        };
        if way == "dropped" {
            tokio::select! { _ = program.run(LONG, pending()) => panic!("ended"), () = started => {} }
        } else {
            let (ending, _) = program.run(LONG, started).await;
            assert!(matches!(ending, Ending::CalledOff), "{ending:?}");
        }
        let pid = std::fs::read_to_string(&file).unwrap();
        let gone = tokio::task::spawn_blocking(move || {
            holds_within(LONG, || !std::path::Path::new(&format!("/proc/{}", pid.trim())).exists())
        });
        assert!(gone.await.unwrap(), "{way}: neither running nor a zombie");
    }
}

#[tokio::test]
async fn whom_a_program_leaves_behind_lives_and_may_talk() {
    let folder = Scratch::new();
    let file = folder.path().join("pid");
    let script = format!(
        "(echo $$; while echo still here; do sleep 0.02; done; rm {0}) & echo $! > {0}; echo started",
        file.display()
    );
    let began = Instant::now();
    let (ending, output) = shell(&script).run(LONG, pending()).await;
    assert_eq!(exit_code(&ending), Some(0));
    assert!(output.contains("started"), "{output}");
    assert!(began.elapsed() < Duration::from_secs(10), "not waited for: {:?}", began.elapsed());
    let pid = std::fs::read_to_string(&file).unwrap();
    // More than fits into a pipe would have stopped or killed it by now.
    sleep(Duration::from_millis(300)).await;
    assert!(is_alive(&pid) && file.exists(), "it was killed by its own words");
    let id = Pid::from_raw(pid.trim().parse().unwrap()).unwrap();
    rustix::process::kill_process(id, Signal::KILL).unwrap();
}

#[tokio::test]
async fn much_output_is_read_and_forgotten() {
    let program = shell("i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done; echo end");
    let (ending, output) = program.run(LONG, pending()).await;
    assert_eq!(exit_code(&ending), Some(0));
    assert!(output.len() <= 4096 && output.ends_with("line 19999\nend"), "{} bytes", output.len());
}
