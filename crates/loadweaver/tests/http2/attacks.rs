//! Attacks, and what they are told as.

use super::*;
use loadweaver_testkit::http2::raw::{PREFACE, block, frame, string};

/// Lets a client do its worst, and holds that it is cut, told and counted while somebody else is served.
#[track_caller]
fn is_cut(name: &str, attack: impl FnOnce(&mut RawHttp2)) {
    is_told(name, |raw| {
        // It is cut in the middle of what it writes.
        attack(raw);
        raw.goaway()
    });
}

/// The same of a client that reads as it goes, and so says itself which GOAWAY it got.
#[track_caller]
fn is_told(name: &str, attack: impl FnOnce(&mut RawHttp2) -> Option<u32>) {
    let origin = Origin::named("served");
    let balancer = in_front_of(&origin);
    let other = Http2Client::connect(balancer.address());
    assert_eq!(other.get("/before").text(), "served");
    let mut raw = RawHttp2::connect(balancer.address());
    assert_eq!(attack(&mut raw), Some(CALM), "{name}");
    assert_eq!(other.get("/after").text(), "served", "others are served on");
    let status = balancer.wait_for_status("the cut is counted", |status| status["clientsCut"] == 1);
    let told = status["recentEvents"].to_string();
    assert!(told.contains("client_cut") && told.contains(name), "{told}");
}

