//! The PROXY protocol: `[cuts][the header and what follows]`.
//!
//! A header is judged the same however it is cut, never takes a byte of what comes behind it, and is written as it was
//! read.

use loadweaver_http1::preface::{self, MOST_V1, MOST_V2, Preface};

use crate::cuts::Cuts;

/// What has come decides: no cut changes the judgement, and what is written is read as the same.
pub fn holds(input: &[u8]) {
    let (cuts, stream) = Cuts::take(input);
    let whole = preface::parse(stream);
    for end in cuts.ends(stream.len()) {
        match preface::parse(&stream[..end]) {
            Ok(None) => {
                let most = if stream.first() == Some(&b'P') { MOST_V1 } else { MOST_V2 };
                assert!(end < most, "a header is waited for without a limit");
            }
            Ok(some) => {
                assert_eq!(Ok(some), whole, "more bytes have changed a header");
                break;
            }
            Err(_) => {
                assert!(whole.is_err(), "more bytes have made a header good");
                break;
            }
        }
    }
    let Ok(Some((read, len))) = whole else { return };
    let behind = [&stream[..len], b"GET / HTTP/1.1\r\n"].concat();
    assert_eq!(preface::parse(&behind), Ok(Some((read.clone(), len))), "what follows is no part of it");
    for cut in 0..len {
        assert_eq!(preface::parse(&stream[..cut]), Ok(None), "a part of a header was taken for one");
    }
    writes(&read);
}

/// What was written once is written the same again.
fn writes(read: &Preface) {
    if read.ends.is_none() {
        return;
    }
    let (mut first, mut second) = (Vec::new(), Vec::new());
    preface::write_v2(&mut first, read);
    assert!(first.len() <= MOST_V2, "written longer than is read");
    let (again, len) = preface::parse(&first).expect("ours is good").expect("ours is whole");
    assert_eq!(len, first.len());
    preface::write_v2(&mut second, &again);
    assert_eq!(first, second, "a header has changed on its way");
    let mut line = Vec::new();
    preface::write_v1(&mut line, read.ends);
    let (told, _) = preface::parse(&line).expect("ours is good").expect("ours is whole");
    assert_eq!(told.ends, again.ends, "two versions, two clients");
}
