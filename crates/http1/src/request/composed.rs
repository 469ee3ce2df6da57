//! Request heads that come as fields instead of text: HTTP/2, where the request line is pseudo-header fields.
//!
//! The caller decodes, brings each part once and in any order, appends the fields to `headers` and ends with
//! [`RequestHead::complete`], which holds the whole against the rules that a parsed head is held against.

use super::{Options, RequestHead, Version};
use crate::connection::SPEAKS_OF_CONNECTION;
use crate::error::RequestError;
use crate::framing::{self, Framing};
use crate::headers::Headers;
use crate::limits::MAX_METHOD;
use crate::lines::list;
use crate::name::Name;
use crate::request::{Method, is_token};
use crate::target::{self, Form};

impl RequestHead {
    /// Begins a head of HTTP/2; what was in here before is forgotten, the memory kept.
    pub fn begin(&mut self) {
        self.clear();
        self.version = Version::Http2;
    }

    /// Brings the method.
    pub fn bring_method(&mut self, text: &[u8]) -> Result<(), RequestError> {
        self.method = Method::of(text);
        if self.method == Method::Other {
            if text.is_empty() || text.len() > MAX_METHOD || !text.iter().copied().all(is_token) {
                return Err(RequestError::Line);
            }
            self.method_at = self.headers.keep_bytes(text);
        }
        Ok(())
    }

    /// Brings the path and query, or `*`.
    pub fn bring_path(&mut self, path: &[u8]) {
        self.path = self.headers.keep_bytes(path);
    }

    /// Brings the protocol of an extended CONNECT (RFC 8441).
    pub fn bring_protocol(&mut self, protocol: &[u8]) {
        self.protocol = self.headers.keep_bytes(protocol);
    }

    /// Ends the head: all of it is there. `ended`: no body follows. The authority is the one `Host` field.
    ///
    /// The framing is what a server of HTTP/1.1 has to be told: the announced length, nothing for a request that
    /// has ended, and chunks for the rest.
    pub fn complete(&mut self, ended: bool) -> Result<(), RequestError> {
        self.check_composed_target()?;
        self.framing = Some(match framing::of_request(&self.headers, self.version)? {
            Framing::Length(length) => Framing::Length(length),
            _ if ended => Framing::None,
            _ => Framing::Chunked,
        });
        self.read_composed_options()
    }

    /// Makes an extended CONNECT (RFC 8441) the request that asks for the same in HTTP/1.1: a GET with an `Upgrade`, and
    /// without a body, because what follows it is the tunnel's. [`RequestHead::protocol`] still tells where it came from.
    pub fn become_upgrade(&mut self, protocol: &[u8]) {
        self.method = Method::Get;
        self.framing = Some(Framing::None);
        self.headers.append(b"upgrade", protocol);
        self.options.upgrade = true;
    }

    /// Gives back everything but what says which request it was: the method, and the first `most` bytes of the target.
    /// For one that is refused: nobody needs its fields, and many such heads may wait at once.
    pub fn abridge(&mut self, most: usize) {
        let target = self.target();
        let shown = target.get(..target.floor_char_boundary(most)).unwrap_or_default().as_bytes().to_vec();
        let method = self.method_text().as_bytes().to_vec();
        self.headers = Headers::new();
        self.protocol = (0, 0);
        if self.method == Method::Other {
            self.method_at = self.headers.keep_bytes(&method);
        }
        self.path = self.headers.keep_bytes(&shown);
    }

    fn check_composed_target(&mut self) -> Result<(), RequestError> {
        self.check_hosts()?;
        if self.method == Method::Connect && self.protocol.1 == 0 {
            // The target of a plain CONNECT is the authority, and there is no path (RFC 9113 section 8.5).
            if self.path.1 > 0 {
                return Err(RequestError::Target);
            }
            let authority = self.headers.get(Name::Host).unwrap_or_default().to_vec();
            self.path = self.headers.keep_bytes(&authority);
            let good = target::form(&authority, Method::Connect) == Some(Form::Authority);
            return if good { Ok(()) } else { Err(RequestError::Target) };
        }
        let path = self.headers.bytes(self.path.0, self.path.1);
        let method = if self.method == Method::Connect { Method::Get } else { self.method };
        match target::form(path, method) {
            Some(Form::Origin | Form::Asterisk) => Ok(()),
            Some(Form::Absolute { .. } | Form::Authority) | None => Err(RequestError::Target),
        }
    }

