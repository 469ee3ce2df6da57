//! Messages that break section 8 of RFC 9113 never get through.

use loadweaver_http1::{Framing, RequestHead, ResponseHead};
use loadweaver_http2::{Code, Event, Finish, Limits, Read, Refusal, StreamId};

use crate::both_ends::{LATER, NOW, request};
use crate::wire::*;

/// Whether a request with these fields is reset as malformed; the head, if it is not.
fn asked(flags: u8, fields: &[(&str, &str)]) -> Option<(RequestHead, Engine, StreamId)> {
    let mut engine = Engine::server();
    engine.headers(flags, 1, fields).unwrap();
    let resets = engine.resets();
    if !resets.is_empty() {
        assert_eq!(resets, [(1, Code::PROTOCOL_ERROR)]);
        assert_eq!((engine.events(), engine.connection.streams()), (vec![], 0));
        assert_eq!(engine.connection.malformed(), 1);
        return None;
    }
    let id = engine.head();
    let mut head = RequestHead::default();
    engine.connection.take_request(id, &mut head).unwrap();
    Some((head, engine, id))
}

fn with(more: &[(&'static str, &'static str)]) -> Vec<(&'static str, &'static str)> {
    [&GET[..], more].concat()
}

fn fields(head: &RequestHead) -> String {
    let mut out = Vec::new();
    head.headers.write(&mut out);
    String::from_utf8(out).unwrap()
}

#[track_caller]
fn malformed(fields: &[(&str, &str)]) {
    assert!(asked(END_STREAM, fields).is_none(), "{fields:?} passes");
    assert!(asked(0, fields).is_none(), "{fields:?} passes");
}

#[test]
fn names_and_values_that_another_reader_could_take_differently_are_refused() {
    for (name, value) in [
        ("X-Test", "ok"),
        ("x-tEst", "ok"),
        ("", "ok"),
        ("x y", "ok"),
        ("x:y", "ok"),
        ("x\r\ny", "ok"),
        ("x\0", "ok"),
        ("x\u{e9}", "ok"),
        ("x", "a\r\nb: c"),
        ("x", "a\nb"),
        ("x", "a\rb"),
        ("x", "a\0b"),
        ("x", "a\x0bb"),
        ("x", "a\x7f"),
        ("x", " a"),
        ("x", "a "),
        ("x", "\ta"),
        ("cookie", "a=\nb"),
        ("host", "a.example\r\nx: y"),
    ] {
        malformed(&with(&[(name, value)]));
    }
    assert!(asked(END_STREAM, &with(&[("x", ""), ("x!#$%&'*+-.^_`|~09", "a \t\u{e9}b")])).is_some());
}

#[test]
fn pseudo_header_fields_are_known_once_first_and_all_there() {
    malformed(&with(&[(":test", "ok")]));
    malformed(&with(&[(":status", "200")]));
    malformed(&with(&[(":path", "/")]));
    malformed(&with(&[(":method", "GET")]));
    malformed(&with(&[(":scheme", "http")]));
    malformed(&with(&[(":authority", "a.example")]));
    for missing in 0..3 {
        let mut fields = GET.to_vec();
        fields.remove(missing);
        malformed(&fields);
    }
    malformed(&[GET[0], GET[1], GET[2], ("x", "y"), GET[3]]);
    malformed(&[("x", "y"), GET[0], GET[1], GET[2], GET[3]]);
    malformed(&[GET[0], GET[1], GET[2], ("cookie", "y"), GET[3]]);
    malformed(&[]);
    for (place, value) in [
        (0, ""),
        (0, "G T"),
        (0, "GET\r\n"),
        (1, "ftp"),
        (1, ""),
        (1, "HTTP"),
        (2, ""),
        (2, "x"),
        (2, "*"),
        (2, "http://a.example/"),
        (2, "/ x"),
        (2, "/\u{e9}"),
        (2, "/#x"),
        (2, "/ HTTP/1.1\r\nx: y"),
        (3, ""),
        (3, "u@a.example"),
        (3, "a.example/x"),
        (3, "a.example, b"),
        (3, "a.example:x"),
    ] {
        let mut fields = GET.to_vec();
        fields[place].1 = value;
        malformed(&fields);
    }
}

