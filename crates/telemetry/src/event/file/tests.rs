#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::super::{Event, EventBus};
use super::*;

/// A folder that goes with the value.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("loadweaver-events-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn settings(&self, max_size: u64, keep: u32) -> EventLog {
        EventLog { file: self.0.join("events.jsonl"), max_size, keep }
    }

    /// The versions told in a file, oldest first.
    fn versions(&self, name: &str) -> Vec<u64> {
        let text = fs::read_to_string(self.0.join(name)).unwrap();
        let told = |line: &str| serde_json::from_str::<Value>(line).unwrap()["details"]["version"].as_u64();
        text.lines().map(|line| told(line).unwrap()).collect()
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(&self.0)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

fn tell(bus: &EventBus, versions: std::ops::RangeInclusive<u64>) {
    for version in versions {
        bus.emit(Event::ConfigReverted { version, reason: "because".into() });
    }
}

fn wait_for(what: &str, condition: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < end, "still not so: {what}");
        std::thread::yield_now();
    }
}

#[test]
fn each_event_is_a_line_as_the_history_tells_it() {
    let folder = Folder::new();
    let bus = EventBus::of_node("lb-1", 4);
    tell(&bus, 1..=1);
    bus.write_to(Some(EventFile::open(&folder.settings(1 << 20, 5)).unwrap()));
    tell(&bus, 2..=3);
    let file = bus.file().unwrap();
    file.close();
    assert_eq!((file.written(), file.dropped()), (2, 0));
    let text = fs::read_to_string(folder.0.join("events.jsonl")).unwrap();
    let expected: Vec<String> = bus.since(1).iter().map(|each| each.to_json().to_string()).collect();
    assert_eq!(text, expected.join("\n") + "\n");
}

#[test]
fn a_file_that_would_grow_too_large_is_set_aside_and_the_oldest_goes() {
    let folder = Folder::new();
    let bus = EventBus::of_node("lb-1", 4);
    tell(&bus, 10..=10);
    let line = bus.recent(1)[0].to_json().to_string().len() as u64 + 1;
    // Room for two lines and a half.
    bus.write_to(Some(EventFile::open(&folder.settings(line * 5 / 2, 2)).unwrap()));
    tell(&bus, 11..=19);
    bus.file().unwrap().close();
    assert_eq!(folder.names(), ["events.jsonl", "events.jsonl.1", "events.jsonl.2"]);
    assert_eq!(folder.versions("events.jsonl.2"), [15, 16]);
    assert_eq!(folder.versions("events.jsonl.1"), [17, 18]);
    assert_eq!(folder.versions("events.jsonl"), [19]);
}

#[test]
fn a_start_goes_on_with_the_size_that_the_file_has() {
    let folder = Folder::new();
    for round in 0..2_u64 {
        let bus = EventBus::of_node("lb-1", 4);
        bus.write_to(Some(EventFile::open(&folder.settings(200, 1)).unwrap()));
        tell(&bus, round + 1..=round + 1);
        bus.file().unwrap().close();
    }
    assert_eq!(folder.versions("events.jsonl.1"), [1]);
    assert_eq!(folder.versions("events.jsonl"), [2]);
}

#[test]
fn with_nothing_to_keep_the_old_file_goes() {
    let folder = Folder::new();
    let bus = EventBus::of_node("lb-1", 4);
    bus.write_to(Some(EventFile::open(&folder.settings(1, 0)).unwrap()));
    tell(&bus, 1..=3);
    bus.file().unwrap().close();
    assert_eq!(folder.names(), ["events.jsonl"]);
    assert_eq!(folder.versions("events.jsonl"), [3]);
}

