//! Clients and origins of HTTP/1.1 and HTTP/2 behind one face, for what must hold between any two of them.
//!
//! An origin does what its path says:
//!
//! | path | what it does |
//! |---|---|
//! | `/echo` | reads all, then answers with the body and the trailers that it got, and with what it saw in `x-` fields |
//! | `/both` | answers at once and sends each piece of the body back as it comes |
//! | `/hints` | a 103 before its answer |
//! | `/early` | 413 without a look at the body |
//! | `/cut` | ends its answer in the middle, so that it can be seen |
//! | `/hang` | never answers |
//! | `/gate` | sends half of its answer, and the rest when the gate is opened |
//! | `/socket` | takes a WebSocket, sends back what comes in it, says `bye` when no more will come, and hangs meanwhile |
//! | `/socket-cut` | takes a WebSocket and breaks it off with the first byte |

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use crate::eventually::{PATIENCE, eventually};

mod http1;
mod http2;
pub mod socket;

/// What is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2 with prior knowledge.
    Http2,
}

/// A request.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// Its method.
    pub method: &'a str,
    /// Its path.
    pub path: &'a str,
    /// Fields beside `host`, in lower case.
    pub fields: &'a [(&'a str, &'a str)],
    /// Its body; empty is none.
    pub body: &'a [u8],
    /// Whether the length of the body is said beforehand.
    pub announced: bool,
    /// What comes after the body.
    pub trailers: &'a [(&'a str, &'a str)],
}

impl<'a> Ask<'a> {
    /// A GET.
    pub fn get(path: &'a str) -> Self {
        Self { method: "GET", path, fields: &[], body: b"", announced: false, trailers: &[] }
    }

    /// A POST whose length is announced.
    pub fn post(path: &'a str, body: &'a [u8]) -> Self {
        Self { method: "POST", body, announced: true, ..Self::get(path) }
    }
}

/// An answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told {
    /// Its status.
    pub status: u16,
    /// Its fields, names in lower case.
    pub fields: Vec<(String, String)>,
    /// All of its body.
    pub body: Vec<u8>,
    /// What came after the body, names in lower case.
    pub trailers: Vec<(String, String)>,
    /// Statuses of the informational answers before it.
    pub interim: Vec<u16>,
}

impl Told {
    /// A field's value.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A trailer's value.
    pub fn trailer(&self, name: &str) -> Option<&str> {
        self.trailers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// Sends a request on a connection of its own and reads the answer; an error says how it ended instead.
pub fn ask(wire: Wire, address: SocketAddr, ask: Ask<'_>) -> Result<Told, String> {
    match wire {
        Wire::Http1 => http1::ask(address, ask),
        Wire::Http2 => http2::ask(address, ask),
    }
}

/// A request whose answer has begun. Whoever drops it goes away in the middle.
pub trait Begun: std::fmt::Debug {
    /// Reads the rest.
    fn finish(self: Box<Self>) -> Result<Told, String>;
}

/// Sends a request and, where `head` says so, waits for the head of the answer and its first bytes.
pub fn begin(wire: Wire, address: SocketAddr, path: &str, head: bool) -> Box<dyn Begun> {
    match wire {
        Wire::Http1 => http1::begin(address, path, head),
        Wire::Http2 => http2::begin(address, path, head),
    }
}

/// What a `/gate` sends before it is opened, and after.
pub const HALF: &[u8] = b"the first half, ";
/// The other half.
pub const REST: &[u8] = b"and the second";

/// What the exchanges of an origin share with the test.
#[derive(Debug, Default)]
struct Stage {
    hanging: AtomicUsize,
    gates: AtomicUsize,
    open: Mutex<bool>,
    opened: Condvar,
}

/// Counts an exchange for as long as it lives.
struct Counted<'s>(&'s AtomicUsize);

impl<'s> Counted<'s> {
    fn new(counter: &'s AtomicUsize) -> Self {
        counter.fetch_add(1, Ordering::SeqCst);
        Self(counter)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// An origin of either protocol.
#[derive(Debug)]
pub struct AnyOrigin {
    address: SocketAddr,
    stage: Arc<Stage>,
    _running: Box<dyn std::any::Any>,
}

impl AnyOrigin {
    /// Starts one.
    pub fn start(wire: Wire) -> Self {
        let stage = Arc::<Stage>::default();
        let (address, running) = match wire {
            Wire::Http1 => http1::origin(Arc::clone(&stage)),
            Wire::Http2 => http2::origin(Arc::clone(&stage)),
        };
        Self { address, stage, _running: running }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until that many exchanges hang.
    #[track_caller]
    pub fn wait_for_hanging(&self, count: usize) {
        eventually(&format!("{count} exchanges hang"), || self.stage.hanging.load(Ordering::SeqCst) == count);
    }

    /// Opens the gate for those that wait there.
    pub fn open_gate(&self) {
        *self.stage.open.lock().unwrap() = true;
        self.stage.opened.notify_all();
    }
}

impl Stage {
    fn wait_at_the_gate(&self) {
        let _here = Counted::new(&self.gates);
        let open = self.open.lock().unwrap();
        drop(self.opened.wait_timeout_while(open, PATIENCE * 3, |open| !*open));
    }
}
