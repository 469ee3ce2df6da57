#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
use serde_json::{Value, json};

use super::*;
use crate::top::known::Loss;
use crate::top::shapes::{Server, Text};
use crate::top::shares::Share;

fn server(number: usize, status: &str) -> (Server, Share) {
    let server: Server = serde_json::from_value(json!({
        "serverId": format!("10.0.0.{number}:3001"), "pool": if number.is_multiple_of(2) { "even" } else { "odd" },
        "weight": 1, "state": "active", "status": status, "reason": "3 probes in a row failed: 日本語 \u{1b}[2J",
        "since": "2026-01-01T00:00:00Z", "eligible": status == "up", "activeConnections": number,
        "requests": 0, "latency": {"p50": 1.0, "p95": 12.0, "p99": 15.0}
    }))
    .unwrap();
    (server, Share { rate: Some(1.0), part: Some(0.5) })
}

/// A node with as many servers, each seventh of them down.
fn known(servers: usize) -> Known {
    let column: Vec<Value> =
        (0..300).map(|point| if point % 7 == 0 { Value::Null } else { json!(point) }).collect();
    let columns = json!({"requests": column, "errors": vec![0; 300], "active": column, "up": column, "p50": column,
        "p95": column, "p99": column});
    let mut pool = columns.clone();
    pool["name"] = json!("even");
    let lines = json!({"startedAt": "a", "step": 1, "first": 0, "last": 299, "at": "2026-01-01T00:01:00Z",
        "node": columns, "pools": [pool]});
    let pool = |name, up| json!({"name": name, "algorithm": "round_robin", "up": up, "total": servers});
    let mut known = Known::default();
    known.place = Text::new("http://127.0.0.1:9090");
    known.health =
        serde_json::from_value(json!({"state": "ready", "version": "1", "uptime": 3.0, "configVersion": 1}))
            .ok();
    known.seconds = serde_json::from_value(lines.clone()).unwrap();
    known.hour = serde_json::from_value(lines).unwrap();
    known.pools =
        serde_json::from_value(json!([pool("even", servers), pool("odd", 0), pool("日本", 1)])).unwrap();
    known.servers =
        (0..servers).map(|number| server(number, if number % 7 == 0 { "down" } else { "up" })).collect();
    let odd = json!({"severity": "critical", "subject": "pool", "what": "Pool odd has no server for new requests", "why": "日本語 \u{1b}[2J"});
    let down =
        json!({"severity": "warning", "subject": "server", "what": "10.0.0.7:3001 is down", "why": ""});
    let mut problems = if servers == 0 { vec![] } else { vec![odd] };
    problems.extend(vec![down; servers / 4]);
    let summary = "All is well. All 0 servers may have new requests.";
    known.problems = serde_json::from_value(json!({"summary": summary, "problems": problems})).unwrap();
    known
}

fn text(known: &Known, view: &mut View, (width, height): (u16, u16)) -> Vec<String> {
    let area = Rect::new(0, 0, width, height);
    let mut buffer = Buffer::empty(area);
    draw(&mut buffer, area, (known, Ink::Colours), view);
    let row = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>();
    (0..height).map(row).collect()
}

#[test]
fn every_size_is_drawn_and_what_is_wrong_is_on_top() {
    for (servers, lost) in [(0, false), (3, true), (40, false)] {
        let mut known = known(servers);
        known.lost = lost.then(|| Loss { why: Text::new("connection refused"), since: 0.0 });
        for help in [false, true] {
            let mut view = View::default();
            view.help = help;
            for width in (0..24).chain([40, 59, 60, 79, 80, 100, 200, 500]) {
                for height in (0..27).chain([60, 120]) {
                    text(&known, &mut view, (width, height));
                }
            }
            let rows = text(&known, &mut view, (80, 3));
            let first = match (lost, servers) {
                (true, _) => ": No connection since",
                (false, 0) => " ✓ All is well",
                (false, _) => ": Pool odd has no server",
            };
            assert!(help || rows[1].contains(first), "{rows:#?}");
        }
    }
}

#[test]
fn all_parts_are_on_a_usual_screen() {
    let screen = text(&known(40), &mut View::default(), (80, 24)).join("\n");
    for part in [
        "Pool odd has no server for new requests",
        "things are wrong",
        "Requests",
        "p95",
        "Health, last hour",
        "✓ 40 of 40",
        "✗ 0 of 40",
        "✗ down",
        "Share",
        "50 %",
        "(pool even)",
        "q quit",
        "1 of 40",
    ] {
        assert!(screen.contains(part), "{part} is missing:\n{screen}");
    }
    assert!(!screen.contains('\u{1b}'));
}

#[test]
fn two_thousand_servers_are_gone_through_to_the_last() {
    use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
    let (known, mut view) = (known(2000), View::default());
    text(&known, &mut view, (80, 24));
    view.press(KeyEvent::new(KeyCode::Char('s'), KeyModifiers::NONE));
    view.press(KeyEvent::new(KeyCode::End, KeyModifiers::NONE));
    let screen = text(&known, &mut view, (80, 24)).join("\n");
    assert!(screen.contains("10.0.0.999:3001") && screen.contains("2000 of 2000"), "{screen}");
    view.filter = "10.0.0.77:".to_owned();
    let screen = text(&known, &mut view, (80, 24)).join("\n");
    assert!(screen.contains("1 of 2000 servers have"), "{screen}");
}
