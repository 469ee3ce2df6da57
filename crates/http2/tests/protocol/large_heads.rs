//! Heads that are too large: each is answered, and whoever sends nothing else is cut off.

use loadweaver_http1::RequestHead;
use loadweaver_http2::{Abuse, Ended, Finish, Limits, Refusal};

use crate::attacks::{SECOND, cut_off, read};
use crate::wire::*;

/// A head that is too large, and what makes the next ones as large from a few bytes each: the field stands in the table.
fn large_heads() -> (Vec<u8>, Vec<u8>) {
    let mut first = block(&GET);
    first.extend_from_slice(&[0x40, 1, b'n', 127, 0xa1, 0x1e]);
    first.extend_from_slice(&[b'v'; 4000]);
    let mut next = block(&GET);
    next.extend_from_slice(&[0xbe; 90]);
    first.extend_from_slice(&[0xbe; 90]);
    (first, next)
}

/// Sends one, and answers it as a proxy does.
fn large_head(engine: &mut Engine, stream: u32) -> Result<(), Ended> {
    let (first, next) = large_heads();
    let head = if stream == 1 { first } else { next };
    engine.frame(HEADERS, END_HEADERS | END_STREAM, stream, &head)?;
    let id = engine.head();
    let taken = engine.connection.take_request(id, &mut RequestHead::default());
    assert_eq!(taken, Err(Refusal::TooLarge));
    engine.connection.respond_with(id, 431, b"", Finish::Now);
    engine.connection.release(id);
    read(engine);
    Ok(())
}

#[test]
fn heads_that_are_too_large_again_and_again_are_cut_off() {
    let mut engine = Engine::server();
    let rounds = cut_off(&mut engine, Abuse::LargeHeads, |engine, round| large_head(engine, 2 * round + 1));
    assert_eq!(rounds, 128);
    // As many as may be open at once may be too large at once.
    let mut engine = Engine::server_with(&Limits { max_streams: 300, ..Limits::default() });
    let rounds = cut_off(&mut engine, Abuse::LargeHeads, |engine, round| large_head(engine, 2 * round + 1));
    assert_eq!(rounds, 300);
}

#[test]
fn a_browser_whose_cookies_have_grown_too_large_gets_an_answer_to_each_request() {
    let mut engine = Engine::server();
    let mut stream = 1;
    // A page of a hundred files, and then a script that goes on asking.
    for _ in 0..100 {
        large_head(&mut engine, stream).unwrap();
        stream += 2;
    }
    for _ in 0..10_000 {
        engine.now += SECOND / 10;
        large_head(&mut engine, stream).unwrap();
        stream += 2;
    }
}

#[test]
fn a_proxy_with_one_such_user_among_many_keeps_its_connection() {
    let mut engine = Engine::server();
    for round in 0..5_000 {
        large_head(&mut engine, 4 * round + 1).unwrap();
        engine.headers(END_STREAM, 4 * round + 3, &GET).unwrap();
        let id = engine.head();
        engine.connection.respond_with(id, 204, b"", Finish::Now);
        engine.connection.release(id);
        read(&mut engine);
    }
}

#[test]
fn heads_that_nobody_is_shown_count_as_well() {
    let (first, next) = large_heads();
    for (head, abuse, most) in [(next, Abuse::LargeHeads, 128), (block(&GET), Abuse::Churn, 1024)] {
        let mut engine = Engine::server();
        // We reset this stream: a name is not lower case.
        let table = first.get(..first.len() - 90).unwrap();
        engine.frame(HEADERS, END_HEADERS, 1, &[table, &[0, 1, b'X', 1, b'v']].concat()).unwrap();
        let rounds = cut_off(&mut engine, abuse, |engine, _| {
            engine.frame(HEADERS, END_HEADERS, 1, &head)?;
            read(engine);
            Ok(())
        });
        assert!((most..most + 8).contains(&rounds), "{rounds}");
    }
}

/// How many of these requests, which come in one piece, are taken in each turn.
fn turns(heads: &[Vec<u8>]) -> Vec<usize> {
    let mut engine = Engine::server();
    let mut rest = Vec::new();
    for (stream, head) in (1..).step_by(2).zip(heads) {
        rest.extend(frame(HEADERS, END_HEADERS | END_STREAM, stream, head));
    }
    let mut begun = Vec::new();
    loop {
        let used = engine.connection.receive_turn(&rest, engine.now).unwrap();
        rest.drain(..used);
        begun.push(engine.events().len());
        assert_eq!(engine.connection.is_behind(), !rest.is_empty());
        if rest.is_empty() {
            return begun;
        }
    }
}

#[test]
fn heads_are_taken_a_turns_work_at_a_time() {
    let begun = turns(&vec![block(&GET); 100]);
    assert_eq!(begun, [100], "a page at once is nothing out of the ordinary");
    let (first, next) = large_heads();
    assert_eq!(turns(&[vec![first], vec![next; 9]].concat()), [1; 10]);
}
