//! A port that speaks TLS on one side and in the clear on the other.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustls::{Connection, HandshakeKind};

/// Which side of the bridge speaks TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// Whoever connects to it.
    Client,
    /// Whom it connects to.
    Server,
}

/// Takes connections on a port of its own and carries each to an address, with TLS on one side.
#[derive(Debug)]
pub struct Bridge {
    address: SocketAddr,
    seen: Arc<Seen>,
}

/// What a bridge has seen of TLS.
#[derive(Debug, Default)]
struct Seen {
    handshakes: AtomicUsize,
    resumed: AtomicUsize,
    goodbyes: AtomicUsize,
    errors: Mutex<Vec<String>>,
    names: Mutex<Vec<Option<String>>>,
    certificates: Mutex<Vec<Vec<u8>>>,
}

impl Bridge {
    pub(super) fn start(
        to: SocketAddr,
        (side, renews): (Side, bool),
        connect: impl Fn() -> Connection + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (seen, connect) = (Arc::new(Seen::default()), Arc::new(connect));
        let seeing = Arc::clone(&seen);
        std::thread::spawn(move || {
            // Ends with the process: a bridge is a port and an idle thread.
            while let Ok((near, _)) = listener.accept() {
                let (seen, connect) = (Arc::clone(&seeing), Arc::clone(&connect));
                std::thread::spawn(move || {
                    if let Ok(far) = TcpStream::connect(to) {
                        let (secured, plain) = if side == Side::Client { (near, far) } else { (far, near) };
                        carry(&secured, &plain, (connect(), renews), &seen);
                    }
                });
            }
        });
        Self { address, seen }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Handshakes that came to their end.
    pub fn handshakes(&self) -> usize {
        self.seen.handshakes.load(Ordering::SeqCst)
    }

    /// Those of them that took up an earlier connection.
    pub fn resumed(&self) -> usize {
        self.seen.resumed.load(Ordering::SeqCst)
    }

    /// Connections that the balancer ended with a goodbye.
    pub fn goodbyes(&self) -> usize {
        self.seen.goodbyes.load(Ordering::SeqCst)
    }

    /// What went wrong with TLS.
    pub fn errors(&self) -> Vec<String> {
        self.seen.errors.lock().unwrap().clone()
    }

    /// The names that clients asked for, one for each handshake.
    pub fn names(&self) -> Vec<Option<String>> {
        self.seen.names.lock().unwrap().clone()
    }

    /// The certificates (DER) that the balancer showed, one for each handshake in which it showed one.
    pub fn certificates(&self) -> Vec<Vec<u8>> {
        self.seen.certificates.lock().unwrap().clone()
    }
}

impl Seen {
    fn shaken(&self, connection: &Connection) {
        if connection.handshake_kind() == Some(HandshakeKind::Resumed) {
            self.resumed.fetch_add(1, Ordering::SeqCst);
        } else if let Some(chain) = connection.peer_certificates() {
            self.certificates.lock().unwrap().push(chain[0].to_vec());
        }
        if let Connection::Server(server) = connection {
            self.names.lock().unwrap().push(server.server_name().map(str::to_owned));
        }
        self.handshakes.fetch_add(1, Ordering::SeqCst);
    }
}

/// Carries both ways until both sides are done. Errors end it; a cut on one side is a reset on the other.
fn carry(secured: &TcpStream, plain: &TcpStream, (mut connection, renews): (Connection, bool), seen: &Seen) {
    for socket in [secured, plain] {
        let _ = socket.set_nonblocking(true);
        let _ = socket.set_nodelay(true);
    }
    let cut = |socket: &TcpStream| {
        let _ = socket2::SockRef::from(socket).set_linger(Some(Duration::ZERO));
    };
    let mut flow = Flow { renews, ..Flow::default() };
    loop {
        match flow.step((secured, plain), &mut connection, seen) {
            Ok(false) => return,
            Ok(true) => {}
            Err(error) => {
                // What it has to say about it is on the way.
                let mut out = secured;
                let _ = connection.write_tls(&mut out);
                seen.errors.lock().unwrap().push(error);
                return cut(plain);
            }
        }
        let mut wait =
            [PollFd::new(secured, flow.secured_flags(&connection)), PollFd::new(plain, flow.plain_flags())];
        let limit = Timespec { tv_sec: 30, tv_nsec: 0 };
        if poll(&mut wait, Some(&limit)).is_ok_and(|ready| ready == 0) {
            return;
        }
    }
}

#[derive(Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "what has happened in two directions, all of it independent"
)]
struct Flow {
    to_plain: Vec<u8>,
    to_secured: Vec<u8>,
    shaken: bool,
    secured_ended: bool,
    plain_ended: bool,
    plain_told: bool,
    secured_told: bool,
    renews: bool,
}

