#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
use std::time::Instant;

use aws_lc_rs::hmac;
use loadweaver_config::{EventFilter, Secret, WebhookFormat};
use loadweaver_telemetry::event::{Event, ServerRef};
use loadweaver_testkit::origin::{reply, reply_with};
use loadweaver_testkit::{Origin, PATIENCE, Request};
use serde_json::Value;

use super::*;

mod page;
mod secure;

/// Small enough that a test waits for nothing.
const PAUSES: Pauses = Pauses {
    first: Duration::from_millis(5),
    longest: Duration::from_millis(40),
    longest_asked_for: Duration::from_millis(400),
};
const SECRET: &str = "swordfish swordfish";

struct Setting {
    bus: EventBus,
    webhooks: Webhooks,
}

impl Setting {
    fn new(webhooks: &[Webhook]) -> Self {
        Self::within(webhooks, queue::WAITING, PAUSES)
    }

    fn within(webhooks: &[Webhook], limit: usize, pauses: Pauses) -> Self {
        let bus = EventBus::of_node("lb-1", 4);
        let setting =
            Self { webhooks: Webhooks::with(bus.clone(), &Supervisor::new(bus.clone()), pauses, limit), bus };
        setting.apply(webhooks);
        setting
    }

    fn apply(&self, webhooks: &[Webhook]) {
        let Ok(prepared) = self.webhooks.prepare(webhooks) else { panic!("they can be used") };
        self.webhooks.apply(&prepared);
    }

    fn view(&self) -> WebhookView {
        self.webhooks.views().remove(0)
    }

    async fn until(&self, what: &str, condition: impl Fn(&WebhookView) -> bool) {
        until(what, || condition(&self.view())).await;
    }

    fn told(&self, name: &str) -> usize {
        self.bus.since(0).iter().filter(|each| each.event.name() == name).count()
    }
}

/// Polls without holding up the tasks of this thread.
async fn until(what: &str, condition: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < end, "still not so: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn hook(origin: &Origin) -> Webhook {
    Webhook {
        name: "ops".into(),
        url: format!("http://{}/hook?x=1", origin.address()),
        events: EventFilter::All,
        secret: Some(Secret::new(SECRET)),
        format: WebhookFormat::Json,
        timeout: Duration::from_secs(5),
        attempts: 10,
        headers: vec![("authorization".into(), "Bearer hush".into())],
        ca_file: None,
    }
}

fn down(pool: &str, id: usize) -> Event {
    let server = ServerRef { id: format!("s{id}").into(), address: format!("10.0.0.{id}:80") };
    Event::ServerDown {
        pool: pool.into(),
        server,
        reason: "connection refused".into(),
        cause: "connect_refused",
    }
}

fn reverted(version: u64) -> Event {
    Event::ConfigReverted { version, reason: "because".into() }
}

fn json(request: &Request) -> Value {
    serde_json::from_slice(&request.body).unwrap()
}

/// The numbers of `reverted` that an origin was told.
fn versions(requests: &[Request]) -> Vec<u64> {
    requests.iter().filter_map(|each| json(each)["details"]["version"].as_u64()).collect()
}

async fn requests(origin: &Origin, count: usize) -> Vec<Request> {
    until(&format!("{count} requests"), || origin.requests().len() >= count).await;
    origin.requests()
}

/// Answers each request by its number, from 0.
fn numbered(answer: impl Fn(usize) -> Vec<u8> + Send + Sync + 'static) -> Origin {
    let next = std::sync::atomic::AtomicUsize::new(0);
    Origin::by_request(move |_| answer(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)))
}

#[tokio::test]
async fn what_arrives_is_signed_byte_for_byte_and_says_what_it_is() {
    let origin = Origin::answering(reply(200, "ok"));
    let setting = Setting::new(&[hook(&origin)]);
    setting.bus.emit(down("app", 1));
    let request = requests(&origin, 1).await.remove(0);
    assert_eq!((request.method.as_str(), request.target.as_str()), ("POST", "/hook?x=1"));
    let field = |name: &str| request.fields.get(name).unwrap_or_else(|| panic!("{name}")).to_owned();
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let tag = field("x-loadweaver-signature").strip_prefix("sha256=").map(str::to_owned).unwrap();
    let byte = |at: usize| u8::from_str_radix(&tag[at..at + 2], 16).unwrap();
    let tag: Vec<u8> = (0..tag.len()).step_by(2).map(byte).collect();
    assert!(hmac::verify(&key, &request.body, &tag).is_ok());
    assert_eq!(field("x-loadweaver-event"), "server_down");
    assert_eq!(field("content-type"), "application/json");
    assert_eq!(field("authorization"), "Bearer hush");
    assert!(field("user-agent").starts_with("loadweaver/"));
    let body = json(&request);
    assert_eq!(field("x-loadweaver-delivery"), body["id"].as_str().unwrap());
    assert_eq!((&body["event"], &body["node"]), (&"server_down".into(), &"lb-1".into()));
    assert_eq!(body["server"]["address"], "10.0.0.1:80");
    setting.until("it is delivered", |view| view.delivered == 1).await;
    let view = setting.view();
    let delivery = &view.deliveries[0];
    assert_eq!((delivery.state, delivery.attempts, delivery.status), ("delivered", 1, Some(200)));
    assert_eq!((view.state, view.waiting, view.signed), ("ok", 0, true));
}

