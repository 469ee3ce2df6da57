//! Whom events are told to, and the file that they are appended to.

use std::collections::HashMap;
use std::sync::Arc;

use crate::bounds;
use crate::issue::{Fault, Report, shown};
use crate::model::event::{EVENT_NAMES, EventFilter, EventLog, Webhook, WebhookFormat};
use crate::model::secret::Secret;
use crate::shape;
use crate::spot::{Section, Spot};
use crate::{suggest, syntax, url};

use super::headers::{self, Purpose};
use super::program;

pub(super) fn webhooks(spot: &Spot<'_>, report: &mut Report) -> Option<Vec<Webhook>> {
    let entries = spot.list(report, "webhooks")?;
    if entries.len() > bounds::WEBHOOKS {
        let problem =
            format!("{} webhooks are more than the {} that may be", entries.len(), bounds::WEBHOOKS);
        spot.refuse(report, Fault::new(problem, "let one program take the events and pass them on"));
        return None;
    }
    let mut names = Names::default();
    let read =
        entries.iter().enumerate().filter_map(|(index, entry)| webhook(index, entry, &mut names, report));
    Some(read.collect())
}

fn webhook(index: usize, spot: &Spot<'_>, names: &mut Names, report: &mut Report) -> Option<Webhook> {
    let section = Section::open(spot, &shape::WEBHOOK, report)?;
    let name = names.take(&section, &format!("webhook-{}", index + 1), report);
    let mut webhook = Webhook {
        name,
        url: String::new(),
        events: EventFilter::default(),
        secret: None,
        format: WebhookFormat::default(),
        timeout: Webhook::DEFAULT_TIMEOUT,
        attempts: Webhook::DEFAULT_ATTEMPTS,
        headers: Vec::new(),
        ca_file: None,
    };
    section.set("events", report, &mut webhook.events, events);
    section.set("secret", report, &mut webhook.secret, |spot, report| secret(spot, report).map(Some));
    section.set("format", report, &mut webhook.format, |spot, report| {
        spot.word(report, WebhookFormat::ALL, WebhookFormat::name)
    });
    section
        .set("timeout", report, &mut webhook.timeout, |spot, report| spot.duration(report, &bounds::ACTION));
    section
        .set("attempts", report, &mut webhook.attempts, |spot, report| spot.number(report, &bounds::TRIES));
    section.set("headers", report, &mut webhook.headers, |spot, report| {
        headers::read(spot, Purpose::Send, report)
    });
    section.set("caFile", report, &mut webhook.ca_file, |spot, report| program::file(spot, report).map(Some));
    let spot = section.need("url", report, "say where to: \"url\": \"https://ops.example.com/hook\"")?;
    let text = spot.hidden_text(report, "a URL such as \"https://ops.example.com/hook\"")?;
    spot.settle(report, url::url(text))?.clone_into(&mut webhook.url);
    if url::is_open_to_others(text) {
        let problem = "what goes to an http:// URL can be read on its way";
        report.warn(&spot.at, Fault::new(problem, "write https://"));
    }
    Some(webhook)
}

fn events(spot: &Spot<'_>, report: &mut Report) -> Option<EventFilter> {
    let entries = spot.list(report, "names of events")?;
    if entries.is_empty() {
        let help = "name some, such as [\"server_down\", \"server_up\"], or leave the key out to tell of every event";
        spot.refuse(report, Fault::new("the list names no event, so nothing would be told", help));
    }
    let mut names: Vec<String> = Vec::new();
    let mut all = false;
    for entry in &entries {
        let Some(text) = entry.text(report, "an event's name such as \"server_down\"") else { continue };
        if text == "*" {
            all = true;
        } else if !EVENT_NAMES.contains(&text) {
            let help = match suggest::nearest(text, EVENT_NAMES) {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => format!("write {}, or \"*\" for all", suggest::one_of(EVENT_NAMES)),
            };
            entry.refuse(report, Fault::new(format!("there is no event {}", shown(text)), help));
        } else if names.iter().any(|name| name == text) {
            let problem = format!("{} stands in this list twice", shown(text));
            report.warn(&entry.at, Fault::new(problem, "take one out"));
        } else {
            names.push(text.to_owned());
        }
    }
    if all && !names.is_empty() {
        let fault = Fault::new("\"*\" takes every event, those named beside it too", "write [\"*\"] alone");
        report.warn(&spot.at, fault);
    }
    Some(if all { EventFilter::All } else { EventFilter::Only(names) })
}

/// The key of the signature.
fn secret(spot: &Spot<'_>, report: &mut Report) -> Option<Secret> {
    let text = spot.hidden_text(report, "a secret")?;
    if text.is_empty() || text.len() > bounds::SECRET {
        let problem = if text.is_empty() { "the secret is empty" } else { "the secret is too long" };
        let help = format!("write 1 to {} bytes, or leave the key out to send no signature", bounds::SECRET);
        spot.refuse(report, Fault::new(problem, help));
        return None;
    }
    if text.chars().count() < bounds::TOKEN_MIN {
        let problem = format!("a secret of fewer than {} characters can be guessed", bounds::TOKEN_MIN);
        report
            .warn(&spot.at, Fault::new(problem, "write a random one, such as `openssl rand -hex 32` prints"));
    }
    Some(Secret::new(text))
}

#[allow(clippy::option_option)] // the outer one says whether the section could be read
pub(super) fn event_log(spot: &Spot<'_>, report: &mut Report) -> Option<Option<EventLog>> {
    let section = Section::open(spot, &shape::EVENT_LOG, report)?;
    let (mut max_size, mut keep) = (EventLog::DEFAULT_MAX_SIZE, EventLog::DEFAULT_KEEP);
    section.set("maxSize", report, &mut max_size, |spot, report| spot.size(report, &bounds::EVENT_FILE));
    section.set("keep", report, &mut keep, |spot, report| spot.number(report, &bounds::FILES_KEPT));
    let help = "say where to: \"file\": \"/var/log/loadweaver/events.jsonl\"";
    let spot = section.need("file", report, help)?;
    let file = program::file(&spot, report)?;
    Some(Some(EventLog { file, max_size, keep }))
}

/// Names that are taken, and where.
#[derive(Default)]
pub(super) struct Names {
    taken: HashMap<String, String>,
}

impl Names {
    /// What stands as `name`, or `otherwise`; reported if it is taken.
    pub(super) fn take(&mut self, section: &Section<'_>, otherwise: &str, report: &mut Report) -> Arc<str> {
        let mut name: Arc<str> = otherwise.into();
        section.set("name", report, &mut name, |spot, report| {
            let text = spot.text(report, "a name")?;
            spot.settle(report, syntax::name(text)).map(Into::into)
        });
        if let Some(first) = self.taken.get(&*name) {
            let problem = format!("the name {} is taken; first at {first}", shown(&name));
            report.issue(section.at(), Fault::new(problem, "give each its own name"));
        } else {
            self.taken.insert(name.to_string(), section.at().to_owned());
        }
        name
    }
}
