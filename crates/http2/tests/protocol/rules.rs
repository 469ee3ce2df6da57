//! What RFC 9113 and RFC 7541 forbid, case by case: the list of h2spec, and what it leaves out.

use loadweaver_http2::{Code, Connection, Event, Limits, Read, Scheme};

use crate::wire::*;

pub(crate) fn headers(flags: u8, stream: u32, fields: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, flags | END_HEADERS, stream, &block(fields))
}

/// A GET that has ended.
pub(crate) fn get(stream: u32) -> Vec<u8> {
    headers(END_STREAM, stream, &GET)
}

/// A POST that goes on.
pub(crate) fn post(stream: u32) -> Vec<u8> {
    headers(0, stream, &POST)
}

/// The server ends the connection with this code, and says so.
#[track_caller]
pub(crate) fn ends(sent: impl AsRef<[Vec<u8>]>, code: Code) {
    let mut engine = Engine::server();
    let ended = engine.send(&sent.as_ref().concat()).expect_err("the connection goes on");
    assert_eq!(ended.code, code, "{:?}", ended.why);
    let goaway = engine.frames().pop().unwrap();
    assert_eq!((goaway.kind, goaway.stream, Code(goaway.word(4))), (GOAWAY, 0, code));
    assert_eq!(engine.send(&get(101)), Err(ended), "nothing is read after the end");
}

/// The server resets this stream with this code, once, and the connection goes on.
#[track_caller]
pub(crate) fn resets(sent: impl AsRef<[Vec<u8>]>, stream: u32, code: Code) {
    let mut engine = Engine::server();
    engine.send(&sent.as_ref().concat()).expect("the connection has ended");
    assert_eq!(engine.resets(), [(stream, code)]);
    lives(&mut engine);
}

/// The server says nothing against it.
#[track_caller]
pub(crate) fn passes(sent: impl AsRef<[Vec<u8>]>) -> Engine {
    let mut engine = Engine::server();
    engine.send(&sent.as_ref().concat()).expect("the connection has ended");
    assert_eq!(engine.resets(), []);
    lives(&mut engine);
    engine
}

#[track_caller]
pub(crate) fn lives(engine: &mut Engine) {
    engine.frame(PING, 0, 0, b"are you?").unwrap();
    let pong = engine.frames().pop().unwrap();
    assert_eq!((pong.kind, pong.flags, pong.payload.as_slice()), (PING, ACK, b"are you?".as_slice()));
}

// Section 3.4: the connection's preface.

#[test]
fn a_connection_that_begins_with_anything_else_is_ended() {
    for bad in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", b"INVALID"] {
        let mut engine = Engine::new(Connection::server(&Limits::default(), 0));
        assert_eq!(engine.send(bad).unwrap_err().code, Code::PROTOCOL_ERROR);
    }
    for first in [frame(PING, 0, 0, &[0; 8]), frame(SETTINGS, ACK, 0, &[]), get(1)] {
        let mut engine = Engine::new(Connection::server(&Limits::default(), 0));
        assert_eq!(engine.send(&[PREFACE, &first].concat()).unwrap_err().code, Code::PROTOCOL_ERROR);
        let mut engine = Engine::new(Connection::client(&Limits::default(), Scheme::Http, 0));
        assert_eq!(engine.send(&first).unwrap_err().code, Code::PROTOCOL_ERROR);
    }
}

#[test]
fn a_server_tells_its_settings_and_opens_its_window_before_it_hears_anything() {
    let mut engine = Engine::new(Connection::server(&Limits::default(), 0));
    let frames = engine.frames();
    assert_eq!((frames[0].kind, frames[0].flags, frames[0].stream), (SETTINGS, 0, 0));
    let settings: Vec<_> =
        frames[0].payload.chunks(6).map(|s| (s[1], u32::from_be_bytes(s[2..].try_into().unwrap()))).collect();
    assert_eq!(settings, [(3, 128), (9, 1), (8, 1), (4, 65_535), (6, 32_768)]);
    assert_eq!((frames[1].kind, frames[1].word(0)), (WINDOW_UPDATE, (1 << 20) - 65_535));
    engine.send(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()).unwrap();
    let acks = engine.frames();
    assert_eq!((acks.len(), acks[0].kind, acks[0].flags), (1, SETTINGS, ACK));
}

// Section 4.1: frame format.

