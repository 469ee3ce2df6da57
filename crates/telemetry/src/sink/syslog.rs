//! Lines as messages to a syslog server, over UDP, TCP or a socket of this machine.
//!
//! The lines come as whole messages of RFC 5424 but for what parts one from the next. Nobody waits for the server but
//! the sink's thread: while the server is away, batches queue up behind it, and what does not fit is lost and counted.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixStream};
use std::time::{Duration, Instant};

use loadweaver_config::SyslogAddress;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, sockopt};

/// Longest message in a datagram, in bytes: what rsyslog takes unless it is told otherwise. A longer one is cut and
/// ends in [`MARK`].
const DATAGRAM: usize = 8 * 1024;
/// The end of a message that was cut.
const MARK: &[u8] = b"...";
/// How long a connection may take to be made, for each address of the host.
const CONNECT: Duration = Duration::from_secs(1);
/// Addresses of the host that are tried.
const ADDRESSES: usize = 4;
/// How often a server that takes nothing is asked again, so that a shutdown is noticed.
const ASK_AGAIN: Duration = Duration::from_millis(250);
/// How long a server may take nothing, or leave what it was sent without an acknowledgement, before the connection is
/// given up.
const STALL: Duration = Duration::from_secs(10);
/// The pause before the second try of a connection; each after it is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest of them.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// A server and the way to it, once there is one.
#[derive(Debug)]
pub(crate) struct Syslog {
    address: SyslogAddress,
    connection: Option<Connection>,
    pause: Duration,
    /// It was away when the process was about to end: nobody waits for it again.
    given_up: bool,
    framed: Vec<u8>,
}

#[derive(Debug)]
enum Connection {
    Udp(UdpSocket),
    Datagrams(UnixDatagram),
    Tcp(TcpStream),
    Stream(UnixStream),
}

/// What became of some lines.
#[derive(Debug, Default)]
pub(super) struct Sent {
    /// Bytes of them that are dealt with: whole lines.
    pub(super) bytes: usize,
    /// Lines that the system took.
    pub(super) written: u64,
    /// Lines that were lost.
    pub(super) lost: u64,
    pub(super) error: Option<io::Error>,
}

impl Sent {
    fn line(&mut self, line: &[u8], lost: bool) {
        self.bytes += line.len();
        self.written += u64::from(!lost);
        self.lost += u64::from(lost);
    }
}

impl Syslog {
    /// Nothing is connected before there is something to send.
    pub(crate) fn new(address: SyslogAddress) -> Self {
        Self { address, connection: None, pause: Duration::ZERO, given_up: false, framed: Vec::new() }
    }

    /// How long to wait before the next try, after an error. Grows from error to error.
    pub(super) fn pause(&mut self) -> Duration {
        self.pause = (self.pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
        self.pause
    }

    /// Sends lines. Those that are not dealt with afterwards wait for another try.
    pub(super) fn send(&mut self, lines: &[u8], closing: &dyn Fn() -> bool) -> Sent {
        if self.given_up {
            return Sent { error: Some(ErrorKind::NotConnected.into()), ..Sent::default() };
        }
        let connection = match self.connection.take().filter(Connection::is_open) {
            Some(connection) => connection,
            None => match connect(&self.address) {
                Ok(connection) => connection,
                Err(error) => {
                    self.given_up = closing();
                    return Sent { error: Some(error), ..Sent::default() };
                }
            },
        };
        let sent = match &connection {
            Connection::Udp(_) | Connection::Datagrams(_) => datagrams(&connection, lines, closing),
            Connection::Tcp(_) | Connection::Stream(_) => self.stream(&connection, lines, closing),
        };
        self.given_up = sent.error.is_some() && closing();
        if sent.error.is_none() {
            self.connection = Some(connection);
            self.pause = Duration::ZERO;
        }
        sent
    }

    fn stream(&mut self, connection: &Connection, lines: &[u8], closing: &dyn Fn() -> bool) -> Sent {
        let length_first = matches!(connection, Connection::Tcp(_));
        self.framed.clear();
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            frame(&mut self.framed, line, length_first);
        }
        let (taken, error) = push(connection, &self.framed, closing);
        let mut sent = Sent { error, ..Sent::default() };
        // A message that was cut short dies with its connection, and is sent again on the next.
        let mut left = taken;
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            let before = self.framed.len();
            frame(&mut self.framed, line, length_first);
            match left.checked_sub(self.framed.len() - before) {
                Some(rest) => left = rest,
                None => break,
            }
            sent.line(line, false);
        }
        self.framed.clear();
        sent
    }
}

