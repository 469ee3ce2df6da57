//! Header compression: `[choices][blocks]`, each block with its length in one byte in front.
//!
//! Blocks go to a server as the heads of requests, one after the other, and to [`crate::strict_hpack`], a decoder that
//! does it the slow way. What is let through is written by our encoder and read again.

use loadweaver_http1::RequestHead;
use loadweaver_http2::{Connection, Event, Finish, Limits, Opening, Scheme, Violation, Why};

use crate::strict_hpack::Decoder;

const GREETING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// Two decoders agree on what is a block and what is in it, and what we write is what was read.
pub fn holds(input: &[u8]) {
    let Some((choice, mut rest)) = input.split_first() else { return };
    let limits =
        Limits { max_streams: 1000, fields: 1000, head: 1 << 20, target: 1 << 16, ..Limits::default() };
    let mut server = Connection::server(&limits, 0);
    server.receive(GREETING, 0).expect("a greeting is no fault");
    let mut strict = Decoder::new();
    let mut relay = Relay::new(&limits);
    let mut stream = 1;
    while let Some((len, after)) = rest.split_first() {
        let (part, after) = after.split_at(after.len().min(usize::from(*len)));
        rest = after;
        // With the pseudo-header fields in front inputs need not find them.
        let front: &[u8] = if choice & 1 == 0 { &[0x82, 0x86, 0x84, 0x01, 0x01, b'a'] } else { &[] };
        let block = [front, part].concat();
        let expected = strict.block(&block);
        let length = u32::try_from(block.len()).expect("a block is short").to_be_bytes();
        let mut frame = vec![length[1], length[2], length[3], 1, 5];
        frame.extend_from_slice(&u32::to_be_bytes(stream));
        frame.extend_from_slice(&block);
        stream += 2;
        let got = server.receive(&frame, u64::from(stream) * 1_000_000_000);
        let Some(expected) = expected else {
            let why = got.expect_err("a block that a strict decoder refuses").why;
            assert_eq!(why, Why::Violation(Violation::Compression));
            return;
        };
        got.expect("a block that a strict decoder takes");
        let Some(Event::Head(id)) = server.next_event() else { continue };
        let mut head = RequestHead::default();
        if server.take_request(id, &mut head).is_ok() {
            holds_what_was_sent(&head, &expected);
            relay.carries(&head);
        }
        server.release(id);
        let len = server.output().len();
        server.wrote(len);
    }
}

fn fields(head: &RequestHead) -> Vec<(Vec<u8>, Vec<u8>)> {
    head.headers.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect()
}

fn holds_what_was_sent(head: &RequestHead, expected: &[(Vec<u8>, Vec<u8>)]) {
    let special = |name: &[u8]| name.starts_with(b":") || name == b"cookie" || name == b"host";
    let expected: Vec<_> = expected.iter().filter(|(name, _)| !special(name)).cloned().collect();
    let got: Vec<_> = fields(head).into_iter().filter(|(name, _)| !special(name)).collect();
    assert_eq!(got, expected, "two decoders, two heads");
}

/// A client and a server of ours.
struct Relay {
    client: Connection,
    server: Connection,
    /// It goes on fast, so that nothing here is a flood.
    now: u64,
}

impl Relay {
    fn new(limits: &Limits) -> Self {
        let mut relay = Self {
            client: Connection::client(limits, Scheme::Http, 0),
            server: Connection::server(limits, 0),
            now: 0,
        };
        relay.carry();
        relay.carry();
        while relay.client.next_event().is_some() {}
        relay
    }

    fn carry(&mut self) {
        self.now += 1_000_000_000;
        let used = self.server.receive(self.client.output(), self.now).expect("our client is right");
        self.client.wrote(used);
        let used = self.client.receive(self.server.output(), self.now).expect("our server is right");
        self.server.wrote(used);
    }

    /// A head that is opened three times comes out the same each time: new, put into the table, and out of it.
    fn carries(&mut self, head: &RequestHead) {
        for _ in 0..3 {
            let opening = Opening { finish: Finish::Later, protocol: head.protocol() };
            let id = self.client.open(head, b"", opening).expect("there is room");
            self.carry();
            let Some(Event::Head(at)) = self.server.next_event() else { panic!("a head got lost") };
            let mut again = RequestHead::default();
            self.server.take_request(at, &mut again).expect("a head was let through once");
            let sorted = |head: &RequestHead| {
                let mut fields = fields(head);
                fields.sort();
                fields
            };
            assert_eq!(sorted(&again), sorted(head), "a head has changed on its way");
            assert_eq!(again.target(), head.target());
            assert_eq!(again.method_text(), head.method_text());
            self.client.release(id);
            self.server.release(at);
            self.carry();
            while self.server.next_event().is_some() {}
            while self.client.next_event().is_some() {}
        }
    }
}