#[test]
fn a_host_is_the_authority_or_stands_for_it() {
    let (head, ..) = asked(END_STREAM, &with(&[("host", "A.example:80")])).unwrap();
    assert_eq!(fields(&head), "host: a.example\r\n");
    let (head, ..) = asked(END_STREAM, &[GET[0], GET[1], GET[2], ("x", "y"), ("host", "b")]).unwrap();
    assert_eq!((fields(&head).as_str(), head.host()), ("x: y\r\nhost: b\r\n", "b"));
    malformed(&with(&[("host", "b.example")]));
    malformed(&GET[..3]);
    malformed(&[GET[0], GET[1], GET[2], ("host", "b"), ("host", "b")]);
    malformed(&[GET[0], GET[1], GET[2], ("host", "u@b")]);
}

#[test]
fn fields_that_speak_of_a_connection_are_refused() {
    for (name, value) in [
        ("connection", "keep-alive"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "websocket"),
        ("te", "gzip"),
        ("te", "trailers, deflate"),
        ("content_length", "5"),
        ("transfer_encoding", "chunked"),
    ] {
        malformed(&with(&[(name, value)]));
    }
    let (head, ..) = asked(END_STREAM, &with(&[("te", "trailers")])).unwrap();
    assert!(head.takes_trailers());
}

#[test]
fn the_asterisk_is_for_options_only_and_connect_has_no_path() {
    let (head, ..) = asked(END_STREAM, &[(":method", "OPTIONS"), GET[1], (":path", "*"), GET[3]]).unwrap();
    assert_eq!(head.target(), "*");
    let (head, ..) = asked(0, &[(":method", "CONNECT"), (":authority", "a.example:443")]).unwrap();
    assert_eq!(head.target(), "a.example:443");
    malformed(&[(":method", "CONNECT"), (":authority", "a.example")]);
    malformed(&[(":method", "CONNECT"), (":authority", "a.example:443"), (":path", "/")]);
    malformed(&[(":method", "CONNECT"), (":authority", "a.example:443"), (":scheme", "http")]);
    malformed(&[(":method", "CONNECT"), ("host", "a.example:443")]);
    let connect = (":method", "CONNECT");
    let (head, ..) = asked(0, &[connect, (":protocol", "websocket"), GET[1], GET[2], GET[3]]).unwrap();
    assert_eq!((head.protocol(), head.target()), (Some(b"websocket".as_slice()), "/"));
    malformed(&with(&[(":protocol", "websocket")]));
    malformed(&[connect, (":protocol", "websocket"), GET[1], GET[3]]);
    malformed(&[connect, (":protocol", "websocket"), GET[2], GET[3]]);
    malformed(&[connect, (":protocol", ""), GET[1], GET[2], GET[3]]);
    let mut engine = Engine::server_with(&Limits { allow_connect_protocol: false, ..Limits::default() });
    engine.headers(0, 1, &[connect, (":protocol", "websocket"), GET[1], GET[2], GET[3]]).unwrap();
    assert_eq!(engine.resets(), [(1, Code::PROTOCOL_ERROR)]);
}

#[test]
fn a_length_is_one_number_and_the_data_has_it() {
    let length = |value: &'static str| [&POST[..], &[("content-length", value)]].concat();
    for bad in ["", "-1", "+1", "1, 1", "0x1", "9223372036854775808", "1 "] {
        malformed(&length(bad));
    }
    malformed(&[&POST[..], &[("content-length", "1"), ("content-length", "1")]].concat());
    assert!(asked(END_STREAM, &length("1")).is_none());
    assert_eq!(asked(END_STREAM, &length("0")).unwrap().0.framing(), Framing::Length(0));
    for (sent, code) in [
        (frame(DATA, END_STREAM, 1, b"abc"), None),
        (frame(DATA, END_STREAM, 1, b"ab"), Some(Code::PROTOCOL_ERROR)),
        (frame(DATA, 0, 1, b"abcd"), Some(Code::PROTOCOL_ERROR)),
        (frame(DATA, END_STREAM, 1, b"abcd"), Some(Code::PROTOCOL_ERROR)),
        ([frame(DATA, 0, 1, b"ab"), frame(DATA, END_STREAM, 1, b"c")].concat(), None),
        ([frame(DATA, 0, 1, b"ab"), frame(HEADERS, 5, 1, &[])].concat(), Some(Code::PROTOCOL_ERROR)),
        ([frame(DATA, 0, 1, b"abc"), frame(HEADERS, 5, 1, &[])].concat(), None),
        ([frame(DATA, 0, 1, b"abc"), frame(DATA, END_STREAM, 1, b"d")].concat(), Some(Code::PROTOCOL_ERROR)),
    ] {
        let (head, mut engine, id) = asked(0, &length("3")).unwrap();
        assert_eq!(head.framing(), Framing::Length(3));
        engine.send(&sent).unwrap();
        match code {
            None => assert_eq!(engine.resets(), []),
            Some(code) => {
                assert_eq!(engine.resets(), [(1, code)]);
                assert!(engine.events().contains(&Event::Reset(id, code)));
                assert_eq!(engine.connection.read(id, &mut [0; 9]), Read::Reset(code));
            }
        }
    }
}