#[test]
fn unknown_types_flags_and_reserved_bits_are_ignored() {
    passes([frame(0x16, 0, 0, &[1; 8]), frame(0xff, 0xff, 1, &[0; 16_384])]);
    passes([frame(PING, 0xfe, 0, &[0; 8])]);
    passes([frame(PING, 0, 1 << 31, &[0; 8])]);
    passes([frame(SETTINGS, 0, 0, &setting(0xff, 1))]);
    passes([post(1), frame(WINDOW_UPDATE, 0, 1, &[0x80, 0, 0, 1])]);
}

// Section 4.2: frame size.

#[test]
fn frames_up_to_16384_bytes_pass_and_longer_ones_do_not() {
    passes([post(1), frame(DATA, 0, 1, &[0; 16_384])]);
    ends([post(1), frame(DATA, 0, 1, &vec![0; 16_385])], Code::FRAME_SIZE_ERROR);
    ends([frame(HEADERS, END_HEADERS, 1, &vec![0; 16_385])], Code::FRAME_SIZE_ERROR);
    ends([frame(0xff, 0, 0, &vec![0; 16_385])], Code::FRAME_SIZE_ERROR);
}

// Section 4.3: header compression.

#[test]
fn a_block_that_cannot_be_decoded_ends_the_connection() {
    ends([frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0x40, 0x05, b'a'])], Code::COMPRESSION_ERROR);
    ends([get(1), frame(HEADERS, END_HEADERS | END_STREAM, 3, &[0x40])], Code::COMPRESSION_ERROR);
}

#[test]
fn nothing_may_stand_within_a_block() {
    let open = || frame(HEADERS, END_STREAM, 1, &block(&GET));
    for between in [
        frame(PRIORITY, 0, 1, &[0, 0, 0, 3, 1]),
        frame(DATA, 0, 1, b"x"),
        frame(PING, 0, 0, &[0; 8]),
        frame(SETTINGS, 0, 0, &[]),
        frame(0xff, 0, 1, &[]),
        frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]),
        get(1),
        get(3),
        frame(CONTINUATION, END_HEADERS, 3, &[]),
        frame(CONTINUATION, END_HEADERS, 0, &[]),
    ] {
        ends([open(), between], Code::PROTOCOL_ERROR);
    }
}

// Section 6.1: DATA.

#[test]
fn data_belongs_to_a_stream_and_its_padding_fits() {
    ends([frame(DATA, 0, 0, b"x")], Code::PROTOCOL_ERROR);
    ends([post(1), frame(DATA, PADDED | END_STREAM, 1, &[6, 0, 0, 0, 0, 0])], Code::PROTOCOL_ERROR);
    ends([post(1), frame(DATA, PADDED, 1, &[])], Code::FRAME_SIZE_ERROR);
    let mut engine = passes([post(1), frame(DATA, PADDED | END_STREAM, 1, &[3, b'a', b'b', 0, 0, 0])]);
    let id = engine.head();
    assert_eq!(engine.connection.peek(id), b"ab");
    passes([post(1), frame(DATA, PADDED | END_STREAM, 1, &[5, 0, 0, 0, 0, 0])]);
}

// Section 6.2: HEADERS.

#[test]
fn headers_belong_to_a_stream_and_their_padding_fits() {
    ends([headers(END_STREAM, 0, &GET)], Code::PROTOCOL_ERROR);
    let padded = |len: u8| [&[len][..], &block(&GET), &[0; 4]].concat();
    passes([frame(HEADERS, END_HEADERS | END_STREAM | PADDED, 1, &padded(4))]);
    let flags = END_HEADERS | END_STREAM | PADDED;
    ends([frame(HEADERS, flags, 1, &[1])], Code::PROTOCOL_ERROR);
    ends([frame(HEADERS, flags, 1, &padded(255))], Code::PROTOCOL_ERROR);
    ends([frame(HEADERS, flags, 1, &[])], Code::FRAME_SIZE_ERROR);
    ends([frame(HEADERS, END_HEADERS | PRIORITIZED, 1, &[0; 4])], Code::FRAME_SIZE_ERROR);
    let both = [&[4, 0, 0, 0, 3, 7][..], &block(&GET), &[0; 4]].concat();
    passes([frame(HEADERS, flags | PRIORITIZED, 1, &both)]);
}

// Sections 6.3 to 6.9: frames of a few bytes.

