//! A scripted origin that records every byte that it is sent.
//!
//! A script is a closure that is given each accepted connection and does with it what a server would or
//! should not do. One thread per connection; the script's end ends the connection in order.

mod replies;

use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

pub use replies::{reply, reply_with};

use crate::eventually::{PATIENCE, eventually, holds_within};
use crate::wire::{Request, Stream, WireError};

type Script = dyn Fn(&mut OriginConnection) -> Result<(), WireError> + Send + Sync;

/// A scripted HTTP server on a free port of 127.0.0.1; stops on drop.
pub struct Origin {
    address: SocketAddr,
    script: Arc<Script>,
    records: Arc<Mutex<Vec<Arc<Record>>>>,
    acceptor: Mutex<Option<Acceptor>>,
}

struct Acceptor {
    listener: TcpListener,
    thread: JoinHandle<()>,
}

/// What is kept of one connection.
struct Record {
    socket: TcpStream,
    raw: Arc<Mutex<Vec<u8>>>,
    requests: Mutex<Vec<Request>>,
    over: AtomicBool,
}

impl Origin {
    /// Starts one whose connections are each given to the script.
    pub fn start(
        script: impl Fn(&mut OriginConnection) -> Result<(), WireError> + Send + Sync + 'static,
    ) -> Self {
        let listener = listen("127.0.0.1:0".parse().unwrap()).expect("a free port");
        let address = listener.local_addr().unwrap();
        let origin =
            Self { address, script: Arc::new(script), records: Arc::default(), acceptor: Mutex::new(None) };
        origin.accept_on(listener);
        origin
    }

    /// Starts one that reads each request whole and sends back what the closure makes of it, keep-alive.
    pub fn by_request(answer: impl Fn(&Request) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self::start(move |connection| {
            loop {
                let request = connection.read_request()?;
                let bytes = answer(&request);
                connection.write(bytes);
            }
        })
    }

    /// Starts one that answers each request with the same bytes, keep-alive.
    pub fn answering(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        Self::by_request(move |_| bytes.clone())
    }

    /// Starts one that answers each request with 200 and its own name as the body.
    pub fn named(name: &str) -> Self {
        Self::answering(reply(200, name))
    }

    /// Where it listens (the port stays the same after `refuse` and `come_back`).
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Stops listening, so that new connections are refused; open ones go on.
    pub fn refuse(&self) {
        if let Some(acceptor) = self.acceptor.lock().unwrap().take() {
            // Wakes the blocked accept, which then fails and ends the thread; see shutdown(2) on a listener.
            let _ = socket2::SockRef::from(&acceptor.listener).shutdown(Shutdown::Both);
            drop(acceptor.listener);
            let _ = acceptor.thread.join();
        }
    }

    /// Ends every open connection.
    pub fn cut_all(&self) {
        for record in self.records.lock().unwrap().iter() {
            let _ = record.socket.shutdown(Shutdown::Both);
        }
    }

    /// Listens again on the same port.
    pub fn come_back(&self) {
        let mut listener = None;
        eventually("the origin's port can be bound again", || {
            listener = listen(self.address).ok();
            listener.is_some()
        });
        self.accept_on(listener.unwrap());
    }

    /// All requests that were read whole, in the order of the connections.
    pub fn requests(&self) -> Vec<Request> {
        self.records
            .lock()
            .unwrap()
            .iter()
            .flat_map(|record| record.requests.lock().unwrap().clone())
            .collect()
    }

    /// The raw bytes of every connection that sent any (probes of the kind `tcp` send none).
    pub fn raw(&self) -> Vec<Vec<u8>> {
        let all = self.records.lock().unwrap();
        all.iter().map(|record| record.raw.lock().unwrap().clone()).filter(|raw| !raw.is_empty()).collect()
    }

    /// How many connections carried at least one byte.
    pub fn connections(&self) -> usize {
        self.raw().len()
    }

    /// How many connections were accepted, silent ones too.
    pub fn accepted(&self) -> usize {
        self.records.lock().unwrap().len()
    }

    /// How many connections are open as far as the scripts have noticed.
    pub fn open(&self) -> usize {
        self.records.lock().unwrap().iter().filter(|record| !record.over.load(Ordering::Acquire)).count()
    }

    /// Forgets what was recorded of connections that are over, and the content of those that are open.
    pub fn forget(&self) {
        let mut records = self.records.lock().unwrap();
        records.retain(|record| !record.over.load(Ordering::Acquire));
        for record in records.iter() {
            record.raw.lock().unwrap().clear();
            record.requests.lock().unwrap().clear();
        }
    }

