#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
use std::sync::Arc;

use loadweaver_config::{HealthCheck, Pool, Server, ServerState as Wanted};
use loadweaver_policy::health::{Observation, ProbeFailure};

use super::*;
use crate::coordinator::{Origin, Refused};
use crate::fixture;

const MINUTE: Duration = Duration::from_mins(1);

/// What is said of a pool of which some refuse connections.
fn said(pool: Pool, is_sick: impl Fn(usize) -> bool) -> (String, Vec<Problem>) {
    said_with(pool, is_sick, (Stage::Ready, Rate::default(), None), Vec::new())
}

fn said_with(
    pool: Pool,
    is_sick: impl Fn(usize) -> bool,
    (stage, lately, config): (Stage, Rate, Option<&View>),
    told: Vec<Problem>,
) -> (String, Vec<Problem>) {
    let watched = fixture::watched(pool);
    let pool = &watched.snapshot.pools[0];
    for place in (0..pool.servers.len()).filter(|place| is_sick(*place)) {
        pool.observe(place, Observation::ConnectRefused);
    }
    look(Scene { snapshot: &watched.snapshot, stage, lately, config, told }, SystemTime::now())
}

fn pool(servers: u16) -> Pool {
    let servers: Vec<_> = (1..=servers).map(|port| ("127.0.0.1", port)).collect();
    fixture::pool(&servers, HealthCheck::default())
}

fn set(pool: &mut Pool, place: usize, state: Wanted) {
    let changed = |(at, server): (usize, &Arc<Server>)| {
        if at == place { Arc::new(Server { state, ..(**server).clone() }) } else { Arc::clone(server) }
    };
    pool.servers = pool.servers.iter().enumerate().map(changed).collect();
}

#[test]
fn all_is_well_where_nothing_is_wrong() {
    let (summary, problems) = said(pool(2), |_| false);
    assert_eq!((summary.as_str(), problems.len()), ("All is well. All 2 servers may have new requests.", 0));
    let mut drained = pool(2);
    set(&mut drained, 0, Wanted::Drain);
    let (summary, problems) = said(drained, |_| false);
    assert!(summary.starts_with("All is well. 1 of 2 servers may have"), "{summary}");
    assert!(problems.is_empty(), "what somebody wished is no problem");
}

#[test]
fn what_is_worst_is_said_first() {
    let view = View {
        unsaved: Some("read-only".to_owned()),
        refused: Some(Refused {
            origin: Origin::File,
            at: SystemTime::now() - MINUTE,
            reason: "it is wrong".to_owned(),
            issues: Vec::new(),
        }),
        confirm_until: Some(SystemTime::now() + 3 * MINUTE),
        ..View::default()
    };
    let lately = Rate { requests: 100.0, errors: 12.3, ..Rate::default() };
    let told = vec![Problem::warning(Subject::Webhook, "Webhook ops".to_owned(), String::new())];
    let node = (Stage::Draining, lately, Some(&view));
    let (summary, problems) = said_with(pool(2), |place| place == 1, node, told);
    let whats: Vec<_> = problems.iter().map(|problem| problem.what.as_str()).collect();
    assert_eq!(
        whats,
        [
            "12.3 % of answers are errors",
            "127.0.0.1:2 (pool app) is down",
            "LoadWeaver is draining",
            "The last change of the configuration was refused",
            "Version 0 waits to be confirmed",
            "The configuration in force is not in the file",
            "Webhook ops",
        ]
    );
    assert_eq!(summary, "12.3 % of answers are errors, and 6 more.");
    assert!(problems[1].why.starts_with("connection refused, for "), "{problems:?}");
    assert_eq!(
        (problems[1].pool.as_deref(), problems[1].server.as_deref()),
        (Some("app"), Some("127.0.0.1:2"))
    );
    assert_eq!(problems[3].why, "it is wrong (file, 1 min ago)");
}

#[test]
fn many_servers_that_are_out_for_one_reason_are_one_line() {
    let (_, problems) = said(pool(40), |place| place < 20);
    assert_eq!(problems.len(), 1, "{problems:?}");
    let only = &problems[0];
    assert_eq!(
        (only.what.as_str(), only.why.as_str()),
        ("20 servers of pool app are not well", "connection refused")
    );
    assert_eq!(only.severity, Severity::Warning);
}

#[test]
fn a_pool_without_servers_for_new_requests_is_critical() {
    let (summary, problems) = said(pool(2), |_| true);
    assert_eq!(summary, "Pool app has no server for new requests, and 2 more.");
    assert_eq!((problems[0].severity, problems[0].why.as_str()), (Severity::Critical, "0 of 2 are up"));
    let mut aside = pool(1);
    set(&mut aside, 0, Wanted::Maintenance);
    let (_, problems) = said(aside, |_| false);
    assert_eq!(problems[0].why, "all of them are drained, in maintenance, or of weight 0");
}

#[test]
fn few_errors_are_not_worth_a_word() {
    for (requests, errors, severity) in [
        (0.1, 0.1, Some(Severity::Critical)),
        (0.0, 0.0, None),
        (1000.0, 9.0, None),
        (1000.0, 10.0, Some(Severity::Warning)),
        (1000.0, 50.0, Some(Severity::Critical)),
    ] {
        let problem = of_errors(Rate { requests, errors, ..Rate::default() });
        assert_eq!(problem.map(|problem| problem.severity), severity, "{errors} of {requests}");
    }
}

#[test]
fn sick_servers_that_get_requests_all_the_same_are_no_good_news() {
    let watched = fixture::watched(pool(5));
    let pool = &watched.snapshot.pools[0];
    let (stage, lately) = (Stage::Ready, Rate::default());
    let said = || {
        let scene = Scene { snapshot: &watched.snapshot, stage, lately, config: None, told: Vec::new() };
        look(scene, SystemTime::now()).1
    };
    let fail = |place| {
        for _ in 0..10 {
            let failure = ProbeFailure::Status(500);
            pool.observe(place, Observation::ProbeFailed { failure, latency: Duration::ZERO });
        }
    };
    for place in 0..3 {
        fail(place);
    }
    assert_eq!(pool.up_count(), 5, "panic");
    let problems = said();
    assert_eq!(problems[0].what, "Too few servers of pool app are well");
    assert_eq!((problems[0].severity, problems.len()), (Severity::Critical, 4));
    assert!(problems[0].why.starts_with("3 of 5 are not, and 3 of those get requests"), "{problems:?}");
    for place in 3..5 {
        fail(place);
    }
    assert_eq!(said()[0].what, "No server of pool app is well");
}
