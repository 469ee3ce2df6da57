//! Where a body ends: RFC 9112 section 6.3, without its lenient branches.

use crate::error::{RequestError, ResponseError};
use crate::headers::Headers;
use crate::lines::list;
use crate::name::Name;
use crate::request::{Method, Version};

/// How the end of a body is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// There is no body.
    None,
    /// So many bytes.
    Length(u64),
    /// Chunks.
    Chunked,
    /// All that comes until the connection ends; answers only.
    UntilClose,
}

/// The largest length that is taken: beyond it sums of lengths could overflow, and no peer sends 8 EiB.
const MAX_LENGTH: u64 = i64::MAX as u64;

/// The body of a request.
///
/// A transfer coding beside a length, or in HTTP/1.0, is how requests are smuggled past a proxy
/// (RFC 9112 section 6.1): refused, never repaired.
pub(crate) fn of_request(headers: &Headers, version: Version) -> Result<Framing, RequestError> {
    if headers.has(Name::Lookalike) {
        return Err(RequestError::Framing);
    }
    if headers.has(Name::TransferEncoding) {
        if version == Version::Http10 || headers.has(Name::ContentLength) {
            return Err(RequestError::Framing);
        }
        return match coding(headers) {
            Coding::Chunked => Ok(Framing::Chunked),
            Coding::Unsupported => Err(RequestError::TransferCoding),
            Coding::Malformed => Err(RequestError::Framing),
        };
    }
    let mut lengths = headers.get_all(Name::ContentLength);
    match (lengths.next(), lengths.next()) {
        (None, _) => Ok(Framing::None),
        (Some(value), None) => length(value).map(Framing::Length).ok_or(RequestError::Framing),
        (Some(_), Some(_)) => Err(RequestError::Framing),
    }
}

/// The body of an answer to a request with `method`. A length that is repeated with the same value is taken
/// once, as RFC 9112 section 6.3 allows: servers behind server-side proxies do send that.
pub(crate) fn of_response(
    headers: &Headers,
    version: Version,
    status: u16,
    method: Method,
) -> Result<Framing, ResponseError> {
    let chunked = if headers.has(Name::TransferEncoding) {
        let one_reading = version == Version::Http11 && !headers.has(Name::ContentLength);
        if !one_reading || coding(headers) != Coding::Chunked {
            return Err(ResponseError::Framing);
        }
        true
    } else {
        false
    };
    let mut known = None;
    for value in headers.get_all(Name::ContentLength) {
        let length = length(value).ok_or(ResponseError::Framing)?;
        if known.is_some_and(|earlier| earlier != length) {
            return Err(ResponseError::Framing);
        }
        known = Some(length);
    }
    if method == Method::Head || status < 200 || status == 204 || status == 304 {
        return Ok(Framing::None);
    }
    Ok(match (chunked, known) {
        (true, _) => Framing::Chunked,
        (false, Some(length)) => Framing::Length(length),
        (false, None) => Framing::UntilClose,
    })
}

/// A decimal number of digits only: no sign, no list, no white space within.
pub fn length(value: &[u8]) -> Option<u64> {
    if value.is_empty() || value.len() > 19 {
        return None;
    }
    let mut length: u64 = 0;
    for byte in value {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit < 10)?;
        length = length.checked_mul(10)?.checked_add(u64::from(digit))?;
    }
    (length <= MAX_LENGTH).then_some(length)
}

#[derive(Debug, PartialEq, Eq)]
enum Coding {
    Chunked,
    Unsupported,
    Malformed,
}

