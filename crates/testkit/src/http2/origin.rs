//! A scripted origin that speaks HTTP/2.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::{HeaderMap, Request, Response};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

/// A server of HTTP/2 on a free port of 127.0.0.1; stops on drop.
#[derive(Debug)]
pub struct Http2Origin {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    requests: Arc<AtomicUsize>,
    runtime: Option<Runtime>,
}

impl Http2Origin {
    /// Starts one, in the clear, that gives each request to the script.
    pub fn start<F, Fut>(script: F) -> Self
    where
        F: Fn(Request<RecvStream>, SendResponse<Bytes>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), h2::Error>> + Send + 'static,
    {
        Self::over(async |socket| Some(socket), h2::server::Builder::new(), script)
    }

    /// Starts one that speaks HTTP/2 over what becomes of each accepted socket, with these settings.
    pub fn over<W, T, F, Fut>(
        wrap: impl Fn(TcpStream) -> W + Send + Sync + 'static,
        settings: h2::server::Builder,
        script: F,
    ) -> Self
    where
        W: Future<Output = Option<T>> + Send + 'static,
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        F: Fn(Request<RecvStream>, SendResponse<Bytes>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), h2::Error>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("a socket that does not block");
        let address = listener.local_addr().expect("an address");
        let (connections, requests) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a thread");
        let (opened, asked) = (Arc::clone(&connections), Arc::clone(&requests));
        let (wrap, script) = (Arc::new(wrap), Arc::new(script));
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
            while let Ok((socket, _)) = listener.accept().await {
                let (wrap, script, settings) = (Arc::clone(&wrap), Arc::clone(&script), settings.clone());
                let (opened, asked) = (Arc::clone(&opened), Arc::clone(&asked));
                tokio::spawn(async move {
                    let Some(transport) = wrap(socket).await else { return };
                    let Ok(mut connection) = settings.handshake(transport).await else { return };
                    opened.fetch_add(1, Ordering::SeqCst);
                    while let Some(Ok((request, respond))) = connection.accept().await {
                        asked.fetch_add(1, Ordering::SeqCst);
                        tokio::spawn(script(request, respond));
                    }
                });
            }
        });
        Self { address, connections, requests, runtime: Some(runtime) }
    }

    /// Starts one that answers each request with what it was sent: `method path`, the body behind it, and the
    /// trailers as trailers.
    pub fn echoing() -> Self {
        Self::start(echo)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections whose preface was read.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Requests whose head was read.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

impl Drop for Http2Origin {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Answers with `method path`, the body, and the trailers.
pub async fn echo(
    mut request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
) -> Result<(), h2::Error> {
    let line = format!("{} {} ", request.method(), request.uri().path());
    let mut stream = respond.send_response(Response::new(()), false)?;
    send(&mut stream, line.into()).await?;
    let body = request.body_mut();
    while let Some(piece) = body.data().await {
        let piece = piece?;
        let _ = body.flow_control().release_capacity(piece.len());
        send(&mut stream, piece).await?;
    }
    let trailers = body.trailers().await?;
    stream.send_trailers(trailers.unwrap_or_else(HeaderMap::new))
}

/// Sends all of the bytes as the windows allow.
pub async fn send(stream: &mut h2::SendStream<Bytes>, mut bytes: Bytes) -> Result<(), h2::Error> {
    while !bytes.is_empty() {
        stream.reserve_capacity(bytes.len());
        let Some(room) = std::future::poll_fn(|cx| stream.poll_capacity(cx)).await else { return Ok(()) };
        let piece = bytes.split_to(room?.min(bytes.len()));
        stream.send_data(piece, false)?;
    }
    Ok(())
}
