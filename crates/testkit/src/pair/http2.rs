//! HTTP/2.

use std::any::Any;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use h2::ext::Protocol;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};

use super::socket::Socket;
use super::{Ask, Begun, Counted, HALF, REST, Stage, Told};
use crate::http2::client::{self, Http2Client, Reply, read, request, websocket};
use crate::http2::origin::{Http2Origin, send};

pub(super) fn ask(address: SocketAddr, ask: Ask<'_>) -> Result<Told, String> {
    let client = Http2Client::connect(address);
    let mut request = request(ask.method, ask.path);
    for (name, value) in ask.fields {
        append(request.headers_mut(), name, value);
    }
    if ask.announced && !ask.body.is_empty() {
        append(request.headers_mut(), "content-length", &ask.body.len().to_string());
    }
    let body = Bytes::copy_from_slice(ask.body);
    let trailers = (!ask.trailers.is_empty()).then(|| {
        let mut trailers = HeaderMap::new();
        for (name, value) in ask.trailers {
            append(&mut trailers, name, value);
        }
        trailers
    });
    let told = client.run(async move |mut sender| {
        let empty = body.is_empty() && trailers.is_none();
        let (answer, mut stream) = sender.send_request(request, empty)?;
        let reading = tokio::spawn(read(answer));
        if !empty {
            // A server that does not want all of it says so by its answer, not by an error of ours.
            let sent = async {
                send(&mut stream, body).await?;
                match trailers {
                    Some(trailers) => stream.send_trailers(trailers),
                    None => stream.send_data(Bytes::new(), true),
                }
            };
            let _ = sent.await;
        }
        reading.await.expect("reading an answer does not panic")
    });
    told.map(from).map_err(|error: h2::Error| error.to_string())
}

fn append(fields: &mut HeaderMap, name: &str, value: &str) {
    let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
    fields.append(name, HeaderValue::from_str(value).expect("a value"));
}

fn from(reply: Reply) -> Told {
    Told {
        status: reply.status,
        fields: lower(&reply.fields),
        body: reply.body,
        trailers: reply.trailers.as_ref().map(lower).unwrap_or_default(),
        interim: reply.interim,
    }
}

fn lower(fields: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    fields.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect()
}

struct Half {
    client: Http2Client,
    head: Option<Response<RecvStream>>,
    answer: Option<h2::client::ResponseFuture>,
}

impl std::fmt::Debug for Half {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Half").field("client", &self.client).finish_non_exhaustive()
    }
}

impl Begun for Half {
    fn finish(mut self: Box<Self>) -> Result<Told, String> {
        let (head, answer) = (self.head.take(), self.answer.take());
        let told = self.client.wait(async move || match (head, answer) {
            (Some(head), _) => rest(head).await,
            (None, Some(answer)) => read(answer).await,
            (None, None) => unreachable!("one of them is there until the end"),
        });
        told.map(from).map_err(|error| error.to_string())
    }
}

async fn rest(head: Response<RecvStream>) -> Result<Reply, h2::Error> {
    let (head, mut stream) = head.into_parts();
    let (body, trailers) = client::rest(&head.headers, &mut stream).await?;
    Ok(Reply { status: head.status.as_u16(), fields: head.headers, body, trailers, interim: Vec::new() })
}

pub(super) fn begin(address: SocketAddr, path: &str, head: bool) -> Box<dyn Begun> {
    let client = Http2Client::connect(address);
    let (head, answer) = client.run(async |mut sender| {
        let (mut answer, _) = sender.send_request(request("GET", path), true).expect("a request is taken");
        if head {
            (Some((&mut answer).await.expect("the head of an answer")), None)
        } else {
            (None, Some(answer))
        }
    });
    Box::new(Half { client, head, answer })
}

pub(super) fn origin(stage: Arc<Stage>) -> (SocketAddr, Box<dyn Any>) {
    let mut settings = h2::server::Builder::new();
    settings.enable_connect_protocol();
    let script = move |request, respond| serve(Arc::clone(&stage), request, respond);
    let origin = Http2Origin::over(async |socket| Some(socket), settings, script);
    (origin.address(), Box::new(origin))
}

