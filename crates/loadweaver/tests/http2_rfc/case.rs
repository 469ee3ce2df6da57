//! A case: what a client sends, and what has to come of it.

use std::net::SocketAddr;

use loadweaver_testkit::config::{merge, one_pool};
use loadweaver_testkit::http2::raw::{Frame, PREFACE, block, flag, frame, kind};
use loadweaver_testkit::origin::reply;
use loadweaver_testkit::scratch::Scratch;
use loadweaver_testkit::tls::{Authority, Bridge};
use loadweaver_testkit::{Balancer, Origin, RawHttp2};
use serde_json::json;

/// Error codes (RFC 9113 section 7).
pub(crate) const PROTOCOL: u32 = 1;
pub(crate) const FLOW_CONTROL: u32 = 3;
pub(crate) const STREAM_CLOSED: u32 = 5;
pub(crate) const FRAME_SIZE: u32 = 6;
pub(crate) const REFUSED: u32 = 7;
pub(crate) const CANCEL: u32 = 8;
pub(crate) const COMPRESSION: u32 = 9;

/// What a client does.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Send(Vec<u8>),
    /// Waits until this stream is answered whole.
    Hear(u32),
}

/// What has to come of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The connection is ended with this code.
    Ends(u32),
    /// It is ended in whatever way.
    Over,
    /// This stream is reset with this code, nothing else is, and the connection goes on.
    Resets(u32, u32),
    /// Either of both: it depends on what is still known of the stream.
    EndsOrResets(u32, u32),
    /// This stream is answered with 200, and nothing is said against anything.
    Answers(u32),
    /// Nothing is said against it.
    Passes,
}

/// One rule, tried.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) rule: &'static str,
    /// Whether the client has begun the connection before its steps.
    begun: bool,
    steps: Vec<Step>,
    outcome: Outcome,
}

/// On a connection that has begun.
pub(crate) fn case<const N: usize>(rule: &'static str, sent: [Vec<u8>; N], outcome: Outcome) -> Case {
    Case { rule, begun: true, steps: sent.map(Step::Send).to_vec(), outcome }
}

/// The same with answers to wait for.
pub(crate) fn steps<const N: usize>(rule: &'static str, steps: [Step; N], outcome: Outcome) -> Case {
    Case { rule, begun: true, steps: steps.into(), outcome }
}

/// On a new connection.
pub(crate) fn first<const N: usize>(rule: &'static str, sent: [Vec<u8>; N], outcome: Outcome) -> Case {
    Case { rule, begun: false, steps: sent.map(Step::Send).to_vec(), outcome }
}

/// The fields of a request that is answered with 200.
pub(crate) const GET: [(&str, &str); 4] =
    [(":method", "GET"), (":scheme", "http"), (":authority", "test"), (":path", "/")];

/// A whole block in one frame.
pub(crate) fn head(flags: u8, stream: u32, block: &[u8]) -> Vec<u8> {
    frame(kind::HEADERS, flags | flag::END_HEADERS, stream, block)
}

/// A request of these fields without a body.
pub(crate) fn ask(stream: u32, fields: &[(&str, &str)]) -> Vec<u8> {
    head(flag::END_STREAM, stream, &block(fields))
}

/// The block of a request for this path.
pub(crate) fn asking(method: &str, path: &str) -> Vec<u8> {
    block(&[(":method", method), (":scheme", "http"), (":authority", "test"), (":path", path)])
}

/// A request that is answered.
pub(crate) fn get(stream: u32) -> Vec<u8> {
    ask(stream, &GET)
}

/// A request that is not answered.
pub(crate) fn held(stream: u32) -> Vec<u8> {
    head(flag::END_STREAM, stream, &asking("GET", "/held"))
}

/// A request whose body is to come.
pub(crate) fn post(stream: u32) -> Vec<u8> {
    head(0, stream, &asking("POST", "/held"))
}

/// A request that is answered with 200 only if its body is "abcd".
pub(crate) fn body(stream: u32) -> Vec<u8> {
    head(0, stream, &asking("POST", "/body"))
}

pub(crate) fn data(flags: u8, stream: u32, content: &[u8]) -> Vec<u8> {
    frame(kind::DATA, flags, stream, content)
}

/// One setting (RFC 9113 section 6.5.1).
pub(crate) fn setting(name: u16, value: u32) -> Vec<u8> {
    [&name.to_be_bytes()[..], &value.to_be_bytes()].concat()
}

pub(crate) fn settings(pairs: &[(u16, u32)]) -> Vec<u8> {
    let payload: Vec<u8> = pairs.iter().flat_map(|(name, value)| setting(*name, *value)).collect();
    frame(kind::SETTINGS, 0, 0, &payload)
}

pub(crate) fn window(stream: u32, more: u32) -> Vec<u8> {
    frame(kind::WINDOW_UPDATE, 0, stream, &more.to_be_bytes())
}

/// A balancer with a listener in the clear and one with TLS, in front of a server of HTTP/1.1.
pub(crate) struct Ground {
    clear: SocketAddr,
    bridge: Bridge,
    // What they need for as long.
    _parts: (Balancer, Origin, Scratch),
}

impl Ground {
    pub(crate) fn start() -> Self {
        let (origin, files, authority) = (origin(), Scratch::new(), Authority::new("rules"));
        let signed = authority.sign(&["test"]);
        let (cert, key) = (files.file("cert.pem", &signed.cert), files.file("key.pem", &signed.key));
        let tls = json!({ "certificates": [{ "cert": cert, "key": key }] });
        let secure = json!({ "bind": "127.0.0.1:0", "tls": tls });
        let mut config = one_pool(&[origin.address()], &json!({}));
        merge(&mut config, &json!({ "listeners": { "secure": secure } }));
        let balancer = Balancer::start(env!("CARGO_BIN_EXE_loadweaver"), &config);
        let at = |name| balancer.listener(name).expect("it listens");
        let bridge = authority.client().speaking(&["h2"]).bridge(at("secure"), "test");
        Self { clear: at("web"), bridge, _parts: (balancer, origin, files) }
    }

