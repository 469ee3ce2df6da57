//! The bench origin: one epoll loop that answers fixed bytes on any number of ports.
//!
//! It prints one JSON line with its addresses, then takes commands on standard input, each answered by one JSON
//! line: `stats`, `close N` (stop listening on port N and cut its connections), `open N` (listen
//! there again). It ends with the end of its standard input, so it never outlives the harness.
//!
//! Every request whose head and body arrived whole is counted as `requests`; it counts as `answered` once the
//! last byte of its answer was taken by the kernel. `bench/day` holds these against the proxy's own counters.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use loadweaver_bench_tools::bulk::{WORTH_IT, discard};
use loadweaver_bench_tools::message::{Body, BodyReader, MAX_HEAD, Scanner};
use mio::net::{TcpListener, TcpStream};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

const HELP: &str =
    "origin [--ports N] [--body BYTES] [--headers bare|framework] [--spread] [--send-buffer BYTES]
  --ports N      listen on N ports (default 1)
  --spread       give each port an address of its own, 127.1.x.y, instead of 127.0.0.1
  --body BYTES   length of each answer's body (default 128)
  --headers K    bare: status, Content-Length; framework: the 12 fields a web framework sends
  --send-buffer BYTES   of each connection, in the kernel (default: as it likes, up to some MiB)";

/// The 12 fields of an answer as a web framework behind a CDN sends them, Content-Length included.
const FRAMEWORK_FIELDS: &str = "Date: Tue, 04 Mar 2025 10:00:00 GMT\r\n\
    Content-Type: application/json; charset=utf-8\r\n\
    Cache-Control: private, no-cache, max-age=0, must-revalidate\r\n\
    ETag: W/\"80-4nJr0xJwV9x3Q0C4b2s8kC1pU2w\"\r\n\
    Vary: Accept-Encoding, Origin\r\n\
    X-Powered-By: Express\r\n\
    Strict-Transport-Security: max-age=31536000; includeSubDomains\r\n\
    X-Content-Type-Options: nosniff\r\n\
    X-Frame-Options: SAMEORIGIN\r\n\
    Set-Cookie: sid=s%3A8fYk2Vn1qJt0c7Lr5eXb9uHd3mPw6zQa.kT4o; Path=/; HttpOnly; SameSite=Lax\r\n\
    Server-Timing: app;dur=3.2, db;dur=1.1\r\n";

const STDIN: Token = Token(usize::MAX - 1);

struct Port {
    address: SocketAddr,
    listener: Option<TcpListener>,
    accepted: u64,
    requests: u64,
    answered: u64,
    open: u64,
}

struct Conn {
    stream: TcpStream,
    port: usize,
    /// Bytes of a head that did not arrive whole.
    partial: Vec<u8>,
    /// The body being read, where one is under way.
    body: Option<BodyReader>,
    /// Answers owed; true stands for one without a body (HEAD).
    owed: VecDeque<bool>,
    /// Bytes of the first owed answer that were written.
    written: usize,
    /// The client asked for the end after the answers owed.
    closing: bool,
}

struct Origin {
    poll: Poll,
    scanner: Scanner,
    ports: Vec<Port>,
    conns: Vec<Option<Conn>>,
    free: Vec<usize>,
    answer: Vec<u8>,
    head_length: usize,
    buffer: Vec<u8>,
    commands: Vec<u8>,
}

fn main() -> io::Result<()> {
    let (mut ports, mut body, mut framework, mut spread) = (1usize, 128usize, false, false);
    let mut send_buffer = None;
    let mut args = lexopt::Parser::from_env();
    let bad = |error: lexopt::Error| io::Error::other(format!("{error}\n{HELP}"));
    while let Some(arg) = args.next().map_err(bad)? {
        use lexopt::prelude::{Long, ValueExt};
        match arg {
            Long("ports") => ports = args.value().and_then(|v| v.parse()).map_err(bad)?,
            Long("body") => body = args.value().and_then(|v| v.parse()).map_err(bad)?,
            Long("headers") => framework = args.value().map_err(bad)? == "framework",
            Long("spread") => spread = true,
            Long("send-buffer") => send_buffer = Some(args.value().and_then(|v| v.parse()).map_err(bad)?),
            other => return Err(bad(other.unexpected())),
        }
    }
    let origin = Origin::new(ports, spread, answer(body, framework))?;
    if let Some(bytes) = send_buffer {
        origin.limit_send_buffers(bytes)?;
    }
    origin.run()
}

fn answer(body: usize, framework: bool) -> (Vec<u8>, usize) {
    let fields = if framework { FRAMEWORK_FIELDS } else { "" };
    let mut answer = format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: {body}\r\n\r\n").into_bytes();
    let head_length = answer.len();
    answer.resize(head_length + body, b'x');
    (answer, head_length)
}