/// A message with its length before it (RFC 6587 section 3.4.1), or with a line break behind it, as the C library
/// writes to a stream of this machine. There is no line break within one.
fn frame(out: &mut Vec<u8>, line: &[u8], length_first: bool) {
    if length_first {
        let message = line.strip_suffix(b"\n").unwrap_or(line);
        crate::line::decimal(out, message.len() as u64);
        out.push(b' ');
        out.extend_from_slice(message);
    } else {
        out.extend_from_slice(line);
    }
}

/// Writes as much as goes; says how much that was.
fn push(connection: &Connection, bytes: &[u8], closing: &dyn Fn() -> bool) -> (usize, Option<io::Error>) {
    let (mut taken, mut moved) = (0, Instant::now());
    while let Some(rest) = bytes.get(taken..).filter(|rest| !rest.is_empty()) {
        let result = match connection {
            Connection::Tcp(stream) => (&*stream).write(rest),
            Connection::Stream(stream) => (&*stream).write(rest),
            Connection::Udp(socket) => socket.send(rest),
            Connection::Datagrams(socket) => socket.send(rest),
        };
        match result {
            Ok(0) => return (taken, Some(ErrorKind::WriteZero.into())),
            Ok(count) => (taken, moved) = (taken + count, Instant::now()),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock && !closing() && moved.elapsed() < STALL => {}
            Err(error) => return (taken, Some(error)),
        }
    }
    (taken, None)
}

/// A datagram for each line. One that the network or its size refuses is lost, and the next one tried; where nobody
/// has the socket of this machine, all wait.
fn datagrams(connection: &Connection, lines: &[u8], closing: &dyn Fn() -> bool) -> Sent {
    let mut sent = Sent::default();
    let mut cut = Vec::new();
    for line in lines.split_inclusive(|byte| *byte == b'\n') {
        let message = shortened(line.strip_suffix(b"\n").unwrap_or(line), &mut cut);
        let (_, mut error) = push(connection, message, closing);
        if error.as_ref().is_some_and(|error| error.kind() == ErrorKind::ConnectionRefused) {
            // That is what became of one before it, and this one was not sent.
            (_, error) = push(connection, message, closing);
        }
        let too_long = |error: &io::Error| error.raw_os_error() == Some(Errno::MSGSIZE.raw_os_error());
        let waits = |error: &io::Error| matches!(connection, Connection::Datagrams(_)) && !too_long(error);
        if error.as_ref().is_some_and(waits) {
            sent.error = error;
            return sent;
        }
        sent.line(line, error.is_some());
        sent.error = error.or(sent.error);
    }
    sent
}

/// The message, or as many whole characters of it as a datagram may have, with the mark.
fn shortened<'m>(message: &'m [u8], room: &'m mut Vec<u8>) -> &'m [u8] {
    if message.len() <= DATAGRAM {
        return message;
    }
    let mut end = DATAGRAM - MARK.len();
    // Bytes after the first of a character of UTF-8.
    while message.get(end).is_some_and(|byte| byte & 0b1100_0000 == 0b1000_0000) && end > 0 {
        end -= 1;
    }
    room.clear();
    room.extend_from_slice(message.get(..end).unwrap_or_default());
    room.extend_from_slice(MARK);
    room
}

