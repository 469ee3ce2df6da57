//! What gRPC says in the heads of its requests and answers (`grpc/doc/PROTOCOL-HTTP2.md`).

use std::time::Duration;

use loadweaver_http1::{Headers, RequestHead, encode};
use loadweaver_policy::failure::Failure;

use crate::exchange::Exchange;

/// Whether a request is one of gRPC: `application/grpc`, or that and a suffix.
pub(crate) fn is_grpc(head: &RequestHead) -> bool {
    head.headers.find(b"content-type").is_some_and(|kind| {
        kind.strip_prefix(b"application/grpc")
            .is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
    })
}

/// How long the client waits, as it says in `grpc-timeout`: at most eight digits and a unit. None where it says
/// nothing, or nothing that can be understood.
pub(crate) fn timeout(head: &RequestHead) -> Option<Duration> {
    let (unit, digits) = head.headers.find(b"grpc-timeout")?.split_last()?;
    if digits.is_empty() || digits.len() > 8 {
        return None;
    }
    let number = loadweaver_http1::framing::length(digits)?;
    match unit {
        b'H' => Some(Duration::from_secs(number * 3600)),
        b'M' => Some(Duration::from_secs(number * 60)),
        b'S' => Some(Duration::from_secs(number)),
        b'm' => Some(Duration::from_millis(number)),
        b'u' => Some(Duration::from_micros(number)),
        b'n' => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

/// Whether a call was answered with UNAVAILABLE and nothing else: a status in the head is the whole answer.
pub(crate) fn is_unavailable(x: &Exchange<'_>) -> bool {
    is_grpc(&x.heads.request) && x.heads.response.headers.find(b"grpc-status") == Some(b"14")
}

/// The fields of an answer that is nothing but a failure: the status goes into the head, which is the end of the
/// answer too. Each ends with CRLF.
pub(crate) fn failed(out: &mut Vec<u8>, failure: Failure) {
    encode::field(out, b"content-type", b"application/grpc");
    let mut status = Vec::new();
    encode::decimal(&mut status, u64::from(failure.grpc_status()));
    encode::field(out, b"grpc-status", &status);
    // Our messages are plain ASCII without a percent sign, the only bytes that would have to be encoded.
    encode::field(out, b"grpc-message", failure.message().as_bytes());
}

/// The trailers of an answer that breaks off.
pub(crate) fn broken(failure: Failure) -> Headers {
    let mut trailers = Headers::new();
    let mut status = Vec::new();
    encode::decimal(&mut status, u64::from(failure.grpc_status()));
    trailers.append(b"grpc-status", &status);
    trailers.append(b"grpc-message", failure.message().as_bytes());
    trailers
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use loadweaver_http1::HeadLimits;

    use super::*;

    fn head(fields: &str) -> RequestHead {
        let mut head = RequestHead::default();
        let text = format!("POST /a.B/C HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        head.parse(text.as_bytes(), &HeadLimits::default()).unwrap().unwrap();
        head
    }

    #[test]
    fn tells_grpc_by_its_content_type_and_nothing_else() {
        for kind in ["application/grpc", "application/grpc+proto", "application/grpc;charset=utf-8"] {
            assert!(is_grpc(&head(&format!("Content-Type: {kind}\r\n"))), "{kind}");
        }
        for kind in
            ["application/grpc-web", "application/grpc-web+proto", "application/json", "application/grp"]
        {
            assert!(!is_grpc(&head(&format!("Content-Type: {kind}\r\n"))), "{kind}");
        }
        assert!(!is_grpc(&head("")));
    }

    #[test]
    fn reads_timeouts_in_every_unit_and_no_others() {
        let read = |value: &str| timeout(&head(&format!("grpc-timeout: {value}\r\n")));
        assert_eq!(read("2H"), Some(Duration::from_hours(2)));
        assert_eq!(read("3M"), Some(Duration::from_mins(3)));
        assert_eq!(read("4S"), Some(Duration::from_secs(4)));
        assert_eq!(read("50m"), Some(Duration::from_millis(50)));
        assert_eq!(read("99999999u"), Some(Duration::from_micros(99_999_999)));
        assert_eq!(read("7n"), Some(Duration::from_nanos(7)));
        for bad in ["", "S", "5", "5s", "123456789S", "-1S", "1.5S", " 5 S", "5SS"] {
            assert_eq!(read(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn no_message_needs_encoding() {
        for failure in Failure::ALL {
            let plain = failure.message().bytes().all(|byte| (0x20..0x7f).contains(&byte) && byte != b'%');
            assert!(plain, "{failure}");
        }
    }
}
