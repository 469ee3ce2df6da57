#![allow(clippy::unwrap_used)]

use std::panic::{AssertUnwindSafe, catch_unwind};

use loadweaver_proxy::{Options, Snapshot};
use loadweaver_telemetry::event::EventBus;
use tokio::runtime::Builder;

use super::command::Way;
use super::*;
use crate::admin::tls::Identity;
use crate::recovery::Recoveries;
use crate::supervisor::Supervisor;
use crate::webhooks::Webhooks;

fn text(webhooks: &str) -> Arc<str> {
    let listeners = r#"{"web": {"bind": "127.0.0.1:0"}}"#;
    let pools = r#"{"app": {"servers": [{"host": "127.0.0.1", "port": 9}]}}"#;
    format!(r#"{{"workers": 1, "listeners": {listeners}, "pools": {pools}, "webhooks": [{webhooks}]}}"#)
        .into()
}

#[test]
fn one_that_dies_right_after_the_swap_knows_what_it_put_in_force() {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let (bus, started) = (EventBus::new(64), (std::time::Instant::now(), SystemTime::now()));
    let before = text("");
    let config = loadweaver_config::parse(before.as_bytes(), &|_| None).unwrap().config;
    let snapshot = Snapshot::build(1, config, &bus, started.0).unwrap();
    let options = Options { access_log: None, bus: bus.clone() };
    let proxy = Arc::new(Proxy::start(Arc::clone(&snapshot), options).unwrap());
    let followers = {
        let _entered = runtime.enter();
        Followers {
            webhooks: Webhooks::start(bus.clone(), &Supervisor::new(bus.clone())),
            recoveries: Recoveries::new(bus.clone(), started, None),
            admin: Identity::default(),
            bus,
        }
    };
    let source = Source { path: None, text: before, environment: Arc::new(|_| None) };
    let (asked, desk) = coordinator(source, Current::new(snapshot), Arc::clone(&proxy), followers);
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
