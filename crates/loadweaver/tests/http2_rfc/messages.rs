//! RFC 9113 section 8: requests, their fields and their length.

use loadweaver_testkit::http2::raw::{block, flag};

use super::case::Outcome::{Answers, Resets};
use super::case::{Case, GET, PROTOCOL, ask, asking, body, case, data, get, head};
use super::frames::data_end;

/// A request with one more field.
fn with(name: &str, value: &str) -> Vec<u8> {
    ask(1, &[&GET[..], &[(name, value)]].concat())
}

/// The request with another of its four fields, or without it.
fn but(name: &str, value: Option<&str>) -> Vec<u8> {
    let fields = GET.iter().filter_map(|(own, before)| {
        if *own == name { value.map(|value| (*own, value)) } else { Some((*own, *before)) }
    });
    ask(1, &fields.collect::<Vec<_>>())
}

const MALFORMED: super::case::Outcome = Resets(1, PROTOCOL);

pub(crate) fn exchanges() -> Vec<Case> {
    let sum = || head(flag::END_STREAM, 1, &block(&[("x-sum", "4")]));
    let post = || head(0, 1, &asking("POST", "/trailers"));
    vec![
        case("8.1 GET", [get(1)], Answers(1)),
        case("8.1 HEAD", [head(flag::END_STREAM, 1, &asking("HEAD", "/"))], Answers(1)),
        case("8.1 OPTIONS", [head(flag::END_STREAM, 1, &asking("OPTIONS", "*"))], Answers(1)),
        case("8.1 POST", [body(1), data_end(1, b"abcd")], Answers(1)),
        case("8.1 POST with trailers", [post(), data(0, 1, b"abcd"), sum()], Answers(1)),
        case("8.1 one behind the other", [get(1), get(3), get(5)], Answers(5)),
    ]
}

pub(crate) fn framing() -> Vec<Case> {
    let more = |flags| head(flags, 1, &block(&[("x-sum", "4")]));
    vec![
        case("8.1 trailers that do not end the stream", [body(1), more(0)], MALFORMED),
        case("8.1 the same behind data", [body(1), data(0, 1, b"ab"), more(0)], MALFORMED),
        case(
            "8.1 a pseudo-header field in trailers",
            [body(1), head(flag::END_STREAM, 1, &block(&[(":path", "/"), ("x-sum", "4")]))],
            MALFORMED,
        ),
    ]
}

pub(crate) fn fields() -> Vec<Case> {
    vec![
        case("8.2 an upper-case name", [with("X-TEST", "ok")], MALFORMED),
        case("8.2.1 an upper-case letter in a name", [with("x-Test", "ok")], MALFORMED),
        case("8.2.1 a space in a name", [with("x test", "ok")], MALFORMED),
        case("8.2.1 a colon in a name", [with("x:test", "ok")], MALFORMED),
        case("8.2.1 a control character in a name", [with("x\u{1}test", "ok")], MALFORMED),
        case("8.2.1 a name beyond ASCII", [with("x-\u{e9}", "ok")], MALFORMED),
        case("8.2.1 an empty name", [with("", "ok")], MALFORMED),
        case("8.2.1 a line feed in a value", [with("x-test", "a\nb")], MALFORMED),
        case("8.2.1 a carriage return in a value", [with("x-test", "a\rb")], MALFORMED),
        case("8.2.1 NUL in a value", [with("x-test", "a\0b")], MALFORMED),
        case("8.2.1 a space before a value", [with("x-test", " a")], MALFORMED),
        case("8.2.1 a tab behind a value", [with("x-test", "a\t")], MALFORMED),
        case("8.2.1 an empty value", [with("x-test", "")], Answers(1)),
        case("8.2.2 connection", [with("connection", "keep-alive")], MALFORMED),
        case("8.2.2 proxy-connection", [with("proxy-connection", "keep-alive")], MALFORMED),
        case("8.2.2 keep-alive", [with("keep-alive", "timeout=5")], MALFORMED),
        case("8.2.2 transfer-encoding", [with("transfer-encoding", "chunked")], MALFORMED),
        case("8.2.2 upgrade", [with("upgrade", "h2c")], MALFORMED),
        case("8.6 upgrade to a WebSocket", [with("upgrade", "websocket")], MALFORMED),
        case("8.2.2 te with anything else", [with("te", "trailers, deflate;q=0.5")], MALFORMED),
        case("8.2.2 te with trailers", [with("te", "trailers")], Answers(1)),
        case(
            "8.2.3 cookies in pieces",
            [ask(1, &[&GET[..], &[("cookie", "a=b"), ("cookie", "c=d")]].concat())],
            Answers(1),
        ),
        case(
            "8.2.2 connection in trailers",
            [body(1), head(flag::END_STREAM, 1, &block(&[("connection", "x")]))],
            MALFORMED,
        ),
    ]
}

