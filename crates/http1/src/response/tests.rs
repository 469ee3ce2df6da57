#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
use super::*;

fn parse(input: &[u8]) -> Result<Option<(ResponseHead, usize)>, ResponseError> {
    let mut head = ResponseHead::default();
    let len = head.parse(input, Method::Get, &HeadLimits::default())?;
    Ok(len.map(|len| (head, len)))
}

#[test]
fn reads_a_head_byte_by_byte_as_at_once() {
    let input = b"HTTP/1.1 404 Not \xe9 Found\r\nContent-Length: 4\r\nX: \xff\r\n\r\nbody";
    for end in 0..input.len() - 4 {
        assert!(parse(&input[..end]).unwrap().is_none(), "{end}");
    }
    let (head, len) = parse(input).unwrap().unwrap();
    assert_eq!((len, head.status(), head.reason()), (input.len() - 4, 404, b"Not \xe9 Found".as_slice()));
    assert_eq!((head.framing(), head.keep_alive()), (Framing::Length(4), true));
}

#[test]
fn takes_a_status_line_without_a_reason() {
    for line in ["HTTP/1.1 200", "HTTP/1.1 200 "] {
        let input = format!("{line}\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(parse(input.as_bytes()).unwrap().unwrap().0.reason(), b"");
    }
}

#[test]
fn refuses_status_lines_that_are_none() {
    for line in [
        "HTTP/2.0 200 OK",
        "HTTP/1.1 20 OK",
        "HTTP/1.1 099 X",
        "HTTP/1.1 600 X",
        "HTTP/1.1  200 OK",
        "ICY 200 OK",
        "\r\nHTTP/1.1 200 OK",
        "HTTP/1.1 2x0 OK",
    ] {
        assert_eq!(parse(format!("{line}\r\n\r\n").as_bytes()).err(), Some(ResponseError::Line), "{line:?}");
    }
    assert_eq!(parse(b"HTTP/1.1 200 OK\nX: y\r\n\r\n").err(), Some(ResponseError::Line));
}

#[test]
fn refuses_header_lines_as_strictly_as_in_requests() {
    for line in ["X : a", " X: a", "X: a\r\n b", "X: a\0", "X: a\n", "X: a\rb"] {
        let input = format!("HTTP/1.1 200 OK\r\n{line}\r\n\r\n");
        assert_eq!(parse(input.as_bytes()).err(), Some(ResponseError::Header), "{line:?}");
    }
}

#[test]
fn keeps_alive_only_where_both_version_and_header_say_so() {
    let keep = |input: &str| parse(input.as_bytes()).unwrap().unwrap().0.keep_alive();
    assert!(!keep("HTTP/1.0 200 OK\r\n\r\n"));
    assert!(keep("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n"));
    assert!(!keep("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"));
}

proptest::proptest! {
    #[test]
    fn never_panics(input: Vec<u8>) {
        let _ = parse(&input);
    }
}
