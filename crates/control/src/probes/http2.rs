//! A request over HTTP/2.

use loadweaver_config::BodyPattern;
use loadweaver_http1::{HeadLimits, Headers, RequestHead, ResponseHead};
use loadweaver_http2::{Connection, Ended, Event, Finish, Limits, Opening, Read, Scheme, StreamId};
use loadweaver_policy::health::ProbeFailure;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout_at};

use super::answer::{Finder, PROBED};
use super::reach::Stream;
use super::tcp::cause;

/// One request on a connection of its own.
pub(super) struct Call<'s> {
    stream: &'s mut Stream,
    engine: Connection,
    id: StreamId,
    /// What has come and makes no whole frame yet.
    bytes: Vec<u8>,
}

impl<'s> Call<'s> {
    /// Sends a request, whose head is written as for HTTP/1.
    pub(super) async fn begin(
        stream: &'s mut Stream,
        request: &str,
        secure: bool,
        body: Option<&[u8]>,
    ) -> Result<Self, ProbeFailure> {
        let scheme = if secure { Scheme::Https } else { Scheme::Http };
        // A probe is too short for anything that is held to time.
        let mut engine = Connection::client(&Limits::default(), scheme, 0);
        let mut head = RequestHead::default();
        let limits = HeadLimits { bytes: request.len() + 1, ..HeadLimits::default() };
        let read = head.parse(request.as_bytes(), &limits);
        if !matches!(read, Ok(Some(_))) {
            return Err(bad("the request cannot be written"));
        }
        let finish = if body.is_some() { Finish::Later } else { Finish::Now };
        let opened = engine.open(&head, &[], Opening { finish, protocol: None });
        let id = opened.map_err(|_| bad("no request can be sent"))?;
        if let Some(body) = body {
            // Before the server has said otherwise it takes 64 KiB, and no probe sends more than a few hundred bytes.
            if engine.write(id, body) != Ok(body.len()) {
                return Err(bad("the request cannot be sent"));
            }
            engine.finish(id, None);
        }
        let mut call = Self { stream, engine, id, bytes: Vec::new() };
        call.send().await?;
        Ok(call)
    }

    /// The head of the final answer.
    pub(super) async fn head(&mut self) -> Result<ResponseHead, ProbeFailure> {
        let mut head = ResponseHead::default();
        loop {
            while self.engine.take_response(self.id, &mut head) {
                if head.status() >= 200 {
                    return Ok(head);
                }
            }
            self.more().await?;
        }
    }

    /// Reads the body until it holds what it should, ends, or has shown as much of itself as is looked at. One
    /// that does not end in time is judged by what has come.
    pub(super) async fn judge_body(
        &mut self,
        pattern: &BodyPattern,
        until: Instant,
    ) -> Result<(), ProbeFailure> {
        let mut found = Finder::new(pattern)?;
        let mut block = [0; 4096];
        while found.text.len() < PROBED {
            match self.engine.read(self.id, &mut block) {
                Read::Bytes(len) => {
                    found.text.extend_from_slice(block.get(..len).unwrap_or_default());
                    found.text.truncate(PROBED);
                    if found.early() {
                        return Ok(());
                    }
                }
                Read::End | Read::Reset(_) => break,
                // Whether it was cut or ended makes no difference to what it holds.
                Read::Pending => match timeout_at(until, self.more()).await {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) | Err(_) => break,
                },
            }
        }
        found.verdict()
    }

    /// Reads on in the body.
    pub(super) fn read(&mut self, into: &mut [u8]) -> Read {
        self.engine.read(self.id, into)
    }

    /// What stands behind the body, once that has ended.
    pub(super) fn trailers(&mut self) -> Option<Headers> {
        self.engine.trailers(self.id)
    }

    /// Ends the connection; whatever happens here says nothing about the server's health.
    pub(super) async fn end(mut self) {
        self.engine.release(self.id);
        self.engine.conclude();
        let _ = self.send().await;
    }

    /// Sends what there is to send, and takes what comes then.
    pub(super) async fn more(&mut self) -> Result<(), ProbeFailure> {
        self.send().await?;
        let read = self.stream.read_buf(&mut self.bytes).await;
        if read.map_err(|error| ProbeFailure::BadAnswer(cause(&error)))? == 0 {
            return Err(bad("the connection was closed before an answer in HTTP/2"));
        }
        let taken = self.engine.receive(&self.bytes, 0);
        let taken = taken.map_err(|Ended { why, .. }| bad(&format!("no HTTP/2 answer: {}", why.name())))?;
        self.bytes.drain(..taken);
        while let Some(event) = self.engine.next_event() {
            if let Event::Reset(_, code) = event {
                return Err(bad(&format!("the server has reset the request: {}", code.name())));
            }
        }
        Ok(())
    }

    async fn send(&mut self) -> Result<(), ProbeFailure> {
        let failed = |error: std::io::Error| ProbeFailure::BadAnswer(cause(&error));
        while !self.engine.output().is_empty() {
            let written = self.stream.write(self.engine.output()).await.map_err(failed)?;
            self.engine.wrote(written);
        }
        self.stream.flush().await.map_err(failed)
    }
}

fn bad(text: &str) -> ProbeFailure {
    ProbeFailure::BadAnswer(text.to_owned())
}
