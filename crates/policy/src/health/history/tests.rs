#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use super::*;

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

#[test]
fn an_entry_takes_32_bytes_and_a_server_33_600_at_the_most() {
    assert_eq!((size_of::<Entry>(), History::MOST_BYTES), (32, 33_600));
    let mut history = History::default();
    for n in 0..1_000 {
        history.probe_failed(
            (ProbeFault::Timeout, &format!("{n} {}", "no answer ".repeat(40))),
            ms(1),
            None,
            ms(n),
        );
        assert!(history.iter().len() <= HISTORY && history.bytes() <= History::MOST_BYTES);
    }
    assert_eq!((history.iter().len(), history.0.capacity()), (200, 200));
}

#[test]
fn equal_texts_are_kept_once() {
    let mut history = History::default();
    for n in 0..500 {
        history.probe_ok(ms(1), Some(200), ms(n));
        history.probe_failed((ProbeFault::Timeout, "answered with status 500"), ms(1), Some(500), ms(n));
    }
    let texts: Vec<_> = history.iter().filter_map(|entry| entry.text.as_ref()).collect();
    assert!(texts.len() == 100 && texts.iter().all(|text| Arc::ptr_eq(text, texts[0])));
}

#[test]
fn a_long_text_is_cut_between_characters() {
    let mut history = History::default();
    history.probe_failed((ProbeFault::Timeout, &"é".repeat(100)), ms(1), None, ms(1));
    history.probe_failed((ProbeFault::Timeout, &format!("x{}", "é".repeat(100))), ms(1), None, ms(1));
    let lengths: Vec<_> = history.iter().map(|entry| entry.reason().unwrap().len()).collect();
    assert_eq!(lengths, [120, 119]);
}

#[test]
fn entries_say_what_happened() {
    let mut history = History::default();
    history.probe_ok(ms(3), Some(204), ms(10));
    history.probe_failed((ProbeFault::Timeout, "answered with status 500"), ms(4), Some(500), ms(20));
    history.changed(State::Up, State::Down, "3 probes in a row failed", ms(30));
    history.probe_ok(Duration::from_hours(9), None, ms(40));
    let entries: Vec<_> = history.iter().collect();
    let told = |entry: &Entry| (entry.at(), entry.latency(), entry.status());
    assert_eq!(told(entries[0]), (ms(10), Some(ms(3)), Some(204)));
    assert_eq!(told(entries[1]), (ms(20), Some(ms(4)), Some(500)));
    assert_eq!(told(entries[2]), (ms(30), None, None));
    assert_eq!(entries[3].latency(), Some(Duration::from_micros(u32::MAX.into())));
    assert_eq!(entries[0].reason(), None);
    assert_eq!(entries[2].reason(), Some("3 probes in a row failed"));
    assert_eq!(entries[2].what(), Happened::Changed { from: State::Up, to: State::Down });
}

#[test]
fn trend_compares_the_last_50_good_probes_with_the_50_before() {
    let mut history = History::default();
    assert_eq!(history.trend(), None);
    history.probe_failed((ProbeFault::Timeout, "no answer in time"), ms(900), None, ms(0));
    assert_eq!(history.trend(), None, "bad probes say nothing of latency");
    // 60 ms and up first, then 1 to 50 ms; bad ones in between do not count.
    for n in 0..60 {
        history.probe_ok(ms(60 + n), None, ms(n));
    }
    for n in 1..=50 {
        history.probe_ok(ms(n), None, ms(100 + n));
        history.probe_failed((ProbeFault::Timeout, "no answer in time"), ms(900), None, ms(100 + n));
    }
    let trend = history.trend().unwrap();
    assert_eq!(trend.recent, Quantiles { p50: ms(25), p95: ms(48) });
    assert_eq!(trend.before, Some(Quantiles { p50: ms(94), p95: ms(117) }));
}

#[test]
fn one_good_probe_is_a_trend_without_a_past() {
    let mut history = History::default();
    history.probe_ok(ms(7), None, ms(0));
    let same = Quantiles { p50: ms(7), p95: ms(7) };
    assert_eq!(history.trend(), Some(Trend { recent: same, before: None }));
}
