//! A connection of ours over a pipe.

use loadweaver_http2::{Connection, Event, Read, StreamId};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use crate::random::Random;

/// What the connection is for.
pub(crate) trait App {
    /// Something happened; with none, something may be begun.
    fn on(&mut self, connection: &mut Connection, event: Option<Event>);
    /// Nothing more is wanted of the connection.
    fn is_done(&self) -> bool;
    /// It is this end that closes when all is done.
    fn closes(&self) -> bool;
}

/// Runs until the application is done or the other side has closed.
pub(crate) async fn drive(
    io: DuplexStream,
    mut connection: Connection,
    app: &mut impl App,
    mut random: Random,
) {
    let (mut reader, mut writer) = tokio::io::split(io);
    let (mut kept, mut piece, mut now) = (Vec::new(), vec![0; 30_000], 0);
    loop {
        while let Some(event) = connection.next_event() {
            app.on(&mut connection, Some(event));
        }
        app.on(&mut connection, None);
        let output = connection.output();
        if output.is_empty() && app.is_done() && connection.streams() == 0 && app.closes() {
            return;
        }
        // Some of the output and of the input at a time, so that both are cut anywhere.
        let write = 1 + random.size(20_000);
        let read = 1 + random.size(30_000);
        tokio::select! {
            written = writer.write(&output[..write.min(output.len())]), if !output.is_empty() => {
                let Ok(len) = written else { return };
                connection.wrote(len);
            }
            got = reader.read(&mut piece[..read]) => {
                let len = got.unwrap();
                if len == 0 {
                    assert!(app.is_done(), "the other side has closed");
                    return;
                }
                kept.extend_from_slice(&piece[..len]);
                now += 10_000_000;
                let used = connection.receive(&kept, now).unwrap();
                kept.drain(..used);
            }
        }
    }
}

/// Reads all that is there; whether the end is.
pub(crate) fn read_all(connection: &mut Connection, id: StreamId, into: &mut Vec<u8>) -> bool {
    let mut piece = [0; 777];
    loop {
        match connection.read(id, &mut piece) {
            Read::Bytes(len) => into.extend_from_slice(&piece[..len]),
            Read::End => return true,
            Read::Pending | Read::Reset(_) => return false,
        }
    }
}

/// A message on its way out.
#[derive(Debug)]
pub(crate) struct Sending {
    pub(crate) bytes: Vec<u8>,
    pub(crate) at: usize,
    pub(crate) trailers: loadweaver_http1::Headers,
    pub(crate) ended: bool,
}

impl Sending {
    pub(crate) fn new(bytes: Vec<u8>, trailers: &[(String, String)]) -> Self {
        Self { bytes, at: 0, trailers: to_headers(trailers), ended: false }
    }

    pub(crate) fn go_on(&mut self, connection: &mut Connection, id: StreamId) {
        if self.ended {
            return;
        }
        match connection.write(id, &self.bytes[self.at..]) {
            Ok(len) => self.at += len,
            Err(_) => self.ended = true,
        }
        if self.at == self.bytes.len() && !self.ended {
            connection.finish(id, Some(&self.trailers));
            self.ended = true;
        }
    }
}

pub(crate) fn to_headers(fields: &[(String, String)]) -> loadweaver_http1::Headers {
    let mut headers = loadweaver_http1::Headers::new();
    for (name, value) in fields {
        headers.append(name.as_bytes(), value.as_bytes());
    }
    headers
}

pub(crate) fn lines(fields: &[(String, String)]) -> Vec<u8> {
    let mut out = Vec::new();
    to_headers(fields).write(&mut out);
    out
}
