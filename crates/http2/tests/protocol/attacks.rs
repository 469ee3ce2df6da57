//! Attacks are cut off by their names; those who only look like one are left alone.

use loadweaver_http1::RequestHead;
use loadweaver_http2::{Abuse, Code, Ended, Event, Finish, Limits, Why};

use crate::wire::*;

pub(crate) const SECOND: u64 = 1_000_000_000;

/// Sends until the connection ends; how many times that took.
#[track_caller]
pub(crate) fn cut_off(
    engine: &mut Engine,
    abuse: Abuse,
    mut send: impl FnMut(&mut Engine, u32) -> Result<(), Ended>,
) -> u32 {
    for round in 0..200_000 {
        if let Err(ended) = send(engine, round) {
            assert_eq!(
                (ended.code, ended.why),
                (Code::ENHANCE_YOUR_CALM, Why::Abuse(abuse)),
                "after {round}"
            );
            let goaway = engine.frames().pop().unwrap();
            assert_eq!((goaway.kind, Code(goaway.word(4))), (GOAWAY, Code::ENHANCE_YOUR_CALM));
            return round;
        }
        assert!(engine.connection.streams() <= 128);
        assert!(engine.connection.output().len() < 200_000, "output grows");
    }
    panic!("never cut off");
}

/// Throws away what our side sends, and releases streams that were reset, as a proxy does.
pub(crate) fn read(engine: &mut Engine) {
    engine.frames();
    for event in engine.events() {
        if let Event::Reset(id, _) = event {
            engine.connection.release(id);
        }
    }
}

#[test]
fn rapid_reset_is_cut_off_and_never_has_more_exchanges_than_allowed() {
    let mut engine = Engine::server();
    let rounds = cut_off(&mut engine, Abuse::RapidReset, |engine, round| {
        let stream = 2 * round + 1;
        engine.headers(END_STREAM, stream, &GET)?;
        engine.frame(RST_STREAM, 0, stream, &[0, 0, 0, 8])?;
        read(engine);
        Ok(())
    });
    assert!((400..500).contains(&rounds), "{rounds}");
}

#[test]
fn whoever_may_have_many_streams_open_may_cancel_all_of_them_and_their_successors() {
    let cancelled = |max_streams: u32| {
        let mut engine = Engine::server_with(&Limits { max_streams, ..Limits::default() });
        let mut stream = 1;
        for round in 0..100 {
            let first = stream;
            for _ in 0..max_streams {
                engine.headers(END_STREAM, stream, &GET).unwrap();
                stream += 2;
            }
            for cancelled in (first..stream).step_by(2) {
                if let Err(ended) = engine.frame(RST_STREAM, 0, cancelled, &[0, 0, 0, 8]) {
                    assert_eq!(ended.why, Why::Abuse(Abuse::RapidReset));
                    return round * max_streams + (cancelled - first) / 2;
                }
            }
            read(&mut engine);
        }
        panic!("never cut off");
    };
    assert_eq!([10, 100, 128, 200, 201, 1000].map(cancelled), [400, 400, 400, 400, 402, 2000]);
}

#[test]
fn rapid_reset_without_a_release_meets_the_limit_on_streams() {
    let mut engine = Engine::server();
    let mut bytes = Vec::new();
    for stream in (1..400).step_by(2) {
        bytes.extend(frame(HEADERS, END_HEADERS | END_STREAM, stream, &block(&GET)));
        bytes.extend(frame(RST_STREAM, 0, stream, &[0, 0, 0, 8]));
    }
    engine.send(&bytes).unwrap();
    assert_eq!(engine.connection.streams(), 128);
    assert_eq!(engine.resets().len(), 200 - 128);
}

#[test]
fn a_page_that_is_closed_again_and_again_is_left_alone() {
    let mut engine = Engine::server();
    let mut stream = 1;
    for _ in 0..100 {
        for _ in 0..100 {
            engine.headers(END_STREAM, stream, &GET).unwrap();
            stream += 2;
        }
        for cancelled in (stream - 200..stream).step_by(2) {
            engine.frame(RST_STREAM, 0, cancelled, &[0, 0, 0, 8]).unwrap();
        }
        read(&mut engine);
        engine.now += 3 * SECOND;
    }
    for _ in 0..10_000 {
        // A client whose deadlines are short cancels every other request.
        engine.headers(END_STREAM, stream, &GET).unwrap();
        let id = engine.head();
        engine.connection.respond_with(id, 204, b"", Finish::Now);
        engine.connection.release(id);
        engine.headers(END_STREAM, stream + 2, &GET).unwrap();
        engine.frame(RST_STREAM, 0, stream + 2, &[0, 0, 0, 8]).unwrap();
        read(&mut engine);
        stream += 4;
    }
}

