#![allow(clippy::unwrap_used)]
use proptest::prelude::*;

use super::*;

fn heard(pieces: &[&[u8]]) -> Result<Health, String> {
    let mut incoming = Incoming::default();
    pieces.iter().try_for_each(|piece| incoming.take(piece))?;
    incoming.health()
}

fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[0], &length[..], message].concat()
}

#[test]
fn writes_a_request_as_protobuf_does() {
    assert_eq!(request(""), [0, 0, 0, 0, 0]);
    assert_eq!(request("a.B"), [0, 0, 0, 0, 5, 0x0a, 3, b'a', b'.', b'B']);
    let long = request(&"a".repeat(300));
    assert_eq!(long.get(..8).unwrap(), [0, 0, 0, 1, 47, 0x0a, 0xac, 0x02]);
    assert_eq!(long.len(), 5 + 303);
}

#[test]
fn reads_every_status_and_passes_over_what_it_does_not_know() {
    for (message, health) in [
        (&[][..], Health::Unknown),
        (&[8, 0], Health::Unknown),
        (&[8, 1], Health::Serving),
        (&[8, 2], Health::NotServing),
        (&[8, 3], Health::ServiceUnknown),
        (&[8, 0x80, 0x01], Health::Other(128)),
        (&[8, 2, 8, 1], Health::Serving),
        (&[0x12, 2, 8, 2, 8, 1, 0x1d, 1, 2, 3, 4, 0x21, 1, 2, 3, 4, 5, 6, 7, 8, 0x28, 9], Health::Serving),
    ] {
        assert_eq!(heard(&[&framed(message)]), Ok(health), "{message:?}");
        let bytes = framed(message);
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(heard(&single), Ok(health), "byte by byte");
    }
}

#[test]
fn says_what_is_wrong_with_a_message() {
    for (bytes, words) in [
        (&[][..], "no message"),
        (&[0, 0, 0], "was cut"),
        (&[0, 0, 0, 0, 2, 8], "was cut"),
        (&[1, 0, 0, 0, 2], "compressed"),
        (&[7], "no message of gRPC"),
        (b"\0\xff\xff\xff\xff", "4294967295 bytes"),
        (&[0, 0, 0, 0, 2, 8, 1, 0], "more than one message"),
        (&[0, 0, 0, 0, 1, 8], "no HealthCheckResponse"),
        (&[0, 0, 0, 0, 2, 0x0b, 1], "no HealthCheckResponse"),
        (&[0, 0, 0, 0, 2, 0x12, 9], "no HealthCheckResponse"),
        (b"\0\0\0\0\x0c\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "no HealthCheckResponse"),
    ] {
        let problem = heard(&[bytes]).unwrap_err();
        assert!(problem.contains(words), "{bytes:?}: {problem}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_judged_and_only_so_many_kept(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..64), 0..200)) {
        let mut incoming = Incoming::default();
        for piece in &pieces {
            if incoming.take(piece).is_err() {
                break;
            }
            prop_assert!(incoming.bytes.len() <= PREFIX + MAX_MESSAGE);
        }
        let _ = incoming.health();
    }
}
