//! The request target and the host that a request names: RFC 9112 section 3.2, RFC 3986.

use crate::request::Method;

/// The form of a target, with what a proxy needs of it as ranges `(start, len)` in the target's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// `/path?query`
    Origin,
    /// `http://authority/path?query`
    Absolute { authority: (usize, usize), path: (usize, usize) },
    /// `*`, of OPTIONS only.
    Asterisk,
    /// `host:port`, of CONNECT only.
    Authority,
}

/// Reads a target. Refused are bytes that no target has (controls, spaces, `#`, bytes over 126) and forms that do
/// not go with the method. Characters that RFC 3986 wants escaped but browsers send in queries (`{`, `|`, `"`,
/// `[`) pass: no server reads the end of a request out of them.
pub(crate) fn form(target: &[u8], method: Method) -> Option<Form> {
    // Without an early way out the compiler looks at many bytes at once.
    let bad = target.iter().fold(false, |bad, byte| bad | (!matches!(byte, 0x21..=0x22 | 0x24..=0x7e)));
    if bad {
        return None;
    }
    if method == Method::Connect {
        let port = target.iter().rposition(|byte| *byte == b':')?;
        return (is_host(target) && port + 1 < target.len()).then_some(Form::Authority);
    }
    match target.first()? {
        b'/' => Some(Form::Origin),
        b'*' if target.len() == 1 && method == Method::Options => Some(Form::Asterisk),
        _ => absolute(target),
    }
}

fn absolute(target: &[u8]) -> Option<Form> {
    let scheme = [b"http://".as_slice(), b"https://"]
        .into_iter()
        .find(|scheme| target.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)))?;
    let rest = target.get(scheme.len()..)?;
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
    let authority = rest.get(..end)?;
    is_host(authority).then_some(Form::Absolute {
        authority: (scheme.len(), end),
        path: (scheme.len() + end, rest.len() - end),
    })
}

/// Whether the bytes are `host` or `host:port` with a host that is a name or an address. Stricter than
/// RFC 3986's `reg-name` on purpose: a comma, an `@` or a slash in a Host is how two readers are told two hosts.
pub fn is_host(value: &[u8]) -> bool {
    let (host, port) = if value.first() == Some(&b'[') {
        let Some(end) = value.iter().position(|byte| *byte == b']') else { return false };
        let inside = value.get(1..end).unwrap_or_default();
        let address =
            std::str::from_utf8(inside).ok().and_then(|text| text.parse::<std::net::Ipv6Addr>().ok());
        if address.is_none() {
            return false;
        }
        match value.get(end + 1..) {
            None | Some([]) => return true,
            Some([b':', port @ ..]) => return is_port(port),
            Some(_) => return false,
        }
    } else {
        match value.iter().position(|byte| *byte == b':') {
            Some(colon) => {
                (value.get(..colon).unwrap_or_default(), value.get(colon + 1..).unwrap_or_default())
            }
            None => (value, b"".as_slice()),
        }
    };
    let named = !host.is_empty()
        && host.len() <= 255
        && host.iter().all(|byte| IN_HOST.get(usize::from(*byte)) == Some(&true));
    named && is_port(port)
}

/// Which bytes a host's name may have.
#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler, which would refuse it")]
const IN_HOST: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        table[byte as usize] =
            byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'%');
        byte += 1;
    }
    table
};

/// Nothing, or a number up to 65535.
fn is_port(port: &[u8]) -> bool {
    port.len() <= 5
        && port.iter().all(u8::is_ascii_digit)
        && (port.is_empty() || crate::framing::length(port).is_some_and(|port| port <= 65535))
}

/// Whether two spellings of `host[:port]` name the same place: case does not count, nor does a port that is the
/// default of plain HTTP or empty.
pub fn same_host(one: &[u8], other: &[u8]) -> bool {
    fn bare(host: &[u8]) -> &[u8] {
        host.strip_suffix(b":80").or_else(|| host.strip_suffix(b":")).unwrap_or(host)
    }
    bare(one).eq_ignore_ascii_case(bare(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_each_form_with_its_method_only() {
        assert_eq!(form(b"/a?b", Method::Get), Some(Form::Origin));
        assert_eq!(form(b"*", Method::Options), Some(Form::Asterisk));
        assert_eq!(form(b"*", Method::Get), None);
        assert_eq!(form(b"a:1", Method::Connect), Some(Form::Authority));
        assert_eq!(form(b"a", Method::Connect), None);
        assert_eq!(form(b"a:", Method::Connect), None);
        assert_eq!(form(b"a:1", Method::Get), None);
        let absolute = Form::Absolute { authority: (7, 3), path: (10, 2) };
        assert_eq!(form(b"HTTP://a:1/x", Method::Get), Some(absolute));
        assert_eq!(form(b"https://u@a/", Method::Get), None);
        assert_eq!(form(b"ftp://a/", Method::Get), None);
        assert_eq!(form(b"http:///", Method::Get), None);
    }

    #[test]
    fn refuses_bytes_that_no_target_has() {
        for bad in [b"/a\x00".as_slice(), b"/a b", b"/a#b", b"/\x7f", b"/\xc3\xa9", b"", b"a/b", b"?x"] {
            assert_eq!(form(bad, Method::Get), None, "{bad:?}");
        }
        assert_eq!(form(b"/a?{\"x\"}|[1]", Method::Get), Some(Form::Origin));
    }

    #[test]
    fn tells_hosts_from_what_only_looks_like_one() {
        for good in ["a", "a.b:80", "[::1]", "[::1]:8080", "127.0.0.1", "x_y.z", "a:"] {
            assert!(is_host(good.as_bytes()), "{good}");
        }
        for bad in [
            "", ":80", "a b", "a,b", "a/b", "u@a", "[::1", "[x]", "[::1]x", "a:b", "a:99999", "a:1:2", "a\tb",
        ] {
            assert!(!is_host(bad.as_bytes()), "{bad}");
        }
        assert!(same_host(b"A.com:80", b"a.com"));
        assert!(!same_host(b"a.com:81", b"a.com"));
    }
}