#[test]
fn frames_of_a_few_bytes_have_their_size_and_their_stream() {
    ends([frame(PRIORITY, 0, 0, &[0; 5])], Code::PROTOCOL_ERROR);
    ends([frame(PRIORITY, 0, 1, &[0; 4])], Code::FRAME_SIZE_ERROR);
    ends([frame(RST_STREAM, 0, 0, &[0; 4])], Code::PROTOCOL_ERROR);
    ends([post(1), frame(RST_STREAM, 0, 1, &[0; 3])], Code::FRAME_SIZE_ERROR);
    ends([frame(SETTINGS, ACK, 0, &[0])], Code::FRAME_SIZE_ERROR);
    ends([frame(SETTINGS, 0, 1, &setting(3, 100))], Code::PROTOCOL_ERROR);
    ends([frame(SETTINGS, 0, 0, &[0; 3])], Code::FRAME_SIZE_ERROR);
    ends([frame(PING, 0, 1, &[0; 8])], Code::PROTOCOL_ERROR);
    ends([frame(PING, 0, 0, &[0; 6])], Code::FRAME_SIZE_ERROR);
    ends([frame(GOAWAY, 0, 1, &[0; 8])], Code::PROTOCOL_ERROR);
    ends([frame(GOAWAY, 0, 0, &[0; 7])], Code::FRAME_SIZE_ERROR);
    ends([frame(WINDOW_UPDATE, 0, 0, &[0; 3])], Code::FRAME_SIZE_ERROR);
    ends([post(1), frame(WINDOW_UPDATE, 0, 1, &[0, 0, 1])], Code::FRAME_SIZE_ERROR);
    ends([frame(PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2])], Code::PROTOCOL_ERROR);
}

#[test]
fn a_goaway_may_say_why_and_codes_may_be_unknown() {
    passes([frame(GOAWAY, 0, 0, &[&[0; 7][..], &[0xff], &[7; 1000]].concat())]);
    let mut engine = passes([post(1), frame(RST_STREAM, 0, 1, &[0xff; 4])]);
    assert!(matches!(engine.events()[..], [Event::Head(_), Event::Reset(_, Code(u32::MAX))]));
}

#[test]
fn pings_are_answered_and_answers_are_not() {
    let mut engine = Engine::server();
    engine.frame(PING, 0, 0, b"12345678").unwrap();
    let [pong] = &engine.frames()[..] else { panic!() };
    assert_eq!((pong.kind, pong.flags, pong.payload.as_slice()), (PING, ACK, b"12345678".as_slice()));
    engine.frame(PING, ACK, 0, b"12345678").unwrap();
    assert_eq!(engine.frames(), []);
    assert_eq!(engine.events(), [], "nobody had asked");
    engine.connection.ping(77);
    engine.frames();
    engine.frame(PING, ACK, 0, &77_u64.to_be_bytes()).unwrap();
    assert_eq!(engine.events(), [Event::Pong(77)]);
}

// Section 6.5.2: settings.

#[test]
fn settings_have_values_that_they_can_have() {
    ends([frame(SETTINGS, 0, 0, &setting(2, 2))], Code::PROTOCOL_ERROR);
    ends([frame(SETTINGS, 0, 0, &setting(4, 1 << 31))], Code::FLOW_CONTROL_ERROR);
    ends([frame(SETTINGS, 0, 0, &setting(5, 16_383))], Code::PROTOCOL_ERROR);
    ends([frame(SETTINGS, 0, 0, &setting(5, 1 << 24))], Code::PROTOCOL_ERROR);
    ends([frame(SETTINGS, 0, 0, &setting(8, 2))], Code::PROTOCOL_ERROR);
    passes([frame(SETTINGS, 0, 0, &[setting(2, 1), setting(4, 100), setting(5, 1 << 20)].concat())]);
    let mut client = Engine::client();
    assert_eq!(client.frame(SETTINGS, 0, 0, &setting(2, 1)).unwrap_err().code, Code::PROTOCOL_ERROR);
    let mut client = Engine::client();
    let push = frame(PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2]);
    assert_eq!(client.send(&push).unwrap_err().code, Code::PROTOCOL_ERROR);
}

