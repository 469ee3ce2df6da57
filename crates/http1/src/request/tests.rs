#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
use super::*;

fn parse(input: &[u8]) -> Result<Option<(RequestHead, usize)>, RequestError> {
    let mut head = RequestHead::default();
    let len = head.parse(input, &HeadLimits::default())?;
    Ok(len.map(|len| (head, len)))
}

fn refused(input: &[u8]) -> RequestError {
    match parse(input) {
        Err(error) => error,
        Ok(got) => panic!("{:?} was not refused: {got:?}", String::from_utf8_lossy(input)),
    }
}

fn taken(input: &[u8]) -> RequestHead {
    parse(input).unwrap().unwrap().0
}

#[test]
fn reads_a_head_byte_by_byte_as_at_once() {
    let input = b"\r\nGET /a?b=c HTTP/1.1\r\nHost: a.example\r\nX-Y:  z \t\r\nEmpty:\r\n\r\nbody";
    for end in 0..input.len() - 4 {
        assert!(parse(&input[..end]).unwrap().is_none(), "{end}");
    }
    let (head, len) = parse(input).unwrap().unwrap();
    assert_eq!(len, input.len() - 4);
    assert_eq!(
        (head.method_text(), head.target(), head.path(), head.host()),
        ("GET", "/a?b=c", "/a", "a.example")
    );
    let fields: Vec<_> = head.headers.iter().collect();
    let expected: [(&[u8], &[u8]); 3] = [(b"Host", b"a.example"), (b"X-Y", b"z"), (b"Empty", b"")];
    assert_eq!(fields, expected);
    assert!(head.keep_alive());
}

#[test]
fn refuses_line_ends_other_than_crlf() {
    for input in [
        b"GET / HTTP/1.1\nHost: a\r\n\r\n".as_slice(),
        b"GET / HTTP/1.1\r\nHost: a\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX:\n\r\n",
        b"GET / HTTP/1.1\r\nX: a\rb\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\rHost: a\r\n\r\n",
        b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        let error = refused(input);
        assert!(matches!(error, RequestError::Line | RequestError::Header), "{error:?}");
    }
}

#[test]
fn refuses_header_lines_that_another_reader_could_take_differently() {
    for line in [
        "X : a",
        " X: a",
        "X\t: a",
        "X: a\r\n folded",
        "X: a\0b",
        "X: a\x01",
        "X\x7f: a",
        "(X): a",
        "nocolon",
        ": a",
        "X: \x7f",
    ] {
        let input = format!("GET / HTTP/1.1\r\nHost: a\r\n{line}\r\n\r\n");
        assert_eq!(refused(input.as_bytes()), RequestError::Header, "{line:?}");
    }
}

#[test]
fn tells_apart_what_is_wrong_with_the_first_line() {
    let cases: [(&str, RequestError); 9] = [
        ("GET / HTTP/2.0", RequestError::Version),
        ("PRI * HTTP/2.0", RequestError::Version),
        ("GET / HTTP/1.2", RequestError::Version),
        ("GET / HTTX/1.1", RequestError::Line),
        ("GET /", RequestError::Target),
        ("G(T / HTTP/1.1", RequestError::Line),
        ("GET  / HTTP/1.1", RequestError::Target),
        ("GET /a#b HTTP/1.1", RequestError::Target),
        ("GET a HTTP/1.1", RequestError::Target),
    ];
    for (line, error) in cases {
        assert_eq!(refused(format!("{line}\r\nHost: a\r\n\r\n").as_bytes()), error, "{line}");
    }
}

#[test]
fn wants_exactly_one_good_host() {
    for hosts in
        ["", "Host: a\r\nHost: a\r\n", "Host:\r\n", "Host: a b\r\n", "Host: a,b\r\n", "Host: a/b\r\n"]
    {
        assert_eq!(
            refused(format!("GET / HTTP/1.1\r\n{hosts}\r\n").as_bytes()),
            RequestError::Host,
            "{hosts:?}"
        );
    }
    assert_eq!(taken(b"GET / HTTP/1.0\r\n\r\n").host(), "");
}

#[test]
fn takes_host_and_path_out_of_an_absolute_target() {
    let head = taken(b"GET http://A.example:80/x?y HTTP/1.1\r\nHost: a.example\r\n\r\n");
    assert_eq!((head.target(), head.host()), ("/x?y", "a.example"));
    assert_eq!(taken(b"GET http://a HTTP/1.1\r\nHost: a\r\n\r\n").target(), "/");
    assert_eq!(taken(b"OPTIONS http://a HTTP/1.1\r\nHost: a\r\n\r\n").target(), "*");
    assert_eq!(taken(b"GET http://a/ HTTP/1.0\r\n\r\n").host(), "a");
    assert_eq!(refused(b"GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n"), RequestError::Host);
}

#[test]
fn bounds_target_head_and_field_count() {
    let limits = HeadLimits { bytes: 256, target: 32, fields: 4 };
    let mut head = RequestHead::default();
    let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(32));
    assert_eq!(head.parse(long.as_bytes(), &limits), Err(RequestError::TargetTooLong));
    let endless = format!("GET /{}", "a".repeat(80));
    assert_eq!(head.parse(endless.as_bytes(), &limits), Err(RequestError::TargetTooLong));
    let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(4));
    assert_eq!(head.parse(many.as_bytes(), &limits), Err(RequestError::TooLarge));
    let large = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", "y".repeat(256));
    assert_eq!(head.parse(large.as_bytes(), &limits), Err(RequestError::TooLarge));
}

#[test]
fn reads_what_the_client_says_of_the_connection() {
    assert!(!taken(b"GET / HTTP/1.0\r\n\r\n").keep_alive());
    assert!(taken(b"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n").keep_alive());
    assert!(!taken(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: x, CLOSE\r\n\r\n").keep_alive());
    let upgrade = taken(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    assert_eq!(upgrade.upgrade(), Some(b"websocket".as_slice()));
    assert_eq!(taken(b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n").upgrade(), None);
    let expecting = b"PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 1\r\n\r\n";
    assert!(taken(expecting).expects_continue());
    assert_eq!(refused(b"GET / HTTP/1.1\r\nHost: a\r\nExpect: x\r\n\r\n"), RequestError::Expectation);
}

#[test]
fn strips_what_connection_names_but_never_framing_or_routing() {
    let mut head = taken(
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: x-one, host, content-length, x-forwarded-for\r\nX-One: 1\r\n\
          X-Forwarded-For: 1.2.3.4\r\nContent-Length: 0\r\nKeep-Alive: 5\r\nTE: trailers\r\nX-Two: 2\r\n\r\n",
    );
    head.strip_hop_by_hop();
    let names: Vec<_> =
        head.headers.iter().map(|(name, _)| String::from_utf8_lossy(name).into_owned()).collect();
    assert_eq!(names, ["Host", "X-Forwarded-For", "Content-Length", "X-Two"]);
}

proptest::proptest! {
    #[test]
    fn never_panics_and_never_reads_past_the_input(input: Vec<u8>) {
        if let Ok(Some((_, len))) = parse(&input) {
            proptest::prop_assert!(len <= input.len());
        }
    }
}
