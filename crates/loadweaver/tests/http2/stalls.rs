//! Answers that their client does not let come: what they hold, and that they go on.

use std::io::Read as _;

use super::*;
use loadweaver_testkit::http2::raw::{PREFACE, frame};

/// Streams at once on a connection.
const STREAMS: u32 = 100;

/// Connects, and lets so many bytes of each answer come.
fn with_window(balancer: &Balancer, window: u32) -> RawHttp2 {
    let mut raw = RawHttp2::silent(balancer.address());
    raw.send(PREFACE).unwrap();
    let [a, b, c, d] = window.to_be_bytes();
    // SETTINGS_INITIAL_WINDOW_SIZE
    raw.frame(kind::SETTINGS, 0, 0, &[0, 4, a, b, c, d]).unwrap();
    raw.frame(kind::WINDOW_UPDATE, 0, 0, &((1_u32 << 31) - 1 - 65_535).to_be_bytes()).unwrap();
    raw
}

/// Without the pages of the program itself, which come in as it runs.
fn resident_kib(balancer: &Balancer) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", balancer.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Has clients ask for more than they take, and says by how much the balancer has grown when it grows no more.
fn growth(window: u32) -> u64 {
    let piece = vec![b'x'; 512 * 1024];
    let origin = Origin::start(move |connection| {
        connection.read_request()?;
        connection.write("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
        connection.write(&piece);
        connection.hang()
    });
    let balancer = in_front_of(&origin);
    let before = resident_kib(&balancer);
    let clients: Vec<RawHttp2> = (0..2)
        .map(|_| {
            let mut raw = with_window(&balancer, window);
            for stream in 0..STREAMS {
                raw.get(2 * stream + 1, "/").unwrap();
            }
            raw
        })
        .collect();
    origin.wait_for_requests(clients.len() * STREAMS as usize);
    let (mut last, mut steady) = (resident_kib(&balancer), 0);
    eventually("the memory stays flat", || {
        let now = resident_kib(&balancer);
        steady = if now <= last { steady + 1 } else { 0 };
        last = now;
        steady > 60
    });
    last.saturating_sub(before)
}

#[test]
fn answers_that_are_not_taken_out_of_the_socket_hold_no_buffers() {
    // With a block of 256 KiB each it would be 50 MiB.
    let kib = growth((1 << 31) - 1);
    assert!(kib < 32 * 1024, "{kib} KiB");
}

#[test]
fn answers_that_have_no_window_hold_no_buffers() {
    let kib = growth(0);
    assert!(kib < 32 * 1024, "{kib} KiB");
}

#[test]
fn an_answer_that_fills_its_window_to_the_byte_ends_without_another() {
    let body = "x".repeat(5000);
    for whole in [
        reply(200, body.clone()),
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1388\r\n{body}\r\n0\r\n\r\n")
            .into_bytes(),
    ] {
        let origin = Origin::answering(whole);
        let balancer = in_front_of(&origin);
        let mut raw = with_window(&balancer, 5000);
        raw.get(1, "/").unwrap();
        let mut received = 0;
        loop {
            let frame = raw.wait_for(kind::DATA);
            received += frame.payload.len();
            if frame.flags & flag::END_STREAM != 0 {
                break;
            }
        }
        assert_eq!(received, 5000);
    }
}

#[test]
fn an_answer_goes_on_when_its_window_opens_however_little() {
    let body: Vec<u8> = (0..=255_u8).cycle().take(100_000).collect();
    let origin = Origin::answering(reply(200, body.clone()));
    let balancer = in_front_of(&origin);
    for step in [1_u32, 700, 2048, 5000, 40_000] {
        let mut raw = with_window(&balancer, 0);
        raw.get(1, "/").unwrap();
        let wanted = 100_000.min(step as usize * 50);
        let mut received = Vec::new();
        while received.len() < wanted {
            raw.frame(kind::WINDOW_UPDATE, 0, 1, &step.to_be_bytes()).unwrap();
            let until = (received.len() + step as usize).min(body.len());
            while received.len() < until {
                received.extend(raw.wait_for(kind::DATA).payload);
            }
        }
        assert!(received[..] == body[..received.len()], "{step}");
    }
}

#[test]
fn who_is_cut_off_is_told_of_at_once_and_cannot_stay_by_reading_a_byte_now_and_then() {
    let piece = vec![b'x'; 512 * 1024];
    let origin = Origin::start(move |connection| {
        connection.read_request()?;
        connection.write("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
        for _ in 0..40 {
            connection.write(&piece);
        }
        connection.hang()
    });
    let patient = json!({ "timeouts": { "send": "1h" } });
    let balancer = Balancer::start(BINARY, &one_pool(&[origin.address()], &patient));
    let mut raw = with_window(&balancer, (1 << 31) - 1);
    raw.get(1, "/").unwrap();
    let (mut last, mut steady) = (0, 0);
    eventually("its socket is full", || {
        let now = rustix::io::ioctl_fionread(raw.socket()).unwrap();
        steady = if now > 0 && now == last { steady + 1 } else { 0 };
        last = now;
        steady > 30
    });
    // More than anybody is let say in vain.
    let many = frame(kind::PRIORITY, 0, 3, &[0, 0, 0, 0, 16]).repeat(100_000);
    let _ = raw.send(&many);
    balancer.wait_for_status("the cut is told of", |status| status["clientsCut"] == 1);
    eventually("its connection is over", || {
        let _ = raw.socket().read(&mut [0]);
        balancer.status()["connections"]["active"] == 0
    });
}
