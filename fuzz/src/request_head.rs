//! Request heads: `[limits][cuts][the stream]`.

use loadweaver_http1::limits::MAX_METHOD;
use loadweaver_http1::{Framing, HeadLimits, Name, RequestError, RequestHead, Version, encode};

use crate::cuts::Cuts;
use crate::strict::{self, Length};

/// A head that is cut reads as one that came whole, and what is written of it has one reading, which is ours.
pub fn holds(input: &[u8]) {
    let Some((choice, input)) = input.split_first() else { return };
    let limits = limits(*choice);
    let (cuts, stream) = Cuts::take(input);
    // A head object is used again and again; what an earlier request left in it must not matter.
    let mut cut = used();
    let in_pieces = in_pieces(&mut cut, stream, &cuts, &limits);
    let mut whole = RequestHead::default();
    let at_once = whole.parse(stream, &limits);
    match (at_once, in_pieces) {
        (Ok(Some(len)), Ok(Some(other))) => {
            assert_eq!(len, other, "a cut moved the end of the head");
            assert_eq!(written(&whole), written(&cut), "a cut changed the head");
            assert_eq!(whole.framing(), cut.framing(), "a cut changed the framing");
            reads_as_it_was_meant(&whole, &stream[..len]);
            reads_the_same_when_written(&whole);
            reads_the_same_when_stripped(whole);
        }
        // Empty lines before a head count against its limit only while it is not whole.
        (Ok(Some(len)), Err(RequestError::TooLarge)) if len > limits.bytes => {}
        // A first word that no method is can only be refused, sooner or later, and for being long or for what it is.
        (Ok(None), Err(RequestError::TargetTooLong)) if has_no_method(stream) => {}
        (Ok(None), Ok(None)) => {}
        (Err(one), Err(other)) => {
            let same = one == other || is_told_early(one, other) || stream.len() > limits.bytes;
            assert!(same, "cut: {other:?}, whole: {one:?}");
        }
        (one, other) => panic!("whole: {one:?}, cut: {other:?}"),
    }
}

/// A refusal ends the connection, so it is given as soon as the bytes allow it, and what comes later has no say in
/// its words: `HTTP/2` alone is no version that could be named, `HTTP/2.0` is one and `HTTP/2.01` again is not; and what is too long already is not
/// looked at for other faults.
fn is_told_early(whole: RequestError, cut: RequestError) -> bool {
    use RequestError::{Line, TargetTooLong, TooLarge, Version};
    matches!((whole, cut), (Version, Line) | (Line, Version) | (_, TargetTooLong | TooLarge))
}

fn has_no_method(stream: &[u8]) -> bool {
    let line = stream.trim_ascii_start();
    line.iter().position(|byte| *byte == b' ').is_none_or(|len| len > MAX_METHOD)
}

/// The default limits, or ones that small inputs reach.
fn limits(choice: u8) -> HeadLimits {
    if choice & 1 == 0 { HeadLimits::default() } else { HeadLimits { bytes: 96, target: 24, fields: 4 } }
}

fn used() -> RequestHead {
    let mut head = RequestHead::default();
    let earlier =
        b"POST http://other/ HTTP/1.0\r\nConnection: x-a, upgrade\r\nX-A: b\r\nContent-Length: 3\r\n\r\n";
    assert_eq!(head.parse(earlier, &HeadLimits::default()), Ok(Some(earlier.len())));
    head
}

fn in_pieces(
    head: &mut RequestHead,
    stream: &[u8],
    cuts: &Cuts,
    limits: &HeadLimits,
) -> Result<Option<usize>, RequestError> {
    let mut last = Ok(None);
    for end in cuts.ends(stream.len()) {
        last = head.parse(&stream[..end], limits);
        if last != Ok(None) {
            break;
        }
    }
    last
}

/// The head with what it takes to stand alone: an HTTP/1.0 client may leave out the Host that we must send.
fn written(head: &RequestHead) -> Vec<u8> {
    let mut out = Vec::new();
    encode::request_head(&mut out, head);
    if !head.headers.has(Name::Host) {
        encode::field(&mut out, b"host", b"server:80");
    }
    encode::end_head(&mut out);
    out
}

