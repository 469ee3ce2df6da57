//! RFC 9113 sections 5 and 7: states, numbers, dependencies, and errors.

use loadweaver_testkit::http2::raw::{block, flag, frame, kind};

use super::case::Outcome::{Answers, Ends, EndsOrResets, Passes, Resets};
use super::case::{
    CANCEL, Case, FRAME_SIZE, GET, PROTOCOL, STREAM_CLOSED, Step, case, data, get, head, held, post, steps,
    window,
};
use super::frames::data_end;

fn reset(stream: u32, code: u32) -> Vec<u8> {
    frame(kind::RST_STREAM, 0, stream, &code.to_be_bytes())
}

fn priority(stream: u32, on: u32) -> Vec<u8> {
    frame(kind::PRIORITY, 0, stream, &[&on.to_be_bytes()[..], &[1]].concat())
}

fn continuation(stream: u32) -> Vec<u8> {
    frame(kind::CONTINUATION, flag::END_HEADERS, stream, &block(&GET))
}

fn trailers(stream: u32) -> Vec<u8> {
    head(flag::END_STREAM, stream, &block(&[("x-sum", "4")]))
}

pub(crate) fn idle() -> Vec<Case> {
    vec![
        case("5.1 idle: DATA", [data_end(1, b"x")], Ends(PROTOCOL)),
        case("5.1 idle: RST_STREAM", [reset(1, CANCEL)], Ends(PROTOCOL)),
        case("5.1 idle: WINDOW_UPDATE", [window(1, 1)], Ends(PROTOCOL)),
        case("5.1 idle: CONTINUATION", [continuation(1)], Ends(PROTOCOL)),
        case("5.1 idle: PRIORITY", [priority(1, 0), get(1)], Answers(1)),
        case("5.1 idle: DATA of a stream of ours", [data_end(2, b"x")], Ends(PROTOCOL)),
        case("5.1 idle: WINDOW_UPDATE of a stream of ours", [window(2, 1)], Ends(PROTOCOL)),
    ]
}

pub(crate) fn half_closed() -> Vec<Case> {
    let closed = STREAM_CLOSED;
    vec![
        case("5.1 half closed (remote): DATA", [held(1), data_end(1, b"x")], Resets(1, closed)),
        case("5.1 half closed (remote): HEADERS", [held(1), held(1)], Resets(1, closed)),
        case("5.1 half closed (remote): trailers", [held(1), trailers(1)], Resets(1, closed)),
        case("5.1 half closed (remote): CONTINUATION", [held(1), continuation(1)], Ends(PROTOCOL)),
        case("5.1 half closed (remote): WINDOW_UPDATE", [held(1), window(1, 1)], Passes),
        case("5.1 half closed (remote): PRIORITY", [held(1), priority(1, 0)], Passes),
        case("5.1 half closed (remote): RST_STREAM", [held(1), reset(1, CANCEL), get(3)], Answers(3)),
    ]
}