#[test]
fn each_frame_of_settings_is_acknowledged_and_the_last_value_counts() {
    let mut engine = Engine::server();
    engine.frame(SETTINGS, 0, 0, &[setting(4, 100), setting(4, 1)].concat()).unwrap();
    engine.send(&get(1)).unwrap();
    let id = engine.head();
    engine.connection.respond_with(id, 200, b"", loadweaver_http2::Finish::Later);
    assert_eq!(engine.connection.write(id, b"xyz"), Ok(1));
    let frames = engine.frames();
    assert_eq!((frames[0].kind, frames[0].flags), (SETTINGS, ACK));
    assert_eq!((frames[2].kind, frames[2].payload.as_slice()), (DATA, b"x".as_slice()));
}

// Section 6.9: flow control.

#[test]
fn windows_grow_by_something_and_not_beyond_their_limit() {
    let grow = |stream, by: u32| frame(WINDOW_UPDATE, 0, stream, &by.to_be_bytes());
    ends([grow(0, 0)], Code::PROTOCOL_ERROR);
    resets([post(1), grow(1, 0)], 1, Code::PROTOCOL_ERROR);
    ends([grow(0, (1 << 31) - 1)], Code::FLOW_CONTROL_ERROR);
    resets([post(1), grow(1, (1 << 31) - 1)], 1, Code::FLOW_CONTROL_ERROR);
    passes([post(1), grow(1, (1 << 31) - 65_536), grow(0, (1 << 31) - 65_536)]);
    ends(
        [post(1), grow(1, (1 << 31) - 65_536), frame(SETTINGS, 0, 0, &setting(4, 65_536))],
        Code::FLOW_CONTROL_ERROR,
    );
}

#[test]
fn a_window_may_go_below_zero_and_has_to_come_back() {
    let mut engine = Engine::server();
    engine.send(&get(1)).unwrap();
    let id = engine.head();
    engine.connection.respond_with(id, 200, b"", loadweaver_http2::Finish::Later);
    assert_eq!(engine.connection.write(id, &vec![0; 30_000]), Ok(30_000));
    engine.frame(SETTINGS, 0, 0, &setting(4, 10_000)).unwrap();
    assert_eq!(engine.connection.write(id, b"x"), Ok(0), "it is at -20,000");
    engine.frame(WINDOW_UPDATE, 0, 1, &20_000_u32.to_be_bytes()).unwrap();
    assert_eq!(engine.events(), []);
    engine.frame(WINDOW_UPDATE, 0, 1, &2_u32.to_be_bytes()).unwrap();
    assert_eq!(engine.events(), [Event::Writable(id)]);
    assert_eq!(engine.connection.write(id, b"xyz"), Ok(2));
    engine.frame(SETTINGS, 0, 0, &setting(4, 10_001)).unwrap();
    assert_eq!(engine.events(), [Event::Writable(id)]);
    assert_eq!(engine.connection.write(id, b"xyz"), Ok(1));
}

#[test]
fn more_data_than_the_windows_allow_is_an_error() {
    let mut engine = Engine::server();
    engine.send(&post(1)).unwrap();
    engine.head();
    for _ in 0..3 {
        engine.frame(DATA, 0, 1, &[0; 16_384]).unwrap();
    }
    engine.frame(DATA, 0, 1, &[0; 16_383]).unwrap();
    engine.frame(DATA, 0, 1, b"x").unwrap();
    assert_eq!(engine.resets(), [(1, Code::FLOW_CONTROL_ERROR)]);
    assert_eq!(engine.connection.buffered(), 0);
    let limits = Limits { connection_window: 65_535, buffered: 65_535, ..Limits::default() };
    let mut engine = Engine::server_with(&limits);
    engine.send(&[post(1), post(3)].concat()).unwrap();
    for _ in 0..3 {
        engine.frame(DATA, 0, 1, &[0; 16_384]).unwrap();
    }
    engine.frame(DATA, 0, 3, &[0; 16_383]).unwrap();
    assert_eq!(engine.frame(DATA, 0, 3, b"x").unwrap_err().code, Code::FLOW_CONTROL_ERROR);
}

#[test]
fn a_client_that_does_not_know_our_settings_yet_may_send_by_the_defaults() {
    let limits = Limits { stream_window: 1000, ..Limits::default() };
    let mut engine = Engine::new(Connection::server(&limits, 0));
    engine.send(&[PREFACE, &frame(SETTINGS, 0, 0, &[]), &post(1)].concat()).unwrap();
    engine.frame(DATA, 0, 1, &[0; 16_384]).unwrap();
    engine.frame(SETTINGS, ACK, 0, &[]).unwrap();
    engine.send(&post(3)).unwrap();
    engine.frame(DATA, 0, 3, &[0; 1000]).unwrap();
    assert_eq!(engine.resets(), []);
    engine.frame(DATA, 0, 3, b"x").unwrap();
    assert_eq!(engine.resets(), [(3, Code::FLOW_CONTROL_ERROR)]);
}

