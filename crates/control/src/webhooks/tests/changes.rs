//! The configuration changes, and the process ends.

use super::*;

#[tokio::test]
async fn a_webhook_that_stays_keeps_what_waits_through_changes_of_the_configuration() {
    let (origin, other) = (Origin::answering(reply(200, "")), Origin::answering(reply(200, "")));
    origin.refuse();
    let pauses = Pauses { first: Duration::from_mins(1), longest: Duration::from_mins(1), ..PAUSES };
    let setting = Setting::within(&[hook(&origin)], 100, pauses);
    setting.bus.emit(reverted(1));
    setting.bus.emit(reverted(2));
    setting.until("it is tried", |view| view.state == "retrying").await;
    let kept = hook(&origin);
    let new = Webhook { name: "new".into(), url: format!("http://{}/", other.address()), ..kept.clone() };
    setting.apply(&[new.clone(), kept.clone()]);
    setting.bus.emit(reverted(3));
    // What happened before it was there is nothing to it.
    assert_eq!(versions(&requests(&other, 1).await), [3]);
    let view = setting.webhooks.views().remove(1);
    assert_eq!((view.name.as_str(), view.waiting, view.deliveries[0].attempts), ("ops", 3, 1));
    origin.come_back();
    // Another secret and name: what waits is signed with the new one, at once.
    let changed = Webhook { name: "renamed".into(), secret: Some(Secret::new("other")), ..kept };
    setting.apply(&[changed]);
    let told = requests(&origin, 3).await;
    assert_eq!(versions(&told), [1, 2, 3]);
    let expected = signature::of(&Secret::new("other"), &told[0].body);
    assert_eq!(told[0].fields.get("x-loadweaver-signature"), Some(expected.as_str()));
    // The one that is gone hears nothing more.
    setting.bus.emit(reverted(4));
    requests(&origin, 4).await;
    assert_eq!(versions(&other.requests()), [3]);
}

#[tokio::test]
async fn the_end_delivers_what_waits() {
    let origin = Origin::answering(reply(200, ""));
    let setting = Setting::new(&[hook(&origin)]);
    for id in 0..100 {
        setting.bus.emit(down("app", id));
    }
    setting.bus.emit(Event::ShutdownFinished { cut: 0 });
    setting.webhooks.close().await;
    let told = origin.requests();
    assert_eq!(json(told.last().unwrap())["event"], "shutdown_finished");
    assert_eq!(setting.view().waiting, 0);
}

#[tokio::test]
async fn the_end_does_not_wait_for_a_target_that_is_dead_or_silent() {
    let (dead, silent) =
        (Origin::answering(reply(200, "")), Origin::start(loadweaver_testkit::OriginConnection::hang));
    dead.refuse();
    let pauses = Pauses { first: Duration::from_mins(1), longest: Duration::from_mins(1), ..PAUSES };
    let setting = Setting::within(&[hook(&dead)], 100, pauses);
    setting.bus.emit(reverted(1));
    setting.until("it is tried", |view| view.state == "retrying").await;
    let before = Instant::now();
    setting.webhooks.close().await;
    assert!(before.elapsed() < CLOSE_PATIENCE, "{:?}", before.elapsed());
    let setting = Setting::new(&[hook(&silent)]);
    setting.bus.emit(reverted(1));
    until("the target is told", || silent.connections() == 1).await;
    let before = Instant::now();
    setting.webhooks.close_within(Duration::from_millis(100)).await;
    assert!(before.elapsed() < Duration::from_secs(5), "{:?}", before.elapsed());
}

#[tokio::test]
async fn what_cannot_be_used_is_said_for_each_and_changes_nothing() {
    let origin = Origin::answering(reply(200, ""));
    let setting = Setting::new(&[hook(&origin)]);
    let empty = std::env::temp_dir().join(format!("loadweaver-empty-{}.pem", std::process::id()));
    std::fs::write(&empty, "nothing").unwrap();
    let wrong = [
        Webhook { name: "a".into(), ca_file: Some("/proc/nowhere".into()), ..hook(&origin) },
        hook(&origin),
        Webhook { name: "b".into(), headers: vec![("x".into(), "a\nb".into())], ..hook(&origin) },
        Webhook { name: "c".into(), ca_file: Some(empty.clone()), ..hook(&origin) },
    ];
    let Err(errors) = setting.webhooks.prepare(&wrong) else { panic!("three are wrong") };
    let _ = std::fs::remove_file(empty);
    let words: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(words.len(), 3);
    assert!(words[0].starts_with("webhook a: its caFile /proc/nowhere cannot be used"), "{words:?}");
    assert_eq!(words[1], "webhook b: its header \"x\" cannot be sent");
    assert!(words[2].starts_with("webhook c: its caFile"), "{words:?}");
    assert_eq!(setting.webhooks.views().len(), 1);
}