impl Connection {
    /// Whether the server has not closed it: what is written after that would be lost without a word.
    fn is_open(&self) -> bool {
        let nothing_yet = |read: io::Result<usize>| match read {
            Ok(count) => count > 0,
            Err(error) => error.kind() == ErrorKind::WouldBlock,
        };
        let mut room = [0; 256];
        let looked = match self {
            Self::Udp(_) | Self::Datagrams(_) => return true,
            Self::Tcp(stream) => stream
                .set_nonblocking(true)
                .map(|()| nothing_yet((&*stream).read(&mut room)))
                .and_then(|open| stream.set_nonblocking(false).map(|()| open)),
            Self::Stream(stream) => stream
                .set_nonblocking(true)
                .map(|()| nothing_yet((&*stream).read(&mut room)))
                .and_then(|open| stream.set_nonblocking(false).map(|()| open)),
        };
        looked.unwrap_or(false)
    }
}

fn connect(address: &SyslogAddress) -> io::Result<Connection> {
    let connected = match address {
        SyslogAddress::Udp(host, port) => udp(host, *port),
        SyslogAddress::Tcp(host, port) => tcp(host, *port),
        SyslogAddress::Unix(name) => unix(name),
    };
    connected.map_err(|error| io::Error::new(error.kind(), format!("no connection to {address}: {error}")))
}

fn udp(host: &str, port: u16) -> io::Result<Connection> {
    each_address(host, port, |address| {
        let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = UdpSocket::bind(any)?;
        socket.connect(address)?;
        socket.set_write_timeout(Some(ASK_AGAIN))?;
        Ok(Connection::Udp(socket))
    })
}

fn tcp(host: &str, port: u16) -> io::Result<Connection> {
    each_address(host, port, |address| {
        let stream = TcpStream::connect_timeout(&address, CONNECT)?;
        stream.set_write_timeout(Some(ASK_AGAIN))?;
        // A machine that is gone says nothing, and the kernel would go on for a quarter of an hour.
        sockopt::set_tcp_user_timeout(&stream, u32::try_from(STALL.as_millis()).unwrap_or(u32::MAX))?;
        Ok(Connection::Tcp(stream))
    })
}

fn each_address(
    host: &str,
    port: u16,
    connect: impl Fn(std::net::SocketAddr) -> io::Result<Connection>,
) -> io::Result<Connection> {
    let mut last = io::Error::new(ErrorKind::NotFound, "the host has no address");
    for address in (host, port).to_socket_addrs()?.take(ADDRESSES) {
        match connect(address) {
            Ok(connection) => return Ok(connection),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn address_of(name: &str) -> io::Result<SocketAddrUnix> {
    let address = match name.strip_prefix('@') {
        Some(name) => SocketAddrUnix::new_abstract_name(name.as_bytes()),
        None => SocketAddrUnix::new(name),
    };
    Ok(address?)
}

/// Datagrams, as the journal and rsyslog have them, or the stream that a socket of the other kind wants.
fn unix(name: &str) -> io::Result<Connection> {
    let address = match name.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(name)?,
    };
    let socket = UnixDatagram::unbound()?;
    match socket.connect_addr(&address) {
        Ok(()) => {
            socket.set_write_timeout(Some(ASK_AGAIN))?;
            Ok(Connection::Datagrams(socket))
        }
        Err(error) if error.raw_os_error() == Some(Errno::PROTOTYPE.raw_os_error()) => {
            // A queue that is full would be waited for without end, but for the time-out.
            let socket = rustix::net::socket(AddressFamily::UNIX, SocketType::STREAM, None)?;
            sockopt::set_socket_timeout(&socket, sockopt::Timeout::Send, Some(ASK_AGAIN))?;
            rustix::net::connect(&socket, &address_of(name)?)?;
            Ok(Connection::Stream(UnixStream::from(socket)))
        }
        Err(error) => Err(error),
    }
}
