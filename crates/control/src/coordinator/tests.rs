#![allow(clippy::unwrap_used)]

use std::panic::{AssertUnwindSafe, catch_unwind};

use loadweaver_proxy::{Options, Snapshot};
use loadweaver_telemetry::event::EventBus;
use loadweaver_telemetry::span::SpanQueue;
use tokio::runtime::{Builder, Runtime};

use super::command::{Command, Edit, Refusal, Way};
use super::*;
use crate::admin::tls::Identity;
use crate::recovery::Recoveries;
use crate::spans::Spans;
use crate::supervisor::Supervisor;
use crate::webhooks::Webhooks;

fn text(webhooks: &str) -> Arc<str> {
    let listeners = r#"{"web": {"bind": "127.0.0.1:0"}}"#;
    let pools = r#"{"app": {"servers": [{"host": "127.0.0.1", "port": 9}]}}"#;
    format!(r#"{{"workers": 1, "listeners": {listeners}, "pools": {pools}, "webhooks": [{webhooks}]}}"#)
        .into()
}

/// What a coordinator is started with: one that runs `before` with this environment.
fn started(before: &Arc<str>, environment: Environment) -> (Coordinator, Desk, Arc<Proxy>, Runtime) {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let (bus, started) = (EventBus::new(64), (std::time::Instant::now(), SystemTime::now()));
    let config = loadweaver_config::parse(before.as_bytes(), &|_| None).unwrap().config;
    let snapshot = Snapshot::build(1, config, &bus, started.0).unwrap();
    let options = Options { access_log: None, spans: SpanQueue::default(), bus: bus.clone() };
    let proxy = Arc::new(Proxy::start(Arc::clone(&snapshot), options).unwrap());
    let followers = {
        let _entered = runtime.enter();
        Followers {
            webhooks: Webhooks::start(bus.clone(), &Supervisor::new(bus.clone())),
            spans: Spans::start(SpanQueue::default(), "test", &Supervisor::new(bus.clone())),
            recoveries: Recoveries::new(bus.clone(), started, None),
            admin: Identity::default(),
            bus,
        }
    };
    let source = Source { path: None, text: Arc::clone(before), environment };
    let (asked, desk) = coordinator(source, Current::new(snapshot), Arc::clone(&proxy), followers);
    (asked, desk, proxy, runtime)
}

#[test]
fn one_that_dies_right_after_the_swap_knows_what_it_put_in_force() {
    let before = text("");
    let (asked, desk, proxy, runtime) = started(&before, Arc::new(|_| None));
    let after = text(r#"{"url": "http://127.0.0.1:9/"}"#);
    let mut state = desk.0.try_lock().unwrap();
    let built = runtime.block_on(
        state.build(Arc::clone(&after), Occasion { origin: Origin::File, way: Way::In, dry_run: false }),
    );
    let Ok(built) = built else { unreachable!("it can be built") };
    let Ok(ready) = proxy.prepare(Arc::clone(&built.next)) else { unreachable!("it can be bound") };
    // A new webhook wants a task, and there is no runtime here.
    let change = (built, ready);
    let died = catch_unwind(AssertUnwindSafe(|| state.put_in_force(change, &Origin::File, (Way::In, None))));
    assert!(died.is_err());
    assert_eq!((proxy.snapshot().version, state.version()), (2, 2));
    assert_eq!((&state.text, &state.on_disk), (&after, &after));
    drop(state);
    runtime.block_on(async {
        let again = tokio::spawn(desk.run());
        let mut seen = asked.view.clone();
        seen.changed().await.unwrap();
        let view = asked.view();
        assert_eq!((&view.text, view.versions.last().map(|version| version.number)), (&after, Some(2)));
        again.abort();
    });
    proxy.stop();
    proxy.join();
}

#[test]
fn what_dies_over_a_change_is_told_as_that_and_not_as_too_many_changes() {
    let before = text("");
    // Asked for a variable beside the traffic.
    let environment: Environment = Arc::new(|_| unreachable!("a fault"));
    let (asked, desk, proxy, runtime) = started(&before, environment);
    let refusal = runtime.block_on(async {
        let running = tokio::spawn(desk.run());
        let edit = |document: &serde_json::Value| {
            let mut document = document.clone();
            let timeouts = serde_json::json!({ "idle": "${FAULT}" });
            document.as_object_mut().unwrap().insert("timeouts".to_owned(), timeouts);
            Ok(document)
        };
        let refusal = asked.submit(Command::new(Edit::Whole(Box::new(edit)), Origin::File)).await;
        running.abort();
        refusal.err().unwrap()
    });
    assert!(matches!(refusal, Refusal::Died), "{refusal}");
    assert_eq!(proxy.snapshot().version, 1);
    let told = asked.view().refused.clone().unwrap();
    assert!(told.reason.contains("a fault of its own"), "{}", told.reason);
    proxy.stop();
    proxy.join();
}
