//! Active probes, passive health and flap damping.

use crate::bounds;
use crate::document::Node;
use crate::issue::{Fault, Report};
use crate::model::probe::{BodyPattern, FlapDamping, HealthCheck, PassiveHealth, ProbeKind, StatusRange};
use crate::shape;
use crate::spot::{Section, Spot};
use crate::{address, quantity, syntax, url};

use super::headers::{self, Purpose};
use super::program;

mod fit;

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
    section.set("service", report, &mut health.service, |spot, report| {
        let text = spot.text(report, "a service such as \"shop.Cart\"")?;
        spot.settle(report, service(text)).map(str::to_owned)
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
    request(&section, &mut health, report);
    section.set("command", report, &mut health.command, program::argv);
    for (key, slot) in
        [("fastInterval", &mut health.fast_interval), ("maxInterval", &mut health.max_interval)]
    {
        section.set(key, report, slot, |spot, report| spot.duration(report, &bounds::INTERVAL));
    }
    fit::check(&section, &health, report);
    Some(health)
}

/// What a probe asks, and what the answer must hold, beyond the basics.
fn request(section: &Section<'_>, health: &mut HealthCheck, report: &mut Report) {
    section.set("method", report, &mut health.method, |spot, report| {
        let text = spot.text(report, "a method such as \"GET\"")?;
        spot.settle(report, url::sent_method(text))
    });
    section
        .set("port", report, &mut health.port, |spot, report| spot.number(report, &bounds::PORT).map(Some));
    section.set("tls", report, &mut health.tls, Spot::flag);
    section.set("verify", report, &mut health.verify, Spot::flag);
    section.set("headers", report, &mut health.headers, |spot, report| {
        headers::read(spot, Purpose::Send, report)
    });
    section.set("expectBody", report, &mut health.expect_body, |spot, report| {
        expect_body(spot, report).map(Some)
    });
    section.set("expectHeaders", report, &mut health.expect_headers, |spot, report| {
        headers::read(spot, Purpose::Expect, report)
    });
}

fn expect_body(spot: &Spot<'_>, report: &mut Report) -> Option<BodyPattern> {
    let section = Section::open(spot, &shape::EXPECT_BODY, report)?;
    let contains = section.get("contains").map(|spot| {
        let text = spot.text(report, "the text that a good answer holds")?;
        spot.settle(report, expected_text(text)).map(|()| BodyPattern::Contains(text.to_owned()))
    });
    let regex = section.get("regex").map(|spot| {
        let text = spot.text(report, "a regular expression such as \"^ok\"")?;
        spot.settle(report, syntax::regex(text)).map(|()| BodyPattern::Regex(text.to_owned()))
    });
    match (contains, regex) {
        (Some(pattern), None) | (None, Some(pattern)) => pattern,
        (found, _) => {
            let problem = if found.is_some() {
                "a body is held against one pattern, but here are contains and regex"
            } else {
                "nothing says what the body must hold"
            };
            spot.refuse(report, Fault::new(problem, "write { \"contains\": \"…\" } or { \"regex\": \"…\" }"));
            None
        }
    }
}

/// Any text is a name to a health service; what nobody can have meant is refused.
fn service(text: &str) -> Result<&str, Fault> {
    let help = "write its full name, such as \"shop.Cart\"";
    if text.len() > bounds::PROBED_SERVICE {
        let problem = format!("the name is longer than {} bytes", bounds::PROBED_SERVICE);
        return Err(Fault::new(problem, help));
    }
    if text.chars().any(|character| character.is_control() || character.is_whitespace()) {
        return Err(Fault::new("no service has a space in its name", help));
    }
    Ok(text)
}

fn expected_text(text: &str) -> Result<(), Fault> {
    if text.is_empty() {
        return Err(Fault::new("every body contains the empty text", "write one, or leave the key out"));
    }
    if text.len() > bounds::EXPECTED_TEXT {
        let problem = format!("the text is longer than {} bytes", bounds::EXPECTED_TEXT);
        return Err(Fault::new(problem, "write the part of it that tells a good answer"));
    }
    Ok(())
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

pub(super) fn flap_damping(spot: &Spot<'_>, report: &mut Report) -> Option<FlapDamping> {
    let section = Section::open(spot, &shape::FLAP_DAMPING, report)?;
    let mut damping = FlapDamping::default();
    section.set("limit", report, &mut damping.limit, |spot, report| spot.number(report, &bounds::FLAP_LIMIT));
    section.set("reuse", report, &mut damping.reuse, |spot, report| spot.number(report, &bounds::FLAP_REUSE));
    section.set("halfLife", report, &mut damping.half_life, |spot, report| {
        spot.duration(report, &bounds::HALF_LIFE)
    });
    if damping.limit > 0 && damping.reuse >= damping.limit {
        let problem = format!(
            "a server held out at {} would be let in again at {}, which is not less",
            damping.limit, damping.reuse
        );
        spot.refuse(
            report,
            Fault::new(problem, "write a \"reuse\" below \"limit\", or the limit 0 to turn this off"),
        );
    }
    Some(damping)
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