impl Flow {
    fn secured_flags(&self, connection: &Connection) -> PollFlags {
        let mut flags = PollFlags::empty();
        if !self.secured_ended && self.to_plain.len() < 256 * 1024 {
            flags |= PollFlags::IN;
        }
        // rustls takes 64 KiB at a time: what is left goes on when the socket takes more.
        if connection.wants_write() || (self.shaken && !self.to_secured.is_empty()) {
            flags |= PollFlags::OUT;
        }
        flags
    }

    fn plain_flags(&self) -> PollFlags {
        let mut flags = PollFlags::empty();
        if !self.plain_ended && self.to_secured.len() < 256 * 1024 {
            flags |= PollFlags::IN;
        }
        if !self.to_plain.is_empty() {
            flags |= PollFlags::OUT;
        }
        flags
    }

    /// Moves what can be moved; false when both directions are done.
    fn step(
        &mut self,
        (mut secured, mut plain): (&TcpStream, &TcpStream),
        connection: &mut Connection,
        seen: &Seen,
    ) -> Result<bool, String> {
        let would_block = |error: &std::io::Error| error.kind() == ErrorKind::WouldBlock;
        if !self.secured_ended {
            match connection.read_tls(&mut secured) {
                Ok(0) => return Err("cut without a goodbye".to_owned()),
                Ok(_) => {}
                Err(error) if would_block(&error) => {}
                Err(error) => return Err(error.to_string()),
            }
            let state = connection.process_new_packets().map_err(|error| error.to_string())?;
            let mut bytes = vec![0; state.plaintext_bytes_to_read()];
            connection.reader().read_exact(&mut bytes).map_err(|error| error.to_string())?;
            self.to_plain.extend_from_slice(&bytes);
            if state.peer_has_closed() {
                seen.goodbyes.fetch_add(1, Ordering::SeqCst);
                self.secured_ended = true;
            }
        }
        if !self.shaken && !connection.is_handshaking() {
            self.shaken = true;
            seen.shaken(connection);
        }
        let mut block = [0; 16 * 1024];
        if !self.plain_ended && self.to_secured.len() < 256 * 1024 {
            match plain.read(&mut block) {
                Ok(0) => self.plain_ended = true,
                Ok(len) => self.to_secured.extend_from_slice(&block[..len]),
                Err(error) if would_block(&error) => {}
                // A reset on the plain side is a cut on the other: no goodbye.
                Err(error) => return Err(error.to_string()),
            }
        }
        if self.shaken {
            if self.renews && !self.to_secured.is_empty() {
                let renewed = match connection {
                    Connection::Client(client) => client.refresh_traffic_keys(),
                    Connection::Server(server) => server.refresh_traffic_keys(),
                };
                renewed.map_err(|error| error.to_string())?;
            }
            let taken = connection.writer().write(&self.to_secured).map_err(|error| error.to_string())?;
            self.to_secured.drain(..taken);
            if self.plain_ended && self.to_secured.is_empty() && !self.secured_told {
                connection.send_close_notify();
                self.secured_told = true;
            }
        }
        while connection.wants_write() {
            match connection.write_tls(&mut secured) {
                Ok(_) => {}
                Err(error) if would_block(&error) => break,
                Err(error) => return Err(error.to_string()),
            }
        }
        // Even nothing at all cannot be written behind an end.
        if !self.to_plain.is_empty() {
            match plain.write(&self.to_plain) {
                Ok(len) => drop(self.to_plain.drain(..len)),
                Err(error) if would_block(&error) => {}
                Err(error) => return Err(error.to_string()),
            }
        }
        if self.secured_ended && self.to_plain.is_empty() && !self.plain_told {
            let _ = plain.shutdown(Shutdown::Write);
            self.plain_told = true;
        }
        let done = self.plain_told && self.secured_told && !connection.wants_write();
        if done {
            let _ = secured.shutdown(Shutdown::Write);
        }
        Ok(!done)
    }
}
