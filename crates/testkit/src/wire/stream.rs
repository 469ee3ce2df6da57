//! One side of a connection: reads messages strictly, with a deadline, and remembers every byte that it took.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::head::{self, Fields, Framing};
use super::{Answer, Request, WireError};
use crate::eventually::PATIENCE;

/// A socket with a read buffer. Each reading call has its own deadline of `patience`.
#[derive(Debug)]
pub struct Stream {
    socket: TcpStream,
    buffer: Vec<u8>,
    taken: Arc<Mutex<Vec<u8>>>,
    patience: Duration,
    ended: Option<WireError>,
}

impl Stream {
    pub(crate) fn new(socket: TcpStream, taken: Arc<Mutex<Vec<u8>>>) -> Self {
        let _ = socket.set_nodelay(true);
        let _ = socket.set_write_timeout(Some(PATIENCE * 3));
        Self { socket, buffer: Vec::new(), taken, patience: PATIENCE, ended: None }
    }

    /// How long each reading call waits from now on.
    pub fn set_patience(&mut self, patience: Duration) {
        self.patience = patience;
    }

    /// The socket itself.
    pub fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// This side's address.
    pub fn local_address(&self) -> SocketAddr {
        self.socket.local_addr().expect("a connected socket has an address")
    }

    /// Writes all of it.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        self.socket.write_all(bytes.as_ref())
    }

    /// Says that nothing more will be sent; reading goes on.
    pub fn half_close(&self) {
        let _ = self.socket.shutdown(Shutdown::Write);
    }

    /// Ends the connection with a reset.
    pub fn reset(self) {
        let _ = socket2::SockRef::from(&self.socket).set_linger(Some(Duration::ZERO));
    }

    /// Reads one whole request.
    pub fn read_request(&mut self) -> Result<Request, WireError> {
        let mut request = self.read_request_head()?;
        self.read_request_body(&mut request)?;
        Ok(request)
    }

    /// Reads one request's head and leaves the body where it is.
    pub fn read_request_head(&mut self) -> Result<Request, WireError> {
        let head = self.take_head(self.end())?;
        head::parse_request_head(&head).map_err(WireError::Malformed)
    }

    /// Reads the body that belongs to the head.
    pub fn read_request_body(&mut self, request: &mut Request) -> Result<(), WireError> {
        let end = self.end();
        self.read_body(request.framing, &mut request.body, &mut request.trailers, end)
            .map_err(|error| cut(error, None, &request.body))
    }

    /// Reads one whole answer to a request of that method, with the informational ones before it.
    pub fn read_answer(&mut self, method: &str) -> Result<Answer, WireError> {
        let (mut interim, end) = (Vec::new(), self.end());
        loop {
            let mut answer = self.read_answer_head_by(method, end)?;
            if (100..200).contains(&answer.status) && answer.status != 101 {
                interim.push(answer);
                continue;
            }
            self.read_body(answer.framing, &mut answer.body, &mut answer.trailers, end)
                .map_err(|error| cut(error, Some(answer.status), &answer.body))?;
            answer.interim = interim;
            return Ok(answer);
        }
    }

    /// Reads one answer's head, be it informational, and leaves the body where it is.
    pub fn read_answer_head(&mut self, method: &str) -> Result<Answer, WireError> {
        self.read_answer_head_by(method, self.end())
    }

    fn read_answer_head_by(&mut self, method: &str, end: Instant) -> Result<Answer, WireError> {
        let head = self.take_head(end)?;
        let mut answer = head::parse_answer_head(&head).map_err(WireError::Malformed)?;
        answer.framing = head::answer_framing(&answer, method).map_err(WireError::Malformed)?;
        Ok(answer)
    }

    /// Reads the body of an answer whose head was read.
    pub fn read_answer_body(&mut self, answer: &mut Answer) -> Result<(), WireError> {
        let end = self.end();
        self.read_body(answer.framing, &mut answer.body, &mut answer.trailers, end)
    }

    /// Reads exactly that many raw bytes.
    pub fn read_exact(&mut self, count: usize) -> Result<Vec<u8>, WireError> {
        let end = self.end();
        while self.buffer.len() < count {
            self.fill(end)?;
        }
        Ok(self.take(count))
    }

    /// Reads whatever comes until the other side ends the connection, and says whether it ended in order.
    pub fn read_to_end(&mut self) -> (Vec<u8>, Result<(), WireError>) {
        let end = self.end();
        loop {
            if let Err(error) = self.fill(end) {
                let all = self.take(self.buffer.len());
                return (all, if error == WireError::Closed { Ok(()) } else { Err(error) });
            }
        }
    }

    /// Whether the other side ends the connection, in order or by reset, with nothing more said.
    pub fn is_closed_by_peer(&mut self) -> Result<(), String> {
        let (bytes, outcome) = self.read_to_end();
        match outcome {
            _ if !bytes.is_empty() => Err(format!("it said {:?}", String::from_utf8_lossy(&bytes))),
            Err(WireError::Timeout(_)) => Err("it was still open at the deadline".into()),
            _ => Ok(()),
        }
    }

    fn end(&self) -> Instant {
        Instant::now() + self.patience
    }

    fn take(&mut self, count: usize) -> Vec<u8> {
        let rest = self.buffer.split_off(count);
        std::mem::replace(&mut self.buffer, rest)
    }

    /// Takes a whole head. An end before its first byte is `Closed` or `Reset`, an end within is `Cut`.
    fn take_head(&mut self, end: Instant) -> Result<Vec<u8>, WireError> {
        loop {
            if Instant::now() >= end {
                return Err(WireError::Timeout(self.buffer.clone()));
            }
            if let Some(length) = head::end_of_head(&self.buffer).map_err(WireError::Malformed)? {
                return Ok(self.take(length));
            }
            if let Err(error) = self.fill(end) {
                let begun = !self.buffer.is_empty();
                return Err(if begun { cut(error, None, &[]) } else { error });
            }
        }
    }

    fn read_body(
        &mut self,
        framing: Framing,
        body: &mut Vec<u8>,
        trailers: &mut Fields,
        end: Instant,
    ) -> Result<(), WireError> {
        match framing {
            Framing::None => Ok(()),
            Framing::Length(length) => {
                let length = usize::try_from(length).map_err(|_| WireError::Malformed("length".into()))?;
                self.move_to(body, length, end)
            }
            Framing::Chunked => self.read_chunks(body, trailers, end),
            Framing::UntilClose => loop {
                body.append(&mut self.buffer);
                match self.fill(end) {
                    Ok(()) => {}
                    Err(WireError::Closed) => return Ok(()),
                    Err(error) => return Err(error),
                }
            },
        }
    }

    fn read_chunks(
        &mut self,
        body: &mut Vec<u8>,
        trailers: &mut Fields,
        end: Instant,
    ) -> Result<(), WireError> {
        loop {
            let line = loop {
                match head::end_of_line(&self.buffer).map_err(WireError::Malformed)? {
                    Some(length) => break self.take(length),
                    None => self.fill(end)?,
                }
            };
            let size = head::parse_chunk_line(&line[..line.len() - 2]).map_err(WireError::Malformed)?;
            if size == 0 {
                break;
            }
            self.move_to(body, size, end)?;
            while self.buffer.len() < 2 {
                self.fill(end)?;
            }
            if self.take(2) != b"\r\n" {
                return Err(WireError::Malformed("chunk data not followed by CRLF".into()));
            }
        }
        let block = loop {
            match head::end_of_trailers(&self.buffer).map_err(WireError::Malformed)? {
                Some(length) => break self.take(length),
                None => self.fill(end)?,
            }
        };
        *trailers = head::parse_fields(&block).map_err(WireError::Malformed)?;
        Ok(())
    }

    /// Moves that many bytes from the socket to `target`; on failure the target holds what came.
    fn move_to(&mut self, target: &mut Vec<u8>, count: usize, end: Instant) -> Result<(), WireError> {
        let mut left = count;
        loop {
            let now = left.min(self.buffer.len());
            // Not `extend(drain)`, which moves byte by byte in a debug build.
            target.extend_from_slice(&self.buffer[..now]);
            self.buffer.drain(..now);
            left -= now;
            if left == 0 {
                return Ok(());
            }
            self.fill(end)?;
        }
    }

    /// Reads once into the buffer. The end of the connection is an error here, and stays one.
    fn fill(&mut self, end: Instant) -> Result<(), WireError> {
        if let Some(ended) = &self.ended {
            return Err(ended.clone());
        }
        let mut piece = [0_u8; 16 * 1024];
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(WireError::Timeout(self.buffer.clone()));
        }
        let _ = self.socket.set_read_timeout(Some(left));
        let ended = match self.socket.read(&mut piece) {
            Ok(0) => WireError::Closed,
            Ok(count) => {
                self.taken.lock().unwrap().extend_from_slice(&piece[..count]);
                self.buffer.extend_from_slice(&piece[..count]);
                return Ok(());
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return Err(WireError::Timeout(self.buffer.clone()));
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            Err(_) => WireError::Reset,
        };
        self.ended = Some(ended.clone());
        Err(ended)
    }
}

/// An end that came within a message is a cut.
fn cut(error: WireError, status: Option<u16>, body: &[u8]) -> WireError {
    match error {
        WireError::Closed | WireError::Reset => WireError::Cut { status, body: body.to_vec() },
        other => other,
    }
}
