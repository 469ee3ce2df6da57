//! Collectors that are well, not well, and not there.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

#[test]
fn a_collector_that_cannot_take_spans_yet_gets_them_later() {
    for (protocol, first) in [("http", ["503", "429"]), ("grpc", ["UNAVAILABLE", "ABORTED"])] {
        let collector = Collector::start(protocol, &first);
        let server = Origin::named("a");
        let balancer = start(&[&server], &collector.section(&json!({})), &json!({}));
        get(&balancer, "/", &[]);
        wait_for_counts(&balancer, |exported, lost| (exported, lost) == (2, 0));
        balancer.wait_for_log("the collector takes spans again");
        let requests = collector.requests();
        assert_eq!(
            requests.iter().map(|request| text(&request["how"])).collect::<Vec<_>>(),
            [first[0], first[1], "taken"]
        );
        assert!(requests.iter().all(|request| request["spans"] == requests[0]["spans"]));
        let said = balancer.stderr().iter().filter(|line| line.contains("does not take spans")).count();
        assert_eq!(said, 1, "{:#?}", balancer.stderr());
    }
}

#[test]
fn what_a_collector_refuses_is_lost_and_not_sent_again() {
    for (protocol, first) in [("http", "400"), ("grpc", "INVALID_ARGUMENT")] {
        let collector = Collector::start(protocol, &[first, "rejects"]);
        let server = Origin::named("a");
        let balancer = start(&[&server], &collector.section(&json!({})), &json!({}));
        get(&balancer, "/", &[]);
        wait_for_counts(&balancer, |exported, lost| (exported, lost) == (0, 2));
        get(&balancer, "/", &[]);
        wait_for_counts(&balancer, |exported, lost| (exported, lost) == (1, 3));
        balancer.wait_for_log("one too many");
        assert_eq!(collector.requests().len(), 2);
    }
}

#[test]
fn a_collector_that_is_away_costs_what_waits_and_no_request() {
    let hanging = Origin::start(OriginConnection::hang);
    let refusing = Origin::named("collector");
    refusing.refuse();
    for collector in [&hanging, &refusing] {
        let server = Origin::named("a");
        let tracing = json!({
            "endpoint": format!("http://{}", collector.address()), "interval": "20ms", "batch": 4, "queue": 8,
            "sampling": { "ratio": 1 }
        });
        let balancer = start(&[&server], &tracing, &json!({}));
        for _ in 0..40 {
            assert_eq!(get(&balancer, "/", &[]).text(), "a");
        }
        // At most one batch is on its way, 8 wait, and the rest of the 80 has no place.
        wait_for_counts(&balancer, |exported, lost| exported == 0 && lost >= 80 - 8 - 4);
        balancer.terminate();
        let mut balancer = balancer;
        assert!(balancer.wait_for_exit(PATIENCE).is_some_and(|status| status.success()));
    }
}

#[test]
fn the_end_of_the_process_sends_what_waits() {
    let collector = Collector::start("http", &[]);
    let server = Origin::named("a");
    let tracing = collector.section(&json!({ "interval": "1h" }));
    let mut balancer = start(&[&server], &tracing, &json!({}));
    get(&balancer, "/", &[]);
    balancer.terminate();
    assert!(balancer.wait_for_exit(PATIENCE).is_some_and(|status| status.success()));
    assert_eq!(collector.spans().len(), 2);
}

#[test]
fn a_collector_is_asked_again_when_it_says_and_not_before() {
    let collector = Collector::start("http", &["429:3"]);
    let server = Origin::named("a");
    let balancer = start(&[&server], &collector.section(&json!({})), &json!({}));
    get(&balancer, "/", &[]);
    wait_for_counts(&balancer, |exported, lost| (exported, lost) == (2, 0));
    let at: Vec<f64> = collector.requests().iter().map(|request| request["at"].as_f64().unwrap()).collect();
    assert!(at.len() == 2 && at[1] - at[0] >= 3.0, "by itself it would have been asked after 1 s: {at:?}");
}

#[test]
fn an_answer_of_garbage_is_what_its_status_says() {
    // To HTTP the status is all that counts. To gRPC there is none, so nobody knows whether the spans were taken.
    let collector = Collector::start("http", &["garbage"]);
    let server = Origin::named("a");
    let balancer = start(&[&server], &collector.section(&json!({})), &json!({}));
    get(&balancer, "/", &[]);
    wait_for_counts(&balancer, |exported, lost| (exported, lost) == (2, 0));
    assert_eq!(collector.requests().len(), 1);
    let calls = AtomicUsize::new(0);
    let strange = Http2Origin::start(move |_, mut respond| {
        let is_first = calls.fetch_add(1, Ordering::Relaxed) == 0;
        async move {
            let head = http::Response::builder().header("content-type", "application/grpc");
            let head = if is_first { head } else { head.header("grpc-status", "0") };
            let mut body = respond.send_response(head.body(()).unwrap(), !is_first)?;
            if is_first { body.send_data(vec![0xff; 100].into(), true) } else { Ok(()) }
        }
    });
    let mut config: Value = serde_json::from_str(&balancer.config_text()).unwrap();
    let endpoint = format!("http://{}", strange.address());
    merge(&mut config, &json!({ "tracing": { "endpoint": endpoint, "protocol": "grpc" } }));
    balancer.reload(&config);
    get(&balancer, "/", &[]);
    wait_for_counts(&balancer, |exported, lost| (exported, lost) == (4, 0));
    assert_eq!(strange.requests(), 2);
    balancer.wait_for_log("the answer ended without a status");
}

/// A port whose first connection is dead: what is sent there is never heard of again. The others lead to `port`.
fn with_a_dead_connection(port: u16) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let _dead = listener.accept();
        for near in listener.incoming().map_while(Result::ok) {
            let far = TcpStream::connect(("127.0.0.1", port)).unwrap();
            let (near_too, far_too) = (near.try_clone().unwrap(), far.try_clone().unwrap());
            for (mut from, mut to) in [(near, far), (far_too, near_too)] {
                std::thread::spawn(move || std::io::copy(&mut from, &mut to));
            }
        }
    });
    address
}

#[test]
fn a_connection_that_is_dead_is_not_asked_twice() {
    for protocol in ["http", "grpc"] {
        let collector = Collector::start(protocol, &[]);
        let endpoint = format!("http://{}", with_a_dead_connection(collector.port));
        let server = Origin::named("a");
        let tracing = collector.section(&json!({ "endpoint": endpoint, "timeout": "1s" }));
        let balancer = start(&[&server], &tracing, &json!({}));
        get(&balancer, "/", &[]);
        wait_for_counts(&balancer, |exported, lost| (exported, lost) == (2, 0));
        balancer.wait_for_log("does not take spans");
    }
}

#[test]
fn what_a_collector_never_answered_for_goes_to_the_one_that_takes_its_place() {
    let old = Collector::start("http", &["hangs"]);
    let new = Collector::start("grpc", &[]);
    let server = Origin::named("a");
    let mut config =
        one_pool(&[server.address()], &json!({ "tracing": old.section(&json!({ "timeout": "1s" })) }));
    let balancer = Balancer::start(BINARY, &config);
    let (trace, field) = parent(1, "01");
    get(&balancer, "/", &[&field]);
    eventually("the old one has been asked", || old.requests().len() == 1);
    config["tracing"] = new.section(&json!({}));
    balancer.reload(&config);
    new.trace(&trace, 2);
    wait_for_counts(&balancer, |exported, lost| (exported, lost) == (2, 0));
    let log = balancer.stderr();
    assert!(log.iter().any(|line| line.contains("no answer within 1s")), "{log:#?}");
}
