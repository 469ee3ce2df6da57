//! One client connection of the load generator: what it does with the bytes that come.

use std::io::{self, Read, Write};

use crate::bulk::{WORTH_IT, discard};
use crate::message::{Body, BodyReader, MAX_HEAD, Scanner};
use crate::tally::Fault;
use crate::wire::Wire;

/// Where a client stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// No connection.
    Vacant,
    /// Connection established or under way, nothing asked.
    Idle,
    /// A request is being sent or its answer awaited.
    Busy,
    /// The answer is whole; the connection's end is awaited.
    Ending,
}

/// What reading brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing is finished yet.
    Waiting,
    /// A whole answer with this status; whether the proxy ends the connection with it.
    Answered {
        /// The answer's status.
        status: u16,
        /// The answer said `Connection: close`.
        close: bool,
    },
    /// The connection ended while nothing was asked, or after its last answer.
    Ended,
    /// The exchange failed; the connection is of no further use.
    Failed(Fault),
}

/// A connection and the exchange under way on it.
pub struct Client {
    /// The socket, while there is one.
    pub stream: Option<Wire>,
    /// Where it stands.
    pub stage: Stage,
    /// Nanoseconds (engine's clock) at which this exchange was due; latency counts from here.
    pub due: u64,
    /// Requests on this connection so far, the current one included.
    pub used: u32,
    /// Whether the current request asked for the close.
    pub last: bool,
    /// Whether the connection is known to be established.
    pub connected: bool,
    sent: usize,
    partial: Vec<u8>,
    answer: Option<Answer>,
}

#[derive(Clone, Copy)]
struct Answer {
    status: u16,
    close: bool,
    body: BodyReader,
}

impl Client {
    /// A client without a connection.
    pub fn vacant() -> Self {
        Self {
            stream: None,
            stage: Stage::Vacant,
            due: 0,
            used: 0,
            last: false,
            connected: false,
            sent: 0,
            partial: Vec::new(),
            answer: None,
        }
    }

    /// Takes a new socket.
    pub fn attach(&mut self, stream: Wire) {
        *self = Self { stream: Some(stream), stage: Stage::Idle, due: self.due, ..Self::vacant() };
    }

    /// Begins an exchange that was due at `due`.
    pub fn begin(&mut self, due: u64, last: bool) {
        self.stage = Stage::Busy;
        self.due = due;
        self.used += 1;
        self.last = last;
        self.sent = 0;
    }

    /// Sends what the kernel takes of `request`.
    pub fn send(&mut self, request: &[u8]) -> Result<(), Fault> {
        let Some(stream) = self.stream.as_mut() else { return Ok(()) };
        while self.sent < request.len() {
            match stream.write(&request[self.sent..]) {
                Ok(written) => {
                    self.sent += written;
                    self.connected = true;
                }
                Err(error) => {
                    return match error.kind() {
                        io::ErrorKind::WouldBlock | io::ErrorKind::NotConnected => Ok(()),
                        // What the proxy said before it closed may still be readable; reading decides.
                        io::ErrorKind::BrokenPipe if self.connected => Ok(()),
                        _ if self.connected => Err(Fault::Closed),
                        _ => Err(Fault::Connect),
                    };
                }
            }
        }
        Ok(())
    }

