//! However the input is cut, what comes of it is the same.

use loadweaver_http1::RequestHead;
use loadweaver_http2::{Connection, Ended, Event, Limits, Read, StreamId};
use proptest::prelude::*;

use crate::wire::*;

/// All that there is to see of a connection whose application only looks on.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    ended: Option<Ended>,
    output: Vec<u8>,
    requests: Vec<(StreamId, Vec<u8>)>,
    resets: Vec<Event>,
    bodies: Vec<(StreamId, Vec<u8>, Read, Vec<u8>)>,
}

fn seen(stream: &[u8], cuts: &[usize]) -> Seen {
    let limits = Limits { max_streams: 5, head: 2000, fields: 20, ..Limits::default() };
    let mut connection = Connection::server(&limits, 0);
    let mut seen = Seen::default();
    let (mut start, mut end) = (0, 0);
    let mut cuts = cuts.iter().cycle();
    while end < stream.len() && seen.ended.is_none() {
        end = stream.len().min(end + cuts.next().copied().unwrap_or(stream.len()).max(1));
        match connection.receive(&stream[start..end], 1_000_000_000) {
            Ok(used) => start += used,
            Err(ended) => seen.ended = Some(ended),
        }
        assert!(seen.ended.is_some() || end - start < 32, "{} bytes were not used", end - start);
        while let Some(event) = connection.next_event() {
            match event {
                Event::Head(id) => {
                    let mut head = RequestHead::default();
                    let taken = connection.take_request(id, &mut head);
                    let mut text = format!("{taken:?} {} {}", head.method_text(), head.target()).into_bytes();
                    head.headers.write(&mut text);
                    seen.requests.push((id, text));
                }
                Event::Readable(_) => {}
                other => seen.resets.push(other),
            }
        }
    }
    seen.output = connection.output().to_vec();
    for (id, _) in &seen.requests {
        let body = connection.peek(*id).to_vec();
        connection.consume(*id, body.len());
        let end = connection.read(*id, &mut [0; 1]);
        let mut trailers = Vec::new();
        connection.trailers(*id).unwrap_or_default().write(&mut trailers);
        seen.bodies.push((*id, body, end, trailers));
    }
    seen
}

fn one_frame() -> impl Strategy<Value = Vec<u8>> {
    let stream = 0..12_u32;
    let fields = prop::collection::vec(
        prop::sample::select(vec![
            ("x-a", "1"),
            ("cookie", "a=b"),
            ("content-length", "3"),
            ("te", "trailers"),
            ("x-long", "value value value value value value value value"),
            ("X-bad", "1"),
            (":path", "/again"),
        ]),
        0..5,
    );
    let payload = prop::collection::vec(any::<u8>(), 0..40);
    prop_oneof![
        6 => (stream.clone(), fields.clone(), any::<bool>()).prop_map(|(stream, more, ends)| {
            let all = [&POST[..], &more].concat();
            frame(HEADERS, END_HEADERS | u8::from(ends), 2 * stream + 1, &block(&all))
        }),
        3 => (stream.clone(), fields, 0..200_usize, any::<bool>()).prop_map(|(stream, more, at, last)| {
            let all = block(&[&GET[..], &more].concat());
            let (one, other) = all.split_at(at.min(all.len()));
            let flags = if last { END_HEADERS } else { 0 };
            let open = frame(HEADERS, END_STREAM | PADDED, 2 * stream + 1, &[&[2][..], one, &[0, 0]].concat());
            [open, frame(CONTINUATION, flags, 2 * stream + 1, other)].concat()
        }),
        6 => (stream.clone(), payload.clone(), any::<bool>()).prop_map(|(stream, data, ends)| {
            frame(DATA, u8::from(ends), 2 * stream + 1, &data)
        }),
        3 => (stream.clone(), payload.clone(), 0..9_u8).prop_map(|(stream, mut data, padding)| {
            data.insert(0, padding);
            frame(DATA, PADDED, 2 * stream + 1, &data)
        }),
        2 => (stream.clone(), any::<u8>()).prop_map(|(stream, code)| {
            frame(RST_STREAM, 0, 2 * stream + 1, &[0, 0, 0, code])
        }),
        2 => (stream.clone(), any::<u16>()).prop_map(|(stream, by)| {
            frame(WINDOW_UPDATE, 0, stream, &u32::from(by).to_be_bytes())
        }),
        2 => (0..10_u16, any::<u16>()).prop_map(|(name, value)| {
            frame(SETTINGS, 0, 0, &[setting(name, value.into()), setting(3, 7)].concat())
        }),
        1 => Just(frame(PING, 0, 0, b"pingpong")),
        1 => payload.clone().prop_map(|data| frame(GOAWAY, 0, 0, &[&[0; 8][..], &data].concat())),
        1 => (any::<u8>(), any::<u8>(), stream, payload).prop_map(|(kind, flags, stream, data)| {
            frame(kind, flags, stream, &data)
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]
    #[test]
    fn the_same_comes_of_frames_however_they_are_cut(
        frames in prop::collection::vec(one_frame(), 0..30),
        cuts in prop::collection::vec(1..60_usize, 1..8),
    ) {
        let stream = [PREFACE, &frame(SETTINGS, 0, 0, &[]), &frames.concat()].concat();
        let whole = seen(&stream, &[]);
        prop_assert_eq!(&whole, &seen(&stream, &cuts));
        prop_assert_eq!(&whole, &seen(&stream, &[1]));
    }
}
