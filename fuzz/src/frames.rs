//! A second opinion on what the engine sends: a reader of frames that shares nothing with it.

use std::collections::HashSet;

/// Whether the bytes are whole frames, each of a length that its type has, none for a stream that we have ended.
pub fn are_right(mut bytes: &[u8]) {
    let mut ended = HashSet::new();
    let mut reset = HashSet::new();
    let mut block_of = None;
    if let Some(rest) = bytes.strip_prefix(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") {
        bytes = rest;
    }
    while !bytes.is_empty() {
        let [a, b, c, kind, flags, d, e, f, g, rest @ ..] = bytes else { panic!("half a header") };
        let len = u32::from_be_bytes([0, *a, *b, *c]) as usize;
        let stream = u32::from_be_bytes([*d, *e, *f, *g]);
        assert!(len <= 16_384, "a frame of {len} bytes");
        assert!(stream < 1 << 31);
        assert!(len <= rest.len(), "half a frame");
        assert_eq!(*kind == 9, block_of == Some(stream) && block_of.is_some(), "a block is interrupted");
        let of_stream = match kind {
            0 | 1 | 9 => {
                assert!(!ended.contains(&stream), "a message goes on behind its end");
                assert!(!reset.contains(&stream), "a message goes on behind its reset");
                if *kind != 0 {
                    block_of = (flags & 4 == 0).then_some(stream);
                }
                true
            }
            3 => {
                assert_eq!(len, 4);
                assert!(reset.insert(stream), "a second reset");
                true
            }
            4 => {
                assert!(len.is_multiple_of(6) && (flags & 1 == 0 || len == 0));
                false
            }
            6 => {
                assert_eq!(len, 8);
                false
            }
            7 => {
                assert_eq!(len, 8);
                false
            }
            8 => {
                assert_eq!(len, 4);
                assert!(rest[..4] != [0; 4], "a window that does not grow");
                stream != 0
            }
            other => panic!("a frame of type {other}"),
        };
        assert_eq!(of_stream, stream != 0, "a frame of type {kind} for stream {stream}");
        // The end of a block counts behind its last piece.
        if matches!(kind, 0 | 1) && flags & 1 != 0 && block_of.is_none() {
            ended.insert(stream);
        }
        bytes = &rest[len..];
    }
    assert_eq!(block_of, None, "a block without an end");
}