// Section 6.10: CONTINUATION.

#[test]
fn continuations_belong_to_an_open_block() {
    let cut = block(&GET);
    let pieces = |at: usize| {
        let (one, other) = cut.split_at(at);
        vec![
            frame(HEADERS, END_STREAM, 1, one),
            frame(CONTINUATION, 0, 1, other),
            frame(CONTINUATION, END_HEADERS, 1, &[]),
        ]
    };
    for at in 0..cut.len() {
        let mut engine = passes(pieces(at));
        let id = engine.head();
        assert_eq!(engine.connection.read(id, &mut [0; 1]), Read::End);
    }
    ends([get(1), frame(CONTINUATION, END_HEADERS, 1, &[])], Code::PROTOCOL_ERROR);
    ends([pieces(3), vec![frame(CONTINUATION, END_HEADERS, 1, &[])]].concat(), Code::PROTOCOL_ERROR);
    ends([post(1), frame(DATA, 0, 1, b"x"), frame(CONTINUATION, END_HEADERS, 1, &[])], Code::PROTOCOL_ERROR);
}

// Section 8.1: message framing.

#[test]
fn a_second_block_ends_the_message_or_it_is_malformed() {
    resets([post(1), headers(0, 1, &[("x", "y")])], 1, Code::PROTOCOL_ERROR);
    let mut engine = passes([
        post(1),
        frame(DATA, 0, 1, b"ab"),
        headers(END_STREAM, 1, &[("x-sum", "1"), ("content-length", "9")]),
    ]);
    let id = engine.head();
    engine.connection.consume(id, 2);
    let trailers = engine.connection.trailers(id).unwrap();
    assert_eq!(trailers.iter().collect::<Vec<_>>(), [(b"x-sum".as_slice(), b"1".as_slice())]);
    for bad in
        [(":path", "/"), (":status", "200"), ("X", "y"), ("connection", "x"), ("x", " y"), ("x", "a\r\nb")]
    {
        resets([post(1), headers(END_STREAM, 1, &[bad])], 1, Code::PROTOCOL_ERROR);
    }
}

// Section 7541: compression.

#[test]
fn what_rfc_7541_forbids_ends_the_connection() {
    let with =
        |bytes: &[u8]| vec![frame(HEADERS, END_HEADERS | END_STREAM, 1, &[&block(&GET), bytes].concat())];
    let alone =
        |bytes: &[u8]| vec![frame(HEADERS, END_HEADERS | END_STREAM, 1, &[bytes, &block(&GET)].concat())];
    // 2.3.3: an index beyond the tables, of a field and of a name.
    ends(with(&[0xc6]), Code::COMPRESSION_ERROR);
    ends(with(&[0x7f, 7, 1, b'v']), Code::COMPRESSION_ERROR);
    // 4.2: a size update behind a field.
    ends(with(&[0x20]), Code::COMPRESSION_ERROR);
    passes(alone(&[0x20, 0x3f, 0xe1, 0x1f]));
    // 5.2: padding that is too long, is not ones, or EOS.
    ends(
        with(&[0, 0x85, 0xf2, 0xb2, 0x4a, 0x84, 0xff, 0x84, 0x49, 0x50, 0x9f, 0xff]),
        Code::COMPRESSION_ERROR,
    );
    ends(with(&[0, 0x85, 0xf2, 0xb2, 0x4a, 0x87, 0xff, 0x83, 0x49, 0x50, 0x90]), Code::COMPRESSION_ERROR);
    ends(
        with(&[0, 0x88, 0xf2, 0xb2, 0x4a, 0x84, 0xff, 0xff, 0xff, 0xff, 0x83, 0x49, 0x50, 0x9f]),
        Code::COMPRESSION_ERROR,
    );
    // 6.1: the index zero.
    ends(with(&[0x80]), Code::COMPRESSION_ERROR);
    // 6.3: a table larger than we allow.
    ends(alone(&[0x3f, 0xe2, 0x1f]), Code::COMPRESSION_ERROR);
    // 5.1: an integer that overflows.
    ends(with(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]), Code::COMPRESSION_ERROR);
}