impl Origin {
    fn new(count: usize, spread: bool, (answer, head_length): (Vec<u8>, usize)) -> io::Result<Self> {
        let poll = Poll::new()?;
        let mut ports = Vec::with_capacity(count);
        for index in 0..count {
            let ip = if spread {
                Ipv4Addr::new(127, 1, (index / 250) as u8, (index % 250 + 1) as u8)
            } else {
                Ipv4Addr::LOCALHOST
            };
            let mut listener = TcpListener::bind(SocketAddr::new(IpAddr::V4(ip), 0))?;
            poll.registry().register(&mut listener, Token(index), Interest::READABLE)?;
            let address = listener.local_addr()?;
            let listener = Some(listener);
            ports.push(Port { address, listener, accepted: 0, requests: 0, answered: 0, open: 0 });
        }
        rustix::io::ioctl_fionbio(rustix::stdio::stdin(), true)?;
        poll.registry().register(&mut SourceFd(&0), STDIN, Interest::READABLE)?;
        Ok(Self {
            poll,
            scanner: Scanner::default(),
            ports,
            conns: Vec::new(),
            free: Vec::new(),
            answer,
            head_length,
            buffer: vec![0; 1024 * 1024],
            commands: Vec::new(),
        })
    }

    /// Of the connections that will be accepted: they inherit it.
    fn limit_send_buffers(&self, bytes: usize) -> io::Result<()> {
        for listener in self.ports.iter().filter_map(|port| port.listener.as_ref()) {
            rustix::net::sockopt::set_socket_send_buffer_size(listener, bytes)?;
        }
        Ok(())
    }

    fn run(mut self) -> io::Result<()> {
        let addresses: Vec<String> = self.ports.iter().map(|port| format!("\"{}\"", port.address)).collect();
        say(&format!("{{\"addresses\":[{}]}}", addresses.join(",")))?;
        let mut events = Events::with_capacity(1024);
        loop {
            if let Err(error) = self.poll.poll(&mut events, None) {
                if error.kind() == io::ErrorKind::Interrupted {
                    continue;
                }
                return Err(error);
            }
            for event in &events {
                match event.token() {
                    STDIN => {
                        if !self.command()? {
                            return Ok(());
                        }
                    }
                    Token(index) if index < self.ports.len() => self.accept(index)?,
                    Token(index) => {
                        let slot = index - self.ports.len();
                        if !self.serve(slot, event.is_readable(), event.is_read_closed()) {
                            self.drop_conn(slot);
                        }
                    }
                }
            }
        }
    }

    fn accept(&mut self, index: usize) -> io::Result<()> {
        loop {
            let Some(listener) = self.ports.get(index).and_then(|port| port.listener.as_ref()) else {
                return Ok(());
            };
            let mut stream = match listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                // A client that was gone before it was accepted, or no descriptor free: the next event retries.
                Err(_) => return Ok(()),
            };
            stream.set_nodelay(true)?;
            let slot = self.free.pop().unwrap_or_else(|| {
                self.conns.push(None);
                self.conns.len() - 1
            });
            let token = Token(self.ports.len() + slot);
            self.poll.registry().register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
            self.conns[slot] = Some(Conn {
                stream,
                port: index,
                partial: Vec::new(),
                body: None,
                owed: VecDeque::new(),
                written: 0,
                closing: false,
            });
            self.ports[index].accepted += 1;
            self.ports[index].open += 1;
        }
    }

    fn drop_conn(&mut self, slot: usize) {
        if let Some(conn) = self.conns[slot].take() {
            self.ports[conn.port].open -= 1;
            self.free.push(slot);
        }
    }

    /// Reads what is there, answers what is whole; `false` where the connection is over.
    fn serve(&mut self, slot: usize, readable: bool, closed: bool) -> bool {
        let Some(conn) = self.conns[slot].as_mut() else { return true };
        let port = &mut self.ports[conn.port];
        if readable && !conn.read(&self.scanner, &mut self.buffer, closed, port) {
            return false;
        }
        conn.write(&self.answer, self.head_length, port) && !(conn.closing && conn.owed.is_empty())
    }

    /// Takes commands; `false` at the end of standard input.
    fn command(&mut self) -> io::Result<bool> {
        let mut chunk = [0; 4096];
        loop {
            match rustix::io::read(rustix::stdio::stdin(), &mut chunk) {
                Ok(0) => return Ok(false),
                Ok(read) => self.commands.extend_from_slice(&chunk[..read]),
                Err(rustix::io::Errno::AGAIN) => break,
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        while let Some(end) = memchr::memchr(b'\n', &self.commands) {
            let line: Vec<u8> = self.commands.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line).into_owned();
            let mut words = line.split_whitespace();
            let command = words.next().unwrap_or_default();
            let index = words.next().and_then(|word| word.parse().ok()).filter(|i| *i < self.ports.len());
            match (command, index) {
                ("stats", _) => say(&self.stats())?,
                ("close", Some(index)) => {
                    self.close(index);
                    say("{\"ok\":true}")?;
                }
                ("open", Some(index)) => match self.open(index) {
                    Ok(()) => say("{\"ok\":true}")?,
                    Err(error) => say(&format!("{{\"ok\":false,\"error\":\"{error}\"}}"))?,
                },
                _ => say("{\"ok\":false,\"error\":\"unknown command\"}")?,
            }
        }
        Ok(true)
    }

    fn close(&mut self, index: usize) {
        self.ports[index].listener = None;
        for slot in 0..self.conns.len() {
            if self.conns[slot].as_ref().is_some_and(|conn| conn.port == index) {
                self.drop_conn(slot);
            }
        }
    }

    fn open(&mut self, index: usize) -> io::Result<()> {
        let port = &mut self.ports[index];
        if port.listener.is_none() {
            let mut listener = TcpListener::bind(port.address)?;
            self.poll.registry().register(&mut listener, Token(index), Interest::READABLE)?;
            port.listener = Some(listener);
        }
        Ok(())
    }

    fn stats(&self) -> String {
        let ports: Vec<String> = self
            .ports
            .iter()
            .map(|port| {
                let Port { accepted, requests, answered, open, .. } = port;
                format!(
                    "{{\"accepted\":{accepted},\"requests\":{requests},\"answered\":{answered},\"open\":{open}}}"
                )
            })
            .collect();
        format!("{{\"ports\":[{}]}}", ports.join(","))
    }
}

