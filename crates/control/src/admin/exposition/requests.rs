//! Requests by where they came in and where they went.

use std::sync::Arc;

use loadweaver_telemetry::series::{Book, Counted, Way};

use super::super::sums::{self, CLASSES, Durations, Sums};
use super::page::{Labels, Page};

pub(super) fn write(page: &mut Page, books: &[Arc<Book>]) {
    let Sums { by_server, by_way } = Sums::of(books);
    let help = "Requests by where they came in, where they went, and what came of it.";
    let mut requests = page.counter("loadweaver_requests", help);
    for ((way, server), classes) in &by_server {
        let labels = labels(way).and("server", server);
        for (class, count) in CLASSES.into_iter().zip(classes).filter(|(_, count)| **count > 0) {
            requests.sample(&labels.clone().and("code_class", class), count);
        }
    }
    let rows: Vec<_> = by_way.iter().map(|(way, durations)| (labels(way), durations)).collect();
    let mut histogram = |name, help, of: fn(&Durations) -> &Counted| {
        let mut family = page.histogram(name, help);
        for (labels, durations) in &rows {
            family.buckets(labels, of(durations));
        }
    };
    let help = "From the begin of a request to the last byte of its answer; tunnels are left out.";
    histogram("loadweaver_request_duration_seconds", help, |durations| &durations.whole);
    let help = "From the begin of a request to the first byte of a server's answer.";
    histogram("loadweaver_request_first_byte_seconds", help, |durations| &durations.first_byte);
    let help = "To have a connection to a server, where one was made for the request.";
    histogram("loadweaver_request_connect_seconds", help, |durations| &durations.connect);
}

/// Requests by their method.
pub(super) fn methods(page: &mut Page, books: &[Arc<Book>]) {
    let help = "Requests by method; refused are those whose head was.";
    let mut family = page.counter("loadweaver_methods", help);
    for (method, count) in sums::by_method(books) {
        family.sample(&Labels::of("method", method), count);
    }
}

fn labels(way: &Way) -> Labels {
    Labels::of("listener", &way.listener).and("route", &way.route).and("pool", &way.pool)
}
