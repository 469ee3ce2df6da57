#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use proptest::prelude::*;

use super::*;

fn numbers(began: u64) -> Numbers {
    Numbers {
        began,
        total: 5,
        last_attempt: 1,
        connect: None,
        first_byte: Some(2),
        bytes_in: 3,
        bytes_out: 4,
        client: None,
        status: 200,
        attempts: 1,
        failure: None,
        version: HttpVersion::Http11,
        upgraded: false,
    }
}

fn write(notebook: &mut Notebook, began: u64, id: &str, target: &str, lost: Vec<Lost>) {
    let numbers = numbers(began);
    let method = if began.is_multiple_of(2) { "GET" } else { "PUT" };
    let [id, method, host, target] = [id, method, "a.test", target].map(str::as_bytes);
    let id = id.try_into().map_or(Id::Sent(id), Id::Made);
    notebook.write(Note { numbers, way: None, id, method, host, target, lost });
}

fn ids(recent: &Recent, limit: usize) -> Vec<String> {
    recent.newest(limit, |_| true, |kept| text(kept.id))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn stale(server: &str) -> Lost {
    Lost { server: server.into(), began: 0, ended: 1, connect: None, end: End::Stale }
}

#[test]
fn the_newest_come_first_of_all_workers_once_they_are_handed_over() {
    let recent = Recent::default();
    let (mut one, mut two) = (recent.notebook(), recent.notebook());
    write(&mut one, 1, "a", "/", Vec::new());
    write(&mut two, 3, "c", "/", Vec::new());
    write(&mut one, 2, "b", "/", Vec::new());
    assert_eq!(ids(&recent, 9), [""; 0]);
    two.hand_over();
    one.hand_over();
    assert_eq!(ids(&recent, 9), ["c", "b", "a"]);
    assert_eq!(ids(&recent, 2), ["c", "b"]);
    assert_eq!(recent.newest(9, |kept| kept.id == b"b", |kept| kept.numbers.began), [2]);
}

#[test]
fn a_full_batch_is_handed_over_by_itself() {
    let recent = Recent::default();
    let mut notebook = recent.notebook();
    for nth in 0..BATCH as u64 {
        write(&mut notebook, nth, &nth.to_string(), "/", Vec::new());
    }
    assert_eq!(ids(&recent, 1_000).len(), BATCH);
}

#[test]
fn the_last_ten_thousand_are_kept_whoever_wrote_them() {
    let recent = Recent::default();
    let mut workers = [recent.notebook(), recent.notebook(), recent.notebook()];
    for nth in 0..25_000_u64 {
        // Two of them have little to do.
        let worker = usize::from(nth % 50 == 0) + usize::from(nth % 100 == 0);
        write(&mut workers[worker], nth, &nth.to_string(), "/", Vec::new());
        if nth % 97 == 0 {
            workers.iter_mut().for_each(Notebook::hand_over);
        }
    }
    workers.iter_mut().for_each(Notebook::hand_over);
    let kept = ids(&recent, usize::MAX);
    let newest: Vec<_> = (0..25_000).rev().take(KEPT).map(|nth: u64| nth.to_string()).collect();
    assert_eq!(kept[..KEPT], newest);
    assert!(kept.len() < KEPT + 3 * BATCH, "{}", kept.len());
}

#[test]
fn neither_texts_nor_attempts_take_more_than_all_may_take() {
    let recent = Recent::default();
    let mut notebook = recent.notebook();
    let (long, target) = ("é".repeat(300), format!("/{}", "é".repeat(5_000)));
    for nth in 0..20_000 {
        let lost: Vec<_> = (0..100).map(|_| stale("a")).collect();
        write(&mut notebook, nth, &long, &target, lost);
    }
    notebook.hand_over();
    let shelf = recent.lock();
    let bytes: usize = shelf.full.iter().map(|batch| batch.bytes()).sum();
    assert_eq!(bytes, shelf.bytes);
    assert!(bytes <= MOST_BYTES && shelf.full.len() > 10, "{bytes} in {}", shelf.full.len());
    drop(shelf);
    let one = recent.newest(1, |_| true, |kept| (kept.id.len(), kept.target.len(), kept.lost.len()));
    assert_eq!(one, [(TEXT, TARGET, ATTEMPTS)]);
}

#[test]
fn whoever_looks_holds_up_nobody_and_what_is_lost_is_counted() {
    let recent = Recent::default();
    let mut notebook = recent.notebook();
    let looking = recent.lock();
    for nth in 0..1_000 {
        write(&mut notebook, nth, &nth.to_string(), "/", Vec::new());
    }
    drop(looking);
    write(&mut notebook, 1_000, "last", "/", Vec::new());
    assert_eq!((ids(&recent, 9_999).len(), recent.missed()), (PATIENCE, 1_001 - PATIENCE as u64));
}

proptest! {
    #[test]
    fn what_is_read_is_what_was_written(
        notes in prop::collection::vec((prop_oneof!["[a-z0-9]{0,40}", "[a-z0-9]{16}"], "(/[a-zé]{0,9}){0,4}", 0_usize..4), 1..90),
        pauses in prop::collection::vec(any::<bool>(), 90),
    ) {
        let recent = Recent::default();
        let mut notebook = recent.notebook();
        for ((nth, (id, target, lost)), pause) in (0..).zip(&notes).zip(pauses) {
            write(&mut notebook, nth, id, target, (0..*lost).map(|nth| stale(&nth.to_string())).collect());
            if pause {
                notebook.hand_over();
            }
        }
        notebook.hand_over();
        let mut read = recent.newest(usize::MAX, |_| true, |kept| {
            let method = if kept.numbers.began.is_multiple_of(2) { &b"GET"[..] } else { b"PUT" };
            prop_assert_eq!((kept.method, kept.host), (method, &b"a.test"[..]));
            prop_assert!(kept.lost.iter().enumerate().all(|(nth, lost)| *lost.server == *nth.to_string()));
            Ok((text(kept.id), text(kept.target), kept.lost.len()))
        }).into_iter().collect::<Result<Vec<_>, TestCaseError>>()?;
        read.reverse();
        prop_assert_eq!(read, notes);
    }
}
