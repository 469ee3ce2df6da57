#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;

const WHOLE_PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn sampling(ratio: f64, parent: bool) -> Sampler {
    Sampler::new(Sampling { ratio, parent, failures: true })
}

#[test]
fn a_traceparent_is_read_as_the_specification_says() {
    let parent = Parent::read(WHOLE_PARENT.as_bytes()).unwrap();
    assert_eq!(parent.trace.bytes()[..2], [0x0a, 0xf7]);
    assert_eq!(parent.span.digits(), *b"b7ad6b7169203331");
    assert!(parent.is_sampled && !parent.is_random);
    assert_eq!(parent.write(), WHOLE_PARENT.as_bytes());
    for (text, is_sampled) in [
        ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00", false),
        ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-ff", true),
        ("01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", true),
        ("fe-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what-comes", true),
    ] {
        let found = Parent::read(text.as_bytes());
        assert_eq!(
            found.map(|found| (found.span, found.is_sampled)),
            Some((parent.span, is_sampled)),
            "{text}"
        );
    }
    for text in [
        "",
        "00",
        "00-",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
        "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01x",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-B7ad6b7169203331-01",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        "00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0g",
        "0x-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    ] {
        assert_eq!(Parent::read(text.as_bytes()), None, "{text}");
    }
}

#[test]
fn no_bytes_are_too_strange_to_be_refused() {
    for length in 0..70 {
        for byte in [0, b'-', b'0', b'f', 0xff] {
            Parent::read(&vec![byte; length]);
        }
    }
    assert_eq!(rejected(&[0xff; 40]), (0, String::new()));
    // `partial_success { rejected_spans = 3, error_message = "no" }`
    assert_eq!(rejected(b"\x0a\x06\x08\x03\x12\x02no"), (3, "no".to_owned()));
    assert_eq!(rejected(b"\x0a\x06\x08\x03\x12\x09no"), (3, String::new()), "as far as it can be read");
}

#[test]
fn the_client_decides_and_otherwise_the_ratio_over_ids() {
    let mut parent = Parent::read(WHOLE_PARENT.as_bytes()).unwrap();
    let id = |part: f64| {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
        let random = (part * WHOLE as f64) as u64;
        TraceId::of([0, random])
    };
    for (ratio, part, taken) in
        [(0.0, 0.999, false), (0.25, 0.74, false), (0.25, 0.76, true), (1.0, 0.0, true), (1.0, 0.5, true)]
    {
        assert_eq!(sampling(ratio, true).takes(id(part), None), taken, "{ratio} {part}");
        for is_sampled in [true, false] {
            parent.is_sampled = is_sampled;
            assert_eq!(sampling(ratio, true).takes(id(part), Some(&parent)), is_sampled);
            assert_eq!(sampling(ratio, false).takes(id(part), Some(&parent)), taken);
        }
    }
}

#[test]
fn what_is_beyond_the_limit_is_lost_and_counted_and_the_rest_keeps_its_order() {
    let queue = SpanQueue::default();
    let offer = |spans: usize, first: u8| queue.offer(Piece { bytes: vec![first], spans }, (4, 5));
    for (spans, first) in [(2, 1), (2, 2), (2, 3), (1, 4)] {
        offer(spans, first);
    }
    assert_eq!((queue.waiting_spans(), queue.lost()), (5, 2));
    let firsts = |pieces: Vec<Piece>| pieces.iter().map(|piece| piece.bytes[0]).collect::<Vec<_>>();
    assert_eq!(firsts(queue.take(4)), [1, 2]);
    assert_eq!(firsts(queue.take(4)), [4]);
    offer(9, 5);
    offer(1, 6);
    assert_eq!(firsts(queue.take(1)), [5], "a piece is never cut, and has a place where nothing waits");
    assert_eq!(queue.lost(), 3);
    assert_eq!((queue.waiting_spans(), queue.take(4).len()), (0, 0));
}

#[test]
fn what_waits_is_bounded_in_bytes_too() {
    let queue = SpanQueue::default();
    let offer = |bytes: usize| queue.offer(Piece { bytes: vec![0; bytes], spans: 1 }, (4, 5));
    for _ in 0..5 {
        offer(2048);
    }
    assert_eq!((queue.waiting_spans(), queue.lost()), (2, 3), "5 KiB, and not 10");
    queue.take(1);
    offer(3072);
    assert_eq!((queue.waiting_spans(), queue.lost()), (2, 3), "who leaves makes room");
}