#[test]
fn cookies_are_rejoined() {
    let (head, ..) =
        asked(END_STREAM, &with(&[("cookie", "a=1"), ("x", "y"), ("cookie", "b=2"), ("cookie", "c=3")]))
            .unwrap();
    assert_eq!(fields(&head), "host: a.example\r\nx: y\r\ncookie: a=1; b=2; c=3\r\n");
    let (head, ..) = asked(END_STREAM, &with(&[("cookie", ""), ("cookie", "a=1"), ("cookie", "")])).unwrap();
    assert_eq!(fields(&head), "host: a.example\r\ncookie: a=1\r\n");
}

#[test]
fn a_head_above_the_limit_can_still_be_answered() {
    let long = "v".repeat(9000);
    for (more, refusal) in [
        (vec![("x", long.as_str()); 4], Refusal::TooLarge),
        (vec![("x", ""); 97], Refusal::TooLarge),
        (vec![("expect", "miracles")], Refusal::Expectation),
    ] {
        let mut engine = Engine::server();
        let all = block(&[&GET[..], &more].concat());
        let mut pieces = all.chunks(16_000);
        engine.frame(HEADERS, END_STREAM, 1, pieces.next().unwrap()).unwrap();
        for piece in pieces {
            engine.frame(CONTINUATION, 0, 1, piece).unwrap();
        }
        // What the block has put into the table is there.
        engine.frame(CONTINUATION, END_HEADERS, 1, &[0x40, 1, b'n', 1, b'v']).unwrap();
        let id = engine.head();
        let mut head = RequestHead::default();
        assert_eq!(engine.connection.take_request(id, &mut head), Err(refusal));
        // Which request it was is still known, and nothing else is kept.
        assert_eq!((head.method_text(), head.target(), &*fields(&head)), ("GET", "/", ""));
        engine.connection.respond_with(id, 431, b"", Finish::Now);
        engine.connection.release(id);
        assert_eq!(engine.frames_of(HEADERS).len(), 1);
        engine.frame(HEADERS, END_HEADERS | END_STREAM, 3, &[&block(&GET)[..], &[0xbe]].concat()).unwrap();
        let id = engine.head();
        let mut head = RequestHead::default();
        engine.connection.take_request(id, &mut head).unwrap();
        assert_eq!(fields(&head), "host: a.example\r\nn: v\r\n");
    }
    let path = format!("/{}", "x".repeat(8192));
    let mut engine = Engine::server();
    engine.headers(END_STREAM, 1, &[GET[0], GET[1], (":path", &path), GET[3]]).unwrap();
    let id = engine.head();
    assert_eq!(engine.connection.take_request(id, &mut RequestHead::default()), Err(Refusal::TargetTooLong));
}

/// What a client makes of an answer.
fn answered(method: &str, sent: &[u8]) -> (Engine, StreamId) {
    let mut engine = Engine::client();
    let id =
        engine.connection.open(&request(&format!("{method} / HTTP/1.1\nHost: a\n\n")), b"", NOW).unwrap();
    engine.frames();
    engine.send(sent).unwrap();
    (engine, id)
}

fn answer(flags: u8, fields: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, flags | END_HEADERS, 1, &block(fields))
}

