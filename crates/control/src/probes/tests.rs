#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
use std::sync::Barrier;
use std::time::Duration;

use loadweaver_config::{HealthCheck, StatusRange};
use loadweaver_policy::health::State;
use loadweaver_telemetry::event::{Event, Receiver};
use loadweaver_testkit::Origin;
use loadweaver_testkit::origin::reply;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::fixture;
use crate::plane::Watched;

use super::*;

/// Probes that run until the value is dropped.
struct Probing {
    watched: Watched,
    events: Receiver,
    schedule: JoinHandle<Infallible>,
}

impl Probing {
    fn start(servers: &[(&str, u16)], check: HealthCheck) -> Self {
        let watched = fixture::watched(fixture::pool(servers, check));
        let events = watched.bus.subscribe();
        let mut schedule = Schedule::new(&watched.snapshot, Jitter::seeded(1));
        Self { watched, events, schedule: tokio::spawn(async move { schedule.run().await }) }
    }

    /// The next event of a server: which it was, and why.
    async fn next(&mut self) -> (&'static str, String) {
        loop {
            let stamped = timeout(Duration::from_secs(10), self.events.recv()).await.unwrap().unwrap();
            if let Event::ServerDown { reason, .. } | Event::ServerUp { reason, .. } = &stamped.event {
                return (stamped.event.name(), reason.clone());
            }
        }
    }

    async fn expect_down(&mut self, words: &str) {
        let (name, reason) = self.next().await;
        assert_eq!(name, "server_down");
        assert!(reason.contains(words), "{reason:?} does not say {words:?}");
    }

    fn state(&self, server: usize) -> State {
        self.watched.snapshot.pools[0].health(server).state
    }
}

impl Drop for Probing {
    fn drop(&mut self) {
        self.schedule.abort();
    }
}

/// Verdicts fall with one probe; probes follow each other closely.
fn quick(kind: ProbeKind) -> HealthCheck {
    HealthCheck {
        kind,
        path: "/health".into(),
        interval: Duration::from_millis(40),
        timeout: Duration::from_secs(5),
        rise: 1,
        fall: 1,
        ..HealthCheck::default()
    }
}

