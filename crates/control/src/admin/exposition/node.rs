//! The node as a whole: clients, requests, failures, configuration, certificates.

use std::collections::BTreeSet;
use std::time::SystemTime;

use loadweaver_policy::failure::{Failure, RetryKind};
use loadweaver_proxy::Snapshot;
use loadweaver_telemetry::counters::{ProxyCounters, StatusClasses};

use super::super::Api;
use super::page::{Family, Labels, Page};
use crate::VERSION;
use crate::coordinator::View;
use crate::readiness::Stage;

/// How classes of answers are called, 1xx first.
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

pub(super) fn write(page: &mut Page, api: &Api, snapshot: &Snapshot) {
    page.gauge("loadweaver_build_info", "The version that runs.").sample(&Labels::of("version", VERSION), 1);
    let ready = u8::from(api.watched.readiness.stage() == Stage::Ready);
    page.gauge("loadweaver_ready", "1 while new traffic is welcome.").only(ready);
    if let Some(sight) = api.sight.get() {
        let counters = sight.proxy.counters();
        clients(page, counters);
        requests(page, counters);
        config(page, &sight.coordinator.view());
    }
    page.gauge("loadweaver_config_version", "Number of the configuration in force.").only(snapshot.version);
    if let Some(log) = &api.watched.access_log {
        page.counter("loadweaver_access_log_lines", "Lines of the access log that were written.")
            .only(log.written());
        page.counter("loadweaver_access_log_lost_lines", "Lines of the access log that were lost.")
            .only(log.dropped());
    }
    page.counter("loadweaver_events", "Events since the start.").only(api.watched.bus.last_id());
    certificates(page, snapshot);
}

fn clients(page: &mut Page, counters: &ProxyCounters) {
    let help = "Connections of clients that were accepted.";
    page.counter("loadweaver_client_connections_accepted", help).only(counters.connections_accepted.get());
    let help = "Connections of clients that are open.";
    page.gauge("loadweaver_client_connections", help).only(counters.connections_active.get());
    let help = "Upgraded connections that are open.";
    page.gauge("loadweaver_tunnels", help).only(counters.tunnels_active.get());
    let help = "Connections of clients that were ended because of what known attacks do.";
    page.counter("loadweaver_clients_cut", help).only(counters.clients_cut.get());
    let tls = &counters.tls;
    let help = "Handshakes with clients that came to their end, by version.";
    let mut handshakes = page.counter("loadweaver_tls_handshakes", help);
    handshakes.sample(&Labels::of("version", "TLSv1.2"), tls.tls12.get());
    handshakes.sample(&Labels::of("version", "TLSv1.3"), tls.tls13.get());
    let help = "Those of them that took up an earlier connection.";
    page.counter("loadweaver_tls_resumed_handshakes", help).only(tls.resumed.get());
    let help = "Handshakes with clients that came to nothing, by reason.";
    let mut failures = page.counter("loadweaver_tls_handshake_failures", help);
    failures.sample(&Labels::of("reason", "failed"), tls.failed.get());
    failures.sample(&Labels::of("reason", "timed_out"), tls.timed_out.get());
    failures.sample(&Labels::of("reason", "crowded_out"), tls.crowded_out.get());
}

fn requests(page: &mut Page, counters: &ProxyCounters) {
    let help = "Requests whose head was read and understood, or refused.";
    page.counter("loadweaver_client_requests", help).only(counters.requests.get());
    page.counter("loadweaver_refused_requests", "Requests refused for what they were.")
        .only(counters.refused.get());
    let mut answers =
        page.counter("loadweaver_answers", "Final answers to clients by class, our own included.");
    classes(&mut answers, &Labels::default(), &counters.statuses);
    let mut failures = page.counter("loadweaver_failures", "Exchanges by the failure that ended them.");
    for failure in Failure::ALL {
        let blame = failure.blame().name();
        failures
            .sample(&Labels::of("code", failure.code()).and("blame", blame), counters.failures.get(*failure));
    }
    let mut retries =
        page.counter("loadweaver_retries", "Attempts after the first one, by what they were made for.");
    let failures = &counters.retry_reasons.failures;
    for failure in Failure::ALL.iter().filter(|failure| failure.kind() != RetryKind::None) {
        retries.sample(&Labels::of("reason", failure.code()), failures.get(*failure));
    }
    for (status, count) in counters.retry_reasons.statuses.seen() {
        retries.sample(&Labels::of("reason", &status.to_string()), count);
    }
    retries.sample(&Labels::of("reason", "unavailable"), counters.retry_reasons.unavailable.get());
    let help = "Retries that were wanted and not made because a budget was used up.";
    page.counter("loadweaver_retry_budget_exhausted", help).only(counters.retry_budget_exhausted.get());
    let help = "Bytes of bodies received from clients.";
    page.counter("loadweaver_client_received_bytes", help).only(counters.bytes_in.get());
    let help = "Bytes of bodies sent to clients.";
    page.counter("loadweaver_client_sent_bytes", help).only(counters.bytes_out.get());
}

/// A sample for each class.
pub(super) fn classes(family: &mut Family<'_>, labels: &Labels, statuses: &StatusClasses) {
    for (class, count) in CLASSES.into_iter().zip(statuses.get()) {
        family.sample(&labels.clone().and("code_class", class), count);
    }
}

fn config(page: &mut Page, view: &View) {
    let help = "0 while the last change of the configuration stands refused.";
    let good = u8::from(view.refused.is_none());
    page.gauge("loadweaver_config_last_change_successful", help).only(good);
    if let Some(seconds) = view.versions.last().and_then(|version| since_1970(version.at)) {
        let help = "When the configuration in force was applied, in seconds since 1970.";
        page.gauge("loadweaver_config_applied_timestamp_seconds", help).only(seconds);
    }
    let help = "1 while what is in force is not in the file.";
    page.gauge("loadweaver_config_unsaved", help).only(u8::from(view.unsaved.is_some()));
}

fn certificates(page: &mut Page, snapshot: &Snapshot) {
    let help = "When a certificate ends, in seconds since 1970.";
    let mut ends = page.gauge("loadweaver_certificate_expiry_timestamp_seconds", help);
    for front in snapshot.fronts() {
        let mut told = BTreeSet::new();
        for certificate in front.certificates() {
            // Listed twice it is doubtful, and no error.
            if !told.insert(certificate.files().cert.clone()) {
                continue;
            }
            let Some(seconds) = since_1970(certificate.ends()) else { continue };
            let file = certificate.files().cert.display().to_string();
            ends.sample(&Labels::of("listener", front.listener()).and("file", &file), seconds);
        }
    }
}

fn since_1970(at: SystemTime) -> Option<f64> {
    at.duration_since(SystemTime::UNIX_EPOCH).ok().map(|since| since.as_secs_f64())
}
