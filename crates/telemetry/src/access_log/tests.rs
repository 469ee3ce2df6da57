#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, Instant, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::record::HttpVersion;

use super::*;

mod lines;

fn record() -> Record<'static> {
    Record {
        at: UNIX_EPOCH + Duration::from_millis(1_700_000_000_042),
        request_id: "0af1",
        client: Some(SocketAddr::from(([10, 0, 0, 1], 50_000))),
        client_ip: Some(IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9))),
        method: "GET",
        target: "/search?q=a%20b",
        version: HttpVersion::Http11,
        host: "example.com",
        user_agent: b"curl/8.5",
        referer: b"",
        status: 200,
        bytes_in: 0,
        bytes_out: 512,
        listener: "web",
        route: Some("rest"),
        pool: Some("app"),
        server: Some("app-1"),
        attempts: 2,
        connect: None,
        first_byte: Some(Duration::from_micros(1500)),
        total: Duration::from_micros(2001),
        failure: None,
        upgraded: false,
        request_headers: &[],
        response_headers: &[],
    }
}

fn as_it_came<'r>(record: &Record<'r>) -> Shown<'r> {
    Shown { target: record.target.as_bytes(), referer: record.referer }
}

fn json_line(record: &Record<'_>) -> String {
    let mut out = Vec::new();
    json::write(&mut out, &mut Clock::new(Clock::RFC3339), record, as_it_came(record));
    String::from_utf8(out).unwrap()
}

fn combined_line(record: &Record<'_>) -> String {
    let mut out = Vec::new();
    combined::write(&mut out, &mut Clock::new(Clock::APACHE), record, as_it_came(record));
    String::from_utf8(out).unwrap()
}

/// Usual lines to this output.
fn to(output: LogOutput) -> Settings {
    Settings { output, ..Settings::default() }
}

/// A path of its own for each test, gone with the value.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("loadweaver-{}-{name}", std::process::id()));
        drop(std::fs::remove_file(&path));
        Self(path)
    }

    fn open(&self) -> io::Result<AccessLog> {
        Ok(AccessLog::open(&to(LogOutput::File(self.0.clone())))?.unwrap())
    }

    fn text(&self) -> String {
        std::fs::read_to_string(&self.0).unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.0));
    }
}

#[test]
fn json_line_tells_the_whole_story() {
    let line: Value = serde_json::from_str(&json_line(&record())).unwrap();
    let expected = json!({
        "time": "2023-11-14T22:13:20.042Z", "requestId": "0af1", "client": "10.0.0.1:50000",
        "clientIp": "203.0.113.9", "method": "GET", "target": "/search?q=a%20b", "version": "1.1",
        "host": "example.com", "userAgent": "curl/8.5", "status": 200, "bytesIn": 0, "bytesOut": 512,
        "listener": "web", "route": "rest", "pool": "app", "server": "app-1", "attempts": 2,
        "firstByteMs": 1.5, "totalMs": 2.001
    });
    assert_eq!(line, expected);
}

#[test]
fn combined_line_starts_as_apache_writes_it() {
    let line = combined_line(&record());
    let (apache, rest) = line.split_once(" id=").unwrap();
    assert_eq!(
        apache,
        r#"203.0.113.9 - - [14/Nov/2023:22:13:20 +0000] "GET /search?q=a%20b HTTP/1.1" 200 512 "-" "curl/8.5""#
    );
    assert_eq!(
        rest,
        "0af1 host=example.com listener=web route=rest pool=app server=app-1 in=0 attempts=2 connect=- \
         first_byte=1.500 total=2.001 failure=-\n"
    );
}

#[test]
fn a_client_that_left_early_shows_as_499_unless_a_status_was_sent() {
    let mut left = Record { status: 0, failure: Some(Failure::ClientClosed), ..record() };
    let line: Value = serde_json::from_str(&json_line(&left)).unwrap();
    assert_eq!((&line["status"], &line["failure"]), (&json!(499), &json!("client_closed")));
    left.status = 206;
    assert!(combined_line(&left).contains("\" 206 "));
}

#[test]
fn an_unreadable_request_still_makes_a_well_formed_line() {
    let bad = Record {
        method: "",
        target: "",
        host: "",
        route: None,
        pool: None,
        server: None,
        attempts: 0,
        failure: Some(Failure::BadRequestLine),
        status: 400,
        ..record()
    };
    assert!(combined_line(&bad).contains("] \"-\" 400 512 \"-\""));
    let line: Value = serde_json::from_str(&json_line(&bad)).unwrap();
    assert_eq!(line["pool"], Value::Null);
    assert_eq!(line["failure"], "bad_request_line");
}

/// Whatever bytes a client sends, each record is one line, and each field ends where it should.
#[test]
fn no_byte_of_a_client_can_forge_a_line_or_a_field() {
    for first in 0..=u8::MAX {
        for second in [b'"', b'\\', b'\n', b'a', 0x80, 0xc3] {
            let hostile = [b'x', first, second, first];
            let target = String::from_utf8_lossy(&hostile);
            let record = Record {
                user_agent: &hostile,
                referer: &hostile,
                target: &target,
                host: &target,
                ..record()
            };
            let line = json_line(&record);
            assert_eq!(line.matches('\n').count(), 1);
            assert!(!line.trim_end_matches('\n').chars().any(char::is_control));
            let read: Value = serde_json::from_str(&line).unwrap();
            assert_eq!(read["status"], 200);
            assert_eq!(read["target"].as_str(), Some(&*target));
            assert_combined_has_three_quoted_fields(&combined_line(&record));
        }
    }
}

