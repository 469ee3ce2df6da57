//! The access log at syslog servers of each kind: the messages, servers that are away, slow, or come back.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use std::fmt::Display;
use std::io::{BufRead, BufReader, Read};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::{UnixDatagram, UnixListener};

use loadweaver_testkit::config::one_pool;
use loadweaver_testkit::scratch::Scratch;
use loadweaver_testkit::{Balancer, Origin, PATIENCE, eventually};
use rustix::process::Signal;
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_loadweaver");

fn start(origin: &Origin, output: impl Display) -> Balancer {
    let log =
        json!({ "output": output.to_string(), "syslog": { "facility": "local3", "severity": "notice" } });
    Balancer::start(BINARY, &one_pool(&[origin.address()], &json!({ "accessLog": log })))
}

/// What a message of RFC 5424 says, read strictly.
struct Message {
    process: String,
    text: String,
}

fn read(message: &[u8]) -> Message {
    let message = std::str::from_utf8(message).unwrap();
    let words: Vec<&str> = message.splitn(8, ' ').collect();
    let [head, time, host, app, process, kind, data, text] = words[..] else { panic!("{message}") };
    // local3 is 19, notice is 5.
    assert_eq!(head, "<157>1", "{message}");
    let shape: String = time.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    assert_eq!(shape, "0000-00-00T00:00:00.000Z", "{message}");
    assert!(!host.is_empty() && host.bytes().all(|byte| byte.is_ascii_graphic()), "{message}");
    assert_eq!((app, kind, data), ("loadweaver", "access", "-"), "{message}");
    assert!(!text.contains('\n'), "{message}");
    Message { process: process.to_owned(), text: text.to_owned() }
}

fn target(message: &[u8]) -> String {
    let line: Value = serde_json::from_str(&read(message).text).unwrap();
    line["target"].as_str().unwrap().to_owned()
}

/// The next message of a connection: its length, a blank, and so many bytes (RFC 6587 section 3.4.1).
fn counted(stream: &mut BufReader<TcpStream>) -> Vec<u8> {
    let mut length = Vec::new();
    stream.read_until(b' ', &mut length).unwrap();
    let length = std::str::from_utf8(&length).unwrap().trim_end().parse().unwrap();
    let mut message = vec![0; length];
    stream.read_exact(&mut message).unwrap();
    message
}

fn accept(listener: &TcpListener) -> BufReader<TcpStream> {
    let (stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    BufReader::new(stream)
}

#[test]
fn each_line_is_a_datagram() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    server.set_read_timeout(Some(PATIENCE)).unwrap();
    let origin = Origin::named("only");
    let balancer = start(&origin, format_args!("syslog+udp://{}", server.local_addr().unwrap()));
    let mut client = balancer.client();
    let mut room = vec![0; 65_536];
    for path in ["/one", "/two?token=s3cr3t", "/three"] {
        client.get(path);
    }
    for shown in ["/one", "/two?token=***", "/three"] {
        let length = server.recv(&mut room).unwrap();
        assert_eq!(target(&room[..length]), shown);
        assert_eq!(read(&room[..length]).process, balancer.id().to_string());
    }
}

#[test]
fn a_message_that_no_datagram_may_have_is_cut_and_marked() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    server.set_read_timeout(Some(PATIENCE)).unwrap();
    let origin = Origin::named("only");
    let balancer = start(&origin, format_args!("syslog+udp://{}", server.local_addr().unwrap()));
    let mut client = balancer.client();
    // Two bytes each, so that the cut may fall within one.
    for agent in [String::new(), "x".to_owned()].map(|start| start + &"é".repeat(4090)) {
        let request = format!("GET /long HTTP/1.1\r\nHost: test\r\nUser-Agent: {agent}\r\n\r\n");
        assert_eq!(client.exchange(request).status, 200);
        let mut room = vec![0; 65_536];
        let length = server.recv(&mut room).unwrap();
        assert!((8 * 1024 - 1..=8 * 1024).contains(&length), "{length}");
        assert!(read(&room[..length]).text.ends_with("é..."));
    }
}

