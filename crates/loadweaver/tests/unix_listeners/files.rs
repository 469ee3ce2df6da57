//! The file of a socket: its mode, who may take it over, and when it goes.

use super::*;

#[test]
fn the_file_has_its_mode_whatever_the_umask_and_goes_with_the_process() {
    let (scratch, origin) = (Scratch::new(), Origin::named("x"));
    for (mode, expected) in [(json!(null), 0o660), (json!("0606"), 0o606)] {
        let name = path(&scratch, "web.sock");
        let patch = json!({ "listeners": { "web": { "socketMode": mode } } });
        let mut balancer = Balancer::start(BINARY, &config(&origin, &name, &patch));
        let found = fs::metadata(&name).unwrap();
        assert!(found.file_type().is_socket());
        assert_eq!(found.permissions().mode() & 0o7777, expected);
        // A client that is there is served to its end, and no new one comes.
        balancer.terminate();
        eventually("the file is gone", || !fs::exists(&name).unwrap());
        assert_eq!(balancer.wait_for_exit(PATIENCE).unwrap().code(), Some(0));
    }
}

#[test]
fn what_a_killed_process_leaves_is_taken_over() {
    let (scratch, origin) = (Scratch::new(), Origin::named("x"));
    for name in [path(&scratch, "web.sock"), unix::free_name()] {
        let config = config(&origin, &name, &json!({}));
        for _ in 0..3 {
            let mut balancer = Balancer::start(BINARY, &config);
            assert_eq!(get(&name), "x");
            balancer.signal(Signal::KILL);
            balancer.wait_for_exit(PATIENCE).unwrap();
            assert_eq!(fs::exists(&name).unwrap(), !name.starts_with('@'));
        }
    }
}

/// Starts the binary where it must not start, and returns what it says.
fn refusal(scratch: &Scratch, config: &Value) -> String {
    let file = scratch.file("second.json", config.to_string());
    let mut second = Process::start(Command::new(BINARY).arg("run").arg("--config").arg(file));
    let status = second.wait_for_exit(PATIENCE).expect("it does not start");
    assert_eq!(status.code(), Some(1));
    eventually("it says why", || !second.stderr().is_empty());
    second.stderr().join("\n")
}

#[test]
fn a_socket_that_somebody_listens_on_is_not_taken() {
    let (scratch, origin) = (Scratch::new(), Origin::named("first"));
    for name in [path(&scratch, "web.sock"), unix::free_name()] {
        let config = config(&origin, &name, &json!({}));
        let _first = Balancer::start(BINARY, &config);
        let said = refusal(&scratch, &config);
        assert!(said.contains(&format!("listener web cannot listen on unix:{name}")), "{said}");
        assert!(name.starts_with('@') || said.contains("another program listens there"), "{said}");
        assert_eq!(get(&name), "first");
    }
    // One whose queue is full is somebody's too.
    let name = path(&scratch, "full.sock");
    let door = unix::Door::shut(&name);
    let _waits = unix::connect(&name).unwrap();
    let said = refusal(&scratch, &config(&origin, &name, &json!({})));
    assert!(said.contains("another program listens there"), "{said}");
    drop(door);
    // What is no socket is nobody's to delete.
    let file = scratch.file("precious", "data");
    let said = refusal(&scratch, &config(&origin, file.to_str().unwrap(), &json!({})));
    assert!(said.contains("no socket"), "{said}");
    assert_eq!(fs::read(&file).unwrap(), b"data");
}

#[test]
fn of_several_that_start_at_once_exactly_one_gets_the_socket() {
    let (scratch, origin) = (Scratch::new(), Origin::named("x"));
    let name = path(&scratch, "web.sock");
    let file = scratch.file("config.json", config(&origin, &name, &json!({})).to_string());
    for _ in 0..3 {
        // All find what a process that is no more has left.
        drop(UnixListener::bind(&name).unwrap());
        let start = || Process::start(Command::new(BINARY).arg("run").arg("--config").arg(&file));
        let mut all: Vec<_> = (0..4).map(|_| start()).collect();
        let is_ready = |process: &Process| process.stderr().iter().any(|line| line == "ready");
        eventually("each has started or has not", || {
            all.iter_mut().all(|process| is_ready(process) || !process.is_running())
        });
        let count = all.iter_mut().map(Process::is_running).filter(|running| *running).count();
        assert_eq!(count, 1, "{:#?}", all.iter().map(Process::stderr).collect::<Vec<_>>());
        assert_eq!(get(&name), "x");
        all.iter_mut().for_each(Process::kill);
        fs::remove_file(&name).unwrap();
    }
}

#[test]
fn a_socket_that_somebody_else_has_put_there_since_stays() {
    let (scratch, origin) = (Scratch::new(), Origin::named("x"));
    let name = path(&scratch, "web.sock");
    let mut balancer = Balancer::start(BINARY, &config(&origin, &name, &json!({})));
    fs::remove_file(&name).unwrap();
    let theirs = UnixListener::bind(&name).unwrap();
    let inode = fs::metadata(&name).unwrap().ino();
    balancer.terminate();
    assert_eq!(balancer.wait_for_exit(PATIENCE).unwrap().code(), Some(0));
    assert_eq!(fs::metadata(&name).unwrap().ino(), inode);
    drop(theirs);
}
