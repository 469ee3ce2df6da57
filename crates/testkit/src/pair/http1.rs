//! HTTP/1.1.

use std::any::Any;
use std::fmt::Write as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;

use super::socket::{Socket, accept};
use super::{Ask, Begun, Counted, HALF, REST, Stage, Told};
use crate::client::RawClient;
use crate::origin::{Origin, OriginConnection, reply};
use crate::wire::{Answer, Fields, Framing, Request, WireError};

pub(super) fn ask(address: SocketAddr, ask: Ask<'_>) -> Result<Told, String> {
    let mut client = RawClient::try_connect(address).map_err(|error| error.to_string())?;
    let bytes = request(&ask);
    // A large body and its answer may be on the way at the same time: neither side may wait for the other.
    let mut writer = client.socket().try_clone().map_err(|error| error.to_string())?;
    let writing = std::thread::spawn(move || writer.write_all(&bytes));
    let answer = client.read_answer(ask.method).map(told).map_err(|error| format!("{error:?}"));
    if answer.is_err() {
        let _ = client.socket().shutdown(std::net::Shutdown::Both);
    }
    let _ = writing.join();
    answer
}

fn request(ask: &Ask<'_>) -> Vec<u8> {
    let mut head = format!("{} {} HTTP/1.1\r\nHost: test\r\n", ask.method, ask.path);
    for (name, value) in ask.fields {
        let _ = write!(head, "{name}: {value}\r\n");
    }
    let chunked = !ask.announced && (!ask.body.is_empty() || !ask.trailers.is_empty());
    if chunked {
        head.push_str("Transfer-Encoding: chunked\r\n");
    } else if !ask.body.is_empty() {
        let _ = write!(head, "Content-Length: {}\r\n", ask.body.len());
    }
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(b"\r\n");
    if chunked {
        for piece in ask.body.chunks(10_000) {
            bytes.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
            bytes.extend_from_slice(piece);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"0\r\n");
        for (name, value) in ask.trailers {
            bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        bytes.extend_from_slice(b"\r\n");
    } else {
        bytes.extend_from_slice(ask.body);
    }
    bytes
}

fn told(answer: Answer) -> Told {
    Told {
        status: answer.status,
        fields: lower(&answer.fields),
        body: answer.body,
        trailers: lower(&answer.trailers),
        interim: answer.interim.iter().map(|answer| answer.status).collect(),
    }
}

fn lower(fields: &Fields) -> Vec<(String, String)> {
    let text = |value: &Vec<u8>| String::from_utf8_lossy(value).into_owned();
    fields.0.iter().map(|(name, value)| (name.to_ascii_lowercase(), text(value))).collect()
}

#[derive(Debug)]
struct Half {
    client: Option<RawClient>,
    answer: Option<Answer>,
}

impl Drop for Half {
    /// A mere end of sending is no end: the client may still be there to read.
    fn drop(&mut self) {
        if let Some(client) = self.client.take() {
            client.reset();
        }
    }
}

impl Begun for Half {
    fn finish(mut self: Box<Self>) -> Result<Told, String> {
        let mut client = self.client.take().expect("it is there until the end");
        let answer = match self.answer.take() {
            None => client.read_answer("GET"),
            Some(mut answer) => client.read_answer_body(&mut answer).map(|()| answer),
        };
        answer.map(told).map_err(|error| format!("{error:?}"))
    }
}

pub(super) fn begin(address: SocketAddr, path: &str, head: bool) -> Box<dyn Begun> {
    let mut client = RawClient::connect(address);
    client.send(request(&Ask::get(path))).expect("a request is taken");
    let answer = head.then(|| client.read_answer_head("GET").expect("the head of an answer"));
    Box::new(Half { client: Some(client), answer })
}

pub(super) fn origin(stage: Arc<Stage>) -> (SocketAddr, Box<dyn Any>) {
    let origin = Origin::start(move |connection| {
        loop {
            let mut request = connection.read_request_head()?;
            match request.target.as_str() {
                "/both" => both(connection, &request)?,
                "/early" => {
                    connection.write(
                        "HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 3\r\n\r\nbig",
                    );
                    // What was sent already must not turn the answer into a reset.
                    connection.half_close();
                    return connection.hang();
                }
                "/cut" => {
                    connection.write("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\ncut here");
                    return Err(WireError::Closed);
                }
                "/socket" => {
                    let _here = Counted::new(&stage.hanging);
                    if !take_socket(connection, &request) {
                        continue;
                    }
                    while let Ok(byte) = connection.read_exact(1) {
                        connection.write(byte);
                    }
                    connection.write("bye");
                    return Ok(());
                }
                "/socket-cut" => {
                    if take_socket(connection, &request) {
                        connection.read_exact(1)?;
                        return connection.reset();
                    }
                }
                "/hang" => {
                    let _here = Counted::new(&stage.hanging);
                    return connection.hang();
                }
                "/gate" => {
                    connection.write(format!(
                        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n",
                        HALF.len() + REST.len()
                    ));
                    connection.write(HALF);
                    stage.wait_at_the_gate();
                    connection.write(REST);
                }
                target => {
                    let hints = target == "/hints";
                    connection.read_request_body(&mut request)?;
                    if hints {
                        connection.write("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
                    }
                    connection.write(echo(&request));
                }
            }
        }
    });
    (origin.address(), Box::new(origin))
}

/// Agrees to a WebSocket where the request asks for one as it should.
fn take_socket(connection: &mut OriginConnection, request: &Request) -> bool {
    let fields = &request.fields;
    let version = fields.get("sec-websocket-version");
    let asked = fields.lists("connection", "upgrade") && fields.lists("upgrade", "websocket");
    let keys = fields.all("sec-websocket-key");
    let ([key], "GET", true, Some("13")) = (keys.as_slice(), request.method.as_str(), asked, version) else {
        connection.write(reply(400, "no WebSocket"));
        return false;
    };
    connection.write(format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: {}\r\nSec-WebSocket-Protocol: chat\r\n\r\n",
        accept(key)
    ));
    true
}

/// Opens a WebSocket as RFC 6455 section 4.1 has it.
pub(super) fn open(address: SocketAddr, path: &str) -> Result<Box<dyn Socket>, Told> {
    let mut client = RawClient::connect(address);
    let key = "dGhlIHNhbXBsZSBub25jZQ==";
    client
        .send(format!(
            "GET {path} HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Protocol: chat\r\n\r\n"
        ))
        .expect("a request is taken");
    let mut answer = client.read_answer_head("GET").expect("the head of an answer");
    if answer.status != 101 {
        client.read_answer_body(&mut answer).expect("its body");
        return Err(told(answer));
    }
    assert!(answer.fields.lists("connection", "upgrade"), "{answer:?}");
    assert_eq!(answer.fields.get("upgrade"), Some("websocket"), "{answer:?}");
    let accepts = answer.fields.all("sec-websocket-accept");
    assert_eq!(accepts, ["s3pPLMBiTxaQ9kYGzzhZRbK+xOo="], "{answer:?}");
    assert_eq!(answer.fields.get("sec-websocket-protocol"), Some("chat"), "{answer:?}");
    Ok(Box::new(Open(Some(client))))
}

#[derive(Debug)]
struct Open(Option<RawClient>);

impl Drop for Open {
    fn drop(&mut self) {
        if let Some(client) = self.0.take() {
            client.reset();
        }
    }
}

impl Socket for Open {
    fn send(&mut self, bytes: &[u8]) {
        self.0.as_mut().expect("it is open").send(bytes).expect("bytes are taken");
    }

    fn read(&mut self, count: usize) -> Result<Vec<u8>, String> {
        self.0.as_mut().expect("it is open").read_exact(count).map_err(|error| format!("{error:?}"))
    }

    fn end(&mut self) {
        self.0.as_ref().expect("it is open").half_close();
    }

    fn read_to_end(&mut self) -> (Vec<u8>, Result<(), String>) {
        let (bytes, ended) = self.0.as_mut().expect("it is open").read_to_end();
        (bytes, ended.map_err(|error| format!("{error:?}")))
    }
}

/// Sends each piece back as it comes.
fn both(connection: &mut OriginConnection, request: &Request) -> Result<(), WireError> {
    let Framing::Length(length) = request.framing else {
        connection.write(reply(400, "a length is needed"));
        return Err(WireError::Closed);
    };
    let mut left = usize::try_from(length).expect("a length that fits memory");
    connection.write(format!("HTTP/1.1 200 OK\r\nContent-Length: {left}\r\n\r\n"));
    while left > 0 {
        let piece = connection.read_exact(left.min(16 * 1024))?;
        left -= piece.len();
        connection.write(piece);
    }
    Ok(())
}

fn echo(request: &Request) -> Vec<u8> {
    let mut answer =
        format!("HTTP/1.1 200 OK\r\nx-method: {}\r\nx-target: {}\r\n", request.method, request.target);
    for name in ["host", "cookie", "x-forwarded-proto", "content-length", "te"] {
        if let Some(value) = request.fields.get(name) {
            let _ = write!(answer, "x-saw-{name}: {value}\r\n");
        }
    }
    if request.method == "HEAD" {
        return format!("{answer}Content-Length: 5\r\n\r\n").into_bytes();
    }
    if request.trailers.0.is_empty() {
        let mut bytes = format!("{answer}Content-Length: {}\r\n\r\n", request.body.len()).into_bytes();
        bytes.extend_from_slice(&request.body);
        return bytes;
    }
    let mut bytes = format!("{answer}Transfer-Encoding: chunked\r\n\r\n").into_bytes();
    if !request.body.is_empty() {
        bytes.extend_from_slice(format!("{:x}\r\n", request.body.len()).as_bytes());
        bytes.extend_from_slice(&request.body);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"0\r\n");
    for (name, value) in &request.trailers.0 {
        bytes.extend_from_slice(format!("{name}: {}\r\n", String::from_utf8_lossy(value)).as_bytes());
    }
    bytes.extend_from_slice(b"\r\n");
    bytes
}