    /// Reads what is there. `closed` says that the event announced the end of the stream.
    pub fn receive(&mut self, scan: &Scanner, buffer: &mut [u8], expect: u64, closed: bool) -> Outcome {
        loop {
            if let Some(left) = self.worth_discarding() {
                let room = buffer.len().min(left as usize);
                let outcome = self.discard(&mut buffer[..room], closed);
                if let Some(outcome) = outcome {
                    return outcome;
                }
                continue;
            }
            let Some(stream) = self.stream.as_mut() else { return Outcome::Waiting };
            let read = match stream.read(buffer) {
                Ok(0) => return self.at_end(),
                Ok(read) => read,
                Err(error) => {
                    return match error.kind() {
                        io::ErrorKind::WouldBlock | io::ErrorKind::NotConnected => Outcome::Waiting,
                        _ if self.stage == Stage::Busy && !self.connected => Outcome::Failed(Fault::Connect),
                        _ => self.at_end(),
                    };
                }
            };
            self.connected = true;
            let outcome = self.take(scan, &buffer[..read], expect);
            // A short read says that the kernel has no more; of TLS it says nothing.
            let dry = read < buffer.len() && self.stream.as_ref().is_none_or(|wire| wire.plain().is_some());
            if outcome != Outcome::Waiting || (dry && !closed) {
                return outcome;
            }
        }
    }

    /// Bytes of the body to come, where they are so many that looking at them is not worth it.
    fn worth_discarding(&self) -> Option<u64> {
        self.stream.as_ref()?.plain()?;
        self.answer.as_ref()?.body.left().filter(|left| *left >= WORTH_IT)
    }

    /// Counts bytes of the body and throws them away; `None` where there may be more.
    fn discard(&mut self, buffer: &mut [u8], closed: bool) -> Option<Outcome> {
        let (stream, answer) = (self.stream.as_ref()?.plain()?, self.answer.as_mut()?);
        let count = match discard(stream, buffer) {
            Ok(0) => return Some(self.at_end()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Some(Outcome::Waiting),
            Err(_) => return Some(self.at_end()),
        };
        answer.body.skip(count as u64);
        if answer.body.is_done() {
            let Answer { status, close, .. } = *answer;
            self.answer = None;
            return Some(Outcome::Answered { status, close });
        }
        (count < buffer.len() && !closed).then_some(Outcome::Waiting)
    }

    fn at_end(&self) -> Outcome {
        match self.stage {
            Stage::Busy => Outcome::Failed(Fault::Closed),
            _ => Outcome::Ended,
        }
    }

    fn take(&mut self, scan: &Scanner, input: &[u8], expect: u64) -> Outcome {
        if self.stage != Stage::Busy {
            return Outcome::Failed(Fault::Malformed);
        }
        let joined;
        let mut bytes = input;
        let answer = if let Some(answer) = self.answer.as_mut() {
            answer
        } else {
            if !self.partial.is_empty() {
                self.partial.extend_from_slice(bytes);
                joined = std::mem::take(&mut self.partial);
                bytes = &joined;
            }
            let Some(length) = scan.head_length(bytes) else {
                self.partial = bytes.to_vec();
                return if bytes.len() > MAX_HEAD {
                    Outcome::Failed(Fault::Malformed)
                } else {
                    Outcome::Waiting
                };
            };
            let Some(framing) = scan.response(&bytes[..length]) else {
                return Outcome::Failed(Fault::Malformed);
            };
            if framing.status == 200 && framing.body != Body::Length(expect) {
                return Outcome::Failed(Fault::Length);
            }
            bytes = &bytes[length..];
            let body = BodyReader::new(framing.body);
            self.answer.insert(Answer { status: framing.status, close: framing.close, body })
        };
        let taken = answer.body.take(bytes);
        // Large bodies are checked by their length alone: looking at each byte would slow the one core that
        // generator and origin share.
        if answer.status == 200 && expect <= 4096 && bytes[..taken].iter().any(|byte| *byte != b'x') {
            return Outcome::Failed(Fault::Corrupt);
        }
        if !answer.body.is_done() {
            return Outcome::Waiting;
        }
        if taken < bytes.len() {
            return Outcome::Failed(Fault::Malformed);
        }
        let Answer { status, close, .. } = *answer;
        self.answer = None;
        Outcome::Answered { status, close }
    }

    /// Whether the whole request was handed to the kernel.
    pub fn sent_all(&self, request: &[u8]) -> bool {
        self.sent >= request.len()
    }
}