async fn serve(
    stage: Arc<Stage>,
    mut request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
) -> Result<(), h2::Error> {
    match request.uri().path() {
        "/both" => {
            let mut stream = respond.send_response(Response::new(()), false)?;
            let body = request.body_mut();
            while let Some(piece) = body.data().await {
                let piece = piece?;
                let _ = body.flow_control().release_capacity(piece.len());
                send(&mut stream, piece).await?;
            }
            stream.send_data(Bytes::new(), true)
        }
        "/early" => {
            let head = Response::builder().status(413).body(()).expect("a head");
            let mut stream = respond.send_response(head, false)?;
            stream.send_data(Bytes::from_static(b"big"), true)
        }
        "/cut" => {
            let head = Response::builder().header("content-length", "1000").body(()).expect("a head");
            let mut stream = respond.send_response(head, false)?;
            stream.send_data(Bytes::from_static(b"cut here"), false)?;
            // The bytes go out before the reset does.
            tokio::task::yield_now().await;
            stream.send_reset(Reason::INTERNAL_ERROR);
            Ok(())
        }
        "/socket" | "/socket-cut" => socket(&stage, request, respond).await,
        "/hang" => {
            let _here = Counted::new(&stage.hanging);
            let _ = std::future::poll_fn(|cx| respond.poll_reset(cx)).await;
            Ok(())
        }
        "/gate" => {
            let length = HALF.len() + REST.len();
            let head = Response::builder().header("content-length", length).body(()).expect("a head");
            let mut stream = respond.send_response(head, false)?;
            send(&mut stream, Bytes::from_static(HALF)).await?;
            let waiting = Arc::clone(&stage);
            let _ = tokio::task::spawn_blocking(move || waiting.wait_at_the_gate()).await;
            stream.send_data(Bytes::from_static(REST), true)
        }
        _ => echo(request, respond).await,
    }
}

async fn echo(request: Request<RecvStream>, mut respond: SendResponse<Bytes>) -> Result<(), h2::Error> {
    let (head, mut stream) = request.into_parts();
    let mut whole = Vec::new();
    while let Some(piece) = stream.data().await {
        let piece = piece?;
        let _ = stream.flow_control().release_capacity(piece.len());
        whole.extend_from_slice(&piece);
    }
    let trailers = stream.trailers().await?;
    if head.uri.path() == "/hints" {
        let hints = Response::builder().status(103).header("link", "</a>").body(()).expect("a head");
        respond.send_informational(hints)?;
    }
    let mut answer = Response::new(());
    let fields = answer.headers_mut();
    append(fields, "x-method", head.method.as_str());
    append(fields, "x-target", head.uri.path_and_query().map_or("", |target| target.as_str()));
    append(fields, "x-saw-host", head.uri.authority().map_or("", |authority| authority.as_str()));
    for name in ["cookie", "x-forwarded-proto", "content-length", "te"] {
        if let Some(value) = head.headers.get(name) {
            append(fields, &format!("x-saw-{name}"), &String::from_utf8_lossy(value.as_bytes()));
        }
    }
    if head.method == http::Method::HEAD {
        append(fields, "content-length", "5");
        return respond.send_response(answer, true).map(drop);
    }
    if trailers.is_none() {
        append(fields, "content-length", &whole.len().to_string());
    }
    let mut stream = respond.send_response(answer, false)?;
    send(&mut stream, whole.into()).await?;
    match trailers {
        Some(trailers) => stream.send_trailers(trailers),
        None => stream.send_data(Bytes::new(), true),
    }
}

