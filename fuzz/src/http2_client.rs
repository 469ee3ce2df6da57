//! A client's connection: `[choices][cuts][the frames]`. Some requests are open; the server's settings stand in front
//! of its frames.

use loadweaver_http1::{Framing, HeadLimits, RequestHead, ResponseHead, encode};
use loadweaver_http2::{Code, Connection, Ended, Event, Finish, Limits, Opening, Read, Scheme, StreamId};

use crate::cuts::Cuts;
use crate::{frames, strict};

const GREETING: &[u8] = b"\0\0\0\x04\0\0\0\0\0\0\0\0\x04\x01\0\0\0\0";

/// A cut changes nothing, and what is let through is an answer to every reader.
pub fn holds(input: &[u8]) {
    let Some(([choice, seed], input)) = input.split_first_chunk() else { return };
    let small = Limits { head: 512, fields: 8, stream_window: 1024, ..Limits::default() };
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

/// A connection with open requests, each by its method.
fn asked(limits: &Limits) -> (Connection, Vec<(StreamId, &'static str)>) {
    let mut connection = Connection::client(limits, Scheme::Http, 0);
    let methods = ["GET", "HEAD", "POST", "GET"];
    let ids = methods.map(|method| {
        let mut head = RequestHead::default();
        let text = format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n");
        head.parse(text.as_bytes(), &HeadLimits::default()).expect("it is right").expect("it is whole");
        let finish = if method == "POST" { Finish::Later } else { Finish::Now };
        let id =
            connection.open(&head, b"x-a: b\r\n", Opening { finish, protocol: None }).expect("there is room");
        (id, method)
    });
    (connection, ids.to_vec())
}

fn looked_on(stream: &[u8], limits: &Limits, ends: &[usize]) -> Seen {
    let (mut connection, ids) = asked(limits);
    let mut seen = Seen::default();
    let mut start = 0;
    for end in ends {
        match connection.receive(&stream[start..*end], 1_000_000_000) {
            Ok(used) => start += used,
            Err(ended) => seen.ended = Some(ended),
        }
        while let Some(event) = connection.next_event() {
            match event {
                Event::Head(id) => take_answers(&mut connection, id, &ids, &mut seen.heads),
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
    for (id, _) in &ids {
        let body = connection.peek(*id).to_vec();
        connection.consume(*id, body.len());
        let end = connection.read(*id, &mut [0; 1]);
        let mut trailers = Vec::new();
        connection.trailers(*id).unwrap_or_default().write(&mut trailers);
        seen.bodies.push((body, end, trailers));
    }
    seen
}

fn take_answers(
    connection: &mut Connection,
    id: StreamId,
    ids: &[(StreamId, &'static str)],
    heads: &mut Vec<(StreamId, Vec<u8>)>,
) {
    let mut head = ResponseHead::default();
    let method = ids.iter().find(|(other, _)| *other == id).map_or("GET", |(_, method)| method);
    while connection.take_response(id, &mut head) {
        heads.push((id, answer(&head, method)));
    }
}

/// An answer must be one to a strict reader of HTTP/1.1, and mean the same to it.
fn answer(head: &ResponseHead, method: &str) -> Vec<u8> {
    let mut out = Vec::new();
    encode::response_head(&mut out, head);
    if head.framing() == Framing::Chunked {
        encode::field(&mut out, b"transfer-encoding", b"chunked");
    }
    encode::end_head(&mut out);
    let read = strict::head(&out).expect("let through, but not by a strict reader");
    assert_eq!(read.len, out.len(), "two readers, two ends");
    assert_eq!(read.start[1], head.status().to_string().as_bytes());
    let large = HeadLimits { bytes: 1 << 20, target: 1 << 16, fields: 256 };
    let mut again = ResponseHead::default();
    let asked = if method == "HEAD" { loadweaver_http1::Method::Head } else { loadweaver_http1::Method::Get };
    assert_eq!(again.parse(&out, asked, &large), Ok(Some(out.len())), "{}", String::from_utf8_lossy(&out));
    assert_eq!(again.framing(), head.framing(), "two readers, two lengths");
    out
}

/// An application that reads, writes, resets and asks again, as the seed will have it.
fn used(stream: &[u8], limits: &Limits, cuts: &Cuts, seed: u8) {
    let (mut connection, mut ids) = asked(limits);
    let mut dice = u32::from(seed) | 0x100;
    let mut roll = move || {
        dice = dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        dice >> 24
    };
    let (mut start, mut now, mut output) = (0, 0, Vec::new());
    for end in cuts.ends(stream.len()) {
        now += u64::from(roll()) * 1_000_000;
        match connection.receive(&stream[start..end], now) {
            Ok(used) => start += used,
            Err(_) => start = end,
        }
        while let Some(event) = connection.next_event() {
            if let Event::Head(id) = event {
                take_answers(&mut connection, id, &ids, &mut Vec::new());
            }
        }
        for (id, _) in ids.clone() {
            match roll() % 16 {
                0..4 => drop(connection.read(id, &mut [0; 300])),
                4 => drop(connection.write(id, &vec![7; 40 * roll() as usize])),
                5 => connection.finish(id, None),
                6 => connection.reset(id, Code::CANCEL),
                7 => {
                    connection.release(id);
                    ids.retain(|(other, _)| *other != id);
                }
                _ => {}
            }
        }
        match roll() {
            0..2 => connection.shutdown(),
            2..4 => connection.ping(7),
            4..6 => connection.free(),
            6 => connection.lost(),
            _ => {}
        }
        assert!(connection.buffered() <= limits.buffered + 16_384);
        let len = (connection.output().len() * roll() as usize / 200).min(connection.output().len());
        output.extend_from_slice(&connection.output()[..len]);
        connection.wrote(len);
    }
    for (id, _) in ids {
        connection.release(id);
    }
    assert_eq!((connection.streams(), connection.buffered()), (0, 0));
}