    pub(crate) fn listeners(&self) -> [(&'static str, SocketAddr); crate::LISTENERS] {
        [("in the clear", self.clear), ("over TLS", self.bridge.address())]
    }
}

/// Bytes of the answer for "/large": more than a window at first.
pub(crate) const LARGE: usize = 70_000;

/// Answers with 200 what came as it should.
fn origin() -> Origin {
    Origin::start(|connection| {
        loop {
            let request = connection.read_request()?;
            let good = match request.target.as_str() {
                "/held" => return connection.hang(),
                "/body" => request.body == b"abcd",
                "/field" => request.fields.get("custom-key") == Some("custom-value"),
                "/trailers" => request.trailers.get("x-sum") == Some("4") && request.body == b"abcd",
                _ => true,
            };
            connection.write(match (good, request.method.as_str()) {
                (false, _) => reply(400, "no"),
                (true, "HEAD") => reply(200, ""),
                (true, _) if request.target == "/large" => reply(200, vec![b'x'; LARGE]),
                (true, _) => reply(200, "yes"),
            });
        }
    })
}

/// What a client has heard.
#[derive(Debug, Default)]
struct Heard {
    /// The code of the GOAWAY.
    goaway: Option<u32>,
    resets: Vec<(u32, u32)>,
    /// Streams whose answer has the status 200.
    good: Vec<u32>,
    ended: Vec<u32>,
    pong: bool,
    over: bool,
}

const QUESTION: &[u8] = b"go on?!?";

impl Heard {
    fn hear(&mut self, frame: Option<Frame>) {
        let Some(frame) = frame else {
            self.over = true;
            return;
        };
        let code = |at: usize| u32::from_be_bytes(frame.payload[at..at + 4].try_into().unwrap());
        match frame.kind {
            kind::GOAWAY => self.goaway = Some(code(4)),
            kind::RST_STREAM => self.resets.push((frame.stream, code(0))),
            kind::PING if frame.flags & flag::ACK != 0 && frame.payload == QUESTION => self.pong = true,
            kind::HEADERS if begins_with_200(&frame.payload) => self.good.push(frame.stream),
            _ => {}
        }
        if matches!(frame.kind, kind::DATA | kind::HEADERS) && frame.flags & flag::END_STREAM != 0 {
            self.ended.push(frame.stream);
        }
    }

    fn until(&mut self, raw: &mut RawHttp2, enough: impl Fn(&Self) -> bool) -> Result<(), String> {
        while !self.over && !enough(self) {
            let frame = raw.read_frame().map_err(|error| format!("{error} after {self:?}"))?;
            self.hear(frame);
        }
        Ok(())
    }
}

/// Behind changes of the table's size (RFC 7541 section 6.3) stands field 8 of the static table.
fn begins_with_200(block: &[u8]) -> bool {
    block.iter().find(|byte| **byte & 0xe0 != 0x20) == Some(&0x88)
}

/// A connection that has begun: both know each other's settings.
pub(crate) fn begin(address: SocketAddr) -> RawHttp2 {
    let mut raw = RawHttp2::connect(address);
    raw.wait_for(kind::SETTINGS);
    raw.frame(kind::SETTINGS, flag::ACK, 0, &[]).unwrap();
    raw
}

/// Plays the case, and says what was otherwise.
pub(crate) fn play(address: SocketAddr, case: &Case) -> Result<(), String> {
    let mut raw = if case.begun { begin(address) } else { RawHttp2::silent(address) };
    let mut heard = Heard::default();
    for step in &case.steps {
        match step {
            // Where it is over already, what was heard of that says so.
            Step::Send(bytes) => drop(raw.send(bytes)),
            Step::Hear(stream) => heard.until(&mut raw, |heard| heard.ended.contains(stream))?,
        }
    }
    let outcome = case.outcome;
    if !matches!(outcome, Outcome::Ends(_) | Outcome::Over) {
        let _ = raw.frame(kind::PING, 0, 0, QUESTION);
    }
    heard.until(&mut raw, |heard| match outcome {
        Outcome::Ends(_) | Outcome::Over => false,
        Outcome::Answers(stream) => heard.pong && heard.ended.contains(&stream),
        Outcome::Resets(..) | Outcome::EndsOrResets(..) | Outcome::Passes => heard.pong,
    })?;
    let goes_on = heard.pong && !heard.over && heard.goaway.is_none();
    let good = match outcome {
        Outcome::Ends(code) => heard.goaway == Some(code) && heard.over,
        Outcome::Over => heard.over,
        Outcome::Resets(stream, code) => goes_on && heard.resets == [(stream, code)],
        Outcome::EndsOrResets(stream, code) => {
            heard.goaway == Some(code) || (goes_on && heard.resets == [(stream, code)])
        }
        Outcome::Answers(stream) => goes_on && heard.resets.is_empty() && heard.good.contains(&stream),
        Outcome::Passes => goes_on && heard.resets.is_empty(),
    };
    if good { Ok(()) } else { Err(format!("{outcome:?} was wanted, and there was {heard:?}")) }
}

/// The bytes that begin a connection, and these settings.
pub(crate) fn opening(pairs: &[(u16, u32)]) -> Vec<u8> {
    [PREFACE, &settings(pairs)].concat()
}
