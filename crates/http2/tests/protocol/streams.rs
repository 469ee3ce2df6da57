//! What RFC 9113 says of streams: their states, their numbers, how many there may be.

use loadweaver_http2::{Code, Limits};

use crate::rules::*;
use crate::wire::*;

// Section 5.1: stream states.

#[test]
fn idle_streams_take_only_headers_and_priority() {
    ends([frame(DATA, 0, 1, b"x")], Code::PROTOCOL_ERROR);
    ends([frame(RST_STREAM, 0, 1, &[0; 4])], Code::PROTOCOL_ERROR);
    ends([frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1])], Code::PROTOCOL_ERROR);
    ends([frame(CONTINUATION, END_HEADERS, 1, &block(&GET))], Code::PROTOCOL_ERROR);
    passes([frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 1]), get(1)]);
}

#[test]
fn a_stream_that_its_peer_has_ended_takes_no_more_of_the_message() {
    resets([get(1), frame(DATA, END_STREAM, 1, b"x")], 1, Code::STREAM_CLOSED);
    resets([get(1), get(1)], 1, Code::STREAM_CLOSED);
    ends([get(1), frame(CONTINUATION, END_HEADERS, 1, &block(&GET))], Code::PROTOCOL_ERROR);
    passes([get(1), frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1]), frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 1])]);
}

#[test]
fn nothing_comes_after_a_reset_of_the_peers_own() {
    let reset = || frame(RST_STREAM, 0, 1, &8_u32.to_be_bytes());
    ends([post(1), reset(), frame(DATA, END_STREAM, 1, b"x")], Code::STREAM_CLOSED);
    ends([post(1), reset(), headers(END_STREAM, 1, &[("x", "y")])], Code::STREAM_CLOSED);
    ends([post(1), reset(), frame(CONTINUATION, END_HEADERS, 1, &[])], Code::PROTOCOL_ERROR);
    passes([
        post(1),
        reset(),
        reset(),
        frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1]),
        frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 1]),
    ]);
}

#[test]
fn a_stream_that_has_ended_on_both_sides_and_was_released_takes_nothing() {
    let released = || {
        let mut engine = Engine::server();
        engine.send(&get(1)).unwrap();
        let id = engine.head();
        engine.connection.respond_with(id, 204, b"", loadweaver_http2::Finish::Now);
        engine.connection.release(id);
        engine.frames();
        engine
    };
    for (late, code) in [
        (frame(DATA, END_STREAM, 1, b"x"), Code::STREAM_CLOSED),
        (get(1), Code::STREAM_CLOSED),
        (frame(CONTINUATION, END_HEADERS, 1, &[]), Code::PROTOCOL_ERROR),
    ] {
        assert_eq!(released().send(&late).unwrap_err().code, code);
    }
    for late in [frame(RST_STREAM, 0, 1, &[0; 4]), frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1])] {
        let mut engine = released();
        engine.send(&late).unwrap();
        lives(&mut engine);
    }
}

#[test]
fn what_was_on_its_way_to_a_stream_that_we_have_reset_is_ignored() {
    let mut engine = Engine::server();
    engine.send(&post(1)).unwrap();
    let id = engine.head();
    engine.connection.reset(id, Code::INTERNAL_ERROR);
    engine.send(&frame(DATA, 0, 1, b"late")).unwrap();
    engine.connection.release(id);
    engine.send(&[frame(DATA, 0, 1, b"later"), headers(END_STREAM, 1, &[("x", "y")])].concat()).unwrap();
    assert_eq!(engine.resets(), [(1, Code::INTERNAL_ERROR)]);
    // The fields of a block that is ignored stand in the table all the same.
    engine.frame(HEADERS, END_HEADERS | END_STREAM, 3, &[0x82, 0x86, 0x84, 0x41, 1, b'a']).unwrap();
    engine.head();
    engine.frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0x40, 1, b'n', 1, b'v']).unwrap();
    engine.frame(HEADERS, END_HEADERS | END_STREAM, 5, &[0x82, 0x86, 0x84, 0xbf, 0xbe]).unwrap();
    engine.head();
    lives(&mut engine);
}

// Section 5.1.1: stream identifiers.

#[test]
fn numbers_of_streams_are_odd_and_go_up() {
    ends([get(2)], Code::PROTOCOL_ERROR);
    ends([get(5), get(3)], Code::PROTOCOL_ERROR);
    passes([get(1), get(7), get(9)]);
}

// Section 5.1.2: concurrency.

#[test]
fn streams_above_the_limit_are_refused() {
    let mut engine = Engine::server_with(&Limits { max_streams: 3, ..Limits::default() });
    for stream in [1, 3, 5, 7] {
        engine.send(&post(stream)).unwrap();
    }
    assert_eq!(engine.resets(), [(7, Code::REFUSED_STREAM)]);
    assert_eq!(engine.events().len(), 3);
}

// RFC 7540 section 5.3.1.

#[test]
fn no_stream_depends_on_itself() {
    let fields = [&[0, 0, 0, 1, 0][..], &block(&GET)].concat();
    resets([frame(HEADERS, END_HEADERS | END_STREAM | PRIORITIZED, 1, &fields)], 1, Code::PROTOCOL_ERROR);
    ends([frame(PRIORITY, 0, 1, &[0, 0, 0, 1, 0])], Code::PROTOCOL_ERROR);
    resets([post(1), frame(PRIORITY, 0, 1, &[0x80, 0, 0, 1, 0])], 1, Code::PROTOCOL_ERROR);
}