pub(crate) fn pseudo_fields() -> Vec<Case> {
    let late = [&GET[..3], &[("x-test", "ok"), GET[3]]].concat();
    vec![
        case("8.3 an unknown one", [with(":test", "ok")], MALFORMED),
        case("8.3 an unknown one in front", [ask(1, &[&[(":test", "ok")], &GET[..]].concat())], MALFORMED),
        case("8.3 that of an answer", [ask(1, &[&[(":status", "200")], &GET[..]].concat())], MALFORMED),
        case("8.3 behind a field", [ask(1, &late)], MALFORMED),
        case("8.3.1 an empty :path", [but(":path", Some(""))], MALFORMED),
        case("8.3.1 a :path without a slash", [but(":path", Some("x"))], MALFORMED),
        case("8.3.1 the asterisk for a GET", [but(":path", Some("*"))], MALFORMED),
        case("8.3.1 no :method", [but(":method", None)], MALFORMED),
        case("8.3.1 no :scheme", [but(":scheme", None)], MALFORMED),
        case("8.3.1 no :path", [but(":path", None)], MALFORMED),
        case("8.3.1 :method twice", [ask(1, &[&GET[..1], &GET[..]].concat())], MALFORMED),
        case("8.3.1 :scheme twice", [ask(1, &[&GET[1..2], &GET[..]].concat())], MALFORMED),
        case("8.3.1 :authority twice", [ask(1, &[&GET[2..3], &GET[..]].concat())], MALFORMED),
        case("8.3.1 :path twice", [ask(1, &[&GET[3..], &GET[..]].concat())], MALFORMED),
        case("8.3.1 another host than :authority", [with("host", "other")], MALFORMED),
        case("8.3.1 the same host", [with("host", "test")], Answers(1)),
        case(
            "8.3.1 a host and no :authority",
            [ask(1, &[GET[0], GET[1], GET[3], ("host", "test")])],
            Answers(1),
        ),
        case("8.3.1 user information in :authority", [but(":authority", Some("user@test"))], MALFORMED),
        case("8.3.1 a space in :method", [but(":method", Some("GET /"))], MALFORMED),
    ]
}

pub(crate) fn connect() -> Vec<Case> {
    vec![
        case("8.5 CONNECT with :scheme and :path", [but(":method", Some("CONNECT"))], MALFORMED),
        case("8.5 CONNECT without :authority", [ask(1, &[(":method", "CONNECT")])], MALFORMED),
        case(
            "RFC 8441 4 :protocol without CONNECT",
            [ask(1, &[&GET[..], &[(":protocol", "websocket")]].concat())],
            MALFORMED,
        ),
        case(
            "RFC 8441 4 :protocol without :scheme and :path",
            [ask(1, &[(":method", "CONNECT"), (":authority", "test"), (":protocol", "websocket")])],
            MALFORMED,
        ),
    ]
}

pub(crate) fn lengths() -> Vec<Case> {
    let post = |length: &str| {
        let fields = [(":method", "POST"), (":scheme", "http"), (":authority", "test"), (":path", "/body")];
        head(0, 1, &block(&[&fields[..], &[("content-length", length)]].concat()))
    };
    vec![
        case("8.1.1 as long as it says", [post("4"), data(0, 1, b"ab"), data_end(1, b"cd")], Answers(1)),
        case("8.1.1 shorter than it says", [post("5"), data_end(1, b"abcd")], MALFORMED),
        case("8.1.1 shorter, in two", [post("5"), data(0, 1, b"ab"), data_end(1, b"cd")], MALFORMED),
        case("8.1.1 longer than it says", [post("3"), data_end(1, b"abcd")], MALFORMED),
        case("8.1.1 longer, in two", [post("3"), data(0, 1, b"ab"), data_end(1, b"cd")], MALFORMED),
        case("8.1.1 without what it says", [with("content-length", "1")], MALFORMED),
        case("8.1.1 nothing, as it says", [with("content-length", "0")], Answers(1)),
        case(
            "8.1.1 shorter, and trailers",
            [post("4"), data(0, 1, b"ab"), head(flag::END_STREAM, 1, &block(&[("x", "y")]))],
            MALFORMED,
        ),
        case("8.1.1 a length that is none", [post("4x"), data_end(1, b"abcd")], MALFORMED),
        case("8.1.1 a length below nothing", [post("-4"), data_end(1, b"abcd")], MALFORMED),
    ]
}
