//! Targets that do not take what they are sent.

use super::*;

#[tokio::test]
async fn a_target_that_answers_500_for_a_while_gets_all_of_it_later_and_in_order() {
    let origin = numbered(|number| reply(if number < 7 { 500 } else { 200 }, "not now"));
    let setting = Setting::new(&[hook(&origin)]);
    for version in 1..=20 {
        setting.bus.emit(reverted(version));
    }
    // Twenty, and that the target failed and recovered.
    setting.until("all is delivered", |view| view.delivered == 22).await;
    let told = origin.requests();
    assert_eq!(versions(&told[7..]), (1..=20).collect::<Vec<u64>>());
    // What is sent again is the same to the byte.
    assert!(told[..7].iter().all(|each| each.body == told[7].body));
    let id = |request: &Request| request.fields.get("x-loadweaver-delivery").unwrap().to_owned();
    assert!(told[..7].iter().all(|each| id(each) == id(&told[7])));
    let view = setting.view();
    assert_eq!((view.failed, view.dropped, view.state), (0, 0, "ok"));
    assert_eq!(view.last_error.as_deref(), Some("answered with status 500: not now"));
    let first = view.deliveries.last().unwrap();
    assert_eq!((first.attempts, first.state), (8, "delivered"));
    assert_eq!((setting.told("webhook_failing"), setting.told("webhook_recovered")), (1, 1));
}

#[tokio::test]
async fn a_message_is_given_up_after_its_attempts_and_the_next_one_goes_on() {
    let origin = numbered(|number| reply(if number < 3 { 500 } else { 200 }, ""));
    let setting = Setting::new(&[Webhook { attempts: 3, ..hook(&origin) }]);
    setting.bus.emit(reverted(1));
    setting.bus.emit(reverted(2));
    setting.until("the second is delivered", |view| view.delivered >= 1).await;
    let view = setting.view();
    assert_eq!(view.failed, 1);
    assert_eq!(
        (view.deliveries.last().unwrap().state, view.deliveries.last().unwrap().attempts),
        ("failed", 3)
    );
    assert_eq!(versions(&origin.requests()[..4]), [1, 1, 1, 2]);
}

#[tokio::test]
async fn a_dead_target_costs_no_message_and_gets_one_trial_at_a_time() {
    let origin = Origin::answering(reply(200, ""));
    origin.refuse();
    let setting = Setting::new(&[Webhook { attempts: 6, ..hook(&origin) }]);
    for version in 1..=50 {
        setting.bus.emit(reverted(version));
    }
    let trials = |view: &WebhookView| view.deliveries.first().map_or(0, |each| each.attempts);
    setting.until("more trials than attempts", |view| trials(view) > 12).await;
    let view = setting.view();
    assert_eq!((view.state, view.failed, view.deliveries.len()), ("open", 0, 1));
    // Fifty, and that it is failing.
    assert_eq!(view.waiting, 51);
    let problems = setting.webhooks.problems();
    assert_eq!(problems.len(), 1);
    assert!(problems[0].why.ends_with("; 51 messages waiting"), "{problems:?}");
    assert!(view.last_error.as_deref().is_some_and(|error| error.contains("connection refused")), "{view:?}");
    assert_eq!(setting.told("webhook_failing"), 1);
    origin.come_back();
    setting.until("all is delivered", |view| view.delivered == 52).await;
    assert_eq!(versions(&origin.requests()), (1..=50).collect::<Vec<u64>>());
    assert_eq!(setting.view().state, "ok");
}

#[tokio::test]
async fn a_target_that_hangs_or_resets_is_tried_again() {
    let next = std::sync::atomic::AtomicUsize::new(0);
    let origin =
        Origin::start(move |connection| match next.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
            0 => {
                connection.read_request()?;
                connection.hang()
            }
            1 => {
                connection.read_request()?;
                connection.reset()
            }
            2 => {
                connection.read_request()?;
                connection.write("HTTP/1.1 20");
                Ok(())
            }
            _ => loop {
                connection.read_request()?;
                connection.write(reply(200, ""));
            },
        });
    // Long enough for the answers that are given, however busy the machine is.
    let setting = Setting::new(&[Webhook { timeout: Duration::from_secs(1), ..hook(&origin) }]);
    setting.bus.emit(reverted(1));
    setting.until("the time is over", |view| view.last_error.is_some()).await;
    assert_eq!(setting.view().last_error.unwrap(), "no answer within 1s");
    setting.until("it is delivered", |view| view.delivered == 1).await;
    assert_eq!(versions(&origin.requests()), [1, 1, 1, 1]);
    assert_eq!(setting.view().deliveries[0].attempts, 4);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = Origin::answering(reply(200, ""));
    let location = format!("Location: http://{}/", elsewhere.address());
    let origin = Origin::answering(reply_with(307, &[&location], ""));
    let setting = Setting::new(&[hook(&origin)]);
    setting.bus.emit(reverted(1));
    setting.until("it is given up", |view| view.failed == 1).await;
    let view = setting.view();
    let delivery = view.deliveries.iter().find(|each| each.event == "config_reverted").unwrap();
    assert_eq!((delivery.attempts, delivery.status, delivery.state), (3, Some(307), "failed"));
    assert_eq!(delivery.last_error.as_deref(), Some("answered with status 307; redirects are not followed"));
    assert_eq!(elsewhere.accepted(), 0);
}

#[tokio::test]
async fn a_target_that_asks_for_time_gets_it_within_reason() {
    let origin = numbered(|number| match number {
        0 => reply_with(429, &["Retry-After: 3600"], "slow down"),
        _ => reply(200, ""),
    });
    let setting = Setting::new(&[hook(&origin)]);
    let before = Instant::now();
    setting.bus.emit(reverted(1));
    setting.until("it is refused", |view| view.last_error.is_some()).await;
    assert!(setting.view().next_attempt_at.is_some());
    setting.until("it is delivered", |view| view.delivered == 1).await;
    // An hour is what it asked for, 400 ms are allowed here; the pause of a first failure would be 5 ms.
    assert!((PAUSES.longest_asked_for..PATIENCE).contains(&before.elapsed()), "{:?}", before.elapsed());
}

#[tokio::test]
async fn when_too_many_wait_the_oldest_go_and_the_next_message_says_so() {
    let origin = numbered(|number| reply(if number == 0 { 503 } else { 200 }, ""));
    let pauses = Pauses { first: Duration::from_mins(1), longest: Duration::from_mins(1), ..PAUSES };
    let setting = Setting::within(&[hook(&origin)], 10, pauses);
    setting.bus.emit(reverted(1));
    setting.until("the first waits for another attempt", |view| view.state == "retrying").await;
    for version in 2..=31 {
        setting.bus.emit(reverted(version));
    }
    setting.until("twenty are lost", |view| view.dropped == 20).await;
    assert_eq!(setting.view().waiting, 11);
    // An operator who looks whether it works again gets everything going.
    let id = setting.webhooks.test("ops").unwrap();
    setting.until("the rest is delivered", |view| view.delivered == 12).await;
    let told = origin.requests();
    assert_eq!(versions(&told[1..]), [vec![1], (22..=31).collect()].concat());
    let missed: Vec<Option<u64>> = told.iter().map(|each| json(each)["details"]["missed"].as_u64()).collect();
    assert_eq!(missed[3], Some(20));
    assert_eq!(missed.iter().flatten().count(), 1);
    assert_eq!(json(&told[2])["id"], id);
    assert_eq!(json(&told[2])["event"], "webhook_test");
}
