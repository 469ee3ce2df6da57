//! A message as Slack's incoming webhooks (and Mattermost's and others after them) take it: one text.

use std::fmt::Write;

use serde_json::Value;

use super::message::Body;

/// Servers that are written out.
const SHOWN: usize = 20;

/// The event in one line, and the servers of a list in a line each.
pub(super) fn text(body: &Body<'_>) -> String {
    let mut text = format!("{} *{}*", mark(body.event), body.event);
    let mut add = |before: &str, value: Option<&Value>| {
        if let Some(words) = value.and_then(Value::as_str) {
            text.push_str(before);
            text.push_str(&escaped(words));
        }
    };
    let of_server = |key: &str| body.server.as_ref().and_then(|server| server.get(key));
    add(" pool ", body.pool.as_ref());
    add(" server ", of_server("id"));
    add(" at ", of_server("address"));
    add(": ", body.reason.as_ref());
    let detail = |key: &str| body.details.get(key);
    for key in ["origin", "summary", "path", "webhook", "listener", "task", "action"] {
        add(&format!("; {key} "), detail(key));
    }
    let node = Value::from(body.node);
    add(" (node ", Some(&node));
    text.push(')');
    let servers = detail("servers").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    for server in servers.iter().take(SHOWN) {
        text.push_str(&line(server));
    }
    // Writing to a String cannot fail.
    let left_out = servers.len().saturating_sub(SHOWN);
    if left_out > 0 {
        let _ = write!(text, "\n… and {left_out} more");
    }
    if let Some(missed) = detail("missed") {
        let _ = write!(text, "\n{missed} events before this one were lost: too many waited");
    }
    text
}

fn line(server: &Value) -> String {
    let word = |key: &str| escaped(server.get(key).and_then(Value::as_str).unwrap_or_default());
    let event = server.get("event").and_then(Value::as_str).unwrap_or_default();
    let (pool, id, reason) = (word("pool"), word("id"), word("reason"));
    format!("\n{} {event} {pool} / {id}: {reason}", mark(event)).trim_end_matches(": ").to_owned()
}

/// What shows at a glance whether it is good news.
fn mark(event: &str) -> &'static str {
    match event {
        "server_up" | "pool_up" | "panic_ended" | "recovery_succeeded" | "webhook_recovered"
        | "accept_resumed" => ":large_green_circle:",
        "server_down" | "pool_down" | "panic_started" | "recovery_failed" | "config_refused"
        | "config_not_saved" | "webhook_failing" | "accept_paused" | "task_died" => ":red_circle:",
        "server_unstable" | "recovery_started" | "recovery_held" | "config_reverted" | "servers_changed" => {
            ":large_yellow_circle:"
        }
        _ => ":information_source:",
    }
}

/// The three characters that mean something in Slack's text.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