fn assert_combined_has_three_quoted_fields(line: &str) {
    assert_eq!(line.matches('\n').count(), 1, "{line:?}");
    let mut quotes = 0;
    let mut escaped = false;
    for byte in line.trim_end_matches('\n').bytes() {
        assert!((b' '..=b'~').contains(&byte), "{line:?}");
        quotes += usize::from(byte == b'"' && !escaped);
        escaped = byte == b'\\' && !escaped;
    }
    assert_eq!(quotes, 6, "{line:?}");
}

#[test]
fn appends_to_a_file_and_loses_nothing_on_close() {
    let scratch = Scratch::new("append");
    for round in 1..=2 {
        let log = scratch.open().unwrap();
        let mut writers = [log.writer(), log.writer()];
        for _ in 0..1000 {
            for writer in &mut writers {
                writer.write(&record());
            }
        }
        drop(writers);
        log.close();
        assert_eq!((log.written(), log.dropped()), (2000, 0));
        let text = scratch.text();
        assert_eq!(text.lines().count(), 2000 * round);
        assert!(text.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()));
    }
}

#[test]
fn reopening_goes_on_in_a_new_file_and_lets_the_old_one_go() {
    let (scratch, rotated) = (Scratch::new("rotate.log"), Scratch::new("rotate.log.1"));
    let log = scratch.open().unwrap();
    let mut writer = log.writer();
    writer.write(&record());
    writer.flush();
    while log.written() == 0 {
        std::thread::yield_now();
    }
    std::fs::rename(&scratch.0, &rotated.0).unwrap();
    assert!(log.reopen().unwrap());
    writer.write(&record());
    drop(writer);
    log.close();
    assert_eq!((scratch.text().lines().count(), rotated.text().lines().count()), (1, 1));
    assert_eq!((log.written(), log.dropped()), (2, 0));
}

#[test]
fn only_a_file_is_opened_anew_and_a_failure_keeps_the_old_one() {
    let (piped, _reader) = piped();
    assert!(!piped.reopen().unwrap());
    let scratch = Scratch::new("kept.log");
    let mut log = scratch.open().unwrap();
    let elsewhere = LogOutput::File("/proc/nowhere/access.log".into());
    log.plan = Arc::new(Plan::new(to(elsewhere)).unwrap());
    assert!(log.reopen().unwrap_err().to_string().contains("/proc/nowhere/access.log"));
    let mut writer = log.writer();
    writer.write(&record());
    drop(writer);
    log.close();
    assert_eq!(scratch.text().lines().count(), 1);
}

#[test]
fn names_the_file_that_cannot_be_opened() {
    let output = LogOutput::File(std::env::temp_dir());
    let error = AccessLog::open(&to(output)).unwrap_err();
    assert!(error.to_string().contains(std::env::temp_dir().to_str().unwrap()), "{error}");
}

#[test]
fn a_fifo_that_nobody_reads_does_not_hold_up_the_start() {
    let scratch = Scratch::new("fifo");
    // Not by the program mkfifo: its fork would hold the pipes of other tests open for a moment.
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, &scratch.0, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    let log = scratch.open().unwrap();
    let mut writer = log.writer();
    writer.write(&record());
    writer.flush();
    let mut line = String::new();
    let reader = std::fs::File::open(&scratch.0).unwrap();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(reader), &mut line).unwrap();
    assert!(serde_json::from_str::<Value>(&line).is_ok(), "{line}");
}

#[test]
fn off_opens_nothing() {
    let settings = to(LogOutput::Off);
    assert!(AccessLog::open(&settings).unwrap().is_none());
}

#[test]
fn a_full_disk_is_counted_and_kills_nothing() {
    let settings = to(LogOutput::File("/dev/full".into()));
    let log = AccessLog::open(&settings).unwrap().unwrap();
    let mut writer = log.writer();
    (0..10).for_each(|_| writer.write(&record()));
    drop(writer);
    log.close();
    assert_eq!((log.written(), log.dropped()), (0, 10));
}

/// A log whose output is a pipe.
fn piped() -> (AccessLog, io::PipeReader) {
    let (reader, output) = io::pipe().unwrap();
    let output = File::from(std::os::fd::OwnedFd::from(output));
    (AccessLog::with(&to(LogOutput::Stdout), Output::Plain(output)).unwrap(), reader)
}

#[test]
fn a_closed_pipe_is_counted_and_kills_nothing() {
    let (log, reader) = piped();
    drop(reader);
    let mut writer = log.writer();
    for _ in 0..3 {
        writer.write(&record());
        writer.flush();
    }
    log.close();
    assert_eq!((log.written(), log.dropped()), (0, 3));
}

#[test]
fn a_reader_that_sleeps_costs_lines_and_never_time() {
    let (log, mut reader) = piped();
    let mut writer = log.writer();
    let before = Instant::now();
    let lines = 300_000;
    (0..lines).for_each(|_| writer.write(&record()));
    drop(writer);
    assert!(before.elapsed() < Duration::from_secs(20));
    assert!(log.dropped() > 0);
    let reading = std::thread::spawn(move || {
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        text
    });
    log.close();
    assert_eq!(log.written() + log.dropped(), lines);
    drop(log);
    let text = reading.join().unwrap();
    assert!(text.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()));
}

#[test]
fn what_comes_after_close_counts_as_lost() {
    let (log, _reader) = piped();
    let mut writer = log.writer();
    log.close();
    writer.write(&record());
    drop(writer);
    assert_eq!((log.written(), log.dropped()), (0, 1));
}
