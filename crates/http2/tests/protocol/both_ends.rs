//! Our client and our server with each other.

use loadweaver_http1::{Framing, HeadLimits, Headers, Method, Name, RequestHead, ResponseHead};
use loadweaver_http2::{Code, Connection, Event, Finish, Limits, NoRoom, Opening, Read, Scheme, StreamId};

/// Carries bytes until neither end has any more.
fn carry(client: &mut Connection, server: &mut Connection) {
    loop {
        let to_server = client.output().to_vec();
        let used = server.receive(&to_server, 0).unwrap();
        client.wrote(used);
        let to_client = server.output().to_vec();
        let taken = client.receive(&to_client, 0).unwrap();
        server.wrote(taken);
        if used == 0 && taken == 0 {
            return;
        }
    }
}

fn pair() -> (Connection, Connection) {
    pair_with(&Limits::default())
}

fn pair_with(limits: &Limits) -> (Connection, Connection) {
    let mut client = Connection::client(limits, Scheme::Https, 0);
    let mut server = Connection::server(limits, 0);
    carry(&mut client, &mut server);
    assert_eq!(events(&mut client), [Event::Room]);
    (client, server)
}

fn events(connection: &mut Connection) -> Vec<Event> {
    std::iter::from_fn(|| connection.next_event()).collect()
}

pub(crate) fn request(text: &str) -> RequestHead {
    let mut head = RequestHead::default();
    head.parse(text.replace('\n', "\r\n").as_bytes(), &HeadLimits::default()).unwrap().unwrap();
    head
}

fn response(text: &str, method: Method) -> ResponseHead {
    let mut head = ResponseHead::default();
    head.parse(text.replace('\n', "\r\n").as_bytes(), method, &HeadLimits::default()).unwrap().unwrap();
    head
}

pub(crate) const NOW: Opening<'_> = Opening { finish: Finish::Now, protocol: None };
pub(crate) const LATER: Opening<'_> = Opening { finish: Finish::Later, protocol: None };

fn read_all(connection: &mut Connection, id: StreamId) -> Vec<u8> {
    let mut all = Vec::new();
    let mut piece = [0; 1000];
    while let Read::Bytes(n) = connection.read(id, &mut piece) {
        all.extend_from_slice(&piece[..n]);
    }
    all
}