pub(crate) fn closed() -> Vec<Case> {
    use Step::{Hear, Send};
    let closed = STREAM_CLOSED;
    vec![
        case("5.1 closed by a reset: DATA", [post(1), reset(1, CANCEL), data_end(1, b"x")], Ends(closed)),
        case("5.1 closed by a reset: HEADERS", [post(1), reset(1, CANCEL), get(1)], Ends(closed)),
        case(
            "5.1 closed by a reset: CONTINUATION",
            [post(1), reset(1, CANCEL), continuation(1)],
            Ends(PROTOCOL),
        ),
        case("5.1 closed by a reset: WINDOW_UPDATE", [post(1), reset(1, CANCEL), window(1, 1)], Passes),
        case("5.1 closed by a reset: PRIORITY", [post(1), reset(1, CANCEL), priority(1, 0)], Passes),
        case("5.1 closed by a reset: another", [post(1), reset(1, CANCEL), reset(1, CANCEL)], Passes),
        steps("5.1 closed: DATA", [Send(get(1)), Hear(1), Send(data_end(1, b"x"))], EndsOrResets(1, closed)),
        steps("5.1 closed: HEADERS", [Send(get(1)), Hear(1), Send(get(1))], EndsOrResets(1, closed)),
        steps("5.1 closed: CONTINUATION", [Send(get(1)), Hear(1), Send(continuation(1))], Ends(PROTOCOL)),
        steps("5.1 closed: WINDOW_UPDATE", [Send(get(1)), Hear(1), Send(window(1, 1))], Passes),
        steps("5.1 closed: RST_STREAM", [Send(get(1)), Hear(1), Send(reset(1, CANCEL))], Passes),
        steps("5.1 closed: PRIORITY", [Send(get(1)), Hear(1), Send(priority(1, 0))], Passes),
        case(
            "5.1 reset by us: what was on its way",
            [held(1), window(1, 0), window(1, 1), data(0, 1, b"x"), trailers(1), priority(1, 0)],
            Resets(1, PROTOCOL),
        ),
    ]
}

pub(crate) fn numbers() -> Vec<Case> {
    vec![
        case("5.1.1 an even number", [get(2)], Ends(PROTOCOL)),
        case("5.1.1 a lower number", [held(5), held(3)], Ends(PROTOCOL)),
        case("5.1.1 numbers left out", [held(1), held(7), get(101)], Answers(101)),
        case("5.1.1 the highest number", [get((1 << 31) - 1)], Answers((1 << 31) - 1)),
        case("5.1.1 DATA of a number that was left out", [held(5), data(0, 3, b"x")], Ends(STREAM_CLOSED)),
    ]
}

pub(crate) fn dependencies() -> Vec<Case> {
    let on_itself = [&[0, 0, 0, 1, 0][..], &block(&GET)].concat();
    let flags = flag::END_STREAM | flag::PRIORITY;
    vec![
        // RFC 9113 leaves these to be ignored; RFC 7540 section 5.3.1 has them as errors, and nobody means them.
        case(
            "7540 5.3.1 HEADERS that depend on themselves",
            [head(flags, 1, &on_itself)],
            Resets(1, PROTOCOL),
        ),
        case("7540 5.3.1 a stream that depends on itself", [held(1), priority(1, 1)], Resets(1, PROTOCOL)),
        case("7540 5.3.1 an idle one", [priority(1, 1)], Ends(PROTOCOL)),
    ]
}

pub(crate) fn errors() -> Vec<Case> {
    vec![
        case(
            "5.4.1 nothing is read behind an error",
            [frame(kind::PING, 0, 0, &[0; 6]), get(1)],
            Ends(FRAME_SIZE),
        ),
        case(
            "5.4.2 other streams go on behind an error",
            [held(1), window(1, 0), get(3)],
            Resets(1, PROTOCOL),
        ),
        case("5.5 an unknown type", [frame(0xbe, 0, 0, &[0; 64]), get(1)], Answers(1)),
        case(
            "5.5 an unknown setting",
            [frame(kind::SETTINGS, 0, 0, &[0xf0, 0, 0, 0, 0, 1]), get(1)],
            Answers(1),
        ),
        case(
            "5.5 an unknown type within a block",
            [frame(kind::HEADERS, flag::END_STREAM, 1, &block(&GET)), frame(0xbe, 0, 1, b"x")],
            Ends(PROTOCOL),
        ),
    ]
}

pub(crate) fn codes() -> Vec<Case> {
    let goaway = [&[0; 4][..], &[0xff; 4]].concat();
    vec![
        case("7 GOAWAY with an unknown code", [held(1), frame(kind::GOAWAY, 0, 0, &goaway)], Passes),
        case("7 RST_STREAM with an unknown code", [held(1), reset(1, u32::MAX), get(3)], Answers(3)),
    ]
}
