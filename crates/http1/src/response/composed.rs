//! Answer heads that come as fields instead of text: HTTP/2.

use super::ResponseHead;
use crate::error::ResponseError;
use crate::framing::{self, Framing};
use crate::request::{Method, Version};

impl ResponseHead {
    /// Begins a head of HTTP/2; what was in here before is forgotten, the memory kept. The fields are then appended
    /// to `headers`.
    pub fn begin(&mut self, status: u16) {
        self.headers.clear();
        self.status = status;
        self.version = Version::Http2;
        self.reason = (0, 0);
        self.framing = None;
        self.keep_alive = true;
        self.upgrade = false;
        self.names_others = false;
    }

    /// Sets the status of a head under composition.
    pub fn bring_status(&mut self, status: u16) {
        self.status = status;
    }

    /// Ends the head: all of it is there. The framing is what a client of HTTP/1.1 has to be told: no body where there
    /// is none by the method or the status, the announced length, and chunks for the rest, even for a stream that
    /// ends right here: its body is empty, and only chunks can say so without a field that the server did not send.
    pub fn complete(&mut self, method: Method) -> Result<(), ResponseError> {
        if !(100..=599).contains(&self.status) {
            return Err(ResponseError::Line);
        }
        self.framing = Some(match framing::of_response(&self.headers, self.version, self.status, method)? {
            Framing::UntilClose => Framing::Chunked,
            known => known,
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_by_status_method_and_length() {
        let framing = |status, method, length: Option<&str>| {
            let mut head = ResponseHead::default();
            head.begin(status);
            if let Some(length) = length {
                head.headers.append(b"content-length", length.as_bytes());
            }
            head.complete(method).map(|()| head.framing())
        };
        assert_eq!(framing(200, Method::Get, None), Ok(Framing::Chunked));
        assert_eq!(framing(200, Method::Get, Some("3")), Ok(Framing::Length(3)));
        assert_eq!(framing(200, Method::Head, Some("3")), Ok(Framing::None));
        assert_eq!(framing(204, Method::Get, None), Ok(Framing::None));
        assert_eq!(framing(304, Method::Get, Some("3")), Ok(Framing::None));
        assert_eq!(framing(200, Method::Get, Some("x")), Err(ResponseError::Framing));
        assert_eq!(framing(600, Method::Get, None), Err(ResponseError::Line));
    }

    #[test]
    fn nothing_of_an_earlier_head_is_left() {
        let mut head = ResponseHead::default();
        let text = b"HTTP/1.1 101 Switching\r\nConnection: upgrade, x\r\nUpgrade: y\r\n\r\n";
        let limits = crate::HeadLimits::default();
        assert_eq!(head.parse(text, Method::Get, &limits), Ok(Some(text.len())));
        head.begin(200);
        head.complete(Method::Get).expect("it is good");
        assert!(head.keep_alive() && !head.upgrades() && head.reason().is_empty() && head.headers.is_empty());
    }
}