fn local(origin: &Origin) -> [(&'static str, u16); 1] {
    [("127.0.0.1", origin.port())]
}

#[tokio::test]
async fn asks_as_a_careful_client_does() {
    let origin = Origin::answering(reply(200, "well"));
    let check = HealthCheck { host: Some("app.internal".into()), ..quick(ProbeKind::Http) };
    let mut probing = Probing::start(&local(&origin), check);
    assert_eq!(probing.next().await.0, "server_up");
    let request = &origin.requests()[0];
    assert_eq!((request.method.as_str(), request.target.as_str()), ("GET", "/health"));
    assert_eq!(request.fields.get("host"), Some("app.internal"));
    assert_eq!(request.fields.get("user-agent"), Some(concat!("loadweaver/", env!("CARGO_PKG_VERSION"))));
    assert_eq!(request.fields.get("connection"), Some("close"));
}

#[tokio::test]
async fn names_the_server_in_host_unless_told_otherwise() {
    let server = |host: &str, port| fixture::pool(&[(host, port)], quick(ProbeKind::Http)).servers[0].clone();
    let check = quick(ProbeKind::Http);
    for (host, port, expected) in [("app", 80, "app"), ("app", 8080, "app:8080"), ("::1", 81, "[::1]:81")] {
        let request = http::request(&check, &server(host, port), false);
        assert!(request.contains(&format!("\r\nHost: {expected}\r\n")), "{request}");
    }
}

#[tokio::test]
async fn a_status_outside_the_ranges_takes_a_server_out_after_fall_probes() {
    let origin = Origin::answering(reply(500, "sick"));
    let check = HealthCheck { fall: 3, ..quick(ProbeKind::Http) };
    let mut probing = Probing::start(&local(&origin), check);
    probing.expect_down("3 probes in a row failed: answered with status 500").await;
    assert!(origin.requests().len() >= 3);
}

#[tokio::test]
async fn ranges_decide_what_is_well() {
    let origin = Origin::answering(reply(503, "standby"));
    let expect_status = vec![StatusRange { first: 200, last: 299 }, StatusRange { first: 503, last: 503 }];
    let mut probing =
        Probing::start(&local(&origin), HealthCheck { expect_status, ..quick(ProbeKind::Http) });
    assert_eq!(probing.next().await.0, "server_up");
}

#[tokio::test]
async fn a_server_that_refuses_is_out_at_once_and_back_when_it_listens() {
    for kind in [ProbeKind::Tcp, ProbeKind::Http] {
        let origin = Origin::answering(reply(200, "well"));
        origin.refuse();
        let mut probing = Probing::start(&local(&origin), HealthCheck { fall: 3, ..quick(kind) });
        probing.expect_down("connection refused").await;
        origin.come_back();
        assert_eq!(probing.next().await.0, "server_up");
    }
}

#[tokio::test]
async fn a_tcp_probe_sends_nothing() {
    let origin = Origin::start(loadweaver_testkit::OriginConnection::hang);
    let mut probing = Probing::start(&local(&origin), quick(ProbeKind::Tcp));
    assert_eq!(probing.next().await.0, "server_up");
    assert_eq!(origin.raw().len(), 0);
}

#[tokio::test]
async fn a_server_that_accepts_and_never_answers_times_out() {
    let origin = Origin::start(loadweaver_testkit::OriginConnection::hang);
    let check = HealthCheck { timeout: Duration::from_millis(300), ..quick(ProbeKind::Http) };
    Probing::start(&local(&origin), check).expect_down("no answer in time").await;
}

#[tokio::test]
async fn an_answer_that_drips_does_not_outlast_the_time_limit() {
    let origin = Origin::start(|connection| {
        connection.read_request()?;
        connection.write(b"HTTP/1.1 200 OK\r\n");
        for _ in 0..200 {
            connection.write(b"a");
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    });
    let check = HealthCheck { timeout: Duration::from_millis(300), ..quick(ProbeKind::Http) };
    Probing::start(&local(&origin), check).expect_down("no answer in time").await;
}

#[tokio::test]
async fn a_slow_answer_is_a_bad_one_where_a_latency_is_asked_for() {
    let origin = Origin::by_request(|_| {
        std::thread::sleep(Duration::from_millis(60));
        reply(200, "well")
    });
    let check = HealthCheck { max_latency: Some(Duration::from_millis(20)), ..quick(ProbeKind::Http) };
    let mut probing = Probing::start(&local(&origin), check);
    probing.expect_down("allowed are 20ms").await;
}

#[tokio::test]
async fn what_is_no_answer_is_said_to_be_none() {
    let huge = format!("HTTP/1.1 200 OK\r\nA: {}\r\n\r\n", "a".repeat(40_000));
    for (bytes, words) in [
        ("SSH-2.0-OpenSSH_9.6\r\n", "no HTTP/1 answer"),
        ("", "closed before an answer"),
        ("HTTP/1.1 200 OK\r\nContent-Le", "closed before an answer"),
        ("HTTP/1.1 100 Continue\r\n\r\n", "closed before an answer"),
        (huge.as_str(), "more than 16384 bytes"),
    ] {
        let bytes = bytes.to_owned();
        let origin = Origin::start(move |connection| {
            connection.read_request()?;
            connection.write(&bytes);
            Ok(())
        });
        Probing::start(&local(&origin), quick(ProbeKind::Http)).expect_down(words).await;
    }
}

#[tokio::test]
async fn interim_answers_are_not_the_answer() {
    let origin = Origin::answering(
        "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.0 204 No Content\r\n\r\n",
    );
    let mut probing = Probing::start(&local(&origin), quick(ProbeKind::Http));
    assert_eq!(probing.next().await.0, "server_up");
}

#[tokio::test]
async fn a_large_body_is_not_read_to_its_end() {
    let origin = Origin::start(|connection| {
        connection.read_request()?;
        connection.send(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        while connection.send([b'x'; 16 * 1024]).is_ok() {}
        Ok(())
    });
    let mut probing = Probing::start(&local(&origin), quick(ProbeKind::Http));
    assert_eq!(probing.next().await.0, "server_up");
    tokio::task::spawn_blocking(move || {
        loadweaver_testkit::eventually("a probe's connection is closed before the body ends", || {
            origin.accepted() > origin.open()
        });
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_name_without_an_address_is_a_failed_probe() {
    let mut probing = Probing::start(&[("nowhere.invalid", 80)], quick(ProbeKind::Http));
    probing.expect_down("name cannot be resolved").await;
}

#[tokio::test]
async fn first_probes_go_out_all_together() {
    // None is answered before all have asked.
    let all = Arc::new(Barrier::new(20));
    let origins: Vec<Origin> = (0..20)
        .map(|_| {
            let all = Arc::clone(&all);
            Origin::by_request(move |_| {
                all.wait();
                reply(200, "well")
            })
        })
        .collect();
    let servers: Vec<(&str, u16)> = origins.iter().map(|origin| ("127.0.0.1", origin.port())).collect();
    let check = HealthCheck {
        interval: Duration::from_mins(1),
        timeout: Duration::from_secs(10),
        ..quick(ProbeKind::Http)
    };
    let mut probing = Probing::start(&servers, check);
    for _ in 0..20 {
        assert_eq!(probing.next().await.0, "server_up");
    }
    assert!((0..20).all(|server| probing.state(server) == State::Up));
}

#[tokio::test]
async fn no_more_than_the_limit_are_under_way() {
    let servers = vec![("127.0.0.1", 1); UNDER_WAY + 10];
    let watched = fixture::watched(fixture::pool(&servers, quick(ProbeKind::Tcp)));
    let mut schedule = Schedule::new(&watched.snapshot, Jitter::seeded(1));
    for _ in 0..UNDER_WAY {
        assert!(schedule.next_due().is_some());
        schedule.begin();
    }
    assert_eq!(schedule.next_due(), None);
    let end = schedule.probes.join_next_with_id().await.unwrap();
    schedule.end(end);
    assert!(schedule.next_due().is_some());
}

#[tokio::test]
async fn pools_without_probes_are_not_asked() {
    let watched = fixture::watched(fixture::pool(&[("127.0.0.1", 1)], quick(ProbeKind::Off)));
    assert!(Schedule::new(&watched.snapshot, Jitter::seeded(1)).targets.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_change_asks_new_servers_at_once_and_leaves_the_others_their_turn() {
    let watched = fixture::watched(fixture::pool(&[("127.0.0.1", 1)], quick(ProbeKind::Tcp)));
    let mut schedule = Schedule::new(&watched.snapshot, Jitter::seeded(1));
    let turn = Instant::now() + Duration::from_secs(3);
    schedule.due = [Reverse((turn, 0))].into();
    let mut config = (*watched.snapshot.config).clone();
    config.pools = vec![fixture::pool(&[("127.0.0.1", 2), ("127.0.0.1", 1)], quick(ProbeKind::Tcp))];
    let next = watched.snapshot.next(2, config.clone()).unwrap();
    schedule.follow(&next);
    assert_eq!(schedule.due.into_sorted_vec(), [Reverse((turn, 1)), Reverse((Instant::now(), 0))]);

    let mut schedule = Schedule::new(&next, Jitter::seeded(1));
    schedule.due = [Reverse((turn, 0)), Reverse((turn, 1))].into();
    config.pools[0].health_check.path = "/other".to_owned();
    schedule.follow(&next.next(3, config).unwrap());
    let now = Instant::now();
    assert!(schedule.due.iter().all(|Reverse((at, _))| *at == now), "probed in another way");
}

#[tokio::test(start_paused = true)]
async fn servers_that_stay_keep_their_turns_wherever_others_come_and_go() {
    let ports = |ports: &[u16]| ports.iter().map(|port| ("127.0.0.1", *port)).collect::<Vec<_>>();
    let pool = |of: &[u16]| fixture::pool(&ports(of), quick(ProbeKind::Tcp));
    let watched = fixture::watched(pool(&[1, 2, 3, 4]));
    let mut schedule = Schedule::new(&watched.snapshot, Jitter::seeded(1));
    let now = Instant::now();
    let turn = |port: u16| now + Duration::from_secs(port.into());
    schedule.due = (0..4).zip(1..5).map(|(target, port)| Reverse((turn(port), target))).collect();
    let mut snapshot = Arc::clone(&watched.snapshot);
    for (version, of) in
        [&[1, 3, 4][..], &[9, 1, 3, 4], &[9, 1, 8, 3, 4, 7], &[1, 4], &[4, 1]].into_iter().enumerate()
    {
        let mut config = (*snapshot.config).clone();
        config.pools = vec![pool(of)];
        snapshot = snapshot.next(2 + version as u64, config).unwrap();
        schedule.follow(&snapshot);
        let wanted = of.iter().map(|port| if *port < 5 { turn(*port) } else { now });
        let mut due: Vec<_> = schedule.due.iter().map(|Reverse((at, target))| (*target, *at)).collect();
        due.sort_unstable();
        assert_eq!(due, wanted.enumerate().collect::<Vec<_>>(), "{of:?}");
        // What is away has no turn, and those behind it keep theirs.
        let mut config = (*snapshot.config).clone();
        config.pools[0]
            .servers
            .edit(|servers| Arc::make_mut(&mut servers[0]).state = ServerState::Maintenance);
        schedule.follow(&snapshot.next(2 + version as u64, config).unwrap());
        assert_eq!(schedule.targets.first(), Some(&Target { pool: 0, server: 1 }));
        schedule.follow(&snapshot);
        let due =
            (0..).zip(of).map(|(place, port)| Reverse((if *port < 5 { turn(*port) } else { now }, place)));
        schedule.due = due.collect();
    }
}
