//! Bodies: `[framing][cuts][the stream]`.

use loadweaver_http1::chunked::MAX_EXTENSIONS;
use loadweaver_http1::limits::MAX_FIELDS;
use loadweaver_http1::{Body, BodyError, Framing, Headers, Piece, encode};

use crate::cuts::Cuts;
use crate::strict;

/// Bytes of trailers that are allowed: within reach of small inputs.
const TRAILERS: usize = 512;

/// However a body is cut, its data and its end are the same, and they are those of a strict reader.
pub fn holds(input: &[u8]) {
    let Some((choice, input)) = input.split_first() else { return };
    let (cuts, stream) = Cuts::take(input);
    let framing = match choice {
        0..128 => Framing::Chunked,
        length => Framing::Length(u64::from(length - 128)),
    };
    let whole = read((framing, TRAILERS), stream, &[stream.len()]);
    let cut = read((framing, TRAILERS), stream, &cuts.ends(stream.len()));
    assert_eq!(whole, cut, "a cut changed the body");
    if let Framing::Length(length) = framing {
        let expected = usize::try_from(length).unwrap_or(usize::MAX).min(stream.len());
        assert_eq!(whole.data, &stream[..expected]);
        return;
    }
    is_what_a_strict_reader_reads(&whole, stream);
    if whole.end.is_ok() {
        decodes_to_itself_when_encoded(&whole, &cuts);
    }
}

/// What has become of a body.
#[derive(Debug, PartialEq, Eq)]
struct Read {
    data: Vec<u8>,
    /// How many bytes of the stream it took; an error where it is malformed or not whole.
    end: Result<usize, BodyError>,
    trailers: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Reads a body as a connection does: after each read, all that was not used yet is offered again.
fn read((framing, trailers): (Framing, usize), stream: &[u8], ends: &[usize]) -> Read {
    let mut body = Body::new(framing, trailers);
    let mut data = Vec::new();
    let mut start = 0;
    let mut ends = ends.iter().copied();
    let mut end = ends.next().unwrap_or(0);
    let ended = loop {
        let input = &stream[start..end];
        match body.decode(input) {
            Ok(Piece::Data { skip, len }) => {
                assert!(len > 0, "a piece without data");
                assert!(skip + len <= input.len(), "a piece beyond the input");
                data.extend_from_slice(&input[skip..skip + len]);
                start += skip + len;
            }
            Ok(Piece::End { consumed }) => {
                assert!(consumed <= input.len(), "read beyond the input");
                assert!(body.is_done());
                start += consumed;
                assert_eq!(body.decode(&stream[start..]), Ok(Piece::End { consumed: 0 }), "an end twice");
                assert_eq!(body.end_of_input(), Ok(()));
                break Ok(start);
            }
            Ok(Piece::NeedMore { consumed }) => {
                assert_eq!(consumed, input.len(), "something was left that another look would find");
                start += consumed;
                match ends.next() {
                    Some(next) => end = next,
                    None => break Err(body.end_of_input().expect_err("a body that is cut is not whole")),
                }
            }
            Err(error) => break Err(error),
        }
    };
    Read { data, end: ended, trailers: owned(body.trailers()) }
}

fn owned(trailers: Option<&Headers>) -> Vec<(Vec<u8>, Vec<u8>)> {
    trailers
        .into_iter()
        .flat_map(Headers::iter)
        .map(|(name, value)| (name.to_vec(), value.to_vec()))
        .collect()
}

fn is_what_a_strict_reader_reads(ours: &Read, stream: &[u8]) {
    match (strict::chunks(stream), ours.end) {
        (Some(strict), Ok(len)) => {
            assert_eq!(strict.len, len, "two readers, two ends");
            assert_eq!(strict.data, ours.data, "two readers, two bodies");
        }
        (Some(strict), Err(error)) => {
            let over = strict.extensions > MAX_EXTENSIONS
                || strict.trailers > TRAILERS
                || strict.fields > MAX_FIELDS;
            assert!(over, "{error:?} for a body that is right");
        }
        (None, Ok(_)) => panic!("accepted, but not by a strict reader"),
        (None, Err(_)) => {}
    }
}

/// What we write of a body is that body, and ends where it ends.
fn decodes_to_itself_when_encoded(ours: &Read, cuts: &Cuts) {
    let mut trailers = Headers::new();
    for (name, value) in &ours.trailers {
        assert!(
            ["transfer-encoding", "content-length", "host", "trailer", "connection"]
                .iter()
                .all(|framing| !name.eq_ignore_ascii_case(framing.as_bytes())),
            "a trailer that frames or routes"
        );
        trailers.append(name, value);
    }
    let mut out = Vec::new();
    let mut from = 0;
    for end in cuts.ends(ours.data.len()).into_iter().filter(|end| *end > 0) {
        encode::chunk_start(&mut out, end - from);
        out.extend_from_slice(&ours.data[from..end]);
        out.extend_from_slice(encode::CHUNK_END);
        from = end;
    }
    encode::last_chunk(&mut out, Some(&trailers));
    let len = out.len();
    out.extend_from_slice(b"0\r\n\r\nGET / HTTP/1.1\r\n");
    // Trailers that came as `a:b` leave as `a: b`.
    let again = read((Framing::Chunked, 2 * TRAILERS), &out, &cuts.ends(out.len()));
    assert_eq!(again, Read { data: ours.data.clone(), end: Ok(len), trailers: ours.trailers.clone() });
    assert_eq!(strict::chunks(&out).map(|strict| strict.len), Some(len), "what we write is not strict");
}