fn text(headers: &Headers) -> String {
    let mut out = Vec::new();
    headers.write(&mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn an_exchange_goes_through_with_bodies_and_trailers() {
    let (mut client, mut server) = pair();
    for round in 0..5 {
        let asked = request(
            "POST /x?y HTTP/1.1\nHost: a.example\nContent-Type: text/plain\nCookie: a=1\nTE: trailers\nConnection: te\n\n",
        );
        let id = client.open(&asked, b"x-added: 1\r\nconnection: close\r\n", LATER).unwrap();
        assert_eq!(client.write(id, b"hello "), Ok(6));
        carry(&mut client, &mut server);
        let [Event::Head(at), Event::Readable(readable)] = events(&mut server)[..] else { panic!() };
        assert_eq!(at, readable);
        let mut head = RequestHead::default();
        server.take_request(at, &mut head).unwrap();
        assert_eq!((head.method_text(), head.target(), head.host()), ("POST", "/x?y", "a.example"));
        assert_eq!(head.framing(), Framing::Chunked);
        assert!(head.takes_trailers());
        let fields =
            "host: a.example\r\ncontent-type: text/plain\r\nte: trailers\r\nx-added: 1\r\ncookie: a=1\r\n";
        assert_eq!(text(&head.headers), fields);
        assert_eq!(read_all(&mut server, at), b"hello ");
        assert_eq!(server.read(at, &mut [0; 9]), Read::Pending);
        assert_eq!(client.write(id, b"world"), Ok(5));
        let mut trailers = Headers::new();
        trailers.append(b"X-Sum", b"1");
        client.finish(id, Some(&trailers));
        carry(&mut client, &mut server);
        assert_eq!(events(&mut server), [Event::Readable(at)]);
        assert_eq!(read_all(&mut server, at), b"world");
        assert_eq!(server.read(at, &mut [0; 9]), Read::End);
        assert_eq!(text(&server.trailers(at).unwrap()), "x-sum: 1\r\n");

        let answer = response("HTTP/1.1 103 Early Hints\nLink: </a>\n\n", Method::Other);
        server.respond(at, &answer, b"", Finish::Now);
        let answer =
            response("HTTP/1.1 200 OK\nServer: x\nContent-Length: 4\nDate: today\n\n", Method::Other);
        server.respond(at, &answer, b"", Finish::Later);
        assert_eq!(server.write(at, b"done"), Ok(4));
        server.finish(at, None);
        server.release(at);
        carry(&mut client, &mut server);
        assert_eq!(events(&mut client), [Event::Head(id), Event::Head(id), Event::Readable(id)], "{round}");
        let mut head = ResponseHead::default();
        assert!(client.take_response(id, &mut head));
        assert_eq!((head.status(), text(&head.headers).as_str()), (103, "link: </a>\r\n"));
        assert!(client.take_response(id, &mut head));
        assert!(!client.take_response(id, &mut ResponseHead::default()));
        assert_eq!((head.status(), head.framing()), (200, Framing::Length(4)));
        assert_eq!(text(&head.headers), "server: x\r\ncontent-length: 4\r\ndate: today\r\n");
        assert_eq!(read_all(&mut client, id), b"done");
        assert_eq!(client.read(id, &mut [0; 9]), Read::End);
        assert_eq!(client.trailers(id).map(|trailers| text(&trailers)), None);
        client.release(id);
        assert_eq!((client.streams(), server.streams()), (0, 0));
        assert!(client.output().is_empty() && server.output().is_empty());
    }
}

#[test]
fn a_large_body_goes_through_windows_and_output_both_ways() {
    let (mut client, mut server) = pair();
    let body: Vec<u8> = (0..3_000_000_u32).map(|n| u8::try_from(n % 251).unwrap()).collect();
    let id = client.open(&request("PUT / HTTP/1.1\nHost: a\n\n"), b"", LATER).unwrap();
    let (mut sent, mut ended, mut got, mut back, mut returned) = (0, false, Vec::new(), 0, Vec::new());
    let mut at = None;
    for _ in 0..10_000 {
        if !ended {
            sent += client.write(id, &body[sent..]).unwrap();
            if sent == body.len() {
                client.finish(id, None);
                ended = true;
            }
        }
        carry(&mut client, &mut server);
        for event in events(&mut server) {
            if let Event::Head(id) = event {
                server.respond_with(id, 200, b"content-length: 3000000\r\n", Finish::Later);
                at = Some(id);
            }
        }
        let Some(at) = at else { continue };
        got.extend(read_all(&mut server, at));
        if back < body.len() {
            back += server.write(at, &body[back..]).unwrap();
            if back == body.len() {
                server.finish(at, None);
            }
        }
        carry(&mut client, &mut server);
        events(&mut client);
        returned.extend(read_all(&mut client, id));
        if returned.len() == body.len() && got.len() == body.len() {
            break;
        }
    }
    assert!(got == body && returned == body);
    assert_eq!(client.read(id, &mut [0; 1]), Read::End);
    assert_eq!((client.buffered(), server.buffered()), (0, 0));
}

#[test]
fn what_a_writer_could_not_write_it_may_write_when_it_is_told() {
    let (mut client, mut server) = pair();
    let id = client.open(&request("PUT / HTTP/1.1\nHost: a\n\n"), b"", LATER).unwrap();
    let body = vec![7; 1 << 20];
    let first = client.write(id, &body).unwrap();
    assert!(first < 65_536, "{first}");
    carry(&mut client, &mut server);
    assert_eq!(events(&mut client), [Event::Writable(id)]);
    let second = client.write(id, &body).unwrap();
    assert_eq!(first + second, 65_535, "the window is used up");
    carry(&mut client, &mut server);
    assert_eq!(events(&mut client), []);
    let [Event::Head(at), Event::Readable(_)] = events(&mut server)[..] else { panic!() };
    assert_eq!(read_all(&mut server, at).len(), 65_535);
    carry(&mut client, &mut server);
    assert_eq!(events(&mut client), [Event::Writable(id)]);
    assert_eq!(client.write(id, b"x"), Ok(1));
}

#[test]
fn readers_that_do_not_read_leave_room_for_those_that_do() {
    let (mut client, mut server) = pair();
    let body = vec![7; 1 << 20];
    let slow: Vec<_> =
        (0..30).map(|_| client.open(&request("PUT / HTTP/1.1\nHost: a\n\n"), b"", LATER).unwrap()).collect();
    for _ in 0..100 {
        for id in &slow {
            client.write(*id, &body).unwrap();
        }
        carry(&mut client, &mut server);
        events(&mut client);
        events(&mut server);
    }
    assert_eq!(server.buffered(), 30 * 65_535);
    let id = client.open(&request("PUT / HTTP/1.1\nHost: a\n\n"), b"", LATER).unwrap();
    carry(&mut client, &mut server);
    let [Event::Head(at)] = events(&mut server)[..] else { panic!() };
    let (mut sent, mut got) = (0, 0);
    for _ in 0..1000 {
        sent += client.write(id, &body[sent..]).unwrap();
        carry(&mut client, &mut server);
        got += read_all(&mut server, at).len();
        if got == body.len() {
            return;
        }
    }
    panic!("only {got} bytes came through");
}

#[test]
fn resets_go_both_ways_and_free_the_place() {
    let (mut client, mut server) = pair();
    let one = client.open(&request("PUT / HTTP/1.1\nHost: a\n\n"), b"", LATER).unwrap();
    let other = client.open(&request("PUT / HTTP/1.1\nHost: a\n\n"), b"", LATER).unwrap();
    carry(&mut client, &mut server);
    let [Event::Head(at_one), Event::Head(at_other)] = events(&mut server)[..] else { panic!() };
    client.reset(one, Code::CANCEL);
    server.reset(at_other, Code::REFUSED_STREAM);
    carry(&mut client, &mut server);
    assert_eq!(events(&mut server), [Event::Reset(at_one, Code::CANCEL)]);
    assert_eq!(events(&mut client), [Event::Reset(other, Code::REFUSED_STREAM)]);
    assert_eq!(server.read(at_one, &mut [0; 1]), Read::Reset(Code::CANCEL));
    assert_eq!(client.write(other, b"x"), Err(Code::REFUSED_STREAM));
    assert_eq!((client.streams(), server.streams()), (2, 2), "until they are released");
    for (connection, ids) in [(&mut client, [one, other]), (&mut server, [at_one, at_other])] {
        for id in ids {
            connection.release(id);
            connection.release(id);
            assert_eq!(connection.write(id, b"x"), Err(Code::CANCEL));
        }
        assert_eq!(connection.streams(), 0);
        assert!(connection.output().is_empty());
    }
}

#[test]
fn no_more_streams_are_opened_than_the_server_allows() {
    let (mut client, mut server) = pair_with(&Limits { max_streams: 2, ..Limits::default() });
    let ask = request("GET / HTTP/1.1\nHost: a\n\n");
    let one = client.open(&ask, b"", NOW).unwrap();
    client.open(&ask, b"", NOW).unwrap();
    assert_eq!(client.open(&ask, b"", NOW), Err(NoRoom::Streams));
    carry(&mut client, &mut server);
    let [Event::Head(at), Event::Head(_)] = events(&mut server)[..] else { panic!() };
    server.respond_with(at, 204, b"", Finish::Now);
    server.release(at);
    carry(&mut client, &mut server);
    assert_eq!(events(&mut client), [Event::Head(one)]);
    client.release(one);
    assert_eq!(events(&mut client), [Event::Room]);
    client.open(&ask, b"", NOW).unwrap();
    assert_eq!(client.open(&ask, b"", NOW), Err(NoRoom::Streams));
}

#[test]
fn a_server_that_shuts_down_serves_what_was_on_its_way() {
    let (mut client, mut server) = pair();
    let ask = request("GET / HTTP/1.1\nHost: a\n\n");
    let early = client.open(&ask, b"", NOW).unwrap();
    server.shutdown();
    carry(&mut client, &mut server);
    let gone: Vec<_> = events(&mut client);
    assert_eq!(gone[0], Event::GoAway { last: (1 << 31) - 1, code: Code::NO_ERROR });
    assert_eq!(gone[1], Event::GoAway { last: 1, code: Code::NO_ERROR });
    assert_eq!(client.open(&ask, b"", NOW), Err(NoRoom::Closed));
    let [Event::Head(at)] = events(&mut server)[..] else { panic!() };
    assert!(!server.is_finished());
    server.respond_with(at, 204, b"", Finish::Now);
    server.release(at);
    carry(&mut client, &mut server);
    assert_eq!(events(&mut client), [Event::Head(early)]);
    client.release(early);
    assert!(server.is_finished() && client.is_finished());
}

#[test]
fn websocket_is_asked_for_by_extended_connect() {
    let (mut client, mut server) = pair();
    assert!(client.peer_takes_connect_protocol());
    let ask = request("GET /chat HTTP/1.1\nHost: a\nConnection: upgrade\nUpgrade: websocket\nOrigin: b\n\n");
    let opening = Opening { finish: Finish::Later, protocol: Some(b"websocket") };
    let id = client.open(&ask, b"", opening).unwrap();
    carry(&mut client, &mut server);
    let [Event::Head(at)] = events(&mut server)[..] else { panic!() };
    let mut head = RequestHead::default();
    server.take_request(at, &mut head).unwrap();
    assert_eq!((head.method(), head.target(), head.host()), (Method::Connect, "/chat", "a"));
    assert_eq!(head.protocol(), Some(b"websocket".as_slice()));
    assert!(!head.headers.has(Name::Upgrade) && !head.headers.has(Name::Connection));
    server.respond_with(at, 200, b"", Finish::Later);
    server.write(at, b"frame").unwrap();
    carry(&mut client, &mut server);
    assert_eq!(events(&mut client), [Event::Head(id), Event::Readable(id)]);
    assert_eq!(read_all(&mut client, id), b"frame");
}

#[test]
fn a_connection_that_is_lost_ends_its_streams() {
    let (mut client, _) = pair();
    let id = client.open(&request("GET / HTTP/1.1\nHost: a\n\n"), b"", NOW).unwrap();
    client.lost();
    assert_eq!(events(&mut client), [Event::Reset(id, Code::CONNECT_ERROR)]);
    assert!(client.output().is_empty() && !client.is_open());
    client.release(id);
    assert!(client.is_finished() || client.output().is_empty());
}
