#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use rustls::crypto::cipher::{AeadKey, Iv};

use super::*;

fn keys(cipher: u8, version: ProtocolVersion) -> Keys {
    let (key, iv) = (AeadKey::from([7; 32]), Iv::copy(&[9; 12]));
    let secrets = match cipher {
        0 => ConnectionTrafficSecrets::Aes256Gcm { key, iv },
        _ => ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv },
    };
    Keys::new((5, secrets), version).unwrap()
}

/// A pair for each form that a record may have.
fn pairs() -> Vec<(Keys, Keys)> {
    let forms = [
        (0, ProtocolVersion::TLSv1_3),
        (1, ProtocolVersion::TLSv1_3),
        (0, ProtocolVersion::TLSv1_2),
        (1, ProtocolVersion::TLSv1_2),
    ];
    forms.into_iter().map(|(cipher, version)| (keys(cipher, version), keys(cipher, version))).collect()
}

#[test]
fn what_is_sealed_is_opened_in_both_ways() {
    for (mut sends, mut receives) in pairs() {
        for (round, len) in [0, 1, 100, MOST_PLAIN].into_iter().enumerate() {
            let plain = vec![b'x'; len];
            let mut record = vec![0; len + sends.overhead()];
            let sealed = if round % 2 == 0 {
                sends.seal(DATA, Plain::Elsewhere(&plain), &mut record).unwrap()
            } else {
                let at = sends.plain_at();
                record[at..at + len].copy_from_slice(&plain);
                sends.seal(DATA, Plain::InPlace(len), &mut record).unwrap()
            };
            assert_eq!(sealed, record.len());
            let whole = Whole::first(&record).unwrap().unwrap();
            assert_eq!(whole.len(), sealed);
            let mut room = vec![0; receives.sealed(whole)];
            let opened = if round < 2 {
                let content = receives.open_into(whole, &record, &mut room).unwrap();
                (content, room[..content.len].to_vec())
            } else {
                let (begin, content) = receives.open_in_place(whole, &mut record).unwrap();
                (content, record[begin..begin + content.len].to_vec())
            };
            assert_eq!((opened.0.kind, opened.1), (DATA, plain));
        }
        assert_eq!((sends.records(), receives.records()), (9, 9));
    }
}

#[test]
fn no_bit_of_a_record_can_be_changed() {
    for (mut sends, receives) in pairs() {
        let mut record = vec![0; 10 + sends.overhead()];
        sends.seal(DATA, Plain::Elsewhere(&[1; 10]), &mut record).unwrap();
        for byte in 0..record.len() {
            // TLS 1.2 does not sign the version in the header of a record, TLS 1.3 nothing that it does not look at.
            if !receives.is_v13() && (1..3).contains(&byte) {
                continue;
            }
            let mut receives = Keys { key: keys_like(&receives), ..receives_again(&receives) };
            let mut other = record.clone();
            other[byte] ^= 1;
            let opened = match Whole::first(&other) {
                Ok(Some(whole)) => receives.open_in_place(whole, &mut other).map(|_| ()),
                Ok(None) => continue,
                Err(fault) => Err(fault),
            };
            assert!(opened.is_err(), "byte {byte}");
        }
    }
}

fn keys_like(keys: &Keys) -> LessSafeKey {
    let algorithm = keys.key.algorithm();
    LessSafeKey::new(UnboundKey::new(algorithm, &[7; 32]).unwrap())
}

fn receives_again(keys: &Keys) -> Keys {
    Keys { key: keys_like(keys), iv: keys.iv, sequence: 5, form: keys.form }
}

#[test]
fn a_record_may_be_padded_and_must_say_what_it_is() {
    let (mut sends, mut receives) = pairs().remove(0);
    // The plaintext brings its own type and padding: what follows it is padding of another type.
    let mut record = vec![0; 20 + sends.overhead()];
    sends.seal(0, Plain::Elsewhere(&[b"hi", &[DATA][..], &[0; 17]].concat()), &mut record).unwrap();
    let whole = Whole::first(&record).unwrap().unwrap();
    let (begin, content) = receives.open_in_place(whole, &mut record).unwrap();
    assert_eq!((content.kind, &record[begin..begin + content.len]), (DATA, &b"hi"[..]));
    let mut empty = vec![0; 20 + sends.overhead()];
    sends.seal(0, Plain::Elsewhere(&[0; 20]), &mut empty).unwrap();
    let whole = Whole::first(&empty).unwrap().unwrap();
    assert_eq!(receives.open_in_place(whole, &mut empty).unwrap_err(), Fault::UNEXPECTED);
}

#[test]
fn a_record_that_cannot_be_is_refused_by_its_length() {
    assert_eq!(Whole::first(&[DATA, 3, 3, 0xff, 0xff]).unwrap_err(), Fault::OVERFLOW);
    assert!(Whole::first(&[DATA, 3, 3, 0]).unwrap().is_none());
    for (_, mut receives) in pairs() {
        for len in 0..24 {
            let mut short = vec![DATA, 3, 3, 0, len];
            short.resize(HEADER + usize::from(len), 0);
            let whole = Whole::first(&short).unwrap().unwrap();
            assert!(receives.open_in_place(whole, &mut short).is_err());
        }
        // In the clear, where everything is sealed.
        let mut alert = [ALERT, 3, 3, 0, 2, 1, 0];
        let whole = Whole::first(&alert).unwrap().unwrap();
        assert!(receives.open_in_place(whole, &mut alert).is_err());
    }
}