    fn read_composed_options(&mut self) -> Result<(), RequestError> {
        self.options = Options { keep_alive: true, ..Options::default() };
        if self.headers.names() & SPEAKS_OF_CONNECTION == 0 {
            return Ok(());
        }
        self.options.te_trailers = self
            .headers
            .get_all(Name::Te)
            .any(|value| list(value).any(|item| item.eq_ignore_ascii_case(b"trailers")));
        let mut expectations = self.headers.get_all(Name::Expect).peekable();
        let expects = expectations.peek().is_some();
        if !expectations.all(|expectation| expectation.eq_ignore_ascii_case(b"100-continue")) {
            return Err(RequestError::Expectation);
        }
        self.options.expects_continue =
            expects && !matches!(self.framing(), Framing::None | Framing::Length(0));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn composed(
        (method, path, protocol): (&str, &str, &str),
        fields: &[(&str, &str)],
        ended: bool,
    ) -> Result<RequestHead, RequestError> {
        let mut head = RequestHead::default();
        head.begin();
        for (name, value) in fields {
            head.headers.append(name.as_bytes(), value.as_bytes());
        }
        head.bring_path(path.as_bytes());
        head.bring_protocol(protocol.as_bytes());
        head.bring_method(method.as_bytes())?;
        head.complete(ended)?;
        Ok(head)
    }

    #[test]
    fn is_written_as_a_parsed_head_would_be() {
        let fields = [("host", "a.example"), ("accept", "*/*"), ("content-length", "5")];
        let head = composed(("PATCH", "/x?y", ""), &fields, false).expect("it is good");
        let mut out = Vec::new();
        crate::encode::request_head(&mut out, &head);
        let text = "PATCH /x?y HTTP/1.1\r\nhost: a.example\r\naccept: */*\r\ncontent-length: 5\r\n";
        assert_eq!(String::from_utf8_lossy(&out), text);
        assert_eq!((head.host(), head.framing()), ("a.example", Framing::Length(5)));
        assert_eq!((head.version(), head.method()), (Version::Http2, Method::Other));
    }

    #[test]
    fn frames_by_length_by_the_end_or_by_chunks() {
        let host = ("host", "a");
        let framing =
            |fields: &[(&str, &str)], ended| composed(("POST", "/", ""), fields, ended).map(|h| h.framing());
        assert_eq!(framing(&[host], true), Ok(Framing::None));
        assert_eq!(framing(&[host], false), Ok(Framing::Chunked));
        assert_eq!(framing(&[host, ("content-length", "7")], false), Ok(Framing::Length(7)));
        assert_eq!(framing(&[host, ("content-length", "+7")], false), Err(RequestError::Framing));
        assert_eq!(framing(&[host, ("content_length", "7")], false), Err(RequestError::Framing));
    }

    #[test]
    fn holds_targets_and_hosts_against_the_method() {
        let target = |method, path, protocol| {
            composed((method, path, protocol), &[("host", "a:1")], true).map(|head| head.target().to_owned())
        };
        assert_eq!(target("OPTIONS", "*", ""), Ok("*".to_owned()));
        assert_eq!(target("CONNECT", "", ""), Ok("a:1".to_owned()));
        assert_eq!(target("CONNECT", "/chat", "websocket"), Ok("/chat".to_owned()));
        for (method, path) in [
            ("GET", "*"),
            ("GET", ""),
            ("GET", "x"),
            ("GET", "http://a:1/"),
            ("CONNECT", "/"),
            ("GET", "/ x"),
        ] {
            assert_eq!(target(method, path, ""), Err(RequestError::Target), "{method} {path}");
        }
        assert_eq!(target("CONNECT", "", "websocket"), Err(RequestError::Target));
        assert_eq!(target("G T", "/", ""), Err(RequestError::Line));
        for hosts in [&[][..], &[("host", "a"), ("host", "a")], &[("host", "u@a")], &[("host", "")]] {
            assert_eq!(composed(("GET", "/", ""), hosts, true).err(), Some(RequestError::Host), "{hosts:?}");
        }
    }

    #[test]
    fn an_extended_connect_becomes_a_get_that_asks_to_upgrade() {
        let head = composed(("CONNECT", "/chat", "websocket"), &[("host", "a")], false);
        let mut head = head.expect("it is good");
        assert_eq!(
            (head.method(), head.upgrade(), head.framing()),
            (Method::Connect, None, Framing::Chunked)
        );
        head.become_upgrade(b"websocket");
        assert_eq!((head.method_text(), head.framing()), ("GET", Framing::None));
        assert_eq!(head.upgrade(), Some(b"websocket".as_slice()));
        assert_eq!((head.target(), head.protocol()), ("/chat", Some(b"websocket".as_slice())));
    }

    #[test]
    fn what_is_abridged_still_says_which_request_it_was() {
        let long = format!("/{}é", "x".repeat(8));
        let fields = [("host", "a"), ("cookie", "many")];
        for (method, most, shown) in [("GET", 100, &*long), ("PURGE", 10, "/xxxxxxxx"), ("HEAD", 2, "/x")] {
            let mut head = composed((method, &long, ""), &fields, false).unwrap_or_default();
            head.begin();
            assert!(head.bring_method(method.as_bytes()).is_ok());
            head.headers.append(b"cookie", b"many");
            head.bring_path(long.as_bytes());
            head.abridge(most);
            assert_eq!((head.method_text(), head.target()), (method, shown));
            assert!(head.headers.is_empty() && !head.headers.has(Name::Host));
        }
    }

    #[test]
    fn knows_what_the_client_expects_and_takes() {
        let fields = [("host", "a"), ("te", "trailers"), ("expect", "100-continue")];
        let head = composed(("POST", "/", ""), &fields, false).expect("it is good");
        assert!(head.takes_trailers() && head.expects_continue() && head.keep_alive());
        let head = composed(("POST", "/", ""), &fields, true).expect("it is good");
        assert!(!head.expects_continue());
        let fields = [("host", "a"), ("expect", "miracles")];
        assert_eq!(composed(("POST", "/", ""), &fields, true).err(), Some(RequestError::Expectation));
    }
}