#[test]
fn made_you_reset_is_cut_off() {
    for violation in [
        |engine: &mut Engine, stream: u32| engine.frame(WINDOW_UPDATE, 0, stream, &[0; 4]),
        |engine: &mut Engine, stream: u32| engine.frame(WINDOW_UPDATE, 0, stream, &[0x7f, 0xff, 0xff, 0xff]),
        |engine: &mut Engine, stream: u32| engine.frame(DATA, 0, stream, b"x"),
        |engine: &mut Engine, stream: u32| engine.headers(END_STREAM, stream, &[("x", "y")]),
        |engine: &mut Engine, stream: u32| {
            engine.frame(PRIORITY, 0, stream, &[&stream.to_be_bytes()[..], &[0]].concat())
        },
    ] {
        let mut engine = Engine::server();
        let rounds = cut_off(&mut engine, Abuse::MadeYouReset, |engine, round| {
            engine.headers(END_STREAM, 2 * round + 1, &GET)?;
            violation(engine, 2 * round + 1)?;
            read(engine);
            Ok(())
        });
        assert_eq!(rounds, 64);
    }
}

#[test]
fn a_flood_of_malformed_requests_is_cut_off() {
    let mut engine = Engine::server();
    let rounds = cut_off(&mut engine, Abuse::ResetFlood, |engine, round| {
        engine.headers(END_STREAM, 2 * round + 1, &[("x", "y")])?;
        read(engine);
        Ok(())
    });
    assert_eq!(rounds, 128);
}

#[test]
fn a_flood_of_streams_above_the_limit_is_cut_off() {
    let mut engine = Engine::server();
    let rounds = cut_off(&mut engine, Abuse::StreamFlood, |engine, round| {
        engine.headers(END_STREAM, 2 * round + 1, &GET)?;
        read(engine);
        Ok(())
    });
    assert_eq!(rounds, 128 + 512);
}

#[test]
fn a_block_without_an_end_is_cut_off() {
    for piece in [&b""[..], b"\x00\x01x\x01y", &[0; 16_384]] {
        let mut engine = Engine::server();
        engine.frame(HEADERS, 0, 1, &block(&GET)).unwrap();
        let rounds = cut_off(&mut engine, Abuse::ContinuationFlood, |engine, _| {
            engine.frame(CONTINUATION, 0, 1, piece)
        });
        assert!(rounds <= 16);
    }
}

#[test]
fn a_block_without_an_end_is_cut_off_however_it_is_split() {
    let mut engine = Engine::server();
    let mut stream = 1;
    // Each within the limit of continuations, none with an end that says anything.
    cut_off(&mut engine, Abuse::EmptyFrames, |engine, _| {
        engine.frame(HEADERS, 0, stream, &block(&GET))?;
        for _ in 0..10 {
            engine.frame(CONTINUATION, 0, stream, b"")?;
        }
        engine.frame(CONTINUATION, END_HEADERS, stream, b"")?;
        engine.frame(RST_STREAM, 0, stream, &[0, 0, 0, 8])?;
        read(engine);
        stream += 2;
        Ok(())
    });
}

#[test]
fn floods_of_settings_pings_and_empty_frames_are_cut_off() {
    type Send = fn(&mut Engine) -> Result<(), Ended>;
    let floods: [(Abuse, u32, Send); 7] = [
        (Abuse::SettingsFlood, 32, |engine| engine.frame(SETTINGS, 0, 0, &[])),
        (Abuse::SettingsFlood, 32, |engine| engine.frame(SETTINGS, 0, 0, &setting(4, 100))),
        (Abuse::SettingsFlood, 32, |engine| engine.frame(SETTINGS, ACK, 0, &[])),
        (Abuse::PingFlood, 128, |engine| engine.frame(PING, 0, 0, &[0; 8])),
        (Abuse::EmptyFrames, 128, |engine| engine.frame(DATA, 0, 1, &[])),
        (Abuse::EmptyFrames, 128, |engine| engine.frame(DATA, PADDED, 1, &[3, 0, 0, 0])),
        (Abuse::Churn, 1024, |engine| engine.frame(PRIORITY, 0, 1, &[0; 5])),
    ];
    for (abuse, burst, send) in floods {
        let mut engine = Engine::server();
        engine.headers(0, 1, &POST).unwrap();
        let rounds = cut_off(&mut engine, abuse, |engine, _| {
            send(engine)?;
            read(engine);
            Ok(())
        });
        assert!((burst - 1..=burst + 8).contains(&rounds), "{abuse:?} after {rounds}");
        // At a rate that somebody may have a reason for, it goes on for ever.
        let mut engine = Engine::server();
        engine.headers(0, 1, &POST).unwrap();
        for _ in 0..5_000 {
            send(&mut engine).unwrap();
            read(&mut engine);
            engine.now += SECOND;
        }
    }
}