#[test]
fn malformed_answers_are_reset() {
    for fields in [
        &[][..],
        &[("x", "y")],
        &[("x", "y"), (":status", "200")],
        &[(":status", "200"), (":status", "200")],
        &[(":status", "200"), (":path", "/")],
        &[(":status", "")],
        &[(":status", "20")],
        &[(":status", "2000")],
        &[(":status", "abc")],
        &[(":status", "099")],
        &[(":status", "600")],
        &[(":status", "+20")],
        &[(":status", "101")],
        &[(":status", "200"), ("X", "y")],
        &[(":status", "200"), ("connection", "close")],
        &[(":status", "200"), ("transfer-encoding", "chunked")],
        &[(":status", "200"), ("te", "trailers")],
        &[(":status", "200"), ("content-length", "x")],
        &[(":status", "200"), ("content-length", "1"), ("content-length", "2")],
        &[(":status", "200"), ("x", "a\nb")],
    ] {
        let (mut engine, id) = answered("GET", &answer(0, fields));
        assert_eq!(engine.resets(), [(1, Code::PROTOCOL_ERROR)], "{fields:?}");
        assert_eq!(engine.connection.fault(id), Some(Code::PROTOCOL_ERROR));
        assert_eq!(engine.events(), [Event::Reset(id, Code::PROTOCOL_ERROR)]);
    }
    let (mut engine, _) = answered("GET", &answer(END_STREAM, &[(":status", "103")]));
    assert_eq!(engine.resets(), [(1, Code::PROTOCOL_ERROR)]);
    let (mut engine, _) = answered("GET", &frame(DATA, 0, 1, b"x"));
    assert_eq!(engine.resets(), [(1, Code::PROTOCOL_ERROR)]);
    let (engine, id) = answered("GET", &frame(RST_STREAM, 0, 1, &[0, 0, 0, 1]));
    assert_eq!(engine.connection.fault(id), None, "the server may reset what it wants");
}

#[test]
fn the_length_of_an_answer_is_held_to_where_it_has_a_body() {
    let head = |length| answer(0, &[(":status", "200"), ("content-length", length)]);
    let data = |text: &[u8]| frame(DATA, END_STREAM, 1, text);
    for (method, sent, good) in [
        ("GET", [head("3"), data(b"abc")].concat(), true),
        ("GET", [head("3"), data(b"ab")].concat(), false),
        ("GET", [head("3"), data(b"abcd")].concat(), false),
        ("GET", answer(END_STREAM, &[(":status", "200"), ("content-length", "3")]), false),
        ("HEAD", answer(END_STREAM, &[(":status", "200"), ("content-length", "3")]), true),
        ("HEAD", [head("3"), data(b"")].concat(), true),
        ("HEAD", [head("3"), data(b"abc")].concat(), false),
        ("GET", answer(END_STREAM, &[(":status", "304"), ("content-length", "3")]), true),
        ("GET", [answer(0, &[(":status", "204")]), data(b"x")].concat(), false),
        ("GET", [answer(0, &[(":status", "200")]), data(b"x")].concat(), true),
    ] {
        let (mut engine, _) = answered(method, &sent);
        assert_eq!(engine.resets().is_empty(), good, "{method} {sent:?}");
    }
}

#[test]
fn an_answer_is_what_its_fields_say() {
    let sent =
        answer(END_STREAM, &[(":status", "418"), ("set-cookie", "a"), ("set-cookie", "b"), ("x", "\u{e9}")]);
    let (mut engine, id) = answered("GET", &sent);
    assert_eq!(engine.events(), [Event::Head(id)]);
    let mut head = ResponseHead::default();
    assert!(engine.connection.take_response(id, &mut head));
    let mut out = Vec::new();
    head.headers.write(&mut out);
    assert_eq!(String::from_utf8(out).unwrap(), "set-cookie: a\r\nset-cookie: b\r\nx: \u{e9}\r\n");
    assert_eq!((head.status(), head.framing()), (418, Framing::Chunked));
    assert_eq!(engine.connection.read(id, &mut [0; 1]), Read::End);
}

#[test]
fn requests_above_the_last_of_a_goaway_were_never_looked_at() {
    let mut engine = Engine::client();
    let ask = request("PUT / HTTP/1.1\nHost: a\n\n");
    let ids = [(); 3].map(|()| engine.connection.open(&ask, b"", LATER).unwrap());
    engine.frame(GOAWAY, 0, 0, &[0, 0, 0, 3, 0, 0, 0, 0]).unwrap();
    let gone = Event::GoAway { last: 3, code: Code::NO_ERROR };
    assert_eq!(engine.events(), [gone, Event::Reset(ids[2], Code::REFUSED_STREAM)]);
    assert_eq!(engine.connection.write(ids[0], b"x"), Ok(1));
    assert!(!engine.connection.is_open());
}

#[test]
fn a_client_takes_frames_only_for_what_it_has_opened() {
    for bad in [
        answer(END_STREAM, &[(":status", "200")]),
        frame(HEADERS, 5, 2, &block(&[(":status", "200")])),
        frame(DATA, 0, 3, b"x"),
        frame(RST_STREAM, 0, 5, &[0; 4]),
    ] {
        let mut engine = Engine::client();
        assert_eq!(engine.send(&bad).unwrap_err().code, Code::PROTOCOL_ERROR);
    }
}