#[test]
fn over_tcp_each_length_comes_first_and_a_new_connection_goes_on_where_one_ended() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let origin = Origin::named("only");
    let mut balancer = start(&origin, format_args!("syslog+tcp://{}", listener.local_addr().unwrap()));
    let mut client = balancer.client();
    client.get("/one");
    client.get("/two");
    let mut first = accept(&listener);
    assert_eq!(target(&counted(&mut first)), "/one");
    assert_eq!(target(&counted(&mut first)), "/two");
    drop(first);
    client.get("/three");
    let mut second = accept(&listener);
    assert_eq!(target(&counted(&mut second)), "/three");
    balancer.signal(Signal::USR1);
    balancer.wait_for_log("SIGUSR1");
    client.get("/four");
    let mut third = accept(&listener);
    assert_eq!(target(&counted(&mut third)), "/four");
    assert_eq!(second.read(&mut [0]).unwrap(), 0, "the old connection is closed");
    client.get("/five");
    balancer.terminate();
    assert!(balancer.wait_for_exit(PATIENCE).unwrap().success());
    assert_eq!(target(&counted(&mut third)), "/five");
    assert_eq!(third.read(&mut [0]).unwrap(), 0);
}

#[test]
fn a_unix_socket_of_either_kind_takes_them_as_soon_as_it_is_there() {
    let origin = Origin::named("only");
    let scratch = Scratch::new();
    let path = scratch.path().join("datagrams");
    let balancer = start(&origin, format_args!("syslog+unix:{}", path.display()));
    let mut client = balancer.client();
    // Nobody is there yet: what is written waits.
    assert_eq!(client.get("/early").status, 200);
    balancer.wait_for_log("no connection to syslog+unix:");
    let server = UnixDatagram::bind(&path).unwrap();
    server.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut room = vec![0; 65_536];
    let length = server.recv(&mut room).unwrap();
    assert_eq!(target(&room[..length]), "/early");
    client.get("/late");
    let length = server.recv(&mut room).unwrap();
    assert_eq!(target(&room[..length]), "/late");

    let path = scratch.path().join("stream");
    let listener = UnixListener::bind(&path).unwrap();
    let balancer = start(&origin, format_args!("syslog+unix:{}", path.display()));
    let mut client = balancer.client();
    client.get("/one");
    client.get("/two");
    let (stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut lines = BufReader::new(stream).split(b'\n');
    for path in ["/one", "/two"] {
        assert_eq!(target(&lines.next().unwrap().unwrap()), path);
    }
}

#[test]
fn a_server_that_takes_nothing_holds_up_no_request_and_no_end() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let origin = Origin::named("only");
    let mut balancer = start(&origin, format_args!("syslog+tcp://{}", listener.local_addr().unwrap()));
    let mut client = balancer.client();
    let agent = "a".repeat(16_000);
    let ask = format!("GET / HTTP/1.1\r\nHost: test\r\nUser-Agent: {agent}\r\n\r\n");
    // More than the sockets' buffers and all that may wait.
    let mut lost = 0;
    for round in 0..100 {
        for _ in 0..100 {
            assert_eq!(client.exchange(&ask).status, 200);
        }
        lost = balancer.status()["accessLog"]["dropped"].as_u64().unwrap();
        if lost > 0 && round > 0 {
            break;
        }
    }
    assert!(lost > 0, "the lines that do not fit are counted");
    balancer.terminate();
    assert!(balancer.wait_for_exit(PATIENCE).unwrap().success());
}

#[test]
fn lines_that_a_server_never_came_for_end_with_the_process() {
    let origin = Origin::named("only");
    let scratch = Scratch::new();
    let mut balancer = start(&origin, format_args!("syslog+unix:{}/nobody", scratch.path().display()));
    assert_eq!(balancer.get("/").status, 200);
    eventually("it says so", || {
        balancer.stderr().iter().any(|line| line.contains("no connection to syslog"))
    });
    balancer.terminate();
    assert!(balancer.wait_for_exit(PATIENCE).unwrap().success());
}
