//! What the engine costs: `cargo run --release -p loadweaver-http2 --example exchange_cost`.
//!
//! A server's side of small exchanges as a browser makes them, in one process without a socket: the request's head
//! comes in, head and data of an answer go out. And the client's side of the same, and a large body each way.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::hint::black_box;
use std::time::Instant;

use loadweaver_http1::{HeadLimits, Method, RequestHead, ResponseHead};
use loadweaver_http2::{Connection, Event, Finish, Limits, Opening, Scheme};

/// The first bytes of a client's connection.
const GREETING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\0\0\0\x04\x01\0\0\0\0";

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Sat, 21 Nov 2026 16:00:00 GMT\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: 128\r\nLast-Modified: Fri, 20 Nov 2026 10:00:00 GMT\r\nETag: \"5f3c-80\"\r\nCache-Control: public, max-age=3600\r\nVary: Accept-Encoding\r\nStrict-Transport-Security: max-age=31536000\r\n\r\n";

const REQUEST: &[u8] = b"GET /index/page?id=12345 HTTP/1.1\r\nHost: www.example.com\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36\r\nAccept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\nAccept-Language: en-GB,en;q=0.9,de;q=0.8\r\nAccept-Encoding: gzip, deflate, br, zstd\r\nSec-Fetch-Dest: document\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Site: same-origin\r\nReferer: https://www.example.com/\r\nUpgrade-Insecure-Requests: 1\r\nPriority: u=0, i\r\n\r\n";

const ROUNDS: u32 = 400_000;

