//! A GET for the head of an answer.
//!
//! Written over a bare socket and `httparse` and not over a client library: a probe wants one fresh connection, the
//! status, and nothing else, and must tell a refused connection from a bad answer. The verdict falls with the head;
//! a little of the body is read afterwards, because a connection closed on unread bytes looks like a crash in the
//! server's log.

use std::net::SocketAddr;
use std::time::Duration;

use loadweaver_config::{HealthCheck, Server};
use loadweaver_policy::health::ProbeFailure;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::tcp::{cause, connect};
use crate::VERSION;

/// Longest head of a probe's answer, interim answers included.
const MAX_HEAD: usize = 16 * 1024;
/// Most header fields of it.
const MAX_HEADERS: usize = 128;
/// What of the body is read before the connection is closed anyway.
const MAX_REST: u64 = 64 * 1024;
/// How long that may take.
const REST_TIME: Duration = Duration::from_millis(500);

/// An answer's status, and the connection with the rest of it.
pub(super) struct Answer {
    pub(super) status: u16,
    stream: TcpStream,
}

impl Answer {
    /// Reads some more and closes.
    pub(super) async fn take_leave(self) {
        let mut rest = self.stream.take(MAX_REST);
        // Whatever happens here says nothing about the server's health.
        let _ = timeout(REST_TIME, tokio::io::copy(&mut rest, &mut tokio::io::sink())).await;
    }
}

/// The bytes of a probe.
pub(super) fn request(check: &HealthCheck, server: &Server) -> String {
    let host = check.host.clone().unwrap_or_else(|| match server.port {
        80 => Server::address_text(&server.host, 80).trim_end_matches(":80").to_owned(),
        port => Server::address_text(&server.host, port),
    });
    let path = &check.path;
    format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: loadweaver/{VERSION}\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    )
}

/// Asks, and waits for the head of the final answer. The caller limits the time.
pub(super) async fn ask(address: SocketAddr, request: &str) -> Result<Answer, ProbeFailure> {
    let mut stream = connect(address).await?;
    stream.write_all(request.as_bytes()).await.map_err(|error| ProbeFailure::BadAnswer(cause(&error)))?;
    let status = final_status(&mut stream).await?;
    Ok(Answer { status, stream })
}

async fn final_status(stream: &mut TcpStream) -> Result<u16, ProbeFailure> {
    let mut head = Vec::with_capacity(1024);
    loop {
        let count =
            stream.read_buf(&mut head).await.map_err(|error| ProbeFailure::BadAnswer(cause(&error)))?;
        if count == 0 {
            return Err(ProbeFailure::BadAnswer("the connection was closed before an answer".to_owned()));
        }
        while let Some((status, length)) = parse(&head)? {
            // 1xx is interim (RFC 9110, 15.2); 101 answers an upgrade, which nobody asked for.
            if !(100..200).contains(&status) || status == 101 {
                return Ok(status);
            }
            head.drain(..length);
        }
        if head.len() >= MAX_HEAD {
            return Err(ProbeFailure::BadAnswer(format!("a head of more than {MAX_HEAD} bytes")));
        }
    }
}

/// Status and length of a whole head.
fn parse(bytes: &[u8]) -> Result<Option<(u16, usize)>, ProbeFailure> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    match response.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => Ok(response.code.map(|status| (status, length))),
        Ok(httparse::Status::Partial) => Ok(None),
        Err(error) => Err(ProbeFailure::BadAnswer(format!("no HTTP/1 answer: {error}"))),
    }
}
