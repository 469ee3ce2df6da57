//! A server's connection: `[choices][cuts][the frames]`.
//!
//! The first choices say which limits there are and what the application does; the client's preface and settings stand
//! in front of the frames, so that inputs need not find them.

use loadweaver_http1::{Framing, HeadLimits, RequestHead, encode};
use loadweaver_http2::{Code, Connection, Ended, Event, Finish, Limits, Read, StreamId};

use crate::cuts::Cuts;
use crate::{frames, strict};

const GREETING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// A cut changes nothing, what is let through is a message to every reader, and nothing grows beyond its limits.
pub fn holds(input: &[u8]) {
    let Some(([choice, seed], input)) = input.split_first_chunk() else { return };
    let small = Limits {
        max_streams: 3,
        head: 512,
        fields: 8,
        target: 64,
        stream_window: 1024,
        buffered: 1 << 17,
        connection_window: 70_000,
        ..Limits::default()
    };
    let limits = if choice & 1 == 0 { Limits::default() } else { small };
    let (cuts, rest) = Cuts::take(input);
    let stream = if choice & 2 == 0 { [GREETING, rest].concat() } else { rest.to_vec() };
    let whole = looked_on(&stream, &limits, &[stream.len()]);
    let cut = looked_on(&stream, &limits, &cuts.ends(stream.len()));
    assert_eq!(whole, cut, "a cut changed the connection");
    used(&stream, &limits, &cuts, *seed);
}

/// All that there is to see of a connection whose application only looks on.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    ended: Option<Ended>,
    output: Vec<u8>,
    heads: Vec<(StreamId, Vec<u8>)>,
    events: Vec<Event>,
    bodies: Vec<(Vec<u8>, Read, Vec<u8>)>,
}

fn looked_on(stream: &[u8], limits: &Limits, ends: &[usize]) -> Seen {
    let mut connection = Connection::server(limits, 0);
    let mut seen = Seen::default();
    let mut start = 0;
    for end in ends {
        match connection.receive(&stream[start..*end], 1_000_000_000) {
            Ok(used) => start += used,
            Err(ended) => seen.ended = Some(ended),
        }
        assert!(connection.streams() <= limits.max_streams as usize);
        while let Some(event) = connection.next_event() {
            match event {
                Event::Head(id) => seen.heads.push((id, request(&mut connection, id))),
                Event::Readable(_) => {}
                other => seen.events.push(other),
            }
        }
        if seen.ended.is_some() {
            break;
        }
        assert!(end - start < 32, "much of the input was not used");
    }
    seen.output = connection.output().to_vec();
    frames::are_right(&seen.output);
    for (id, _) in &seen.heads {
        let body = connection.peek(*id).to_vec();
        connection.consume(*id, body.len());
        let end = connection.read(*id, &mut [0; 1]);
        let mut trailers = Vec::new();
        connection.trailers(*id).unwrap_or_default().write(&mut trailers);
        seen.bodies.push((body, end, trailers));
    }
    seen
}

/// Takes a request, which must be one to a strict reader of HTTP/1.1, and to our own.
fn request(connection: &mut Connection, id: StreamId) -> Vec<u8> {
    let mut head = RequestHead::default();
    if let Err(refusal) = connection.take_request(id, &mut head) {
        return format!("{refusal:?}").into_bytes();
    }
    let mut out = Vec::new();
    encode::request_head(&mut out, &head);
    let framing = head.framing();
    if framing == Framing::Chunked {
        encode::field(&mut out, b"transfer-encoding", b"chunked");
    }
    encode::end_head(&mut out);
    if head.protocol().is_some() {
        return out;
    }
    let read = strict::head(&out).expect("let through, but not by a strict reader");
    assert_eq!(read.len, out.len(), "two readers, two ends");
    let chunked = usize::from(framing == Framing::Chunked);
    assert_eq!(read.fields.len(), head.headers.len() + chunked, "two readers, two numbers of fields");
    assert_eq!(read.start[0], head.method_text().as_bytes());
    assert_eq!(read.start[1], head.target().as_bytes());
    let large = HeadLimits { bytes: 1 << 20, target: 1 << 16, fields: 256 };
    let mut again = RequestHead::default();
    assert_eq!(again.parse(&out, &large), Ok(Some(out.len())), "{}", String::from_utf8_lossy(&out));
    assert_eq!(again.framing(), framing, "two readers, two lengths");
    assert_eq!(again.host(), head.host());
    out
}

/// An application that reads, answers, resets and shuts down, as the seed will have it.
fn used(stream: &[u8], limits: &Limits, cuts: &Cuts, seed: u8) {
    let mut connection = Connection::server(limits, 0);
    let mut dice = u32::from(seed) | 0x100;
    let mut roll = move || {
        dice = dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        dice >> 24
    };
    let (mut start, mut now, mut alive, mut output) = (0, 0, Vec::new(), Vec::new());
    for end in cuts.ends(stream.len()) {
        now += u64::from(roll()) * 1_000_000;
        match connection.receive(&stream[start..end], now) {
            Ok(used) => start += used,
            Err(_) => start = end,
        }
        while let Some(event) = connection.next_event() {
            if let Event::Head(id) = event {
                let _ = request(&mut connection, id);
                alive.push(id);
            }
        }
        for id in alive.clone() {
            act(&mut connection, id, roll());
            if roll() < 40 {
                connection.release(id);
                alive.retain(|other| *other != id);
            }
        }
        match roll() {
            0 => connection.shutdown(),
            1 => connection.conclude(),
            2 => connection.ping(7),
            3 => connection.free(),
            _ => {}
        }
        assert!(connection.streams() <= limits.max_streams as usize);
        assert!(connection.buffered() <= limits.buffered + 16_384);
        let len = connection.output().len() * roll() as usize / 200;
        let len = len.min(connection.output().len());
        output.extend_from_slice(&connection.output()[..len]);
        connection.wrote(len);
    }
    for id in alive {
        connection.release(id);
    }
    assert_eq!((connection.streams(), connection.buffered()), (0, 0));
    output.extend_from_slice(connection.output());
    frames::are_right(&output);
}

fn act(connection: &mut Connection, id: StreamId, what: u32) {
    match what % 8 {
        0 => connection.respond_with(id, 200, b"x-a: b\r\ncontent-type: text/plain\r\n", Finish::Later),
        1 => connection.respond_with(id, 103, b"link: </a>\r\n", Finish::Later),
        2 => connection.respond_with(id, 204, b"x-a: b\r\n", Finish::Now),
        3 => drop(connection.write(id, &vec![7; 70 * what as usize])),
        4 => connection.finish(id, None),
        5 => {
            let mut trailers = loadweaver_http1::Headers::new();
            trailers.append(b"X-Sum", b"1");
            connection.finish(id, Some(&trailers));
        }
        6 => drop(connection.read(id, &mut [0; 300])),
        _ if what > 200 => connection.reset(id, Code::INTERNAL_ERROR),
        _ => connection.consume(id, what as usize),
    }
}