/// The strict reader finds in the client's own bytes what the parser found.
fn reads_as_it_was_meant(head: &RequestHead, sent: &[u8]) {
    let lines = sent.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or(0);
    let read = strict::head(&sent[lines..]).expect("accepted, but not by a strict reader");
    assert_eq!(lines + read.len, sent.len(), "two readers, two ends");
    let [method, target, version] = read.start;
    assert_eq!(method, head.method_text().as_bytes());
    assert_eq!(version == b"HTTP/1.0", head.version() == Version::Http10);
    assert!(version == b"HTTP/1.0" || version == b"HTTP/1.1");
    if matches!(target, [b'/' | b'*', ..]) || method == b"CONNECT" {
        assert_eq!(target, head.target().as_bytes());
    } else {
        let ours = head.target().as_bytes();
        assert!(target.ends_with(ours) && ours.starts_with(b"/") || ours == b"/" || ours == b"*");
    }
    let mut fields: Vec<_> = head.headers.iter().collect();
    if fields.len() == read.fields.len() + 1 {
        // The host of an absolute target, where an HTTP/1.0 client named it nowhere else.
        let (name, host) = fields.pop().unwrap_or_default();
        assert!(name == b"Host" && read.all("host").is_empty());
        assert!(target.windows(host.len()).any(|part| part == host));
    }
    assert_eq!(fields, read.fields, "two readers, two lists of fields");
    assert_eq!(framing_of(&read), Some(head.framing()), "two readers, two lengths");
}

/// What we write is a head under both readings, with the same content.
fn reads_the_same_when_written(head: &RequestHead) {
    let bytes = written(head);
    let read = strict::head(&bytes).expect("what we write is not strict");
    assert_eq!(read.len, bytes.len());
    let [method, target, version] = read.start;
    assert_eq!((method, target), (head.method_text().as_bytes(), head.target().as_bytes()));
    assert_eq!(version, b"HTTP/1.1");
    assert!(target.iter().all(u8::is_ascii_graphic));
    assert_eq!(read.all("host").len(), 1, "not exactly one host");
    assert!(
        read.fields.iter().all(|field| !is_a_second_length(field.0)),
        "some server reads a second length"
    );
    assert_eq!(framing_of(&read), Some(head.framing()));
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        assert!(line.ends_with(b"\r\n"), "a bare line feed in what we write");
    }
    let roomy = HeadLimits { bytes: bytes.len(), target: bytes.len(), fields: 256 };
    let mut again = RequestHead::default();
    assert_eq!(again.parse(&bytes, &roomy), Ok(Some(bytes.len())), "we refuse what we write");
    assert_eq!(again.method_text(), head.method_text());
    assert_eq!(again.target(), head.target());
    assert_eq!(again.framing(), head.framing());
    assert_eq!(written(&again), bytes, "writing changes what was written");
}

/// The same for what a server gets: without the fields of this connection, and the framing said anew.
fn reads_the_same_when_stripped(mut head: RequestHead) {
    let before = head.headers.clone();
    let framing = head.framing();
    head.strip_hop_by_hop();
    let mut bytes = Vec::new();
    encode::request_head(&mut bytes, &head);
    if framing == Framing::Chunked {
        encode::field(&mut bytes, b"transfer-encoding", b"chunked");
    }
    encode::end_head(&mut bytes);
    let read = strict::head(&bytes).expect("what a server gets is not strict");
    assert_eq!(framing_of(&read), Some(framing), "a server reads another length");
    for name in ["connection", "keep-alive", "proxy-connection", "te", "upgrade", "http2-settings"] {
        assert!(read.all(name).is_empty(), "{name} reaches a server");
    }
    let mut earlier = before.iter();
    for field in head.headers.iter() {
        assert!(earlier.any(|kept| kept == field), "stripping made or moved a field");
    }
    assert_eq!(head.headers.get_all(Name::Host).count(), before.get_all(Name::Host).count());
}

/// Whether a server that turns dashes into underscores, as CGI does, takes the name for one that frames the body.
fn is_a_second_length(name: &[u8]) -> bool {
    let dashed =
        name.to_ascii_lowercase().iter().map(|byte| if *byte == b'_' { b'-' } else { *byte }).collect();
    let dashed = String::from_utf8(dashed).unwrap_or_default();
    let framing = ["content-length", "transfer-encoding"];
    dashed.as_bytes() != name.to_ascii_lowercase() && framing.contains(&dashed.as_str())
}

fn framing_of(read: &strict::Head<'_>) -> Option<Framing> {
    Some(match read.length(false)? {
        Length::Unsaid => Framing::None,
        Length::Bytes(length) => Framing::Length(length),
        Length::Chunked => Framing::Chunked,
    })
}
