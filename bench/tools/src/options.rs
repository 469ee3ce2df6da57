//! The load generator's arguments and the request bytes that they stand for.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use lexopt::prelude::{Long, ValueExt};

use crate::sample::Watch;
use crate::wire::Handshakes;

/// What `load --help` prints.
pub const HELP: &str = "load --target ADDRESS [options]   prints one JSON line
  --connections N     clients (default 64)
  --rate R            requests per second at fixed times, latency counted from those times; 0 = closed loop
  --seconds S         measured window (default 5); --warmup S before it (default 1)
  --requests N        send N requests and stop when all have ended (no warm-up, the window is the whole run)
  --headers K         bare: Host only; browser: the 14 fields that a browser sends
  --upload BYTES      POST a body of so many bytes instead of GET
  --expect BYTES      length that each answer's body must have (default 128)
  --fresh             a new connection for each request
  --per-connection K  a new connection after each K requests
  --hold              open all connections, one request on each, print, wait for a line on standard input,
                      one more request on each
  --tls KIND          over TLS; full: whole handshakes; resumed: earlier connections are taken up
  --slow US           also when each request was due whose answer took longer, by the monotonic clock, and how long
  --timeout S         an answer that takes longer is an error (default 10)
  --watch NAME=PIDS   report the CPU time of these processes in the window (repeatable; `self` is allowed)";

/// The 14 fields of a request as a browser sends them to an application, Host included.
const BROWSER_FIELDS: &str = "Host: app.example.com\r\n\
    Connection: keep-alive\r\n\
    Cache-Control: max-age=0\r\n\
    sec-ch-ua: \"Chromium\";v=\"130\", \"Not?A_Brand\";v=\"99\"\r\n\
    sec-ch-ua-mobile: ?0\r\n\
    sec-ch-ua-platform: \"Linux\"\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n\
    Sec-Fetch-Site: same-origin\r\n\
    Sec-Fetch-Mode: navigate\r\n\
    Referer: https://app.example.com/dashboard/overview\r\n\
    Accept-Encoding: gzip, deflate, br\r\n\
    Accept-Language: en-GB,en;q=0.9,de;q=0.8\r\n\
    Cookie: sid=s%3A8fYk2Vn1qJt0c7Lr5eXb9uHd3mPw6zQa.kT4o; theme=dark; _ga=GA1.1.1029384756.1712345678\r\n";

/// How connections are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reuse {
    /// As long as the proxy keeps them.
    Forever,
    /// One request each, which asks for the close.
    Never,
    /// So many requests each; half of the connections ask for the close, the others just close.
    Times(u32),
}

/// The checked arguments.
#[derive(Debug, Clone)]
pub struct Options {
    /// The proxy.
    pub target: SocketAddr,
    /// Clients.
    pub connections: usize,
    /// Requests per second; 0 is the closed loop.
    pub rate: f64,
    /// Measured window.
    pub window: Duration,
    /// Before it.
    pub warmup: Duration,
    /// Stop after so many answers; 0 = by time.
    pub requests: u64,
    /// Connection reuse.
    pub reuse: Reuse,
    /// The idle-connection mode.
    pub hold: bool,
    /// Length that each answer must have.
    pub expect: u64,
    /// Longest answer time, nanoseconds.
    pub timeout: u64,
    /// Processes to account for.
    pub watches: Vec<Watch>,
    /// Nanoseconds from which on an answer is told of by itself.
    pub slow: u64,
    /// Over TLS; none is in the clear.
    pub tls: Option<Handshakes>,
    /// The request on a connection that goes on, whole.
    pub request: Vec<u8>,
    /// The request that asks for the close, whole.
    pub last_request: Vec<u8>,
}

impl Options {
    /// Reads the process's arguments.
    pub fn from_args() -> Result<Self, String> {
        Self::read(lexopt::Parser::from_env()).map_err(|error| format!("{error}\n{HELP}"))
    }

    fn read(mut args: lexopt::Parser) -> Result<Self, lexopt::Error> {
        let (mut target, mut browser, mut upload) = (None, false, 0usize);
        let mut options = Self {
            target: SocketAddr::from(([127, 0, 0, 1], 0)),
            connections: 64,
            rate: 0.0,
            window: Duration::from_secs(5),
            warmup: Duration::from_secs(1),
            requests: 0,
            reuse: Reuse::Forever,
            hold: false,
            expect: 128,
            timeout: 10_000_000_000,
            watches: Vec::new(),
            slow: u64::MAX,
            tls: None,
            request: Vec::new(),
            last_request: Vec::new(),
        };
        let seconds =
            |value: std::ffi::OsString| value.parse_with(|v| v.parse().map(Duration::from_secs_f64));
        while let Some(arg) = args.next()? {
            match arg {
                Long("target") => target = Some(args.value()?.parse()?),
                Long("connections") => options.connections = args.value()?.parse()?,
                Long("rate") => options.rate = args.value()?.parse()?,
                Long("seconds") => options.window = seconds(args.value()?)?,
                Long("warmup") => options.warmup = seconds(args.value()?)?,
                Long("requests") => options.requests = args.value()?.parse()?,
                Long("headers") => browser = args.value()? == "browser",
                Long("upload") => upload = args.value()?.parse()?,
                Long("expect") => options.expect = args.value()?.parse()?,
                Long("fresh") => options.reuse = Reuse::Never,
                Long("per-connection") => options.reuse = Reuse::Times(args.value()?.parse()?),
                Long("hold") => options.hold = true,
                Long("tls") => {
                    let resumed = args.value()? == "resumed";
                    options.tls = Some(if resumed { Handshakes::Resumed } else { Handshakes::Full });
                }
                Long("slow") => options.slow = args.value()?.parse::<u64>()?.saturating_mul(1000),
                Long("timeout") => options.timeout = seconds(args.value()?)?.as_nanos() as u64,
                Long("watch") => {
                    options.watches.push(Watch::parse(&args.value()?.string()?)?);
                }
                other => return Err(other.unexpected()),
            }
        }
        options.target = target.ok_or("--target is needed")?;
        options.request = request(browser, upload, false);
        options.last_request = request(browser, upload, true);
        Ok(options)
    }
}

fn request(browser: bool, upload: usize, close: bool) -> Vec<u8> {
    let method = if upload > 0 { "POST" } else { "GET" };
    let fields = if browser { BROWSER_FIELDS } else { "Host: app.example.com\r\n" };
    let mut fields = fields.to_owned();
    if close {
        fields = fields.replace("Connection: keep-alive\r\n", "") + "Connection: close\r\n";
    }
    if upload > 0 {
        let _ = write!(fields, "Content-Length: {upload}\r\n");
    }
    let path = if browser { "/api/v1/accounts/42/items?page=3&sort=created" } else { "/" };
    let mut request = format!("{method} {path} HTTP/1.1\r\n{fields}\r\n").into_bytes();
    request.resize(request.len() + upload, b'u');
    request
}
