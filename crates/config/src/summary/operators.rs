//! The admin listener, webhooks, the file of events and the collector of spans.

use std::fmt::{self, Write};

use crate::model::Config;
use crate::model::admin::{Admin, Role};
use crate::model::event::{EventFilter, Webhook};
use crate::model::tracing::Tracing;
use crate::quantity::{format_duration, format_size};
use crate::url::without_path;

/// What follows the admin listener's address.
pub(super) fn words(admin: &Admin) -> String {
    let mut words = String::new();
    if admin.tls.is_some() {
        words.push_str(" over TLS");
    }
    let may_write = admin.tokens.iter().filter(|token| token.role == Role::Write).count();
    match (admin.tokens.len(), may_write) {
        (0, _) => {}
        (1, 1) => words.push_str(", one token that may write"),
        (1, _) => words.push_str(", one token that may read"),
        (all, may_write) => {
            // Writing to a String cannot fail.
            let _ = write!(words, ", {all} tokens, {may_write} of which may write");
        }
    }
    if !admin.persist {
        words.push_str(", edits are not written into the file");
    }
    if !admin.origins.is_empty() {
        let _ = write!(words, ", also from pages of {}", admin.origins.join(", "));
    }
    words
}

pub(super) fn write_events(out: &mut String, config: &Config) -> fmt::Result {
    for webhook in &config.webhooks {
        writeln!(out, "webhook {}: {}", webhook.name, webhook_words(webhook))?;
    }
    if let Some(log) = &config.events {
        writeln!(
            out,
            "events: to {}, set aside at {}, {} such files kept",
            log.file.display(),
            format_size(log.max_size),
            log.keep
        )?;
    }
    if let Some(tracing) = &config.tracing {
        writeln!(out, "tracing: {}", tracing_words(tracing))?;
    }
    Ok(())
}

fn tracing_words(tracing: &Tracing) -> String {
    let sampling = tracing.sampling;
    let parent = if sampling.parent { "the client's decision, else " } else { "" };
    let failures = if sampling.failures { ", and all that fails or is tried again" } else { "" };
    format!(
        "spans by {} to {} as {}: {parent}{} of requests{failures}; every {} and by up to {}, at most {} wait, time-out {}",
        tracing.protocol.name(),
        without_path(&tracing.endpoint),
        tracing.service_name,
        sampling.ratio,
        format_duration(tracing.interval),
        tracing.batch,
        tracing.queue,
        format_duration(tracing.timeout)
    )
}

fn webhook_words(webhook: &Webhook) -> String {
    let events = match &webhook.events {
        EventFilter::All => "every event".to_owned(),
        EventFilter::Only(names) => names.join(", "),
    };
    let signed = if webhook.secret.is_some() { "signed" } else { "not signed" };
    format!(
        "{events} as {} to {}, {signed}, time-out {}, up to {} tries",
        webhook.format.name(),
        without_path(&webhook.url),
        format_duration(webhook.timeout),
        webhook.attempts
    )
}