    /// Waits until that many requests were read whole.
    #[track_caller]
    pub fn wait_for_requests(&self, count: usize) -> Vec<Request> {
        eventually(&format!("the origin has {count} requests"), || self.requests().len() >= count);
        self.requests()
    }

    fn accept_on(&self, listener: TcpListener) {
        let own = listener.try_clone().expect("a descriptor");
        let (script, records) = (Arc::clone(&self.script), Arc::clone(&self.records));
        let thread = std::thread::spawn(move || {
            while let Ok((socket, _)) = own.accept() {
                let record = Arc::new(Record {
                    socket: socket.try_clone().expect("a descriptor"),
                    raw: Arc::default(),
                    requests: Mutex::default(),
                    over: AtomicBool::new(false),
                });
                records.lock().unwrap().push(Arc::clone(&record));
                let script = Arc::clone(&script);
                std::thread::spawn(move || serve(socket, record, &*script));
            }
        });
        *self.acceptor.lock().unwrap() = Some(Acceptor { listener, thread });
    }
}

impl std::fmt::Debug for Origin {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Origin({}, {} connections)", self.address, self.accepted())
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.refuse();
        self.cut_all();
    }
}

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    use socket2::{Domain, Socket, Type};
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(1024)?;
    Ok(socket.into())
}

fn serve(socket: TcpStream, record: Arc<Record>, script: &Script) {
    let mut connection =
        OriginConnection { stream: Some(Stream::new(socket, Arc::clone(&record.raw))), record, last: false };
    // However the script ends, by panic too, the connection is closed by its drop.
    let _ = script(&mut connection);
}

/// One connection in the hands of a script. Reads and writes as its `Stream` does.
pub struct OriginConnection {
    stream: Option<Stream>,
    record: Arc<Record>,
    last: bool,
}

impl OriginConnection {
    /// Reads one whole request and records it. After a request that said `close` there is no next one.
    pub fn read_request(&mut self) -> Result<Request, WireError> {
        if self.last {
            return Err(WireError::Closed);
        }
        let request = Stream::read_request(self)?;
        self.last = request.fields.lists("connection", "close");
        self.record.requests.lock().unwrap().push(request.clone());
        Ok(request)
    }

    /// Writes; a failure shows at the next read, as it does for a real server.
    pub fn write(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.send(bytes);
    }

    /// Holds the connection open and reads on without ever answering, until the other side ends it.
    pub fn hang(&mut self) -> Result<(), WireError> {
        self.set_patience(PATIENCE * 6);
        let _ = self.read_to_end();
        Err(WireError::Closed)
    }

    /// Holds the connection open without reading, until the other side ends it or the limit is over. Whether
    /// it ended is seen from the socket's state, since an end behind unread bytes cannot be read.
    pub fn hang_without_reading(&mut self) -> Result<(), WireError> {
        holds_within(PATIENCE * 6, || !is_established(self.socket()));
        Err(WireError::Closed)
    }

    /// Ends the connection with a reset.
    pub fn reset(&mut self) -> Result<(), WireError> {
        let _ = socket2::SockRef::from(&self.record.socket).set_linger(Some(Duration::ZERO));
        if let Some(stream) = self.stream.take() {
            // The record holds a second descriptor of the socket, so dropping this one would not close it:
            // SO_LINGER 0 with shutdown sends no reset either; connecting to nothing (AF_UNSPEC) does.
            abort(stream.socket());
        }
        Err(WireError::Closed)
    }

    fn close(&mut self) {
        if let Some(mut stream) = self.stream.take() {
            stream.half_close();
            // Unread bytes would turn the end into a reset and take the answer with them.
            stream.set_patience(Duration::from_secs(2));
            let _ = stream.read_to_end();
        }
        let _ = self.record.socket.shutdown(Shutdown::Both);
        self.record.over.store(true, Ordering::Release);
    }
}

fn is_established(socket: &TcpStream) -> bool {
    let mut pending = [rustix::event::PollFd::new(socket, rustix::event::PollFlags::RDHUP)];
    let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
    !matches!(rustix::event::poll(&mut pending, Some(&now)), Ok(count) if count > 0)
}

fn abort(socket: &TcpStream) {
    let _ = rustix::net::connect_unspec(socket);
}

impl Drop for OriginConnection {
    fn drop(&mut self) {
        self.close();
    }
}

impl Deref for OriginConnection {
    type Target = Stream;
    fn deref(&self) -> &Stream {
        self.stream.as_ref().expect("the connection was not reset")
    }
}

impl DerefMut for OriginConnection {
    fn deref_mut(&mut self) -> &mut Stream {
        self.stream.as_mut().expect("the connection was not reset")
    }
}
