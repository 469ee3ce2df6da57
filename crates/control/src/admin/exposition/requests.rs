//! Requests by where they came in and where they went, added up over the workers.

use std::collections::BTreeMap;
use std::sync::Arc;

use loadweaver_telemetry::series::{Book, Counted, Way};

use super::page::{Labels, Page};

/// How what came of a request is called: no final answer, then the classes, 1xx first.
const CLASSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

/// Of all workers.
#[derive(Default)]
struct Sums {
    by_server: BTreeMap<(Way, Arc<str>), [u64; 6]>,
    by_way: BTreeMap<Way, Durations>,
}

#[derive(Default)]
struct Durations {
    whole: Counted,
    first_byte: Counted,
    connect: Counted,
}

impl Sums {
    fn of(books: &[Arc<Book>]) -> Self {
        let mut sums = Self::default();
        for book in books {
            // The servers of a way have their times in common.
            let mut times = BTreeMap::new();
            for series in book.series() {
                let key = (series.way().clone(), series.server().clone());
                let classes = sums.by_server.entry(key).or_default();
                classes.iter_mut().zip(series.classes()).for_each(|(sum, count)| *sum += count);
                times.insert(series.way().clone(), series.times().clone());
            }
            for (way, times) in times {
                let sum = sums.by_way.entry(way).or_default();
                sum.whole.absorb(&times.whole.get());
                sum.first_byte.absorb(&times.first_byte.get());
                sum.connect.absorb(&times.connect.get());
            }
        }
        sums
    }
}

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

fn labels(way: &Way) -> Labels {
    Labels::of("listener", &way.listener).and("route", &way.route).and("pool", &way.pool)
}
