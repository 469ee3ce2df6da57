//! What is easily got wrong and hardly seen: ends, windows and limits at their edges.

use loadweaver_http1::{RequestHead, ResponseHead};
use loadweaver_http2::{Code, Event, Finish, Limits, NoRoom, Opening, Read, Refusal};

use crate::both_ends::{LATER, NOW, request};
use crate::wire::*;

#[test]
fn a_refused_head_says_whether_its_answer_may_have_a_body() {
    for (method, is_head) in [("HEAD", true), ("GET", false)] {
        let mut engine = Engine::server();
        // The method comes behind what is too much already.
        let path = format!("/{}", "x".repeat(33_000));
        let fields =
            [(":path", path.as_str()), (":method", method), (":scheme", "http"), (":authority", "a")];
        let block = block(&fields);
        engine.frame(HEADERS, END_STREAM, 1, &block[..16_000]).unwrap();
        engine.frame(CONTINUATION, 0, 1, &block[16_000..32_000]).unwrap();
        engine.frame(CONTINUATION, END_HEADERS, 1, &block[32_000..]).unwrap();
        let id = engine.head();
        let mut head = RequestHead::default();
        assert_eq!(engine.connection.take_request(id, &mut head), Err(Refusal::TooLarge));
        assert_eq!(head.method() == loadweaver_http1::Method::Head, is_head);
    }
}

#[test]
fn a_server_that_has_answered_stops_the_rest_of_a_request_in_peace() {
    let mut engine = Engine::server();
    engine.headers(0, 1, &POST).unwrap();
    engine.headers(0, 3, &POST).unwrap();
    let [Event::Head(one), Event::Head(other)] = engine.events()[..] else { panic!() };
    engine.connection.respond_with(one, 413, b"", Finish::Now);
    engine.connection.release(one);
    engine.connection.release(other);
    assert_eq!(engine.resets(), [(1, Code::NO_ERROR), (3, Code::CANCEL)]);
}

#[test]
fn after_the_last_goaway_new_streams_are_ignored_and_old_ones_served() {
    let mut engine = Engine::server();
    engine.headers(0, 1, &POST).unwrap();
    let id = engine.head();
    engine.connection.shutdown();
    let first = engine.frames();
    assert_eq!((first[0].kind, first[0].word(0)), (GOAWAY, (1 << 31) - 1));
    engine.headers(END_STREAM, 3, &GET).unwrap();
    let late = engine.head();
    engine.frame(PING, ACK, 0, &first[1].payload).unwrap();
    let [last] = &engine.frames()[..] else { panic!() };
    assert_eq!((last.kind, last.word(0), last.word(4)), (GOAWAY, 3, 0));
    engine.headers(0, 5, &POST).unwrap();
    engine.frame(DATA, END_STREAM, 5, b"x").unwrap();
    assert_eq!((engine.events(), engine.frames()), (vec![], vec![]));
    engine.frame(DATA, END_STREAM, 1, b"x").unwrap();
    assert_eq!(engine.connection.peek(id), b"x");
    for id in [id, late] {
        engine.connection.respond_with(id, 204, b"", Finish::Now);
        engine.connection.release(id);
    }
    assert!(!engine.connection.is_finished());
    engine.frames();
    assert!(engine.connection.is_finished());
}

#[test]
fn streams_that_were_open_before_our_settings_were_known_keep_their_window_until_then() {
    let limits = Limits { stream_window: 1000, ..Limits::default() };
    let mut engine = Engine::new(loadweaver_http2::Connection::server(&limits, 0));
    engine.send(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()).unwrap();
    engine.headers(0, 1, &POST).unwrap();
    engine.frame(SETTINGS, ACK, 0, &[]).unwrap();
    engine.frame(DATA, 0, 1, &[0; 1001]).unwrap();
    assert_eq!(engine.resets(), [(1, Code::FLOW_CONTROL_ERROR)]);
}