/// Agrees to a WebSocket (RFC 8441 section 5) where the request asks for one as it should.
async fn socket(
    stage: &Stage,
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
) -> Result<(), h2::Error> {
    let (head, mut stream) = request.into_parts();
    let protocol = head.extensions.get::<Protocol>().map(Protocol::as_str);
    let stray = ["sec-websocket-key", "connection", "upgrade", "content-length", "transfer-encoding"];
    let good = head.method == http::Method::CONNECT
        && protocol == Some("websocket")
        && head.headers.get("sec-websocket-version").is_some_and(|version| version == "13")
        && !stray.iter().any(|name| head.headers.contains_key(*name));
    if !good {
        let head = Response::builder().status(400).body(()).expect("a head");
        return respond.send_response(head, true).map(drop);
    }
    let _here = Counted::new(&stage.hanging);
    let answer = Response::builder().header("sec-websocket-protocol", "chat").body(()).expect("a head");
    let mut out = respond.send_response(answer, false)?;
    while let Some(piece) = stream.data().await {
        let piece = piece?;
        if head.uri.path() == "/socket-cut" {
            out.send_reset(Reason::CANCEL);
            return Ok(());
        }
        let _ = stream.flow_control().release_capacity(piece.len());
        send(&mut out, piece).await?;
    }
    send(&mut out, Bytes::from_static(b"bye")).await?;
    out.send_data(Bytes::new(), true)
}

/// Opens a WebSocket as RFC 8441 has it.
pub(super) fn open(address: SocketAddr, path: &str) -> Result<Box<dyn Socket>, Told> {
    let client = Http2Client::connect(address);
    let opened = client.run(async |mut sender| {
        // The server says first whether it takes such a request.
        while !sender.is_extended_connect_protocol_enabled() {
            tokio::task::yield_now().await;
        }
        let mut request = websocket(path);
        append(request.headers_mut(), "sec-websocket-version", "13");
        append(request.headers_mut(), "sec-websocket-protocol", "chat");
        let (answer, out) = sender.send_request(request, false).expect("a request is taken");
        let answer = answer.await.expect("the head of an answer");
        if answer.status() == 200 { Ok((answer, out)) } else { Err(rest(answer).await.expect("its body")) }
    });
    let (answer, out) = opened.map_err(from)?;
    for name in ["connection", "upgrade", "sec-websocket-accept", "content-length"] {
        assert!(!answer.headers().contains_key(name), "{name} in {answer:?}");
    }
    assert_eq!(answer.headers()["sec-websocket-protocol"], "chat", "{answer:?}");
    Ok(Box::new(Open { client, out, stream: answer.into_body(), read: Vec::new() }))
}

struct Open {
    client: Http2Client,
    out: h2::SendStream<Bytes>,
    stream: RecvStream,
    read: Vec<u8>,
}

impl std::fmt::Debug for Open {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Open").field("client", &self.client).finish_non_exhaustive()
    }
}

impl Open {
    /// Reads a piece more; false at the end.
    fn more(&mut self) -> Result<bool, String> {
        let Self { client, stream, read, .. } = self;
        client.wait(async || match stream.data().await {
            None => Ok(false),
            Some(Err(error)) => Err(error.to_string()),
            Some(Ok(piece)) => {
                let _ = stream.flow_control().release_capacity(piece.len());
                read.extend_from_slice(&piece);
                Ok(true)
            }
        })
    }
}

impl Socket for Open {
    fn send(&mut self, bytes: &[u8]) {
        let bytes = Bytes::copy_from_slice(bytes);
        let Self { client, out, .. } = self;
        client.wait(async || send(out, bytes).await).expect("bytes are taken");
    }

    fn read(&mut self, count: usize) -> Result<Vec<u8>, String> {
        while self.read.len() < count {
            if !self.more()? {
                return Err(format!("it ended after {:?}", self.read));
            }
        }
        let rest = self.read.split_off(count);
        Ok(std::mem::replace(&mut self.read, rest))
    }

    fn end(&mut self) {
        let Self { client, out, .. } = self;
        client.wait(async || out.send_data(Bytes::new(), true)).expect("an end is taken");
    }

    fn read_to_end(&mut self) -> (Vec<u8>, Result<(), String>) {
        loop {
            match self.more() {
                Ok(true) => {}
                ended => return (std::mem::take(&mut self.read), ended.map(drop)),
            }
        }
    }
}
