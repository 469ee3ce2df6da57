#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::time::Duration;

use loadweaver_policy::health::{ProbeFailure, State};

use super::*;
use crate::address::Address;

/// A pool with servers `a` and, if there are two, `b`; `more` are further keys of it.
fn config(servers: usize, more: &str) -> Pool {
    let servers: Vec<String> = ["a", "b"][..servers]
        .iter()
        .zip(1..)
        .map(|(id, port)| format!(r#"{{"id": "{id}", "host": "127.0.0.1", "port": {port}}}"#))
        .collect();
    let text = format!(
        r#"{{"listeners": {{"web": {{"bind": "127.0.0.1:0"}}}}, "pools": {{"app": {{"servers": [{}], {more}}}}}}}"#,
        servers.join(",")
    );
    let config = loadweaver_config::parse(text.as_bytes(), &|_: &str| None).unwrap().config;
    config.pools.into_iter().next().unwrap()
}

fn check(path: &str, more: &str) -> String {
    format!(r#""healthCheck": {{"type": "http", "path": "{path}", "rise": 1, "fall": 1 {more}}}"#)
}

struct Story {
    bus: EventBus,
    started: Instant,
    pool: Arc<PoolState>,
}

impl Story {
    fn begin(config: Pool) -> Self {
        let (bus, started) = (EventBus::of_node("n", 16), Instant::now());
        Self { pool: PoolState::build((config, None), bus.clone(), started), bus, started }
    }

    /// Changes the configuration; servers are the same by their ids. The clock goes forward by so much.
    fn change_to(&mut self, config: Pool, later: Duration) {
        self.started -= later;
        let old = Arc::clone(&self.pool);
        let mut config = config;
        config.servers.share_with(&old.config.servers);
        let origins = Origins::find(Some(&old), (&config, None), |_| None);
        let shared = (self.bus.clone(), self.started);
        self.pool = PoolState::succeed((config, None), (Some(&old), origins), &Leavers::default(), shared);
        self.pool.take_over(Some(&old));
    }

    fn well(&self, server: usize) {
        self.pool.observe(server, Observation::ProbeOk { latency: Duration::ZERO, status: Some(200) });
    }

    fn sick(&self, server: usize) {
        let failure = ProbeFailure::Status(500);
        self.pool.observe(server, Observation::ProbeFailed { failure, latency: Duration::ZERO });
    }

    /// What was told, oldest first, but for panic.
    fn told(&self) -> Vec<&'static str> {
        let names = self.bus.since(0).into_iter().map(|each| each.event.name());
        names.filter(|name| !name.starts_with("panic")).collect()
    }
}

const NO_TIME: Duration = Duration::ZERO;

#[test]
fn an_episode_is_told_once_though_the_check_changes_within_it() {
    let mut story = Story::begin(config(1, &check("/a", "")));
    story.well(0);
    story.sick(0);
    for path in ["/b", "/c"] {
        story.change_to(config(1, &check(path, "")), NO_TIME);
        story.sick(0);
    }
    let one = ["server_up", "server_down", "pool_down"];
    assert_eq!(story.told(), one);
    story.change_to(config(1, &check("/d", "")), NO_TIME);
    story.well(0);
    assert_eq!(story.told()[3..], ["server_up", "pool_up"]);
    // One that was well is not told to be so again.
    story.change_to(config(1, &check("/e", "")), NO_TIME);
    story.well(0);
    assert_eq!(story.told().len(), 5);
}

#[test]
fn a_server_that_comes_back_under_a_changed_check_starts_slowly() {
    let with = |path: &str| config(2, &format!(r#"{}, "slowStart": "10m""#, check(path, "")));
    let mut story = Story::begin(with("/a"));
    story.well(0);
    story.well(1);
    story.sick(0);
    story.change_to(with("/b"), NO_TIME);
    story.well(0);
    assert_eq!(story.pool.health(0).share, 100);
}

#[test]
fn a_server_that_was_out_is_told_to_be_in_when_its_probes_are_taken_away() {
    let mut story = Story::begin(config(1, &check("/a", "")));
    story.sick(0);
    story.change_to(config(1, r#""healthCheck": {"type": "off"}"#), NO_TIME);
    assert_eq!(story.told(), ["server_down", "pool_down", "server_up", "pool_up"]);
}

#[test]
fn a_newcomer_that_waits_for_its_first_probe_starts_slowly_from_there() {
    let with = |servers| {
        config(servers, &format!(r#"{}, "slowStart": "10m""#, check("/", r#", "startDown": true"#)))
    };
    let mut story = Story::begin(with(1));
    story.well(0);
    assert_eq!(story.pool.health(0).share, 1000, "at the start all are new together");
    story.change_to(with(2), NO_TIME);
    let mut later = with(2);
    later.servers.edit(|servers| Arc::make_mut(&mut servers[0]).weight = 2);
    story.change_to(later, Duration::from_hours(1));
    story.well(1);
    assert_eq!(story.pool.health(1).share, 100);
}

#[test]
fn those_that_stay_keep_their_verdicts_when_others_come_and_go_before_and_behind_them() {
    let both = || config(2, &check("/", ""));
    let without = |place: usize| {
        let mut config = both();
        config.servers.edit(|servers| drop(servers.remove(place)));
        config
    };
    let states = |story: &Story| {
        (0..story.pool.servers.len()).map(|server| story.pool.health(server).state).collect::<Vec<_>>()
    };
    let mut story = Story::begin(both());
    story.well(0);
    story.sick(1);
    story.change_to(without(0), NO_TIME);
    assert_eq!(states(&story), [State::Down]);
    story.change_to(both(), NO_TIME);
    assert_eq!(states(&story), [State::Unknown, State::Down]);
    assert!(story.pool.servers[0].is_eligible() && !story.pool.servers[1].is_eligible());
    story.well(0);
    story.change_to(without(1), NO_TIME);
    assert_eq!(states(&story), [State::Up]);
    // A verdict that falls in the old pool finds its server in the new one.
    let old = Arc::clone(&story.pool);
    story.change_to(both(), NO_TIME);
    old.observe(0, Observation::ConnectRefused);
    assert_eq!(states(&story), [State::Down, State::Unknown]);
}

#[test]
fn a_server_that_goes_to_another_pool_takes_its_verdict_along() {
    let mut story = Story::begin(config(2, &check("/", "")));
    story.sick(1);
    let (old, mut other) = (Arc::clone(&story.pool), config(2, &check("/", "")));
    story.change_to(config(1, &check("/", "")), NO_TIME);
    other.servers.edit(|servers| drop(servers.remove(0)));
    let origins = Origins::find(None, (&other, None), |_| Some((Arc::clone(&old), 1)));
    let shared = (story.bus.clone(), story.started);
    let other = PoolState::succeed((other, None), (None, origins), &Leavers::default(), shared);
    other.take_over(None);
    assert_eq!(other.health(0).state, State::Down);
    assert_eq!(story.pool.health(0).state, State::Unknown);
}

#[test]
fn an_address_that_is_found_while_a_change_is_built_is_kept() {
    let named = |port, weight| {
        let mut config = config(1, &check("/", ""));
        config.servers.edit(|servers| {
            let server = Arc::make_mut(&mut servers[0]);
            (server.host, server.port, server.weight) = ("app.test".to_owned(), port, weight);
        });
        config
    };
    let at = |last| Some(Address::Ip(([127, 0, 0, last], 80).into()));
    let bus = EventBus::of_node("n", 16);
    for (port, expected) in [(80, at(2)), (81, None)] {
        let old = PoolState::build((named(80, 1), None), bus.clone(), Instant::now());
        old.servers[0].set_address(at(1));
        let config = named(port, 2);
        let origins = Origins::find(Some(&old), (&config, None), |_| None);
        let shared = (bus.clone(), Instant::now());
        let next = PoolState::succeed((config, None), (Some(&old), origins), &Leavers::default(), shared);
        old.servers[0].set_address(at(2));
        next.take_over(Some(&old));
        assert_eq!(next.servers[0].address(), expected, "{port}");
    }
}