/// What `Transfer-Encoding` says. Only one field with exactly `chunked` is understood; valid codings that end in
/// `chunked` are unsupported, and everything else is a length that nobody can know.
fn coding(headers: &Headers) -> Coding {
    let mut values = headers.get_all(Name::TransferEncoding);
    let (Some(value), None) = (values.next(), values.next()) else { return Coding::Malformed };
    if value.eq_ignore_ascii_case(b"chunked") {
        return Coding::Chunked;
    }
    let mut last: &[u8] = b"";
    for item in list(value) {
        let known = [b"gzip".as_slice(), b"x-gzip", b"deflate", b"compress", b"x-compress"];
        if last.eq_ignore_ascii_case(b"chunked") {
            return Coding::Malformed;
        }
        if !item.eq_ignore_ascii_case(b"chunked") && !known.iter().any(|name| item.eq_ignore_ascii_case(name))
        {
            return Coding::Malformed;
        }
        last = item;
    }
    if last.eq_ignore_ascii_case(b"chunked")
        && value.contains(&b',')
        && !value.trim_ascii().ends_with(b",")
        && !value.trim_ascii().starts_with(b",")
    {
        Coding::Unsupported
    } else {
        Coding::Malformed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&str, &str)]) -> Headers {
        let mut headers = Headers::new();
        for (name, value) in fields {
            headers.append(name.as_bytes(), value.as_bytes());
        }
        headers
    }

    #[test]
    fn takes_only_plain_decimal_lengths() {
        assert_eq!(length(b"0"), Some(0));
        assert_eq!(length(b"9223372036854775807"), Some(MAX_LENGTH));
        for bad in
            ["", "+5", "-1", "5,5", "5 5", "0x5", "9223372036854775808", "18446744073709551616", " 5", "5\t"]
        {
            assert_eq!(length(bad.as_bytes()), None, "{bad:?}");
        }
    }

    #[test]
    fn refuses_every_second_reading_of_a_request_length() {
        let request = |fields: &[(&str, &str)], version| of_request(&headers(fields), version);
        let chunked = ("Transfer-Encoding", "chunked");
        let five = ("Content-Length", "5");
        assert_eq!(request(&[], Version::Http11), Ok(Framing::None));
        assert_eq!(request(&[five], Version::Http11), Ok(Framing::Length(5)));
        assert_eq!(request(&[chunked], Version::Http11), Ok(Framing::Chunked));
        assert_eq!(request(&[chunked], Version::Http10), Err(RequestError::Framing));
        assert_eq!(request(&[chunked, five], Version::Http11), Err(RequestError::Framing));
        assert_eq!(request(&[five, five], Version::Http11), Err(RequestError::Framing));
        assert_eq!(request(&[chunked, chunked], Version::Http11), Err(RequestError::Framing));
        for bad in [
            "identity",
            "chunked, gzip",
            "xchunked",
            "",
            ",",
            "chunked,",
            ",chunked",
            "chunked, chunked",
            "chun\u{e9}ked",
        ] {
            let got = request(&[("Transfer-Encoding", bad)], Version::Http11);
            assert_eq!(got, Err(RequestError::Framing), "{bad:?}");
        }
        let got = request(&[("Transfer-Encoding", "gzip, chunked")], Version::Http11);
        assert_eq!(got, Err(RequestError::TransferCoding));
    }

    #[test]
    fn answers_without_a_body_have_none_whatever_their_headers_say() {
        let five = headers(&[("Content-Length", "5")]);
        assert_eq!(of_response(&five, Version::Http11, 200, Method::Head), Ok(Framing::None));
        assert_eq!(of_response(&five, Version::Http11, 304, Method::Get), Ok(Framing::None));
        assert_eq!(of_response(&five, Version::Http11, 200, Method::Get), Ok(Framing::Length(5)));
        assert_eq!(of_response(&headers(&[]), Version::Http11, 200, Method::Get), Ok(Framing::UntilClose));
        assert_eq!(of_response(&headers(&[]), Version::Http11, 204, Method::Get), Ok(Framing::None));
    }

    #[test]
    fn takes_a_repeated_answer_length_once_and_refuses_differing_ones() {
        let same = headers(&[("Content-Length", "5"), ("content-length", "5")]);
        assert_eq!(of_response(&same, Version::Http11, 200, Method::Get), Ok(Framing::Length(5)));
        let differing = headers(&[("Content-Length", "5"), ("Content-Length", "6")]);
        assert_eq!(of_response(&differing, Version::Http11, 200, Method::Get), Err(ResponseError::Framing));
        let both = headers(&[("Content-Length", "5"), ("Transfer-Encoding", "chunked")]);
        assert_eq!(of_response(&both, Version::Http11, 200, Method::Get), Err(ResponseError::Framing));
    }
}
