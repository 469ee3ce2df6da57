//! Active probes and passive health.

use crate::bounds;
use crate::document::Node;
use crate::issue::{Fault, Report};
use crate::model::probe::{HealthCheck, PassiveHealth, ProbeKind, StatusRange};
use crate::quantity::{self, format_duration};
use crate::shape;
use crate::spot::{Section, Spot};
use crate::{address, syntax};

/// The lowest status that a probe can be answered with: interim answers are not answers.
const FINAL_STATUS: u16 = 200;

/// The lowest status that can be a failure.
pub(super) const FAILURE_STATUS: u16 = 400;

pub(super) fn health_check(spot: &Spot<'_>, report: &mut Report) -> Option<HealthCheck> {
    let section = Section::open(spot, &shape::HEALTH_CHECK, report)?;
    let mut health = HealthCheck::default();
    section.set("type", report, &mut health.kind, |spot, report| {
        spot.word(report, ProbeKind::ALL, ProbeKind::name)
    });
    section.set("path", report, &mut health.path, |spot, report| {
        let text = spot.text(report, "a path such as \"/health\"")?;
        spot.settle(report, syntax::path(text, true)).map(str::to_owned)
    });
    section.set("host", report, &mut health.host, |spot, report| {
        let text = spot.text(report, "a host such as \"app.example.com\"")?;
        spot.settle(report, address::host_header(text)).map(Some)
    });
    for (key, slot, bounds) in [
        ("interval", &mut health.interval, &bounds::INTERVAL),
        ("timeout", &mut health.timeout, &bounds::PROBE_TIMEOUT),
    ] {
        section.set(key, report, slot, |spot, report| spot.duration(report, bounds));
    }
    for (key, slot) in [("rise", &mut health.rise), ("fall", &mut health.fall)] {
        section.set(key, report, slot, |spot, report| spot.number(report, &bounds::RISE_FALL));
    }
    section.set("expectStatus", report, &mut health.expect_status, |spot, report| {
        let ranges = status_ranges(spot, FINAL_STATUS, report)?;
        if spot.is_empty_list() {
            let help = "name the good ones, such as [\"200-399\"], or leave the key out";
            spot.refuse(report, Fault::new("no status would be a good answer", help));
        }
        Some(ranges)
    });
    section.set("maxLatency", report, &mut health.max_latency, |spot, report| {
        spot.duration(report, &bounds::PROBE_TIMEOUT).map(Some)
    });
    section.set("startDown", report, &mut health.start_down, Spot::flag);
    latency_fits(&section, &health, report);
    http_keys_fit(&section, &health, report);
    Some(health)
}

/// A probe cannot be slower than its time-out.
fn latency_fits(section: &Section<'_>, health: &HealthCheck, report: &mut Report) {
    let Some(spot) = section.get("maxLatency") else { return };
    let Some(latency) = health.max_latency.filter(|latency| *latency > health.timeout) else { return };
    let (latency, timeout) = (format_duration(latency), format_duration(health.timeout));
    let problem = format!("a probe of {latency} can never come about: it has failed after {timeout}");
    spot.refuse(report, Fault::new(problem, "lower \"maxLatency\" or raise \"timeout\""));
}

/// Keys that only an `http` probe looks at. Without a `type` they are a forgotten `type`; with another one,
/// probably left from a trial.
fn http_keys_fit(section: &Section<'_>, health: &HealthCheck, report: &mut Report) {
    if health.kind == ProbeKind::Http {
        return;
    }
    let kind = section.get("type");
    for key in ["path", "host", "expectStatus"] {
        let Some(spot) = section.get(key) else { continue };
        let problem = format!("\"{key}\" has no effect on a probe of type \"{}\"", health.kind.name());
        if kind.is_none() {
            let problem = format!("{problem}, which is the default");
            spot.refuse(report, Fault::new(problem, "add \"type\": \"http\" to this health check"));
        } else if health.kind == ProbeKind::Tcp {
            report.warn(&spot.at, Fault::new(problem, "write \"type\": \"http\", or take the key out"));
        }
    }
    if health.kind == ProbeKind::Off && health.start_down {
        let problem = "without probes, a server that starts down would never get traffic";
        let fault = Fault::new(problem, "take \"startDown\" out, or choose the type \"tcp\" or \"http\"");
        report.issue(section.at(), fault);
    }
}

pub(super) fn passive_health(spot: &Spot<'_>, report: &mut Report) -> Option<PassiveHealth> {
    let section = Section::open(spot, &shape::PASSIVE_HEALTH, report)?;
    let mut passive = PassiveHealth::default();
    section.set("failures", report, &mut passive.failures, |spot, report| {
        spot.number(report, &bounds::FAILURES)
    });
    section.set("window", report, &mut passive.window, |spot, report| spot.duration(report, &bounds::WINDOW));
    section.set("onStatus", report, &mut passive.on_status, |spot, report| {
        status_ranges(spot, FAILURE_STATUS, report)
    });
    section.set("hold", report, &mut passive.hold, |spot, report| spot.duration(report, &bounds::HOLD));
    Some(passive)
}

fn status_ranges(spot: &Spot<'_>, min: u16, report: &mut Report) -> Option<Vec<StatusRange>> {
    let entries = spot.list(report, "statuses")?;
    Some(entries.iter().filter_map(|entry| status_range(entry, min, report)).collect())
}

/// One status or range, none of it below `min`.
pub(super) fn status_range(spot: &Spot<'_>, min: u16, report: &mut Report) -> Option<StatusRange> {
    if let Some(text) = text_of(spot) {
        return spot.settle(report, quantity::parse_status_range(text, min));
    }
    if let Node::Number(_) = spot.node {
        let status: u16 = spot.number(report, &(u64::from(min)..=599))?;
        return Some(StatusRange { first: status, last: status });
    }
    spot.text(report, "a status such as \"503\" or a range such as \"500-599\"")?;
    None
}

pub(super) fn text_of<'a>(spot: &Spot<'a>) -> Option<&'a str> {
    match spot.node {
        Node::Text(text) => Some(&text.value),
        _ => None,
    }
}