#[test]
fn nobody_is_told_to_write_into_a_window_that_is_still_closed() {
    let mut engine = Engine::server();
    engine.frame(SETTINGS, 0, 0, &setting(4, 10)).unwrap();
    engine.headers(END_STREAM, 1, &GET).unwrap();
    let id = engine.head();
    engine.connection.respond_with(id, 200, b"", Finish::Later);
    assert_eq!(engine.connection.write(id, &[0; 20]), Ok(10));
    engine.frame(SETTINGS, 0, 0, &setting(4, 5)).unwrap();
    engine.frame(SETTINGS, 0, 0, &setting(4, 10)).unwrap();
    assert_eq!(engine.events(), []);
    engine.frame(SETTINGS, 0, 0, &setting(4, 11)).unwrap();
    assert_eq!(engine.events(), [Event::Writable(id)]);
}

#[test]
fn a_window_is_opened_for_what_may_still_come_and_not_where_readers_hold_much() {
    let length = |value| [&POST[..], &[("content-length", value)]].concat();
    let updates = |engine: &mut Engine| {
        engine.frames_of(WINDOW_UPDATE).iter().map(|frame| (frame.stream, frame.word(0))).collect::<Vec<_>>()
    };
    let mut engine = Engine::server();
    engine.headers(0, 1, &length("60000")).unwrap();
    let id = engine.head();
    engine.frame(DATA, 0, 1, &[0; 16_384]).unwrap();
    engine.connection.consume(id, 16_384);
    assert_eq!(updates(&mut engine), [], "all of it fits into the window that there is");
    engine.headers(0, 3, &length("600000")).unwrap();
    let id = engine.head();
    engine.frame(DATA, 0, 3, &[0; 16_384]).unwrap();
    engine.connection.consume(id, 16_384);
    assert_eq!(updates(&mut engine), [(3, 256 * 1024 - 65_535 + 16_384)]);
    // Streams that nobody reads hold more than half of what the connection may hold.
    let limits = Limits { buffered: 1 << 20, ..Limits::default() };
    let mut engine = Engine::server_with(&limits);
    for stream in (1..24).step_by(2) {
        engine.headers(0, stream, &POST).unwrap();
        for _ in 0..3 {
            engine.frame(DATA, 0, stream, &[0; 16_384]).unwrap();
        }
    }
    engine.events();
    engine.headers(0, 25, &POST).unwrap();
    let id = engine.head();
    engine.frame(DATA, 0, 25, &[0; 16_384]).unwrap();
    engine.frame(DATA, 0, 25, &[0; 16_384]).unwrap();
    engine.frames();
    engine.connection.consume(id, 32_768);
    assert_eq!(updates(&mut engine).iter().find(|(stream, _)| *stream == 25), Some(&(25, 32_768)));
}

fn asked(method: &str, protocol: Option<&[u8]>) -> (Engine, loadweaver_http2::StreamId) {
    let mut engine = Engine::client();
    let head = request(&format!("{method} / HTTP/1.1\nHost: a\n\n"));
    let id = engine.connection.open(&head, b"", Opening { finish: Finish::Later, protocol }).unwrap();
    engine.frames();
    (engine, id)
}

#[test]
fn a_tunnel_has_no_length() {
    let (mut engine, id) = asked("GET", Some(b"websocket"));
    engine.headers(0, 1, &[(":status", "200"), ("content-length", "0")]).unwrap();
    engine.frame(DATA, 0, 1, b"frame").unwrap();
    assert_eq!((engine.resets(), engine.connection.peek(id)), (vec![], b"frame".as_slice()));
}

#[test]
fn interim_answers_have_an_end() {
    let (mut engine, id) = asked("GET", None);
    for _ in 0..32 {
        engine.headers(0, 1, &[(":status", "103")]).unwrap();
        let mut head = ResponseHead::default();
        assert!(engine.connection.take_response(id, &mut head));
    }
    engine.events();
    engine.headers(0, 1, &[(":status", "103")]).unwrap();
    assert_eq!(engine.events(), [Event::Reset(id, Code::ENHANCE_YOUR_CALM)]);
}

