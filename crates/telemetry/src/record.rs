//! One exchange's story, as the access log tells it.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime};

use loadweaver_policy::failure::Failure;

/// What is known about an exchange when it is over. Borrows everything: a record lives for one call to
/// [`crate::access_log::AccessLogWriter::write`].
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// When the request's first byte was read.
    pub at: SystemTime,
    /// The `X-Request-Id` that was kept or made.
    pub request_id: &'a str,
    /// The transport's peer; none over a Unix socket.
    pub client: Option<SocketAddr>,
    /// The client that we believe it to be; differs from `client` only behind a trusted proxy. None where
    /// nobody says.
    pub client_ip: Option<IpAddr>,
    /// As sent; empty when no request line could be read.
    pub method: &'a str,
    /// The request target as sent, with its query; empty when no request line could be read.
    pub target: &'a str,
    /// The client's protocol version.
    pub version: HttpVersion,
    /// The authority that was asked for, as sent.
    pub host: &'a str,
    /// Raw field value, any bytes; empty when absent.
    pub user_agent: &'a [u8],
    /// Raw field value, any bytes; empty when absent.
    pub referer: &'a [u8],
    /// The final status sent to the client; 0 when none was.
    pub status: u16,
    /// Bytes of body received from the client.
    pub bytes_in: u64,
    /// Bytes of body sent to the client.
    pub bytes_out: u64,
    /// The listener that took the connection.
    pub listener: &'a str,
    /// The route that matched.
    pub route: Option<&'a str>,
    /// The pool that the route named.
    pub pool: Option<&'a str>,
    /// The server of the last attempt.
    pub server: Option<&'a str>,
    /// Attempts begun, the first one included; 0 when none was.
    pub attempts: u32,
    /// Time to connect in the last attempt; none when a kept connection served it.
    pub connect: Option<Duration>,
    /// From the request's first byte to the first byte of the server's answer.
    pub first_byte: Option<Duration>,
    /// From the request's first byte to the end of the exchange.
    pub total: Duration,
    /// Why the answer was ours, or why there was none.
    pub failure: Option<Failure>,
    /// The connection became a tunnel (101, or CONNECT).
    pub upgraded: bool,
    /// The values of the headers that [`crate::access_log::AccessLogWriter::request_headers`] asks for, in that order.
    pub request_headers: &'a [Option<&'a [u8]>],
    /// The same of the server's answer.
    pub response_headers: &'a [Option<&'a [u8]>],
}

/// A protocol version that a client can speak to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HttpVersion {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    Http11,
    /// HTTP/2
    Http2,
}

impl HttpVersion {
    /// The name on the wire, `HTTP/1.1`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http10 => "HTTP/1.0",
            Self::Http11 => "HTTP/1.1",
            Self::Http2 => "HTTP/2",
        }
    }
}
