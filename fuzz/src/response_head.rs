//! Heads of answers: `[limits and method][cuts][the stream]`.

use loadweaver_http1::{Framing, HeadLimits, Method, ResponseError, ResponseHead, Version, encode};

use crate::cuts::Cuts;
use crate::strict::{self, Length};

/// A head that is cut reads as one that came whole, and what is written of it has one reading, which is ours.
pub fn holds(input: &[u8]) {
    let Some((choice, input)) = input.split_first() else { return };
    let small = HeadLimits { bytes: 96, target: 0, fields: 4 };
    let limits = if choice & 1 == 0 { HeadLimits { target: 0, ..HeadLimits::default() } } else { small };
    let method = if choice & 2 == 0 { Method::Get } else { Method::Head };
    let (cuts, stream) = Cuts::take(input);
    let mut cut = ResponseHead::default();
    let in_pieces = in_pieces(&mut cut, stream, method, (&cuts, &limits));
    let mut whole = used();
    match (whole.parse(stream, method, &limits), in_pieces) {
        (Ok(Some(len)), Ok(Some(other))) => {
            assert_eq!(len, other, "a cut moved the end of the head");
            assert_eq!(written(&whole), written(&cut), "a cut changed the head");
            assert_eq!(whole.framing(), cut.framing(), "a cut changed the framing");
            reads_as_it_was_meant(&whole, &stream[..len], method);
            reads_the_same_when_written(&whole, method);
            reads_the_same_when_stripped(whole, method);
        }
        (Ok(None), Ok(None)) => {}
        (Err(one), Err(other)) => {
            assert!(one == other || stream.len() > limits.bytes, "cut: {other:?}, whole: {one:?}");
        }
        (one, other) => panic!("whole: {one:?}, cut: {other:?}"),
    }
}

/// A head object that has served another answer.
fn used() -> ResponseHead {
    let mut head = ResponseHead::default();
    let earlier = b"HTTP/1.0 404 Gone\r\nConnection: x-a, upgrade\r\nX-A: b\r\nContent-Length: 3\r\n\r\n";
    assert_eq!(head.parse(earlier, Method::Get, &HeadLimits::default()), Ok(Some(earlier.len())));
    head
}

fn in_pieces(
    head: &mut ResponseHead,
    stream: &[u8],
    method: Method,
    (cuts, limits): (&Cuts, &HeadLimits),
) -> Result<Option<usize>, ResponseError> {
    let mut last = Ok(None);
    for end in cuts.ends(stream.len()) {
        last = head.parse(&stream[..end], method, limits);
        if last != Ok(None) {
            break;
        }
    }
    last
}

fn written(head: &ResponseHead) -> Vec<u8> {
    let mut out = Vec::new();
    encode::response_head(&mut out, head);
    encode::end_head(&mut out);
    out
}

/// The strict reader finds in the server's own bytes what the parser found.
fn reads_as_it_was_meant(head: &ResponseHead, sent: &[u8], method: Method) {
    // The space before a reason that is missing may be missing too.
    let with_space = with_reason(sent);
    let read = strict::head(&with_space).expect("accepted, but not by a strict reader");
    assert_eq!(read.len, with_space.len(), "two readers, two ends");
    let [version, status, reason] = read.start;
    assert_eq!(status, head.status().to_string().as_bytes());
    assert!((100..600).contains(&head.status()));
    assert_eq!(reason, head.reason());
    assert_eq!(version == b"HTTP/1.0", head.version() == Version::Http10);
    assert_eq!(head.headers.iter().collect::<Vec<_>>(), read.fields, "two readers, two lists of fields");
    assert_eq!(framing_of(&read, head.status(), method), Some(head.framing()), "two readers, two lengths");
}

fn with_reason(sent: &[u8]) -> Vec<u8> {
    let end = sent.iter().position(|byte| *byte == b'\r').unwrap_or(0);
    let mut whole = sent.to_vec();
    if sent[..end].splitn(3, |byte| *byte == b' ').nth(2).is_none() {
        whole.insert(end, b' ');
    }
    whole
}

/// What we write is a head under both readings, with the same content.
fn reads_the_same_when_written(head: &ResponseHead, method: Method) {
    let bytes = written(head);
    let read = strict::head(&bytes).expect("what we write is not strict");
    assert_eq!(read.len, bytes.len());
    let [version, status, reason] = read.start;
    assert_eq!((version, status), (&b"HTTP/1.1"[..], head.status().to_string().as_bytes()));
    assert_eq!(reason, head.reason());
    assert_eq!(framing_of(&read, head.status(), method), Some(head.framing()));
    let roomy = HeadLimits { bytes: bytes.len(), target: 0, fields: 256 };
    let mut again = ResponseHead::default();
    assert_eq!(again.parse(&bytes, method, &roomy), Ok(Some(bytes.len())), "we refuse what we write");
    assert_eq!(again.framing(), head.framing());
    assert_eq!(written(&again), bytes, "writing changes what was written");
}

/// The same for what a client gets: without the fields of this connection, and the framing said anew.
fn reads_the_same_when_stripped(mut head: ResponseHead, method: Method) {
    let framing = head.framing();
    head.strip_hop_by_hop();
    let mut bytes = Vec::new();
    encode::response_head(&mut bytes, &head);
    if framing == Framing::Chunked {
        encode::field(&mut bytes, b"transfer-encoding", b"chunked");
    }
    encode::end_head(&mut bytes);
    let read = strict::head(&bytes).expect("what a client gets is not strict");
    assert_eq!(framing_of(&read, head.status(), method), Some(framing), "a client reads another length");
    for name in ["connection", "keep-alive", "proxy-connection", "te", "upgrade"] {
        assert!(read.all(name).is_empty(), "{name} reaches a client");
    }
}

/// RFC 9112 section 6.3, rules 1 and 4 to 8. A field that is there must make sense even where there is no body.
fn framing_of(read: &strict::Head<'_>, status: u16, method: Method) -> Option<Framing> {
    let length = read.length(true)?;
    if method == Method::Head || status < 200 || status == 204 || status == 304 {
        return Some(Framing::None);
    }
    Some(match length {
        Length::Unsaid => Framing::UntilClose,
        Length::Bytes(length) => Framing::Length(length),
        Length::Chunked => Framing::Chunked,
    })
}
