//! RFC 9113 sections 3, 4 and 6: how a connection begins, and what frames look like.

use loadweaver_testkit::http2::raw::{PREFACE, block, flag, frame, kind};

use super::case::Outcome::{Answers, Ends, Over, Passes, Resets};
use super::case::{
    COMPRESSION, Case, FLOW_CONTROL, FRAME_SIZE, GET, PROTOCOL, ask, body, case, data, first, get, head,
    held, opening, post, settings, window,
};

pub(crate) fn beginning() -> Vec<Case> {
    let ping = || frame(kind::PING, 0, 0, &[0; 8]);
    vec![
        first("3.4 preface and settings", [opening(&[]), get(1)], Answers(1)),
        first("3.4 settings that say something", [opening(&[(1, 0), (2, 0), (4, 9)]), get(1)], Answers(1)),
        first("3.4 another preface", [b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n".to_vec()], Over),
        first("3.4 no preface", [b"INVALID CONNECTION PREFACE\r\n\r\n".to_vec()], Over),
        first("3.4 no settings before PING", [PREFACE.to_vec(), ping()], Ends(PROTOCOL)),
        first("3.4 no settings before HEADERS", [PREFACE.to_vec(), get(1)], Ends(PROTOCOL)),
        first(
            "3.4 an acknowledgement is not the settings",
            [PREFACE.to_vec(), frame(kind::SETTINGS, flag::ACK, 0, &[])],
            Ends(PROTOCOL),
        ),
        case("3.4 the preface once more", [PREFACE.to_vec()], Ends(FRAME_SIZE)),
    ]
}

pub(crate) fn format() -> Vec<Case> {
    vec![
        case("4.1 an unknown type", [frame(0x16, 0, 0, &[0; 8]), get(1)], Answers(1)),
        case("4.1 an unknown type on a stream", [post(1), frame(0xff, 0xff, 1, b"x")], Passes),
        case("4.1 unknown flags", [frame(kind::PING, 0x16, 0, &[0; 8])], Passes),
        case("4.1 unknown flags of HEADERS", [head(0xd2 | flag::END_STREAM, 1, &block(&GET))], Answers(1)),
        case("4.1 the reserved bit of PING", [frame(kind::PING, 0, 1 << 31, &[0; 8])], Passes),
        case("4.1 the reserved bit of HEADERS", [get(1 | 1 << 31)], Answers(1)),
    ]
}

pub(crate) fn size() -> Vec<Case> {
    vec![
        case("4.2 DATA of 16384 bytes", [post(1), data(0, 1, &[0; 16_384])], Passes),
        case("4.2 DATA of 16385 bytes", [post(1), data(0, 1, &[0; 16_385])], Ends(FRAME_SIZE)),
        case("4.2 HEADERS of 16385 bytes", [head(0, 1, &[0; 16_385])], Ends(FRAME_SIZE)),
        case("4.2 SETTINGS of 16386 bytes", [frame(kind::SETTINGS, 0, 0, &[0; 16_386])], Ends(FRAME_SIZE)),
        case("4.2 an unknown type of 16385 bytes", [frame(0x16, 0, 0, &[0; 16_385])], Ends(FRAME_SIZE)),
    ]
}

pub(crate) fn blocks() -> Vec<Case> {
    let open = || frame(kind::HEADERS, flag::END_STREAM, 1, &block(&GET));
    vec![
        case("4.3 a block that is none", [head(flag::END_STREAM, 1, &[0x40])], Ends(COMPRESSION)),
        case(
            "4.3 trailers that are none",
            [post(1), head(flag::END_STREAM, 1, &[0x40, 5, b'a'])],
            Ends(COMPRESSION),
        ),
        case(
            "4.3 PRIORITY within a block",
            [open(), frame(kind::PRIORITY, 0, 1, &[0, 0, 0, 0, 1])],
            Ends(PROTOCOL),
        ),
        case("4.3 HEADERS of another stream within a block", [open(), get(3)], Ends(PROTOCOL)),
        case("4.3 HEADERS of its stream within a block", [open(), get(1)], Ends(PROTOCOL)),
        case("4.3 PING within a block", [open(), frame(kind::PING, 0, 0, &[0; 8])], Ends(PROTOCOL)),
        case("4.3 SETTINGS within a block", [open(), settings(&[])], Ends(PROTOCOL)),
        case("4.3 WINDOW_UPDATE within a block", [open(), window(0, 1)], Ends(PROTOCOL)),
        case(
            "4.3 RST_STREAM within a block",
            [open(), frame(kind::RST_STREAM, 0, 1, &[0; 4])],
            Ends(PROTOCOL),
        ),
        case("4.3 an unknown type within a block", [open(), frame(0x16, 0, 0, &[])], Ends(PROTOCOL)),
    ]
}

pub(crate) fn data_end(stream: u32, content: &[u8]) -> Vec<u8> {
    data(flag::END_STREAM, stream, content)
}

fn padded(stream: u32, payload: &[u8]) -> Vec<u8> {
    data(flag::END_STREAM | flag::PADDED, stream, payload)
}

pub(crate) fn data_frames() -> Vec<Case> {
    vec![
        case("6.1 one frame of DATA", [body(1), data_end(1, b"abcd")], Answers(1)),
        case("6.1 two frames of DATA", [body(1), data(0, 1, b"ab"), data_end(1, b"cd")], Answers(1)),
        case("6.1 an empty frame at the end", [body(1), data(0, 1, b"abcd"), data_end(1, b"")], Answers(1)),
        case("6.1 DATA with padding", [body(1), padded(1, b"\x03abcd\0\0\0")], Answers(1)),
        case(
            "6.1 DATA of nothing but padding",
            [body(1), data(0, 1, b"abcd"), padded(1, b"\x02\0\0")],
            Answers(1),
        ),
        case("6.1 DATA of no stream", [data(0, 0, b"x")], Ends(PROTOCOL)),
        case("6.1 padding as long as the frame", [body(1), padded(1, b"\x05abcd")], Ends(PROTOCOL)),
        case("6.1 padding longer than the frame", [body(1), padded(1, b"\xffabcd")], Ends(PROTOCOL)),
        case("6.1 no length of padding", [body(1), padded(1, b"")], Ends(FRAME_SIZE)),
    ]
}

pub(crate) fn headers() -> Vec<Case> {
    let whole = flag::END_STREAM;
    let with = |before: &[u8], after: &[u8]| [before, &block(&GET), after].concat();
    vec![
        case("6.2 a request", [get(1)], Answers(1)),
        case("6.2 with padding", [head(whole | flag::PADDED, 1, &with(&[3], &[0; 3]))], Answers(1)),
        case(
            "6.2 with a priority",
            [head(whole | flag::PRIORITY, 1, &with(&[0, 0, 0, 0, 9], &[]))],
            Answers(1),
        ),
        case(
            "6.2 with both",
            [head(whole | flag::PADDED | flag::PRIORITY, 1, &with(&[2, 0x80, 0, 0, 0, 9], &[0; 2]))],
            Answers(1),
        ),
        case("6.2 HEADERS of no stream", [get(0)], Ends(PROTOCOL)),
        case(
            "6.2 padding beyond the frame",
            [head(whole | flag::PADDED, 1, &with(&[255], &[]))],
            Ends(PROTOCOL),
        ),
        case("6.2 no length of padding", [head(whole | flag::PADDED, 1, &[])], Ends(FRAME_SIZE)),
        case("6.2 half a priority", [head(whole | flag::PRIORITY, 1, &[0; 4])], Ends(FRAME_SIZE)),
    ]
}

pub(crate) fn priority() -> Vec<Case> {
    let priority = |stream, payload: &[u8]| frame(kind::PRIORITY, 0, stream, payload);
    vec![
        case("6.3 the smallest weight", [priority(1, &[0; 5]), get(1)], Answers(1)),
        case("6.3 the largest weight", [priority(1, &[0, 0, 0, 0, 255]), get(1)], Answers(1)),
        case("6.3 a dependency", [priority(1, &[0, 0, 0, 3, 1]), get(1)], Answers(1)),
        case("6.3 an exclusive one", [priority(1, &[0x80, 0, 0, 3, 1]), get(1)], Answers(1)),
        case("6.3 of a later stream", [priority(5, &[0; 5]), get(3)], Answers(3)),
        case("6.3 PRIORITY of no stream", [priority(0, &[0; 5])], Ends(PROTOCOL)),
        case("6.3 PRIORITY of 4 bytes", [priority(1, &[0; 4])], Ends(FRAME_SIZE)),
        case("6.3 PRIORITY of 6 bytes", [held(1), priority(1, &[0; 6])], Ends(FRAME_SIZE)),
    ]
}

pub(crate) fn resets() -> Vec<Case> {
    let reset = |stream, payload: &[u8]| frame(kind::RST_STREAM, 0, stream, payload);
    vec![
        case("6.4 RST_STREAM", [held(1), reset(1, &[0, 0, 0, 8]), get(3)], Answers(3)),
        case("6.4 RST_STREAM of no stream", [reset(0, &[0; 4])], Ends(PROTOCOL)),
        case("6.4 RST_STREAM of an idle stream", [reset(1, &[0, 0, 0, 8])], Ends(PROTOCOL)),
        case("6.4 RST_STREAM of 3 bytes", [held(1), reset(1, &[0; 3])], Ends(FRAME_SIZE)),
        case("6.4 RST_STREAM of 5 bytes", [held(1), reset(1, &[0; 5])], Ends(FRAME_SIZE)),
    ]
}

pub(crate) fn settings_frames() -> Vec<Case> {
    let ack = |payload: &[u8]| frame(kind::SETTINGS, flag::ACK, 0, payload);
    vec![
        case("6.5 settings", [settings(&[(3, 100), (1, 4096)]), get(1)], Answers(1)),
        case("6.5 an acknowledgement that says something", [ack(&[0; 6])], Ends(FRAME_SIZE)),
        case("6.5 SETTINGS of a stream", [frame(kind::SETTINGS, 0, 1, &[])], Ends(PROTOCOL)),
        case("6.5 SETTINGS of 3 bytes", [frame(kind::SETTINGS, 0, 0, &[0; 3])], Ends(FRAME_SIZE)),
        case("6.5.2 ENABLE_PUSH of 2", [settings(&[(2, 2)])], Ends(PROTOCOL)),
        case("6.5.2 INITIAL_WINDOW_SIZE of 2^31", [settings(&[(4, 1 << 31)])], Ends(FLOW_CONTROL)),
        case("6.5.2 MAX_FRAME_SIZE of 16383", [settings(&[(5, 16_383)])], Ends(PROTOCOL)),
        case("6.5.2 MAX_FRAME_SIZE of 2^24", [settings(&[(5, 1 << 24)])], Ends(PROTOCOL)),
        case(
            "6.5.2 the largest of each",
            [settings(&[(4, (1 << 31) - 1), (5, (1 << 24) - 1)]), get(1)],
            Answers(1),
        ),
        case("6.5.2 an unknown setting", [settings(&[(0xff, 1)]), get(1)], Answers(1)),
        case("RFC 8441 3 ENABLE_CONNECT_PROTOCOL of 2", [settings(&[(8, 2)])], Ends(PROTOCOL)),
    ]
}

pub(crate) fn push() -> Vec<Case> {
    let promise = |stream| frame(kind::PUSH_PROMISE, flag::END_HEADERS, stream, &[0, 0, 0, 2, 0x82]);
    vec![
        case("6.6 a client that pushes", [held(1), promise(1)], Ends(PROTOCOL)),
        case("8.4 a client that pushes at an idle stream", [promise(1)], Ends(PROTOCOL)),
        case("6.6 a client that pushes at no stream", [promise(0)], Ends(PROTOCOL)),
    ]
}

pub(crate) fn ping() -> Vec<Case> {
    let ping = |flags, stream, len: usize| frame(kind::PING, flags, stream, &vec![7; len]);
    vec![
        case("6.7 PING", [ping(0, 0, 8)], Passes),
        case("6.7 an answer that nobody wanted", [ping(flag::ACK, 0, 8)], Passes),
        case("6.7 PING of a stream", [ping(0, 1, 8)], Ends(PROTOCOL)),
        case("6.7 PING of 7 bytes", [ping(0, 0, 7)], Ends(FRAME_SIZE)),
        case("6.7 PING of 9 bytes", [ping(0, 0, 9)], Ends(FRAME_SIZE)),
    ]
}

pub(crate) fn goaway() -> Vec<Case> {
    let goaway = |stream, len: usize| frame(kind::GOAWAY, 0, stream, &vec![0; len]);
    vec![
        case("6.8 GOAWAY with a word", [held(1), goaway(0, 108)], Passes),
        case("6.8 GOAWAY of a stream", [goaway(1, 8)], Ends(PROTOCOL)),
        case("6.8 GOAWAY of 7 bytes", [goaway(0, 7)], Ends(FRAME_SIZE)),
    ]
}

pub(crate) fn window_update() -> Vec<Case> {
    let most = (1 << 31) - 1;
    let of = |stream, payload: &[u8]| frame(kind::WINDOW_UPDATE, 0, stream, payload);
    vec![
        case("6.9 of the connection", [window(0, 1), get(1)], Answers(1)),
        case("6.9 of a stream", [held(1), window(1, 1)], Passes),
        case("6.9 by nothing", [window(0, 0)], Ends(PROTOCOL)),
        case("6.9 of a stream by nothing", [held(1), window(1, 0)], Resets(1, PROTOCOL)),
        case("6.9 of 3 bytes", [of(0, &[0; 3])], Ends(FRAME_SIZE)),
        case("6.9 of 5 bytes", [held(1), of(1, &[0; 5])], Ends(FRAME_SIZE)),
        case("6.9 the reserved bit", [of(0, &[0x80, 0, 0, 1])], Passes),
        case("6.9.1 up to the limit", [held(1), window(0, most - 65_535), window(1, most - 65_535)], Passes),
        case("6.9.1 above it", [window(0, most - 65_535), window(0, 1)], Ends(FLOW_CONTROL)),
        case(
            "6.9.1 a stream's above it",
            [held(1), window(1, most - 65_535), window(1, 1)],
            Resets(1, FLOW_CONTROL),
        ),
        case(
            "6.9.2 above it by a setting",
            [held(1), window(1, most - 65_535), settings(&[(4, 65_536)])],
            Ends(FLOW_CONTROL),
        ),
    ]
}

pub(crate) fn continuation() -> Vec<Case> {
    let whole = block(&GET);
    let begins = || frame(kind::HEADERS, flag::END_STREAM, 1, &block(&GET)[..9]);
    let goes_on = |flags, stream, part: &[u8]| frame(kind::CONTINUATION, flags, stream, part);
    let end = flag::END_HEADERS;
    vec![
        case("6.10 a block in two", [begins(), goes_on(end, 1, &whole[9..])], Answers(1)),
        case(
            "6.10 a block in four",
            [begins(), goes_on(0, 1, &whole[9..20]), goes_on(0, 1, &[]), goes_on(end, 1, &whole[20..])],
            Answers(1),
        ),
        case(
            "6.10 an end with nothing in it",
            [begins(), goes_on(0, 1, &whole[9..]), goes_on(end, 1, &[])],
            Answers(1),
        ),
        case(
            "6.10 followed by DATA",
            [begins(), goes_on(0, 1, &whole[9..]), data(0, 1, b"x")],
            Ends(PROTOCOL),
        ),
        case("6.10 of no stream", [begins(), goes_on(end, 0, &whole[9..])], Ends(PROTOCOL)),
        case("6.10 of another stream", [begins(), goes_on(end, 3, &whole[9..])], Ends(PROTOCOL)),
        case("6.10 behind whole HEADERS", [ask(1, &GET), goes_on(end, 1, &[])], Ends(PROTOCOL)),
        case(
            "6.10 behind the last of a block",
            [begins(), goes_on(end, 1, &whole[9..]), goes_on(end, 1, &[])],
            Ends(PROTOCOL),
        ),
        case("6.10 behind DATA", [post(1), data(0, 1, b"x"), goes_on(end, 1, &[])], Ends(PROTOCOL)),
        case("6.10 at the beginning", [goes_on(end, 1, &whole)], Ends(PROTOCOL)),
    ]
}
