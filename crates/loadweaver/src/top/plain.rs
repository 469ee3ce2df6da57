//! One overview for whoever is no terminal: as text, or as JSON.

use std::fmt::Write;

use serde_json::{Value, json};

use super::ink::Ink;
use super::known::Known;
use super::page::Page;
use super::past::newest;
use super::shapes::{Pool, Server};
use super::shares::Share;
use super::table::{Order, Table, chosen};
use super::words::problems;

/// Columns of the text, but for what stands at the end of lines, which is not cut.
const WIDTH: usize = 110;

/// Everything, the worst first.
pub(super) fn text(known: &Known) -> String {
    let page = Page { known, ink: Ink::Plain, width: WIDTH };
    let table = Table::new(known, Ink::Plain, WIDTH);
    let nothing = || vec![ratatui::text::Line::default()];
    let mut lines = vec![page.header()];
    lines.extend(page.wrong(usize::MAX));
    lines.extend(nothing());
    lines.extend(page.traffic());
    lines.extend(nothing());
    lines.extend(page.pools(usize::MAX));
    lines.extend(nothing());
    lines.push(table.head());
    lines.extend(chosen(known, "", (Order::State, false)).into_iter().map(|row| table.row(row)));
    let mut text = String::new();
    for line in lines {
        // Writing into a String does not fail.
        let _ = writeln!(text, "{}", line.to_string().trim_end());
    }
    text.truncate(text.trim_end().len());
    text
}

/// The same for programs.
pub(super) fn json(known: &Known) -> Value {
    let node = &known.seconds.node;
    let lately = node.lately();
    json!({
        "url": known.place,
        "node": known.health,
        "wrong": problems(known),
        "requestsPerSecond": newest(&node.requests),
        "errorShare": lately.share(),
        "latency": {"p50": newest(&node.p50), "p95": newest(&node.p95), "p99": newest(&node.p99)},
        "activeConnections": newest(&node.active),
        "pools": known.pools.iter().map(|pool| of_pool(known, pool)).collect::<Vec<_>>(),
        "servers": chosen(known, "", (Order::State, false)).into_iter().map(of_server).collect::<Vec<_>>(),
    })
}

fn of_pool(known: &Known, pool: &Pool) -> Value {
    let line = known.seconds.pool(&pool.name);
    json!({
        "name": pool.name,
        "algorithm": pool.algorithm,
        "up": pool.up,
        "total": pool.total,
        "requestsPerSecond": line.and_then(|line| newest(&line.requests)),
        "errorShare": line.and_then(|line| line.lately().share()),
        "latency": line.map(|line| json!({"p50": newest(&line.p50), "p95": newest(&line.p95), "p99": newest(&line.p99)})),
    })
}

fn of_server((server, share): &(Server, Share)) -> Value {
    json!({
        "serverId": server.id,
        "pool": server.pool,
        "weight": server.weight,
        "state": server.state,
        "status": server.status,
        "reason": server.reason,
        "since": server.since,
        "eligible": server.eligible,
        "requestsPerSecond": share.rate,
        "share": share.part,
        "activeConnections": server.active_connections,
        "latency": {"p50": server.latency.p50, "p95": server.latency.p95, "p99": server.latency.p99},
    })
}
