//! Exchanges by where they came in and where they went, added up over the workers.

use std::collections::BTreeMap;
use std::sync::Arc;

use loadweaver_telemetry::series::{Book, Counted, Way};

/// How what came of a request is called: no final answer, then the classes, 1xx first.
pub(super) const CLASSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

/// Of all workers.
#[derive(Default)]
pub(super) struct Sums {
    pub(super) by_server: BTreeMap<(Way, Arc<str>), [u64; 6]>,
    pub(super) by_way: BTreeMap<Way, Durations>,
}

#[derive(Default)]
pub(super) struct Durations {
    pub(super) whole: Counted,
    pub(super) first_byte: Counted,
    pub(super) connect: Counted,
}

impl Sums {
    pub(super) fn of(books: &[Arc<Book>]) -> Self {
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

/// Exchanges by their method, in the order of [`METHODS`](loadweaver_telemetry::series::METHODS).
pub(super) fn by_method(books: &[Arc<Book>]) -> Vec<(&'static str, u64)> {
    let mut sums: Vec<(&'static str, u64)> = Vec::new();
    for book in books {
        for (place, (method, count)) in book.kinds.methods().enumerate() {
            match sums.get_mut(place) {
                Some((_, sum)) => *sum += count,
                None => sums.push((method, count)),
            }
        }
    }
    sums
}

/// Exchanges by their final status.
pub(super) fn by_status(books: &[Arc<Book>]) -> BTreeMap<u16, u64> {
    let mut sums = BTreeMap::new();
    for (status, count) in books.iter().flat_map(|book| book.kinds.statuses()) {
        *sums.entry(status).or_default() += count;
    }
    sums
}