#[test]
fn what_came_whole_can_be_read_after_a_reset() {
    let (mut engine, id) = asked("POST", None);
    engine.headers(0, 1, &[(":status", "200")]).unwrap();
    engine.frame(DATA, END_STREAM, 1, b"early").unwrap();
    engine.frame(RST_STREAM, 0, 1, &[0; 4]).unwrap();
    assert!(engine.events().contains(&Event::Reset(id, Code::NO_ERROR)));
    assert_eq!(engine.connection.write(id, b"x"), Err(Code::NO_ERROR));
    let mut buffer = [0; 9];
    assert_eq!(engine.connection.read(id, &mut buffer), Read::Bytes(5));
    assert_eq!(engine.connection.read(id, &mut buffer), Read::End);
    let (mut engine, id) = asked("POST", None);
    engine.headers(0, 1, &[(":status", "200")]).unwrap();
    engine.frame(DATA, 0, 1, b"half").unwrap();
    engine.frame(RST_STREAM, 0, 1, &[0, 0, 0, 2]).unwrap();
    assert_eq!(engine.connection.read(id, &mut buffer), Read::Reset(Code::INTERNAL_ERROR));
    assert_eq!(engine.connection.buffered(), 0);
}

#[test]
fn a_field_that_no_table_may_hold_goes_on_as_one() {
    let mut server = Engine::server();
    let secret = [&block(&GET)[..], &[0x10, 3, b'x', b'-', b's', 1, b'v']].concat();
    server.frame(HEADERS, END_HEADERS | END_STREAM, 1, &secret).unwrap();
    let id = server.head();
    let mut head = RequestHead::default();
    server.connection.take_request(id, &mut head).unwrap();
    let mut client = Engine::client();
    for _ in 0..3 {
        client.connection.open(&head, b"", NOW).unwrap();
        let [sent] = &client.frames()[..] else { panic!() };
        assert!(sent.payload.ends_with(&[0x10, 3, b'x', b'-', b's', 1, b'v']), "{:?}", sent.payload);
        let hosts = sent.payload.windows(9).filter(|bytes| *bytes == b"a.example").count();
        assert!(hosts <= 1, "the host is the authority");
    }
}

#[test]
fn an_end_needs_no_frame_of_its_own_while_the_last_one_waits() {
    let mut engine = Engine::server();
    engine.headers(END_STREAM, 1, &GET).unwrap();
    let id = engine.head();
    engine.connection.respond_with(id, 200, b"", Finish::Later);
    engine.connection.write(id, b"body").unwrap();
    engine.connection.finish(id, None);
    let frames = engine.frames();
    assert_eq!(
        frames.iter().map(|frame| (frame.kind, frame.flags)).collect::<Vec<_>>(),
        [(HEADERS, 4), (DATA, 1)]
    );
    engine.headers(END_STREAM, 3, &GET).unwrap();
    let id = engine.head();
    engine.connection.respond_with(id, 200, b"", Finish::Later);
    engine.frames();
    engine.connection.finish(id, None);
    let [end] = &engine.frames()[..] else { panic!() };
    assert_eq!((end.kind, end.flags, end.payload.len()), (DATA, 1, 0));
}

#[test]
fn a_busy_client_says_so_and_when_it_no_longer_is() {
    let limits = Limits { buffered: 100_000, connection_window: 65_535, ..Limits::default() };
    let mut engine =
        Engine::new(loadweaver_http2::Connection::client(&limits, loadweaver_http2::Scheme::Http, 0));
    engine.connection.wrote(PREFACE.len());
    engine.frame(SETTINGS, 0, 0, &[]).unwrap();
    engine.events();
    let ask = request("PUT / HTTP/1.1\nHost: a\n\n");
    let id = engine.connection.open(&ask, b"", LATER).unwrap();
    engine.headers(0, 1, &[(":status", "200")]).unwrap();
    for _ in 0..3 {
        engine.frame(DATA, 0, 1, &[0; 16_384]).unwrap();
    }
    engine.frame(DATA, 0, 1, &[0; 1000]).unwrap();
    assert_eq!(engine.connection.open(&ask, b"", NOW), Err(NoRoom::Busy));
    engine.events();
    engine.connection.consume(id, 1000);
    assert_eq!(engine.events(), [Event::Room]);
    engine.connection.open(&ask, b"", NOW).unwrap();
}