fn main() {
    let rounds = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(ROUNDS);
    // One of them alone, for a profile.
    let wanted = std::env::args().nth(2);
    let wants = |name: &str| wanted.as_deref().is_none_or(|wanted| wanted == name);
    if wants("server") {
        server(rounds);
    }
    if wants("both") {
        client(rounds);
    }
    if wants("bodies") {
        bodies(rounds / 100);
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
    out
}

fn literal(out: &mut Vec<u8>, name: &str, value: &str) {
    out.push(0x40);
    for text in [name, value] {
        if text.len() < 127 {
            out.push(u8::try_from(text.len()).unwrap());
        } else {
            out.extend_from_slice(&[127, u8::try_from(text.len() - 127).unwrap()]);
        }
        out.extend_from_slice(text.as_bytes());
    }
}

/// The block of a browser's request: the first time with everything, later by the table, with a path of its own.
fn blocks() -> (Vec<u8>, Vec<u8>) {
    let fields = [
        (":authority", "www.example.com"),
        (
            "user-agent",
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36",
        ),
        ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
        ("accept-language", "en-GB,en;q=0.9,de;q=0.8"),
        ("accept-encoding", "gzip, deflate, br, zstd"),
        ("sec-fetch-dest", "document"),
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-site", "same-origin"),
        ("referer", "https://www.example.com/"),
    ];
    let mut first = vec![0x82, 0x87, 0x84];
    for (name, value) in fields {
        literal(&mut first, name, value);
    }
    // `/index/page?id=12345` as browsers write it: a literal in no table, by Huffman's code.
    let mut again = vec![0x82, 0x87, 0x04, 0x80 | 15];
    again.extend_from_slice(&[
        0x60, 0xd5, 0x48, 0x5f, 0x2c, 0x56, 0x39, 0x8b, 0xfe, 0x1a, 0x48, 0x02, 0x26, 0x5a, 0x6f,
    ]);
    again.extend((0xbe..=0xc6).rev());
    (first, again)
}

fn server(rounds: u32) {
    let mut server = Connection::server(&Limits::default(), 0);
    server.receive(GREETING, 0).unwrap();
    let (first, again) = blocks();
    let mut answer = ResponseHead::default();
    answer.parse(ANSWER, Method::Get, &HeadLimits::default()).unwrap().unwrap();
    let mut head = RequestHead::default();
    let mut wire = frame(1, 5, 1, &again);
    let (mut reading, mut answering) = (0, 0);
    let start = Instant::now();
    for round in 0..rounds {
        let stream = 2 * round + 1;
        let began = if round % 64 == 0 { Some(Instant::now()) } else { None };
        if round == 0 {
            server.receive(&frame(1, 5, 1, &first), 0).unwrap();
        } else {
            wire[5..9].copy_from_slice(&stream.to_be_bytes());
            assert_eq!(server.receive(&wire, u64::from(round) * 1000).unwrap(), wire.len());
        }
        let Some(Event::Head(id)) = server.next_event() else { panic!("no head") };
        server.take_request(id, &mut head).unwrap();
        let read = began.map(|began| (began.elapsed(), Instant::now()));
        server.respond(
            id,
            black_box(&answer),
            b"x-request-id: 0123456789abcdef\r\nvia: 1.1 lw\r\n",
            Finish::Later,
        );
        let answered = read.map(|(_, at)| at.elapsed());
        server.write(id, &[b'x'; 128]).unwrap();
        server.finish(id, None);
        server.release(id);
        let len = black_box(server.output()).len();
        server.wrote(len);
        if round % 400 == 399 {
            // The client opens the window again.
            server.receive(&frame(8, 0, 0, &(400 * 128_u32).to_be_bytes()), u64::from(round) * 1000).unwrap();
        }
        if let (Some((read, _)), Some(answered)) = (read, answered) {
            reading += read.as_nanos();
            answering += answered.as_nanos();
        }
    }
    let all = start.elapsed().as_nanos() / u128::from(rounds);
    let samples = u128::from(rounds.div_ceil(64));
    let clock = clock();
    println!(
        "server: exchange {all} ns, of it request read {} ns, answer's head {} ns ({} fields, clock {clock} ns taken off)",
        (reading / samples).saturating_sub(clock),
        (answering / samples).saturating_sub(clock),
        head.headers.len(),
    );
}

/// What looking at the clock costs.
fn clock() -> u128 {
    let start = Instant::now();
    for _ in 0..1000 {
        black_box(Instant::now());
    }
    start.elapsed().as_nanos() / 1000
}

fn client(rounds: u32) {
    let limits = Limits::default();
    let mut client = Connection::client(&limits, Scheme::Https, 0);
    let mut server = Connection::server(&limits, 0);
    for _ in 0..3 {
        carry(&mut client, &mut server);
    }
    while client.next_event().is_some() {}
    let mut request = RequestHead::default();
    request.parse(REQUEST, &HeadLimits::default()).unwrap().unwrap();
    let (mut head, mut answer) = (RequestHead::default(), ResponseHead::default());
    answer.parse(ANSWER, Method::Get, &HeadLimits::default()).unwrap().unwrap();
    let mut got = ResponseHead::default();
    let mut buffer = [0; 4096];
    let start = Instant::now();
    for _ in 0..rounds {
        let opening = Opening { finish: Finish::Now, protocol: None };
        let id = client
            .open(&request, b"x-request-id: 0123456789abcdef\r\nx-forwarded-for: 192.0.2.1\r\n", opening)
            .unwrap();
        carry(&mut client, &mut server);
        let Some(Event::Head(at)) = server.next_event() else { panic!("no head") };
        server.take_request(at, &mut head).unwrap();
        server.respond(at, &answer, b"", Finish::Later);
        server.write(at, &[b'x'; 128]).unwrap();
        server.finish(at, None);
        server.release(at);
        carry(&mut client, &mut server);
        while client.next_event().is_some() {}
        assert!(client.take_response(id, &mut got));
        black_box(client.read(id, &mut buffer));
        client.release(id);
    }
    println!("both ends of an exchange: {} ns", start.elapsed().as_nanos() / u128::from(rounds));
}

fn bodies(rounds: u32) {
    let limits = Limits::default();
    let mut client = Connection::client(&limits, Scheme::Https, 0);
    let mut server = Connection::server(&limits, 0);
    for _ in 0..3 {
        carry(&mut client, &mut server);
    }
    while client.next_event().is_some() {}
    let mut request = RequestHead::default();
    request.parse(b"PUT / HTTP/1.1\r\nHost: a\r\n\r\n", &HeadLimits::default()).unwrap().unwrap();
    let body = vec![7; 1 << 20];
    let mut buffer = vec![0; 16_384];
    let start = Instant::now();
    for _ in 0..rounds {
        let id = client.open(&request, b"", Opening { finish: Finish::Later, protocol: None }).unwrap();
        carry(&mut client, &mut server);
        let Some(Event::Head(at)) = server.next_event() else { panic!("no head") };
        let (mut sent, mut got) = (0, 0);
        while got < body.len() {
            sent += client.write(id, &body[sent..]).unwrap();
            carry(&mut client, &mut server);
            while let loadweaver_http2::Read::Bytes(len) = server.read(at, &mut buffer) {
                got += len;
            }
            carry(&mut client, &mut server);
            while client.next_event().is_some() {}
            while server.next_event().is_some() {}
        }
        client.release(id);
        server.release(at);
    }
    println!("1 MiB through both ends: {} us", start.elapsed().as_micros() / u128::from(rounds.max(1)));
}

fn carry(client: &mut Connection, server: &mut Connection) {
    let used = server.receive(client.output(), 0).unwrap();
    client.wrote(used);
    let used = client.receive(server.output(), 0).unwrap();
    server.wrote(used);
}