#[test]
fn a_request_that_is_cancelled_with_its_head_reaches_no_server() {
    let origin = Origin::named("served");
    let balancer = in_front_of(&origin);
    let mut raw = RawHttp2::connect(balancer.address());
    let head =
        block(&[(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/cancelled")]);
    let mut burst = Vec::new();
    for stream in (1..200).step_by(2) {
        burst.extend(frame(kind::HEADERS, flag::END_STREAM | flag::END_HEADERS, stream, &head));
        let (kind, payload) = match stream % 4 {
            1 => (kind::RST_STREAM, 8_u32.to_be_bytes()),
            _ => (kind::WINDOW_UPDATE, [0; 4]),
        };
        burst.extend(frame(kind, 0, stream, &payload));
    }
    // In one piece: whatever is read of it, heads and cancellations come together but for one.
    raw.send(&burst).unwrap();
    raw.get(201, "/after").unwrap();
    assert_eq!(raw.wait_for(kind::HEADERS).stream, 201);
    let cancelled = origin.requests().iter().filter(|request| request.target == "/cancelled").count();
    assert!(cancelled <= 1, "{cancelled} of 100");
}

#[test]
fn as_many_requests_as_may_be_open_at_once_may_be_cancelled_at_once() {
    let origin = Origin::named("served");
    let many = json!({ "limits": { "http2": { "maxConcurrentStreams": 1000 } } });
    let balancer = Balancer::start(BINARY, &one_pool(&[origin.address()], &many));
    let mut raw = RawHttp2::connect(balancer.address());
    let head = block(&[(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/x")]);
    let mut burst = Vec::new();
    for stream in (1..2000).step_by(2) {
        burst.extend(frame(kind::HEADERS, flag::END_STREAM | flag::END_HEADERS, stream, &head));
        burst.extend(frame(kind::RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
    }
    raw.send(&burst).unwrap();
    raw.get(2001, "/after").unwrap();
    assert_eq!(raw.wait_for(kind::HEADERS).stream, 2001);
    assert_eq!(balancer.status()["clientsCut"], 0);
}

fn until_cut(raw: &mut RawHttp2, mut write: impl FnMut(&mut RawHttp2, u32) -> std::io::Result<()>) {
    for turn in 0..200_000 {
        if write(raw, turn).is_err() {
            return;
        }
    }
}

#[test]
fn rapid_reset() {
    // By whichever limit they reach first: cancelled ones, or ones at once.
    is_cut("CVE-2023-44487", |raw| {
        until_cut(raw, |raw, turn| {
            let stream = 2 * turn + 1;
            raw.get(stream, "/")?;
            raw.frame(kind::RST_STREAM, 0, stream, &8_u32.to_be_bytes())
        });
    });
}

#[test]
fn streams_that_we_are_made_to_reset() {
    is_cut("made_you_reset", |raw| {
        until_cut(raw, |raw, turn| {
            let stream = 2 * turn + 1;
            raw.get(stream, "/")?;
            // A window update of nothing is an error of the stream (RFC 9113 section 6.9).
            raw.frame(kind::WINDOW_UPDATE, 0, stream, &[0; 4])
        });
    });
}

#[test]
fn requests_that_are_none() {
    is_cut("reset_flood", |raw| {
        let head = block(&[(":method", "GET"), (":scheme", "http"), (":path", "/"), ("UPPER", "case")]);
        until_cut(raw, |raw, turn| {
            raw.frame(kind::HEADERS, flag::END_STREAM | flag::END_HEADERS, 2 * turn + 1, &head)
        });
    });
}

#[test]
fn a_head_without_an_end() {
    is_cut("continuation_flood", |raw| {
        let _ = raw.frame(kind::HEADERS, flag::END_STREAM, 1, &block(&[(":method", "GET")]));
        let piece = block(&[("x-a", "b")]);
        until_cut(raw, |raw, _| raw.frame(kind::CONTINUATION, 0, 1, &piece));
    });
}

#[test]
fn settings_without_end() {
    is_cut("settings_flood", |raw| until_cut(raw, |raw, _| raw.frame(kind::SETTINGS, 0, 0, &[])));
}

#[test]
fn pings_without_end() {
    is_cut("ping_flood", |raw| until_cut(raw, |raw, _| raw.frame(kind::PING, 0, 0, &[0; 8])));
}

#[test]
fn frames_with_nothing_in_them() {
    is_cut("empty_frames", |raw| {
        let head = [(":method", "POST"), (":scheme", "http"), (":authority", "test"), (":path", "/")];
        let _ = raw.frame(kind::HEADERS, flag::END_HEADERS, 1, &block(&head));
        until_cut(raw, |raw, _| raw.frame(kind::DATA, 0, 1, &[]));
    });
}

#[test]
fn priorities_without_end() {
    is_cut("churn", |raw| until_cut(raw, |raw, _| raw.frame(kind::PRIORITY, 0, 1, &[0, 0, 0, 0, 16])));
}

#[test]
fn a_list_that_grows_when_it_is_read() {
    is_cut("hpack_bomb", |raw| {
        // A field of 3,900 bytes goes into the table (RFC 7541 section 6.2.1), and each byte behind it means that
        // field again (section 6.1): index 62 is the last one that went in.
        let mut head = block(&[(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/")]);
        head.push(0x40);
        string(&mut head, b"x");
        string(&mut head, &[b'y'; 3900]);
        head.extend(std::iter::repeat_n(0xbe, 12_000));
        let _ = raw.frame(kind::HEADERS, flag::END_STREAM | flag::END_HEADERS, 1, &head);
    });
}

/// The head of a request that is ten times too large, and the heads behind it that are as large from a few bytes each.
fn large_heads() -> [Vec<u8>; 2] {
    let line = block(&[(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/large")]);
    let mut first = line.clone();
    // Into the table (RFC 7541 section 6.2.1), where it is index 62 from then on.
    first.push(0x40);
    string(&mut first, b"x");
    string(&mut first, &[b'y'; 3900]);
    [first, line].map(|mut head| {
        head.extend(std::iter::repeat_n(0xbe, 90));
        head
    })
}

#[test]
fn heads_that_are_too_large_again_and_again() {
    is_told("large_heads", |raw| {
        let [first, next] = large_heads();
        for turn in 0..10_000 {
            let head = if turn == 0 { &first } else { &next };
            raw.frame(kind::HEADERS, flag::END_STREAM | flag::END_HEADERS, 2 * turn + 1, head).unwrap();
            // One after the other: more at once than allowed would be another attack.
            loop {
                let told = raw.read_frame().unwrap().expect("an answer or a GOAWAY");
                match told.kind {
                    kind::HEADERS => break,
                    kind::GOAWAY => {
                        return told.payload[4..].first_chunk().map(|code| u32::from_be_bytes(*code));
                    }
                    _ => {}
                }
            }
        }
        None
    });
}

#[test]
fn a_page_of_requests_with_cookies_that_are_too_large_gets_an_answer_to_each() {
    let origin = Origin::named("served");
    let balancer = in_front_of(&origin);
    let mut raw = RawHttp2::connect(balancer.address());
    let [first, next] = large_heads();
    let mut page = Vec::new();
    for turn in 0..100 {
        let head = if turn == 0 { &first } else { &next };
        page.extend(frame(kind::HEADERS, flag::END_STREAM | flag::END_HEADERS, 2 * turn + 1, head));
    }
    raw.send(&page).unwrap();
    for _ in 0..100 {
        raw.wait_for(kind::HEADERS);
    }
    raw.get(201, "/after").unwrap();
    assert_eq!(raw.wait_for(kind::HEADERS).stream, 201);
    assert_eq!(balancer.status()["clientsCut"], 0);
    assert_eq!(origin.requests().iter().filter(|request| request.target == "/large").count(), 0);
}

#[test]
fn a_preface_that_is_cut_or_wrong_harms_nobody() {
    let origin = Origin::named("served");
    let balancer = in_front_of(&origin);
    for length in 1..PREFACE.len() {
        let mut raw = RawHttp2::silent(balancer.address());
        raw.send(&PREFACE[..length]).unwrap();
    }
    let mut raw = RawHttp2::silent(balancer.address());
    raw.send(b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n").unwrap();
    raw.send(&frame(kind::SETTINGS, 0, 0, &[])).unwrap();
    assert_eq!(raw.goaway(), Some(1), "PROTOCOL_ERROR");
    assert_eq!(balancer.get("/").text(), "served");
    eventually("nothing is left of them", || balancer.status()["connections"]["active"] == 0);
}