impl Conn {
    /// Reads until the socket is empty (its events are edge-triggered); `false` where the connection is over.
    fn read(&mut self, scanner: &Scanner, buffer: &mut [u8], closed: bool, port: &mut Port) -> bool {
        loop {
            if let Some(body) = self.body.as_mut()
                && let Some(left) = body.left()
                && left >= WORTH_IT
            {
                let room = buffer.len().min(left as usize);
                let count = match discard(&self.stream, &mut buffer[..room]) {
                    Ok(0) => return false,
                    Ok(count) => count,
                    Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
                };
                body.skip(count as u64);
                if body.is_done() {
                    self.body = None;
                    self.owed.push_back(false);
                    port.requests += 1;
                }
                if count < room && !closed {
                    return true;
                }
                continue;
            }
            let read = match self.stream.read(buffer) {
                Ok(0) => return false,
                Ok(read) => read,
                Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
            };
            let before = self.owed.len();
            if !self.take(scanner, &buffer[..read]) {
                return false;
            }
            port.requests += (self.owed.len() - before) as u64;
            // A read that came back short drained the socket: the next byte raises its own event. Not so where
            // the end of the stream stands behind these bytes: its event was this one.
            if read < buffer.len() && !closed {
                return true;
            }
        }
    }

    /// Writes the answers owed as far as the kernel takes them; `false` where the connection is over.
    fn write(&mut self, answer: &[u8], head_length: usize, port: &mut Port) -> bool {
        while let Some(&bodiless) = self.owed.front() {
            let end = if bodiless { head_length } else { answer.len() };
            match self.stream.write(&answer[self.written..end]) {
                Ok(written) => self.written += written,
                Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
            }
            if self.written == end {
                self.owed.pop_front();
                self.written = 0;
                port.answered += 1;
            }
        }
        true
    }

    /// Feeds bytes into the parser; `false` where they are no HTTP.
    fn take(&mut self, scanner: &Scanner, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            if let Some(body) = self.body.as_mut() {
                bytes = &bytes[body.take(bytes)..];
                if body.is_done() {
                    self.body = None;
                    self.owed.push_back(false);
                }
                continue;
            }
            let joined;
            let source = if self.partial.is_empty() {
                bytes
            } else {
                self.partial.extend_from_slice(bytes);
                joined = std::mem::take(&mut self.partial);
                &joined
            };
            let Some(length) = scanner.head_length(source) else {
                self.partial = source.to_vec();
                return self.partial.len() <= MAX_HEAD;
            };
            let rest = source.len() - length;
            let framing = scanner.request(&source[..length]);
            self.closing |= framing.close;
            match framing.body {
                Body::Length(0) => self.owed.push_back(framing.head_request),
                body => self.body = Some(BodyReader::new(body)),
            }
            // The head ends inside the newest bytes: what was kept had no whole head.
            bytes = &bytes[bytes.len() - rest..];
        }
        true
    }
}

fn say(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}