#[tokio::test]
async fn without_a_secret_nothing_is_signed() {
    let origin = Origin::answering(reply(204, ""));
    let setting = Setting::new(&[Webhook { secret: None, headers: Vec::new(), ..hook(&origin) }]);
    setting.bus.emit(down("app", 1));
    assert_eq!(requests(&origin, 1).await[0].fields.get("x-loadweaver-signature"), None);
}

#[tokio::test]
async fn only_what_is_asked_for_is_told() {
    let origin = Origin::answering(reply(200, ""));
    let events = EventFilter::Only(vec!["pool_down".into(), "pool_up".into()]);
    let setting = Setting::new(&[Webhook { events, ..hook(&origin) }]);
    setting.bus.emit(down("app", 1));
    setting.bus.emit(Event::PoolDown { pool: "app".into(), reason: "all".into() });
    setting.bus.emit(reverted(1));
    setting.bus.emit(Event::PoolUp { pool: "app".into() });
    let told = requests(&origin, 2).await;
    assert_eq!(
        (&json(&told[0])["event"], &json(&told[1])["event"]),
        (&"pool_down".into(), &"pool_up".into())
    );
    setting.until("nothing waits", |view| view.waiting == 0 && view.delivered == 2).await;
}

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
    let setting = Setting::new(&[Webhook { timeout: Duration::from_millis(150), ..hook(&origin) }]);
    setting.bus.emit(reverted(1));
    setting.until("the time is over", |view| view.last_error.is_some()).await;
    assert_eq!(setting.view().last_error.unwrap(), "no answer within 150ms");
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

#[tokio::test]
async fn five_hundred_servers_at_once_make_few_messages_and_none_is_missing() {
    let origin = Origin::answering(reply(200, ""));
    let setting = Setting::new(&[hook(&origin)]);
    for id in 0..500 {
        setting.bus.emit(down("app", id));
    }
    setting.bus.emit(Event::PoolDown { pool: "app".into(), reason: "all".into() });
    setting.until("all is delivered", |view| view.waiting == 0 && view.delivered > 0).await;
    let told: Vec<Value> = origin.requests().iter().map(json).collect();
    assert!(told.len() <= 10, "{} messages", told.len());
    let mut servers: Vec<String> = Vec::new();
    for each in &told {
        let listed = each["details"]["servers"].as_array().map_or(&[][..], Vec::as_slice);
        servers.extend(listed.iter().map(|server| server["id"].as_str().unwrap().to_owned()));
        servers.extend(each["server"]["id"].as_str().map(str::to_owned));
    }
    servers.sort();
    servers.dedup();
    assert_eq!(servers.len(), 500);
    assert_eq!(told.last().unwrap()["event"], "pool_down");
    assert_eq!(told.iter().filter(|each| each["event"] == "pool_down").count(), 1);
}

#[tokio::test]
async fn slack_gets_a_text() {
    let origin = Origin::answering(reply(200, "ok"));
    let setting = Setting::new(&[Webhook { format: WebhookFormat::Slack, ..hook(&origin) }]);
    setting.bus.emit(down("app", 1));
    let body = json(&requests(&origin, 1).await[0]);
    assert!(
        body["text"].as_str().unwrap().starts_with(":red_circle: *server_down* pool app server s1"),
        "{body}"
    );
}

#[tokio::test]
async fn a_delivery_of_the_past_is_sent_again_as_it_was() {
    let origin = Origin::answering(reply(200, ""));
    let setting = Setting::new(&[hook(&origin)]);
    setting.bus.emit(reverted(1));
    setting.until("it is delivered", |view| view.delivered == 1).await;
    let id = setting.view().deliveries[0].id.clone();
    setting.webhooks.redeliver("ops", &id).unwrap();
    let told = requests(&origin, 2).await;
    assert_eq!(told[0].body, told[1].body);
    setting.until("it is delivered again", |view| view.delivered == 2).await;
    let view = setting.view();
    assert_eq!((view.deliveries.len(), view.deliveries[0].attempts), (1, 2));
    assert_eq!(setting.webhooks.redeliver("ops", "nothing"), Err(NotAgain::Unknown));
    assert_eq!(setting.webhooks.redeliver("nobody", &id), Err(NotAgain::Unknown));
}

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
async fn two_webhooks_do_not_wait_for_each_other() {
    let (dead, well) =
        (Origin::start(loadweaver_testkit::OriginConnection::hang), Origin::answering(reply(200, "")));
    let named = |name: &str, origin: &Origin| Webhook { name: name.into(), ..hook(origin) };
    let setting = Setting::new(&[named("dead", &dead), named("well", &well)]);
    for version in 1..=5 {
        setting.bus.emit(reverted(version));
    }
    assert_eq!(versions(&requests(&well, 5).await), [1, 2, 3, 4, 5]);
    assert_eq!(setting.webhooks.views()[0].waiting, 5);
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

#[tokio::test]
async fn nothing_that_is_shown_holds_a_secret() {
    let origin = Origin::answering(reply(500, ""));
    origin.refuse();
    let setting = Setting::new(&[Webhook {
        url: format!("http://{}/services/hidden", origin.address()),
        ..hook(&origin)
    }]);
    setting.bus.emit(reverted(1));
    setting.until("it is given up for now", |view| view.state == "open").await;
    let shown = format!(
        "{:?} {} {:?}",
        setting.view(),
        serde_json::to_string(&setting.view()).unwrap(),
        setting.bus.since(0)
    );
    for secret in [SECRET, "hush", "hidden"] {
        assert!(!shown.contains(secret), "{secret}: {shown}");
    }
    assert_eq!(setting.view().target, format!("http://{}", origin.address()));
}
