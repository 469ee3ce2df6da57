//! A client of HTTP/2.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;
use h2::ext::Protocol;
use http::{HeaderMap, Request};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

use crate::eventually::{PATIENCE, eventually};

/// One client connection. It lives on a thread of its own; the calls block until they are answered.
#[derive(Debug)]
pub struct Http2Client {
    runtime: Runtime,
    send: SendRequest<Bytes>,
    over: Arc<AtomicBool>,
}

/// An answer as it was read.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// The header fields.
    pub fields: HeaderMap,
    /// All of the body.
    pub body: Vec<u8>,
    /// What came after it.
    pub trailers: Option<HeaderMap>,
    /// The statuses of the informational answers before it.
    pub interim: Vec<u16>,
}

impl Reply {
    /// The body as text, lossily.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A header's value.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.get(name).and_then(|value| value.to_str().ok())
    }

    /// A trailer's value.
    pub fn trailer(&self, name: &str) -> Option<&str> {
        self.trailers.as_ref()?.get(name)?.to_str().ok()
    }

    /// The code of the failure, when the proxy made this answer itself.
    pub fn failure(&self) -> Option<&str> {
        self.field("x-loadweaver-failure")
    }
}

impl Http2Client {
    /// Connects with prior knowledge, in the clear.
    #[track_caller]
    pub fn connect(address: SocketAddr) -> Self {
        Self::over(async move { TcpStream::connect(address).await.expect("the balancer takes a connection") })
    }

    /// Speaks HTTP/2 over the transport that the future brings, from the first byte on.
    #[track_caller]
    pub fn over<T>(transport: impl Future<Output = T> + Send + 'static) -> Self
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a thread");
        let over = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&over);
        let send = runtime.block_on(async move {
            let (send, connection) = patient("a handshake of HTTP/2", async {
                h2::client::handshake(transport.await).await.expect("the preface is taken")
            })
            .await;
            tokio::spawn(async move {
                let _ = connection.await;
                ended.store(true, Ordering::Release);
            });
            send
        });
        Self { runtime, send, over }
    }

    /// Runs what a test wants to do with the connection, step by step.
    #[track_caller]
    pub fn run<T>(&self, steps: impl AsyncFnOnce(SendRequest<Bytes>) -> T) -> T {
        let send = self.send.clone();
        self.runtime.block_on(patient("the steps of a test", async {
            let send = send.ready().await.expect("the connection takes requests");
            steps(send).await
        }))
    }

    /// Waits for something on a connection that may take no more requests.
    #[track_caller]
    pub fn wait<T>(&self, steps: impl AsyncFnOnce() -> T) -> T {
        self.runtime.block_on(patient("the steps of a test", steps()))
    }

    /// Sends a request with a body and reads the answer.
    pub fn exchange(
        &self,
        request: Request<()>,
        body: impl Into<Bytes>,
        trailers: Option<HeaderMap>,
    ) -> Result<Reply, h2::Error> {
        let body = body.into();
        self.run(async move |mut send| {
            let empty = body.is_empty() && trailers.is_none();
            let (answer, mut stream) = send.send_request(request, empty)?;
            let reading = tokio::spawn(read(answer));
            if !empty {
                // Whoever does not want all of it may have answered already: the answer tells, not an error of ours.
                let whole = stream.send_data(body, trailers.is_none());
                if let (Ok(()), Some(trailers)) = (whole, trailers) {
                    let _ = stream.send_trailers(trailers);
                }
            }
            reading.await.expect("reading an answer does not panic")
        })
    }

    /// GETs a path.
    #[track_caller]
    pub fn get(&self, path: &str) -> Reply {
        self.exchange(get(path), "", None).expect("an answer")
    }

    /// Whether the connection has ended.
    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// Holds when the other side ends the connection.
    #[track_caller]
    pub fn expect_over(&self) {
        eventually("the connection of HTTP/2 ends", || self.is_over());
    }
}

/// A GET.
pub fn get(path: &str) -> Request<()> {
    request("GET", path)
}

/// A request without fields.
pub fn request(method: &str, path: &str) -> Request<()> {
    Request::builder().method(method).uri(format!("http://test{path}")).body(()).expect("a good request")
}

/// An extended CONNECT (RFC 8441).
pub fn websocket(path: &str) -> Request<()> {
    let mut request = request("CONNECT", path);
    request.extensions_mut().insert(Protocol::from_static("websocket"));
    request
}

/// Reads an answer to its end.
pub async fn read(mut answer: h2::client::ResponseFuture) -> Result<Reply, h2::Error> {
    let mut interim = Vec::new();
    while let Some(head) = std::future::poll_fn(|cx| answer.poll_informational(cx)).await {
        interim.push(head?.status().as_u16());
    }
    let (head, mut stream) = answer.await?.into_parts();
    let (body, trailers) = rest(&head.headers, &mut stream).await?;
    Ok(Reply { status: head.status.as_u16(), fields: head.headers, body, trailers, interim })
}

/// Reads what follows the head of an answer. A reset without an error behind a whole answer only says that the rest of
/// the request is not wanted (RFC 9113 section 8.1).
pub(crate) async fn rest(
    head: &HeaderMap,
    stream: &mut h2::RecvStream,
) -> Result<(Vec<u8>, Option<HeaderMap>), h2::Error> {
    let announced = head.get("content-length").and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    let unwanted = |error: &h2::Error| error.is_remote() && error.reason() == Some(h2::Reason::NO_ERROR);
    let mut body = Vec::new();
    loop {
        match stream.data().await {
            None => break,
            Some(Err(error)) if unwanted(&error) && announced.is_none_or(|length| length == body.len()) => {
                break;
            }
            Some(piece) => {
                let piece = piece?;
                let _ = stream.flow_control().release_capacity(piece.len());
                body.extend_from_slice(&piece);
            }
        }
    }
    match stream.trailers().await {
        Err(error) if unwanted(&error) => Ok((body, None)),
        trailers => Ok((body, trailers?)),
    }
}

async fn patient<T>(what: &str, work: impl Future<Output = T>) -> T {
    let limit: Duration = PATIENCE * 6;
    tokio::time::timeout(limit, work).await.unwrap_or_else(|_| panic!("{what} took longer than {limit:?}"))
}
