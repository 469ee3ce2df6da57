//! The configuration changes.

use super::*;

#[test]
fn what_did_not_change_goes_on_and_what_did_is_cut_short() {
    let mut play = Play::of(seats("a b c d e", &rules()));
    play.step(0, "down a");
    play.until(31);
    let apply = |play: &mut Play, seats: Vec<Seat>| {
        play.ward.apply(seats, BTreeMap::new(), play.now);
        play.decide();
        std::mem::take(&mut play.script)
    };
    assert_eq!(std::mem::take(&mut play.script), ["act a 1"]);
    assert!(apply(&mut play, seats("a b c d e f", &rules())).is_empty());
    // Another recovery: a new series, `after` since it went down has passed.
    let other = Recovery { after: seconds(20), ..rules() };
    let told = apply(&mut play, seats("a b c d e", &other));
    assert_eq!(told, ["drop a", "failed a 1: cut short: its configuration changed", "act a 1"]);
    // The end of the first action is no news.
    play.ward.acted("a", 1, (Ok(()), String::new()), play.now);
    assert_eq!(play.ward.cases["a"].under_way().unwrap().stage, Stage::Acting);
    let told = apply(&mut play, seats("b c d e", &other));
    assert_eq!(told, ["drop a", "failed a 1: cut short: the server was removed"]);
    assert_eq!(play.ward.totals, Totals { attempts: 2, ..Totals::default() });
}

#[test]
fn a_server_that_somebody_works_on_is_left_alone() {
    let mut play = Play::of(seats("a b c", &rules()));
    play.step(0, "down a");
    let mut away = seats("a b c", &rules());
    away[0].active = false;
    play.until(10);
    play.ward.apply(away, BTreeMap::new(), play.now);
    play.step(500, "-");
    play.ward.apply(seats("a b c", &rules()), BTreeMap::new(), play.now);
    play.step(501, "-");
    assert_eq!(play.script, ["-- 500", "act a 1", "-- 501"]);
}

#[test]
fn another_address_is_another_server() {
    let mut play = Play::of(seats("a b c", &rules()));
    play.step(0, "down a");
    play.until(31);
    let mut moved = seats("a b c", &rules());
    moved[0].address = "elsewhere:80".to_owned();
    play.ward.apply(moved, BTreeMap::new(), play.now);
    play.step(500, "-");
    assert_eq!(
        play.script,
        ["act a 1", "drop a", "failed a 1: cut short: the server has another address now", "-- 500"]
    );
}

#[test]
fn a_process_whose_program_changed_is_not_waited_for() {
    let mut play = Play::of(seats("a b c", &rules()));
    play.step(0, "exit a");
    play.step(1, "bad a");
    let mut other = rules();
    other.action = RecoveryAction::Command(HostCommand {
        argv: vec!["/bin/false".to_owned()],
        env: Vec::new(),
        directory: None,
    });
    play.ward.apply(seats("a b c", &other), BTreeMap::new(), play.now);
    play.step(500, "-");
    assert_eq!(play.script, ["act a 1", "failed a 1: exit status 1", "-- 500"]);
}

#[test]
fn a_process_that_a_change_has_just_started_is_not_started_again_before_it_can_be_up() {
    let process = |program: &str| {
        let command = HostCommand { argv: vec![program.to_owned()], env: Vec::new(), directory: None };
        let action = RecoveryAction::Process { command, stop_timeout: seconds(1) };
        Recovery { action, ..rules() }
    };
    let mut play = Play::of(seats("a b c", &process("/bin/old")));
    for (second, what) in [(0, "exit a"), (0, "down a"), (1, "bad a")] {
        play.step(second, what);
    }
    play.until(90);
    play.ward.apply(seats("a b c", &process("/bin/new")), BTreeMap::new(), play.now);
    for second in [119, 121] {
        play.step(second, "-");
    }
    assert_eq!(play.script, ["act a 1", "failed a 1: exit status 1", "-- 119", "act a 1", "-- 121"]);
}

#[test]
fn a_case_goes_with_its_server_to_another_pool() {
    let mut play = Play::of(seats("a b c d e", &rules()));
    for (second, what) in [(0, "down a"), (31, "bad a"), (40, "down b")] {
        play.step(second, what);
    }
    play.until(75);
    assert_eq!(std::mem::take(&mut play.script), ["act a 1", "failed a 1: exit status 1", "act b 1"]);
    let moved = ["a", "b"].map(|id| (Arc::from(id), play.ward.let_go(&id.into(), play.now).unwrap()));
    let orders = play.ward.orders();
    play.write(orders);
    assert_eq!(play.script, ["drop b", "failed b 1: cut short: the server is in another pool now"]);
    let mut other = Play::of(seats("x y z", &rules()));
    other.until(75);
    other.ward.apply(seats("a b x y z", &rules()), BTreeMap::from(moved), other.now);
    let before = &other.ward.cases["a"];
    assert_eq!((before.made, before.totals.failures), (1, 1));
    // The pause after the first attempt goes on, and the second is the second.
    other.step(110, "-");
    other.step(145, "-");
    assert_eq!(other.script, ["-- 110", "act a 2", "-- 145"]);
}