#[test]
fn churn_of_any_kind_is_cut_off() {
    type Send = fn(&mut Engine) -> Result<(), Ended>;
    let kinds: [Send; 6] = [
        |engine| engine.frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]),
        |engine| engine.frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1]),
        |engine| engine.frame(0xfe, 0, 1, b"what?"),
        |engine| engine.frame(GOAWAY, 0, 0, &[0; 8]),
        |engine| engine.frame(PING, ACK, 0, &[0; 8]),
        |engine| engine.frame(RST_STREAM, 0, 1, &[0; 4]),
    ];
    for send in kinds {
        let mut engine = Engine::server();
        engine.headers(0, 1, &POST).unwrap();
        cut_off(&mut engine, Abuse::Churn, |engine, _| {
            send(engine)?;
            read(engine);
            Ok(())
        });
    }
}

#[test]
fn a_dribble_of_data_by_tiny_windows_is_cut_off() {
    let mut engine = Engine::server();
    engine.frame(SETTINGS, 0, 0, &setting(4, 0)).unwrap();
    engine.headers(END_STREAM, 1, &GET).unwrap();
    let id = engine.head();
    engine.connection.respond_with(id, 200, b"", Finish::Later);
    let rounds = cut_off(&mut engine, Abuse::Churn, |engine, _| {
        engine.connection.write(id, &[0; 1000]).unwrap();
        engine.frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1])?;
        engine.frames();
        engine.events();
        Ok(())
    });
    assert!(rounds < 1100);
}

#[test]
fn a_peer_that_never_reads_is_cut_off_before_the_answers_pile_up() {
    let mut engine = Engine::server();
    cut_off(&mut engine, Abuse::AckQueue, |engine, _| {
        engine.now += SECOND / 4;
        engine.frame(PING, 0, 0, &[0; 8])
    });
}

#[test]
fn an_hpack_bomb_is_cut_off() {
    let mut engine = Engine::server();
    let value = "v".repeat(4000);
    let mut bomb = block(&GET);
    bomb.extend_from_slice(&[0x40, 1, b'n', 127]);
    bomb.extend_from_slice(&[0xa1, 0x1e]);
    bomb.extend_from_slice(value.as_bytes());
    bomb.extend_from_slice(&[0xbe; 10_000]);
    let ended = engine.frame(HEADERS, END_HEADERS | END_STREAM, 1, &bomb).unwrap_err();
    assert_eq!(ended.why, Why::Abuse(Abuse::HpackBomb));
    // One of a size that somebody might send by mistake is refused, and no more.
    let mut engine = Engine::server();
    bomb.truncate(bomb.len() - 10_000 + 20);
    engine.frame(HEADERS, END_HEADERS | END_STREAM, 1, &bomb).unwrap();
    let id = engine.head();
    assert!(engine.connection.take_request(id, &mut RequestHead::default()).is_err());
}

#[test]
fn grpc_that_measures_its_windows_is_left_alone() {
    let mut engine = Engine::server();
    engine.headers(0, 1, &POST).unwrap();
    let id = engine.head();
    engine.connection.respond_with(id, 200, b"", Finish::Later);
    for _ in 0..20_000 {
        engine.connection.write(id, &[0; 1000]).unwrap();
        engine.frame(PING, 0, 0, &[0; 8]).unwrap();
        for stream in [0, 1] {
            engine.frame(WINDOW_UPDATE, 0, stream, &1000_u32.to_be_bytes()).unwrap();
        }
        engine.frame(DATA, 0, 1, b"x").unwrap();
        engine.connection.consume(id, 1);
        read(&mut engine);
    }
}

#[test]
fn memory_for_bodies_has_a_limit_that_nobody_gets_beyond() {
    let limits = Limits { buffered: 1 << 20, connection_window: 1 << 19, ..Limits::default() };
    let mut engine = Engine::server_with(&limits);
    let mut sent = 65_535 + u64::from((1_u32 << 19) - 65_535);
    let mut stream = 1;
    let mut bytes = 0_u64;
    'all: for _ in 0..100 {
        engine.headers(0, stream, &POST).unwrap();
        for _ in 0..3 {
            if bytes + 16_384 > sent {
                break 'all;
            }
            engine.frame(DATA, 0, stream, &[0; 16_384]).unwrap();
            bytes += 16_384;
            for frame in engine.frames_of(WINDOW_UPDATE) {
                if frame.stream == 0 {
                    sent += u64::from(frame.word(0));
                }
            }
        }
        stream += 2;
    }
    assert!(engine.connection.buffered() <= 1 << 20);
    assert!(sent <= 1 << 20, "{sent}");
    assert!(sent >= 1 << 19);
}
