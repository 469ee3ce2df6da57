#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
use std::time::Instant;

use aws_lc_rs::hmac;
use loadweaver_config::{EventFilter, Secret, WebhookFormat};
use loadweaver_telemetry::event::{Event, ServerRef};
use loadweaver_testkit::origin::{reply, reply_with};
use loadweaver_testkit::{Origin, PATIENCE, Request};
use serde_json::Value;

use super::*;

mod changes;
mod page;
mod secure;
mod trouble;

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
