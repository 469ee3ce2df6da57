//! What is done about failures, and who is told: servers brought back, messages and spans sent.

use loadweaver_telemetry::span::SpanQueue;

use super::page::{Labels, Page};
use crate::recovery;
use crate::webhooks::WebhookView;

pub(super) fn recoveries(page: &mut Page, pools: &[recovery::PoolView]) {
    let rows: Vec<_> = pools
        .iter()
        .flat_map(|pool| {
            let name = Labels::of("pool", &pool.pool);
            pool.servers.iter().map(move |server| (name.clone().and("server", &server.server), server))
        })
        .collect();
    let mut counter = |name, help, of: fn(&recovery::ServerView) -> u64| {
        let mut family = page.counter(name, help);
        family.samples(rows.iter().map(|(labels, server)| (labels, of(server))));
    };
    let help = "Attempts to bring the server back.";
    counter("loadweaver_recovery_attempts", help, |server| server.totals.attempts);
    let help = "Attempts after which the server was well.";
    counter("loadweaver_recovery_successes", help, |server| server.totals.successes);
    let help = "Attempts that did not bring it back.";
    counter("loadweaver_recovery_failures", help, |server| server.totals.failures);
    let help = "1 while no recovery of the pool is begun because its fault is likely elsewhere.";
    let mut holds = page.gauge("loadweaver_recovery_held", help);
    for pool in pools {
        holds.sample(&Labels::of("pool", &pool.pool), u8::from(pool.held.is_some()));
    }
}

pub(super) fn webhooks(page: &mut Page, webhooks: &[WebhookView]) {
    let rows: Vec<_> = webhooks.iter().map(|each| (Labels::of("webhook", &each.name), each)).collect();
    let mut messages = page.counter("loadweaver_webhook_messages", "Messages that are over with, by result.");
    for (labels, webhook) in &rows {
        messages.sample(&labels.clone().and("result", "delivered"), webhook.delivered);
        messages.sample(&labels.clone().and("result", "failed"), webhook.failed);
    }
    let mut lost =
        page.counter("loadweaver_webhook_lost_events", "Events that were lost because too many waited.");
    lost.samples(rows.iter().map(|(labels, webhook)| (labels, webhook.dropped)));
    let mut waiting = page.gauge("loadweaver_webhook_waiting", "Messages and events that wait.");
    waiting.samples(rows.iter().map(|(labels, webhook)| (labels, webhook.waiting)));
}

pub(super) fn spans(page: &mut Page, queue: &SpanQueue) {
    let mut spans = page.counter("loadweaver_trace_spans", "Spans that are over with, by result.");
    for (result, count) in [("exported", queue.exported()), ("lost", queue.lost())] {
        spans.sample(&Labels::of("result", result), count);
    }
    let mut waiting = page.gauge("loadweaver_trace_waiting_spans", "Spans that wait for the collector.");
    waiting.sample(&Labels::default(), queue.waiting_spans());
}
