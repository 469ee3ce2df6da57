//! Whether the keys of a health check fit its type and each other.

use crate::issue::{Fault, Report};
use crate::model::probe::{HealthCheck, ProbeKind};
use crate::quantity::format_duration;
use crate::spot::Section;

pub(super) fn check(section: &Section<'_>, health: &HealthCheck, report: &mut Report) {
    latency_fits(section, health, report);
    keys_fit(section, health, report);
    if health.kind == ProbeKind::Off {
        starts_somehow(section, health, report);
        return;
    }
    intervals_fit(section, health, report);
    request_fits(section, health, report);
    if health.kind == ProbeKind::Exec {
        let help = "say what to run: \"command\": [\"/usr/local/bin/check-app\", \"--quick\"]";
        section.need("command", report, help);
    }
}

/// A probe cannot be slower than its time-out.
fn latency_fits(section: &Section<'_>, health: &HealthCheck, report: &mut Report) {
    let Some(spot) = section.get("maxLatency") else { return };
    let Some(latency) = health.max_latency.filter(|latency| *latency > health.timeout) else { return };
    let (latency, timeout) = (format_duration(latency), format_duration(health.timeout));
    let problem = format!("a probe of {latency} can never come about: it has failed after {timeout}");
    spot.refuse(report, Fault::new(problem, "lower \"maxLatency\" or raise \"timeout\""));
}

const HTTP: &[ProbeKind] = &[ProbeKind::Http];
const REQUESTS: &[ProbeKind] = &[ProbeKind::Http, ProbeKind::Grpc];
const CONNECTIONS: &[ProbeKind] = &[ProbeKind::Tcp, ProbeKind::Http, ProbeKind::Grpc];

/// Keys that not every kind of probe looks at, and those that do; the first is meant where the key stands alone.
const OF_KINDS: [(&str, &[ProbeKind]); 12] = [
    ("path", HTTP),
    ("service", &[ProbeKind::Grpc]),
    ("host", REQUESTS),
    ("expectStatus", HTTP),
    ("method", HTTP),
    ("tls", REQUESTS),
    ("verify", REQUESTS),
    ("headers", REQUESTS),
    ("expectBody", HTTP),
    ("expectHeaders", HTTP),
    ("port", CONNECTIONS),
    ("command", &[ProbeKind::Exec]),
];

/// Headers of a call that are ours to write (`grpc/doc/PROTOCOL-HTTP2.md`).
const OF_CALLS: [&str; 4] = ["content-type", "grpc-accept-encoding", "grpc-encoding", "grpc-timeout"];

/// Without a `type`, such a key is a forgotten `type`; with another one, probably left from a trial.
fn keys_fit(section: &Section<'_>, health: &HealthCheck, report: &mut Report) {
    let kind = section.get("type");
    for (key, of) in OF_KINDS {
        let Some(spot) = section.get(key).filter(|_| !of.contains(&health.kind)) else { continue };
        let Some(of) = of.first() else { continue };
        let problem = format!("\"{key}\" has no effect on a probe of type \"{}\"", health.kind.name());
        if kind.is_none() {
            let problem = format!("{problem}, which is the default");
            let help = format!("add \"type\": \"{}\" to this health check", of.name());
            spot.refuse(report, Fault::new(problem, help));
        } else if health.kind != ProbeKind::Off {
            let help = format!("write \"type\": \"{}\", or take the key out", of.name());
            report.warn(&spot.at, Fault::new(problem, help));
        }
    }
}

fn starts_somehow(section: &Section<'_>, health: &HealthCheck, report: &mut Report) {
    if health.start_down {
        let problem = "without probes, a server that starts down would never get traffic";
        let fault = Fault::new(problem, "take \"startDown\" out, or choose the type \"tcp\" or \"http\"");
        report.issue(section.at(), fault);
    }
}

/// Only what is written: a default gives way to `interval`.
fn intervals_fit(section: &Section<'_>, health: &HealthCheck, report: &mut Report) {
    let interval = format_duration(health.interval);
    if let Some(spot) = section.get("fastInterval").filter(|_| health.fast_interval > health.interval) {
        let problem = format!(
            "probes around a change would be slower than the usual ones, which come every {interval}"
        );
        report.warn(&spot.at, Fault::new(problem, "lower \"fastInterval\", or take it out"));
    }
    if let Some(spot) = section.get("maxInterval").filter(|_| health.max_interval < health.interval) {
        let problem = format!(
            "probes of a server that is down would be quicker than the usual ones, which come every {interval}"
        );
        report.warn(&spot.at, Fault::new(problem, "raise \"maxInterval\", or take it out"));
    }
}

fn request_fits(section: &Section<'_>, health: &HealthCheck, report: &mut Report) {
    if !REQUESTS.contains(&health.kind) {
        return;
    }
    if let Some(spot) =
        section.get("expectBody").filter(|_| health.kind == ProbeKind::Http && health.method == "HEAD")
    {
        // RFC 9110, 9.3.2.
        let fault = Fault::new("an answer to HEAD has no body", "take it out, or choose the method \"GET\"");
        spot.refuse(report, fault);
    }
    if let Some(spot) = section.get("verify").filter(|_| !health.tls) {
        let problem = "\"verify\" has no effect without \"tls\": true";
        report.warn(&spot.at, Fault::new(problem, "add \"tls\": true, or take the key out"));
    }
    let ours = health.headers.iter().find(|(name, _)| OF_CALLS.contains(&name.as_str()));
    if let (ProbeKind::Grpc, Some((name, _)), Some(spot)) = (health.kind, ours, section.get("headers")) {
        let problem = format!("the header {name} belongs to every call, and is written for you");
        spot.refuse(report, Fault::new(problem, "take it out"));
    }
}