#[test]
fn a_folder_that_takes_no_new_file_costs_no_line() {
    let folder = Folder::new();
    let bus = EventBus::of_node("lb-1", 4);
    bus.write_to(Some(EventFile::open(&folder.settings(1, 3)).unwrap()));
    // The name that a new file would have first is taken by a folder.
    fs::create_dir(folder.0.join("events.jsonl.new")).unwrap();
    tell(&bus, 1..=3);
    let file = bus.file().unwrap();
    wait_for("three lines are written", || file.written() == 3);
    assert_eq!(folder.versions("events.jsonl"), [1, 2, 3]);
    fs::remove_dir(folder.0.join("events.jsonl.new")).unwrap();
    tell(&bus, 4..=4);
    file.close();
    assert_eq!(folder.versions("events.jsonl.1"), [1, 2, 3]);
    assert_eq!(folder.versions("events.jsonl"), [4]);
}

#[test]
fn a_full_disk_is_counted_and_what_comes_after_it_is_written() {
    let folder = Folder::new();
    let settings = folder.settings(1 << 20, 5);
    std::os::unix::fs::symlink("/dev/full", &settings.file).unwrap();
    let bus = EventBus::of_node("lb-1", 4);
    bus.write_to(Some(EventFile::open(&settings).unwrap()));
    tell(&bus, 1..=3);
    let file = bus.file().unwrap();
    wait_for("three lines are lost", || file.dropped() == 3);
    fs::remove_file(&settings.file).unwrap();
    file.reopen().unwrap();
    tell(&bus, 4..=5);
    file.close();
    assert_eq!((file.written(), file.dropped()), (2, 3));
    assert_eq!(folder.versions("events.jsonl"), [4, 5]);
}

#[test]
fn reopening_goes_on_in_a_new_file() {
    let folder = Folder::new();
    let bus = EventBus::of_node("lb-1", 4);
    bus.write_to(Some(EventFile::open(&folder.settings(1 << 20, 5)).unwrap()));
    let file = bus.file().unwrap();
    tell(&bus, 1..=1);
    wait_for("the line is written", || file.written() == 1);
    fs::rename(folder.0.join("events.jsonl"), folder.0.join("elsewhere")).unwrap();
    file.reopen().unwrap();
    tell(&bus, 2..=2);
    file.close();
    assert_eq!((folder.versions("elsewhere"), folder.versions("events.jsonl")), (vec![1], vec![2]));
}

#[test]
fn another_file_takes_over_and_the_first_loses_nothing() {
    let folder = Folder::new();
    let bus = EventBus::of_node("lb-1", 4);
    bus.write_to(Some(EventFile::open(&folder.settings(1 << 20, 5)).unwrap()));
    let first = bus.file().unwrap();
    tell(&bus, 1..=500);
    bus.write_to(Some(
        EventFile::open(&EventLog { file: folder.0.join("b"), ..folder.settings(1 << 20, 5) }).unwrap(),
    ));
    tell(&bus, 501..=502);
    bus.file().unwrap().close();
    wait_for("the first is written", || first.written() == 500);
    assert_eq!(folder.versions("events.jsonl"), (1..=500).collect::<Vec<u64>>());
    assert_eq!(folder.versions("b"), [501, 502]);
    bus.write_to(None);
    tell(&bus, 503..=503);
    assert!(bus.file().is_none());
}

#[test]
fn a_file_that_nobody_holds_any_more_is_written_and_closed() {
    let folder = Folder::new();
    let file = EventFile::open(&folder.settings(1 << 20, 5)).unwrap();
    let bus = EventBus::of_node("lb-1", 4);
    tell(&bus, 1..=1);
    (0..100).for_each(|_| file.write(&bus.recent(1)[0]));
    let path = fs::canonicalize(folder.0.join("events.jsonl")).unwrap();
    let is_open = || {
        let open = fs::read_dir("/proc/self/fd").unwrap();
        open.flatten().any(|entry| fs::read_link(entry.path()).is_ok_and(|target| target == path))
    };
    assert!(is_open());
    drop(file);
    wait_for("the thread has ended", || !is_open());
    assert_eq!(folder.versions("events.jsonl").len(), 100);
}

#[test]
fn names_the_file_that_cannot_be_opened() {
    let settings = EventLog { file: "/proc/nowhere/events".into(), max_size: 1, keep: 1 };
    let error = EventFile::open(&settings).unwrap_err().to_string();
    assert!(error.contains("the event file /proc/nowhere/events"), "{error}");
}
